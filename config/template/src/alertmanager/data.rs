//! What a notification's templates are given.
use model::{AlertStatus, Labels, Timestamp};

/// The dot of every notification template, Alertmanager 0.34.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationData {
    /// The receiver's name as configured; templates see it quoted for regular expressions.
    pub receiver: String,
    pub status: AlertStatus,
    pub alerts: Vec<AlertData>,
    pub group_labels: Labels,
    pub common_labels: Labels,
    pub common_annotations: Labels,
    /// The labels written at the route: their values are templates, rendered when `routeLabels` asks for one.
    pub route_labels: Labels,
    pub external_url: String,
    /// `first notification`, `new alerts added`, ….
    pub notification_reason: String,
}

/// One alert of a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertData {
    pub status: AlertStatus,
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: Timestamp,
    /// [`Timestamp::GO_ZERO`] while the alert fires.
    pub ends_at: Timestamp,
    pub generator_url: String,
    /// Sixteen hexadecimal digits.
    pub fingerprint: String,
}
