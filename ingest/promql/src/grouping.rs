//! Which label sets belong together, seen through some of their labels only.
use std::cmp::Ordering;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Labels, LabelsPart};

use crate::table::METADATA;

/// The labels that count.
#[derive(Clone, Debug)]
pub(crate) enum LabelChoice {
    /// All but these. Sorted.
    AllBut(Vec<String>),
    /// These. Sorted.
    Only(Vec<String>),
}

impl LabelChoice {
    pub(crate) fn only(names: &[String]) -> Self {
        Self::Only(sorted(names.iter().cloned()))
    }

    /// `without`: the metadata never count.
    pub(crate) fn without(names: &[String]) -> Self {
        Self::all_but(names, &METADATA)
    }

    /// `ignoring`: the name never counts, but type and unit do.
    pub(crate) fn ignoring(names: &[String]) -> Self {
        Self::all_but(names, &METADATA[..1])
    }

    fn all_but(names: &[String], also: &[&str]) -> Self {
        let also = also.iter().map(|name| (*name).to_owned());
        Self::AllBut(sorted(names.iter().cloned().chain(also)))
    }

    pub(crate) fn includes(&self, name: &str) -> bool {
        let listed =
            |names: &Vec<String>| names.binary_search_by(|own| own.as_str().cmp(name)).is_ok();
        match self {
            Self::AllBut(names) => !listed(names),
            Self::Only(names) => listed(names),
        }
    }

    /// The same, to be asked for one name after the other in their order.
    fn in_order(&self) -> impl FnMut(&str) -> bool {
        let (mut names, is_listed_chosen) = match self {
            Self::AllBut(names) => (names.as_slice(), false),
            Self::Only(names) => (names.as_slice(), true),
        };
        move |name| {
            while let [first, rest @ ..] = names {
                match first.as_str().cmp(name) {
                    Ordering::Less => names = rest,
                    Ordering::Equal => {
                        names = rest;
                        return is_listed_chosen;
                    }
                    Ordering::Greater => break,
                }
            }
            !is_listed_chosen
        }
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Numbers groups of label sets that agree in the chosen labels: 0, 1, 2 … in the order of their coming.
pub(crate) struct GroupIndex<'a> {
    choice: &'a LabelChoice,
    chosen: LabelsPart,
    by_key: HashMap<Box<str>, usize, FixedState>,
    /// What the members of each group have in common.
    groups: Vec<Labels>,
}

impl<'a> GroupIndex<'a> {
    pub(crate) fn new(choice: &'a LabelChoice) -> Self {
        Self {
            choice,
            chosen: LabelsPart::default(),
            by_key: HashMap::with_hasher(FixedState::default()),
            groups: Vec::new(),
        }
    }

    /// The group of a label set, a new one if there is none yet.
    pub(crate) fn group_of(&mut self, labels: &Labels) -> usize {
        self.chosen.take(labels, self.choice.in_order());
        if let Some(group) = self.by_key.get(self.chosen.key()) {
            return *group;
        }
        let group = self.groups.len();
        self.by_key.insert(self.chosen.key().into(), group);
        self.groups.push(self.chosen.to_labels());
        group
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// What the members of a group have in common.
    pub(crate) fn labels(&self, group: usize) -> &Labels {
        &self.groups[group]
    }

    /// What the members of each group have in common, and the group, in the order of those labels: whoever came first, the
    /// answer is the same.
    pub(crate) fn into_sorted(self) -> Vec<(Labels, usize)> {
        let mut sorted: Vec<(Labels, usize)> = (self.groups.into_iter().enumerate())
            .map(|(group, labels)| (labels, group))
            .collect();
        sorted.sort_unstable();
        sorted
    }
}
