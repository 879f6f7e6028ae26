//! The files that a configuration names. This crate decides which are read; whoever calls it reads them.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Access to files, by whoever has it. Errors are sentences, such as `no such file or directory`.
pub trait Files {
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The files that a pattern (`rules/*.yml`) names, sorted, also those that cannot be read. None is no error; a
    /// malformed pattern is one, and a folder on the way that cannot be read.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

/// Files that exist in memory only: for tests, and for configurations that come from elsewhere than a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryFiles {
    pub files: BTreeMap<PathBuf, String>,
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        let text = self.files.get(path).cloned();
        text.ok_or_else(|| "no such file or directory".to_owned())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.msg.to_owned())?;
        // Like a shell's, a star does not cross folders.
        let options = glob::MatchOptions {
            require_literal_separator: true,
            ..glob::MatchOptions::default()
        };
        let paths = self.files.keys();
        Ok(paths
            .filter(|path| pattern.matches_path_with(path, options))
            .cloned()
            .collect())
    }
}

impl<Path: Into<PathBuf>, Text: Into<String>> FromIterator<(Path, Text)> for MemoryFiles {
    fn from_iter<Iter: IntoIterator<Item = (Path, Text)>>(files: Iter) -> Self {
        let files = files.into_iter();
        Self {
            files: files
                .map(|(path, text)| (path.into(), text.into()))
                .collect(),
        }
    }
}
