//! What PagerDuty demands of an event, by its documentation of the Events API v1 and v2.
use serde_json::{Map, Value};

const KEY_CHARS: usize = 32;
const DEDUP_KEY_CHARS_MAX: usize = 255;
const SUMMARY_CHARS_MAX: usize = 1024;
const SEVERITIES: [&str; 4] = ["critical", "warning", "error", "info"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAction {
    Acknowledge,
    Resolve,
    Trigger,
}

/// An event of either version that is as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) action: EventAction,
    pub(crate) dedup_key: Option<String>,
    pub(crate) summary: String,
    pub(crate) severity: String,
    pub(crate) details: Value,
}

pub(crate) fn read_v2(body: &Value) -> Result<Event, Vec<String>> {
    let mut errors = Errors(Vec::new());
    let event = errors
        .object(Some(body), "event")
        .cloned()
        .unwrap_or_default();
    let key = errors.required(&event, "routing_key", "routing_key");
    if !key.is_empty() && key.chars().count() != KEY_CHARS {
        errors.say("'routing_key' is the wrong length (should be 32 characters)");
    }
    let action = errors.action(&event, "event_action");
    let dedup_key = errors.dedup_key(&event, "dedup_key", action);
    let mut made = Event {
        key,
        action,
        dedup_key,
        summary: String::new(),
        severity: String::new(),
        details: Value::Null,
    };
    if action == EventAction::Trigger {
        let none = Map::new();
        let payload = errors
            .object(event.get("payload"), "payload")
            .unwrap_or(&none);
        made.summary = errors.required(payload, "summary", "payload.summary");
        errors.at_most("payload.summary", &made.summary, SUMMARY_CHARS_MAX);
        errors.required(payload, "source", "payload.source");
        made.severity = errors.required(payload, "severity", "payload.severity");
        if !made.severity.is_empty() && !SEVERITIES.contains(&made.severity.as_str()) {
            errors.say(
                "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
            );
        }
        for name in ["timestamp", "component", "group", "class"] {
            errors.optional_text(payload, name, &format!("payload.{name}"));
        }
        if let Some(details) = payload.get("custom_details").filter(|it| !it.is_null()) {
            errors.object(Some(details), "payload.custom_details");
            made.details = details.clone();
        }
        errors.images_and_links(&event);
    } else if let Some(summary) = event.get("payload").map(|payload| &payload["summary"]) {
        // Nobody asks for it there; who sends it says what has happened.
        made.summary = summary.as_str().unwrap_or_default().to_owned();
    }
    errors.or(made)
}

pub(crate) fn read_v1(body: &Value) -> Result<Event, Vec<String>> {
    let mut errors = Errors(Vec::new());
    let event = errors
        .object(Some(body), "event")
        .cloned()
        .unwrap_or_default();
    let key = match event.get("service_key").and_then(Value::as_str) {
        None | Some("") => {
            errors.say("Service key is missing or blank");
            String::new()
        }
        Some(key) => key.to_owned(),
    };
    if !key.is_empty() && key.chars().count() != KEY_CHARS {
        errors.say("Service key is the wrong length (should be 32 characters)");
    }
    let action = errors.action(&event, "event_type");
    let dedup_key = errors.dedup_key(&event, "incident_key", action);
    let mut summary = String::new();
    if action == EventAction::Trigger {
        summary = errors.required(&event, "description", "description");
        errors.at_most("description", &summary, SUMMARY_CHARS_MAX);
        for name in ["client", "client_url"] {
            errors.optional_text(&event, name, name);
        }
    } else if let Some(description) = event.get("description") {
        summary = description.as_str().unwrap_or_default().to_owned();
    }
    let details = event.get("details").cloned().unwrap_or(Value::Null);
    if !details.is_null() {
        errors.object(Some(&details), "details");
    }
    errors.or(Event {
        key,
        action,
        dedup_key,
        summary,
        severity: String::new(),
        details,
    })
}

struct Errors(Vec<String>);

impl Errors {
    fn say(&mut self, error: impl Into<String>) {
        self.0.push(error.into());
    }

    fn or(self, event: Event) -> Result<Event, Vec<String>> {
        if self.0.is_empty() {
            Ok(event)
        } else {
            Err(self.0)
        }
    }

    fn object<'a>(
        &mut self,
        value: Option<&'a Value>,
        name: &str,
    ) -> Option<&'a Map<String, Value>> {
        let object = value.and_then(Value::as_object);
        if object.is_none() {
            self.say(format!("'{name}' is missing or is not an object"));
        }
        object
    }

    fn required(&mut self, object: &Map<String, Value>, member: &str, name: &str) -> String {
        match object.get(member) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            None | Some(Value::Null | Value::String(_)) => {
                self.say(format!("'{name}' is missing or blank"));
                String::new()
            }
            Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                self.say(format!("'{name}' is invalid (must be a string)"));
                String::new()
            }
        }
    }

    fn optional_text(&mut self, object: &Map<String, Value>, member: &str, name: &str) {
        let fine = object
            .get(member)
            .is_none_or(|value| value.is_null() || value.is_string());
        if !fine {
            self.say(format!("'{name}' is invalid (must be a string)"));
        }
    }

    fn at_most(&mut self, name: &str, text: &str, chars_max: usize) {
        if text.chars().count() > chars_max {
            self.say(format!(
                "'{name}' is too long (maximum is {chars_max} characters)"
            ));
        }
    }

    fn action(&mut self, event: &Map<String, Value>, name: &str) -> EventAction {
        match self.required(event, name, name).as_str() {
            "acknowledge" => EventAction::Acknowledge,
            "resolve" => EventAction::Resolve,
            "trigger" | "" => EventAction::Trigger,
            _ => {
                self.say(format!(
                    "'{name}' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
                ));
                EventAction::Trigger
            }
        }
    }

    fn dedup_key(
        &mut self,
        event: &Map<String, Value>,
        name: &str,
        action: EventAction,
    ) -> Option<String> {
        let key = event
            .get(name)
            .and_then(Value::as_str)
            .filter(|key| !key.is_empty())
            .map(str::to_owned);
        match &key {
            Some(key) => self.at_most(name, key, DEDUP_KEY_CHARS_MAX),
            None if action == EventAction::Trigger => {}
            None => self.say(format!("'{name}' is missing or blank")),
        }
        key
    }

    fn images_and_links(&mut self, event: &Map<String, Value>) {
        for (list, member) in [("images", "src"), ("links", "href")] {
            let Some(entries) = event.get(list).filter(|value| !value.is_null()) else {
                continue;
            };
            let Some(entries) = entries.as_array() else {
                self.say(format!("'{list}' is invalid (must be an array)"));
                continue;
            };
            for (index, entry) in entries.iter().enumerate() {
                let name = format!("{list}[{index}].{member}");
                let text = match entry.as_object() {
                    Some(entry) => self.required(entry, member, &name),
                    None => {
                        self.say(format!("'{list}[{index}]' is not an object"));
                        continue;
                    }
                };
                if list == "images" && !text.is_empty() && !text.starts_with("https://") {
                    self.say(format!("'{name}' is invalid (must be served over HTTPS)"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{read_v1, read_v2};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn fine() -> Value {
        json!({"routing_key": KEY, "event_action": "trigger", "dedup_key": "k",
               "payload": {"summary": "s", "source": "x", "severity": "error"}})
    }

    #[test]
    fn says_everything_that_is_wrong() {
        let long = "é".repeat(1025);
        for (pointer, value, said) in [
            (
                "/payload/severity",
                json!("page"),
                "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
            ),
            (
                "/payload/summary",
                json!(long),
                "'payload.summary' is too long (maximum is 1024 characters)",
            ),
            (
                "/payload/summary",
                json!(""),
                "'payload.summary' is missing or blank",
            ),
            (
                "/payload/source",
                json!(1),
                "'payload.source' is invalid (must be a string)",
            ),
            (
                "/payload",
                json!(null),
                "'payload' is missing or is not an object",
            ),
            (
                "/routing_key",
                json!("short"),
                "'routing_key' is the wrong length (should be 32 characters)",
            ),
            (
                "/event_action",
                json!("close"),
                "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
            ),
            (
                "/dedup_key",
                json!("k".repeat(256)),
                "'dedup_key' is too long (maximum is 255 characters)",
            ),
        ] {
            let mut event = fine();
            *event.pointer_mut(pointer).unwrap() = value;
            assert_eq!(read_v2(&event).unwrap_err()[0], said);
        }
        let mut resolve = fine();
        resolve["event_action"] = json!("resolve");
        resolve["dedup_key"] = json!("");
        assert_eq!(
            read_v2(&resolve).unwrap_err(),
            ["'dedup_key' is missing or blank"]
        );
        let mut pictures = fine();
        pictures["images"] = json!([{"src": "http://x"}]);
        pictures["links"] = json!([{"text": "x"}]);
        assert_eq!(
            read_v2(&pictures).unwrap_err(),
            [
                "'images[0].src' is invalid (must be served over HTTPS)",
                "'links[0].href' is missing or blank"
            ]
        );
        assert_eq!(
            read_v1(&json!({})).unwrap_err(),
            [
                "Service key is missing or blank",
                "'event_type' is missing or blank",
                "'description' is missing or blank"
            ]
        );
    }

    #[test]
    fn takes_what_is_right() {
        let mut event = fine();
        event["payload"]["summary"] = json!("é".repeat(1024));
        event["payload"]["custom_details"] = json!({"firing": [1]});
        let read = read_v2(&event).unwrap();
        assert_eq!(read.details, json!({"firing": [1]}));
        assert_eq!(read.dedup_key.as_deref(), Some("k"));
    }
}
