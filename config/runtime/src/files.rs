//! Reading what an operator wrote.
use std::path::{Path, PathBuf};

use config::Files;

/// The real disk. Errors are the operating system's own sentences.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let paths = glob::glob(pattern).map_err(|error| error.to_string())?;
        Ok(paths
            .filter_map(Result::ok)
            .filter(|path| path.is_file())
            .collect())
    }
}
