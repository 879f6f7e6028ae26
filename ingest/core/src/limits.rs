//! What one tenant may send and keep.
use std::time::Duration;

use model::Labels;

/// Each has a default that a healthy service does not reach; an operator sets them per tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A request's body as it is sent; Prometheus' own bound.
    pub body_bytes_max: usize,
    /// And after it is expanded.
    pub expanded_bytes_max: usize,
    /// Prometheus sends 2,000 by default and others up to 10,000; this only stops what is absurd.
    pub samples_per_request_max: usize,
    /// Series in memory. One takes about 2 kB with two hours of samples.
    pub series_max: usize,
    /// Mimir's default is 30; Kubernetes' own metrics come near it.
    pub labels_per_series_max: usize,
    pub label_name_bytes_max: usize,
    pub label_value_bytes_max: usize,
    /// How far ahead of our clock a sample may be (Prometheus' `maxAheadTime`).
    pub ahead_max: Duration,
    /// Samples older than this are refused and forgotten.
    pub retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 * 1024 * 1024,
            expanded_bytes_max: 32 * 1024 * 1024,
            samples_per_request_max: 1_000_000,
            series_max: 1_500_000,
            labels_per_series_max: 64,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 4096,
            ahead_max: Duration::from_secs(10 * 60),
            retention: Duration::from_secs(15 * 24 * 3600),
        }
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
