//! What reading each integration needs and gives besides its own settings.
use std::path::Path;

use template::TemplateSet;

use crate::cursor::Fields;
use crate::global::Global;
use crate::http::HttpConfig;
use crate::value::TemplateText;
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
