//! `jira_configs`.
use std::collections::BTreeMap;
use std::time::Duration;

use model::duration;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, TemplateText, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct JiraSettings {
    pub http: HttpConfig,
    pub api_url: HttpUrl,
    pub api_type: JiraApiType,
    pub project: TemplateText,
    pub summary: JiraText,
    pub description: JiraText,
    pub labels: Vec<TemplateText>,
    pub priority: TemplateText,
    pub issue_type: TemplateText,
    pub reopen_transition: String,
    pub resolve_transition: String,
    pub wont_fix_resolution: String,
    /// Within which a resolved issue is opened again; zero: always.
    pub reopen_duration: Duration,
    /// Further fields of the issue.
    pub fields: BTreeMap<String, TemplateValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JiraApiType {
    /// By the address.
    Auto,
    Cloud,
    Datacenter,
}

impl JiraApiType {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cloud => "cloud",
            Self::Datacenter => "datacenter",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JiraText {
    pub template: TemplateText,
    /// Whether it follows the group on an issue that exists; yes where it is not said.
    pub enable_update: Option<bool>,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<JiraSettings> {
    let project = fields.template("project");
    if project.is_empty() {
        fields.problem("project", "missing project in jira_config");
    }
    let issue_type = fields.template("issue_type");
    if issue_type.is_empty() {
        fields.problem("issue_type", "missing issue_type in jira_config");
    }
    let api_type = match fields.text_or("api_type", defaults::JIRA_API_TYPE).as_str() {
        "auto" => JiraApiType::Auto,
        "cloud" => JiraApiType::Cloud,
        "datacenter" => JiraApiType::Datacenter,
        _ => {
            fields.problem(
                "api_type",
                "unknown api_type on jira_config, must be auto, cloud or datacenter",
            );
            JiraApiType::Auto
        }
    };
    let own = fields.http_url("api_url");
    let api_url = own.or_else(|| fallbacks.global.jira_api_url.clone());
    if api_url.is_none() && !fields.has("api_url") {
        fields.file_problem("", "no global Jira Cloud URL set");
    }
    let values = fields.get("fields").map(|cursor| cursor.entries());
    let settings = JiraSettings {
        http: fallbacks.http(fields),
        api_type,
        project,
        summary: read_text(fields, "summary", defaults::JIRA_SUMMARY),
        description: read_text(fields, "description", defaults::JIRA_DESCRIPTION),
        labels: fields.templates("labels"),
        priority: fields.template_or("priority", defaults::JIRA_PRIORITY),
        issue_type,
        reopen_transition: fields.text("reopen_transition"),
        resolve_transition: fields.text("resolve_transition"),
        wont_fix_resolution: fields.text("wont_fix_resolution"),
        reopen_duration: fields.duration_or("reopen_duration", Duration::ZERO),
        fields: values
            .unwrap_or_default()
            .into_iter()
            .map(|(key, _, value)| (key, value.template_value()))
            .collect(),
        api_url: api_url?,
    };
    Some(settings)
}

/// A text, or a text with more to say about it.
fn read_text(fields: &mut Fields<'_>, key: &'static str, default: &str) -> JiraText {
    let text = |template, enable_update| JiraText {
        template,
        enable_update,
    };
    let Some(cursor) = fields.get(key) else {
        return text(TemplateText::new(default), None);
    };
    if let Some(template) = cursor.scalar_text() {
        return text(TemplateText::new(template), None);
    }
    let mut own = cursor.fields("config.plain");
    let read = text(
        own.template_or("template", default),
        own.get("enable_update").and_then(|cursor| cursor.boolean()),
    );
    own.finish();
    read
}

pub(super) fn template_texts(settings: &JiraSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("project", &settings.project),
        ("summary", &settings.summary.template),
        ("description", &settings.description.template),
        ("priority", &settings.priority),
        ("issue_type", &settings.issue_type),
    ]);
    let labels = settings.labels.iter().enumerate();
    fields.extend(TemplateField::texts(
        labels.map(|(index, label)| (format!("labels[{index}]"), label)),
    ));
    let mut texts = Vec::new();
    for (key, value) in &settings.fields {
        value.collect_texts(&format!("fields.{key}"), &mut texts);
    }
    fields.extend(TemplateField::texts(
        texts.iter().map(|(path, text)| (path.as_str(), text)),
    ));
    fields
}

pub(super) fn dump(settings: &JiraSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.url("api_url", Some(&settings.api_url));
    entries.text("api_type", settings.api_type.as_str());
    entries.template("project", &settings.project);
    entries.put("summary", dump_text(&settings.summary));
    entries.put("description", dump_text(&settings.description));
    entries.texts("labels", settings.labels.iter().map(TemplateText::as_str));
    entries.defaulted(&[("priority", &settings.priority)]);
    entries.template("issue_type", &settings.issue_type);
    entries.text("reopen_transition", &settings.reopen_transition);
    entries.text("resolve_transition", &settings.resolve_transition);
    entries.text("wont_fix_resolution", &settings.wont_fix_resolution);
    if !settings.reopen_duration.is_zero() {
        entries.text(
            "reopen_duration",
            &duration::format(settings.reopen_duration),
        );
    }
    entries.values("fields", &settings.fields);
}

fn dump_text(text: &JiraText) -> Yaml {
    let mut entries = Entries::default();
    entries.defaulted(&[("template", &text.template)]);
    entries.switch("enable_update", text.enable_update);
    entries.into_yaml()
}
