//! Rule files as they are written.
use std::collections::BTreeMap;
use std::time::Duration;

use crate::problem::{Place, Problem};

/// One file. It may be looked at further (expressions, templates) while problems are being collected, but it is
/// to be used only where the list stays empty.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFile {
    /// As the caller named the file: half of a group's identity.
    pub file: String,
    pub groups: Vec<RawGroup>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    pub value: T,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RawGroup {
    pub name: Placed<String>,
    /// The global evaluation interval where it is absent or zero.
    pub interval: Option<Duration>,
    /// The global offset where it is absent.
    pub query_offset: Option<Duration>,
    /// How many series or alerts one rule may produce; `None` is any number.
    pub limit: Option<u64>,
    /// Merged under each rule's labels.
    pub labels: BTreeMap<String, Placed<String>>,
    pub rules: Vec<RawRule>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RawRule {
    pub place: Place,
    /// `groups[0].rules[2]`.
    pub path: String,
    /// `group "G", rule 3, "NAME"`: what Prometheus' messages about the rule begin with.
    pub said: String,
    pub kind: RawRuleKind,
    pub expr: Placed<String>,
    /// Templates in alerting rules, literal text in recording rules.
    pub labels: BTreeMap<String, Placed<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RawRuleKind {
    Alerting {
        alert: Placed<String>,
        hold_duration: Duration,
        keep_firing_for: Duration,
        annotations: BTreeMap<String, Placed<String>>,
    },
    Recording {
        record: Placed<String>,
    },
}

impl RawRule {
    /// A problem of this rule in Prometheus' words: `group "G", rule 3, "NAME": reason`. `field` is the key below
    /// the rule, such as `expr` or `annotations.summary`.
    #[must_use]
    pub fn problem(&self, file: &str, field: &str, place: Place, reason: &str) -> Problem {
        let path = format!("{}.{field}", self.path);
        Problem::new(file, Some(place), &path, format!("{}: {reason}", self.said))
    }
}
