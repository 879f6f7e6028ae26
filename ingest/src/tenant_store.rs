//! One tenant's head behind its lock, the requests that wait for the log, and the tenant's blocks.
use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};

use ingest_core::{Cut, ExemplarRing, Head, MetadataTable, Records, Report, Staged, WriteError};
use model::{TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use runtime::Trouble;
use runtime::log::{AppendError, Log, Receipt, Record};

use crate::tenant_blocks::TenantBlocks;

/// Why a request is not on its way to the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
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
    pub(crate) exemplars: Mutex<ExemplarRing>,
    pub(crate) metadata: Mutex<MetadataTable>,
    /// Samples that were left out and whose sender hears nothing of it.
    pub(crate) refusing: Trouble,
    blocks: TenantBlocks,
    /// Chunks of blocks that queries passed over.
    pub(crate) unknown_chunks: Trouble,
}

struct State {
    head: Head,
    /// In the order of the log.
    waiting: VecDeque<(Receipt, Staged)>,
}

impl TenantStore {
    pub(crate) fn new(
        tenant: TenantId,
        head: Head,
        is_changed: bool,
        blocks: TenantBlocks,
    ) -> Self {
        let seed = || RandomState::new().hash_one(0_u8);
        let exemplars_max = head.limits().exemplars_max;
        Self {
            tenant,
            exemplars: Mutex::new(ExemplarRing::new(exemplars_max, seed())),
            metadata: Mutex::new(MetadataTable::new(seed())),
            state: RwLock::new(State {
                head,
                waiting: VecDeque::new(),
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
        let mut state = self.state.write();
        state.head.refuse_before(horizon);
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
        let Some(cut) = state.head.begin_late_cut() else {
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
    pub(crate) fn stage(
        &self,
        log: &Log,
        stage: impl FnOnce(&mut Head) -> Result<(Staged, Records), WriteError>,
    ) -> Result<(Option<Receipt>, Report), StageError> {
        let mut state = self.state.write();
        let (staged, payloads) = stage(&mut state.head)?;
        let report = staged.report.clone();
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
                state.head.abort(staged);
                Err(error.into())
            }
        }
    }

    /// Takes in all requests whose records the log has. A request may be given up by its sender while it waits:
    /// what was logged is kept all the same, by whoever comes here next.
    pub(crate) fn settle(&self) {
        let mut state = self.state.write();
        let State { head, waiting } = &mut *state;
        while let Some(outcome) = waiting.front().and_then(|(receipt, _)| receipt.outcome()) {
            if let Some((_, staged)) = waiting.pop_front() {
                match outcome {
                    Ok(()) => {
                        head.commit(staged);
                        // A snapshot that has begun may not hold it, and the next one takes its records away.
                        self.is_changed.store(true, Ordering::SeqCst);
                    }
                    Err(_) => head.abort(staged),
                }
            }
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Head) -> T) -> T {
        look(&self.state.read().head)
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Head) -> T) -> T {
        change(&mut self.state.write().head)
    }

    /// Whether there is something to save; the caller saves it, or says so by [`TenantStore::mark_changed`].
    pub(crate) fn take_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn mark_changed(&self) {
        self.is_changed.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use ingest_core::{Head, Limits};
    use model::{Labels, Sample, TenantId, Timestamp};
    use runtime::log::{Log, LogSettings};

    use super::TenantStore;
    use crate::tenant_blocks::TenantBlocks;

    /// Its records are behind the snapshot's beginning, and the snapshot does not hold it: without the next snapshot
    /// it would be gone with the segment that holds them.
    #[test]
    fn what_comes_in_while_a_snapshot_is_written_is_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        let now = Timestamp::from_secs(1_000_000);
        let head = Head::new(Limits::default(), 0);
        let store = TenantStore::new(
            TenantId::anonymous(),
            head,
            false,
            TenantBlocks::new(folder.path().join("blocks")),
        );
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
