//! The event recorder: what happens to alerts, silences and notifications, written to files, standard output and
//! webhooks for those who keep a history.
//!
//! [`EventRecorder::record`] never waits: events stand in one bounded queue, a task writes them as JSON, and each output
//! has a bounded queue of its own, so that a slow one costs neither the pipeline nor the other outputs anything. What
//! does not fit is dropped and counted.
mod destination;
mod ledger;
mod line_output;
mod metrics;
mod output;
mod sink;
mod webhook_output;

use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{EventData, RecordedEvent};
use runtime::{Clock, Stop, Stopper};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::info;

use crate::recorder::ledger::Line;
use crate::recorder::output::Output;

pub use crate::recorder::destination::{Destinations, RecorderError};
pub use crate::recorder::metrics::RecorderMetrics;

/// Events that wait to be written as JSON (Alertmanager's own bound).
const QUEUE_MAX: usize = 8192;
/// How long outputs that a reload took away may go on with what they have, as in Alertmanager.
const OLD_DRAIN_MAX: Duration = Duration::from_secs(30);

/// Cheap to copy.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<Queued>,
    clock: Arc<dyn Clock>,
    metrics: RecorderMetrics,
}

/// In one queue, so that what was recorded before a reload goes where it was to go then.
enum Queued {
    Close {
        patience: Duration,
        done: oneshot::Sender<()>,
    },
    Event(RecordedEvent),
    Swap {
        destinations: Destinations,
        done: oneshot::Sender<()>,
    },
}

impl EventRecorder {
    /// `instance` is the name under which events are written.
    #[must_use]
    pub fn start(
        destinations: Destinations,
        instance: &str,
        clock: Arc<dyn Clock>,
        metrics: RecorderMetrics,
    ) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (stopper, stop) = Stopper::new();
        let mut writer = Writer {
            instance: instance.to_owned(),
            outputs: Vec::new(),
            closing: JoinSet::new(),
            stopper,
            stop,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        };
        tokio::spawn(async move {
            writer.swap(destinations);
            writer.run(queued).await;
        });
        Self {
            queue,
            clock,
            metrics,
        }
    }

    /// Never waits: what does not fit is dropped and counted.
    pub fn record(&self, event: RecordedEvent) {
        let kind = event.data.kind();
        self.metrics.queue_length.inc();
        if self.queue.try_send(Queued::Event(event)).is_err() {
            self.metrics.queue_length.dec();
            self.metrics.dropped(kind);
        }
    }

    /// The process itself begins, or ends.
    pub fn record_now(&self, data: EventData) {
        let at = self.clock.now();
        self.record(RecordedEvent { at, data });
    }

    /// What is recorded from here on goes there. Outputs that stay go on; the others finish what they have.
    pub async fn reconfigure(&self, destinations: Destinations) {
        let (done, swapped) = oneshot::channel();
        let swap = Queued::Swap { destinations, done };
        if self.queue.send(swap).await.is_ok() {
            // Where the recorder has been closed meanwhile there is nothing to wait for.
            let _ = swapped.await;
        }
    }

    /// Writes what was recorded until here, `patience` at most. What is not written by then is counted as dropped.
    pub async fn close(&self, patience: Duration) {
        let (done, closed) = oneshot::channel();
        let close = Queued::Close { patience, done };
        if self.queue.send(close).await.is_ok() {
            let _ = closed.await;
        }
    }
}

struct Writer {
    instance: String,
    outputs: Vec<Output>,
    closing: JoinSet<()>,
    /// Ends the patience with all that are closing.
    stopper: Stopper,
    stop: Stop,
    clock: Arc<dyn Clock>,
    metrics: RecorderMetrics,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        while let Some(queued) = queue.recv().await {
            match queued {
                Queued::Event(event) => {
                    self.metrics.queue_length.dec();
                    self.write(&event);
                }
                Queued::Swap { destinations, done } => {
                    self.swap(destinations);
                    let _ = done.send(());
                }
                Queued::Close { patience, done } => {
                    queue.close();
                    self.close(patience).await;
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    fn write(&self, event: &RecordedEvent) {
        if self.outputs.is_empty() {
            return;
        }
        let line = Arc::new(Line {
            kind: event.data.kind(),
            // A cluster of one.
            json: event.to_json(&self.instance, 0),
        });
        for output in &self.outputs {
            output.offer(&line);
        }
    }

    fn swap(&mut self, destinations: Destinations) {
        let mut before = std::mem::take(&mut self.outputs);
        for destination in destinations.0 {
            let same = before.iter().position(|output| output.serves(&destination));
            self.outputs.push(match same {
                Some(same) => before.swap_remove(same),
                None => Output::start(destination, &self.clock, &self.metrics),
            });
        }
        if !(self.outputs.is_empty() && before.is_empty()) {
            let (outputs, gone) = (self.outputs.len(), before.len());
            info!(outputs, gone, "event recorder configured");
        }
        while self.closing.try_join_next().is_some() {}
        for output in before {
            let close = output.close(OLD_DRAIN_MAX, self.stop.clone());
            self.closing.spawn(close);
        }
    }

    /// Those that a reload took away and that still have something, too.
    async fn close(&mut self, patience: Duration) {
        for output in self.outputs.drain(..) {
            let close = output.close(patience, self.stop.clone());
            self.closing.spawn(close);
        }
        let closed = async { while self.closing.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, closed).await.is_err() {
            self.stopper.stop();
            while self.closing.join_next().await.is_some() {}
        }
    }
}
