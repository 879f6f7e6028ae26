//! Files with tests of rules, in the format of `promtool test rules`.
use std::collections::BTreeSet;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::cursor::{Cursor, Fields};
use crate::problem::{Place, Problems};
use crate::rules::{Placed, placed};
use crate::source::Source;

const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

/// One file. Series and expressions are not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleTestFile {
    pub file: String,
    /// Patterns, from the file's own folder on.
    pub rule_files: Vec<Placed<String>>,
    pub evaluation_interval: Duration,
    /// Names of groups; those that are not named come first.
    pub group_eval_order: Vec<Placed<String>>,
    /// Numbers that are next to each other count as equal.
    pub fuzzy_compare: bool,
    pub tests: Vec<RuleTest>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RuleTest {
    pub place: Place,
    pub name: Option<String>,
    /// Between the values of each input series.
    pub interval: Duration,
    /// When the first value is, and the first evaluation.
    pub start: Timestamp,
    pub input_series: Vec<InputSeries>,
    pub alert_rule_tests: Vec<AlertRuleTest>,
    pub promql_expr_tests: Vec<PromqlExprTest>,
    pub external_labels: Labels,
    pub external_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSeries {
    pub series: Placed<String>,
    pub values: Placed<String>,
}

/// The firing alerts of all rules of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRuleTest {
    pub place: Place,
    /// Since the test's start.
    pub eval_time: Duration,
    /// Empty where it is missing, which is a mistake of this test alone.
    pub alertname: String,
    pub expected: Vec<ExpectedAlert>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedAlert {
    pub labels: Labels,
    pub annotations: Labels,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PromqlExprTest {
    pub expr: Placed<String>,
    pub eval_time: Duration,
    pub expected: Vec<ExpectedSample>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedSample {
    pub labels: Placed<String>,
    pub value: f64,
    /// In the notation of input series; empty where the sample is a number.
    pub histogram: Placed<String>,
}

impl RuleTestFile {
    /// Reads a file's text and adds its mistakes to `problems`; an empty file has no tests.
    #[must_use]
    pub fn read(file: &str, text: &str, problems: &mut Problems) -> Self {
        let (source, node) = Source::open(file, text, "main.unitTestFile");
        let mut tests = Self {
            file: file.to_owned(),
            rule_files: Vec::new(),
            evaluation_interval: EVALUATION_INTERVAL,
            group_eval_order: Vec::new(),
            fuzzy_compare: false,
            tests: Vec::new(),
        };
        if let Some(node) = node {
            tests.read_document(&Cursor::root(&source, &node));
        }
        problems.extend(source.close().0);
        tests
    }

    fn read_document(&mut self, top: &Cursor<'_>) {
        let mut fields = top.fields("main.unitTestFile");
        self.rule_files = placed_list(&mut fields, "rule_files");
        self.evaluation_interval =
            duration(&mut fields, "evaluation_interval").unwrap_or(EVALUATION_INTERVAL);
        self.group_eval_order = placed_list(&mut fields, "group_eval_order");
        self.fuzzy_compare = fields.boolean_or("fuzzy_compare", false);
        let mut named = BTreeSet::new();
        for name in &self.group_eval_order {
            if !named.insert(&name.value) {
                let message = format!("group name repeated in evaluation order: {}", name.value);
                top.source()
                    .problem(Some(name.place), "group_eval_order", message);
            }
        }
        let interval = self.evaluation_interval;
        let tests = fields.list("tests");
        self.tests = tests.iter().map(|test| read_test(test, interval)).collect();
        fields.finish();
    }
}

fn read_test(cursor: &Cursor<'_>, evaluation_interval: Duration) -> RuleTest {
    let mut fields = cursor.fields("main.testGroup");
    let name = fields.text("name");
    let start = fields.get("start_timestamp");
    let start = start.and_then(|cursor| cursor.parsed(start_timestamp));
    let test = RuleTest {
        place: cursor.place(),
        interval: duration(&mut fields, "interval").unwrap_or(evaluation_interval),
        start: start.unwrap_or_default(),
        input_series: read_all(&mut fields, "input_series", |cursor| {
            let mut fields = cursor.fields("main.series");
            let input = InputSeries {
                series: placed(&mut fields, "series"),
                values: placed(&mut fields, "values"),
            };
            fields.finish();
            input
        }),
        alert_rule_tests: read_all(&mut fields, "alert_rule_test", read_alert_test),
        promql_expr_tests: read_all(&mut fields, "promql_expr_test", read_expr_test),
        external_labels: labels(&mut fields, "external_labels"),
        external_url: fields.text("external_url"),
        name: (!name.is_empty()).then_some(name),
    };
    fields.finish();
    test
}

fn read_alert_test(cursor: &Cursor<'_>) -> AlertRuleTest {
    let mut fields = cursor.fields("main.alertTestCase");
    let test = AlertRuleTest {
        place: cursor.place(),
        eval_time: fields.duration("eval_time").unwrap_or_default(),
        alertname: fields.text("alertname"),
        expected: read_all(&mut fields, "exp_alerts", |cursor| {
            let mut fields = cursor.fields("main.alert");
            let alert = ExpectedAlert {
                labels: labels(&mut fields, "exp_labels"),
                annotations: labels(&mut fields, "exp_annotations"),
            };
            fields.finish();
            alert
        }),
    };
    fields.finish();
    test
}

fn read_expr_test(cursor: &Cursor<'_>) -> PromqlExprTest {
    let mut fields = cursor.fields("main.promqlTestCase");
    let test = PromqlExprTest {
        expr: placed(&mut fields, "expr"),
        eval_time: fields.duration("eval_time").unwrap_or_default(),
        expected: read_all(&mut fields, "exp_samples", |cursor| {
            let mut fields = cursor.fields("main.sample");
            let sample = ExpectedSample {
                labels: placed(&mut fields, "labels"),
                value: fields
                    .get("value")
                    .and_then(|cursor| cursor.number())
                    .unwrap_or_default(),
                histogram: placed(&mut fields, "histogram"),
            };
            fields.finish();
            sample
        }),
    };
    fields.finish();
    test
}

fn read_all<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl Fn(&Cursor<'_>) -> T,
) -> Vec<T> {
    fields.list(key).iter().map(read).collect()
}

/// Zero is the default.
fn duration(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    fields.duration(key).filter(|duration| !duration.is_zero())
}

fn placed_list(fields: &mut Fields<'_>, key: &'static str) -> Vec<Placed<String>> {
    let items = fields.list(key);
    let texts = items.iter().filter_map(|item| {
        let value = item.text()?;
        let place = item.place();
        Some(Placed { value, place })
    });
    texts.collect()
}

fn labels(fields: &mut Fields<'_>, key: &'static str) -> Labels {
    Labels::from_pairs(fields.text_map(key))
}

/// Seconds since the epoch, or RFC 3339.
fn start_timestamp(text: &str) -> Result<Timestamp, String> {
    let seconds = text.parse::<f64>().ok().and_then(Timestamp::from_secs_f64);
    seconds
        .or_else(|| Timestamp::parse_rfc3339(text).ok())
        .ok_or_else(|| {
            let text = model::go_quote::quote(text);
            format!("cannot parse {text} to a valid timestamp")
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;

    use super::RuleTestFile;
    use crate::problem::Problems;

    fn read(text: &str) -> (RuleTestFile, Vec<String>) {
        let mut problems = Problems::new();
        let file = RuleTestFile::read("t.yml", text, &mut problems);
        (file, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_is_read() {
        let (file, problems) = read(
            "rule_files: [a.yml, 'b/*.yml']
evaluation_interval: 30s
group_eval_order: [one, two]
fuzzy_compare: true
tests:
- name: first
  interval: 15s
  start_timestamp: 2026-01-02T03:04:05Z
  input_series: [{series: 'up{job=\"a\"}', values: 1x5}]
  alert_rule_test:
  - eval_time: 1m
    alertname: Down
    exp_alerts: [{exp_labels: {job: a}, exp_annotations: {summary: s}}]
  promql_expr_test:
  - expr: up
    eval_time: 2m
    exp_samples: [{labels: up, value: 1}, {labels: h, histogram: '{{count:1}}'}]
  external_labels: {cluster: c}
  external_url: http://x
- {start_timestamp: 1.5}
",
        );
        assert_eq!(problems, Vec::<String>::new());
        let names = |placed: &[crate::Placed<String>]| {
            let names: Vec<&str> = placed.iter().map(|placed| placed.value.as_str()).collect();
            names.join(" ")
        };
        assert_eq!(names(&file.rule_files), "a.yml b/*.yml");
        assert_eq!(file.evaluation_interval, Duration::from_secs(30));
        assert_eq!(names(&file.group_eval_order), "one two");
        assert!(file.fuzzy_compare);
        let [first, second] = &file.tests[..] else {
            panic!("{file:?}")
        };
        assert_eq!(first.name.as_deref(), Some("first"));
        assert_eq!(first.interval, Duration::from_secs(15));
        assert_eq!(first.start, Timestamp::from_secs(1_767_323_045));
        let input = &first.input_series[0];
        assert_eq!(
            (input.series.value.as_str(), input.values.place.line),
            ("up{job=\"a\"}", 9)
        );
        let alert = &first.alert_rule_tests[0];
        assert_eq!(
            (alert.alertname.as_str(), alert.eval_time),
            ("Down", Duration::from_secs(60))
        );
        assert_eq!(alert.expected[0].labels.value("job"), "a");
        assert_eq!(alert.expected[0].annotations.value("summary"), "s");
        let expr = &first.promql_expr_tests[0];
        assert_eq!(
            (expr.expr.value.as_str(), expr.eval_time),
            ("up", Duration::from_secs(120))
        );
        assert_eq!(expr.expected[0].value, 1.0);
        assert_eq!(expr.expected[1].histogram.value, "{{count:1}}");
        assert_eq!(first.external_labels.value("cluster"), "c");
        assert_eq!(first.external_url, "http://x");
        assert_eq!(
            (second.name.as_ref(), second.interval),
            (None, Duration::from_secs(30))
        );
        assert_eq!(second.start, Timestamp::from_millis(1500));
        let (empty, problems) = read("");
        assert_eq!((empty.tests.len(), problems.len()), (0, 0));
        assert_eq!(empty.evaluation_interval, Duration::from_secs(60));
    }

    #[test]
    fn mistakes_have_places() {
        for (text, expected) in [
            (
                "tests:\n- foo: 1",
                "t.yml:2:3: field foo not found in type main.testGroup (tests[0].foo)",
            ),
            (
                "tests:\n- interval: 5",
                "t.yml:2:13: not a valid duration string: \"5\" (tests[0].interval)",
            ),
            (
                "group_eval_order: [a, b, a]",
                "t.yml:1:26: group name repeated in evaluation order: a (group_eval_order)",
            ),
            (
                "tests:\n- start_timestamp: x",
                "t.yml:2:20: cannot parse \"x\" to a valid timestamp (tests[0].start_timestamp)",
            ),
            (
                "tests:\n- promql_expr_test: [{exp_samples: [{value: x}]}]",
                "t.yml:2:45: cannot unmarshal !!str `x` into float64 (tests[0].promql_expr_test[0].exp_samples[0].value)",
            ),
        ] {
            assert_eq!(read(text).1, [expected], "{text}");
        }
    }
}
