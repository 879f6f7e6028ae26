//! `watchbell test rules` beside Debian's `promtool test rules`: the same files, the same verdicts.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::folder;
use crate::process::program;
use crate::shared::shared;
use crate::watchbell::binary;

const PROMTOOL: &str = "/usr/bin/promtool";

#[derive(Debug, PartialEq)]
struct Verdict {
    code: Option<i32>,
    out: String,
    complaints: String,
}

fn verdict(command: &mut Command) -> Verdict {
    let output = command.output().expect("the program can be started");
    Verdict {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn ours(folder: &Path, arguments: &[&str]) -> Verdict {
    let mut command = Command::new(binary());
    verdict(
        command
            .args(["test", "rules"])
            .args(arguments)
            .current_dir(folder),
    )
}

fn promtools(program: &str, folder: &Path, file: &str) -> Verdict {
    let mut command = Command::new(program);
    verdict(command.args(["test", "rules", file]).current_dir(folder))
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rule_files() -> Option<Vec<PathBuf>> {
    let folders = [
        shared("real/rules")?,
        shared("real/gds/alerts")?,
        own("examples/rules"),
    ];
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).expect("the folder is there");
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "yml")));
    }
    files.sort();
    Some(files)
}

/// Nobody has written tests of these: each gets one that shows all alerts and how many series there are of each name.
#[test]
fn every_real_rule_file_is_tested_as_promtool_tests_it() {
    let (Some(promtool), Some(files)) = (program(PROMTOOL), rule_files()) else {
        return;
    };
    assert!(files.len() > 50, "only {} files", files.len());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut firing = 0;
    for file in files {
        let test = format!(
            "rule_files: [{}]
tests:
- interval: 1m
  input_series:
  - {{series: 'up{{job=\"a\", instance=\"b\"}}', values: '1x3 0x30'}}
  - {{series: 'node_filesystem_avail_bytes{{mountpoint=\"/\", instance=\"b\"}}', values: '100-3x30'}}
  - {{series: 'node_filesystem_size_bytes{{mountpoint=\"/\", instance=\"b\"}}', values: '100x30'}}
  promql_expr_test:
  - {{expr: 'ALERTS', eval_time: 20m}}
  - {{expr: 'ALERTS_FOR_STATE', eval_time: 20m}}
  - {{expr: 'count by (__name__) ({{__name__=~\".+\"}})', eval_time: 25m}}
",
            file.display()
        );
        fs::write(folder.path().join("t.yml"), test).expect("a file can be written");
        let theirs = promtools(promtool, folder.path(), "t.yml");
        firing += usize::from(theirs.complaints.contains("alertstate=\"firing\""));
        let ours = ours(folder.path(), &["t.yml"]);
        assert_eq!(ours, theirs, "{}", file.display());
    }
    assert!(firing > 5, "only {firing} files have an alert that fires");
}

#[test]
fn the_examples_tests_pass_here_and_there() {
    let passed = ours(&own("examples/tests"), &["services.yml"]);
    assert_eq!(passed.code, Some(0), "{passed:?}");
    assert_eq!(passed.out, "Unit Testing:  services.yml\n  SUCCESS\n\n");
    let Some(promtool) = program(PROMTOOL) else {
        return;
    };
    assert_eq!(
        promtools(promtool, &own("examples/tests"), "services.yml"),
        passed
    );
}

const RULES: &str = r#"groups:
- name: later
  rules:
  - {record: 'team:up:min', expr: min by (team) (job:up)}
- name: first
  rules:
  - {record: 'job:up', expr: 'sum by (job, team) (up)'}
  - alert: Down
    expr: up == 0
    for: 2m
    keep_firing_for: 3m
    labels: {severity: page, level: '{{ if eq $value 0.0 }}none{{ end }}'}
    annotations:
      summary: '{{ $labels.instance }} of {{ $externalLabels.cluster }} is {{ $value | humanize }}, all are {{ with query "sum(up)" }}{{ . | first | value }}{{ end }}'
      broken: '{{ query "(" }}'
- name: last
  rules:
  - {alert: Down, expr: 'ALERTS{alertstate="firing"} and on () (vector(1))', labels: {again: 'yes'}}
"#;
const SERIES: &str = "input_series: [{series: 'up{job=\"a\", instance=\"x\", team=\"t\"}', values: '1x2 0x4 stale'}, {series: 'up{job=\"a\", instance=\"y\", team=\"t\"}', values: '1 _x3 2+1x9'}]";

/// What both say in the same words.
#[test]
fn failures_are_told_as_promtool_tells_them() {
    let Some(promtool) = program(PROMTOOL) else {
        return;
    };
    let test = |rest: &str| {
        format!(
            "rule_files: [r.yml]\ngroup_eval_order: [first, later, last]\ntests:\n- name: n\n  interval: 1m\n  {SERIES}\n  {rest}\n"
        )
    };
    for (text, code) in [
        (test("alert_rule_test: [{eval_time: 4m, alertname: Down}]"), 0),
        (test("alert_rule_test: [{eval_time: 3m, alertname: Down, exp_alerts: [{exp_labels: {a: b}}]}]"), 1),
        (test("alert_rule_test: [{eval_time: 5m, alertname: Down}, {eval_time: 90s, alertname: Down, exp_alerts: [{}, {exp_annotations: {a: b}}]}]"), 1),
        // Kept firing for three minutes after its series ended at 7m.
        (test("alert_rule_test: [{eval_time: 9m59s, alertname: Down}, {eval_time: 10m, alertname: Down}]"), 1),
        (test("external_labels: {cluster: c}\n  alert_rule_test: [{eval_time: 6m, alertname: Down}]"), 1),
        (test("promql_expr_test: [{expr: 'team:up:min', eval_time: 5m, exp_samples: [{labels: '{__name__=\"team:up:min\", team=\"t\"}', value: 3}]}]"), 0),
        (test("promql_expr_test: [{expr: 'up', eval_time: 3m, exp_samples: [{labels: up, value: 1.5e9}]}, {expr: '1 / 0', eval_time: 1m}, {expr: 'time()', eval_time: 90s500ms}]"), 1),
        (test("promql_expr_test: [{expr: '\"text\"', eval_time: 1m}, {expr: 'up[5m]', eval_time: 1m}, {expr: 'up{', eval_time: 1m}, {expr: 'sum(up', eval_time: 1m}]"), 1),
        (test("promql_expr_test: [{expr: 'vector(NaN)', eval_time: 1m, exp_samples: [{labels: '{}', value: .nan}]}]"), 1),
        (test("promql_expr_test: [{expr: 'sum_over_time(up[2m30s:1m])', eval_time: 4m}]"), 1),
        (test("promql_expr_test: [{expr: 'ALERTS', eval_time: 9m}, {expr: 'ALERTS_FOR_STATE', eval_time: 9m}, {expr: 'count_over_time(ALERTS[20m])', eval_time: 15m}]"), 1),
        ("rule_files: [none.yml]\ntests: [{interval: 1m}]\n".to_owned(), 0),
        ("rule_files: [r.yml]\ngroup_eval_order: [first, later, last]\nevaluation_interval: 7m\ntests: [{interval: 1m, input_series: [{series: 'up{job=\"j\"}', values: 0x60}], alert_rule_test: [{eval_time: 13m, alertname: Down}, {eval_time: 14m, alertname: Down}]}]\n".to_owned(), 1),
        ("rule_files: [r.yml]\ntests: [{interval: 1m, input_series: [{series: 'job:up{job=\"a\"}', values: '9'}, {series: 'up{job=\"a\"}', values: '1'}]}]\n".to_owned(), 1),
        (String::new(), 0),
    ] {
        let folder = folder(&[("r.yml", RULES), ("t.yml", &text)]);
        let theirs = promtools(promtool, folder.path(), "t.yml");
        assert_eq!(theirs.code, Some(code), "{text}: {theirs:?}");
        assert_eq!(ours(folder.path(), &["t.yml"]), theirs, "{text}");
    }
}

/// A mistake fails the test there as here; here it has a place.
#[test]
fn mistakes_are_told_with_line_and_column() {
    for (text, place) in [
        ("tests: [{foo: 1}]", "t.yml:1:10: field foo not found"),
        (
            "tests:\n- interval: 5",
            "t.yml:2:13: not a valid duration string",
        ),
        (
            "tests:\n- alert_rule_test:\n  - eval_time: 1m",
            "t.yml:3:5: an item under alert_rule_test misses required attribute alertname at eval_time 1m",
        ),
        (
            "tests:\n- interval: 1m\n  input_series:\n  - {series: up, values: '1 2 y'}",
            "t.yml:4:26: 1:5: parse error: unexpected \"y\"",
        ),
        (
            "tests:\n- interval: 1m\n  input_series:\n  - {series: 'up{a=~\"b\"}', values: '1'}",
            "t.yml:4:14: ",
        ),
        (
            "group_eval_order: [a, a]",
            "t.yml:1:23: group name repeated in evaluation order: a",
        ),
        (
            "rule_files: [wrong.yml]\ntests: [{}]",
            "wrong.yml:4:11: group \"a\", rule 1, \"b\": could not parse expression: 1:5: ",
        ),
        ("tests: [", "t.yml:1:"),
        ("rule_files: ['[']\ntests: [{}]", "t.yml:1:14: "),
    ] {
        let wrong = "groups:\n- name: a\n  rules:\n  - expr: sum(\n    alert: b\n";
        let folder = folder(&[("wrong.yml", wrong), ("t.yml", text)]);
        let verdict = ours(folder.path(), &["t.yml"]);
        assert_eq!(verdict.code, Some(1), "{text}: {verdict:?}");
        assert!(verdict.complaints.contains(place), "{text}: {verdict:?}");
        if let Some(promtool) = program(PROMTOOL) {
            let theirs = promtools(promtool, folder.path(), "t.yml");
            assert_eq!(theirs.code, Some(1), "{text}: {theirs:?}");
        }
    }
    let folder = folder(&[]);
    let missing = ours(folder.path(), &["missing.yml"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.complaints.contains("missing.yml: No such file"),
        "{missing:?}"
    );
}

#[test]
fn flags_choose_tests_and_how_they_are_told() {
    let tests = "rule_files: [r.yml]
tests:
- {name: good one}
- {name: bad one, promql_expr_test: [{expr: '1', eval_time: 1m, exp_samples: [{labels: '{}', value: 2}]}]}
- {promql_expr_test: [{expr: 'a < 1', eval_time: 0s, exp_samples: [{labels: a, value: 2}]}]}
";
    let rules = "groups: [{name: a, owner: shop, rules: []}]\n";
    let folder = folder(&[("r.yml", rules), ("t.yml", tests)]);
    let run = |arguments: &[&str]| ours(folder.path(), arguments);
    let strict = run(&["t.yml"]);
    assert!(
        strict.complaints.contains("field owner not found"),
        "{strict:?}"
    );
    let lax = "--ignore-unknown-fields";
    assert_eq!(
        run(&[lax, "--run", "^good", "--run", "nothing", "t.yml"]).code,
        Some(0)
    );
    assert_eq!(run(&[lax, "--run", "bad", "t.yml"]).code, Some(1));
    // Nothing is asked for, so the rules are not read either.
    assert_eq!(run(&["--run", "nothing", "t.yml"]).code, Some(0));
    let shown = run(&[lax, "--diff", "--debug", "--junit=j.xml", "t.yml"]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for word in ["- {} 2E+00", "+ {} 1E+00", "- {__name__=\"a\"} 2E+00"] {
        assert!(shown.complaints.contains(word), "{word}: {shown:?}");
    }
    for word in [
        "DEBUG: Starting test good one",
        "DEBUG: Test unnamed#2 finished, took",
    ] {
        assert!(shown.out.contains(word), "{word}: {shown:?}");
    }
    let xml = fs::read_to_string(folder.path().join("j.xml")).expect("the results are written");
    for word in [
        r#"<testsuite name="t.yml" tests="3" failures="2" errors="0""#,
        r#"<testcase name="good one""#,
        r#"expr: &#34;a &lt; 1&#34;, time: 0s"#,
    ] {
        assert!(xml.contains(word), "{word}: {xml}");
    }
    let broken = run(&["--junit=j.xml", "r.yml"]);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    let xml = fs::read_to_string(folder.path().join("j.xml")).expect("the results are written");
    assert!(
        xml.contains(r#"errors="1""#) && xml.contains("<error>r.yml:1:1: field groups"),
        "{xml}"
    );
    let nowhere = run(&[lax, "--run", "good", "--junit=nowhere/j.xml", "t.yml"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
}
