//! A plain HTTP receiver: Alertmanager's own body, protocol version 4, or one that the operator describes.
use std::path::Path;
use std::time::Duration;

use config::{SecretSource, TemplateText, WebhookSettings};
use model::{Labels, Timestamp, go_json, quote_meta};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use template::{AlertData, Template, TemplateSet};
use url::Url;

use crate::classify::{http_failure, no_answer};
use crate::conversation::{Begun, json_request};
use crate::notification::Notification;
use crate::rendering::{PlanError, PlannedValue, Rendering, compile};
use crate::secrets::SecretFiles;
use crate::step::{Memory, Outcome, Response};

#[derive(Clone, Debug)]
pub(crate) struct WebhookPlan {
    url: PlannedUrl,
    max_alerts: usize,
    payload: Option<PlannedValue>,
    timeout: Option<Duration>,
    templates: TemplateSet,
}

#[derive(Clone, Debug)]
enum PlannedUrl {
    Inline(Template),
    File(SecretSource),
}

impl WebhookPlan {
    pub(crate) fn compile(
        settings: &WebhookSettings,
        set: &TemplateSet,
    ) -> Result<Self, PlanError> {
        Ok(Self {
            url: match &settings.url {
                SecretSource::Inline(secret) => {
                    PlannedUrl::Inline(compile(set, "url", &TemplateText::new(secret.reveal()))?)
                }
                file @ SecretSource::File(_) => PlannedUrl::File(file.clone()),
            },
            max_alerts: usize::try_from(settings.max_alerts).unwrap_or(usize::MAX),
            payload: settings
                .payload
                .as_ref()
                .map(|value| PlannedValue::compile(set, "payload", value))
                .transpose()?,
            timeout: settings.timeout,
            templates: set.clone(),
        })
    }

    pub(crate) fn secret_files(&self) -> Vec<&Path> {
        match &self.url {
            PlannedUrl::File(SecretSource::File(path)) => vec![path],
            PlannedUrl::File(SecretSource::Inline(_)) | PlannedUrl::Inline(_) => Vec::new(),
        }
    }

    pub(crate) fn begin(&self, notification: &Notification, secrets: &SecretFiles) -> Begun {
        match self.request(notification, secrets) {
            Ok((url, body)) => Begun::Asking(json_request(url, body, self.timeout)),
            Err(outcome) => Begun::Done(outcome),
        }
    }

    fn request(
        &self,
        notification: &Notification,
        secrets: &SecretFiles,
    ) -> Result<(String, String), Outcome> {
        let rejected = |reason: String| Outcome::Rejected { reason };
        let told = if self.max_alerts == 0 {
            usize::MAX
        } else {
            self.max_alerts
        };
        let rendering = Rendering::of_first(notification, told);
        let url = self.url(&rendering, secrets)?;
        let body = match &self.payload {
            Some(payload) => go_json::to_string(&payload.render(&rendering)),
            None => {
                let route_labels = rendering.route_labels();
                go_json::to_string(&Body::new(notification, &rendering, &route_labels))
            }
        };
        Ok((
            url,
            format!("{}\n", body.map_err(|error| rejected(error.to_string()))?),
        ))
    }

    /// The address is a credential: no error names it.
    fn url(&self, rendering: &Rendering, secrets: &SecretFiles) -> Result<String, Outcome> {
        let failed = || Outcome::Rejected {
            reason: "the template of the URL cannot be rendered".to_owned(),
        };
        let url = match &self.url {
            PlannedUrl::Inline(template) => rendering.text(template).map_err(|_| failed())?,
            PlannedUrl::File(source) => {
                let text = secrets.reveal(source).map_err(|reason| Outcome::Retry {
                    not_before: None,
                    reason,
                })?;
                let template = compile(&self.templates, "url_file", &TemplateText::new(text))
                    .map_err(|_| failed())?;
                rendering.text(&template).map_err(|_| failed())?
            }
        };
        match Url::parse(&url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
                Ok(url)
            }
            Ok(_) | Err(_) => Err(Outcome::Rejected {
                reason: "the rendered URL is not an HTTP address".to_owned(),
            }),
        }
    }
}

pub(crate) fn next(response: Response, now: Timestamp) -> Outcome {
    match response {
        Response::Http(response) => {
            http_failure(&response, &[], now).unwrap_or(Outcome::Delivered { id: None })
        }
        Response::Failed(failure) => no_answer(failure),
        Response::Mail(_) => Outcome::Rejected {
            reason: "a mail server answered an HTTP request".to_owned(),
        },
    }
}

/// Nothing is remembered from one call to the next.
pub(crate) fn memory() -> Memory {
    Memory::default()
}

/// Members in the order of Alertmanager 0.34.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: String,
    status: &'static str,
    alerts: Vec<BodyAlert<'a>>,
    #[serde(rename = "notification_reason")]
    notification_reason: &'a str,
    #[serde(serialize_with = "as_map")]
    group_labels: &'a Labels,
    #[serde(serialize_with = "as_map")]
    common_labels: &'a Labels,
    #[serde(serialize_with = "as_map")]
    common_annotations: &'a Labels,
    #[serde(serialize_with = "as_map")]
    route_labels: &'a Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyAlert<'a> {
    status: &'static str,
    #[serde(serialize_with = "as_map")]
    labels: &'a Labels,
    #[serde(serialize_with = "as_map")]
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

impl<'a> Body<'a> {
    fn new(
        notification: &'a Notification,
        rendering: &'a Rendering,
        route_labels: &'a Labels,
    ) -> Self {
        let data = &rendering.data;
        Self {
            receiver: quote_meta(&data.receiver),
            status: data.status.as_str(),
            alerts: data.alerts.iter().map(BodyAlert::new).collect(),
            notification_reason: &data.notification_reason,
            group_labels: &data.group_labels,
            common_labels: &data.common_labels,
            common_annotations: &data.common_annotations,
            route_labels,
            external_url: &data.external_url,
            version: "4",
            group_key: notification.group_key.as_str(),
            truncated_alerts: notification.alerts.len() - data.alerts.len(),
        }
    }
}

impl<'a> BodyAlert<'a> {
    fn new(alert: &'a AlertData) -> Self {
        Self {
            status: alert.status.as_str(),
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: alert.starts_at.to_rfc3339_nano(),
            ends_at: alert.ends_at.to_rfc3339_nano(),
            generator_url: &alert.generator_url,
            fingerprint: &alert.fingerprint,
        }
    }
}

fn as_map<S: Serializer>(labels: &&Labels, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in labels.iter() {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
