//! Floating-point numbers as Go prints them with the fewest digits that read back to the same value.

/// Shortest `g`, which Go's `%v` and `print` use: the exponent form below 1e-4 and from 1e6 on.
#[must_use]
pub fn format_g(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let (sign, digits, exponent) = shortest(value);
    // strconv decides with precision 6 when it is asked for the shortest form, however many digits there are.
    if (-4..6).contains(&exponent) {
        format_f(value)
    } else {
        format!("{sign}{}{}", mantissa(&digits), exponent_text(exponent))
    }
}

/// Shortest `f`: never an exponent.
#[must_use]
pub fn format_f(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        // Rust's `Display` prints the shortest digits, never with an exponent.
        None => format!("{value}"),
    }
}

/// Shortest `e`: `1e+00`.
#[must_use]
pub fn format_e(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => {
            let (sign, digits, exponent) = shortest(value);
            format!("{sign}{}{}", mantissa(&digits), exponent_text(exponent))
        }
    }
}

/// The number rendering of Prometheus' JSON: shortest `f`, but `e` below 1e-6 and from 1e21.
#[must_use]
pub fn format_json(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        format_e(value)
    } else {
        format_f(value)
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// Sign, digits without a point, and the decimal exponent of the first digit.
fn shortest(value: f64) -> (&'static str, String, i32) {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    (sign, digits, exponent.parse().unwrap_or(0))
}

fn mantissa(digits: &str) -> String {
    let (first, rest) = digits.split_at(1);
    if rest.is_empty() {
        first.to_owned()
    } else {
        format!("{first}.{rest}")
    }
}

/// Go writes at least two digits of exponent.
fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::{format_e, format_f, format_g, format_json};

    #[test]
    fn prints_as_go_does() {
        for (value, g, f, e, json) in [
            (0.0, "0", "0", "0e+00", "0"),
            (-0.0, "-0", "-0", "-0e+00", "-0"),
            (1.0, "1", "1", "1e+00", "1"),
            (123_456.0, "123456", "123456", "1.23456e+05", "123456"),
            (999_999.0, "999999", "999999", "9.99999e+05", "999999"),
            (1e6, "1e+06", "1000000", "1e+06", "1000000"),
            (
                1_234_567.0,
                "1.234567e+06",
                "1234567",
                "1.234567e+06",
                "1234567",
            ),
            (
                123_456_789.0,
                "1.23456789e+08",
                "123456789",
                "1.23456789e+08",
                "123456789",
            ),
            (0.0001, "0.0001", "0.0001", "1e-04", "0.0001"),
            (0.00001, "1e-05", "0.00001", "1e-05", "0.00001"),
            (1e-7, "1e-07", "0.0000001", "1e-07", "1e-07"),
            (1e21, "1e+21", "1000000000000000000000", "1e+21", "1e+21"),
            (9.6037, "9.6037", "9.6037", "9.6037e+00", "9.6037"),
            (f64::NAN, "NaN", "NaN", "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf", "-Inf"),
        ] {
            assert_eq!(format_g(value), g);
            assert_eq!(format_f(value), f);
            assert_eq!(format_e(value), e);
            assert_eq!(format_json(value), json);
        }
    }
}
