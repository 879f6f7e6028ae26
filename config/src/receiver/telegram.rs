//! `telegram_configs`.
use std::path::PathBuf;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct TelegramSettings {
    pub http: HttpConfig,
    pub api_url: HttpUrl,
    pub bot_token: SecretSource,
    pub chat: TelegramChat,
    /// A topic of the chat.
    pub message_thread_id: Option<i64>,
    pub message: TemplateText,
    pub disable_notifications: bool,
    pub parse_mode: TelegramParseMode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelegramChat {
    /// Holds the number; read anew at each use.
    File(PathBuf),
    Id(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelegramParseMode {
    /// The message is expanded with the rules of html/template.
    Html,
    Markdown,
    MarkdownV2,
    Plain,
}

impl TelegramParseMode {
    /// As it is written and sent; empty for plain text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "HTML",
            Self::Markdown => "Markdown",
            Self::MarkdownV2 => "MarkdownV2",
            Self::Plain => "",
        }
    }
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<TelegramSettings> {
    let global = fallbacks.global;
    let bot_token = fields.secret_or_file("bot_token", "bot_token_file");
    let bot_token = bot_token.or_else(|| global.telegram_bot_token.clone());
    if bot_token.is_none() {
        fields.file_problem("", "missing bot_token or bot_token_file on telegram_config");
    }
    let chat = read_chat(fields);
    let parse_mode = read_parse_mode(fields);
    let api_url = fields.http_url("api_url");
    let thread = fields.get("message_thread_id");
    let settings = TelegramSettings {
        http: fallbacks.http(fields),
        api_url: api_url.unwrap_or_else(|| global.telegram_api_url.clone()),
        message_thread_id: thread
            .and_then(|cursor| cursor.integer())
            .filter(|thread| *thread != 0),
        message: fields.template_or("message", defaults::TELEGRAM_MESSAGE),
        disable_notifications: fields.boolean_or("disable_notifications", false),
        parse_mode,
        bot_token: bot_token?,
        chat: chat?,
    };
    Some(settings)
}

fn read_chat(fields: &mut Fields<'_>) -> Option<TelegramChat> {
    let id = fields.get("chat_id").and_then(|cursor| cursor.integer());
    let id = id.filter(|id| *id != 0);
    let file = fields.path("chat_id_file", None);
    match (id, file) {
        (Some(id), None) => Some(TelegramChat::Id(id)),
        (None, Some(file)) => Some(TelegramChat::File(file)),
        (None, None) => {
            fields.problem(
                "chat_id",
                "missing chat_id or chat_id_file on telegram_config",
            );
            None
        }
        (Some(_), Some(_)) => {
            fields.problem(
                "chat_id_file",
                "at most one of chat_id & chat_id_file must be configured",
            );
            None
        }
    }
}

fn read_parse_mode(fields: &mut Fields<'_>) -> TelegramParseMode {
    match fields
        .text_or("parse_mode", defaults::TELEGRAM_PARSE_MODE)
        .as_str()
    {
        "" => TelegramParseMode::Plain,
        "HTML" => TelegramParseMode::Html,
        "Markdown" => TelegramParseMode::Markdown,
        "MarkdownV2" => TelegramParseMode::MarkdownV2,
        _ => {
            fields.problem(
                "parse_mode",
                "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string",
            );
            TelegramParseMode::Plain
        }
    }
}

pub(super) fn template_texts(settings: &TelegramSettings) -> Vec<TemplateField> {
    vec![TemplateField {
        path: "message".to_owned(),
        text: settings.message.clone(),
        html: settings.parse_mode == TelegramParseMode::Html,
    }]
}

pub(super) fn dump(settings: &TelegramSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.url("api_url", Some(&settings.api_url));
    entries.source("bot_token", "bot_token_file", Some(&settings.bot_token));
    match &settings.chat {
        TelegramChat::Id(id) => entries.plain("chat_id", id),
        TelegramChat::File(path) => entries.text("chat_id_file", &path.display().to_string()),
    }
    if let Some(thread) = settings.message_thread_id {
        entries.plain("message_thread_id", thread);
    }
    entries.defaulted(&[("message", &settings.message)]);
    entries.flag("disable_notifications", settings.disable_notifications);
    // Upstream leaves the empty one out, and HTML comes back when the dump is loaded.
    entries.even_empty("parse_mode", settings.parse_mode.as_str());
}
