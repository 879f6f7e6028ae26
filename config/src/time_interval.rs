//! `time_intervals`: when a route is active or mute.
use jiff::tz::TimeZone;

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
    /// The machine's own zone.
    Local,
    Utc,
    Zone {
        name: String,
        zone: TimeZone,
    },
}
