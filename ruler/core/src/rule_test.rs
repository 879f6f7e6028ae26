//! Runs tests of rules (the format of `promtool test rules`): input series and rules on a clock of their own.
//!
//! From a test's start on, an evaluation interval apart, every group is evaluated in turn over what its input series have
//! by then and what rules wrote before. Rules go through the ruler's own state machine ([`RuleState`]); what is tested is
//! the alerts that fire after the last evaluation that is not later, and expressions over everything at the end.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use config::{Placed, Problem, RuleTest, RuleTestFile};
use model::{Labels, SampleValue, Timestamp, go_number};
use promql::{
    MemorySeries, NotationError, NotedValue, ParserOptions, Query, QueryLimits, VectorSample,
    histogram_notation, parse_metric, parse_series_values, parse_start_offsets,
};
use template::{AlertTemplateData, Host, QueryResult};

use crate::alert::AlertState;
use crate::alerting::Sending;
use crate::evaluation::{AppendReport, RefusedSample, RuleResult};
use crate::expansion::{alert_element, alert_value};
use crate::instant::instant_vector;
use crate::recording::RecordedElement;
use crate::refusal::OverLimit;
use crate::rule::{Group, Rule, RuleKind};
use crate::rule_state::{RuleHealth, RuleState, Taking};
use crate::rule_test_failure::{RuleTestFailure, TestedAlert, TestedSample};
use crate::series::SampleBatch;

/// Values of all input series of one test; a test with more is refused. About a gigabyte of memory at most.
pub const INPUT_VALUES_MAX: usize = 10_000_000;

/// What a test came to.
#[derive(Debug, Default)]
pub struct RuleTestRun {
    /// Nothing where the test passes.
    pub failures: Vec<RuleTestFailure>,
    /// What was loaded and what rules wrote.
    pub series: MemorySeries,
}

impl RuleTestRun {
    /// Every series with its samples, one a line: `value @[milliseconds since the epoch]`.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (labels, samples) in self.series.iter() {
            let _ = writeln!(text, "{labels} =>");
            for (at, value) in samples {
                let shown = match value {
                    SampleValue::Float(value) if model::is_stale_nan(*value) => "stale".to_owned(),
                    SampleValue::Float(value) => go_number::format_f(*value),
                    SampleValue::Histogram(histogram) => histogram_notation(histogram),
                };
                let _ = writeln!(text, "{shown} @[{}]", at.as_millis());
            }
        }
        text
    }
}

/// Runs one test of a file with the groups of its rule files, in the order in which they were read.
#[must_use]
pub fn run_rule_test(
    file: &RuleTestFile,
    test: &RuleTest,
    groups: &[Arc<Group>],
    language: &ParserOptions,
) -> RuleTestRun {
    let mut run = RuleTestRun::default();
    if let Some(failure) = missing_alertname(file, test) {
        run.failures.push(failure);
        return run;
    }
    let input = match Input::read(file, test) {
        Ok(input) => input,
        Err(problem) => {
            run.failures.push(RuleTestFailure::Mistake(problem));
            return run;
        }
    };
    let tested = TestedRules {
        test,
        language,
        limits: QueryLimits {
            default_step: file.evaluation_interval,
            ..QueryLimits::default()
        },
        groups: ordered(file, groups),
        series: MemorySeries::default(),
    };
    tested.run(file, input)
}

fn missing_alertname(file: &RuleTestFile, test: &RuleTest) -> Option<RuleTestFailure> {
    let mut alert_tests = test.alert_rule_tests.iter();
    let nameless = alert_tests.find(|alert| alert.alertname.is_empty())?;
    let eval_time = model::duration::format(nameless.eval_time);
    let of_test = match &test.name {
        Some(name) => format!(" (in TestGroup {name})"),
        None => String::new(),
    };
    let message = format!(
        "an item under alert_rule_test misses required attribute alertname at eval_time {eval_time}{of_test}"
    );
    let problem = Problem::new(&file.file, Some(nameless.place), "", message);
    Some(RuleTestFailure::Mistake(problem))
}

/// Those that the file does not name come first, as it was read; then those that it names.
fn ordered(file: &RuleTestFile, groups: &[Arc<Group>]) -> Vec<TestedGroup> {
    let place = |group: &Group| {
        let mut names = file.group_eval_order.iter();
        names.position(|name| name.value == *group.key.name)
    };
    let mut ordered: Vec<&Arc<Group>> = groups.iter().collect();
    ordered.sort_by_key(|group| place(group));
    let tested = ordered.into_iter().map(|group| TestedGroup {
        group: group.clone(),
        rules: group.rules.iter().map(|_| RuleState::default()).collect(),
    });
    tested.collect()
}

/// What of the input series is still to come.
struct Input {
    /// Each from its latest value to its next.
    series: BTreeMap<Labels, Vec<(Timestamp, NotedValue, Timestamp)>>,
}

impl Input {
    fn read(file: &RuleTestFile, test: &RuleTest) -> Result<Self, Problem> {
        let mut series = BTreeMap::new();
        let mut left = INPUT_VALUES_MAX;
        let mut starts = Vec::new();
        for input in &test.input_series {
            let wrong = |placed: &Placed<String>, error: NotationError| {
                let message = format!("{error} in {}", model::go_quote::quote(&placed.value));
                Problem::new(&file.file, Some(placed.place), "", message)
            };
            let wrong_values = |error| wrong(&input.values, error);
            if input.series.value.trim_end().ends_with("@st") {
                starts = parse_start_offsets(&input.values.value, left).map_err(wrong_values)?;
                continue;
            }
            let labels =
                parse_metric(&input.series.value).map_err(|error| wrong(&input.series, error))?;
            if labels.is_empty() {
                let message = "empty labelset: invalid sample".to_owned();
                return Err(wrong(&input.series, NotationError { at: 0, message }));
            }
            let values = parse_series_values(&input.values.value, left).map_err(wrong_values)?;
            left -= values.len();
            let starts = std::mem::take(&mut starts);
            if !starts.is_empty() && starts.len() != values.len() {
                let message = format!(
                    "{} start offsets stand before {} values",
                    starts.len(),
                    values.len()
                );
                return Err(wrong_values(NotationError { at: 0, message }));
            }
            let timed = values.into_iter().enumerate().map(|(index, value)| {
                let at = test.start + times(test.interval, index);
                let offset: Option<i64> = starts.get(index).copied().flatten();
                let start = offset
                    .map(|offset| Timestamp::from_millis(at.as_millis().saturating_add(offset)));
                (at, value, start.unwrap_or_default())
            });
            let mut timed: Vec<_> = timed.collect();
            timed.reverse();
            series.insert(labels, timed);
        }
        Ok(Self { series })
    }

    /// Moves what is not later than `until`.
    fn load(&mut self, until: Timestamp, into: &mut MemorySeries) {
        for (labels, values) in &mut self.series {
            while let Some((at, value, start)) = values.pop_if(|(at, _, _)| *at <= until) {
                into.insert(labels, at, value, start);
            }
        }
    }
}

fn times(interval: Duration, count: usize) -> Duration {
    interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

struct TestedGroup {
    group: Arc<Group>,
    rules: Vec<RuleState>,
}

struct TestedRules<'a> {
    test: &'a RuleTest,
    language: &'a ParserOptions,
    limits: QueryLimits<'a>,
    groups: Vec<TestedGroup>,
    series: MemorySeries,
}

impl TestedRules<'_> {
    fn run(mut self, file: &RuleTestFile, mut input: Input) -> RuleTestRun {
        let mut failures = Vec::new();
        let mut alert_tests: Vec<_> = self.test.alert_rule_tests.iter().collect();
        alert_tests.sort_by_key(|alert| alert.eval_time);
        let mut alert_tests = alert_tests.into_iter().peekable();
        let last = self.last_time();
        let mut passed = Duration::ZERO;
        while passed <= last {
            let at = self.test.start + passed;
            input.load(at, &mut self.series);
            let before = failures.len();
            for index in 0..self.groups.len() {
                self.evaluate(index, at, passed, &mut failures);
            }
            if failures.len() > before {
                return self.ended(failures);
            }
            passed = passed.saturating_add(file.evaluation_interval);
            while let Some(alert) = alert_tests.next_if(|alert| alert.eval_time < passed) {
                failures.extend(self.check_alerts(alert));
            }
        }
        for expr in &self.test.promql_expr_tests {
            failures.extend(self.check_expr(file, expr));
        }
        self.ended(failures)
    }

    fn ended(self, failures: Vec<RuleTestFailure>) -> RuleTestRun {
        RuleTestRun {
            failures,
            series: self.series,
        }
    }

    /// Of all tests.
    fn last_time(&self) -> Duration {
        let alerts = self.test.alert_rule_tests.iter();
        let exprs = self.test.promql_expr_tests.iter();
        let times = alerts.map(|alert| alert.eval_time);
        let times = times.chain(exprs.map(|expr| expr.eval_time));
        times.max().unwrap_or_default()
    }

    /// One iteration of a group, rule by rule.
    fn evaluate(
        &mut self,
        index: usize,
        at: Timestamp,
        passed: Duration,
        failures: &mut Vec<RuleTestFailure>,
    ) {
        let group = self.groups[index].group.clone();
        let mut rules = std::mem::take(&mut self.groups[index].rules);
        let taking = Taking {
            sending: Sending {
                resend_delay: Duration::ZERO,
                interval: group.interval,
            },
            over_limit: OverLimit::DropAll,
        };
        for (rule, state) in group.rules.iter().zip(&mut rules) {
            let outcome = self.outcome(&group, rule, at);
            let step = state.evaluated(&group, rule, at, outcome, taking);
            if let Some((batch, written)) = step.batch {
                let report = self.append(batch);
                // What it would save is nothing to a test.
                let _ = state.appended(&group, rule, written, Ok(report));
            }
            match &state.health {
                RuleHealth::Unknown | RuleHealth::Ok => {}
                RuleHealth::Err { reason } => failures.push(RuleTestFailure::Rule {
                    name: rule.key.name.clone(),
                    at: passed,
                    reason: reason.clone(),
                }),
            }
        }
        self.groups[index].rules = rules;
    }

    fn outcome(&self, group: &Group, rule: &Rule, at: Timestamp) -> Result<RuleResult, String> {
        let vector = self.query(&rule.plan.query, at - group.query_offset)?;
        Ok(match rule.kind {
            RuleKind::Recording => {
                let elements = vector.into_iter().map(|sample| RecordedElement {
                    series: sample.labels,
                    value: sample.value,
                });
                RuleResult::Recording(elements.collect())
            }
            RuleKind::Alerting { .. } => {
                let host = TestHost { tested: self, at };
                let elements = vector.into_iter().map(|sample| {
                    let data = AlertTemplateData {
                        value: alert_value(&sample.value),
                        labels: sample.labels,
                        external_labels: self.test.external_labels.clone(),
                        external_url: self.test.external_url.clone(),
                    };
                    alert_element(rule, data, &host, &mut |_| {})
                });
                RuleResult::Alerting(elements.collect())
            }
        })
    }

    fn query(&self, query: &Query, at: Timestamp) -> Result<Vec<VectorSample>, String> {
        let answer = query.instant(&self.series, at, &self.limits);
        instant_vector(answer.map_err(|error| error.to_string())?.value)
    }

    fn append(&mut self, batch: SampleBatch) -> AppendReport {
        let mut report = AppendReport::default();
        for sample in batch.samples {
            if let Err(refused) = self.series.append(&sample.labels, batch.at, sample.value) {
                report.refused.push(RefusedSample {
                    labels: sample.labels,
                    reason: refused.to_string(),
                });
            }
        }
        for labels in &batch.ended {
            // A refused marker is no mistake.
            let mark = SampleValue::Float(model::stale_nan());
            let _ = self.series.append(labels, batch.at, mark);
        }
        report
    }

    fn check_alerts(&self, tested: &config::AlertRuleTest) -> Option<RuleTestFailure> {
        let mut got = Vec::new();
        for TestedGroup { group, rules } in &self.groups {
            let rules = group.rules.iter().zip(rules);
            for (_, state) in rules.filter(|(rule, _)| *rule.key.name == *tested.alertname) {
                let firing = state
                    .alerts
                    .iter()
                    .filter(|alert| matches!(alert.state, AlertState::Firing { .. }));
                got.extend(firing.map(|alert| TestedAlert {
                    labels: alert.labels.clone(),
                    annotations: alert.annotations.clone(),
                }));
            }
        }
        let expected = tested.expected.iter().map(|alert| {
            // Nobody writes the label that every alert has.
            let name = (model::ALERT_NAME, tested.alertname.as_str());
            TestedAlert {
                labels: Labels::from_pairs(alert.labels.iter().chain([name])),
                annotations: alert.annotations.clone(),
            }
        });
        let mut expected: Vec<TestedAlert> = expected.collect();
        got.sort();
        expected.sort();
        (got != expected).then(|| RuleTestFailure::Alerts {
            test: self.test.name.clone(),
            alertname: tested.alertname.clone(),
            at: tested.eval_time,
            expected,
            got,
        })
    }

    fn check_expr(
        &self,
        file: &RuleTestFile,
        tested: &config::PromqlExprTest,
    ) -> Option<RuleTestFailure> {
        let failed = |reason: String| {
            Some(RuleTestFailure::Query {
                expr: tested.expr.value.clone(),
                at: tested.eval_time,
                reason,
            })
        };
        let at = self.test.start + tested.eval_time;
        let vector = Query::compile(&tested.expr.value, self.language)
            .map_err(|error| error.to_string())
            .and_then(|query| self.query(&query, at));
        let vector = match vector {
            Ok(vector) => vector,
            Err(reason) => return failed(reason),
        };
        let mut expected = Vec::new();
        for sample in &tested.expected {
            match TestedSample::expected(sample) {
                Ok(sample) => expected.push(sample),
                Err(reason) => return failed(reason),
            }
        }
        let mut got: Vec<TestedSample> = vector.into_iter().map(TestedSample::of).collect();
        expected.sort_by(|left, right| left.labels.cmp(&right.labels));
        got.sort_by(|left, right| left.labels.cmp(&right.labels));
        let same = expected.len() == got.len()
            && expected
                .iter()
                .zip(&got)
                .all(|(expected, got)| expected.is_same(got, file.fuzzy_compare));
        (!same).then(|| RuleTestFailure::Samples {
            expr: tested.expr.value.clone(),
            at: tested.eval_time,
            expected,
            got,
        })
    }
}

/// The world as a tested rule's template sees it.
struct TestHost<'a> {
    tested: &'a TestedRules<'a>,
    at: Timestamp,
}

impl Host for TestHost<'_> {
    fn now(&self) -> Timestamp {
        self.at
    }

    fn query(&self, expr: &str) -> Result<Vec<QueryResult>, String> {
        let query =
            Query::compile(expr, self.tested.language).map_err(|error| error.to_string())?;
        let vector = self.tested.query(&query, self.at)?;
        let results = vector.into_iter().map(|sample| QueryResult {
            value: alert_value(&sample.value),
            labels: sample.labels,
        });
        Ok(results.collect())
    }
}
