//! Quantiles of plain values.
use std::cmp::Ordering;

/// NaN is smaller than any number.
pub(crate) fn ascending(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
    }
}

/// Between two values the quantile is interpolated. Outside of 0 to 1 it is infinite. The values change places.
pub(crate) fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    let rank = quantile * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let lower = (rank.floor().max(0.0) as usize).min(values.len() - 1);
    let (_, at_lower, above) =
        values.select_nth_unstable_by(lower, |left, right| ascending(*left, *right));
    let at_lower = *at_lower;
    let at_upper = above
        .iter()
        .copied()
        .min_by(|left, right| ascending(*left, *right))
        .unwrap_or(at_lower);
    at_lower * (1.0 - weight) + at_upper * weight
}
