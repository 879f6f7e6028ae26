//! The bodies of the rules API, as Prometheus 3.14 writes them.
use model::{Labels, Timestamp, go_number};
use ruler_core::{ActiveAlert, AlertState, Group, GroupView, Rule, RuleHealth, RuleKind, RuleView};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::api::filter::RulesFilter;

#[derive(Serialize)]
pub(crate) struct Envelope<Data> {
    status: &'static str,
    data: Data,
}

impl<Data> Envelope<Data> {
    pub(crate) fn success(data: Data) -> Self {
        Self {
            status: "success",
            data,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ErrorEnvelope<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl<'a> ErrorEnvelope<'a> {
    pub(crate) fn bad_data(error: &'a str) -> Self {
        Self {
            status: "error",
            error_type: "bad_data",
            error,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleGroups<'a> {
    pub(crate) groups: Vec<RuleGroup<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleGroup<'a> {
    name: &'a str,
    file: &'a str,
    pub(crate) rules: Vec<WireRule<'a>>,
    #[serde(serialize_with = "number")]
    interval: f64,
    limit: u64,
    #[serde(serialize_with = "number")]
    evaluation_time: f64,
    last_evaluation: String,
}

impl<'a> RuleGroup<'a> {
    pub(crate) fn new(view: &'a GroupView, rules: Vec<WireRule<'a>>) -> Self {
        let Group {
            key,
            interval,
            limit,
            ..
        } = &*view.group;
        let last = view.last_iteration;
        Self {
            name: &key.name,
            file: &key.file,
            rules,
            interval: interval.as_secs_f64(),
            limit: limit.unwrap_or(0),
            evaluation_time: last.map_or(0.0, |last| last.took.as_secs_f64()),
            last_evaluation: time(last.map(|last| last.started)),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum WireRule<'a> {
    Alerting(AlertingRule<'a>),
    Recording(RecordingRule<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertingRule<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    #[serde(serialize_with = "number")]
    duration: f64,
    #[serde(serialize_with = "number")]
    keep_firing_for: f64,
    #[serde(serialize_with = "label_map")]
    labels: &'a Labels,
    #[serde(serialize_with = "label_map")]
    annotations: &'a Labels,
    /// `null` where they were not asked for.
    alerts: Option<Vec<WireAlert<'a>>>,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    #[serde(serialize_with = "number")]
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    class: &'static str,
    /// How many more a rule's result had than its group's limit.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<RuleStats>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordingRule<'a> {
    name: &'a str,
    query: &'a str,
    #[serde(serialize_with = "label_map")]
    labels: &'a Labels,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    #[serde(serialize_with = "number")]
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    class: &'static str,
    /// How many more a rule's result had than its group's limit.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<RuleStats>,
}

impl<'a> WireRule<'a> {
    pub(crate) fn new(rule: &'a Rule, view: &'a RuleView, filter: &RulesFilter) -> Self {
        let left_out = view.left_out;
        let stats = filter.stats.then(|| RuleStats::of(view));
        let (health, last_error) = match &view.health {
            RuleHealth::Unknown => ("unknown", None),
            RuleHealth::Ok => ("ok", None),
            RuleHealth::Err { reason } => ("err", Some(reason.as_str())),
        };
        let evaluation_time = view.evaluation_time.as_secs_f64();
        let last_evaluation = time(view.last_evaluation);
        match &rule.kind {
            RuleKind::Alerting {
                timing,
                annotations,
            } => Self::Alerting(AlertingRule {
                state: view.state(),
                name: &rule.key.name,
                query: &rule.expression,
                duration: timing.hold_duration.as_secs_f64(),
                keep_firing_for: timing.keep_firing_for.as_secs_f64(),
                labels: &rule.key.labels,
                annotations,
                alerts: (!filter.exclude_alerts).then(|| {
                    let alerts = view.alerts.iter();
                    alerts.map(|alert| WireAlert::new(view, alert)).collect()
                }),
                health,
                last_error,
                evaluation_time,
                last_evaluation,
                class: "alerting",
                left_out,
                stats,
            }),
            RuleKind::Recording => Self::Recording(RecordingRule {
                name: &rule.key.name,
                query: &rule.expression,
                labels: &rule.key.labels,
                health,
                last_error,
                evaluation_time,
                last_evaluation,
                class: "recording",
                left_out,
                stats,
            }),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Alerts<'a> {
    pub(crate) alerts: Vec<WireAlert<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireAlert<'a> {
    #[serde(serialize_with = "label_map")]
    labels: &'a Labels,
    #[serde(serialize_with = "label_map")]
    annotations: &'a Labels,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
    /// It is told on although its rule's query has failed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    unconfirmed_since: Option<String>,
}

impl<'a> WireAlert<'a> {
    pub(crate) fn new(rule: &RuleView, alert: &'a ActiveAlert) -> Self {
        let (keep_firing_since, unconfirmed_since) = match alert.state {
            AlertState::Firing { unseen_since, .. } => (unseen_since, rule.unconfirmed_since),
            AlertState::Pending { .. } | AlertState::Resolved { .. } => (None, None),
        };
        Self {
            labels: &alert.labels,
            annotations: &alert.annotations,
            state: alert.state.as_str(),
            active_at: alert.state.active_at().to_rfc3339_nano(),
            keep_firing_since: keep_firing_since.map(Timestamp::to_rfc3339_nano),
            value: go_number::format_e(alert.value),
            unconfirmed_since: unconfirmed_since.map(Timestamp::to_rfc3339_nano),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alertmanagers<'a> {
    pub(crate) active_alertmanagers: Vec<Alertmanager<'a>>,
    pub(crate) dropped_alertmanagers: Vec<Alertmanager<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Alertmanager<'a> {
    pub(crate) url: &'a str,
}

/// What a rule has taken since it was loaded first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleStats {
    evaluations: u64,
    failures: u64,
    missed: u64,
    /// Seconds in queries, templates and writes.
    #[serde(serialize_with = "number")]
    duration: f64,
    series: u64,
    samples: u64,
    /// Of the latest evaluation.
    last_series: usize,
    last_samples: usize,
}

impl RuleStats {
    fn of(view: &RuleView) -> Self {
        let figures = view.figures;
        Self {
            evaluations: figures.evaluations,
            failures: figures.failures,
            missed: figures.missed,
            duration: figures.took.as_secs_f64(),
            series: figures.series,
            samples: figures.samples,
            last_series: figures.last.series,
            last_samples: figures.last.samples,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde lends it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn time(at: Option<Timestamp>) -> String {
    at.unwrap_or(Timestamp::GO_ZERO).to_rfc3339_nano()
}

fn label_map<S: Serializer>(labels: &&Labels, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in *labels {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// Whole numbers without a point, as Go writes them.
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}
