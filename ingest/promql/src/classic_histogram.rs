//! Quantiles and fractions of histograms whose buckets are series with the label `le`.

/// How many observations were at most `bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) bound: f64,
    pub(crate) count: f64,
}

/// Differences of counts this small (relative) come from arithmetic, not from the data.
const TOLERANCE: f64 = 1e-12;

/// Counts that had to be raised so that none is below its predecessor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Raised {
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) difference_max: f64,
}

/// Interpolated linearly inside the bucket; the first begins at 0. NaN without a bucket for everything (`+Inf`).
pub(crate) fn quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Raised>) {
    if quantile.is_nan() {
        return (f64::NAN, None);
    }
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, None);
    }
    if !sort_and_coalesce(buckets) {
        return (f64::NAN, None);
    }
    let raised = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 || observations.is_nan() {
        return (f64::NAN, raised);
    }
    let mut rank = quantile * observations;
    let index = buckets[..last].partition_point(|bucket| bucket.count < rank);
    if index == last {
        return (buckets[last - 1].bound, raised);
    }
    let Bucket {
        bound: end,
        mut count,
    } = buckets[index];
    if index == 0 && end <= 0.0 {
        return (end, raised);
    }
    let mut begin = 0.0;
    if index > 0 {
        begin = buckets[index - 1].bound;
        count -= buckets[index - 1].count;
        rank -= buckets[index - 1].count;
    }
    (begin + (end - begin) * (rank / count), raised)
}

/// Which part of the observations lies between `lower` and `upper`.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !sort_and_coalesce(buckets) {
        return f64::NAN;
    }
    make_monotonic(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let at = |value: f64| rank_of(value, buckets).min(count);
    (at(upper) - at(lower)) / count
}

/// How many observations are taken to be below `value`.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut rank = 0.0;
    let mut begin = if buckets[0].bound > 0.0 {
        0.0
    } else {
        f64::NEG_INFINITY
    };
    for bucket in buckets {
        if begin >= value {
            return rank;
        }
        if bucket.bound > value {
            // Inside a bucket of infinite width nothing can be interpolated: all of it lies at its finite end.
            return if begin.is_infinite() {
                bucket.count
            } else if bucket.bound.is_infinite() {
                rank
            } else {
                rank + (bucket.count - rank) * (value - begin) / (bucket.bound - begin)
            };
        }
        rank = bucket.count;
        begin = bucket.bound;
    }
    rank
}

/// Whether there is a bucket for everything.
fn sort_and_coalesce(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|left, right| left.bound.total_cmp(&right.bound));
    if buckets
        .last()
        .is_none_or(|last| last.bound != f64::INFINITY)
    {
        return false;
    }
    // Equal bounds come from different spellings, `1` and `1.0`.
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

fn make_monotonic(buckets: &mut [Bucket]) -> Option<Raised> {
    let mut raised: Option<Raised> = None;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == previous {
            continue;
        }
        if nearly_equal(previous, count) {
            bucket.count = previous;
        } else if count < previous {
            let found = raised.get_or_insert(Raised {
                bucket_min: bucket.bound,
                bucket_max: bucket.bound,
                difference_max: 0.0,
            });
            found.bucket_max = bucket.bound;
            found.difference_max = found.difference_max.max(previous - count);
            bucket.count = previous;
        } else {
            previous = count;
        }
    }
    raised
}

fn nearly_equal(left: f64, right: f64) -> bool {
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}
