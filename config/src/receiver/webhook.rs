//! `webhook_configs`.
use std::time::Duration;

use crate::cursor::{Cursor, Fields};
use crate::dump::entries::{Entries, template_value};
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, HttpUrlError, Secret, SecretSource, TemplateText, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    pub http: HttpConfig,
    /// The address is a template; a file's content is one too.
    pub url: SecretSource,
    /// 0 means all.
    pub max_alerts: u64,
    pub timeout: Option<Duration>,
    /// What is sent instead of the version 4 body.
    pub payload: Option<TemplateValue>,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<WebhookSettings> {
    let url = fields
        .get("url")
        .filter(|cursor| cursor.text() != Some(String::new()))
        .map(|cursor| (template_url(&cursor), cursor));
    let file = fields.path("url_file", None);
    let settings = WebhookSettings {
        http: fallbacks.http(fields),
        max_alerts: fields
            .get("max_alerts")
            .and_then(|cursor| cursor.unsigned())
            .unwrap_or(0),
        timeout: fields.go_timeout("timeout"),
        payload: fields.get("payload").map(|cursor| cursor.template_value()),
        url: match (url, file) {
            (Some((_, cursor)), Some(_)) => {
                cursor.problem("at most one of url & url_file must be configured");
                return None;
            }
            (None, None) => {
                fields.problem("url", "one of url or url_file must be configured");
                return None;
            }
            (Some((url, _)), None) => SecretSource::Inline(url?),
            (None, Some(file)) => SecretSource::File(file),
        },
    };
    Some(settings)
}

/// A template is checked with the other templates, an address at once.
fn template_url(cursor: &Cursor<'_>) -> Option<Secret> {
    cursor.parsed(|text| {
        if text != "<secret>" && !text.contains("{{") {
            HttpUrl::parse(text).map_err(|error| match error {
                // The long form quotes the address, which is the secret.
                HttpUrlError::Malformed(_) => "invalid URL".to_owned(),
                HttpUrlError::MissingHost | HttpUrlError::UnsupportedScheme(_) => {
                    format!("invalid URL: {error}")
                }
            })?;
        }
        Ok::<_, String>(Secret::new(text))
    })
}

pub(super) fn template_texts(settings: &WebhookSettings) -> Vec<TemplateField> {
    let mut texts = Vec::new();
    if let SecretSource::Inline(url) = &settings.url {
        texts.push(("url".to_owned(), TemplateText::new(url.reveal())));
    }
    if let Some(payload) = &settings.payload {
        payload.collect_texts("payload", &mut texts);
    }
    let fields = texts.into_iter();
    fields
        .map(|(path, text)| TemplateField {
            path,
            text,
            html: false,
        })
        .collect()
}

pub(super) fn dump(settings: &WebhookSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    match &settings.url {
        SecretSource::Inline(url) => {
            entries.secret("url", Some(url));
            entries.even_empty("url_file", "");
        }
        SecretSource::File(path) => entries.text("url_file", &path.display().to_string()),
    }
    entries.plain("max_alerts", settings.max_alerts);
    entries.go_duration("timeout", settings.timeout);
    if let Some(payload) = &settings.payload {
        entries.put("payload", template_value(payload));
    }
}
