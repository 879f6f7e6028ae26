//! Files of real services, beside the project, which some tests read.
use std::io::Write as _;
use std::path::PathBuf;

/// A file or folder there; where it is missing, tests say so and skip, but fail where `CI` is `true`.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        full.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", full.display());
    None
}
