//! The functions that Alertmanager 0.34 adds to Go's.
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use model::go_quote::quote;

use crate::encoding::unescape_query;
use crate::function::{Failure, Function, Type, World, native, variadic};
use crate::go_time::GoTime;
use crate::humanize;
use crate::json::to_json;
use crate::methods;
use crate::regexes;
use crate::value::{AnyMap, List, ListKind, Map, Safety, Value};

static FUNCTIONS: [Function; 25] = [
    variadic("append", &[Type::AnyList], Type::Any, append),
    native("base64decode", &[Type::Str], |_, values| {
        let bytes = URL_SAFE.decode(text(values, 0)).map_err(|error| {
            Failure::Refused(format!(
                "illegal base64 data at input byte {}",
                byte_of(&error)
            ))
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
    native("base64encode", &[Type::Str], |_, values| {
        Ok(URL_SAFE.encode(text(values, 0)).into())
    }),
    native("date", &[Type::Str, Type::Time], |_, values| {
        Ok(time(values, 1)?.format(text(values, 0)).into())
    }),
    variadic("dict", &[], Type::Any, dict),
    native("humanizeDuration", &[Type::Any], |_, values| {
        Ok(humanize::duration(humanize::to_float(&values[0])?).into())
    }),
    native("join", &[Type::Str, Type::Strings], |world, values| {
        methods::join(&values[1], text(values, 0), world.text_max())
    }),
    variadic("list", &[], Type::Any, |_, values| {
        any_list(values.to_vec())
    }),
    native("match", &[Type::Str, Type::Str], regexes::matches),
    native("mustToDate", &[Type::Str, Type::Str], |_, values| {
        let (layout, given) = (text(values, 0), text(values, 1));
        GoTime::parse(layout, given)
            .map(Value::Time)
            .ok_or_else(|| {
                let (layout, given) = (quote(layout), quote(given));
                format!("parsing time {given} as {layout}: cannot parse {given}").into()
            })
    }),
    native("now", &[], |world, _| {
        Ok(Value::Time(GoTime::utc(world.host().now())))
    }),
    native(
        "reReplaceAll",
        &[Type::Str, Type::Str, Type::Str],
        regexes::replace_all,
    ),
    native("routeLabels", &[Type::Str], |world, values| {
        world.route_label(text(values, 0)).map(Value::from)
    }),
    native("safeHtml", &[Type::Str], |_, values| {
        Ok(Value::Safe(Safety::Html, text(values, 0).into()))
    }),
    native("safeUrl", &[Type::Str], |_, values| {
        Ok(Value::Safe(Safety::Url, text(values, 0).into()))
    }),
    native("since", &[Type::Time], |world, values| {
        let now = GoTime::utc(world.host().now());
        Ok(Value::Duration(now.since(&time(values, 0)?)))
    }),
    variadic("stringSlice", &[], Type::Str, |_, values| {
        Ok(Value::List(List::flat(
            ListKind::Strings,
            values.iter().cloned(),
        )))
    }),
    native("title", &[Type::Str], |_, values| {
        Ok(title(text(values, 0)).into())
    }),
    native("toDate", &[Type::Str, Type::Str], |_, values| {
        let parsed = GoTime::parse(text(values, 0), text(values, 1));
        Ok(Value::Time(parsed.unwrap_or_else(GoTime::zero)))
    }),
    native("toJson", &[Type::Any], |world, values| {
        to_json(&values[0], world.text_max()).map(Value::from)
    }),
    native("toLower", &[Type::Str], |_, values| {
        Ok(text(values, 0).to_lowercase().into())
    }),
    native("toUpper", &[Type::Str], |_, values| {
        Ok(text(values, 0).to_uppercase().into())
    }),
    native("trimSpace", &[Type::Str], |_, values| {
        Ok(text(values, 0).trim().into())
    }),
    native("tz", &[Type::Str, Type::Time], |_, values| {
        let name = text(values, 0);
        let zone = match name {
            "" | "UTC" | "Local" => TimeZone::UTC,
            // From what is compiled in: a core reads no disk, and every replica means the same.
            _ => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| Failure::Refused(format!("unknown time zone {name}")))?,
        };
        Ok(Value::Time(time(values, 1)?.in_zone(zone)))
    }),
    native("urlUnescape", &[Type::Str], |_, values| {
        Ok(unescape_query(text(values, 0))?.into())
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

fn time(values: &[Value], index: usize) -> Result<GoTime, Failure> {
    match values.get(index) {
        Some(Value::Time(time)) => Ok(time.clone()),
        _ => Err("not a time".into()),
    }
}

fn any_list(items: Vec<Value>) -> Result<Value, Failure> {
    List::new(ListKind::Any, items)
        .map(Value::List)
        .ok_or_else(|| "list is nested too deeply".into())
}

fn append(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    match &values[0] {
        Value::List(list) => {
            let more = values[1..].iter();
            any_list(list.items.iter().chain(more).cloned().collect())
        }
        _ => Err("append wants a list".into()),
    }
}

fn dict(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    if !values.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".into());
    }
    let mut entries = BTreeMap::new();
    for pair in values.chunks_exact(2) {
        let Value::Str(key) = &pair[0] else {
            let kind = pair[0].type_name();
            return Err(format!("dict keys must be strings, got {kind}").into());
        };
        entries.insert(key.clone(), pair[1].clone());
    }
    AnyMap::new(entries)
        .map(|map| Value::Map(Map::Any(map)))
        .ok_or_else(|| "dict is nested too deeply".into())
}

/// Every word in title case, the rest of it in lower case. A mark inside a word (`don't`, `foo_bar`, `a.b`)
/// does not begin another.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let word = c.is_alphanumeric() || c == '_';
        let joint = matches!(c, '\'' | '’' | '.' | ':' | '·')
            && chars.peek().is_some_and(|next| next.is_alphabetic());
        match (word, inside) {
            (true, true) => titled.extend(c.to_lowercase()),
            (true, false) => {
                titled.extend(c.to_uppercase());
                inside = true;
            }
            (false, _) => {
                titled.push(c);
                inside = inside && joint;
            }
        }
    }
    titled
}

fn byte_of(error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        base64::DecodeError::InvalidLength(length) => *length,
        base64::DecodeError::InvalidPadding => 0,
    }
}
