//! What reading each integration needs and gives besides its own settings.
use std::path::Path;

use template::TemplateSet;

use crate::cursor::Fields;
use crate::global::Global;
use crate::http::HttpConfig;
use crate::value::{SecretSource, TemplateText};
use crate::watchbell::Endpoints;

/// What an integration takes where its own block says nothing.
pub(crate) struct Fallbacks<'a> {
    pub(crate) global: &'a Global,
    pub(crate) endpoints: &'a Endpoints,
    /// The configuration file's folder.
    pub(crate) base: &'a Path,
    /// What templates may call, where they are to be checked.
    pub(crate) templates: Option<&'a TemplateSet>,
}

impl Fallbacks<'_> {
    /// Whether the file is to be run with: then its templates are read with it, and what cannot be done yet is refused.
    pub(crate) fn is_to_run(&self) -> bool {
        self.templates.is_some()
    }

    /// An integration's own block replaces the global one as a whole.
    pub(crate) fn http(&self, fields: &mut Fields<'_>) -> HttpConfig {
        fields.get("http_config").map_or_else(
            || self.global.http.clone(),
            |cursor| HttpConfig::read(&cursor, Some(self.base)),
        )
    }
}

/// One field that is a template, for whoever checks or expands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateField {
    /// The key below the integration: `fields[0].title`.
    pub path: String,
    pub text: TemplateText,
    /// Whether it is expanded with the rules of html/template.
    pub html: bool,
}

impl TemplateField {
    /// Fields of the text language, by their paths.
    pub(crate) fn texts<'t, Path: Into<String>>(
        texts: impl IntoIterator<Item = (Path, &'t TemplateText)>,
    ) -> Vec<Self> {
        let texts = texts.into_iter();
        texts
            .map(|(path, text)| Self {
                path: path.into(),
                text: text.clone(),
                html: false,
            })
            .collect()
    }
}

/// The address that Discord and Microsoft Teams are told by.
pub(crate) fn read_webhook_url(fields: &mut Fields<'_>) -> Option<SecretSource> {
    let url = fields.secret_url_or_file("webhook_url", "webhook_url_file");
    if url.is_none() && !fields.has("webhook_url") {
        fields.problem(
            "",
            "one of webhook_url or webhook_url_file must be configured",
        );
    }
    url
}
