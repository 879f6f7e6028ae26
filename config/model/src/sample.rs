//! One measured value, and the mark that says "this series ends here".
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub value: f64,
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
