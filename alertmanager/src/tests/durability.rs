//! What was answered with 200 is there after a restart, and nothing that was told is told again.
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{Input, Policy};
use model::TenantId;
use notifiers_core::Outcome;
use runtime::log::{Record, SegmentNumber, SyncPolicy};
use runtime::{Clock, Metrics, SystemClock};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::deliver::{Deadlines, Deliverer, Lanes};
use crate::flushes::Flushes;
use crate::journal::{JournalError, RECORD_KIND, open_journal};
use crate::metrics::{AlertmanagerMetrics, MetricSettings};
use crate::tenant::{AskError, Saving, Shared, TenantHandle, TenantShell};
use crate::tests::bench::{AT_ONCE, Bench, Listener, config};
use crate::traces::Tracer;

const DOWN: &str = r#"[{"labels":{"alertname":"Down"}}]"#;

fn delivered(_: &alertmanager_core::Deliver) -> Outcome {
    Outcome::Delivered { id: None }
}

#[tokio::test]
async fn alerts_silences_and_what_was_told_survive() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with(AT_ONCE, Some(folder.path()), delivered);
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    let (status, _) = bench
        .ask(
            "POST",
            "/api/v2/silences",
            r#"{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2026-01-01T00:00:00Z",
                "endsAt":"2999-01-01T00:00:00Z","createdBy":"me","comment":"c"}"#,
        )
        .await;
    assert_eq!(status, 200);
    bench.end().await;

    let mut bench = Bench::with(AT_ONCE, Some(folder.path()), delivered);
    let alerts = bench.get("/api/v2/alerts").await;
    assert_eq!(alerts[0]["labels"], json!({"alertname": "Down"}));
    assert_eq!(bench.get("/api/v2/silences").await[0]["comment"], "c");
    // A further alert is told; the first one is not told again before it.
    bench
        .post_alerts(r#"[{"labels":{"alertname":"Full"}}]"#)
        .await;
    let told = bench.hear().await;
    assert_eq!(told.notification.group_labels.value("alertname"), "Full");
    bench.end().await;
}

#[tokio::test]
async fn a_checkpoint_stands_for_the_segments_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with(AT_ONCE, Some(folder.path()), delivered);
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    let log = bench.log.clone().unwrap();
    let segment = log.rotate().await.unwrap();
    bench.service.checkpoint().await.unwrap();
    log.remove_before(segment).unwrap();
    assert!(segment > SegmentNumber::FIRST);
    drop(log);
    bench.end().await;

    let bench = Bench::with(AT_ONCE, Some(folder.path()), delivered);
    let alerts = bench.get("/api/v2/alerts").await;
    assert_eq!(alerts[0]["labels"], json!({"alertname": "Down"}));
    bench.end().await;
}

#[tokio::test]
async fn records_of_a_newer_release_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
    let tenant = TenantId::anonymous();
    let newer = Record {
        tenant: &tenant,
        kind: RECORD_KIND,
        payload: &[9, 0],
    };
    log.persist(&[newer]).await.unwrap();
    drop(log);
    let Err(JournalError::Record { tenant, source }) =
        open_journal(folder.path(), SyncPolicy::default())
    else {
        panic!("bytes of a newer release were taken");
    };
    assert_eq!(tenant, TenantId::anonymous());
    assert_eq!(source.to_string(), "record format 9 is of a newer release");
}

#[tokio::test]
async fn a_notifier_that_panics_is_a_failed_attempt() {
    let quick = AT_ONCE.replace("group_interval: 1h", "group_interval: 100ms");
    let mut bench = Bench::with(&quick, None, |order| {
        assert!(order.attempt > 1, "the first attempt panics");
        Outcome::Delivered { id: None }
    });
    bench.post_alerts(DOWN).await;
    assert_eq!(bench.hear().await.attempt, 2);
    bench.end().await;
}

/// A machine that is told to stop takes in what has arrived, but no time passes for it any more.
#[tokio::test]
async fn whoever_waits_for_a_machine_that_has_ended_waits_no_longer() {
    let (inputs, received) = mpsc::channel(1);
    let shared = Shared::new();
    let (heard, _) = mpsc::unbounded_channel();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = AlertmanagerMetrics::register(&Metrics::new(), MetricSettings::default());
    let shell = TenantShell {
        tenant: TenantId::anonymous(),
        deliverer: Deliverer {
            tenant: TenantId::anonymous(),
            notifier: Arc::new(Listener::new(heard, delivered)),
            lanes: Lanes::new(1),
            deadlines: Deadlines::default(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            tracer: Tracer::new(Arc::clone(&clock), "", &Metrics::new()),
            inputs: inputs.downgrade(),
        },
        log: None,
        clock,
        metrics,
        recorder: None,
        shared: Arc::clone(&shared),
        flushes: Flushes::default(),
        saving: Saving::UpToDate,
        log_silences: true,
        thought: Duration::ZERO,
    };
    let handle = TenantHandle::new(inputs, shared);
    let policy = Box::new(Policy::new(config(AT_ONCE), ""));
    let configured = |ticket| Input::Configured { ticket, policy };
    let answered = handle.line_up(configured).await.unwrap();
    drop((received, shell));
    let answer = timeout(Duration::from_secs(30), answered.come()).await;
    assert_eq!(answer, Ok(Err(AskError::Stopped)));
}
