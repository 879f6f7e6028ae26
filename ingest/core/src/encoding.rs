//! How a chunk's samples are written down, and how they are read whatever they are.
use model::{HistogramSample, Sample};

use crate::chunk::ChunkSamples;
use crate::histogram_chunk::numbers::HistogramEncoding;
use crate::histogram_chunk::samples::HistogramSamples;

/// Prometheus' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Encoding(pub u8);

impl Encoding {
    pub const XOR: Self = Self(1);
    pub const HISTOGRAM: Self = Self(2);
    pub const FLOAT_HISTOGRAM: Self = Self(3);

    /// Every encoding that is known begins with its number of samples.
    pub(crate) fn samples_len(self, bytes: &[u8]) -> u16 {
        match bytes {
            [high, low, ..] if self.is_known() => u16::from_be_bytes([*high, *low]),
            _ => 0,
        }
    }

    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self, Self::XOR | Self::HISTOGRAM | Self::FLOAT_HISTOGRAM)
    }

    /// How the histograms of such a chunk are written; `None` where it has none.
    #[must_use]
    pub const fn of_histograms(self) -> Option<HistogramEncoding> {
        match self {
            Self::HISTOGRAM => Some(HistogramEncoding::Whole),
            Self::FLOAT_HISTOGRAM => Some(HistogramEncoding::Floats),
            _ => None,
        }
    }
}

impl From<HistogramEncoding> for Encoding {
    fn from(encoding: HistogramEncoding) -> Self {
        match encoding {
            HistogramEncoding::Floats => Self::FLOAT_HISTOGRAM,
            HistogramEncoding::Whole => Self::HISTOGRAM,
        }
    }
}

/// The floats of a chunk; none where it holds histograms.
pub(crate) fn floats(encoding: Encoding, bytes: &[u8]) -> impl Iterator<Item = Sample> {
    (encoding == Encoding::XOR)
        .then(|| ChunkSamples::new(bytes))
        .into_iter()
        .flatten()
}

/// The histograms of a chunk; none where it holds floats.
pub(crate) fn histograms(
    encoding: Encoding,
    bytes: &[u8],
) -> impl Iterator<Item = HistogramSample> {
    encoding
        .of_histograms()
        .and_then(|encoding| HistogramSamples::new(encoding, bytes))
        .into_iter()
        .flatten()
}
