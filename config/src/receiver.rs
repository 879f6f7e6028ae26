//! Who is told, and by which means.
use std::collections::BTreeMap;

use model::go_quote::quote;
use template::{Mode, TemplateSet};

use crate::cursor::{Cursor, Fields};
use crate::dump::entries::Entries;
use crate::go_yaml::Yaml;
use crate::integration::{Fallbacks, TemplateField};

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

    /// The key of the list in a receiver.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Webhook => "webhook_configs",
            Self::Email => "email_configs",
            Self::PagerDuty => "pagerduty_configs",
            Self::Slack => "slack_configs",
        }
    }
}

/// Reads one element of an integration's list; `None` where a problem leaves nothing to tell with.
type ReadIntegration = fn(&mut Fields<'_>, &Fallbacks<'_>) -> Option<IntegrationSettings>;

struct Kind {
    kind: IntegrationKind,
    send_resolved: bool,
    read: ReadIntegration,
}

/// In the order in which integrations are numbered and told.
const KINDS: [Kind; 4] = [
    Kind {
        kind: IntegrationKind::Webhook,
        send_resolved: true,
        read: |fields, fallbacks| {
            webhook::read(fields, fallbacks).map(IntegrationSettings::Webhook)
        },
    },
    Kind {
        kind: IntegrationKind::Email,
        send_resolved: false,
        read: |fields, fallbacks| email::read(fields, fallbacks).map(IntegrationSettings::Email),
    },
    Kind {
        kind: IntegrationKind::PagerDuty,
        send_resolved: true,
        read: |fields, fallbacks| {
            pagerduty::read(fields, fallbacks).map(IntegrationSettings::PagerDuty)
        },
    },
    Kind {
        kind: IntegrationKind::Slack,
        send_resolved: false,
        read: |fields, fallbacks| slack::read(fields, fallbacks).map(IntegrationSettings::Slack),
    },
];

const UNSUPPORTED: [&str; 14] = [
    "opsgenie_configs",
    "wechat_configs",
    "victorops_configs",
    "pushover_configs",
    "sns_configs",
    "telegram_configs",
    "discord_configs",
    "webex_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "jira_configs",
    "incidentio_configs",
    "rocketchat_configs",
    "mattermost_configs",
];

impl Receiver {
    pub(crate) fn read(cursor: &Cursor<'_>, fallbacks: &Fallbacks<'_>) -> Self {
        let mut fields = cursor.fields("config.plain");
        let name = fields.text("name");
        if name.is_empty() {
            fields.problem("name", "missing name in receiver");
        }
        let labels = read_labels(&mut fields, &name);
        let mut integrations = Vec::new();
        for kind in &KINDS {
            for (index, item) in fields.list(kind.kind.key()).iter().enumerate() {
                integrations.extend(kind.read(item, index, fallbacks));
            }
        }
        for key in UNSUPPORTED {
            if fields.get(key).is_some() {
                fields.problem(key, format!("{key} is not supported by this version"));
            }
        }
        fields.finish();
        Self {
            name,
            labels,
            integrations,
        }
    }
}

impl Kind {
    fn read(
        &self,
        item: &Cursor<'_>,
        index: usize,
        fallbacks: &Fallbacks<'_>,
    ) -> Option<Integration> {
        if item.is_null() {
            item.problem(format!("missing {} config", self.kind.as_str()));
            return None;
        }
        let mut fields = item.fields("config.plain");
        let send_resolved = fields.boolean_or("send_resolved", self.send_resolved);
        let settings = (self.read)(&mut fields, fallbacks);
        fields.finish();
        let integration = Integration {
            index,
            send_resolved,
            settings: settings?,
        };
        if let Some(set) = fallbacks.templates {
            check_templates(item, &integration, set);
        }
        Some(integration)
    }
}

fn check_templates(item: &Cursor<'_>, integration: &Integration, set: &TemplateSet) {
    for field in template_texts(integration) {
        let mode = if field.html { Mode::Html } else { Mode::Text };
        let Err(error) = set.compile("", field.text.as_str(), mode) else {
            continue;
        };
        let is_address = integration.kind() == IntegrationKind::Webhook && field.path == "url";
        let before = if is_address {
            "invalid template syntax: "
        } else {
            ""
        };
        item.nearest(&field.path)
            .problem(format!("{before}{error}"));
    }
}

fn read_labels(fields: &mut Fields<'_>, name: &str) -> BTreeMap<String, String> {
    let mut labels = fields.text_map("labels");
    if let Some(other) = labels.insert("name".to_owned(), name.to_owned())
        && other != name
    {
        let message = format!(
            "receiver label \"name\" must match receiver name {}, got {}",
            quote(name),
            quote(&other)
        );
        fields.problem("labels", message);
    }
    labels
}

/// Every template of an integration that stands in the configuration itself; templates that a file holds are read when
/// they are used.
#[must_use]
pub fn template_texts(integration: &Integration) -> Vec<TemplateField> {
    let mut fields = match &integration.settings {
        IntegrationSettings::Webhook(settings) => webhook::template_texts(settings),
        IntegrationSettings::Email(settings) => email::template_texts(settings),
        IntegrationSettings::PagerDuty(settings) => pagerduty::template_texts(settings),
        IntegrationSettings::Slack(settings) => slack::template_texts(settings),
    };
    fields.retain(|field| !field.text.is_empty());
    fields
}

/// One element of an integration's list, in the dump.
pub(crate) fn dump_integration(integration: &Integration) -> Yaml {
    let mut entries = Entries::default();
    entries.plain("send_resolved", integration.send_resolved);
    match &integration.settings {
        IntegrationSettings::Webhook(settings) => webhook::dump(settings, &mut entries),
        IntegrationSettings::Email(settings) => email::dump(settings, &mut entries),
        IntegrationSettings::PagerDuty(settings) => pagerduty::dump(settings, &mut entries),
        IntegrationSettings::Slack(settings) => slack::dump(settings, &mut entries),
    }
    entries.into_yaml()
}
