//! What the machines want stored, in the node's log.
use std::collections::BTreeMap;

use alertmanager_core::{CodecError, Record};
use model::TenantId;
use runtime::log::{AppendError, Log, Record as Frame};

/// Alerts, silences, and what was told to whom ([`Record`]).
pub const RECORD_KIND: u8 = 0x30;

/// All in one write; they are with the kernel when this returns.
pub(crate) async fn save(
    log: &Log,
    tenant: &TenantId,
    records: &[Record],
) -> Result<(), AppendError> {
    let payloads: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
    let frames: Vec<Frame<'_>> = payloads
        .iter()
        .map(|payload| Frame {
            tenant,
            kind: RECORD_KIND,
            payload,
        })
        .collect();
    log.persist(&frames).await
}

/// What the log holds for every tenant: fed while the log is replayed.
#[derive(Clone, Debug, Default)]
pub struct SavedTenants {
    records: BTreeMap<TenantId, Vec<Record>>,
}

impl SavedTenants {
    /// One record of the log; those of other kinds are nothing to the Alertmanager.
    ///
    /// # Errors
    /// Bytes of a newer release, or bytes that are not what was written. Nothing has changed then.
    pub fn apply(&mut self, tenant: &TenantId, kind: u8, payload: &[u8]) -> Result<(), CodecError> {
        if kind == RECORD_KIND {
            let record = Record::decode(payload)?;
            match self.records.get_mut(tenant) {
                Some(records) => records.push(record),
                None => {
                    self.records.insert(tenant.clone(), vec![record]);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn into_records(self) -> BTreeMap<TenantId, Vec<Record>> {
        self.records
    }
}
