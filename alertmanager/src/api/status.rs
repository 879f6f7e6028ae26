//! `/api/v2/status`.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::error::json;
use crate::api::wire::{ClusterBody, ConfigBody, StatusBody, VersionBody};
use crate::service::AlertmanagerService;

pub(crate) async fn status(State(service): State<AlertmanagerService>) -> Response {
    let inner = &service.inner;
    let version = &inner.settings.version;
    let body = StatusBody {
        cluster: ClusterBody::new(inner.settings.cluster.as_ref()),
        config: ConfigBody {
            original: &service.config_text(),
        },
        uptime: inner.started_at.to_rfc3339_millis(),
        version_info: VersionBody {
            branch: &version.branch,
            build_date: &version.build_date,
            build_user: "",
            go_version: "",
            revision: &version.revision,
            version: &version.version,
        },
    };
    json(StatusCode::OK, &body)
}
