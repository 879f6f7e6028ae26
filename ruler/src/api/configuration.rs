//! The groups that a tenant has uploaded, as `cortextool`, `mimirtool`, Grafana and Alloy list, set and delete them.
//!
//! Addresses are taken apart before they are unescaped, so a namespace may hold slashes.
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use config::namespaces_to_yaml;
use ruler_core::GroupKey;
use runtime::{Right, Routes, TENANT_HEADER, Tenant};
use serde_json::json;

use crate::rule_book::{DeleteError, Deleted, RuleBook, UploadError, chain};

/// Cortex', Mimir's, those of old clients of both, and the same below Mimir's prefix.
const BASES: [&str; 4] = [
    "/api/v1/rules",
    "/prometheus/config/v1/rules",
    "/api/prom/rules",
    "/prometheus/api/v1/rules",
];
/// Where the list of all stands. At the other bases it is Prometheus' own, or told apart from it by its caller.
const LIST_BASES: [&str; 2] = ["/prometheus/config/v1/rules", "/api/prom/rules"];

pub(crate) fn routes(book: &RuleBook) -> Routes {
    let with = || book.clone();
    let routes = LIST_BASES.into_iter().fold(Routes::new(), |routes, base| {
        routes.route(Right::Read, base, get(list).with_state(with()))
    });
    let routes = BASES.into_iter().fold(routes, |routes, base| {
        let namespace = format!("{base}/{{namespace}}");
        let group = format!("{base}/{{namespace}}/{{group}}");
        routes
            .route(
                Right::Read,
                &namespace,
                get(list_namespace).with_state(with()),
            )
            .route(Right::Edit, &namespace, post(set_group).with_state(with()))
            .route(
                Right::Edit,
                &namespace,
                delete(delete_namespace).with_state(with()),
            )
            .route(Right::Read, &group, get(get_group).with_state(with()))
            .route(Right::Edit, &group, delete(delete_group).with_state(with()))
    });
    let all = post(delete_all).with_state(with());
    routes.route(Right::Edit, "/ruler/delete_tenant_config", all)
}

type ByTenant = Result<Tenant, (StatusCode, String)>;
type ByPath<T> = Result<Path<T>, PathRejection>;
type Answer = Result<Response, Refusal>;

/// Whether a caller of an address that this API shares with Prometheus' means this one: the clients of this one name
/// their tenant and want YAML.
pub(crate) fn is_meant(headers: &HeaderMap) -> bool {
    headers.contains_key(TENANT_HEADER) && !names_json(headers)
}

fn names_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values.filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_json = media == "application/json" || media.ends_with("+json");
        let is_refused = parts.any(|part| {
            let weight = part
                .strip_prefix("q=")
                .and_then(|weight| weight.parse().ok());
            weight.is_some_and(|weight: f64| weight <= 0.0)
        });
        is_json && !is_refused
    })
}

pub(crate) async fn list(State(book): State<RuleBook>, tenant: ByTenant) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let uploaded = book.uploaded(&tenant).map_err(|error| failed(&error))?;
    Ok(yaml(namespaces_to_yaml(uploaded.namespaces(None))))
}

async fn list_namespace(
    State(book): State<RuleBook>,
    tenant: ByTenant,
    path: ByPath<String>,
) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let Path(namespace) = path.map_err(bad_path)?;
    let uploaded = book.uploaded(&tenant).map_err(|error| failed(&error))?;
    let groups = uploaded.namespaces(Some(&namespace));
    if groups.is_empty() {
        return Err(refuse(StatusCode::NOT_FOUND, "no rule groups found"));
    }
    Ok(yaml(namespaces_to_yaml(groups)))
}

async fn get_group(
    State(book): State<RuleBook>,
    tenant: ByTenant,
    path: ByPath<(String, String)>,
) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let Path((namespace, name)) = path.map_err(bad_path)?;
    let uploaded = book.uploaded(&tenant).map_err(|error| failed(&error))?;
    match uploaded.get(&GroupKey::new(&namespace, &name)) {
        Some(group) => Ok(yaml(group.written.yaml().to_owned())),
        None => Err(refuse(StatusCode::NOT_FOUND, "group does not exist")),
    }
}

async fn set_group(
    State(book): State<RuleBook>,
    tenant: ByTenant,
    path: ByPath<String>,
    body: Body,
) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let Path(namespace) = path.map_err(bad_path)?;
    let max = book.group_bytes_max();
    let body = to_bytes(body, max).await.map_err(|error| {
        if is_too_long(&error) {
            let reason = format!("rule group is too large, limit: {max} bytes");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &reason)
        } else {
            let reason = format!("unable to read rule group: {}", chain(&error));
            refuse(StatusCode::BAD_REQUEST, &reason)
        }
    })?;
    let group = String::from_utf8(body.into()).map_err(|_| {
        let reason = "unable to decode rule group: it is not UTF-8";
        refuse(StatusCode::BAD_REQUEST, reason)
    })?;
    match book.upload(&tenant, &namespace, group).await {
        Ok(warnings) if warnings.is_empty() => Ok(accepted(json!({"status": "success"}))),
        Ok(warnings) => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            Ok(accepted(json!({"status": "success", "warnings": warnings})))
        }
        Err(error) => Err(match &error {
            UploadError::Refused(_) | UploadError::Limit(_) | UploadError::InFile { .. } => {
                refuse(StatusCode::BAD_REQUEST, &error.to_string())
            }
            UploadError::Full => refuse(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
            UploadError::Storage(_) | UploadError::Abnormal => failed(&error),
        }),
    }
}

async fn delete_group(
    State(book): State<RuleBook>,
    tenant: ByTenant,
    path: ByPath<(String, String)>,
) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let Path((namespace, name)) = path.map_err(bad_path)?;
    let what = Deleted::Group(GroupKey::new(&namespace, &name));
    deleted(book.delete(&tenant, what).await, "group does not exist")?;
    Ok(accepted(json!({"status": "success"})))
}

async fn delete_namespace(
    State(book): State<RuleBook>,
    tenant: ByTenant,
    path: ByPath<String>,
) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    let Path(namespace) = path.map_err(bad_path)?;
    let outcome = book.delete(&tenant, Deleted::Namespace(namespace)).await;
    deleted(outcome, "group namespace does not exist")?;
    Ok(accepted(json!({"status": "success"})))
}

async fn delete_all(State(book): State<RuleBook>, tenant: ByTenant) -> Answer {
    let Tenant(tenant) = tenant.map_err(no_tenant)?;
    deleted(book.delete(&tenant, Deleted::All).await, "")?;
    Ok(StatusCode::OK.into_response())
}

/// Why a request is not answered as its sender wants.
pub(crate) enum Refusal {
    /// Clients show the first line.
    Text(StatusCode, String),
    /// Cortex answers this one, and no other, in JSON.
    Tenant(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Text(status, reason) => text(status, &reason),
            Self::Tenant(reason) => {
                let body = json!({"status": "error", "errorType": "bad_data", "error": reason});
                let json = [(CONTENT_TYPE, "application/json")];
                (StatusCode::BAD_REQUEST, json, body.to_string()).into_response()
            }
        }
    }
}

fn refuse(status: StatusCode, reason: &str) -> Refusal {
    Refusal::Text(status, reason.to_owned())
}

fn deleted(outcome: Result<(), DeleteError>, not_found: &str) -> Result<(), Refusal> {
    outcome.map_err(|error| match &error {
        DeleteError::NotFound => refuse(StatusCode::NOT_FOUND, not_found),
        DeleteError::Storage(_) | DeleteError::Abnormal => failed(&error),
    })
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn no_tenant((_, reason): (StatusCode, String)) -> Refusal {
    Refusal::Tenant(reason)
}

fn bad_path(rejection: PathRejection) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, &rejection.body_text())
}

fn failed(error: &dyn std::error::Error) -> Refusal {
    Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, chain(error))
}

fn yaml(text: String) -> Response {
    ([(CONTENT_TYPE, "application/yaml")], text).into_response()
}

fn accepted(body: serde_json::Value) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, json, body.to_string()).into_response()
}

/// As Go's `http.Error`.
pub(crate) fn text(status: StatusCode, reason: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{reason}\n")).into_response()
}
