//! The points of chunks that lie in a window of time.
use model::{HistogramSample, Sample, Timestamp};

use crate::chunk::ChunkSamples;
use crate::encoding::{Encoding, histograms};

/// Floats and histograms, each in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    pub samples: Vec<Sample>,
    /// When what each of `samples` counts began, the epoch where that is unknown; empty where it is known of none.
    pub starts: Vec<Timestamp>,
    pub histograms: Vec<HistogramSample>,
}

/// More points than the reader was allowed to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPoints;

/// What is taken of each chunk: what lies in `(after, until]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PointWindow {
    pub(crate) after: Timestamp,
    pub(crate) until: Timestamp,
}

impl Points {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// Counted in floats.
    #[must_use]
    pub fn weight(&self) -> usize {
        let histograms = self.histograms.iter().map(HistogramSample::weight);
        self.samples.len() + histograms.sum::<usize>()
    }

    /// Adds what `window` and `wanted` let in of a chunk whose points are later than those that are there. Each takes
    /// its weight of what is `left`.
    pub(crate) fn add_chunk(
        &mut self,
        (encoding, bytes): (Encoding, &[u8]),
        window: PointWindow,
        wanted: impl Fn(Timestamp) -> bool,
        left: &mut usize,
    ) -> Result<(), TooManyPoints> {
        let PointWindow { after, until } = window;
        if encoding == Encoding::XOR {
            let mut samples = ChunkSamples::new(bytes);
            let first = samples.find(|sample| sample.timestamp > after);
            if first.is_some_and(|first| first.timestamp <= until) {
                // As many as may follow, so that there is room for all at once.
                let most = samples.size_hint().1.unwrap_or_default() + 1;
                self.samples.reserve(most.min(*left));
            }
            for sample in first.into_iter().chain(samples) {
                if sample.timestamp > until {
                    break;
                }
                if wanted(sample.timestamp) {
                    *left = left.checked_sub(1).ok_or(TooManyPoints)?;
                    self.samples.push(sample);
                }
            }
            return Ok(());
        }
        for sample in histograms(encoding, bytes) {
            if sample.timestamp > until {
                break;
            }
            if sample.timestamp > after && wanted(sample.timestamp) {
                *left = left.checked_sub(sample.weight()).ok_or(TooManyPoints)?;
                self.histograms.push(sample);
            }
        }
        Ok(())
    }
}
