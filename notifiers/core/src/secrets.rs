//! Secrets at the moment of use: those in files have been read by the shell.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Secret, SecretSource};

/// What the files that an integration names hold right now, or why they cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFiles(BTreeMap<PathBuf, Result<Secret, String>>);

impl SecretFiles {
    /// White space around a file's content is not part of the secret.
    pub fn insert(&mut self, path: &Path, content: Result<String, String>) {
        self.0.insert(
            path.to_owned(),
            content.map(|content| Secret::new(content.trim())),
        );
    }

    /// The secret, or a sentence that names the file.
    pub(crate) fn reveal(&self, source: &SecretSource) -> Result<String, String> {
        match source {
            SecretSource::Inline(secret) => Ok(secret.reveal().to_owned()),
            SecretSource::File(path) => match self.0.get(path) {
                Some(Ok(secret)) => Ok(secret.reveal().to_owned()),
                Some(Err(reason)) => Err(format!("cannot read {}: {reason}", path.display())),
                None => Err(format!("{} was not read", path.display())),
            },
        }
    }
}
