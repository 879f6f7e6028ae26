//! Alertmanager's API, version 2.
mod alerts;
mod document;
mod error;
mod explain;
mod filter;
mod groups;
mod query;
mod silences;
mod status;
mod version_1;
mod wire;

use axum::routing::{get, post};
use runtime::{Right, Routes};

use crate::api::error::not_allowed;
use crate::service::AlertmanagerService;

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
            get(alerts::list)
                .fallback(not_allowed("GET,POST"))
                .with_state(with()),
        )
        .route(
            Right::Send,
            "/api/v2/alerts",
            post(alerts::post).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/alerts/groups",
            get(groups::list)
                .fallback(not_allowed("GET"))
                .with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/receivers",
            get(groups::receivers)
                .fallback(not_allowed("GET"))
                .with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/silence/{id}",
            get(silences::get)
                .fallback(not_allowed("DELETE,GET"))
                .with_state(with()),
        )
        .route(
            Right::Silence,
            "/api/v2/silence/{id}",
            axum::routing::delete(silences::expire).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/silences",
            get(silences::list)
                .fallback(not_allowed("GET,POST"))
                .with_state(with()),
        )
        .route(
            Right::Silence,
            "/api/v2/silences",
            post(silences::post).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v2/status",
            get(status::status)
                .fallback(not_allowed("GET"))
                .with_state(with()),
        )
        .route(
            Right::Read,
            "/api/watchbell/v1/alerts/{fingerprint}/explain",
            get(explain::explain)
                .fallback(not_allowed("GET"))
                .with_state(with()),
        )
        .route(
            Right::Public,
            "/api/watchbell/v1/openapi.json",
            get(document::document).fallback(not_allowed("GET")),
        )
}
