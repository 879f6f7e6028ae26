//! Spans of what this process does, sent to an OpenTelemetry collector (OTLP 1 over HTTP or gRPC).
//!
//! Nothing here waits for the collector: spans that have ended stand in a bounded queue, a task sends them in batches,
//! and what does not fit, or does not arrive, is counted and gone.
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alertmanager_core::{Attribute, Span, SpanContext, SpanId, SpanKind, TraceId, export_request};
use arc_swap::ArcSwapOption;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as Answer;
use config::{HttpConfig, Tracing, TracingClient};
use flate2::Compression;
use flate2::write::GzEncoder;
use notifiers::{Call, HttpClient, HttpError};
use notifiers_core::{HttpRequest, Method, Response};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use runtime::{Clock, Metrics, Routes, Trouble};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::metrics::pairs;

/// OpenTelemetry's own bounds.
const QUEUE_MAX: usize = 2048;
const BATCH_MAX: usize = 512;
/// No span waits longer for others.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long a collector that a reload took away may be sent what is left.
const OLD_DRAIN_MAX: Duration = Duration::from_secs(10);
const SERVICE: &str = "alertmanager";
const GRPC_METHOD: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";

type LabelSet = Vec<(String, String)>;

/// Cheap to copy; without a collector it does nothing.
#[derive(Clone)]
pub struct Tracer {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    version: String,
    current: ArcSwapOption<Exporter>,
    spans: Family<LabelSet, Counter>,
}

/// A collector that is ready to be sent spans.
pub struct Collector {
    settings: Tracing,
    url: String,
    client: HttpClient,
}

#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("tracing endpoint must be host:port, but is {0:?}")]
    Endpoint(String),
    #[error("tracing")]
    Http(#[from] HttpError),
}

/// Where spans go until the next reload that changes it.
struct Exporter {
    settings: Tracing,
    queue: mpsc::Sender<Span>,
    /// Spans that have ended and of which nobody knows yet what becomes of them.
    waiting: Arc<AtomicUsize>,
    spans: Family<LabelSet, Counter>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A span that has begun.
pub(crate) struct OpenSpan {
    pub(crate) context: SpanContext,
    parent: Option<SpanId>,
    name: String,
    kind: SpanKind,
    /// Nanoseconds since 1970.
    began: u64,
    since: Instant,
    attributes: Vec<(&'static str, Attribute)>,
}

impl OpenSpan {
    pub(crate) fn note(&mut self, name: &'static str, text: &str) {
        self.attributes
            .push((name, Attribute::Text(text.to_owned())));
    }

    pub(crate) fn count(&mut self, name: &'static str, number: u64) {
        self.attributes.push((name, Attribute::Integer(number)));
    }
}

impl Collector {
    /// # Errors
    /// What would keep every span from being sent, whatever the collector does.
    pub async fn prepare(settings: Option<&Tracing>) -> Result<Option<Self>, CollectorError> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        let scheme = if settings.insecure { "http" } else { "https" };
        let path = match settings.client {
            TracingClient::Grpc => GRPC_METHOD,
            TracingClient::Http => "v1/traces",
        };
        let url = format!("{scheme}://{}/{path}", settings.endpoint);
        if settings.endpoint.contains('/') || config::HttpUrl::parse(&url).is_err() {
            return Err(CollectorError::Endpoint(settings.endpoint.clone()));
        }
        let http = HttpConfig {
            tls: settings.tls.clone().unwrap_or_default(),
            headers: settings.headers.clone(),
            ..HttpConfig::default()
        };
        let client = match settings.client {
            TracingClient::Grpc => HttpClient::over_http2(http, settings.timeout())?,
            TracingClient::Http => HttpClient::new(http, settings.timeout())?,
        };
        client.rehearse().await?;
        Ok(Some(Self {
            settings: settings.clone(),
            url,
            client,
        }))
    }
}

impl Tracer {
    /// Without a collector, until [`Tracer::reconfigure`] names one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, version: &str, metrics: &Metrics) -> Self {
        let spans = metrics.register(
            "watchbell_trace_spans",
            "Spans by what became of them: exported, dropped because the queue was full, or failed to be exported",
            Family::default(),
        );
        Self {
            inner: Arc::new(Inner {
                clock,
                version: version.to_owned(),
                current: ArcSwapOption::empty(),
                spans,
            }),
        }
    }

    /// Spans that end from here on go there; what stands in the queue still goes where it was to go.
    pub fn reconfigure(&self, collector: Option<Collector>) {
        let before = self.inner.current.load_full();
        let settings = collector.as_ref().map(|collector| &collector.settings);
        if before.as_ref().map(|exporter| &exporter.settings) == settings {
            return;
        }
        let endpoint = settings.map(|settings| settings.endpoint.clone());
        let exporter = collector.map(|collector| self.export_to(collector));
        self.inner.current.store(exporter.map(Arc::new));
        match endpoint {
            Some(endpoint) => info!(endpoint, "spans are sent to a collector"),
            None => info!("spans are sent nowhere any more"),
        }
        if let Some(before) = before {
            tokio::spawn(drain(before, OLD_DRAIN_MAX));
        }
    }

    /// Sends what has ended until here, `patience` at most.
    pub async fn close(&self, patience: Duration) {
        if let Some(exporter) = self.inner.current.swap(None) {
            drain(exporter, patience).await;
        }
    }

    /// `None` where nothing is traced. The span belongs to its parent's trace, or begins one.
    pub(crate) fn begin(
        &self,
        parent: Option<SpanContext>,
        kind: SpanKind,
        name: impl Into<String>,
    ) -> Option<OpenSpan> {
        let exporter = self.inner.current.load();
        let fraction = exporter.as_ref()?.settings.sampling_fraction;
        let words = [word(1), word(2), word(3)].map(u64::to_be_bytes);
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&words[0]);
        trace[8..].copy_from_slice(&words[1]);
        let context = SpanContext::new(parent, TraceId(trace), SpanId(words[2]), fraction);
        let millis = u64::try_from(self.inner.clock.now().as_millis()).unwrap_or(0);
        Some(OpenSpan {
            context,
            parent: parent.map(|parent| parent.span),
            name: name.into(),
            kind,
            began: millis.saturating_mul(1_000_000),
            since: Instant::now(),
            attributes: Vec::new(),
        })
    }

    pub(crate) fn end(&self, open: Option<OpenSpan>, failure: Option<String>) {
        let Some(open) = open.filter(|open| open.context.is_sampled) else {
            return;
        };
        let took = u64::try_from(open.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let span = Span {
            context: open.context,
            parent: open.parent,
            name: open.name,
            kind: open.kind,
            began: open.began,
            ended: open.began.saturating_add(took),
            attributes: open.attributes,
            failure,
        };
        let exporter = self.inner.current.load();
        let Some(exporter) = exporter.as_ref() else {
            return;
        };
        exporter.waiting.fetch_add(1, Ordering::Relaxed);
        if exporter.queue.try_send(span).is_err() {
            exporter.waiting.fetch_sub(1, Ordering::Relaxed);
            count_spans(&self.inner.spans, "dropped", 1);
        }
    }

    fn export_to(&self, collector: Collector) -> Exporter {
        let (queue, ended) = mpsc::channel(QUEUE_MAX);
        let settings = collector.settings.clone();
        let waiting: Arc<AtomicUsize> = Arc::default();
        let sending = Sending {
            collector,
            clock: Arc::clone(&self.inner.clock),
            version: self.inner.version.clone(),
            spans: self.inner.spans.clone(),
            waiting: Arc::clone(&waiting),
            trouble: Trouble::new(),
        };
        Exporter {
            settings,
            queue,
            waiting,
            spans: self.inner.spans.clone(),
            task: Mutex::new(Some(tokio::spawn(sending.run(ended)))),
        }
    }
}

/// Everybody who still holds the exporter lets go of it after their span; then its queue ends.
async fn drain(exporter: Arc<Exporter>, patience: Duration) {
    let Some(mut task) = exporter.task.lock().take() else {
        return;
    };
    let (waiting, spans) = (Arc::clone(&exporter.waiting), exporter.spans.clone());
    drop(exporter);
    if tokio::time::timeout(patience, &mut task).await.is_err() {
        task.abort();
        let lost = waiting.load(Ordering::Relaxed);
        count_spans(&spans, "dropped", lost);
        warn!(
            spans = lost,
            "spans are lost: the collector did not take them in time"
        );
    }
}

struct Sending {
    collector: Collector,
    clock: Arc<dyn Clock>,
    version: String,
    spans: Family<LabelSet, Counter>,
    waiting: Arc<AtomicUsize>,
    trouble: Trouble,
}

impl Sending {
    async fn run(self, mut ended: mpsc::Receiver<Span>) {
        while let Some(first) = ended.recv().await {
            let mut batch = vec![first];
            let due = Instant::now() + BATCH_INTERVAL;
            while batch.len() < BATCH_MAX {
                match timeout_at(due, ended.recv()).await {
                    Ok(Some(span)) => batch.push(span),
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(&batch).await;
        }
    }

    async fn send(&self, batch: &[Span]) {
        let message = export_request(SERVICE, &self.version, batch);
        let endpoint = &self.collector.settings.endpoint;
        let spans = batch.len();
        let outcome = self.export(message).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                count_spans(&self.spans, "exported", spans);
                if let Some(left_out) = self.trouble.is_over() {
                    info!(endpoint, left_out, "the collector takes spans again");
                }
            }
            Err(reason) => {
                count_spans(&self.spans, "failed", spans);
                if let Some(left_out) = self.trouble.happened() {
                    warn!(endpoint, reason, spans, left_out, "spans are lost");
                }
            }
        }
    }

    async fn export(&self, message: Vec<u8>) -> Result<(), String> {
        let settings = &self.collector.settings;
        let timeout = settings.timeout();
        let body = if settings.gzip {
            gzip(&message).map_err(|failure| failure.to_string())?
        } else {
            message
        };
        match settings.client {
            TracingClient::Grpc => {
                let call = Call {
                    url: self.collector.url.clone(),
                    message: &body,
                    is_gzip: settings.gzip,
                };
                let called = self
                    .collector
                    .client
                    .call(&call, timeout, self.clock.as_ref());
                called.await.map_err(|error| error.to_string())
            }
            TracingClient::Http => {
                let mut headers = vec![(
                    "content-type".to_owned(),
                    "application/x-protobuf".to_owned(),
                )];
                if settings.gzip {
                    headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
                }
                let request = HttpRequest {
                    method: Method::Post,
                    url: self.collector.url.clone(),
                    headers,
                    body,
                    timeout: Some(timeout),
                };
                let client = &self.collector.client;
                match client.ask(&request, timeout, self.clock.as_ref()).await {
                    Response::Http(answer) if answer.status / 100 == 2 => Ok(()),
                    Response::Http(answer) => Err(format!("status {}", answer.status)),
                    Response::Failed(failure) => Err(failure.text),
                    Response::Mail(_) => Err("no answer by HTTP".to_owned()),
                }
            }
        }
    }
}

fn gzip(message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}

fn count_spans(spans: &Family<LabelSet, Counter>, result: &str, count: usize) {
    let labels = pairs(&[("result", result)]);
    spans.get_or_create(&labels).inc_by(count as u64);
}

/// The standard library seeds its hashers from the system's source of random numbers. Never zero, which is no id.
fn word(salt: u64) -> u64 {
    RandomState::new().hash_one(salt).max(1)
}

/// Makes a span of every request, below the one that a `traceparent` header names.
#[must_use]
pub fn trace_requests(routes: Routes, tracer: &Tracer) -> Routes {
    routes.layer(from_fn_with_state(tracer.clone(), trace_request))
}

async fn trace_request(State(tracer): State<Tracer>, request: Request, next: Next) -> Answer {
    let parent = request
        .headers()
        .get("traceparent")
        .and_then(|value| SpanContext::from_traceparent(value.to_str().ok()?));
    let (method, path) = (request.method().as_str(), request.uri().path());
    let mut span = tracer.begin(parent, SpanKind::Server, format!("{method} {path}"));
    if let Some(span) = &mut span {
        span.note("http.request.method", method);
        span.note("url.path", path);
    }
    let answer = next.run(request).await;
    let status: StatusCode = answer.status();
    if let Some(span) = &mut span {
        span.count("http.response.status_code", u64::from(status.as_u16()));
    }
    let failure = status.is_server_error().then(|| format!("status {status}"));
    tracer.end(span, failure);
    answer
}
