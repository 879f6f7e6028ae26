//! What stands before every address of an Alertmanager that is alone on its port: a bound on readers, a deadline, the
//! word that browsers of other sites may ask, and figures of it all.
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use model::go_duration;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::{Metrics, Routes};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::pairs;

/// `--web.get-concurrency` where it is not given, unless there are more processors.
const GETS_MIN: usize = 8;
/// Alertmanager's own buckets for requests, in seconds.
const DURATION_BUCKETS: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 20.0, 60.0, 120.0, 300.0, 600.0,
];
/// And for the bytes of answers.
const SIZE_BUCKETS: [f64; 7] = [
    100.0,
    1_000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
    10_000_000.0,
    100_000_000.0,
];

/// Flags of Alertmanager's that are about all of its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrontSettings {
    /// GET requests at once; none: the larger of 8 and the number of processors.
    pub gets_max: Option<usize>,
    /// For a whole request; zero is none.
    pub timeout: Duration,
}

type LabelSet = Vec<(String, String)>;

struct Front {
    gets: Semaphore,
    gets_max: usize,
    timeout: Duration,
    durations: Family<LabelSet, Histogram>,
    sizes: Family<LabelSet, Histogram>,
    in_flight: Family<LabelSet, Gauge>,
    over_limit: Family<LabelSet, Counter>,
}

/// Puts it before all routes that were added so far.
#[must_use]
pub fn front(routes: Routes, settings: FrontSettings, metrics: &Metrics) -> Routes {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let gets_max = settings.gets_max.unwrap_or(processors.max(GETS_MIN));
    let front = Front {
        gets: Semaphore::new(gets_max.min(Semaphore::MAX_PERMITS)),
        gets_max,
        timeout: settings.timeout,
        durations: metrics.register(
            "alertmanager_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests",
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
        ),
        sizes: metrics.register(
            "alertmanager_http_response_size_bytes",
            "Histogram of response size for HTTP requests",
            Family::new_with_constructor(|| Histogram::new(SIZE_BUCKETS)),
        ),
        in_flight: metrics.register(
            "alertmanager_http_requests_in_flight",
            "Current number of HTTP requests being processed",
            Family::default(),
        ),
        over_limit: metrics.register(
            "alertmanager_http_concurrency_limit_exceeded",
            "Total number of times an HTTP request failed because the concurrency limit was reached",
            Family::default(),
        ),
    };
    let get = pairs(&[("method", "get")]);
    front.in_flight.get_or_create(&get).set(0);
    front.over_limit.get_or_create(&get).inc_by(0);
    routes.layer(from_fn_with_state(Arc::new(front), pass))
}

async fn pass(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let origin = request.headers().contains_key(ORIGIN);
    let asks_leave = origin
        && method == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let handler = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str)
        .replace("{id}", "{silenceID}");
    let is_api = handler.starts_with("/api/v2/");
    let mut response = if asks_leave && is_api {
        leave(&request)
    } else {
        front.answer(request, next).await
    };
    if origin && is_api {
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if !asks_leave {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
    front.measure(&handler, &method, &response, begun.elapsed());
    response
}

impl Front {
    async fn answer(&self, request: Request, next: Next) -> Response {
        let _permit = if request.method() == Method::GET {
            let Ok(permit) = self.gets.try_acquire() else {
                self.over_limit
                    .get_or_create(&pairs(&[("method", "get")]))
                    .inc();
                let text = format!(
                    "Limit of concurrent GET requests reached ({}), try again later.\n",
                    self.gets_max
                );
                return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
            };
            let in_flight = self
                .in_flight
                .get_or_create(&pairs(&[("method", "get")]))
                .clone();
            in_flight.inc();
            Some((permit, InFlight(in_flight)))
        } else {
            None
        };
        let answering = next.run(request);
        if self.timeout.is_zero() {
            return answering.await;
        }
        match tokio::time::timeout(self.timeout, answering).await {
            Ok(response) => response,
            Err(_) => {
                let text = format!(
                    "Exceeded configured timeout of {}.\n",
                    go_duration::format(self.timeout)
                );
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }

    /// Addresses that nobody serves share one name, so that no stranger can make the figures many.
    fn measure(&self, handler: &str, method: &Method, response: &Response, took: Duration) {
        let handler = if handler.is_empty() { "none" } else { handler };
        let status = response.status();
        let labels = pairs(&[
            ("handler", handler),
            ("method", known(method)),
            ("code", status.as_str()),
        ]);
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let size = axum::body::HttpBody::size_hint(response.body()).exact();
        if let Some(size) = size {
            let labels = pairs(&[("handler", handler), ("method", known(method))]);
            self.sizes.get_or_create(&labels).observe(size as f64);
        }
    }
}

struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A method's name in small letters, as Go's instrumentation writes it.
fn known(method: &Method) -> &'static str {
    [
        (Method::GET, "get"),
        (Method::POST, "post"),
        (Method::DELETE, "delete"),
        (Method::HEAD, "head"),
        (Method::OPTIONS, "options"),
        (Method::PUT, "put"),
    ]
    .into_iter()
    .find(|(known, _)| known == method)
    .map_or("unknown", |(_, name)| name)
}

/// A browser asks whether a page of another site may send a request: simple methods it may.
fn leave(request: &Request) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
    let headers = response.headers_mut();
    let vary = "Access-Control-Request-Method, Access-Control-Request-Headers";
    headers.append(VARY, HeaderValue::from_static(vary));
    let simple = wanted.filter(|method| {
        ["GET", "HEAD", "POST"]
            .iter()
            .any(|simple| *method == simple)
    });
    if let Some(method) = simple {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use axum::http::{HeaderMap, Request};
    use axum::routing::get;
    use axum::{Router, http};
    use runtime::{Metrics, Right, Routes};
    use tokio::sync::{Notify, Semaphore};
    use tower::ServiceExt;

    use super::{FrontSettings, front};

    /// A route that answers when it is let.
    struct Site {
        router: Router,
        metrics: Metrics,
        arrived: Arc<Notify>,
        let_go: Arc<Semaphore>,
    }

    fn site(settings: FrontSettings) -> Site {
        let (arrived, let_go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (told, gate) = (arrived.clone(), let_go.clone());
        let slow = get(async move || {
            told.notify_one();
            gate.acquire().await.unwrap().forget();
            "late"
        });
        let routes = Routes::new()
            .route(Right::Read, "/api/v2/slow", slow)
            .route(Right::Read, "/api/v2/silence/{id}", get(async || "here"))
            .route(
                Right::Read,
                "/page",
                get(async || "page").post(async || "posted"),
            );
        let metrics = Metrics::new();
        Site {
            router: front(routes, settings, &metrics).into_router(),
            metrics,
            arrived,
            let_go,
        }
    }

    impl Site {
        async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::empty()).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, 1000).await.unwrap();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
        }
    }

    struct Answer {
        status: http::StatusCode,
        headers: HeaderMap,
        body: String,
    }

    #[tokio::test]
    async fn no_more_are_read_to_at_once_than_may() {
        let site = Arc::new(site(FrontSettings {
            gets_max: Some(1),
            ..FrontSettings::default()
        }));
        let first = tokio::spawn({
            let site = site.clone();
            async move { site.ask("GET", "/api/v2/slow", &[]).await.status }
        });
        site.arrived.notified().await;
        let refused = site.ask("GET", "/page", &[]).await;
        assert_eq!(refused.status, 503);
        let text = "Limit of concurrent GET requests reached (1), try again later.\n";
        assert_eq!(refused.body, text);
        assert_eq!(site.ask("POST", "/page", &[]).await.body, "posted");
        let figures = site.metrics.text();
        for figure in [
            r#"alertmanager_http_requests_in_flight{method="get"} 1"#,
            r#"alertmanager_http_concurrency_limit_exceeded_total{method="get"} 1"#,
        ] {
            assert!(figures.contains(figure), "{figure}: {figures}");
        }
        site.let_go.add_permits(1);
        assert_eq!(first.await.unwrap(), 200);
        assert_eq!(site.ask("GET", "/page", &[]).await.body, "page");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_its_time_and_no_more() {
        let site = site(FrontSettings {
            timeout: Duration::from_secs(90),
            ..FrontSettings::default()
        });
        let late = site.ask("GET", "/api/v2/slow", &[]).await;
        assert_eq!(late.status, 503);
        assert_eq!(late.body, "Exceeded configured timeout of 1m30s.\n");
    }

    #[tokio::test]
    async fn pages_of_other_sites_may_send_simple_requests() {
        let site = site(FrontSettings::default());
        let path = "/api/v2/silence/1";
        let from = ("origin", "http://x");
        let wants = |method| ("access-control-request-method", method);
        for (method, path, headers, allowed, status) in [
            ("GET", path, vec![from], true, 200),
            ("GET", path, vec![], false, 200),
            ("GET", "/page", vec![from], false, 200),
            ("OPTIONS", path, vec![from, wants("POST")], true, 204),
            ("OPTIONS", path, vec![from, wants("DELETE")], false, 204),
            ("OPTIONS", path, vec![from], true, 405),
        ] {
            let answer = site.ask(method, path, &headers).await;
            let is_allowed = answer.headers.get("access-control-allow-origin");
            assert_eq!(is_allowed.is_some(), allowed, "{method} {path} {headers:?}");
            assert_eq!(answer.status, status, "{method} {path} {headers:?}");
            if status == 204 {
                let methods = answer.headers.get("access-control-allow-methods");
                assert_eq!(methods.is_some(), allowed, "{headers:?}");
            }
        }
    }

    #[tokio::test]
    async fn requests_are_measured_by_route() {
        let site = site(FrontSettings::default());
        site.ask("GET", "/api/v2/silence/1", &[]).await;
        site.ask("GET", "/api/v2/silence/2", &[]).await;
        let figures = site.metrics.text();
        for figure in [
            r#"alertmanager_http_request_duration_seconds_count{handler="/api/v2/silence/{silenceID}",method="get",code="200"} 2"#,
            r#"alertmanager_http_response_size_bytes_sum{handler="/api/v2/silence/{silenceID}",method="get"} 8"#,
        ] {
            assert!(figures.contains(figure), "{figure}: {figures}");
        }
    }
}
