//! From disk to memory at the start, and from memory to disk so that the next start is short.
//!
//! The folder holds `log/` and, for each tenant, `snapshots/TENANT.records`. A checkpoint rotates the log, writes
//! the snapshots of all tenants that have changed, and then removes the segments that they cover. A snapshot names
//! the segment from which its tenant's records in the log go on; what is before is passed over for that tenant.
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest_core::{Limits, Memory, RecordKind, Records, SnapshotCursor};
use model::TenantId;
use runtime::Trouble;
use runtime::log::{
    Log, LogSettings, RecordsFileError, SegmentNumber, SyncPolicy, is_broken_disk, is_want_of_room,
    read_records, write_records,
};
use tracing::{error, info, warn};

use crate::start_error::StartError;
use crate::tenant_store::TenantStore;

/// Below this a checkpoint is not worth its writes; above it one is made when the log has grown as large as the
/// snapshots, so that each byte of the log costs at most about one more byte written, and a start reads at most
/// twice what it needs.
pub(crate) const LOG_BYTES_BEFORE_CHECKPOINT: u64 = 256 * 1024 * 1024;
/// What is copied out of a head at once, holding its lock, and written as one record.
const PART_BYTES: usize = 1024 * 1024;
const SNAPSHOT_EXTENSION: &str = "records";

pub(crate) struct Restored {
    pub(crate) log: Log,
    pub(crate) memories: BTreeMap<TenantId, Memory>,
    pub(crate) snapshot_bytes: u64,
    /// Places of log and snapshots that could not be read. Each is logged; what is around them is there.
    pub(crate) damages: u64,
}

/// Reads everything back. `new_memory` makes an empty one.
pub(crate) fn restore(
    folder: &Path,
    sync: SyncPolicy,
    limits: &Limits,
    new_memory: impl Fn(&Limits) -> Memory,
) -> Result<Restored, StartError> {
    let mut memories = BTreeMap::new();
    let mut covers = BTreeMap::new();
    let mut snapshot_bytes = 0;
    let mut damages = Damages::default();
    let snapshots = snapshots_folder(folder);
    let failed = |source| StartError::Folder {
        path: snapshots.clone(),
        source,
    };
    if let Err(problem) = fs::create_dir_all(&snapshots) {
        if !is_want_of_room(&problem) {
            return Err(failed(problem));
        }
        error!(path = %snapshots.display(), error = %problem, "there is no room for a folder; the first snapshot makes it");
    }
    for (tenant, path) in list_snapshots(&snapshots).map_err(failed)? {
        let file = match read_records(&path) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(problem @ RecordsFileError::Damaged { .. }) => {
                error!(%tenant, error = %problem, "a snapshot cannot be read; it is put aside");
                damages.count += 1;
                match put_aside(&path) {
                    // Nothing overwrites it as long as that is so.
                    Err(problem) if is_want_of_room(&problem) || is_broken_disk(&problem) => {
                        warn!(path = %path.display(), error = %problem, "the damaged snapshot could not be put aside");
                    }
                    outcome => outcome.map_err(failed)?,
                }
                continue;
            }
            Err(
                problem @ (RecordsFileError::Io { .. } | RecordsFileError::NewerVersion { .. }),
            ) => return Err(problem.into()),
        };
        covers.insert(tenant.clone(), file.covers);
        snapshot_bytes += file.bytes;
        let mut memory = new_memory(limits);
        for record in file {
            match record {
                Ok((kind, payload)) => {
                    replay(&mut memory, &tenant, kind, &payload, &mut damages);
                }
                Err(problem) => {
                    error!(%tenant, error = %problem, "a snapshot is damaged; its other series are lost, and the file is kept aside");
                    damages.count += 1;
                    keep_aside(&path);
                }
            }
        }
        memories.insert(tenant, memory);
    }
    let log = Log::open(
        &folder.join("log"),
        &LogSettings {
            sync,
            segment_min: covers
                .values()
                .copied()
                .max()
                .unwrap_or(SegmentNumber::FIRST),
            ..LogSettings::default()
        },
    )?;
    for record in log.replay(SegmentNumber::FIRST) {
        match record {
            Ok(record) => {
                let covered = covers.get(&record.tenant);
                if covered.is_some_and(|covers| record.segment < *covers) {
                    continue;
                }
                let memory = match memories.get_mut(&record.tenant) {
                    Some(memory) => memory,
                    None => memories
                        .entry(record.tenant.clone())
                        .or_insert_with(|| new_memory(limits)),
                };
                let (tenant, payload) = (&record.tenant, &record.payload);
                replay(memory, tenant, record.kind, payload, &mut damages);
            }
            Err(problem) => {
                if let Some(left_out) = damages.next() {
                    error!(error = %problem, left_out, "the log is damaged; what follows is read");
                }
            }
        }
    }
    for memory in memories.values_mut() {
        memory.head.end_replay();
    }
    let series = memories.values().map(|memory| memory.head.series_len());
    info!(
        tenants = memories.len(),
        series = series.sum::<usize>(),
        damages = damages.count,
        "samples were read back"
    );
    Ok(Restored {
        log,
        memories,
        snapshot_bytes,
        damages: damages.count,
    })
}

/// Writes the snapshots of all tenants of `stores` that have changed and shortens the log. Answers the bytes written. When it
/// fails, nothing is lost: the log keeps what the missing snapshots would hold. Blocks.
pub(crate) fn checkpoint(
    folder: &Path,
    log: &Log,
    stores: impl FnOnce() -> Vec<Arc<TenantStore>>,
) -> Result<u64, CheckpointError> {
    let covers = log.rotate_blocking()?;
    // Only now: whoever comes after this has its records in segments that stay.
    let stores = stores();
    let snapshots = snapshots_folder(folder);
    // There may have been no room for it at the start.
    fs::create_dir_all(&snapshots).map_err(|source| CheckpointError::Snapshot {
        path: snapshots.clone(),
        source,
    })?;
    let mut bytes = 0;
    for store in stores {
        // What stands in older segments has its outcome, so that after this it is in the head.
        store.settle();
        if !store.take_changed() {
            continue;
        }
        let path = snapshot_path(&snapshots, store.tenant());
        let written = write_records(&path, covers, store.tenant(), SnapshotParts::of(&store));
        bytes += written.map_err(|source| {
            store.mark_changed();
            CheckpointError::Snapshot { path, source }
        })?;
    }
    log.remove_before(covers).map_err(CheckpointError::Remove)?;
    Ok(bytes)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("log could not be rotated")]
    Rotate(#[from] runtime::log::AppendError),
    #[error("{} could not be written", path.display())]
    Snapshot {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("old segments of the log could not be removed")]
    Remove(#[source] io::Error),
}

/// A tenant's series, some at a time, and behind them what its senders said besides.
struct SnapshotParts<'s> {
    store: &'s TenantStore,
    next: Option<SnapshotCursor>,
    /// The last one first.
    records: Records,
}

impl<'s> SnapshotParts<'s> {
    fn of(store: &'s TenantStore) -> Self {
        Self {
            store,
            next: Some(SnapshotCursor::START),
            records: Vec::new(),
        }
    }
}

impl Iterator for SnapshotParts<'_> {
    type Item = (u8, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.records.is_empty() {
            let from = self.next?;
            let (part, next) = self.store.look(|memory| memory.snapshot(from, PART_BYTES));
            self.next = next;
            self.records = part.into_records();
            self.records.reverse();
        }
        let (kind, payload) = self.records.pop()?;
        Some((kind as u8, payload))
    }
}

/// Places that could not be read: one lost definition makes a place of every record of that series.
#[derive(Default)]
struct Damages {
    count: u64,
    trouble: Trouble,
}

impl Damages {
    /// One more. How many lines were left out, where one is due.
    fn next(&mut self) -> Option<u64> {
        self.count += 1;
        self.trouble.happened()
    }
}

fn replay(memory: &mut Memory, tenant: &TenantId, kind: u8, payload: &[u8], damages: &mut Damages) {
    let Some(kind) = RecordKind::from_byte(kind) else {
        if let Some(left_out) = damages.next() {
            error!(%tenant, kind, left_out, "a record is of an unknown kind");
        }
        return;
    };
    match memory.replay(kind, payload) {
        Ok(0) => {}
        Ok(samples) => {
            if let Some(left_out) = damages.next() {
                error!(%tenant, samples, left_out, "samples are lost with the definitions of their series");
            }
        }
        Err(problem) => {
            if let Some(left_out) = damages.next() {
                error!(%tenant, error = %problem, left_out, "a record is malformed");
            }
        }
    }
}

/// For whoever wants to look at it: the next snapshot must not overwrite it.
fn put_aside(path: &Path) -> io::Result<()> {
    fs::rename(path, path.with_extension("damaged"))
}

/// What could be read of it is used, so the file itself stays until the next snapshot takes its place; a second name
/// needs no room on a full disk.
fn keep_aside(path: &Path) {
    let aside = path.with_extension("damaged");
    // Where one of before is there, the newer one counts.
    let _ = fs::remove_file(&aside);
    if let Err(error) = fs::hard_link(path, &aside) {
        warn!(path = %path.display(), %error, "the damaged snapshot cannot be kept: the next one takes its place");
    }
}

fn snapshots_folder(folder: &Path) -> PathBuf {
    folder.join("snapshots")
}

/// A tenant's identifier has no character that a file's name may not have.
fn snapshot_path(snapshots: &Path, tenant: &TenantId) -> PathBuf {
    snapshots.join(format!("{tenant}.{SNAPSHOT_EXTENSION}"))
}

fn list_snapshots(snapshots: &Path) -> io::Result<Vec<(TenantId, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(snapshots) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let tenant = name
            .to_str()
            .and_then(|name| name.strip_suffix(&format!(".{SNAPSHOT_EXTENSION}")))
            .and_then(|tenant| TenantId::parse(tenant).ok());
        if let Some(tenant) = tenant {
            let path = snapshot_path(snapshots, &tenant);
            found.push((tenant, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use ingest_core::{Limits, Memory, RecordKind};
    use model::{Labels, Sample, TenantId, Timestamp};
    use runtime::HeardLog;
    use runtime::log::{Log, LogSettings, Record, SegmentNumber, SyncPolicy};

    use super::{checkpoint, restore, write_records};
    use crate::tenant_blocks::TenantBlocks;
    use crate::tenant_store::TenantStore;

    #[test]
    fn a_lost_definition_is_told_once_and_counted_for_every_record() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("log"), &LogSettings::default()).unwrap();
        let record = Record {
            tenant: &TenantId::anonymous(),
            kind: RecordKind::Samples as u8,
            // At time 0, series 1: the value 0.
            payload: &[0, 0x30],
        };
        log.append(&[record; 3]).unwrap().wait_blocking().unwrap();
        drop(log);
        let heard = HeardLog::start();
        let new_memory = |limits: &Limits| Memory::new(limits.clone(), 0);
        let limits = Limits::default();
        let restored = restore(folder.path(), SyncPolicy::default(), &limits, new_memory).unwrap();
        assert_eq!(restored.damages, 3);
        assert_eq!(
            heard.lines(),
            [
                "ERROR samples are lost with the definitions of their series tenant=anonymous samples=1 left_out=0",
                "INFO samples were read back tenants=1 series=0 damages=3",
            ]
        );
    }

    /// A tenant whose first samples come between the two would lose them with the segment.
    #[test]
    fn tenants_are_listed_when_the_log_was_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings::default();
        let log = Log::open(&folder.path().join("log"), &settings).unwrap();
        fs::create_dir(folder.path().join("snapshots")).unwrap();
        let now = Timestamp::from_secs(1_000_000);
        let up = Labels::from_pairs([("__name__", "up")]);
        let sample = Sample {
            timestamp: now,
            value: 1.0,
        };
        let memory = || Memory::new(Limits::default(), 0);
        let newcomer = Arc::new(TenantStore::new(
            TenantId::anonymous(),
            memory(),
            false,
            TenantBlocks::new(folder.path().join("blocks")),
        ));
        checkpoint(folder.path(), &log, || {
            let staged = newcomer.stage(&log, |head| head.stage_samples([(&up, sample)], now));
            staged.unwrap().0.unwrap().wait_blocking().unwrap();
            Vec::new()
        })
        .unwrap();
        drop(log);
        let restored = restore(folder.path(), settings.sync, &Limits::default(), |_| {
            memory()
        });
        assert_eq!(restored.unwrap().memories.len(), 1);
    }

    /// The next snapshot takes the place of the damaged one, and holds only what could be read of it.
    #[test]
    fn a_damaged_snapshot_is_kept_for_whoever_wants_to_look_at_it() {
        // Which byte is changed: none, one of the header, one of the first record.
        for harmed in [None, Some(9), Some(40)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("snapshots/anonymous.records");
            fs::create_dir(folder.path().join("snapshots")).unwrap();
            let tenant = TenantId::anonymous();
            let records = [(RecordKind::Chunks as u8, vec![0, 0, 0])];
            let covers = SegmentNumber::FIRST;
            write_records(&path, covers, &tenant, records.into_iter()).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            if let Some(at) = harmed {
                bytes[at] ^= 1;
            }
            fs::write(&path, &bytes).unwrap();
            let aside = path.with_extension("damaged");
            fs::write(&aside, "an older one").unwrap();
            let new_memory = |limits: &Limits| Memory::new(limits.clone(), 0);
            let limits = Limits::default();
            for _ in 0..2 {
                let restored = restore(folder.path(), SyncPolicy::default(), &limits, new_memory);
                restored.unwrap();
            }
            let records = [].into_iter();
            write_records(&path, covers, &tenant, records).unwrap();
            let kept = match harmed {
                None => b"an older one".to_vec(),
                Some(_) => bytes,
            };
            assert_eq!(fs::read(&aside).unwrap(), kept, "{harmed:?}");
        }
    }
}
