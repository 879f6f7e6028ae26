//! Numbers for people, as Prometheus and Alertmanager write them.
use crate::float::general;
use crate::function::Failure;
use crate::value::Value;

/// A number out of what templates pass for one.
pub(crate) fn to_float(value: &Value) -> Result<f64, Failure> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Str(text) => parse_float(text).ok_or_else(|| {
            let text = model::go_quote::quote(text);
            format!("strconv.ParseFloat: parsing {text}: invalid syntax").into()
        }),
        other => Err(format!("can't convert {} to float", other.type_name()).into()),
    }
}

/// `1d 2h 3m 4s`, `12.35s`, `123.5ms`: Prometheus' `humanizeDuration`, of seconds.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, 4);
    }
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds.abs() < 1.0 {
        let (scaled, prefix) = small(seconds);
        return format!("{}{prefix}s", general(scaled, 4));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    let whole = seconds as i64;
    let (secs, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", general(seconds, 4)),
        (0, 0, _) => format!("{sign}{minutes}m {secs}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {secs}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {secs}s"),
    }
}

/// `1.235M`, `12.35m`: SI prefixes.
pub(crate) fn si(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, 4);
    }
    let (scaled, prefix) = if value.abs() >= 1.0 {
        large(value, 1000.0, &["", "k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        small(value)
    };
    format!("{}{prefix}", general(scaled, 4))
}

/// `1.206Mi`: prefixes of 1024.
pub(crate) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, 4);
    }
    let prefixes = ["", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    let (scaled, prefix) = large(value, 1024.0, &prefixes);
    format!("{}{prefix}", general(scaled, 4))
}

/// `12.35%` of 0.1235.
pub(crate) fn percentage(value: f64) -> String {
    format!("{}%", general(value * 100.0, 4))
}

fn small(mut value: f64) -> (f64, &'static str) {
    let mut last = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        last = prefix;
        value *= 1000.0;
    }
    (value, last)
}

fn large(mut value: f64, step: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut last = "";
    for prefix in &prefixes[1..] {
        if value.abs() < step {
            break;
        }
        last = prefix;
        value /= step;
    }
    (value, last)
}

/// Go's `ParseFloat`, as far as people write floats.
fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let word = unsigned.to_ascii_lowercase();
    let legal = matches!(word.as_str(), "inf" | "infinity" | "nan")
        || unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| legal)
}

#[cfg(test)]
mod tests {
    use super::{binary, duration, percentage, si};

    #[test]
    fn durations() {
        for (seconds, text) in [
            (0.0, "0s"),
            (1.0, "1s"),
            (60.0, "1m 0s"),
            (3600.0, "1h 0m 0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (90_000.0, "1d 1h 0m 0s"),
            (-(2.0 * 86_400.0 + 3.0 * 3600.0 + 245.0), "-2d 3h 4m 5s"),
            (899.99, "14m 59s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
            (0.12345, "123.5ms"),
            (60.1, "1m 0s"),
            (60.5, "1m 0s"),
            (1.2345, "1.234s"),
            (12.345, "12.35s"),
            (100.0, "1m 40s"),
            (0.8999, "899.9ms"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn prefixes() {
        for (value, decimal, binary_text) in [
            (0.0, "0", "0"),
            (1.0, "1", "1"),
            (1_234_567.0, "1.235M", "1.177Mi"),
            (0.12, "120m", "0.12"),
            (-1024.0, "-1.024k", "-1ki"),
            (1e30, "1e+06Y", "8.272e+05Yi"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
        ] {
            assert_eq!(si(value), decimal);
            assert_eq!(binary(value), binary_text);
        }
        assert_eq!(percentage(0.123_456), "12.35%");
    }
}
