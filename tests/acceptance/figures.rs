//! `/metrics` of an Alertmanager: every name that dashboards and alerts know, and figures that move as they should.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::alertmanager::{Alertmanager, DEBIANS, ours};
use crate::files::folder;
use crate::process::program;

const QUIET: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
const KINDS: &str = "discord email incidentio jira mattermost msteams msteamsv2 opsgenie pagerduty pushover \
    rocketchat slack sns telegram victorops webex webhook wechat";
const REASONS: &str =
    "authError clientError contextCanceled contextDeadlineExceeded other rateLimited serverError";

/// Name, type, and the names of the labels (those of a histogram's buckets left out).
const FAMILIES: [(&str, &str, &str); 86] = [
    ("alertmanager_alerts", "gauge", "state"),
    ("alertmanager_alerts_invalid_total", "counter", "version"),
    ("alertmanager_alerts_limited_total", "counter", ""),
    ("alertmanager_alerts_per_alert_limit", "gauge", ""),
    (
        "alertmanager_alerts_received_total",
        "counter",
        "status version",
    ),
    (
        "alertmanager_alerts_subscriber_channel_writes_total",
        "counter",
        "subscriber",
    ),
    (
        "alertmanager_build_info",
        "gauge",
        "branch goarch goos goversion revision tags version",
    ),
    (
        "alertmanager_cluster_alive_messages_total",
        "counter",
        "peer",
    ),
    ("alertmanager_cluster_enabled", "gauge", ""),
    ("alertmanager_cluster_failed_peers", "gauge", ""),
    ("alertmanager_cluster_health_score", "gauge", ""),
    ("alertmanager_cluster_members", "gauge", ""),
    ("alertmanager_cluster_messages_pruned_total", "counter", ""),
    ("alertmanager_cluster_messages_queued", "gauge", ""),
    (
        "alertmanager_cluster_messages_received_size_total",
        "counter",
        "msg_type",
    ),
    (
        "alertmanager_cluster_messages_received_total",
        "counter",
        "msg_type",
    ),
    (
        "alertmanager_cluster_messages_sent_size_total",
        "counter",
        "msg_type",
    ),
    (
        "alertmanager_cluster_messages_sent_total",
        "counter",
        "msg_type",
    ),
    ("alertmanager_cluster_peer_info", "gauge", "peer"),
    (
        "alertmanager_cluster_peer_name_conflicts_total",
        "counter",
        "",
    ),
    ("alertmanager_cluster_peers_joined_total", "counter", ""),
    ("alertmanager_cluster_peers_left_total", "counter", ""),
    ("alertmanager_cluster_peers_update_total", "counter", ""),
    (
        "alertmanager_cluster_reconnections_failed_total",
        "counter",
        "",
    ),
    ("alertmanager_cluster_reconnections_total", "counter", ""),
    (
        "alertmanager_cluster_refresh_join_failed_total",
        "counter",
        "",
    ),
    ("alertmanager_cluster_refresh_join_total", "counter", ""),
    ("alertmanager_config_hash", "gauge", ""),
    (
        "alertmanager_config_last_reload_success_timestamp_seconds",
        "gauge",
        "",
    ),
    ("alertmanager_config_last_reload_successful", "gauge", ""),
    (
        "alertmanager_dispatcher_aggregation_group_creation_given_up_total",
        "counter",
        "",
    ),
    (
        "alertmanager_dispatcher_aggregation_group_creation_retries_total",
        "counter",
        "",
    ),
    (
        "alertmanager_dispatcher_aggregation_group_limit_reached_total",
        "counter",
        "",
    ),
    ("alertmanager_dispatcher_aggregation_groups", "gauge", ""),
    (
        "alertmanager_dispatcher_alert_processing_duration_seconds",
        "summary",
        "",
    ),
    (
        "alertmanager_http_concurrency_limit_exceeded_total",
        "counter",
        "method",
    ),
    (
        "alertmanager_http_request_duration_seconds",
        "histogram",
        "code handler method",
    ),
    ("alertmanager_http_requests_in_flight", "gauge", "method"),
    (
        "alertmanager_http_response_size_bytes",
        "histogram",
        "handler method",
    ),
    ("alertmanager_inhibition_rules", "gauge", ""),
    ("alertmanager_integrations", "gauge", ""),
    ("alertmanager_nflog_gc_duration_seconds", "summary", ""),
    (
        "alertmanager_nflog_gossip_messages_propagated_total",
        "counter",
        "",
    ),
    ("alertmanager_nflog_maintenance_errors_total", "counter", ""),
    ("alertmanager_nflog_maintenance_total", "counter", ""),
    ("alertmanager_nflog_queries_total", "counter", ""),
    ("alertmanager_nflog_query_duration_seconds", "histogram", ""),
    ("alertmanager_nflog_query_errors_total", "counter", ""),
    (
        "alertmanager_nflog_snapshot_duration_seconds",
        "summary",
        "",
    ),
    ("alertmanager_nflog_snapshot_size_bytes", "gauge", ""),
    (
        "alertmanager_notification_latency_seconds",
        "histogram",
        "integration",
    ),
    (
        "alertmanager_notification_requests_failed_total",
        "counter",
        "integration",
    ),
    (
        "alertmanager_notification_requests_total",
        "counter",
        "integration",
    ),
    (
        "alertmanager_notifications_failed_total",
        "counter",
        "integration reason",
    ),
    (
        "alertmanager_notifications_suppressed_total",
        "counter",
        "reason",
    ),
    ("alertmanager_notifications_total", "counter", "integration"),
    (
        "alertmanager_oversize_gossip_message_duration_seconds",
        "histogram",
        "key",
    ),
    (
        "alertmanager_oversized_gossip_message_dropped_total",
        "counter",
        "key",
    ),
    (
        "alertmanager_oversized_gossip_message_failure_total",
        "counter",
        "key",
    ),
    (
        "alertmanager_oversized_gossip_message_sent_total",
        "counter",
        "key",
    ),
    ("alertmanager_peer_position", "gauge", ""),
    ("alertmanager_receivers", "gauge", ""),
    ("alertmanager_silences", "gauge", "state"),
    ("alertmanager_silences_gc_duration_seconds", "summary", ""),
    ("alertmanager_silences_gc_errors_total", "counter", ""),
    (
        "alertmanager_silences_gossip_messages_propagated_total",
        "counter",
        "",
    ),
    (
        "alertmanager_silences_maintenance_errors_total",
        "counter",
        "",
    ),
    ("alertmanager_silences_maintenance_total", "counter", ""),
    (
        "alertmanager_silences_matcher_compile_errors_total",
        "counter",
        "stage",
    ),
    ("alertmanager_silences_matcher_index_size", "gauge", ""),
    ("alertmanager_silences_queries_total", "counter", ""),
    (
        "alertmanager_silences_query_duration_seconds",
        "histogram",
        "",
    ),
    ("alertmanager_silences_query_errors_total", "counter", ""),
    (
        "alertmanager_silences_query_silences_scanned_total",
        "counter",
        "",
    ),
    (
        "alertmanager_silences_query_silences_skipped_total",
        "counter",
        "",
    ),
    (
        "alertmanager_silences_snapshot_duration_seconds",
        "summary",
        "",
    ),
    ("alertmanager_silences_snapshot_size_bytes", "gauge", ""),
    ("alertmanager_silences_state_size", "gauge", ""),
    ("alertmanager_silences_version_index_size", "gauge", ""),
    ("process_cpu_seconds_total", "counter", ""),
    ("process_max_fds", "gauge", ""),
    ("process_open_fds", "gauge", ""),
    ("process_resident_memory_bytes", "gauge", ""),
    ("process_start_time_seconds", "gauge", ""),
    ("process_virtual_memory_bytes", "gauge", ""),
    ("process_virtual_memory_max_bytes", "gauge", ""),
];

/// Types by family, and the names of the labels by family.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').expect("a name and a type");
            family = name.to_owned();
            families.insert(family.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let (labels, _) = labels.rsplit_once('}').expect("braces are closed");
            let names = labels
                .split("\",")
                .filter_map(|pair| pair.split_once("=\""));
            let own = &mut families.get_mut(&family).expect("a head before a sample").1;
            own.extend(
                names
                    .map(|(name, _)| name.to_owned())
                    .filter(|name| name != "le"),
            );
        }
    }
    families
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_there_with_its_type_and_its_labels() {
    let folder = folder(&[("alertmanager.yml", QUIET)]);
    let alone = Alertmanager::start_in(
        folder.path(),
        &mut ours(),
        &[
            "--cluster.listen-address=127.0.0.1:0",
            "--cluster.peer-name=am-1",
        ],
    )
    .await;
    // A first request, for figures of requests.
    alone.metrics().await;
    let text = alone.metrics().await;
    let found = families(&text);
    for (name, kind, labels) in FAMILIES {
        let labels: BTreeSet<String> = words(labels).map(str::to_owned).collect();
        let expected = (kind.to_owned(), labels);
        assert_eq!(found.get(name), Some(&expected), "{name}");
    }
    let unknown = |name: &&String| {
        !name.starts_with("watchbell_") && FAMILIES.iter().all(|(known, ..)| known != name)
    };
    assert_eq!(found.keys().find(unknown), None, "a name that nobody knows");
    let mut at_zero = Vec::new();
    for kind in words(KINDS) {
        for name in [
            "notifications",
            "notification_requests",
            "notification_requests_failed",
        ] {
            at_zero.push(format!(
                r#"alertmanager_{name}_total{{integration="{kind}"}} 0"#
            ));
        }
        at_zero.push(format!(
            r#"alertmanager_notification_latency_seconds_count{{integration="{kind}"}} 0"#
        ));
        for reason in words(REASONS) {
            at_zero.push(format!(
                r#"alertmanager_notifications_failed_total{{integration="{kind}",reason="{reason}"}} 0"#
            ));
        }
    }
    // What everybody's alerts of a cluster look at.
    at_zero.extend(
        [
            "alertmanager_cluster_enabled 1",
            "alertmanager_cluster_failed_peers 0",
            "alertmanager_cluster_members 1",
            r#"alertmanager_cluster_peer_info{peer="am-1"} 1"#,
            "alertmanager_config_last_reload_successful 1",
            "alertmanager_receivers 1",
        ]
        .map(str::to_owned),
    );
    for sample in &at_zero {
        assert!(
            text.lines().any(|line| line == sample),
            "{sample} is not in\n{text}"
        );
    }
    alone.end().await;
}

/// Answers every path with the status that it names.
async fn vendor() -> String {
    let answer = any(
        async |axum::extract::Path(status): axum::extract::Path<u16>| {
            StatusCode::from_u16(status).expect("a status")
        },
    );
    let hang = any(async || std::future::pending::<StatusCode>().await);
    let router = Router::new()
        .route("/{status}", answer)
        .route("/hang", hang);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// One receiver for each way to fail, each with a route for the alert of its name.
fn failing(vendor: &str) -> String {
    let mut routes = String::new();
    let mut receivers = String::new();
    for (name, url) in [
        ("client", format!("{vendor}/400")),
        ("auth", format!("{vendor}/401")),
        ("rate", format!("{vendor}/429")),
        ("server", format!("{vendor}/503")),
        ("hang", format!("{vendor}/hang")),
        // Nobody listens there.
        ("nobody", "http://127.0.0.1:1/".to_owned()),
    ] {
        routes.push_str(&format!(
            "  - {{receiver: {name}, matchers: ['alertname={name}']}}\n"
        ));
        receivers.push_str(&format!(
            "- {{name: {name}, webhook_configs: [{{url: '{url}', timeout: 300ms}}]}}\n"
        ));
    }
    format!(
        "route:\n  receiver: quiet\n  group_by: [alertname]\n  group_wait: 0s\n  group_interval: 2s\n  \
         repeat_interval: 1h\n  routes:\n{routes}receivers:\n- name: quiet\n{receivers}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_their_reasons() {
    let vendor = vendor().await;
    let all = failing(&vendor);
    let folder = folder(&[("alertmanager.yml", &all)]);
    let features = "--enable-feature=receiver-name-in-metrics";
    let alone = Alertmanager::start_in(folder.path(), &mut ours(), &[features]).await;
    let failed = |receiver: &str, reason: &str, count: u32| {
        format!(
            r#"alertmanager_notifications_failed_total{{integration="webhook",receiver_name="{receiver}",reason="{reason}"}} {count}"#
        )
    };
    let text = alone.metrics().await;
    assert!(text.contains(&failed("client", "clientError", 0)), "{text}");
    for (receiver, reason) in [
        ("client", "clientError"),
        ("auth", "authError"),
        ("rate", "rateLimited"),
        ("server", "serverError"),
        ("hang", "contextDeadlineExceeded"),
        ("nobody", "other"),
    ] {
        alone.fire(receiver).await;
        // Once by the first answer or the next flush; retries in between are no failures of their own.
        alone
            .wait_for_samples(&[&failed(receiver, reason, 1)])
            .await;
    }
    // A reload that takes a receiver away takes what it was to be told away too, and its figures with it: the others
    // begin anew.
    fs::write(
        folder.path().join("alertmanager.yml"),
        all.replace("name: server,", "name: other,")
            .replace("receiver: server,", "receiver: other,"),
    )
    .expect("a file can be written");
    let (status, said) = alone.ask(Method::POST, "/-/reload", "").await;
    assert_eq!((status, said.as_str()), (200, ""));
    alone
        .wait_for_samples(&[&failed("server", "contextCanceled", 1)])
        .await;
    let text = alone.metrics().await;
    assert!(
        !text.contains(r#"receiver_name="server",reason="serverError""#),
        "{text}"
    );
    alone.end().await;
}

const MUTED: &str = "
route:
  receiver: quiet
  group_by: [alertname]
  group_wait: 0s
  routes:
  - {receiver: quiet, matchers: ['alertname=Night'], mute_time_intervals: [always]}
  - {receiver: quiet, matchers: ['alertname=Day'], active_time_intervals: [never]}
receivers: [{name: quiet}]
time_intervals:
- {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
- {name: never, time_intervals: [{years: ['1999']}]}
inhibit_rules: [{source_matchers: ['alertname=Root'], target_matchers: ['alertname=Leaf']}]
";

#[tokio::test(flavor = "multi_thread")]
async fn silences_and_what_is_muted_are_counted() {
    let folder = folder(&[("alertmanager.yml", MUTED)]);
    let flags = [
        "--data.maintenance-interval=1s",
        "--alerts.per-alertname-limit=1",
        "--enable-feature=alert-names-in-metrics,group-key-in-metrics",
    ];
    let alone = Alertmanager::start_in(folder.path(), &mut ours(), &flags).await;
    alone.silence("Quiet", "2020-01-01T00:00:00Z").await;
    alone.silence("Later", "2998-01-01T00:00:00Z").await;
    let gone = alone.silence("Gone", "2020-01-01T00:00:00Z").await;
    let path = format!("/api/v2/silence/{gone}");
    assert_eq!(alone.ask(Method::DELETE, &path, "").await.0, 200);
    for name in ["Quiet", "Root", "Leaf", "Night", "Day"] {
        alone.fire(name).await;
    }
    let more = json!([{"labels": {"alertname": "Day", "instance": "b"}}]);
    assert_eq!(alone.post("/api/v2/alerts", &more).await.0, 429);
    assert_eq!(alone.ask(Method::GET, "/api/v2/silences", "").await.0, 200);
    alone
        .wait_for_samples(&[
            r#"alertmanager_notifications_suppressed_total{reason="silence"} 1"#,
            r#"alertmanager_notifications_suppressed_total{reason="inhibition"} 1"#,
            r#"alertmanager_notifications_suppressed_total{reason="mute_time_interval"} 1"#,
            r#"alertmanager_notifications_suppressed_total{reason="active_time_interval"} 1"#,
            r#"alertmanager_silences{state="active"} 1"#,
            r#"alertmanager_silences{state="pending"} 1"#,
            r#"alertmanager_silences{state="expired"} 1"#,
            "alertmanager_silences_state_size 3",
            "alertmanager_silences_query_duration_seconds_count 1",
            "alertmanager_dispatcher_aggregation_groups 5",
            r#"alertmanager_alerts{state="suppressed",group_key="{}:{alertname=\"Quiet\"}"} 1"#,
            r#"alertmanager_alerts{state="active",group_key="{}:{alertname=\"Root\"}"} 1"#,
            r#"alertmanager_alerts_limited_total{alertname="Day"} 1"#,
            "alertmanager_alerts_per_alert_limit 1",
            r#"alertmanager_alerts_received_total{status="firing",version="v2"} 6"#,
            r#"alertmanager_alerts_subscriber_channel_writes_total{subscriber="dispatcher"} 5"#,
            "alertmanager_dispatcher_alert_processing_duration_seconds_count 6",
            "alertmanager_inhibition_rules 1",
        ])
        .await;
    let value = |text: &str, name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .expect("a sample")
    };
    crate::wait::wait_for(
        "a maintenance",
        std::time::Duration::from_secs(60),
        async || {
            let text = alone.metrics().await;
            let done = value(&text, "alertmanager_silences_maintenance_total") >= 1.0
                && value(&text, "alertmanager_silences_snapshot_size_bytes") > 100.0;
            done.then_some(())
        },
    )
    .await;
    let text = alone.metrics().await;
    assert_eq!(
        value(&text, "alertmanager_silences_maintenance_errors_total"),
        0.0
    );
    assert!(value(&text, "alertmanager_nflog_snapshot_duration_seconds_count") >= 1.0);
    assert!(value(&text, "alertmanager_silences_query_silences_scanned_total") >= 1.0);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    alone.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_the_configuration_is_the_real_ones() {
    let Some(real) = program(DEBIANS) else {
        return;
    };
    let folder = folder(&[("alertmanager.yml", QUIET)]);
    let mut numbers = Vec::new();
    for mut command in [ours(), Command::new(real)] {
        let alone = Alertmanager::start_in(folder.path(), &mut command, &[]).await;
        let text = alone.metrics().await;
        let name = "alertmanager_config_hash ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number: f64 = line.expect("a number").parse().expect("a number");
        numbers.push(number);
        alone.end().await;
    }
    assert!(numbers[0] > 0.0);
    assert_eq!(numbers[0], numbers[1]);
}
