//! The Prometheus HTTP API of one tenant's samples.
mod envelope;
mod federate;
mod json;
mod label_name;
mod params;
mod query;
mod series;
mod status;

use axum::routing::{get, post};
use runtime::{Right, Routes};

use crate::engine::Engine;
use crate::push::push;

/// Everything that the ingest serves. The body of a write is bounded by the tenant's limits, that of a form here.
#[must_use]
pub fn routes(engine: &Engine) -> Routes {
    let state = || engine.clone();
    let mut routes = Routes::new();
    for path in ["/api/v1/write", "/api/v1/push"] {
        routes = routes.route(Right::Send, path, post(push).with_state(state()));
    }
    routes
        .route(
            Right::Read,
            "/api/v1/query",
            get(query::instant).post(query::instant).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/query_range",
            get(query::range).post(query::range).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/format_query",
            get(query::format).post(query::format),
        )
        .route(
            Right::Read,
            "/api/v1/series",
            get(series::series).post(series::series).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/labels",
            get(series::labels).post(series::labels).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/label/{name}/values",
            get(series::label_values).with_state(state()),
        )
        .route(Right::Read, "/api/v1/metadata", get(series::metadata))
        .route(
            Right::Read,
            "/api/v1/status/buildinfo",
            get(status::build).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/status/tsdb",
            get(status::head).with_state(state()),
        )
        .route(
            Right::Read,
            "/federate",
            get(federate::federate).with_state(state()),
        )
}

#[cfg(test)]
mod tests;
