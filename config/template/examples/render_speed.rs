//! How long a rendering takes: `cargo run -p watchbell-template --example render_speed`.
#![allow(clippy::disallowed_methods, reason = "it measures")]
#![allow(clippy::unwrap_used, reason = "it is no server")]
use std::hint::black_box;
use std::time::Instant;

use model::{AlertStatus, Labels, Timestamp};
use watchbell_template::{
    AlertData, AlertTemplateData, AtTime, Limits, Mode, NotificationData, Template, TemplateSet,
    Value,
};

fn main() {
    let labels = Labels::from_pairs([
        ("alertname", "HostDown"),
        ("instance", "db-1:9100"),
        ("job", "node"),
        ("severity", "page"),
    ]);
    let host = AtTime(Timestamp::from_secs(1_700_000_000));
    let rules = TemplateSet::prometheus();
    let data = || {
        Value::from(AlertTemplateData {
            labels: labels.clone(),
            external_labels: Labels::default(),
            external_url: "http://prom:9090".to_owned(),
            value: 0.987,
        })
    };
    for text in [
        "no action at all",
        "{{ $labels.instance }} of {{ $labels.job }} is down",
        "{{ $labels.instance }}: {{ $value | humanizePercentage }} ({{ printf \"%.2f\" $value }})",
    ] {
        let template = rules.compile("__alert_x", text, Mode::Text).unwrap();
        measure(text, 200_000, || {
            render(&template, &data(), &host);
        });
    }
    let alert = AlertData {
        status: AlertStatus::Firing,
        labels: labels.clone(),
        annotations: Labels::from_pairs([("summary", "it is down"), ("runbook", "http://rb/x")]),
        starts_at: Timestamp::from_secs(1_700_000_000),
        ends_at: Timestamp::GO_ZERO,
        generator_url: "http://prom/graph?g0.expr=up".to_owned(),
        fingerprint: "2fc4c353ef13c5b1".to_owned(),
    };
    let notification = Value::from(NotificationData {
        receiver: "team".to_owned(),
        status: AlertStatus::Firing,
        alerts: vec![alert; 10],
        group_labels: labels.filtered(|name| name == "alertname"),
        common_labels: labels.clone(),
        common_annotations: Labels::default(),
        route_labels: Labels::default(),
        external_url: "http://am:9093".to_owned(),
        notification_reason: "first notification".to_owned(),
    });
    let set = TemplateSet::alertmanager();
    for (text, mode) in [
        ("{{ template \"slack.default.title\" . }}", Mode::Text),
        ("{{ template \"email.default.html\" . }}", Mode::Html),
    ] {
        measure(&format!("compile {text}"), 200, || {
            black_box(set.compile("", text, mode).unwrap());
        });
        let template = set.compile("", text, mode).unwrap();
        measure(text, 5000, || {
            render(&template, &notification, &host);
        });
    }
}

fn render(template: &Template, data: &Value, host: &AtTime) {
    black_box(template.render(data, host, &Limits::default()).unwrap());
}

fn measure(what: &str, times: u32, mut work: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    println!("{:>10.2?} {what}", start.elapsed() / times);
}
