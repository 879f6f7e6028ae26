//! Slack: an incoming webhook, or `chat.postMessage` with a bot's token. With `update_message` the group's first
//! message is edited instead of followed by others; where it cannot be edited any more, a new one is posted.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use config::{SecretSource, SlackAction, SlackSettings, SlackTarget, TemplateText};
use model::{Timestamp, go_json};
use serde::Serialize;
use serde_json::Value as Json;
use template::{Template, TemplateSet};

use crate::classify::{excerpt, header, http_failure, no_answer, retry_after};
use crate::conversation::{Begun, json_request};
use crate::notification::Notification;
use crate::rendering::{
    PlanError, Rendering, compile, failure_note, plain_subject, truncate_runes,
};
use crate::secrets::SecretFiles;
use crate::step::{
    BodyExtent, HttpRequest, HttpResponse, Memory, Outcome, Remembered, Request, Response, Step,
};

const TITLE_RUNES_MAX: usize = 1024;
const MRKDWN_IN_DEFAULT: [&str; 3] = ["fallback", "pretext", "text"];
/// What is remembered of the message that later ones edit; the names are Alertmanager's.
const THREAD: &str = "threadTs";
const CHANNEL: &str = "channelId";
/// Slack's words for "try again".
const TRANSIENT: [&str; 7] = [
    "fatal_error",
    "internal_error",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];
/// Slack's words for "that message cannot be edited": a new one is posted instead.
const NOT_EDITABLE: [&str; 3] = [
    "cant_update_message",
    "edit_window_closed",
    "message_not_found",
];

#[derive(Clone, Debug)]
pub(crate) struct SlackPlan {
    target: SlackTarget,
    /// Where a token's messages go.
    app_url: String,
    channel: Template,
    username: Template,
    icon_emoji: Template,
    icon_url: Template,
    message_text: Template,
    color: Template,
    title: Template,
    title_link: Template,
    pretext: Template,
    text: Template,
    fallback: Template,
    callback_id: Template,
    fields: Vec<([Template; 2], bool)>,
    actions: Vec<PlannedAction>,
    image_url: Template,
    thumb_url: Template,
    footer: Template,
    link_names: bool,
    mrkdwn_in: Vec<String>,
    update_message: bool,
    timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
struct PlannedAction {
    kind: Template,
    text: Template,
    url: Template,
    style: Template,
    name: Template,
    value: Template,
    /// Text, title, label of the button that agrees, label of the button that does not.
    confirm: Option<[Template; 4]>,
}

impl SlackPlan {
    pub(crate) fn compile(settings: &SlackSettings, set: &TemplateSet) -> Result<Self, PlanError> {
        let field = |path: &str, text: &TemplateText| compile(set, path, text);
        let fields = settings.fields.iter().enumerate().map(|(index, written)| {
            let title = field(&format!("fields[{index}].title"), &written.title)?;
            let value = field(&format!("fields[{index}].value"), &written.value)?;
            Ok((
                [title, value],
                written.short.unwrap_or(settings.short_fields),
            ))
        });
        let actions = settings.actions.iter().enumerate();
        Ok(Self {
            target: settings.target.clone(),
            app_url: settings.app_url.as_str().to_owned(),
            channel: field("channel", &settings.channel)?,
            username: field("username", &settings.username)?,
            icon_emoji: field("icon_emoji", &settings.icon_emoji)?,
            icon_url: field("icon_url", &settings.icon_url)?,
            message_text: field("message_text", &settings.message_text)?,
            color: field("color", &settings.color)?,
            title: field("title", &settings.title)?,
            title_link: field("title_link", &settings.title_link)?,
            pretext: field("pretext", &settings.pretext)?,
            text: field("text", &settings.text)?,
            fallback: field("fallback", &settings.fallback)?,
            callback_id: field("callback_id", &settings.callback_id)?,
            fields: fields.collect::<Result<_, PlanError>>()?,
            actions: actions
                .map(|(index, action)| compile_action(set, index, action))
                .collect::<Result<_, _>>()?,
            image_url: field("image_url", &settings.image_url)?,
            thumb_url: field("thumb_url", &settings.thumb_url)?,
            footer: field("footer", &settings.footer)?,
            link_names: settings.link_names,
            mrkdwn_in: if settings.mrkdwn_in.is_empty() {
                MRKDWN_IN_DEFAULT.map(str::to_owned).into()
            } else {
                settings.mrkdwn_in.clone()
            },
            update_message: settings.update_message,
            timeout: settings.timeout,
        })
    }

    pub(crate) fn secret_files(&self) -> Vec<&Path> {
        match &self.target {
            SlackTarget::App(SecretSource::File(path))
            | SlackTarget::Webhook(SecretSource::File(path)) => {
                vec![path]
            }
            SlackTarget::App(SecretSource::Inline(_))
            | SlackTarget::Webhook(SecretSource::Inline(_)) => Vec::new(),
        }
    }

    pub(crate) fn begin(
        &self,
        notification: &Notification,
        memory: &Memory,
        secrets: &SecretFiles,
    ) -> (Begun, Talk) {
        let unreadable = |reason: String| {
            (
                Begun::Done(Outcome::Retry {
                    not_before: None,
                    reason,
                }),
                Talk::posting(memory.clone()),
            )
        };
        let (url, token) = match &self.target {
            SlackTarget::App(token) => match secrets.reveal(token) {
                Ok(token) => (self.app_url.clone(), Some(token)),
                Err(reason) => return unreadable(reason),
            },
            SlackTarget::Webhook(source) => match secrets.reveal(source) {
                Ok(url) => (url, None),
                Err(reason) => return unreadable(reason),
            },
        };
        let mut message = self.message(notification);
        let remembered = |name: &str| match memory.0.get(name) {
            Some(Remembered::Text(text)) if self.update_message => Some(text.clone()),
            Some(Remembered::Text(_) | Remembered::Integer(_) | Remembered::Number(_)) | None => {
                None
            }
        };
        let post = self.request(url.clone(), token.as_deref(), &message);
        let talk = Talk {
            remembers: self.update_message,
            memory: memory.clone(),
            fallback: None,
        };
        let (Some(thread), Some(channel)) = (remembered(THREAD), remembered(CHANNEL)) else {
            return (Begun::Asking(post), talk);
        };
        message.ts = thread;
        message.channel = channel;
        let update = self.request(
            url.replace("chat.postMessage", "chat.update"),
            token.as_deref(),
            &message,
        );
        (
            Begun::Asking(update),
            Talk {
                fallback: Some(post),
                ..talk
            },
        )
    }

    fn request(&self, url: String, token: Option<&str>, message: &Message) -> HttpRequest {
        let body =
            go_json::to_string(message).expect("a message is made of texts, lists and flags");
        let mut request = json_request(url, format!("{body}\n"), self.timeout);
        if let Some(token) = token {
            request
                .headers
                .push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        request
    }

    /// A field whose template fails goes out empty and the message says so: a page is never lost to a template.
    fn message(&self, notification: &Notification) -> Message {
        let rendering = Rendering::new(notification);
        let mut failure = None;
        let mut text = |template: &Template| match rendering.text(template) {
            Ok(text) => text,
            Err(error) => {
                failure.get_or_insert_with(|| failure_note(&error));
                String::new()
            }
        };
        let mut attachment = Attachment {
            title: truncate_runes(&text(&self.title), TITLE_RUNES_MAX),
            title_link: text(&self.title_link),
            pretext: text(&self.pretext),
            text: text(&self.text),
            fallback: text(&self.fallback),
            callback_id: text(&self.callback_id),
            fields: self
                .fields
                .iter()
                .map(|([title, value], short)| Field {
                    title: text(title),
                    value: text(value),
                    short: *short,
                })
                .collect(),
            actions: self
                .actions
                .iter()
                .map(|action| action.render(&mut text))
                .collect(),
            image_url: text(&self.image_url),
            thumb_url: text(&self.thumb_url),
            footer: text(&self.footer),
            color: text(&self.color),
            mrkdwn_in: self.mrkdwn_in.clone(),
        };
        let mut message = Message {
            channel: text(&self.channel),
            ts: String::new(),
            username: text(&self.username),
            icon_emoji: text(&self.icon_emoji),
            icon_url: text(&self.icon_url),
            link_names: self.link_names,
            text: text(&self.message_text),
            attachments: Vec::with_capacity(1),
        };
        if let Some(failure) = failure {
            let note = format!("{failure} {}", plain_subject(notification));
            attachment.text = if attachment.text.is_empty() {
                note
            } else {
                format!("{}\n{note}", attachment.text)
            };
        }
        message.attachments.push(attachment);
        message
    }
}

/// What a conversation with Slack still has to do.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    remembers: bool,
    memory: Memory,
    /// The new message, should the old one not be editable.
    fallback: Option<HttpRequest>,
}

impl Talk {
    fn posting(memory: Memory) -> Self {
        Self {
            remembers: false,
            memory,
            fallback: None,
        }
    }

    pub(crate) fn next(&mut self, response: Response, now: Timestamp) -> Step {
        let response = match response {
            Response::Http(response) => response,
            Response::Failed(failure) => return self.done(no_answer(failure)),
            Response::Mail(_) => {
                let reason = "a mail server answered an HTTP request".to_owned();
                return self.done(Outcome::Rejected { reason });
            }
        };
        if let Some(outcome) = http_failure(&response, &[], now) {
            return self.done(outcome);
        }
        let is_json = header(&response, "content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        if !is_json {
            let text = response.body.trim_ascii();
            let is_taken = match response.extent {
                BodyExtent::Whole => text == b"ok",
                // A webhook's status says all: no word against it has come.
                BodyExtent::CutOff => b"ok".starts_with(text),
            };
            return self.done(if is_taken {
                Outcome::Delivered { id: None }
            } else {
                Outcome::Rejected {
                    reason: format!("error response from Slack: {}", excerpt(text)),
                }
            });
        }
        let Ok(body) = serde_json::from_slice::<Json>(&response.body) else {
            return self.unreadable(&response);
        };
        if body.get("ok").and_then(Json::as_bool) == Some(true) {
            return self.delivered(&body);
        }
        self.refused(&body, &response, now)
    }

    /// The API's answer begins with whether it took the message.
    fn unreadable(&mut self, response: &HttpResponse) -> Step {
        let reason = format!("Slack's answer is not JSON: {}", excerpt(&response.body));
        let again = |reason| Outcome::Retry {
            not_before: None,
            reason,
        };
        self.done(match response.extent {
            BodyExtent::Whole => again(reason),
            BodyExtent::CutOff => match begun_ok(&response.body) {
                Some(true) => Outcome::Delivered { id: None },
                Some(false) => again(reason),
                None => Outcome::Ambiguous {
                    reason: "Slack's answer did not end".to_owned(),
                },
            },
        })
    }

    fn delivered(&mut self, body: &Json) -> Step {
        let member = |name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
        let (thread, channel) = (member("ts"), member("channel"));
        if self.remembers
            && let (Some(thread), Some(channel)) = (&thread, channel)
        {
            self.memory.0 = BTreeMap::from([
                (THREAD.to_owned(), Remembered::Text(thread.clone())),
                (CHANNEL.to_owned(), Remembered::Text(channel)),
            ]);
        }
        self.done(Outcome::Delivered { id: thread })
    }

    fn refused(&mut self, body: &Json, response: &HttpResponse, now: Timestamp) -> Step {
        let error = body
            .get("error")
            .and_then(Json::as_str)
            .unwrap_or("unknown");
        if NOT_EDITABLE.contains(&error)
            && let Some(post) = self.fallback.take()
        {
            return Step::Ask(Request::Http(post));
        }
        let reason = format!("error response from Slack: {error}");
        self.done(if TRANSIENT.contains(&error) {
            Outcome::Retry {
                not_before: retry_after(response, now),
                reason,
            }
        } else {
            Outcome::Rejected { reason }
        })
    }

    fn done(&mut self, outcome: Outcome) -> Step {
        Step::Done(outcome, std::mem::take(&mut self.memory))
    }
}

/// What an answer that is cut off says first of `ok`.
fn begun_ok(body: &[u8]) -> Option<bool> {
    let body = body.trim_ascii_start().strip_prefix(b"{")?;
    let body = body.trim_ascii_start().strip_prefix(br#""ok""#)?;
    let body = body.trim_ascii_start().strip_prefix(b":")?;
    let value = body.trim_ascii_start();
    if value.starts_with(b"true") {
        Some(true)
    } else if value.starts_with(b"false") {
        Some(false)
    } else {
        None
    }
}

fn compile_action(
    set: &TemplateSet,
    index: usize,
    action: &SlackAction,
) -> Result<PlannedAction, PlanError> {
    let field =
        |name: &str, text: &TemplateText| compile(set, &format!("actions[{index}].{name}"), text);
    let confirm = action.confirm.as_ref().map(|confirm| {
        Ok([
            field("confirm.text", &confirm.text)?,
            field("confirm.title", &confirm.title)?,
            field("confirm.ok_text", &confirm.ok_text)?,
            field("confirm.dismiss_text", &confirm.dismiss_text)?,
        ])
    });
    Ok(PlannedAction {
        kind: field("type", &action.kind)?,
        text: field("text", &action.text)?,
        url: field("url", &action.url)?,
        style: field("style", &action.style)?,
        name: field("name", &action.name)?,
        value: field("value", &action.value)?,
        confirm: confirm.transpose()?,
    })
}

impl PlannedAction {
    fn render(&self, text: &mut impl FnMut(&Template) -> String) -> Action {
        Action {
            kind: text(&self.kind),
            text: text(&self.text),
            url: text(&self.url),
            style: text(&self.style),
            name: text(&self.name),
            value: text(&self.value),
            confirm: self
                .confirm
                .as_ref()
                .map(|[words, title, ok_text, dismiss_text]| Confirmation {
                    text: text(words),
                    title: text(title),
                    ok_text: text(ok_text),
                    dismiss_text: text(dismiss_text),
                }),
        }
    }
}

#[derive(Debug, Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ts: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "is_false")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: Vec<Attachment>,
}

/// Text, fallback, callback and footer are always there, empty or not.
#[derive(Debug, Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    mrkdwn_in: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Field {
    title: String,
    value: String,
    short: bool,
}

#[derive(Debug, Serialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirmation>,
}

#[derive(Debug, Serialize)]
struct Confirmation {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
