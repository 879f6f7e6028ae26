//! Who is told, and by which means.
use std::collections::BTreeMap;

use model::go_quote::quote;
use template::{Mode, TemplateSet};

use crate::cursor::{Cursor, Fields};
use crate::dump::entries::Entries;
use crate::go_yaml::Yaml;
use crate::integration::{Fallbacks, TemplateField};

mod discord;
mod email;
mod incidentio;
mod jira;
mod mattermost;
mod msteams;
mod msteamsv2;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rocketchat;
mod slack;
mod sns;
mod telegram;
mod victorops;
mod webex;
mod webhook;
mod wechat;

pub use discord::DiscordSettings;
pub use email::{EmailSettings, EmailThreading};
pub use incidentio::{IncidentIoSettings, IncidentIoUrl};
pub use jira::{JiraApiType, JiraSettings, JiraText};
pub use mattermost::{
    MattermostAttachment, MattermostField, MattermostPriority, MattermostProps, MattermostSettings,
};
pub use msteams::MsTeamsSettings;
pub use msteamsv2::MsTeamsV2Settings;
pub use opsgenie::{OpsGenieResponder, OpsGenieSettings};
pub use pagerduty::{PagerDutyImage, PagerDutyKey, PagerDutyLink, PagerDutySettings};
pub use pushover::{PushoverFormat, PushoverSettings};
pub use rocketchat::{RocketChatAction, RocketChatField, RocketChatSettings};
pub use slack::{SlackAction, SlackConfirmation, SlackField, SlackSettings, SlackTarget};
pub use sns::{SigV4, SnsSettings, SnsTarget};
pub use telegram::{TelegramChat, TelegramParseMode, TelegramSettings};
pub use victorops::VictorOpsSettings;
pub use webex::WebexSettings;
pub use webhook::WebhookSettings;
pub use wechat::{WeChatMessageType, WeChatSettings};

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
            IntegrationSettings::OpsGenie(_) => IntegrationKind::OpsGenie,
            IntegrationSettings::WeChat(_) => IntegrationKind::WeChat,
            IntegrationSettings::Slack(_) => IntegrationKind::Slack,
            IntegrationSettings::VictorOps(_) => IntegrationKind::VictorOps,
            IntegrationSettings::Pushover(_) => IntegrationKind::Pushover,
            IntegrationSettings::Sns(_) => IntegrationKind::Sns,
            IntegrationSettings::Telegram(_) => IntegrationKind::Telegram,
            IntegrationSettings::Discord(_) => IntegrationKind::Discord,
            IntegrationSettings::Webex(_) => IntegrationKind::Webex,
            IntegrationSettings::MsTeams(_) => IntegrationKind::MsTeams,
            IntegrationSettings::MsTeamsV2(_) => IntegrationKind::MsTeamsV2,
            IntegrationSettings::Jira(_) => IntegrationKind::Jira,
            IntegrationSettings::IncidentIo(_) => IntegrationKind::IncidentIo,
            IntegrationSettings::RocketChat(_) => IntegrationKind::RocketChat,
            IntegrationSettings::Mattermost(_) => IntegrationKind::Mattermost,
        }
    }
}

/// With every fallback to the `global` block filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum IntegrationSettings {
    Webhook(WebhookSettings),
    Email(EmailSettings),
    PagerDuty(PagerDutySettings),
    OpsGenie(OpsGenieSettings),
    WeChat(WeChatSettings),
    Slack(SlackSettings),
    VictorOps(VictorOpsSettings),
    Pushover(PushoverSettings),
    Sns(SnsSettings),
    Telegram(TelegramSettings),
    Discord(DiscordSettings),
    Webex(WebexSettings),
    MsTeams(MsTeamsSettings),
    MsTeamsV2(MsTeamsV2Settings),
    Jira(JiraSettings),
    IncidentIo(IncidentIoSettings),
    RocketChat(RocketChatSettings),
    Mattermost(MattermostSettings),
}

/// In the order in which Alertmanager builds and numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntegrationKind {
    Webhook,
    Email,
    PagerDuty,
    OpsGenie,
    WeChat,
    Slack,
    VictorOps,
    Pushover,
    Sns,
    Telegram,
    Discord,
    Webex,
    MsTeams,
    MsTeamsV2,
    Jira,
    IncidentIo,
    RocketChat,
    Mattermost,
}

impl IntegrationKind {
    pub const ALL: [Self; 18] = [
        Self::Webhook,
        Self::Email,
        Self::PagerDuty,
        Self::OpsGenie,
        Self::WeChat,
        Self::Slack,
        Self::VictorOps,
        Self::Pushover,
        Self::Sns,
        Self::Telegram,
        Self::Discord,
        Self::Webex,
        Self::MsTeams,
        Self::MsTeamsV2,
        Self::Jira,
        Self::IncidentIo,
        Self::RocketChat,
        Self::Mattermost,
    ];

    /// The name in logs, metrics and the notification log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::PagerDuty => "pagerduty",
            Self::OpsGenie => "opsgenie",
            Self::WeChat => "wechat",
            Self::Slack => "slack",
            Self::VictorOps => "victorops",
            Self::Pushover => "pushover",
            Self::Sns => "sns",
            Self::Telegram => "telegram",
            Self::Discord => "discord",
            Self::Webex => "webex",
            Self::MsTeams => "msteams",
            Self::MsTeamsV2 => "msteamsv2",
            Self::Jira => "jira",
            Self::IncidentIo => "incidentio",
            Self::RocketChat => "rocketchat",
            Self::Mattermost => "mattermost",
        }
    }

    /// The key of the list in a receiver.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Webhook => "webhook_configs",
            Self::Email => "email_configs",
            Self::PagerDuty => "pagerduty_configs",
            Self::OpsGenie => "opsgenie_configs",
            Self::WeChat => "wechat_configs",
            Self::Slack => "slack_configs",
            Self::VictorOps => "victorops_configs",
            Self::Pushover => "pushover_configs",
            Self::Sns => "sns_configs",
            Self::Telegram => "telegram_configs",
            Self::Discord => "discord_configs",
            Self::Webex => "webex_configs",
            Self::MsTeams => "msteams_configs",
            Self::MsTeamsV2 => "msteamsv2_configs",
            Self::Jira => "jira_configs",
            Self::IncidentIo => "incidentio_configs",
            Self::RocketChat => "rocketchat_configs",
            Self::Mattermost => "mattermost_configs",
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
const KINDS: [Kind; 18] = [
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
        kind: IntegrationKind::OpsGenie,
        send_resolved: true,
        read: |fields, fallbacks| {
            opsgenie::read(fields, fallbacks).map(IntegrationSettings::OpsGenie)
        },
    },
    Kind {
        kind: IntegrationKind::WeChat,
        send_resolved: false,
        read: |fields, fallbacks| wechat::read(fields, fallbacks).map(IntegrationSettings::WeChat),
    },
    Kind {
        kind: IntegrationKind::Slack,
        send_resolved: false,
        read: |fields, fallbacks| slack::read(fields, fallbacks).map(IntegrationSettings::Slack),
    },
    Kind {
        kind: IntegrationKind::VictorOps,
        send_resolved: true,
        read: |fields, fallbacks| {
            victorops::read(fields, fallbacks).map(IntegrationSettings::VictorOps)
        },
    },
    Kind {
        kind: IntegrationKind::Pushover,
        send_resolved: true,
        read: |fields, fallbacks| {
            pushover::read(fields, fallbacks).map(IntegrationSettings::Pushover)
        },
    },
    Kind {
        kind: IntegrationKind::Sns,
        send_resolved: true,
        read: |fields, fallbacks| sns::read(fields, fallbacks).map(IntegrationSettings::Sns),
    },
    Kind {
        kind: IntegrationKind::Telegram,
        send_resolved: true,
        read: |fields, fallbacks| {
            telegram::read(fields, fallbacks).map(IntegrationSettings::Telegram)
        },
    },
    Kind {
        kind: IntegrationKind::Discord,
        send_resolved: true,
        read: |fields, fallbacks| {
            discord::read(fields, fallbacks).map(IntegrationSettings::Discord)
        },
    },
    Kind {
        kind: IntegrationKind::Webex,
        send_resolved: true,
        read: |fields, fallbacks| webex::read(fields, fallbacks).map(IntegrationSettings::Webex),
    },
    Kind {
        kind: IntegrationKind::MsTeams,
        send_resolved: true,
        read: |fields, fallbacks| {
            msteams::read(fields, fallbacks).map(IntegrationSettings::MsTeams)
        },
    },
    Kind {
        kind: IntegrationKind::MsTeamsV2,
        send_resolved: true,
        read: |fields, fallbacks| {
            msteamsv2::read(fields, fallbacks).map(IntegrationSettings::MsTeamsV2)
        },
    },
    Kind {
        kind: IntegrationKind::Jira,
        send_resolved: true,
        read: |fields, fallbacks| jira::read(fields, fallbacks).map(IntegrationSettings::Jira),
    },
    Kind {
        kind: IntegrationKind::IncidentIo,
        send_resolved: true,
        read: |fields, fallbacks| {
            incidentio::read(fields, fallbacks).map(IntegrationSettings::IncidentIo)
        },
    },
    Kind {
        kind: IntegrationKind::RocketChat,
        send_resolved: false,
        read: |fields, fallbacks| {
            rocketchat::read(fields, fallbacks).map(IntegrationSettings::RocketChat)
        },
    },
    Kind {
        kind: IntegrationKind::Mattermost,
        send_resolved: true,
        read: |fields, fallbacks| {
            mattermost::read(fields, fallbacks).map(IntegrationSettings::Mattermost)
        },
    },
];

/// Kinds that are read and checked, but that the notifiers cannot tell yet: a configuration that is to be run with is
/// refused where it has one.
const UNTOLD: [IntegrationKind; 14] = [
    IntegrationKind::OpsGenie,
    IntegrationKind::WeChat,
    IntegrationKind::VictorOps,
    IntegrationKind::Pushover,
    IntegrationKind::Sns,
    IntegrationKind::Telegram,
    IntegrationKind::Discord,
    IntegrationKind::Webex,
    IntegrationKind::MsTeams,
    IntegrationKind::MsTeamsV2,
    IntegrationKind::Jira,
    IntegrationKind::IncidentIo,
    IntegrationKind::RocketChat,
    IntegrationKind::Mattermost,
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
        if fallbacks.is_to_run() {
            for key in UNTOLD.map(IntegrationKind::key) {
                if fields.has(key) {
                    fields.file_problem(key, format!("{key} is not supported by this version"));
                }
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
            item.file_problem(format!("missing {} config", self.kind.as_str()));
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
        let at = item.nearest(&field.path);
        if is_address {
            at.problem(format!("invalid template syntax: {error}"));
        } else {
            at.template_problem(error.to_string());
        }
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
        IntegrationSettings::OpsGenie(settings) => opsgenie::template_texts(settings),
        IntegrationSettings::WeChat(settings) => wechat::template_texts(settings),
        IntegrationSettings::Slack(settings) => slack::template_texts(settings),
        IntegrationSettings::VictorOps(settings) => victorops::template_texts(settings),
        IntegrationSettings::Pushover(settings) => pushover::template_texts(settings),
        IntegrationSettings::Sns(settings) => sns::template_texts(settings),
        IntegrationSettings::Telegram(settings) => telegram::template_texts(settings),
        IntegrationSettings::Discord(settings) => discord::template_texts(settings),
        IntegrationSettings::Webex(settings) => webex::template_texts(settings),
        IntegrationSettings::MsTeams(settings) => msteams::template_texts(settings),
        IntegrationSettings::MsTeamsV2(settings) => msteamsv2::template_texts(settings),
        IntegrationSettings::Jira(settings) => jira::template_texts(settings),
        IntegrationSettings::IncidentIo(settings) => incidentio::template_texts(settings),
        IntegrationSettings::RocketChat(settings) => rocketchat::template_texts(settings),
        IntegrationSettings::Mattermost(settings) => mattermost::template_texts(settings),
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
        IntegrationSettings::OpsGenie(settings) => opsgenie::dump(settings, &mut entries),
        IntegrationSettings::WeChat(settings) => wechat::dump(settings, &mut entries),
        IntegrationSettings::Slack(settings) => slack::dump(settings, &mut entries),
        IntegrationSettings::VictorOps(settings) => victorops::dump(settings, &mut entries),
        IntegrationSettings::Pushover(settings) => pushover::dump(settings, &mut entries),
        IntegrationSettings::Sns(settings) => sns::dump(settings, &mut entries),
        IntegrationSettings::Telegram(settings) => telegram::dump(settings, &mut entries),
        IntegrationSettings::Discord(settings) => discord::dump(settings, &mut entries),
        IntegrationSettings::Webex(settings) => webex::dump(settings, &mut entries),
        IntegrationSettings::MsTeams(settings) => msteams::dump(settings, &mut entries),
        IntegrationSettings::MsTeamsV2(settings) => msteamsv2::dump(settings, &mut entries),
        IntegrationSettings::Jira(settings) => jira::dump(settings, &mut entries),
        IntegrationSettings::IncidentIo(settings) => incidentio::dump(settings, &mut entries),
        IntegrationSettings::RocketChat(settings) => rocketchat::dump(settings, &mut entries),
        IntegrationSettings::Mattermost(settings) => mattermost::dump(settings, &mut entries),
    }
    entries.into_yaml()
}
