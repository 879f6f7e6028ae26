//! Go's durations: `1h0m0s`, `1.5s`, `500ms`.
use std::time::Duration;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GoDurationError {
    #[error("time: invalid duration {}", crate::go_quote::quote(.0))]
    Invalid(String),
    #[error("time: missing unit in duration {}", crate::go_quote::quote(.0))]
    MissingUnit(String),
    #[error("time: unknown unit {} in duration {}", crate::go_quote::quote(.unit), crate::go_quote::quote(.text))]
    UnknownUnit { unit: String, text: String },
}

/// Go's `time.ParseDuration`, for durations that are not negative.
pub fn parse(text: &str) -> Result<Duration, GoDurationError> {
    let invalid = || GoDurationError::Invalid(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let number_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(GoDurationError::MissingUnit(text.to_owned()));
        }
        let factor = unit_nanos(unit).ok_or_else(|| GoDurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        nanos = whole
            .checked_mul(factor)
            .and_then(|part| nanos.checked_add(part))
            .ok_or_else(invalid)?;
        let mut place = factor;
        for digit in fraction.bytes().take(18) {
            place /= 10;
            nanos += u128::from(digit - b'0') * place;
        }
        rest = after;
    }
    match u64::try_from(nanos) {
        Ok(nanos) if nanos <= i64::MAX as u64 => Ok(Duration::from_nanos(nanos)),
        _ => Err(invalid()),
    }
}

/// Go's `Duration.String`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000_000_000 {
        let (factor, unit) = match nanos {
            ..1000 => (1, "ns"),
            1000..1_000_000 => (1000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{unit}", decimal(nanos, factor));
    }
    let secs = nanos / 1_000_000_000;
    let seconds = decimal(nanos - secs / 60 * 60_000_000_000, 1_000_000_000);
    match (secs / 3600, secs / 60 % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / factor` without trailing zeros; `factor` is a power of ten.
fn decimal(value: u128, factor: u128) -> String {
    let whole = value / factor;
    let rest = value % factor;
    if rest == 0 {
        return whole.to_string();
    }
    let digits = factor.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{format, parse};

    #[test]
    fn reads_and_prints_what_go_does() {
        for (text, nanos, printed) in [
            ("0", 0_u64, "0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("500ms", 500_000_000, "500ms"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("120h", 432_000_000_000_000, "120h0m0s"),
            ("1m0.25s", 60_250_000_000, "1m0.25s"),
            (".5m", 30_000_000_000, "30s"),
            ("1500ns", 1500, "1.5µs"),
            ("7ns", 7, "7ns"),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(format(Duration::from_nanos(nanos)), printed, "{text}");
        }
    }

    #[test]
    fn refuses_with_gos_words() {
        for (text, words) in [
            ("", r#"time: invalid duration """#),
            ("3", r#"time: missing unit in duration "3""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("s", r#"time: invalid duration "s""#),
            ("9999999h", r#"time: invalid duration "9999999h""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), words);
        }
    }
}
