//! Who is told, and by which means.
use std::collections::BTreeMap;

mod email;
mod pagerduty;
mod slack;
mod webhook;

pub use email::{EmailSettings, EmailThreading};
pub use pagerduty::{PagerDutyImage, PagerDutyKey, PagerDutyLink, PagerDutySettings};
pub use slack::{SlackAction, SlackConfirmation, SlackField, SlackSettings, SlackTarget};
pub use webhook::WebhookSettings;

/// A receiver without integrations is a legal black hole.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    pub name: String,
    /// Always with the label `name`.
    pub labels: BTreeMap<String, String>,
    /// In the order in which they are told: by kind (`IntegrationKind`'s order), then as written.
    pub integrations: Vec<Integration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Counts from 0 within the receiver and the kind: `slack[1]` is the second Slack integration.
    pub index: usize,
    pub send_resolved: bool,
    pub settings: IntegrationSettings,
}

impl Integration {
    #[must_use]
    pub fn kind(&self) -> IntegrationKind {
        match self.settings {
            IntegrationSettings::Webhook(_) => IntegrationKind::Webhook,
            IntegrationSettings::Email(_) => IntegrationKind::Email,
            IntegrationSettings::PagerDuty(_) => IntegrationKind::PagerDuty,
            IntegrationSettings::Slack(_) => IntegrationKind::Slack,
        }
    }
}

/// With every fallback to the `global` block filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum IntegrationSettings {
    Webhook(WebhookSettings),
    Email(EmailSettings),
    PagerDuty(PagerDutySettings),
    Slack(SlackSettings),
}

/// In the order in which Alertmanager builds and numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntegrationKind {
    Webhook,
    Email,
    PagerDuty,
    Slack,
}

impl IntegrationKind {
    /// The name in logs, metrics and the notification log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::PagerDuty => "pagerduty",
            Self::Slack => "slack",
        }
    }
}
