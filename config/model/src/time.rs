//! Wall-clock time in milliseconds since 1970-01-01T00:00:00Z, as samples and alerts carry it.
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

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

    #[must_use]
    #[inline]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Nearest millisecond; `None` for NaN, infinities and what does not fit.
    #[must_use]
    pub fn from_secs_f64(secs: f64) -> Option<Self> {
        let millis = (secs * 1000.0).round();
        (millis.is_finite() && millis.abs() < 9.2e18).then_some(Self(millis as i64))
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

    /// Parses RFC 3339 with any offset. What is finer than a millisecond is cut off.
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
        let instant: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        Ok(Self(
            i64::try_from(instant.as_nanosecond().div_euclid(1_000_000)).map_err(|_| wrong())?,
        ))
    }

    /// `2026-11-20T10:39:40.843Z`: UTC with exactly three decimals, as the Alertmanager's API writes times.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        match self.civil() {
            Some(text) => format!("{text}.{:03}Z", self.0.rem_euclid(1000)),
            None => self.out_of_range(),
        }
    }

    /// `2026-11-20T10:39:40.8Z`: UTC with as many decimals as needed, Go's RFC3339Nano.
    #[must_use]
    pub fn to_rfc3339_nano(self) -> String {
        let Some(text) = self.civil() else {
            return self.out_of_range();
        };
        match self.0.rem_euclid(1000) {
            0 => format!("{text}Z"),
            millis => {
                let decimals = format!("{millis:03}");
                format!("{text}.{}Z", decimals.trim_end_matches('0'))
            }
        }
    }

    fn civil(self) -> Option<String> {
        let instant = jiff::Timestamp::from_millisecond(self.0).ok()?;
        let zoned = jiff::tz::Offset::UTC.to_datetime(instant);
        Some(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            zoned.year(),
            zoned.month(),
            zoned.day(),
            zoned.hour(),
            zoned.minute(),
            zoned.second()
        ))
    }

    /// Beyond the years that RFC 3339 can write, the nearest that it can.
    fn out_of_range(self) -> String {
        if self.0 < 0 {
            "0001-01-01T00:00:00Z".to_owned()
        } else {
            "9999-12-31T23:59:59Z".to_owned()
        }
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
        ] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_round_to_the_nearest_millisecond() {
        assert_eq!(
            Timestamp::from_secs_f64(1.0006),
            Some(Timestamp::from_millis(1001))
        );
        assert_eq!(Timestamp::from_secs_f64(f64::NAN), None);
        assert_eq!(Timestamp::from_secs_f64(1e300), None);
    }
}
