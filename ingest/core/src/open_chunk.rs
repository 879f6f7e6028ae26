//! The chunk of a series that grows, of floats or of histograms.
use std::sync::Arc;

use model::histogram::ResetHint;
use model::{HistogramSample, Sample, Timestamp};

use crate::chunk::{Chunk, OpenChunk, SAMPLES_PER_CHUNK};
use crate::encoding::Encoding;
use crate::histogram_chunk::{NotAppendable, OpenHistogramChunk};
use crate::newest::Newest;
use crate::series::block_of;

#[derive(Clone, Debug)]
pub(crate) enum Open {
    Floats(OpenChunk),
    Histograms(Box<OpenHistogramChunk>),
}

impl Open {
    /// Goes on with a chunk that was stored before it was full. `None` where it does not hold what is said of it.
    pub(crate) fn reopen(chunk: &Chunk) -> Option<Self> {
        let open = match chunk.encoding.of_histograms() {
            Some(encoding) => OpenHistogramChunk::reopen(encoding, chunk.bytes())
                .map(|open| Self::Histograms(Box::new(open))),
            None => OpenChunk::reopen(chunk).map(Self::Floats),
        };
        open.filter(|open| open.min_time() == chunk.min_time && open.max_time() == chunk.max_time)
    }

    /// Whether a float at this time goes into it.
    #[inline]
    pub(crate) fn takes_float(&self, at: Timestamp) -> bool {
        match self {
            Self::Floats(open) => {
                open.samples_len() < SAMPLES_PER_CHUNK && block_of(open.min_time()) == block_of(at)
            }
            Self::Histograms(_) => false,
        }
    }

    /// The chunk that a histogram behind this one begins, with what it says about the one before.
    pub(crate) fn begin_histograms(before: Option<&Self>, sample: &HistogramSample) -> Self {
        let hint = match (sample.histogram.reset_hint, before) {
            (hint @ (ResetHint::Gauge | ResetHint::Reset), _) => hint,
            (_, Some(Self::Histograms(before))) => match before.check(&sample.histogram) {
                Err(NotAppendable::IsReset) => ResetHint::Reset,
                Ok(()) => ResetHint::NotReset,
                Err(NotAppendable::IsOther) => ResetHint::Unknown,
            },
            (_, Some(Self::Floats(_)) | None) => ResetHint::Unknown,
        };
        Self::Histograms(Box::new(OpenHistogramChunk::new(sample, hint)))
    }

    pub(crate) fn min_time(&self) -> Timestamp {
        match self {
            Self::Floats(open) => open.min_time(),
            Self::Histograms(open) => open.min_time(),
        }
    }

    #[inline]
    pub(crate) fn max_time(&self) -> Timestamp {
        match self {
            Self::Floats(open) => open.last().timestamp,
            Self::Histograms(open) => open.max_time(),
        }
    }

    pub(crate) fn newest(&self) -> Newest {
        match self {
            Self::Floats(open) => open.last().into(),
            Self::Histograms(open) => Newest::histogram(open.max_time(), open.last()),
        }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Self::Floats(_) => Encoding::XOR,
            Self::Histograms(open) => open.encoding().into(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Floats(open) => open.bytes(),
            Self::Histograms(open) => open.bytes(),
        }
    }

    pub(crate) fn seal(self) -> Arc<Chunk> {
        match self {
            Self::Floats(open) => open.seal(),
            Self::Histograms(open) => Arc::new(Chunk::from_stored(
                open.min_time(),
                open.max_time(),
                open.encoding().into(),
                open.into_bytes(),
            )),
        }
    }
}

/// The newest value of a closed chunk.
pub(crate) fn newest_of(chunk: &Chunk) -> Option<Newest> {
    let float = chunk.samples().last().map(Newest::from);
    float.or_else(|| {
        let last = chunk.histograms().last()?;
        Some(Newest::histogram(last.timestamp, &last.histogram))
    })
}

impl From<Sample> for Open {
    fn from(first: Sample) -> Self {
        Self::Floats(OpenChunk::new(first))
    }
}
