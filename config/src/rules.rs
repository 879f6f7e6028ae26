//! Rule files as they are written.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::go_quote::quote;
use model::{METRIC_NAME, is_label_name};

use crate::cursor::{Cursor, Fields};
use crate::problem::{Place, Problem, Problems};
use crate::source::{Source, UnknownKeys};
use crate::yaml::has_further_documents;

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

impl RuleFile {
    /// Reads a file's text and adds its mistakes to `problems`, in Prometheus' words; an empty file has no groups. It may
    /// be a `PrometheusRule` of Kubernetes, whose groups stand below `spec`. Expressions and templates are not looked at.
    #[must_use]
    pub fn read(file: &str, text: &str, problems: &mut Problems) -> Self {
        Self::read_with(UnknownKeys::Refused, file, text, problems)
    }

    /// As [`RuleFile::read`]; keys that nobody knows are passed over.
    #[must_use]
    pub fn read_ignoring_unknown(file: &str, text: &str, problems: &mut Problems) -> Self {
        Self::read_with(UnknownKeys::WarnedOf, file, text, problems)
    }

    fn read_with(unknown: UnknownKeys, file: &str, text: &str, problems: &mut Problems) -> Self {
        let (source, node) = Source::open(file, text, "rulefmt.RuleGroups");
        let source = source.with_unknown_keys(unknown);
        let groups = node
            .map(|node| read_document(&Cursor::root(&source, &node), text))
            .unwrap_or_default();
        problems.extend(source.close().0);
        Self {
            file: file.to_owned(),
            groups,
        }
    }
}

fn read_document(top: &Cursor<'_>, text: &str) -> Vec<RawGroup> {
    let mut fields = top.fields("rulefmt.RuleGroups");
    // Only objects of Kubernetes have a kind.
    if let Some(kind) = fields.get("kind") {
        return read_kubernetes(top, &kind, text);
    }
    let mut fields = top.fields("rulefmt.RuleGroups");
    let groups = read_groups(&mut fields, |_| {});
    fields.finish();
    groups
}

fn read_kubernetes(top: &Cursor<'_>, kind: &Cursor<'_>, text: &str) -> Vec<RawGroup> {
    if kind.text().is_some_and(|kind| kind != "PrometheusRule") {
        kind.problem("of Kubernetes' objects only a PrometheusRule is read, one in a file");
        return Vec::new();
    }
    if has_further_documents(text) {
        top.problem("only the first document of a file is read: every PrometheusRule needs a file of its own");
    }
    let mut fields = top.fields("monitoringv1.PrometheusRule");
    fields.get("kind");
    let version = fields.text("apiVersion");
    if version != "monitoring.coreos.com/v1" {
        fields.problem(
            "apiVersion",
            "a PrometheusRule has the apiVersion monitoring.coreos.com/v1",
        );
    }
    // What Kubernetes says about the object is nothing to its rules.
    fields.get("metadata");
    fields.get("status");
    let spec = fields.get("spec");
    fields.finish();
    let Some(spec) = spec else {
        return Vec::new();
    };
    let mut fields = spec.fields("monitoringv1.PrometheusRuleSpec");
    // Thanos': what becomes of a query of which a part is missing. Here an answer is whole or an error.
    let groups = read_groups(&mut fields, |fields| {
        fields.get("partial_response_strategy");
    });
    fields.finish();
    groups
}

/// What stands under `groups`; `others` reads keys that a group has besides Prometheus' own.
fn read_groups(fields: &mut Fields<'_>, others: impl Fn(&mut Fields<'_>)) -> Vec<RawGroup> {
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for cursor in fields.list("groups") {
        let group = read_group(&cursor, &others);
        let name = &group.name;
        if name.value.is_empty() {
            cursor.problem("Groupname must not be empty");
        } else if !names.insert(name.value.clone()) {
            let message = format!(
                "groupname: {} is repeated in the same file",
                quote(&name.value)
            );
            cursor.source().problem(
                Some(name.place),
                &format!("{}.name", cursor.path()),
                message,
            );
        }
        groups.push(group);
    }
    groups
}

pub(crate) fn read_group(cursor: &Cursor<'_>, others: impl FnOnce(&mut Fields<'_>)) -> RawGroup {
    let mut fields = cursor.fields("rulefmt.RuleGroup");
    let name = placed(&mut fields, "name");
    let interval = fields.get("interval").and_then(|cursor| cursor.duration());
    let limit = fields.get("limit").and_then(|cursor| cursor.integer());
    let group = RawGroup {
        interval: interval.filter(|interval| !interval.is_zero()),
        query_offset: fields
            .get("query_offset")
            .and_then(|cursor| cursor.duration()),
        limit: limit
            .and_then(|limit| u64::try_from(limit).ok())
            .filter(|limit| *limit > 0),
        labels: read_labels(&mut fields, ""),
        rules: fields
            .list("rules")
            .iter()
            .enumerate()
            .map(|(index, rule)| read_rule(rule, index, &name.value))
            .collect(),
        name,
    };
    others(&mut fields);
    fields.finish();
    group
}

fn read_rule(cursor: &Cursor<'_>, index: usize, group: &str) -> RawRule {
    let mut fields = cursor.fields("rulefmt.Rule");
    let record = placed(&mut fields, "record");
    let alert = placed(&mut fields, "alert");
    let expr = placed(&mut fields, "expr");
    let is_alert = !alert.value.is_empty();
    let name = if is_alert {
        &alert.value
    } else {
        &record.value
    };
    let said = format!(
        "group {}, rule {}, {}",
        quote(group),
        index + 1,
        quote(name)
    );
    let hold_duration = fields.get("for").and_then(|cursor| cursor.duration());
    let keep_firing_for = fields
        .get("keep_firing_for")
        .and_then(|cursor| cursor.duration());
    let labels = read_labels(&mut fields, &format!("{said}: "));
    let annotations = read_texts(&mut fields, "annotations");
    if is_alert && !record.value.is_empty() {
        fields.problem(
            "alert",
            format!("{said}: only one of 'record' and 'alert' must be set"),
        );
    }
    if !is_alert && record.value.is_empty() {
        fields.problem(
            "",
            format!("{said}: one of 'record' or 'alert' must be set"),
        );
    }
    if expr.value.is_empty() {
        fields.problem("expr", format!("{said}: field 'expr' must be set in rule"));
    }
    if is_alert {
        for (name, text) in &annotations {
            if !is_label_name(name) {
                let path = format!("{}.annotations", cursor.path());
                let message = format!("{said}: invalid annotation name: {name}");
                cursor.source().problem(Some(text.place), &path, message);
            }
        }
    } else if !record.value.is_empty() {
        for (key, given) in [
            ("annotations", !annotations.is_empty()),
            (
                "for",
                hold_duration.is_some_and(|duration| !duration.is_zero()),
            ),
            (
                "keep_firing_for",
                keep_firing_for.is_some_and(|duration| !duration.is_zero()),
            ),
        ] {
            if given {
                fields.problem(
                    key,
                    format!("{said}: invalid field '{key}' in recording rule"),
                );
            }
        }
        if record.value.contains(['{', '}']) {
            let message = format!(
                "{said}: braces present in the recording rule name; should it be in expr?: {}",
                record.value
            );
            fields.problem("record", message);
        }
    }
    fields.finish();
    RawRule {
        place: cursor.place(),
        path: cursor.path().to_owned(),
        said,
        expr,
        labels,
        kind: if is_alert {
            RawRuleKind::Alerting {
                alert,
                hold_duration: hold_duration.unwrap_or_default(),
                keep_firing_for: keep_firing_for.unwrap_or_default(),
                annotations,
            }
        } else {
            RawRuleKind::Recording { record }
        },
    }
}

/// An absent text is empty, and stands where the map begins.
pub(crate) fn placed(fields: &mut Fields<'_>, key: &'static str) -> Placed<String> {
    let cursor = fields.get(key);
    Placed {
        place: cursor
            .as_ref()
            .map_or(fields.cursor().place(), Cursor::place),
        value: cursor.and_then(|cursor| cursor.text()).unwrap_or_default(),
    }
}

fn read_labels(fields: &mut Fields<'_>, said: &str) -> BTreeMap<String, Placed<String>> {
    let labels = read_texts(fields, "labels");
    for (name, value) in &labels {
        if !is_label_name(name) || name == METRIC_NAME {
            let cursor = fields.cursor();
            let path = format!("{}.labels.{name}", cursor.path());
            let message = format!("{said}invalid label name: {name}");
            cursor.source().problem(Some(value.place), &path, message);
        }
    }
    labels
}

fn read_texts(fields: &mut Fields<'_>, key: &'static str) -> BTreeMap<String, Placed<String>> {
    let entries = fields.get(key).map(|cursor| cursor.entries());
    let entries = entries.unwrap_or_default().into_iter();
    entries
        .filter_map(|(name, _, cursor)| {
            let value = cursor.text()?;
            let place = cursor.place();
            Some((name, Placed { value, place }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::{RawRuleKind, RuleFile};
    use crate::problem::Problems;
    use crate::shared_data::shared;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Problems::new();
        let _ = RuleFile::read("r.yml", text, &mut problems);
        let sorted = problems.sorted();
        sorted.iter().map(ToString::to_string).collect()
    }

    /// One rule in one group; its keys are indented by two.
    fn rule(keys: &str) -> String {
        format!(
            "groups:\n- name: g\n  rules:\n  - {}\n",
            keys.replace('\n', "\n    ")
        )
    }

    #[test]
    fn rules_are_read_with_places() {
        let text = "groups:\n- name: g\n  interval: 30s\n  query_offset: 0s\n  limit: 5\n  labels: {team: x}\n  rules:\n  - record: a:b\n    expr: 1\n  - alert: Down\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 1m\n    labels: {severity: 1}\n    annotations:\n      summary: '{{ $labels.job }} is down'\n";
        let mut problems = Problems::new();
        let file = RuleFile::read("r.yml", text, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let group = &file.groups[0];
        assert_eq!(group.name.value, "g");
        assert_eq!(group.interval, Some(Duration::from_secs(30)));
        assert_eq!(group.query_offset, Some(Duration::ZERO));
        assert_eq!(group.limit, Some(5));
        assert_eq!(group.labels["team"].value, "x");
        let [recording, alerting] = &group.rules[..] else {
            panic!("{group:?}")
        };
        assert!(
            matches!(&recording.kind, RawRuleKind::Recording { record } if record.value == "a:b")
        );
        assert_eq!(recording.expr.value, "1");
        assert_eq!(alerting.path, "groups[0].rules[1]");
        assert_eq!(
            (alerting.expr.place.line, alerting.expr.place.column),
            (11, 11)
        );
        assert_eq!(alerting.labels["severity"].value, "1");
        let RawRuleKind::Alerting {
            hold_duration,
            keep_firing_for,
            annotations,
            ..
        } = &alerting.kind
        else {
            panic!("{alerting:?}")
        };
        assert_eq!(*hold_duration, Duration::from_secs(300));
        assert_eq!(*keep_firing_for, Duration::from_secs(60));
        assert_eq!(annotations["summary"].place.line, 16);
        let problem = alerting.problem(
            "r.yml",
            "expr",
            alerting.expr.place,
            "could not parse expression: 1:1: no",
        );
        assert_eq!(
            problem.to_string(),
            r#"r.yml:11:11: group "g", rule 2, "Down": could not parse expression: 1:1: no (groups[0].rules[1].expr)"#
        );
    }

    #[test]
    fn empty_files_have_no_groups() {
        for text in [
            "",
            "# nothing",
            "groups:",
            "groups: []",
            "groups:\n- name: g\n  rules:\n",
        ] {
            assert_eq!(problems(text), Vec::<String>::new(), "{text:?}");
        }
    }

    const KUBERNETES: &str = "# of a chart\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: web\n  labels: {role: alert-rules}\nspec:\n  groups:\n  - name: g\n    partial_response_strategy: abort\n    rules:\n    - alert: Down\n      expr: up == 0\n";

    #[test]
    fn kubernetes_rules_are_read_with_their_places() {
        let read = |text: &str| {
            let mut problems = Problems::new();
            let file = RuleFile::read("r.yml", text, &mut problems);
            let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
            (file.groups, said)
        };
        let (groups, said) = read(KUBERNETES);
        assert_eq!(said, Vec::<String>::new());
        let rule = &groups[0].rules[0];
        assert_eq!(rule.path, "spec.groups[0].rules[0]");
        let place = rule.expr.place;
        assert_eq!((place.line, place.column), (13, 13));
        for (before, after, expected) in [
            (
                "      expr: up == 0\n",
                "",
                r#"r.yml:12:7: group "g", rule 1, "Down": field 'expr' must be set in rule (spec.groups[0].rules[0])"#,
            ),
            (
                "kind: PrometheusRule",
                "kind: List",
                "r.yml:3:7: of Kubernetes' objects only a PrometheusRule is read, one in a file (kind)",
            ),
            (
                "monitoring.coreos.com/v1",
                "v1",
                "r.yml:2:13: a PrometheusRule has the apiVersion monitoring.coreos.com/v1 (apiVersion)",
            ),
            (
                "spec:",
                "spec:\n  group: 1",
                "r.yml:8:3: field group not found in type monitoringv1.PrometheusRuleSpec (spec.group)",
            ),
            (
                "spec:",
                "specs: 1\nspec:",
                "r.yml:7:1: field specs not found in type monitoringv1.PrometheusRule (specs)",
            ),
            (
                "up == 0\n",
                "up == 0\n---\nkind: PrometheusRule\n",
                "r.yml:2:1: only the first document of a file is read: every PrometheusRule needs a file of its own",
            ),
            ("up == 0\n", "up == 0\n---\n", ""),
            ("# of a chart\n", "---\n", ""),
        ] {
            assert!(KUBERNETES.contains(before), "{before}");
            let (_, said) = read(&KUBERNETES.replace(before, after));
            assert_eq!(said.join("\n"), expected, "{after}");
        }
        // Plain files have no such keys.
        let plain = problems("groups:\n- name: g\n  partial_response_strategy: abort\n");
        assert_eq!(plain.len(), 1, "{plain:?}");
    }

    #[test]
    fn mistakes_are_named_in_prometheus_words() {
        for (text, expected) in [
            (
                "groups:\n- rules: []",
                "r.yml:2:3: Groupname must not be empty (groups[0])",
            ),
            (
                "groups:\n- name: a\n- name: a",
                r#"r.yml:3:9: groupname: "a" is repeated in the same file (groups[1].name)"#,
            ),
            (
                "grups: []",
                "r.yml:1:1: field grups not found in type rulefmt.RuleGroups (grups)",
            ),
            (
                "groups:\n- name: a\n  interval: 5\n",
                r#"r.yml:3:13: not a valid duration string: "5" (groups[0].interval)"#,
            ),
            (
                "groups:\n- name: a\n  labels: {__name__: x}\n",
                "r.yml:3:22: invalid label name: __name__ (groups[0].labels.__name__)",
            ),
            (
                "groups: 5",
                "r.yml:1:9: cannot unmarshal !!int `5` into []string (groups)",
            ),
            (
                &rule("record: a\nalert: b\nexpr: 1"),
                r#"r.yml:5:12: group "g", rule 1, "b": only one of 'record' and 'alert' must be set (groups[0].rules[0].alert)"#,
            ),
            (
                &rule("expr: 1"),
                r#"r.yml:4:5: group "g", rule 1, "": one of 'record' or 'alert' must be set (groups[0].rules[0])"#,
            ),
            (
                &rule("alert: a"),
                r#"r.yml:4:5: group "g", rule 1, "a": field 'expr' must be set in rule (groups[0].rules[0])"#,
            ),
            (
                &rule("record: a\nexpr: 1\nfor: 1m"),
                r#"r.yml:6:10: group "g", rule 1, "a": invalid field 'for' in recording rule (groups[0].rules[0].for)"#,
            ),
            (
                &rule("record: a\nexpr: 1\nkeep_firing_for: 1m"),
                r#"r.yml:6:22: group "g", rule 1, "a": invalid field 'keep_firing_for' in recording rule (groups[0].rules[0].keep_firing_for)"#,
            ),
            (
                &rule("record: a\nexpr: 1\nannotations: {a: b}"),
                r#"r.yml:6:18: group "g", rule 1, "a": invalid field 'annotations' in recording rule (groups[0].rules[0].annotations)"#,
            ),
            (
                &rule("record: a{b}\nexpr: 1"),
                r#"r.yml:4:13: group "g", rule 1, "a{b}": braces present in the recording rule name; should it be in expr?: a{b} (groups[0].rules[0].record)"#,
            ),
            (
                &rule("alert: a\nexpr: 1\nlabels:\n  __name__: x"),
                r#"r.yml:7:17: group "g", rule 1, "a": invalid label name: __name__ (groups[0].rules[0].labels.__name__)"#,
            ),
            (
                &rule("alert: a\nexpr: 1\nannotations:\n  '': x"),
                r#"r.yml:7:11: group "g", rule 1, "a": invalid annotation name:  (groups[0].rules[0].annotations)"#,
            ),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }

    #[test]
    fn all_mistakes_of_a_file_are_reported() {
        let text = "groups:\n- name: g\n  extra: 1\n  rules:\n  - alert: a\n    for: x\n  - expr: 1\n  - record: b\n    expr: 1\n    annotations: {c: d}\n    fro: 1m\n";
        let lines: Vec<_> = problems(text)
            .iter()
            .map(|problem| problem.split(':').nth(1).unwrap_or_default().to_owned())
            .collect();
        assert_eq!(lines, ["3", "5", "6", "7", "10", "11"]);
    }

    #[test]
    fn real_files_load() {
        let mut rules = 0;
        for folder in ["real/rules", "real/gds/alerts"] {
            let Some(folder) = shared(folder) else { return };
            for entry in std::fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "yml") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let mut problems = Problems::new();
                let file = RuleFile::read(&path.display().to_string(), &text, &mut problems);
                assert!(problems.is_empty(), "{problems}");
                rules += file
                    .groups
                    .iter()
                    .map(|group| group.rules.len())
                    .sum::<usize>();
            }
        }
        assert!(rules > 450, "{rules}");
    }
}
