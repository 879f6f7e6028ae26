//! What the machines want stored, in a log.
use std::collections::BTreeMap;
use std::path::Path;

use alertmanager_core::{CodecError, Record};
use model::TenantId;
use runtime::log::{
    AppendError, Log, LogSettings, OpenError, Record as Frame, SegmentNumber, SyncPolicy,
};
use tracing::{error, warn};

/// Alerts, silences, and what was told to whom ([`Record`]).
pub const RECORD_KIND: u8 = 0x30;

/// Records that go to the log together, give or take one: what waits there is bounded for all tenants.
const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why saved alerts and notifications cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("alerts and notifications of tenant {tenant} cannot be read")]
    Record {
        tenant: TenantId,
        #[source]
        source: CodecError,
    },
}

/// Opens the log in `folder` and reads back what it holds. Blocks.
///
/// # Errors
/// A folder that cannot be used, though there is room, or records that a newer release has written. A damaged place is reported and passed
/// over: what it said of alerts their senders say again, what it said of notifications may be told again.
pub fn open_journal(folder: &Path, sync: SyncPolicy) -> Result<(Log, SavedTenants), JournalError> {
    let settings = LogSettings {
        sync,
        ..LogSettings::default()
    };
    open_journal_with(folder, &settings)
}

pub(crate) fn open_journal_with(
    folder: &Path,
    settings: &LogSettings,
) -> Result<(Log, SavedTenants), JournalError> {
    let log = Log::open(folder, settings)?;
    if let Some(torn) = log.torn_tail() {
        warn!(path = %torn.path.display(), offset = torn.offset, bytes = torn.bytes, "cut off what a crash had left half written");
    }
    let mut saved = SavedTenants::default();
    for record in log.replay(SegmentNumber::FIRST) {
        match record {
            Ok(record) => match saved.apply(&record.tenant, record.kind, &record.payload) {
                Ok(()) => {}
                Err(source @ CodecError::Version(_)) => {
                    let tenant = record.tenant;
                    return Err(JournalError::Record { tenant, source });
                }
                Err(problem) => {
                    error!(tenant = %record.tenant, error = %problem, "a record of alerts and notifications is passed over");
                }
            },
            Err(problem) => {
                error!(error = %problem, "the log of alerts and notifications is damaged")
            }
        }
    }
    Ok((log, saved))
}

/// In one write, but for a whole tenant's state; all is with the kernel when this returns.
pub(crate) async fn save(
    log: &Log,
    tenant: &TenantId,
    records: &[Record],
) -> Result<(), AppendError> {
    let mut payloads = Vec::new();
    let mut bytes = 0;
    for record in records {
        let payload = record.encode();
        bytes += payload.len();
        payloads.push(payload);
        if bytes >= WRITE_BYTES_MAX {
            write(log, tenant, &payloads).await?;
            payloads.clear();
            bytes = 0;
        }
    }
    if payloads.is_empty() {
        return Ok(());
    }
    write(log, tenant, &payloads).await
}

async fn write(log: &Log, tenant: &TenantId, payloads: &[Vec<u8>]) -> Result<(), AppendError> {
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

    /// What is known of the tenant of an Alertmanager that has but one.
    pub(crate) fn anonymous(&mut self) -> &mut Vec<Record> {
        self.records.entry(TenantId::anonymous()).or_default()
    }

    pub(crate) fn into_records(self) -> BTreeMap<TenantId, Vec<Record>> {
        self.records
    }
}
