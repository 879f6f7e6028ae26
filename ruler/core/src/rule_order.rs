//! Which rules of a group have to wait for which: the outcome is that of one rule after the other in the group's order,
//! whatever is evaluated at once.
//!
//! A rule waits for an earlier one whose series it reads, for an earlier one that reads its series (and is to see those of
//! the evaluation before), and for an earlier one that writes series of the same name.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{ALERT_NAME, METRIC_NAME, Matcher};
use promql::Expr;
use promql::function::FunctionKind;

use crate::plan::is_template;
use crate::rule::{Rule, RuleKind};

/// Selectors of all rules, times rules: how often a selector may be held against a rule when a group is loaded. A thousand
/// rules with a selector each come to it, in a tenth of a second. Past it every rule waits for the one before it.
const COMPARISONS_MAX: usize = 1_000_000;
/// For each rule, how many others are remembered that somebody waits for. Rules that read everything would fill the
/// memory, and have to wait for each other anyway.
const WAITS_PER_RULE_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOrder {
    /// Each waits for the one before it.
    OneByOne,
    /// Who waits, and for whom, by their places in the group; sorted.
    Partial(Box<[(u32, u32)]>),
}

/// How many rules have a selector.
struct Count<'a> {
    matchers: &'a [Matcher],
    /// The last of them.
    last: usize,
    rules: usize,
}

/// Selectors that several of the rules have, and that find nothing of what any of them writes.
#[must_use]
pub(crate) fn shared_selectors(rules: &[Rule]) -> Arc<[Vec<Matcher>]> {
    if rules.len() < 2 || comparisons(rules) > COMPARISONS_MAX {
        return Arc::default();
    }
    let mut counts: BTreeMap<String, Count<'_>> = BTreeMap::new();
    for (place, rule) in rules.iter().enumerate() {
        for selector in rule.plan.query.expr().selectors() {
            let matchers = &*selector.matchers;
            let count = counts.entry(format!("{matchers:?}")).or_insert(Count {
                matchers,
                last: place,
                rules: 1,
            });
            // One query reads a selector once by itself.
            if count.last != place {
                count.last = place;
                count.rules += 1;
            }
        }
    }
    let writes: Vec<Writes<'_>> = rules.iter().map(Writes::of).collect();
    let shared = counts.into_values().filter(|count| {
        count.rules > 1 && !writes.iter().any(|writes| reach(count.matchers, *writes))
    });
    shared.map(|count| count.matchers.to_vec()).collect()
}

impl RuleOrder {
    #[must_use]
    pub fn of(rules: &[Rule]) -> Self {
        if comparisons(rules) > COMPARISONS_MAX {
            return Self::OneByOne;
        }
        let reads: Vec<Reads<'_>> = rules.iter().map(Reads::of).collect();
        let writes: Vec<Writes<'_>> = rules.iter().map(Writes::of).collect();
        let mut waits = Vec::new();
        for later in 1..rules.len() {
            for earlier in 0..later {
                let meet = reads[later].reach(writes[earlier])
                    || reads[earlier].reach(writes[later])
                    || writes[earlier].overlap(writes[later]);
                if meet {
                    waits.push((place(later), place(earlier)));
                }
            }
            if waits.len() > WAITS_PER_RULE_MAX * rules.len() {
                return Self::OneByOne;
            }
        }
        Self::Partial(waits.into())
    }

    /// Whether all that the rule at `place` waits for are among those that `is_done`.
    pub(crate) fn may_begin(&self, rule: usize, is_done: impl Fn(usize) -> bool) -> bool {
        match self {
            Self::OneByOne => rule.checked_sub(1).is_none_or(is_done),
            Self::Partial(waits) => {
                let rule = place(rule);
                let first = waits.partition_point(|(waiting, _)| *waiting < rule);
                let mut awaited = waits[first..]
                    .iter()
                    .take_while(|(waiting, _)| *waiting == rule);
                awaited.all(|(_, earlier)| is_done(*earlier as usize))
            }
        }
    }
}

fn comparisons(rules: &[Rule]) -> usize {
    let selectors = rules.iter().map(|rule| {
        let selectors = rule.plan.query.expr().selectors();
        selectors.len().max(1)
    });
    rules.len().saturating_mul(selectors.sum())
}

fn place(rule: usize) -> u32 {
    u32::try_from(rule).unwrap_or(u32::MAX)
}

/// What a rule's result is written as.
#[derive(Clone, Copy)]
enum Writes<'a> {
    /// `ALERTS` and `ALERTS_FOR_STATE` with this `alertname`.
    Alerts(&'a str),
    Series(&'a str),
}

const ALERT_METRICS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

impl<'a> Writes<'a> {
    fn of(rule: &'a Rule) -> Self {
        match rule.kind {
            RuleKind::Alerting { .. } => Self::Alerts(&rule.key.name),
            RuleKind::Recording => Self::Series(&rule.key.name),
        }
    }

    fn overlap(self, other: Self) -> bool {
        match (self, other) {
            (Self::Alerts(name), Self::Alerts(other))
            | (Self::Series(name), Self::Series(other)) => name == other,
            (Self::Alerts(_), Self::Series(name)) | (Self::Series(name), Self::Alerts(_)) => {
                ALERT_METRICS.contains(&name)
            }
        }
    }
}

/// What a rule looks at.
enum Reads<'a> {
    /// The texts of its templates are queries too, known when they run; or a function looks at more than its arguments.
    Anything,
    Selectors(Vec<&'a [Matcher]>),
}

impl<'a> Reads<'a> {
    fn of(rule: &'a Rule) -> Self {
        let expr = rule.plan.query.expr();
        let asks = rule
            .texts()
            .any(|text| is_template(text) && text.contains("query"));
        if asks || calls_info(expr) {
            return Self::Anything;
        }
        let selectors = expr.selectors().into_iter();
        Self::Selectors(selectors.map(|selector| &*selector.matchers).collect())
    }

    fn reach(&self, writes: Writes<'_>) -> bool {
        match self {
            Self::Anything => true,
            Self::Selectors(selectors) => selectors.iter().any(|matchers| reach(matchers, writes)),
        }
    }
}

/// A selector that names no metric may find any.
fn reach(matchers: &[Matcher], writes: Writes<'_>) -> bool {
    let hold = |label: &str, value: &str| {
        let of_label = matchers.iter().filter(|matcher| matcher.name() == label);
        of_label.into_iter().all(|matcher| matcher.matches(value))
    };
    match writes {
        Writes::Series(name) => hold(METRIC_NAME, name),
        Writes::Alerts(name) => {
            ALERT_METRICS.iter().any(|metric| hold(METRIC_NAME, metric)) && hold(ALERT_NAME, name)
        }
    }
}

/// `info` looks at other metrics than those it is given.
fn calls_info(expr: &Expr) -> bool {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if let Expr::Call(call) = expr
            && call.function.kind == FunctionKind::Info
        {
            return true;
        }
        open.extend(expr.children());
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::{Problems, RuleFile};
    use promql::ParserOptions;

    use super::RuleOrder;
    use crate::compile::{GroupDefaults, compile_groups};
    use crate::rule::Group;

    /// Rules as `name = expression`, an alert's name with a capital; who waits for whom, counted from 0.
    fn check(rules: &[&str], waits: &[(u32, u32)]) {
        let order = RuleOrder::Partial(waits.into());
        assert_eq!(group(rules).order, order, "{rules:?}");
    }

    fn group(rules: &[&str]) -> Arc<Group> {
        let mut text = String::from("groups:\n- name: g\n  rules:\n");
        for rule in rules {
            let (name, rest) = rule.split_once(" = ").unwrap();
            let (expr, summary) = rest.split_once(" # ").unwrap_or((rest, ""));
            let kind = if name.starts_with(char::is_uppercase) {
                "alert"
            } else {
                "record"
            };
            text.push_str(&format!("  - {kind}: {name}\n    expr: '{expr}'\n"));
            if !summary.is_empty() {
                text.push_str(&format!("    annotations: {{summary: '{summary}'}}\n"));
            }
        }
        let mut problems = Problems::new();
        let file = RuleFile::read("r.yml", &text, &mut problems);
        let defaults = GroupDefaults {
            interval: std::time::Duration::from_secs(60),
            query_offset: std::time::Duration::ZERO,
        };
        let options = ParserOptions {
            experimental_functions: true,
            ..ParserOptions::default()
        };
        let mut groups = compile_groups(&[file], defaults, &options, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        groups.remove(0)
    }

    #[test]
    fn a_rule_waits_for_what_it_reads_and_for_who_reads_it() {
        check(
            &["a = up", "b = up", "Down = up == 0", "Slow = up == 1"],
            &[],
        );
        check(
            &["a = up", "b = a + 1", "c = b + a"],
            &[(1, 0), (2, 0), (2, 1)],
        );
        // What stands before its own source sees the evaluation before.
        check(&["b = a + 1", "a = up"], &[(1, 0)]);
        check(&["a = up", "b = rate(a[5m:1m])", "c = up"], &[(1, 0)]);
        check(
            &[
                r#"a = up"#,
                r#"b = {__name__=~"a|x"}"#,
                r#"c = {__name__!="a", job="x"}"#,
            ],
            &[(1, 0), (2, 1)],
        );
        check(&["a = up", r#"b = {job="x"}"#, "c = up"], &[(1, 0), (2, 1)]);
    }

    #[test]
    fn what_several_rules_select_is_shared_unless_one_of_them_writes_it() {
        for (rules, shared) in [
            (&["a = up", "b = up + 1", "c = down"][..], &["up"][..]),
            (&["a = up + up", "b = down"], &[]),
            (&["a = rate(up[5m])", "b = up", "c = a", "d = a"], &["up"]),
            (&[r#"a = up{job="x"}"#, "b = up"], &[]),
            (&[r#"Down = up"#, "b = ALERTS + up", "c = ALERTS"], &["up"]),
            (&[r#"a = {job="x"}"#, r#"b = {job="x"}"#], &[]),
        ] {
            let group = group(rules);
            let names: Vec<&str> = group
                .shared_selectors
                .iter()
                .map(|matchers| matchers[0].value())
                .collect();
            assert_eq!(names, shared, "{rules:?}");
        }
    }

    #[test]
    fn two_that_write_the_same_keep_their_order() {
        check(&["a = up", "a = down", "b = up"], &[(1, 0)]);
        check(&["Down = up == 0", "Down = up == 1"], &[(1, 0)]);
        check(&["Down = up == 0", "ALERTS_FOR_STATEX = up"], &[]);
    }

    #[test]
    fn a_group_that_would_take_long_to_look_at_goes_one_by_one() {
        let rules = |count: usize, expr: fn(usize) -> String| {
            let rules: Vec<String> = (0..count)
                .map(|rule| format!("r{rule} = {}", expr(rule)))
                .collect();
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            group(&rules).order.clone()
        };
        let one_by_one = RuleOrder::OneByOne;
        assert_ne!(rules(900, |_| "up".to_owned()), one_by_one);
        assert_eq!(rules(1100, |_| "up".to_owned()), one_by_one);
        assert_eq!(rules(50, |_| r#"{job="x"}"#.to_owned()), one_by_one);
        assert_eq!(rules(60, |_| "up + ".repeat(400) + "up"), one_by_one);
    }

    #[test]
    fn alerts_are_read_by_their_names() {
        check(
            &[
                "Down = up == 0",
                "Slow = up == 1",
                r#"c = ALERTS{alertname="Down"}"#,
            ],
            &[(2, 0)],
        );
        check(
            &[
                "Down = up == 0",
                "c = count(ALERTS_FOR_STATE)",
                r#"d = ALERTS{alertname!="Down"}"#,
            ],
            &[(1, 0)],
        );
    }

    #[test]
    fn what_asks_when_it_runs_may_read_anything() {
        check(
            &[
                "a = up",
                r#"Down = up == 0 # {{ with query "a" }}{{ . | first | value }}{{ end }}"#,
                "c = up",
            ],
            &[(1, 0), (2, 1)],
        );
        check(
            &["a = up", "Down = up == 0 # a query {{ $value }}"],
            &[(1, 0)],
        );
        check(&["a = up", "Down = up == 0 # no query at all"], &[]);
        check(&["a = up", "b = info(up)"], &[(1, 0)]);
    }
}
