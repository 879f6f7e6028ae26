//! From rule files as they are written to groups that can be run.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{Place, Placed, Problem, Problems, RawGroup, RawRule, RawRuleKind, RuleFile};
use model::Labels;
use promql::{ParserOptions, Query};
use template::{Mode, Template, TemplateSet};

use crate::alert::AlertTiming;
use crate::plan::RulePlan;
use crate::rule::{Group, GroupKey, Rule, RuleClass, RuleKey, RuleKind};

/// What holds for groups that do not say it themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDefaults {
    /// `global.evaluation_interval`.
    pub interval: Duration,
    /// `global.rule_query_offset`.
    pub query_offset: Duration,
}

/// Parses every expression and every template. Each mistake goes to `problems` in Prometheus' words; a rule with a
/// mistake is left out, so the groups are to be used only where the list stays empty.
#[must_use]
pub fn compile_groups(
    files: &[RuleFile],
    defaults: GroupDefaults,
    options: &ParserOptions,
    problems: &mut Problems,
) -> Vec<Arc<Group>> {
    let templates = TemplateSet::prometheus();
    let mut groups = Vec::new();
    for file in files {
        for raw in &file.groups {
            let mut compiler = Compiler {
                file: &file.file,
                options,
                templates: &templates,
                twins: BTreeMap::new(),
                problems: &mut *problems,
            };
            groups.push(Arc::new(compiler.group(raw, defaults)));
        }
    }
    groups
}

struct Compiler<'a> {
    file: &'a str,
    options: &'a ParserOptions,
    templates: &'a TemplateSet,
    /// How many rules of the group have each key so far.
    twins: BTreeMap<RuleKey, u32>,
    problems: &'a mut Problems,
}

type RawLabels = BTreeMap<String, Placed<String>>;

impl Compiler<'_> {
    fn group(&mut self, raw: &RawGroup, defaults: GroupDefaults) -> Group {
        let interval = raw.interval.filter(|interval| !interval.is_zero());
        Group {
            key: GroupKey::new(self.file, &raw.name.value),
            interval: interval.unwrap_or(defaults.interval),
            query_offset: raw.query_offset.unwrap_or(defaults.query_offset),
            limit: raw.limit,
            rules: raw
                .rules
                .iter()
                .filter_map(|rule| self.rule(rule, &raw.labels))
                .collect(),
        }
    }

    fn rule(&mut self, raw: &RawRule, group_labels: &RawLabels) -> Option<Rule> {
        // The group's labels lie under the rule's.
        let mut labels = group_labels.clone();
        labels.extend(raw.labels.clone());
        let query = self.query(raw);
        let (class, name, kind, label_templates, annotation_templates) = match &raw.kind {
            RawRuleKind::Alerting {
                alert,
                hold_duration,
                keep_firing_for,
                annotations,
            } => {
                let timing = AlertTiming {
                    hold_duration: *hold_duration,
                    keep_firing_for: *keep_firing_for,
                };
                let kind = RuleKind::Alerting {
                    timing,
                    annotations: texts(annotations),
                };
                let labels = self.templates(raw, &alert.value, "label", &labels);
                let annotations = self.templates(raw, &alert.value, "annotation", annotations);
                (RuleClass::Alerting, alert, kind, labels, annotations)
            }
            RawRuleKind::Recording { record } => {
                let none = (Some(Vec::new()), Some(Vec::new()));
                let kind = RuleKind::Recording;
                (RuleClass::Recording, record, kind, none.0, none.1)
            }
        };
        let mut key = RuleKey {
            class,
            name: name.value.as_str().into(),
            labels: texts(&labels),
            twin: 0,
        };
        let twins = self.twins.entry(key.clone()).or_default();
        key.twin = *twins;
        *twins += 1;
        let plan = RulePlan {
            query: query?,
            labels: label_templates?,
            annotations: annotation_templates?,
        };
        Some(Rule {
            key,
            expression: plan.query.expr().to_string().into(),
            kind,
            plan,
        })
    }

    fn query(&mut self, raw: &RawRule) -> Option<Query> {
        // A rule without an expression is a mistake that was noticed when the file was read.
        if raw.expr.value.is_empty() {
            return None;
        }
        match Query::compile(&raw.expr.value, self.options) {
            Ok(query) => Some(query),
            Err(error) => {
                let reason = format!("could not parse expression: {error}");
                self.note(raw, "expr", raw.expr.place, &reason);
                None
            }
        }
    }

    /// `what` is `label` or `annotation`. All are parsed, so that all mistakes are noted.
    fn templates(
        &mut self,
        raw: &RawRule,
        alert: &str,
        what: &str,
        texts: &RawLabels,
    ) -> Option<Vec<(Arc<str>, Template)>> {
        let name = format!("__alert_{alert}");
        let parsed: Vec<Option<(Arc<str>, Template)>> = texts
            .iter()
            .map(
                |(key, text)| match self.templates.compile(&name, &text.value, Mode::Text) {
                    Ok(template) => Some((key.as_str().into(), template)),
                    Err(error) => {
                        let reason = format!("{what} {}: {error}", model::go_quote::quote(key));
                        let field = format!("{what}s.{key}");
                        self.note(raw, &field, text.place, &reason);
                        None
                    }
                },
            )
            .collect();
        parsed.into_iter().collect()
    }

    fn note(&mut self, raw: &RawRule, field: &str, place: Place, reason: &str) {
        let problem: Problem = raw.problem(self.file, field, place, reason);
        self.problems.push(problem);
    }
}

fn texts(placed: &RawLabels) -> Labels {
    Labels::from_pairs(placed.iter().map(|(name, text)| (name, &text.value)))
}
