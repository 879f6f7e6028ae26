//! Exemplars: what was sent about single samples, mostly the trace that one belongs to. The newest ones of a tenant.
use std::cmp::Ordering;
use std::collections::vec_deque::Iter;
use std::collections::{HashMap, VecDeque};

use foldhash::quality::FixedState;
use model::{Labels, Matcher, Timestamp, match_all};

use crate::admission::{Reason, Report};
use crate::decode::WriteRequest;
use crate::exemplar_error::{ExemplarError, LABEL_CHARS_MAX};
use crate::label_bytes::{read_label_set, read_labels, shown};

#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub labels: Labels,
    pub value: f64,
    pub timestamp: Timestamp,
}

/// An exemplar of a request, with its series.
pub type SeriesExemplar = (Labels, Exemplar);

/// The exemplars of a request which was admitted; those of series that there are not are counted in its report.
#[must_use]
pub(crate) fn take_exemplars(
    request: &WriteRequest<'_>,
    report: &mut Report,
) -> Vec<SeriesExemplar> {
    let mut taken = Vec::with_capacity(request.exemplars().len());
    for sent in request.exemplars() {
        let is_unknown = report.unknown_series.binary_search(&sent.series).is_ok();
        let exemplar = match (
            read_labels(sent.series_label_bytes),
            read_label_set(sent.label_bytes),
        ) {
            (Ok(series), Ok(labels)) if !is_unknown => {
                let exemplar = Exemplar {
                    labels,
                    value: sent.value,
                    timestamp: sent.timestamp,
                };
                Ok((series, exemplar))
            }
            (Ok(_), Err(_)) if !is_unknown => Err(ExemplarError::Labels),
            _ => Err(ExemplarError::UnknownSeries),
        };
        match exemplar {
            Ok(exemplar) => taken.push(exemplar),
            Err(error) => {
                let first = || shown(sent.series_label_bytes);
                report.refuse(Reason::Exemplar(error), 1, first);
            }
        }
    }
    taken
}

/// When it is full, the oldest one makes room.
#[derive(Debug)]
pub struct ExemplarRing {
    exemplars_max: usize,
    /// Never an empty list.
    by_series: HashMap<Labels, VecDeque<Exemplar>, FixedState>,
    /// The series of each exemplar, in the order in which they came.
    arrivals: VecDeque<Labels>,
    /// Of series with exemplars that wait for the log.
    pending: HashMap<Labels, Pending, FixedState>,
}

/// The newest exemplar of a series that waits for the log, and how many wait.
#[derive(Debug)]
struct Pending {
    newest: Exemplar,
    count: usize,
}

impl ExemplarRing {
    /// `seed` must be unknown to senders.
    #[must_use]
    pub fn new(exemplars_max: usize, seed: u64) -> Self {
        Self {
            exemplars_max,
            by_series: HashMap::with_hasher(FixedState::with_seed(seed)),
            arrivals: VecDeque::new(),
            pending: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    /// Admits those of a request, says in its report what became of them, and answers with those that are new, which
    /// the log must have. They come back by `commit` or `abort`. `newest` is the latest time that is taken.
    pub(crate) fn stage(
        &mut self,
        exemplars: Vec<SeriesExemplar>,
        newest: Timestamp,
        report: &mut Report,
    ) -> Vec<SeriesExemplar> {
        let mut staged = Vec::with_capacity(exemplars.len());
        for (series, exemplar) in exemplars {
            match self.judge(&series, &exemplar, newest) {
                Ok(is_new) => {
                    report.exemplars += 1;
                    if is_new {
                        let pending = self.pending.entry(series.clone());
                        let pending = pending.or_insert_with(|| Pending {
                            newest: exemplar.clone(),
                            count: 0,
                        });
                        pending.newest = exemplar.clone();
                        pending.count += 1;
                        staged.push((series, exemplar));
                    }
                }
                Err(error) => report.refuse(Reason::Exemplar(error), 1, || series.to_string()),
            }
        }
        staged
    }

    /// The log has them.
    pub(crate) fn commit(&mut self, staged: Vec<SeriesExemplar>) {
        for (series, exemplar) in staged {
            self.end_pending(&series);
            self.push(series, exemplar);
        }
    }

    /// The log does not have them, and never will.
    pub(crate) fn abort(&mut self, staged: &[SeriesExemplar]) {
        for (series, _) in staged {
            self.end_pending(series);
        }
    }

    /// Takes one back that was logged; one that is there already is passed over.
    pub(crate) fn replay(&mut self, series: Labels, exemplar: Exemplar) {
        let is_new = self.judge(&series, &exemplar, Timestamp::MAX);
        if is_new == Ok(true) {
            self.push(series, exemplar);
        }
    }

    /// Whether it is new: one that repeats the newest of its series changes nothing.
    fn judge(
        &self,
        series: &Labels,
        exemplar: &Exemplar,
        newest: Timestamp,
    ) -> Result<bool, ExemplarError> {
        if self.exemplars_max == 0 {
            return Err(ExemplarError::Disabled);
        }
        if exemplar.timestamp > newest {
            return Err(ExemplarError::TooFarInFuture);
        }
        let chars = |text: &str| text.chars().count();
        let label_chars: usize = exemplar
            .labels
            .iter()
            .map(|(name, value)| chars(name) + chars(value))
            .sum();
        if label_chars > LABEL_CHARS_MAX {
            return Err(ExemplarError::LabelsTooLong);
        }
        let pending = self.pending.get(series).map(|pending| &pending.newest);
        let last = pending.or_else(|| self.by_series.get(series).and_then(VecDeque::back));
        match last {
            Some(last) => match order(exemplar, last) {
                Ordering::Equal => Ok(false),
                Ordering::Greater => Ok(true),
                Ordering::Less => Err(ExemplarError::OutOfOrder),
            },
            None => Ok(true),
        }
    }

    fn end_pending(&mut self, series: &Labels) {
        if let Some(pending) = self.pending.get_mut(series) {
            pending.count -= 1;
            if pending.count == 0 {
                self.pending.remove(series);
            }
        }
    }

    fn push(&mut self, series: Labels, exemplar: Exemplar) {
        self.arrivals.push_back(series.clone());
        self.by_series
            .entry(series)
            .or_default()
            .push_back(exemplar);
        while self.arrivals.len() > self.exemplars_max {
            self.drop_oldest();
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn in_order(&self) -> Vec<SeriesExemplar> {
        let mut lists: HashMap<&Labels, Iter<'_, Exemplar>> =
            HashMap::with_capacity(self.by_series.len());
        let next = self.arrivals.iter().filter_map(|series| {
            let list = lists.entry(series).or_insert_with(|| {
                self.by_series
                    .get(series)
                    .map(VecDeque::iter)
                    .unwrap_or_default()
            });
            Some((series.clone(), list.next()?.clone()))
        });
        next.collect()
    }

    /// Of the series that match one of the selectors, those from `start` to `end`, both included; sorted by series.
    #[must_use]
    pub fn select(
        &self,
        selectors: &[&[Matcher]],
        start: Timestamp,
        end: Timestamp,
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found: Vec<(Labels, Vec<Exemplar>)> = self
            .by_series
            .iter()
            .filter(|(series, _)| selectors.iter().any(|matchers| match_all(matchers, series)))
            .map(|(series, exemplars)| {
                let inside = exemplars
                    .iter()
                    .filter(|exemplar| (start..=end).contains(&exemplar.timestamp));
                (series.clone(), inside.cloned().collect())
            })
            .filter(|(_, exemplars): &(_, Vec<_>)| !exemplars.is_empty())
            .collect();
        found.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    fn drop_oldest(&mut self) {
        let Some(series) = self.arrivals.pop_front() else {
            return;
        };
        if let Some(exemplars) = self.by_series.get_mut(&series) {
            exemplars.pop_front();
            if exemplars.is_empty() {
                self.by_series.remove(&series);
            }
        }
    }
}

/// By time, then value, then the hash of the labels: several of one time are possible.
fn order(left: &Exemplar, right: &Exemplar) -> Ordering {
    let hashes = || left.labels.xxhash64().cmp(&right.labels.xxhash64());
    let times = left.timestamp.cmp(&right.timestamp);
    // Go's order but for NaN, which has a place too, so that a replay finds what is there already.
    times
        .then_with(|| left.value.total_cmp(&right.value))
        .then_with(|| {
            if left.labels == right.labels {
                Ordering::Equal
            } else {
                hashes()
            }
        })
}

#[cfg(test)]
mod tests {
    use model::{Labels, MatchOp, Matcher, MatcherDialect, Timestamp};

    use super::{Exemplar, ExemplarRing};
    use crate::admission::{Reason, Report};
    use crate::exemplar_error::ExemplarError;

    fn series(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)])
    }

    fn exemplar(trace: &str, value: f64, second: i64) -> Exemplar {
        Exemplar {
            labels: Labels::from_pairs([("trace_id", trace)]),
            value,
            timestamp: Timestamp::from_secs(second),
        }
    }

    /// As a request of one that the log has.
    fn add(
        ring: &mut ExemplarRing,
        name: &str,
        exemplar: Exemplar,
        newest: Timestamp,
    ) -> Result<(), ExemplarError> {
        let mut report = Report::default();
        let staged = ring.stage(vec![(series(name), exemplar)], newest, &mut report);
        ring.commit(staged);
        match report.refused.into_keys().next() {
            Some(Reason::Exemplar(error)) => Err(error),
            Some(other) => panic!("{other}"),
            None => Ok(()),
        }
    }

    /// `name:trace…` of all that match.
    fn shown(ring: &ExemplarRing, name: &str, start: i64, end: i64) -> Vec<String> {
        let matchers =
            [Matcher::new(MatchOp::Regex, "__name__", name, MatcherDialect::PromQl).unwrap()];
        ring.select(
            &[&matchers],
            Timestamp::from_secs(start),
            Timestamp::from_secs(end),
        )
        .into_iter()
        .map(|(series, exemplars)| {
            let traces: Vec<&str> = exemplars
                .iter()
                .map(|exemplar| exemplar.labels.value("trace_id"))
                .collect();
            format!("{}:{}", series.metric_name().unwrap(), traces.join(","))
        })
        .collect()
    }

    #[test]
    fn the_oldest_makes_room_whatever_its_series() {
        let mut ring = ExemplarRing::new(3, 1);
        let newest = Timestamp::from_secs(100);
        for (name, trace, second) in [("b", "1", 1), ("a", "2", 2), ("b", "3", 3), ("b", "4", 4)] {
            let added = add(&mut ring, name, exemplar(trace, 1.0, second), newest);
            assert_eq!(added, Ok(()));
        }
        assert_eq!(shown(&ring, ".+", 0, 9), ["a:2", "b:3,4"]);
        assert_eq!(shown(&ring, "b", 3, 3), ["b:3"]);
        assert_eq!(shown(&ring, "a", 3, 9), [""; 0]);
        add(&mut ring, "b", exemplar("5", 1.0, 5), newest).unwrap();
        assert_eq!(shown(&ring, ".+", 0, 9), ["b:3,4,5"]);
        assert_eq!(
            ring.by_series.len(),
            1,
            "no series is left without exemplars"
        );
    }

    #[test]
    fn exemplars_come_in_order() {
        let mut ring = ExemplarRing::new(100, 1);
        let long = "x".repeat(121);
        for (exemplar, outcome) in [
            (exemplar("a", 1.0, 10), Ok(())),
            (exemplar("a", 1.0, 10), Ok(())),
            (exemplar("b", 2.0, 10), Ok(())),
            (exemplar("b", 1.0, 10), Err(ExemplarError::OutOfOrder)),
            (exemplar("b", 3.0, 9), Err(ExemplarError::OutOfOrder)),
            (exemplar("c", 0.0, 11), Ok(())),
            (exemplar(&long, 0.0, 12), Err(ExemplarError::LabelsTooLong)),
            (exemplar(&long[1..], 0.0, 12), Ok(())),
            (exemplar("c", f64::NAN, 13), Ok(())),
            (exemplar("c", f64::NAN, 13), Ok(())),
            (exemplar("c", 0.0, 13), Err(ExemplarError::OutOfOrder)),
            (exemplar("c", 0.0, 101), Err(ExemplarError::TooFarInFuture)),
        ] {
            let added = add(&mut ring, "s", exemplar.clone(), Timestamp::from_secs(100));
            assert_eq!(added, outcome, "{exemplar:?}");
        }
        assert_eq!(ring.len(), 5);
        let mut none = ExemplarRing::new(0, 1);
        let added = add(
            &mut none,
            "s",
            exemplar("a", 1.0, 1),
            Timestamp::from_secs(100),
        );
        assert_eq!(added, Err(ExemplarError::Disabled));
    }

    /// The log decides, and what is judged meanwhile is judged by what waits for it.
    #[test]
    fn what_waits_for_the_log_is_not_seen_and_counts_for_the_order() {
        let mut ring = ExemplarRing::new(100, 1);
        let newest = Timestamp::from_secs(100);
        let stage = |ring: &mut ExemplarRing, second| {
            let mut report = Report::default();
            let sent = vec![(series("s"), exemplar("a", 1.0, second))];
            let staged = ring.stage(sent, newest, &mut report);
            (staged, report.exemplars)
        };
        let (first, _) = stage(&mut ring, 10);
        let (second, _) = stage(&mut ring, 12);
        let (repeated, kept) = stage(&mut ring, 12);
        assert_eq!((repeated.len(), kept), (0, 1));
        assert_eq!(stage(&mut ring, 11).1, 0);
        assert!(ring.is_empty());
        ring.commit(first);
        ring.abort(&second);
        assert_eq!(ring.len(), 1);
        assert!(ring.pending.is_empty());
        assert_eq!(stage(&mut ring, 11).1, 1);
    }
}
