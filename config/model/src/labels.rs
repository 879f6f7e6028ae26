//! A set of labels: sorted by name, each name once, one allocation, cheap to copy.
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh64::Xxh64;

use crate::fingerprint::Fingerprint;
use crate::go_quote::quote;

pub const METRIC_NAME: &str = "__name__";
pub const ALERT_NAME: &str = "alertname";

/// Names and values, sorted by name.
///
/// All of a set lies in one string: for each label the length of its name, the name, the length of its value,
/// the value. Lengths are written in base 64 as ASCII characters, so that the whole is valid UTF-8 and every
/// part can be lent as a `&str` without being checked again. Equality and hashing look at that string alone.
/// Order is by the first label in which two sets differ (name, then value); a prefix comes before what it begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<str>);

impl Labels {
    /// Sorts the pairs by name; of a name that comes twice the last value stays. Empty values are kept:
    /// callers for whom "empty means absent" use [`LabelsBuilder`].
    pub fn from_pairs<Name, Value>(pairs: impl IntoIterator<Item = (Name, Value)>) -> Self
    where
        Name: AsRef<str>,
        Value: AsRef<str>,
    {
        let mut pairs: Vec<(Name, Value)> = pairs.into_iter().collect();
        // Stable, so that among equal names the last one given stands last.
        pairs.sort_by(|(left, _), (right, _)| left.as_ref().cmp(right.as_ref()));
        let mut packed = String::with_capacity(
            pairs
                .iter()
                .map(|(name, value)| name.as_ref().len() + value.as_ref().len() + 4)
                .sum(),
        );
        for (index, (name, value)) in pairs.iter().enumerate() {
            let replaced = pairs
                .get(index + 1)
                .is_some_and(|(next, _)| next.as_ref() == name.as_ref());
            if !replaced {
                push_part(&mut packed, name.as_ref());
                push_part(&mut packed, value.as_ref());
            }
        }
        Self(packed.into())
    }

    #[must_use]
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    #[must_use]
    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        for (own, value) in self.iter() {
            match own.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The value of a label, empty where the label is absent: what matchers and templates see.
    #[must_use]
    #[inline]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that the set occupies, shared by all its copies.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }

    /// FNV-1a 64 over `name 0xFF value 0xFF …` (Alertmanager's fingerprint).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            hash = (hash ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3);
        };
        for (name, value) in self.iter() {
            eat(name.as_bytes());
            eat(value.as_bytes());
        }
        Fingerprint(hash)
    }

    /// xxHash64 over the same bytes: what Alertmanager's notification log and `limit_ratio` use.
    #[must_use]
    pub fn xxhash64(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        for (name, value) in self.iter() {
            hash.update(name.as_bytes());
            hash.update(&[0xff]);
            hash.update(value.as_bytes());
            hash.update(&[0xff]);
        }
        hash.digest()
    }

    /// The labels whose name `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl FnMut(&str) -> bool) -> Self {
        let mut part = LabelsPart(String::with_capacity(self.0.len()));
        part.take(self, keep);
        if part.0.len() == self.0.len() {
            self.clone()
        } else {
            Self(part.0.into())
        }
    }

    /// Alertmanager's order of label sets in lists: smaller sets first; of two with as many labels the one first that
    /// lacks the first name in which they differ, else the one with the smaller value.
    #[must_use]
    pub fn set_order(&self, other: &Self) -> Ordering {
        self.len().cmp(&other.len()).then_with(|| {
            self.iter()
                .zip(other.iter())
                .map(|((left_name, left), (right_name, right))| {
                    right_name.cmp(left_name).then_with(|| left.cmp(right))
                })
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    }

    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        match self.metric_name() {
            Some(_) => self.filtered(|name| name != METRIC_NAME),
            None => self.clone(),
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self("".into())
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<Name: AsRef<str>, Value: AsRef<str>> FromIterator<(Name, Value)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(pairs: I) -> Self {
        Self::from_pairs(pairs)
    }
}

/// `{alertname="Down", instance="a:1"}`: values quoted as Go quotes strings.
impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{name}={}", quote(value))?;
        }
        formatter.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = take_part(&mut self.rest);
        let value = take_part(&mut self.rest);
        Some((name, value))
    }
}

const DIGIT_FIRST: u8 = b'0';
const DIGIT_BITS: u32 = 5;
const DIGIT_MORE: u8 = 1 << DIGIT_BITS;

/// Five bits a character, lowest first, a sixth bit says that more follow: '0'..='o', all of it ASCII.
fn push_part(packed: &mut String, part: &str) {
    let mut length = part.len();
    loop {
        let digit = (length & usize::from(DIGIT_MORE - 1)) as u8;
        length >>= DIGIT_BITS;
        let more = if length > 0 { DIGIT_MORE } else { 0 };
        packed.push(char::from(DIGIT_FIRST + (digit | more)));
        if length == 0 {
            break;
        }
    }
    packed.push_str(part);
}

#[inline]
fn take_part<'a>(rest: &mut &'a str) -> &'a str {
    let first = rest.as_bytes()[0] - DIGIT_FIRST;
    let (at, length) = if first & DIGIT_MORE == 0 {
        (1, usize::from(first))
    } else {
        read_length(rest.as_bytes())
    };
    let (part, after) = rest[at..].split_at(length);
    *rest = after;
    part
}

/// How many digits the length has, and the length.
fn read_length(bytes: &[u8]) -> (usize, usize) {
    let mut length = 0_usize;
    let mut at = 0;
    loop {
        let digit = bytes[at] - DIGIT_FIRST;
        length |= usize::from(digit & (DIGIT_MORE - 1)) << (DIGIT_BITS * at as u32);
        at += 1;
        if digit & DIGIT_MORE == 0 {
            return (at, length);
        }
    }
}

/// Some labels of a set, in room that is used again for the next set.
#[derive(Clone, Debug, Default)]
pub struct LabelsPart(String);

impl LabelsPart {
    /// Holds those labels of a set whose name `keep` accepts, and nothing else any more.
    pub fn take(&mut self, of: &Labels, mut keep: impl FnMut(&str) -> bool) {
        self.0.clear();
        let mut rest: &str = &of.0;
        while !rest.is_empty() {
            let before = rest;
            let name = take_part(&mut rest);
            take_part(&mut rest);
            if keep(name) {
                self.0.push_str(&before[..before.len() - rest.len()]);
            }
        }
    }

    /// The same text for equal labels, another for others.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn to_labels(&self) -> Labels {
        Labels(self.0.as_str().into())
    }
}

/// Changes a label set. Here an empty value means that the label is absent, as in Prometheus.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    #[must_use]
    pub fn new(base: &Labels) -> Self {
        Self {
            pairs: base
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => value.clone_into(own),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(own, _)| own != name);
        self
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut Self {
        self.pairs.retain(|(name, _)| keep(name));
        self
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn build(&self) -> Labels {
        Labels::from_pairs(
            self.pairs
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value)),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Labels, LabelsBuilder, LabelsPart};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn hashes_as_alertmanager_does() {
        for (pairs, fingerprint, hash) in [
            (&[][..], "cbf29ce484222325", 17_241_709_254_077_376_921),
            (
                &[("ok", "1")][..],
                "8d4653b8b9db0024",
                16_216_063_725_985_524_043,
            ),
            (
                &[("a", "x"), ("team", "x")][..],
                "da32e9ddf78bee37",
                4_505_862_155_425_722_346,
            ),
            (
                &[
                    ("severity", "critical"),
                    ("alertname", "Down"),
                    ("instance", "a:1"),
                ][..],
                "2fc4c353ef13c5b1",
                15_046_708_431_042_216_841,
            ),
        ] {
            let set = labels(pairs);
            assert_eq!(set.fingerprint().to_string(), fingerprint, "{set}");
            assert_eq!(set.xxhash64(), hash, "{set}");
        }
    }

    #[test]
    fn prints_values_as_go_quotes_them() {
        let set = labels(&[("deployment", "gds \"a\"\\b"), ("alertname", "é\n")]);
        assert_eq!(
            set.to_string(),
            r#"{alertname="é\n", deployment="gds \"a\"\\b"}"#
        );
    }

    #[test]
    fn orders_by_the_first_difference() {
        let mut sets = [
            labels(&[("b", "1")]),
            labels(&[("a", "2")]),
            labels(&[("a", "1"), ("b", "1")]),
            labels(&[]),
        ];
        sets.sort();
        let printed: Vec<String> = sets.iter().map(ToString::to_string).collect();
        assert_eq!(
            printed,
            ["{}", r#"{a="1", b="1"}"#, r#"{a="2"}"#, r#"{b="1"}"#]
        );
    }

    #[test]
    fn an_empty_value_in_a_builder_removes() {
        let mut builder = LabelsBuilder::new(&labels(&[("a", "1"), ("b", "2")]));
        builder.set("a", "").set("c", "3").remove("b");
        assert_eq!(builder.build(), labels(&[("c", "3")]));
    }

    proptest! {
        #[test]
        fn packs_and_lends_any_pairs(pairs in prop::collection::btree_map(".{0,40}", ".{0,1500}", 0..6)) {
            let set = Labels::from_pairs(&pairs);
            let lent: Vec<(String, String)> = set.iter().map(|(name, value)| (name.into(), value.into())).collect();
            prop_assert_eq!(lent, pairs.clone().into_iter().collect::<Vec<_>>());
            for (name, value) in &pairs {
                prop_assert_eq!(set.get(name), Some(value.as_str()));
            }
            prop_assert_eq!(set.len(), pairs.len());
            let is_kept = |name: &str| name.len().is_multiple_of(2);
            let kept = Labels::from_pairs(pairs.iter().filter(|(name, _)| is_kept(name)));
            prop_assert_eq!(&set.filtered(is_kept), &kept);
            let mut part = LabelsPart::default();
            part.take(&set, |_| true);
            prop_assert_eq!(part.to_labels(), set.clone());
            part.take(&set, is_kept);
            prop_assert_eq!(part.key() == &*set.0, kept == set);
            prop_assert_eq!(part.to_labels(), kept);
        }
    }
}
