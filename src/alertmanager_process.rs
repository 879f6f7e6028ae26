//! `watchbell alertmanager`: an Alertmanager and nothing else, in place of prometheus/alertmanager.
//!
//! One configuration file, one tenant: a header that names another is not looked at, as there.
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alertmanager::{
    AlertmanagerMetrics, AlertmanagerService, ClusterMember, Collector, DataFolder, Destinations,
    EventData, EventRecorder, FrontSettings, MetricSettings, RecorderMetrics, ServiceParts,
    ServiceSettings, Tracer,
};
use anyhow::{Context, anyhow};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::map_request;
use axum::routing::get;
use config::{AlertmanagerFiles, AlertmanagerOptions};
use ruler::Occasion;
use runtime::log::SyncPolicy;
use runtime::{
    Clock, DiskFiles, Metrics, Server, Stop, Stopper, SystemClock, TENANT_HEADER, Tasks, Web,
    start_logging, watch_clock,
};
use tracing::{error, info, warn};

use crate::activation::ActivationError;
use crate::alertmanager_flags::{AlertmanagerFlags, Features};
use crate::cluster_port::ClusterPort;
use crate::descriptors;
use crate::pages;
use crate::parts::{ENDING_MAX, machine_name, machine_url};
use crate::reload::{Reloader, TakeOver};
use crate::serve::{log_format, log_level, watch_signals};
use crate::telling::{Telling, prepare};
use crate::version;

/// How long outputs of events may take for what they have at the end.
const RECORDER_DRAIN_MAX: Duration = Duration::from_secs(5);

/// `sockets` are those that systemd opened, where it was asked for them.
pub(crate) async fn run(
    flags: AlertmanagerFlags,
    sockets: Option<Result<Vec<TcpListener>, ActivationError>>,
) -> anyhow::Result<()> {
    start_logging(
        log_level(flags.log_level.into()),
        log_format(flags.log_format.into()),
    )
    .context("cannot start logging")?;
    let features = flags
        .features()
        .context("error parsing the feature flag list")?;
    flags.check()?;
    info!(version = version::in_brief(), "Starting Alertmanager");
    info!(build_context = version::build_context(), "Build context");
    for name in &features.without_effect {
        warn!(feature = name, "this feature has no effect");
    }
    if !flags.cluster.tls_config.is_empty() {
        warn!("--cluster.tls-config has no effect: no other node is spoken to");
    }
    let reading = ConfigurationFile {
        path: flags.config_file.clone(),
        options: AlertmanagerOptions {
            mode: features.parser_mode,
            records_events: features.event_recorder,
            retention: flags.retention,
            ..AlertmanagerOptions::default()
        },
    };
    let files = reading
        .read()
        .await
        .context("error loading configuration file")?;
    let tellers = prepare(&files)
        .await
        .map_err(|error| anyhow!(error.sentence()))?;

    let destinations = if features.event_recorder {
        Some(Destinations::prepare(files.config.event_recorder.as_ref()).await?)
    } else {
        None
    };

    let collector = Collector::prepare(files.config.tracing.as_ref()).await?;
    let web = guard(&flags)?;
    let clock = Arc::new(SystemClock::new());
    let cluster = ClusterPort::bind(&flags.cluster, clock.now()).await?;
    let server = match sockets {
        Some(sockets) => Server::of(sockets?)?,
        None => Server::bind(&flags.listen_addresses).await?,
    };
    let server = server.guarded(web.clone());
    let addresses = server.addresses();
    let address = Address::new(&flags, &addresses)?;
    let metrics = Metrics::new().with_process();
    let server = server.measured(&metrics);
    version::register(&metrics);
    let (stopper, stop) = Stopper::new();
    let mut tasks = Tasks::new(stopper.clone());
    tasks.spawn_fallible("clock", watch_clock(clock.clone(), stop.clone()));
    let telling = Arc::new(Telling::new(tellers, clock.clone()));
    let folder = flags.storage_path.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let log = folder.join("alertmanager");
        let (log, mut saved) = alertmanager::open_journal(&log, SyncPolicy::default())?;
        let passed_over = alertmanager::take_over(&folder, &mut saved)?;
        Ok::<_, anyhow::Error>((log, saved, passed_over))
    });
    let (log, saved, passed_over) = opening.await.context("the storage could not be opened")??;
    metrics.watch_log("alertmanager", &log);
    let member = cluster.as_ref().map(|port| port.member.clone());
    let recorder = destinations.map(|destinations| {
        let metrics = RecorderMetrics::register(&metrics);
        EventRecorder::start(destinations, &machine_name(), clock.clone(), metrics)
    });
    if let Some(recorder) = &recorder {
        recorder.record_now(EventData::ProcessStarts {
            version: version::of_alertmanager().version,
            build_context: version::build_context(),
        });
    }
    let tracer = Tracer::new(clock.clone(), &version::of_alertmanager().version, &metrics);
    tracer.reconfigure(collector);
    let parts = ServiceParts {
        notifier: telling.clone(),
        log: Some(log),
        clock,
        metrics: AlertmanagerMetrics::register(
            &metrics,
            metric_settings(&features, member.as_ref()),
        ),
        tracer,
        recorder: recorder.clone(),
        stop: stop.clone(),
        stopper: stopper.clone(),
    };
    let config = Arc::new(files.config.clone());
    let settings = ServiceSettings {
        cluster: member,
        deliveries_max: descriptors::deliveries_max(),
        ..settings(&flags, &features, &address)
    };
    let service = AlertmanagerService::start(config, settings, parts, saved);
    service.note_config_hash(files.hash);
    service.note_not_loaded(passed_over.silences);
    if let Some(cluster) = cluster {
        tasks.spawn("cluster", cluster.hold(stop.clone()));
    }
    tasks.spawn("alertmanager", service.clone().maintain(stop.clone()));

    let reloader = Reloader::new(
        AlertmanagerFile {
            reading,
            service: service.clone(),
            telling,
            recorder: recorder.clone(),
        },
        &metrics,
    );
    let front = FrontSettings {
        gets_max: usize::try_from(flags.get_concurrency)
            .ok()
            .filter(|limit| *limit > 0),
        timeout: flags.web_timeout,
    };
    let router = router(&service, metrics, &reloader, &address, front);
    watch_signals(&mut tasks, stopper, reloader, stop.clone())?;
    let (tls, http2) = web.map_or((false, false), |web| web.speaks_tls());
    for address in &addresses {
        info!(%address, "Listening on");
        let said = if tls {
            "TLS is enabled."
        } else {
            "TLS is disabled."
        };
        info!(http2, %address, "{said}");
    }
    tasks.spawn("farewell", farewell(stop.clone()));
    server.serve(router, stop).await;
    let well = service.join(ENDING_MAX).await & tasks.join(ENDING_MAX).await;
    if let Some(recorder) = recorder {
        recorder.record_now(EventData::ProcessEnds);
        recorder.close(RECORDER_DRAIN_MAX).await;
    }
    if well {
        Ok(())
    } else {
        Err(anyhow!(
            "a part of the process did not end well; its log says which"
        ))
    }
}

async fn farewell(mut stop: Stop) {
    stop.stopped().await;
    info!("Received shutdown signal, exiting gracefully...");
}

fn guard(flags: &AlertmanagerFlags) -> anyhow::Result<Option<Arc<Web>>> {
    if flags.web_config_file.is_empty() {
        return Ok(None);
    }
    let web = Web::open(flags.web_config_file.as_ref())?;
    Ok(Some(Arc::new(web)))
}

fn metric_settings(features: &Features, member: Option<&ClusterMember>) -> MetricSettings {
    MetricSettings {
        alert_names: features.alert_names_in_metrics,
        group_keys: features.group_key_in_metrics,
        receiver_names: features.receiver_name_in_metrics,
        peer_name: member.map(|member| member.name.clone()),
    }
}

fn settings(flags: &AlertmanagerFlags, features: &Features, address: &Address) -> ServiceSettings {
    let mut settings = ServiceSettings {
        external_url: address.external_url.clone(),
        parser_mode: features.parser_mode,
        version: version::of_alertmanager(),
        log_silences: flags.log_silences,
        tenants_max: 1,
        data_folder: Some(DataFolder {
            path: flags.storage_path.clone(),
            maintenance_interval: flags.maintenance_interval,
        }),
        ..ServiceSettings::default()
    };
    let machine = &mut settings.machine;
    machine.retention = flags.retention;
    machine.garbage_interval = flags.gc_interval;
    machine.start_delay = flags.start_delay;
    machine.alerts_of_name_max = usize::try_from(flags.per_alertname_limit).unwrap_or(0);
    let given = |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0);
    if let Some(alerts_max) = given(flags.alerts_max) {
        machine.alerts_max = alerts_max;
    }
    if let Some(groups_max) = given(flags.groups_max) {
        machine.groups_max = groups_max;
    }
    if let Some(silences_max) = given(flags.silences_max) {
        machine.silence.silences_max = silences_max;
    }
    if let Some(bytes_max) = given(flags.silence_bytes_max) {
        machine.silence.bytes_max = bytes_max;
    }
    settings
}

/// Where it is reached from outside, and below which path.
struct Address {
    external_url: String,
    /// Empty, or with a slash before it and none behind.
    prefix: String,
}

impl Address {
    fn new(flags: &AlertmanagerFlags, addresses: &[SocketAddr]) -> anyhow::Result<Self> {
        let external_url = if flags.external_url.is_empty() {
            machine_url(addresses)
        } else {
            let url = config::HttpUrl::parse(&flags.external_url)
                .context("failed to determine external URL")?;
            url.as_str().trim_end_matches('/').to_owned()
        };
        let prefix = if flags.route_prefix.is_empty() {
            config::HttpUrl::parse(&external_url)
                .map(|url| url.parsed().path().to_owned())
                .unwrap_or_default()
        } else {
            flags.route_prefix.clone()
        };
        let prefix = prefix.trim_matches('/');
        Ok(Self {
            external_url,
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("/{prefix}")
            },
        })
    }
}

fn router(
    service: &AlertmanagerService,
    metrics: Metrics,
    reloader: &Arc<Reloader>,
    address: &Address,
    front: FrontSettings,
) -> Router {
    let routes = alertmanager::routes(service)
        .merge(alertmanager::version_1_routes())
        .merge(pages::routes(
            metrics.clone(),
            Some(service.clone()),
            reloader.clone(),
        ));
    let routes = alertmanager::front(routes, front, &metrics)
        .fallback(pages::not_found)
        .layer(map_request(async |mut request: Request| {
            request.headers_mut().remove(TENANT_HEADER);
            request
        }));
    let routes = alertmanager::trace_requests(routes, service.tracer()).into_router();
    if address.prefix.is_empty() {
        return routes;
    }
    let prefix = address.prefix.clone();
    let home = prefix.clone();
    Router::new()
        .nest(&prefix, routes)
        .route(
            "/",
            get(async move || (StatusCode::FOUND, [(LOCATION, home)])),
        )
        .fallback(pages::no_page)
}

/// How the configuration file is read.
struct ConfigurationFile {
    path: PathBuf,
    options: AlertmanagerOptions,
}

impl ConfigurationFile {
    async fn read(&self) -> anyhow::Result<AlertmanagerFiles> {
        let file = self.path.to_string_lossy().into_owned();
        let component = "configuration";
        info!(component, file, "Loading configuration file");
        let (name, options) = (file.clone(), self.options.clone());
        let reading = tokio::task::spawn_blocking(move || {
            AlertmanagerFiles::load(&name, &options, &DiskFiles)
        });
        match reading.await.context("reading the configuration failed")? {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    warn!(component, %warning, "configuration");
                }
                info!(component, file, "Completed loading of configuration file");
                Ok(loaded.value)
            }
            Err(problems) => {
                let sentence = problems.alertmanager_error().unwrap_or_default();
                error!(component, file, err = sentence, mistakes = %problems, "Loading configuration file failed");
                Err(problems.headed(Some(sentence)).into())
            }
        }
    }
}

/// What a reload takes over.
struct AlertmanagerFile {
    reading: ConfigurationFile,
    service: AlertmanagerService,
    telling: Arc<Telling>,
    recorder: Option<EventRecorder>,
}

impl AlertmanagerFile {
    async fn read_again(&self) -> anyhow::Result<()> {
        let files = self.reading.read().await?;
        let tellers = prepare(&files)
            .await
            .map_err(|error| anyhow!(error.sentence()))?;
        let collector = Collector::prepare(files.config.tracing.as_ref()).await?;
        if let Some(recorder) = &self.recorder {
            let settings = files.config.event_recorder.as_ref();
            let destinations = Destinations::prepare(settings).await?;
            recorder.reconfigure(destinations).await;
        }
        self.service.tracer().reconfigure(collector);
        self.telling.replace(tellers);
        self.service.reload(Arc::new(files.config)).await;
        self.service.note_config_hash(files.hash);
        Ok(())
    }
}

impl TakeOver for AlertmanagerFile {
    fn take_over(
        &self,
        _: Occasion,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>> {
        Box::pin(async move {
            let outcome = self.read_again().await;
            if outcome.is_err() {
                self.service.reload_failed();
            }
            outcome
        })
    }
}
