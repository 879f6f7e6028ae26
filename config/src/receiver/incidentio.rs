//! `incidentio_configs`.
use std::path::PathBuf;
use std::time::Duration;

use crate::cursor::Fields;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::{HttpAuthorization, HttpConfig};
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource};

#[derive(Clone, Debug, PartialEq)]
pub struct IncidentIoSettings {
    pub http: HttpConfig,
    pub url: IncidentIoUrl,
    /// Sent as `Authorization: Bearer`.
    pub alert_source_token: Option<SecretSource>,
    /// 0 means all.
    pub max_alerts: u64,
    pub timeout: Option<Duration>,
}

/// The address is no secret: the token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentIoUrl {
    Address(HttpUrl),
    File(PathBuf),
}

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<IncidentIoSettings> {
    let url = read_url(fields);
    let token = fields.secret_or_file("alert_source_token", "alert_source_token_file");
    let has_own = fields.has("http_config");
    let http = fallbacks.http(fields);
    // A global block is not looked at.
    match (has_own, is_authorized(&http), &token) {
        (true, true, Some(_)) => fields.problem(
            "http_config",
            "cannot specify alert_source_token or alert_source_token_file when using http_config.authorization",
        ),
        (true, false, None) => fields.problem(
            "http_config",
            "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured",
        ),
        (true, true, None) | (true, false, Some(_)) | (false, _, _) => {}
    }
    let max_alerts = fields.get("max_alerts");
    let settings = IncidentIoSettings {
        http,
        alert_source_token: token,
        max_alerts: max_alerts.and_then(|cursor| cursor.unsigned()).unwrap_or(0),
        timeout: fields.go_timeout("timeout"),
        url: url?,
    };
    Some(settings)
}

fn read_url(fields: &mut Fields<'_>) -> Option<IncidentIoUrl> {
    let url = fields.get("url");
    let file = fields.path("url_file", None);
    match (url, file) {
        (Some(url), None) => url.http_url().map(IncidentIoUrl::Address),
        (None, Some(file)) => Some(IncidentIoUrl::File(file)),
        (None, None) => {
            fields.problem("url", "one of url or url_file must be configured");
            None
        }
        (Some(url), Some(_)) => {
            url.problem("at most one of url & url_file must be configured");
            None
        }
    }
}

fn is_authorized(http: &HttpConfig) -> bool {
    matches!(http.authorization, Some(HttpAuthorization::Scheme { .. }))
}

/// Nothing here is a template.
pub(super) fn template_texts(_settings: &IncidentIoSettings) -> Vec<TemplateField> {
    Vec::new()
}

/// A block that would be refused as its own is the global one, and is left out.
pub(super) fn dump(settings: &IncidentIoSettings, entries: &mut Entries) {
    if is_authorized(&settings.http) != settings.alert_source_token.is_some() {
        entries.put("http_config", http_config(&settings.http));
    }
    match &settings.url {
        IncidentIoUrl::Address(url) => {
            entries.url("url", Some(url));
            entries.even_empty("url_file", "");
        }
        IncidentIoUrl::File(path) => {
            entries.put("url", Yaml::Plain("null".to_owned()));
            entries.text("url_file", &path.display().to_string());
        }
    }
    entries.source(
        "alert_source_token",
        "alert_source_token_file",
        settings.alert_source_token.as_ref(),
    );
    entries.plain("max_alerts", settings.max_alerts);
    entries.go_duration("timeout", settings.timeout);
}
