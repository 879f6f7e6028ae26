//! What is wrong with an exemplar.

/// Names and values of an exemplar's labels together, in characters: OpenMetrics' bound.
pub(crate) const LABEL_CHARS_MAX: usize = 128;

/// Why an exemplar is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ExemplarError {
    #[error("exemplars are switched off")]
    Disabled,
    #[error("exemplar's labels are invalid")]
    Labels,
    #[error("label length for exemplar exceeds maximum of {LABEL_CHARS_MAX} UTF-8 characters")]
    LabelsTooLong,
    #[error("out of order exemplar")]
    OutOfOrder,
    #[error("out of bounds: timestamp is too far in the future")]
    TooFarInFuture,
    #[error("exemplar's series is not known")]
    UnknownSeries,
}

impl ExemplarError {
    /// One word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "exemplars_disabled",
            Self::Labels => "exemplar_labels",
            Self::LabelsTooLong => "exemplar_labels_too_long",
            Self::OutOfOrder => "exemplar_out_of_order",
            Self::TooFarInFuture => "exemplar_too_far_in_future",
            Self::UnknownSeries => "exemplar_series_unknown",
        }
    }
}
