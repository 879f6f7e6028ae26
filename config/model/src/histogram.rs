//! Native histograms: observations counted in buckets that are found by an index.
//!
//! With an exponential schema `n` (−4 to 8) the bucket `i` holds what is above `base^(i−1)` and at most `base^i`, where
//! `base` is `2^(2^−n)`; negative observations are mirrored, and what is nearest to zero has a bucket of its own. With
//! custom buckets (schema −53) the bucket `i` holds what is above the bound before and at most the bound `i`; the last
//! one is endless.
mod layout;
mod reset;
mod sum;

use std::fmt;
use std::sync::Arc;

pub use layout::{IncompatibleBuckets, Reconciled};
pub use sum::HistogramSum;

use crate::go_number::format_g;
use crate::sample::{Sample, is_stale_nan};
use crate::time::Timestamp;

/// The schema of histograms whose bounds are listed.
pub const CUSTOM_BUCKETS: i32 = -53;
pub const SCHEMA_MIN: i32 = -4;
pub const SCHEMA_MAX: i32 = 8;

/// What the source says about a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Both must be compared.
    #[default]
    Unknown,
    /// The counter began anew.
    Reset,
    NotReset,
    /// It may go up and down.
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub index: i32,
    pub count: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub reset_hint: ResetHint,
    /// [`SCHEMA_MIN`] to [`SCHEMA_MAX`], or [`CUSTOM_BUCKETS`].
    pub schema: i32,
    /// Observations that are not farther from zero than this are in the zero bucket. Zero with custom buckets.
    pub zero_threshold: f64,
    pub zero_count: f64,
    /// All observations; with NaN among them more than the buckets hold.
    pub count: f64,
    pub sum: f64,
    /// In the order of their indexes, each at most once. With custom buckets all buckets are here.
    pub positive: Vec<Bucket>,
    pub negative: Vec<Bucket>,
    /// The finite upper bounds of custom buckets, ascending.
    pub custom_values: Arc<[f64]>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    pub timestamp: Timestamp,
    /// When what it counts began; the epoch where that is unknown.
    pub start: Timestamp,
    pub histogram: Arc<Histogram>,
}

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketSpan {
    pub lower: f64,
    pub upper: f64,
    pub includes_lower: bool,
    pub includes_upper: bool,
    pub count: f64,
}

impl Histogram {
    #[must_use]
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS
    }

    /// Says that the series ends here, as [`crate::stale_nan`] does among floats.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// The upper bound of a bucket on the positive side.
    fn bound(&self, index: i32) -> f64 {
        if self.has_custom_buckets() {
            return custom_bound(&self.custom_values, index);
        }
        exponential_bound(self.schema, index)
    }

    fn positive_span(&self, bucket: &Bucket) -> BucketSpan {
        let (lower, upper) = (
            self.bound(bucket.index.saturating_sub(1)),
            self.bound(bucket.index),
        );
        let custom = self.has_custom_buckets();
        BucketSpan {
            lower,
            upper,
            includes_lower: custom && bucket.index == 0,
            includes_upper: true,
            count: bucket.count,
        }
    }

    fn negative_span(&self, bucket: &Bucket) -> BucketSpan {
        BucketSpan {
            lower: -self.bound(bucket.index),
            upper: -self.bound(bucket.index.saturating_sub(1)),
            includes_lower: true,
            includes_upper: false,
            count: bucket.count,
        }
    }

    #[must_use]
    pub fn zero_bucket(&self) -> BucketSpan {
        BucketSpan {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            includes_lower: true,
            includes_upper: true,
            count: self.zero_count,
        }
    }

    /// Away from zero.
    pub fn positive_spans(&self) -> impl DoubleEndedIterator<Item = BucketSpan> {
        self.positive
            .iter()
            .map(|bucket| self.positive_span(bucket))
    }

    /// Away from zero.
    pub fn negative_spans(&self) -> impl DoubleEndedIterator<Item = BucketSpan> {
        self.negative
            .iter()
            .map(|bucket| self.negative_span(bucket))
    }

    /// All buckets, from the lowest to the highest. The zero bucket is among them where it holds anything.
    pub fn spans(&self) -> impl DoubleEndedIterator<Item = BucketSpan> {
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        self.negative_spans()
            .rev()
            .chain(zero)
            .chain(self.positive_spans())
    }

    /// Removes buckets that hold nothing.
    pub fn compact(&mut self) {
        self.positive.retain(|bucket| bucket.count != 0.0);
        self.negative.retain(|bucket| bucket.count != 0.0);
    }

    #[must_use]
    pub fn compacted(mut self) -> Self {
        self.compact();
        self
    }

    /// Equal in everything but the hint; NaN is equal to itself.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |left: f64, right: f64| left == right || left.to_bits() == right.to_bits();
        let buckets = |left: &[Bucket], right: &[Bucket]| {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.index == right.index && same(left.count, right.count))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_threshold, other.zero_threshold)
            && same(self.zero_count, other.zero_count)
            && self.custom_values == other.custom_values
            && buckets(&self.positive, &other.positive)
            && buckets(&self.negative, &other.negative)
    }

    /// Every count and the sum times `factor`. Turned around, it is no counter any more.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.each_number(|number| number * factor);
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
        self
    }

    /// Every count and the sum divided; by zero no bucket remains.
    #[must_use]
    pub fn divided(mut self, divisor: f64) -> Self {
        self.each_number(|number| number / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
        self
    }

    fn each_number(&mut self, change: impl Fn(f64) -> f64) {
        self.zero_count = change(self.zero_count);
        self.count = change(self.count);
        self.sum = change(self.sum);
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            bucket.count = change(bucket.count);
        }
    }

    fn has_number(&self, is_one: impl Fn(f64) -> bool) -> bool {
        let mut buckets = self.positive.iter().chain(&self.negative);
        [self.zero_count, self.count, self.sum]
            .into_iter()
            .any(&is_one)
            || buckets.any(|bucket| is_one(bucket.count))
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let buckets = self.positive.len() + self.negative.len();
        size_of::<Self>() + buckets * size_of::<Bucket>() + self.custom_values.len() * 8
    }
}

impl HistogramSample {
    /// What it takes in memory, counted in floats with their times.
    #[must_use]
    pub fn weight(&self) -> usize {
        1 + self.histogram.size() / size_of::<Sample>()
    }
}

/// As Prometheus shows it in labels and messages: `{count:3, sum:2.5, [-1,-0.5):1, (0.5,1]:2}`.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            format_g(self.count),
            format_g(self.sum)
        )?;
        for span in self.spans().filter(|span| span.count != 0.0) {
            write!(
                f,
                ", {}{},{}{}:{}",
                if span.includes_lower { '[' } else { '(' },
                format_g(span.lower),
                format_g(span.upper),
                if span.includes_upper { ']' } else { ')' },
                format_g(span.count),
            )?;
        }
        f.write_str("}")
    }
}

pub(crate) fn custom_bound(values: &[f64], index: i32) -> f64 {
    match usize::try_from(index) {
        Ok(index) => values.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// The upper bound of the bucket. The last one that can hold a finite number ends at the largest of them.
pub(crate) fn exponential_bound(schema: i32, index: i32) -> f64 {
    let exponent = if schema < 0 {
        f64::from(index) * f64::from(1 << -schema.max(-30))
    } else {
        f64::from(index) / f64::from(1 << schema.min(30))
    };
    if exponent == 1024.0 {
        return f64::MAX;
    }
    // Whole powers are exact.
    let whole = exponent.floor();
    (exponent - whole).exp2() * whole.exp2()
}

#[cfg(test)]
mod tests;
