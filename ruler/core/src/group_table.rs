//! The groups of a tenant, and which of them is due first.
use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;

use crate::group_state::GroupState;
use crate::rule::GroupKey;

#[derive(Debug, Default)]
pub(crate) struct GroupTable {
    groups: BTreeMap<GroupKey, GroupState>,
    /// Each group that is not running, by its next slot.
    due: BTreeSet<(Timestamp, GroupKey)>,
}

/// A group whose iteration has begun.
#[derive(Debug)]
pub(crate) struct StartedGroup {
    pub(crate) group: GroupKey,
    pub(crate) at: Timestamp,
    pub(crate) missed: u64,
}

impl GroupTable {
    pub(crate) fn insert(&mut self, state: GroupState) {
        let key = state.group.key.clone();
        if let Some(due_at) = state.due_at() {
            self.due.insert((due_at, key.clone()));
        }
        self.groups.insert(key, state);
    }

    pub(crate) fn remove(&mut self, key: &GroupKey) -> Option<GroupState> {
        let state = self.groups.remove(key)?;
        if let Some(due_at) = state.due_at() {
            self.due.remove(&(due_at, key.clone()));
        }
        Some(state)
    }

    pub(crate) fn get(&self, key: &GroupKey) -> Option<&GroupState> {
        self.groups.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &GroupKey) -> Option<&mut GroupState> {
        self.groups.get_mut(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupKey, &GroupState)> {
        self.groups.iter()
    }

    /// Starts the group that is due first, if its slot has come.
    pub(crate) fn start_next(&mut self, now: Timestamp) -> Option<StartedGroup> {
        if self.next_due()? > now {
            return None;
        }
        let (_, group) = self.due.pop_first()?;
        let (at, missed) = self.groups.get_mut(&group)?.start(now)?;
        Some(StartedGroup { group, at, missed })
    }

    /// The group's iteration has ended: it is due again.
    pub(crate) fn rest(&mut self, key: &GroupKey) {
        if let Some(due_at) = self.groups.get(key).and_then(GroupState::due_at) {
            self.due.insert((due_at, key.clone()));
        }
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due_at, _)| *due_at)
    }
}
