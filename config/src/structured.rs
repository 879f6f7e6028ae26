//! A rendered text that may be more than a text: a number, a list or a map written in YAML or JSON.
use serde_json::{Map, Number, Value as Json};

use crate::yaml::{Node, Resolved, Value, read};

/// What the text means when it is read as YAML; `None` where it is a plain text or cannot be read, so that the text
/// itself is meant. Keys that are not texts are dropped, as are the second and later documents.
/// Alertmanager 0.34 reads PagerDuty's details, webhook payloads and Jira's fields this way.
#[must_use]
pub fn structured(text: &str) -> Option<Json> {
    match read(text) {
        (Some(node), None) if !is_text(&node) => Some(json(&node)),
        _ => None,
    }
}

fn is_text(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.resolved == Resolved::Text)
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) => match scalar.resolved {
            Resolved::Bool(value) => Json::Bool(value),
            Resolved::Integer(value) => Json::from(value),
            // JSON knows no infinities: they stay the text that they were.
            Resolved::Float(value) => Number::from_f64(value)
                .map_or_else(|| Json::from(scalar.text.as_str()), Json::Number),
            Resolved::Text => Json::from(scalar.text.as_str()),
        },
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => {
            let texts = entries
                .iter()
                .filter(|entry| entry.key.resolved == Resolved::Text);
            Json::Object(
                texts
                    .map(|entry| (entry.key.text.clone(), json(&entry.value)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::structured;

    #[test]
    fn reads_numbers_lists_and_maps_and_leaves_texts_alone() {
        for (text, meant) in [
            ("1", Some(json!(1))),
            ("1.5", Some(json!(1.5))),
            ("true", Some(json!(true))),
            ("[]", Some(json!([]))),
            (
                r#"[{"a":"1","b":[2]}]"#,
                Some(json!([{"a": "1", "b": [2]}])),
            ),
            ("foo: bar", Some(json!({"foo": "bar"}))),
            (
                r#"{"num":"123","id":"value1:"}"#,
                Some(json!({"num": "123", "id": "value1:"})),
            ),
            ("plain text", None),
            ("\"1\"", None),
            ("[unclosed", None),
            ("[FIRING:1] Down (a:1)", None),
        ] {
            assert_eq!(structured(text), meant, "{text}");
        }
    }
}
