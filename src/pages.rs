//! What every target serves beside its own routes: health, figures, reload, and a first page.
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::Arc;

use alertmanager::AlertmanagerService;
use axum::extract::{Query, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use ruler::Occasion;
use runtime::{Metrics, Right, Routes};

use crate::reload::Reloader;
use crate::version::VERSION;

/// For people who open the port in a browser, and for load balancers that ask for `/`.
const INDEX: &str = "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Watchbell</title>\
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>\
<h1>Watchbell</h1><ul>\
<li><a href=\"/api/v1/rules\">Rules and their alerts</a></li>\
<li><a href=\"/api/v2/alerts/groups\">Alerts as they are routed</a></li>\
<li><a href=\"/api/v2/silences\">Silences</a></li>\
<li><a href=\"/api/v2/status\">Status</a></li>\
<li><a href=\"/metrics\">Metrics</a></li></ul>";

/// Of an Alertmanager some figures are counted when they are looked at.
pub(crate) fn routes(
    metrics: Metrics,
    alertmanager: Option<AlertmanagerService>,
    reloader: Arc<Reloader>,
) -> Routes {
    let healthy = get(async || "OK").fallback(other_methods("GET, HEAD, OPTIONS"));
    Routes::new()
        .route(
            Right::Public,
            "/",
            get(async || Html(format!("{INDEX}<p>{VERSION}</p></html>")))
                .fallback(other_methods("GET, HEAD, OPTIONS")),
        )
        .route(Right::Public, "/-/healthy", healthy.clone())
        // It is served only when everything has been read back and runs.
        .route(Right::Public, "/-/ready", healthy)
        .route(
            Right::Public,
            "/metrics",
            get(async move |headers: HeaderMap| {
                if let Some(service) = &alertmanager {
                    service.count().await;
                }
                metrics.response(&headers)
            })
            .fallback(other_methods("GET, HEAD, OPTIONS")),
        )
        .route(
            Right::Admin,
            "/-/reload",
            post(reload)
                .fallback(other_methods("OPTIONS, POST"))
                .with_state(reloader),
        )
}

/// Where the links of rules' alerts lead (`generatorURL`), as those of Prometheus do.
pub(crate) fn graph_routes() -> Routes {
    let graph = get(graph).fallback(other_methods("GET, HEAD, OPTIONS"));
    Routes::new().route(Right::Public, "/graph", graph)
}

/// There is no graph to look at yet: the expression, and its present value as the API tells it.
async fn graph(uri: Uri, Query(parameters): Query<BTreeMap<String, String>>) -> Html<String> {
    let expression = parameters.get("g0.expr").map_or("", String::as_str);
    // As it came it is escaped for an address.
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let escaped = pairs.find_map(|pair| pair.strip_prefix("g0.expr="));
    let body = match escaped {
        Some(escaped) => format!(
            "<pre>{}</pre><p><a href=\"api/v1/query?query={}\">Its value now</a></p>",
            text_in_html(expression),
            text_in_html(escaped)
        ),
        None => "<p>No expression is named.</p>".to_owned(),
    };
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Watchbell</title>\
         <h1>Expression</h1>{body}</html>"
    ))
}

fn text_in_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Which methods a page has, or that it has not the one that was tried.
fn other_methods(
    allowed: &'static str,
) -> impl Fn(Method) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |method| {
        let allow = [(ALLOW, allowed)];
        ready(if method == Method::OPTIONS {
            (StatusCode::OK, allow).into_response()
        } else {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                allow,
                "Method Not Allowed\n",
            )
                .into_response()
        })
    }
}

/// Where nothing is. Clients of the Alertmanager's API expect its own form.
pub(crate) async fn not_found(uri: Uri) -> Response {
    let path = uri.path();
    if !path.starts_with("/api/v2/") {
        return no_page().await;
    }
    let body = serde_json::json!({"code": 404, "message": format!("path {path} was not found")});
    (
        StatusCode::NOT_FOUND,
        [(CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

pub(crate) async fn no_page() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

async fn reload(State(reloader): State<Arc<Reloader>>) -> Response {
    match reloader.reload(Occasion::Asked).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let body = format!("failed to reload config: {error}\n");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(CONTENT_TYPE, "text/plain; charset=utf-8")],
                body,
            )
                .into_response()
        }
    }
}
