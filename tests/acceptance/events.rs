//! The event recorder of `watchbell alertmanager`: a history in a file, on standard output and at a webhook.
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use fakes::Fakes;
use runtime::{Clock, SystemClock};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::alertmanager::{Alertmanager, ours};
use crate::files::folder;
use crate::small::{SETTLING, alertmanager, wait_until_told};
use crate::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_kept_in_files_and_at_webhooks() {
    let fakes = Fakes::start().await;
    let (url, posted) = history().await;
    let configured = |file: &str| {
        format!(
            "{}event_recorder:\n  file_outputs: [{{path: {file}}}]\n  stdout_outputs: [{{}}]\n  webhook_outputs: [{{url: '{url}', workers: 1}}]\n",
            alertmanager(&fakes)
        )
    };
    let folder = folder(&[("alertmanager.yml", &configured("first.jsonl"))]);
    let running = Alertmanager::start_in(
        folder.path(),
        &mut ours(),
        &["--enable-feature=event-recorder"],
    )
    .await;
    running
        .post_alert(json!({"labels": {"alertname": "Down"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    wait_until_told(&fakes, "firing", "Down").await;
    let now = SystemClock::new().now().to_rfc3339_millis();
    running.post_alert(json!({"labels": {"alertname": "Down"}, "startsAt": "2020-01-01T00:00:00Z", "endsAt": now})).await;
    wait_until_told(&fakes, "resolved", "Down").await;
    let life = [
        "alertmanagerStartupEvent",
        "alertCreated Down",
        "alertGrouped Down",
        "notification Down NOTIFY_REASON_FIRST_NOTIFICATION",
        "notification Down NOTIFY_REASON_ALL_ALERTS_RESOLVED",
        "alertResolved Down",
    ];
    let first = folder.path().join("first.jsonl");
    let told = lines(&first, life.len()).await;
    assert_eq!(told, life);

    // The file is rotated, and a reload sends what comes then elsewhere.
    std::fs::rename(&first, folder.path().join("rotated.jsonl")).expect("a file can be moved");
    let id = running.silence("Quiet", "2020-01-01T00:00:00Z").await;
    let silenced = format!("silenceCreated {id}");
    assert_eq!(lines(&first, 1).await, [silenced.as_str()]);
    let second = configured("second.jsonl");
    std::fs::write(folder.path().join("alertmanager.yml"), second).expect("a file can be written");
    running.reload().await;
    running
        .post_alert(json!({"labels": {"alertname": "Quiet"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    let mute = [
        "alertCreated Quiet".to_owned(),
        "alertGrouped Quiet".to_owned(),
        format!("silenceMutedAlert Quiet {id}"),
    ];
    let second = folder.path().join("second.jsonl");
    assert_eq!(lines(&second, 3).await, mute);

    for series in [
        r#"alertmanager_events_recorded_total{event_type="alert_created",output="webhook:0",result="success"} 2"#,
        r#"alertmanager_event_output_drops_total{output="stdout"} 0"#,
        "alertmanager_event_recorder_queue_length 0",
    ] {
        wait_for(series, SETTLING, async || {
            running.metrics().await.contains(series).then_some(())
        })
        .await;
    }
    let log = running.end().await;
    let whole: Vec<String> = life
        .iter()
        .map(|line| (*line).to_owned())
        .chain([silenced])
        .chain(mute)
        .collect();
    let everywhere = posted.lock().expect("no test panicked with it").clone();
    let posted: Vec<String> = everywhere.iter().map(summary).collect();
    assert_eq!(posted[..whole.len()], whole);
    assert_eq!(
        posted.last().map(String::as_str),
        Some("alertmanagerShutdownEvent")
    );
    let printed: Vec<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|event: Json| summary(&event))
        .collect();
    assert_eq!(printed, posted);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    assert!(
        everywhere
            .iter()
            .all(|event| event["instance"] == host.trim())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_feature_nothing_is_recorded() {
    let fakes = Fakes::start().await;
    let yaml = format!(
        "{}event_recorder:\n  file_outputs: [{{path: e.jsonl}}]\n  webhook_outputs: [{{url: <secret>}}]\n",
        alertmanager(&fakes)
    );
    let folder = folder(&[("alertmanager.yml", &yaml)]);
    let running = Alertmanager::start_in(folder.path(), &mut ours(), &["--enable-feature="]).await;
    running
        .post_alert(json!({"labels": {"alertname": "Down"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    wait_until_told(&fakes, "firing", "Down").await;
    assert!(!running.metrics().await.contains("alertmanager_event"));
    let log = running.end().await;
    assert!(log.contains("event_recorder has no effect without the feature event-recorder"));
    assert!(!folder.path().join("e.jsonl").exists());
}

/// A webhook that keeps what it is sent.
async fn history() -> (String, Arc<Mutex<Vec<Json>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let posted: Arc<Mutex<Vec<Json>>> = Arc::default();
    let keep = |State(posted): State<Arc<Mutex<Vec<Json>>>>, body: String| async move {
        let event = serde_json::from_str(&body).expect("an event in JSON");
        posted.lock().expect("no test panicked with it").push(event);
    };
    let router = Router::new().fallback(keep).with_state(posted.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, posted)
}

/// The file's events, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<String> {
    wait_for("events in the file", SETTLING, async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let events: Vec<String> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .map(|event: Json| summary(&event))
            .collect();
        (events.len() >= count).then_some(events)
    })
    .await
}

/// What an event is, and about what.
fn summary(event: &Json) -> String {
    let data = event["data"].as_object().expect("an event has data");
    assert_eq!(data.len(), 1, "{event}");
    let (kind, body) = data.iter().next().expect("there is one");
    let name = |labels: &Json| {
        let pairs = labels["labels"].as_array().cloned().unwrap_or_default();
        let name = pairs.iter().find(|pair| pair["key"] == "alertname");
        name.map_or(Json::Null, |pair| pair["value"].clone())
    };
    let words = [
        body["alert"]["name"].clone(),
        body["alert"]["details"]["name"].clone(),
        body["alerts"][0]["details"]["name"].clone(),
        name(&body["mutedAlert"]["labels"]),
        body["reason"].clone(),
        body["silence"]["id"].clone(),
    ];
    let words = words.iter().filter_map(Json::as_str);
    std::iter::once(kind.as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
