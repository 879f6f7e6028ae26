//! A running process takes over what has changed in files.
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alertmanager::{AlertmanagerService, Collector};
use anyhow::anyhow;
use config::WatchbellConfig;
use ingest::Engine;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use ruler::Occasion;
use runtime::Metrics;
use tracing::{error, info, warn};

use crate::cli::ServeArguments;
use crate::configuration::Configuration;
use crate::parts::{Parts, RunningRuler, outside};
use crate::shared_turn::SharedTurn;
use crate::telling::{Telling, prepare};

/// Takes over what has changed: all of it, or nothing.
pub(crate) trait TakeOver: Send + Sync + 'static {
    fn take_over(
        &self,
        occasion: Occasion,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>>;
}

/// Who is asked for a reload, by a signal or a request.
pub(crate) struct Reloader {
    of: Box<dyn TakeOver>,
    successful: Gauge,
    /// One reload at a time, and one for all who wait for the next.
    turn: SharedTurn<Result<(), NotTakenOver>>,
    /// What was said of the last failure: a change that is only noticed is tried again and again.
    failure: Mutex<Option<String>>,
    /// Somebody asks for what has not begun yet: it may be begun by one who only saw a change.
    asked: AtomicBool,
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
            failure: Mutex::new(None),
            asked: AtomicBool::new(false),
        })
    }

    /// Goes on to its end even where the caller does not wait for it, since half a configuration is none.
    pub(crate) async fn reload(self: &Arc<Self>, occasion: Occasion) -> Result<(), NotTakenOver> {
        let reloader = Arc::clone(self);
        if occasion == Occasion::Asked {
            self.asked.store(true, Ordering::Release);
        }
        let reloading = tokio::spawn(async move {
            let work = async || reloader.once(occasion).await;
            reloader.turn.take(work).await
        });
        match reloading.await {
            Ok(outcome) => outcome,
            Err(failure) => Err(NotTakenOver(Arc::new(failure.into()))),
        }
    }

    async fn once(&self, occasion: Occasion) -> Result<(), NotTakenOver> {
        let occasion = if self.asked.swap(false, Ordering::AcqRel) {
            Occasion::Asked
        } else {
            occasion
        };
        let outcome = self
            .of
            .take_over(occasion)
            .await
            .map_err(|problem| NotTakenOver(Arc::new(problem)));
        self.successful.set(i64::from(outcome.is_ok()));
        let failure = outcome.as_ref().err().map(ToString::to_string);
        let before = std::mem::replace(&mut *self.failure.lock(), failure.clone());
        match &outcome {
            Ok(()) => info!("configuration taken over"),
            Err(_) if occasion == Occasion::StillNoticed && before == failure => {}
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
    engine: Option<Engine>,
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
            engine: parts.engine.clone(),
            ruler: parts.ruler.clone(),
            alertmanager: parts.alertmanager.clone(),
            addresses: addresses.to_vec(),
            started_with,
        }
    }

    async fn read_again(&self, occasion: Occasion) -> anyhow::Result<()> {
        let configuration = Configuration::load_for(&self.arguments)
            .await
            .map_err(|problems| anyhow!("{problems}"))?;
        for warning in &configuration.warnings {
            warn!(%warning, "configuration");
        }
        let tellers = prepare(&configuration.alertmanager)
            .await
            .map_err(|error| anyhow!(error.sentence()))?;
        let tracing = configuration.alertmanager.config.tracing.as_ref();
        let collector = Collector::prepare(tracing).await?;
        for key in needs_restart(&self.started_with, &configuration.watchbell) {
            warn!(key, "this change takes effect at the next start");
        }
        // All that can fail stands before the first thing that is taken over.
        let outside = outside(&configuration, &self.addresses)?;
        if let Some(ruler) = &self.ruler {
            // Only files that changed since they were read above can still have a mistake.
            let files = configuration.rule_files.clone();
            ruler.read_again(files, occasion).await?;
            ruler.service.reconfigure(outside).await;
        }
        if let Some(engine) = &self.engine {
            engine.set_language(configuration.rule_files.parser_options);
        }
        if let Some((alertmanager, telling)) = &self.alertmanager {
            alertmanager.tracer().reconfigure(collector);
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
    fn take_over(
        &self,
        occasion: Occasion,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>> {
        Box::pin(async move {
            let outcome = self.read_again(occasion).await;
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
            evaluation.group_concurrency_max,
            evaluation.limit_keeps_first,
            evaluation.rule_metrics,
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;

    use ruler::Occasion;
    use runtime::Metrics;
    use tokio::sync::{Semaphore, mpsc};

    use super::{Reloader, TakeOver};

    struct Held {
        begun: mpsc::UnboundedSender<Occasion>,
        go_on: Arc<Semaphore>,
    }

    impl TakeOver for Held {
        fn take_over(
            &self,
            occasion: Occasion,
        ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + '_>> {
            Box::pin(async move {
                self.begun.send(occasion)?;
                self.go_on.acquire().await?.forget();
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn one_who_asks_is_served_as_such_by_one_who_only_saw_a_change() {
        let go_on = Arc::new(Semaphore::new(0));
        let (begun, mut has_begun) = mpsc::unbounded_channel();
        let held = Held {
            begun,
            go_on: go_on.clone(),
        };
        let reloader = Reloader::new(held, &Metrics::new());
        let reload = |occasion: Occasion| {
            let reloader = reloader.clone();
            tokio::spawn(async move { reloader.reload(occasion).await.unwrap() })
        };
        let first = reload(Occasion::Noticed);
        assert_eq!(has_begun.recv().await, Some(Occasion::Noticed));
        let saw = reload(Occasion::Noticed);
        tokio::task::yield_now().await;
        let asked = reload(Occasion::Asked);
        tokio::task::yield_now().await;
        go_on.add_permits(3);
        for reloading in [first, saw, asked] {
            reloading.await.unwrap();
        }
        let last = reload(Occasion::Noticed);
        assert_eq!(has_begun.recv().await, Some(Occasion::Asked));
        go_on.add_permits(1);
        last.await.unwrap();
        assert_eq!(
            has_begun.recv().await,
            Some(Occasion::Noticed),
            "what was asked for is done"
        );
    }
}
