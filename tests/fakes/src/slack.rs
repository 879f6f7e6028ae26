//! Slack: incoming webhooks (`/services/…`) and the Web API's `chat.postMessage` and `chat.update` (`/api/…`).
//!
//! An incoming webhook says what is wrong by status and plain text; the Web API answers 200 with `"ok": false`.
use std::collections::BTreeSet;
use std::time::Duration;

use model::Timestamp;
use serde_json::{Value, json};

use crate::event::Happened;
use crate::fake::{Decision, Fake, Vendor};
use crate::http::{Answer, HttpRequest};
use crate::rate::{RateLimit, RateLimiter};

const WEBHOOK_PREFIX: &str = "/services/";
const POST_PATH: &str = "/api/chat.postMessage";
const UPDATE_PATH: &str = "/api/chat.update";
const ATTACHMENTS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 40_000;
/// About one message a second and channel, with short bursts.
const RATE_LIMIT: RateLimit = RateLimit {
    requests: 20,
    window: Duration::from_secs(20),
};

pub type Slack = Fake<SlackWorkspace>;

#[derive(Debug)]
pub struct SlackWorkspace {
    /// Every message that is there, in order of its first posting.
    pub messages: Vec<SlackMessage>,
    limiter: RateLimiter<String>,
    /// Where set, others are not found.
    channels: Option<BTreeSet<String>>,
    /// Where set, other tokens are not valid.
    tokens: Option<BTreeSet<String>>,
    /// After which a message can no longer be changed.
    edit_window: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SlackMessage {
    /// As the sender named it; empty where the webhook's own is meant.
    pub channel: String,
    /// The message's name in its channel: seconds and microseconds.
    pub ts: String,
    pub posted_at: Timestamp,
    /// How often it was changed since.
    pub updates: u64,
    /// The body as it was sent last.
    pub body: Value,
}

impl SlackMessage {
    /// The first attachment's title, or the text.
    #[must_use]
    pub fn title(&self) -> &str {
        let attachment = self.body["attachments"][0]["title"].as_str();
        attachment.or(self.body["text"].as_str()).unwrap_or("")
    }

    #[must_use]
    pub fn color(&self) -> &str {
        self.body["attachments"][0]["color"].as_str().unwrap_or("")
    }
}

impl Default for SlackWorkspace {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            limiter: RateLimiter::new(Some(RATE_LIMIT)),
            channels: None,
            tokens: None,
            edit_window: None,
        }
    }
}

impl SlackWorkspace {
    pub fn limit_rate(&mut self, limit: Option<RateLimit>) {
        self.limiter = RateLimiter::new(limit);
    }

    /// Only these channels exist.
    pub fn allow_channels(&mut self, channels: impl IntoIterator<Item = String>) {
        self.channels = Some(channels.into_iter().collect());
    }

    /// Only these bot tokens are valid.
    pub fn allow_tokens(&mut self, tokens: impl IntoIterator<Item = String>) {
        self.tokens = Some(tokens.into_iter().collect());
    }

    pub fn close_edit_window_after(&mut self, window: Option<Duration>) {
        self.edit_window = window;
    }

    fn has_channel(&self, channel: &str) -> bool {
        self.channels
            .as_ref()
            .is_none_or(|channels| channels.contains(channel))
    }

    fn webhook(&mut self, request: &HttpRequest, at: Timestamp) -> Decision {
        let refuse = |status, text: &str| Decision::refused(Answer::text(status, text), text);
        let parts: Vec<&str> = request.path[WEBHOOK_PREFIX.len()..].split('/').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) {
            return refuse(404, "no_service");
        }
        let Some(body) = request.json().filter(Value::is_object) else {
            return refuse(400, "invalid_payload");
        };
        if let Err(wrong) = message_of(&body) {
            return refuse(400, wrong);
        }
        let channel = body["channel"].as_str().unwrap_or("").to_owned();
        if !channel.is_empty() && !self.has_channel(&channel) {
            return refuse(404, "channel_not_found");
        }
        if !self.limiter.admits(request.path.clone(), at) {
            return Decision::rate_limited(self.rate_limited(request, Some(1)));
        }
        let (_, happened) = self.post(channel, body, at);
        Decision::accepted(Answer::text(200, "ok"), vec![happened])
    }

    fn web_api(&mut self, request: &HttpRequest, at: Timestamp) -> Decision {
        if let Err(error) = self.check_token(request) {
            return not_ok(error);
        }
        let json = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        if !json {
            return not_ok("invalid_form_data");
        }
        let Some(body) = request.json().filter(Value::is_object) else {
            return not_ok("invalid_json");
        };
        let channel = body["channel"].as_str().unwrap_or("").to_owned();
        if channel.is_empty() {
            return not_ok("channel_not_found");
        }
        if let Err(wrong) = message_of(&body) {
            return not_ok(wrong);
        }
        if !self.limiter.admits(channel.clone(), at) {
            return Decision::rate_limited(self.rate_limited(request, Some(1)));
        }
        let told = if request.path == UPDATE_PATH {
            self.update(&channel, body, at)
        } else if self.has_channel(&channel) {
            Ok(self.post(channel.clone(), body, at))
        } else {
            Err("channel_not_found")
        };
        match told {
            Ok((ts, happened)) => {
                let answer = json!({"ok": true, "channel": channel_id(&channel), "ts": ts});
                Decision::accepted(Answer::json(200, &answer), vec![happened])
            }
            Err(error) => not_ok(error),
        }
    }

    fn check_token(&self, request: &HttpRequest) -> Result<(), &'static str> {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or("not_authed")?;
        let valid = match &self.tokens {
            Some(tokens) => tokens.contains(token),
            None => token.starts_with("xoxb-"),
        };
        if valid { Ok(()) } else { Err("invalid_auth") }
    }

    fn post(&mut self, channel: String, body: Value, at: Timestamp) -> (String, Happened) {
        let ts = format!(
            "{}.{:06}",
            at.as_millis().div_euclid(1000),
            self.messages.len() + 1
        );
        let message = SlackMessage {
            channel,
            ts: ts.clone(),
            posted_at: at,
            updates: 0,
            body,
        };
        let posted = Happened::SlackPosted {
            channel: message.channel.clone(),
            title: message.title().to_owned(),
            color: message.color().to_owned(),
        };
        self.messages.push(message);
        (ts, posted)
    }

    fn update(
        &mut self,
        channel: &str,
        body: Value,
        at: Timestamp,
    ) -> Result<(String, Happened), &'static str> {
        let ts = body["ts"].as_str().unwrap_or("").to_owned();
        let message = self
            .messages
            .iter_mut()
            .find(|message| message.ts == ts && channel_id(&message.channel) == channel_id(channel))
            .ok_or("message_not_found")?;
        let closed = self
            .edit_window
            .is_some_and(|window| at.saturating_since(message.posted_at) > window);
        if closed {
            return Err("edit_window_closed");
        }
        message.body = body;
        message.updates += 1;
        let updated = Happened::SlackUpdated {
            channel: message.channel.clone(),
            title: message.title().to_owned(),
            color: message.color().to_owned(),
        };
        Ok((ts, updated))
    }
}

impl Vendor for SlackWorkspace {
    const NAME: &'static str = "Slack";

    fn owns(path: &str) -> bool {
        path.starts_with(WEBHOOK_PREFIX) || path == POST_PATH || path == UPDATE_PATH
    }

    fn answer(&mut self, request: &HttpRequest, at: Timestamp) -> Decision {
        if request.method != "POST" {
            return Decision::refused(Answer::text(405, ""), "only POST");
        }
        if request.path.starts_with(WEBHOOK_PREFIX) {
            self.webhook(request, at)
        } else {
            self.web_api(request, at)
        }
    }

    fn rate_limited(&self, request: &HttpRequest, retry_after: Option<u64>) -> Answer {
        let answer = if request.path.starts_with(WEBHOOK_PREFIX) {
            Answer::text(429, "rate_limited")
        } else {
            Answer::json(429, &json!({"ok": false, "error": "ratelimited"}))
        };
        match retry_after {
            Some(seconds) => answer.with_header("retry-after", seconds),
            None => answer,
        }
    }
}

fn not_ok(error: &str) -> Decision {
    let answer = Answer::json(200, &json!({"ok": false, "error": error}));
    Decision::refused(answer, error)
}

/// The Web API names channels by ids; a `#name` gets one that never changes.
fn channel_id(channel: &str) -> String {
    match channel.strip_prefix('#') {
        Some(name) => format!("C{}", name.to_ascii_uppercase().replace('-', "")),
        None => channel.to_owned(),
    }
}

/// Whether a body can be shown at all.
fn message_of(body: &Value) -> Result<(), &'static str> {
    let text = match &body["text"] {
        Value::Null => "",
        Value::String(text) => text,
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err("invalid_payload");
        }
    };
    let none = Vec::new();
    let attachments = match &body["attachments"] {
        Value::Null => &none,
        Value::Array(attachments) => attachments,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::String(_) => {
            return Err("invalid_attachments");
        }
    };
    if attachments.len() > ATTACHMENTS_MAX {
        return Err("too_many_attachments");
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err("msg_too_long");
    }
    let shows = |attachment: &Value| {
        [
            "title",
            "pretext",
            "text",
            "fallback",
            "fields",
            "image_url",
        ]
        .iter()
        .any(|member| match &attachment[member] {
            Value::String(text) => !text.is_empty(),
            Value::Array(fields) => !fields.is_empty(),
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_) => false,
        })
    };
    if text.is_empty() && !attachments.iter().any(shows) {
        return Err("no_text");
    }
    Ok(())
}

impl Fake<SlackWorkspace> {
    /// An incoming webhook of this workspace.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("{}{WEBHOOK_PREFIX}T000/B000/XXXX", self.base_url())
    }

    #[must_use]
    pub fn post_message_url(&self) -> String {
        format!("{}{POST_PATH}", self.base_url())
    }

    #[must_use]
    pub fn messages(&self) -> Vec<SlackMessage> {
        self.look(|workspace| workspace.messages.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;
    use serde_json::{Value, json};

    use super::SlackWorkspace;
    use crate::fake::Vendor;
    use crate::http::HttpRequest;

    fn send(
        workspace: &mut SlackWorkspace,
        path: &str,
        token: Option<&str>,
        body: &str,
        second: i64,
    ) -> (u16, String) {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if let Some(token) = token {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let request = HttpRequest {
            method: "POST".into(),
            path: path.into(),
            query: String::new(),
            headers,
            body: body.as_bytes().to_vec(),
        };
        let answer = workspace
            .answer(&request, Timestamp::from_secs(second))
            .answer;
        (answer.status, answer.body)
    }

    #[test]
    fn a_webhook_answers_in_plain_text() {
        let mut workspace = SlackWorkspace::default();
        workspace.allow_channels(["#c".to_owned()]);
        for (path, body, status, said) in [
            (
                "/services/T/B/X",
                r##"{"channel":"#c","text":"t"}"##,
                200,
                "ok",
            ),
            (
                "/services/T/B/X",
                r#"{"attachments":[{"title":"t"}]}"#,
                200,
                "ok",
            ),
            ("/services/T/B/X", "{", 400, "invalid_payload"),
            (
                "/services/T/B/X",
                r#"{"attachments":[{"text":""}]}"#,
                400,
                "no_text",
            ),
            (
                "/services/T/B/X",
                r##"{"channel":"#x","text":"t"}"##,
                404,
                "channel_not_found",
            ),
            ("/services/T/B", r#"{"text":"t"}"#, 404, "no_service"),
        ] {
            let answer = send(&mut workspace, path, None, body, 0);
            assert_eq!(answer, (status, said.to_owned()), "{path} {body}");
        }
    }

    #[test]
    fn the_web_api_always_says_200() {
        let mut workspace = SlackWorkspace::default();
        let post = "/api/chat.postMessage";
        let fine = r##"{"channel":"#c","text":"t"}"##;
        for (token, body, error) in [
            (None, fine, "not_authed"),
            (Some("xoxp-1"), fine, "invalid_auth"),
            (Some("xoxb-1"), "[", "invalid_json"),
            (Some("xoxb-1"), r#"{"text":"t"}"#, "channel_not_found"),
            (Some("xoxb-1"), r##"{"channel":"#c"}"##, "no_text"),
        ] {
            let (status, said) = send(&mut workspace, post, token, body, 0);
            let said: Value = serde_json::from_str(&said).unwrap();
            assert_eq!((status, said), (200, json!({"ok": false, "error": error})));
        }
        let (_, said) = send(&mut workspace, post, Some("xoxb-1"), fine, 7);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said, json!({"ok": true, "channel": "CC", "ts": "7.000001"}));
    }

    #[test]
    fn a_message_can_be_changed_while_the_window_is_open() {
        let mut workspace = SlackWorkspace::default();
        workspace.close_edit_window_after(Some(Duration::from_secs(60)));
        let fine = r##"{"channel":"#c","text":"t"}"##;
        send(
            &mut workspace,
            "/api/chat.postMessage",
            Some("xoxb-1"),
            fine,
            0,
        );
        let change = r#"{"channel":"CC","ts":"0.000001","text":"changed"}"#;
        let unknown = r#"{"channel":"CC","ts":"0.000009","text":"changed"}"#;
        for (body, second, word) in [
            (change, 60, r#""ok":true"#),
            (change, 61, "edit_window_closed"),
            (unknown, 1, "message_not_found"),
        ] {
            let (_, said) = send(
                &mut workspace,
                "/api/chat.update",
                Some("xoxb-1"),
                body,
                second,
            );
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(workspace.messages[0].title(), "changed");
    }
}
