//! What waits for a machine, and what is still being read, has its bound in bytes.
use std::future::ready;

use alertmanager_core::{AlertsAnswer, Answer, Input, Ticket};
use axum::body::Body;
use axum::http::Request;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::room::Room;
use crate::tenant::{AskError, Shared, TenantHandle};
use crate::tests::bench::{AT_ONCE, Bench};

const MIB: usize = 1024 * 1024;

/// Asks, and goes away where there is no answer at once.
async fn ask(handle: &TenantHandle, process: &Room, bytes: usize) -> Option<AskError> {
    let mut place = process.enter();
    place.grow(bytes).unwrap();
    let alerts = Vec::new();
    let asking = handle.ask_with(place, |ticket| Input::AlertsPosted { ticket, alerts });
    tokio::select! {
        biased;
        answer = asking => answer.err(),
        () = ready(()) => None,
    }
}

#[tokio::test]
async fn what_waits_for_a_machine_is_weighed_until_it_has_answered() {
    let (inputs, mut received) = mpsc::channel(1024);
    let shared = Shared::new();
    let handle = TenantHandle::new(inputs, std::sync::Arc::clone(&shared));
    let process = Room::of_process();
    assert_eq!(ask(&handle, &process, 200 * MIB).await, None);
    // The sender has gone; what it sent has not.
    assert_eq!(
        ask(&handle, &process, 100 * MIB).await,
        Some(AskError::Busy)
    );
    assert_eq!(ask(&handle, &process, 1024).await, None);
    let other = TenantHandle::new(mpsc::channel(1).0, Shared::new());
    assert_eq!(
        ask(&other, &process, 100 * MIB).await,
        Some(AskError::Stopped)
    );

    let Some(Input::AlertsPosted { ticket, .. }) = received.recv().await else {
        panic!("alerts were posted");
    };
    assert_eq!(ticket, Ticket(0));
    shared.answer(ticket, Ok(Answer::Alerts(AlertsAnswer::default())));
    assert_eq!(ask(&handle, &process, 100 * MIB).await, None);
}

#[tokio::test]
async fn bodies_that_are_read_share_a_bound() {
    let bench = Bench::new(AT_ONCE);
    let large = format!(
        r#"[{{"labels":{{"alertname":"Large"}},"annotations":{{"a":"{}"}}}}]"#,
        "x".repeat(200_000)
    );
    let small = r#"[{"labels":{"alertname":"Small"}}]"#;
    let post = async |body: &str| {
        let request = Request::post("/api/v2/alerts")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = bench.router.clone().oneshot(request).await.unwrap();
        let retry_after = response.headers().get("retry-after").is_some();
        (response.status().as_u16(), retry_after)
    };
    // As others' bodies would take it.
    let mut others = bench.service.inner.room.enter();
    others.grow(512 * MIB - 64 * 1024).unwrap();
    assert_eq!(post(&large).await, (503, true));
    // Of this one nothing is left when it is read.
    let padded = format!("[{}]", " ".repeat(200_000));
    assert_eq!(post(&padded).await, (503, true));
    assert_eq!(post(small).await, (200, false));
    drop(others);
    assert_eq!(post(&large).await, (200, false));

    // Little text, but many alerts: what they become is weighed, not what they are.
    let many = format!("[{}]", vec![r#"{"labels":{"a":"b"}}"#; 500_000].join(","));
    assert_eq!(post(&many).await, (413, false));
    assert_eq!(post(&large).await, (200, false));
    bench.end().await;
}
