//! `msteamsv2_configs`: Microsoft Teams by a workflow of Power Automate.
use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField, read_webhook_url};
use crate::value::{SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct MsTeamsV2Settings {
    /// With the global proxy, where its own block names none.
    pub http: HttpConfig,
    pub webhook_url: SecretSource,
    pub title: TemplateText,
    pub text: TemplateText,
}

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<MsTeamsV2Settings> {
    let webhook_url = read_webhook_url(fields);
    let mut http = fallbacks.http(fields);
    if http.proxy.url.is_none() && !http.proxy.from_environment {
        http.proxy.url = fallbacks.global.http.proxy.url.clone();
    }
    let settings = MsTeamsV2Settings {
        http,
        title: fields.template_or("title", defaults::MSTEAMSV2_TITLE),
        text: fields.template_or("text", defaults::MSTEAMSV2_TEXT),
        webhook_url: webhook_url?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &MsTeamsV2Settings) -> Vec<TemplateField> {
    TemplateField::texts([("title", &settings.title), ("text", &settings.text)])
}

pub(super) fn dump(settings: &MsTeamsV2Settings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source(
        "webhook_url",
        "webhook_url_file",
        Some(&settings.webhook_url),
    );
    entries.defaulted(&[("title", &settings.title), ("text", &settings.text)]);
}
