//! `POST /api/v1/write` and `POST /api/v1/push`: remote write 1.0.
//!
//! What the headers say is looked at before anything is expanded, so that a wrong type is answered with 415 even
//! where the body is broken too. 204 means that the log has every sample that can be kept.
use std::future::poll_fn;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use ingest_core::{DecodeError, Reason, Report, WriteError};
use runtime::{Reserved, Tenant};

use crate::engine::{Engine, IngestError};

const MEDIA_TYPE: &str = "application/x-protobuf";
const MESSAGE_1: &str = "prometheus.WriteRequest";
const OVERLOADED_RETRY_SECONDS: &str = "1";

pub(crate) async fn push(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(reason) = check_headers(&parts.headers) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason);
    }
    let mut reserved = engine.reserve();
    let body = match read_body(&engine, &parts.headers, body, &mut reserved).await {
        Ok(body) => body,
        Err(BodyProblem::Broken) => {
            engine.metrics().count_refused_request_for("body_broken");
            return plain(StatusCode::BAD_REQUEST, "request body could not be read");
        }
        Err(BodyProblem::Refused(error)) => return answer_error(&error),
        Err(BodyProblem::TooLarge { bytes_max }) => {
            engine.metrics().count_refused_request_for("body_too_large");
            let reason = format!("request body is larger than the limit of {bytes_max} bytes");
            return plain(StatusCode::PAYLOAD_TOO_LARGE, &reason);
        }
    };
    match engine.push_reserved(&tenant, body, reserved).await {
        Ok(report) => answer_report(&report),
        Err(error) => answer_error(&error),
    }
}

/// The content's encoding and type must be those of remote write 1.0; an absent header counts as right.
fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).map_or(Ok(""), |value| value.to_str());
    let encoding = text(CONTENT_ENCODING).unwrap_or("?").trim();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    let content_type = text(CONTENT_TYPE).unwrap_or("?").trim();
    if content_type.is_empty() {
        return Ok(());
    }
    let mut parts = content_type.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case(MEDIA_TYPE))
    {
        return Err(format!(
            "content type {content_type:?} is not accepted by this server; expected {MEDIA_TYPE}"
        ));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        let message = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("proto") && message != MESSAGE_1 {
            return Err(format!(
                "{message} protobuf message is not accepted by this server; only {MESSAGE_1} is acceptable"
            ));
        }
    }
    Ok(())
}

/// Why there is no body.
enum BodyProblem {
    /// Its sender has gone, or was too slow.
    Broken,
    Refused(IngestError),
    TooLarge {
        bytes_max: usize,
    },
}

/// Each piece is accounted for before the next one is read: many large bodies that come slowly must not fill the memory
/// before the first of them is there.
async fn read_body(
    engine: &Engine,
    headers: &HeaderMap,
    body: Body,
    reserved: &mut Reserved,
) -> Result<Bytes, BodyProblem> {
    let bytes_max = engine.settings().limits.body_bytes_max;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(BodyProblem::TooLarge { bytes_max });
    }
    let mut body = std::pin::pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        // What is no data are trailers, and they say nothing here.
        let Ok(piece) = frame.map_err(|_| BodyProblem::Broken)?.into_data() else {
            continue;
        };
        if read.len() + piece.len() > bytes_max {
            return Err(BodyProblem::TooLarge { bytes_max });
        }
        engine
            .grow(reserved, piece.len())
            .map_err(BodyProblem::Refused)?;
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

/// Impossible labels are passed over in silence (and counted), as Prometheus does; what our own limits keep out
/// is told, though the rest is kept, so that the sender's log names it. Senders repeat neither.
fn answer_report(report: &Report) -> Response {
    let mut told = report
        .refused
        .iter()
        .filter(|(reason, _)| !matches!(reason, Reason::Labels(_)))
        .map(|(reason, refused)| {
            let series = match refused.first.as_str() {
                "" => String::new(),
                first => format!(", first series {first}"),
            };
            (
                *reason,
                format!("{reason}: {} refused{series}", refused.samples),
            )
        })
        .peekable();
    let status = match told.peek() {
        None => return StatusCode::NO_CONTENT.into_response(),
        Some((Reason::SeriesMax, _)) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    let texts: Vec<String> = told.map(|(_, text)| text).collect();
    let reason = format!("{} ({} samples kept)", texts.join("; "), report.accepted);
    plain(status, &reason)
}

fn answer_error(error: &IngestError) -> Response {
    let status = match error {
        IngestError::Decode(DecodeError::Expanded { .. })
        | IngestError::Refused(WriteError::TooManySamples { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        IngestError::Decode(_) | IngestError::Refused(_) => StatusCode::BAD_REQUEST,
        IngestError::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        IngestError::Hanging | IngestError::Overloaded | IngestError::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        IngestError::TooManyTenants => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = plain(status, &chain(error));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = axum::http::HeaderValue::from_static(OVERLOADED_RETRY_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn plain(status: StatusCode, reason: &str) -> Response {
    (status, format!("{reason}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

    use super::check_headers;

    #[test]
    fn only_remote_write_1_is_accepted() {
        for (content_type, encoding, reason) in [
            (None, None, None),
            (Some("application/x-protobuf"), Some("snappy"), None),
            (
                Some("application/x-protobuf;proto=prometheus.WriteRequest"),
                Some("snappy"),
                None,
            ),
            (Some("Application/X-Protobuf; charset=x"), Some(""), None),
            (
                Some("application/x-protobuf"),
                Some("gzip"),
                Some(
                    "gzip encoding (compression) is not accepted by this server; only snappy is acceptable",
                ),
            ),
            (
                Some("application/json"),
                Some("snappy"),
                Some(
                    "content type \"application/json\" is not accepted by this server; expected application/x-protobuf",
                ),
            ),
            (
                Some("application/x-protobuf; proto=io.prometheus.write.v2.Request"),
                Some("snappy"),
                Some(
                    "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only prometheus.WriteRequest is acceptable",
                ),
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = content_type {
                headers.insert(CONTENT_TYPE, value.parse().unwrap());
            }
            if let Some(value) = encoding {
                headers.insert(CONTENT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(
                check_headers(&headers).err().as_deref(),
                reason,
                "{content_type:?} {encoding:?}"
            );
        }
    }
}
