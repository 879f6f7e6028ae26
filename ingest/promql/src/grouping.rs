//! Which label sets belong together, seen through some of their labels only.
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use model::Labels;

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

    pub(crate) fn chosen(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.includes(name))
    }

    fn pairs<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = (&'a str, &'a str)> {
        labels.iter().filter(|(name, _)| self.includes(name))
    }

    fn hash(&self, labels: &Labels, state: &FixedState) -> u64 {
        let mut hasher = state.build_hasher();
        for pair in self.pairs(labels) {
            pair.hash(&mut hasher);
        }
        hasher.finish()
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
    state: FixedState,
    /// By hash, the first group that has it; groups of equal hash are chained.
    first: HashMap<u64, usize, FixedState>,
    groups: Vec<Group>,
}

struct Group {
    member: Labels,
    next: Option<usize>,
}

impl<'a> GroupIndex<'a> {
    pub(crate) fn new(choice: &'a LabelChoice) -> Self {
        Self {
            choice,
            state: FixedState::default(),
            first: HashMap::with_hasher(FixedState::default()),
            groups: Vec::new(),
        }
    }

    /// The group of a label set, a new one if there is none yet.
    pub(crate) fn group_of(&mut self, labels: &Labels) -> usize {
        let hash = self.choice.hash(labels, &self.state);
        let mut candidate = self.first.get(&hash).copied();
        let mut last = None;
        while let Some(index) = candidate {
            let same = self
                .choice
                .pairs(&self.groups[index].member)
                .eq(self.choice.pairs(labels));
            if same {
                return index;
            }
            last = Some(index);
            candidate = self.groups[index].next;
        }
        let index = self.groups.len();
        self.groups.push(Group {
            member: labels.clone(),
            next: None,
        });
        match last {
            Some(last) => self.groups[last].next = Some(index),
            None => {
                self.first.insert(hash, index);
            }
        }
        index
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// What the members of a group have in common.
    pub(crate) fn labels(&self, group: usize) -> Labels {
        self.choice.chosen(&self.groups[group].member)
    }
}
