//! One integration, ready to tell; and all integrations of a configuration.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{Integration, IntegrationSettings, Receiver};
use model::Timestamp;
use notifiers_core::{
    Attempted, FailureReason, IntegrationPlan, Memory, Notification, Outcome, PlanError, Reached,
    Request, Response, SecretFiles, Step,
};
use runtime::Clock;
use template::TemplateSet;

use crate::connector::HttpError;
use crate::failure::{chain, out_of_time};
use crate::http::HttpClient;
use crate::mail;
use crate::secret_file::content;
use crate::tls::{TlsError, rehearse};

/// No vendor needs as many requests for one notification; a conversation that goes on is broken off.
const STEPS_MAX: usize = 16;

/// An integration cannot be made ready.
#[derive(Debug, thiserror::Error)]
#[error("{integration}")]
pub struct PrepareError {
    /// `receiver/kind[index]`.
    pub integration: String,
    #[source]
    pub cause: PrepareCause,
}

#[derive(Debug, thiserror::Error)]
pub enum PrepareCause {
    #[error(transparent)]
    Http(HttpError),
    #[error(transparent)]
    Plan(Box<PlanError>),
    #[error("TLS")]
    Tls(#[source] TlsError),
}

/// An integration whose templates are compiled and whose client stands ready. Attempts may run side by side.
pub struct Teller {
    /// As it was prepared.
    integration: Integration,
    plan: IntegrationPlan,
    channel: Channel,
}

enum Channel {
    Http(Arc<HttpClient>),
    Mail,
}

/// Every integration of a configuration. A reload makes a new set and drops the old one.
#[derive(Default)]
pub struct Tellers(BTreeMap<String, BTreeMap<(&'static str, usize), Arc<Teller>>>);

impl Tellers {
    /// Compiles every integration of the receivers against `templates`, which holds the built-in definitions and the
    /// operator's. Integrations with the same `http_config` share their connections.
    pub fn prepare(receivers: &[Receiver], templates: &TemplateSet) -> Result<Self, PrepareError> {
        let mut clients = Vec::new();
        let mut tellers = BTreeMap::new();
        for receiver in receivers {
            let mut own = BTreeMap::new();
            for integration in &receiver.integrations {
                let teller = Teller::prepare(&receiver.name, integration, templates, &mut clients)?;
                own.insert(
                    (integration.kind().as_str(), integration.index),
                    Arc::new(teller),
                );
            }
            tellers.insert(receiver.name.clone(), own);
        }
        Ok(Self(tellers))
    }

    /// Reads what each integration will need of the disk, certificates and keys, so that a mistake is found when a
    /// configuration is read and not at the first page.
    ///
    /// # Errors
    /// The first integration that could not tell.
    pub async fn rehearse(&self) -> Result<(), PrepareError> {
        for (receiver, own) in &self.0 {
            for ((kind, index), teller) in own {
                teller.rehearse().await.map_err(|cause| PrepareError {
                    integration: format!("{receiver}/{kind}[{index}]"),
                    cause,
                })?;
            }
        }
        Ok(())
    }

    /// The integration that the notification log knows as `receiver/integration/index`, for example
    /// `("team-x", "slack", 1)`.
    #[must_use]
    pub fn get(&self, receiver: &str, integration: &str, index: usize) -> Option<Arc<Teller>> {
        let own = self.0.get(receiver)?;
        let (_, teller) = own
            .iter()
            .find(|((kind, at), _)| *kind == integration && *at == index)?;
        Some(teller.clone())
    }
}

impl Teller {
    /// `clients` are those of the integrations before; where one fits it is shared.
    fn prepare(
        receiver: &str,
        integration: &Integration,
        templates: &TemplateSet,
        clients: &mut Vec<Arc<HttpClient>>,
    ) -> Result<Self, PrepareError> {
        let error = |cause| PrepareError {
            integration: format!(
                "{receiver}/{}[{}]",
                integration.kind().as_str(),
                integration.index
            ),
            cause,
        };
        let plan = IntegrationPlan::compile(integration, templates)
            .map_err(|cause| error(PrepareCause::Plan(Box::new(cause))))?;
        let Some(http) = plan.http() else {
            return Ok(Self {
                integration: integration.clone(),
                plan,
                channel: Channel::Mail,
            });
        };
        let timeout = attempt_timeout(integration);
        let known = clients.iter().find(|client| client.serves(http, timeout));
        let client = match known {
            Some(client) => client.clone(),
            None => {
                let client = HttpClient::new(http.clone(), timeout)
                    .map_err(|cause| error(PrepareCause::Http(cause)))?;
                let client = Arc::new(client);
                clients.push(client.clone());
                client
            }
        };
        Ok(Self {
            integration: integration.clone(),
            plan,
            channel: Channel::Http(client),
        })
    }

    /// Whom it tells, and how. What was ordered for another one is not its to tell.
    #[must_use]
    pub fn integration(&self) -> &Integration {
        &self.integration
    }

    async fn rehearse(&self) -> Result<(), PrepareCause> {
        match &self.channel {
            Channel::Http(client) => client.rehearse().await.map_err(PrepareCause::Http),
            Channel::Mail => match self.plan.mail_tls() {
                None => Ok(()),
                Some(tls) => rehearse(tls).await.map_err(PrepareCause::Tls),
            },
        }
    }

    #[must_use]
    pub fn plan(&self) -> &IntegrationPlan {
        &self.plan
    }

    /// One attempt to tell: one whole conversation, which ends by `deadline` whatever the vendor does. `memory` is
    /// what the last conversation about the same group left behind; the returned one takes its place.
    pub async fn attempt(
        &self,
        notification: &Notification,
        memory: &Memory,
        deadline: Timestamp,
        clock: &dyn Clock,
    ) -> Attempted {
        let secrets = self.secrets().await;
        let (mut conversation, mut step) = self.plan.begin(notification, memory, &secrets);
        let mut failure = FailureReason::Other;
        for _ in 0..STEPS_MAX {
            let request = match step {
                Step::Done(outcome, memory) => {
                    return Attempted {
                        outcome,
                        memory,
                        failure,
                    };
                }
                Step::Ask(request) => request,
            };
            let time_left = deadline.saturating_since(clock.now());
            let response = if time_left.is_zero() {
                out_of_time(Reached::Nothing, "there was no time left to send it")
            } else {
                self.ask(&request, time_left, clock).await
            };
            failure = FailureReason::of(&response);
            step = conversation.next(response, clock.now());
        }
        let (outcome, memory) = match step {
            Step::Done(outcome, memory) => (outcome, memory),
            Step::Ask(_) => {
                let reason = format!("the vendor was asked {STEPS_MAX} times without an end");
                (Outcome::Ambiguous { reason }, memory.clone())
            }
        };
        Attempted {
            outcome,
            memory,
            failure,
        }
    }

    async fn secrets(&self) -> SecretFiles {
        let mut secrets = SecretFiles::default();
        for path in self.plan.secret_files() {
            secrets.insert(path, content(path).await);
        }
        secrets
    }

    async fn ask(&self, request: &Request, time_left: Duration, clock: &dyn Clock) -> Response {
        match (request, &self.channel) {
            (Request::Http(request), Channel::Http(client)) => {
                let time_left = request.timeout.map_or(time_left, |own| own.min(time_left));
                client.ask(request, time_left, clock).await
            }
            (Request::Mail(request), Channel::Mail) => match self.plan.mail_tls() {
                Some(tls) => mail::send(request, tls, time_left).await,
                None => unreachable!("a plan that mails knows its TLS"),
            },
            (Request::Http(_), Channel::Mail) | (Request::Mail(_), Channel::Http(_)) => {
                unreachable!("a plan asks by the channel that it was prepared with")
            }
        }
    }
}

/// How long one attempt takes at most by its configuration.
fn attempt_timeout(integration: &Integration) -> Duration {
    let configured = match &integration.settings {
        IntegrationSettings::Email(_)
        | IntegrationSettings::OpsGenie(_)
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
        | IntegrationSettings::RocketChat(_)
        | IntegrationSettings::Mattermost(_) => None,
        IntegrationSettings::IncidentIo(settings) => settings.timeout,
        IntegrationSettings::PagerDuty(settings) => settings.timeout,
        IntegrationSettings::Slack(settings) => settings.timeout,
        IntegrationSettings::Webhook(settings) => settings.timeout,
    };
    configured
        .filter(|timeout| !timeout.is_zero())
        .unwrap_or(Duration::MAX)
}

impl PrepareError {
    /// The whole chain as one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        chain(self)
    }
}
