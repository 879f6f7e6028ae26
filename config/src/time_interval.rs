//! `time_intervals`: when a route is active or mute.
use jiff::tz::TimeZone;

use crate::cursor::Cursor;

/// Contains an instant where one of its specifications does.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTimeInterval {
    pub name: String,
    pub intervals: Vec<TimeInterval>,
    /// From the deprecated list `mute_time_intervals`.
    pub deprecated: bool,
}

/// Contains an instant where every list that is not empty has an element that does.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeInterval {
    pub times: Vec<TimeRange>,
    /// 0 is Sunday, 6 is Saturday.
    pub weekdays: Vec<NumberRange>,
    /// 1 to 31, or −31 to −1 counted from the month's end.
    pub days_of_month: Vec<NumberRange>,
    /// 1 is January.
    pub months: Vec<NumberRange>,
    pub years: Vec<NumberRange>,
    pub location: Location,
}

/// Minutes of the day; the end (at most 1440) is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    pub start_minute: u16,
    pub end_minute: u16,
}

/// Both ends are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberRange {
    pub begin: i32,
    pub end: i32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// UTC, because nothing is written.
    Implied,
    /// The machine's own zone.
    Local,
    Utc,
    Zone {
        name: String,
        zone: TimeZone,
    },
}

/// How an element of one of the lists is written: one value, or `begin:end`.
type ReadElement = fn(&str) -> Result<NumberRange, String>;

pub(crate) const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// The shortest month decides whether a range that counts from both ends can be empty.
const SHORTEST_MONTH_DAYS: i32 = 28;

impl NamedTimeInterval {
    pub(crate) fn read(cursor: &Cursor<'_>, deprecated: bool) -> Self {
        let mut fields = cursor.fields("config.plain");
        let name = fields.text("name");
        if name.is_empty() {
            let kind = if deprecated {
                "mute time interval"
            } else {
                "time interval"
            };
            fields.problem("name", format!("missing name in {kind}"));
        }
        let intervals = fields
            .list("time_intervals")
            .iter()
            .map(TimeInterval::read)
            .collect();
        fields.finish();
        Self {
            name,
            intervals,
            deprecated,
        }
    }
}

impl TimeInterval {
    fn read(cursor: &Cursor<'_>) -> Self {
        let mut fields = cursor.fields("config.plain");
        let mut ranges = |key, element: ReadElement| -> Vec<NumberRange> {
            let items = fields.list(key);
            items
                .iter()
                .filter_map(|item| item.parsed(element))
                .collect()
        };
        let weekdays = ranges("weekdays", weekday_range);
        let days_of_month = ranges("days_of_month", day_of_month_range);
        let months = ranges("months", month_range);
        let years = ranges("years", year_range);
        let interval = Self {
            times: fields.list("times").iter().filter_map(time_range).collect(),
            weekdays,
            days_of_month,
            months,
            years,
            location: fields
                .get("location")
                .and_then(|cursor| cursor.parsed(location))
                .unwrap_or(Location::Implied),
        };
        fields.finish();
        interval
    }
}

fn time_range(cursor: &Cursor<'_>) -> Option<TimeRange> {
    let mut fields = cursor.fields("config.plain");
    let start = fields.get("start_time");
    let end = fields.get("end_time");
    let both = start.zip(end);
    if both.is_none() {
        cursor.problem("both start and end times must be provided");
    }
    fields.finish();
    let (start, end) = both?;
    let (start, end) = (start.parsed(minute_of_day), end.parsed(minute_of_day));
    let (start_minute, end_minute) = start.zip(end)?;
    if start_minute >= end_minute {
        cursor.problem("start time cannot be equal or greater than end time");
    }
    Some(TimeRange {
        start_minute,
        end_minute,
    })
}

fn minute_of_day(text: &str) -> Result<u16, String> {
    let invalid = || format!("couldn't parse timestamp {text}, invalid format");
    let (hours, minutes) = text.split_once(':').ok_or_else(invalid)?;
    let number = |digits: &str| -> Option<u16> {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if two { digits.parse().ok() } else { None }
    };
    match (number(hours), number(minutes)) {
        (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => Ok(hours * 60 + minutes),
        (Some(24), Some(0)) => Ok(24 * 60),
        _ => Err(invalid()),
    }
}

/// One value, or two separated by a colon.
fn range<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<(T, T), String> {
    let mut parts = text.split(':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(begin), Some(end), None) => Ok((one(begin)?, one(end)?)),
        (Some(single), None, None) => Ok((one(single)?, one(single)?)),
        _ => Err(format!("couldn't parse range {text}, invalid format")),
    }
}

fn weekday_range(text: &str) -> Result<NumberRange, String> {
    let (begin, end) = range(&text.to_lowercase(), |name| {
        position(&WEEKDAYS, name).ok_or_else(|| format!("{name} is not a valid weekday"))
    })?;
    if begin > end {
        return Err("start day cannot be before end day".to_owned());
    }
    Ok(NumberRange { begin, end })
}

fn month_range(text: &str) -> Result<NumberRange, String> {
    let text = text.to_lowercase();
    let (begin, end) = range(&text, |name| {
        position(&MONTHS, name)
            .map(|index| index + 1)
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("{name} is not a valid month"))
    })?;
    if begin > end {
        let (begin, end) = range(&text, |name| Ok(name.to_owned()))?;
        return Err(format!("end month {end} is before start month {begin}"));
    }
    Ok(NumberRange { begin, end })
}

fn year_range(text: &str) -> Result<NumberRange, String> {
    let (begin, end) = range(text, number)?;
    if begin > end {
        return Err(format!("end year {end} is before start year {begin}"));
    }
    Ok(NumberRange { begin, end })
}

fn day_of_month_range(text: &str) -> Result<NumberRange, String> {
    let (begin, end) = range(text, number)?;
    for day in [begin, end] {
        if day == 0 || !(-31..=31).contains(&day) {
            return Err(format!(
                "{day} is not a valid day of the month: out of range"
            ));
        }
    }
    if begin < 0 && end > 0 {
        return Err("end day must be negative if start day is negative".to_owned());
    }
    let from_start = |day: i32| {
        if day < 0 {
            SHORTEST_MONTH_DAYS + day + 1
        } else {
            day
        }
    };
    if from_start(begin) > from_start(end) {
        return Err(format!("end day {end} is always before start day {begin}"));
    }
    Ok(NumberRange { begin, end })
}

fn number(text: &str) -> Result<i32, String> {
    text.parse()
        .map_err(|_| format!("couldn't parse range {text}, invalid format"))
}

fn position(names: &[&str], name: &str) -> Option<i32> {
    let index = names.iter().position(|known| *known == name)?;
    i32::try_from(index).ok()
}

/// Zones come from the database that is compiled in, so that every replica means the same.
fn location(text: &str) -> Result<Location, String> {
    match text {
        "" | "UTC" => Ok(Location::Utc),
        "Local" => Ok(Location::Local),
        name => jiff::tz::TimeZoneDatabase::bundled()
            .get(name)
            .map(|zone| Location::Zone {
                name: name.to_owned(),
                zone,
            })
            .map_err(|_| format!("unknown time zone {name}")),
    }
}
