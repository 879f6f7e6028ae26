//! The notification log: what each integration of each receiver was last told about each group.
//!
//! An entry is a last-writer-wins register with a total order, so that peers which hear the same entries in
//! different order agree for good. Entries that are past their expiry are dropped by [`Nflog::collect_garbage`], never
//! inside the merge: a merge that looked at the clock would not commute.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::Timestamp;
use notifiers_core::{GroupKey, Memory, Remembered};

use crate::hashes::AlertHashes;

/// Whom an entry is about; printed `groupKey:receiver/integration/index`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    pub group_key: GroupKey,
    pub receiver: String,
    /// The kind's name: `webhook`, `pagerduty`, …
    pub integration: String,
    /// Counts within receiver and kind.
    pub index: u32,
}

impl fmt::Display for LogKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}/{}/{}",
            self.group_key.as_str(),
            self.receiver,
            self.integration,
            self.index
        )
    }
}

/// So often a clock may be set back between two writings of the file, and what it holds is known again.
const AHEAD_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The scheduled instant of the flush that was told. Neither the length of a delivery nor a late timer moves
    /// it, so the next repeat is due on the group's own grid.
    pub at: Timestamp,
    pub expires_at: Timestamp,
    pub firing: AlertHashes,
    pub resolved: AlertHashes,
    pub memory: Memory,
}

impl Entry {
    /// Later time, then later expiry, then larger content wins.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.at
            .cmp(&other.at)
            .then_with(|| self.expires_at.cmp(&other.expires_at))
            .then_with(|| self.firing.cmp(&other.firing))
            .then_with(|| self.resolved.cmp(&other.resolved))
            .then_with(|| compare_memories(&self.memory, &other.memory))
            .is_gt()
    }
}

/// How long an entry is kept.
///
/// Alertmanager forgets after the shorter of retention and twice the repeat interval, so a repeat interval beyond
/// the retention repeats at every retention instead. Here an entry outlives the repeat for which it is needed.
#[must_use]
pub(crate) fn lifetime(
    retention: Duration,
    repeat_interval: Duration,
    group_interval: Duration,
) -> Duration {
    let short = retention.min(repeat_interval.saturating_mul(2));
    let needed = repeat_interval.saturating_add(group_interval.saturating_mul(2));
    short.max(needed)
}

/// One integration's entry, and since when it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub entry: Entry,
    /// When this process said it, or for another one's entry when that was told. [`Entry::at`] is the place on a grid, and
    /// may lie before what was told earlier.
    pub said_at: Timestamp,
    /// Entries of clocks that were ahead, so that their times lie behind `said_at`, as a file may hold them: which of them
    /// depends on when it was written last. The latest are kept, [`AHEAD_MAX`] of them.
    pub ahead: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nflog {
    entries: BTreeMap<LogKey, Known>,
}

impl Nflog {
    #[must_use]
    pub fn entry(&self, key: &LogKey) -> Option<&Entry> {
        self.entries.get(key).map(|known| &known.entry)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&LogKey, &Entry)> {
        self.entries.iter().map(|(key, known)| (key, &known.entry))
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (&LogKey, &Known)> {
        self.entries.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in what this process says at `said_at`, which stands above all that was said before.
    pub(crate) fn put(&mut self, key: LogKey, entry: Entry, said_at: Timestamp) {
        let ahead = self.ahead_of(&key, said_at);
        let known = Known {
            entry,
            said_at,
            ahead,
        };
        self.entries.insert(key, known);
    }

    /// Whether an entry of another Alertmanager's file was told after what is known: what was taken over once, and what
    /// this process wrote there itself, was not.
    #[must_use]
    pub(crate) fn is_news(&self, key: &LogKey, entry: &Entry) -> bool {
        self.entries.get(key).is_none_or(|known| {
            entry.at > known.said_at && !known.ahead.contains(entry) && known.entry != *entry
        })
    }

    /// Takes over at `now` what another Alertmanager told.
    pub(crate) fn take_over(&mut self, key: LogKey, entry: Entry, now: Timestamp) {
        let mut known = Known {
            said_at: entry.at,
            entry,
            ahead: self.ahead_of(&key, now),
        };
        known.turn_back(now);
        self.entries.insert(key, known);
    }

    /// The entries of a clock that was ahead of `now`.
    fn ahead_of(&mut self, key: &LogKey, now: Timestamp) -> Vec<Entry> {
        let Some(before) = self.entries.remove(key) else {
            return Vec::new();
        };
        let mut ahead = before.ahead;
        ahead.retain(|entry| entry.at > now);
        if before.entry.at > now {
            note_ahead(&mut ahead, before.entry);
        }
        ahead
    }

    /// No entry is later than `now`: where the clock was set back, entries from its old time would hold back every
    /// repeat until the new time has come as far.
    pub(crate) fn turn_back(&mut self, now: Timestamp) {
        for known in self.entries.values_mut() {
            known.turn_back(now);
        }
    }

    /// Takes a peer's entry in and says whether it was news.
    pub fn merge(&mut self, key: LogKey, entry: Entry) -> bool {
        let is_news = self.entry(&key).is_none_or(|known| entry.replaces(known));
        if is_news {
            let at = entry.at;
            self.put(key, entry, at);
        }
        is_news
    }

    /// Forgets what has expired; answers how many entries that was.
    pub fn collect_garbage(&mut self, now: Timestamp) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, known| known.entry.expires_at > now);
        before - self.entries.len()
    }
}

impl Known {
    fn turn_back(&mut self, now: Timestamp) {
        self.said_at = self.said_at.min(now);
        if self.entry.at > now {
            // As it may stand in the file, however often the clock is set back.
            note_ahead(&mut self.ahead, self.entry.clone());
            let lasts = self.entry.expires_at.saturating_since(self.entry.at);
            self.entry.expires_at = now + lasts;
            self.entry.at = now;
        }
    }
}

fn note_ahead(ahead: &mut Vec<Entry>, entry: Entry) {
    if !ahead.contains(&entry) {
        if ahead.len() == AHEAD_MAX {
            ahead.remove(0);
        }
        ahead.push(entry);
    }
}

fn compare_memories(left: &Memory, right: &Memory) -> Ordering {
    let left = left.0.iter().map(|(name, value)| (name, sort_key(value)));
    let right = right.0.iter().map(|(name, value)| (name, sort_key(value)));
    left.cmp(right)
}

/// Any total order will do, as long as every peer uses the same.
fn sort_key(value: &Remembered) -> (u8, &str, i64, u64) {
    match value {
        Remembered::Text(text) => (0, text, 0, 0),
        Remembered::Integer(integer) => (1, "", *integer, 0),
        Remembered::Number(number) => (2, "", 0, number.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Labels, Timestamp};
    use notifiers_core::{GroupKey, Memory, Remembered};
    use proptest::prelude::*;

    use super::{AHEAD_MAX, Entry, LogKey, Nflog, lifetime};

    fn key(index: u32) -> LogKey {
        LogKey {
            group_key: GroupKey::new("{}", &Labels::from_pairs([("alertname", "x")])),
            receiver: "def".to_owned(),
            integration: "webhook".to_owned(),
            index,
        }
    }

    #[test]
    fn a_key_prints_as_alertmanagers() {
        assert_eq!(key(0).to_string(), r#"{}:{alertname="x"}:def/webhook/0"#);
    }

    /// Whichever of its entries the file was written with, it is known again after any number of turns of the clock.
    #[test]
    fn every_entry_of_a_clock_that_was_ahead_is_no_news() {
        let at = Timestamp::from_secs;
        let entry = |secs| Entry {
            at: at(secs),
            firing: [7].into_iter().collect(),
            resolved: [].into_iter().collect(),
            expires_at: at(100_000),
            memory: Memory::default(),
        };
        let mut nflog = Nflog::default();
        let times = [1000, 900, 800, 700];
        for told in times {
            nflog.turn_back(at(told));
            nflog.put(key(0), entry(told), at(told));
            for earlier in times.into_iter().filter(|earlier| *earlier >= told) {
                assert!(
                    !nflog.is_news(&key(0), &entry(earlier)),
                    "{earlier} at {told}"
                );
            }
        }
        assert!(nflog.is_news(&key(0), &entry(950)), "another one's");
        // They need no more room than a file can stand for.
        for told in (0..600).rev() {
            nflog.turn_back(at(told));
            nflog.put(key(0), entry(told), at(told));
        }
        let (_, known) = nflog.known().next().unwrap();
        assert_eq!(known.ahead.len(), AHEAD_MAX);
        assert!(!nflog.is_news(&key(0), &entry(1)));
    }

    /// However often the clock is set back, the entry of the file is known again.
    #[test]
    fn an_entry_of_a_clock_that_was_ahead_is_no_news() {
        let at = Timestamp::from_secs;
        let entry = Entry {
            at: at(1000),
            firing: [7].into_iter().collect(),
            resolved: [].into_iter().collect(),
            expires_at: at(100_000),
            memory: Memory::default(),
        };
        let mut nflog = Nflog::default();
        assert!(nflog.is_news(&key(0), &entry));
        nflog.take_over(key(0), entry.clone(), at(1000));
        for back in [900, 800, 700] {
            nflog.turn_back(at(back));
            assert!(!nflog.is_news(&key(0), &entry), "{back}");
        }
    }

    #[test]
    fn an_entry_outlives_its_repeat() {
        let hour = |hours: u64| Duration::from_secs(3600 * hours);
        let minutes = Duration::from_secs(300);
        for (retention, repeat, expected) in [
            (hour(120), hour(4), hour(8)),
            (hour(120), hour(100), hour(120)),
            (hour(120), hour(168), hour(168) + minutes * 2),
            (hour(120), minutes, minutes * 3),
        ] {
            assert_eq!(lifetime(retention, repeat, minutes), expected, "{repeat:?}");
        }
    }

    fn entry(at: i64, expires_at: i64) -> Entry {
        Entry {
            at: Timestamp::from_millis(at),
            expires_at: Timestamp::from_millis(expires_at),
            firing: [1].into_iter().collect(),
            resolved: [].into_iter().collect(),
            memory: Memory::default(),
        }
    }

    #[test]
    fn the_own_word_stands_whatever_time_it_bears() {
        let mut log = Nflog::default();
        for said in [entry(5, 10), entry(5, 10), entry(5, 9), entry(4, 20)] {
            log.put(key(0), said.clone(), said.at);
            assert_eq!(log.entry(&key(0)), Some(&said));
        }
    }

    #[test]
    fn an_entry_keeps_its_length_when_the_clock_is_set_back() {
        for (said, now, after) in [
            (entry(5, 10), 6, entry(5, 10)),
            (entry(5, 10), 5, entry(5, 10)),
            (entry(50, 60), 6, entry(6, 16)),
        ] {
            let mut log = Nflog::default();
            {
                let at = said.at;
                log.put(key(0), said, at);
            }
            log.turn_back(Timestamp::from_millis(now));
            assert_eq!(log.entry(&key(0)), Some(&after));
        }
    }

    fn entries() -> impl Strategy<Value = (u32, Entry)> {
        let hashes = || proptest::collection::vec(0_u64..4, 0..3);
        (0_u32..2, 0_i64..3, 0_i64..3, hashes(), hashes(), 0_i64..2).prop_map(
            |(index, at, expires, firing, resolved, remembered)| {
                let entry = Entry {
                    at: Timestamp::from_millis(at),
                    expires_at: Timestamp::from_millis(10 + expires),
                    firing: firing.into_iter().collect(),
                    resolved: resolved.into_iter().collect(),
                    memory: Memory([("ts".to_owned(), Remembered::Integer(remembered))].into()),
                };
                (index, entry)
            },
        )
    }

    fn log(entries: &[(u32, Entry)]) -> Nflog {
        let mut log = Nflog::default();
        for (index, entry) in entries {
            log.merge(key(*index), entry.clone());
        }
        log
    }

    fn join(left: &Nflog, right: &Nflog) -> Nflog {
        let mut joined = left.clone();
        for (key, entry) in right.iter() {
            joined.merge(key.clone(), entry.clone());
        }
        joined
    }

    proptest! {
        #[test]
        fn merging_commutes_associates_and_repeats_harmlessly(
            a in proptest::collection::vec(entries(), 0..6),
            b in proptest::collection::vec(entries(), 0..6),
            c in proptest::collection::vec(entries(), 0..6),
        ) {
            let (a, b, c) = (log(&a), log(&b), log(&c));
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a);
        }

        #[test]
        fn garbage_collection_only_forgets_what_expired(
            a in proptest::collection::vec(entries(), 0..6),
            now in 9_i64..14,
        ) {
            let now = Timestamp::from_millis(now);
            let before = log(&a);
            let mut after = before.clone();
            let forgotten = after.collect_garbage(now);
            prop_assert_eq!(before.len() - forgotten, after.len());
            for (key, entry) in before.iter() {
                prop_assert_eq!(after.entry(key).is_some(), entry.expires_at > now);
            }
        }
    }
}
