//! One aggregation group: its members and the time of its next flush.
//!
//! Deadlines come from data: the first flush is due `group_wait` after the earliest start among the members (at
//! the latest `group_wait` after the group's first alert arrived, at the earliest now), each further one exactly
//! `group_interval` after the one before, however long a delivery took or however late the timer was noticed.
use std::collections::BTreeSet;
use std::time::Duration;

use config::Route;
use model::{Fingerprint, Labels, Timestamp};

use crate::nflog::LogKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTiming {
    pub wait: Duration,
    pub interval: Duration,
}

impl GroupTiming {
    #[must_use]
    pub fn of(route: &Route) -> Self {
        Self {
            wait: route.group_wait,
            interval: route.group_interval,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Nothing was told yet: alerts are collected until `due`.
    Waiting {
        due: Timestamp,
    },
    Running {
        due: Timestamp,
    },
}

impl Schedule {
    #[must_use]
    pub fn due(self) -> Timestamp {
        match self {
            Self::Waiting { due } | Self::Running { due } => due,
        }
    }

    /// For a new group.
    #[must_use]
    pub fn starting(timing: GroupTiming, starts_at: Timestamp, now: Timestamp) -> Self {
        Self::Waiting {
            due: first_flush(timing, starts_at, now),
        }
    }

    /// For a group that was told at `told_at` by an earlier life of this process: the same grid goes on.
    #[must_use]
    pub fn resumed(timing: GroupTiming, told_at: Timestamp, now: Timestamp) -> Self {
        // An entry from the future (a clock that was set back) must not hold the group back.
        Self::Running {
            due: told_at.min(now) + timing.interval,
        }
    }

    /// After a reload: no flush is due later than the new timing would have it.
    #[must_use]
    pub fn with_timing(self, timing: GroupTiming, now: Timestamp) -> Self {
        match self {
            Self::Waiting { due } => Self::Waiting {
                due: due.min(now + timing.wait),
            },
            Self::Running { due } => Self::Running {
                due: due.min(now + timing.interval),
            },
        }
    }

    /// The flush of the latest place on the grid is done once more, at once: for whoever was not told by it.
    #[must_use]
    pub fn caught_up(self, timing: GroupTiming, now: Timestamp) -> Self {
        match self {
            Self::Running { due } if due > now => Self::Running {
                due: due - timing.interval,
            },
            Self::Running { .. } | Self::Waiting { .. } => self,
        }
    }
}

/// One flush, at its place on the group's grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub at: Timestamp,
    /// What it tells may take so long.
    pub until: Timestamp,
}

/// What a group remembers of what it holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    is_held: bool,
    early: Option<Timestamp>,
    told_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AggregationGroup {
    pub labels: Labels,
    /// The receiver's integrations, in its order.
    pub targets: Vec<LogKey>,
    members: BTreeSet<Fingerprint>,
    schedule: Schedule,
    /// Its number among all groups that the machine has begun.
    pub birth: u64,
    flushes: u64,
    /// Something is held back until an alert is heard of again: a repeat, or word of that alert.
    pub is_held: bool,
    /// A flush before the next place on the grid, which goes on as it was.
    early: Option<Timestamp>,
    told_at: Option<Timestamp>,
    /// The time intervals that muted the group's last flush.
    pub muted_by: Vec<String>,
}

impl AggregationGroup {
    #[must_use]
    pub fn new(labels: Labels, targets: Vec<LogKey>, schedule: Schedule) -> Self {
        Self {
            labels,
            targets,
            members: BTreeSet::new(),
            schedule,
            birth: 0,
            flushes: 0,
            is_held: false,
            early: None,
            told_at: None,
            muted_by: Vec::new(),
        }
    }

    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Of the next flush, on the grid or before it.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        let due = self.schedule.due();
        self.early.map_or(due, |early| early.min(due))
    }

    #[must_use]
    pub fn receiver(&self) -> &str {
        self.targets
            .first()
            .map_or("", |target| target.receiver.as_str())
    }

    /// So many have been due.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    #[must_use]
    pub fn members(&self) -> &BTreeSet<Fingerprint> {
        &self.members
    }

    /// Takes an alert in and says whether it is new here. An alert that started earlier than the others may bring
    /// the first flush forward.
    pub fn join(
        &mut self,
        fingerprint: Fingerprint,
        starts_at: Timestamp,
        timing: GroupTiming,
        now: Timestamp,
    ) -> bool {
        let new = self.members.insert(fingerprint);
        if let (true, Schedule::Waiting { due }) = (new, self.schedule) {
            self.schedule = Schedule::Waiting {
                due: due.min(first_flush(timing, starts_at, now)),
            };
        }
        new
    }

    /// What is no longer held back is told before the next place on the grid: at once, or `pause` after the group told
    /// something, where that is later.
    pub fn let_go(&mut self, pause: Duration, now: Timestamp) {
        let from = self.told_at.map_or(now, |told_at| told_at + pause);
        // A clock that was set back must not hold it back.
        let early = from.clamp(now, now + pause);
        self.early = match self.schedule {
            Schedule::Running { due } if early < due => {
                Some(self.early.map_or(early, |before| before.min(early)))
            }
            Schedule::Running { .. } | Schedule::Waiting { .. } => self.early,
        };
    }

    /// Something is told.
    pub fn note_told(&mut self, now: Timestamp) {
        self.told_at = Some(now);
    }

    /// The same group before a reload held something back, and told something.
    pub fn goes_on_from(&mut self, before: Held) {
        self.is_held |= before.is_held;
        self.early = before.early;
        self.told_at = before.told_at;
    }

    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            is_held: self.is_held,
            early: self.early,
            told_at: self.told_at,
        }
    }

    pub fn leave(&mut self, fingerprint: Fingerprint) -> bool {
        self.members.remove(&fingerprint)
    }

    /// The latest due flush, or `None` before its time. Flushes that were missed meanwhile are one flush, not a
    /// burst, and the grid stays where it was. An early one tells at its latest place, and what it tells has as long to
    /// arrive as with any other.
    pub fn take_slot(&mut self, timing: GroupTiming, now: Timestamp) -> Option<Slot> {
        if self.due() > now {
            return None;
        }
        self.early = None;
        self.flushes += 1;
        let interval = timing.interval.max(Duration::from_millis(1));
        let due = self.schedule.due();
        if due > now {
            return Some(Slot {
                at: due - interval,
                until: now + interval,
            });
        }
        let missed = now.saturating_since(due).as_millis() / interval.as_millis();
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        let at = due + interval.saturating_mul(missed);
        let next = at + interval;
        self.schedule = Schedule::Running { due: next };
        Some(Slot { at, until: next })
    }
}

fn first_flush(timing: GroupTiming, starts_at: Timestamp, now: Timestamp) -> Timestamp {
    (starts_at + timing.wait).clamp(now, now + timing.wait)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Fingerprint, Labels, Timestamp};
    use proptest::prelude::*;

    use super::{AggregationGroup, GroupTiming, Schedule};

    const TIMING: GroupTiming = GroupTiming {
        wait: Duration::from_secs(30),
        interval: Duration::from_secs(300),
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn group(starts_at: i64, now: i64) -> AggregationGroup {
        let schedule = Schedule::starting(TIMING, at(starts_at), at(now));
        let mut group = AggregationGroup::new(Labels::default(), Vec::new(), schedule);
        group.join(Fingerprint(1), at(starts_at), TIMING, at(now));
        group
    }

    #[test]
    fn the_first_flush_comes_group_wait_after_the_earliest_start() {
        for (starts_at, now, due) in [
            (1000, 1000, 1030),
            (998, 1000, 1028),
            // Old alerts are told at once, alerts of the future wait no longer than others.
            (0, 1000, 1000),
            (2000, 1000, 1030),
        ] {
            assert_eq!(
                group(starts_at, now).schedule().due(),
                at(due),
                "started {starts_at}, arrived {now}"
            );
        }
    }

    #[test]
    fn an_older_alert_brings_the_first_flush_forward_but_no_later_one() {
        let mut group = group(1000, 1000);
        group.join(Fingerprint(2), at(1010), TIMING, at(1010));
        assert_eq!(group.schedule().due(), at(1030));
        group.join(Fingerprint(3), at(985), TIMING, at(1010));
        assert_eq!(group.schedule().due(), at(1015));
        group.take_slot(TIMING, at(1015)).unwrap();
        group.join(Fingerprint(4), at(0), TIMING, at(1016));
        assert_eq!(group.schedule().due(), at(1315));
    }

    /// What is let go is told at once where the group has not just told something, and the grid stays where it was.
    #[test]
    fn what_is_let_go_leaves_the_grid_alone() {
        let pause = Duration::from_secs(200);
        // When it told something last, when it is let go; when that flush is due, its place on the grid, until when what it
        // tells may take, and when the next is due.
        for (told_at, let_go, due, place, until, next) in [
            (None, 1100, 1100, 1030, 1400, 1330),
            (Some(800), 1100, 1100, 1030, 1400, 1330),
            (Some(1030), 1100, 1230, 1030, 1530, 1330),
            // Soon enough by itself.
            (Some(1200), 1300, 1330, 1330, 1630, 1630),
            // Told by a clock that was ahead.
            (Some(9000), 1100, 1300, 1030, 1600, 1330),
        ] {
            let mut group = group(1000, 1000);
            group.take_slot(TIMING, at(1030)).unwrap();
            if let Some(told_at) = told_at {
                group.note_told(at(told_at));
            }
            group.let_go(pause, at(let_go));
            assert_eq!(group.due(), at(due), "{told_at:?}");
            let slot = group.take_slot(TIMING, at(due)).unwrap();
            assert_eq!((slot.at, slot.until), (at(place), at(until)), "{told_at:?}");
            assert_eq!(group.due(), at(next), "{told_at:?}");
        }
    }

    #[test]
    fn flushes_stay_on_their_grid() {
        let mut group = group(1000, 1000);
        assert_eq!(group.take_slot(TIMING, at(1029)), None);
        // Noticed 7 s late: the next one is not.
        let slot = group.take_slot(TIMING, at(1037)).unwrap();
        assert_eq!((slot.at, slot.until), (at(1030), at(1330)));
        assert_eq!(group.take_slot(TIMING, at(1037)), None);
        // Three intervals behind: one flush, at the latest slot.
        let slot = group.take_slot(TIMING, at(1330 + 3 * 300 + 5)).unwrap();
        assert_eq!((slot.at, slot.until), (at(2230), at(2530)));
        assert_eq!(group.take_slot(TIMING, at(2235)), None);
    }

    #[test]
    fn a_resumed_group_keeps_its_grid() {
        for (told_at, now, slot) in [
            (1030, 1100, None),
            (1030, 1330, Some(1330)),
            (1030, 1331, Some(1330)),
            (1030, 2000, Some(1930)),
            // The clock was set back by hours: the next flush is one interval away.
            (9000, 1000, None),
        ] {
            let schedule = Schedule::resumed(TIMING, at(told_at), at(now));
            let mut group = AggregationGroup::new(Labels::default(), Vec::new(), schedule);
            let taken = group.take_slot(TIMING, at(now)).map(|slot| slot.at);
            assert_eq!(taken, slot.map(at), "told {told_at}, now {now}");
            assert!(group.schedule().due() <= at(now) + TIMING.interval);
        }
    }

    proptest! {
        /// However late a timer is noticed: the places of all flushes lie on one grid, each comes once and in its time, and
        /// the next one is less than an interval away.
        #[test]
        fn flushes_lie_on_one_grid_and_come_once(
            starts_at in 0_i64..2000,
            late in prop::collection::vec(0_i64..1000, 1..20),
        ) {
            let mut group = group(starts_at, 1000);
            let first = group.schedule().due();
            let (mut now, mut last) = (at(1000), None);
            for late in late {
                now = now + Duration::from_secs(late.unsigned_abs());
                let due = group.schedule().due();
                let Some(slot) = group.take_slot(TIMING, now) else {
                    prop_assert!(due > now);
                    continue;
                };
                prop_assert!(due <= now && due <= slot.at && slot.at <= now && now < slot.until);
                prop_assert_eq!(slot.until, slot.at + TIMING.interval);
                prop_assert_eq!(group.schedule().due(), slot.until);
                let off = slot.at.saturating_since(first).as_secs() % TIMING.interval.as_secs();
                prop_assert!(slot.at >= first && off == 0);
                prop_assert!(last < Some(slot.at));
                last = Some(slot.at);
            }
        }

        /// In whatever order alerts join before the first flush: it is due `group_wait` after the earliest start, but neither
        /// before they came nor later than `group_wait` after.
        #[test]
        fn the_first_flush_does_not_depend_on_the_order_of_alerts(
            starts in prop::collection::vec(900_i64..1100, 1..6),
        ) {
            let joined = |starts: &[i64]| {
                let mut joined = group(starts[0], 1000);
                for (number, start) in (2..).zip(starts) {
                    joined.join(Fingerprint(number), at(*start), TIMING, at(1000));
                }
                joined.schedule().due()
            };
            let mut turned = starts.clone();
            turned.reverse();
            let earliest = at(*starts.iter().min().unwrap());
            let due = joined(&starts);
            prop_assert_eq!(due, joined(&turned));
            prop_assert_eq!(due, (earliest + TIMING.wait).clamp(at(1000), at(1030)));
        }

        /// A reload, and what is let go, put no flush off; what is let go is due now and leaves the grid where it was.
        #[test]
        fn nothing_puts_a_flush_off(
            due in 1000_i64..2000,
            is_running: bool,
            wait in 0_u64..600,
            interval in 1_u64..600,
        ) {
            let timing = GroupTiming {
                wait: Duration::from_secs(wait),
                interval: Duration::from_secs(interval),
            };
            let now = at(1000);
            let before = if is_running {
                Schedule::Running { due: at(due) }
            } else {
                Schedule::Waiting { due: at(due) }
            };
            let reloaded = before.with_timing(timing, now);
            let most = if is_running { timing.interval } else { timing.wait };
            prop_assert_eq!(reloaded.due(), at(due).min(now + most));
            let let_go = reloaded.caught_up(timing, now);
            prop_assert!(let_go.due() <= reloaded.due());
            if is_running {
                prop_assert!(let_go.due() <= now);
                let moved = reloaded.due().saturating_since(let_go.due());
                prop_assert!(moved.is_zero() || moved == timing.interval);
            } else {
                prop_assert_eq!(let_go, reloaded);
            }
        }
    }
}
