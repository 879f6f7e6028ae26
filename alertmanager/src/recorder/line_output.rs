//! Events line by line, where writing may block.
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{error, info};

use crate::recorder::ledger::{Ledger, Line};
use crate::recorder::sink::Sink;

/// Lines of one write.
const LINES_MAX: usize = 256;

pub(super) struct LineOutput<S> {
    sink: S,
    ledger: Arc<Ledger>,
}

impl<S: Sink> LineOutput<S> {
    pub(super) fn new(sink: S, ledger: &Arc<Ledger>) -> Self {
        Self {
            sink,
            ledger: Arc::clone(ledger),
        }
    }

    /// On a thread of its own, which nobody waits for: a reader of standard output that stands still must not keep the
    /// process from ending.
    pub(super) fn start(self, lines: mpsc::Receiver<Arc<Line>>, alive: mpsc::Sender<()>) {
        let ledger = Arc::clone(&self.ledger);
        let thread = std::thread::Builder::new().name("events".to_owned());
        let spawned = thread.spawn(move || {
            self.run(lines);
            drop(alive);
        });
        if let Err(failure) = spawned {
            let output = &ledger.output;
            error!(output, %failure, "no thread for an output of events; its events are lost");
        }
    }

    fn run(mut self, mut lines: mpsc::Receiver<Arc<Line>>) {
        let (mut batch, mut text) = (Vec::new(), Vec::new());
        while lines.blocking_recv_many(&mut batch, LINES_MAX) > 0 {
            text.clear();
            for line in &batch {
                text.extend_from_slice(line.json.as_bytes());
                text.push(b'\n');
            }
            let (mut written, outcome) = self.sink.write(&text);
            for line in batch.drain(..) {
                let bytes = line.json.len() + 1;
                if bytes <= written {
                    written -= bytes;
                    self.ledger.written(&line, bytes);
                } else {
                    written = 0;
                    self.ledger.failed(&line);
                }
            }
            self.tell(outcome);
        }
    }

    fn tell(&self, outcome: std::io::Result<()>) {
        let (output, trouble) = (&self.ledger.output, &self.ledger.trouble);
        match outcome {
            Ok(()) => {
                if let Some(left_out) = trouble.is_over() {
                    info!(output, left_out, "events are written again");
                }
            }
            Err(failure) => {
                if let Some(left_out) = trouble.happened() {
                    error!(output, %failure, left_out, "events could not be written");
                }
            }
        }
    }
}
