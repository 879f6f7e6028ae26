//! What one tenant may send and keep.
use std::time::Duration;

use model::Labels;

use crate::rate::SampleRate;

/// Past each of them comes a counted refusal. The figures and their reasons are `config`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A request's body as it is sent.
    pub body_bytes_max: usize,
    /// And after it is expanded.
    pub expanded_bytes_max: usize,
    pub samples_per_request_max: usize,
    /// Series in memory.
    pub series_max: usize,
    pub labels_per_series_max: usize,
    pub label_name_bytes_max: usize,
    pub label_value_bytes_max: usize,
    /// Exemplars in memory; none are kept where it is 0.
    pub exemplars_max: usize,
    /// How far ahead of our clock a sample may be.
    pub ahead_max: Duration,
    /// Samples older than this are refused and forgotten.
    pub retention: Duration,
    /// How far behind the newest sample of all series one may be that comes out of order; zero: none is taken.
    pub out_of_order_window: Duration,
    /// Whether it is kept what senders say of when samples began to count.
    pub start_times: bool,
    /// Samples of requests; none: as fast as they come.
    pub rate: Option<SampleRate>,
}

/// Prometheus' `maxAheadTime`.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

impl Limits {
    #[must_use]
    pub fn new(limits: &config::Limits, storage: &config::Storage) -> Self {
        Self {
            body_bytes_max: limits.write_body_bytes_max,
            expanded_bytes_max: limits.write_decompressed_bytes_max,
            samples_per_request_max: limits.write_samples_max,
            series_max: limits.series_max,
            labels_per_series_max: limits.labels_max,
            label_name_bytes_max: limits.label_name_bytes_max,
            label_value_bytes_max: limits.label_value_bytes_max,
            exemplars_max: limits.exemplars_max,
            ahead_max: AHEAD_MAX,
            retention: storage.retention,
            out_of_order_window: storage.out_of_order_time_window(),
            start_times: storage.start_timestamps,
            rate: rate(limits),
        }
    }
}

/// Without a burst of its own ten seconds' worth may come at once: senders gather what a whole round of scrapes brings.
fn rate(limits: &config::Limits) -> Option<SampleRate> {
    let samples_per_second = limits.ingest_samples_per_second;
    let burst_samples = match limits.ingest_burst_samples {
        0 => samples_per_second.saturating_mul(10),
        burst => burst,
    };
    (samples_per_second > 0).then_some(SampleRate {
        samples_per_second,
        burst_samples,
    })
}

impl Default for Limits {
    fn default() -> Self {
        let config = config::WatchbellConfig::default();
        Self::new(&config.limits, &config.storage)
    }
}

/// A series that is too large to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SizeError {
    #[error("label name is too long")]
    LabelName,
    #[error("label value is too long")]
    LabelValue,
    #[error("series has too many labels")]
    Labels,
}

impl Limits {
    pub(crate) fn check_labels(&self, labels: &Labels) -> Result<(), SizeError> {
        if labels.len() > self.labels_per_series_max {
            return Err(SizeError::Labels);
        }
        for (name, value) in labels {
            if name.len() > self.label_name_bytes_max {
                return Err(SizeError::LabelName);
            }
            if value.len() > self.label_value_bytes_max {
                return Err(SizeError::LabelValue);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::{Limits, SizeError};

    #[test]
    fn sizes_are_bounded_inclusively() {
        let limits = Limits {
            labels_per_series_max: 2,
            label_name_bytes_max: 8,
            label_value_bytes_max: 3,
            ..Limits::default()
        };
        for (pairs, verdict) in [
            (&[("__name__", "abc"), ("b", "1")][..], Ok(())),
            (
                &[("__name__", "abc"), ("b", "1"), ("c", "1")],
                Err(SizeError::Labels),
            ),
            (&[("__name__1", "abc")], Err(SizeError::LabelName)),
            (&[("__name__", "abcd")], Err(SizeError::LabelValue)),
        ] {
            let labels = Labels::from_pairs(pairs.iter().copied());
            assert_eq!(limits.check_labels(&labels), verdict, "{labels}");
        }
    }
}
