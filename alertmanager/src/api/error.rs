//! Errors as Alertmanager's clients know them: an object with a code where the request itself is wrong, a bare JSON
//! string where the handler says no.
use std::future::{Ready, ready};

use alertmanager_core::SilenceError;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::go_json::GoJsonError;
use crate::service::TooManyTenants;
use crate::tenant::AskError;

/// What a sender waits for before it tries again.
const RETRY_SECONDS: &str = "5";

/// Numbers of go-openapi's validation errors, which are what clients see.
pub(crate) const CODE_TYPE: u16 = 601;
pub(crate) const CODE_REQUIRED: u16 = 602;
pub(crate) const CODE_FEW_ITEMS: u16 = 612;

#[derive(Debug)]
pub(crate) enum ApiError {
    /// `{"code":…,"message":…}`
    Framework {
        status: StatusCode,
        code: u16,
        message: String,
    },
    /// `"…"`
    Handler { status: StatusCode, text: String },
    /// Nothing but the status.
    Bare(StatusCode),
}

impl ApiError {
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::Handler {
            status: StatusCode::BAD_REQUEST,
            text: text.into(),
        }
    }

    pub(crate) fn malformed(body: &str, reason: impl std::fmt::Display) -> Self {
        Self::Framework {
            status: StatusCode::BAD_REQUEST,
            code: 400,
            message: format!("parsing {body} body from \"\" failed, because {reason}"),
        }
    }

    pub(crate) fn invalid(code: u16, message: impl Into<String>) -> Self {
        Self::Framework {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code,
            message: message.into(),
        }
    }
}

/// Of a body that neither parser takes. The strict one names line and column; but of a member that it does not know, which
/// is no mistake, it says nothing that helps.
pub(crate) fn malformed(body: &str, strict: &serde_json::Error, lenient: &GoJsonError) -> ApiError {
    let text = strict.to_string();
    if text.starts_with("unknown field") {
        ApiError::malformed(body, lenient)
    } else {
        ApiError::malformed(body, text)
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        Self::Handler {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: error.to_string(),
        }
    }
}

impl From<TooManyTenants> for ApiError {
    fn from(error: TooManyTenants) -> Self {
        Self::Handler {
            status: StatusCode::TOO_MANY_REQUESTS,
            text: error.to_string(),
        }
    }
}

impl From<SilenceError> for ApiError {
    fn from(error: SilenceError) -> Self {
        let text = error.to_string();
        match error {
            SilenceError::EndInPast | SilenceError::StartNotBeforeEnd => {
                Self::bad_request(format!("Failed to create silence: {text}"))
            }
            SilenceError::Invalid(_) => Self::bad_request(format!("invalid silence: {text}")),
            SilenceError::NotFound => Self::Handler {
                status: StatusCode::NOT_FOUND,
                text,
            },
            SilenceError::TooLarge { .. }
            | SilenceError::TooMany { .. }
            | SilenceError::TooManyMatchers { .. } => Self::bad_request(text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Framework {
                status,
                code,
                message,
            } => {
                #[derive(Serialize)]
                struct Body {
                    code: u16,
                    message: String,
                }
                let body = serde_json::to_string(&Body { code, message })
                    .expect("a number and a string are always JSON");
                (status, [(CONTENT_TYPE, "application/json")], body).into_response()
            }
            Self::Handler { status, text } => {
                let mut response = json(status, &text);
                if matches!(
                    status,
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                ) {
                    response
                        .headers_mut()
                        .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
                }
                response
            }
            Self::Bare(status) => status.into_response(),
        }
    }
}

/// A body as Alertmanager writes it: JSON and a newline.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response {
    json_of(status, body, 128)
}

/// With room for a body of some `bytes` from the start: a long one is not copied while it grows.
pub(crate) fn json_of<T: Serialize + ?Sized>(
    status: StatusCode,
    body: &T,
    bytes: usize,
) -> Response {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, body).expect("answers have no keys that are not strings");
    text.push(b'\n');
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}

/// Answers a method that a path does not have.
pub(crate) fn not_allowed(
    allowed: &'static str,
) -> impl Fn(Method) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |method| {
        let error = ApiError::Framework {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: 405,
            message: format!("method {method} is not allowed, but [{allowed}] are"),
        };
        let mut response = error.into_response();
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
        ready(response)
    }
}
