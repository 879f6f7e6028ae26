//! What readers see: everything as it stood at one instant, never changed afterwards.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Alert, AlertStatus, Fingerprint, Labels, Timestamp, by_job_and_instance};
use notifiers_core::GroupKey;

use crate::dispatch::Dispatcher;
use crate::mute::{AlertMutes, Mutes};
use crate::policy::Policy;
use crate::silence::{Silence, SilenceState, Silences};

#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub at: Timestamp,
    /// What fires, in the order of fingerprints.
    pub alerts: Vec<Arc<AlertView>>,
    /// By group labels (fewer first, then label by label), then by receiver.
    pub groups: Vec<GroupView>,
    /// As configured, also those that no route uses.
    pub receivers: Vec<ReceiverView>,
    /// Also those that have ended and are not yet forgotten.
    pub silences: Vec<Silence>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    pub fingerprint: Fingerprint,
    pub alert: Arc<Alert>,
    /// Of each route that matches, in tree order; a receiver may come twice.
    pub receivers: Vec<String>,
    pub mutes: AlertMutes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    pub key: Arc<GroupKey>,
    pub labels: Labels,
    pub receiver: String,
    /// The route's own labels; their values are templates.
    pub route_labels: Labels,
    /// The time intervals that muted the last flush.
    pub muted_by: Vec<String>,
    pub next_flush: Timestamp,
    /// What fires, in the order of a notification.
    pub alerts: Vec<Arc<AlertView>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverView {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// How much there is, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Firing alerts that nothing mutes.
    pub active: usize,
    /// Firing alerts that a silence or another alert keeps quiet.
    pub suppressed: usize,
    pub groups: usize,
    /// Firing alerts of each group that has any: those that nothing mutes, and the others. An alert may be in several.
    pub by_group: BTreeMap<Arc<GroupKey>, GroupTally>,
    /// Pending, active, expired.
    pub silences: [usize; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTally {
    pub active: usize,
    pub suppressed: usize,
}

impl Tally {
    /// Adds what another tenant has. Groups of one key are counted together.
    pub fn add(&mut self, other: Self) {
        self.active += other.active;
        self.suppressed += other.suppressed;
        self.groups += other.groups;
        for (sum, count) in self.silences.iter_mut().zip(other.silences) {
            *sum += count;
        }
        for (key, of_group) in other.by_group {
            let sum = self.by_group.entry(key).or_default();
            sum.active += of_group.active;
            sum.suppressed += of_group.suppressed;
        }
    }

    #[must_use]
    pub(crate) fn new(
        mutes: &Mutes<'_>,
        groups: &Dispatcher,
        silences: &Silences,
        by_group: bool,
    ) -> Self {
        let mut tally = Self {
            groups: groups.len(),
            ..Self::default()
        };
        let mut muted = BTreeSet::new();
        for (fingerprint, stored) in mutes.alerts.iter() {
            match stored.alert.status(mutes.now) {
                AlertStatus::Resolved => {}
                AlertStatus::Firing if mutes.of(fingerprint, &stored.alert).is_muted() => {
                    tally.suppressed += 1;
                    muted.insert(fingerprint);
                }
                AlertStatus::Firing => tally.active += 1,
            }
        }
        if by_group {
            for (id, group) in groups.iter() {
                for fingerprint in group.members() {
                    let fires = mutes.alerts.get(*fingerprint).is_some_and(|stored| {
                        stored.alert.status(mutes.now) == AlertStatus::Firing
                    });
                    if fires {
                        let of_group = tally.by_group.entry(Arc::clone(&id.key)).or_default();
                        if muted.contains(fingerprint) {
                            of_group.suppressed += 1;
                        } else {
                            of_group.active += 1;
                        }
                    }
                }
            }
        }
        for silence in silences.iter() {
            let state = match silence.state(mutes.now) {
                SilenceState::Pending => 0,
                SilenceState::Active => 1,
                SilenceState::Expired => 2,
            };
            tally.silences[state] += 1;
        }
        tally
    }
}

impl View {
    #[must_use]
    pub fn new(
        policy: &Policy,
        mutes: &Mutes<'_>,
        groups: &Dispatcher,
        silences: &Silences,
    ) -> Self {
        let alerts: BTreeMap<Fingerprint, Arc<AlertView>> = mutes
            .alerts
            .iter()
            .filter(|(_, stored)| stored.alert.status(mutes.now) == AlertStatus::Firing)
            .map(|(fingerprint, stored)| {
                let receivers = stored
                    .routes
                    .iter()
                    .map(|route| policy.route(*route).receiver.clone())
                    .collect();
                let view = AlertView {
                    fingerprint,
                    alert: Arc::clone(&stored.alert),
                    receivers,
                    mutes: mutes.of(fingerprint, &stored.alert),
                };
                (fingerprint, Arc::new(view))
            })
            .collect();
        let mut groups: Vec<GroupView> = groups
            .iter()
            .map(|(id, group)| {
                let mut members: Vec<Arc<AlertView>> = group
                    .members()
                    .iter()
                    .filter_map(|fingerprint| alerts.get(fingerprint).cloned())
                    .collect();
                members.sort_by(|left, right| {
                    by_job_and_instance(&left.alert.labels, &right.alert.labels)
                });
                GroupView {
                    key: Arc::clone(&id.key),
                    labels: group.labels.clone(),
                    receiver: policy.route(id.route).receiver.clone(),
                    route_labels: policy.route_labels(id.route),
                    muted_by: group.muted_by.clone(),
                    next_flush: group.schedule().due(),
                    alerts: members,
                }
            })
            .collect();
        groups.sort_by(|left, right| {
            left.labels
                .set_order(&right.labels)
                .then_with(|| left.receiver.cmp(&right.receiver))
        });
        Self {
            at: mutes.now,
            alerts: alerts.into_values().collect(),
            groups,
            receivers: policy
                .config
                .receivers
                .iter()
                .map(|receiver| ReceiverView {
                    name: receiver.name.clone(),
                    labels: receiver.labels.clone(),
                })
                .collect(),
            silences: silences.iter().cloned().collect(),
        }
    }
}
