//! What ends a start of the ingest.
use std::io;
use std::path::PathBuf;

use runtime::log::{OpenError, RecordsFileError};

/// Why the ingest cannot start.
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
