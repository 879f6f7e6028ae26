//! Values as Go's `encoding/json` writes them: sorted keys, `<`, `>` and `&` escaped.
use model::go_number::format_json;

use crate::format::Bounded;
use crate::function::Failure;
use crate::value::Value;

/// The value as JSON without a newline at its end, not longer than `max` bytes.
pub(crate) fn to_json(value: &Value, max: usize) -> Result<String, Failure> {
    let mut out = Bounded::new(max);
    write(&mut out, value)?;
    out.finish()
}

fn write(out: &mut Bounded, value: &Value) -> Result<(), Failure> {
    if out.is_full() {
        return Ok(());
    }
    match value {
        Value::Nil => out.push("null"),
        Value::Bool(truth) => out.push(if *truth { "true" } else { "false" }),
        Value::Int(number) | Value::Duration(number) => out.push(&number.to_string()),
        Value::Float(number) if number.is_finite() => out.push(&format_json(*number)),
        Value::Float(number) => {
            let number = model::go_number::format_g(*number);
            return Err(format!("json: unsupported value: {number}").into());
        }
        Value::Str(text) | Value::Safe(_, text) => write_text(out, text),
        Value::Time(time) => write_text(out, &time.rfc3339()),
        Value::List(list) => {
            out.push("[");
            for (index, item) in list.items.iter().enumerate() {
                out.push(if index > 0 { "," } else { "" });
                write(out, item)?;
            }
            out.push("]");
        }
        Value::Map(map) => {
            out.push("{");
            for (index, (key, item)) in map.entries().iter().enumerate() {
                out.push(if index > 0 { "," } else { "" });
                write_text(out, key);
                out.push(":");
                write(out, item)?;
            }
            out.push("}");
        }
        Value::Object(object) => {
            out.push("{");
            for (index, (name, key)) in object.fields().iter().enumerate() {
                out.push(if index > 0 { "," } else { "" });
                write_text(out, key);
                out.push(":");
                write(out, &object.field(name).unwrap_or(Value::Nil))?;
            }
            out.push("}");
        }
    }
    Ok(())
}

fn write_text(out: &mut Bounded, text: &str) {
    let json = model::go_json::to_string(text).expect("a text can always be written as JSON");
    out.push(json.trim_end_matches('\n'));
}
