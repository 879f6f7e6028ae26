//! `email_configs`.
use std::collections::BTreeMap;

use crate::http::TlsConfig;
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
    /// Whether TLS begins with the first byte; where it is not said, it does on port 465.
    pub implicit_tls: bool,
    pub threading: EmailThreading,
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
