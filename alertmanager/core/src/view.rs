//! What readers see: everything as it stood at one instant, never changed afterwards.
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::RouteIndex;
use model::{Alert, AlertStatus, Fingerprint, Labels, Timestamp};
use notifiers_core::GroupKey;

use crate::dispatch::Dispatcher;
use crate::mute::{AlertMutes, Mutes};
use crate::policy::Policy;
use crate::silence::{Silence, SilenceState, Silences};

#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub at: Timestamp,
    /// What fires, in the order of fingerprints.
    pub alerts: Vec<AlertView>,
    /// In no order that means anything.
    pub groups: Vec<GroupView>,
    /// As configured, also those that no route uses.
    pub receivers: Vec<ReceiverView>,
    /// Also those that have ended and are not yet forgotten.
    pub silences: Vec<Arc<Silence>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    pub fingerprint: Fingerprint,
    pub alert: Arc<Alert>,
    /// Of each route that matches, in tree order; a receiver may come twice.
    pub receivers: Arc<[Arc<str>]>,
    pub mutes: AlertMutes,
}

impl GroupView {
    /// How readers list groups: by labels (fewer first, then label by label), then by receiver.
    #[must_use]
    pub fn list_order(&self, other: &Self) -> Ordering {
        self.labels
            .set_order(&other.labels)
            .then_with(|| self.receiver.cmp(&other.receiver))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    pub key: Arc<GroupKey>,
    pub labels: Labels,
    pub receiver: Arc<str>,
    /// The route's own labels; their values are templates.
    pub route_labels: Labels,
    /// The time intervals that muted the last flush.
    pub muted_by: Vec<String>,
    pub next_flush: Timestamp,
    /// Places among the view's alerts.
    members: Vec<u32>,
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
        let mut routes = RouteViews::new(policy);
        let mut alerts: Vec<AlertView> = Vec::with_capacity(mutes.alerts.len());
        for (fingerprint, stored) in mutes.alerts.iter() {
            if stored.alert.status(mutes.now) == AlertStatus::Firing {
                alerts.push(AlertView {
                    fingerprint,
                    alert: Arc::clone(&stored.alert),
                    receivers: routes.receivers(&stored.routes),
                    mutes: mutes.of(fingerprint, &stored.alert),
                });
            }
        }
        let place = |fingerprint: &Fingerprint| {
            let place = alerts.binary_search_by_key(fingerprint, |alert| alert.fingerprint);
            place.ok().and_then(|place| u32::try_from(place).ok())
        };
        let groups = groups.iter().map(|(id, group)| {
            let route = routes.route(id.route);
            GroupView {
                key: Arc::clone(&id.key),
                labels: group.labels.clone(),
                receiver: Arc::clone(&route.receiver),
                route_labels: route.labels.clone(),
                muted_by: group.muted_by.clone(),
                next_flush: group.due(),
                members: group.members().iter().filter_map(place).collect(),
            }
        });
        let receivers = policy.config.receivers.iter().map(|receiver| ReceiverView {
            name: receiver.name.clone(),
            labels: receiver.labels.clone(),
        });
        Self {
            at: mutes.now,
            groups: groups.collect(),
            alerts,
            receivers: receivers.collect(),
            silences: silences.shared().cloned().collect(),
        }
    }

    /// The alerts of one of this view's groups, in the order of fingerprints.
    pub fn members(&self, group: &GroupView) -> impl Iterator<Item = &AlertView> {
        let places = group.members.iter();
        places.filter_map(|place| self.alerts.get(*place as usize))
    }
}

/// What a view says of routes: once for each route, not for each alert.
struct RouteViews<'a> {
    policy: &'a Policy,
    routes: BTreeMap<RouteIndex, RouteView>,
    receivers: BTreeMap<Arc<[RouteIndex]>, Arc<[Arc<str>]>>,
}

#[derive(Clone)]
struct RouteView {
    receiver: Arc<str>,
    labels: Labels,
}

impl<'a> RouteViews<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            routes: BTreeMap::new(),
            receivers: BTreeMap::new(),
        }
    }

    fn route(&mut self, route: RouteIndex) -> &RouteView {
        let policy = self.policy;
        self.routes.entry(route).or_insert_with(|| RouteView {
            receiver: policy.route(route).receiver.as_str().into(),
            labels: policy.route_labels(route),
        })
    }

    fn receivers(&mut self, routes: &Arc<[RouteIndex]>) -> Arc<[Arc<str>]> {
        if let Some(receivers) = self.receivers.get(routes) {
            return Arc::clone(receivers);
        }
        let receivers = routes
            .iter()
            .map(|route| Arc::clone(&self.route(*route).receiver));
        let receivers: Arc<[Arc<str>]> = receivers.collect();
        self.receivers
            .insert(Arc::clone(routes), Arc::clone(&receivers));
        receivers
    }
}
