use super::{Bucket, CUSTOM_BUCKETS, Histogram, HistogramSum, ResetHint, exponential_bound};

fn buckets(pairs: &[(i32, f64)]) -> Vec<Bucket> {
    pairs
        .iter()
        .map(|(index, count)| Bucket {
            index: *index,
            count: *count,
        })
        .collect()
}

fn exponential(schema: i32, zero: (f64, f64), positive: &[(i32, f64)]) -> Histogram {
    let total: f64 = positive.iter().map(|(_, count)| count).sum();
    Histogram {
        schema,
        zero_threshold: zero.0,
        zero_count: zero.1,
        count: total + zero.1,
        sum: 1.0,
        positive: buckets(positive),
        ..Histogram::default()
    }
}

fn custom(bounds: &[f64], positive: &[(i32, f64)]) -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS,
        custom_values: bounds.into(),
        ..exponential(CUSTOM_BUCKETS, (0.0, 0.0), positive)
    }
}

#[test]
fn bounds_are_powers_of_the_schemas_base() {
    for (schema, index, bound) in [
        (0, 0, 1.0),
        (0, 1, 2.0),
        (0, -1, 0.5),
        (1, 1, std::f64::consts::SQRT_2),
        (1, 2, 2.0),
        (2, -4, 0.5),
        (-1, 1, 4.0),
        (-4, 1, 65536.0),
        (0, 1024, f64::MAX),
        (-4, 64, f64::MAX),
        (0, 1025, f64::INFINITY),
    ] {
        let got = exponential_bound(schema, index);
        assert!(
            (got - bound).abs() <= bound * 1e-15 || got == bound,
            "{schema} {index}: {got}"
        );
    }
}

#[test]
fn a_lower_resolution_merges_neighbours() {
    let mut fine = exponential(
        1,
        (0.0, 0.0),
        &[(-1, 1.0), (0, 2.0), (1, 4.0), (2, 8.0), (3, 16.0)],
    );
    fine.reduce_to_schema(0);
    assert_eq!(fine.positive, buckets(&[(0, 3.0), (1, 12.0), (2, 16.0)]));
}

#[test]
fn sums_meet_at_the_coarser_schema_and_the_wider_zero_bucket() {
    let mut left = exponential(1, (0.5, 1.0), &[(1, 2.0), (3, 4.0)]);
    // Reaches into the bucket from 1 to √2, so the zero bucket must hold all of it.
    let right = exponential(0, (1.2, 5.0), &[(2, 8.0)]);
    left.add(&right).unwrap();
    assert_eq!(left.schema, 0);
    assert_eq!(left.zero_count, 8.0);
    assert!((left.zero_threshold - std::f64::consts::SQRT_2).abs() < 1e-9);
    assert_eq!(left.positive, buckets(&[(2, 12.0)]));
    assert_eq!(left.count, 20.0);
}

#[test]
fn custom_buckets_meet_at_the_bounds_that_both_have() {
    let mut left = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)]);
    let right = custom(&[1.0, 3.0, 4.0], &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
    let reconciled = left.add(&right).unwrap();
    assert!(reconciled.bounds);
    assert_eq!(&*left.custom_values, [1.0, 4.0]);
    assert_eq!(left.positive, buckets(&[(0, 2.0), (1, 8.0), (2, 9.0)]));
    assert!(left.add(&exponential(0, (0.0, 0.0), &[])).is_err());
}

#[test]
fn hints_of_a_sum() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    for (left, right, sum, conflict) in [
        (Unknown, Unknown, Unknown, false),
        (Gauge, Reset, Gauge, false),
        (NotReset, Gauge, Gauge, false),
        (Unknown, Reset, Unknown, false),
        (NotReset, Unknown, Unknown, false),
        (Reset, Reset, Reset, false),
        (Reset, NotReset, Unknown, true),
    ] {
        let mut own = exponential(0, (0.0, 0.0), &[]);
        own.reset_hint = left;
        let mut other = own.clone();
        other.reset_hint = right;
        let reconciled = own.add(&other).unwrap();
        assert_eq!((own.reset_hint, reconciled.hints_conflict), (sum, conflict));
    }
}

#[test]
fn resets_are_lost_observations() {
    let before = exponential(0, (0.5, 2.0), &[(1, 2.0), (2, 4.0)]);
    let grown = exponential(0, (0.5, 2.0), &[(1, 2.0), (2, 5.0)]);
    let moved = exponential(0, (0.5, 2.0), &[(1, 3.0), (2, 3.0)]);
    let coarser = exponential(-1, (0.5, 2.0), &[(1, 6.0)]);
    let wider = exponential(0, (2.0, 4.0), &[(2, 4.0)]);
    let cutting = exponential(0, (1.5, 4.0), &[(2, 4.0)]);
    assert!(!grown.is_reset_since(&before));
    assert!(before.is_reset_since(&grown));
    assert!(moved.is_reset_since(&before));
    assert!(!coarser.is_reset_since(&before));
    assert!(before.is_reset_since(&coarser));
    assert!(!wider.is_reset_since(&before));
    assert!(cutting.is_reset_since(&before));
    let mut hinted = grown;
    hinted.reset_hint = ResetHint::Reset;
    assert!(hinted.is_reset_since(&before));
}

#[test]
fn a_long_sum_loses_nothing() {
    let one = exponential(0, (0.1, 1.0), &[(1, 1.0), (3, 1.0)]);
    let huge = exponential(0, (0.1, 1e100), &[(1, 1e100), (2, 1e100)]);
    let mut sum = HistogramSum::starting_at(huge.clone());
    sum.add(&one).unwrap();
    sum.add(&huge.scaled(-1.0)).unwrap();
    assert_eq!(
        sum.value().compacted().positive,
        buckets(&[(1, 1.0), (3, 1.0)])
    );
}

#[test]
fn is_shown_with_its_bounds() {
    let mut histogram = exponential(0, (0.25, 1.0), &[(1, 2.0), (2, 0.0), (3, 2.5)]);
    histogram.negative = buckets(&[(1, 4.0)]);
    assert_eq!(
        histogram.to_string(),
        "{count:5.5, sum:1, [-2,-1):4, [-0.25,0.25]:1, (1,2]:2, (4,8]:2.5}"
    );
    assert_eq!(
        custom(&[1.0], &[(0, 1.0), (1, 2.0)]).to_string(),
        "{count:3, sum:1, [-Inf,1]:1, (1,+Inf]:2}"
    );
}
