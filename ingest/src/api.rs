//! The Prometheus HTTP API of one tenant's samples.
mod admin;
mod ast_json;
mod envelope;
mod exemplars;
mod features;
mod federate;
mod histogram_json;
mod json;
mod label_name;
mod metadata;
mod multipart;
mod params;
mod pretty;
mod query;
mod series;
mod status;
mod targets;
mod transport;

use axum::middleware::from_fn;
use axum::routing::{get, post};
use runtime::{Right, Routes};

use crate::api::transport::{across_origins, compression};
use crate::engine::Engine;
use crate::push::push;

/// Everything that the ingest serves. The body of a write is bounded by the tenant's limits, that of a form here.
#[must_use]
pub fn routes(engine: &Engine) -> Routes {
    let state = || engine.clone();
    let mut writing = Routes::new();
    for path in ["/api/v1/write", "/api/v1/push"] {
        writing = writing.route(Right::Send, path, post(push).with_state(state()));
    }
    let administration = admin::PATHS
        .into_iter()
        .fold(Routes::new(), |routes, path| {
            let methods = post(admin::disabled).put(admin::disabled);
            routes.route(Right::Admin, path, methods)
        });
    let reading = Routes::new()
        .route(
            Right::Read,
            "/api/v1/features",
            get(features::features).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/notifications",
            get(targets::notifications),
        )
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
            get(query::format).post(query::format).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/parse_query",
            get(query::parse).post(query::parse).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/query_exemplars",
            get(exemplars::query_exemplars)
                .post(exemplars::query_exemplars)
                .with_state(state()),
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
        .route(
            Right::Read,
            "/api/v1/metadata",
            get(metadata::metadata).with_state(state()),
        )
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
            "/api/v1/status/tsdb/blocks",
            get(status::blocks).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/status/config",
            get(status::config).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/status/flags",
            get(status::flags).with_state(state()),
        )
        .route(
            Right::Read,
            "/api/v1/status/runtimeinfo",
            get(status::runtime).with_state(state()),
        )
        .route(Right::Read, "/api/v1/status/walreplay", get(status::replay))
        .route(Right::Read, "/api/v1/scrape_pools", get(targets::pools))
        .route(Right::Read, "/api/v1/targets", get(targets::targets))
        .route(
            Right::Read,
            "/api/v1/targets/metadata",
            get(targets::metadata),
        )
        .layer(from_fn(across_origins))
        .route(
            Right::Read,
            "/federate",
            get(federate::federate).with_state(state()),
        )
        .layer(from_fn(compression));
    writing.merge(administration).merge(reading)
}

#[cfg(test)]
mod tests;
