//! Ending in good order: one signal that everything hears, and tasks whose failure is never silent.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

/// Gives the signal.
#[derive(Clone, Debug)]
pub struct Stopper {
    sender: Arc<watch::Sender<bool>>,
}

/// Hears the signal; cheap to copy.
#[derive(Clone, Debug)]
pub struct Stop {
    receiver: watch::Receiver<bool>,
}

impl Stopper {
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (
            Self {
                sender: Arc::new(sender),
            },
            Stop { receiver },
        )
    }

    pub fn stop(&self) {
        self.sender.send_replace(true);
    }
}

impl Stop {
    /// Resolves once the signal was given, or when nobody is left who could give it.
    pub async fn stopped(&mut self) {
        // The sender being gone means the same: nothing will run much longer.
        let _ = self.receiver.wait_for(|stopped| *stopped).await;
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.receiver.borrow()
    }
}

/// Tasks that belong together. One that panics stops the whole process in good order: an alerting pipeline with a
/// dead part must be restarted, not go on in silence.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<()>,
    stopper: Stopper,
}

impl Tasks {
    #[must_use]
    pub fn new(stopper: Stopper) -> Self {
        Self {
            set: JoinSet::new(),
            stopper,
        }
    }

    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stopper = self.stopper.clone();
        self.set.spawn(async move {
            if let Err(failure) = tokio::spawn(task).await
                && failure.is_panic()
            {
                error!(task = name, "a task failed; stopping");
                stopper.stop();
                std::panic::resume_unwind(failure.into_panic());
            }
        });
    }

    /// Waits for all tasks to end, `patience` at most. Says whether all of them ended well.
    pub async fn join(mut self, patience: Duration) -> bool {
        let all = async {
            let mut well = true;
            while let Some(ended) = self.set.join_next().await {
                well &= ended.is_ok();
            }
            well
        };
        tokio::time::timeout(patience, all).await.unwrap_or(false)
    }
}
