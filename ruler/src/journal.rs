//! Alert state in a log, and the log kept short.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use model::TenantId;
use ruler_core::{DecodeError, Persist, Record, SavedState};
use runtime::Trouble;
use runtime::log::{
    AppendError, Log, LogSettings, OpenError, Record as Frame, SegmentNumber, SyncPolicy,
};
use tracing::error;

use crate::pieces::{PIECE_BYTES_MAX, Pieces, cut};

/// A change of alert state ([`Record`]).
pub const RECORD_KIND: u8 = 0x20;
/// A tenant's whole alert state, in place of everything before it.
pub const SNAPSHOT_KIND: u8 = 0x21;

/// A piece of one of the others that is too large for one record.
pub const PIECE_KIND: u8 = 0x22;

/// Why saved alert state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("alert state of tenant {tenant} cannot be read")]
    State {
        tenant: TenantId,
        #[source]
        source: DecodeError,
    },
}

/// Opens the log of alert state in `folder` and reads back what it holds. Blocks.
///
/// # Errors
/// A folder that cannot be used, or state that a newer release has written. A damaged place is reported and passed
/// over: the next evaluations write what it lacks.
pub fn open_journal(folder: &Path, sync: SyncPolicy) -> Result<(Log, SavedTenants), JournalError> {
    let settings = LogSettings {
        sync,
        ..LogSettings::default()
    };
    let log = Log::open(folder, &settings)?;
    let mut saved = SavedTenants::default();
    let (passed_over, damaged) = (Trouble::new(), Trouble::new());
    for record in log.replay(SegmentNumber::FIRST) {
        match record {
            Ok(record) => match saved.apply(&record.tenant, record.kind, &record.payload) {
                Ok(()) => {}
                Err(source @ DecodeError::Version { .. }) => {
                    let tenant = record.tenant;
                    return Err(JournalError::State { tenant, source });
                }
                Err(problem) => {
                    saved.damages += 1;
                    if let Some(left_out) = passed_over.happened() {
                        error!(tenant = %record.tenant, error = %problem, left_out, "a record of alert state is passed over");
                    }
                }
            },
            Err(problem) => {
                saved.damages += 1;
                if let Some(left_out) = damaged.happened() {
                    error!(error = %problem, left_out, "the log of alert state is damaged");
                }
            }
        }
    }
    Ok((log, saved))
}

/// All in one write; they are with the kernel when this returns.
pub(crate) async fn save(
    log: &Log,
    tenant: &TenantId,
    changes: &[Persist],
) -> Result<(), AppendError> {
    save_in_pieces(log, tenant, changes, PIECE_BYTES_MAX).await
}

async fn save_in_pieces(
    log: &Log,
    tenant: &TenantId,
    changes: &[Persist],
    piece_bytes_max: usize,
) -> Result<(), AppendError> {
    let mut payloads = Vec::with_capacity(changes.len());
    for change in changes {
        let (kind, payload) = match change {
            Persist::Record(payload) => (RECORD_KIND, payload),
            Persist::Snapshot(payload) => (SNAPSHOT_KIND, payload),
        };
        match cut(kind, payload, piece_bytes_max) {
            None => payloads.push((kind, Cow::Borrowed(payload))),
            Some(pieces) => {
                payloads.extend(
                    pieces
                        .into_iter()
                        .map(|piece| (PIECE_KIND, Cow::Owned(piece))),
                );
            }
        }
    }
    let frames: Vec<Frame<'_>> = payloads
        .iter()
        .map(|(kind, payload)| Frame {
            tenant,
            kind: *kind,
            payload,
        })
        .collect();
    log.persist(&frames).await
}

/// What the log holds of every tenant's alerts: fed while the log is replayed.
#[derive(Clone, Debug, Default)]
pub struct SavedTenants {
    states: BTreeMap<TenantId, SavedState>,
    pieces: BTreeMap<TenantId, Pieces>,
    /// Places of the log that could not be read. Each is logged.
    pub(crate) damages: u64,
}

impl SavedTenants {
    /// One record of the log; those of other kinds are nothing to the ruler.
    ///
    /// # Errors
    /// Bytes of a newer release, or bytes that are not what was written. Nothing has changed then.
    pub fn apply(
        &mut self,
        tenant: &TenantId,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), DecodeError> {
        match kind {
            RECORD_KIND => {
                let record = Record::from_bytes(payload)?;
                self.states.entry(tenant.clone()).or_default().apply(record);
            }
            SNAPSHOT_KIND => {
                let state = SavedState::replay(Some(payload), [])?;
                self.states.insert(tenant.clone(), state);
            }
            PIECE_KIND => {
                let pieces = self.pieces.entry(tenant.clone()).or_default();
                if let Some((kind, payload)) = pieces.join(payload)
                    && kind != PIECE_KIND
                {
                    self.apply(tenant, kind, &payload)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[must_use]
    pub fn into_states(self) -> BTreeMap<TenantId, SavedState> {
        self.states
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use model::{Labels, TenantId, Timestamp};
    use ruler_core::{
        ActiveAlert, AlertState, GroupKey, Persist, Record, RuleClass, RuleKey, SavedState,
    };
    use runtime::HeardLog;
    use runtime::log::{Record as Frame, SyncPolicy};

    use super::{RECORD_KIND, open_journal, save_in_pieces};

    /// Opens it again after `harm`: damages, and the errors that were logged.
    fn harmed(harm: impl FnOnce(&Path)) -> (u64, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
        let malformed = Frame {
            tenant: &TenantId::anonymous(),
            kind: RECORD_KIND,
            payload: &[1],
        };
        log.append(&[malformed; 3])
            .unwrap()
            .wait_blocking()
            .unwrap();
        drop(log);
        harm(folder.path());
        let heard = HeardLog::start();
        let (_, saved) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
        let mut lines = heard.lines();
        lines.retain(|line| line.starts_with("ERROR"));
        (saved.damages, lines)
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_told_once() {
        let (damages, lines) = harmed(|_| {});
        assert_eq!((damages, lines.len()), (3, 1), "{lines:?}");
        assert!(
            lines[0].starts_with("ERROR a record of alert state is passed over tenant=anonymous ")
        );
    }

    #[test]
    fn a_log_that_was_emptied_is_noticed() {
        let (damages, lines) =
            harmed(|folder| fs::remove_file(folder.join("00000001.log")).unwrap());
        assert_eq!(damages, 1);
        assert_eq!(
            lines,
            [
                "ERROR the log of alert state is damaged error=segments 00000001 to 00000001 of the log are missing \
                 left_out=0"
            ]
        );
    }

    /// Alerts as many as a hostile sender's series: their state is larger than one record of the log may be.
    #[tokio::test]
    async fn state_of_any_size_is_saved_and_a_half_of_it_counts_for_nothing() {
        let alert = |name: &str| ActiveAlert {
            labels: Labels::from_pairs([("alertname", name)]),
            annotations: Labels::default(),
            value: 1.0,
            state: AlertState::Pending {
                active_at: Timestamp::from_secs(1),
            },
        };
        let record = |names: &[&str]| Record::Evaluated {
            group: GroupKey::new("r.yml", "g"),
            rule: RuleKey {
                class: RuleClass::Alerting,
                name: "Down".into(),
                labels: Labels::default(),
                twin: 0,
            },
            at: Timestamp::from_secs(1),
            changed: names.iter().map(|name| alert(name)).collect(),
            forgotten: Vec::new(),
        };
        let state = |names: &[&str]| {
            let mut state = SavedState::default();
            state.apply(record(names));
            state
        };
        let folder = tempfile::tempdir().unwrap();
        let tenant = TenantId::anonymous();
        let saved = |folder: &Path| {
            let (_, saved) = open_journal(folder, SyncPolicy::default()).unwrap();
            assert_eq!(saved.damages, 0);
            saved.into_states().remove(&tenant)
        };
        let (log, _) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
        let before = [Persist::Record(record(&["a", "b"]).to_bytes())];
        save_in_pieces(&log, &tenant, &before, 20).await.unwrap();
        let after = [Persist::Snapshot(state(&["b", "c"]).to_snapshot())];
        save_in_pieces(&log, &tenant, &after, 20).await.unwrap();
        drop(log);
        // A crash in the middle of the second write.
        let path = folder.path().join("00000001.log");
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert_eq!(saved(folder.path()), Some(state(&["a", "b"])));
        let (log, _) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
        save_in_pieces(&log, &tenant, &after, 20).await.unwrap();
        drop(log);
        assert_eq!(saved(folder.path()), Some(state(&["b", "c"])));
    }
}
