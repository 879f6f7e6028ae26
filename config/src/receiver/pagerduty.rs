//! `pagerduty_configs`.
use std::collections::BTreeMap;
use std::time::Duration;

use crate::http::HttpConfig;
use crate::value::{HttpUrl, SecretSource, TemplateText, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct PagerDutySettings {
    pub http: HttpConfig,
    pub key: PagerDutyKey,
    /// Where events of the key's API version go.
    pub url: HttpUrl,
    pub client: TemplateText,
    pub client_url: TemplateText,
    pub description: TemplateText,
    /// With the four default entries where they are not written.
    pub details: BTreeMap<String, TemplateValue>,
    pub images: Vec<PagerDutyImage>,
    pub links: Vec<PagerDutyLink>,
    /// `client` where it is not written.
    pub source: TemplateText,
    /// Empty means `error`, where the event is made.
    pub severity: TemplateText,
    pub class: TemplateText,
    pub component: TemplateText,
    pub group: TemplateText,
    pub timeout: Option<Duration>,
}

/// Which Events API is spoken; keys are templates. Where both keys are given, version 1 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagerDutyKey {
    /// Version 2.
    Routing(SecretSource),
    /// Version 1.
    Service(SecretSource),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagerDutyImage {
    pub src: TemplateText,
    pub alt: TemplateText,
    pub href: TemplateText,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagerDutyLink {
    pub href: TemplateText,
    pub text: TemplateText,
}
