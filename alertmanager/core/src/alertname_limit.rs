//! `--alerts.per-alertname-limit`: one rule that went wild leaves the other rules' alerts their room.
use std::collections::{BTreeMap, BTreeSet};

use model::{Alert, AlertStatus, Fingerprint, Labels, Timestamp};

const ALERTNAME: &str = "alertname";

/// Alerts by name, where they are counted at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertnameLimit {
    /// 0: nothing is counted.
    max: usize,
    by_name: BTreeMap<String, OfName>,
}

/// The alerts of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfName {
    ends: BTreeMap<Fingerprint, Timestamp>,
    /// Those that fired when they were counted last: how many fire is known without looking at each.
    firing: BTreeSet<(Timestamp, Fingerprint)>,
}

impl AlertnameLimit {
    #[must_use]
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            by_name: BTreeMap::new(),
        }
    }

    /// Whether an alert fits beside those of its name that fire. One that is known always does, and one that is over
    /// takes nobody's place.
    #[must_use]
    pub(crate) fn admits(&mut self, alert: &Alert, now: Timestamp) -> bool {
        if self.max == 0 || alert.status(now) == AlertStatus::Resolved {
            return true;
        }
        let Some(of_name) = self.by_name.get_mut(alert.labels.value(ALERTNAME)) else {
            return true;
        };
        of_name.ends.contains_key(&alert.fingerprint()) || of_name.count_firing(now) < self.max
    }

    /// A known alert lasts until `ends_at`.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, labels: &Labels, ends_at: Timestamp) {
        if self.max == 0 {
            return;
        }
        let name = labels.value(ALERTNAME);
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.to_owned(), OfName::default());
        }
        if let Some(of_name) = self.by_name.get_mut(name) {
            if let Some(before) = of_name.ends.insert(fingerprint, ends_at) {
                of_name.firing.remove(&(before, fingerprint));
            }
            of_name.firing.insert((ends_at, fingerprint));
        }
    }

    pub(crate) fn remove(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        let name = labels.value(ALERTNAME);
        if let Some(of_name) = self.by_name.get_mut(name) {
            if let Some(ends_at) = of_name.ends.remove(&fingerprint) {
                of_name.firing.remove(&(ends_at, fingerprint));
            }
            if of_name.ends.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    #[must_use]
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl OfName {
    fn count_firing(&mut self, now: Timestamp) -> usize {
        while self.firing.first().is_some_and(|(end, _)| *end <= now) {
            self.firing.pop_first();
        }
        self.firing.len()
    }
}

#[cfg(test)]
mod tests {
    use model::{Alert, Labels, Timestamp};

    use super::AlertnameLimit;

    fn alert(name: &str, number: usize, ends_at: i64) -> Alert {
        let number = number.to_string();
        Alert {
            labels: Labels::from_pairs([("alertname", name), ("number", &number)]),
            annotations: Labels::default(),
            starts_at: Timestamp::from_secs(0),
            ends_at: Timestamp::from_secs(ends_at),
            updated_at: Timestamp::from_secs(0),
            generator_url: String::new(),
            timeout: false,
        }
    }

    fn insert(limit: &mut AlertnameLimit, alert: &Alert) {
        limit.insert(alert.fingerprint(), &alert.labels, alert.ends_at);
    }

    #[test]
    fn those_that_fire_are_counted_by_their_name() {
        let mut limit = AlertnameLimit::new(2);
        let (first, second) = (alert("Wild", 1, 100), alert("Wild", 2, 200));
        insert(&mut limit, &first);
        insert(&mut limit, &second);
        let mut admits = |what: &Alert, now: i64| limit.admits(what, Timestamp::from_secs(now));
        let new = alert("Wild", 3, 1000);
        assert!(!admits(&new, 99));
        assert!(admits(&first, 99), "it is known");
        assert!(admits(&alert("Calm", 3, 1000), 99), "another name");
        assert!(admits(&alert("Wild", 3, 50), 99), "it is over");
        assert!(admits(&new, 100), "one has ended");
        // It fires again.
        insert(&mut limit, &alert("Wild", 1, 300));
        assert!(!limit.admits(&new, Timestamp::from_secs(150)));
        limit.remove(second.fingerprint(), &second.labels);
        assert!(limit.admits(&new, Timestamp::from_secs(150)));
    }
}
