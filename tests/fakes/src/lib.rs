//! Strict fake vendors for tests and the demo: they refuse what the vendor refuses, and fail when told to.
//! Beside them a sender of samples.
//!
//! [`Fakes`] starts all of them on two ports of loopback; each can also be started alone. A fake records every
//! request in order of arrival with its verdict and the time at which its answer was out; it can be asked what the
//! vendor knows (open incidents, mailbox, pings), waited for, and told to play faults on requests to come.
mod collector;
mod cronitor;
mod event;
mod event_schema;
mod fake;
mod fakes;
mod fault;
mod http;
mod ledger;
mod mail_rules;
mod mail_server;
mod mailbox;
mod pagerduty;
mod rate;
mod remote_write;
mod server;
mod slack;
mod smtp;
mod smtp_words;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;
mod write_message;

pub use collector::{ExportedSpan, TraceCollector, TraceExport};
pub use cronitor::{Cronitor, CronitorAccount, Monitor};
pub use event::{FakeEvent, Happened};
pub use event_schema::EventAction;
pub use fake::{Decision, Fake, ReceivedRequest, Vendor, Verdict};
pub use fakes::Fakes;
pub use fault::HttpFault;
pub use http::{Answer, HttpRequest};
pub use ledger::TimedOut;
pub use mail_rules::{
    AuthMechanism, MailAccount, MailFault, MailHouse, MailRules, MailSession, MailTls, SmtpStage,
};
pub use mail_server::MailServer;
pub use mailbox::Mail;
pub use pagerduty::{Incident, IncidentStatus, LogEntry, PagerDuty, PagerDutyAccount};
pub use rate::RateLimit;
pub use remote_write::{REMOTE_WRITE_HEADERS, SentSample, write_request};
pub use slack::{Slack, SlackMessage, SlackWorkspace};
pub use tls::Tls;
pub use webhook::{Webhook, WebhookReceiver};
pub use write_message::{Message1, Message2, Part, custom_histogram, integer_histogram};
