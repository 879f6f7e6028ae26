//! What is left of Alertmanager's API, version 1: the word that it is gone.
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use runtime::{Right, Routes};
use tracing::debug;

const GONE: &str = r#"{"status":"deprecated","error":"The Alertmanager v1 API was deprecated in version 0.16.0 and is removed as of version 0.27.0 - please use the equivalent route in the v2 API"}"#;

/// Only for an Alertmanager that is alone on its port: these are addresses of Prometheus' API too.
#[must_use]
pub fn version_1_routes() -> Routes {
    [
        "/api/v1/status",
        "/api/v1/receivers",
        "/api/v1/alerts",
        "/api/v1/silences",
        "/api/v1/silence/{id}",
    ]
    .into_iter()
    .fold(Routes::new(), |routes, path| {
        routes.route(Right::Public, path, any(gone))
    })
}

async fn gone(uri: Uri) -> Response {
    debug!(path = uri.path(), "asked for version 1 of the API");
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::GONE, json, GONE).into_response()
}
