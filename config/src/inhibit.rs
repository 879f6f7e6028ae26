//! `inhibit_rules`: alerts that silence other alerts.
use std::collections::BTreeSet;

use model::Matcher;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// Empty where none is given; need not be unique.
    pub name: String,
    pub source_matchers: Vec<Matcher>,
    pub target_matchers: Vec<Matcher>,
    /// Labels whose values source and target must share; absent counts as empty.
    pub equal: BTreeSet<String>,
}
