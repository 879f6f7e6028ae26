//! All vendors at once: HTTP on one port, mail on another.
use std::net::SocketAddr;
use std::sync::Arc;

use runtime::{Clock, SystemClock};
use tokio::sync::broadcast;

use crate::cronitor::{Cronitor, CronitorAccount};
use crate::event::FakeEvent;
use crate::fake::{Fake, HttpDesk};
use crate::ledger::Stage;
use crate::mail_rules::MailRules;
use crate::mail_server::MailServer;
use crate::pagerduty::{PagerDuty, PagerDutyAccount};
use crate::server::Server;
use crate::slack::{Slack, SlackWorkspace};
use crate::webhook::{Webhook, WebhookReceiver};

pub struct Fakes {
    pub cronitor: Cronitor,
    pub mail: MailServer,
    pub pagerduty: PagerDuty,
    pub slack: Slack,
    pub webhook: Webhook,
    server: Arc<Server>,
    events: broadcast::Sender<FakeEvent>,
}

impl Fakes {
    /// With the vendors' usual rules, and a mail server that wants neither TLS nor a login.
    ///
    /// # Panics
    /// Where loopback has no free port.
    pub async fn start() -> Self {
        Self::start_with(MailRules::default(), Arc::new(SystemClock::new())).await
    }

    pub async fn start_with(mail: MailRules, clock: Arc<dyn Clock>) -> Self {
        let stage = Stage::new(clock);
        let cronitor = HttpDesk::new(CronitorAccount::default(), stage.clone());
        let pagerduty = HttpDesk::new(PagerDutyAccount::default(), stage.clone());
        let slack = HttpDesk::new(SlackWorkspace::default(), stage.clone());
        let webhook = HttpDesk::new(WebhookReceiver::default(), stage.clone());
        let server = Server::start(
            vec![
                cronitor.clone(),
                pagerduty.clone(),
                slack.clone(),
                webhook.clone(),
            ],
            None,
        );
        let server = Arc::new(server.await);
        Self {
            cronitor: Fake::shared(cronitor, server.clone()),
            mail: MailServer::on_stage(mail, stage.clone()).await,
            pagerduty: Fake::shared(pagerduty, server.clone()),
            slack: Fake::shared(slack, server.clone()),
            webhook: Fake::shared(webhook, server.clone()),
            server,
            events: stage.events,
        }
    }

    /// What happens from now on, at all of them.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<FakeEvent> {
        self.events.subscribe()
    }

    /// Method and path of requests that reached no vendor: a test should find none.
    #[must_use]
    pub fn strays(&self) -> Vec<String> {
        self.server.strays()
    }

    #[must_use]
    pub fn smtp_address(&self) -> SocketAddr {
        self.mail.address()
    }

    /// Where the monitors of an API key are pinged: `/NAME` is to follow.
    #[must_use]
    pub fn cronitor_url(&self, api_key: &str) -> String {
        format!("{}/p/{api_key}", self.cronitor.base_url())
    }

    #[must_use]
    pub fn pagerduty_v1_url(&self) -> String {
        self.pagerduty.v1_url()
    }

    #[must_use]
    pub fn pagerduty_v2_url(&self) -> String {
        self.pagerduty.v2_url()
    }

    #[must_use]
    pub fn slack_webhook_url(&self) -> String {
        self.slack.webhook_url()
    }

    /// Of the Web API, for bot tokens.
    #[must_use]
    pub fn slack_post_message_url(&self) -> String {
        self.slack.post_message_url()
    }

    /// `name` tells several webhooks apart; it may be empty.
    #[must_use]
    pub fn webhook_url(&self, name: &str) -> String {
        self.webhook.url(name)
    }

    /// Closes all ports and connections.
    pub async fn stop(&self) {
        self.server.stop().await;
        self.mail.stop().await;
    }
}
