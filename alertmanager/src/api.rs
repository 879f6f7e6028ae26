//! Alertmanager's API, version 2.
mod alerts;
mod document;
mod error;
mod explain;
mod filter;
mod go_json;
mod groups;
mod query;
mod silences;
mod status;
mod version_1;
mod wire;

use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use runtime::{Right, Routes};

use crate::api::error::{ApiError, not_allowed};
use crate::service::AlertmanagerService;
use crate::tenant::AskError;

#[cfg(test)]
pub(crate) use crate::api::document::DOCUMENT;
pub use crate::api::version_1::version_1_routes;

/// Everything under `/api/v2`, and what Watchbell adds to it.
#[must_use]
pub fn routes(service: &AlertmanagerService) -> Routes {
    let with = || service.clone();
    Routes::new()
        .route(
            Right::Read,
            "/api/v2/alerts",
            only("GET,POST", get(alerts::list)).with_state(with()),
        )
        .route(
            Right::Send,
            "/api/v2/alerts",
            post(alerts::post).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/alerts/groups",
            only("GET", get(groups::list)).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/receivers",
            only("GET", get(groups::receivers)).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/silence/{id}",
            only("DELETE,GET", get(silences::get)).with_state(with()),
        )
        .route(
            Right::Silence,
            "/api/v2/silence/{id}",
            axum::routing::delete(silences::expire).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/silences",
            only("GET,POST", get(silences::list)).with_state(with()),
        )
        .route(
            Right::Silence,
            "/api/v2/silences",
            post(silences::post).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/status",
            only("GET", get(status::status)).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/watchbell/v1/alerts/{fingerprint}/explain",
            only("GET", get(explain::explain)).with_state(with()),
        )
        .route(
            Right::Public,
            "/api/watchbell/v1/openapi.json",
            only("GET", get(document::document)),
        )
}

/// Lists of tens of thousands of alerts are written where they keep nobody else waiting.
async fn rendered(write: impl FnOnce() -> Response + Send + 'static) -> Result<Response, ApiError> {
    let writing = tokio::task::spawn_blocking(write);
    Ok(writing.await.map_err(|_| AskError::Stopped)?)
}

/// What is read by GET is not answered to HEAD either, as Alertmanager's API has it.
fn only<S: Clone + Send + Sync + 'static>(
    allowed: &'static str,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods
        .head(not_allowed(allowed))
        .fallback(not_allowed(allowed))
}
