//! Ending in good order: one signal that everything hears, and tasks whose failure is never silent.
use std::convert::Infallible;
use std::fmt::Display;
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
    /// Whether each has ended well.
    set: JoinSet<bool>,
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
        self.spawn_fallible(name, async {
            task.await;
            Ok::<_, Infallible>(())
        });
    }

    /// A task whose error is that the process cannot go on: it stops the process as a panic does.
    pub fn spawn_fallible<E>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Display + Send + 'static,
    {
        let stopper = self.stopper.clone();
        self.set.spawn(async move {
            match tokio::spawn(task).await {
                Ok(Ok(())) => true,
                Ok(Err(reason)) => {
                    error!(task = name, %reason, "a task failed; stopping");
                    stopper.stop();
                    false
                }
                Err(failure) if failure.is_panic() => {
                    error!(task = name, "a task failed; stopping");
                    stopper.stop();
                    false
                }
                // The runtime ends.
                Err(_) => true,
            }
        });
    }

    /// Waits for all tasks to end, `patience` at most. Says whether all of them ended well.
    pub async fn join(mut self, patience: Duration) -> bool {
        let all = async {
            let mut well = true;
            while let Some(ended) = self.set.join_next().await {
                well &= ended.unwrap_or(false);
            }
            well
        };
        tokio::time::timeout(patience, all).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Stopper, Tasks};
    use crate::heard_log::HeardLog;

    const FAR: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_task_that_fails_stops_the_process_and_is_no_good_end() {
        let fine = async || Ok::<(), &str>(());
        let broken = async || Err("the clock was set back");
        let panics = async || -> Result<(), &str> { panic!("on purpose") };
        let heard = HeardLog::start();
        let (stopper, stop) = Stopper::new();
        let mut tasks = Tasks::new(stopper);
        tasks.spawn_fallible("clock", fine());
        tasks.spawn("other", async {});
        assert!(tasks.join(FAR).await);
        assert!(!stop.is_stopped());
        assert_eq!(heard.lines(), [""; 0]);

        let (stopper, mut stop) = Stopper::new();
        let mut tasks = Tasks::new(stopper);
        tasks.spawn_fallible("clock", broken());
        stop.stopped().await;
        assert!(!tasks.join(FAR).await);
        let line = "ERROR a task failed; stopping task=clock reason=the clock was set back";
        assert_eq!(heard.lines(), [line]);

        let (stopper, mut stop) = Stopper::new();
        let mut tasks = Tasks::new(stopper);
        tasks.spawn_fallible("clock", panics());
        stop.stopped().await;
        assert!(!tasks.join(FAR).await);
    }
}
