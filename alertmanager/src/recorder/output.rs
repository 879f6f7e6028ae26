//! One output, with its queue.
use std::sync::Arc;
use std::time::Duration;

use runtime::{Clock, Stop};
use tokio::sync::mpsc;
use tracing::warn;

use crate::recorder::destination::Destination;
use crate::recorder::ledger::{EVENTS_MAX, Ledger, Line};
use crate::recorder::line_output::LineOutput;
use crate::recorder::metrics::RecorderMetrics;
use crate::recorder::sink::{FileSink, StdoutSink};
use crate::recorder::webhook_output::WebhookOutput;

pub(super) struct Output {
    destination: Destination,
    lines: mpsc::Sender<Arc<Line>>,
    ledger: Arc<Ledger>,
    /// Ends when the output has ended.
    ended: mpsc::Receiver<()>,
    /// Where the output is a task.
    task: Option<tokio::task::AbortHandle>,
}

impl Output {
    pub(super) fn start(
        destination: Destination,
        clock: &Arc<dyn Clock>,
        metrics: &RecorderMetrics,
    ) -> Self {
        let (lines, received) = mpsc::channel(EVENTS_MAX);
        let (alive, ended) = mpsc::channel(1);
        let ledger = Arc::new(Ledger::new(destination.name(), metrics.clone()));
        let task = match &destination {
            Destination::File(path) => {
                LineOutput::new(FileSink::new(path.clone()), &ledger).start(received, alive);
                None
            }
            Destination::Stdout => {
                LineOutput::new(StdoutSink, &ledger).start(received, alive);
                None
            }
            Destination::Webhook {
                settings, client, ..
            } => {
                let output = WebhookOutput::new(settings, client, clock, &ledger);
                let task = tokio::spawn(async move {
                    output.run(received).await;
                    drop(alive);
                });
                Some(task.abort_handle())
            }
        };
        Self {
            destination,
            lines,
            ledger,
            ended,
            task,
        }
    }

    pub(super) fn serves(&self, destination: &Destination) -> bool {
        self.destination.is_same(destination)
    }

    pub(super) fn offer(&self, line: &Arc<Line>) {
        // The ledger knows of those too that have left the queue and are not written yet, so what it takes in has room.
        if self.ledger.take_in(line) {
            if self.lines.try_send(Arc::clone(line)).is_err() {
                self.ledger.failed(line);
            }
        } else {
            self.ledger.dropped();
            if let Some(left_out) = self.ledger.trouble.happened() {
                let output = &self.ledger.output;
                warn!(
                    output,
                    left_out, "events dropped: the output does not keep up"
                );
            }
        }
    }

    /// Lets it finish what it has, `patience` at most, and not longer than until `stop`.
    pub(super) async fn close(self, patience: Duration, mut stop: Stop) {
        let Self {
            lines,
            ledger,
            mut ended,
            task,
            ..
        } = self;
        drop(lines);
        let is_over = tokio::select! {
            _ = ended.recv() => true,
            () = tokio::time::sleep(patience) => false,
            () = stop.stopped() => false,
        };
        if !is_over {
            let (output, left) = (&ledger.output, ledger.give_up());
            warn!(
                output,
                left, "events dropped: the output did not end in time"
            );
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}
