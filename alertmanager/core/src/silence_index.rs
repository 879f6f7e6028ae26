//! Which silences an alert has to be held against: most are about values that it does not have.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use model::{Labels, MatchOp, Matcher};

use crate::silence::{Silence, SilenceId};

type Ids = BTreeSet<SilenceId>;

/// Each matcher set of a silence stands under one of its matchers: under a value that a label must have, or under the
/// beginnings that one must have. Of those the one is taken under which the fewest stand: where five thousand silences
/// say `job="node"` and each has another `instance=~"host-7-.*"`, it is the latter.
#[derive(Clone, Debug, Default)]
pub(crate) struct SilenceIndex {
    /// By a label's name and its whole value.
    by_value: BTreeMap<String, BTreeMap<String, Ids>>,
    /// By a label's name and a beginning of its value, which is never empty.
    by_prefix: BTreeMap<String, BTreeMap<Vec<u8>, Ids>>,
    /// Silences with a set in which no matcher says either.
    unindexed: Ids,
    places: BTreeMap<SilenceId, Vec<Place>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Value(String, String),
    Prefixes(String, Vec<Vec<u8>>),
    Nowhere,
}

impl SilenceIndex {
    pub(crate) fn insert(&mut self, silence: &Silence) {
        self.remove(&silence.id);
        let mut places = Vec::with_capacity(silence.matcher_sets.len());
        for set in &silence.matcher_sets {
            let place = self.place(set);
            self.put(&place, &silence.id);
            places.push(place);
        }
        self.places.insert(silence.id.clone(), places);
    }

    pub(crate) fn remove(&mut self, id: &SilenceId) {
        for place in self.places.remove(id).unwrap_or_default() {
            match place {
                Place::Value(name, value) => take(&mut self.by_value, &name, &value, id),
                Place::Prefixes(name, prefixes) => {
                    for prefix in prefixes {
                        take(&mut self.by_prefix, &name, &prefix, id);
                    }
                }
                Place::Nowhere => {
                    self.unindexed.remove(id);
                }
            }
        }
    }

    /// In the order of their ids.
    pub(crate) fn candidates(&self, labels: &Labels) -> BTreeSet<&SilenceId> {
        let mut candidates: BTreeSet<&SilenceId> = self.unindexed.iter().collect();
        for (name, value) in labels {
            let exact = self.by_value.get(name).and_then(|ids| ids.get(value));
            candidates.extend(exact.into_iter().flatten());
            if let Some(prefixes) = self.by_prefix.get(name) {
                begun_by(prefixes, value.as_bytes(), |ids| candidates.extend(ids));
            }
        }
        candidates
    }

    /// Where the fewest others stand.
    fn place(&self, set: &[Matcher]) -> Place {
        let places = set.iter().filter_map(|matcher| {
            let name = matcher.name().to_owned();
            match matcher.op() {
                MatchOp::Equal if !matcher.value().is_empty() => {
                    Some(Place::Value(name, matcher.value().to_owned()))
                }
                MatchOp::Regex => {
                    let prefixes = matcher.regex()?.prefixes()?;
                    Some(Place::Prefixes(name, prefixes))
                }
                MatchOp::Equal | MatchOp::NotEqual | MatchOp::NotRegex => None,
            }
        });
        places
            .min_by_key(|place| self.neighbours(place))
            .unwrap_or(Place::Nowhere)
    }

    fn neighbours(&self, place: &Place) -> usize {
        match place {
            Place::Value(name, value) => {
                let ids = self.by_value.get(name).and_then(|ids| ids.get(value));
                ids.map_or(0, BTreeSet::len)
            }
            Place::Prefixes(name, prefixes) => {
                let of_name = self.by_prefix.get(name);
                let ids = prefixes.iter().filter_map(|prefix| of_name?.get(prefix));
                ids.map(BTreeSet::len).sum()
            }
            Place::Nowhere => self.unindexed.len(),
        }
    }

    fn put(&mut self, place: &Place, id: &SilenceId) {
        match place {
            Place::Value(name, value) => {
                let of_name = self.by_value.entry(name.clone()).or_default();
                let ids = of_name.entry(value.clone()).or_default();
                ids.insert(id.clone());
            }
            Place::Prefixes(name, prefixes) => {
                let of_name = self.by_prefix.entry(name.clone()).or_default();
                for prefix in prefixes {
                    let ids = of_name.entry(prefix.clone()).or_default();
                    ids.insert(id.clone());
                }
            }
            Place::Nowhere => {
                self.unindexed.insert(id.clone());
            }
        }
    }
}

fn take<K, Q>(index: &mut BTreeMap<String, BTreeMap<K, Ids>>, name: &str, key: &Q, id: &SilenceId)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    let Some(of_name) = index.get_mut(name) else {
        return;
    };
    if let Some(ids) = of_name.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            of_name.remove(key);
        }
    }
    if of_name.is_empty() {
        index.remove(name);
    }
}

/// Every entry of `prefixes` that `value` begins with, the longest first. From the last key that is not behind the value
/// the search goes on with what that key and the value have in common: no prefix of the value lies between the two.
fn begun_by<'a>(
    prefixes: &'a BTreeMap<Vec<u8>, Ids>,
    value: &[u8],
    mut found: impl FnMut(&'a Ids),
) {
    let mut within = value;
    while let Some((prefix, ids)) = prefixes
        .range::<[u8], _>((Bound::Unbounded, Bound::Included(within)))
        .next_back()
    {
        let common = prefix.iter().zip(within).take_while(|(a, b)| a == b);
        let common = common.count();
        if common < prefix.len() {
            within = &value[..common];
            continue;
        }
        found(ids);
        match common.checked_sub(1) {
            Some(shorter) => within = &value[..shorter],
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Labels, MatchOp, Matcher, MatcherDialect, Timestamp};
    use proptest::prelude::*;

    use super::{SilenceIndex, begun_by};
    use crate::silence::{Silence, SilenceId};

    fn silence(id: usize, sets: Vec<Vec<Matcher>>) -> Silence {
        Silence {
            id: SilenceId::new(id.to_string()),
            matcher_sets: sets,
            starts_at: Timestamp::from_secs(0),
            ends_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(0),
            created_by: String::new(),
            comment: String::new(),
            annotations: Labels::default(),
        }
    }

    fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
        Matcher::new(op, name, value, MatcherDialect::Alertmanager).unwrap()
    }

    fn ids(index: &SilenceIndex, labels: &[(&str, &str)]) -> Vec<String> {
        let labels = Labels::from_pairs(labels.iter().copied());
        let candidates = index.candidates(&labels);
        candidates.iter().map(|id| id.to_string()).collect()
    }

    #[test]
    fn a_set_stands_where_the_fewest_do() {
        let mut index = SilenceIndex::default();
        let all = matcher("job", MatchOp::Equal, "node");
        for id in 0..100 {
            let one = matcher(
                "instance",
                MatchOp::Regex,
                &format!("host-{id}-.*|x{id}\\..+"),
            );
            index.insert(&silence(id, vec![vec![one, all.clone()]]));
        }
        let of = |instance: &str| ids(&index, &[("instance", instance), ("job", "node")]).len();
        assert_eq!(
            of("other"),
            0,
            "the first regular expression came before `job`"
        );
        assert_eq!(of("host-7-a"), 1);
        assert_eq!(of("x7.a"), 1);
        for id in 0..100 {
            index.remove(&SilenceId::new(id.to_string()));
        }
        assert!(index.by_value.is_empty() && index.by_prefix.is_empty() && index.places.is_empty());
    }

    #[test]
    fn every_beginning_is_found_the_longest_first() {
        let map: BTreeMap<Vec<u8>, _> = ["a", "ab", "abc", "abd", "b", "abcdef", "aa"]
            .iter()
            .map(|text| (text.as_bytes().to_vec(), [SilenceId::new(*text)].into()))
            .collect();
        let found = |value: &str| {
            let mut found = Vec::new();
            begun_by(&map, value.as_bytes(), |ids| {
                found.extend(ids.iter().map(SilenceId::to_string));
            });
            found
        };
        assert_eq!(found("abcde"), ["abc", "ab", "a"]);
        assert_eq!(found("abdzz"), ["abd", "ab", "a"]);
        assert_eq!(found("ac"), ["a"]);
        assert_eq!(found("A"), Vec::<String>::new());
        assert_eq!(found(""), Vec::<String>::new());
        assert_eq!(found("zzz"), Vec::<String>::new());
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let op = prop_oneof![
            1 => Just(MatchOp::Equal),
            1 => Just(MatchOp::NotEqual),
            3 => Just(MatchOp::Regex),
            1 => Just(MatchOp::NotRegex),
        ];
        let value = prop_oneof![
            1 => "[ab]{0,2}",
            4 => "[ab]{0,2}\\.\\*",
            1 => "\\(\\?i:[ab]{1,2}\\)[ab]?",
            1 => "[ab]{1,2}\\|[ab]{1,2}\\.\\+",
            1 => "\\[ab\\]c?",
            1 => "\\.\\*[ab]",
        ];
        ("[xy]", op, value).prop_map(|(name, op, value)| matcher(&name, op, &value))
    }

    proptest! {
        /// What the index leaves out does not match, whatever was put in and taken out before.
        #[test]
        fn nothing_that_matches_is_left_out(
            sets in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any_matcher(), 1..3), 1..3), 1..12),
            removed in prop::collection::vec(0_usize..12, 0..6),
            labels in prop::collection::btree_map("[xyz]", "[abA]{1,3}", 1..4),
        ) {
            let mut index = SilenceIndex::default();
            let mut silences: BTreeMap<usize, Silence> = BTreeMap::new();
            for (id, sets) in sets.into_iter().enumerate() {
                let silence = silence(id % 8, sets);
                index.insert(&silence);
                silences.insert(id % 8, silence);
            }
            for id in removed {
                index.remove(&SilenceId::new(id.to_string()));
                silences.remove(&id);
            }
            let labels: Labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let candidates = index.candidates(&labels);
            for silence in silences.values() {
                prop_assert!(!silence.matches(&labels) || candidates.contains(&silence.id), "{silence:?}");
            }
            prop_assert!(candidates.iter().all(|id| silences.values().any(|silence| silence.id == **id)));
        }
    }
}
