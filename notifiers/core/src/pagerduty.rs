//! PagerDuty's Events API, versions 1 and 2. One aggregation group is one incident: its deduplication key is the
//! SHA-256 of the group key, it is triggered while any alert fires and resolved when none does.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use config::{PagerDutyKey, PagerDutySettings, SecretSource};
use model::{AlertStatus, Timestamp, go_json};
use serde::Serialize;
use serde_json::Value as Json;
use template::{Template, TemplateSet};

use crate::classify::{http_failure, no_answer};
use crate::conversation::{Begun, json_request};
use crate::notification::Notification;
use crate::rendering::{
    PlanError, PlannedValue, Rendering, compile, failure_note, plain_subject, truncate_runes,
};
use crate::secrets::SecretFiles;
use crate::step::{HttpRequest, HttpResponse, Memory, Outcome, Request, Response, Step};

const SUMMARY_RUNES_MAX: usize = 1024;
/// PagerDuty takes 512 KB; Alertmanager counts them as 512 000 bytes.
const EVENT_BYTES_MAX: usize = 512_000;
const TOO_LARGE: &str =
    "Custom details have been removed because the original event exceeds the maximum size of 512KB";
/// An event that comes twice is shown once, by its deduplication key: so it is better sent again soon than waited for.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const SEVERITY_DEFAULT: &str = "error";
/// PagerDuty refuses an event without a source.
const SOURCE_DEFAULT: &str = "Alertmanager";
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

#[derive(Clone, Debug)]
pub(crate) struct PagerDutyPlan {
    version: Version,
    key: SecretSource,
    url: String,
    client: Template,
    client_url: Template,
    description: Template,
    details: BTreeMap<String, PlannedValue>,
    images: Vec<[Template; 3]>,
    links: Vec<[Template; 2]>,
    source: Template,
    severity: Template,
    class: Template,
    component: Template,
    group: Template,
    timeout: Duration,
    templates: TemplateSet,
}

impl PagerDutyPlan {
    pub(crate) fn compile(
        settings: &PagerDutySettings,
        set: &TemplateSet,
    ) -> Result<Self, PlanError> {
        let (version, key) = match &settings.key {
            PagerDutyKey::Routing(key) => (Version::V2, key.clone()),
            PagerDutyKey::Service(key) => (Version::V1, key.clone()),
        };
        let details = settings
            .details
            .iter()
            .map(|(name, value)| {
                Ok((
                    name.clone(),
                    PlannedValue::compile(set, &format!("details.{name}"), value)?,
                ))
            })
            .collect::<Result<_, PlanError>>()?;
        let images = settings.images.iter().enumerate().map(|(index, image)| {
            let field = |name: &str, text| compile(set, &format!("images[{index}].{name}"), text);
            Ok([
                field("src", &image.src)?,
                field("alt", &image.alt)?,
                field("href", &image.href)?,
            ])
        });
        let links = settings.links.iter().enumerate().map(|(index, link)| {
            let field = |name: &str, text| compile(set, &format!("links[{index}].{name}"), text);
            Ok([field("href", &link.href)?, field("text", &link.text)?])
        });
        if let SecretSource::Inline(secret) = &key {
            compile(
                set,
                "routing_key",
                &config::TemplateText::new(secret.reveal()),
            )?;
        }
        Ok(Self {
            version,
            key,
            url: settings.url.as_str().to_owned(),
            client: compile(set, "client", &settings.client)?,
            client_url: compile(set, "client_url", &settings.client_url)?,
            description: compile(set, "description", &settings.description)?,
            details,
            images: images.collect::<Result<_, PlanError>>()?,
            links: links.collect::<Result<_, PlanError>>()?,
            source: compile(set, "source", &settings.source)?,
            severity: compile(set, "severity", &settings.severity)?,
            class: compile(set, "class", &settings.class)?,
            component: compile(set, "component", &settings.component)?,
            group: compile(set, "group", &settings.group)?,
            timeout: settings
                .timeout
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(TIMEOUT_DEFAULT),
            templates: set.clone(),
        })
    }

    pub(crate) fn secret_files(&self) -> Vec<&Path> {
        match &self.key {
            SecretSource::File(path) => vec![path],
            SecretSource::Inline(_) => Vec::new(),
        }
    }

    pub(crate) fn begin(
        &self,
        notification: &Notification,
        secrets: &SecretFiles,
    ) -> (Begun, Talk) {
        let mut talk = Talk {
            version: self.version,
            smaller: None,
        };
        let rendering = Rendering::new(notification);
        let key = match self.key(&rendering, secrets) {
            Ok(key) => key,
            Err(outcome) => return (Begun::Done(outcome), talk),
        };
        let event = match self.version {
            Version::V1 => self.event_v1(notification, &rendering, key),
            Version::V2 => self.event_v2(notification, &rendering, key),
        };
        let whole = self.request(&event);
        let smaller = self.request(&event.without_details());
        if whole.body.len() > EVENT_BYTES_MAX {
            return (Begun::Asking(smaller), talk);
        }
        talk.smaller = Some(smaller);
        (Begun::Asking(whole), talk)
    }

    fn request(&self, event: &Event) -> HttpRequest {
        let body = go_json::to_string(event).expect("an event is made of texts and JSON");
        json_request(self.url.clone(), format!("{body}\n"), Some(self.timeout))
    }

    fn key(&self, rendering: &Rendering, secrets: &SecretFiles) -> Result<String, Outcome> {
        let written = secrets.reveal(&self.key).map_err(|reason| Outcome::Retry {
            not_before: None,
            reason,
        })?;
        let failed = |_| Outcome::Rejected {
            reason: "the template of the key cannot be rendered".to_owned(),
        };
        let key = if written.contains("{{") {
            let text = config::TemplateText::new(written);
            let template = compile(&self.templates, "key", &text)
                .map_err(|error| failed(error.to_string()))?;
            rendering
                .text(&template)
                .map_err(|error| failed(error.to_string()))?
        } else {
            written
        };
        if key.is_empty() {
            let which = if self.version == Version::V1 {
                "service"
            } else {
                "routing"
            };
            return Err(Outcome::Rejected {
                reason: format!("{which} key cannot be empty"),
            });
        }
        Ok(key)
    }

    fn event_v1(&self, notification: &Notification, rendering: &Rendering, key: String) -> Event {
        let action = action(notification);
        let only_on_trigger = |template: &Template| match action {
            Action::Trigger => rendering.text_or_nothing(template),
            Action::Resolve => String::new(),
        };
        Event {
            service_key: key,
            incident_key: notification.group_key.sha256_hex(),
            event_type: action.as_str(),
            description: self.summary(notification, rendering),
            client: only_on_trigger(&self.client),
            client_url: only_on_trigger(&self.client_url),
            details: self.details(rendering),
            ..Event::default()
        }
    }

    fn event_v2(&self, notification: &Notification, rendering: &Rendering, key: String) -> Event {
        let text = |template: &Template| rendering.text_or_nothing(template);
        let severity = text(&self.severity).to_lowercase();
        let payload = Payload {
            summary: self.summary(notification, rendering),
            source: Some(text(&self.source))
                .filter(|source| !source.is_empty())
                .unwrap_or_else(|| SOURCE_DEFAULT.to_owned()),
            // PagerDuty refuses an event with any other word; a page with the default one is better than none.
            severity: SEVERITIES
                .into_iter()
                .find(|known| *known == severity)
                .unwrap_or(SEVERITY_DEFAULT),
            class: text(&self.class),
            component: text(&self.component),
            group: text(&self.group),
            custom_details: self.details(rendering),
        };
        let images = self.images.iter().map(|[src, alt, href]| Image {
            href: text(href),
            src: text(src),
            alt: text(alt),
        });
        let links = self.links.iter().map(|[href, label]| Link {
            href: text(href),
            text: text(label),
        });
        Event {
            routing_key: key,
            dedup_key: notification.group_key.sha256_hex(),
            event_action: action(notification).as_str(),
            payload: Some(payload),
            client: text(&self.client),
            client_url: text(&self.client_url),
            images: images.filter(|image| !image.src.is_empty()).collect(),
            links: links.filter(|link| !link.href.is_empty()).collect(),
            ..Event::default()
        }
    }

    /// PagerDuty refuses an event without a summary, so there always is one.
    fn summary(&self, notification: &Notification, rendering: &Rendering) -> String {
        let summary = match rendering.text(&self.description) {
            Ok(text) if text.trim().is_empty() => plain_subject(notification),
            Ok(text) => text,
            Err(error) => format!("{} {}", plain_subject(notification), failure_note(&error)),
        };
        truncate_runes(&summary, SUMMARY_RUNES_MAX)
    }

    fn details(&self, rendering: &Rendering) -> BTreeMap<String, Json> {
        self.details
            .iter()
            .map(|(name, value)| (name.clone(), value.render(rendering)))
            .collect()
    }
}

/// What has been said so far.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    version: Version,
    /// The same event without its details, should the whole one be too large.
    smaller: Option<HttpRequest>,
}

impl Talk {
    pub(crate) fn next(&mut self, response: Response, now: Timestamp) -> Step {
        if let Response::Http(HttpResponse { status: 413, .. }) = &response
            && let Some(smaller) = self.smaller.take()
        {
            return Step::Ask(Request::Http(smaller));
        }
        Step::Done(next(self.version, response, now), Memory::default())
    }
}

fn next(version: Version, response: Response, now: Timestamp) -> Outcome {
    let response = match response {
        Response::Http(response) => response,
        Response::Failed(failure) => return no_answer(failure),
        Response::Mail(_) => {
            return Outcome::Rejected {
                reason: "a mail server answered an HTTP request".to_owned(),
            };
        }
    };
    // Version 1 says "too many events" with 403.
    let retried: &[u16] = match version {
        Version::V1 => &[403],
        Version::V2 => &[],
    };
    match http_failure(&response, retried, now) {
        None => Outcome::Delivered {
            id: member(&response, &["dedup_key", "incident_key"]),
        },
        Some(Outcome::Rejected { reason }) => Outcome::Rejected {
            reason: refusal(&response).unwrap_or(reason),
        },
        Some(outcome) => outcome,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Resolve,
    Trigger,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Trigger => "trigger",
        }
    }
}

fn action(notification: &Notification) -> Action {
    match notification.status() {
        AlertStatus::Firing => Action::Trigger,
        AlertStatus::Resolved => Action::Resolve,
    }
}

fn member(response: &HttpResponse, names: &[&str]) -> Option<String> {
    let body: Json = serde_json::from_slice(&response.body).ok()?;
    names
        .iter()
        .find_map(|name| body.get(name)?.as_str().map(str::to_owned))
}

/// `Event object is invalid: a, b`: PagerDuty's own words for a refused event.
fn refusal(response: &HttpResponse) -> Option<String> {
    let body: Json = serde_json::from_slice(&response.body).ok()?;
    let message = body.get("message")?.as_str()?;
    let errors: Vec<&str> = body
        .get("errors")
        .and_then(Json::as_array)?
        .iter()
        .filter_map(Json::as_str)
        .collect();
    Some(format!(
        "unexpected status code {}: {message}: {}",
        response.status,
        errors.join(",")
    ))
}

/// Both versions share one form: members of the other version stay away, except that version 1's events carry an empty
/// `event_action` and a null `payload`.
#[derive(Clone, Debug, Default, Serialize)]
struct Event {
    #[serde(skip_serializing_if = "String::is_empty")]
    routing_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dedup_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    incident_key: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    event_action: &'static str,
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

impl Event {
    fn without_details(&self) -> Self {
        let note = BTreeMap::from([("error".to_owned(), Json::from(TOO_LARGE))]);
        let mut event = self.clone();
        match &mut event.payload {
            Some(payload) => payload.custom_details = note,
            None => event.details = note,
        }
        event
    }
}

#[derive(Clone, Debug, Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    custom_details: BTreeMap<String, Json>,
}

#[derive(Clone, Debug, Serialize)]
struct Image {
    #[serde(skip_serializing_if = "String::is_empty")]
    href: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    src: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    alt: String,
}

#[derive(Clone, Debug, Serialize)]
struct Link {
    #[serde(skip_serializing_if = "String::is_empty")]
    href: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}
