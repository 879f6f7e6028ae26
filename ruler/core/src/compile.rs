//! From rule files as they are written to groups that can be run.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{Place, Placed, Problem, Problems, RawGroup, RawRule, RawRuleKind, RuleFile};
use model::Labels;
use promql::{ParserOptions, Query};

use crate::alert::AlertTiming;
use crate::plan::{RulePlan, parse_template};
use crate::rule::{Group, GroupKey, Rule, RuleClass, RuleKey, RuleKind};
use crate::rule_order::{RuleOrder, shared_selectors};

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
    let mut groups = Vec::new();
    for file in files {
        for raw in &file.groups {
            let mut compiler = Compiler {
                file: &file.file,
                options,
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
    /// How many rules of the group have each key so far.
    twins: BTreeMap<RuleKey, u32>,
    problems: &'a mut Problems,
}

type RawLabels = BTreeMap<String, Placed<String>>;

impl Compiler<'_> {
    fn group(&mut self, raw: &RawGroup, defaults: GroupDefaults) -> Group {
        let interval = raw.interval.filter(|interval| !interval.is_zero());
        let rules: Vec<Rule> = raw
            .rules
            .iter()
            .filter_map(|rule| self.rule(rule, &raw.labels))
            .collect();
        Group {
            key: GroupKey::new(self.file, &raw.name.value),
            interval: interval.unwrap_or(defaults.interval),
            query_offset: raw.query_offset.unwrap_or(defaults.query_offset),
            limit: raw.limit,
            order: RuleOrder::of(&rules),
            shared_selectors: shared_selectors(&rules),
            rules,
        }
    }

    fn rule(&mut self, raw: &RawRule, group_labels: &RawLabels) -> Option<Rule> {
        // The group's labels lie under the rule's.
        let mut labels = group_labels.clone();
        labels.extend(raw.labels.clone());
        let query = self.query(raw);
        let (class, name, kind, texts_count) = match &raw.kind {
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
                let found = [("label", &labels), ("annotation", annotations)]
                    .map(|(what, texts)| self.check_templates(raw, &alert.value, what, texts));
                let count = labels.len() + annotations.len();
                let count = found.iter().all(|found| found.is_some()).then_some(count);
                (RuleClass::Alerting, alert, kind, count)
            }
            RawRuleKind::Recording { record } => {
                let kind = RuleKind::Recording;
                (RuleClass::Recording, record, kind, Some(0))
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
        let plan = RulePlan::new(query?, texts_count?);
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

    /// `what` is `label` or `annotation`. All are parsed, so that all mistakes are noted; `None` where there is one.
    fn check_templates(
        &mut self,
        raw: &RawRule,
        alert: &str,
        what: &str,
        texts: &RawLabels,
    ) -> Option<()> {
        let mut outcome = Some(());
        for (key, text) in texts {
            if let Err(error) = parse_template(alert, &text.value) {
                let reason = format!("{what} {}: {error}", model::go_quote::quote(key));
                let field = format!("{what}s.{key}");
                self.note(raw, &field, text.place, &reason);
                outcome = None;
            }
        }
        outcome
    }

    fn note(&mut self, raw: &RawRule, field: &str, place: Place, reason: &str) {
        let problem: Problem = raw.problem(self.file, field, place, reason);
        self.problems.push(problem);
    }
}

fn texts(placed: &RawLabels) -> Labels {
    Labels::from_pairs(placed.iter().map(|(name, text)| (name, &text.value)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use config::{Place, Placed, Problems, RawGroup, RawRule, RawRuleKind, RuleFile};
    use promql::ParserOptions;

    use super::{GroupDefaults, compile_groups};
    use crate::rule::{Group, RuleKind};

    fn placed(line: u32, text: &str) -> Placed<String> {
        Placed {
            value: text.to_owned(),
            place: Place { line, column: 9 },
        }
    }

    fn placed_map(line: u32, pairs: &[(&str, &str)]) -> BTreeMap<String, Placed<String>> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), placed(line, text)))
            .collect()
    }

    fn alerting(number: u32, expr: &str, labels: &[(&str, &str)], summary: &str) -> RawRule {
        RawRule {
            place: Place {
                line: 10 * number,
                column: 5,
            },
            path: format!("groups[0].rules[{}]", number - 1),
            said: format!("group \"web\", rule {number}, \"Down\""),
            kind: RawRuleKind::Alerting {
                alert: placed(10 * number, "Down"),
                hold_duration: Duration::from_secs(300),
                keep_firing_for: Duration::ZERO,
                annotations: placed_map(10 * number + 3, &[("summary", summary)]),
            },
            expr: placed(10 * number + 1, expr),
            labels: placed_map(10 * number + 2, labels),
        }
    }

    fn compile(group: RawGroup) -> (Vec<Arc<Group>>, Problems) {
        let files = [RuleFile {
            file: "rules.yml".into(),
            groups: vec![group],
        }];
        let defaults = GroupDefaults {
            interval: Duration::from_secs(60),
            query_offset: Duration::from_secs(5),
        };
        let mut problems = Problems::new();
        let groups = compile_groups(&files, defaults, &ParserOptions::default(), &mut problems);
        (groups, problems)
    }

    fn group(rules: Vec<RawRule>) -> RawGroup {
        RawGroup {
            name: placed(1, "web"),
            interval: None,
            query_offset: None,
            limit: None,
            labels: placed_map(2, &[("severity", "low"), ("team", "t")]),
            rules,
        }
    }

    #[test]
    fn defaults_are_filled_in_and_the_groups_labels_lie_under_the_rules() {
        let rules = vec![
            alerting(1, "up==0", &[("severity", "page")], "{{ $labels.job }}"),
            alerting(2, "up == 1", &[("severity", "page")], ""),
        ];
        let (groups, problems) = compile(group(rules));
        assert!(problems.is_empty(), "{problems}");
        let group = &groups[0];
        assert_eq!(group.key.to_string(), "rules.yml;web");
        assert_eq!(group.interval, Duration::from_secs(60));
        assert_eq!(group.query_offset, Duration::from_secs(5));
        let rule = &group.rules[0];
        assert_eq!(&*rule.expression, "up == 0");
        assert_eq!(
            rule.key.labels.to_string(),
            r#"{severity="page", team="t"}"#
        );
        assert!(matches!(&rule.kind, RuleKind::Alerting { annotations, .. }
            if annotations.get("summary") == Some("{{ $labels.job }}")));
        assert_eq!((rule.key.twin, group.rules[1].key.twin), (0, 1));
    }

    #[test]
    fn every_mistake_is_noted_in_its_place() {
        let rules = vec![
            alerting(1, "sum(", &[("a", "{{ nope }}")], "{{ $value }}"),
            alerting(2, "up", &[], "{{ $value | nope }}"),
        ];
        let (_, problems) = compile(group(rules));
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "rules.yml:11:9: group \"web\", rule 1, \"Down\": could not parse expression: 1:5: parse error: \
                 unclosed left parenthesis (groups[0].rules[0].expr)",
                "rules.yml:12:9: group \"web\", rule 1, \"Down\": label \"a\": template: __alert_Down:1: \
                 function \"nope\" not defined (groups[0].rules[0].labels.a)",
                "rules.yml:23:9: group \"web\", rule 2, \"Down\": annotation \"summary\": template: __alert_Down:1: \
                 function \"nope\" not defined (groups[0].rules[1].annotations.summary)",
            ]
        );
    }
}
