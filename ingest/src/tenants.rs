//! The tenants of one process. Of one that nobody uses only little is in memory: it is closed, and whoever needs it opens it.
//!
//! A closed tenant is in its snapshot and its blocks with all that it has, so that opening it reads those two and nothing
//! of the log. It is closed in this order: nothing is staged any more, what was staged has its outcome, the snapshot is
//! written, the store goes. Whoever comes meanwhile waits until that is over and opens it again.
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ingest_core::{BLOCK_RANGE, Limits, Memory, StoredBlock, Ulid};
use model::{TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use runtime::log::{Log, SegmentNumber};
use tracing::{debug, info, warn};

use crate::metrics::IngestMetrics;
use crate::start_error::StartError;
use crate::tenant_blocks::{TenantBlocks, blocks_folder};
use crate::tenant_store::TenantStore;
use crate::wal::{CheckpointError, Restored, Snapshots};

/// A closed tenant takes some hundred bytes, an open one some 10 kB before its first series, and whoever may write may
/// name tenants.
pub(crate) const TENANTS_MAX: usize = 10_000;
/// What a sender holds back for longer than this is lost to it in any case, so that the head of a tenant to whom nothing
/// comes any more is cut up to here.
pub(crate) const LATE_MAX: std::time::Duration = BLOCK_RANGE.saturating_mul(2);

/// Why there is no store for a write.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error(transparent)]
    Open(#[from] StartError),
    #[error("limit of {TENANTS_MAX} tenants is reached")]
    TooMany,
}

pub(crate) struct Tenants {
    limits: Limits,
    metrics: IngestMetrics,
    snapshots: Snapshots,
    blocks_folder: PathBuf,
    slots: RwLock<BTreeMap<TenantId, Arc<TenantSlot>>>,
}

/// One tenant, open or not.
pub(crate) struct TenantSlot {
    tenant: TenantId,
    open: RwLock<Option<Arc<TenantStore>>>,
    /// Held while it is opened or closed.
    closed: Mutex<Closed>,
    /// When somebody read or wrote it last, or the process began; in milliseconds of the clock.
    last_used: AtomicI64,
    pub(crate) snapshot_bytes: AtomicU64,
}

/// What is known of a closed tenant.
#[derive(Clone)]
struct Closed {
    blocks: Vec<StoredBlock<Ulid>>,
    /// When there is something to cut, to merge or to remove: nobody but the clock does anything to it.
    upkeep_at: Timestamp,
    /// Nothing is left, so that its snapshot goes when the log has nothing of it either.
    is_empty: bool,
    /// It is no tenant any more; whoever holds this looks for another one.
    is_forgotten: bool,
}

impl TenantSlot {
    fn new(tenant: TenantId, now: Timestamp) -> Self {
        Self {
            tenant,
            open: RwLock::default(),
            closed: Mutex::new(Closed {
                blocks: Vec::new(),
                // Nothing is known of its blocks: somebody has to look.
                upkeep_at: Timestamp::MIN,
                is_empty: false,
                is_forgotten: false,
            }),
            last_used: AtomicI64::new(now.as_millis()),
            snapshot_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn store(&self) -> Option<Arc<TenantStore>> {
        self.open.read().clone()
    }

    pub(crate) fn last_used(&self) -> Timestamp {
        Timestamp::from_millis(self.last_used.load(Ordering::SeqCst))
    }

    /// Of the open one, or what is known of the closed one.
    pub(crate) fn stored_blocks(&self) -> Vec<StoredBlock<Ulid>> {
        match self.store() {
            Some(store) => store.blocks().stored(),
            None => self.closed.lock().blocks.clone(),
        }
    }

    /// It is closed, and there is something to do about its blocks.
    pub(crate) fn is_upkeep_due(&self, now: Timestamp) -> bool {
        self.open.read().is_none()
            // Whoever opens it now does what is due.
            && self.closed.try_lock().is_some_and(|closed| closed.upkeep_at <= now)
    }

    fn touch(&self, now: Timestamp) {
        self.last_used.fetch_max(now.as_millis(), Ordering::SeqCst);
    }
}

impl Tenants {
    /// Those of which the log has something are open, the others are known.
    pub(crate) fn new(
        folder: &Path,
        limits: Limits,
        metrics: IngestMetrics,
        restored: Restored,
        with_blocks: Vec<TenantId>,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let tenants = Self {
            limits,
            metrics,
            snapshots: Snapshots::new(folder),
            blocks_folder: blocks_folder(folder),
            slots: RwLock::default(),
        };
        let mut slots = BTreeMap::new();
        let mut slot_of = |tenant: &TenantId| {
            let slot = slots.entry(tenant.clone());
            Arc::clone(slot.or_insert_with(|| Arc::new(TenantSlot::new(tenant.clone(), now))))
        };
        for tenant in &with_blocks {
            slot_of(tenant);
        }
        for (tenant, bytes) in restored.snapshot_bytes {
            slot_of(&tenant)
                .snapshot_bytes
                .store(bytes, Ordering::Relaxed);
        }
        for (tenant, memory) in restored.memories {
            let slot = slot_of(&tenant);
            let store = tenants.store_of(&tenant, memory, true)?;
            *slot.open.write() = Some(store);
        }
        *tenants.slots.write() = slots;
        Ok(tenants)
    }

    pub(crate) fn slots(&self) -> Vec<Arc<TenantSlot>> {
        self.slots.read().values().cloned().collect()
    }

    /// All that are open.
    pub(crate) fn stores(&self) -> Vec<Arc<TenantStore>> {
        let slots = self.slots.read();
        slots.values().filter_map(|slot| slot.store()).collect()
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// For whoever uses it now, without waiting for anything: `None` where it is closed or not known.
    pub(crate) fn opened(&self, tenant: &TenantId, now: Timestamp) -> Option<Arc<TenantStore>> {
        let slots = self.slots.read();
        let slot = slots.get(tenant)?;
        slot.touch(now);
        slot.store()
    }

    /// For whoever reads it now: `None` where there is no such tenant. Blocks.
    pub(crate) fn open(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<Option<Arc<TenantStore>>, StartError> {
        // Where it was forgotten just now, it is not there.
        let slot = self.slots.read().get(tenant).cloned();
        let Some(slot) = slot else {
            return Ok(None);
        };
        slot.touch(now);
        match slot.store() {
            Some(store) => Ok(Some(store)),
            None => self.open_slot(&slot),
        }
    }

    /// For whoever writes it now. After this no other store is or comes into being for it while this one takes
    /// anything. Blocks.
    pub(crate) fn open_or_make(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<Arc<TenantStore>, MakeError> {
        loop {
            let slot = self.slot_or_new(tenant, now)?;
            slot.touch(now);
            if let Some(store) = self.open_slot(&slot)? {
                return Ok(store);
            }
        }
    }

    fn slot_or_new(&self, tenant: &TenantId, now: Timestamp) -> Result<Arc<TenantSlot>, MakeError> {
        if let Some(slot) = self.slots.read().get(tenant) {
            return Ok(Arc::clone(slot));
        }
        let mut slots = self.slots.write();
        if slots.len() >= TENANTS_MAX && !slots.contains_key(tenant) {
            return Err(MakeError::TooMany);
        }
        let slot = slots.entry(tenant.clone()).or_insert_with(|| {
            info!(%tenant, "first samples of a tenant");
            Arc::new(TenantSlot::new(tenant.clone(), now))
        });
        Ok(Arc::clone(slot))
    }

    /// Whether somebody uses it or not. `None` where it was forgotten meanwhile. Blocks.
    pub(crate) fn open_slot(
        &self,
        slot: &TenantSlot,
    ) -> Result<Option<Arc<TenantStore>>, StartError> {
        let closed = slot.closed.lock();
        if closed.is_forgotten {
            return Ok(None);
        }
        if let Some(store) = slot.store() {
            return Ok(Some(store));
        }
        let mut memory = new_memory(&self.limits);
        let damages = self.snapshots.read(&slot.tenant, &mut memory)?;
        self.metrics.log_damages.inc_by(damages);
        // Otherwise the snapshot is what it was made of.
        let store = self.store_of(&slot.tenant, memory, damages > 0)?;
        *slot.open.write() = Some(Arc::clone(&store));
        self.metrics.opened_tenants.inc();
        debug!(tenant = %slot.tenant, "a tenant was opened");
        Ok(Some(store))
    }

    fn store_of(
        &self,
        tenant: &TenantId,
        mut memory: Memory,
        is_changed: bool,
    ) -> Result<Arc<TenantStore>, StartError> {
        let (blocks, damages) = TenantBlocks::read(&self.blocks_folder, tenant)?;
        self.metrics.damaged_blocks.inc_by(damages);
        let there = blocks.sources();
        memory.head.end_replay(|block| there.contains(&block));
        let store = TenantStore::new(tenant.clone(), memory, is_changed, blocks);
        Ok(Arc::new(store))
    }

    /// Closes a tenant that nobody has used since `used_before`; answers whether it is closed now. `covers` is the segment
    /// of the log that was begun for this, where one was. No checkpoint and nothing that keeps blocks may go on
    /// meanwhile. Blocks.
    pub(crate) fn close(
        &self,
        slot: &TenantSlot,
        log: &Log,
        used_before: Timestamp,
        covers: &mut Option<SegmentNumber>,
    ) -> Result<bool, CheckpointError> {
        let mut closed = slot.closed.lock();
        let Some(store) = slot.store() else {
            return Ok(true);
        };
        // Somebody else still reads it: the slot holds it, and this function.
        if Arc::strong_count(&store) > 2 || log.hangs() {
            return Ok(false);
        }
        store.settle();
        if !store.begin_closing(|| slot.last_used() <= used_before) {
            return Ok(false);
        }
        if store.take_changed() {
            match self.save(&store, log, covers) {
                Ok(bytes) => slot.snapshot_bytes.store(bytes, Ordering::Relaxed),
                Err(problem) => {
                    store.mark_changed();
                    store.end_closing();
                    return Err(problem);
                }
            }
        }
        *closed = Closed {
            upkeep_at: upkeep_at(slot, &store, self.limits.retention),
            blocks: store.blocks().stored(),
            is_empty: store.look(Memory::is_empty) && store.blocks().all().is_empty(),
            is_forgotten: false,
        };
        *slot.open.write() = None;
        self.metrics.closed_tenants.inc();
        debug!(tenant = %slot.tenant, "a tenant was closed: nobody uses it");
        Ok(true)
    }

    fn save(
        &self,
        store: &TenantStore,
        log: &Log,
        covers: &mut Option<SegmentNumber>,
    ) -> Result<u64, CheckpointError> {
        let covers = match covers {
            Some(covers) => *covers,
            // What it has in older segments is in the snapshot.
            None => *covers.insert(log.rotate_blocking()?),
        };
        self.snapshots.write(store, covers)
    }

    /// These snapshots were written.
    pub(crate) fn note_snapshots(&self, written: &[(TenantId, u64)]) {
        let slots = self.slots.read();
        for (tenant, bytes) in written {
            if let Some(slot) = slots.get(tenant) {
                slot.snapshot_bytes.store(*bytes, Ordering::Relaxed);
            }
        }
    }

    /// Forgets closed tenants of which nothing is left. The log has just lost what was before their snapshots.
    pub(crate) fn forget_empty(&self) {
        for slot in self.slots() {
            let mut closed = slot.closed.lock();
            if !closed.is_empty || slot.open.read().is_some() {
                continue;
            }
            if let Err(error) = self.snapshots.remove(&slot.tenant) {
                warn!(tenant = %slot.tenant, %error, "an empty snapshot could not be removed");
                continue;
            }
            closed.is_forgotten = true;
            self.slots.write().remove(&slot.tenant);
            info!(tenant = %slot.tenant, "a tenant was forgotten: nothing is left of it");
        }
    }
}

/// When the clock alone makes something of it due.
fn upkeep_at(slot: &TenantSlot, store: &TenantStore, retention: std::time::Duration) -> Timestamp {
    let range_end = store.read(ingest_core::Head::oldest_range_end);
    let cut = range_end.map(|end| end + LATE_MAX);
    let blocks = store.blocks().all();
    let own = blocks.iter().filter(|block| block.meta.is_own);
    let expired = own.map(|block| block.meta.max_time + retention).min();
    let due = cut.into_iter().chain(expired).min();
    due.unwrap_or(Timestamp::MAX).max(slot.last_used())
}

pub(crate) fn new_memory(limits: &Limits) -> Memory {
    // Its one random number comes from the operating system by the standard library's map seed.
    let seed = RandomState::new().hash_one(0_u8);
    Memory::new(limits.clone(), seed)
}
