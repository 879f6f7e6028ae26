//! `inhibit_rules`: alerts that silence other alerts.
use std::collections::BTreeSet;

use model::Matcher;
use model::go_quote::quote;
use model::matcher_syntax::ParserMode;

use crate::cursor::Cursor;
use crate::matchers::{WrittenMatchers, read_matchers};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// Empty where none is given; need not be unique.
    pub name: String,
    pub source_matchers: Vec<Matcher>,
    pub target_matchers: Vec<Matcher>,
    /// Labels whose values source and target must share; absent counts as empty.
    pub equal: BTreeSet<String>,
    pub written: WrittenInhibitRule,
}

/// What the dump prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenInhibitRule {
    pub source: WrittenMatchers,
    pub target: WrittenMatchers,
    /// In the order of the file.
    pub equal: Vec<String>,
}

impl InhibitRule {
    /// An empty element of the list is a rule that never inhibits.
    pub(crate) fn read(cursor: &Cursor<'_>, mode: ParserMode) -> Self {
        let mut fields = cursor.fields("config.plain");
        let name = fields.text("name");
        let (source_matchers, source) = read_matchers(
            &mut fields,
            ["source_match", "source_match_re", "source_matchers"],
            mode,
        );
        let (target_matchers, target) = read_matchers(
            &mut fields,
            ["target_match", "target_match_re", "target_matchers"],
            mode,
        );
        let equal = fields.texts("equal");
        let rule = Self {
            name,
            source_matchers,
            target_matchers,
            equal: equal.iter().cloned().collect(),
            written: WrittenInhibitRule {
                source,
                target,
                equal,
            },
        };
        for cursor in fields.list("equal") {
            let name = cursor.text().unwrap_or_default();
            if !mode.is_label_name(&name) {
                cursor.problem(format!("invalid label name {} in equal list", quote(&name)));
            }
        }
        fields.finish();
        rule
    }
}
