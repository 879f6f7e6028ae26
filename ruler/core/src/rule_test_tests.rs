//! Tests of rules, run: what passes, and how what does not is told.
use config::{Problems, RuleFile, RuleTestFile};
use promql::ParserOptions;

use crate::compile::{GroupDefaults, compile_groups};
use crate::rule_test::run_rule_test;

const RULES: &str = r#"
groups:
- name: later
  rules:
  - record: team:up:min
    expr: min by (team) (job:up)
- name: first
  rules:
  - record: job:up
    expr: sum by (job, team) (up)
  - alert: Down
    expr: up == 0
    for: 2m
    keep_firing_for: 2m
    labels: {severity: page}
    annotations:
      summary: '{{ $labels.instance }} of {{ $externalLabels.cluster }} is {{ $value }}, all are {{ with query "sum(up)" }}{{ . | first | value }}{{ end }}, see {{ $externalURL }}'
  - alert: Pending
    expr: ALERTS{alertname="Down", alertstate="pending"}
- name: shifted
  query_offset: 1m
  rules:
  - record: up:before
    expr: up
"#;

/// The failures of each test, as they are printed.
fn run(tests: &str) -> Vec<String> {
    run_with(RULES, tests)
}

fn run_with(rules: &str, tests: &str) -> Vec<String> {
    let mut problems = Problems::new();
    let rules = RuleFile::read("r.yml", rules, &mut problems);
    let defaults = GroupDefaults {
        interval: std::time::Duration::from_secs(60),
        query_offset: std::time::Duration::ZERO,
    };
    let language = ParserOptions::default();
    let groups = compile_groups(&[rules], defaults, &language, &mut problems);
    let file = RuleTestFile::read("t.yml", tests, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let tests = file.tests.iter();
    tests
        .map(|test| {
            let run = run_rule_test(&file, test, &groups, &language);
            let failures: Vec<String> = run.failures.iter().map(ToString::to_string).collect();
            failures.join("\n")
        })
        .collect()
}

#[test]
fn alerts_and_expressions_are_held_against_what_is_expected() {
    let tests = r#"
tests:
- input_series:
  - {series: 'up{job="a", instance="x", team="t"}', values: '1x1 0x2 1x9'}
  external_labels: {cluster: c}
  external_url: http://u
  alert_rule_test:
  - {eval_time: 3m, alertname: Down}
  - eval_time: 4m
    alertname: Down
    exp_alerts:
    - exp_labels: {severity: page, job: a, instance: x, team: t}
      exp_annotations: {summary: 'x of c is 0, all are 0, see http://u'}
  - {eval_time: 3m30s, alertname: Pending, exp_alerts: [{exp_labels: {job: a, instance: x, team: t, severity: page, alertstate: pending}}]}
  - {eval_time: 4m, alertname: Pending}
  # Kept firing for two minutes after its last element.
  - {eval_time: 6m, alertname: Down, exp_alerts: [{exp_labels: {severity: page, job: a, instance: x, team: t}, exp_annotations: {summary: 'x of c is 0, all are 0, see http://u'}}]}
  - {eval_time: 7m, alertname: Down}
  promql_expr_test:
  - {expr: 'job:up', eval_time: 4m, exp_samples: [{labels: 'job:up{job="a", team="t"}', value: 0}]}
  - {expr: 'count_over_time(job:up[20m])', eval_time: 7m, exp_samples: [{labels: '{job="a", team="t"}', value: 8}]}
  - {expr: 'up:before', eval_time: 4m30s, exp_samples: [{labels: '{__name__="up:before", instance="x", job="a", team="t"}', value: 0}]}
  - {expr: '3', eval_time: 1m, exp_samples: [{labels: '{}', value: 3}]}
  - {expr: 'ALERTS{alertname="Down"}', eval_time: 7m}
  - {expr: 'nothing', eval_time: 7m}
"#;
    // The alert fires at 4m: it is seen first at 2m.
    assert_eq!(run(tests), [""]);
}

#[test]
fn what_differs_is_told_in_promtools_words() {
    let tests = r#"
evaluation_interval: 2m
tests:
- name: one
  interval: 1m
  input_series:
  - {series: 'up{job="a", instance="x"}', values: '0x9'}
  alert_rule_test:
  - eval_time: 5m
    alertname: Down
    exp_alerts:
    - {exp_labels: {job: a}}
  - {eval_time: 1m30s, alertname: Down, exp_alerts: [{}]}
  promql_expr_test:
  - {expr: 'up + 1.5', eval_time: 90s, exp_samples: [{labels: 'up', value: 1e6}, {labels: 'up{a="b"}', histogram: '{{count:1}}'}]}
  - {expr: 'up[', eval_time: 1s}
  - {expr: '"text"', eval_time: 1s}
  - {expr: 'up', eval_time: 1s, exp_samples: [{labels: 'up{'}]}
  - {expr: 'vector(NaN)', eval_time: 1s, exp_samples: [{value: .nan}]}
"#;
    let expected = r#"    name: one,
    alertname: Down, time: 1m30s, 
        exp:[
            0:
              Labels:{alertname="Down"}
              Annotations:{}
            ], 
        got:[]
    name: one,
    alertname: Down, time: 5m, 
        exp:[
            0:
              Labels:{alertname="Down", job="a"}
              Annotations:{}
            ], 
        got:[
            0:
              Labels:{alertname="Down", instance="x", job="a", severity="page"}
              Annotations:{summary="x of  is 0, all are 0, see "}
            ]
    expr: "up + 1.5", time: 1m30s,
        exp: {__name__="up"} 1E+06, {__name__="up", a="b"} {{schema:0 count:1}}
        got: {instance="x", job="a"} 1.5E+00
    expr: "up[", time: 1s, err: 1:4: parse error: unexpected end of input in duration expression
    expr: "\"text\"", time: 1s, err: rule result is not a vector or scalar
    expr: "up", time: 1s, err: labels "up{": 1:4: parse error: unexpected end of input inside braces
    expr: "vector(NaN)", time: 1s,
        exp: {} NaN
        got: {} NaN"#;
    let got = run(tests);
    assert_eq!(got[0], expected, "{}", got[0]);
}

#[test]
fn groups_are_evaluated_in_the_order_that_is_asked_for() {
    let test = "tests:
- input_series: [{series: 'up{team=\"t\"}', values: '5'}]
  promql_expr_test: [{expr: 'team:up:min', eval_time: 0s, exp_samples: [{labels: 'team:up:min{team=\"t\"}', value: 5}]}]
";
    let out_of_order = run(test);
    assert!(out_of_order[0].ends_with("got: nil"), "{out_of_order:?}");
    let ordered = format!("group_eval_order: [first, later]\n{test}");
    assert_eq!(run(&ordered), [""]);
}

#[test]
fn time_starts_where_the_test_says() {
    let test = |start: &str| {
        format!(
            "tests:
- {start}
  input_series: [{{series: 'up', values: '1 2'}}]
  promql_expr_test: [{{expr: 'time() + up', eval_time: 1m, exp_samples: [{{labels: '{{}}', value: 1002}}]}}]
"
        )
    };
    for start in [
        "start_timestamp: 940",
        "start_timestamp: '1970-01-01T00:15:40Z'",
    ] {
        assert_eq!(run(&test(start)), [""], "{start}");
    }
    assert!(run(&test("name: zero"))[0].ends_with("got: {} 6.2E+01"));
}

#[test]
fn neighbouring_numbers_are_equal_where_that_is_asked_for() {
    let test = "tests:
- promql_expr_test: [{expr: '0.1 + 0.2', eval_time: 0s, exp_samples: [{labels: '{}', value: 0.3}]}]
";
    assert!(run(test)[0].contains("got: {} 3.0000000000000004E-01"));
    assert_eq!(run(&format!("fuzzy_compare: true\n{test}")), [""]);
    let far = test.replace("value: 0.3", "value: 0.31");
    assert_ne!(run(&format!("fuzzy_compare: true\n{far}")), [""]);
}

#[test]
fn histograms_and_starts_of_counters_are_loaded() {
    let test = "tests:
- input_series:
  - {series: 'h', values: '{{count:2 sum:3 buckets:[1 1]}}+{{count:1 buckets:[1]}}x3'}
  - {series: 'c@st', values: '-1mx2'}
  - {series: 'c', values: '5 6 7'}
  promql_expr_test:
  - {expr: 'h', eval_time: 0s, exp_samples: [{labels: h, histogram: '{{sum:3 count:2 buckets:[1 1 0]}}'}]}
  - {expr: 'histogram_count(h)', eval_time: 2m, exp_samples: [{labels: '{}', value: 4}]}
  - {expr: 'c', eval_time: 2m, exp_samples: [{labels: c, value: 7}]}
";
    assert_eq!(run(test), [""]);
    let other = test.replace("buckets:[1 1 0]", "buckets:[1 2]");
    assert_eq!(
        run(&other),
        [r#"    expr: "h", time: 0s,
        exp: {__name__="h"} {{schema:0 count:2 sum:3 buckets:[1 2]}}
        got: {__name__="h"} {{schema:0 count:2 sum:3 buckets:[1 1]}}"#]
    );
    let uneven = test.replace("-1mx2", "-1mx5");
    assert_eq!(
        run(&uneven),
        ["t.yml:5:27: 1:1: parse error: 6 start offsets stand before 3 values in \"5 6 7\""]
    );
}

#[test]
fn a_test_that_cannot_be_run_says_where() {
    for (test, expected) in [
        (
            "tests:\n- input_series: [{series: up, values: '1 y'}]",
            "t.yml:2:39: 1:3: parse error: unexpected \"y\" in series values, expected a number or \"stale\" in \"1 y\"",
        ),
        (
            "tests:\n- input_series: [{series: 'up{a=~\"b\"}', values: '1'}]",
            "t.yml:2:27: 1:1: parse error: unexpected matcher in label set, expected \"=\" in \"up{a=~\\\"b\\\"}\"",
        ),
        (
            "tests:\n- input_series: [{series: '{}', values: '1'}]",
            "t.yml:2:27: 1:1: parse error: empty labelset: invalid sample in \"{}\"",
        ),
        (
            "tests:\n- name: n\n  alert_rule_test: [{eval_time: 1m}]",
            "t.yml:3:21: an item under alert_rule_test misses required attribute alertname at eval_time 1m (in TestGroup n)",
        ),
        (
            "tests:\n- input_series: [{series: up, values: '1x9999999'}, {series: up2, values: 1}]",
            "t.yml:2:75: 1:1: parse error: more than 0 values in \"1\"",
        ),
    ] {
        assert_eq!(run(test), [expected], "{test}");
    }
}

#[test]
fn a_rule_that_fails_ends_its_test() {
    let rules = "groups:
- name: g
  limit: 1
  rules:
  - {record: twice, expr: up, labels: {instance: ''}}
  - {record: wide, expr: up}
  - {alert: Wide, expr: up}
  - {record: taken, expr: up}
";
    let test = |values: &str| {
        format!(
            "tests:
- input_series: {values}
  alert_rule_test: [{{eval_time: 2m, alertname: Wide, exp_alerts: [{{}}]}}]
  promql_expr_test: [{{expr: '\"never\"', eval_time: 5m}}]
"
        )
    };
    let two = "[{series: 'up{instance=\"a\"}', values: '_ 1'}, {series: 'up{instance=\"b\"}', values: '_ 1'}]";
    assert_eq!(
        run_with(rules, &test(two)),
        [
            r#"    rule: twice, time: 1m0s, err: vector contains metrics with the same labelset after applying rule labels
    rule: wide, time: 1m0s, err: exceeded limit of 1 with 2 series
    rule: Wide, time: 1m0s, err: exceeded limit of 1 with 2 alerts
    rule: taken, time: 1m0s, err: exceeded limit of 1 with 2 series"#
        ]
    );
    let taken = "[{series: 'up', values: '1x9'}, {series: taken, values: '7'}]";
    assert_eq!(
        run_with(rules, &test(taken)),
        ["    rule: taken, time: 0s, err: duplicate sample for timestamp"]
    );
}

#[test]
fn a_diff_shows_what_is_missing_and_what_came() {
    use crate::rule_test_failure::{RuleTestFailure, TestedAlert};
    let alert = |name: &str| TestedAlert {
        labels: model::Labels::from_pairs([("a", name)]),
        annotations: model::Labels::default(),
    };
    let failure = RuleTestFailure::Alerts {
        test: None,
        alertname: "Down".to_owned(),
        at: std::time::Duration::from_secs(60),
        expected: vec![alert("1"), alert("2")],
        got: vec![alert("2"), alert("3")],
    };
    assert_eq!(
        failure.diff(),
        "    alertname: Down, time: 1m, \n        diff:\n          - {a=\"1\"} {}\n            {a=\"2\"} {}\n          + {a=\"3\"} {}"
    );
}
