//! What every answer of the API is wrapped in.
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use promql::{EvalError, ReadError};

use crate::api::json::{push_text, texts};
use crate::query::QueryError;
use crate::query_slots::TooManyQueries;
use crate::start_error::{StartError, unopened};

/// Prometheus shows that many warnings and that many infos.
const ANNOTATIONS_MAX: usize = 10;
/// The warning where a `limit` has cut something off.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const BEGINNING: &str = "{\"status\":\"success\",\"data\":";

/// A success. Its text is written once and never copied, since it may be large.
#[derive(Debug)]
pub(crate) struct Success {
    /// From the beginning of the answer to the end of its data.
    text: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Success {
    /// `data` is JSON, and small.
    pub(crate) fn new(data: &str) -> Self {
        Self::of(format!("{BEGINNING}{data}"))
    }

    /// `write` appends the data, which is JSON.
    pub(crate) fn written(
        write: impl FnOnce(&mut String) -> Result<(), EvalError>,
    ) -> Result<Self, EvalError> {
        let mut text = BEGINNING.to_owned();
        write(&mut text)?;
        Ok(Self::of(text))
    }

    fn of(text: String) -> Self {
        Self {
            text,
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    pub(crate) fn into_json(self) -> String {
        let mut json = self.text;
        for (name, kind, texts_of) in [
            ("warnings", "warning", &self.warnings),
            ("infos", "info", &self.infos),
        ] {
            if !texts_of.is_empty() {
                json.push_str(&format!(",\"{name}\":{}", annotations(kind, texts_of)));
            }
        }
        json.push('}');
        json
    }
}

/// A failure, of one of Prometheus' error types.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    kind: &'static str,
    status: u16,
    message: String,
}

impl ApiError {
    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::of("bad_data", 400, message)
    }

    /// A parameter that cannot be understood.
    pub(crate) fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {detail}"))
    }

    pub(crate) fn canceled(message: impl Into<String>) -> Self {
        Self::of("canceled", 499, message)
    }

    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::of("execution", 422, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::of("internal", 500, message)
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::of("timeout", 503, message)
    }

    /// What is switched off; the status is Prometheus'.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::of("unavailable", 500, message)
    }

    fn of(kind: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            message: message.into(),
        }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Evaluation(
                EvalError::Cancelled | EvalError::Read(ReadError::Cancelled),
            ) => Self::canceled(message),
            QueryError::Evaluation(EvalError::NotRangeable(detail)) => {
                Self::parameter("query", detail)
            }
            QueryError::Evaluation(EvalError::Read(ReadError::Storage(_))) | QueryError::Failed => {
                Self::internal(message)
            }
            QueryError::Evaluation(
                EvalError::Execution(_)
                | EvalError::Read(ReadError::TooManySamples)
                | EvalError::TooManyBytes
                | EvalError::TooManySamples
                | EvalError::TooManySeries,
            ) => Self::execution(message),
            QueryError::TimedOut { .. } | QueryError::TooMany(_) => Self::timeout(message),
        }
    }
}

impl From<StartError> for ApiError {
    fn from(problem: StartError) -> Self {
        Self::internal(unopened(&problem))
    }
}

impl From<TooManyQueries> for ApiError {
    fn from(refused: TooManyQueries) -> Self {
        Self::timeout(refused.to_string())
    }
}

pub(crate) fn respond(outcome: Result<Success, ApiError>) -> Response {
    let (status, json) = match outcome {
        Ok(success) => (StatusCode::OK, success.into_json()),
        Err(error) => {
            let mut json = format!(
                "{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":",
                error.kind
            );
            push_text(&mut json, &error.message);
            json.push('}');
            (error.status(), json)
        }
    };
    (status, [(CONTENT_TYPE, JSON)], json).into_response()
}

fn annotations(kind: &str, all: &[String]) -> String {
    let shown = all.iter().take(ANNOTATIONS_MAX).map(String::as_str);
    let omitted = all.len().saturating_sub(ANNOTATIONS_MAX);
    let summary = (omitted > 0).then(|| format!("{omitted} more {kind} annotations omitted"));
    texts(shown.chain(summary.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::Success;

    #[test]
    fn annotations_are_cut_at_ten_and_counted() {
        let warnings = |count: usize| (0..count).map(|number| number.to_string()).collect();
        let json = |count| {
            let mut success = Success::new("[]");
            success.warnings = warnings(count);
            success.into_json()
        };
        assert_eq!(json(0), r#"{"status":"success","data":[]}"#);
        assert_eq!(
            json(1),
            r#"{"status":"success","data":[],"warnings":["0"]}"#
        );
        assert!(json(10).ends_with(r#""8","9"]}"#));
        assert!(json(12).ends_with(r#""9","2 more warning annotations omitted"]}"#));
    }
}
