//! `email_configs`.
use std::collections::BTreeMap;

use model::go_quote::quote;

use crate::cursor::Fields;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::tls_config;
use crate::global::read_host_port;
use crate::http::{TlsConfig, canonical_header};
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HostPort, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct EmailSettings {
    /// Expands to a list of addresses.
    pub to: TemplateText,
    /// Expands to one address.
    pub from: TemplateText,
    pub hello: String,
    pub smarthost: HostPort,
    /// Empty: no authentication.
    pub auth_username: String,
    /// For PLAIN and LOGIN.
    pub auth_password: Option<SecretSource>,
    /// For CRAM-MD5.
    pub auth_secret: Option<SecretSource>,
    pub auth_identity: String,
    /// By canonical name (`Reply-To`); `Subject`, `To` and `From` are always there.
    pub headers: BTreeMap<String, TemplateText>,
    pub html: TemplateText,
    pub text: TemplateText,
    pub require_tls: bool,
    pub tls: TlsConfig,
    /// Whether TLS begins with the first byte, where that is said.
    pub force_implicit_tls: Option<bool>,
    pub threading: EmailThreading,
}

impl EmailSettings {
    /// Whether TLS begins with the first byte; where it is not said, it does on port 465.
    #[must_use]
    pub fn implicit_tls(&self) -> bool {
        self.force_implicit_tls
            .unwrap_or(self.smarthost.port == defaults::SMTP_IMPLICIT_TLS_PORT)
    }
}

/// Whether mails of one group form a thread in the reader's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailThreading {
    Off,
    /// One thread a group, for ever.
    Group,
    /// One thread a group and day.
    GroupAndDay,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<EmailSettings> {
    let global = &fallbacks.global.smtp;
    let to = fields.template("to");
    if to.is_empty() {
        fields.problem("to", "missing to address in email config");
    }
    let from = fields.template_or("from", &global.from);
    if from.is_empty() {
        fields.file_problem("from", "no global SMTP from set");
    }
    let smarthost = read_host_port(fields, "smarthost").or_else(|| global.smarthost.clone());
    if smarthost.is_none() {
        fields.file_problem("smarthost", "no global SMTP smarthost set");
    }
    let password = fields.secret_or_file("auth_password", "auth_password_file");
    let secret = fields.secret_or_file("auth_secret", "auth_secret_file");
    let mut headers = read_headers(fields);
    let threading = read_threading(fields, &headers);
    for (name, default) in [
        ("Subject", defaults::EMAIL_SUBJECT),
        ("To", to.as_str()),
        ("From", from.as_str()),
    ] {
        headers
            .entry(name.to_owned())
            .or_insert_with(|| TemplateText::new(default));
    }
    let hello = fields.text("hello");
    let auth_username = fields.text("auth_username");
    let auth_identity = fields.text("auth_identity");
    let or_global =
        |own: String, global: &String| if own.is_empty() { global.clone() } else { own };
    let force_implicit_tls = fields
        .get("force_implicit_tls")
        .and_then(|cursor| cursor.boolean())
        .or(global.force_implicit_tls);
    let html = fields.template_or("html", defaults::EMAIL_HTML);
    let text = fields.template("text");
    let require_tls = fields.boolean_or("require_tls", global.require_tls);
    let tls = fields.get("tls_config").map_or_else(
        || global.tls.clone(),
        |cursor| TlsConfig::read(&cursor, Some(fallbacks.base)),
    );
    let smarthost = smarthost?;
    Some(EmailSettings {
        to,
        from,
        hello: or_global(hello, &global.hello),
        force_implicit_tls,
        smarthost,
        auth_username: or_global(auth_username, &global.auth_username),
        auth_password: password.or_else(|| global.auth_password.clone()),
        auth_secret: secret.or_else(|| global.auth_secret.clone()),
        auth_identity: or_global(auth_identity, &global.auth_identity),
        headers,
        html,
        text,
        require_tls,
        tls,
        threading,
    })
}

/// By canonical name, in which each name may come once.
fn read_headers(fields: &mut Fields<'_>) -> BTreeMap<String, TemplateText> {
    let mut headers = BTreeMap::new();
    let entries = fields.get("headers").map(|cursor| cursor.entries());
    for (name, place, value) in entries.unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        let name = canonical_header(&name);
        let earlier = headers.insert(name.clone(), TemplateText::new(text));
        if earlier.is_some() {
            let message = format!("duplicate header {} in email config", quote(&name));
            value.source().problem(Some(place), value.path(), message);
        }
    }
    headers
}

fn read_threading(
    fields: &mut Fields<'_>,
    headers: &BTreeMap<String, TemplateText>,
) -> EmailThreading {
    let Some(cursor) = fields.get("threading") else {
        return EmailThreading::Off;
    };
    let mut threading = cursor.fields("config.plain");
    let enabled = threading.boolean_or("enabled", false);
    let by_date = threading.text("thread_by_date");
    if enabled {
        for header in ["References", "In-Reply-To"] {
            if headers.contains_key(header) {
                threading.problem(
                    "enabled",
                    format!(
                        "conflicting configuration: threading.enabled conflicts with custom {header} header"
                    ),
                );
            }
        }
    }
    let mode = match (enabled, by_date.as_str()) {
        (false, _) => EmailThreading::Off,
        (true, "none") => EmailThreading::Group,
        (true, "daily") => EmailThreading::GroupAndDay,
        (true, _) => {
            threading.problem(
                "thread_by_date",
                "threading.thread_by_date must be either 'none' or 'daily'",
            );
            EmailThreading::Off
        }
    };
    threading.finish();
    mode
}

pub(super) fn template_texts(settings: &EmailSettings) -> Vec<TemplateField> {
    let field = |path: &str, text: &TemplateText, html| TemplateField {
        path: path.to_owned(),
        text: text.clone(),
        html,
    };
    let mut fields = vec![
        field("to", &settings.to, false),
        field("from", &settings.from, false),
        field("html", &settings.html, true),
        field("text", &settings.text, false),
    ];
    for (name, text) in &settings.headers {
        fields.push(field(&format!("headers.{name}"), text, false));
    }
    fields
}

pub(super) fn dump(settings: &EmailSettings, entries: &mut Entries) {
    entries.template("to", &settings.to);
    entries.template("from", &settings.from);
    entries.text("hello", &settings.hello);
    entries.text("smarthost", &settings.smarthost.to_string());
    entries.text("auth_username", &settings.auth_username);
    let password = settings.auth_password.as_ref();
    entries.source("auth_password", "auth_password_file", password);
    let secret = settings.auth_secret.as_ref();
    entries.source("auth_secret", "auth_secret_file", secret);
    entries.text("auth_identity", &settings.auth_identity);
    let headers = settings.headers.iter();
    entries.texts_by_name("headers", headers.map(|(name, text)| (name, text.as_str())));
    entries.defaulted(&[("html", &settings.html)]);
    entries.template("text", &settings.text);
    entries.plain("require_tls", settings.require_tls);
    entries.put("tls_config", tls_config(&settings.tls));
    entries.switch("force_implicit_tls", settings.force_implicit_tls);
    let by_date = match settings.threading {
        EmailThreading::Off => return,
        EmailThreading::Group => "none",
        EmailThreading::GroupAndDay => "daily",
    };
    let mut threading = Entries::default();
    threading.plain("enabled", true);
    threading.text("thread_by_date", by_date);
    entries.put("threading", threading.into_yaml());
}
