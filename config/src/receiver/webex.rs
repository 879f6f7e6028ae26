//! `webex_configs`.
use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::{HttpAuthorization, HttpConfig};
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct WebexSettings {
    /// Its own, with `authorization`.
    pub http: HttpConfig,
    pub api_url: HttpUrl,
    pub message: TemplateText,
    pub room_id: TemplateText,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<WebexSettings> {
    let room_id = fields.template("room_id");
    if room_id.is_empty() {
        fields.problem("room_id", "missing room_id on webex_config");
    }
    let has_own = fields.has("http_config");
    let http = fallbacks.http(fields);
    let authorized = matches!(http.authorization, Some(HttpAuthorization::Scheme { .. }));
    if !has_own || !authorized {
        fields.problem(
            "http_config",
            "missing webex_configs.http_config.authorization",
        );
    }
    let api_url = fields.http_url("api_url");
    Some(WebexSettings {
        http,
        api_url: api_url.unwrap_or_else(|| fallbacks.global.webex_api_url.clone()),
        message: fields.template_or("message", defaults::WEBEX_MESSAGE),
        room_id,
    })
}

pub(super) fn template_texts(settings: &WebexSettings) -> Vec<TemplateField> {
    TemplateField::texts([
        ("message", &settings.message),
        ("room_id", &settings.room_id),
    ])
}

pub(super) fn dump(settings: &WebexSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.url("api_url", Some(&settings.api_url));
    entries.defaulted(&[
        ("message", &settings.message),
        ("room_id", &settings.room_id),
    ]);
}
