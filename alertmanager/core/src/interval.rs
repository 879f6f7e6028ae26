//! Time intervals: when a route is active or mute.
use config::{Location, NamedTimeInterval, NumberRange, Route, TimeInterval};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::Timestamp;

/// Why the intervals of a route mute a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntervalMute {
    /// The flush lies in none of the route's active intervals: their names.
    NotActive(Vec<String>),
    /// It lies in these of the route's mute intervals.
    Muted(Vec<String>),
}

impl IntervalMute {
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::NotActive(names) | Self::Muted(names) => names,
        }
    }
}

/// Judges a flush at `now` by the route's own intervals. `local` is the machine's zone, for `location: Local`.
#[must_use]
pub(crate) fn muted_by_interval(
    route: &Route,
    intervals: &[NamedTimeInterval],
    local: &TimeZone,
    now: Timestamp,
) -> Option<IntervalMute> {
    let inside = |name: &&String| {
        intervals
            .iter()
            .find(|interval| interval.name == **name)
            .is_some_and(|interval| contains(interval, local, now))
    };
    let muting: Vec<String> = route
        .mute_time_intervals
        .iter()
        .filter(inside)
        .cloned()
        .collect();
    if !muting.is_empty() {
        return Some(IntervalMute::Muted(muting));
    }
    let active = &route.active_time_intervals;
    if active.is_empty() || active.iter().any(|name| inside(&name)) {
        None
    } else {
        Some(IntervalMute::NotActive(active.clone()))
    }
}

/// Whether one of the interval's specifications contains the instant.
#[must_use]
pub(crate) fn contains(interval: &NamedTimeInterval, local: &TimeZone, now: Timestamp) -> bool {
    let Ok(instant) = jiff::Timestamp::from_millisecond(now.as_millis()) else {
        return false;
    };
    interval.intervals.iter().any(|specification| {
        let zone = match &specification.location {
            Location::Local => local,
            Location::Implied | Location::Utc => &TimeZone::UTC,
            Location::Zone { zone, .. } => zone,
        };
        specification_contains(specification, zone.to_datetime(instant))
    })
}

fn specification_contains(interval: &TimeInterval, at: DateTime) -> bool {
    let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
    let in_times = interval.times.iter().any(|range| {
        i32::from(range.start_minute) <= minute && minute < i32::from(range.end_minute)
    });
    let month_days = i32::from(at.date().days_in_month());
    let day = i32::from(at.day());
    let in_days = interval
        .days_of_month
        .iter()
        .any(|range| day_matches(*range, day, month_days));
    (interval.times.is_empty() || in_times)
        && in_ranges(
            &interval.weekdays,
            i32::from(at.weekday().to_sunday_zero_offset()),
        )
        && (interval.days_of_month.is_empty() || in_days)
        && in_ranges(&interval.months, i32::from(at.month()))
        && in_ranges(&interval.years, i32::from(at.year()))
}

fn in_ranges(ranges: &[NumberRange], number: i32) -> bool {
    ranges.is_empty()
        || ranges
            .iter()
            .any(|range| range.begin <= number && number <= range.end)
}

/// Negative days count from the month's end; what lies outside of the month is drawn to its edge, but a range
/// that begins after the month's last day is not in it.
fn day_matches(range: NumberRange, day: i32, month_days: i32) -> bool {
    let from_start = |day: i32| {
        if day < 0 { month_days + day + 1 } else { day }
    };
    let begin = from_start(range.begin);
    let end = from_start(range.end);
    begin <= month_days && begin.max(1) <= day && day <= end.min(month_days)
}

#[cfg(test)]
mod tests {
    use config::{Location, NamedTimeInterval, NumberRange, TimeInterval, TimeRange};
    use jiff::tz::TimeZone;
    use model::Timestamp;

    use super::contains;

    fn interval(zone: Option<&str>) -> TimeInterval {
        TimeInterval {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            location: zone.map_or(Location::Utc, |name| Location::Zone {
                name: name.to_owned(),
                zone: TimeZone::get(name).unwrap(),
            }),
        }
    }

    fn range(begin: i32, end: i32) -> Vec<NumberRange> {
        vec![NumberRange { begin, end }]
    }

    fn office_hours(zone: Option<&str>) -> TimeInterval {
        TimeInterval {
            times: vec![TimeRange {
                start_minute: 9 * 60,
                end_minute: 17 * 60,
            }],
            weekdays: range(1, 5),
            ..interval(zone)
        }
    }

    fn check(interval: &TimeInterval, rows: &[(&str, bool)]) {
        let named = NamedTimeInterval {
            name: "n".to_owned(),
            intervals: vec![interval.clone()],
            deprecated: false,
        };
        for (at, inside) in rows {
            let now = Timestamp::parse_rfc3339(at).unwrap();
            assert_eq!(contains(&named, &TimeZone::UTC, now), *inside, "{at}");
        }
    }

    #[test]
    fn office_hours_are_on_workdays_from_nine_to_five() {
        check(
            &office_hours(None),
            &[
                ("2020-05-04T15:04:00Z", true),
                ("2020-07-08T09:00:00Z", true),
                ("2020-07-08T16:59:59Z", true),
                ("2020-07-08T17:00:00Z", false),
                ("2020-07-08T08:59:00Z", false),
                ("2020-05-03T12:00:00Z", false),
            ],
        );
        check(
            &office_hours(Some("Australia/Sydney")),
            &[
                ("2021-04-06T13:00:00+10:00", true),
                ("2021-04-06T13:00:00Z", false),
            ],
        );
    }

    #[test]
    fn days_count_from_both_ends_of_the_month() {
        let last_three = TimeInterval {
            days_of_month: range(-3, -1),
            ..interval(None)
        };
        check(
            &last_three,
            &[
                ("2020-01-31T00:00:00Z", true),
                ("2020-01-30T12:00:00Z", true),
                ("2020-01-29T23:59:00Z", true),
                ("2020-01-27T12:00:00Z", false),
                ("2020-02-29T12:00:00Z", true),
                ("2020-06-30T12:00:00Z", true),
            ],
        );
        let june = TimeInterval {
            days_of_month: range(-31, 31),
            months: range(6, 6),
            ..interval(None)
        };
        check(
            &june,
            &[
                ("2020-05-31T23:59:00Z", false),
                ("2020-06-01T00:00:00Z", true),
                ("2020-06-30T23:59:00Z", true),
                ("2020-07-01T00:00:00Z", false),
            ],
        );
        let thirty_first = TimeInterval {
            days_of_month: range(31, 31),
            ..interval(None)
        };
        check(
            &thirty_first,
            &[
                ("2020-06-30T12:00:00Z", false),
                ("2020-07-31T12:00:00Z", true),
            ],
        );
        let last_in_new_york = TimeInterval {
            days_of_month: range(-1, -1),
            ..interval(Some("America/New_York"))
        };
        check(
            &last_in_new_york,
            &[
                ("2021-03-31T12:00:00-04:00", true),
                ("2021-03-30T12:00:00-04:00", false),
                ("2021-04-01T02:00:00Z", true),
            ],
        );
    }

    #[test]
    fn months_turn_in_the_intervals_own_zone() {
        let november = TimeInterval {
            months: range(11, 11),
            ..office_hours(Some("Australia/Sydney"))
        };
        check(
            &november,
            &[
                ("2021-10-31T22:00:00Z", true),
                ("2021-10-31T21:00:00Z", false),
            ],
        );
        let whole_day = TimeInterval {
            times: vec![TimeRange {
                start_minute: 0,
                end_minute: 24 * 60,
            }],
            years: range(2020, 2021),
            ..interval(None)
        };
        check(
            &whole_day,
            &[
                ("2021-12-31T23:59:59Z", true),
                ("2022-01-01T00:00:00Z", false),
            ],
        );
    }
}
