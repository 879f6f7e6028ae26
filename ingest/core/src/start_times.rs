//! When what samples count began, where their senders say so and it is to be kept.
//!
//! A counter begins rarely and is told often, so that a series has runs: from the sample of a time on, what is counted
//! began then. Series without start times are not here and take no room; a change takes 16 bytes. They are kept as long
//! as their samples are in memory: Prometheus' chunks of floats have no place for them, and neither have blocks.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

use crate::record::SeriesId;

/// Not known.
pub(crate) const UNKNOWN: Timestamp = Timestamp::from_millis(0);

#[derive(Debug, Default)]
pub(crate) struct StartTimes {
    series: BTreeMap<SeriesId, Arc<Vec<Run>>>,
}

/// From the sample of this time on counting began at `start`, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: Timestamp,
    pub(crate) start: Timestamp,
}

/// What was said of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SaidStart {
    pub(crate) at: Timestamp,
    pub(crate) start: Timestamp,
    /// Only of this one: newer samples of its series were there before.
    pub(crate) is_late: bool,
}

impl StartTimes {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn at(&self, id: SeriesId, at: Timestamp) -> Timestamp {
        self.series
            .get(&id)
            .map_or(UNKNOWN, |runs| start_at(runs, at))
    }

    pub(crate) fn runs(&self, id: SeriesId) -> Option<Arc<Vec<Run>>> {
        self.series.get(&id).cloned()
    }

    pub(crate) fn iter_from(&self, from: SeriesId) -> impl Iterator<Item = (SeriesId, &[Run])> {
        let series = self.series.range(from..);
        series.map(|(id, runs)| (*id, runs.as_slice()))
    }

    /// Saying it again changes nothing.
    pub(crate) fn say(&mut self, id: SeriesId, said: SaidStart) {
        let before = self.at(id, said.at);
        if before == said.start {
            return;
        }
        let runs = Arc::make_mut(self.series.entry(id).or_default());
        set(runs, said.at, said.start);
        if said.is_late
            && let Some(next) = said.at.as_millis().checked_add(1)
        {
            let next = Timestamp::from_millis(next);
            if runs.binary_search_by_key(&next, |run| run.first).is_err() {
                set(runs, next, before);
            }
        }
    }

    /// What is older is of no sample any more.
    pub(crate) fn drop_before(&mut self, horizon: Timestamp) {
        self.series.retain(|_, runs| {
            let older = runs.partition_point(|run| run.first <= horizon);
            if older > 1 {
                Arc::make_mut(runs).drain(..older - 1);
            }
            runs.iter().any(|run| run.start != UNKNOWN)
        });
    }

    pub(crate) fn remove(&mut self, id: SeriesId) {
        self.series.remove(&id);
    }
}

pub(crate) fn start_at(runs: &[Run], at: Timestamp) -> Timestamp {
    let behind = runs.partition_point(|run| run.first <= at);
    match behind.checked_sub(1) {
        Some(place) => runs[place].start,
        None => UNKNOWN,
    }
}

fn set(runs: &mut Vec<Run>, first: Timestamp, start: Timestamp) {
    match runs.binary_search_by_key(&first, |run| run.first) {
        Ok(place) => runs[place].start = start,
        Err(place) => runs.insert(place, Run { first, start }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::Timestamp;
    use proptest::prelude::*;

    use super::{SaidStart, StartTimes};
    use crate::record::SeriesId;

    const ID: SeriesId = SeriesId(7);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn say(starts: &mut StartTimes, said: &[(i64, i64, bool)]) {
        for (time, start, is_late) in said {
            let (at, start, is_late) = (at(*time), at(*start), *is_late);
            starts.say(ID, SaidStart { at, start, is_late });
        }
    }

    #[test]
    fn a_counter_that_goes_on_takes_one_run() {
        let mut starts = StartTimes::default();
        say(&mut starts, &[(1, 0, false)]);
        assert!(starts.is_empty(), "nothing was said");
        let counter: Vec<_> = (1..1000).map(|time| (time * 10, 5, false)).collect();
        say(&mut starts, &counter);
        assert_eq!(starts.runs(ID).unwrap().len(), 1);
        say(&mut starts, &[(10_000, 9_999, false), (10_010, 0, false)]);
        for (time, start) in [(9, 0), (10, 5), (9_999, 5), (10_000, 9_999), (10_010, 0)] {
            assert_eq!(starts.at(ID, at(time)), at(start), "{time}");
        }
        starts.drop_before(at(10_005));
        assert_eq!(starts.runs(ID).unwrap().len(), 2);
        assert_eq!(starts.at(ID, at(10_007)), at(9_999));
        starts.drop_before(at(10_011));
        assert!(starts.is_empty());
    }

    proptest! {
        /// Samples in order, and late ones at odd times, each with what was said of it, also where all is said twice.
        #[test]
        fn each_sample_has_what_was_said_of_it(
            said in prop::collection::vec((0..40_i64, 0..4_i64, any::<bool>()), 1..40),
        ) {
            let mut starts = StartTimes::default();
            let mut expected = BTreeMap::new();
            let mut newest = 0;
            let mut all = Vec::new();
            for (time, start, is_late) in said {
                let time = if is_late {
                    time.min(newest / 2) * 2 + 1
                } else {
                    newest += 2;
                    newest
                };
                if expected.contains_key(&time) {
                    continue;
                }
                let is_late = time < newest;
                let one = (time, start, is_late);
                say(&mut starts, &[one]);
                expected.insert(time, start);
                all.push(one);
                if !is_late {
                    newest = newest.max(time);
                }
                for (time, start) in &expected {
                    prop_assert_eq!(starts.at(ID, at(*time)), at(*start), "{}", time);
                }
            }
            say(&mut starts, &all);
            for (time, start) in &expected {
                prop_assert_eq!(starts.at(ID, at(*time)), at(*start), "{} again", time);
            }
        }
    }
}
