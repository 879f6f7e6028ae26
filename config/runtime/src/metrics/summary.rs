//! A sum and a count: what a Prometheus client calls a summary without quantiles.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Durations, in seconds. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Summary(Arc<Mutex<Observed>>);

#[derive(Clone, Copy, Debug, Default)]
struct Observed {
    seconds: f64,
    count: u64,
}

impl Summary {
    pub fn observe(&self, took: Duration) {
        self.observe_all(took, 1);
    }

    /// So many took so long together.
    pub fn observe_all(&self, took: Duration, count: u64) {
        let mut observed = self.0.lock();
        observed.seconds += took.as_secs_f64();
        observed.count += count;
    }
}

/// The encoder knows no summaries; one is written as a histogram without buckets, and its type is put right in the
/// text.
impl TypedMetric for Summary {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Summary {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Observed { seconds, count } = *self.0.lock();
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &[], None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
