//! The functions that Go's template language has in every dialect.
use std::cmp::Ordering;

use crate::encoding::{escape_html, escape_js, escape_query};
use crate::format;
use crate::function::{Body, Failure, Function, Type, World, native, variadic};
use crate::value::{List, Map, Value};

static FUNCTIONS: [Function; 19] = [
    Function {
        name: "and",
        params: &[Type::Any],
        rest: Some(Type::Any),
        body: Body::And,
    },
    variadic("call", &[Type::Any], Type::Any, call),
    variadic("eq", &[Type::Any], Type::Any, eq),
    native("ge", &[Type::Any, Type::Any], |_, values| {
        less(&values[0], &values[1]).map(|less| Value::Bool(!less))
    }),
    native("gt", &[Type::Any, Type::Any], |_, values| {
        less_or_equal(&values[0], &values[1]).map(|less| Value::Bool(!less))
    }),
    variadic("html", &[], Type::Any, |world, values| {
        Ok(escape_html(&joined(world, values)?).into())
    }),
    variadic("index", &[Type::Any], Type::Any, index),
    variadic("js", &[], Type::Any, |world, values| {
        Ok(escape_js(&joined(world, values)?).into())
    }),
    native("le", &[Type::Any, Type::Any], |_, values| {
        less_or_equal(&values[0], &values[1]).map(Value::Bool)
    }),
    native("len", &[Type::Any], len),
    native("lt", &[Type::Any, Type::Any], |_, values| {
        less(&values[0], &values[1]).map(Value::Bool)
    }),
    native("ne", &[Type::Any, Type::Any], |_, values| {
        equal(&values[0], &values[1]).map(|equal| Value::Bool(!equal))
    }),
    native("not", &[Type::Any], |_, values| {
        Ok(Value::Bool(!values[0].is_true()))
    }),
    Function {
        name: "or",
        params: &[Type::Any],
        rest: Some(Type::Any),
        body: Body::Or,
    },
    variadic("print", &[], Type::Any, |world, values| {
        format::print(values, world.text_max()).map(Value::from)
    }),
    variadic("printf", &[Type::Str], Type::Any, |world, values| {
        let format = values[0].as_str().unwrap_or_default();
        format::printf(format, &values[1..], world.text_max()).map(Value::from)
    }),
    variadic("println", &[], Type::Any, |world, values| {
        format::println(values, world.text_max()).map(Value::from)
    }),
    variadic("slice", &[Type::Any], Type::Any, slice),
    variadic("urlquery", &[], Type::Any, |world, values| {
        Ok(escape_query(&joined(world, values)?).into())
    }),
];

pub(crate) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// The arguments as one text, as the escaping functions see them: no value is a text to them.
fn joined(world: &mut dyn World, values: &[Value]) -> Result<String, Failure> {
    if let [Value::Str(text)] = values {
        return Ok(text.to_string());
    }
    let shown: Vec<Value> = values
        .iter()
        .map(|value| match value {
            Value::Nil => "<no value>".into(),
            value => value.clone(),
        })
        .collect();
    format::print(&shown, world.text_max())
}

fn call(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    Err(match &values[0] {
        Value::Nil => "call of nil".into(),
        other => format!("non-function of type {}", other.type_name()).into(),
    })
}

fn len(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    length(&values[0])
        .map(|length| Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
        .ok_or_else(|| match &values[0] {
            Value::Nil => "len of nil pointer".into(),
            other => format!("len of type {}", other.type_name()).into(),
        })
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Str(text) | Value::Safe(_, text) => Some(text.len()),
        Value::List(list) => Some(list.items.len()),
        Value::Map(map) => Some(map.len()),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Time(_)
        | Value::Duration(_)
        | Value::Object(_) => None,
    }
}

fn index(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    if let Value::Nil = values[0] {
        return Err("index of untyped nil".into());
    }
    let mut item = values[0].clone();
    for index in &values[1..] {
        item = match &item {
            Value::List(list) => list.items[place(index, list.items.len(), false)?].clone(),
            Value::Str(text) | Value::Safe(_, text) => {
                Value::Int(i64::from(text.as_bytes()[place(index, text.len(), false)?]))
            }
            Value::Map(map) => match index {
                Value::Str(key) => map.get(key).unwrap_or_else(|| map.zero()),
                Value::Nil => return Err("value is nil; should be of type string".into()),
                other => {
                    return Err(
                        format!("value has type {}; should be string", other.type_name()).into(),
                    );
                }
            },
            Value::Nil => return Err("index of nil pointer".into()),
            other => {
                return Err(format!("can't index item of type {}", other.type_name()).into());
            }
        };
    }
    Ok(item)
}

/// An index into a list or a text; `end` allows the place behind the last.
fn place(index: &Value, length: usize, end: bool) -> Result<usize, Failure> {
    match index {
        Value::Int(number) | Value::Duration(number) => usize::try_from(*number)
            .ok()
            .filter(|place| *place < length || (end && *place == length))
            .ok_or_else(|| format!("index out of range: {number}").into()),
        Value::Nil => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    }
}

fn slice(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    let (item, indexes) = (&values[0], &values[1..]);
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let length = match item {
        Value::Str(_) | Value::Safe(..) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".into());
        }
        Value::Str(_) | Value::Safe(..) | Value::List(_) => length(item).unwrap_or(0),
        Value::Nil => return Err("slice of untyped nil".into()),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let mut places = [0, length, length];
    for (index, slot) in indexes.iter().zip(places.iter_mut()) {
        *slot = place(index, length, true)?;
    }
    let [from, to, most] = places;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    if to > most {
        return Err(format!("invalid slice index: {to} > {most}").into());
    }
    Ok(match item {
        Value::List(list) => Value::List(
            List::new(list.kind, list.items[from..to].to_vec())
                .expect("a part of a list is no deeper than the list"),
        ),
        other => {
            let bytes = &other.as_str().unwrap_or_default().as_bytes()[from..to];
            String::from_utf8_lossy(bytes).into_owned().into()
        }
    })
}

fn eq(_: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    if values.len() < 2 {
        return Err("missing argument for comparison".into());
    }
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// Kinds between which Go does not compare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Str,
    Other,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) | Value::Duration(_) => Kind::Int,
        Value::Float(_) => Kind::Float,
        Value::Str(_) | Value::Safe(..) => Kind::Str,
        Value::Nil | Value::List(_) | Value::Map(_) | Value::Time(_) | Value::Object(_) => {
            Kind::Other
        }
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, Failure> {
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        _ if kind(left) != kind(right) => Err("incompatible types for comparison".into()),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => {
            Ok(left == right)
        }
        (Value::Time(left), Value::Time(right)) => Ok(left.instant() == right.instant()),
        (Value::Map(Map::Kv(_) | Map::Strings(_) | Map::Any(_)) | Value::List(_), _)
        | (Value::Object(_), _)
        | (_, Value::Object(_)) => Err(format!("non-comparable type {}", left.type_name()).into()),
        _ => Ok(left.as_str().is_some() && left.as_str() == right.as_str()),
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, Failure> {
    order(left, right).map(|order| order == Some(Ordering::Less))
}

fn less_or_equal(left: &Value, right: &Value) -> Result<bool, Failure> {
    order(left, right).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

/// `None` where a float is not a number.
fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, Failure> {
    let (left_kind, right_kind) = (kind(left), kind(right));
    if left_kind == Kind::Other || right_kind == Kind::Other {
        return Err("invalid type for comparison".into());
    }
    if left_kind != right_kind {
        return Err("incompatible types for comparison".into());
    }
    match (left, right) {
        (Value::Bool(_), _) => Err("invalid type for comparison".into()),
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => {
            Ok(Some(left.cmp(right)))
        }
        (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right)),
        _ => Ok(Some(left.as_str().cmp(&right.as_str()))),
    }
}
