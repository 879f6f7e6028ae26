//! What a rule writes, and which of its series have ended.
use std::collections::BTreeSet;

use model::{Labels, SampleValue, Timestamp};

/// One series' value at the time of the batch that it is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesValue {
    pub labels: Labels,
    pub value: SampleValue,
}

/// What one evaluation of a rule writes, all at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBatch {
    pub at: Timestamp,
    pub samples: Vec<SeriesValue>,
    /// Series that the previous evaluation wrote and this one did not: each gets a staleness marker.
    /// A marker that is refused as out of order or duplicate is not an error.
    pub ended: Vec<Labels>,
}

impl SampleBatch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.ended.is_empty()
    }
}

/// Series of one rule that are saved: some ten MB of the log. What ends during a restart of a rule that has more ends when
/// the lookback does, as for Prometheus.
const SAVED_MAX: usize = 50_000;

/// The label sets that a rule last wrote, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenSeries(Vec<Labels>);

impl WrittenSeries {
    #[must_use]
    pub(crate) fn of(samples: &[SeriesValue]) -> Self {
        samples.iter().map(|sample| sample.labels.clone()).collect()
    }

    /// What stands here and not in `next`.
    #[must_use]
    pub(crate) fn ended(&self, next: &Self) -> Vec<Labels> {
        missing(&self.0, &next.0)
    }

    /// The change of what is saved to `next`: what was added, and what has ended.
    #[must_use]
    pub(crate) fn change_to(&self, next: &Self) -> (Vec<Labels>, Vec<Labels>) {
        let (before, after) = (self.saved(), next.saved());
        (missing(after, before), missing(before, after))
    }

    pub(crate) fn apply(&mut self, added: Vec<Labels>, ended: &[Labels]) {
        let kept = std::mem::take(&mut self.0);
        let gone: BTreeSet<&Labels> = ended.iter().collect();
        let kept = kept.into_iter().filter(|labels| !gone.contains(labels));
        *self = kept.chain(added).collect();
    }

    pub(crate) fn contains(&self, labels: &Labels) -> bool {
        self.0.binary_search(labels).is_ok()
    }

    /// What of it a restart is to find.
    pub(crate) fn saved(&self) -> &[Labels] {
        if self.0.len() > SAVED_MAX {
            &[]
        } else {
            &self.0
        }
    }

    pub(crate) fn labels(&self) -> &[Labels] {
        &self.0
    }

    /// Without those that the storage refused.
    pub(crate) fn remove(&mut self, refused: &[Labels]) {
        if !refused.is_empty() {
            self.0.retain(|labels| !refused.contains(labels));
        }
    }

    #[must_use]
    pub(crate) fn into_labels(self) -> Vec<Labels> {
        self.0
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What stands in `these` and not in `others`; both are sorted.
fn missing(these: &[Labels], others: &[Labels]) -> Vec<Labels> {
    if these == others {
        return Vec::new();
    }
    let mut following = others.iter().peekable();
    let mut found = Vec::new();
    for labels in these {
        while following.next_if(|other| *other < labels).is_some() {}
        if following.next_if(|other| *other == labels).is_none() {
            found.push(labels.clone());
        }
    }
    found
}

impl FromIterator<Labels> for WrittenSeries {
    fn from_iter<Iter: IntoIterator<Item = Labels>>(labels: Iter) -> Self {
        let mut labels: Vec<Labels> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup();
        Self(labels)
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::{SAVED_MAX, WrittenSeries};

    fn series(names: &str) -> WrittenSeries {
        names
            .chars()
            .map(|name| Labels::from_pairs([("name", name.to_string())]))
            .collect()
    }

    #[test]
    fn no_more_is_saved_than_may_be() {
        let many = |count: usize| -> WrittenSeries {
            let of = |number: usize| Labels::from_pairs([("name", number.to_string())]);
            (0..count).map(of).collect()
        };
        let (few, most, more) = (many(3), many(SAVED_MAX), many(SAVED_MAX + 1));
        for (before, after, added, ended) in [
            (&few, &most, SAVED_MAX - 3, 0),
            (&most, &more, 0, SAVED_MAX),
            (&more, &few, 3, 0),
            (&more, &more, 0, 0),
        ] {
            let change = before.change_to(after);
            assert_eq!((change.0.len(), change.1.len()), (added, ended));
        }
        assert_eq!(more.ended(&few).len(), SAVED_MAX - 2, "marks are for all");
    }

    #[test]
    fn what_is_no_longer_written_has_ended() {
        for (before, after, ended) in [
            ("", "", ""),
            ("", "ab", ""),
            ("ab", "", "ab"),
            ("ab", "ab", ""),
            ("ab", "bc", "a"),
            ("bdf", "acdg", "bf"),
            ("dba", "ad", "b"),
        ] {
            let found: WrittenSeries = series(before).ended(&series(after)).into_iter().collect();
            assert_eq!(found, series(ended), "{before} then {after}");
        }
    }
}
