//! Floats with a given precision, as Go's `strconv` writes them.

/// `%.Nf`
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    format!("{value:.*}", precision.min(PRECISION_MAX))
}

/// `%.Ne`: an exponent of at least two digits.
pub(crate) fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.*e}", precision.min(PRECISION_MAX));
    match text.split_once('e') {
        Some((digits, exponent)) => with_exponent(digits, exponent.parse().unwrap_or(0)),
        None => text,
    }
}

/// `%.Ng`: `precision` significant digits without trailing zeros; an exponent where it is below -4 or not below
/// the precision.
pub(crate) fn general(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return model::go_number::format_g(value);
    }
    let precision = precision.clamp(1, PRECISION_MAX);
    let text = format!("{value:.*e}", precision - 1);
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let wanted = i32::try_from(precision).unwrap_or(i32::MAX);
    // A whole number that has fewer digits than asked for is never written with an exponent below its own length.
    let threshold = if wanted > count && count > exponent {
        count
    } else {
        wanted
    };
    if value != 0.0 && (exponent < -4 || exponent >= threshold) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return with_exponent(&format!("{sign}{first}{point}{rest}"), exponent);
    }
    let decimals = usize::try_from((count - 1 - exponent).max(0)).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// More digits than a float can have are cut off here.
const PRECISION_MAX: usize = 1100;

fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::{exponent, fixed, general};

    #[test]
    fn writes_as_go_does() {
        for (value, precision, text) in [
            (0.0, 4, "0"),
            (1.0, 4, "1"),
            (1234.0, 4, "1234"),
            (12345.0, 4, "1.234e+04"),
            (100_000.0, 4, "1e+05"),
            (100.0, 4, "100"),
            (0.000_012_345, 4, "1.234e-05"),
            (0.001, 4, "0.001"),
            (1.2345, 4, "1.234"),
            (12.345, 4, "12.35"),
            (-12.345, 4, "-12.35"),
            (999.99, 4, "1000"),
            (123.5, 4, "123.5"),
            (5.0, 0, "5"),
        ] {
            assert_eq!(general(value, precision), text, "{value} {precision}");
        }
        assert_eq!(exponent(1_234_567.0, 2), "1.23e+06");
        assert_eq!(exponent(0.0, 1), "0.0e+00");
        assert_eq!(fixed(2.5, 0), "2");
        assert_eq!(fixed(1.005, 2), "1.00");
    }
}
