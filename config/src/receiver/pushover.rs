//! `pushover_configs`.
use std::time::Duration;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct PushoverSettings {
    pub http: HttpConfig,
    /// A template.
    pub user_key: SecretSource,
    /// A template.
    pub token: SecretSource,
    pub title: TemplateText,
    pub message: TemplateText,
    pub url: TemplateText,
    pub url_title: TemplateText,
    pub device: TemplateText,
    pub sound: TemplateText,
    pub priority: TemplateText,
    /// How often an emergency is repeated until somebody acknowledges it.
    pub retry: Duration,
    /// For how long it is.
    pub expire: Duration,
    /// After which the message is deleted.
    pub ttl: Option<Duration>,
    pub format: PushoverFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushoverFormat {
    Html,
    Monospace,
    Plain,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<PushoverSettings> {
    let user_key = fields.secret_or_file("user_key", "user_key_file");
    if user_key.is_none() {
        fields.problem("", "one of user_key or user_key_file must be configured");
    }
    let token = fields.secret_or_file("token", "token_file");
    if token.is_none() {
        fields.problem("", "one of token or token_file must be configured");
    }
    let html = fields.boolean_or("html", false);
    let monospace = fields.boolean_or("monospace", false);
    if html && monospace {
        fields.problem(
            "monospace",
            "at most one of monospace & html must be configured",
        );
    }
    let duration = |fields: &mut Fields<'_>, key, default| {
        let written = fields.get(key).and_then(|cursor| cursor.go_duration());
        written.unwrap_or(default)
    };
    let settings = PushoverSettings {
        http: fallbacks.http(fields),
        title: fields.template_or("title", defaults::PUSHOVER_TITLE),
        message: fields.template_or("message", defaults::PUSHOVER_MESSAGE),
        url: fields.template_or("url", defaults::PUSHOVER_URL),
        url_title: fields.template("url_title"),
        device: fields.template("device"),
        sound: fields.template("sound"),
        priority: fields.template_or("priority", defaults::PUSHOVER_PRIORITY),
        retry: duration(fields, "retry", defaults::PUSHOVER_RETRY),
        expire: duration(fields, "expire", defaults::PUSHOVER_EXPIRE),
        ttl: fields.go_timeout("ttl"),
        format: match (html, monospace) {
            (true, _) => PushoverFormat::Html,
            (false, true) => PushoverFormat::Monospace,
            (false, false) => PushoverFormat::Plain,
        },
        user_key: user_key?,
        token: token?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &PushoverSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("title", &settings.title),
        ("message", &settings.message),
        ("url", &settings.url),
        ("url_title", &settings.url_title),
        ("device", &settings.device),
        ("sound", &settings.sound),
        ("priority", &settings.priority),
    ]);
    for (key, source) in [("user_key", &settings.user_key), ("token", &settings.token)] {
        if let SecretSource::Inline(secret) = source {
            let secret = TemplateText::new(secret.reveal());
            fields.extend(TemplateField::texts([(key, &secret)]));
        }
    }
    fields
}

pub(super) fn dump(settings: &PushoverSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source("user_key", "user_key_file", Some(&settings.user_key));
    entries.source("token", "token_file", Some(&settings.token));
    entries.defaulted(&[
        ("title", &settings.title),
        ("message", &settings.message),
        ("url", &settings.url),
    ]);
    entries.templates(&[
        ("url_title", &settings.url_title),
        ("device", &settings.device),
        ("sound", &settings.sound),
    ]);
    entries.defaulted(&[("priority", &settings.priority)]);
    entries.go_duration("retry", Some(settings.retry));
    entries.go_duration("expire", Some(settings.expire));
    if settings.ttl.is_some() {
        entries.go_duration("ttl", settings.ttl);
    }
    entries.flag("html", settings.format == PushoverFormat::Html);
    entries.flag("monospace", settings.format == PushoverFormat::Monospace);
}
