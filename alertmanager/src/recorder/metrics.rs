//! The event recorder's figures, under Alertmanager's names.
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use runtime::Metrics;

use crate::metrics::pairs;

type LabelSet = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub struct RecorderMetrics {
    recorded: Family<LabelSet, Counter>,
    bytes: Family<LabelSet, Counter>,
    dropped: Family<LabelSet, Counter>,
    output_drops: Family<LabelSet, Counter>,
    pub(super) queue_length: Gauge,
}

impl RecorderMetrics {
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        // Nothing that is recorded cannot be written as JSON; the series stands for dashboards that ask for it.
        metrics.register(
            "alertmanager_event_serialize_errors",
            "Total number of event serialization errors",
            Family::<LabelSet, Counter>::default(),
        );
        Self {
            recorded: metrics.register(
                "alertmanager_events_recorded",
                "Total number of events written to an output, or lost by it",
                Family::default(),
            ),
            bytes: metrics.register(
                "alertmanager_event_recorder_bytes_written",
                "Total number of bytes of events written to an output",
                Family::default(),
            ),
            dropped: metrics.register(
                "alertmanager_events_dropped",
                "Total number of events dropped because the queue was full",
                Family::default(),
            ),
            output_drops: metrics.register(
                "alertmanager_event_output_drops",
                "Total number of events that an output dropped because its own queue was full or the process ended",
                Family::default(),
            ),
            queue_length: metrics.register(
                "alertmanager_event_recorder_queue_length",
                "Number of events in the event recorder's queue",
                Gauge::default(),
            ),
        }
    }

    pub(super) fn dropped(&self, kind: &str) {
        let labels = pairs(&[("event_type", kind)]);
        self.dropped.get_or_create(&labels).inc();
    }

    pub(super) fn output_dropped(&self, output: &str, count: usize) {
        let labels = pairs(&[("output", output)]);
        self.output_drops
            .get_or_create(&labels)
            .inc_by(count as u64);
    }

    pub(super) fn written(&self, output: &str, kind: &str, bytes: usize) {
        self.count(output, kind, "success");
        let labels = pairs(&[("event_type", kind), ("output", output)]);
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    pub(super) fn failed(&self, output: &str, kind: &str) {
        self.count(output, kind, "error");
    }

    fn count(&self, output: &str, kind: &str, result: &str) {
        let labels = pairs(&[("event_type", kind), ("output", output), ("result", result)]);
        self.recorded.get_or_create(&labels).inc();
    }
}
