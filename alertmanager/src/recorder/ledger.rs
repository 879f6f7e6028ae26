//! What waits for one output, and what became of it.
use parking_lot::Mutex;
use runtime::Trouble;

use crate::recorder::metrics::RecorderMetrics;

/// Events that may wait for one output.
pub(super) const EVENTS_MAX: usize = 8192;
/// And their bytes: an event may hold every alert of a large group.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// One event as it is written, without the line's end.
pub(super) struct Line {
    pub(super) kind: &'static str,
    pub(super) json: String,
}

pub(super) struct Ledger {
    pub(super) output: String,
    /// What went wrong was told.
    pub(super) trouble: Trouble,
    metrics: RecorderMetrics,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: usize,
    bytes: usize,
    /// What still waits was counted as dropped.
    is_given_up: bool,
}

impl Ledger {
    pub(super) fn new(output: String, metrics: RecorderMetrics) -> Self {
        metrics.output_dropped(&output, 0);
        Self {
            output,
            trouble: Trouble::new(),
            metrics,
            waiting: Mutex::default(),
        }
    }

    /// Whether there is room for one more, which waits from here on.
    pub(super) fn take_in(&self, line: &Line) -> bool {
        let mut waiting = self.waiting.lock();
        let bytes = waiting.bytes + line.json.len();
        let fits = waiting.events < EVENTS_MAX && (bytes <= BYTES_MAX || waiting.events == 0);
        if fits {
            waiting.events += 1;
            waiting.bytes = bytes;
        }
        fits
    }

    pub(super) fn dropped(&self) {
        self.metrics.output_dropped(&self.output, 1);
    }

    /// `bytes` as they were sent for it.
    pub(super) fn written(&self, line: &Line, bytes: usize) {
        if self.settle(line) {
            self.metrics.written(&self.output, line.kind, bytes);
        }
    }

    pub(super) fn failed(&self, line: &Line) {
        if self.settle(line) {
            self.metrics.failed(&self.output, line.kind);
        }
    }

    /// Answers how many events were still waiting: they are counted as dropped.
    pub(super) fn give_up(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.is_given_up = true;
        let left = std::mem::take(&mut waiting.events);
        self.metrics.output_dropped(&self.output, left);
        left
    }

    fn settle(&self, line: &Line) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.is_given_up {
            waiting.events -= 1;
            waiting.bytes -= line.json.len();
        }
        !waiting.is_given_up
    }
}
