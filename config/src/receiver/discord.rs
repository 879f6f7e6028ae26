//! `discord_configs`.
use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField, read_webhook_url};
use crate::value::{SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct DiscordSettings {
    pub http: HttpConfig,
    pub webhook_url: SecretSource,
    /// The message's own text, outside the embed; empty: none.
    pub content: TemplateText,
    pub title: TemplateText,
    pub message: TemplateText,
    pub username: String,
    pub avatar_url: String,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<DiscordSettings> {
    let webhook_url = read_webhook_url(fields);
    let settings = DiscordSettings {
        http: fallbacks.http(fields),
        content: fields.template("content"),
        title: fields.template_or("title", defaults::DISCORD_TITLE),
        message: fields.template_or("message", defaults::DISCORD_MESSAGE),
        username: fields.text("username"),
        avatar_url: fields.text("avatar_url"),
        webhook_url: webhook_url?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &DiscordSettings) -> Vec<TemplateField> {
    TemplateField::texts([
        ("content", &settings.content),
        ("title", &settings.title),
        ("message", &settings.message),
    ])
}

pub(super) fn dump(settings: &DiscordSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source(
        "webhook_url",
        "webhook_url_file",
        Some(&settings.webhook_url),
    );
    entries.template("content", &settings.content);
    entries.defaulted(&[("title", &settings.title), ("message", &settings.message)]);
    entries.text("username", &settings.username);
    entries.text("avatar_url", &settings.avatar_url);
}
