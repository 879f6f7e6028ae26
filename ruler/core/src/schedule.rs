//! When a group is evaluated: at slots of its own, an interval apart.
//!
//! The slots are shifted by a hash of tenant, file and group, so that groups do not all fall due together, and every
//! process and every restart finds the same ones.
use std::time::Duration;

use model::{TenantId, Timestamp};
use xxhash_rust::xxh64::Xxh64;

use crate::rule::GroupKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Milliseconds, at least 1.
    interval: i64,
    /// Milliseconds, less than the interval.
    shift: i64,
}

/// The slot that is due, and how many passed unused before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueSlot {
    pub at: Timestamp,
    pub missed: u64,
}

impl Slots {
    #[must_use]
    pub fn new(tenant: &TenantId, group: &GroupKey, interval: Duration) -> Self {
        let mut hash = Xxh64::new(0);
        for part in [tenant.as_str(), &group.file, &group.name] {
            hash.update(part.as_bytes());
            // A byte that no UTF-8 text holds keeps the parts apart.
            hash.update(&[0xff]);
        }
        // The hash stays as it is for good: another one would move every slot, and with it every written sample.
        let interval = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let shift = (hash.digest() % interval.unsigned_abs()).cast_signed();
        Self { interval, shift }
    }

    #[must_use]
    pub fn at_or_before(self, now: Timestamp) -> Timestamp {
        let since = now.as_millis().saturating_sub(self.shift);
        Timestamp::from_millis(since - since.rem_euclid(self.interval) + self.shift)
    }

    /// The first slot after `now`.
    #[must_use]
    pub fn after(self, now: Timestamp) -> Timestamp {
        self.next(self.at_or_before(now))
    }

    /// The slot after the slot `at`.
    #[must_use]
    pub fn next(self, at: Timestamp) -> Timestamp {
        at + Duration::from_millis(self.interval.unsigned_abs())
    }

    /// The latest slot at `now`, when the one that waits is `waiting`; those between were missed.
    #[must_use]
    pub fn due(self, waiting: Timestamp, now: Timestamp) -> Option<DueSlot> {
        let latest = self.at_or_before(now);
        let behind = latest.as_millis().saturating_sub(waiting.as_millis());
        (waiting <= now).then(|| DueSlot {
            at: latest.max(waiting),
            missed: (behind / self.interval).max(0).unsigned_abs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{TenantId, Timestamp};

    use super::{DueSlot, Slots};
    use crate::rule::GroupKey;

    fn slots(group: &str, secs: u64) -> Slots {
        Slots::new(
            &TenantId::anonymous(),
            &GroupKey::new("rules.yml", group),
            Duration::from_secs(secs),
        )
    }

    #[test]
    fn a_groups_slots_are_an_interval_apart_and_always_the_same() {
        let slots = slots("web", 30);
        let first = slots.after(Timestamp::from_secs(1_000_000));
        assert!(first > Timestamp::from_secs(1_000_000));
        assert!(first <= Timestamp::from_secs(1_000_030));
        assert_eq!(slots.at_or_before(first), first);
        assert_eq!(slots.after(first), first + Duration::from_secs(30));
        for millis in [1, 14_999, 29_999] {
            let now = first + Duration::from_millis(millis);
            assert_eq!(slots.at_or_before(now), first);
            assert_eq!(slots.after(now), first + Duration::from_secs(30));
        }
        // Written down: a change would move the samples of every installation.
        assert_eq!(first.as_millis().rem_euclid(30_000), 12_268);
    }

    #[test]
    fn groups_spread_over_the_interval() {
        let mut tenths = [0_u32; 10];
        for group in 0..1000 {
            let shift = slots(&format!("group-{group}"), 60).shift;
            tenths[usize::try_from(shift / 6000).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| *count > 60), "{tenths:?}");
    }

    #[test]
    fn late_slots_are_counted_and_the_latest_is_used() {
        let slots = slots("web", 30);
        let first = slots.after(Timestamp::from_secs(1_000_000));
        let at = |secs| first + Duration::from_secs(secs);
        let due = |secs, missed| {
            Some(DueSlot {
                at: at(secs),
                missed,
            })
        };
        for (now, expected) in [
            (first - Duration::from_millis(1), None),
            (first, due(0, 0)),
            (at(29), due(0, 0)),
            (at(30), due(30, 1)),
            (at(95), due(90, 3)),
        ] {
            assert_eq!(slots.due(first, now), expected, "{now}");
        }
    }
}
