//! A running process takes over what has changed in files.
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use alertmanager::AlertmanagerService;
use anyhow::anyhow;
use config::WatchbellConfig;
use prometheus_client::metrics::gauge::Gauge;
use runtime::Metrics;
use tracing::{error, info, warn};

use crate::cli::ServeArguments;
use crate::configuration::Configuration;
use crate::parts::{Parts, RunningRuler, outside};
use crate::shared_turn::SharedTurn;
use crate::telling::{Telling, prepare};

/// Takes over what has changed: all of it, or nothing.
pub(crate) trait TakeOver: Send + Sync + 'static {
    fn take_over(&self) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>>;
}

/// Who is asked for a reload, by a signal or a request.
pub(crate) struct Reloader {
    of: Box<dyn TakeOver>,
    successful: Gauge,
    /// One reload at a time, and one for all who wait for the next.
    turn: SharedTurn<Result<(), NotTakenOver>>,
}

/// Why everything stays as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct NotTakenOver(Arc<anyhow::Error>);

impl Reloader {
    pub(crate) fn new(of: impl TakeOver, metrics: &Metrics) -> Arc<Self> {
        let successful = Gauge::default();
        successful.set(1);
        let help = "Whether the configuration was taken over when it was read last";
        Arc::new(Self {
            of: Box::new(of),
            successful: metrics.register(
                "watchbell_config_last_reload_successful",
                help,
                successful,
            ),
            turn: SharedTurn::new(),
        })
    }

    /// Goes on to its end even where the caller does not wait for it, since half a configuration is none.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), NotTakenOver> {
        let reloader = Arc::clone(self);
        let reloading =
            tokio::spawn(async move { reloader.turn.take(async || reloader.once().await).await });
        match reloading.await {
            Ok(outcome) => outcome,
            Err(failure) => Err(NotTakenOver(Arc::new(failure.into()))),
        }
    }

    async fn once(&self) -> Result<(), NotTakenOver> {
        let outcome = self
            .of
            .take_over()
            .await
            .map_err(|problem| NotTakenOver(Arc::new(problem)));
        self.successful.set(i64::from(outcome.is_ok()));
        match &outcome {
            Ok(()) => info!("configuration taken over"),
            Err(problem) => {
                error!(%problem, "configuration not taken over, the one before stays");
            }
        }
        outcome
    }
}

/// What `watchbell serve` takes over.
pub(crate) struct ServedFiles {
    arguments: ServeArguments,
    ruler: Option<RunningRuler>,
    alertmanager: Option<(AlertmanagerService, Arc<Telling>)>,
    addresses: Vec<SocketAddr>,
    /// What the process was started with.
    started_with: WatchbellConfig,
}

impl ServedFiles {
    pub(crate) fn new(
        arguments: ServeArguments,
        addresses: &[SocketAddr],
        parts: &Parts,
        started_with: WatchbellConfig,
    ) -> Self {
        Self {
            arguments,
            ruler: parts.ruler.clone(),
            alertmanager: parts.alertmanager.clone(),
            addresses: addresses.to_vec(),
            started_with,
        }
    }

    async fn read_again(&self) -> anyhow::Result<()> {
        let configuration = Configuration::load_for(&self.arguments)
            .await
            .map_err(|problems| anyhow!("{problems}"))?;
        for warning in &configuration.warnings {
            warn!(%warning, "configuration");
        }
        let tellers = prepare(&configuration.alertmanager)
            .await
            .map_err(|error| anyhow!(error.sentence()))?;
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
            alertmanager.note_config_hash(configuration.alertmanager.hash);
        }
        Ok(())
    }
}

impl TakeOver for ServedFiles {
    fn take_over(&self) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>> {
        Box::pin(async move {
            let outcome = self.read_again().await;
            if let (Err(_), Some((alertmanager, _))) = (&outcome, &self.alertmanager) {
                alertmanager.reload_failed();
            }
            outcome
        })
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
