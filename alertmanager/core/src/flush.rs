//! What a group holds at one flush, and the notification that an integration gets of it.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, AlertStatus, Labels, Timestamp, sort_alerts};
use notifiers_core::{Notification, NotificationReason};

use crate::dedup::{FlushHashes, Told, firing_after, resolved_after, uncertain_after};
use crate::delivery::Message;
use crate::dispatch::GroupId;
use crate::group::{AggregationGroup, Slot};
use crate::hashes::AlertHashes;
use crate::interval::IntervalMute;
use crate::mute::{MuteReason, Mutes};
use crate::policy::Policy;
use crate::silence::SilencesAsked;
use crate::store::Standing;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flush {
    pub group_labels: Labels,
    pub slot: Slot,
    /// When the group was looked at: what fires and what is resolved is judged here.
    pub judged_at: Timestamp,
    pub hashes: FlushHashes,
    pub muted_counts: BTreeMap<MuteReason, usize>,
    pub silences_asked: SilencesAsked,
    pub muted: Vec<(MuteReason, Arc<Alert>)>,
    /// Of what fires, at least one alert was said to do so by somebody within its time.
    pub is_confirmed: bool,
    firing: Vec<Arc<Alert>>,
    /// With the hash by which the log knows each.
    resolved: Vec<(u64, Arc<Alert>)>,
    /// As `resolved`; those that fire as far as is known here.
    doubtful: Vec<(u64, Arc<Alert>)>,
}

impl Flush {
    #[must_use]
    pub(crate) fn new(
        group: &AggregationGroup,
        slot: Slot,
        interval: Option<&IntervalMute>,
        mutes: &Mutes<'_>,
    ) -> Self {
        let (mut firing, mut resolved, mut muted) = (Vec::new(), Vec::new(), Vec::new());
        let (mut is_confirmed, mut doubtful) = (false, Vec::new());
        let (mut firing_hashes, mut muted_hashes) = (Vec::new(), Vec::new());
        let mut doubtful_hashes = Vec::new();
        let mut muted_counts = BTreeMap::new();
        let mut silences_asked = SilencesAsked::default();
        let members = group
            .members()
            .iter()
            .filter_map(|fingerprint| Some((*fingerprint, mutes.alerts.get(*fingerprint)?)));
        let known = mutes.alerts.known_in_wait(mutes.now);
        for (fingerprint, stored) in members {
            let status = stored.alert.status(mutes.now);
            if known.is_some()
                && status == AlertStatus::Resolved
                && stored.standing == Standing::Doubtful
            {
                doubtful_hashes.push(stored.hash);
            } else if status == AlertStatus::Resolved {
                resolved.push((stored.hash, Arc::clone(&stored.alert)));
            } else if let Some(reason) =
                mutes.reason(fingerprint, &stored.alert, interval, &mut silences_asked)
            {
                *muted_counts.entry(reason).or_default() += 1;
                muted_hashes.push(stored.hash);
                muted.push((reason, Arc::clone(&stored.alert)));
            } else {
                match stored.standing {
                    Standing::Doubtful => {
                        doubtful_hashes.push(stored.hash);
                        doubtful.push((stored.hash, Arc::clone(&stored.alert)));
                        if known.is_none() {
                            muted_hashes.push(stored.hash);
                        }
                        continue;
                    }
                    Standing::Confirmed => is_confirmed = true,
                    Standing::Revived => {}
                }
                firing_hashes.push(stored.hash);
                firing.push(Arc::clone(&stored.alert));
            }
        }
        Self {
            group_labels: group.labels.clone(),
            slot,
            judged_at: mutes.now,
            hashes: FlushHashes {
                at: slot.at,
                firing: firing_hashes.into_iter().collect(),
                muted: muted_hashes.into_iter().collect(),
                resolved: resolved.iter().map(|(hash, _)| *hash).collect(),
                doubtful: doubtful_hashes.into_iter().collect(),
                known,
            },
            muted_counts,
            silences_asked,
            muted,
            is_confirmed,
            firing,
            resolved,
            doubtful,
        }
    }

    /// As it is for one integration: whoever never heard of a doubtful alert was not told by another Alertmanager either,
    /// and for it the alert fires as far as anybody knows.
    #[must_use]
    pub(crate) fn for_integration(&self, told: Told<'_>) -> Cow<'_, Self> {
        let is_news = |hash: u64| !told.as_firing(hash) && !told.as_over(hash);
        let news = self.doubtful.iter().filter(|(hash, _)| is_news(*hash));
        let (hashes, alerts): (Vec<u64>, Vec<Arc<Alert>>) = news.cloned().unzip();
        if alerts.is_empty() {
            return Cow::Borrowed(self);
        }
        let hashes: AlertHashes = hashes.into_iter().collect();
        let mut own = self.clone();
        own.firing.extend(alerts);
        own.hashes.firing = own.hashes.firing.union(&hashes);
        own.hashes.muted = own.hashes.muted.without(&hashes);
        own.hashes.doubtful = own.hashes.doubtful.without(&hashes);
        Cow::Owned(own)
    }

    /// Whether one of the alerts ended later than `instant`.
    #[must_use]
    pub(crate) fn any_ended_after(&self, instant: Timestamp, hashes: &AlertHashes) -> bool {
        self.resolved
            .iter()
            .any(|(hash, alert)| hashes.contains(*hash) && alert.ends_at > instant)
    }

    /// What an integration is to be told: what fires, and what is resolved of that which it knows as firing,
    /// where it wants to hear of it. `expires_in` is how long the log keeps the entry.
    #[must_use]
    pub(crate) fn message(
        &self,
        policy: &Policy,
        id: &GroupId,
        told: Told<'_>,
        send_resolved: bool,
        reason: NotificationReason,
        expires_in: Duration,
    ) -> Message {
        let resolved = self
            .resolved
            .iter()
            .filter(|(hash, _)| send_resolved && told.as_firing(*hash))
            .map(|(_, alert)| alert);
        let mut alerts: Vec<Alert> = self
            .firing
            .iter()
            .chain(resolved)
            .map(|alert| (**alert).clone())
            .collect();
        sort_alerts(&mut alerts);
        let firing = firing_after(told, &self.hashes);
        let ended = told
            .entry
            .map(|entry| entry.firing.without(&firing))
            .unwrap_or_default();
        Message {
            notification: Notification {
                receiver: policy.route(id.route).receiver.clone(),
                group_key: (*id.key).clone(),
                group_labels: self.group_labels.clone(),
                route_labels: policy.route_labels(id.route),
                alerts,
                reason,
                at: self.judged_at,
                external_url: policy.external_url.clone(),
            },
            slot: self.slot,
            uncertain_after: uncertain_after(told, &self.hashes, &firing),
            firing,
            resolved: resolved_after(told, &self.hashes),
            ended,
            memory: told
                .entry
                .map(|entry| entry.memory.clone())
                .unwrap_or_default(),
            expires_in,
            recorded: None,
        }
    }
}
