//! Go's `time.Time` in a template: an instant, the zone it is shown in, and Go's layouts.
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp as Instant, Zoned};
use model::Timestamp;

/// An instant and the zone in which it is shown.
#[derive(Clone, Debug)]
pub struct GoTime {
    instant: Instant,
    zone: TimeZone,
}

const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// The pieces that layouts know. Of two that begin alike the longer comes first.
const PIECES: [&str; 41] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "002",
    "15",
    "PM",
    "pm",
    "__2",
    "_2",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "1",
    "2",
    "3",
    "4",
    "5",
    ".000",
    ".999",
    ",000",
    ",999",
    ".0",
    ".9",
    ",0",
    ",9",
];

impl GoTime {
    /// Beyond the years -9999 to 9999 the nearest instant.
    pub(crate) fn utc(time: Timestamp) -> Self {
        let instant =
            Instant::from_millisecond(time.as_millis()).unwrap_or(if time.as_millis() < 0 {
                Instant::MIN
            } else {
                Instant::MAX
            });
        Self {
            instant,
            zone: TimeZone::UTC,
        }
    }

    pub(crate) const fn at(instant: Instant, zone: TimeZone) -> Self {
        Self { instant, zone }
    }

    pub(crate) fn zero() -> Self {
        Self::utc(Timestamp::GO_ZERO)
    }

    pub(crate) const fn instant(&self) -> Instant {
        self.instant
    }

    pub(crate) fn zoned(&self) -> Zoned {
        self.instant.to_zoned(self.zone.clone())
    }

    pub(crate) fn in_zone(&self, zone: TimeZone) -> Self {
        Self {
            instant: self.instant,
            zone,
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.instant == Self::zero().instant
    }

    /// Nanoseconds from `earlier` to this, saturating as Go's `Sub` does.
    pub(crate) fn since(&self, earlier: &Self) -> i64 {
        let nanos = self.instant.as_nanosecond() - earlier.instant.as_nanosecond();
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// Go's `Add`; beyond the years that can be written the nearest instant.
    pub(crate) fn plus(&self, nanos: i64) -> Self {
        let sum = self.instant.as_nanosecond() + i128::from(nanos);
        let instant = Instant::from_nanosecond(sum).unwrap_or(if nanos < 0 {
            Instant::MIN
        } else {
            Instant::MAX
        });
        self.moved(instant)
    }

    pub(crate) fn moved(&self, instant: Instant) -> Self {
        Self {
            instant,
            zone: self.zone.clone(),
        }
    }

    /// Go's `String`: `2015-06-23 13:19:44.128 +0000 UTC`.
    pub(crate) fn text(&self) -> String {
        self.format(DEFAULT_LAYOUT)
    }

    /// RFC 3339 with as many decimals as needed, as JSON carries times.
    pub(crate) fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// Go's `Format`.
    pub(crate) fn format(&self, layout: &str) -> String {
        let zoned = self.zoned();
        let mut text = String::with_capacity(layout.len() + 10);
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            match piece(rest) {
                Some(piece) => {
                    let digits = fraction_digits(rest, piece);
                    write_piece(&mut text, &zoned, piece, digits);
                    rest = &rest[digits.map_or(piece.len(), |digits| digits + 1)..];
                }
                None => {
                    text.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        text
    }

    /// Go's `time.Parse`: what the layout does not mention is the zero time's, UTC.
    pub(crate) fn parse(layout: &str, text: &str) -> Option<Self> {
        let mut fields = Fields {
            year: 0,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            afternoon: None,
            offset: None,
        };
        let (mut layout, mut rest) = (layout, text);
        while let Some(c) = layout.chars().next() {
            match piece(layout) {
                Some(piece) => {
                    let digits = fraction_digits(layout, piece);
                    rest = fields.read(piece, digits, rest)?;
                    layout = &layout[digits.map_or(piece.len(), |digits| digits + 1)..];
                    // A fraction may follow the seconds even where the layout has none.
                    if matches!(piece, "05" | "5") && !layout.starts_with(['.', ',']) {
                        rest = fields.fraction(rest);
                    }
                }
                None => {
                    rest = rest.strip_prefix(c)?;
                    layout = &layout[c.len_utf8()..];
                }
            }
        }
        rest.is_empty().then(|| fields.time()).flatten()
    }
}

/// The piece that the layout begins with.
fn piece(layout: &str) -> Option<&'static str> {
    // Only a few characters begin a piece; the rest are copied.
    if !layout.starts_with([
        'J', 'M', '0', '1', '2', '3', '4', '5', '_', 'P', 'p', '-', 'Z', '.', ',',
    ]) {
        return None;
    }
    let found = PIECES.into_iter().find(|piece| layout.starts_with(piece))?;
    let after = &layout[found.len()..];
    match found {
        // "Janet" is no month.
        "Jan" | "Mon" if after.starts_with(|c: char| c.is_ascii_lowercase()) => None,
        ".0" | ".9" | ",0" | ",9" | ".000" | ".999" | ",000" | ",999" => {
            let digit = found.chars().nth(1)?;
            // A fraction ends where the digits end.
            let after = layout[1..].trim_start_matches(digit);
            (!after.starts_with(|c: char| c.is_ascii_digit())).then_some(found)
        }
        "_2" if after.starts_with("006") => None,
        _ => Some(found),
    }
}

/// How many digits a fraction has in the layout.
fn fraction_digits(layout: &str, piece: &str) -> Option<usize> {
    piece.starts_with(['.', ',']).then(|| {
        let digit = char::from(piece.as_bytes()[1]);
        layout[1..].len() - layout[1..].trim_start_matches(digit).len()
    })
}

fn write_piece(text: &mut String, time: &Zoned, piece: &str, digits: Option<usize>) {
    let twelve = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let offset = time.offset().seconds();
    match piece {
        "January" => text.push_str(MONTHS[month_index(time)]),
        "Jan" => text.push_str(&MONTHS[month_index(time)][..3]),
        "Monday" => text.push_str(weekday(time)),
        "Mon" => text.push_str(&weekday(time)[..3]),
        "MST" => text.push_str(&abbreviation(time)),
        "2006" => text.push_str(&format!("{:04}", time.year())),
        "06" => text.push_str(&format!("{:02}", time.year().rem_euclid(100))),
        "01" => text.push_str(&format!("{:02}", time.month())),
        "1" => text.push_str(&time.month().to_string()),
        "02" => text.push_str(&format!("{:02}", time.day())),
        "_2" => text.push_str(&format!("{:2}", time.day())),
        "2" => text.push_str(&time.day().to_string()),
        "002" => text.push_str(&format!("{:03}", time.day_of_year())),
        "__2" => text.push_str(&format!("{:3}", time.day_of_year())),
        "15" => text.push_str(&format!("{:02}", time.hour())),
        "03" => text.push_str(&format!("{twelve:02}")),
        "3" => text.push_str(&twelve.to_string()),
        "04" => text.push_str(&format!("{:02}", time.minute())),
        "4" => text.push_str(&time.minute().to_string()),
        "05" => text.push_str(&format!("{:02}", time.second())),
        "5" => text.push_str(&time.second().to_string()),
        "PM" => text.push_str(if time.hour() >= 12 { "PM" } else { "AM" }),
        "pm" => text.push_str(if time.hour() >= 12 { "pm" } else { "am" }),
        _ if digits.is_some() => write_fraction(text, time, piece, digits.unwrap_or(0)),
        _ if piece.starts_with('Z') && offset == 0 => text.push('Z'),
        _ => write_offset(text, offset, &piece[1..]),
    }
}

fn write_fraction(text: &mut String, time: &Zoned, piece: &str, digits: usize) {
    let nanos = format!("{:09}", time.subsec_nanosecond());
    let shown: String = nanos
        .chars()
        .chain(std::iter::repeat('0'))
        .take(digits)
        .collect();
    let shown = if piece.contains('9') {
        shown.trim_end_matches('0')
    } else {
        &shown
    };
    if !shown.is_empty() {
        text.push_str(&piece[..1]);
        text.push_str(shown);
    }
}

/// `shape` is one of `07`, `0700`, `07:00`, `070000`, `07:00:00`.
fn write_offset(text: &mut String, offset: i32, shape: &str) {
    let absolute = offset.unsigned_abs();
    let colon = if shape.contains(':') { ":" } else { "" };
    let sign = if offset < 0 { '-' } else { '+' };
    text.push_str(&format!("{sign}{:02}", absolute / 3600));
    let digits = shape.bytes().filter(u8::is_ascii_digit).count();
    if digits >= 4 {
        text.push_str(&format!("{colon}{:02}", absolute / 60 % 60));
    }
    if digits >= 6 {
        text.push_str(&format!("{colon}{:02}", absolute % 60));
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

fn month_index(time: &Zoned) -> usize {
    usize::try_from(time.month() - 1).unwrap_or(0)
}

pub(crate) fn month_name(time: &Zoned) -> &'static str {
    MONTHS[month_index(time)]
}

pub(crate) fn weekday(time: &Zoned) -> &'static str {
    let index = time.weekday().to_monday_zero_offset();
    WEEKDAYS[usize::try_from(index).unwrap_or(0)]
}

/// `CET`; a zone without a name is written as its offset.
fn abbreviation(time: &Zoned) -> String {
    let zone = time.time_zone();
    if zone.iana_name().is_none() && *zone != TimeZone::UTC {
        let mut text = String::new();
        let offset = time.offset().seconds();
        write_offset(
            &mut text,
            offset,
            if offset % 3600 == 0 { "07" } else { "0700" },
        );
        return text;
    }
    zone.to_offset_info(time.timestamp())
        .abbreviation()
        .to_owned()
}

struct Fields {
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
}

impl Fields {
    fn read<'t>(&mut self, piece: &str, digits: Option<usize>, text: &'t str) -> Option<&'t str> {
        match piece {
            "January" | "Jan" => {
                let (index, rest) = name(&MONTHS, piece == "Jan", text)?;
                self.month = i8::try_from(index + 1).ok()?;
                Some(rest)
            }
            "Monday" | "Mon" => Some(name(&WEEKDAYS, piece == "Mon", text)?.1),
            "MST" => self.zone_name(text),
            "2006" => {
                let (value, rest) = digits_of(text, 4, 4)?;
                self.year = i16::try_from(value).ok()?;
                Some(rest)
            }
            "06" => {
                let (value, rest) = digits_of(text, 2, 2)?;
                let century = if value >= 69 { 1900 } else { 2000 };
                self.year = i16::try_from(value + century).ok()?;
                Some(rest)
            }
            "01" | "02" | "03" | "04" | "05" | "15" | "1" | "2" | "_2" | "3" | "4" | "5" => {
                let text = if piece == "_2" {
                    text.trim_start_matches(' ')
                } else {
                    text
                };
                let fixed = piece.starts_with('0');
                let (value, rest) = digits_of(text, if fixed { 2 } else { 1 }, 2)?;
                let value = i8::try_from(value).ok()?;
                match piece.trim_start_matches(['0', '_']) {
                    "1" => self.month = value,
                    "2" => self.day = value,
                    "4" => self.minute = value,
                    "5" => self.second = value,
                    _ => self.hour = value,
                }
                Some(rest)
            }
            "002" | "__2" => {
                let (value, rest) = digits_of(text.trim_start_matches(' '), 1, 3)?;
                self.day_of_year = Some(i16::try_from(value).ok()?);
                Some(rest)
            }
            "PM" | "pm" => {
                let word = text.get(..2)?;
                self.afternoon = Some(match word.to_ascii_uppercase().as_str() {
                    "PM" => true,
                    "AM" => false,
                    _ => return None,
                });
                Some(&text[2..])
            }
            _ if digits.is_some() => {
                if piece.contains('9') {
                    return Some(self.fraction(text));
                }
                let rest = self.fraction(text);
                (text.len() - rest.len() == digits? + 1).then_some(rest)
            }
            _ => self.zone_offset(piece, text),
        }
    }

    fn fraction<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(after) = text.strip_prefix(['.', ',']) else {
            return text;
        };
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return text;
        }
        let nanos: String = after[..length]
            .chars()
            .chain(std::iter::repeat('0'))
            .take(9)
            .collect();
        self.nanos = nanos.parse().unwrap_or(0);
        &after[length..]
    }

    fn zone_name<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
        self.offset.get_or_insert(0);
        (length >= 3).then(|| &text[length..])
    }

    fn zone_offset<'t>(&mut self, piece: &str, text: &'t str) -> Option<&'t str> {
        if piece.starts_with('Z')
            && let Some(rest) = text.strip_prefix('Z')
        {
            self.offset = Some(0);
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let colon = piece.contains(':');
        let (mut seconds, mut rest) = (0, &text[1..]);
        let parts = piece.bytes().filter(u8::is_ascii_digit).count() / 2;
        for (index, factor) in [3600, 60, 1].into_iter().take(parts).enumerate() {
            if colon && index > 0 {
                rest = rest.strip_prefix(':')?;
            }
            let (value, after) = digits_of(rest, 2, 2)?;
            seconds += i32::try_from(value).ok()? * factor;
            rest = after;
        }
        self.offset = Some(sign * seconds);
        Some(rest)
    }

    fn time(self) -> Option<GoTime> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let mut date = jiff::civil::Date::new(self.year, self.month, self.day).ok()?;
        if let Some(day) = self.day_of_year {
            date = date.with().day_of_year(day).build().ok()?;
        }
        let time = jiff::civil::Time::new(hour, self.minute, self.second, self.nanos).ok()?;
        let zone = match self.offset {
            None | Some(0) => TimeZone::UTC,
            Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
        };
        let zoned = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
        Some(GoTime::at(zoned.timestamp(), zone))
    }
}

fn digits_of(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let length = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    (length >= least)
        .then(|| text[..length].parse().ok())
        .flatten()
        .map(|value| (value, &text[length..]))
}

fn name<'t>(names: &[&str], short: bool, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let start = text.get(..name.len())?;
        start
            .eq_ignore_ascii_case(name)
            .then(|| (index, &text[name.len()..]))
    })
}
