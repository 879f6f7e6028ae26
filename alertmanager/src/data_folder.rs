//! The data folder of an Alertmanager: its `nflog` and `silences` are taken over at the start, and written again in its
//! form at maintenance and at the end, so that it can be handed back.
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alertmanager_core::{SnapshotError, SnapshotFile, newer_silences, read_nflog, read_silences};
use tracing::{info, warn};

use crate::journal::SavedTenants;

const NFLOG: &str = "nflog";
const SILENCES: &str = "silences";

/// Why a file is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not what an Alertmanager writes", path.display())]
    Snapshot {
        path: PathBuf,
        #[source]
        source: SnapshotError,
    },
}

/// What of an Alertmanager's files is not taken over, though the rest of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    pub silences: usize,
}

/// Adds to what the log holds whatever the folder's files know better. Blocks.
///
/// # Errors
/// A file that is there and cannot be understood, as Alertmanager refuses to start then.
pub fn take_over(folder: &Path, saved: &mut SavedTenants) -> Result<PassedOver, DataFolderError> {
    let mut passed_over = PassedOver::default();
    for (name, read) in [
        (
            NFLOG,
            read_nflog as fn(&[u8]) -> Result<SnapshotFile, SnapshotError>,
        ),
        (SILENCES, read_silences),
    ] {
        let path = folder.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(DataFolderError::Read { path, source }),
        };
        let file = read(&bytes).map_err(|source| DataFolderError::Snapshot {
            path: path.clone(),
            source,
        })?;
        for problem in &file.passed_over {
            warn!(path = %path.display(), error = %problem, "passed over");
        }
        let records = saved.anonymous();
        if name == NFLOG {
            // The tenant's machine knows what of it is news.
            records.extend(file.records);
            continue;
        }
        passed_over.silences = file.passed_over.len();
        let newer = newer_silences(records, file.records);
        if !newer.is_empty() {
            info!(path = %path.display(), silences = newer.len(), "taken over from an Alertmanager's file");
        }
        records.extend(newer);
    }
    Ok(passed_over)
}

/// Writes both files, each aside and then in place of the one before. Blocks.
pub(crate) fn write(folder: &Path, nflog: &[u8], silences: &[u8]) -> io::Result<()> {
    for (name, bytes) in [(NFLOG, nflog), (SILENCES, silences)] {
        let aside = folder.join(format!("{name}.watchbell"));
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, folder.join(name))?;
    }
    File::open(folder)?.sync_all()
}
