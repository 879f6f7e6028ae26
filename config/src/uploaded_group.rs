//! Rule groups as tenants upload them: one group a document, in the form that Cortex and Mimir take.
use std::collections::BTreeMap;
use std::time::Duration;

use model::duration;

use crate::cursor::{Cursor, Fields};
use crate::go_yaml::{Yaml, print};
use crate::problem::{Problem, Problems, Stage};
use crate::rules::{Placed, RawGroup, RawRule, RawRuleKind, read_group};
use crate::source::{Source, UnknownKeys};

/// Go's name of the document.
const TYPE: &str = "rulefmt.RuleGroup";

/// One group as it is given back. There may be very many of them, so it is a text and no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedGroup {
    name: String,
    rule_count: usize,
    yaml: String,
}

/// A group as it was read.
#[derive(Clone, Debug)]
pub struct ReadGroup {
    pub group: UploadedGroup,
    /// As a rule file would have it, with the places of the text that was read.
    pub resolved: RawGroup,
    /// Keys that mean nothing. Cortex and Mimir drop them too.
    pub warnings: Problems,
}

/// Why a text is no group that could run. The first line says it, as clients show no other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupRefused {
    #[error("unable to decode rule group: {}", lines(.0))]
    Undecodable(Problems),
    #[error("invalid rules config: rule group name must not be empty")]
    Unnamed,
    #[error("invalid rules config: rule group '{name}' has no rules")]
    Empty { name: String },
    #[error(
        "invalid rules config: rule group '{name}' has source_tenants: a rule's query reads its own tenant only"
    )]
    SourceTenants { name: String },
    #[error(
        "invalid rules config: rule group '{name}' has align_evaluation_time_on_interval: groups are evaluated at slots of their own, so that they do not all fall due together"
    )]
    Aligned { name: String },
    #[error(
        "invalid rules config: rule group '{name}' has both query_offset and evaluation_delay, and they differ: evaluation_delay is the older word for the same"
    )]
    TwoOffsets { name: String },
    #[error("{}", lines(.0))]
    Invalid(Problems),
}

/// `line:column: message`, one a line: the path would only repeat what the message says.
fn lines(problems: &Problems) -> String {
    let line = |problem: &Problem| {
        let mut problem = problem.clone();
        problem.path.clear();
        problem.to_string()
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Keys of Cortex and Mimir that a rule file does not have.
#[derive(Default)]
struct OwnKeys {
    /// Mimir's older word for the query offset; given back as it came, so that clients find no difference.
    evaluation_delay: Option<Duration>,
    has_source_tenants: bool,
    is_aligned: bool,
}

impl OwnKeys {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            evaluation_delay: fields.duration("evaluation_delay"),
            has_source_tenants: !fields.texts("source_tenants").is_empty(),
            is_aligned: fields.boolean_or("align_evaluation_time_on_interval", false),
        }
    }
}

impl UploadedGroup {
    /// Reads what a client has sent: YAML, or JSON, which is YAML too. Expressions and templates are not looked at.
    ///
    /// # Errors
    /// What is wrong with it: of several reasons the first that Cortex would find, with all its places.
    pub fn read(text: &str) -> Result<ReadGroup, GroupRefused> {
        let (source, node) = Source::open("", text, TYPE);
        let source = source.with_unknown_keys(UnknownKeys::WarnedOf);
        let mut own = OwnKeys::default();
        let group = node.map(|node| {
            read_group(&Cursor::root(&source, &node), |fields| {
                own = OwnKeys::read(fields);
            })
        });
        let (problems, warnings) = source.close();
        if problems.iter().any(is_of_decoding) {
            return Err(GroupRefused::Undecodable(problems));
        }
        let group = group
            .filter(|group| !group.name.value.is_empty())
            .ok_or(GroupRefused::Unnamed)?;
        let name = group.name.value.clone();
        if group.rules.is_empty() {
            return Err(GroupRefused::Empty { name });
        }
        if own.has_source_tenants {
            return Err(GroupRefused::SourceTenants { name });
        }
        if own.is_aligned {
            return Err(GroupRefused::Aligned { name });
        }
        if let (Some(offset), Some(delay)) = (group.query_offset, own.evaluation_delay)
            && offset != delay
        {
            return Err(GroupRefused::TwoOffsets { name });
        }
        if !problems.is_empty() {
            return Err(GroupRefused::Invalid(problems));
        }
        Ok(ReadGroup {
            group: Self {
                name,
                rule_count: group.rules.len(),
                yaml: print(&entries(&group, own.evaluation_delay)),
            },
            resolved: RawGroup {
                query_offset: group.query_offset.or(own.evaluation_delay),
                ..group
            },
            warnings,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rule_count
    }

    /// The document that [`UploadedGroup::read`] reads.
    #[must_use]
    pub fn yaml(&self) -> &str {
        &self.yaml
    }
}

fn entries(group: &RawGroup, evaluation_delay: Option<Duration>) -> Vec<(String, Yaml)> {
    let mut map = Map::default();
    map.text("name", &group.name.value);
    map.duration("interval", group.interval);
    map.duration("evaluation_delay", evaluation_delay);
    map.duration("query_offset", group.query_offset);
    if let Some(limit) = group.limit {
        map.put("limit", Yaml::Plain(limit.to_string()));
    }
    let rules = group.rules.iter().map(|rule| Yaml::Map(entries_of(rule)));
    map.put("rules", Yaml::List(rules.collect()));
    map.texts("labels", &group.labels);
    map.0
}

/// Namespaces and their groups as `GET` answers them: a map of lists. `{}` where there are none.
#[must_use]
pub fn namespaces_to_yaml<'g, Groups>(
    namespaces: impl IntoIterator<Item = (&'g str, Groups)>,
) -> String
where
    Groups: IntoIterator<Item = &'g UploadedGroup>,
{
    let mut text = String::new();
    for (namespace, groups) in namespaces {
        let empty = (namespace.to_owned(), Yaml::Plain(String::new()));
        text += print(&[empty]).trim_end();
        text.push('\n');
        // A list stands at its key's column, and what is indented as a whole means the same.
        for group in groups {
            let mut start = "- ";
            for line in group.yaml.lines() {
                if !line.is_empty() {
                    text += start;
                    text += line;
                }
                text.push('\n');
                start = "  ";
            }
        }
    }
    if text.is_empty() {
        text += "{}\n";
    }
    text
}

/// The YAML is broken, or a value is none of its type: what Go's decoder would have said.
fn is_of_decoding(problem: &Problem) -> bool {
    let durations = [
        "empty duration string",
        "not a valid duration string",
        "duration out of range",
    ];
    matches!(problem.stage, Stage::Syntax | Stage::Decoding)
        || durations
            .iter()
            .any(|said| problem.message.starts_with(said))
}

fn entries_of(rule: &RawRule) -> Vec<(String, Yaml)> {
    let mut map = Map::default();
    match &rule.kind {
        RawRuleKind::Recording { record } => {
            map.text("record", &record.value);
            map.text("expr", &rule.expr.value);
            map.texts("labels", &rule.labels);
        }
        RawRuleKind::Alerting {
            alert,
            hold_duration,
            keep_firing_for,
            annotations,
        } => {
            map.text("alert", &alert.value);
            map.text("expr", &rule.expr.value);
            let written = |duration: &Duration| Some(*duration).filter(|it| !it.is_zero());
            map.duration("for", written(hold_duration));
            map.duration("keep_firing_for", written(keep_firing_for));
            map.texts("labels", &rule.labels);
            map.texts("annotations", annotations);
        }
    }
    map.0
}

#[derive(Default)]
struct Map(Vec<(String, Yaml)>);

impl Map {
    fn put(&mut self, key: &str, value: Yaml) {
        self.0.push((key.to_owned(), value));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.put(key, Yaml::Text(text.to_owned()));
    }

    fn duration(&mut self, key: &str, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.text(key, &duration::format(duration));
        }
    }

    fn texts(&mut self, key: &str, texts: &BTreeMap<String, Placed<String>>) {
        if !texts.is_empty() {
            let texts = texts.iter();
            let texts = texts.map(|(name, text)| (name.clone(), Yaml::Text(text.value.clone())));
            self.put(key, Yaml::Map(texts.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{UploadedGroup, namespaces_to_yaml};
    use crate::rules::{Placed, RawRuleKind};
    use crate::structured::structured;

    const GROUP: &str = "name: g\ninterval: 90s\nquery_offset: 0s\nlimit: 5\nrules:\n- record: a:b\n  expr: 1\n- alert: Down\n  expr: up == 0\n  for: 5m\n  keep_firing_for: 1h\n  labels: {severity: '1'}\n  annotations: {summary: \"{{ $labels.job }}:\\n down\"}\nlabels: {team: x}\n";

    fn refused(text: &str) -> String {
        match UploadedGroup::read(text) {
            Ok(read) => panic!("{text}: {read:?}"),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn a_group_is_given_back_as_it_came() {
        let read = UploadedGroup::read(GROUP).unwrap();
        assert!(read.warnings.is_empty());
        assert_eq!(read.group.name(), "g");
        assert_eq!(read.group.rule_count(), 2);
        let yaml = "name: g\ninterval: 1m30s\nquery_offset: 0s\nlimit: 5\nrules:\n- record: a:b\n  expr: \"1\"\n- alert: Down\n  expr: up == 0\n  for: 5m\n  keep_firing_for: 1h\n  labels:\n    severity: \"1\"\n  annotations:\n    summary: |-\n      {{ $labels.job }}:\n       down\nlabels:\n  team: x\n";
        assert_eq!(read.group.yaml(), yaml);
        // JSON is YAML too.
        let json = r#"{"name": "g", "rules": [{"record": "a", "expr": "1"}]}"#;
        let yaml = "name: g\nrules:\n- record: a\n  expr: \"1\"\n";
        assert_eq!(UploadedGroup::read(json).unwrap().group.yaml(), yaml);
    }

    #[test]
    fn mimirs_older_word_for_the_offset_counts_and_is_given_back() {
        let rules = "rules: [{record: a, expr: 1}]";
        for (offsets, resolved) in [
            ("", None),
            ("evaluation_delay: 30s\n", Some(30)),
            ("query_offset: 40s\n", Some(40)),
            ("evaluation_delay: 40s\nquery_offset: 40s\n", Some(40)),
        ] {
            let text = format!("name: g\n{offsets}{rules}");
            let read = UploadedGroup::read(&text).unwrap();
            let offset = resolved.map(Duration::from_secs);
            assert_eq!(read.resolved.query_offset, offset, "{offsets}");
            let group = read.group;
            let start = format!("name: g\n{offsets}rules:");
            assert!(group.yaml().starts_with(&start), "{}", group.yaml());
        }
    }

    #[test]
    fn what_cannot_run_is_refused_with_a_reason_in_the_first_line() {
        let rule = "rules: [{record: a, expr: 1}]";
        for (text, reason) in [
            (
                "name: [",
                "unable to decode rule group: 1:7: unclosed bracket",
            ),
            (
                "- name: g",
                "unable to decode rule group: 1:1: cannot unmarshal !!seq into rulefmt.RuleGroup",
            ),
            (
                "name: g\ninterval: soon",
                "unable to decode rule group: 2:11: not a valid duration string: \"soon\"",
            ),
            (
                "name: g\nrules: 5",
                "unable to decode rule group: 2:8: cannot unmarshal !!int `5` into",
            ),
            ("name: g\nname: h", "unable to decode rule group: "),
            (
                "",
                "invalid rules config: rule group name must not be empty",
            ),
            (
                "groups:\n- name: g",
                "invalid rules config: rule group name must not be empty",
            ),
            (
                "name: g",
                "invalid rules config: rule group 'g' has no rules",
            ),
            (
                &format!("name: g\nsource_tenants: [a]\n{rule}"),
                "invalid rules config: rule group 'g' has source_tenants: ",
            ),
            (
                &format!("name: g\nalign_evaluation_time_on_interval: true\n{rule}"),
                "invalid rules config: rule group 'g' has align_",
            ),
            (
                &format!("name: g\nquery_offset: 1s\nevaluation_delay: 2s\n{rule}"),
                "invalid rules config: rule group 'g' has both query_offset and",
            ),
            (
                "name: g\nrules:\n- record: a\n  expr: 1\n  for: 5m",
                r#"5:8: group "g", rule 1, "a": invalid field 'for' in recording rule"#,
            ),
            (
                "name: g\nrules:\n- record: a\n  alert: b\n  expr: 1",
                r#"4:10: group "g", rule 1, "b": only one of 'record' and 'alert' must be set"#,
            ),
            (
                "name: g\nlabels: {__name__: x}\nrules: [{record: a, expr: 1}]",
                "2:20: invalid label name: __name__",
            ),
        ] {
            let said = refused(text);
            assert!(said.starts_with(reason), "{text}: {said}");
        }
        for text in [
            "source_tenants: []",
            "align_evaluation_time_on_interval: false",
        ] {
            assert!(
                UploadedGroup::read(&format!("name: g\n{text}\n{rule}")).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn unknown_keys_are_dropped_and_named() {
        let read =
            UploadedGroup::read("name: g\nfoo: 1\nrules: [{record: a, expr: 1, bar: 2}]").unwrap();
        let said: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "2:1: field foo not found in type rulefmt.RuleGroup (foo)",
                "3:30: field bar not found in type rulefmt.Rule (rules[0].bar)"
            ]
        );
        assert!(!read.group.yaml().contains("foo"));
    }

    #[test]
    fn namespaces_are_a_map_of_lists() {
        assert_eq!(
            namespaces_to_yaml(std::iter::empty::<(&str, Vec<&UploadedGroup>)>()),
            "{}\n"
        );
        let group = UploadedGroup::read("name: g\nrules: [{record: a, expr: up}]")
            .unwrap()
            .group;
        let yaml = namespaces_to_yaml([("a/b: c", vec![&group]), ("y", vec![&group, &group])]);
        assert_eq!(
            yaml,
            "'a/b: c':\n- name: g\n  rules:\n  - record: a\n    expr: up\n\
             \"y\":\n- name: g\n  rules:\n  - record: a\n    expr: up\n- name: g\n  rules:\n  - record: a\n    expr: up\n"
        );
    }

    proptest! {
        /// Whatever stands in a group, what is given back says the same.
        #[test]
        fn what_is_printed_is_read_as_the_same(
            name in "\\PC{1,20}",
            texts in prop::collection::btree_map("[a-z]{1,3}", "[ -~\n\té☃😀]{0,120}", 0..4),
            expr in "[a-z(){}=\"' \n+:#-]{1,200}",
        ) {
            let quote = |text: &str| serde_json::to_string(text).unwrap();
            let texts: BTreeMap<String, String> = texts;
            let pairs: Vec<String> = texts.iter().map(|(key, text)| format!("{}: {}", quote(key), quote(text))).collect();
            let pairs = format!("{{{}}}", pairs.join(", "));
            let text = format!(
                "{{\"name\": {}, \"labels\": {pairs}, \"rules\": [{{\"alert\": {}, \"expr\": {}, \"annotations\": {pairs}}}]}}",
                quote(&name), quote(&name), quote(&expr),
            );
            let group = UploadedGroup::read(&text).unwrap().group;
            let printed = group.yaml();
            let again = UploadedGroup::read(printed).unwrap_or_else(|refused| panic!("{refused}: {printed}"));
            prop_assert_eq!(&again.group, &group);
            let rule = &again.resolved.rules[0];
            prop_assert_eq!(&rule.expr.value, &expr);
            let values = |texts: &BTreeMap<String, Placed<String>>| -> BTreeMap<String, String> {
                texts.iter().map(|(key, text)| (key.clone(), text.value.clone())).collect()
            };
            prop_assert_eq!(&values(&again.resolved.labels), &texts);
            let RawRuleKind::Alerting { annotations, .. } = &rule.kind else { panic!("{rule:?}") };
            prop_assert_eq!(&values(annotations), &texts);
            // In a list of many it is still the same, whatever the namespace is called.
            for namespace in [name.clone(), name.repeat(130)] {
                let map = namespaces_to_yaml([(namespace.as_str(), [&group, &group])]);
                let listed = structured(&map).unwrap_or_else(|| panic!("{map}"));
                prop_assert_eq!(&listed[&namespace][0], &structured(printed).unwrap());
                prop_assert_eq!(&listed[&namespace][1], &listed[&namespace][0]);
            }
        }
    }
}
