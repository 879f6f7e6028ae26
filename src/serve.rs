//! `watchbell serve`: the parts of one process, their port, and the signals that they listen to.
use std::sync::Arc;

use anyhow::{Context, bail};
use config::WatchbellConfig;
use ruler::{Changes, Occasion};
use runtime::{Metrics, Server, Stop, Stopper, SystemClock, Tasks, start_logging};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli::ServeArguments;
use crate::configuration::Configuration;
use crate::pages;
use crate::parts::{ENDING_MAX, Hands, Parts, external_url};
use crate::reload::{Reloader, ServedFiles};
use crate::targets::Targets;
use crate::version::VERSION;

pub(crate) async fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let configuration = Configuration::load_for(&arguments)
        .await
        .map_err(anyhow::Error::from)?;
    let watchbell = &configuration.watchbell;
    start_logging(
        log_level(watchbell.log.level),
        log_format(watchbell.log.format),
    )
    .context("cannot start logging")?;
    let targets = Targets::new(&arguments.targets);
    targets.check(&configuration)?;
    for warning in &configuration.warnings {
        warn!(%warning, "configuration");
    }
    info!(version = VERSION, targets = %targets, "Starting Watchbell");

    let server = Server::bind(&listen_addresses(&arguments, watchbell)).await?;
    let addresses = server.addresses();
    let external_url = external_url(watchbell, &addresses);
    let (stopper, stop) = Stopper::new();
    let hands = Hands {
        clock: Arc::new(SystemClock::new()),
        metrics: Metrics::new().with_process(),
        stop: stop.clone(),
        stopper: stopper.clone(),
        external_url,
    };
    let mut tasks = Tasks::new(stopper.clone());
    let parts = Parts::start(&configuration, targets, &hands, &addresses, &mut tasks).await?;

    let started_with = configuration.watchbell.clone();
    let files = ServedFiles::new(arguments, &addresses, &parts, started_with);
    let reloader = Reloader::new(files, &hands.metrics);
    let routes = parts
        .routes()
        .merge(pages::routes(
            hands.metrics.clone(),
            parts
                .alertmanager
                .as_ref()
                .map(|(service, _)| service.clone()),
            reloader.clone(),
        ))
        .merge(pages::graph_routes())
        .fallback(pages::not_found);
    let routes = match &parts.alertmanager {
        Some((service, _)) => alertmanager::trace_requests(routes, service.tracer()),
        None => routes,
    };
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

fn listen_addresses(arguments: &ServeArguments, watchbell: &WatchbellConfig) -> Vec<String> {
    if arguments.listen_addresses.is_empty() {
        vec![watchbell.server.listen_address.clone()]
    } else {
        arguments.listen_addresses.clone()
    }
}
/// Changed rule files are taken over with everything else, or not at all.
async fn reload_on_change(changed: Arc<Changes>, reloader: Arc<Reloader>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = changed.new.notified() => {
                // It logs by itself what came of it.
                let _ = reloader.reload(Occasion::Noticed).await;
            }
            () = changed.still.notified() => {
                let _ = reloader.reload(Occasion::StillNoticed).await;
            }
            () = stop.stopped() => return,
        }
    }
}

/// SIGHUP reads the configuration again; SIGTERM and SIGINT end the process in good order.
pub(crate) fn watch_signals(
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
                    let _ = reloader.reload(Occasion::Asked).await;
                }
                _ = terminate.recv() => stopper.stop(),
                _ = interrupt.recv() => stopper.stop(),
                () = stop.stopped() => return,
            }
        }
    });
    Ok(())
}

pub(crate) fn log_level(level: config::LogLevel) -> runtime::LogLevel {
    match level {
        config::LogLevel::Debug => runtime::LogLevel::Debug,
        config::LogLevel::Info => runtime::LogLevel::Info,
        config::LogLevel::Warn => runtime::LogLevel::Warn,
        config::LogLevel::Error => runtime::LogLevel::Error,
    }
}

pub(crate) fn log_format(format: config::LogFormat) -> runtime::LogFormat {
    match format {
        config::LogFormat::Json => runtime::LogFormat::Json,
        config::LogFormat::Logfmt => runtime::LogFormat::Logfmt,
    }
}
