//! `opsgenie_configs`.
use std::collections::BTreeMap;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct OpsGenieSettings {
    pub http: HttpConfig,
    /// A template.
    pub api_key: SecretSource,
    /// Ends with a slash.
    pub api_url: HttpUrl,
    pub message: TemplateText,
    pub description: TemplateText,
    pub source: TemplateText,
    pub details: BTreeMap<String, TemplateText>,
    pub entity: TemplateText,
    pub responders: Vec<OpsGenieResponder>,
    /// Expands to a list, comma separated.
    pub actions: TemplateText,
    /// Expands to a list, comma separated.
    pub tags: TemplateText,
    pub note: TemplateText,
    pub priority: TemplateText,
    /// Whether message and description of an open alert follow the group.
    pub update_alerts: bool,
}

/// At least one of `id`, `name` and `username` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpsGenieResponder {
    pub id: TemplateText,
    pub name: TemplateText,
    pub username: TemplateText,
    pub kind: TemplateText,
}

/// What `type` of a responder may say, where it is no template; in any case.
const RESPONDER_KINDS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<OpsGenieSettings> {
    let global = fallbacks.global;
    let api_key = fields.secret_or_file("api_key", "api_key_file");
    let api_key = api_key.or_else(|| global.opsgenie_api_key.clone());
    if api_key.is_none() {
        fields.file_problem(
            "",
            "no global OpsGenie API Key set either inline or in a file",
        );
    }
    let api_url = fields.http_url("api_url");
    let responders = fields.list("responders");
    let settings = OpsGenieSettings {
        http: fallbacks.http(fields),
        api_url: api_url
            .unwrap_or_else(|| global.opsgenie_api_url.clone())
            .as_folder(),
        message: fields.template_or("message", defaults::OPSGENIE_MESSAGE),
        description: fields.template_or("description", defaults::OPSGENIE_DESCRIPTION),
        source: fields.template_or("source", defaults::OPSGENIE_SOURCE),
        details: fields.templates_by_name("details"),
        entity: fields.template("entity"),
        responders: responders.iter().map(read_responder).collect(),
        actions: fields.template("actions"),
        tags: fields.template("tags"),
        note: fields.template("note"),
        priority: fields.template("priority"),
        update_alerts: fields.boolean_or("update_alerts", false),
        api_key: api_key?,
    };
    Some(settings)
}

fn read_responder(cursor: &Cursor<'_>) -> OpsGenieResponder {
    let mut fields = cursor.fields("config.plain");
    let responder = OpsGenieResponder {
        id: fields.template("id"),
        name: fields.template("name"),
        username: fields.template("username"),
        kind: fields.template("type"),
    };
    let named = [&responder.id, &responder.name, &responder.username];
    let kind = responder.kind.as_str().to_lowercase();
    let shown = |kind: &str| {
        let [id, name, username] = named.map(TemplateText::as_str);
        format!("opsGenieConfig responder {{{id} {name} {username} {kind}}}")
    };
    if named.iter().all(|text| text.is_empty()) {
        fields.problem(
            "",
            format!(
                "{} has to have at least one of id, username or name specified",
                shown(responder.kind.as_str())
            ),
        );
    } else if !kind.contains("{{") && !RESPONDER_KINDS.contains(&kind.as_str()) {
        fields.problem(
            "type",
            format!(
                "{} type does not match valid options ^({})$",
                shown(&kind),
                RESPONDER_KINDS.join("|")
            ),
        );
    }
    fields.finish();
    responder
}

pub(super) fn template_texts(settings: &OpsGenieSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("message", &settings.message),
        ("description", &settings.description),
        ("source", &settings.source),
        ("entity", &settings.entity),
        ("actions", &settings.actions),
        ("tags", &settings.tags),
        ("note", &settings.note),
        ("priority", &settings.priority),
    ]);
    if let SecretSource::Inline(key) = &settings.api_key {
        let key = TemplateText::new(key.reveal());
        fields.extend(TemplateField::texts([("api_key", &key)]));
    }
    let details = settings.details.iter();
    fields.extend(TemplateField::texts(
        details.map(|(name, text)| (format!("details.{name}"), text)),
    ));
    for (index, responder) in settings.responders.iter().enumerate() {
        fields.extend(TemplateField::texts(
            responder
                .texts()
                .map(|(key, text)| (format!("responders[{index}].{key}"), text)),
        ));
    }
    fields
}

impl OpsGenieResponder {
    fn texts(&self) -> [(&'static str, &TemplateText); 4] {
        [
            ("id", &self.id),
            ("name", &self.name),
            ("username", &self.username),
            ("type", &self.kind),
        ]
    }
}

pub(super) fn dump(settings: &OpsGenieSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source("api_key", "api_key_file", Some(&settings.api_key));
    entries.url("api_url", Some(&settings.api_url));
    entries.defaulted(&[
        ("message", &settings.message),
        ("description", &settings.description),
        ("source", &settings.source),
    ]);
    let details = settings.details.iter();
    entries.texts_by_name("details", details.map(|(name, text)| (name, text.as_str())));
    entries.template("entity", &settings.entity);
    let responders = settings.responders.iter().map(dump_responder);
    entries.list("responders", responders.collect());
    entries.templates(&[
        ("actions", &settings.actions),
        ("tags", &settings.tags),
        ("note", &settings.note),
        ("priority", &settings.priority),
    ]);
    entries.flag("update_alerts", settings.update_alerts);
}

fn dump_responder(responder: &OpsGenieResponder) -> Yaml {
    let mut entries = Entries::default();
    entries.templates(&responder.texts());
    entries.into_yaml()
}
