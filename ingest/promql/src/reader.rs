//! What the evaluator reads through: the head, blocks, both merged, or a test's table.
use model::{HistogramSample, Labels, Matcher, Sample, Timestamp};

/// Which samples a query asks for.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// All of them must hold. At least one does not match the empty string.
    pub matchers: &'a [Matcher],
    /// Samples are later than this.
    pub after: Timestamp,
    /// Samples are not later than this.
    pub until: Timestamp,
    /// Of each series nothing but the newest sample is looked at: the reader may leave out the others.
    pub newest_only: bool,
}

/// One series and its samples in the order of time, each time at most once. Stale marks are among the samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub samples: Vec<Sample>,
    /// When what each of `samples` counts began; the epoch where that is unknown. Empty where it is known of none.
    pub starts: Vec<Timestamp>,
    /// At other times than `samples`.
    pub histograms: Vec<HistogramSample>,
}

impl Series {
    /// Neither floats nor histograms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// When what the sample counts began.
    #[must_use]
    pub fn start_of(&self, sample: usize) -> Timestamp {
        self.starts.get(sample).copied().unwrap_or_default()
    }
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// The selection holds more samples than the reader was allowed to return.
    #[error("too many samples")]
    TooManySamples,
    /// Nobody waits for the answer any more.
    #[error("query was canceled")]
    Cancelled,
    #[error("{0}")]
    Storage(String),
}

pub trait SeriesReader: Sync {
    /// Every series that matches and has a sample in the window, with its samples in the window, each label set once,
    /// in any order.
    ///
    /// More than `samples_max` samples in all, a histogram counted by what it takes, are a [`ReadError::TooManySamples`]: the reader should notice before it
    /// has copied them.
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError>;
}
