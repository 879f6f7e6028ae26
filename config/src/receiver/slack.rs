//! `slack_configs`.
use std::time::Duration;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct SlackSettings {
    pub http: HttpConfig,
    pub target: SlackTarget,
    /// Where a bot token's messages go.
    pub app_url: HttpUrl,
    pub channel: TemplateText,
    pub username: TemplateText,
    pub color: TemplateText,
    pub title: TemplateText,
    pub title_link: TemplateText,
    pub pretext: TemplateText,
    pub text: TemplateText,
    /// The message's own text, outside the attachment; empty: none.
    pub message_text: TemplateText,
    pub fields: Vec<SlackField>,
    pub short_fields: bool,
    pub footer: TemplateText,
    pub fallback: TemplateText,
    pub callback_id: TemplateText,
    pub icon_emoji: TemplateText,
    pub icon_url: TemplateText,
    pub image_url: TemplateText,
    pub thumb_url: TemplateText,
    pub link_names: bool,
    pub mrkdwn_in: Vec<String>,
    pub actions: Vec<SlackAction>,
    pub update_message: bool,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlackTarget {
    /// A bot token: sent as `Authorization: Bearer` to `app_url`.
    App(SecretSource),
    /// An address that is itself the secret.
    Webhook(SecretSource),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackField {
    pub title: TemplateText,
    pub value: TemplateText,
    /// `short_fields` where it is not written.
    pub short: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackAction {
    pub kind: TemplateText,
    pub text: TemplateText,
    pub url: TemplateText,
    pub style: TemplateText,
    pub name: TemplateText,
    pub value: TemplateText,
    pub confirm: Option<SlackConfirmation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackConfirmation {
    pub text: TemplateText,
    pub title: TemplateText,
    pub ok_text: TemplateText,
    pub dismiss_text: TemplateText,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<SlackSettings> {
    let http = fallbacks.http(fields);
    let target = read_target(fields, fallbacks, &http);
    let update_message = fields.boolean_or("update_message", false);
    if update_message
        && let Some(SlackTarget::Webhook(SecretSource::Inline(url))) = &target
        && ![defaults::SLACK_APP_URL, "<secret>"].contains(&url.reveal())
    {
        fields.problem(
            "update_message",
            "update_message can only be used with bot tokens. api_url must be set to https://slack.com/api/chat.postMessage",
        );
    }
    let short_fields = fields.boolean_or("short_fields", false);
    let list = fields.list("fields");
    let settings = SlackSettings {
        fields: list.iter().map(read_field).collect(),
        short_fields,
        channel: fields.template("channel"),
        username: fields.template_or("username", defaults::SLACK_USERNAME),
        color: fields.template_or("color", defaults::SLACK_COLOR),
        title: fields.template_or("title", defaults::SLACK_TITLE),
        title_link: fields.template_or("title_link", defaults::SLACK_TITLE_LINK),
        pretext: fields.template_or("pretext", defaults::SLACK_PRETEXT),
        text: fields.template_or("text", defaults::SLACK_TEXT),
        message_text: fields.template("message_text"),
        footer: fields.template_or("footer", defaults::SLACK_FOOTER),
        fallback: fields.template_or("fallback", defaults::SLACK_FALLBACK),
        callback_id: fields.template_or("callback_id", defaults::SLACK_CALLBACK_ID),
        icon_emoji: fields.template_or("icon_emoji", defaults::SLACK_ICON_EMOJI),
        icon_url: fields.template_or("icon_url", defaults::SLACK_ICON_URL),
        image_url: fields.template("image_url"),
        thumb_url: fields.template("thumb_url"),
        link_names: fields.boolean_or("link_names", false),
        mrkdwn_in: fields.texts("mrkdwn_in"),
        actions: fields.list("actions").iter().map(read_action).collect(),
        update_message,
        timeout: fields.go_timeout("timeout"),
        app_url: fields
            .http_url("app_url")
            .unwrap_or_else(|| fallbacks.global.slack_app_url.clone()),
        http,
        target: target?,
    };
    Some(settings)
}

/// The integration's own token, its own address, the global token (unless the integration authorizes itself in
/// another way), the global address: the first that is given.
fn read_target(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
    http: &HttpConfig,
) -> Option<SlackTarget> {
    let api_url = fields.secret_url_or_file("api_url", "api_url_file");
    let token = fields.secret_or_file("app_token", "app_token_file");
    let global = fallbacks.global;
    if let Some(token) = token {
        if api_url.is_some() {
            fields.problem(
                "",
                "at most one of api_url/api_url_file & app_token/app_token_file must be configured",
            );
        }
        if http.authorization.is_some() {
            fields.file_problem(
                "http_config",
                "http authorization can't be set when using Slack App tokens",
            );
        }
        return Some(SlackTarget::App(token));
    }
    if let Some(api_url) = api_url {
        return Some(SlackTarget::Webhook(api_url));
    }
    match (&global.slack_app_token, &global.slack_api_url) {
        (Some(token), _) if http.authorization.is_none() => Some(SlackTarget::App(token.clone())),
        (_, Some(api_url)) => Some(SlackTarget::Webhook(api_url.clone())),
        (_, None) => {
            fields.file_problem(
                "",
                "no Slack API URL nor App token set either inline or in a file",
            );
            None
        }
    }
}

fn read_field(cursor: &Cursor<'_>) -> SlackField {
    let mut fields = cursor.fields("config.plain");
    let field = SlackField {
        title: required(&mut fields, "title", "field"),
        value: required(&mut fields, "value", "field"),
        short: fields.get("short").and_then(|cursor| cursor.boolean()),
    };
    fields.finish();
    field
}

fn read_action(cursor: &Cursor<'_>) -> SlackAction {
    let mut fields = cursor.fields("config.plain");
    let mut action = SlackAction {
        kind: required(&mut fields, "type", "action"),
        text: required(&mut fields, "text", "action"),
        url: fields.template("url"),
        style: fields.template("style"),
        name: fields.template("name"),
        value: fields.template("value"),
        confirm: fields
            .get("confirm")
            .map(|cursor| read_confirmation(&cursor)),
    };
    if action.name.is_empty() && action.url.is_empty() {
        fields.problem("", "missing name or url in Slack action configuration");
    }
    // A button that opens an address sends no message.
    if !action.url.is_empty() {
        action.name = TemplateText::default();
        action.value = TemplateText::default();
        action.confirm = None;
    }
    fields.finish();
    action
}

fn read_confirmation(cursor: &Cursor<'_>) -> SlackConfirmation {
    let mut fields = cursor.fields("config.plain");
    let confirmation = SlackConfirmation {
        text: required(&mut fields, "text", "confirmation"),
        title: fields.template("title"),
        ok_text: fields.template("ok_text"),
        dismiss_text: fields.template("dismiss_text"),
    };
    fields.finish();
    confirmation
}

fn required(fields: &mut Fields<'_>, key: &'static str, what: &str) -> TemplateText {
    let text = fields.template(key);
    if text.is_empty() {
        fields.problem(key, format!("missing {key} in Slack {what} configuration"));
    }
    text
}

pub(super) fn template_texts(settings: &SlackSettings) -> Vec<TemplateField> {
    let mut texts: Vec<(String, &TemplateText)> = [
        ("channel", &settings.channel),
        ("username", &settings.username),
        ("color", &settings.color),
        ("title", &settings.title),
        ("title_link", &settings.title_link),
        ("pretext", &settings.pretext),
        ("text", &settings.text),
        ("message_text", &settings.message_text),
        ("footer", &settings.footer),
        ("fallback", &settings.fallback),
        ("callback_id", &settings.callback_id),
        ("icon_emoji", &settings.icon_emoji),
        ("icon_url", &settings.icon_url),
        ("image_url", &settings.image_url),
        ("thumb_url", &settings.thumb_url),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text))
    .collect();
    for (index, field) in settings.fields.iter().enumerate() {
        texts.push((format!("fields[{index}].title"), &field.title));
        texts.push((format!("fields[{index}].value"), &field.value));
    }
    for (index, action) in settings.actions.iter().enumerate() {
        for (key, text) in [
            ("type", &action.kind),
            ("text", &action.text),
            ("url", &action.url),
            ("style", &action.style),
            ("name", &action.name),
            ("value", &action.value),
        ] {
            texts.push((format!("actions[{index}].{key}"), text));
        }
        if let Some(confirm) = &action.confirm {
            for (key, text) in [
                ("text", &confirm.text),
                ("title", &confirm.title),
                ("ok_text", &confirm.ok_text),
                ("dismiss_text", &confirm.dismiss_text),
            ] {
                texts.push((format!("actions[{index}].confirm.{key}"), text));
            }
        }
    }
    let fields = texts.into_iter();
    fields
        .map(|(path, text)| TemplateField {
            path,
            text: text.clone(),
            html: false,
        })
        .collect()
}

/// With an app token upstream prints what it derives from it too (`api_url`, `authorization`), and refuses that when it
/// is loaded.
pub(super) fn dump(settings: &SlackSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    match &settings.target {
        SlackTarget::App(token) => entries.source("app_token", "app_token_file", Some(token)),
        SlackTarget::Webhook(url) => entries.source("api_url", "api_url_file", Some(url)),
    }
    entries.url("app_url", Some(&settings.app_url));
    entries.template("channel", &settings.channel);
    entries.defaulted(&[
        ("username", &settings.username),
        ("color", &settings.color),
        ("title", &settings.title),
        ("title_link", &settings.title_link),
        ("pretext", &settings.pretext),
        ("text", &settings.text),
    ]);
    entries.template("message_text", &settings.message_text);
    entries.list("fields", settings.fields.iter().map(dump_field).collect());
    entries.plain("short_fields", settings.short_fields);
    entries.defaulted(&[
        ("footer", &settings.footer),
        ("fallback", &settings.fallback),
        ("callback_id", &settings.callback_id),
        ("icon_emoji", &settings.icon_emoji),
        ("icon_url", &settings.icon_url),
    ]);
    entries.template("image_url", &settings.image_url);
    entries.template("thumb_url", &settings.thumb_url);
    entries.plain("link_names", settings.link_names);
    entries.texts("mrkdwn_in", settings.mrkdwn_in.iter().map(String::as_str));
    entries.list(
        "actions",
        settings.actions.iter().map(dump_action).collect(),
    );
    entries.plain("update_message", settings.update_message);
    entries.go_duration("timeout", settings.timeout);
}

fn dump_field(field: &SlackField) -> Yaml {
    let mut entries = Entries::default();
    entries.templates(&[("title", &field.title), ("value", &field.value)]);
    entries.switch("short", field.short);
    entries.into_yaml()
}

fn dump_action(action: &SlackAction) -> Yaml {
    let mut entries = Entries::default();
    entries.templates(&[
        ("type", &action.kind),
        ("text", &action.text),
        ("url", &action.url),
        ("style", &action.style),
        ("name", &action.name),
        ("value", &action.value),
    ]);
    if let Some(confirm) = &action.confirm {
        let mut own = Entries::default();
        own.templates(&[
            ("text", &confirm.text),
            ("title", &confirm.title),
            ("ok_text", &confirm.ok_text),
            ("dismiss_text", &confirm.dismiss_text),
        ]);
        entries.put("confirm", own.into_yaml());
    }
    entries.into_yaml()
}
