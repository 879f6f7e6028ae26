//! From labels to series: for each name and value the sorted list of series that have it.
use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::quality::FixedState;
use model::{Labels, MatchOp, Matcher};

use crate::postings::{intersect, subtract, unite_disjoint};
use crate::record::SeriesId;

/// Where fewer series than this times the label's values are left, each is asked for its label instead of each
/// value being matched and its list merged.
const ASK_SERIES_RATIO: usize = 2;

#[derive(Debug)]
pub(crate) struct Index {
    names: HashMap<Box<str>, Values, FixedState>,
    all: Vec<SeriesId>,
    seed: u64,
}

type Values = HashMap<Box<str>, Vec<SeriesId>, FixedState>;

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            names: HashMap::with_hasher(FixedState::with_seed(seed)),
            all: Vec::new(),
            seed,
        }
    }

    pub(crate) fn insert(&mut self, id: SeriesId, labels: &Labels) {
        for (name, value) in labels {
            let values = match self.names.get_mut(name) {
                Some(values) => values,
                None => self
                    .names
                    .entry(name.into())
                    .or_insert_with(|| HashMap::with_hasher(FixedState::with_seed(self.seed))),
            };
            match values.get_mut(value) {
                Some(list) => insert_sorted(list, id),
                None => {
                    values.insert(value.into(), vec![id]);
                }
            }
        }
        insert_sorted(&mut self.all, id);
    }

    /// Takes out one series: quickly, where it was put in last.
    pub(crate) fn remove_one(&mut self, id: SeriesId, labels: &Labels) {
        for (name, value) in labels {
            let Some(values) = self.names.get_mut(name) else {
                continue;
            };
            if let Some(list) = values.get_mut(value) {
                remove_sorted(list, id);
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
        remove_sorted(&mut self.all, id);
    }

    /// Takes out the series that `is_gone` names; `labels` are those that any of them had.
    pub(crate) fn remove<'l>(
        &mut self,
        labels: impl Iterator<Item = &'l Labels>,
        is_gone: impl Fn(SeriesId) -> bool,
    ) {
        let mut touched: Vec<(&str, &str)> = labels.flatten().collect();
        touched.sort_unstable();
        touched.dedup();
        for (name, value) in touched {
            let Some(values) = self.names.get_mut(name) else {
                continue;
            };
            if let Some(list) = values.get_mut(value) {
                list.retain(|id| !is_gone(*id));
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
        self.all.retain(|id| !is_gone(*id));
    }

    /// The series that fulfil every matcher, as Prometheus understands them: an absent label is the empty string.
    /// No matcher at all means every series. The answer is sorted.
    pub(crate) fn select<'s>(
        &self,
        matchers: &[Matcher],
        labels: impl Fn(SeriesId) -> &'s Labels,
    ) -> Vec<SeriesId> {
        // What is found by looking up comes first, so that the rest has few series to look at.
        let (direct, others): (Vec<_>, Vec<_>) =
            matchers.iter().partition(|matcher| is_direct(matcher));
        let mut lists: Vec<Cow<'_, [SeriesId]>> = direct
            .into_iter()
            .map(|matcher| self.matching(matcher))
            .collect();
        lists.sort_by_key(|list| list.len());
        let mut found: Option<Cow<'_, [SeriesId]>> = None;
        for list in lists {
            found = Some(match found {
                None => list,
                Some(found) => Cow::Owned(intersect(&found, &list)),
            });
        }
        for matcher in others {
            let values = self.names.get(matcher.name()).map_or(0, HashMap::len);
            found = Some(match found {
                Some(found) if found.len() <= values.saturating_mul(ASK_SERIES_RATIO) => {
                    let mut found = found.into_owned();
                    found.retain(|id| matcher.matches_labels(labels(*id)));
                    Cow::Owned(found)
                }
                found if matcher.matches_empty() => {
                    let found = found.unwrap_or(Cow::Borrowed(self.all.as_slice()));
                    Cow::Owned(subtract(&found, &self.not_matching(matcher)))
                }
                None => self.matching(matcher),
                Some(found) => Cow::Owned(intersect(&found, &self.matching(matcher))),
            });
        }
        found.map_or_else(|| self.all.clone(), Cow::into_owned)
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.names.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// All values of a label, sorted, each with the series that have it.
    pub(crate) fn values(&self, name: &str) -> Vec<(&str, &[SeriesId])> {
        let mut values: Vec<(&str, &[SeriesId])> = self
            .names
            .get(name)
            .into_iter()
            .flatten()
            .map(|(value, list)| (value.as_ref(), list.as_slice()))
            .collect();
        values.sort_unstable_by_key(|(value, _)| *value);
        values
    }

    /// The series whose label has a value that matches. Series without the label are not looked at.
    fn matching(&self, matcher: &Matcher) -> Cow<'_, [SeriesId]> {
        let Some(values) = self.names.get(matcher.name()) else {
            return Cow::Borrowed(&[]);
        };
        let list = |value: &str| values.get(value).map_or(&[][..], Vec::as_slice);
        if matcher.op() == MatchOp::Equal {
            return Cow::Borrowed(list(matcher.value()));
        }
        let alternatives = matcher
            .regex()
            .filter(|_| matcher.op() == MatchOp::Regex)
            .and_then(|regex| regex.alternatives());
        if let Some(alternatives) = alternatives {
            let mut alternatives: Vec<&str> = alternatives.iter().map(String::as_str).collect();
            alternatives.sort_unstable();
            alternatives.dedup();
            return Cow::Owned(unite_disjoint(alternatives.into_iter().map(list)));
        }
        Cow::Owned(unite_disjoint(
            values
                .iter()
                .filter(|(value, _)| matcher.matches(value))
                .map(|(_, list)| list.as_slice()),
        ))
    }

    /// The series whose label has a value that does not match.
    fn not_matching(&self, matcher: &Matcher) -> Cow<'_, [SeriesId]> {
        let Some(values) = self.names.get(matcher.name()) else {
            return Cow::Borrowed(&[]);
        };
        if matcher.op() == MatchOp::NotEqual {
            return Cow::Borrowed(values.get(matcher.value()).map_or(&[], Vec::as_slice));
        }
        Cow::Owned(unite_disjoint(
            values
                .iter()
                .filter(|(value, _)| !matcher.matches(value))
                .map(|(_, list)| list.as_slice()),
        ))
    }
}

/// Whether the matcher names the values that it wants.
fn is_direct(matcher: &Matcher) -> bool {
    let names_values = match matcher.op() {
        MatchOp::Equal => true,
        MatchOp::Regex => matcher
            .regex()
            .is_some_and(|regex| regex.alternatives().is_some()),
        MatchOp::NotEqual | MatchOp::NotRegex => false,
    };
    names_values && !matcher.matches_empty()
}

/// Numbers are given in ascending order, so that this is nearly always a push.
fn insert_sorted(list: &mut Vec<SeriesId>, id: SeriesId) {
    match list.last() {
        Some(last) if *last >= id => {
            if let Err(at) = list.binary_search(&id) {
                list.insert(at, id);
            }
        }
        _ => list.push(id),
    }
}

fn remove_sorted(list: &mut Vec<SeriesId>, id: SeriesId) {
    if list.pop_if(|last| *last == id).is_none()
        && let Ok(at) = list.binary_search(&id)
    {
        list.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, MatchOp, Matcher, MatcherDialect, match_all};
    use proptest::prelude::*;

    use super::Index;
    use crate::record::SeriesId;

    fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
        Matcher::new(op, name, value, MatcherDialect::PromQl).unwrap()
    }

    fn index(sets: &[Labels]) -> Index {
        let mut index = Index::new(1);
        for (id, labels) in sets.iter().enumerate() {
            index.insert(SeriesId(id as u32), labels);
        }
        index
    }

    fn select(index: &Index, sets: &[Labels], matchers: &[Matcher]) -> Vec<u32> {
        index
            .select(matchers, |id| &sets[id.0 as usize])
            .into_iter()
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn matchers_mean_what_they_mean_in_prometheus() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let sets = [
            Labels::from_pairs([("__name__", "up"), ("job", "a")]),
            Labels::from_pairs([("__name__", "up"), ("job", "b")]),
            Labels::from_pairs([("__name__", "up")]),
            Labels::from_pairs([("__name__", "down"), ("job", "a"), ("env", "x")]),
        ];
        let index = index(&sets);
        for (matchers, expected) in [
            (vec![], &[0, 1, 2, 3][..]),
            (vec![(Equal, "__name__", "up")], &[0, 1, 2]),
            (vec![(Equal, "job", "")], &[2]),
            (vec![(NotEqual, "job", "")], &[0, 1, 3]),
            (vec![(NotEqual, "job", "a")], &[1, 2]),
            (vec![(Regex, "job", "a|b")], &[0, 1, 3]),
            (vec![(Regex, "job", "a|")], &[0, 2, 3]),
            (vec![(Regex, "job", "a|a")], &[0, 3]),
            (vec![(Regex, "job", ".*")], &[0, 1, 2, 3]),
            (vec![(Regex, "job", ".+")], &[0, 1, 3]),
            (vec![(Regex, "job", "[b-z]")], &[1]),
            (vec![(NotRegex, "job", "a|b")], &[2]),
            (vec![(NotRegex, "job", "a|")], &[1]),
            (vec![(NotRegex, "job", ".+")], &[2]),
            (vec![(NotRegex, "job", ".*")], &[]),
            (vec![(Equal, "nowhere", "x")], &[]),
            (vec![(Equal, "nowhere", "")], &[0, 1, 2, 3]),
            (vec![(NotEqual, "nowhere", "x")], &[0, 1, 2, 3]),
            (
                vec![(Equal, "__name__", "up"), (NotEqual, "job", "a")],
                &[1, 2],
            ),
            (
                vec![(Regex, "__name__", "up|down"), (Regex, "env", "x.*")],
                &[3],
            ),
        ] {
            let matchers: Vec<Matcher> = matchers
                .into_iter()
                .map(|(op, name, value)| matcher(op, name, value))
                .collect();
            assert_eq!(select(&index, &sets, &matchers), expected, "{matchers:?}");
        }
    }

    #[test]
    fn what_is_removed_leaves_no_trace() {
        let sets = [
            Labels::from_pairs([("__name__", "up"), ("job", "a")]),
            Labels::from_pairs([("__name__", "up"), ("env", "x")]),
        ];
        let mut index = index(&sets);
        index.remove([&sets[1]].into_iter(), |id| id.0 == 1);
        assert_eq!(index.names(), ["__name__", "job"]);
        assert_eq!(index.values("__name__"), [("up", &[SeriesId(0)][..])]);
        assert_eq!(index.values("env"), []);
        assert_eq!(select(&index, &sets, &[]), [0]);
    }

    proptest! {
        /// Against the definition: every series is asked.
        #[test]
        fn selects_what_matches(
            sets in prop::collection::vec(prop::collection::btree_map("[abc]", "[xyz]{0,2}", 0..3), 0..40),
            wanted in prop::collection::vec((0..4_usize, "[abcd]", "([xyz]{0,2}(\\|[xyz]{0,2})?|\\.\\*|\\.\\+|x\\.\\*)"), 0..4),
        ) {
            let sets: Vec<Labels> = sets
                .into_iter()
                .map(|set| Labels::from_pairs(set.into_iter().filter(|(_, value)| !value.is_empty())))
                .collect();
            let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
            let matchers: Vec<Matcher> = wanted
                .iter()
                .map(|(op, name, value)| matcher(ops[*op], name, value))
                .collect();
            let expected: Vec<u32> = (0..sets.len() as u32)
                .filter(|id| match_all(&matchers, &sets[*id as usize]))
                .collect();
            prop_assert_eq!(select(&index(&sets), &sets, &matchers), expected);
        }
    }
}
