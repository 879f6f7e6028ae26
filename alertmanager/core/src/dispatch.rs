//! The aggregation groups of one tenant, and whose flush is due.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::RouteIndex;
use model::{Alert, Fingerprint, Timestamp};
use notifiers_core::GroupKey;

use crate::group::{AggregationGroup, GroupTiming, Held, Schedule, Slot};
use crate::nflog::LogKey;
use crate::policy::Policy;

/// Ordered by key, so that equal deadlines fire in key order. Sibling routes with equal matchers share a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    pub key: Arc<GroupKey>,
    pub route: RouteIndex,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dispatcher {
    groups: BTreeMap<GroupId, AggregationGroup>,
    due: BTreeSet<(Timestamp, GroupId)>,
    /// Groups that have begun.
    births: u64,
}

impl Dispatcher {
    #[must_use]
    pub fn get(&self, id: &GroupId) -> Option<&AggregationGroup> {
        self.groups.get(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&GroupId, &AggregationGroup)> {
        self.groups.iter()
    }

    /// The group that a log key is about.
    #[must_use]
    pub fn find(&self, key: &LogKey) -> Option<&GroupId> {
        let first = GroupId {
            key: Arc::new(key.group_key.clone()),
            route: RouteIndex(0),
        };
        self.groups
            .range(first..)
            .take_while(|(id, _)| *id.key == key.group_key)
            .find(|(_, group)| group.targets.contains(key))
            .map(|(id, _)| id)
    }

    /// Which group of a route an alert belongs to.
    #[must_use]
    pub fn id(policy: &Policy, route: RouteIndex, alert: &Alert) -> GroupId {
        let route_settings = policy.route(route);
        let labels = route_settings.group_by.group_labels(&alert.labels);
        GroupId {
            key: Arc::new(GroupKey::new(&route_settings.key, &labels)),
            route,
        }
    }

    /// Puts an alert into its group and says whether it is new there. `schedule` begins a group that does not
    /// exist yet.
    pub fn join(
        &mut self,
        policy: &Policy,
        id: &GroupId,
        alert: &Alert,
        schedule: impl FnOnce(GroupTiming, &[LogKey]) -> Schedule,
        now: Timestamp,
    ) -> bool {
        let route = policy.route(id.route);
        let timing = GroupTiming::of(route);
        if !self.groups.contains_key(id) {
            let targets = policy.targets(id.route, &id.key);
            let schedule = schedule(timing, &targets);
            let labels = route.group_by.group_labels(&alert.labels);
            self.due.insert((schedule.due(), id.clone()));
            let mut group = AggregationGroup::new(labels, targets, schedule);
            self.births += 1;
            group.birth = self.births;
            self.groups.insert(id.clone(), group);
        }
        let Some(group) = self.groups.get_mut(id) else {
            return false;
        };
        let before = group.due();
        let new = group.join(alert.fingerprint(), alert.starts_at, timing, now);
        let after = group.due();
        if before != after {
            self.due.remove(&(before, id.clone()));
            self.due.insert((after, id.clone()));
        }
        new
    }

    /// Takes an alert out. A group that has become empty ends at once, its timer with it.
    pub fn leave(&mut self, id: &GroupId, fingerprint: Fingerprint) -> bool {
        let Some(group) = self.groups.get_mut(id) else {
            return false;
        };
        let left = group.leave(fingerprint);
        if group.members().is_empty() {
            self.due.remove(&(group.due(), id.clone()));
            self.groups.remove(id);
        }
        left
    }

    /// The group whose flush is due first, with the flush's place on its grid.
    pub fn take_due(&mut self, policy: &Policy, now: Timestamp) -> Option<(GroupId, Slot)> {
        let (due, _) = self.due.first()?;
        if *due > now {
            return None;
        }
        let (_, id) = self.due.pop_first()?;
        let group = self.groups.get_mut(&id)?;
        let timing = GroupTiming::of(policy.route(id.route));
        let slot = group.take_slot(timing, now)?;
        self.due.insert((group.due(), id.clone()));
        Some((id, slot))
    }

    pub fn set_held(&mut self, id: &GroupId, is_held: bool) {
        if let Some(group) = self.groups.get_mut(id) {
            group.is_held = is_held;
        }
    }

    /// What was held back is due. Whoever repeats alerts does not repeat all at once: what comes after the group has told
    /// something waits for the next flush, as what is new does, but not for longer than for an alert that nobody repeats.
    pub fn let_go(&mut self, policy: &Policy, id: &GroupId, now: Timestamp) {
        let pause_max = policy.config.global.resolve_timeout;
        let pause = pause_max.min(policy.route(id.route).group_interval);
        self.reschedule(id, |group| {
            if group.is_held {
                group.let_go(pause, now);
            }
        });
    }

    /// What any group holds back is due.
    pub fn let_all_go(&mut self, policy: &Policy, now: Timestamp) {
        let held = self.groups.iter().filter(|(_, group)| group.is_held);
        let held: Vec<GroupId> = held.map(|(id, _)| id.clone()).collect();
        for id in held {
            self.let_go(policy, &id, now);
        }
    }

    pub fn note_told(&mut self, id: &GroupId, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(id) {
            group.note_told(now);
        }
    }

    /// After a reload: what the groups of before held back they hold back still.
    pub fn go_on_from(&mut self, schedules: &Schedules) {
        let of = |(id, group): (&GroupId, &AggregationGroup)| {
            let before = schedules.before(&id.key, group.receiver())?;
            Some((id.clone(), before.1))
        };
        let held: Vec<(GroupId, Held)> = self.groups.iter().filter_map(of).collect();
        for (id, before) in held {
            self.reschedule(&id, |group| group.goes_on_from(before));
        }
    }

    fn reschedule(&mut self, id: &GroupId, change: impl FnOnce(&mut AggregationGroup)) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let before = group.due();
        change(group);
        let after = group.due();
        if before != after {
            self.due.remove(&(before, id.clone()));
            self.due.insert((after, id.clone()));
        }
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    pub fn set_muted_by(&mut self, id: &GroupId, muted_by: &[String]) {
        if let Some(group) = self.groups.get_mut(id)
            && group.muted_by != muted_by
        {
            group.muted_by = muted_by.to_vec();
        }
    }

    /// Takes every group down and answers the schedules by which those that come back go on. The receivers in `anew`
    /// tell otherwise than before.
    pub fn take_schedules(&mut self, anew: BTreeSet<String>) -> Schedules {
        let mut schedules = Schedules {
            by_key: BTreeMap::new(),
            anew,
        };
        for (id, group) in std::mem::take(&mut self.groups) {
            let receiver = group.receiver().to_owned();
            schedules
                .by_key
                .entry((id.key.as_str().to_owned(), receiver))
                .or_insert((group.schedule(), group.held()));
        }
        self.due.clear();
        schedules
    }
}

/// The schedules of groups from before a reload, and what they hold back. A route that moved keeps its groups' timers.
#[derive(Clone, Debug, Default)]
pub struct Schedules {
    by_key: BTreeMap<(String, String), (Schedule, Held)>,
    anew: BTreeSet<String>,
}

impl Schedules {
    fn before(&self, key: &GroupKey, receiver: &str) -> Option<(Schedule, Held)> {
        let key = (key.as_str().to_owned(), receiver.to_owned());
        self.by_key.get(&key).copied()
    }

    /// How a group that was there before the reload goes on.
    #[must_use]
    pub fn get(
        &self,
        key: &GroupKey,
        receiver: &str,
        timing: GroupTiming,
        now: Timestamp,
    ) -> Option<Schedule> {
        let (schedule, _) = self.before(key, receiver)?;
        let schedule = schedule.with_timing(timing, now);
        // Whoever could not be told may be told now, and whoever is new knows nothing yet.
        Some(if self.anew.contains(receiver) {
            schedule.caught_up(timing, now)
        } else {
            schedule
        })
    }
}
