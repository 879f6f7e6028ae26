//! What values can do by themselves: methods on label sets, lists, times and durations.
use crate::alertmanager::kv;
use crate::format::duration_text;
use crate::function::{Failure, Function, Native, Type, native};
use crate::go_time::{GoTime, month_name, weekday};
use crate::value::{List, ListKind, Map, Value};

static TIME: [Function; 27] = [
    native("Add", &[Type::Any], |_, values| {
        Ok(Value::Time(time(values)?.plus(duration_of(&values[1])?)))
    }),
    native("After", &[Type::Time], |_, values| {
        Ok(Value::Bool(
            time(values)?.instant() > time(&values[1..])?.instant(),
        ))
    }),
    native("Before", &[Type::Time], |_, values| {
        Ok(Value::Bool(
            time(values)?.instant() < time(&values[1..])?.instant(),
        ))
    }),
    native("Day", &[], |_, values| whole(time(values)?.zoned().day())),
    native("Equal", &[Type::Time], |_, values| {
        Ok(Value::Bool(
            time(values)?.instant() == time(&values[1..])?.instant(),
        ))
    }),
    native("Format", &[Type::Str], |_, values| {
        let layout = values[1].as_str().unwrap_or_default();
        Ok(time(values)?.format(layout).into())
    }),
    native("Hour", &[], |_, values| whole(time(values)?.zoned().hour())),
    native("IsZero", &[], |_, values| {
        Ok(Value::Bool(time(values)?.is_zero()))
    }),
    native("Local", &[], |_, values| {
        Ok(Value::Time(time(values)?.in_zone(jiff::tz::TimeZone::UTC)))
    }),
    native("Minute", &[], |_, values| {
        whole(time(values)?.zoned().minute())
    }),
    native("Month", &[], |_, values| {
        Ok(month_name(&time(values)?.zoned()).into())
    }),
    native("Nanosecond", &[], |_, values| {
        whole(time(values)?.zoned().subsec_nanosecond())
    }),
    native("Round", &[Type::Any], |_, values| rounded(values, true)),
    native("Second", &[], |_, values| {
        whole(time(values)?.zoned().second())
    }),
    native("String", &[], |_, values| Ok(time(values)?.text().into())),
    native("Sub", &[Type::Time], |_, values| {
        Ok(Value::Duration(time(values)?.since(&time(&values[1..])?)))
    }),
    native("Truncate", &[Type::Any], |_, values| rounded(values, false)),
    native("UTC", &[], |_, values| {
        Ok(Value::Time(time(values)?.in_zone(jiff::tz::TimeZone::UTC)))
    }),
    native("Unix", &[], |_, values| {
        whole(
            time(values)?
                .instant()
                .as_nanosecond()
                .div_euclid(1_000_000_000),
        )
    }),
    native("UnixMicro", &[], |_, values| {
        whole(time(values)?.instant().as_nanosecond().div_euclid(1000))
    }),
    native("UnixMilli", &[], |_, values| {
        whole(
            time(values)?
                .instant()
                .as_nanosecond()
                .div_euclid(1_000_000),
        )
    }),
    native("UnixNano", &[], |_, values| {
        // Go lets this overflow; the nearest number is as wrong and less surprising.
        let nanos = time(values)?.instant().as_nanosecond();
        whole(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)))
    }),
    native("Weekday", &[], |_, values| {
        Ok(weekday(&time(values)?.zoned()).into())
    }),
    native("Year", &[], |_, values| whole(time(values)?.zoned().year())),
    native("YearDay", &[], |_, values| {
        whole(time(values)?.zoned().day_of_year())
    }),
    native("AddDate", &[Type::Int, Type::Int, Type::Int], add_date),
    native("GoString", &[], |_, values| Ok(time(values)?.text().into())),
];

static DURATION: [Function; 10] = [
    native("Abs", &[], |_, values| {
        Ok(Value::Duration(nanos(values).saturating_abs()))
    }),
    native("Hours", &[], |_, values| {
        Ok(Value::Float(nanos(values) as f64 / 3.6e12))
    }),
    native("Microseconds", &[], |_, values| {
        Ok(Value::Int(nanos(values) / 1000))
    }),
    native("Milliseconds", &[], |_, values| {
        Ok(Value::Int(nanos(values) / 1_000_000))
    }),
    native("Minutes", &[], |_, values| {
        Ok(Value::Float(nanos(values) as f64 / 6e10))
    }),
    native("Nanoseconds", &[], |_, values| {
        Ok(Value::Int(nanos(values)))
    }),
    native("Round", &[Type::Any], |_, values| {
        let step = duration_of(&values[1])?;
        Ok(Value::Duration(round_to(nanos(values), step, true)))
    }),
    native("Seconds", &[], |_, values| {
        Ok(Value::Float(nanos(values) as f64 / 1e9))
    }),
    native("String", &[], |_, values| {
        Ok(duration_text(nanos(values)).into())
    }),
    native("Truncate", &[Type::Any], |_, values| {
        let step = duration_of(&values[1])?;
        Ok(Value::Duration(round_to(nanos(values), step, false)))
    }),
];

static KV: [Function; 5] = [
    native("Names", &[], KV_NAMES),
    native("Remove", &[Type::Strings], |_, values| {
        match (&values[0], &values[1]) {
            (Value::Map(Map::Kv(labels)), Value::List(names)) => {
                let names: Vec<&str> = names.items.iter().filter_map(Value::as_str).collect();
                Ok(Value::Map(Map::Kv(
                    labels.filtered(|name| !names.contains(&name)),
                )))
            }
            _ => Err("not a label set".into()),
        }
    }),
    native("SortedPairs", &[], |_, values| match &values[0] {
        Value::Map(Map::Kv(labels)) => Ok(Value::List(kv::pairs(labels))),
        _ => Err("not a label set".into()),
    }),
    native("String", &[], TEXT),
    native("Values", &[], KV_VALUES),
];

static PAIRS: [Function; 3] = [
    native("Names", &[], |_, values| pair_parts(values, "Name")),
    native("String", &[], |_, values| {
        let names = parts(values, "Name");
        let texts = parts(values, "Value");
        let pairs: Vec<String> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| {
                format!(
                    "{}={}",
                    name.as_str().unwrap_or(""),
                    text.as_str().unwrap_or("")
                )
            })
            .collect();
        Ok(pairs.join(", ").into())
    }),
    native("Values", &[], |_, values| pair_parts(values, "Value")),
];

static ALERTS: [Function; 2] = [
    native("Firing", &[], |_, values| alerts_that_are(values, "firing")),
    native("Resolved", &[], |_, values| {
        alerts_that_are(values, "resolved")
    }),
];

static STRINGS: [Function; 1] = [native("Join", &[Type::Str], |world, values| {
    let separator = values[1].as_str().unwrap_or_default();
    join(&values[0], separator, world.text_max())
})];

/// The method of that name; it takes the value itself as its first argument.
pub(crate) fn method(value: &Value, name: &str) -> Option<&'static Function> {
    let table: &'static [Function] = match value {
        Value::Time(_) => &TIME,
        Value::Duration(_) => &DURATION,
        Value::Map(Map::Kv(_)) => &KV,
        Value::List(list) => match list.kind {
            ListKind::Alerts => &ALERTS,
            ListKind::Pairs => &PAIRS,
            ListKind::Strings => &STRINGS,
            ListKind::Any | ListKind::Samples => return None,
        },
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Safe(..)
        | Value::Map(_)
        | Value::Object(_) => return None,
    };
    table.iter().find(|method| method.name == name)
}

/// The strings of a list with a separator between them, not longer than `max` bytes.
pub(crate) fn join(list: &Value, separator: &str, max: usize) -> Result<Value, Failure> {
    let Value::List(list) = list else {
        return Err("not a list".into());
    };
    let mut out = crate::format::Bounded::new(max);
    for (index, item) in list.items.iter().enumerate() {
        if index > 0 {
            out.push(separator);
        }
        out.push(item.as_str().unwrap_or_default());
        if out.is_full() {
            break;
        }
    }
    out.finish().map(Value::from)
}

const KV_NAMES: Native = |_, values| match &values[0] {
    Value::Map(Map::Kv(labels)) => {
        let pairs = kv::sorted_pairs(labels);
        Ok(Value::List(List::strings(
            pairs.into_iter().map(|(name, _)| name),
        )))
    }
    _ => Err("not a label set".into()),
};

const KV_VALUES: Native = |_, values| match &values[0] {
    Value::Map(Map::Kv(labels)) => {
        let pairs = kv::sorted_pairs(labels);
        Ok(Value::List(List::strings(
            pairs.into_iter().map(|(_, value)| value),
        )))
    }
    _ => Err("not a label set".into()),
};

const TEXT: Native =
    |world, values| crate::format::print(&values[..1], world.text_max()).map(Value::from);

fn parts(values: &[Value], field: &str) -> Vec<Value> {
    let Value::List(list) = &values[0] else {
        return Vec::new();
    };
    list.items
        .iter()
        .filter_map(|item| match item {
            Value::Object(object) => object.field(field),
            _ => None,
        })
        .collect()
}

fn pair_parts(values: &[Value], field: &str) -> Result<Value, Failure> {
    Ok(Value::List(List::flat(
        ListKind::Strings,
        parts(values, field),
    )))
}

fn alerts_that_are(values: &[Value], status: &str) -> Result<Value, Failure> {
    let Value::List(list) = &values[0] else {
        return Err("not a list of alerts".into());
    };
    let alerts = list.items.iter().filter(|item| match item {
        Value::Object(alert) => {
            alert
                .field("Status")
                .and_then(|found| found.as_str().map(|found| found == status))
                == Some(true)
        }
        _ => false,
    });
    Ok(Value::List(List::flat(ListKind::Alerts, alerts.cloned())))
}

fn time(values: &[Value]) -> Result<GoTime, Failure> {
    match values.first() {
        Some(Value::Time(time)) => Ok(time.clone()),
        _ => Err("not a time".into()),
    }
}

fn nanos(values: &[Value]) -> i64 {
    match values.first() {
        Some(Value::Duration(nanos)) => *nanos,
        _ => 0,
    }
}

fn duration_of(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::Duration(nanos) | Value::Int(nanos) => Ok(*nanos),
        other => Err(format!(
            "wrong type for value; expected time.Duration; got {}",
            other.type_name()
        )
        .into()),
    }
}

fn whole(number: impl TryInto<i64>) -> Result<Value, Failure> {
    number
        .try_into()
        .map(Value::Int)
        .map_err(|_| "number is too large".into())
}

fn add_date(_: &mut dyn crate::function::World, values: &[Value]) -> Result<Value, Failure> {
    let time = time(values)?;
    let part = |index: usize| match values.get(index) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let span = jiff::Span::new()
        .try_years(part(1))
        .and_then(|span| span.try_months(part(2)))
        .and_then(|span| span.try_days(part(3)))
        .map_err(|_| Failure::from("date is out of range"))?;
    let moved = time
        .zoned()
        .checked_add(span)
        .map_err(|_| Failure::from("date is out of range"))?;
    Ok(Value::Time(time.moved(moved.timestamp())))
}

/// Steps are counted from the zero time, as Go counts them.
fn rounded(values: &[Value], nearest: bool) -> Result<Value, Failure> {
    let time = time(values)?;
    let step = i128::from(duration_of(&values[1])?);
    if step <= 0 {
        return Ok(Value::Time(time));
    }
    let zero = GoTime::zero().instant().as_nanosecond();
    let beyond = (time.instant().as_nanosecond() - zero).rem_euclid(step);
    let delta = if nearest && beyond * 2 >= step {
        step - beyond
    } else {
        -beyond
    };
    Ok(Value::Time(time.plus(i64::try_from(delta).unwrap_or(0))))
}

fn round_to(nanos: i64, step: i64, nearest: bool) -> i64 {
    if step <= 0 {
        return nanos;
    }
    let beyond = nanos % step;
    let down = nanos - beyond;
    if !nearest || i128::from(beyond.unsigned_abs()) * 2 < i128::from(step) {
        down
    } else {
        down.saturating_add(step * beyond.signum())
    }
}
