//! Alert state in a log, and the log kept short.
use std::collections::BTreeMap;
use std::path::Path;

use model::TenantId;
use ruler_core::{DecodeError, Persist, Record, SavedState};
use runtime::Trouble;
use runtime::log::{
    AppendError, Log, LogSettings, OpenError, Record as Frame, SegmentNumber, SyncPolicy,
};
use tracing::error;

/// A change of alert state ([`Record`]).
pub const RECORD_KIND: u8 = 0x20;
/// A tenant's whole alert state, in place of everything before it.
pub const SNAPSHOT_KIND: u8 = 0x21;

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
                    if let Some(left_out) = passed_over.happened() {
                        error!(tenant = %record.tenant, error = %problem, left_out, "a record of alert state is passed over");
                    }
                }
            },
            Err(problem) => {
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
    let frames: Vec<Frame<'_>> = changes
        .iter()
        .map(|change| match change {
            Persist::Record(payload) => Frame {
                tenant,
                kind: RECORD_KIND,
                payload,
            },
            Persist::Snapshot(payload) => Frame {
                tenant,
                kind: SNAPSHOT_KIND,
                payload,
            },
        })
        .collect();
    log.persist(&frames).await
}

/// What the log holds of every tenant's alerts: fed while the log is replayed.
#[derive(Clone, Debug, Default)]
pub struct SavedTenants {
    states: BTreeMap<TenantId, SavedState>,
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
            _ => {}
        }
        Ok(())
    }

    #[must_use]
    pub fn into_states(self) -> BTreeMap<TenantId, SavedState> {
        self.states
    }
}
