//! `rocketchat_configs`.
use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct RocketChatSettings {
    pub http: HttpConfig,
    pub api_url: HttpUrl,
    /// The user that the token is of.
    pub token_id: SecretSource,
    pub token: SecretSource,
    pub channel: TemplateText,
    pub color: TemplateText,
    pub title: TemplateText,
    pub title_link: TemplateText,
    pub text: TemplateText,
    pub fields: Vec<RocketChatField>,
    pub short_fields: bool,
    pub emoji: TemplateText,
    pub icon_url: TemplateText,
    pub image_url: TemplateText,
    pub thumb_url: TemplateText,
    pub link_names: bool,
    pub actions: Vec<RocketChatAction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocketChatField {
    /// `short_fields` where it is not written.
    pub short: Option<bool>,
    pub title: TemplateText,
    pub value: TemplateText,
}

/// Of these the text, the address and the message are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocketChatAction {
    pub kind: TemplateText,
    pub text: TemplateText,
    pub url: TemplateText,
    pub image_url: String,
    pub is_webview: bool,
    pub webview_height_ratio: String,
    pub msg: TemplateText,
    pub msg_in_chat_window: bool,
    pub msg_processing_type: String,
}

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<RocketChatSettings> {
    let global = fallbacks.global;
    let token = fields.secret_or_file("token", "token_file");
    let token = token.or_else(|| global.rocketchat_token.clone());
    let token_id = fields.secret_or_file("token_id", "token_id_file");
    let token_id = token_id.or_else(|| global.rocketchat_token_id.clone());
    if token_id.is_none() {
        fields.file_problem(
            "",
            "no global Rocketchat TokenID set either inline or in a file",
        );
    }
    if token.is_none() {
        fields.file_problem(
            "",
            "no global Rocketchat Token set either inline or in a file",
        );
    }
    let api_url = fields.http_url("api_url");
    let settings = RocketChatSettings {
        http: fallbacks.http(fields),
        api_url: api_url.unwrap_or_else(|| global.rocketchat_api_url.clone()),
        channel: fields.template("channel"),
        color: fields.template_or("color", defaults::ROCKETCHAT_COLOR),
        title: fields.template_or("title", defaults::ROCKETCHAT_TITLE),
        title_link: fields.template_or("title_link", defaults::ROCKETCHAT_TITLE_LINK),
        text: fields.template_or("text", defaults::ROCKETCHAT_TEXT),
        fields: fields.list("fields").iter().map(read_field).collect(),
        short_fields: fields.boolean_or("short_fields", false),
        emoji: fields.template_or("emoji", defaults::ROCKETCHAT_EMOJI),
        icon_url: fields.template_or("icon_url", defaults::ROCKETCHAT_ICON_URL),
        image_url: fields.template("image_url"),
        thumb_url: fields.template("thumb_url"),
        link_names: fields.boolean_or("link_names", false),
        actions: fields.list("actions").iter().map(read_action).collect(),
        token_id: token_id?,
        token: token?,
    };
    Some(settings)
}

fn read_field(cursor: &Cursor<'_>) -> RocketChatField {
    let mut fields = cursor.fields("config.RocketchatAttachmentField");
    let field = RocketChatField {
        short: fields.get("short").and_then(|cursor| cursor.boolean()),
        title: fields.template("title"),
        value: fields.template("value"),
    };
    fields.finish();
    field
}

/// Upstream gives these keys no names of their own: they are Go's, in small letters.
fn read_action(cursor: &Cursor<'_>) -> RocketChatAction {
    let mut fields = cursor.fields("config.RocketchatAttachmentAction");
    let action = RocketChatAction {
        kind: fields.template("type"),
        text: fields.template("text"),
        url: fields.template("url"),
        image_url: fields.text("imageurl"),
        is_webview: fields.boolean_or("iswebview", false),
        webview_height_ratio: fields.text("webviewheightratio"),
        msg: fields.template("msg"),
        msg_in_chat_window: fields.boolean_or("msginchatwindow", false),
        msg_processing_type: fields.text("msgprocessingtype"),
    };
    fields.finish();
    action
}

pub(super) fn template_texts(settings: &RocketChatSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("channel", &settings.channel),
        ("color", &settings.color),
        ("title", &settings.title),
        ("title_link", &settings.title_link),
        ("text", &settings.text),
        ("emoji", &settings.emoji),
        ("icon_url", &settings.icon_url),
        ("image_url", &settings.image_url),
        ("thumb_url", &settings.thumb_url),
    ]);
    for (index, field) in settings.fields.iter().enumerate() {
        fields.extend(TemplateField::texts(
            [("title", &field.title), ("value", &field.value)]
                .map(|(key, text)| (format!("fields[{index}].{key}"), text)),
        ));
    }
    for (index, action) in settings.actions.iter().enumerate() {
        fields.extend(TemplateField::texts(
            [
                ("type", &action.kind),
                ("text", &action.text),
                ("url", &action.url),
                ("msg", &action.msg),
            ]
            .map(|(key, text)| (format!("actions[{index}].{key}"), text)),
        ));
    }
    fields
}

pub(super) fn dump(settings: &RocketChatSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.url("api_url", Some(&settings.api_url));
    entries.source("token_id", "token_id_file", Some(&settings.token_id));
    entries.source("token", "token_file", Some(&settings.token));
    entries.template("channel", &settings.channel);
    entries.defaulted(&[
        ("color", &settings.color),
        ("title", &settings.title),
        ("title_link", &settings.title_link),
        ("text", &settings.text),
    ]);
    entries.list("fields", settings.fields.iter().map(dump_field).collect());
    entries.plain("short_fields", settings.short_fields);
    entries.defaulted(&[("emoji", &settings.emoji), ("icon_url", &settings.icon_url)]);
    entries.template("image_url", &settings.image_url);
    entries.template("thumb_url", &settings.thumb_url);
    entries.plain("link_names", settings.link_names);
    entries.list(
        "actions",
        settings.actions.iter().map(dump_action).collect(),
    );
}

/// Upstream leaves nothing out here.
fn dump_field(field: &RocketChatField) -> Yaml {
    let mut entries = Entries::default();
    match field.short {
        Some(short) => entries.plain("short", short),
        None => entries.plain("short", "null"),
    }
    entries.defaulted(&[("title", &field.title), ("value", &field.value)]);
    entries.into_yaml()
}

fn dump_action(action: &RocketChatAction) -> Yaml {
    let mut entries = Entries::default();
    entries.defaulted(&[
        ("type", &action.kind),
        ("text", &action.text),
        ("url", &action.url),
    ]);
    entries.even_empty("imageurl", &action.image_url);
    entries.plain("iswebview", action.is_webview);
    entries.even_empty("webviewheightratio", &action.webview_height_ratio);
    entries.defaulted(&[("msg", &action.msg)]);
    entries.plain("msginchatwindow", action.msg_in_chat_window);
    entries.even_empty("msgprocessingtype", &action.msg_processing_type);
    entries.into_yaml()
}
