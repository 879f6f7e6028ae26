//! The functions that the rule templates of Prometheus 3.14 add to Go's.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;
use model::go_number::format_g;

use crate::encoding;
use crate::function::{Failure, Function, Type, World, native, variadic};
use crate::go_time::GoTime;
use crate::humanize::{self, to_float};
use crate::prometheus::links;
use crate::regexes;
use crate::value::{AnyMap, List, ListKind, Map, Safety, Value};

static FUNCTIONS: [Function; 30] = [
    variadic("args", &[], Type::Any, args),
    native("externalURL", &[], |world, _| Ok(external_url(world))),
    native("first", &[Type::Samples], |_, values| match &values[0] {
        Value::List(samples) if !samples.items.is_empty() => Ok(samples.items[0].clone()),
        _ => Err("first() called on vector with no elements".into()),
    }),
    native("graphLink", &[Type::Str], |_, values| {
        Ok(links::graph(text(values, 0), 0).into())
    }),
    native("humanize", &[Type::Any], |_, values| {
        Ok(humanize::si(to_float(&values[0])?).into())
    }),
    native("humanize1024", &[Type::Any], |_, values| {
        Ok(humanize::binary(to_float(&values[0])?).into())
    }),
    native("humanizeDuration", &[Type::Any], |_, values| {
        Ok(humanize::duration(to_float(&values[0])?).into())
    }),
    native("humanizePercentage", &[Type::Any], |_, values| {
        Ok(humanize::percentage(to_float(&values[0])?).into())
    }),
    native("humanizeTimestamp", &[Type::Any], |_, values| {
        let seconds = to_float(&values[0])?;
        if !seconds.is_finite() {
            return Ok(format_g(seconds).into());
        }
        Ok(to_time(seconds)?.text().into())
    }),
    native("label", &[Type::Str, Type::Sample], |_, values| {
        Ok(label(&values[1], text(values, 0)))
    }),
    native("match", &[Type::Str, Type::Str], regexes::matches),
    native("now", &[], |world, _| {
        Ok(Value::Float(world.host().now().as_secs_f64()))
    }),
    native("parseDuration", &[Type::Str], |_, values| {
        parse_duration(text(values, 0))
    }),
    native("pathPrefix", &[], |world, _| {
        let url = external_url(world);
        Ok(links::path(url.as_str().unwrap_or_default()).into())
    }),
    native("query", &[Type::Str], |world, values| {
        let samples = world.host().query(text(values, 0))?;
        Ok(Value::List(List::flat(
            ListKind::Samples,
            samples.into_iter().map(Value::from),
        )))
    }),
    native(
        "reReplaceAll",
        &[Type::Str, Type::Str, Type::Str],
        regexes::replace_all,
    ),
    native("safeHtml", &[Type::Str], |_, values| {
        Ok(Value::Safe(Safety::Html, text(values, 0).into()))
    }),
    native("sortByLabel", &[Type::Str, Type::Samples], sort_by_label),
    native("stripDomain", &[Type::Str], |_, values| {
        Ok(links::strip_domain(text(values, 0)).into())
    }),
    native("stripPort", &[Type::Str], |_, values| {
        Ok(links::strip_port(text(values, 0)).into())
    }),
    native("strvalue", &[Type::Sample], |_, values| {
        Ok(label(&values[0], "__value__"))
    }),
    native("tableLink", &[Type::Str], |_, values| {
        Ok(links::graph(text(values, 0), 1).into())
    }),
    native("title", &[Type::Str], |_, values| {
        Ok(title(text(values, 0)).into())
    }),
    native("tmpl", &[Type::Str, Type::Any], |world, values| {
        let rendered = world.execute(text(values, 0), values[1].clone())?;
        Ok(Value::Safe(Safety::Html, rendered.into()))
    }),
    native("toDuration", &[Type::Any], |_, values| {
        let nanos = to_float(&values[0])? * 1e9;
        if !nanos.is_finite() || nanos.abs() >= i64::MAX as f64 {
            return Err("value cannot be represented as a duration".into());
        }
        Ok(Value::Duration(nanos as i64))
    }),
    native("toLower", &[Type::Str], |_, values| {
        Ok(text(values, 0).to_lowercase().into())
    }),
    native("toTime", &[Type::Any], |_, values| {
        Ok(Value::Time(to_time(to_float(&values[0])?)?))
    }),
    native("toUpper", &[Type::Str], |_, values| {
        Ok(text(values, 0).to_uppercase().into())
    }),
    native("urlQueryEscape", &[Type::Str], |_, values| {
        Ok(encoding::escape_query(text(values, 0)).into())
    }),
    native("value", &[Type::Sample], |_, values| match &values[0] {
        Value::Object(sample) => Ok(sample.field("Value").unwrap_or(Value::Nil)),
        _ => Err("not a sample".into()),
    }),
];

pub(crate) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

fn text(values: &[Value], index: usize) -> &str {
    values
        .get(index)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn args(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    let entries: BTreeMap<Arc<str>, Value> = values
        .iter()
        .enumerate()
        .map(|(index, value)| (format!("arg{index}").into(), value.clone()))
        .collect();
    AnyMap::new(entries)
        .map(|map| Value::Map(Map::Any(map)))
        .ok_or_else(|| "args are nested too deeply".into())
}

fn external_url(world: &mut dyn World) -> Value {
    match world.root() {
        Value::Object(object) => object.field("ExternalURL"),
        _ => None,
    }
    .unwrap_or_else(|| "".into())
}

fn label(sample: &Value, name: &str) -> Value {
    let labels = match sample {
        Value::Object(sample) => sample.field("Labels"),
        _ => None,
    };
    match labels {
        Some(Value::Map(labels)) => labels.get(name),
        _ => None,
    }
    .unwrap_or_else(|| "".into())
}

fn sort_by_label(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    let Value::List(samples) = &values[1] else {
        return Err("not a list of samples".into());
    };
    let mut keyed: Vec<(Value, Value)> = samples
        .items
        .iter()
        .map(|sample| (label(sample, text(values, 0)), sample.clone()))
        .collect();
    keyed.sort_by(|(left, _), (right, _)| left.as_str().cmp(&right.as_str()));
    let sorted = keyed.into_iter().map(|(_, sample)| sample);
    Ok(Value::List(List::flat(ListKind::Samples, sorted)))
}

/// Seconds since the epoch, cut to milliseconds; Go's nanoseconds must be able to hold them.
fn to_time(seconds: f64) -> Result<GoTime, Failure> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".into());
    }
    if (seconds * 1e9).abs() >= i64::MAX as f64 {
        let seconds = format_g(seconds);
        return Err(format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        )
        .into());
    }
    let nanos = (seconds * 1e9) as i64;
    let floor = Timestamp::from_secs(nanos.div_euclid(1_000_000_000));
    Ok(GoTime::utc(floor).plus(nanos.rem_euclid(1_000_000_000)))
}

fn parse_duration(text: &str) -> Result<Value, Failure> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let duration = model::duration::parse(unsigned).map_err(|error| error.to_string())?;
    Ok(Value::Float(sign * duration.as_secs_f64()))
}

/// Go's `strings.Title`: the first letter after anything that is no letter, digit or underscore.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut after_separator = true;
    for c in text.chars() {
        if after_separator {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        after_separator = match c {
            '_' => false,
            c if c.is_alphanumeric() => false,
            c => c.is_ascii() || c.is_whitespace(),
        };
    }
    titled
}
