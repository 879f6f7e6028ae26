//! From a notification to the data that templates see, and through templates to text.
use config::{IntegrationKind, TemplateText, TemplateValue, structured};
use model::{Alert, AlertStatus, Labels, Timestamp};
use serde_json::Value as Json;
use template::{
    AlertData, AtTime, Limits, Mode, NotificationData, ParseError, RenderError, Template,
    TemplateSet, Value,
};

use crate::notification::Notification;

/// Why an integration cannot be told by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// One field's template did not parse.
    #[error("{path}: {error}")]
    Template {
        /// The key below the integration: `fields[0].title`.
        path: String,
        #[source]
        error: ParseError,
    },
    #[error("{} is not supported by this version", .0.key())]
    Unsupported(IntegrationKind),
}

/// Compiles one field.
pub(crate) fn compile(
    set: &TemplateSet,
    path: &str,
    text: &TemplateText,
) -> Result<Template, PlanError> {
    compile_as(set, path, text, Mode::Text)
}

pub(crate) fn compile_as(
    set: &TemplateSet,
    path: &str,
    text: &TemplateText,
    mode: Mode,
) -> Result<Template, PlanError> {
    set.compile("", text.as_str(), mode)
        .map_err(|error| PlanError::Template {
            path: path.to_owned(),
            error,
        })
}

/// Any value of the configuration with its texts compiled; keys of maps are templates too.
#[derive(Clone, Debug)]
pub(crate) enum PlannedValue {
    Fixed(Json),
    List(Vec<Self>),
    Map(Vec<(Template, Self)>),
    Text(Template),
}

impl PlannedValue {
    pub(crate) fn compile(
        set: &TemplateSet,
        path: &str,
        value: &TemplateValue,
    ) -> Result<Self, PlanError> {
        Ok(match value {
            TemplateValue::Null => Self::Fixed(Json::Null),
            TemplateValue::Bool(value) => Self::Fixed(Json::from(*value)),
            TemplateValue::Integer(value) => Self::Fixed(Json::from(*value)),
            TemplateValue::Float(value) => Self::Fixed(Json::from(*value)),
            TemplateValue::Text(text) => Self::Text(compile(set, path, text)?),
            TemplateValue::List(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::compile(set, &format!("{path}[{index}]"), item))
                    .collect::<Result<_, _>>()?,
            ),
            TemplateValue::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let path = format!("{path}.{key}");
                        let key = compile(set, &path, &TemplateText::new(key.as_str()))?;
                        Ok((key, Self::compile(set, &path, value)?))
                    })
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// A rendered text that means a number, a list or a map becomes one. A text whose template fails says so: no page
    /// is lost to a template.
    pub(crate) fn render(&self, rendering: &Rendering) -> Json {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => match rendering.text(template) {
                Ok(text) => structured(&text).unwrap_or(Json::String(text)),
                Err(error) => Json::String(failure_note(&error)),
            },
            Self::List(items) => {
                Json::Array(items.iter().map(|item| item.render(rendering)).collect())
            }
            Self::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let key = rendering.text(key);
                        let key = key.unwrap_or_else(|error| failure_note(&error));
                        (key, value.render(rendering))
                    })
                    .collect(),
            ),
        }
    }
}

/// One notification on its way through templates.
pub(crate) struct Rendering {
    pub(crate) data: NotificationData,
    value: Value,
    host: AtTime,
    limits: Limits,
}

impl Rendering {
    pub(crate) fn new(notification: &Notification) -> Self {
        Self::of_first(notification, notification.alerts.len())
    }

    /// Only the first `count` alerts are told; what is common is common to those.
    pub(crate) fn of_first(notification: &Notification, count: usize) -> Self {
        let data = notification_data(
            notification,
            &notification.alerts[..count.min(notification.alerts.len())],
        );
        Self {
            value: Value::from(data.clone()),
            data,
            host: AtTime(notification.at),
            limits: Limits::default(),
        }
    }

    pub(crate) fn text(&self, template: &Template) -> Result<String, RenderError> {
        template.render(&self.value, &self.host, &self.limits)
    }

    /// What a template gives, or nothing: for what a notification can do without.
    pub(crate) fn text_or_nothing(&self, template: &Template) -> String {
        self.text(template).unwrap_or_default()
    }

    /// The route's labels with their templates expanded; one whose template fails says so.
    pub(crate) fn route_labels(&self) -> Labels {
        let set = TemplateSet::alertmanager();
        let rendered = self.data.route_labels.iter().map(|(name, _)| {
            let text = format!("{{{{ routeLabels {} }}}}", model::go_quote::quote(name));
            let value = match set.compile("", &text, Mode::Text) {
                Ok(template) => self
                    .text(&template)
                    .unwrap_or_else(|error| failure_note(&error)),
                Err(error) => format!("[template error: {error}]"),
            };
            (name, value)
        });
        Labels::from_pairs(rendered)
    }
}

/// `[FIRING] {alertname="Down"}`: a subject that needs no template.
pub(crate) fn plain_subject(notification: &Notification) -> String {
    let status = notification.status().as_str().to_uppercase();
    format!("[{status}] {}", notification.group_labels)
}

/// What a notification shows in place of a text whose template failed.
pub(crate) fn failure_note(error: &RenderError) -> String {
    format!("[template error: {error}]")
}

fn notification_data(notification: &Notification, alerts: &[Alert]) -> NotificationData {
    let at = notification.at;
    let firing = |alert: &Alert| alert.status(at) == AlertStatus::Firing;
    NotificationData {
        receiver: notification.receiver.clone(),
        status: if alerts.iter().any(firing) {
            AlertStatus::Firing
        } else {
            AlertStatus::Resolved
        },
        alerts: alerts
            .iter()
            .map(|alert| AlertData {
                status: alert.status(at),
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                starts_at: alert.starts_at,
                ends_at: if firing(alert) {
                    Timestamp::GO_ZERO
                } else {
                    alert.ends_at
                },
                generator_url: alert.generator_url.clone(),
                fingerprint: alert.fingerprint().to_string(),
            })
            .collect(),
        group_labels: notification.group_labels.clone(),
        common_labels: common(alerts.iter().map(|alert| &alert.labels)),
        common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
        route_labels: notification.route_labels.clone(),
        external_url: notification.external_url.clone(),
        notification_reason: notification.reason.as_str().to_owned(),
    }
}

/// The pairs that all sets have.
fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = sets.next() else {
        return Labels::default();
    };
    sets.fold(first.clone(), |common, set| {
        Labels::from_pairs(
            common
                .iter()
                .filter(|(name, value)| set.get(name) == Some(value)),
        )
    })
}

/// At most `runes_max` characters; where something is cut, the last one is `…`, except where there are three or fewer.
pub(crate) fn truncate_runes(text: &str, runes_max: usize) -> String {
    let Some((cut, _)) = text.char_indices().nth(runes_max) else {
        return text.to_owned();
    };
    if runes_max <= 3 {
        return text[..cut].to_owned();
    }
    let shorter = text
        .char_indices()
        .nth(runes_max - 1)
        .map_or(cut, |(at, _)| at);
    format!("{}…", &text[..shorter])
}

#[cfg(test)]
mod tests {
    use super::truncate_runes;

    #[test]
    fn truncates_as_alertmanager_does() {
        for (text, runes_max, cut) in [
            ("abcde", 2, "ab"),
            ("abcde", 4, "abc…"),
            ("abcdefgh", 5, "abcd…"),
            ("a⌘cde", 5, "a⌘cde"),
            ("世界cdef", 3, "世界c"),
            ("", 5, ""),
        ] {
            assert_eq!(truncate_runes(text, runes_max), cut, "{text}");
        }
    }
}
