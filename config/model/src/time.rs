//! Wall-clock time in milliseconds since 1970-01-01T00:00:00Z, as samples and alerts carry it.
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use jiff::fmt::temporal::Pieces;

/// 1970-01-01T00:00:00 as a calendar and a clock on the wall show it. jiff's own instants end a day before the
/// calendar does, so that they can be shown in every zone; here UTC is the only zone.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// An instant, in milliseconds since the Unix epoch. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not an RFC 3339 time")]
pub struct TimeError {
    pub text: String,
}

impl Timestamp {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);
    /// Go's zero time, `0001-01-01T00:00:00Z`: how the Alertmanager's wire forms write "no time".
    pub const GO_ZERO: Self = Self(-62_135_596_800_000);
    /// `0000-01-01T00:00:00Z` and `9999-12-31T23:59:59.999Z`: what RFC 3339 can write.
    const WRITABLE_MIN: Self = Self(-62_167_219_200_000);
    const WRITABLE_MAX: Self = Self(253_402_300_799_999);
    /// Whole seconds of which the milliseconds fit, with a fraction.
    const SECS_MAX: f64 = 9_223_372_036_854_774.0;

    #[must_use]
    #[inline]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Nearest millisecond, the fraction rounded by itself as Prometheus does it; `None` for NaN, infinities and what does
    /// not fit.
    #[must_use]
    pub fn from_secs_f64(secs: f64) -> Option<Self> {
        let whole = secs.trunc();
        if whole.is_nan() || whole.abs() > Self::SECS_MAX {
            return None;
        }
        let millis = (secs.fract() * 1000.0).round() as i64;
        Some(Self(whole as i64 * 1000 + millis))
    }

    #[must_use]
    #[inline]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    #[must_use]
    #[inline]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Time elapsed since `earlier`, zero when `earlier` is later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 with any offset, from the year 0000 to 9999. What is finer than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let wrong = || TimeError {
            text: text.to_owned(),
        };
        // jiff's grammar is wider than RFC 3339: it takes a date with a space, without seconds, or in week form.
        let bytes = text.as_bytes();
        let shape = bytes.len() >= 20
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't')
            && bytes[13] == b':'
            && bytes[16] == b':'
            && !text.contains('[');
        if !shape {
            return Err(wrong());
        }
        let pieces = Pieces::parse(text).map_err(|_| wrong())?;
        let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else {
            return Err(wrong());
        };
        let shown = pieces.date().to_datetime(time).duration_since(EPOCH);
        let offset = SignedDuration::from_secs(i64::from(offset.seconds()));
        let millis = (shown - offset).as_nanos().div_euclid(1_000_000);
        Ok(Self(i64::try_from(millis).map_err(|_| wrong())?))
    }

    /// `2026-11-20T10:39:40.843Z`: UTC with exactly three decimals, as the Alertmanager's API writes times.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        let time = self.writable();
        let mut text = time.civil();
        text.push('.');
        push_digits(&mut text, time.0.rem_euclid(1000), 3);
        text.push('Z');
        text
    }

    /// `2026-11-20T10:39:40.8Z`: UTC with as many decimals as needed, Go's RFC3339Nano.
    #[must_use]
    pub fn to_rfc3339_nano(self) -> String {
        let time = self.writable();
        let text = time.civil();
        match time.0.rem_euclid(1000) {
            0 => format!("{text}Z"),
            millis => {
                let decimals = format!("{millis:03}");
                format!("{text}.{}Z", decimals.trim_end_matches('0'))
            }
        }
    }

    /// Beyond the years that RFC 3339 can write, the nearest instant that it can.
    fn writable(self) -> Self {
        self.clamp(Self::WRITABLE_MIN, Self::WRITABLE_MAX)
    }

    /// UTC's date and time of day to the second.
    fn civil(self) -> String {
        let civil = EPOCH
            .checked_add(SignedDuration::from_millis(self.0))
            .expect("the calendar holds every year that RFC 3339 can write");
        // Three of these stand in each alert of a list: no formatter comes between.
        let mut text = String::with_capacity(24);
        push_digits(&mut text, civil.year().into(), 4);
        for (before, number) in [
            ('-', civil.month()),
            ('-', civil.day()),
            ('T', civil.hour()),
            (':', civil.minute()),
            (':', civil.second()),
        ] {
            text.push(before);
            push_digits(&mut text, number.into(), 2);
        }
        text
    }
}

/// The last `width` digits.
fn push_digits(text: &mut String, number: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or_default()));
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339_nano())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timestamp;

    #[test]
    fn reads_and_writes_rfc3339() {
        for (text, millis, out_millis, nano) in [
            (
                "2026-11-20T10:39:40.843Z",
                1_795_171_180_843,
                "2026-11-20T10:39:40.843Z",
                "2026-11-20T10:39:40.843Z",
            ),
            (
                "2026-11-20T10:39:40Z",
                1_795_171_180_000,
                "2026-11-20T10:39:40.000Z",
                "2026-11-20T10:39:40Z",
            ),
            (
                "2026-11-20T12:39:40.5+02:00",
                1_795_171_180_500,
                "2026-11-20T10:39:40.500Z",
                "2026-11-20T10:39:40.5Z",
            ),
            (
                "0001-01-01T00:00:00.000Z",
                -62_135_596_800_000,
                "0001-01-01T00:00:00.000Z",
                "0001-01-01T00:00:00Z",
            ),
            (
                "0000-01-01T00:00:00Z",
                -62_167_219_200_000,
                "0000-01-01T00:00:00.000Z",
                "0000-01-01T00:00:00Z",
            ),
            // "For ever", as people write it.
            (
                "9999-12-31T23:59:59Z",
                253_402_300_799_000,
                "9999-12-31T23:59:59.000Z",
                "9999-12-31T23:59:59Z",
            ),
            (
                "9999-12-31T23:59:59.999999999Z",
                253_402_300_799_999,
                "9999-12-31T23:59:59.999Z",
                "9999-12-31T23:59:59.999Z",
            ),
            // In UTC these are of the years 10000 and -1: shown as the nearest that can be written.
            (
                "9999-12-31T23:59:59-12:00",
                253_402_343_999_000,
                "9999-12-31T23:59:59.999Z",
                "9999-12-31T23:59:59.999Z",
            ),
            (
                "0000-01-01T00:00:00+12:00",
                -62_167_262_400_000,
                "0000-01-01T00:00:00.000Z",
                "0000-01-01T00:00:00Z",
            ),
            (
                "1969-12-31T23:59:59.123456789Z",
                -877,
                "1969-12-31T23:59:59.123Z",
                "1969-12-31T23:59:59.123Z",
            ),
        ] {
            let time = Timestamp::parse_rfc3339(text).unwrap();
            assert_eq!(time.as_millis(), millis, "{text}");
            assert_eq!(time.to_rfc3339_millis(), out_millis, "{text}");
            assert_eq!(time.to_rfc3339_nano(), nano, "{text}");
        }
        assert_eq!(
            Timestamp::parse_rfc3339("0001-01-01T00:00:00Z"),
            Ok(Timestamp::GO_ZERO)
        );
    }

    #[test]
    fn refuses_what_is_not_rfc3339() {
        for text in [
            "",
            "now",
            "2026-11-20",
            "2026-11-20 10:39:40Z",
            "2026-13-20T10:39:40Z",
            "2026-11-20T10:39:40",
            "10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "+002026-11-20T10:39:40Z",
            "2026-11-20T10:39:40+01:00[Europe/Berlin]",
        ] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_time_overflows() {
        let last = Timestamp::parse_rfc3339("9999-12-31T23:59:59Z").unwrap();
        let first = Timestamp::parse_rfc3339("0000-01-01T00:00:00Z").unwrap();
        assert_eq!(last + Duration::MAX, Timestamp::MAX);
        assert_eq!(first - Duration::MAX, Timestamp::MIN);
        assert_eq!(
            last.saturating_since(first),
            Duration::from_millis(315_569_519_999_000)
        );
        assert_eq!(first.saturating_since(last), Duration::ZERO);
        assert_eq!(
            Timestamp::MAX.saturating_since(Timestamp::MIN),
            Duration::from_millis(i64::MAX as u64)
        );
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(
                Timestamp::parse_rfc3339(&time.to_rfc3339_nano()).map(Timestamp::to_rfc3339_nano),
                Ok(time.to_rfc3339_nano())
            );
        }
    }

    #[test]
    fn seconds_round_to_the_nearest_millisecond() {
        assert_eq!(
            Timestamp::from_secs_f64(1.0006),
            Some(Timestamp::from_millis(1001))
        );
        assert_eq!(
            Timestamp::from_secs_f64(1.0005),
            Some(Timestamp::from_millis(1000)),
            "no double is halfway, and this one is below"
        );
        for fits in [9_223_372_036_854_774.0, -9_223_372_036_854_774.0] {
            let millis = fits as i64 * 1000;
            assert_eq!(
                Timestamp::from_secs_f64(fits),
                Some(Timestamp::from_millis(millis))
            );
        }
        for wrong in [
            f64::NAN,
            f64::INFINITY,
            9_223_372_036_854_776.0,
            1e300,
            -1e300,
        ] {
            assert_eq!(Timestamp::from_secs_f64(wrong), None);
        }
    }
}
