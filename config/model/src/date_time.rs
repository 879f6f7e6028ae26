//! Times as Alertmanager's API takes them: RFC 3339, and the shorter and odder forms of a `date-time` that its generated
//! server reads. Refusing one would refuse the whole batch that it stands in.
use std::str::FromStr;

use jiff::civil::DateTime;

use crate::time::{TimeError, Timestamp};

impl Timestamp {
    /// Besides RFC 3339: without an offset (UTC), without seconds, a date alone, a space in place of the `T`, a comma
    /// before the decimals, any number of decimals, an hour of one digit, and `+0100` behind three or six decimals.
    /// An empty text is 1970, as there.
    pub fn parse_date_time(text: &str) -> Result<Self, TimeError> {
        Self::parse_rfc3339(text).or_else(|wrong| lenient(text).ok_or(wrong))
    }
}

fn lenient(text: &str) -> Option<Timestamp> {
    if text.is_empty() {
        return Some(Timestamp::from_millis(0));
    }
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut part = |digits| number::<i16>(parts.next()?, digits);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let clock = match rest.chars().next() {
        None => WallClock::default(),
        Some('T') => wall_clock(&rest[1..])?,
        Some(' ') => {
            wall_clock(&rest[1..]).filter(|clock| clock.zone.is_empty() && clock.has_seconds)?
        }
        Some(_) => return None,
    };
    let civil = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        clock.hour,
        clock.minute,
        clock.second,
        0,
    );
    let shown = civil
        .ok()?
        .duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let offset = offset_secs(&clock)?;
    let millis = (shown.as_secs() - offset) * 1000 + clock.millis;
    Some(Timestamp::from_millis(millis))
}

#[derive(Default)]
struct WallClock<'a> {
    hour: i8,
    minute: i8,
    second: i8,
    has_seconds: bool,
    millis: i64,
    decimals: usize,
    /// What stands behind it.
    zone: &'a str,
}

fn wall_clock(text: &str) -> Option<WallClock<'_>> {
    let (hour, rest) = text.split_once(':')?;
    let mut clock = WallClock {
        hour: number(hour, 2).or_else(|| number(hour, 1))?,
        ..WallClock::default()
    };
    let (minute, rest) = rest.split_at_checked(2)?;
    clock.minute = number(minute, 2)?;
    let Some(rest) = rest.strip_prefix(':') else {
        clock.zone = rest;
        return Some(clock);
    };
    let (second, rest) = rest.split_at_checked(2)?;
    clock.second = number(second, 2)?;
    clock.has_seconds = true;
    clock.zone = rest;
    if let Some(rest) = rest.strip_prefix(['.', ',']) {
        let zone = rest.trim_start_matches(|character: char| character.is_ascii_digit());
        let decimals = &rest[..rest.len() - zone.len()];
        if decimals.is_empty() {
            return None;
        }
        clock.decimals = decimals.len();
        clock.millis = number(&format!("{decimals:0<3}")[..3], 3)?;
        clock.zone = zone;
    }
    Some(clock)
}

fn offset_secs(clock: &WallClock<'_>) -> Option<i64> {
    if matches!(clock.zone, "" | "Z") {
        return Some(0);
    }
    if !clock.has_seconds {
        return None;
    }
    let sign = match clock.zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &clock.zone[1..];
    let (hours, minutes) = match digits.split_once(':') {
        Some(split) => split,
        None if matches!(clock.decimals, 3 | 6) => digits.split_at_checked(2)?,
        None => return None,
    };
    let (hours, minutes): (i64, i64) = (number(hours, 2)?, number(minutes, 2)?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Of exactly so many digits.
fn number<N: FromStr>(text: &str, digits: usize) -> Option<N> {
    let all_digits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use crate::time::Timestamp;

    /// As Alertmanager 0.25 was seen to take them; the date alone is 0.34's.
    #[test]
    fn reads_what_alertmanagers_server_reads() {
        let rows = [
            ("2026-11-28T03:00:00+01:00", "2026-11-28T02:00:00Z"),
            ("2026-11-28T03:00:00", "2026-11-28T03:00:00Z"),
            ("2026-11-28 03:00:00", "2026-11-28T03:00:00Z"),
            ("2026-11-28 03:00:00.5", "2026-11-28T03:00:00.5Z"),
            ("2026-11-28T03:00Z", "2026-11-28T03:00:00Z"),
            ("2026-11-28T03:00", "2026-11-28T03:00:00Z"),
            ("2026-11-28T3:00:00Z", "2026-11-28T03:00:00Z"),
            ("2026-11-28", "2026-11-28T00:00:00Z"),
            (
                "2026-11-28T03:00:00.1234567890123Z",
                "2026-11-28T03:00:00.123Z",
            ),
            (
                "2026-11-28T03:00:00.12345678901+01:00",
                "2026-11-28T02:00:00.123Z",
            ),
            ("2026-11-28T03:00:00.9", "2026-11-28T03:00:00.9Z"),
            ("2026-11-28T03:00:00,5Z", "2026-11-28T03:00:00.5Z"),
            ("2026-11-28T03:00:00.123+0100", "2026-11-28T02:00:00.123Z"),
            (
                "2026-11-28T03:00:00.123456-0130",
                "2026-11-28T04:30:00.123Z",
            ),
            ("2026-11-28T03:00:00+25:00", "2026-11-27T02:00:00Z"),
            ("2026-11-28T03:00:00+01:60", "2026-11-28T01:00:00Z"),
            ("1969-12-31T23:59:59.5", "1969-12-31T23:59:59.5Z"),
            ("", "1970-01-01T00:00:00Z"),
        ];
        for (text, expected) in rows {
            let read = Timestamp::parse_date_time(text).map(Timestamp::to_rfc3339_nano);
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_refuses() {
        for text in [
            "null",
            "now",
            "1795834800",
            "2026-11-28 03:00:00Z",
            "2026-11-28 03:00:00+01:00",
            "2026-11-28 03:00",
            "2026-11-28T03:00:00.Z",
            "2026-11-28T03:00+01:00",
            "2026-11-28T24:00:00",
            "2026-02-30T00:00:00",
            "2026-2-3T00:00:00Z",
            " 2026-11-28T03:00:00Z",
            "2026-11-28T03:00:00Z ",
            "2026-11-28T03:0:00Z",
            "2026-11-28T03:00:0Z",
            "2026-11-28T03:00:00 UTC",
            "10000-01-01T00:00:00",
            "2026-11-2ü",
            "2026-11-28T03:0ü",
            "2026-11-28T03:00:0ü",
            "2026-11-28T03:00:00.123+0ü",
        ] {
            assert!(Timestamp::parse_date_time(text).is_err(), "{text}");
        }
    }
}
