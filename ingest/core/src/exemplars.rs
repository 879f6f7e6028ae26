//! Exemplars: what was sent about single samples, mostly the trace that one belongs to. The newest ones of a tenant.
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
pub fn take_exemplars(request: &WriteRequest<'_>, report: &mut Report) -> Vec<SeriesExemplar> {
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
}

impl ExemplarRing {
    /// `seed` must be unknown to senders.
    #[must_use]
    pub fn new(exemplars_max: usize, seed: u64) -> Self {
        Self {
            exemplars_max,
            by_series: HashMap::with_hasher(FixedState::with_seed(seed)),
            arrivals: VecDeque::new(),
        }
    }

    /// Takes one more of `series`, in the order of time; one that repeats the newest changes nothing. `newest` is the
    /// latest time that is taken.
    pub fn add(
        &mut self,
        series: &Labels,
        exemplar: Exemplar,
        newest: Timestamp,
    ) -> Result<(), ExemplarError> {
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
        if let Some(last) = self.by_series.get(series).and_then(VecDeque::back) {
            if *last == exemplar {
                return Ok(());
            }
            if is_before(&exemplar, last) {
                return Err(ExemplarError::OutOfOrder);
            }
        }
        self.by_series
            .entry(series.clone())
            .or_default()
            .push_back(exemplar);
        self.arrivals.push_back(series.clone());
        while self.arrivals.len() > self.exemplars_max {
            self.drop_oldest();
        }
        Ok(())
    }

    /// Takes those of a request, and says in its report what became of them.
    pub fn add_all(
        &mut self,
        exemplars: Vec<SeriesExemplar>,
        newest: Timestamp,
        report: &mut Report,
    ) {
        for (series, exemplar) in exemplars {
            match self.add(&series, exemplar, newest) {
                Ok(()) => report.exemplars += 1,
                Err(error) => report.refuse(Reason::Exemplar(error), 1, || series.to_string()),
            }
        }
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
fn is_before(exemplar: &Exemplar, last: &Exemplar) -> bool {
    if exemplar.timestamp != last.timestamp {
        return exemplar.timestamp < last.timestamp;
    }
    if exemplar.value == last.value {
        return exemplar.labels.xxhash64() < last.labels.xxhash64();
    }
    exemplar.value < last.value
}

#[cfg(test)]
mod tests {
    use model::{Labels, MatchOp, Matcher, MatcherDialect, Timestamp};

    use super::{Exemplar, ExemplarRing};
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
            let added = ring.add(&series(name), exemplar(trace, 1.0, second), newest);
            assert_eq!(added, Ok(()));
        }
        assert_eq!(shown(&ring, ".+", 0, 9), ["a:2", "b:3,4"]);
        assert_eq!(shown(&ring, "b", 3, 3), ["b:3"]);
        assert_eq!(shown(&ring, "a", 3, 9), [""; 0]);
        ring.add(&series("b"), exemplar("5", 1.0, 5), newest)
            .unwrap();
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
            (exemplar("c", 0.0, 101), Err(ExemplarError::TooFarInFuture)),
        ] {
            let added = ring.add(&series("s"), exemplar.clone(), Timestamp::from_secs(100));
            assert_eq!(added, outcome, "{exemplar:?}");
        }
        assert_eq!(ring.len(), 4);
        let none = ExemplarRing::new(0, 1).add(
            &series("s"),
            exemplar("a", 1.0, 1),
            Timestamp::from_secs(100),
        );
        assert_eq!(none, Err(ExemplarError::Disabled));
    }
}
