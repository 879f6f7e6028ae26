//! One tenant's memory behind its lock, the requests that wait for the log, and the tenant's blocks.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use ingest_core::{Cut, Head, Memory, Records, Report, StagedWrite, WriteError};
use model::{TenantId, Timestamp};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use runtime::Trouble;
use runtime::log::{AppendError, Log, Receipt, Record};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::tenant_blocks::TenantBlocks;

/// Why a request is not on its way to the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// It was closed, or will be in a moment: another store takes its place.
    #[error("tenant was closed")]
    Closed,
    #[error(transparent)]
    Log(#[from] AppendError),
    #[error(transparent)]
    Refused(#[from] WriteError),
}

pub(crate) struct TenantStore {
    tenant: TenantId,
    state: RwLock<State>,
    /// Something was logged, or came into the head, since the last snapshot began.
    is_changed: AtomicBool,
    /// Samples that were left out and whose sender hears nothing of it.
    pub(crate) refusing: Trouble,
    blocks: TenantBlocks,
    /// Chunks of blocks that queries passed over.
    pub(crate) unknown_chunks: Trouble,
}

struct State {
    memory: Memory,
    /// In the order of the log.
    waiting: VecDeque<(Receipt, StagedWrite)>,
    /// Nothing is staged any more.
    is_closing: bool,
}

impl TenantStore {
    pub(crate) fn new(
        tenant: TenantId,
        memory: Memory,
        is_changed: bool,
        blocks: TenantBlocks,
    ) -> Self {
        Self {
            tenant,
            state: RwLock::new(State {
                memory,
                waiting: VecDeque::new(),
                is_closing: false,
            }),
            is_changed: AtomicBool::new(is_changed),
            refusing: Trouble::new(),
            blocks,
            unknown_chunks: Trouble::new(),
        }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn blocks(&self) -> &TenantBlocks {
        &self.blocks
    }

    /// From now on nothing before `horizon` is admitted. What was admitted and waits for the log has its outcome when
    /// the receipt has.
    pub(crate) fn refuse_before(&self, horizon: Timestamp) -> Option<Receipt> {
        let mut state = self.lock_to_write();
        state.memory.head.refuse_before(horizon);
        state.waiting.back().map(|(receipt, _)| receipt.clone())
    }

    /// Tells the log what left for blocks.
    pub(crate) fn log_cut(&self, log: &Log, cut: Cut) -> Result<Receipt, AppendError> {
        let (kind, payload) = Cut::to_record(&[cut]);
        log.append(&[Record {
            tenant: &self.tenant,
            kind: kind as u8,
            payload: &payload,
        }])
    }

    /// Begins a cut of what came out of order, where there is any: answered are its number, and the receipt with whose
    /// outcome all that was staged before has its own.
    pub(crate) fn begin_late_cut(&self, log: &Log) -> Result<Option<(u32, Receipt)>, AppendError> {
        let mut state = self.state.write();
        let Some(cut) = state.memory.head.begin_late_cut() else {
            return Ok(None);
        };
        // Under the lock, so that the log has it between what leaves and what does not.
        let receipt = self.log_cut(log, Cut::LateBegun(cut))?;
        self.mark_changed();
        Ok(Some((cut, receipt)))
    }

    /// Admits what `stage` brings and puts its records in line for the log, both under one lock, so that the log
    /// has requests in the order in which they were judged. There is no receipt where there is nothing to log.
    /// After the receipt's outcome [`TenantStore::settle`] makes the samples visible.
    pub(crate) fn stage<S: Into<StagedWrite>>(
        &self,
        log: &Log,
        stage: impl FnOnce(&mut Head) -> Result<(S, Records), WriteError>,
    ) -> Result<(Option<Receipt>, Report), StageError> {
        self.stage_with(log, |memory| {
            let (staged, records) = stage(&mut memory.head)?;
            Ok((staged.into(), records))
        })
    }

    /// The same for all that a request may say.
    pub(crate) fn stage_with(
        &self,
        log: &Log,
        stage: impl FnOnce(&mut Memory) -> Result<(StagedWrite, Records), WriteError>,
    ) -> Result<(Option<Receipt>, Report), StageError> {
        let mut state = self.lock_to_write();
        if state.is_closing {
            return Err(StageError::Closed);
        }
        let (staged, payloads) = stage(&mut state.memory)?;
        let report = staged.report().clone();
        if payloads.is_empty() {
            return Ok((None, report));
        }
        let records: Vec<Record<'_>> = payloads
            .iter()
            .map(|(kind, payload)| Record {
                tenant: &self.tenant,
                kind: *kind as u8,
                payload,
            })
            .collect();
        // Before the records are in line, so that whoever finds them in the log finds this too.
        self.is_changed.store(true, Ordering::SeqCst);
        match log.append(&records) {
            Ok(receipt) => {
                state.waiting.push_back((receipt.clone(), staged));
                Ok((Some(receipt), report))
            }
            Err(error) => {
                state.memory.take_back(staged);
                Err(error.into())
            }
        }
    }

    /// Takes in all requests whose records the log has. A request may be given up by its sender while it waits:
    /// what was logged is kept all the same, by whoever comes here next.
    pub(crate) fn settle(&self) {
        let mut state = self.lock_to_write();
        let State {
            memory, waiting, ..
        } = &mut *state;
        while let Some(outcome) = waiting.front().and_then(|(receipt, _)| receipt.outcome()) {
            if let Some((_, staged)) = waiting.pop_front() {
                match outcome {
                    Ok(()) => {
                        memory.commit(staged);
                        // A snapshot that has begun may not hold it, and the next one takes its records away.
                        self.is_changed.store(true, Ordering::SeqCst);
                    }
                    Err(_) => memory.abort(staged),
                }
            }
        }
    }

    /// From now on nothing is staged, if nothing waits for the log and `is_idle` holds then.
    pub(crate) fn begin_closing(&self, is_idle: impl FnOnce() -> bool) -> bool {
        let mut state = self.lock_to_write();
        state.is_closing = state.waiting.is_empty() && is_idle();
        state.is_closing
    }

    /// It is open as it was before.
    pub(crate) fn end_closing(&self) {
        self.lock_to_write().is_closing = false;
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Head) -> T) -> T {
        look(&self.lock_to_read().memory.head)
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Head) -> T) -> T {
        change(&mut self.lock_to_write().memory.head)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Memory) -> T) -> T {
        look(&self.lock_to_read().memory)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.lock_to_write().memory)
    }

    fn lock_to_read(&self) -> RwLockReadGuard<'_, State> {
        let free = self.state.try_read();
        free.unwrap_or_else(|| beside_other_tasks(|| self.state.read()))
    }

    fn lock_to_write(&self) -> RwLockWriteGuard<'_, State> {
        let free = self.state.try_write();
        free.unwrap_or_else(|| beside_other_tasks(|| self.state.write()))
    }

    /// Whether there is something to save; the caller saves it, or says so by [`TenantStore::mark_changed`].
    pub(crate) fn take_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn mark_changed(&self) {
        self.is_changed.store(true, Ordering::SeqCst);
    }
}

/// Runs what may have to wait for somebody's long look at a tenant, such that neither health checks nor other tenants
/// wait with it.
fn beside_other_tasks<T>(wait: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

#[cfg(test)]
mod tests {
    use ingest_core::{Limits, Memory};
    use model::{Labels, Sample, TenantId, Timestamp};
    use runtime::log::{Log, LogSettings};

    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::TenantStore;
    use crate::tenant_blocks::TenantBlocks;

    fn store(folder: &std::path::Path) -> TenantStore {
        TenantStore::new(
            TenantId::anonymous(),
            Memory::new(Limits::default(), 0),
            false,
            TenantBlocks::new(folder.join("blocks")),
        )
    }

    /// One worker, and more tasks that wait than there are workers: the last one must run all the same, since it is
    /// what ends their waiting.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_waits_for_a_long_look_keeps_nobody_else_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(store(folder.path()));
        let (end, ended) = channel::<()>();
        let (begin, begun) = channel::<()>();
        let looking = Arc::clone(&store);
        let look = std::thread::spawn(move || {
            looking.read(|_| {
                begin.send(()).unwrap();
                ended.recv_timeout(Duration::from_secs(30)).unwrap();
            });
        });
        begun.recv().unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.settle() })
            })
            .collect();
        tokio::spawn(async move { end.send(()).unwrap() })
            .await
            .unwrap();
        for task in waiting {
            task.await.unwrap();
        }
        look.join().unwrap();
    }

    /// Its records are behind the snapshot's beginning, and the snapshot does not hold it: without the next snapshot
    /// it would be gone with the segment that holds them.
    #[test]
    fn what_comes_in_while_a_snapshot_is_written_is_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        let now = Timestamp::from_secs(1_000_000);
        let store = store(folder.path());
        let up = Labels::from_pairs([("__name__", "up")]);
        let sample = Sample {
            timestamp: now,
            value: 1.0,
        };
        let staged = store.stage(&log, |head| head.stage_samples([(&up, sample)], now));
        let (receipt, _) = staged.unwrap();
        assert!(store.take_changed(), "a snapshot begins");
        assert_eq!(
            store.read(|head| head.stats().max_time),
            None,
            "and does not hold it"
        );
        receipt.unwrap().wait_blocking().unwrap();
        store.settle();
        assert!(store.take_changed(), "so there must be another one");
        assert!(!store.take_changed(), "which holds it");
    }
}
