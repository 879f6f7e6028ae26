//! `wechat_configs`.
use model::go_quote::quote;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct WeChatSettings {
    pub http: HttpConfig,
    /// A template.
    pub api_secret: SecretSource,
    pub corp_id: TemplateText,
    pub message: TemplateText,
    /// Ends with a slash.
    pub api_url: HttpUrl,
    pub to_user: TemplateText,
    pub to_party: TemplateText,
    pub to_tag: TemplateText,
    pub agent_id: TemplateText,
    pub message_type: WeChatMessageType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeChatMessageType {
    Markdown,
    Text,
}

impl WeChatMessageType {
    /// As it is written and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<WeChatSettings> {
    let global = fallbacks.global;
    let message_type = match fields.text("message_type").as_str() {
        "" | "text" => WeChatMessageType::Text,
        "markdown" => WeChatMessageType::Markdown,
        other => {
            fields.problem(
                "message_type",
                format!(
                    "weChat message type {} does not match valid options ^(text|markdown)$",
                    quote(other)
                ),
            );
            WeChatMessageType::Text
        }
    };
    let api_secret = fields.secret_or_file("api_secret", "api_secret_file");
    let api_secret = api_secret.or_else(|| global.wechat_api_secret.clone());
    if api_secret.is_none() {
        fields.file_problem(
            "",
            "no global Wechat Api Secret set either inline or in a file",
        );
    }
    let mut corp_id = fields.template("corp_id");
    if corp_id.is_empty() {
        corp_id = TemplateText::new(global.wechat_api_corp_id.as_str());
    }
    if corp_id.is_empty() {
        fields.file_problem("corp_id", "no global Wechat CorpID set");
    }
    let api_url = fields.http_url("api_url");
    let settings = WeChatSettings {
        http: fallbacks.http(fields),
        corp_id,
        message: fields.template_or("message", defaults::WECHAT_MESSAGE),
        api_url: api_url
            .unwrap_or_else(|| global.wechat_api_url.clone())
            .as_folder(),
        to_user: fields.template_or("to_user", defaults::WECHAT_TO_USER),
        to_party: fields.template_or("to_party", defaults::WECHAT_TO_PARTY),
        to_tag: fields.template_or("to_tag", defaults::WECHAT_TO_TAG),
        agent_id: fields.template_or("agent_id", defaults::WECHAT_AGENT_ID),
        message_type,
        api_secret: api_secret?,
    };
    Some(settings)
}

pub(super) fn template_texts(settings: &WeChatSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("corp_id", &settings.corp_id),
        ("message", &settings.message),
        ("to_user", &settings.to_user),
        ("to_party", &settings.to_party),
        ("to_tag", &settings.to_tag),
        ("agent_id", &settings.agent_id),
    ]);
    if let SecretSource::Inline(secret) = &settings.api_secret {
        let secret = TemplateText::new(secret.reveal());
        fields.extend(TemplateField::texts([("api_secret", &secret)]));
    }
    fields
}

pub(super) fn dump(settings: &WeChatSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source("api_secret", "api_secret_file", Some(&settings.api_secret));
    entries.template("corp_id", &settings.corp_id);
    entries.defaulted(&[("message", &settings.message)]);
    entries.url("api_url", Some(&settings.api_url));
    entries.defaulted(&[
        ("to_user", &settings.to_user),
        ("to_party", &settings.to_party),
        ("to_tag", &settings.to_tag),
        ("agent_id", &settings.agent_id),
    ]);
    entries.text("message_type", settings.message_type.as_str());
}
