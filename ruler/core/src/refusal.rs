//! Why a query's result was not taken, in Prometheus' words.

/// What becomes of a result that is larger than the group's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverLimit {
    /// As in Prometheus: nothing is written, and the rule's alerts are forgotten without a word.
    #[default]
    DropAll,
    /// What was there before stays, the rest is taken in the order of its labels up to the limit. What is left out is
    /// counted, and said.
    KeepFirst,
}

/// How much of a result was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) limit: u64,
    pub(crate) count: usize,
}

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
