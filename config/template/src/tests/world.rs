//! The data and the host that the rows are rendered with.
use std::io::Write as _;
use std::path::PathBuf;

use model::{AlertStatus, Labels, Timestamp};

use crate::alertmanager::data::{AlertData, NotificationData};
use crate::host::{AtTime, Host, QueryResult};
use crate::limits::Limits;
use crate::prometheus::data::AlertTemplateData;
use crate::set::{Mode, TemplateSet};
use crate::value::Value;

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A notification; the common sets are those of its alerts.
pub(crate) fn notification(
    receiver: &str,
    external_url: &str,
    group_by: &[&str],
    alerts: Vec<AlertData>,
) -> NotificationData {
    let common = |of: fn(&AlertData) -> &Labels| {
        of(&alerts[0]).filtered(|name| {
            alerts
                .iter()
                .all(|alert| of(alert).get(name) == of(&alerts[0]).get(name))
        })
    };
    let firing = alerts
        .iter()
        .any(|alert| alert.status == AlertStatus::Firing);
    NotificationData {
        receiver: receiver.to_owned(),
        status: if firing {
            AlertStatus::Firing
        } else {
            AlertStatus::Resolved
        },
        group_labels: alerts[0].labels.filtered(|name| group_by.contains(&name)),
        common_labels: common(|alert| &alert.labels),
        common_annotations: common(|alert| &alert.annotations),
        route_labels: Labels::default(),
        external_url: external_url.to_owned(),
        notification_reason: "first notification".to_owned(),
        alerts,
    }
}

/// Group `alertname`, receiver `team-X`: `a:1` fires, `b:1` is resolved.
pub(crate) fn two_alerts() -> NotificationData {
    let alert = |instance: &str, status, summary: &str, url: &str| AlertData {
        status,
        labels: labels(&[
            ("alertname", "Down"),
            ("instance", instance),
            ("severity", "critical"),
        ]),
        annotations: labels(&[("summary", summary)]),
        starts_at: time("2026-01-02T03:04:05Z"),
        ends_at: Timestamp::GO_ZERO,
        generator_url: url.to_owned(),
        fingerprint: "2fc4c353ef13c5b1".to_owned(),
    };
    let alerts = vec![
        alert(
            "a:1",
            AlertStatus::Firing,
            "A is down",
            "http://p/g?a=1&b=2",
        ),
        alert("b:1", AlertStatus::Resolved, "B <is> down", "http://p/g2"),
    ];
    notification("team-X", "http://am:9093", &["alertname"], alerts)
}

pub(crate) fn alertmanager(text: &str) -> Result<String, String> {
    with_data(text, Mode::Text, two_alerts())
}

pub(crate) fn with_data(text: &str, mode: Mode, data: NotificationData) -> Result<String, String> {
    let template = TemplateSet::alertmanager()
        .compile("", text, mode)
        .map_err(|error| error.to_string())?;
    template
        .render(
            &Value::from(data),
            &AtTime(time("2026-01-02T04:04:05Z")),
            &Limits::default(),
        )
        .map_err(|error| error.to_string())
}

struct Metrics;

impl Host for Metrics {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_353_755_652)
    }

    fn query(&self, expr: &str) -> Result<Vec<QueryResult>, String> {
        let sample = |instance: &str, value| QueryResult {
            labels: labels(&[("__name__", "metric"), ("instance", instance)]),
            value,
        };
        match expr {
            "metric" => Ok(vec![sample("b", 21.0), sample("a", 11.0)]),
            "nothing" => Ok(Vec::new()),
            other => Err(format!("cannot evaluate {other}")),
        }
    }
}

pub(crate) fn prometheus_value(text: &str, value: f64) -> Result<String, String> {
    let template = TemplateSet::prometheus()
        .compile("__alert_A", text, Mode::Text)
        .map_err(|error| error.to_string())?;
    let data = AlertTemplateData {
        labels: labels(&[("instance", "db-1:9100"), ("job", "node")]),
        external_labels: labels(&[("region", "eu")]),
        external_url: "http://prom:9090/some/path".to_owned(),
        value,
    };
    template
        .render(&Value::from(data), &Metrics, &Limits::default())
        .map_err(|error| error.to_string())
}

pub(crate) fn prometheus(text: &str) -> Result<String, String> {
    prometheus_value(text, 1_234_567.0)
}

/// Data beside the project; where it is missing the test is skipped, loudly, unless it runs in CI.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        found.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", found.display());
    None
}
