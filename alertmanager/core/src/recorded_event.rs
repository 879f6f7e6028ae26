//! The events of the event recorder: a history of alerts, silences and notifications for those who keep one.
//! Their kinds and what they hold are Alertmanager's.
use std::sync::Arc;
use std::time::Duration;

use config::InhibitRule;
use model::{Alert, Fingerprint, Labels, Matcher, Timestamp};
use notifiers_core::{GroupKey, NotificationReason};

use crate::hashes::AlertHashes;
use crate::silence::Silence;

#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// What an alert is, firing or resolved, is judged here.
    pub at: Timestamp,
    pub data: EventData,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventData {
    AlertCreated {
        alert: Arc<Alert>,
    },
    /// An alert is new in an aggregation group.
    AlertGrouped {
        alert: GroupedAlert,
        group: Arc<GroupInfo>,
    },
    /// An alert is over, and its group lets go of it.
    AlertResolved {
        alert: GroupedAlert,
        group: Arc<GroupInfo>,
    },
    InhibitionMutedAlert {
        rules: Vec<InhibitRule>,
        muted: MutedAlert,
        inhibiting: Vec<Fingerprint>,
    },
    /// An integration has taken a notification.
    Notification(Box<ToldNotification>),
    ProcessEnds,
    ProcessStarts {
        version: String,
        build_context: String,
    },
    SilenceCreated(Silence),
    /// Ended ones too.
    SilenceUpdated(Silence),
    SilenceMutedAlert {
        silence: Silence,
        muted: MutedAlert,
    },
}

impl EventData {
    /// As `event_type` in metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AlertCreated { .. } => "alert_created",
            Self::AlertGrouped { .. } => "alert_grouped",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::InhibitionMutedAlert { .. } => "inhibition_muted_alert",
            Self::Notification(_) => "notification",
            Self::ProcessEnds => "alertmanager_shutdown_event",
            Self::ProcessStarts { .. } => "alertmanager_startup_event",
            Self::SilenceCreated(_) => "silence_created",
            Self::SilenceUpdated(_) => "silence_updated",
            Self::SilenceMutedAlert { .. } => "silence_muted_alert",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct GroupedAlert {
    /// As the notification log knows the alert.
    pub hash: u64,
    pub alert: Arc<Alert>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutedAlert {
    pub fingerprint: Fingerprint,
    pub labels: Labels,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GroupInfo {
    pub key: Arc<GroupKey>,
    pub labels: Labels,
    pub receiver: String,
    /// The route's own.
    pub matchers: Vec<Matcher>,
    /// Another one for each time that the group begins.
    pub uuid: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToldNotification {
    /// Those that the notification holds.
    pub alerts: Vec<Alert>,
    pub reason: NotificationReason,
    /// `webhook`
    pub integration: String,
    pub index: u32,
    pub flush: FlushInfo,
}

/// What the history says of the flush that a notification is about.
#[derive(Clone, Debug, PartialEq)]
pub struct FlushInfo {
    pub group: Arc<GroupInfo>,
    /// Counts from 1 while the group lives.
    pub number: u64,
    pub firing: AlertHashes,
    pub resolved: AlertHashes,
    pub muted: AlertHashes,
    pub repeat_interval: Duration,
}
