//! The ingest of one process: every tenant's head and blocks, the log behind them, and the pool that runs queries.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use ingest_core::{
    DecodeBounds, DecodeError, Head, HeadStats, Protocol, Reason, Records, Report, Staged,
    StoredBlock, Ulid, WriteError, WriteRequest, block_ranges, ended_before, expand,
    past_retention, past_size,
};
use model::{Labels, Sample, SampleValue, TenantId, Timestamp};
use parking_lot::Mutex;
use promql::{ParserOptions, ReadError};
use runtime::log::{AppendError, Log, Receipt, SegmentNumber};
use runtime::{BudgetSpent, Clock, MemoryBudget, Metrics, Reserved, Stop};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tracing::{debug, error, info, warn};

use crate::block_upkeep::{UpkeepError, compact, cut_head, cut_late};
use crate::metrics::IngestMetrics;
use crate::query_slots::{QuerySlot, QuerySlots, TooManyQueries};
use crate::reader::StoreReader;
use crate::settings::IngestSettings;
use crate::start_error::{StartError, unopened};
use crate::tenant_blocks::{blocks_folder, list_tenants};
use crate::tenant_store::{StageError, TenantStore};
use crate::tenants::{LATE_MAX, MakeError, TENANTS_MAX, TenantSlot, Tenants, new_memory};
use crate::wal::{self, LOG_BYTES_BEFORE_CHECKPOINT};

/// Past this senders are told to come later.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A request below this is decoded where it arrives; above it on a thread that may take its time.
const INLINE_BYTES_MAX: usize = 512 * 1024;
/// More would not be faster, and the threads that may take their time evaluate rules as well.
const DECODING_MAX: usize = 16;
/// Closed tenants that writers open at once: after a start all may come in one moment, and the disk is one.
const OPENING_MAX: usize = 4;
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(10);
/// A full disk is not tried again at every turn.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(300);
/// Chunks are two hours long at most, so that looking more often finds little.
const GARBAGE_INTERVAL: Duration = Duration::from_secs(60);
/// The part of all samples' bytes that the log may take before it is shortened for their bound.
const LOG_SHARE_MAX: u64 = 4;
/// Samples out of order that wait in memory for the next cut, at some ten bytes each; beyond it they have a cut of their own.
const LATE_SAMPLES_MAX: usize = 1_000_000;
/// As often as Prometheus looks.
const BLOCKS_INTERVAL: Duration = Duration::from_secs(60);
/// Where tenants are to be closed sooner.
const BLOCKS_INTERVAL_MIN: Duration = Duration::from_secs(1);

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
    #[error("what is stored of the tenant cannot be opened")]
    Unopened(#[source] StartError),
}

type StageOutcome = Result<(Option<Receipt>, Report), StageError>;

/// Whether a thread may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Allowed,
    Forbidden,
}

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
    tenants: Tenants,
    /// Requests, as sent and expanded, that are in memory at once.
    request_bytes: MemoryBudget,
    /// Large requests that are decoded at once.
    decoding: Arc<Semaphore>,
    /// Tenants that are opened at once for those who write.
    opening: Arc<Semaphore>,
    query_slots: QuerySlots,
    /// Held during a checkpoint: two at once would write the same files.
    checkpointing: Mutex<()>,
    /// After a failed checkpoint: when to try again, in milliseconds of the clock.
    checkpoint_again_at: AtomicI64,
    /// Held while blocks are cut, merged and removed.
    keeping_blocks: Mutex<()>,
    /// After a failed cut or merge, as for checkpoints.
    blocks_again_at: AtomicI64,
    is_stopping: AtomicBool,
    language: Mutex<ParserOptions>,
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
        let log = restored.log.clone();
        // All that a tenant has may be in blocks.
        let with_blocks = list_tenants(&blocks_folder(&settings.folder))?;
        let tenants = Tenants::new(
            &settings.folder,
            settings.limits.clone(),
            metrics.clone(),
            restored,
            with_blocks,
            start,
        )?;
        let language = settings.query.language;
        let engine = Self(Arc::new(Inner {
            request_bytes: MemoryBudget::new(REQUEST_BYTES_MAX),
            decoding: Arc::new(Semaphore::new(DECODING_MAX)),
            opening: Arc::new(Semaphore::new(OPENING_MAX)),
            query_slots: QuerySlots::new(
                settings.query.concurrency_max,
                settings.query.queue_time_max,
            ),
            settings,
            clock,
            started: start,
            metrics,
            log,
            tenants,
            checkpointing: Mutex::new(()),
            checkpoint_again_at: AtomicI64::new(i64::MIN),
            keeping_blocks: Mutex::new(()),
            blocks_again_at: AtomicI64::new(i64::MIN),
            is_stopping: AtomicBool::new(false),
            language: Mutex::new(language),
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
        let idle_max = self.0.settings.tenant_idle_max;
        let every = idle_max.clamp(BLOCKS_INTERVAL_MIN, BLOCKS_INTERVAL);
        let mut turns = tokio::time::interval(every);
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
        let stage = |head: &mut Head| {
            let samples = samples.iter().map(|(labels, sample)| (labels, *sample));
            head.stage_samples(samples, now)
        };
        self.write(tenant, stage).await
    }

    /// The same for floats and histograms.
    pub async fn append_values(
        &self,
        tenant: &TenantId,
        values: &[(Labels, Timestamp, SampleValue)],
    ) -> Result<Report, IngestError> {
        let now = self.0.clock.now();
        let stage = |head: &mut Head| {
            let values = values
                .iter()
                .map(|(labels, at, value)| (labels, *at, value.clone()));
            head.stage_values(values, now)
        };
        self.write(tenant, stage).await
    }

    async fn write(
        &self,
        tenant: &TenantId,
        stage: impl Fn(&mut Head) -> Result<(Staged, Records), WriteError>,
    ) -> Result<Report, IngestError> {
        let now = self.0.clock.now();
        let mut store = match self.0.tenants.opened(tenant, now) {
            Some(store) => store,
            None => self.open_for_write(tenant).await?,
        };
        loop {
            let staged = store.stage(&self.0.log, &stage);
            if !matches!(staged, Err(StageError::Closed)) {
                return self.finish(&store, staged).await;
            }
            store = self.open_for_write(tenant).await?;
        }
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
        let is_small = expanded_bytes <= INLINE_BYTES_MAX;
        let staged = if is_small {
            let wait = Waiting::Forbidden;
            self.stage_body(tenant, protocol, &body, spelled_bytes_max, wait)?
        } else {
            None
        };
        let StagedBody { store, outcome } = match staged {
            Some(staged) => staged,
            None => {
                // What is small is here because its tenant is not open.
                let turns = if is_small {
                    &self.0.opening
                } else {
                    &self.0.decoding
                };
                let turn = turns.clone().acquire_owned().await;
                let (engine, tenant) = (self.clone(), tenant.clone());
                let staged = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    let wait = Waiting::Allowed;
                    engine.stage_body(&tenant, protocol, &body, spelled_bytes_max, wait)
                });
                let staged = staged.await.map_err(|_| IngestError::Stopping)??;
                staged.ok_or(IngestError::Stopping)?
            }
        };
        let report = self.finish(&store, outcome).await?;
        drop(reserved);
        if protocol == Protocol::V1 {
            warn_of_refused(&store, &report);
        }
        Ok(report)
    }

    /// What a query of this tenant reads. It opens the tenant, so that it may wait for the disk.
    #[must_use]
    pub fn reader(&self, tenant: &TenantId) -> StoreReader {
        let metrics = self.0.metrics.clone();
        match self.store(tenant) {
            Ok(store) => StoreReader::new(store, metrics),
            Err(problem) => StoreReader::of_unopened(&problem, metrics),
        }
    }

    /// As [`Engine::reader`].
    #[must_use]
    pub fn stats(&self, tenant: &TenantId) -> HeadStats {
        let store = self.store(tenant).ok().flatten();
        store
            .map(|store| store.read(Head::stats))
            .unwrap_or_default()
    }

    /// How many tenants there are, and how many of them are open.
    #[must_use]
    pub fn tenants(&self) -> (usize, usize) {
        let slots = self.0.tenants.slots();
        let open = slots.iter().filter(|slot| slot.store().is_some());
        (slots.len(), open.count())
    }

    /// Saves all heads and shortens the log, without waiting until that is due. Blocks.
    pub fn checkpoint(&self) {
        let inner = &self.0;
        let _alone = inner.checkpointing.lock();
        let tenants = &inner.tenants;
        match wal::checkpoint(tenants.snapshots(), &inner.log, || tenants.stores()) {
            Ok(written) => {
                inner.metrics.checkpoints.inc();
                let bytes: u64 = written.iter().map(|(_, bytes)| bytes).sum();
                tenants.note_snapshots(&written);
                tenants.forget_empty();
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

    /// Cuts heads, merges blocks and removes those past the retention, where that is due, and closes tenants that nobody
    /// uses. Blocks.
    pub fn keep_blocks(&self) {
        let inner = &self.0;
        let _alone = inner.keeping_blocks.lock();
        let mut covers = None;
        for slot in inner.tenants.slots() {
            if inner.is_stopping.load(Ordering::Relaxed) {
                return;
            }
            if let Some(store) = slot.store() {
                let is_sound = self.keep_blocks_of(&slot, &store);
                store.blocks().close_idle();
                drop(store);
                let idle_since = inner.clock.now() - inner.settings.tenant_idle_max;
                if is_sound && slot.last_used() <= idle_since {
                    self.close(&slot, idle_since, &mut covers);
                }
            } else if slot.is_upkeep_due(inner.clock.now()) {
                self.visit(&slot, &mut covers, |store| {
                    self.forget_past_retention(store);
                    self.keep_blocks_of(&slot, store);
                });
            }
        }
        self.remove_past_size(&mut covers);
        self.refresh_gauges();
    }

    /// Opens a tenant, if nobody else has, and closes it again.
    fn visit(
        &self,
        slot: &TenantSlot,
        covers: &mut Option<SegmentNumber>,
        work: impl FnOnce(&TenantStore),
    ) {
        let was_open = slot.store().is_some();
        let used = slot.last_used();
        match self.0.tenants.open_slot(slot) {
            Ok(Some(store)) => {
                work(&store);
                drop(store);
                if !was_open {
                    self.close(slot, used, covers);
                }
            }
            Ok(None) => {}
            Err(problem) => {
                error!(tenant = %slot.tenant(), error = %problem, cause = ?std::error::Error::source(&problem), "a tenant cannot be opened; its blocks stay as they are");
                self.pause_blocks();
            }
        }
    }

    fn close(&self, slot: &TenantSlot, used_before: Timestamp, covers: &mut Option<SegmentNumber>) {
        let inner = &self.0;
        let _alone = inner.checkpointing.lock();
        let closed = inner.tenants.close(slot, &inner.log, used_before, covers);
        if let Err(problem) = closed {
            error!(tenant = %slot.tenant(), error = %problem, cause = ?std::error::Error::source(&problem), "a tenant that nobody uses could not be closed; it stays in memory");
            self.pause_blocks();
        }
    }

    fn pause_blocks(&self) {
        let inner = &self.0;
        let again = inner.clock.now() + CHECKPOINT_PAUSE;
        let again_at = &inner.blocks_again_at;
        again_at.store(again.as_millis(), Ordering::Relaxed);
    }

    /// Answers whether nothing failed.
    fn keep_blocks_of(&self, slot: &TenantSlot, store: &TenantStore) -> bool {
        match self.try_keep_blocks_of(slot, store) {
            Ok(()) => true,
            Err(UpkeepError::Stopping) => false,
            Err(problem) => {
                self.0.metrics.failed_block_writes.inc();
                error!(tenant = %store.tenant(), error = %problem, cause = ?std::error::Error::source(&problem), "blocks could not be cut or merged; what they would hold stays where it is");
                self.pause_blocks();
                false
            }
        }
    }

    fn try_keep_blocks_of(
        &self,
        slot: &TenantSlot,
        store: &TenantStore,
    ) -> Result<(), UpkeepError> {
        let inner = &self.0;
        let retention = inner.settings.limits.retention;
        let is_stopping = || inner.is_stopping.load(Ordering::Relaxed);
        let now = inner.clock.now();
        let is_idle = slot.last_used() <= now - inner.settings.tenant_idle_max;
        let quiet_until = is_idle.then(|| now - LATE_MAX);
        let mut is_cut = false;
        while !is_stopping() && cut_head(store, &inner.log, now, quiet_until)? {
            inner.metrics.cuts.inc();
            is_cut = true;
        }
        if is_cut || store.read(Head::late_samples) > LATE_SAMPLES_MAX {
            let cuts = cut_late(store, &inner.log, now)?;
            inner.metrics.cuts.inc_by(cuts);
        }
        let mut expired = past_retention(&store.blocks().stored(), retention);
        if is_idle {
            // Of an idle tenant the newest block stays the newest.
            let own = store.blocks().own();
            expired.extend(ended_before(&own, now - retention));
            expired.sort_unstable();
            expired.dedup();
        }
        self.remove_blocks(store, &expired, "past the retention");
        let ranges = block_ranges(retention);
        let made = compact(store, &ranges, inner.clock.now(), &is_stopping)?;
        inner.metrics.compactions.inc_by(made);
        Ok(())
    }

    fn remove_past_size(&self, covers: &mut Option<SegmentNumber>) {
        let inner = &self.0;
        let Some(bytes_max) = inner.settings.retention_bytes_max else {
            return;
        };
        // What has left memory is in the log until the next checkpoint, and a small bound should not cost blocks for that.
        let is_log_large = inner.log.stats().bytes_on_disk > bytes_max / LOG_SHARE_MAX;
        if is_log_large && self.may_checkpoint() {
            self.checkpoint();
        }
        let slots = inner.tenants.slots();
        let blocks: Vec<StoredBlock<(usize, Ulid)>> = slots
            .iter()
            .enumerate()
            .flat_map(|(number, slot)| {
                let blocks = slot.stored_blocks().into_iter();
                blocks.map(move |block| StoredBlock {
                    key: (number, block.key),
                    max_time: block.max_time,
                    bytes: block.bytes,
                })
            })
            .collect();
        let others = inner.log.stats().bytes_on_disk + snapshot_bytes(&slots, |_| true);
        for (number, ulid) in past_size(&blocks, others, bytes_max) {
            self.visit(&slots[number], covers, |store| {
                self.remove_blocks(store, &[ulid], "there is no room for them");
            });
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

    /// What is switched on of the query language.
    pub(crate) fn language(&self) -> ParserOptions {
        *self.0.language.lock()
    }

    /// Queries that run go on in the language of before.
    pub fn set_language(&self, language: ParserOptions) {
        *self.0.language.lock() = language;
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

    /// `None` where the tenant is not known. It is opened, so that this may wait for the disk.
    pub(crate) fn store(&self, tenant: &TenantId) -> Result<Option<Arc<TenantStore>>, StartError> {
        let inner = &self.0;
        let opened = inner.tenants.open(tenant, inner.clock.now());
        opened.inspect_err(|problem| {
            error!(%tenant, error = %problem, cause = ?std::error::Error::source(problem), "a tenant cannot be opened; its queries fail");
        })
    }

    /// The same for whoever reads from it.
    pub(crate) fn store_to_read(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<Arc<TenantStore>>, ReadError> {
        self.store(tenant)
            .map_err(|problem| ReadError::Storage(unopened(&problem)))
    }

    async fn open_for_write(&self, tenant: &TenantId) -> Result<Arc<TenantStore>, IngestError> {
        let turn = self.0.opening.clone().acquire_owned().await;
        let (engine, tenant) = (self.clone(), tenant.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            engine.open_or_make(&tenant)
        });
        opened.await.map_err(|_| IngestError::Stopping)?
    }

    fn open_or_make(&self, tenant: &TenantId) -> Result<Arc<TenantStore>, IngestError> {
        let inner = &self.0;
        let opened = inner.tenants.open_or_make(tenant, inner.clock.now());
        opened.map_err(|error| match error {
            MakeError::Open(problem) => {
                error!(%tenant, error = %problem, cause = ?std::error::Error::source(&problem), "a tenant cannot be opened; what is written is refused");
                inner.metrics.count_refused_request_for("unopened");
                IngestError::Unopened(problem)
            }
            MakeError::TooMany => {
                inner.metrics.count_refused_request_for("too_many_tenants");
                IngestError::TooManyTenants
            }
        })
    }

    fn stores(&self) -> Vec<Arc<TenantStore>> {
        self.0.tenants.stores()
    }

    /// Only a body that can be read makes a tenant. `None` where the tenant would have to be opened and nobody may wait.
    fn stage_body(
        &self,
        tenant: &TenantId,
        protocol: Protocol,
        body: &[u8],
        spelled_bytes_max: usize,
        waiting: Waiting,
    ) -> Result<Option<StagedBody>, IngestError> {
        let mut expanded = Vec::new();
        let bounds = DecodeBounds {
            samples_max: self.0.settings.limits.samples_per_request_max,
            label_bytes_max: spelled_bytes_max,
        };
        let bytes_max = self.0.settings.limits.expanded_bytes_max;
        let request = expand(body, bytes_max, &mut expanded)
            .and_then(|()| WriteRequest::read_within(protocol, &expanded, &bounds))
            .inspect_err(|_| self.0.metrics.count_refused_request_for("malformed"))?;
        let now = self.0.clock.now();
        let mut opened = self.0.tenants.opened(tenant, now);
        loop {
            let store = match (opened.take(), waiting) {
                (Some(store), _) => store,
                (None, Waiting::Allowed) => self.open_or_make(tenant)?,
                (None, Waiting::Forbidden) => return Ok(None),
            };
            let outcome = store.stage_with(&self.0.log, |memory| memory.stage(&request, now));
            if !matches!(outcome, Err(StageError::Closed)) {
                return Ok(Some(StagedBody { store, outcome }));
            }
        }
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
            // Whoever stages looks for another store then.
            StageError::Closed => IngestError::Stopping,
        })?;
        if let Some(receipt) = receipt {
            let outcome = receipt.wait().await;
            store.settle();
            outcome.map_err(|error| self.log_error(error))?;
        }
        self.0.metrics.samples.inc_by(report.accepted as u64);
        self.0.metrics.exemplars.inc_by(report.exemplars as u64);
        self.0.metrics.count_late(&report);
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
        for store in self.stores() {
            self.forget_past_retention(&store);
        }
    }

    fn forget_past_retention(&self, store: &TenantStore) {
        let now = self.0.clock.now();
        let retention = self.0.settings.limits.retention;
        let gone = store.change(|memory| {
            memory.metadata.forget(now, retention);
            memory.head.collect_garbage(now)
        });
        if gone > 0 {
            // Its snapshot has them, and may be all that there is of a closed tenant.
            store.mark_changed();
            debug!(tenant = %store.tenant(), series = gone, "series without samples were forgotten");
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        let inner = &self.0;
        // Closed tenants are not written again.
        let open = snapshot_bytes(&inner.tenants.slots(), |slot| slot.store().is_some());
        let bound = LOG_BYTES_BEFORE_CHECKPOINT.max(open);
        inner.log.stats().bytes_on_disk > bound && self.may_checkpoint()
    }

    fn may_checkpoint(&self) -> bool {
        let again_at = self.0.checkpoint_again_at.load(Ordering::Relaxed);
        self.0.clock.now().as_millis() >= again_at
    }

    fn refresh_gauges(&self) {
        let slots = self.0.tenants.slots();
        let stores = self.stores();
        let series: usize = stores
            .iter()
            .map(|store| store.read(Head::series_len))
            .sum();
        let log = self.0.log.stats();
        let metrics = &self.0.metrics;
        metrics.tenants.set(gauge(slots.len() as u64));
        metrics.open_tenants.set(gauge(stores.len() as u64));
        drop(stores);
        metrics.series.set(gauge(series as u64));
        let blocks = slots.iter().flat_map(|slot| slot.stored_blocks());
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

fn snapshot_bytes(slots: &[Arc<TenantSlot>], counts: impl Fn(&TenantSlot) -> bool) -> u64 {
    let slots = slots.iter().filter(|slot| counts(slot));
    slots
        .map(|slot| slot.snapshot_bytes.load(Ordering::Relaxed))
        .sum()
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
