//! Spans of real processes, from a request with a `traceparent` to what a vendor is sent.
use fakes::{ExportedSpan, Fakes, TraceCollector};
use rustix::process::Signal;
use serde_json::json;

use crate::alertmanager::{Alertmanager, ours};
use crate::files::folder;
use crate::small::{SETTLING, alertmanager, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn traced(fakes: &Fakes, collector: &TraceCollector, keys: &str) -> String {
    format!(
        "{}tracing: {{endpoint: '{}', insecure: yes, {keys}}}\n",
        alertmanager(fakes),
        collector.endpoint()
    )
}

/// The first span of the name that comes.
async fn span(collector: &TraceCollector, name: &str) -> ExportedSpan {
    wait_for(name, SETTLING, async || {
        let spans = collector.spans();
        spans.into_iter().find(|span| span.name == name)
    })
    .await
}

fn names(collector: &TraceCollector) -> Vec<String> {
    let spans = collector.spans();
    spans.into_iter().map(|span| span.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_part_of_its_flushs_trace() {
    let (fakes, collector) = (Fakes::start().await, TraceCollector::start().await);
    let yaml = traced(&fakes, &collector, "sampling_fraction: 1");
    let folder = folder(&[("alertmanager.yml", &yaml)]);
    let running = Alertmanager::start_in(folder.path(), &mut ours(), &["--log.level=info"]).await;
    running
        .post_alert(json!({"labels": {"alertname": "Down"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    wait_until_told(&fakes, "firing", "Down").await;

    let request = span(&collector, "POST /api/v2/alerts").await;
    assert_eq!(request.attributes["http.response.status_code"], "200");
    let flush = span(&collector, "dispatch.AggregationGroup.flush").await;
    let attempt = span(&collector, "notify.RetryStage.Exec").await;
    assert_eq!(
        (&attempt.trace, &attempt.parent),
        (&flush.trace, &flush.span)
    );
    assert!(attempt.ended > attempt.began, "{attempt:?}");
    let told = fakes.webhook.requests();
    let sent = told[0].request.header("traceparent");
    let expected = format!("00-{}-{}-01", attempt.trace, attempt.span);
    assert_eq!(sent, Some(expected.as_str()));
    let first = &collector.requests()[0];
    assert!(first.is_grpc, "what is not written is gRPC");
    assert_eq!(first.resource["service.name"], "alertmanager");

    // Only what others trace already, and over HTTP to another collector.
    let other = TraceCollector::start().await;
    let write = |yaml: &str| std::fs::write(folder.path().join("alertmanager.yml"), yaml).unwrap();
    write(&traced(
        &fakes,
        &other,
        "client_type: http, compression: gzip",
    ));
    running.reload().await;
    let asked = reqwest::Client::new()
        .get(running.url("/-/healthy"))
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .send();
    asked.await.unwrap();
    running
        .post_alert(json!({"labels": {"alertname": "Quiet"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    wait_until_told(&fakes, "firing", "Quiet").await;
    let told = fakes.webhook.requests();
    assert_eq!(told.last().unwrap().request.header("traceparent"), None);
    let health = span(&other, "GET /-/healthy").await;
    assert_eq!(
        (health.trace.as_str(), health.parent.as_str()),
        (TRACE, "b7ad6b7169203331")
    );
    // The request for the reload had begun before, and ended after it.
    let expected = ["POST /-/reload", "GET /-/healthy"];
    assert_eq!(names(&other), expected);
    assert!(!other.requests()[0].is_grpc && other.requests()[0].is_gzip);

    write(&alertmanager(&fakes));
    running.reload().await;
    running
        .post_alert(json!({"labels": {"alertname": "Last"}, "startsAt": "2020-01-01T00:00:00Z"}))
        .await;
    wait_until_told(&fakes, "firing", "Last").await;
    let log = running.end().await;
    assert!(log.contains("spans are sent nowhere any more"));
    assert_eq!(names(&other), expected);
    assert_eq!(collector.refusals(), [""; 0]);
    assert_eq!(other.refusals(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_arrive_before_the_process_ends() {
    let (fakes, collector) = (Fakes::start().await, TraceCollector::start().await);
    let yaml = traced(&fakes, &collector, "sampling_fraction: 1");
    let own = "alertmanager: {config_file: alertmanager.yml}\n";
    let folder = folder(&[("alertmanager.yml", &yaml), ("watchbell.yml", own)]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    watchbell.json("/api/v2/silences").await;
    watchbell.process().signal(Signal::TERM);
    assert!(watchbell.process().ended(SETTLING).await.success());
    let spans = collector.spans();
    let last = spans
        .iter()
        .filter(|span| span.name == "GET /api/v2/silences");
    assert_eq!(last.count(), 1, "{spans:?}");
}
