//! What ends a start of the ingest, or the opening of a tenant.
use std::io;
use std::path::PathBuf;

use runtime::log::{OpenError, RecordsFileError};

/// Why the ingest cannot start, or a tenant cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} cannot be used for samples", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Snapshot(#[from] RecordsFileError),
}

/// What whoever asks for the tenant is told.
pub(crate) fn unopened(problem: &StartError) -> String {
    format!("tenant cannot be opened: {}", chain(problem))
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
