//! What the HTTP port tells about itself.
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::Metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ServerMetrics {
    connections: Gauge,
    pub(crate) refused: Counter,
    timeouts: Family<PhaseLabel, Counter>,
}

impl ServerMetrics {
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "watchbell_http_connections",
            "Open connections to the HTTP port",
            self.connections.clone(),
        );
        metrics.register(
            "watchbell_http_refused_connections",
            "Connections that were closed at once, because as many as the limit allows were open",
            self.refused.clone(),
        );
        metrics.register(
            "watchbell_http_timeouts",
            "Connections that were closed because the client took too long, by what it was to do",
            self.timeouts.clone(),
        );
    }

    pub(crate) fn timed_out(&self, phase: &'static str) {
        self.timeouts.get_or_create(&PhaseLabel { phase }).inc();
    }

    /// One more connection, until what this answers is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }
}

pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
