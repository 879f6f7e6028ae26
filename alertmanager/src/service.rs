//! The Alertmanagers of all tenants in this process: one machine each.
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{
    Alertmanager, Answer, Input, Policy, Record, Settings, SilenceId, Tally, View,
};
use config::AlertmanagerConfig;
use jiff::tz::TimeZone;
use model::matcher_syntax::ParserMode;
use model::{TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use runtime::log::{Log, keep_short};
use runtime::{Clock, Stop, Stopper, Tasks, drive};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::data_folder;
use crate::deliver::{Deadlines, Deliverer, Lanes, Notifier};
use crate::flushes::Flushes;
use crate::journal::SavedTenants;
use crate::metrics::AlertmanagerMetrics;
use crate::recorder::EventRecorder;
use crate::room::Room;
use crate::tenant::{AskError, INPUTS_MAX, Saving, Shared, TenantHandle, TenantShell};
use crate::traces::Tracer;

/// However large bodies may be by the settings: what one body becomes must fit into one record of the log.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long deliveries that are under way at the end may take, however long they are waited for otherwise. What a slower
/// one was to tell is told by the next life.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// A scrape does not wait longer for what is counted at that moment: the figures before stay.
const COUNT_MAX: Duration = Duration::from_secs(3);
/// How long a collector may take for the last spans.
const TRACES_DRAIN_MAX: Duration = Duration::from_secs(3);
/// How long the machine and the disk may take at the end for the data folder's files.
const EXPORT_MAX: Duration = Duration::from_secs(5);
/// How often the end of deliveries is looked for meanwhile.
const DRAIN_POLL: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// The machines' own; their seed is given to each tenant with a difference.
    pub machine: Settings,
    /// Machines at once. Alerts of further tenants are refused.
    pub tenants_max: usize,
    /// Of one `POST /api/v2/alerts` or `/silences`; more than 32 MiB is taken as that.
    pub body_bytes_max: usize,
    /// Notifications that all tenants together send at once; `Turns` shares them out.
    pub deliveries_max: usize,
    /// How people reach this Alertmanager: links in notifications begin with it.
    pub external_url: String,
    /// How matchers are read.
    pub parser_mode: ParserMode,
    /// As `GET /api/v2/status` tells it.
    pub version: Version,
    /// Whether a silence that is created, changed or expired is told to the operator.
    pub log_silences: bool,
    /// Where an Alertmanager's files are kept too, for the tenant of requests that name none.
    pub data_folder: Option<DataFolder>,
    /// Itself as `GET /api/v2/status` tells it; none where clustering is off.
    pub cluster: Option<ClusterMember>,
}

/// A member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMember {
    pub name: String,
    /// Where the others reach it.
    pub address: SocketAddr,
}

/// What the process says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub version: String,
    pub revision: String,
    pub branch: String,
    pub build_date: String,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            version: "0.34.0".to_owned(),
            revision: String::new(),
            branch: String::new(),
            build_date: String::new(),
        }
    }
}

/// An Alertmanager's `--storage.path`.
#[derive(Clone, Debug)]
pub struct DataFolder {
    pub path: PathBuf,
    /// How often its files are written, besides at the end.
    pub maintenance_interval: Duration,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            machine: Settings {
                // `TZ`, else the machine's own: what `location: Local` means.
                local_zone: TimeZone::system(),
                ..Settings::default()
            },
            // Each costs a task and a queue.
            tenants_max: 10_000,
            // Some 30,000 alerts of usual size.
            body_bytes_max: 16 * 1024 * 1024,
            // Each takes a file descriptor: a part of what a process has without being asked.
            deliveries_max: 256,
            external_url: "http://localhost:9093".to_owned(),
            parser_mode: ParserMode::default(),
            version: Version::default(),
            log_silences: true,
            data_folder: None,
            cluster: None,
        }
    }
}

/// The hands that the Alertmanagers are given.
pub struct ServiceParts {
    pub notifier: Arc<dyn Notifier>,
    /// Without a log nothing survives the process.
    pub log: Option<Log>,
    pub clock: Arc<dyn Clock>,
    pub metrics: AlertmanagerMetrics,
    pub tracer: Tracer,
    /// Who keeps a history.
    pub recorder: Option<EventRecorder>,
    pub stop: Stop,
    pub stopper: Stopper,
}

/// Cheap to copy.
#[derive(Clone)]
pub struct AlertmanagerService {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: ServiceSettings,
    pub(crate) parts: ServiceParts,
    pub(crate) started_at: Timestamp,
    /// What requests of all tenants share.
    pub(crate) room: Room,
    policy: RwLock<Policy>,
    reloading: tokio::sync::Mutex<()>,
    tenants: Mutex<BTreeMap<TenantId, TenantHandle>>,
    lanes: Lanes,
    tasks: Mutex<Tasks>,
    /// Held while the data folder's files are written: two at once would write the same ones.
    exporting: Arc<tokio::sync::Mutex<()>>,
    /// The machines end after the process was told to: deliveries under way may come home first.
    machines_stopper: Stopper,
    machines_stop: Stop,
}

#[derive(Debug, thiserror::Error)]
#[error("state of tenant {tenant} could not be written")]
pub struct CheckpointError {
    pub tenant: TenantId,
    #[source]
    pub source: AskError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tenants (limit: {limit})")]
pub(crate) struct TooManyTenants {
    pub(crate) limit: usize,
}

impl AlertmanagerService {
    /// A machine for each tenant of which something was saved; the others come with their first alert or silence.
    #[must_use]
    pub fn start(
        config: Arc<AlertmanagerConfig>,
        mut settings: ServiceSettings,
        parts: ServiceParts,
        saved: SavedTenants,
    ) -> Self {
        settings.body_bytes_max = settings.body_bytes_max.min(BODY_BYTES_MAX);
        settings.machine.parser_mode = settings.parser_mode;
        let (machines_stopper, machines_stop) = Stopper::new();
        let service = Self {
            inner: Arc::new(Inner {
                room: Room::of_process(),
                policy: RwLock::new(Policy::new(Arc::clone(&config), &settings.external_url)),
                reloading: tokio::sync::Mutex::default(),
                started_at: parts.clock.now(),
                tenants: Mutex::default(),
                lanes: Lanes::new(settings.deliveries_max),
                tasks: Mutex::new(Tasks::new(parts.stopper.clone())),
                exporting: Arc::default(),
                machines_stopper,
                machines_stop,
                settings,
                parts,
            }),
        };
        service.inner.count_config(&config);
        let per_name = service.inner.settings.machine.alerts_of_name_max;
        service.inner.parts.metrics.limit_per_name(per_name);
        for (tenant, records) in saved.into_records() {
            let spawned = service.inner.spawn(&tenant, records);
            service.inner.tenants.lock().insert(tenant, spawned);
        }
        let (inner, mut stop) = (Arc::clone(&service.inner), service.inner.parts.stop.clone());
        service
            .inner
            .tasks
            .lock()
            .spawn("alertmanager-drain", async move {
                stop.stopped().await;
                inner.drain().await;
                if tokio::time::timeout(EXPORT_MAX, inner.export())
                    .await
                    .is_err()
                {
                    warn!("the data folder's files are not written: neither machine nor disk may keep the end back");
                }
                inner.machines_stopper.stop();
            });
        service
    }

    /// Takes a new configuration over in every tenant; it, or a newer one, is in force when this returns. Group timers
    /// of routes that stay go on, and so does what is under way.
    pub async fn reload(&self, config: Arc<AlertmanagerConfig>) {
        let mut answers = Vec::new();
        {
            // One after the other, so that the newest is last in every tenant's line.
            let _turn = self.inner.reloading.lock().await;
            let policy = Policy::new(Arc::clone(&config), &self.inner.settings.external_url);
            *self.inner.policy.write() = policy.clone();
            self.inner.count_config(&config);
            for tenant in self.inner.all() {
                let policy = Box::new(policy.clone());
                let configured = |ticket| Input::Configured { ticket, policy };
                answers.push(tenant.line_up(configured).await);
            }
        }
        for answered in answers {
            let in_force = match answered {
                Ok(answered) => answered.come().await,
                Err(stopped) => Err(stopped),
            };
            if in_force.is_err() {
                info!("a configuration came after the Alertmanager had stopped");
            }
        }
    }

    /// The number of the file that the configuration in force was read from.
    pub fn note_config_hash(&self, hash: u64) {
        self.inner.parts.metrics.config_hash(hash);
    }

    /// Silences of an Alertmanager's file that were passed over.
    pub fn note_not_loaded(&self, silences: usize) {
        self.inner.parts.metrics.silences.not_loaded(silences);
    }

    /// Brings figures of how much there is up to date, for whoever is about to look at them.
    pub async fn count(&self) {
        let now = self.inner.parts.clock.now();
        let by_group = self.inner.parts.metrics.by_group();
        let mut sum = Tally::default();
        let handles = self.inner.all();
        let counting = async {
            for handle in &handles {
                if let Some(tally) = handle.tally(by_group, now).await {
                    sum.add(tally);
                }
            }
        };
        if tokio::time::timeout(COUNT_MAX, counting).await.is_ok() {
            self.inner.parts.metrics.show(&sum);
        }
    }

    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.inner.parts.tracer
    }

    /// A reload did not come about; the configuration before stays.
    pub fn reload_failed(&self) {
        self.inner.parts.metrics.config_successful.set(0);
    }

    /// Writes every tenant's whole state to the log. After a rotation of the log that came before this call, the
    /// segments before the rotation hold nothing that the Alertmanagers need.
    ///
    /// # Errors
    /// A tenant's state was not written: the segments must stay.
    pub async fn checkpoint(&self) -> Result<(), CheckpointError> {
        let tenants = self.inner.tenants.lock().clone();
        for (tenant, spawned) in tenants {
            spawned
                .ask(|ticket| Input::SnapshotWanted { ticket })
                .await
                .map_err(|source| CheckpointError { tenant, source })?;
        }
        Ok(())
    }

    /// Keeps a log that holds nothing but this service's records short, and the data folder's files young, until the
    /// end.
    pub async fn maintain(self, stop: Stop) {
        let shortening = async {
            if let Some(log) = self.inner.parts.log.clone() {
                keep_short(log, stop.clone(), || self.checkpoint()).await;
            }
        };
        tokio::join!(shortening, self.inner.keep_exported(stop.clone()));
    }

    /// Waits until every machine has ended, after the signal to stop. Says whether all ended well.
    pub async fn join(&self, patience: Duration) -> bool {
        let tasks = {
            let mut tasks = self.inner.tasks.lock();
            std::mem::replace(&mut *tasks, Tasks::new(self.inner.parts.stopper.clone()))
        };
        let well = tasks.join(patience).await;
        self.inner.parts.tracer.close(TRACES_DRAIN_MAX).await;
        well
    }

    /// What readers of a tenant see; a tenant of which nothing is known has an empty one.
    pub(crate) async fn view(&self, tenant: &TenantId) -> Result<Arc<View>, AskError> {
        let now = self.inner.parts.clock.now();
        let known = self.inner.tenants.lock().get(tenant).cloned();
        match known {
            Some(known) => known.view(now).await,
            None => {
                let policy = self.inner.policy.read().clone();
                let machine =
                    Alertmanager::restore(self.inner.settings.machine.clone(), policy, [], now);
                Ok(Arc::new(machine.view(now)))
            }
        }
    }

    /// The machine of a tenant, where there is one.
    pub(crate) fn known(&self, tenant: &TenantId) -> Option<TenantHandle> {
        let tenants = self.inner.tenants.lock();
        tenants.get(tenant).cloned()
    }

    /// The machine of a tenant, made where there is none.
    pub(crate) fn handle_of(&self, tenant: &TenantId) -> Result<TenantHandle, TooManyTenants> {
        let mut tenants = self.inner.tenants.lock();
        if let Some(known) = tenants.get(tenant) {
            return Ok(known.clone());
        }
        let limit = self.inner.settings.tenants_max;
        if tenants.len() >= limit {
            warn!(%tenant, limit, "alerts of a further tenant refused");
            return Err(TooManyTenants { limit });
        }
        let handle = self.inner.spawn(tenant, Vec::new());
        tenants.insert(tenant.clone(), handle.clone());
        Ok(handle)
    }

    pub(crate) fn config_text(&self) -> String {
        self.inner.policy.read().config.dump()
    }
}

impl Inner {
    fn all(&self) -> Vec<TenantHandle> {
        self.tenants.lock().values().cloned().collect()
    }

    fn spawn(&self, tenant: &TenantId, records: Vec<Record>) -> TenantHandle {
        let (inputs, received) = mpsc::channel(INPUTS_MAX);
        let parts = &self.parts;
        let mut settings = self.settings.machine.clone();
        settings.seed = RandomState::new().hash_one(tenant.as_str());
        let now = parts.clock.now();
        // It is the process that starts, and this machine may come with its tenant's first alert.
        let age = now.saturating_since(self.started_at);
        settings.start_delay = settings.start_delay.saturating_sub(age);
        settings.records_events = parts.recorder.is_some();
        let policy = self.policy.read().clone();
        let machine = Alertmanager::restore(settings, policy, records, now);
        let shared = Shared::new();
        let shell = TenantShell {
            tenant: tenant.clone(),
            deliverer: Deliverer {
                tenant: tenant.clone(),
                notifier: Arc::clone(&parts.notifier),
                lanes: self.lanes.clone(),
                deadlines: Deadlines::default(),
                clock: Arc::clone(&parts.clock),
                metrics: parts.metrics.clone(),
                tracer: parts.tracer.clone(),
                inputs: inputs.downgrade(),
            },
            log: parts.log.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: parts.metrics.clone(),
            recorder: parts.recorder.clone(),
            shared: Arc::clone(&shared),
            flushes: Flushes::default(),
            saving: Saving::UpToDate,
            log_silences: self.settings.log_silences,
            thought: Duration::ZERO,
        };
        let (clock, stop) = (Arc::clone(&parts.clock), self.machines_stop.clone());
        self.tasks.lock().spawn("alertmanager", async move {
            drive(machine, received, clock, shell, stop).await;
        });
        TenantHandle::new(inputs, shared)
    }

    fn count_config(&self, config: &AlertmanagerConfig) {
        let seconds = self.parts.clock.now().as_millis() / 1000;
        self.parts.metrics.configured(config, seconds);
    }

    async fn keep_exported(&self, mut stop: Stop) {
        let Some(folder) = &self.settings.data_folder else {
            return;
        };
        loop {
            let maintained = async {
                tokio::time::sleep(folder.maintenance_interval).await;
                self.export().await;
            };
            tokio::select! {
                () = maintained => {}
                // The last word is written when deliveries have come home.
                () = stop.stopped() => return,
            }
        }
    }

    /// Writes the data folder's files, where there is one.
    async fn export(&self) {
        let Some(folder) = &self.settings.data_folder else {
            return;
        };
        let known = self.tenants.lock().get(&TenantId::anonymous()).cloned();
        let Some(tenant) = known else {
            return;
        };
        let begun = Instant::now();
        // A machine that is busy is waited for: at the end there is no next time.
        let wanted = |ticket| Input::ExportWanted { ticket };
        let answer = match tenant.line_up(wanted).await {
            Ok(answered) => answered.come().await,
            Err(stopped) => Err(stopped),
        };
        let metrics = &self.parts.metrics;
        let Ok(Answer::Exported(export)) = answer else {
            metrics.nflog.maintained(begun.elapsed(), None);
            metrics.silences.kept.maintained(begun.elapsed(), None);
            warn!("the data folder's files are not written: the Alertmanager did not answer");
            return;
        };
        let path = folder.path.clone();
        let sizes = (export.nflog.len(), export.silences.len());
        let alone = Arc::clone(&self.exporting).lock_owned().await;
        let writing = tokio::task::spawn_blocking(move || {
            // Until the files are written, though nobody may wait for that any more.
            let _alone = alone;
            data_folder::write(&path, &export.nflog, &export.silences)
        });
        let (nflog_bytes, silence_bytes) = match writing.await {
            Ok(Ok(())) => {
                debug!("the data folder's files are written");
                (Some(sizes.0), Some(sizes.1))
            }
            Ok(Err(problem)) => {
                error!(error = %problem, "the data folder's files could not be written; the log has everything");
                (None, None)
            }
            Err(failure) => {
                error!(%failure, "writing the data folder's files failed");
                (None, None)
            }
        };
        metrics.nflog.maintained(begun.elapsed(), nflog_bytes);
        metrics
            .silences
            .kept
            .maintained(begun.elapsed(), silence_bytes);
    }

    /// Waits for attempts under way, so that what has arrived is also logged.
    async fn drain(&self) {
        let idle = async {
            while self.lanes.under_way() > 0 {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX, idle).await.is_err() {
            warn!("notifications are still under way at the end; they will be told again");
        }
    }
}

/// A random UUID (version 4). The standard library seeds its hashers from the system's source of random numbers.
pub(crate) fn fresh_silence_id() -> SilenceId {
    let word = |salt: u64| RandomState::new().hash_one(salt);
    let high = (word(1) & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (word(2) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    SilenceId::new(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    ))
}
