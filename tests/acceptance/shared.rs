//! Real configurations and golden data that lie beside the project, not in it.
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of the shared data. Where it is missing the test says so and is left out, except in continuous
/// integration, where it fails.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(path);
    if let Ok(folder) = folder.canonicalize() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing, and continuous integration must have it",
        folder.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {} is missing; this test reads it",
        folder.display()
    );
    None
}
