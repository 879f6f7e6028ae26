//! The ingest of one process: every tenant's head and blocks, the log behind them, and the pool that runs queries.
use std::collections::{BTreeMap, hash_map::RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ingest_core::{
    DecodeBounds, DecodeError, Head, HeadStats, Limits, Memory, Protocol, Reason, Report,
    StoredBlock, Ulid, WriteError, WriteRequest, block_ranges, expand, past_retention, past_size,
};
use model::{Labels, Sample, SampleValue, TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use runtime::log::{AppendError, Log, Receipt};
use runtime::{BudgetSpent, Clock, MemoryBudget, Metrics, Reserved, Stop};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tracing::{debug, error, info, warn};

use crate::block_upkeep::{UpkeepError, compact, cut_head};
use crate::metrics::IngestMetrics;
use crate::query_slots::{QuerySlot, QuerySlots, TooManyQueries};
use crate::reader::StoreReader;
use crate::settings::IngestSettings;
use crate::start_error::StartError;
use crate::tenant_blocks::{TenantBlocks, blocks_folder, list_tenants};
use crate::tenant_store::{StageError, TenantStore};
use crate::wal::{self, LOG_BYTES_BEFORE_CHECKPOINT};

/// A tenant takes some 10 kB before its first series, and whoever may write may name tenants.
const TENANTS_MAX: usize = 10_000;
/// Past this senders are told to come later.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A request below this is decoded where it arrives; above it on a thread that may take its time.
const INLINE_BYTES_MAX: usize = 512 * 1024;
/// More would not be faster, and the threads that may take their time evaluate rules as well.
const DECODING_MAX: usize = 16;
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(10);
/// A full disk is not tried again at every turn.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(300);
/// Chunks are two hours long at most, so that looking more often finds little.
const GARBAGE_INTERVAL: Duration = Duration::from_secs(60);
/// The part of all samples' bytes that the log may take before it is shortened for their bound.
const LOG_SHARE_MAX: u64 = 4;
/// As often as Prometheus looks.
const BLOCKS_INTERVAL: Duration = Duration::from_secs(60);

/// Why nothing of a write was kept.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("samples could not be logged")]
    Log(#[source] AppendError),
    #[error("disk does not answer; try again")]
    Hanging,
    #[error("too many requests are being written; try again")]
    Overloaded,
    #[error(transparent)]
    Refused(#[from] WriteError),
    #[error("server is ending")]
    Stopping,
    #[error("limit of {TENANTS_MAX} tenants is reached")]
    TooManyTenants,
}

type StageOutcome = Result<(Option<Receipt>, Report), StageError>;

/// Labels of 2.0 are spelled out: two bytes of references for what mostly takes some thirty, samples and symbols beside.
const SPELLED_PER_BYTE: usize = 16;
const SPELLED_BYTES_MIN: usize = 64 * 1024;

/// A request on its way to the log.
struct StagedBody {
    store: Arc<TenantStore>,
    outcome: StageOutcome,
}

/// A handle, cheap to copy.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: IngestSettings,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    metrics: IngestMetrics,
    log: Log,
    stores: RwLock<BTreeMap<TenantId, Arc<TenantStore>>>,
    /// Requests, as sent and expanded, that are in memory at once.
    request_bytes: MemoryBudget,
    /// Large requests that are decoded at once.
    decoding: Arc<Semaphore>,
    query_slots: QuerySlots,
    snapshot_bytes: AtomicU64,
    /// Held during a checkpoint: two at once would write the same files.
    checkpointing: Mutex<()>,
    /// After a failed checkpoint: when to try again, in milliseconds of the clock.
    checkpoint_again_at: AtomicI64,
    /// Held while blocks are cut, merged and removed.
    keeping_blocks: Mutex<()>,
    /// After a failed cut or merge, as for checkpoints.
    blocks_again_at: AtomicI64,
    is_stopping: AtomicBool,
}

impl Engine {
    /// Reads everything back. Blocks.
    pub fn open(
        settings: IngestSettings,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let start = clock.now();
        let restored = wal::restore(
            &settings.folder,
            settings.sync,
            &settings.limits,
            new_memory,
        )?;
        metrics.watch_log("ingest", &restored.log);
        let metrics = IngestMetrics::register(metrics);
        metrics.log_damages.inc_by(restored.damages);
        let folder = blocks_folder(&settings.folder);
        let mut memories = restored.memories;
        for tenant in list_tenants(&folder)? {
            // All that it has may be in blocks.
            memories
                .entry(tenant)
                .or_insert_with(|| new_memory(&settings.limits));
        }
        let mut stores = BTreeMap::new();
        for (tenant, mut memory) in memories {
            let (blocks, damages) = TenantBlocks::read(&folder, &tenant)?;
            metrics.damaged_blocks.inc_by(damages);
            memory.head.refuse_before(blocks.horizon());
            memory.head.drop_before(blocks.horizon());
            let store = TenantStore::new(tenant.clone(), memory, true, blocks);
            stores.insert(tenant, Arc::new(store));
        }
        let engine = Self(Arc::new(Inner {
            request_bytes: MemoryBudget::new(REQUEST_BYTES_MAX),
            decoding: Arc::new(Semaphore::new(DECODING_MAX)),
            query_slots: QuerySlots::new(
                settings.query.concurrency_max,
                settings.query.queue_time_max,
            ),
            settings,
            clock,
            started: start,
            metrics,
            log: restored.log,
            stores: RwLock::new(stores),
            snapshot_bytes: AtomicU64::new(restored.snapshot_bytes),
            checkpointing: Mutex::new(()),
            checkpoint_again_at: AtomicI64::new(i64::MIN),
            keeping_blocks: Mutex::new(()),
            blocks_again_at: AtomicI64::new(i64::MIN),
            is_stopping: AtomicBool::new(false),
        }));
        engine.collect_garbage();
        engine.refresh_gauges();
        let took = engine.0.clock.now().saturating_since(start);
        engine.0.metrics.replay_seconds.set(took.as_secs_f64());
        Ok(engine)
    }

    /// Forgets what is past the retention, keeps the log short and the blocks in order, until the end.
    pub async fn maintain(self, stop: Stop) {
        tokio::join!(
            self.clone().maintain_log(stop.clone()),
            self.maintain_blocks(stop)
        );
    }

    /// Apart from the log, since a merge of large blocks takes its time.
    async fn maintain_blocks(self, mut stop: Stop) {
        // At once at first: while the process was down ranges may have come to their end.
        let mut turns = tokio::time::interval(BLOCKS_INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = stop.stopped() => return,
            }
            let inner = &self.0;
            if inner.clock.now().as_millis() < inner.blocks_again_at.load(Ordering::Relaxed) {
                continue;
            }
            let engine = self.clone();
            let mut work = tokio::task::spawn_blocking(move || engine.keep_blocks());
            let outcome = tokio::select! {
                outcome = &mut work => outcome,
                () = stop.stopped() => {
                    inner.is_stopping.store(true, Ordering::Relaxed);
                    work.await
                }
            };
            if outcome.is_err() {
                error!("maintenance of the blocks failed");
            }
        }
    }

    async fn maintain_log(self, mut stop: Stop) {
        let mut since_garbage = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
                () = stop.stopped() => return,
            }
            since_garbage += MAINTENANCE_INTERVAL;
            let collect = since_garbage >= GARBAGE_INTERVAL;
            if collect {
                since_garbage = Duration::ZERO;
            }
            let engine = self.clone();
            let work = tokio::task::spawn_blocking(move || {
                for store in engine.stores() {
                    store.settle();
                }
                if collect {
                    engine.collect_garbage();
                }
                if engine.is_checkpoint_due() {
                    engine.checkpoint();
                }
                engine.refresh_gauges();
            });
            if work.await.is_err() {
                error!("maintenance of the samples failed");
            }
        }
    }

    /// Writes samples, each judged for itself. Answers when the log has them and queries see them; the report says
    /// which were refused.
    pub async fn append(
        &self,
        tenant: &TenantId,
        samples: &[(Labels, Sample)],
    ) -> Result<Report, IngestError> {
        let now = self.0.clock.now();
        let store = self.store_for(tenant)?;
        let staged = store.stage(&self.0.log, |head| {
            let samples = samples.iter().map(|(labels, sample)| (labels, *sample));
            head.stage_samples(samples, now)
        });
        self.finish(&store, staged).await
    }

    /// The same for floats and histograms.
    pub async fn append_values(
        &self,
        tenant: &TenantId,
        values: &[(Labels, Timestamp, SampleValue)],
    ) -> Result<Report, IngestError> {
        let now = self.0.clock.now();
        let store = self.store_for(tenant)?;
        let staged = store.stage(&self.0.log, |head| {
            let values = values
                .iter()
                .map(|(labels, at, value)| (labels, *at, value.clone()));
            head.stage_values(values, now)
        });
        self.finish(&store, staged).await
    }

    /// Writes the body of a remote write 1.0 request: all of it or nothing, but for series that cannot be kept.
    pub async fn push(&self, tenant: &TenantId, body: bytes::Bytes) -> Result<Report, IngestError> {
        let mut reserved = self.reserve();
        self.grow(&mut reserved, body.len())?;
        self.push_reserved(tenant, Protocol::V1, body, reserved)
            .await
    }

    /// Memory for a request that is to be read, none of it taken yet.
    pub(crate) fn reserve(&self) -> Reserved {
        self.0.request_bytes.reserve()
    }

    /// So many bytes more.
    pub(crate) fn grow(&self, reserved: &mut Reserved, bytes: usize) -> Result<(), IngestError> {
        reserved.grow(bytes).map_err(|BudgetSpent| {
            self.0.metrics.count_refused_request_for("overloaded");
            IngestError::Overloaded
        })
    }

    /// As [`Engine::push`], where memory for the body itself is reserved already.
    pub(crate) async fn push_reserved(
        &self,
        tenant: &TenantId,
        protocol: Protocol,
        body: bytes::Bytes,
        mut reserved: Reserved,
    ) -> Result<Report, IngestError> {
        let limits = &self.0.settings.limits;
        let expanded_bytes = ingest_core::expanded_len(&body, limits.expanded_bytes_max)
            .inspect_err(|_| self.0.metrics.count_refused_request_for("malformed"))?;
        let spelled_bytes_max = match protocol {
            Protocol::V1 => 0,
            Protocol::V2 => (expanded_bytes.saturating_mul(SPELLED_PER_BYTE) + SPELLED_BYTES_MIN)
                .min(limits.expanded_bytes_max),
        };
        self.grow(&mut reserved, expanded_bytes + spelled_bytes_max)?;
        let staged = if expanded_bytes <= INLINE_BYTES_MAX {
            self.stage_body(tenant, protocol, &body, spelled_bytes_max)
        } else {
            let turn = self.0.decoding.clone().acquire_owned().await;
            let (engine, tenant) = (self.clone(), tenant.clone());
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                engine.stage_body(&tenant, protocol, &body, spelled_bytes_max)
            })
            .await
            .map_err(|_| IngestError::Stopping)?
        };
        let StagedBody { store, outcome } = staged?;
        let report = self.finish(&store, outcome).await?;
        drop(reserved);
        if protocol == Protocol::V1 {
            warn_of_refused(&store, &report);
        }
        Ok(report)
    }

    /// What a query of this tenant reads. Looking at it never waits for the disk.
    #[must_use]
    pub fn reader(&self, tenant: &TenantId) -> StoreReader {
        StoreReader::new(self.store(tenant), self.0.metrics.clone())
    }

    #[must_use]
    pub fn stats(&self, tenant: &TenantId) -> HeadStats {
        self.store(tenant)
            .map(|store| store.read(Head::stats))
            .unwrap_or_default()
    }

    /// Saves all heads and shortens the log, without waiting until that is due. Blocks.
    pub fn checkpoint(&self) {
        let inner = &self.0;
        let _alone = inner.checkpointing.lock();
        match wal::checkpoint(&inner.settings.folder, &inner.log, || self.stores()) {
            Ok(bytes) => {
                inner.metrics.checkpoints.inc();
                inner.snapshot_bytes.store(bytes, Ordering::Relaxed);
                info!(bytes, "snapshots were written and the log was shortened");
            }
            Err(problem) => {
                inner.metrics.failed_checkpoints.inc();
                error!(error = %problem, cause = ?std::error::Error::source(&problem), "checkpoint failed; the log keeps everything");
                let again = inner.clock.now() + CHECKPOINT_PAUSE;
                inner
                    .checkpoint_again_at
                    .store(again.as_millis(), Ordering::Relaxed);
            }
        }
    }

    /// Cuts heads, merges blocks and removes those past the retention, where that is due. Blocks.
    pub fn keep_blocks(&self) {
        let inner = &self.0;
        let _alone = inner.keeping_blocks.lock();
        let ranges = block_ranges(inner.settings.limits.retention);
        let is_stopping = || inner.is_stopping.load(Ordering::Relaxed);
        for store in self.stores() {
            if is_stopping() {
                return;
            }
            let outcome = self.keep_blocks_of(&store, &ranges, &is_stopping);
            if let Err(problem) = outcome
                && !matches!(problem, UpkeepError::Stopping)
            {
                inner.metrics.failed_block_writes.inc();
                error!(tenant = %store.tenant(), error = %problem, cause = ?std::error::Error::source(&problem), "blocks could not be cut or merged; what they would hold stays where it is");
                let again = inner.clock.now() + CHECKPOINT_PAUSE;
                let again_at = &inner.blocks_again_at;
                again_at.store(again.as_millis(), Ordering::Relaxed);
            }
            store.blocks().close_idle();
        }
        self.remove_past_size();
        self.refresh_gauges();
    }

    fn keep_blocks_of(
        &self,
        store: &TenantStore,
        ranges: &[i64],
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(), UpkeepError> {
        let inner = &self.0;
        while !is_stopping() && cut_head(store, &inner.log, inner.clock.now())? {
            inner.metrics.cuts.inc();
        }
        let stored: Vec<StoredBlock<Ulid>> = stored_blocks(store).collect();
        let expired = past_retention(&stored, inner.settings.limits.retention);
        self.remove_blocks(store, &expired, "past the retention");
        let made = compact(store, ranges, inner.clock.now(), is_stopping)?;
        inner.metrics.compactions.inc_by(made);
        Ok(())
    }

    fn remove_past_size(&self) {
        let inner = &self.0;
        let Some(bytes_max) = inner.settings.retention_bytes_max else {
            return;
        };
        // What has left memory is in the log until the next checkpoint, and a small bound should not cost blocks for that.
        let is_log_large = inner.log.stats().bytes_on_disk > bytes_max / LOG_SHARE_MAX;
        if is_log_large && self.may_checkpoint() {
            self.checkpoint();
        }
        let stores = self.stores();
        let blocks: Vec<StoredBlock<(usize, Ulid)>> = stores
            .iter()
            .enumerate()
            .flat_map(|(number, store)| {
                stored_blocks(store).map(move |block| StoredBlock {
                    key: (number, block.key),
                    max_time: block.max_time,
                    bytes: block.bytes,
                })
            })
            .collect();
        let others = inner.log.stats().bytes_on_disk + inner.snapshot_bytes.load(Ordering::Relaxed);
        for (number, ulid) in past_size(&blocks, others, bytes_max) {
            self.remove_blocks(&stores[number], &[ulid], "there is no room for them");
        }
    }

    fn remove_blocks(&self, store: &TenantStore, gone: &[Ulid], why: &'static str) {
        if gone.is_empty() {
            return;
        }
        info!(tenant = %store.tenant(), blocks = ?gone, why, "blocks are removed");
        self.0.metrics.expired_blocks.inc_by(gone.len() as u64);
        store.blocks().change(Vec::new(), gone);
    }

    pub(crate) fn settings(&self) -> &IngestSettings {
        &self.0.settings
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.0.clock.as_ref()
    }

    pub(crate) fn started(&self) -> Timestamp {
        self.0.started
    }

    pub(crate) fn metrics(&self) -> &IngestMetrics {
        &self.0.metrics
    }

    /// A turn for whatever reads a tenant's samples or series for somebody outside.
    pub(crate) async fn query_slot(&self, tenant: &TenantId) -> Result<QuerySlot, TooManyQueries> {
        let slot = self.0.query_slots.take(tenant).await;
        slot.inspect_err(|refused| self.0.metrics.count_refused_query(refused))
    }

    pub(crate) fn store(&self, tenant: &TenantId) -> Option<Arc<TenantStore>> {
        self.0.stores.read().get(tenant).cloned()
    }

    fn store_for(&self, tenant: &TenantId) -> Result<Arc<TenantStore>, IngestError> {
        if let Some(store) = self.store(tenant) {
            return Ok(store);
        }
        let mut stores = self.0.stores.write();
        if stores.len() >= TENANTS_MAX && !stores.contains_key(tenant) {
            self.0.metrics.count_refused_request_for("too_many_tenants");
            return Err(IngestError::TooManyTenants);
        }
        let store = stores.entry(tenant.clone()).or_insert_with(|| {
            info!(%tenant, "first samples of a tenant");
            let memory = new_memory(&self.0.settings.limits);
            let folder = blocks_folder(&self.0.settings.folder).join(tenant.as_str());
            let blocks = TenantBlocks::new(folder);
            Arc::new(TenantStore::new(tenant.clone(), memory, false, blocks))
        });
        Ok(Arc::clone(store))
    }

    fn stores(&self) -> Vec<Arc<TenantStore>> {
        self.0.stores.read().values().cloned().collect()
    }

    /// Only a body that can be read makes a tenant.
    fn stage_body(
        &self,
        tenant: &TenantId,
        protocol: Protocol,
        body: &[u8],
        spelled_bytes_max: usize,
    ) -> Result<StagedBody, IngestError> {
        let mut expanded = Vec::new();
        let bounds = DecodeBounds {
            samples_max: self.0.settings.limits.samples_per_request_max,
            label_bytes_max: spelled_bytes_max,
        };
        let bytes_max = self.0.settings.limits.expanded_bytes_max;
        let request = expand(body, bytes_max, &mut expanded)
            .and_then(|()| WriteRequest::read_within(protocol, &expanded, &bounds))
            .inspect_err(|_| self.0.metrics.count_refused_request_for("malformed"))?;
        let store = self.store_for(tenant)?;
        let now = self.0.clock.now();
        let outcome = store.stage_with(&self.0.log, |memory| memory.stage(&request, now));
        Ok(StagedBody { store, outcome })
    }

    /// Waits for the log, then for the samples to be seen. Where the caller goes away meanwhile, the log still
    /// gets the records, and the next one to come settles them.
    async fn finish(
        &self,
        store: &TenantStore,
        staged: StageOutcome,
    ) -> Result<Report, IngestError> {
        let (receipt, report) = staged.map_err(|error| match error {
            StageError::Refused(refusal) => {
                self.0.metrics.count_refused_request(&refusal);
                debug!(tenant = %store.tenant(), error = %refusal, "a request was refused");
                IngestError::Refused(refusal)
            }
            StageError::Log(error) => self.log_error(error),
        })?;
        if let Some(receipt) = receipt {
            let outcome = receipt.wait().await;
            store.settle();
            outcome.map_err(|error| self.log_error(error))?;
        }
        self.0.metrics.samples.inc_by(report.accepted as u64);
        self.0.metrics.exemplars.inc_by(report.exemplars as u64);
        self.0.metrics.count_refused(&report.refused);
        let metadata = report.refused_metadata;
        self.0.metrics.count_refused_metadata(metadata);
        Ok(report)
    }

    fn log_error(&self, error: AppendError) -> IngestError {
        match error {
            AppendError::Closed => IngestError::Stopping,
            AppendError::Hanging { .. } => {
                self.0.metrics.count_refused_request_for("log");
                IngestError::Hanging
            }
            AppendError::Overloaded { .. } => {
                self.0.metrics.count_refused_request_for("overloaded");
                IngestError::Overloaded
            }
            error @ (AppendError::TooLarge { .. } | AppendError::Write(_)) => {
                self.0.metrics.count_refused_request_for("log");
                IngestError::Log(error)
            }
        }
    }

    fn collect_garbage(&self) {
        let now = self.0.clock.now();
        for store in self.stores() {
            let retention = self.0.settings.limits.retention;
            let gone = store.change(|memory| {
                memory.metadata.forget(now, retention);
                memory.head.collect_garbage(now)
            });
            if gone > 0 {
                debug!(tenant = %store.tenant(), series = gone, "series without samples were forgotten");
            }
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        let inner = &self.0;
        let bound = LOG_BYTES_BEFORE_CHECKPOINT.max(inner.snapshot_bytes.load(Ordering::Relaxed));
        inner.log.stats().bytes_on_disk > bound && self.may_checkpoint()
    }

    fn may_checkpoint(&self) -> bool {
        let again_at = self.0.checkpoint_again_at.load(Ordering::Relaxed);
        self.0.clock.now().as_millis() >= again_at
    }

    fn refresh_gauges(&self) {
        let stores = self.stores();
        let series: usize = stores
            .iter()
            .map(|store| store.read(Head::series_len))
            .sum();
        let log = self.0.log.stats();
        let metrics = &self.0.metrics;
        metrics.tenants.set(gauge(stores.len() as u64));
        metrics.series.set(gauge(series as u64));
        let blocks = stores.iter().flat_map(|store| stored_blocks(store));
        let (blocks, bytes) = blocks.fold((0, 0), |(blocks, bytes), block| {
            (blocks + 1, bytes + block.bytes)
        });
        metrics.blocks.set(blocks);
        metrics.block_bytes.set(gauge(bytes));
        metrics.log_bytes.set(gauge(log.bytes_on_disk));
        metrics.log_write_failures.set(gauge(log.write_failures));
        metrics.log_sync_failures.set(gauge(log.sync_failures));
    }
}

/// A sender whose labels are impossible is answered 204, as Prometheus does, so nobody else would tell of them.
fn warn_of_refused(store: &TenantStore, report: &Report) {
    for (reason, refused) in &report.refused {
        if let Reason::Labels(_) = reason
            && let Some(left_out) = store.refusing.happened()
        {
            warn!(tenant = %store.tenant(), %reason, samples = refused.samples, series = refused.first, left_out, "samples refused, though their sender was answered 204");
        }
    }
}

fn stored_blocks(store: &TenantStore) -> impl Iterator<Item = StoredBlock<Ulid>> {
    let blocks = store.blocks().all().into_iter();
    blocks.map(|block| StoredBlock {
        key: block.meta.ulid,
        max_time: block.meta.max_time,
        bytes: block.bytes,
    })
}

fn new_memory(limits: &Limits) -> Memory {
    // Its one random number comes from the operating system by the standard library's map seed.
    let seed = RandomState::new().hash_one(0_u8);
    Memory::new(limits.clone(), seed)
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::WatchbellConfig;
    use model::{Labels, Sample, TenantId, Timestamp};
    use runtime::log::HangingLog;
    use runtime::{ManualClock, Metrics};

    use super::{DECODING_MAX, Engine, IngestError, REQUEST_BYTES_MAX, TENANTS_MAX};
    use crate::settings::{Build, IngestSettings};

    fn engine(folder: &std::path::Path) -> Engine {
        let mut config = WatchbellConfig::default();
        config.storage.path = folder.to_owned();
        Engine::open(
            IngestSettings::new(&config, Build::default()),
            Arc::new(ManualClock::at(Timestamp::from_secs(1_000_000))),
            &Metrics::new(),
        )
        .unwrap()
    }

    /// A snappy block of nothing: a request without series.
    const EMPTY: &[u8] = &[0];

    /// Snappy says in front what it expands to, here a megabyte; that it is no request is seen when it is decoded.
    fn large() -> Vec<u8> {
        let mut large = vec![0x80, 0x80, 0x40];
        large.resize(64, 0);
        large
    }

    #[tokio::test]
    async fn past_the_bound_of_bytes_senders_are_told_to_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let tenant = TenantId::anonymous();
        let mut taken = engine.reserve();
        taken.grow(REQUEST_BYTES_MAX).unwrap();
        let refused = engine.push(&tenant, EMPTY.into()).await;
        assert!(matches!(refused, Err(IngestError::Overloaded)));
        drop(taken);
        engine.push(&tenant, EMPTY.into()).await.unwrap();
        let mut taken = engine.reserve();
        taken.grow(REQUEST_BYTES_MAX - 4096).unwrap();
        let refused = engine.push(&tenant, large().into()).await;
        assert!(
            matches!(refused, Err(IngestError::Overloaded)),
            "it expands"
        );
    }

    /// Whoever writes is told so, rules among them, and whoever reads notices nothing.
    #[tokio::test]
    async fn a_disk_that_does_not_answer_refuses_writes_and_serves_readers() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let tenant = TenantId::anonymous();
        let write = async |name: &str| {
            let sample = Sample {
                timestamp: Timestamp::from_secs(1_000_000),
                value: 1.0,
            };
            let samples = [(Labels::from_pairs([("__name__", name)]), sample)];
            engine.append(&tenant, &samples).await
        };
        write("before").await.unwrap();
        let log = engine.settings().folder.join("log");
        let disk = HangingLog::begin(&log, &engine.0.log).await;
        let in_line = write("in_line").await;
        assert!(matches!(in_line, Err(IngestError::Hanging)));
        let refused = write("refused").await;
        assert!(matches!(refused, Err(IngestError::Hanging)));
        assert_eq!(engine.stats(&tenant).chunks, 1, "of as many series");
        disk.end();
        write("after").await.unwrap();
        // What was in line is there too, though its sender was told to send it again.
        assert_eq!(engine.stats(&tenant).chunks, 3);
    }

    #[tokio::test]
    async fn tenants_are_bounded_and_those_that_are_there_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let tenant = |number: usize| TenantId::parse(&format!("t{number}")).unwrap();
        for number in 0..TENANTS_MAX {
            engine.append(&tenant(number), &[]).await.unwrap();
        }
        let refused = engine.append(&tenant(TENANTS_MAX), &[]).await;
        assert!(matches!(refused, Err(IngestError::TooManyTenants)));
        engine.append(&tenant(0), &[]).await.unwrap();
    }

    /// On one thread for what takes its time, which has nothing left to do when a task that came later is done.
    #[test]
    fn large_requests_take_turns_and_small_ones_do_not_wait_for_them() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let tenant = TenantId::anonymous();
        runtime.block_on(async {
            let turns = engine.0.decoding.clone();
            let taken = turns.acquire_many(DECODING_MAX as u32).await.unwrap();
            let mut pushing = std::pin::pin!(engine.push(&tenant, large().into()));
            for _ in 0..2 {
                let is_pending = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(pushing.as_mut().poll(context).is_pending())
                });
                assert!(is_pending.await);
                tokio::task::spawn_blocking(|| {}).await.unwrap();
            }
            engine.push(&tenant, EMPTY.into()).await.unwrap();
            drop(taken);
            let refused = pushing.await;
            assert!(matches!(refused, Err(IngestError::Decode(_))));
        });
    }
}
