//! `victorops_configs`.
use std::collections::BTreeMap;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct VictorOpsSettings {
    pub http: HttpConfig,
    pub api_key: SecretSource,
    /// Ends with a slash.
    pub api_url: HttpUrl,
    pub routing_key: TemplateText,
    pub message_type: TemplateText,
    pub state_message: TemplateText,
    pub entity_display_name: TemplateText,
    pub monitoring_tool: TemplateText,
    pub custom_fields: BTreeMap<String, TemplateText>,
}

/// What is always sent, and therefore no name for a custom field.
const FIXED_FIELDS: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<VictorOpsSettings> {
    let global = fallbacks.global;
    let routing_key = fields.template("routing_key");
    if routing_key.is_empty() {
        fields.problem("routing_key", "missing Routing key in VictorOps config");
    }
    let api_key = fields.secret_or_file("api_key", "api_key_file");
    let api_key = api_key.or_else(|| global.victorops_api_key.clone());
    if api_key.is_none() {
        fields.file_problem("", "no global VictorOps API Key set");
    }
    let custom_fields = fields.templates_by_name("custom_fields");
    for name in FIXED_FIELDS {
        if custom_fields.contains_key(name) {
            fields.problem(
                "custom_fields",
                format!(
                    "victorOps config contains custom field {name} which cannot be used as it conflicts with the fixed/static fields"
                ),
            );
        }
    }
    let api_url = fields.http_url("api_url");
    let settings = VictorOpsSettings {
        http: fallbacks.http(fields),
        api_url: api_url
            .unwrap_or_else(|| global.victorops_api_url.clone())
            .as_folder(),
        routing_key,
        message_type: fields.template_or("message_type", defaults::VICTOROPS_MESSAGE_TYPE),
        state_message: fields.template_or("state_message", defaults::VICTOROPS_STATE_MESSAGE),
        entity_display_name: fields.template_or(
            "entity_display_name",
            defaults::VICTOROPS_ENTITY_DISPLAY_NAME,
        ),
        monitoring_tool: fields.template_or("monitoring_tool", defaults::VICTOROPS_MONITORING_TOOL),
        custom_fields,
        api_key: api_key?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &VictorOpsSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("routing_key", &settings.routing_key),
        ("message_type", &settings.message_type),
        ("state_message", &settings.state_message),
        ("entity_display_name", &settings.entity_display_name),
        ("monitoring_tool", &settings.monitoring_tool),
    ]);
    let custom = settings.custom_fields.iter();
    fields.extend(TemplateField::texts(
        custom.map(|(name, text)| (format!("custom_fields.{name}"), text)),
    ));
    fields
}

pub(super) fn dump(settings: &VictorOpsSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source("api_key", "api_key_file", Some(&settings.api_key));
    entries.url("api_url", Some(&settings.api_url));
    entries.defaulted(&[
        ("routing_key", &settings.routing_key),
        ("message_type", &settings.message_type),
        ("state_message", &settings.state_message),
        ("entity_display_name", &settings.entity_display_name),
        ("monitoring_tool", &settings.monitoring_tool),
    ]);
    let custom = settings.custom_fields.iter();
    entries.texts_by_name(
        "custom_fields",
        custom.map(|(name, text)| (name, text.as_str())),
    );
}
