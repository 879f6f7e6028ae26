//! Whose attempt may begin when many are due at once, all tenants of a process together.
//!
//! Each integration has a lane with a share of its own, so that one that hangs leaves the others, and their dead man's
//! switch, theirs. Beyond it a lane borrows from what all lanes have in common: an integration that answers gets as much
//! as there is, and one that hangs never all of it. A tenant may borrow as much as is left for the others, and a lane of
//! a tenant as much as is left after all that its tenant has borrowed: so one lane alone gets a third, and each further
//! one a part of the rest, however many hang already.
//!
//! Where attempts wait, what is news goes before ends and ends before repeats; then those go first that have waited in
//! vain before, so that alerts behind a receiver that hangs for some groups only are told all the same.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use model::TenantId;
use notifiers_core::NotificationReason;

use crate::nflog::LogKey;

/// What one integration may always have under way, as long as the process has room at all.
const OWN_MAX: usize = 16;

/// One integration of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    tenant: TenantId,
    receiver: String,
    integration: String,
    index: u32,
}

impl Lane {
    #[must_use]
    pub fn of(tenant: &TenantId, key: &LogKey) -> Self {
        Self {
            tenant: tenant.clone(),
            receiver: key.receiver.clone(),
            integration: key.integration.clone(),
            index: key.index,
        }
    }
}

/// Earlier ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    class: Class,
    turns_missed: Reverse<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    News,
    End,
    Repeat,
}

impl Urgency {
    /// `turns_missed`: so often it waited in vain.
    #[must_use]
    pub fn of(reason: NotificationReason, turns_missed: u32) -> Self {
        Self {
            class: match reason {
                NotificationReason::FirstNotification | NotificationReason::NewAlertsAdded => {
                    Class::News
                }
                NotificationReason::AllAlertsResolved | NotificationReason::SomeAlertsResolved => {
                    Class::End
                }
                NotificationReason::RepeatIntervalElapsed => Class::Repeat,
            },
            turns_missed: Reverse(turns_missed),
        }
    }
}

/// Names an attempt that waits; later ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TurnId(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It may begin, and [`Turns::end`] is due when it has ended.
    Granted,
    /// [`Turns::end`] of another attempt will name it, unless [`Turns::leave`] comes first.
    Waits(TurnId),
}

/// Attempts under way and attempts that wait. Half of the room can be borrowed; the other half is there for what lanes
/// have of their own.
#[derive(Clone, Debug)]
pub struct Turns {
    under_way_max: usize,
    under_way: usize,
    /// Beyond lanes' own shares, all tenants together.
    borrowed: usize,
    borrowed_by: BTreeMap<TenantId, usize>,
    lanes: BTreeMap<Lane, LaneUse>,
    /// Lanes where somebody waits.
    waiting: BTreeSet<Lane>,
    turn_next: u64,
}

#[derive(Clone, Debug, Default)]
struct LaneUse {
    under_way: usize,
    waiting: BTreeSet<(Urgency, TurnId)>,
}

impl Turns {
    /// `under_way_max`: attempts of the whole process; 1 at least.
    #[must_use]
    pub fn new(under_way_max: usize) -> Self {
        Self {
            under_way_max: under_way_max.max(1),
            under_way: 0,
            borrowed: 0,
            borrowed_by: BTreeMap::new(),
            lanes: BTreeMap::new(),
            waiting: BTreeSet::new(),
            turn_next: 0,
        }
    }

    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Asks for a turn. Nobody overtakes those who wait in the same lane but by being more urgent.
    pub fn ask(&mut self, lane: &Lane, urgency: Urgency) -> Asked {
        if !self.waiting.contains(lane) && self.admits(lane) {
            self.begin(lane);
            return Asked::Granted;
        }
        let id = TurnId(self.turn_next);
        self.turn_next += 1;
        let used = self.lanes.entry(lane.clone()).or_default();
        used.waiting.insert((urgency, id));
        self.waiting.insert(lane.clone());
        Asked::Waits(id)
    }

    /// An attempt waits no longer. Nothing where it has been granted its turn meanwhile.
    pub fn leave(&mut self, lane: &Lane, urgency: Urgency, id: TurnId) {
        if let Some(used) = self.lanes.get_mut(lane) {
            used.waiting.remove(&(urgency, id));
            self.tidy(lane);
        }
    }

    /// An attempt has ended; answers who may begin now.
    pub fn end(&mut self, lane: &Lane) -> Vec<TurnId> {
        let Some(used) = self.lanes.get_mut(lane) else {
            return Vec::new();
        };
        if used.under_way > OWN_MAX {
            self.borrowed -= 1;
            if let Some(borrowed) = self.borrowed_by.get_mut(&lane.tenant) {
                *borrowed -= 1;
                if *borrowed == 0 {
                    self.borrowed_by.remove(&lane.tenant);
                }
            }
        }
        used.under_way -= 1;
        self.under_way -= 1;
        self.tidy(lane);
        let mut granted = Vec::new();
        while let Some((lane, urgency, id)) = self.next() {
            if let Some(used) = self.lanes.get_mut(&lane) {
                used.waiting.remove(&(urgency, id));
            }
            self.begin(&lane);
            self.tidy(&lane);
            granted.push(id);
        }
        granted
    }

    /// Of all lanes that may go on the one that uses its own share; then the most urgent attempt, then the oldest.
    fn next(&self) -> Option<(Lane, Urgency, TurnId)> {
        let may_begin = self.waiting.iter().filter(|lane| self.admits(lane));
        let first = may_begin.filter_map(|lane| {
            let used = self.lanes.get(lane)?;
            let (urgency, id) = used.waiting.first()?;
            Some((used.under_way >= OWN_MAX, *urgency, *id, lane))
        });
        let (_, urgency, id, lane) =
            first.min_by_key(|(borrows, urgency, id, _)| (*borrows, *urgency, *id))?;
        Some((lane.clone(), urgency, id))
    }

    fn admits(&self, lane: &Lane) -> bool {
        if self.under_way >= self.under_way_max {
            return false;
        }
        let under_way = self.lanes.get(lane).map_or(0, |used| used.under_way);
        let Some(borrowed) = under_way.checked_sub(OWN_MAX) else {
            return true;
        };
        let by_tenant = self.borrowed_by.get(&lane.tenant).copied().unwrap_or(0);
        let left = (self.under_way_max / 2).saturating_sub(self.borrowed);
        by_tenant < left && borrowed < left - by_tenant
    }

    fn begin(&mut self, lane: &Lane) {
        let used = self.lanes.entry(lane.clone()).or_default();
        used.under_way += 1;
        self.under_way += 1;
        if used.under_way > OWN_MAX {
            self.borrowed += 1;
            *self.borrowed_by.entry(lane.tenant.clone()).or_default() += 1;
        }
    }

    /// Lanes that nobody uses leave nothing behind.
    fn tidy(&mut self, lane: &Lane) {
        let Some(used) = self.lanes.get(lane) else {
            return;
        };
        if used.waiting.is_empty() {
            self.waiting.remove(lane);
            if used.under_way == 0 {
                self.lanes.remove(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use notifiers_core::{GroupKey, NotificationReason};
    use proptest::prelude::*;

    use super::{Asked, Lane, OWN_MAX, TurnId, Turns, Urgency};
    use crate::nflog::LogKey;

    const FIRST: NotificationReason = NotificationReason::FirstNotification;
    const REPEAT: NotificationReason = NotificationReason::RepeatIntervalElapsed;
    const RESOLVED: NotificationReason = NotificationReason::AllAlertsResolved;

    fn lane(tenant: &str, receiver: &str) -> Lane {
        let key = LogKey {
            group_key: GroupKey::from_text(String::new()),
            receiver: receiver.to_owned(),
            integration: "webhook".to_owned(),
            index: 0,
        };
        Lane::of(&TenantId::parse(tenant).unwrap(), &key)
    }

    fn news() -> Urgency {
        Urgency::of(FIRST, 0)
    }

    /// So many begin out of very many that are due at once.
    fn begun(turns: &mut Turns, lane: &Lane) -> usize {
        let mut begun = 0;
        while turns.ask(lane, news()) == Asked::Granted {
            begun += 1;
        }
        begun
    }

    /// Lanes that hang, one after the other, with what each gets: a lane alone a third of what can be borrowed, and
    /// whoever comes last at least its own share.
    #[test]
    fn whoever_hangs_leaves_the_others_their_share() {
        let own = OWN_MAX;
        let tenants: [&[(&str, &str, usize)]; 4] = [
            &[
                ("t", "a", own + 1000),
                ("t", "b", own + 333),
                ("t", "c", own + 111),
            ],
            &[("t", "a", own + 1000), ("u", "a", own + 666)],
            &[
                ("t", "a", own + 1000),
                ("u", "a", own + 666),
                ("v", "a", own + 444),
            ],
            &[
                ("t", "a", own + 1000),
                ("t", "b", own + 333),
                ("u", "a", own + 555),
            ],
        ];
        for row in tenants {
            let mut turns = Turns::new(6000);
            for (tenant, receiver, expected) in row {
                let got = begun(&mut turns, &lane(tenant, receiver));
                assert!(
                    got.abs_diff(*expected) <= 1,
                    "{row:?}: {tenant} {receiver} got {got}"
                );
            }
            // A hundred lanes later there is still one's own.
            for number in 0..100 {
                let got = begun(&mut turns, &lane("t", &number.to_string()));
                assert!(got >= own, "{row:?}: lane {number} got {got}");
            }
        }
    }

    #[test]
    fn the_process_has_a_bound_past_which_everybody_waits() {
        let mut turns = Turns::new(40);
        assert_eq!(begun(&mut turns, &lane("t", "a")), OWN_MAX + 7);
        assert_eq!(begun(&mut turns, &lane("t", "b")), OWN_MAX + 1);
        assert_eq!(begun(&mut turns, &lane("t", "c")), 0);
        assert_eq!(turns.under_way(), 40);
        // What ends makes room for whoever has less than its own share, although others have waited for longer.
        let granted = turns.end(&lane("t", "a"));
        assert_eq!(granted.len(), 1);
        assert_eq!(turns.lanes[&lane("t", "c")].under_way, 1);
    }

    #[test]
    fn news_goes_before_ends_and_ends_before_repeats_and_who_missed_a_turn_before_who_did_not() {
        let (mut turns, own) = (Turns::new(1), lane("t", "a"));
        assert_eq!(turns.ask(&own, news()), Asked::Granted);
        let waits = [
            ("repeat", REPEAT, 0),
            ("repeat that missed", REPEAT, 3),
            ("end", RESOLVED, 0),
            ("first", FIRST, 0),
            ("later first", FIRST, 0),
            ("first that missed", FIRST, 1),
            ("gone", FIRST, 9),
        ];
        let mut names: Vec<(TurnId, &str)> = Vec::new();
        for (name, reason, missed) in waits {
            let urgency = Urgency::of(reason, missed);
            let Asked::Waits(id) = turns.ask(&own, urgency) else {
                panic!("there is no room")
            };
            names.push((id, name));
            if name == "gone" {
                turns.leave(&own, urgency, id);
            }
        }
        let mut order = Vec::new();
        loop {
            let granted = turns.end(&own);
            let Some(id) = granted.first() else { break };
            assert_eq!(granted.len(), 1);
            order.extend(
                names
                    .iter()
                    .filter(|(own, _)| own == id)
                    .map(|(_, name)| *name),
            );
        }
        assert_eq!(
            order,
            [
                "first that missed",
                "first",
                "later first",
                "end",
                "repeat that missed",
                "repeat"
            ]
        );
        assert!(turns.lanes.is_empty() && turns.waiting.is_empty());
    }

    proptest! {
        /// Whatever comes and ends: no bound is broken, and nobody waits who could begin.
        #[test]
        fn nobody_waits_without_need(
            under_way_max in 1_usize..80,
            steps in prop::collection::vec((0_u8..3, 0_usize..6), 0..400),
        ) {
            let lanes: Vec<Lane> = [("t", "a"), ("t", "b"), ("u", "a"), ("u", "b"), ("v", "a"), ("v", "b")]
                .map(|(tenant, receiver)| lane(tenant, receiver))
                .into();
            let mut turns = Turns::new(under_way_max);
            let mut waiting: Vec<(TurnId, usize)> = Vec::new();
            let mut under_way = [0_usize; 6];
            for (step, at) in steps {
                match step {
                    0 | 1 => match turns.ask(&lanes[at], news()) {
                        Asked::Granted => under_way[at] += 1,
                        Asked::Waits(id) => waiting.push((id, at)),
                    },
                    _ if under_way[at] > 0 => {
                        under_way[at] -= 1;
                        for id in turns.end(&lanes[at]) {
                            let place = waiting.iter().position(|(own, _)| *own == id).unwrap();
                            under_way[waiting.remove(place).1] += 1;
                        }
                    }
                    _ => {
                        if let Some(place) = waiting.iter().position(|(_, own)| *own == at) {
                            turns.leave(&lanes[at], news(), waiting.remove(place).0);
                        }
                    }
                }
                let all: usize = under_way.iter().sum();
                let borrowed: usize = under_way.iter().map(|own| own.saturating_sub(OWN_MAX)).sum();
                prop_assert_eq!(turns.under_way(), all);
                prop_assert_eq!(turns.borrowed, borrowed);
                prop_assert!(all <= under_way_max && borrowed <= under_way_max / 2);
                for (_, at) in &waiting {
                    prop_assert!(!turns.admits(&lanes[*at]), "lane {} waits without need", at);
                }
            }
        }
    }
}
