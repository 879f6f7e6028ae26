//! Measured values, and the mark that says "this series ends here".
use std::fmt;
use std::sync::Arc;

use crate::go_number::format_f;
use crate::histogram::Histogram;
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub value: f64,
}

/// What is measured at one time.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl SampleValue {
    /// The number, where it is one.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

impl From<f64> for SampleValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl fmt::Display for SampleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => f.write_str(&format_f(*value)),
            Self::Histogram(histogram) => histogram.fmt(f),
        }
    }
}

/// The bit pattern by which Prometheus marks a series as stale. It is one NaN among many, so it must be
/// compared by bits and its payload must survive every copy.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

#[must_use]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN)
}

#[must_use]
#[inline]
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN
}
