//! The parts of one process: each started with what it needs of the others.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alertmanager::{AlertmanagerMetrics, AlertmanagerService, Collector, MetricSettings, Tracer};
use anyhow::{Context, anyhow, bail};
use config::WatchbellConfig;
use ingest::{Build, Engine, IngestSettings};
use model::TenantId;
use ruler::{
    AlertmanagerTarget, Backend, Changes, Embedded, Occasion, Outside, ReloadRequest, Remote,
    RemoteAddresses, RuleBook, RuleBookSettings, RuleFileWatch, RuleFiles, RuleStore, RulerMetrics,
    RulerService, Sender,
};
use ruler_core::{OverLimit, UploadLimits};
use runtime::log::SyncPolicy;
use runtime::{Clock, Metrics, Routes, Stop, Stopper, Tasks};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::configuration::Configuration;
use crate::descriptors;
use crate::targets::Targets;
use crate::telling::{Telling, prepare};
use crate::version;

/// For all that is under way when the process is told to end, deliveries included, which have a bound of their own.
pub(crate) const ENDING_MAX: Duration = Duration::from_secs(20);

/// What every part is given.
pub(crate) struct Hands {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: Stop,
    pub(crate) stopper: Stopper,
    pub(crate) external_url: String,
}

/// The parts that run, with what a reload needs of them.
pub(crate) struct Parts {
    pub(crate) engine: Option<Engine>,
    pub(crate) ruler: Option<RunningRuler>,
    pub(crate) alertmanager: Option<(AlertmanagerService, Arc<Telling>)>,
}

/// A ruler, and whoever reads its files.
#[derive(Clone)]
pub(crate) struct RunningRuler {
    pub(crate) service: RulerService,
    book: RuleBook,
    reloads: mpsc::Sender<ReloadRequest>,
    /// The rule files are not as they were when they were read last.
    pub(crate) changed: Arc<Changes>,
}

impl Parts {
    pub(crate) async fn start(
        configuration: &Configuration,
        targets: Targets,
        hands: &Hands,
        addresses: &[SocketAddr],
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let engine = if targets.ingest {
            Some(start_ingest(configuration, hands, tasks).await?)
        } else {
            None
        };
        let alertmanager = if targets.alertmanager {
            Some(start_alertmanager(configuration, hands, tasks).await?)
        } else {
            None
        };
        let ruler = if targets.ruler {
            Some(start_ruler(configuration, hands, engine.as_ref(), addresses, tasks).await?)
        } else {
            None
        };
        Ok(Self {
            engine,
            ruler,
            alertmanager,
        })
    }

    pub(crate) fn routes(&self) -> Routes {
        let ingest = self.engine.as_ref().map(ingest::routes);
        let ruler = self.ruler.as_ref().map(|ruler| ruler::routes(&ruler.book));
        let alertmanager = self
            .alertmanager
            .as_ref()
            .map(|(service, _)| alertmanager::routes(service));
        [ingest, ruler, alertmanager]
            .into_iter()
            .flatten()
            .fold(Routes::new(), Routes::merge)
    }

    /// The ruler ends before the Alertmanager, which may still hear from it.
    pub(crate) async fn join(self) -> bool {
        let ruler = match self.ruler {
            Some(ruler) => ruler.service.join(ENDING_MAX).await,
            None => true,
        };
        let alertmanager = match self.alertmanager {
            Some((alertmanager, _)) => alertmanager.join(ENDING_MAX).await,
            None => true,
        };
        ruler && alertmanager
    }
}

async fn start_ingest(
    configuration: &Configuration,
    hands: &Hands,
    tasks: &mut Tasks,
) -> anyhow::Result<Engine> {
    let build = Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: env!("WATCHBELL_COMMIT").to_owned(),
        date: env!("WATCHBELL_DATE").to_owned(),
    };
    let settings = IngestSettings::new(&configuration.watchbell, build);
    let (clock, metrics) = (hands.clock.clone(), hands.metrics.clone());
    let engine = blocking(move || Engine::open(settings, clock, &metrics))
        .await?
        .context("cannot start ingest")?;
    tasks.spawn("ingest", engine.clone().maintain(hands.stop.clone()));
    Ok(engine)
}

async fn start_alertmanager(
    configuration: &Configuration,
    hands: &Hands,
    tasks: &mut Tasks,
) -> anyhow::Result<(AlertmanagerService, Arc<Telling>)> {
    let watchbell = &configuration.watchbell;
    let (folder, sync) = storage(watchbell, "alertmanager");
    let (log, saved) = blocking(move || alertmanager::open_journal(&folder, sync))
        .await?
        .context("cannot start alertmanager")?;
    hands.metrics.watch_log("alertmanager", &log);
    let tellers = prepare(&configuration.alertmanager)
        .await
        .map_err(|error| anyhow!(error.sentence()))?;
    let telling = Arc::new(Telling::new(tellers, hands.clock.clone()));
    let mut settings = alertmanager::ServiceSettings {
        body_bytes_max: watchbell.limits.alerts_body_bytes_max,
        external_url: hands.external_url.clone(),
        version: version::of_alertmanager(),
        deliveries_max: descriptors::deliveries_max(),
        ..alertmanager::ServiceSettings::default()
    };
    settings.machine.alerts_max = watchbell.limits.alerts_max;
    settings.machine.groups_max = watchbell.limits.alert_groups_max;
    settings.machine.alerts_of_name_max = watchbell.limits.alerts_per_alertname_max;
    version::register(&hands.metrics);
    let collector = Collector::prepare(configuration.alertmanager.config.tracing.as_ref()).await?;
    let tracer = Tracer::new(hands.clock.clone(), version::VERSION, &hands.metrics);
    tracer.reconfigure(collector);
    let parts = alertmanager::ServiceParts {
        notifier: telling.clone(),
        log: Some(log),
        clock: hands.clock.clone(),
        metrics: AlertmanagerMetrics::register(&hands.metrics, MetricSettings::default()),
        tracer,
        recorder: None,
        stop: hands.stop.clone(),
        stopper: hands.stopper.clone(),
    };
    let config = Arc::new(configuration.alertmanager.config.clone());
    let service = AlertmanagerService::start(config, settings, parts, saved);
    service.note_config_hash(configuration.alertmanager.hash);
    tasks.spawn("alertmanager", service.clone().maintain(hands.stop.clone()));
    if watchbell.alertmanager.config_file.is_none() && configuration.alertmanagers.is_empty() {
        warn!("alertmanager.config_file is not set: alerts are shown, and nobody is told");
    }
    Ok((service, telling))
}

async fn start_ruler(
    configuration: &Configuration,
    hands: &Hands,
    engine: Option<&Engine>,
    addresses: &[SocketAddr],
    tasks: &mut Tasks,
) -> anyhow::Result<RunningRuler> {
    let watchbell = &configuration.watchbell;
    let (folder, sync) = storage(watchbell, "ruler");
    let (log, saved) = blocking(move || ruler::open_journal(&folder, sync))
        .await?
        .context("cannot start ruler")?;
    hands.metrics.watch_log("ruler", &log);
    // As with Go's clients, a proxy of the environment is nothing to alerts and rules unless a setting says so.
    let client = reqwest::Client::builder()
        .no_proxy()
        // A login page's 200 must not pass for an answer of the one that was asked.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot make an HTTP client")?;
    let timeout = watchbell.limits.query_timeout;
    let backend: Arc<dyn Backend> = match (
        &watchbell.ruler.query_url,
        &watchbell.ruler.write_url,
        engine,
    ) {
        (Some(query), Some(write), _) => {
            let replicas = watchbell.ruler.query_replicas.iter();
            let urls = std::iter::once(query).chain(replicas);
            let addresses = RemoteAddresses {
                query_bases: urls.map(|url| url.as_str().to_owned()).collect(),
                query_params: watchbell.ruler.query_params.clone(),
                write_url: write.as_str().to_owned(),
            };
            Arc::new(Remote::new(client.clone(), addresses, timeout))
        }
        (_, _, Some(engine)) => Arc::new(Embedded::new(engine.clone(), timeout)),
        (_, _, None) => bail!("the ruler has neither an engine nor addresses of one"),
    };
    let settings = ruler::ServiceSettings {
        resend_delay: watchbell.evaluation.resend_delay,
        outage_tolerance: watchbell.evaluation.for_outage_tolerance,
        concurrency_max: watchbell.evaluation.concurrency_max,
        group_concurrency_max: watchbell.evaluation.group_concurrency_max,
        over_limit: match watchbell.evaluation.limit_keeps_first {
            true => OverLimit::KeepFirst,
            false => OverLimit::DropAll,
        },
        rule_metrics: watchbell.evaluation.rule_metrics,
        outside: outside(configuration, addresses)?,
    };
    let parts = ruler::ServiceParts {
        backend,
        sender: Sender::new(client),
        log: Some(log),
        clock: hands.clock.clone(),
        metrics: RulerMetrics::new(&hands.metrics),
        stop: hands.stop.clone(),
        stopper: hands.stopper.clone(),
    };
    let service = RulerService::start(settings, parts, saved);
    let book = open_rule_book(configuration, &service).await?;
    let watch = RuleFileWatch::start(
        TenantId::anonymous(),
        configuration.rule_files.clone(),
        &book,
    );
    let watch = watch.await.map_err(|problems| anyhow!("{problems}"))?;
    book.start().await;
    tasks.spawn("uploaded-rules", book.clone().maintain(hands.stop.clone()));
    let (reloads, requests) = mpsc::channel(1);
    let changed = Arc::new(Changes::default());
    tasks.spawn(
        "rule-files",
        watch.run(book.clone(), requests, changed.clone(), hands.stop.clone()),
    );
    tasks.spawn("ruler", service.clone().maintain(hands.stop.clone()));
    Ok(RunningRuler {
        service,
        book,
        reloads,
        changed,
    })
}

impl RunningRuler {
    /// All rules from their files, or those of before.
    pub(crate) async fn read_again(
        &self,
        files: RuleFiles,
        occasion: Occasion,
    ) -> anyhow::Result<()> {
        let (defaults, language) = (files.defaults, files.parser_options);
        let (answer, answered) = oneshot::channel();
        let request = ReloadRequest {
            files: Some(files),
            occasion,
            answer,
        };
        let gone = "the process is ending";
        self.reloads
            .send(request)
            .await
            .map_err(|_| anyhow!(gone))?;
        let outcome = answered.await.map_err(|_| anyhow!(gone))?;
        outcome.map_err(|problems| anyhow!("{problems}"))?;
        self.book.set_defaults(defaults, language).await;
        Ok(())
    }
}

/// Uploaded rules are in a folder beside the other data, or where the configuration says; then what is known of them is
/// kept beside the other data too.
async fn open_rule_book(
    configuration: &Configuration,
    service: &RulerService,
) -> anyhow::Result<RuleBook> {
    let watchbell = &configuration.watchbell;
    let own_folder = watchbell.storage.path.join("rules");
    let settings = &watchbell.ruler.storage;
    let (store, last_known) = match &settings.url {
        None => (
            blocking(move || RuleStore::in_folder(&own_folder)).await??,
            None,
        ),
        Some(url) => {
            let store = RuleStore::at(url, &settings.options)?;
            let folder = watchbell.storage.path.join("rules-last-known");
            let last_known = {
                let store = store.clone();
                blocking(move || store.copy_in(&folder)).await??
            };
            (store, Some(last_known))
        }
    };
    let settings = RuleBookSettings {
        limits: UploadLimits {
            groups_max: watchbell.limits.rule_groups_max,
            rules_per_group_max: watchbell.limits.rules_per_group_max,
        },
        group_bytes_max: watchbell.limits.rule_group_bytes_max,
        poll_interval: settings.poll_interval,
        defaults: configuration.rule_files.defaults,
        parser_options: configuration.rule_files.parser_options,
    };
    Ok(RuleBook::open(service.clone(), store, last_known, settings).await)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a part failed while it started")
}

fn storage(watchbell: &WatchbellConfig, part: &str) -> (PathBuf, SyncPolicy) {
    (
        watchbell.storage.path.join(part),
        SyncPolicy::within(watchbell.storage.sync_interval),
    )
}
/// How the ruler's alerts go out: to the Alertmanagers that are configured, else to this process' own.
pub(crate) fn outside(
    configuration: &Configuration,
    addresses: &[SocketAddr],
) -> anyhow::Result<Outside> {
    let alertmanagers = if configuration.alertmanagers.is_empty() {
        vec![AlertmanagerTarget::new(format!(
            "http://{}/api/v2/alerts",
            own_address(addresses)?
        ))]
    } else {
        configuration.alertmanagers.clone()
    };
    Ok(Outside {
        external_labels: configuration.watchbell.external_labels.clone(),
        external_url: external_url(&configuration.watchbell, addresses),
        alert_relabel_configs: configuration.alert_relabel_configs.clone(),
        alertmanagers,
        language: configuration.rule_files.parser_options,
    })
}

/// Where this process reaches itself.
fn own_address(addresses: &[SocketAddr]) -> anyhow::Result<SocketAddr> {
    let mut address = *addresses.first().context("the HTTP port is not bound")?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

/// As written, else the machine's name and the first port; never with a slash at its end.
pub(crate) fn external_url(watchbell: &WatchbellConfig, addresses: &[SocketAddr]) -> String {
    if let Some(url) = &watchbell.server.external_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    machine_url(addresses)
}

pub(crate) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// The machine's name and the first port.
pub(crate) fn machine_url(addresses: &[SocketAddr]) -> String {
    let name = machine_name();
    match addresses.first() {
        Some(address) => format!("http://{name}:{}", address.port()),
        None => format!("http://{name}"),
    }
}
