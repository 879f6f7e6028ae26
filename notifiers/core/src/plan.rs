//! An integration, compiled once when its configuration is loaded.
use std::path::Path;

use config::{HttpConfig, Integration, IntegrationKind, IntegrationSettings, TlsConfig};
use template::TemplateSet;

use crate::conversation::{Begun, Conversation, Talk};
use crate::email::EmailPlan;
use crate::notification::Notification;
use crate::pagerduty::PagerDutyPlan;
use crate::rendering::PlanError;
use crate::secrets::SecretFiles;
use crate::slack::SlackPlan;
use crate::step::{Memory, Step};
use crate::webhook::WebhookPlan;

/// What is needed to tell by one integration: its templates are parsed, its addresses known.
#[derive(Clone, Debug)]
pub struct IntegrationPlan {
    kind: IntegrationKind,
    http: Option<HttpConfig>,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    Email(Box<EmailPlan>),
    PagerDuty(Box<PagerDutyPlan>),
    Slack(Box<SlackPlan>),
    Webhook(Box<WebhookPlan>),
}

impl IntegrationPlan {
    /// Compiles the integration's templates against `set`, which holds the built-in definitions and the user's.
    pub fn compile(integration: &Integration, set: &TemplateSet) -> Result<Self, PlanError> {
        let (http, plan) = match &integration.settings {
            IntegrationSettings::PagerDuty(settings) => (
                Some(settings.http.clone()),
                Plan::PagerDuty(Box::new(PagerDutyPlan::compile(settings, set)?)),
            ),
            IntegrationSettings::Slack(settings) => (
                Some(settings.http.clone()),
                Plan::Slack(Box::new(SlackPlan::compile(settings, set)?)),
            ),
            IntegrationSettings::Webhook(settings) => (
                Some(settings.http.clone()),
                Plan::Webhook(Box::new(WebhookPlan::compile(settings, set)?)),
            ),
            IntegrationSettings::Email(settings) => (
                None,
                Plan::Email(Box::new(EmailPlan::compile(settings, set)?)),
            ),
            IntegrationSettings::OpsGenie(_)
            | IntegrationSettings::WeChat(_)
            | IntegrationSettings::VictorOps(_)
            | IntegrationSettings::Pushover(_)
            | IntegrationSettings::Sns(_)
            | IntegrationSettings::Telegram(_)
            | IntegrationSettings::Discord(_)
            | IntegrationSettings::Webex(_)
            | IntegrationSettings::MsTeams(_)
            | IntegrationSettings::MsTeamsV2(_)
            | IntegrationSettings::Jira(_)
            | IntegrationSettings::IncidentIo(_)
            | IntegrationSettings::RocketChat(_)
            | IntegrationSettings::Mattermost(_) => {
                return Err(PlanError::Unsupported(integration.kind()));
            }
        };
        Ok(Self {
            kind: integration.kind(),
            http,
            plan,
        })
    }

    #[must_use]
    pub fn kind(&self) -> IntegrationKind {
        self.kind
    }

    /// How its HTTP client is set up; `None` for mail.
    #[must_use]
    pub fn http(&self) -> Option<&HttpConfig> {
        self.http.as_ref()
    }

    /// How a mail's TLS is set up; `None` for HTTP.
    #[must_use]
    pub fn mail_tls(&self) -> Option<&TlsConfig> {
        match &self.plan {
            Plan::Email(plan) => Some(plan.tls()),
            Plan::PagerDuty(_) | Plan::Slack(_) | Plan::Webhook(_) => None,
        }
    }

    /// Files that must be read, anew for every attempt, before [`IntegrationPlan::begin`].
    #[must_use]
    pub fn secret_files(&self) -> Vec<&Path> {
        match &self.plan {
            Plan::Email(plan) => plan.secret_files(),
            Plan::PagerDuty(plan) => plan.secret_files(),
            Plan::Slack(plan) => plan.secret_files(),
            Plan::Webhook(plan) => plan.secret_files(),
        }
    }

    /// Begins to tell: a conversation, and its first step. `memory` is what the last conversation about the same group
    /// left behind.
    #[must_use]
    pub fn begin(
        &self,
        notification: &Notification,
        memory: &Memory,
        secrets: &SecretFiles,
    ) -> (Conversation, Step) {
        let (talk, begun) = match &self.plan {
            Plan::Email(plan) => match plan.begin(notification, memory, secrets) {
                Ok((mail, talk)) => (Talk::Email(talk), Begun::Mailing(Box::new(mail))),
                Err(outcome) => (Talk::Over, Begun::Done(outcome)),
            },
            Plan::PagerDuty(plan) => {
                let (begun, talk) = plan.begin(notification, secrets);
                (Talk::PagerDuty(talk), begun)
            }
            Plan::Slack(plan) => {
                let (begun, talk) = plan.begin(notification, memory, secrets);
                (Talk::Slack(talk), begun)
            }
            Plan::Webhook(plan) => (Talk::Webhook, plan.begin(notification, secrets)),
        };
        Conversation::new(talk, begun, memory)
    }
}
