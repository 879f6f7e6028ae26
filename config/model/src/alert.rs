//! One alert as rulers send it and the Alertmanager keeps it.
use std::cmp::Ordering;

use crate::fingerprint::Fingerprint;
use crate::labels::Labels;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: Timestamp,
    /// When it ended, or until when it counts as firing unless it is sent again.
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    /// Where the alert comes from; empty where the sender named nothing.
    pub generator_url: String,
    /// `ends_at` was not given by the sender but derived from `resolve_timeout`.
    pub timeout: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertStatus {
    Firing,
    Resolved,
}

impl AlertStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl Alert {
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.labels.fingerprint()
    }

    /// An alert is resolved from the very instant of its end.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> AlertStatus {
        if self.ends_at <= now {
            AlertStatus::Resolved
        } else {
            AlertStatus::Firing
        }
    }
}

/// The order of alerts in a notification and in lists.
pub fn sort_alerts(alerts: &mut [Alert]) {
    alerts.sort_by(|left, right| ListPlace::of(&left.labels).cmp(&ListPlace::of(&right.labels)));
}

/// The place of a label set in a list of alerts: by `job`, then `instance`, then the whole label set; alerts that lack one
/// of the two come behind those that have it (Alertmanager's order).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlace<'a> {
    job: (bool, &'a str),
    instance: (bool, &'a str),
    labels: &'a Labels,
}

impl<'a> ListPlace<'a> {
    #[must_use]
    pub fn of(labels: &'a Labels) -> Self {
        let part = |name| {
            let value = labels.value(name);
            (value.is_empty(), value)
        };
        Self {
            job: part("job"),
            instance: part("instance"),
            labels,
        }
    }
}

impl Ord for ListPlace<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.job, self.instance)
            .cmp(&(other.job, other.instance))
            .then_with(|| self.labels.set_order(other.labels))
    }
}

impl PartialOrd for ListPlace<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::ListPlace;
    use crate::labels::Labels;

    #[test]
    fn alerts_are_listed_by_job_and_instance_and_those_without_come_last() {
        let rows = [
            "job=w instance=b",
            "job=x instance=a",
            "job=x instance=b",
            "job=x z=1",
            "instance=a",
            "a=1",
            "a=2",
            "a=1 c=1",
            "a=1 b=1",
            "a=2 c=1",
        ];
        let labels =
            |row: &str| Labels::from_pairs(row.split(' ').filter_map(|pair| pair.split_once('=')));
        let mut sorted = rows;
        sorted.reverse();
        sorted.sort_by(|left, right| {
            ListPlace::of(&labels(left)).cmp(&ListPlace::of(&labels(right)))
        });
        assert_eq!(sorted, rows);
    }
}
