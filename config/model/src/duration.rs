//! Prometheus' durations: `1h30m`, `5m`, `0`.
use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Prometheus counts nanoseconds in 63 bits.
const MILLIS_MAX: u64 = i64::MAX as u64 / 1_000_000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    #[error("empty duration string")]
    Empty,
    #[error("not a valid duration string: {}", crate::go_quote::quote(.0))]
    Malformed(String),
    #[error("duration out of range")]
    OutOfRange,
}

/// Units `y w d h m s ms` in that order, each at most once, whole numbers; a plain `0` too.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut millis = 0_u64;
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let (_, factor) = units
            .by_ref()
            .find(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        millis = number
            .checked_mul(*factor)
            .and_then(|part| millis.checked_add(part))
            .filter(|millis| *millis <= MILLIS_MAX)
            .ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// As Prometheus prints it: years and weeks only where nothing is left over, `0s` for nothing.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if exact_only && millis % factor != 0 {
            continue;
        }
        let count = millis / factor;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            millis -= count * factor;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DurationError, format, parse};

    #[test]
    fn reads_and_prints_what_prometheus_does() {
        for (text, millis, printed) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("5m", 300_000, "5m"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1d12h", 129_600_000, "1d12h"),
            ("14d", 1_209_600_000, "2w"),
            ("8d", 691_200_000, "8d"),
            ("1y", 31_536_000_000, "1y"),
            ("500ms", 500, "500ms"),
            ("1y2w3d4h5m6s7ms", 33_019_506_007, "382d4h5m6s7ms"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format(duration), printed, "{text}");
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        assert_eq!(parse(""), Err(DurationError::Empty));
        for text in [
            "5", "m", "1m1h", "1m1m", "-1m", "1.5h", "1 m", "1x", "1mm", "5M",
        ] {
            assert_eq!(
                parse(text),
                Err(DurationError::Malformed(text.into())),
                "{text}"
            );
        }
        for text in ["300y", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(DurationError::OutOfRange), "{text}");
        }
        assert_eq!(
            parse("x").unwrap_err().to_string(),
            r#"not a valid duration string: "x""#
        );
    }
}
