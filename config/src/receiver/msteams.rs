//! `msteams_configs`: the old connectors of Microsoft Teams.
use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField, read_webhook_url};
use crate::value::{SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct MsTeamsSettings {
    pub http: HttpConfig,
    pub webhook_url: SecretSource,
    pub title: TemplateText,
    pub summary: TemplateText,
    pub text: TemplateText,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<MsTeamsSettings> {
    let webhook_url = read_webhook_url(fields);
    let settings = MsTeamsSettings {
        http: fallbacks.http(fields),
        title: fields.template_or("title", defaults::MSTEAMS_TITLE),
        summary: fields.template_or("summary", defaults::MSTEAMS_SUMMARY),
        text: fields.template_or("text", defaults::MSTEAMS_TEXT),
        webhook_url: webhook_url?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &MsTeamsSettings) -> Vec<TemplateField> {
    TemplateField::texts(settings.texts())
}

impl MsTeamsSettings {
    fn texts(&self) -> [(&'static str, &TemplateText); 3] {
        [
            ("title", &self.title),
            ("summary", &self.summary),
            ("text", &self.text),
        ]
    }
}

pub(super) fn dump(settings: &MsTeamsSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source(
        "webhook_url",
        "webhook_url_file",
        Some(&settings.webhook_url),
    );
    entries.defaulted(&settings.texts());
}
