//! Spans, as a collector takes them.
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{SpanContext, SpanKind};
use axum::body::Body;
use axum::http::Request;
use config::{AlertmanagerConfig, AlertmanagerOptions, Tracing};
use fakes::{ExportedSpan, Tls, TraceCollector};
use runtime::{Metrics, SystemClock};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::tests::bench::{AT_ONCE, Bench};
use crate::traces::{Collector, Tracer, trace_requests};

/// Far longer than anything here takes: only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracing(keys: &str) -> Tracing {
    let text = format!("route: {{receiver: d}}\nreceivers: [{{name: d}}]\ntracing: {{{keys}}}\n");
    let loaded = AlertmanagerConfig::read("am.yml", &text, &AlertmanagerOptions::default());
    loaded.unwrap().value.tracing.unwrap()
}

async fn collector(keys: &str) -> Option<Collector> {
    Collector::prepare(Some(&tracing(keys))).await.unwrap()
}

fn tracer(metrics: &Metrics) -> Tracer {
    Tracer::new(Arc::new(SystemClock::new()), "0.34.0", metrics)
}

fn spans(metrics: &Metrics, result: &str) -> u64 {
    let series = format!(r#"watchbell_trace_spans_total{{result="{result}"}} "#);
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn both_kinds_of_client_are_understood() {
    for (keys, is_grpc, is_gzip) in [
        ("", true, false),
        ("compression: gzip", true, true),
        ("client_type: http", false, false),
        ("client_type: http, compression: gzip", false, true),
    ] {
        let fake = TraceCollector::start().await;
        let metrics = Metrics::new();
        let tracer = tracer(&metrics);
        let keys = format!(
            "endpoint: '{}', insecure: yes, sampling_fraction: 1, headers: {{X-Tenant: {{secrets: [t]}}}}, {keys}",
            fake.endpoint()
        );
        tracer.reconfigure(collector(&keys).await);
        let mut open = tracer.begin(None, SpanKind::Client, "first").unwrap();
        open.note("a", "b");
        open.count("n", 300);
        let parent = open.context;
        tracer.end(Some(open), Some("broken".to_owned()));
        let child = tracer.begin(Some(parent), SpanKind::Internal, "second");
        tracer.end(child, None);
        tracer.close(PATIENCE).await;
        let requests = fake.requests();
        assert_eq!(fake.refusals(), [""; 0], "{keys}");
        assert_eq!(requests.len(), 1, "{keys}");
        let request = &requests[0];
        assert_eq!((request.is_grpc, request.is_gzip), (is_grpc, is_gzip));
        assert_eq!(request.headers["x-tenant"], "t");
        assert_eq!(request.resource["service.name"], "alertmanager");
        assert_eq!(request.resource["service.version"], "0.34.0");
        let [first, second] = &request.spans[..] else {
            panic!("{:?}", request.spans);
        };
        assert_eq!(
            (first.name.as_str(), first.kind, first.parent.as_str()),
            ("first", 3, "")
        );
        assert_eq!(
            (&*first.attributes["a"], &*first.attributes["n"]),
            ("b", "300")
        );
        assert_eq!(first.failure.as_deref(), Some("broken"));
        assert_eq!(first.trace, parent.trace.to_string());
        assert_eq!(
            (second.kind, &second.parent, &second.trace),
            (1, &first.span, &first.trace)
        );
        assert_eq!(second.failure, None);
        assert_eq!(spans(&metrics, "exported"), 2);
    }
}

#[tokio::test]
async fn requests_flushes_and_attempts_are_traced() {
    let fake = TraceCollector::start().await;
    let mut bench = Bench::new(AT_ONCE);
    let tracer = bench.service.tracer().clone();
    let routes = trace_requests(crate::api::routes(&bench.service), &tracer).into_router();
    let keys = format!(
        "endpoint: '{}', insecure: yes, sampling_fraction: 1",
        fake.endpoint()
    );
    tracer.reconfigure(collector(&keys).await);
    let post = |traceparent: &'static str| {
        Request::post("/api/v2/alerts")
            .header("content-type", "application/json")
            .header("traceparent", traceparent)
            .body(Body::from(r#"[{"labels": {"alertname": "Down"}}]"#))
            .unwrap()
    };
    routes.clone().oneshot(post(PARENT)).await.unwrap();
    let unsampled = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00";
    routes.clone().oneshot(post(unsampled)).await.unwrap();
    let lost = Request::get("/nowhere").body(Body::empty()).unwrap();
    routes.oneshot(lost).await.unwrap();
    bench.hear().await;
    bench.end().await;
    let spans = fake.spans();
    let named = |name: &str| -> Vec<&ExportedSpan> {
        spans.iter().filter(|span| span.name == name).collect()
    };
    let [request] = named("POST /api/v2/alerts")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(request.trace, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        (request.parent.as_str(), request.kind),
        ("b7ad6b7169203331", 2)
    );
    assert_eq!(request.attributes["http.response.status_code"], "200");
    assert_eq!(named("GET /nowhere").len(), 1);
    let [flush] = named("dispatch.AggregationGroup.flush")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(flush.parent, "", "a flush is nobody's request");
    assert_eq!(flush.attributes["alerting.alerts.firing.count"], "1");
    let [attempt] = named("notify.RetryStage.Exec")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(
        (&attempt.trace, &attempt.parent),
        (&flush.trace, &flush.span)
    );
    assert_eq!(attempt.attributes["alerting.notify.receiver.name"], "team");
    assert_eq!(
        attempt.attributes["alerting.notify.integration.name"],
        "webhook[0]"
    );
    assert_eq!(
        attempt.attributes["alerting.notify.reason"],
        "first notification"
    );
    assert_eq!(attempt.failure, None);
}

/// On one thread: nothing is sent while the test does not wait.
#[tokio::test]
async fn what_does_not_fit_or_arrive_is_counted_and_waited_for_by_nobody() {
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = silent.local_addr().unwrap();
    let metrics = Metrics::new();
    let tracer = tracer(&metrics);
    let keys = format!(
        "client_type: http, endpoint: '{endpoint}', insecure: yes, sampling_fraction: 1, timeout: 50ms"
    );
    tracer.reconfigure(collector(&keys).await);
    for _ in 0..2048 + 7 {
        let span = tracer.begin(None, SpanKind::Internal, "x");
        tracer.end(span, None);
    }
    assert_eq!(spans(&metrics, "dropped"), 7);
    tracer.close(PATIENCE).await;
    assert_eq!(spans(&metrics, "failed"), 2048);
    assert!(tracer.begin(None, SpanKind::Internal, "x").is_none());

    let keys = keys.replace("50ms", "1h");
    tracer.reconfigure(collector(&keys).await);
    for _ in 0..600 {
        let span = tracer.begin(None, SpanKind::Internal, "x");
        tracer.end(span, None);
    }
    tracer.close(Duration::from_millis(50)).await;
    assert_eq!(spans(&metrics, "dropped"), 7 + 600);
}

#[tokio::test]
async fn a_collector_that_refuses_is_believed() {
    let fake = TraceCollector::start().await;
    fake.refuse_all();
    for keys in [
        "insecure: yes, client_type: http",
        "insecure: yes, client_type: grpc",
        // Over TLS, where none is spoken.
        "client_type: http",
        "client_type: grpc",
    ] {
        let metrics = Metrics::new();
        let tracer = tracer(&metrics);
        let keys = format!(
            "endpoint: '{}', sampling_fraction: 1, {keys}",
            fake.endpoint()
        );
        tracer.reconfigure(collector(&keys).await);
        let span = tracer.begin(None, SpanKind::Internal, "x");
        tracer.end(span, None);
        tracer.close(PATIENCE).await;
        assert_eq!(spans(&metrics, "failed"), 1, "{keys}");
    }
    assert!(fake.requests().is_empty());
    assert_eq!(fake.refusals(), ["full", "full"]);
}

#[tokio::test]
async fn a_reload_changes_the_collector_and_may_take_it_away() {
    let (old, new) = (TraceCollector::start().await, TraceCollector::start().await);
    let metrics = Metrics::new();
    let tracer = tracer(&metrics);
    assert!(tracer.begin(None, SpanKind::Internal, "before").is_none());
    let to = |fake: &TraceCollector, fraction: &str| {
        format!(
            "endpoint: '{}', insecure: yes, sampling_fraction: {fraction}",
            fake.endpoint()
        )
    };
    let trace = |name: &str, parent: Option<SpanContext>| {
        let span = tracer.begin(parent, SpanKind::Internal, name);
        tracer.end(span, None);
    };
    tracer.reconfigure(collector(&to(&old, "1")).await);
    trace("one", None);
    tracer.reconfigure(collector(&to(&new, "0")).await);
    trace("unsampled", None);
    trace("two", SpanContext::from_traceparent(PARENT));
    tracer.close(PATIENCE).await;
    let names = |fake: &TraceCollector| -> Vec<String> {
        fake.spans().into_iter().map(|span| span.name).collect()
    };
    assert_eq!(names(&new), ["two"]);
    // The old one is not waited for.
    tokio::time::timeout(PATIENCE, async {
        while names(&old).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(names(&old), ["one"]);
    tracer.reconfigure(None);
    assert!(tracer.begin(None, SpanKind::Internal, "after").is_none());
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_refused() {
    for endpoint in ["http://c:4318", "c:4318/v1/traces", "c d"] {
        let settings = tracing(&format!("endpoint: '{endpoint}'"));
        let refused = Collector::prepare(Some(&settings)).await.err();
        assert_eq!(
            refused.map(|error| error.to_string()),
            Some(format!(
                "tracing endpoint must be host:port, but is {endpoint:?}"
            ))
        );
    }
}

#[tokio::test]
async fn over_tls_the_collectors_authority_must_be_known() {
    let tls = Tls::new();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, tls.certificate_pem()).unwrap();
    let known = format!(", tls_config: {{ca_file: '{}'}}", authority.display());
    for (client, trust, exported) in [
        ("grpc", known.as_str(), 1),
        ("http", known.as_str(), 1),
        ("grpc", "", 0),
        ("http", "", 0),
    ] {
        let fake = TraceCollector::start_with_tls(&tls).await;
        let metrics = Metrics::new();
        let tracer = tracer(&metrics);
        let keys = format!(
            "client_type: {client}, endpoint: '{}', sampling_fraction: 1{trust}",
            fake.endpoint()
        );
        tracer.reconfigure(collector(&keys).await);
        let span = tracer.begin(None, SpanKind::Internal, "x");
        tracer.end(span, None);
        tracer.close(PATIENCE).await;
        assert_eq!(spans(&metrics, "exported"), exported, "{client} {trust}");
        assert_eq!(fake.spans().len() as u64, exported);
    }
}
