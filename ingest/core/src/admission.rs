//! What is said about samples that do not come in.
use std::collections::BTreeMap;

use model::{Labels, Timestamp};

use crate::decode::{FlawKind, HistogramError, SymbolError};
use crate::exemplar_error::ExemplarError;
use crate::label_bytes::{LabelError, shortened};
use crate::limits::SizeError;
use crate::metadata_refused::MetadataRefused;
use crate::rate::RateExceeded;

/// What happens to a request of which one sample is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// The others are kept.
    Part,
    /// The others are kept, and it is told which one it was.
    Sample,
    /// None is kept.
    Whole,
}

/// What is wrong with a sample, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SampleError {
    #[error("duplicate sample for timestamp")]
    Duplicate,
    #[error("out of order sample")]
    OutOfOrder,
    #[error("out of bounds")]
    OutOfBounds,
    #[error("too old sample")]
    BeforeWindow,
    #[error("out of bounds: timestamp is too far in the future")]
    TooFarInFuture,
    #[error("out of bounds: sample is older than the retention")]
    TooOld,
}

/// Why a whole request is refused. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    #[error("body is not a write request: label is malformed")]
    MalformedLabels,
    #[error("{error} for series {series}")]
    Histogram {
        error: HistogramError,
        series: String,
    },
    #[error(transparent)]
    Rate(#[from] RateExceeded),
    #[error("{error} for series {labels} at {timestamp}{}", newest_text(*newest))]
    Sample {
        error: SampleError,
        labels: Labels,
        timestamp: Timestamp,
        /// Of the series, before this sample.
        newest: Option<Timestamp>,
    },
    #[error("request has {samples} samples, more than the limit of {max}")]
    TooManySamples { samples: usize, max: usize },
}

/// Why a part of a request was left out while the rest was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    #[error("{0}")]
    Exemplar(ExemplarError),
    #[error("{0}")]
    Flaw(FlawKind),
    #[error("{0}")]
    Histogram(HistogramError),
    #[error("invalid labels: {0}")]
    Labels(LabelError),
    #[error("{0}")]
    Sample(SampleError),
    #[error("tenant has as many series as its limit allows")]
    SeriesMax,
    #[error("{0}")]
    Size(SizeError),
}

impl Reason {
    /// One word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exemplar(error) => error.as_str(),
            Self::Flaw(FlawKind::Empty) => "empty_series",
            Self::Flaw(FlawKind::Symbols(SymbolError::Odd | SymbolError::Outside)) => {
                "label_references"
            }
            Self::Histogram(_) => "invalid_histogram",
            Self::Labels(LabelError::DuplicateName) => "duplicate_label_name",
            Self::Labels(LabelError::EmptyName) => "empty_label_name",
            Self::Labels(LabelError::Malformed) => "malformed_label",
            Self::Labels(LabelError::NoMetricName) => "no_metric_name",
            Self::Labels(LabelError::NotUtf8) => "label_not_utf8",
            Self::Sample(error) => error.as_str(),
            Self::SeriesMax => "series_max",
            Self::Size(SizeError::LabelName) => "label_name_too_long",
            Self::Size(SizeError::LabelValue) => "label_value_too_long",
            Self::Size(SizeError::Labels) => "too_many_labels",
        }
    }
}

impl SampleError {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate_timestamp",
            Self::OutOfOrder => "out_of_order",
            Self::OutOfBounds => "out_of_bounds",
            Self::BeforeWindow => "before_window",
            Self::TooFarInFuture => "too_far_in_future",
            Self::TooOld => "too_old",
        }
    }
}

impl WriteError {
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Histogram { .. } => "invalid_histogram",
            Self::MalformedLabels => "malformed_label",
            Self::Rate(_) => "rate",
            Self::Sample { error, .. } => error.as_str(),
            Self::TooManySamples { .. } => "too_many_samples",
        }
    }
}

/// What became of a request that was not refused whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Samples on their way to the log.
    pub accepted: usize,
    pub accepted_histograms: usize,
    /// Samples that the series has already, with the same value.
    pub repeated: usize,
    pub repeated_histograms: usize,
    /// Of the accepted ones those that came out of order.
    pub late: usize,
    pub late_histograms: usize,
    /// Of the repeated ones those that came out of order, with another value than the one that is there and stays.
    pub contradicting: usize,
    pub refused: BTreeMap<Reason, Refused>,
    /// Where samples were judged one by one: which of them were refused, by their place from 0 on.
    pub refused_samples: Vec<(usize, Reason)>,
    /// Places of the series that there are not, ascending; of requests with exemplars only.
    pub unknown_series: Vec<usize>,
    /// Exemplars that are kept, those that repeat the newest one of their series among them.
    pub exemplars: usize,
    pub refused_metadata: MetadataRefused,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// For other things: how many of them.
    pub samples: usize,
    /// Of a label name that is given twice: which one.
    pub name: String,
    /// The first series, as far as it can be read.
    pub first: String,
}

impl Report {
    pub fn refuse(&mut self, reason: Reason, samples: usize, series: impl FnOnce() -> String) {
        let refused = self.refused.entry(reason).or_insert_with(|| Refused {
            samples: 0,
            name: String::new(),
            first: shortened(series()),
        });
        refused.samples += samples;
    }
}

/// Between which times samples are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) oldest: Timestamp,
    pub(crate) newest: Timestamp,
    /// What is older cannot go where the series goes on: it would belong into a block that is written already.
    pub(crate) in_order: Timestamp,
    pub(crate) late: LateAdmission,
}

/// What becomes of a sample that does not fit into the order of its series.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LateAdmission {
    /// Nothing; before this time Prometheus has another word for it.
    Never { in_bounds: Timestamp },
    /// It is taken from this time on.
    From(Timestamp),
    /// It would be, from this time on, but for its sender.
    Discarded(Timestamp),
}

impl LateAdmission {
    pub(crate) fn check(self, timestamp: Timestamp) -> Result<(), SampleError> {
        match self {
            Self::Never { in_bounds } if timestamp < in_bounds => Err(SampleError::OutOfBounds),
            Self::From(oldest) | Self::Discarded(oldest) if timestamp < oldest => {
                Err(SampleError::BeforeWindow)
            }
            Self::From(_) => Ok(()),
            Self::Never { .. } | Self::Discarded(_) => Err(SampleError::OutOfOrder),
        }
    }
}

impl Admission {
    #[inline]
    pub(crate) fn check(&self, timestamp: Timestamp) -> Option<SampleError> {
        if timestamp > self.newest {
            Some(SampleError::TooFarInFuture)
        } else if timestamp < self.oldest {
            Some(SampleError::TooOld)
        } else {
            None
        }
    }
}

fn newest_text(newest: Option<Timestamp>) -> String {
    newest.map_or_else(String::new, |newest| format!(", its newest is at {newest}"))
}
