//! What the machines want stored, in a log.
use std::collections::BTreeMap;
use std::path::Path;

use alertmanager_core::{CodecError, Record};
use model::TenantId;
use runtime::log::{
    AppendError, Log, LogSettings, OpenError, Record as Frame, SegmentNumber, SyncPolicy,
};
use tracing::error;

/// Alerts, silences, and what was told to whom ([`Record`]).
pub const RECORD_KIND: u8 = 0x30;

/// Why saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("alerts and notifications of tenant {tenant} cannot be read")]
    State {
        tenant: TenantId,
        #[source]
        source: CodecError,
    },
}

/// Opens the log in `folder` and reads back what it holds. Blocks.
///
/// # Errors
/// A folder that cannot be used, or state that a newer release has written. A damaged place is reported and passed
/// over: rulers send their alerts again, and a notification that is forgotten is told twice rather than never.
pub fn open_journal(folder: &Path, sync: SyncPolicy) -> Result<(Log, SavedTenants), JournalError> {
    let settings = LogSettings {
        sync,
        ..LogSettings::default()
    };
    let log = Log::open(folder, &settings)?;
    let mut saved = SavedTenants::default();
    for record in log.replay(SegmentNumber::FIRST) {
        match record {
            Ok(record) => match saved.apply(&record.tenant, record.kind, &record.payload) {
                Ok(()) => {}
                Err(source @ CodecError::Version(_)) => {
                    let tenant = record.tenant;
                    return Err(JournalError::State { tenant, source });
                }
                Err(problem) => {
                    error!(tenant = %record.tenant, error = %problem, "a record of alerts or notifications is passed over");
                }
            },
            Err(problem) => {
                error!(error = %problem, "the log of alerts and notifications is damaged")
            }
        }
    }
    Ok((log, saved))
}

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
