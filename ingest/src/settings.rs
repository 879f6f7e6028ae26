//! What an operator sets for the ingest.
use std::path::PathBuf;
use std::time::Duration;

use config::WatchbellConfig;
use ingest_core::Limits;
use model::Labels;
use promql::ParserOptions;
use runtime::log::SyncPolicy;

use crate::language::language;

/// Whoever looks at a dashboard would rather know than wait longer.
const QUEUE_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// The folder of log, snapshots and blocks; made where it is missing.
    pub folder: PathBuf,
    pub sync: SyncPolicy,
    /// Of every tenant.
    pub limits: Limits,
    /// A tenant that nobody reads or writes for so long is closed.
    pub tenant_idle_max: Duration,
    /// What log, snapshots and blocks of all tenants may take of the disk; beyond it the oldest blocks go.
    pub retention_bytes_max: Option<u64>,
    pub query: QuerySettings,
    /// Added to what `/federate` answers.
    pub external_labels: Labels,
    pub build: Build,
}

#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// Queries of one tenant that run at once; all tenants together may run half as many more.
    pub concurrency_max: usize,
    /// How long the others wait for their turn, within their timeout.
    pub queue_time_max: Duration,
    pub samples_max: usize,
    pub series_max: usize,
    /// In memory, of one query.
    pub bytes_max: usize,
    pub timeout: Duration,
    pub lookback: Duration,
    /// The step of a subquery that names none.
    pub default_step: Duration,
    /// Which parts of the language are switched on at the start.
    pub language: ParserOptions,
}

/// Which program this is, as `/api/v1/status/buildinfo` tells it.
#[derive(Clone, Debug, Default)]
pub struct Build {
    pub version: String,
    pub revision: String,
    pub date: String,
}

impl IngestSettings {
    #[must_use]
    pub fn new(config: &WatchbellConfig, build: Build) -> Self {
        Self {
            folder: config.storage.path.join("ingest"),
            sync: SyncPolicy::within(config.storage.sync_interval),
            limits: Limits::new(&config.limits, &config.storage),
            tenant_idle_max: config.storage.tenant_idle_max,
            retention_bytes_max: config.storage.retention_bytes_max,
            query: QuerySettings {
                concurrency_max: config.limits.query_concurrency_max,
                queue_time_max: QUEUE_TIME_MAX,
                samples_max: config.limits.query_samples_max,
                series_max: match config.limits.query_series_max {
                    0 => usize::MAX,
                    most => most,
                },
                bytes_max: config.limits.query_bytes_max,
                timeout: config.limits.query_timeout,
                lookback: config.limits.query_lookback,
                default_step: config.evaluation.interval(),
                language: language(config),
            },
            external_labels: config.external_labels.clone(),
            build,
        }
    }
}
