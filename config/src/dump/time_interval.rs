//! Time intervals in the dump: ranges in flow style, weekdays by name, months by number.
use crate::dump::entries::Entries;
use crate::go_yaml::Yaml;
use crate::time_interval::{
    Location, NamedTimeInterval, NumberRange, TimeInterval, TimeRange, WEEKDAYS,
};

/// One of the two lists. What follows a written `location` is in flow style, because Go's YAML forgets that it was only
/// to write the location so.
pub(crate) fn time_intervals<'i>(
    intervals: impl Iterator<Item = &'i NamedTimeInterval>,
) -> Vec<Yaml> {
    let mut after_location = false;
    let in_style = |entries: Entries, is_flow: bool| match is_flow {
        true => Yaml::FlowMap(entries.into_list()),
        false => entries.into_yaml(),
    };
    intervals
        .map(|interval| {
            let is_flow = std::mem::take(&mut after_location);
            let mut entries = Entries::default();
            entries.even_empty("name", &interval.name);
            let specifications = interval.intervals.iter().map(|specified| {
                let is_flow =
                    std::mem::replace(&mut after_location, specified.location != Location::Implied);
                in_style(specification(specified), is_flow)
            });
            entries.put("time_intervals", Yaml::List(specifications.collect()));
            in_style(entries, is_flow)
        })
        .collect()
}

fn specification(interval: &TimeInterval) -> Entries {
    let mut entries = Entries::default();
    entries.list("times", interval.times.iter().map(time_range).collect());
    let weekday = |index: i32| {
        let name = usize::try_from(index).ok().and_then(|at| WEEKDAYS.get(at));
        name.map_or_else(|| index.to_string(), |name| (*name).to_owned())
    };
    put_ranges(&mut entries, "weekdays", &interval.weekdays, weekday);
    for (key, ranges) in [
        ("days_of_month", &interval.days_of_month),
        ("months", &interval.months),
        ("years", &interval.years),
    ] {
        put_ranges(&mut entries, key, ranges, |number| number.to_string());
    }
    match &interval.location {
        Location::Implied => {}
        Location::Local => entries.text("location", "Local"),
        Location::Utc => entries.text("location", "UTC"),
        Location::Zone { name, .. } => entries.text("location", name),
    }
    entries
}

fn put_ranges(
    entries: &mut Entries,
    key: &str,
    ranges: &[NumberRange],
    written: impl Fn(i32) -> String,
) {
    if ranges.is_empty() {
        return;
    }
    let ranges = ranges.iter().map(|range| {
        Yaml::Text(if range.begin == range.end {
            written(range.begin)
        } else {
            format!("{}:{}", written(range.begin), written(range.end))
        })
    });
    entries.put(key, Yaml::FlowList(ranges.collect()));
}

fn time_range(range: &TimeRange) -> Yaml {
    let mut entries = Entries::default();
    for (key, minute) in [
        ("start_time", range.start_minute),
        ("end_time", range.end_minute),
    ] {
        entries.text(key, &format!("{:02}:{:02}", minute / 60, minute % 60));
    }
    entries.into_yaml()
}
