//! Why a query's result was not taken, in Prometheus' words.

/// The rule's health turns to `err`, nothing is written or sent, and the series of the evaluation before stay open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultRefused {
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    SameAlertLabels,
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    SameRecordedLabels,
    #[error("exceeded limit of {limit} with {count} alerts")]
    TooManyAlerts { limit: u64, count: usize },
    #[error("exceeded limit of {limit} with {count} series")]
    TooManySeries { limit: u64, count: usize },
}
