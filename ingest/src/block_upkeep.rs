//! From the head to blocks, from small blocks to large ones, and from there out of the house.
//!
//! The head is cut in this order: nothing before the end of the range is admitted any more; what is on its way to the log
//! has its outcome; the block is written, synced and renamed; queries see it; the head forgets what it holds. A crash
//! before the rename leaves everything in log and snapshots, and so does one before the log has heard of the block: what
//! is in both is cut once more and told once. Afterwards the next start forgets what the log says is in blocks.
//!
//! What came out of order leaves behind that, for blocks of its own over those that are there, with which it is merged.
use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingest_core::{
    BLOCK_RANGE, Block, BlockMeta, ChunkToWrite, Cut, Head, MergeError, MergedSeries, SeriesId,
    Ulid, plan_compaction, settle_late,
};
use model::{Labels, Timestamp};
use runtime::log::{AppendError, Log};
use tracing::{debug, error, info, warn};

use crate::block_files::{ReadBlockError, WriteError, write_block};
use crate::tenant_blocks::DiskBlock;
use crate::tenant_store::TenantStore;

/// Why a block was not made. Nothing is lost: what it was to hold stays where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    #[error("block could not be written")]
    Write(#[source] io::Error),
    #[error("block could not be made")]
    Format(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("log cannot hear of it")]
    Log(#[from] AppendError),
    #[error("block could not be read")]
    Read(#[from] ReadBlockError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("server is ending")]
    Stopping,
}

impl From<WriteError<Infallible>> for UpkeepError {
    fn from(error: WriteError<Infallible>) -> Self {
        match error {
            WriteError::Io(error) => Self::Write(error),
            WriteError::Format(error) => Self::Format(error.into()),
            WriteError::Content(never) => match never {},
        }
    }
}

impl From<WriteError<Self>> for UpkeepError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::Io(error) => Self::Write(error),
            WriteError::Format(error) => Self::Format(error.into()),
            WriteError::Content(error) => error,
        }
    }
}

/// Cuts the oldest range out of a tenant's head where that is due, or where it ends by `quiet_until`, up to which nobody
/// brings anything any more. Answers whether it did. Blocks.
pub(crate) fn cut_head(
    store: &TenantStore,
    log: &Log,
    now: Timestamp,
    quiet_until: Option<Timestamp>,
) -> Result<bool, UpkeepError> {
    let quiet = |head: &Head| {
        head.oldest_range_end()
            .filter(|end| Some(*end) <= quiet_until)
    };
    let Some(end) = store.read(|head| head.cut_due().or_else(|| quiet(head))) else {
        return Ok(false);
    };
    // The disk does not answer, so that what waits for the log would be waited for without end.
    if log.hangs() {
        return Ok(false);
    }
    if let Some(last) = store.refuse_before(end) {
        // Whether it was written or not: afterwards that is known of it and of all before it.
        let _ = last.wait_blocking();
        store.settle();
    }
    let mut series = store.read(|head| head.series_before(end));
    series.sort_unstable();
    let symbols = symbols_of(&series);
    let ulid = new_ulid(now);
    let min_time = Cell::new(end);
    let folder = write_block::<Infallible>(
        store.blocks().folder(),
        ulid,
        symbols,
        |writer| {
            for (labels, id) in &series {
                let chunks = store.read(|head| head.chunks_before(*id, end));
                if let Some(first) = chunks.first() {
                    min_time.set(min_time.get().min(first.min_time));
                }
                let chunks = chunks.iter().map(|chunk| ChunkToWrite {
                    min_time: chunk.min_time,
                    max_time: chunk.max_time,
                    encoding: chunk.encoding,
                    bytes: chunk.bytes(),
                });
                writer.series(labels, chunks).map_err(WriteError::Format)?;
            }
            Ok(())
        },
        |stats| BlockMeta {
            ulid,
            min_time: min_time.get(),
            max_time: end,
            stats,
            level: 1,
            sources: vec![ulid],
            parents: Vec::new(),
            failed: false,
            is_late: false,
            is_own: true,
        },
    )?;
    let Some(folder) = folder else {
        return Ok(false);
    };
    let block = Arc::new(DiskBlock::read(folder)?);
    let (samples, bytes) = (block.meta.stats.num_samples, block.bytes);
    // The block first: a query looks at the head and then at the blocks, and so misses nothing.
    store.blocks().change(vec![block], &[]);
    tell(store, log, Cut::InOrder { end, block: ulid });
    let gone = store.write(|head| head.end_cut(end, ulid));
    // The next snapshot is smaller.
    store.mark_changed();
    info!(tenant = %store.tenant(), block = %ulid, samples, bytes, series_gone = gone, "samples left memory for a block");
    Ok(true)
}

/// Cuts what came out of order into blocks, one for each range that it lies in; answers how many. Blocks.
pub(crate) fn cut_late(store: &TenantStore, log: &Log, now: Timestamp) -> Result<u64, UpkeepError> {
    if log.hangs() {
        return Ok(0);
    }
    let Some((cut, receipt)) = store.begin_late_cut(log)? else {
        return Ok(0);
    };
    // Without its beginning in the log its end would mean more than what is in the blocks.
    receipt.wait_blocking()?;
    store.settle();
    let mut series = store.write(|head| head.late_series(cut));
    series.sort_unstable();
    let mut ranges = BTreeSet::new();
    for (_, id) in &series {
        let chunks = store.read(|head| head.late_chunks(*id, cut));
        ranges.extend(chunks.iter().map(|chunk| range_of(chunk.min_time)));
    }
    let mut made = 0;
    for range in ranges {
        let Some(block) = write_late(store, &series, cut, range, now)? else {
            continue;
        };
        let (samples, bytes) = (block.meta.stats.num_samples, block.bytes);
        info!(tenant = %store.tenant(), block = %block.meta.ulid, samples, bytes, "samples that came out of order left memory for a block");
        store.blocks().change(vec![Arc::new(block)], &[]);
        made += 1;
    }
    tell(store, log, Cut::LateDone(cut));
    store.write(|head| head.end_late_cut(cut));
    store.mark_changed();
    Ok(made)
}

fn write_late(
    store: &TenantStore,
    series: &[(Labels, SeriesId)],
    cut: u32,
    range: i64,
    now: Timestamp,
) -> Result<Option<DiskBlock>, UpkeepError> {
    let ulid = new_ulid(now);
    let (min_time, max_time) = (Cell::new(Timestamp::MAX), Cell::new(Timestamp::MIN));
    let folder = write_block::<Infallible>(
        store.blocks().folder(),
        ulid,
        symbols_of(series),
        |writer| {
            for (labels, id) in series {
                let mut chunks = store.read(|head| head.late_chunks(*id, cut));
                chunks.retain(|chunk| range_of(chunk.min_time) == range);
                let chunks = settle_late(&chunks);
                if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
                    min_time.set(min_time.get().min(first.min_time));
                    max_time.set(max_time.get().max(last.max_time));
                }
                let chunks = chunks.iter().map(|chunk| ChunkToWrite {
                    min_time: chunk.min_time,
                    max_time: chunk.max_time,
                    encoding: chunk.encoding,
                    bytes: &chunk.bytes,
                });
                writer.series(labels, chunks).map_err(WriteError::Format)?;
            }
            Ok(())
        },
        |stats| BlockMeta {
            ulid,
            min_time: min_time.get(),
            // Not the end of the range: others go by their age before the newest block's end.
            max_time: max_time.get() + Duration::from_millis(1),
            stats,
            level: 1,
            sources: vec![ulid],
            parents: Vec::new(),
            failed: false,
            is_late: true,
            is_own: true,
        },
    )?;
    Ok(folder.map(DiskBlock::read).transpose()?)
}

fn range_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(BLOCK_RANGE.as_millis() as i64)
}

fn symbols_of(series: &[(Labels, SeriesId)]) -> Vec<Box<str>> {
    let symbols: HashSet<&str> = series
        .iter()
        .flat_map(|(labels, _)| labels.iter())
        .flat_map(|(name, value)| [name, value])
        .collect();
    symbols.into_iter().map(Box::from).collect()
}

/// What the log does not hear of is read back at the next start and cut again.
fn tell(store: &TenantStore, log: &Log, cut: Cut) {
    if let Err(problem) = store.log_cut(log, cut) {
        warn!(tenant = %store.tenant(), error = %problem, "the log could not be told what left for a block; the next start cuts it again");
    }
}

/// Makes larger blocks of smaller ones as long as that is due. Answers how many were made. Blocks.
pub(crate) fn compact(
    store: &TenantStore,
    ranges: &[i64],
    now: Timestamp,
    is_stopping: &dyn Fn() -> bool,
) -> Result<u64, UpkeepError> {
    let mut made = 0;
    loop {
        let blocks = store.blocks().all();
        let metas: Vec<BlockMeta> = blocks
            .iter()
            .map(|block| BlockMeta {
                failed: block.meta.failed || block.cannot_merge.load(Ordering::Relaxed),
                ..block.meta.clone()
            })
            .collect();
        let planned = plan_compaction(&metas, ranges);
        if planned.is_empty() {
            return Ok(made);
        }
        let parents: Vec<Arc<DiskBlock>> = blocks
            .into_iter()
            .filter(|block| planned.contains(&block.meta.ulid))
            .collect();
        match merge(store, &parents, now, is_stopping) {
            Ok(()) => made += 1,
            Err(problem @ (UpkeepError::Merge(_) | UpkeepError::Read(_))) => {
                error!(tenant = %store.tenant(), blocks = ?planned, error = %problem, cause = ?std::error::Error::source(&problem), "blocks cannot be merged; they stay as they are until the next start");
                for block in &parents {
                    block.cannot_merge.store(true, Ordering::Relaxed);
                }
                return Err(problem);
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// `parents` in the order in which they are read: of two samples of one time that of the first one stays, as in a query.
fn merge(
    store: &TenantStore,
    parents: &[Arc<DiskBlock>],
    now: Timestamp,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), UpkeepError> {
    let opened: Vec<Arc<Block>> = parents
        .iter()
        .map(|block| block.open())
        .collect::<Result<_, _>>()?;
    let mut symbols = Vec::new();
    let mut walks = Vec::new();
    for block in &opened {
        symbols.extend(block.symbols().map_err(MergeError::from)?);
        walks.push(block.walk().map_err(MergeError::from)?);
    }
    let ulid = new_ulid(now);
    let folder = write_block(
        store.blocks().folder(),
        ulid,
        symbols,
        |writer| {
            for series in MergedSeries::new(walks) {
                if is_stopping() {
                    return Err(WriteError::Content(UpkeepError::Stopping));
                }
                let (labels, chunks) =
                    series.map_err(|error| WriteError::Content(UpkeepError::Merge(error)))?;
                let chunks = chunks.iter().map(|chunk| ChunkToWrite {
                    min_time: chunk.min_time,
                    max_time: chunk.max_time,
                    encoding: chunk.encoding,
                    bytes: &chunk.bytes,
                });
                writer.series(&labels, chunks).map_err(WriteError::Format)?;
            }
            Ok(())
        },
        |stats| {
            let metas = || parents.iter().map(|block| &block.meta);
            let mut sources: Vec<Ulid> = metas().flat_map(|meta| meta.sources.clone()).collect();
            sources.sort_unstable();
            sources.dedup();
            BlockMeta {
                ulid,
                min_time: metas().map(|meta| meta.min_time).min().unwrap_or(now),
                max_time: metas().map(|meta| meta.max_time).max().unwrap_or(now),
                stats,
                level: metas().map(|meta| meta.level).max().unwrap_or(0) + 1,
                sources,
                parents: metas().map(BlockMeta::as_parent).collect(),
                failed: false,
                is_late: metas().all(|meta| meta.is_late),
                is_own: metas().any(|meta| meta.is_own),
            }
        },
    )?;
    let come = match folder {
        Some(folder) => vec![Arc::new(DiskBlock::read(folder)?)],
        None => Vec::new(),
    };
    let gone: Vec<Ulid> = parents.iter().map(|block| block.meta.ulid).collect();
    debug!(tenant = %store.tenant(), block = %ulid, of = ?gone, "blocks were merged");
    store.blocks().change(come, &gone);
    Ok(())
}

fn new_ulid(now: Timestamp) -> Ulid {
    // Random bits come from the operating system by the standard library's map seed.
    let random = RandomState::new();
    let bits = |half: u8| u128::from(random.hash_one(half));
    Ulid::new(now, bits(0) << 64 | bits(1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ingest_core::{Head, Limits, Memory};
    use model::{Labels, Sample, TenantId, Timestamp};
    use runtime::log::{HangingLog, Log, LogSettings};

    use super::{compact, cut_head};
    use crate::tenant_blocks::TenantBlocks;
    use crate::tenant_store::TenantStore;

    const NOW: Timestamp = Timestamp::from_secs(12 * 3600);

    fn store(folder: &Path) -> (TenantStore, Log) {
        let log = Log::open(&folder.join("log"), &LogSettings::default()).unwrap();
        let memory = Memory::new(Limits::default(), 0);
        let blocks = TenantBlocks::new(folder.join("blocks"));
        let store = TenantStore::new(TenantId::anonymous(), memory, false, blocks);
        (store, log)
    }

    fn stage(store: &TenantStore, log: &Log, name: &str, secs: i64) {
        let labels = Labels::from_pairs([("__name__", name)]);
        let sample = Sample {
            timestamp: Timestamp::from_secs(secs),
            value: 1.0,
        };
        let staged = store.stage(log, |head| head.stage_samples([(&labels, sample)], NOW));
        assert_eq!(staged.unwrap().1.accepted, 1);
    }

    /// The samples of the blocks.
    fn in_blocks(store: &TenantStore) -> u64 {
        let blocks = store.blocks().all();
        blocks
            .iter()
            .map(|block| block.meta.stats.num_samples)
            .sum()
    }

    /// Its sender hears that it is kept, and the next start forgets what is before the cut.
    #[test]
    fn what_waits_for_the_log_when_a_cut_begins_comes_into_the_block() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = store(folder.path());
        stage(&store, &log, "old", 0);
        stage(&store, &log, "new", 4 * 3600);
        log.rotate_blocking().unwrap();
        store.settle();
        stage(&store, &log, "late", 3600);
        assert!(cut_head(&store, &log, NOW, None).unwrap());
        assert_eq!(in_blocks(&store), 2);
        assert_eq!(store.read(Head::series_len), 1);
        assert!(!cut_head(&store, &log, NOW, None).unwrap());
    }

    #[tokio::test]
    async fn nothing_is_cut_while_the_disk_does_not_answer() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = store(folder.path());
        stage(&store, &log, "old", 0);
        stage(&store, &log, "new", 4 * 3600);
        log.rotate_blocking().unwrap();
        store.settle();
        let folder = tempfile::tempdir().unwrap();
        let hanging = Log::open(folder.path(), &LogSettings::default()).unwrap();
        let disk = HangingLog::begin(folder.path(), &hanging).await;
        stage(&store, &hanging, "late", 3600);
        let receipt = store.refuse_before(Timestamp::MIN).unwrap();
        receipt.wait().await.unwrap_err();
        assert!(!cut_head(&store, &hanging, NOW, None).unwrap());
        disk.end();
        receipt.wait_blocking().unwrap();
        assert!(cut_head(&store, &hanging, NOW, None).unwrap());
        assert_eq!(in_blocks(&store), 2);
    }

    /// An ending process does not wait for a merge of large blocks, and leaves nothing of it behind.
    #[test]
    fn a_merge_ends_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = store(folder.path());
        for hour in 0..12 {
            stage(&store, &log, "up", hour * 3600);
        }
        log.rotate_blocking().unwrap();
        store.settle();
        while cut_head(&store, &log, NOW, None).unwrap() {}
        assert_eq!(store.blocks().all().len(), 4);
        let ranges = ingest_core::block_ranges(Limits::default().retention);
        let list = || {
            std::fs::read_dir(folder.path().join("blocks"))
                .unwrap()
                .count()
        };
        let before = list();
        compact(&store, &ranges, NOW, &|| true).unwrap_err();
        assert_eq!((store.blocks().all().len(), list()), (4, before));
        assert_eq!(compact(&store, &ranges, NOW, &|| false).unwrap(), 1);
        assert_eq!((store.blocks().all().len(), list()), (2, before - 2));
        assert_eq!(in_blocks(&store), 8);
    }
}
