//! Watchbell's own figures, in the text forms that Prometheus scrapes.
mod accept;
mod classic;
mod process;
mod storage;
mod summary;

use std::fmt;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

use crate::log::Log;
use crate::metrics::accept::TextFormat;
use crate::metrics::classic::classic;
use crate::metrics::process::ProcessCollector;
use crate::metrics::storage::StorageCollector;
pub use crate::metrics::summary::Summary;

const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One registry for the process; cheap to copy.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    storage: StorageCollector,
    summaries: Arc<Mutex<Vec<String>>>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let storage = StorageCollector::default();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(storage.clone()));
        Self {
            registry: Arc::new(Mutex::new(registry)),
            storage,
            summaries: Arc::default(),
        }
    }

    /// Shows whether this part's log takes what is to be stored. The log ends as if nobody looked.
    pub fn watch_log(&self, part: &'static str, log: &Log) {
        self.storage.logs.lock().push((part, log.watch()));
    }

    /// Shows what the system says of this process too.
    #[must_use]
    pub fn with_process(self) -> Self {
        let collector = Box::new(ProcessCollector);
        self.registry.lock().register_collector(collector);
        self
    }

    /// Registers a metric and hands it back. Counters are named without `_total`, which the text form adds.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// Registers what writes its figures at the moment they are asked for.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    pub fn register_summary(&self, name: &str, help: &str) -> Summary {
        self.summaries.lock().push(name.to_owned());
        self.register(name, help, Summary::default())
    }

    /// The OpenMetrics text of everything registered.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock()).expect("writing to a string cannot fail");
        for name in self.summaries.lock().iter() {
            let head = format!("# TYPE {name} ");
            text = text.replace(&format!("{head}histogram\n"), &format!("{head}summary\n"));
        }
        text
    }

    /// The answer to `GET /metrics`: OpenMetrics 1.0 where the request's headers ask for it, else the text format 0.0.4.
    #[must_use]
    pub fn response(&self, headers: &HeaderMap) -> Response {
        let (content_type, text) = match TextFormat::wanted(headers) {
            TextFormat::Classic => (CLASSIC, classic(&self.text())),
            TextFormat::OpenMetrics => (OPEN_METRICS, self.text()),
        };
        ([(CONTENT_TYPE, content_type)], text).into_response()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use axum::body::to_bytes;
    use axum::http::header::{ACCEPT, CONTENT_TYPE};
    use axum::http::{HeaderMap, HeaderValue};
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::metrics::info::Info;

    use super::{CLASSIC, Metrics, OPEN_METRICS};

    const PROMTOOL: &str = "/usr/bin/promtool";

    /// One of each kind that there is.
    fn figures() -> Metrics {
        let metrics = Metrics::new();
        let calls: Family<Vec<(String, String)>, Counter> = Family::default();
        let labels = |value: &str| vec![("path".to_owned(), value.to_owned())];
        calls.get_or_create(&labels("/a \"b\" \\ # {c}\nd")).inc();
        calls.get_or_create(&labels("")).inc_by(3);
        metrics.register("test_calls", "Calls", calls);
        let age: Gauge<f64, AtomicU64> = Gauge::default();
        age.set(f64::INFINITY);
        metrics.register("test_age_seconds", "Age", age);
        let sizes = Histogram::new([0.5, 1e6]);
        sizes.observe(0.25);
        sizes.observe(1e9);
        metrics.register("test_size_bytes", "Sizes", sizes);
        let waits = metrics.register_summary("test_wait_seconds", "Waits");
        waits.observe_all(Duration::from_millis(1500), 3);
        let build = Info::new(vec![("version", "1.2.3")]);
        metrics
            .registry
            .lock()
            .register("test_build", "Build", build);
        metrics
    }

    async fn answer(metrics: &Metrics, accept: Option<&'static str>) -> (String, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let response = metrics.response(&headers);
        let content_type = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_content_type_is_that_of_the_text() {
        let metrics = figures();
        let (content_type, text) = answer(&metrics, Some("application/openmetrics-text")).await;
        assert_eq!(content_type, OPEN_METRICS);
        assert!(text.contains("# TYPE test_calls counter\n") && text.ends_with("# EOF\n"));
        let (content_type, text) = answer(&metrics, None).await;
        assert_eq!(content_type, CLASSIC);
        assert!(text.contains("# TYPE test_calls_total counter\n") && !text.contains("# EOF"));
        let waits = "# TYPE test_wait_seconds summary\ntest_wait_seconds_sum 1.5\ntest_wait_seconds_count 3\n";
        assert!(text.contains(waits), "{text}");
    }

    #[tokio::test]
    async fn promtool_finds_nothing_to_say() {
        if !Path::new(PROMTOOL).exists() {
            assert!(std::env::var_os("CI").is_none(), "{PROMTOOL} is missing");
            // Past what the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {PROMTOOL} is not installed");
            return;
        }
        let (_, text) = answer(&figures(), None).await;
        let mut promtool = Command::new(PROMTOOL)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = promtool.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{text}");
    }
}
