//! `webhook_configs`.
use std::time::Duration;

use crate::http::HttpConfig;
use crate::value::{SecretSource, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    pub http: HttpConfig,
    /// The address is a template; a file's content is one too.
    pub url: SecretSource,
    /// 0 means all.
    pub max_alerts: u64,
    pub timeout: Option<Duration>,
    /// What is sent instead of the version 4 body.
    pub payload: Option<TemplateValue>,
}
