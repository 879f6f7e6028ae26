//! What a test of rules expected, what it got instead, and how that is told: in promtool's words.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use config::{ExpectedSample, Problem};
use model::go_quote::quote;
use model::{Labels, SampleValue, duration, go_duration, go_number};
use promql::{NotedValue, VectorSample, histogram_notation, parse_metric, parse_series_values};

#[derive(Clone, Debug, PartialEq)]
pub enum RuleTestFailure {
    Alerts {
        test: Option<String>,
        alertname: String,
        at: Duration,
        expected: Vec<TestedAlert>,
        got: Vec<TestedAlert>,
    },
    Samples {
        expr: String,
        at: Duration,
        expected: Vec<TestedSample>,
        got: Vec<TestedSample>,
    },
    /// The expression, or what is expected of it, means nothing, or its query fails.
    Query {
        expr: String,
        at: Duration,
        reason: String,
    },
    /// A rule could not be evaluated; the test ends there.
    Rule {
        name: Arc<str>,
        at: Duration,
        reason: String,
    },
    /// The test cannot be run.
    Mistake(Problem),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestedAlert {
    pub labels: Labels,
    pub annotations: Labels,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestedSample {
    pub labels: Labels,
    /// Zero where it is a histogram.
    pub value: f64,
    /// In the notation of input series, all histograms that are equal in the same way.
    pub histogram: Option<String>,
}

impl TestedSample {
    /// # Errors
    /// What is no metric, or no histogram.
    pub(crate) fn expected(sample: &ExpectedSample) -> Result<Self, String> {
        let labels = &sample.labels.value;
        let read = || -> Result<Self, String> {
            let parsed = parse_metric(labels).map_err(|error| error.to_string())?;
            let histogram = match sample.histogram.value.as_str() {
                "" => None,
                text => Some(expected_histogram(text)?),
            };
            Ok(Self {
                labels: parsed,
                value: sample.value,
                histogram,
            })
        };
        read().map_err(|reason| format!("labels {}: {reason}", quote(labels)))
    }

    pub(crate) fn of(sample: VectorSample) -> Self {
        let (value, histogram) = match &sample.value {
            SampleValue::Float(value) => (*value, None),
            SampleValue::Histogram(histogram) => (0.0, Some(histogram_notation(histogram))),
        };
        Self {
            labels: sample.labels,
            value,
            histogram,
        }
    }

    /// As in promtool, NaN is nothing's equal, itself included.
    pub(crate) fn is_same(&self, other: &Self, fuzzy: bool) -> bool {
        let (left, right) = (self.value, other.value);
        let near = fuzzy && (left.next_down() == right || left.next_up() == right);
        self.labels == other.labels && self.histogram == other.histogram && (left == right || near)
    }
}

fn expected_histogram(text: &str) -> Result<String, String> {
    let values = parse_series_values(text, 2).map_err(|error| error.to_string())?;
    match values.as_slice() {
        [NotedValue::Histogram(histogram)] => Ok(histogram_notation(histogram)),
        [_] => Err(format!("expected a histogram, got {text}")),
        values => Err(format!("expected 1 value, got {}", values.len())),
    }
}

impl RuleTestFailure {
    /// As it prints, but where results differ the lines that are expected and missing behind a `-`, and those that came
    /// and are not expected behind a `+`.
    #[must_use]
    pub fn diff(&self) -> String {
        let (head, expected, got) = match self {
            Self::Alerts { expected, got, .. } => {
                let lines = |alerts: &[TestedAlert]| -> Vec<String> {
                    let both = alerts
                        .iter()
                        .map(|alert| format!("{} {}", alert.labels, alert.annotations));
                    both.collect()
                };
                (self.head(), lines(expected), lines(got))
            }
            Self::Samples { expected, got, .. } => {
                let lines = |samples: &[TestedSample]| -> Vec<String> {
                    samples.iter().map(ToString::to_string).collect()
                };
                (self.head(), lines(expected), lines(got))
            }
            Self::Query { .. } | Self::Rule { .. } | Self::Mistake(_) => return self.to_string(),
        };
        let mut text = format!("{head}\n        diff:");
        for line in diff_lines(&expected, &got) {
            text.push_str("\n          ");
            text.push_str(&line);
        }
        text
    }

    /// What was asked.
    fn head(&self) -> String {
        match self {
            Self::Alerts {
                test,
                alertname,
                at,
                ..
            } => {
                let name = test.as_ref().map(|name| format!("    name: {name},\n"));
                let name = name.unwrap_or_default();
                let at = duration::format(*at);
                format!("{name}    alertname: {alertname}, time: {at}, ")
            }
            Self::Samples { expr, at, .. } => {
                let at = duration::format(*at);
                format!("    expr: {}, time: {at},", quote(expr))
            }
            Self::Query { expr, at, reason } => {
                let at = duration::format(*at);
                format!("    expr: {}, time: {at}, err: {reason}", quote(expr))
            }
            Self::Rule { name, at, reason } => {
                let at = go_duration::format(*at);
                format!("    rule: {name}, time: {at}, err: {reason}")
            }
            Self::Mistake(problem) => problem.to_string(),
        }
    }
}

/// Both are sorted.
fn diff_lines(expected: &[String], got: &[String]) -> Vec<String> {
    let missing = |lines: &[String], line: &String| !lines.contains(line);
    let mut lines: Vec<(&String, char)> = Vec::new();
    for line in expected {
        let mark = if missing(got, line) { '-' } else { ' ' };
        lines.push((line, mark));
    }
    let more = got.iter().filter(|line| missing(expected, line));
    lines.extend(more.map(|line| (line, '+')));
    lines.sort_by_key(|(line, _)| *line);
    lines
        .into_iter()
        .map(|(line, mark)| format!("{mark} {line}"))
        .collect()
}

impl fmt::Display for RuleTestFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.head())?;
        match self {
            Self::Alerts { expected, got, .. } => {
                let (expected, got) = (shown_alerts(expected), shown_alerts(got));
                write!(formatter, "\n        exp:{expected}, \n        got:{got}")
            }
            Self::Samples { expected, got, .. } => {
                let (expected, got) = (shown_samples(expected), shown_samples(got));
                write!(formatter, "\n        exp: {expected}\n        got: {got}")
            }
            Self::Query { .. } | Self::Rule { .. } | Self::Mistake(_) => Ok(()),
        }
    }
}

fn shown_alerts(alerts: &[TestedAlert]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let shown = alerts.iter().enumerate().map(|(index, alert)| {
        let TestedAlert {
            labels,
            annotations,
        } = alert;
        format!(
            "            {index}:\n              Labels:{labels}\n              Annotations:{annotations}"
        )
    });
    let shown: Vec<String> = shown.collect();
    format!("[\n{}\n            ]", shown.join(",\n"))
}

fn shown_samples(samples: &[TestedSample]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let shown: Vec<String> = samples.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

impl fmt::Display for TestedSample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.labels)?;
        match &self.histogram {
            Some(histogram) => formatter.write_str(histogram),
            None if self.value.is_nan() => formatter.write_str("NaN"),
            None if self.value.is_infinite() => {
                formatter.write_str(if self.value > 0.0 { "+Inf" } else { "-Inf" })
            }
            None => formatter.write_str(&go_number::format_e(self.value).replace('e', "E")),
        }
    }
}
