//! The alerts of one tenant, each merged with what was known of it.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use config::RouteIndex;
use model::{Alert, AlertStatus, Fingerprint, Timestamp};

#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    pub alert: Arc<Alert>,
    /// How the notification log knows it.
    pub hash: u64,
    /// The routes that match it, in tree order.
    pub routes: Arc<[RouteIndex]>,
    /// Aggregation groups that hold it. What a group holds is not collected.
    pub memberships: u32,
    pub standing: Standing,
}

/// How well it is known that an alert fires. Whoever speaks of it confirms it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Confirmed,
    /// Its time was up while nobody could repeat it. It was given more ([`AlertStore::stop_time`]); whether it fires
    /// is not known before somebody says so again.
    Revived,
    /// Another Alertmanager's later word speaks against what is known here, that it fires or that it is over
    /// (`handover`): nothing is said of it before it is heard of again, or [`AlertStore::waits`] no longer.
    Doubtful,
}

/// What another Alertmanager's log makes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Nothing,
    Doubtful,
    Over(Timestamp),
}

/// Which alerts another Alertmanager's log has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenOver {
    pub changed: Vec<Arc<Alert>>,
    pub doubtful: Vec<Fingerprint>,
}

impl StoredAlert {
    /// Resolved, and nobody is to be told of it any more.
    #[must_use]
    pub(crate) fn is_garbage(&self, now: Timestamp) -> bool {
        self.memberships == 0 && self.alert.status(now) == AlertStatus::Resolved
    }
}

/// A later word on an alert that changes nothing but how long it lasts: what a sender's repetition mostly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub fingerprint: Fingerprint,
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    pub timeout: bool,
}

/// What a posted alert changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Changed(Arc<Alert>),
    Extended(Extension),
    /// It is about an earlier activity, which is over.
    Outdated,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertStore {
    alerts: BTreeMap<Fingerprint, StoredAlert>,
    /// When those that may be forgotten were looked for last.
    collected_at: Option<Timestamp>,
    wait: Option<Wait>,
}

/// After a handover: whoever repeats an alert is heard by its end.
#[derive(Clone, Debug, PartialEq)]
struct Wait {
    until: Timestamp,
    /// By their hashes, all alerts of which there has been word here. What the log names besides may still be heard of.
    known: Arc<BTreeSet<u64>>,
    /// Since when the process lives that waits.
    since: Timestamp,
}

/// A process that waits gives a sign so often, and one that gave none is taken to have lived for so long: else one that
/// crashes again and again before it gives any would wait for ever.
pub(crate) const LIVED_UNSEEN: Duration = Duration::from_secs(1);

impl AlertStore {
    /// From `now` on what nobody has spoken of since the handover is waited for until then.
    pub fn wait_until(&mut self, until: Timestamp, now: Timestamp) {
        match &mut self.wait {
            Some(wait) => {
                wait.until = until;
                wait.since = now;
            }
            None => {
                let known = self.alerts.values().map(|stored| stored.hash).collect();
                let known = Arc::new(known);
                self.wait = Some(Wait {
                    until,
                    known,
                    since: now,
                });
            }
        }
    }

    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.wait.as_ref().map(|wait| wait.until)
    }

    /// Whether what was not heard of yet may still be.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.waits_until().is_some_and(|until| now < until)
    }

    /// While it waits, the hashes of all alerts of which there has been word here.
    #[must_use]
    pub(crate) fn known_in_wait(&self, now: Timestamp) -> Option<Arc<BTreeSet<u64>>> {
        let wait = self.wait.as_ref().filter(|wait| now < wait.until)?;
        Some(Arc::clone(&wait.known))
    }

    /// No wait is longer than `wait_max` from now, whatever the clock did. Answers whether it has ended since it was asked last.
    pub(crate) fn end_wait(&mut self, wait_max: Duration, now: Timestamp) -> bool {
        if let Some(wait) = &mut self.wait {
            wait.until = wait.until.min(now + wait_max);
        }
        self.wait.take_if(|wait| wait.until <= now).is_some()
    }

    /// A doubtful alert is waited for: a log that says nothing of it is an older release's, or its end is torn off.
    #[must_use]
    pub(crate) fn lacks_wait(&self) -> bool {
        let mut alerts = self.alerts.values();
        self.wait.is_none() && alerts.any(|stored| stored.standing == Standing::Doubtful)
    }

    /// Whether an alert fires so surely that it may keep others quiet.
    #[must_use]
    pub fn inhibits(&self, fingerprint: Fingerprint, now: Timestamp) -> bool {
        self.get(fingerprint).is_some_and(|stored| {
            stored.alert.status(now) == AlertStatus::Firing
                && match stored.standing {
                    Standing::Confirmed | Standing::Revived => true,
                    Standing::Doubtful => self.waits(now),
                }
        })
    }

    #[must_use]
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&StoredAlert> {
        self.alerts.get(&fingerprint)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// In the order of fingerprints.
    pub fn iter(&self) -> impl Iterator<Item = (Fingerprint, &StoredAlert)> {
        self.alerts
            .iter()
            .map(|(fingerprint, stored)| (*fingerprint, stored))
    }

    /// Takes an alert in. One that overlaps with what is known is merged with it, another replaces it.
    /// `route` finds the routes of an alert that is not known yet.
    pub fn put(
        &mut self,
        alert: Alert,
        now: Timestamp,
        route: impl FnOnce(&Alert) -> Arc<[RouteIndex]>,
    ) -> (Fingerprint, Change) {
        let fingerprint = alert.fingerprint();
        let Some(stored) = self.alerts.get_mut(&fingerprint) else {
            let alert = Arc::new(alert);
            self.insert(Arc::clone(&alert), route(&alert));
            return (fingerprint, Change::Changed(alert));
        };
        let known = &stored.alert;
        if is_outdated(known, stored.standing, &alert, now) {
            return (fingerprint, Change::Outdated);
        }
        stored.standing = Standing::Confirmed;
        let alert = if overlaps(known, &alert) {
            merge(known, alert, now)
        } else {
            alert
        };
        let extends = known.starts_at == alert.starts_at
            && known.annotations == alert.annotations
            && known.generator_url == alert.generator_url
            && known.status(now) == alert.status(now);
        let extension = Extension {
            fingerprint,
            ends_at: alert.ends_at,
            updated_at: alert.updated_at,
            timeout: alert.timeout,
        };
        if extends {
            extend(stored, extension);
            (fingerprint, Change::Extended(extension))
        } else {
            stored.alert = Arc::new(alert);
            (fingerprint, Change::Changed(Arc::clone(&stored.alert)))
        }
    }

    /// Puts back what was stored; a later record of the same alert stands for the whole of it.
    pub fn restore(&mut self, alert: Alert) {
        self.insert(Arc::new(alert), Arc::default());
    }

    /// An extension of an alert that is not known says nothing: the alert was collected after it.
    pub fn restore_extension(&mut self, extension: Extension) {
        if let Some(stored) = self.alerts.get_mut(&extension.fingerprint) {
            stored.standing = Standing::Confirmed;
            extend(stored, extension);
        }
    }

    /// Nobody could repeat an alert from `since` until `now`: what was left of its time then is left of it now, up to
    /// `stretch_max`.
    pub fn stop_time(&mut self, since: Timestamp, now: Timestamp, stretch_max: Duration) {
        if let Some(wait) = self.wait.as_mut().filter(|wait| since < wait.until) {
            let was_seen = wait.since < since;
            let lived_until = if was_seen {
                since
            } else {
                since + LIVED_UNSEEN
            };
            wait.until = wait.until + now.saturating_since(lived_until);
            wait.since = now;
        }
        for stored in self.alerts.values_mut() {
            if stored.alert.status(since) == AlertStatus::Resolved {
                continue;
            }
            if stored.standing == Standing::Confirmed
                && stored.alert.status(now) == AlertStatus::Resolved
            {
                stored.standing = Standing::Revived;
            }
            let left = stored.alert.ends_at.saturating_since(since);
            let alert = Arc::make_mut(&mut stored.alert);
            alert.ends_at = alert.ends_at.max(now + left.min(stretch_max));
        }
    }

    /// Puts back how well it is known that an alert fires; of one that is not known it says nothing.
    pub fn restore_standing(&mut self, fingerprint: Fingerprint, standing: Standing) {
        if let Some(stored) = self.alerts.get_mut(&fingerprint) {
            stored.standing = standing;
        }
    }

    /// Takes over what another Alertmanager's log makes of each alert.
    pub fn take_over(&mut self, said: &BTreeMap<Fingerprint, Elsewhere>) -> TakenOver {
        let mut taken_over = TakenOver::default();
        for (fingerprint, said) in said {
            let Some(stored) = self.alerts.get_mut(fingerprint) else {
                continue;
            };
            match *said {
                Elsewhere::Nothing => {}
                Elsewhere::Doubtful => {
                    stored.standing = Standing::Doubtful;
                    taken_over.doubtful.push(*fingerprint);
                }
                Elsewhere::Over(at) => {
                    Arc::make_mut(&mut stored.alert).ends_at = at;
                    stored.standing = Standing::Confirmed;
                    taken_over.changed.push(Arc::clone(&stored.alert));
                }
            }
        }
        taken_over
    }

    /// Moves times of alerts; nothing else of them may change.
    pub fn retime(&mut self, mut retime: impl FnMut(&mut Alert)) {
        for stored in self.alerts.values_mut() {
            retime(Arc::make_mut(&mut stored.alert));
        }
    }

    /// For a new routing tree: nobody is a member of anything.
    pub fn reroute(&mut self, mut route: impl FnMut(&Alert) -> Arc<[RouteIndex]>) {
        for stored in self.alerts.values_mut() {
            stored.routes = route(&stored.alert);
            stored.memberships = 0;
        }
    }

    pub fn joined(&mut self, fingerprint: Fingerprint) {
        if let Some(stored) = self.alerts.get_mut(&fingerprint) {
            stored.memberships += 1;
        }
    }

    pub fn left(&mut self, fingerprint: Fingerprint) {
        if let Some(stored) = self.alerts.get_mut(&fingerprint) {
            stored.memberships = stored.memberships.saturating_sub(1);
        }
    }

    /// Forgets what is resolved and in no group; answers which alerts those were.
    pub fn collect_garbage(&mut self, now: Timestamp) -> Vec<(Fingerprint, Arc<Alert>)> {
        self.collected_at = Some(now);
        let mut collected = Vec::new();
        self.alerts.retain(|fingerprint, stored| {
            let garbage = stored.is_garbage(now);
            if garbage {
                collected.push((*fingerprint, Arc::clone(&stored.alert)));
            }
            !garbage
        });
        collected
    }

    #[must_use]
    pub fn collected_at(&self) -> Option<Timestamp> {
        self.collected_at
    }

    fn insert(&mut self, alert: Arc<Alert>, routes: Arc<[RouteIndex]>) {
        let stored = StoredAlert {
            hash: alert.labels.xxhash64(),
            routes,
            memberships: 0,
            standing: Standing::Confirmed,
            alert,
        };
        if let Some(wait) = &mut self.wait {
            Arc::make_mut(&mut wait.known).insert(stored.hash);
        }
        self.alerts.insert(stored.alert.fingerprint(), stored);
    }
}

fn extend(stored: &mut StoredAlert, extension: Extension) {
    let alert = Arc::make_mut(&mut stored.alert);
    alert.ends_at = extension.ends_at;
    alert.updated_at = extension.updated_at;
    alert.timeout = extension.timeout;
}

/// Whether a sender still speaks of an activity that was over before the one began that goes on: several senders do not
/// see a new firing at the same instant. An end without a beginning is about whatever goes on. What is over here, and
/// began again elsewhere, did so after the end that is known.
fn is_outdated(known: &Alert, standing: Standing, new: &Alert, now: Timestamp) -> bool {
    let began_after = match (known.status(now), standing) {
        (AlertStatus::Firing, _) => known.starts_at,
        (AlertStatus::Resolved, Standing::Doubtful) => known.ends_at,
        (AlertStatus::Resolved, Standing::Confirmed | Standing::Revived) => return false,
    };
    new.status(now) == AlertStatus::Resolved
        && new.starts_at < new.ends_at
        && new.ends_at <= began_after
}

/// Whether an end of the new activity lies strictly inside the known one.
fn overlaps(known: &Alert, new: &Alert) -> bool {
    let inside = |instant: Timestamp| known.starts_at < instant && instant < known.ends_at;
    inside(new.ends_at) || inside(new.starts_at)
}

/// Alertmanager's merge: the later word wins, the activity starts where either started, and an end that
/// somebody named outlives an end that was only assumed.
fn merge(known: &Alert, new: Alert, now: Timestamp) -> Alert {
    let (older, mut newer) = if new.updated_at < known.updated_at {
        (&new.clone(), known.clone())
    } else {
        (known, new)
    };
    newer.starts_at = newer.starts_at.min(older.starts_at);
    let keep_end = match newer.status(now) {
        AlertStatus::Resolved => {
            older.status(now) == AlertStatus::Resolved && older.ends_at > newer.ends_at
        }
        AlertStatus::Firing => older.ends_at > newer.ends_at && !older.timeout,
    };
    if keep_end {
        newer.ends_at = older.ends_at;
    }
    newer
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::{Alert, Labels, Timestamp};

    use super::{AlertStore, Change, merge};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() + minutes * 60_000)
    }

    /// Starts and ends in minutes from now; `updated` orders who speaks later.
    fn alert(start: i64, end: i64, timeout: bool, updated: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "Down")]),
            annotations: Labels::default(),
            starts_at: minutes(start),
            ends_at: minutes(end),
            updated_at: minutes(updated),
            generator_url: String::new(),
            timeout,
        }
    }

    #[test]
    fn merges_as_alertmanagers_table_says() {
        const T: bool = true;
        const F: bool = false;
        #[rustfmt::skip]
        let rows = [
            ((-2, 2, T), (-1, 3, T), (-2, 3, T)),
            ((-1, 3, T), (0, 2, F), (-1, 2, F)),
            ((-1, 3, F), (0, 2, T), (-1, 3, T)),
            ((-1, 3, F), (0, 2, F), (-1, 3, F)),
            ((-1, 3, F), (-1, 4, F), (-1, 4, F)),
            ((-3, -1, F), (-2, 1, F), (-3, 1, F)),
            ((-2, 3, F), (-2, 0, F), (-2, 0, F)),
            ((-3, -1, F), (-4, -2, F), (-4, -1, F)),
        ];
        for (a, b, merged) in rows {
            let older = alert(a.0, a.1, a.2, -2);
            let newer = alert(b.0, b.1, b.2, -1);
            let expected = alert(merged.0, merged.1, merged.2, -1);
            assert_eq!(merge(&older, newer.clone(), NOW), expected, "{a:?} {b:?}");
            assert_eq!(merge(&newer, older, NOW), expected, "{b:?} {a:?}, turned");
        }
    }

    #[test]
    fn an_alert_that_does_not_overlap_replaces() {
        let mut store = AlertStore::default();
        store.put(alert(-10, -5, false, -5), NOW, |_| Arc::default());
        store.put(alert(-3, 5, false, 0), NOW, |_| Arc::default());
        let fingerprint = alert(0, 0, false, 0).fingerprint();
        let stored = store.get(fingerprint).unwrap();
        assert_eq!(*stored.alert, alert(-3, 5, false, 0));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_repetition_is_an_extension() {
        let mut store = AlertStore::default();
        let (_, first) = store.put(alert(-3, 2, true, -1), NOW, |_| Arc::default());
        assert!(matches!(first, Change::Changed(_)));
        let (_, second) = store.put(alert(-3, 5, true, 0), NOW, |_| Arc::default());
        assert!(matches!(second, Change::Extended(_)), "{second:?}");
        let (_, resolved) = store.put(alert(-3, 0, false, 0), NOW, |_| Arc::default());
        assert!(matches!(resolved, Change::Changed(_)), "{resolved:?}");
    }

    #[test]
    fn garbage_is_what_is_resolved_and_in_no_group() {
        let mut store = AlertStore::default();
        let (fingerprint, _) = store.put(alert(-3, 5, false, 0), NOW, |_| Arc::default());
        store.joined(fingerprint);
        assert!(store.collect_garbage(NOW).is_empty());
        let later = NOW + Duration::from_secs(600);
        assert!(store.collect_garbage(later).is_empty(), "a group holds it");
        store.left(fingerprint);
        assert_eq!(store.collect_garbage(later).len(), 1);
        assert!(store.is_empty());
    }
}
