//! Matchers of routes and inhibition rules: two old forms and a new one, in one sorted list.
use std::collections::BTreeMap;

use model::go_quote::quote;
use model::matcher_syntax::{ParserMode, Report, parse_list};
use model::{GoRegex, MatchOp, Matcher, MatcherDialect, is_classic_label_name};

use crate::cursor::{Cursor, Fields};

/// The three forms as they were written, for the dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenMatchers {
    pub equal: BTreeMap<String, String>,
    /// Without anchors.
    pub regex: BTreeMap<String, String>,
    /// Sorted.
    pub list: Vec<Matcher>,
}

/// `keys` are those of the map of equal values, the map of expressions, and the list of matchers. Sorted by name,
/// value and operator, because keys of routes are made of them.
pub(crate) fn read_matchers(
    fields: &mut Fields<'_>,
    keys: [&'static str; 3],
    mode: ParserMode,
) -> (Vec<Matcher>, WrittenMatchers) {
    let [equal, regex, list] = keys;
    let mut matchers = Vec::new();
    let mut written = WrittenMatchers::default();
    for (name, value) in classic_entries(fields, equal) {
        let Some(value) = value.text() else { continue };
        matchers.push(Matcher::equal(&name, &value));
        written.equal.insert(name, value);
    }
    for (name, value) in classic_entries(fields, regex) {
        matchers.extend(regex_matcher(&name, &value));
        written
            .regex
            .insert(name, value.scalar_text().unwrap_or_default());
    }
    for cursor in fields.list(list) {
        written.list.extend(parsed(&cursor, mode));
    }
    written.list.sort();
    matchers.extend(written.list.iter().cloned());
    matchers.sort();
    (matchers, written)
}

/// The old maps know classic names only.
fn classic_entries<'a>(fields: &mut Fields<'a>, key: &'static str) -> Vec<(String, Cursor<'a>)> {
    let entries = fields.get(key).map(|cursor| cursor.entries());
    let mut named = Vec::new();
    for (name, place, value) in entries.unwrap_or_default() {
        if is_classic_label_name(&name) {
            named.push((name, value));
        } else {
            let message = format!("invalid label name {}", quote(&name));
            value.source().problem(Some(place), value.path(), message);
        }
    }
    named
}

/// Alertmanager writes the anchors into the expression, and keys of routes show them.
fn regex_matcher(name: &str, cursor: &Cursor<'_>) -> Option<Matcher> {
    if cursor.is_null() {
        cursor.problem(format!("invalid regexp value for {}", quote(name)));
        return None;
    }
    let value = cursor.text()?;
    cursor.parsed(|_| GoRegex::anchored(&value))?;
    let anchored = format!("^(?:{value})$");
    cursor.parsed(|_| {
        Matcher::new(
            MatchOp::Regex,
            name,
            &anchored,
            MatcherDialect::Alertmanager,
        )
    })
}

fn parsed(cursor: &Cursor<'_>, mode: ParserMode) -> Vec<Matcher> {
    let Some(parsed) = cursor.parsed(|text| parse_list(text, mode)) else {
        return Vec::new();
    };
    match parsed.report {
        None => {}
        Some(Report::Disagreement) => cursor.warn("Matchers input has disagreement"),
        Some(Report::Incompatible { error, suggestion }) => cursor.warn(format!(
            "Alertmanager is moving to a new parser for labels and matchers, and this input is incompatible: \
             {error}; write {suggestion}"
        )),
    }
    parsed.value
}
