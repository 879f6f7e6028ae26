//! What is scraped, and what the server has to tell on its pages: nothing, and whoever asks is told so in Prometheus' form.
use axum::response::Response;

use crate::api::envelope::{Success, respond};

pub(crate) async fn targets() -> Response {
    let none = r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#;
    respond(Ok(Success::new(none)))
}

pub(crate) async fn metadata() -> Response {
    respond(Ok(Success::new("[]")))
}

pub(crate) async fn pools() -> Response {
    respond(Ok(Success::new(r#"{"scrapePools":[]}"#)))
}

/// News for whoever has the pages open. What goes wrong here is in the log and in the metrics.
pub(crate) async fn notifications() -> Response {
    respond(Ok(Success::new("[]")))
}
