//! The Gregorian calendar in UTC, over whole seconds since 1970.

/// A day: year, month 1 to 12, day 1 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
}

const DAY: i64 = 86_400;

/// Counts in eras of 400 years, whose years begin in March so that the leap day comes last.
pub(crate) fn date(seconds: i64) -> Date {
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    } as u32;
    Date {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day,
    }
}

pub(crate) fn minute(seconds: i64) -> i64 {
    seconds.rem_euclid(3600) / 60
}

pub(crate) fn hour(seconds: i64) -> i64 {
    seconds.rem_euclid(DAY) / 3600
}

/// Sunday is 0. The epoch was a Thursday.
pub(crate) fn day_of_week(seconds: i64) -> i64 {
    (seconds.div_euclid(DAY) + 4).rem_euclid(7)
}

/// From 1.
pub(crate) fn day_of_year(seconds: i64) -> i64 {
    let Date { year, month, day } = date(seconds);
    (1..month)
        .map(|month| i64::from(days_in(year, month)))
        .sum::<i64>()
        + i64::from(day)
}

pub(crate) fn days_in_month(seconds: i64) -> i64 {
    let Date { year, month, .. } = date(seconds);
    i64::from(days_in(year, month))
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, date, day_of_week, day_of_year, days_in_month};

    #[test]
    fn knows_leap_years_and_the_time_before_1970() {
        for (seconds, (year, month, day), weekday, of_year, in_month) in [
            (0, (1970, 1, 1), 4, 1, 31),
            (-1, (1969, 12, 31), 3, 365, 31),
            (951_782_400, (2000, 2, 29), 2, 60, 29),
            (4_107_542_400, (2100, 3, 1), 1, 60, 31),
            (1_795_171_180, (2026, 11, 20), 5, 324, 30),
        ] {
            assert_eq!(date(seconds), Date { year, month, day });
            assert_eq!(day_of_week(seconds), weekday);
            assert_eq!(day_of_year(seconds), of_year);
            assert_eq!(days_in_month(seconds), in_month);
        }
    }
}
