//! Folders with the files that a process is started with.
use std::fs;

use tempfile::TempDir;

/// A folder that goes away with what is returned.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    folder
}
