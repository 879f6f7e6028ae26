//! `--alerts.per-alertname-limit`: one rule that went wild leaves the other rules' alerts their room.
use std::collections::{BTreeMap, BTreeSet};

use model::{Alert, AlertStatus, Fingerprint, Labels, Timestamp};

use crate::store::AlertStore;

const ALERTNAME: &str = "alertname";

/// Alerts by name, where they are counted at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertnameLimit {
    /// 0: nothing is counted.
    max: usize,
    known: BTreeMap<String, BTreeSet<Fingerprint>>,
}

impl AlertnameLimit {
    #[must_use]
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            known: BTreeMap::new(),
        }
    }

    /// Whether an alert fits beside those of its name that fire. One that is known always does, and one that is over
    /// takes nobody's place.
    #[must_use]
    pub(crate) fn admits(&self, alert: &Alert, alerts: &AlertStore, now: Timestamp) -> bool {
        if self.max == 0 || alert.status(now) == AlertStatus::Resolved {
            return true;
        }
        let Some(known) = self.known.get(alert.labels.value(ALERTNAME)) else {
            return true;
        };
        known.contains(&alert.fingerprint())
            || known
                .iter()
                .filter_map(|fingerprint| alerts.get(*fingerprint))
                .filter(|stored| stored.alert.status(now) == AlertStatus::Firing)
                .count()
                < self.max
    }

    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        if self.max > 0 {
            self.known
                .entry(labels.value(ALERTNAME).to_owned())
                .or_default()
                .insert(fingerprint);
        }
    }

    pub(crate) fn remove(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        let name = labels.value(ALERTNAME);
        if let Some(known) = self.known.get_mut(name) {
            known.remove(&fingerprint);
            if known.is_empty() {
                self.known.remove(name);
            }
        }
    }

    #[must_use]
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}
