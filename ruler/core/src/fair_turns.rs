//! Whose evaluation has its turn, where more are due than may run at once: that of the tenant who has least of it. One
//! tenant's thousands of rules, or its slow ones, make the others wait for no more than what runs already.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Turns of several parties, each in a line of its own.
#[derive(Debug)]
pub struct FairTurns<Who> {
    free: usize,
    /// Those who wait or run.
    lines: BTreeMap<Who, Line>,
    /// What whoever had the latest turn had been served until then. Who comes anew begins there: time in which nobody asked
    /// is no credit.
    level: Duration,
    next: u64,
}

#[derive(Debug)]
struct Line {
    waiting: VecDeque<u64>,
    running: usize,
    served: Duration,
}

impl<Who: Clone + Ord> FairTurns<Who> {
    #[must_use]
    pub const fn new(at_once_max: usize) -> Self {
        Self {
            free: at_once_max,
            lines: BTreeMap::new(),
            level: Duration::ZERO,
            next: 0,
        }
    }

    /// Puts one more at the end of the party's line. Returns its number.
    pub fn ask(&mut self, who: &Who) -> u64 {
        let number = self.next;
        self.next += 1;
        let level = self.level;
        let line = self.lines.entry(who.clone()).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            running: 0,
            served: level,
        });
        line.waiting.push_back(number);
        number
    }

    /// The next whose turn it is; it runs from here on. Call until there is none.
    pub fn grant(&mut self) -> Option<(Who, u64)> {
        if self.free == 0 {
            return None;
        }
        let waiting = self.lines.iter_mut();
        let waiting = waiting.filter_map(|(who, line)| Some((*line.waiting.front()?, who, line)));
        let (number, who, line) =
            waiting.min_by_key(|(number, _, line)| (line.running, line.served, *number))?;
        line.waiting.pop_front();
        line.running += 1;
        self.free -= 1;
        self.level = self.level.max(line.served);
        Some((who.clone(), number))
    }

    /// One that ran has ended.
    pub fn give_back(&mut self, who: &Who, took: Duration) {
        let Some(line) = self.lines.get_mut(who) else {
            return;
        };
        self.free += 1;
        line.running = line.running.saturating_sub(1);
        line.served += took;
        if line.running == 0 && line.waiting.is_empty() {
            self.lines.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::FairTurns;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn who_asks_for_one_waits_for_nobodys_thousands() {
        let mut turns = FairTurns::new(2);
        for _ in 0..1000 {
            turns.ask(&"many");
        }
        let granted = std::iter::from_fn(|| turns.grant()).count();
        assert_eq!(granted, 2);
        let one = turns.ask(&"one");
        assert_eq!(turns.grant(), None);
        turns.give_back(&"many", secs(1));
        assert_eq!(turns.grant(), Some(("one", one)));
        assert_eq!(turns.grant(), None);
    }

    /// Evaluations of different lengths, one after the other: time is shared, not turns.
    #[test]
    fn time_is_shared_and_nobody_saves_it_up() {
        let mut turns = FairTurns::new(1);
        let mut served: BTreeMap<&str, u64> = BTreeMap::new();
        let took = |who: &str| if who == "slow" { 10 } else { 1 };
        for who in ["slow", "quick"] {
            for _ in 0..200 {
                turns.ask(&who);
            }
        }
        for _ in 0..110 {
            let (who, _) = turns.grant().unwrap();
            *served.entry(who).or_default() += took(who);
            turns.give_back(&who, secs(took(who)));
        }
        assert_eq!(served, BTreeMap::from([("quick", 100), ("slow", 100)]));
        // Who comes late has its share from now on, not that of the time before.
        for _ in 0..200 {
            turns.ask(&"late");
        }
        served.clear();
        for _ in 0..63 {
            let (who, _) = turns.grant().unwrap();
            *served.entry(who).or_default() += took(who);
            turns.give_back(&who, secs(took(who)));
        }
        assert_eq!(
            served,
            BTreeMap::from([("late", 30), ("quick", 30), ("slow", 30)])
        );
    }

    #[test]
    fn within_one_line_the_first_is_first_and_no_more_run_than_may() {
        let mut turns = FairTurns::new(3);
        let numbers: Vec<u64> = (0..5).map(|_| turns.ask(&"a")).collect();
        let granted: Vec<u64> = std::iter::from_fn(|| turns.grant())
            .map(|(_, number)| number)
            .collect();
        assert_eq!(granted, numbers[..3]);
        for _ in 0..5 {
            turns.give_back(&"a", secs(1));
            turns.grant();
        }
        assert!(turns.lines.is_empty());
        assert_eq!(turns.free, 3);
    }
}
