//! What happened at the fakes, as it happens: for whoever tells the story.
use std::fmt;

use model::Timestamp;

/// Events that a slow listener may fall behind before it misses some.
pub(crate) const EVENTS_BEHIND_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq)]
pub struct FakeEvent {
    pub at: Timestamp,
    pub what: Happened,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// Anything that was not taken in, by the vendor's rules or because a fault was ordered.
    Refused {
        vendor: &'static str,
        reason: String,
    },
    IncidentAcknowledged {
        number: u64,
    },
    IncidentOpened {
        number: u64,
        key: String,
        dedup_key: String,
        summary: String,
        severity: String,
    },
    /// A further trigger for an incident that is open.
    IncidentUpdated {
        number: u64,
        summary: String,
    },
    IncidentResolved {
        number: u64,
        summary: String,
    },
    /// A mail in the mailbox.
    MailArrived {
        from: String,
        recipients: Vec<String>,
        subject: String,
    },
    Pinged {
        monitor: String,
        count: u64,
    },
    SlackPosted {
        channel: String,
        /// The first attachment's title, or the text.
        title: String,
        color: String,
    },
    SlackUpdated {
        channel: String,
        title: String,
        color: String,
    },
    WebhookCalled {
        path: String,
        /// `firing` or `resolved`, where the body says so.
        status: String,
    },
}

/// One sentence, without the time.
impl fmt::Display for FakeEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Happened::Refused { vendor, reason } => {
                write!(formatter, "{vendor}: refused: {reason}")
            }
            Happened::IncidentAcknowledged { number } => {
                write!(formatter, "PagerDuty: incident {number} acknowledged")
            }
            Happened::IncidentOpened {
                number, summary, ..
            } => write!(formatter, "PagerDuty: incident {number} opened: {summary}"),
            Happened::IncidentUpdated { number, summary } => {
                write!(
                    formatter,
                    "PagerDuty: incident {number} told again: {summary}"
                )
            }
            Happened::IncidentResolved { number, summary } => {
                write!(
                    formatter,
                    "PagerDuty: incident {number} resolved: {summary}"
                )
            }
            Happened::MailArrived {
                recipients,
                subject,
                ..
            } => write!(formatter, "Mail to {}: {subject}", recipients.join(", ")),
            Happened::Pinged { monitor, count } => {
                write!(formatter, "Cronitor: {monitor} is alive (ping {count})")
            }
            Happened::SlackPosted { channel, title, .. } => {
                write!(formatter, "Slack {channel}: {title}")
            }
            Happened::SlackUpdated { channel, title, .. } => {
                write!(formatter, "Slack {channel}: changed to: {title}")
            }
            Happened::WebhookCalled { path, status } => {
                write!(formatter, "Webhook {path}: {status}")
            }
        }
    }
}
