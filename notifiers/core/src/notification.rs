//! What a receiver is to be told: one flush of one aggregation group.
use model::{Alert, AlertStatus, Labels, Timestamp};
use sha2::{Digest, Sha256};

/// Why a notification is sent; the texts are those of Alertmanager's `notification_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationReason {
    AllAlertsResolved,
    FirstNotification,
    NewAlertsAdded,
    RepeatIntervalElapsed,
    SomeAlertsResolved,
}

impl NotificationReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllAlertsResolved => "all alerts resolved",
            Self::FirstNotification => "first notification",
            Self::NewAlertsAdded => "new alerts added",
            Self::RepeatIntervalElapsed => "repeat interval elapsed",
            Self::SomeAlertsResolved => "some alerts resolved",
        }
    }
}

/// Names an aggregation group for good: `<route key>:<group labels>`, for example
/// `{}/{team="x"}:{alertname="Down"}`. Vendors get its SHA-256 as deduplication key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(String);

impl GroupKey {
    #[must_use]
    pub fn new(route_key: &str, group_labels: &Labels) -> Self {
        Self(format!("{route_key}:{group_labels}"))
    }

    /// A key as it was stored.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-case hexadecimal SHA-256: PagerDuty's `dedup_key` and `incident_key`, Opsgenie's alias, …
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        Sha256::digest(self.0.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// One flush of one group for one integration of a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The receiver's name as configured.
    pub receiver: String,
    pub group_key: GroupKey,
    pub group_labels: Labels,
    /// The route's own labels (inherited ones included); their values are templates.
    pub route_labels: Labels,
    /// Sorted as a notification shows them; never empty. What is firing and what is resolved is judged at `at`.
    pub alerts: Vec<Alert>,
    pub reason: NotificationReason,
    /// The instant of the flush, the same for every integration and every attempt.
    pub at: Timestamp,
    /// Where people reach this Alertmanager, without a trailing slash.
    pub external_url: String,
}

impl Notification {
    /// Firing while any alert fires.
    #[must_use]
    pub fn status(&self) -> AlertStatus {
        if self
            .alerts
            .iter()
            .any(|alert| alert.status(self.at) == AlertStatus::Firing)
        {
            AlertStatus::Firing
        } else {
            AlertStatus::Resolved
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::GroupKey;

    #[test]
    fn a_group_key_hashes_as_vendors_know_it() {
        let labels = Labels::from_pairs([("alertname", "Down")]);
        let key = GroupKey::new("{}", &labels);
        assert_eq!(key.as_str(), r#"{}:{alertname="Down"}"#);
        assert_eq!(
            key.sha256_hex(),
            "af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e"
        );
    }
}
