//! What native histograms say about their observations: quantiles, fractions, spread, and parts of them.
use model::Histogram;
use model::histogram::{Bucket, BucketSpan};

use crate::kahan::KahanSum;

/// A quantile, and whether observations of NaN had a part in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantile {
    pub(crate) value: f64,
    pub(crate) nan: Option<NanEffect>,
}

/// NaN counts as the highest of all observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanEffect {
    /// The quantile lies among the NaNs.
    IsResult,
    /// It lies higher than it would without them.
    Skews,
}

/// Interpolated on a logarithmic scale inside exponential buckets, linearly inside others.
pub(crate) fn quantile(quantile: f64, histogram: &Histogram) -> Quantile {
    let plain = |value: f64| Quantile { value, nan: None };
    if quantile < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if quantile > 1.0 {
        return plain(f64::INFINITY);
    }
    if histogram.count == 0.0 || quantile.is_nan() {
        return plain(f64::NAN);
    }
    // Counted from the nearer end; but NaNs are in no bucket, so that with them only the lower end is known.
    let has_nan = histogram.sum.is_nan();
    let forward = has_nan || quantile < 0.5;
    let wanted = if forward {
        quantile * histogram.count
    } else {
        (1.0 - quantile) * histogram.count
    };
    let mut count = 0.0;
    let mut found = None;
    let mut visit = |span: BucketSpan| {
        if span.count == 0.0 {
            return false;
        }
        found = Some(span);
        count += span.count;
        count >= wanted
    };
    let reached = if forward {
        histogram.spans().any(&mut visit)
    } else {
        histogram.spans().rev().any(&mut visit)
    };
    let Some(mut bucket) = found else {
        return Quantile {
            value: f64::NAN,
            nan: has_nan.then_some(NanEffect::IsResult),
        };
    };
    if has_nan && !reached {
        return Quantile {
            value: f64::NAN,
            nan: Some(NanEffect::IsResult),
        };
    }
    let nan = has_nan.then_some(NanEffect::Skews);
    let answer = |value: f64| Quantile { value, nan };
    let custom = histogram.has_custom_buckets();
    if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return answer(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return answer(bucket.lower);
        }
    } else {
        bucket = narrowed_zero(histogram, bucket);
    }
    let count = count.min(histogram.count);
    let rank = if forward {
        wanted - (count - bucket.count)
    } else {
        count - wanted
    };
    let fraction = rank / bucket.count;
    if custom || spans_zero(&bucket) {
        return answer(bucket.lower + (bucket.upper - bucket.lower) * fraction);
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    answer(if bucket.lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    })
}

/// Which part of the observations lies between `lower` and `upper`. NaNs lie nowhere.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |value: f64| rank_of(value, histogram);
    (below(upper) - below(lower)) / histogram.count
}

/// How many observations are taken to be below `value`.
fn rank_of(value: f64, histogram: &Histogram) -> f64 {
    let custom = histogram.has_custom_buckets();
    let mut rank = 0.0;
    for mut bucket in histogram.spans() {
        let is_zero = !custom && spans_zero(&bucket);
        if is_zero {
            bucket = narrowed_zero(histogram, bucket);
        }
        if custom && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        if bucket.lower >= value {
            return rank;
        }
        if bucket.upper > value {
            let part = if custom || is_zero {
                linear_part(&bucket, value)
            } else {
                logarithmic_part(&bucket, value)
            };
            return (rank + bucket.count * part).min(histogram.count);
        }
        rank += bucket.count;
    }
    rank.min(histogram.count)
}

/// Which part of a bucket lies below `value`. Where a bound is infinite all of it lies at the other.
fn linear_part(bucket: &BucketSpan, value: f64) -> f64 {
    if bucket.lower == f64::NEG_INFINITY {
        1.0
    } else if bucket.upper == f64::INFINITY {
        0.0
    } else {
        (value - bucket.lower) / (bucket.upper - bucket.lower)
    }
}

fn logarithmic_part(bucket: &BucketSpan, value: f64) -> f64 {
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    let at = value.abs().log2();
    if value > 0.0 {
        (at - low) / (high - low)
    } else {
        1.0 - (at - high) / (low - high)
    }
}

fn spans_zero(bucket: &BucketSpan) -> bool {
    bucket.lower <= 0.0 && bucket.upper >= 0.0
}

/// The zero bucket of a histogram with observations on one side only begins or ends at zero.
fn narrowed_zero(histogram: &Histogram, mut bucket: BucketSpan) -> BucketSpan {
    if spans_zero(&bucket) {
        match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            (false, false) | (true, true) => {}
        }
    }
    bucket
}

/// The average squared distance from the mean, each observation taken to be in the middle of its bucket.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut sum = KahanSum::default();
    for bucket in histogram.spans().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.has_custom_buckets() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if spans_zero(&bucket) {
            0.0
        } else {
            geometric_mean(bucket.lower, bucket.upper)
        };
        let distance = middle - mean;
        sum = sum.plus(bucket.count * distance * distance);
    }
    sum.value() / histogram.count
}

/// Of two bounds on the same side of zero.
fn geometric_mean(lower: f64, upper: f64) -> f64 {
    let mean = (upper.abs().sqrt()) * (lower.abs().sqrt());
    if upper <= 0.0 { -mean } else { mean }
}

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Above,
    Below,
}

/// Only the observations above or below `limit`. Where no bucket loses any the sum is what it was, else it is estimated
/// from the middles of what is left.
pub(crate) fn trimmed(histogram: &Histogram, limit: f64, kept: Kept) -> Histogram {
    let custom = histogram.has_custom_buckets();
    let mut trimming = Trimming {
        limit,
        kept,
        count: 0.0,
        sum: 0.0,
        changed: false,
    };
    let interpolation = if custom {
        Interpolation::Linear
    } else {
        Interpolation::Logarithmic
    };
    let mut left = histogram.clone();
    let trim_all = |buckets: &mut [Bucket], spans: Vec<BucketSpan>, trimming: &mut Trimming| {
        for (bucket, span) in buckets.iter_mut().zip(spans) {
            bucket.count = trimming.keep(span, interpolation);
        }
    };
    let positive = histogram.positive_spans().collect();
    trim_all(&mut left.positive, positive, &mut trimming);
    let negative = histogram.negative_spans().collect();
    trim_all(&mut left.negative, negative, &mut trimming);
    if histogram.zero_count > 0.0 {
        let zero = narrowed_zero(histogram, histogram.zero_bucket());
        left.zero_count = trimming.keep(zero, Interpolation::Linear);
    }
    if trimming.changed {
        left.count = trimming.count;
        left.sum = trimming.sum;
    }
    left.compacted()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interpolation {
    Linear,
    Logarithmic,
}

struct Trimming {
    limit: f64,
    kept: Kept,
    count: f64,
    sum: f64,
    changed: bool,
}

impl Trimming {
    /// How many observations of the bucket stay.
    fn keep(&mut self, span: BucketSpan, interpolation: Interpolation) -> f64 {
        let (kept, middle) = self.part(span, interpolation);
        if kept != span.count {
            self.changed = true;
        }
        if kept != 0.0 {
            self.count += kept;
            self.sum += kept * middle;
        }
        kept
    }

    /// How many stay, and where their middle is.
    fn part(&self, mut span: BucketSpan, interpolation: Interpolation) -> (f64, f64) {
        let limit = self.limit;
        let (all, none) = match self.kept {
            Kept::Above => (span.lower >= limit, span.upper <= limit),
            Kept::Below => (span.upper <= limit, span.lower >= limit),
        };
        if all && span.count != 0.0 {
            return (span.count, middle(span.lower, span.upper, interpolation));
        }
        if none || all {
            return (0.0, 0.0);
        }
        if span.lower == f64::NEG_INFINITY && span.upper == f64::INFINITY {
            return (0.0, 0.0);
        }
        if span.lower == f64::NEG_INFINITY {
            if span.upper <= 0.0 {
                // Nothing is known about where below the bound: at the limit, if below is what stays.
                return match self.kept {
                    Kept::Above => (0.0, 0.0),
                    Kept::Below => (span.count, limit),
                };
            }
            if limit < 0.0 {
                return (0.0, 0.0);
            }
            span.lower = 0.0;
        } else if span.upper == f64::INFINITY {
            return match self.kept {
                Kept::Above => (span.count, limit),
                Kept::Below => (0.0, 0.0),
            };
        }
        let below = match interpolation {
            Interpolation::Linear => linear_part(&span, limit),
            Interpolation::Logarithmic => logarithmic_part(&span, limit),
        };
        match self.kept {
            Kept::Above => (
                span.count * (1.0 - below),
                middle(limit, span.upper, interpolation),
            ),
            Kept::Below => (span.count * below, middle(span.lower, limit, interpolation)),
        }
    }
}

fn middle(lower: f64, upper: f64, interpolation: Interpolation) -> f64 {
    if lower == f64::NEG_INFINITY {
        return if upper > 0.0 { upper / 2.0 } else { upper };
    }
    if upper == f64::INFINITY {
        return lower;
    }
    match interpolation {
        Interpolation::Linear => f64::midpoint(lower, upper),
        Interpolation::Logarithmic => geometric_mean(lower, upper),
    }
}
