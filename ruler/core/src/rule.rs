//! Rules and groups as they were loaded: what is the same after a reload, and what is not.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Matcher};

use crate::alert::AlertTiming;
use crate::plan::{RulePlan, RuleText};
use crate::rule_order::RuleOrder;

/// A group's identity within its tenant: the same name in two files is two groups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    pub file: Arc<str>,
    pub name: Arc<str>,
}

impl GroupKey {
    #[must_use]
    pub fn new(file: &str, name: &str) -> Self {
        Self {
            file: file.into(),
            name: name.into(),
        }
    }
}

/// `file;name`, as Prometheus' metrics name a group.
impl fmt::Display for GroupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{};{}", self.file, self.name)
    }
}

/// A rule's identity within its group: state survives a reload, and a restart, where this stays the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    pub class: RuleClass,
    pub name: Arc<str>,
    /// As they were written, templates unexpanded.
    pub labels: Labels,
    /// Counts the rules of one group that are otherwise the same, in the order of the file.
    pub twin: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleClass {
    Alerting,
    Recording,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub key: GroupKey,
    pub interval: Duration,
    /// Queries look this far back, and what they give is written this far back.
    pub query_offset: Duration,
    /// How many alerts or series one rule may have.
    pub limit: Option<u64>,
    pub rules: Vec<Rule>,
    /// Of `rules`.
    pub order: RuleOrder,
    /// Matchers of selectors that several of `rules` have and none of them writes: what they find at one time is one and
    /// the same.
    pub shared_selectors: Arc<[Vec<Matcher>]>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub key: RuleKey,
    /// The expression in its normalised print.
    pub expression: Arc<str>,
    pub kind: RuleKind,
    /// Expression and templates, ready to be run.
    pub plan: RulePlan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    Alerting {
        timing: AlertTiming,
        /// As they were written, templates unexpanded.
        annotations: Labels,
    },
    Recording,
}

impl Group {
    /// Would an evaluation of the other do the same?
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.interval == other.interval
            && self.query_offset == other.query_offset
            && self.limit == other.limit
            && self.rules.len() == other.rules.len()
            && self
                .rules
                .iter()
                .zip(&other.rules)
                .all(|(rule, other)| rule.is_same(other))
    }
}

impl Rule {
    /// Of a recording rule, which has no alerts, both durations are zero.
    #[must_use]
    pub fn alert_timing(&self) -> AlertTiming {
        match &self.kind {
            RuleKind::Alerting { timing, .. } => *timing,
            RuleKind::Recording => AlertTiming::default(),
        }
    }

    /// The labels of an alerting rule, ready to be expanded.
    pub fn label_texts(&self) -> impl Iterator<Item = (&str, RuleText<'_>)> {
        self.ready(0, Some(&self.key.labels))
    }

    /// The annotations of an alerting rule, ready to be expanded.
    pub fn annotation_texts(&self) -> impl Iterator<Item = (&str, RuleText<'_>)> {
        let annotations = match &self.kind {
            RuleKind::Alerting { annotations, .. } => Some(annotations),
            RuleKind::Recording => None,
        };
        self.ready(self.key.labels.len(), annotations)
    }

    fn ready<'a>(
        &'a self,
        first: usize,
        texts: Option<&'a Labels>,
    ) -> impl Iterator<Item = (&'a str, RuleText<'a>)> {
        let texts = texts.into_iter().flat_map(Labels::iter).enumerate();
        texts.map(move |(place, (name, text))| {
            (name, self.plan.text(&self.key.name, first + place, text))
        })
    }

    /// Labels and annotations as they were written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let annotations = match &self.kind {
            RuleKind::Alerting { annotations, .. } => Some(annotations),
            RuleKind::Recording => None,
        };
        let annotations = annotations.into_iter().flat_map(Labels::iter);
        self.key
            .labels
            .iter()
            .chain(annotations)
            .map(|(_, text)| text)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.expression == other.expression && self.kind == other.kind
    }
}
