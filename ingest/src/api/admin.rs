//! What changes the database from outside is switched off, as it is in a Prometheus without `--web.enable-admin-api`.
use axum::response::Response;

use crate::api::envelope::{ApiError, respond};

pub(crate) const PATHS: [&str; 3] = [
    "/api/v1/admin/tsdb/clean_tombstones",
    "/api/v1/admin/tsdb/delete_series",
    "/api/v1/admin/tsdb/snapshot",
];

pub(crate) async fn disabled() -> Response {
    respond(Err(ApiError::unavailable("admin APIs disabled")))
}
