//! `watchbell serve`: the targets of one process, wired together.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alertmanager::{AlertmanagerMetrics, AlertmanagerService};
use anyhow::{Context, anyhow, bail};
use config::{Problems, WatchbellConfig};
use ingest::{Build, Engine, IngestSettings};
use model::TenantId;
use prometheus_client::metrics::gauge::Gauge;
use promql::ParserOptions;
use ruler::{
    AlertmanagerTarget, Backend, Embedded, Outside, ReloadRequest, Remote, RuleFileWatch,
    RuleFiles, RulerMetrics, RulerService, Sender,
};
use runtime::log::SyncPolicy;
use runtime::{Clock, Metrics, Routes, Server, Stop, Stopper, SystemClock, Tasks, start_logging};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use crate::cli::{LogFormatName, LogLevelName, ServeArguments, TargetName};
use crate::configuration::Configuration;
use crate::pages;
use crate::telling::{Telling, prepare};

/// For deliveries and evaluations that are under way when the process is told to end.
const ENDING_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let configuration = load(&arguments)
        .await
        .map_err(|problems| anyhow!("{problems}"))?;
    let watchbell = &configuration.watchbell;
    start_logging(log_level(watchbell), log_format(watchbell));
    let targets = Targets::new(&arguments.targets);
    targets.check(&configuration)?;
    for warning in &configuration.warnings {
        warn!(%warning, "configuration");
    }
    info!(version = crate::cli::VERSION, targets = %targets, "Starting Watchbell");

    let server = Server::bind(&listen_addresses(&arguments, watchbell)).await?;
    let addresses = server.addresses();
    let external_url = external_url(watchbell, &addresses);
    let (stopper, stop) = Stopper::new();
    let hands = Hands {
        clock: Arc::new(SystemClock::new()),
        metrics: Metrics::new(),
        stop: stop.clone(),
        stopper: stopper.clone(),
        external_url,
    };
    let mut tasks = Tasks::new(stopper.clone());
    let parts = Parts::start(&configuration, targets, &hands, &addresses, &mut tasks).await?;

    let started_with = configuration.watchbell.clone();
    let reloader = Reloader::new(arguments, &addresses, &parts, started_with, &hands.metrics);
    let reloader = Arc::new(reloader);
    let routes = parts
        .routes()
        .merge(pages::routes(hands.metrics.clone(), reloader.clone()))
        .fallback(pages::not_found);
    if let Some(ruler) = &parts.ruler {
        tasks.spawn(
            "changes",
            reload_on_change(ruler.changed.clone(), reloader.clone(), stop.clone()),
        );
    }
    watch_signals(&mut tasks, stopper.clone(), reloader, stop.clone())?;
    for address in &addresses {
        info!(%address, "Listening on");
    }
    let server = server.measured(&hands.metrics);
    server.serve(routes.into_router(), stop).await;
    info!("ending in good order");
    let well = parts.join().await & tasks.join(ENDING_MAX).await;
    if well {
        Ok(())
    } else {
        bail!("a part of the process did not end well; its log says which")
    }
}

/// What this process runs.
#[derive(Clone, Copy, Debug)]
struct Targets {
    ingest: bool,
    ruler: bool,
    alertmanager: bool,
}

impl Targets {
    fn new(names: &[TargetName]) -> Self {
        let runs = |name| names.contains(&name) || names.contains(&TargetName::All);
        Self {
            ingest: runs(TargetName::Ingest),
            ruler: runs(TargetName::Ruler),
            alertmanager: runs(TargetName::Alertmanager),
        }
    }

    /// A ruler must know where it asks, writes and sends.
    fn check(self, configuration: &Configuration) -> anyhow::Result<()> {
        let ruler = &configuration.watchbell.ruler;
        if ruler.query_url.is_some() != ruler.write_url.is_some() {
            bail!("ruler.query_url and ruler.write_url are needed together");
        }
        if self.ruler && !self.ingest && ruler.query_url.is_none() {
            bail!(
                "the ruler needs ruler.query_url and ruler.write_url where it runs without the target ingest"
            );
        }
        if self.ruler && !self.alertmanager && configuration.alertmanagers.is_empty() {
            bail!(
                "the ruler needs alertmanager.urls where it runs without the target alertmanager"
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Targets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("ingest", self.ingest),
            ("ruler", self.ruler),
            ("alertmanager", self.alertmanager),
        ];
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, runs)| *runs)
            .map(|(name, _)| *name)
            .collect();
        formatter.write_str(&names.join(","))
    }
}

/// What every part is given.
struct Hands {
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    stop: Stop,
    stopper: Stopper,
    external_url: String,
}

/// The parts that run, with what a reload needs of them.
struct Parts {
    engine: Option<Engine>,
    ruler: Option<RunningRuler>,
    alertmanager: Option<(AlertmanagerService, Arc<Telling>)>,
}

/// A ruler, and whoever reads its files.
#[derive(Clone)]
struct RunningRuler {
    service: RulerService,
    reloads: mpsc::Sender<ReloadRequest>,
    /// The rule files are not as they were when they were read last.
    changed: Arc<Notify>,
}

impl Parts {
    async fn start(
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

    fn routes(&self) -> Routes {
        let ingest = self.engine.as_ref().map(ingest::routes);
        let ruler = self
            .ruler
            .as_ref()
            .map(|ruler| ruler::routes(&ruler.service));
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
    async fn join(self) -> bool {
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
    let tellers =
        prepare(&configuration.alertmanager).map_err(|error| anyhow!(error.sentence()))?;
    let telling = Arc::new(Telling::new(tellers, hands.clock.clone()));
    let settings = alertmanager::ServiceSettings {
        body_bytes_max: watchbell.limits.alerts_body_bytes_max,
        external_url: hands.external_url.clone(),
        ..alertmanager::ServiceSettings::default()
    };
    let parts = alertmanager::ServiceParts {
        notifier: telling.clone(),
        log: Some(log),
        clock: hands.clock.clone(),
        metrics: AlertmanagerMetrics::register(&hands.metrics),
        stop: hands.stop.clone(),
        stopper: hands.stopper.clone(),
    };
    let config = Arc::new(configuration.alertmanager.config.clone());
    let service = AlertmanagerService::start(config, settings, parts, saved);
    tasks.spawn("alertmanager", service.clone().maintain(hands.stop.clone()));
    if watchbell.alertmanager.config_file.is_none() {
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
        (Some(query), Some(write), _) => Arc::new(Remote::new(
            client.clone(),
            query.as_str(),
            write.as_str(),
            timeout,
        )),
        (_, _, Some(engine)) => Arc::new(Embedded::new(engine.clone(), timeout)),
        (_, _, None) => bail!("the ruler has neither an engine nor addresses of one"),
    };
    let settings = ruler::ServiceSettings {
        resend_delay: watchbell.evaluation.resend_delay,
        outage_tolerance: watchbell.evaluation.for_outage_tolerance,
        concurrency_max: watchbell.evaluation.concurrency_max,
        parser_options: ParserOptions::default(),
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
    // Tenants whose rules are gone while alerts of theirs were saved: those alerts end.
    let anonymous = TenantId::anonymous();
    for tenant in service
        .tenants()
        .iter()
        .filter(|tenant| **tenant != anonymous)
    {
        service.load(tenant, Vec::new()).await;
    }
    let watch = RuleFileWatch::start(
        TenantId::anonymous(),
        configuration.rule_files.clone(),
        &service,
    );
    let watch = watch.await.map_err(|problems| anyhow!("{problems}"))?;
    let (reloads, requests) = mpsc::channel(1);
    let changed = Arc::new(Notify::new());
    tasks.spawn(
        "rule-files",
        watch.run(
            service.clone(),
            requests,
            changed.clone(),
            hands.stop.clone(),
        ),
    );
    tasks.spawn("ruler", service.clone().maintain(hands.stop.clone()));
    Ok(RunningRuler {
        service,
        reloads,
        changed,
    })
}

impl RunningRuler {
    /// All rules from their files, or those of before.
    async fn read_again(&self, files: RuleFiles) -> anyhow::Result<()> {
        let (answer, answered) = oneshot::channel();
        let request = ReloadRequest {
            files: Some(files),
            answer,
        };
        let gone = "the process is ending";
        self.reloads
            .send(request)
            .await
            .map_err(|_| anyhow!(gone))?;
        let outcome = answered.await.map_err(|_| anyhow!(gone))?;
        outcome.map_err(|problems| anyhow!("{problems}"))
    }
}

/// Takes over what has changed in files: all of it, or nothing.
pub(crate) struct Reloader {
    arguments: ServeArguments,
    ruler: Option<RunningRuler>,
    alertmanager: Option<(AlertmanagerService, Arc<Telling>)>,
    addresses: Vec<SocketAddr>,
    /// What the process was started with.
    started_with: WatchbellConfig,
    successful: Gauge,
    /// One reload at a time.
    turn: Mutex<()>,
}

impl Reloader {
    fn new(
        arguments: ServeArguments,
        addresses: &[SocketAddr],
        parts: &Parts,
        started_with: WatchbellConfig,
        metrics: &Metrics,
    ) -> Self {
        let successful = Gauge::default();
        successful.set(1);
        let help = "Whether the configuration was taken over when it was read last";
        Self {
            arguments,
            ruler: parts.ruler.clone(),
            alertmanager: parts.alertmanager.clone(),
            addresses: addresses.to_vec(),
            started_with,
            successful: metrics.register(
                "watchbell_config_last_reload_successful",
                help,
                successful,
            ),
            turn: Mutex::new(()),
        }
    }

    pub(crate) async fn reload(&self) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let outcome = self.take_over().await;
        self.successful.set(i64::from(outcome.is_ok()));
        match &outcome {
            Ok(()) => info!("configuration taken over"),
            Err(problem) => {
                if let Some((alertmanager, _)) = &self.alertmanager {
                    alertmanager.reload_failed();
                }
                error!(%problem, "configuration not taken over, the one before stays");
            }
        }
        outcome
    }

    async fn take_over(&self) -> anyhow::Result<()> {
        let configuration = load(&self.arguments)
            .await
            .map_err(|problems| anyhow!("{problems}"))?;
        for warning in &configuration.warnings {
            warn!(%warning, "configuration");
        }
        let tellers =
            prepare(&configuration.alertmanager).map_err(|error| anyhow!(error.sentence()))?;
        for key in needs_restart(&self.started_with, &configuration.watchbell) {
            warn!(key, "this change takes effect at the next start");
        }
        if let Some(ruler) = &self.ruler {
            // Only files that changed since they were read above can still have a mistake.
            ruler.read_again(configuration.rule_files.clone()).await?;
            ruler
                .service
                .reconfigure(outside(&configuration, &self.addresses)?)
                .await;
        }
        if let Some((alertmanager, telling)) = &self.alertmanager {
            telling.replace(tellers);
            alertmanager
                .reload(Arc::new(configuration.alertmanager.config.clone()))
                .await;
        }
        Ok(())
    }
}

/// Keys that have changed and that a running process does not take over.
fn needs_restart(before: &WatchbellConfig, after: &WatchbellConfig) -> Vec<&'static str> {
    let timing = |config: &WatchbellConfig| {
        let evaluation = config.evaluation.clone();
        (
            evaluation.resend_delay,
            evaluation.for_outage_tolerance,
            evaluation.concurrency_max,
        )
    };
    let changed = [
        ("server", before.server != after.server),
        ("storage", before.storage != after.storage),
        ("evaluation", timing(before) != timing(after)),
        ("ruler", before.ruler != after.ruler),
        ("log", before.log != after.log),
        ("limits", before.limits != after.limits),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

/// Reads everything, with the command line's words in place of the file's.
async fn load(arguments: &ServeArguments) -> Result<Configuration, Problems> {
    let file = arguments.config_file.clone();
    let reading = tokio::task::spawn_blocking(move || Configuration::load(file.as_deref()));
    let mut configuration = reading.await.expect("reading files does not panic")?;
    let watchbell = &mut configuration.watchbell;
    if let Some(path) = &arguments.storage_path {
        watchbell.storage.path.clone_from(path);
    }
    if let Some(level) = arguments.log_level {
        watchbell.log.level = match level {
            LogLevelName::Debug => config::LogLevel::Debug,
            LogLevelName::Info => config::LogLevel::Info,
            LogLevelName::Warn => config::LogLevel::Warn,
            LogLevelName::Error => config::LogLevel::Error,
        };
    }
    if let Some(format) = arguments.log_format {
        watchbell.log.format = match format {
            LogFormatName::Json => config::LogFormat::Json,
            LogFormatName::Logfmt => config::LogFormat::Logfmt,
        };
    }
    Ok(configuration)
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

fn listen_addresses(arguments: &ServeArguments, watchbell: &WatchbellConfig) -> Vec<String> {
    if arguments.listen_addresses.is_empty() {
        vec![watchbell.server.listen_address.clone()]
    } else {
        arguments.listen_addresses.clone()
    }
}

/// How the ruler's alerts go out: to the Alertmanagers that are configured, else to this process' own.
fn outside(configuration: &Configuration, addresses: &[SocketAddr]) -> anyhow::Result<Outside> {
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
fn external_url(watchbell: &WatchbellConfig, addresses: &[SocketAddr]) -> String {
    if let Some(url) = &watchbell.server.external_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() {
        "localhost"
    } else {
        name.trim()
    };
    match addresses.first() {
        Some(address) => format!("http://{name}:{}", address.port()),
        None => format!("http://{name}"),
    }
}

/// Changed rule files are taken over with everything else, or not at all.
async fn reload_on_change(changed: Arc<Notify>, reloader: Arc<Reloader>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = changed.notified() => {
                // It logs by itself what came of it.
                let _ = reloader.reload().await;
            }
            () = stop.stopped() => return,
        }
    }
}

/// SIGHUP reads the configuration again; SIGTERM and SIGINT end the process in good order.
fn watch_signals(
    tasks: &mut Tasks,
    stopper: Stopper,
    reloader: Arc<Reloader>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    tasks.spawn("signals", async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // It logs by itself what came of it.
                    let _ = reloader.reload().await;
                }
                _ = terminate.recv() => stopper.stop(),
                _ = interrupt.recv() => stopper.stop(),
                () = stop.stopped() => return,
            }
        }
    });
    Ok(())
}

fn log_level(watchbell: &WatchbellConfig) -> runtime::LogLevel {
    match watchbell.log.level {
        config::LogLevel::Debug => runtime::LogLevel::Debug,
        config::LogLevel::Info => runtime::LogLevel::Info,
        config::LogLevel::Warn => runtime::LogLevel::Warn,
        config::LogLevel::Error => runtime::LogLevel::Error,
    }
}

fn log_format(watchbell: &WatchbellConfig) -> runtime::LogFormat {
    match watchbell.log.format {
        config::LogFormat::Json => runtime::LogFormat::Json,
        config::LogFormat::Logfmt => runtime::LogFormat::Logfmt,
    }
}
