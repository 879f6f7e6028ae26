//! Functions of one number.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use crate::calendar;
use crate::function::FunctionKind;

/// The function of one value with its scalar arguments; `None` where the kind is no such function.
pub(crate) fn compute(kind: FunctionKind, value: f64, scalars: [f64; 2]) -> Option<f64> {
    Some(match kind {
        FunctionKind::Abs => value.abs(),
        FunctionKind::Acos => value.acos(),
        FunctionKind::Acosh => value.acosh(),
        FunctionKind::Asin => value.asin(),
        FunctionKind::Asinh => value.asinh(),
        FunctionKind::Atan => value.atan(),
        FunctionKind::Atanh => value.atanh(),
        FunctionKind::Ceil => value.ceil(),
        // Go's min and max hand NaN on.
        FunctionKind::Clamp => larger(scalars[0], smaller(scalars[1], value)),
        FunctionKind::ClampMax => smaller(scalars[0], value),
        FunctionKind::ClampMin => larger(scalars[0], value),
        FunctionKind::Cos => value.cos(),
        FunctionKind::Cosh => value.cosh(),
        FunctionKind::Deg => value * 180.0 / std::f64::consts::PI,
        FunctionKind::Exp => value.exp(),
        FunctionKind::Floor => value.floor(),
        FunctionKind::Ln => value.ln(),
        FunctionKind::Log10 => value.log10(),
        FunctionKind::Log2 => value.log2(),
        FunctionKind::Rad => value * std::f64::consts::PI / 180.0,
        FunctionKind::Round => round(value, scalars[0]),
        FunctionKind::Sgn => sign(value),
        FunctionKind::Sin => value.sin(),
        FunctionKind::Sinh => value.sinh(),
        FunctionKind::Sqrt => value.sqrt(),
        FunctionKind::Tan => value.tan(),
        FunctionKind::Tanh => value.tanh(),
        _ => return date_part(kind, value),
    })
}

/// Parts of the time that the value is, in seconds since 1970.
pub(crate) fn date_part(kind: FunctionKind, value: f64) -> Option<f64> {
    let seconds = value as i64;
    let part = match kind {
        FunctionKind::DayOfMonth => i64::from(calendar::date(seconds).day),
        FunctionKind::DayOfWeek => calendar::day_of_week(seconds),
        FunctionKind::DayOfYear => calendar::day_of_year(seconds),
        FunctionKind::DaysInMonth => calendar::days_in_month(seconds),
        FunctionKind::Hour => calendar::hour(seconds),
        FunctionKind::Minute => calendar::minute(seconds),
        FunctionKind::Month => i64::from(calendar::date(seconds).month),
        FunctionKind::Year => calendar::date(seconds).year,
        _ => return None,
    };
    Some(part as f64)
}

/// To the nearest multiple; halves go up. Through the inverse, so that `round(x, 0.1)` is as exact as can be.
fn round(value: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

/// Go's `math.Min`: nothing is smaller than -Inf, not even NaN.
pub(crate) fn smaller(left: f64, right: f64) -> f64 {
    if left == f64::NEG_INFINITY || right == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    left.min(right)
}

/// Go's `math.Max`: nothing is larger than +Inf, not even NaN.
pub(crate) fn larger(left: f64, right: f64) -> f64 {
    if left == f64::INFINITY || right == f64::INFINITY {
        return f64::INFINITY;
    }
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    left.max(right)
}
