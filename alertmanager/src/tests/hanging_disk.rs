//! A disk that does not answer: pages go out, senders are told to try again, and what is missing is stored afterwards.
use std::fs;
use std::path::Path;
use std::time::Duration;

use alertmanager_core::{Deliver, Input};
use axum::body::Body;
use axum::http::Request;
use model::TenantId;
use notifiers_core::Outcome;
use runtime::log::{HangingLog, LogSettings};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::journal::open_journal_with;
use crate::service::{DataFolder, ServiceSettings};
use crate::tenant::INPUTS_MAX;
use crate::tests::bench::{AT_ONCE, Bench};

/// Far longer than anything takes.
const FAR: Duration = Duration::from_secs(60);

fn delivered(_: &Deliver) -> Outcome {
    Outcome::Delivered { id: None }
}

fn alert(name: &str) -> String {
    format!(r#"[{{"labels":{{"alertname":"{name}"}}}}]"#)
}

fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let mut parts = bytes.windows(text.len());
    parts.any(|part| part == text.as_bytes())
}

fn settings(write_max: Duration) -> LogSettings {
    LogSettings {
        write_max,
        ..LogSettings::default()
    }
}

#[tokio::test]
async fn pages_go_out_and_the_state_is_stored_when_the_disk_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Duration::from_millis(20));
    let (log, saved) = open_journal_with(folder.path(), &settings).unwrap();
    let machines = ServiceSettings::default();
    let mut bench = Bench::storing(AT_ONCE, Some(log.clone()), saved, machines, delivered);
    bench.post_alerts(&alert("Before")).await;
    bench.hear().await;

    let disk = HangingLog::begin(folder.path(), &log).await;
    for name in ["First", "Second"] {
        let body = alert(name);
        let answer = bench.ask("POST", "/api/v2/alerts", &body);
        let (status, reason) = timeout(FAR, answer).await.expect("nobody waits for it");
        assert_eq!(status, 503, "{reason}");
        let told = timeout(FAR, bench.hear()).await.expect("it is told");
        assert_eq!(told.notification.group_labels.value("alertname"), name);
    }
    let alerts = bench.get("/api/v2/alerts").await;
    assert_eq!(alerts.as_array().unwrap().len(), 3);
    // A silence that is in force is not to be posted a second time.
    let silence = r#"{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2020-01-01T00:00:00Z","endsAt":"2999-01-01T00:00:00Z","createdBy":"c","comment":"d"}"#;
    let (status, reason) = bench.ask("POST", "/api/v2/silences", silence).await;
    assert_eq!(status, 503, "{reason}");
    let silences = bench.get("/api/v2/silences").await;
    let id = silences[0]["id"].as_str().unwrap();
    let in_force = format!("silence {id} is in force, but could not be written to the log");
    assert!(reason.contains(&in_force), "{reason}");
    let id = format!("/api/v2/silence/{id}");
    let (status, reason) = bench.ask("DELETE", &id, "").await;
    assert_eq!(status, 503, "{reason}");
    assert!(reason.contains("the silence has ended, but"), "{reason}");
    let (status, _) = bench.ask("POST", "/api/v2/silences", "{}").await;
    assert_eq!(status, 422, "what is refused is refused");

    disk.end();
    // Nobody asks for anything meanwhile.
    let stored = async {
        while !holds(&folder.path().join("00000001.log"), "Second") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(FAR, stored).await.expect("all is offered again");
    bench.post_alerts(&alert("After")).await;
    bench.hear().await;
    drop(log);
    bench.end().await;

    let (log, saved) = open_journal_with(folder.path(), &settings).unwrap();
    let machines = ServiceSettings::default();
    let bench = Bench::storing(AT_ONCE, Some(log), saved, machines, delivered);
    let alerts = bench.get("/api/v2/alerts").await;
    let mut names: Vec<&str> = alerts
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|alert| alert["labels"]["alertname"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["After", "Before", "First", "Second"]);
    bench.end().await;
}

#[tokio::test]
async fn the_last_files_of_the_data_folder_wait_for_a_busy_machine() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (log, saved) = open_journal_with(folder.path(), &settings(FAR)).unwrap();
    let machines = ServiceSettings {
        data_folder: Some(DataFolder {
            path: data.clone(),
            maintenance_interval: FAR,
        }),
        ..ServiceSettings::default()
    };
    let mut bench = Bench::storing(AT_ONCE, Some(log.clone()), saved, machines, delivered);
    bench.post_alerts(&alert("Before")).await;
    bench.hear().await;

    // The machine waits for the disk, and more wait for the machine than there is room for.
    let disk = HangingLog::begin(folder.path(), &log).await;
    let handle = bench.service.known(&TenantId::anonymous()).unwrap();
    let held = Request::post("/api/v2/alerts")
        .header("content-type", "application/json")
        .body(Body::from(alert("Held")));
    let posting = tokio::spawn(bench.router.clone().oneshot(held.unwrap()));
    for _ in 0..3 * INPUTS_MAX {
        let handle = handle.clone();
        tokio::spawn(async move { handle.line_up(|ticket| Input::Look { ticket }).await });
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    bench.stop();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    disk.end();
    assert!(bench.service.join(FAR).await);
    posting.await.unwrap().unwrap();
    assert!(holds(&data.join("nflog"), "Before"), "it was written");
}
