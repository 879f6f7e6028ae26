//! Alert state in the node's log.
use std::collections::BTreeMap;

use model::TenantId;
use ruler_core::{DecodeError, Persist, Record, SavedState};
use runtime::log::{AppendError, Log, Record as Frame};

/// A change of alert state ([`Record`]).
pub const RECORD_KIND: u8 = 0x20;
/// A tenant's whole alert state, in place of everything before it.
pub const SNAPSHOT_KIND: u8 = 0x21;

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
