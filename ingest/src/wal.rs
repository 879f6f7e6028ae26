//! From disk to memory at the start, and from memory to disk so that the next start is short.
//!
//! The folder holds `log/` and, for each tenant, `snapshots/TENANT.records`. A checkpoint rotates the log, writes
//! the snapshots of all open tenants that have changed, and then removes the segments that they cover. A snapshot names
//! the segment from which its tenant's records in the log go on; what is before is passed over for that tenant. A tenant
//! of whom the log has nothing behind its snapshot is not read at the start.
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest_core::{Limits, Memory, RecordKind, Records, SnapshotCursor};
use model::TenantId;
use runtime::Trouble;
use runtime::log::{
    Log, LogSettings, RecordsFile, RecordsFileError, SegmentNumber, SyncPolicy, is_broken_disk,
    is_want_of_room, read_records, write_records,
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
    /// Of the tenants of which the log has something that their snapshots have not.
    pub(crate) memories: BTreeMap<TenantId, Memory>,
    /// The sizes of all snapshots.
    pub(crate) snapshot_bytes: BTreeMap<TenantId, u64>,
    /// Places of log and snapshots that could not be read. Each is logged; what is around them is there.
    pub(crate) damages: u64,
}

/// Reads the log, and the snapshots of those of whom it has something; heads do not know yet which blocks are there.
/// `new_memory` makes an empty one.
pub(crate) fn restore(
    folder: &Path,
    sync: SyncPolicy,
    limits: &Limits,
    new_memory: impl Fn(&Limits) -> Memory,
) -> Result<Restored, StartError> {
    let snapshots = Snapshots::new(folder);
    let mut damages = Damages::default();
    let known = snapshots.list(&mut damages)?;
    let log = Log::open(
        &folder.join("log"),
        &LogSettings {
            sync,
            segment_min: known
                .values()
                .map(|(covers, _)| *covers)
                .max()
                .unwrap_or(SegmentNumber::FIRST),
            ..LogSettings::default()
        },
    )?;
    let mut memories = BTreeMap::new();
    for record in log.replay(SegmentNumber::FIRST) {
        match record {
            Ok(record) => {
                let covered = known.get(&record.tenant);
                if covered.is_some_and(|(covers, _)| record.segment < *covers) {
                    continue;
                }
                if !memories.contains_key(&record.tenant) {
                    let mut memory = new_memory(limits);
                    damages.count += snapshots.read(&record.tenant, &mut memory)?;
                    memories.insert(record.tenant.clone(), memory);
                }
                if let Some(memory) = memories.get_mut(&record.tenant) {
                    let (tenant, payload) = (&record.tenant, &record.payload);
                    replay(memory, tenant, record.kind, payload, &mut damages);
                }
            }
            Err(problem) => {
                if let Some(left_out) = damages.next() {
                    error!(error = %problem, left_out, "the log is damaged; what follows is read");
                }
            }
        }
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
        snapshot_bytes: known
            .into_iter()
            .map(|(tenant, (_, bytes))| (tenant, bytes))
            .collect(),
        damages: damages.count,
    })
}

/// The folder of all tenants' snapshots.
pub(crate) struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.join("snapshots"),
        }
    }

    /// Which there are: from which segment on the log has what they have not, and their sizes.
    fn list(
        &self,
        damages: &mut Damages,
    ) -> Result<BTreeMap<TenantId, (SegmentNumber, u64)>, StartError> {
        if let Err(problem) = fs::create_dir_all(&self.folder) {
            if !is_want_of_room(&problem) {
                return Err(self.failed(problem));
            }
            error!(path = %self.folder.display(), error = %problem, "there is no room for a folder; the first snapshot makes it");
        }
        let mut known = BTreeMap::new();
        let found = list_snapshots(&self.folder).map_err(|problem| self.failed(problem))?;
        for (tenant, path) in found {
            if let Some(file) = self.begin(&tenant, &path, damages)? {
                known.insert(tenant, (file.covers, file.bytes));
            }
        }
        Ok(known)
    }

    /// Takes a tenant's memory back, as far as it can be read. Answers how many places could not. Blocks.
    pub(crate) fn read(&self, tenant: &TenantId, memory: &mut Memory) -> Result<u64, StartError> {
        let mut damages = Damages::default();
        let path = snapshot_path(&self.folder, tenant);
        if let Some(file) = self.begin(tenant, &path, &mut damages)? {
            for record in file {
                match record {
                    Ok((kind, payload)) => replay(memory, tenant, kind, &payload, &mut damages),
                    // What is there may be read another time; a memory without it would be written over it.
                    Err(
                        problem @ (RecordsFileError::Io { .. }
                        | RecordsFileError::NewerVersion { .. }),
                    ) => return Err(problem.into()),
                    Err(problem @ RecordsFileError::Damaged { .. }) => {
                        error!(%tenant, error = %problem, "a snapshot is damaged; its other series are lost, and the file is kept aside");
                        damages.count += 1;
                        keep_aside(&path);
                    }
                }
            }
        }
        Ok(damages.count)
    }

    fn begin(
        &self,
        tenant: &TenantId,
        path: &Path,
        damages: &mut Damages,
    ) -> Result<Option<RecordsFile>, StartError> {
        match read_records(path) {
            Ok(file) => Ok(file),
            Err(problem @ RecordsFileError::Damaged { .. }) => {
                error!(%tenant, error = %problem, "a snapshot cannot be read; it is put aside");
                damages.count += 1;
                match put_aside(path) {
                    // Nothing overwrites it as long as that is so.
                    Err(problem) if is_want_of_room(&problem) || is_broken_disk(&problem) => {
                        warn!(path = %path.display(), error = %problem, "the damaged snapshot could not be put aside");
                    }
                    outcome => outcome.map_err(|problem| self.failed(problem))?,
                }
                Ok(None)
            }
            Err(
                problem @ (RecordsFileError::Io { .. } | RecordsFileError::NewerVersion { .. }),
            ) => Err(problem.into()),
        }
    }

    /// Writes a tenant's memory, and answers how many bytes that takes. What the log has of it before `covers` counts
    /// for nothing then. Blocks.
    pub(crate) fn write(
        &self,
        store: &TenantStore,
        covers: SegmentNumber,
    ) -> Result<u64, CheckpointError> {
        let path = snapshot_path(&self.folder, store.tenant());
        // There may have been no room for the folder at the start.
        fs::create_dir_all(&self.folder)
            .and_then(|()| write_records(&path, covers, store.tenant(), SnapshotParts::of(store)))
            .map_err(|source| CheckpointError::Snapshot { path, source })
    }

    pub(crate) fn remove(&self, tenant: &TenantId) -> io::Result<()> {
        match fs::remove_file(snapshot_path(&self.folder, tenant)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn failed(&self, source: io::Error) -> StartError {
        StartError::Folder {
            path: self.folder.clone(),
            source,
        }
    }
}

/// Writes the snapshots of all tenants of `stores` that have changed and shortens the log. Answers whose were written, and
/// their sizes. When it fails, nothing is lost: the log keeps what the missing snapshots would hold. Blocks.
pub(crate) fn checkpoint(
    snapshots: &Snapshots,
    log: &Log,
    stores: impl FnOnce() -> Vec<Arc<TenantStore>>,
) -> Result<Vec<(TenantId, u64)>, CheckpointError> {
    let covers = log.rotate_blocking()?;
    // Only now: whoever comes after this has its records in segments that stay.
    let stores = stores();
    let mut written = Vec::new();
    for store in stores {
        // What stands in older segments has its outcome, so that after this it is in the head.
        store.settle();
        if !store.take_changed() {
            continue;
        }
        let bytes = snapshots
            .write(&store, covers)
            .inspect_err(|_| store.mark_changed())?;
        written.push((store.tenant().clone(), bytes));
    }
    log.remove_before(covers).map_err(CheckpointError::Remove)?;
    Ok(written)
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

    use super::{Snapshots, checkpoint, restore, write_records};
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
        checkpoint(&Snapshots::new(folder.path()), &log, || {
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
                assert!(restored.unwrap().memories.is_empty());
                let mut memory = new_memory(&limits);
                let snapshots = Snapshots::new(folder.path());
                snapshots.read(&tenant, &mut memory).unwrap();
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
