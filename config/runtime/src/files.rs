//! Reading what an operator wrote.
use std::path::{Path, PathBuf};

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl DiskFiles {
    /// The file's text; the error is the operating system's own sentence.
    pub fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    /// Paths that match a shell pattern, sorted.
    pub fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let paths = glob::glob(pattern).map_err(|error| error.to_string())?;
        Ok(paths
            .filter_map(Result::ok)
            .filter(|path| path.is_file())
            .collect())
    }
}
