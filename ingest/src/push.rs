//! `POST /api/v1/write` and `POST /api/v1/push`: remote write 1.0 and 2.0.
//!
//! What the headers say is looked at before anything is expanded, so that a wrong type is answered with 415 even
//! where the body is broken too. 204 means that the log has every sample that can be kept. Of 2.0 each answer says
//! in headers how much was written, and a part that cannot be kept is answered with 400 while the rest is.
use std::future::poll_fn;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use ingest_core::{
    DecodeError, ExemplarError, FlawKind, LabelError, Protocol, Reason, Refused, Report, WriteError,
};
use model::TenantId;
use runtime::{Reserved, Tenant};

use crate::engine::{Engine, IngestError};
use crate::start_error::chain;

const MEDIA_TYPE: &str = "application/x-protobuf";
const MESSAGE_1: &str = "prometheus.WriteRequest";
const MESSAGE_2: &str = "io.prometheus.write.v2.Request";
const SAMPLES_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");
const OVERLOADED_RETRY_SECONDS: &str = "1";

pub(crate) async fn push(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let protocol = match check_headers(&parts.headers) {
        Ok(protocol) => protocol,
        Err(reason) => return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason),
    };
    let outcome = take(&engine, &tenant, protocol, &parts.headers, body).await;
    match (outcome, protocol) {
        (Ok(report), Protocol::V1) => answer_report(&report),
        (Ok(report), Protocol::V2) => with_written(answer_report_v2(&report), &report),
        (Err(response), Protocol::V1) => response,
        (Err(response), Protocol::V2) => with_written(response, &Report::default()),
    }
}

/// Reads the body and writes what it holds, or answers why not.
async fn take(
    engine: &Engine,
    tenant: &TenantId,
    protocol: Protocol,
    headers: &HeaderMap,
    body: Body,
) -> Result<Report, Response> {
    let mut reserved = engine.reserve();
    let body = match read_body(engine, headers, body, &mut reserved).await {
        Ok(body) => body,
        Err(BodyProblem::Broken) => {
            engine.metrics().count_refused_request_for("body_broken");
            let reason = "request body could not be read";
            return Err(plain(StatusCode::BAD_REQUEST, reason));
        }
        Err(BodyProblem::Refused(error)) => return Err(answer_error(&error)),
        Err(BodyProblem::TooLarge { bytes_max }) => {
            engine.metrics().count_refused_request_for("body_too_large");
            let reason = format!("request body is larger than the limit of {bytes_max} bytes");
            return Err(plain(StatusCode::PAYLOAD_TOO_LARGE, &reason));
        }
    };
    engine
        .push_reserved(tenant, protocol, body, reserved)
        .await
        .map_err(|error| answer_error(&error))
}

/// The content's encoding and type must be those of remote write; an absent header counts as that of 1.0.
fn check_headers(headers: &HeaderMap) -> Result<Protocol, String> {
    let text = |name| headers.get(name).map_or(Ok(""), |value| value.to_str());
    let encoding = text(CONTENT_ENCODING).unwrap_or("?").trim();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    let content_type = text(CONTENT_TYPE).unwrap_or("?").trim();
    if content_type.is_empty() {
        return Ok(Protocol::V1);
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
            return Err(format!(
                "content type {content_type:?} is not accepted by this server; its parameters must be name=value"
            ));
        };
        if name.trim().eq_ignore_ascii_case("proto") {
            return match value.trim().trim_matches('"') {
                MESSAGE_1 => Ok(Protocol::V1),
                MESSAGE_2 => Ok(Protocol::V2),
                message => Err(format!(
                    "{message} protobuf message is not accepted by this server; only {MESSAGE_1} and {MESSAGE_2} are acceptable"
                )),
            };
        }
    }
    Ok(Protocol::V1)
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
        .filter(|(reason, _)| !matches!(reason, Reason::Labels(_) | Reason::Exemplar(_)))
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
    let kept = report.accepted + report.accepted_histograms;
    let reason = format!("{} ({kept} samples kept)", texts.join("; "));
    plain(status, &reason)
}

/// Everything that is left out is told, a line for each reason; only exemplars may go without a word, if they do not come
/// out of order.
fn answer_report_v2(report: &Report) -> Response {
    let told: Vec<(Reason, String)> = report
        .refused
        .iter()
        .filter(|(reason, _)| {
            !matches!(reason, Reason::Exemplar(error) if *error != ExemplarError::OutOfOrder)
        })
        .map(|(reason, refused)| (*reason, refusal_text(*reason, refused)))
        .collect();
    if told.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    // Whoever comes again brings everything again, so that it must be worth it.
    let status = if told.iter().all(|(reason, _)| *reason == Reason::SeriesMax) {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::BAD_REQUEST
    };
    let texts: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
    plain(status, &texts.join("\n"))
}

/// In Prometheus' words. It names every sample; here the first one stands for all.
fn refusal_text(reason: Reason, refused: &Refused) -> String {
    let first = &refused.first;
    let text = match reason {
        Reason::Labels(LabelError::DuplicateName) => format!(
            "invalid labels for series, labels {first}, duplicated label {}",
            refused.name
        ),
        Reason::Labels(_) => format!("invalid metric name or labels, got {first}"),
        Reason::Flaw(FlawKind::Symbols(error)) => {
            format!("parsing labels for series {first}: {error}")
        }
        Reason::Exemplar(_)
        | Reason::Flaw(FlawKind::Empty)
        | Reason::Histogram(_)
        | Reason::Sample(_)
        | Reason::SeriesMax
        | Reason::Size(_) => format!("{reason} for series {first}"),
    };
    match refused.samples {
        0 | 1 => text,
        samples => format!("{text} (and {} more)", samples - 1),
    }
}

/// A sample that its series has already counts as written.
fn with_written(mut response: Response, report: &Report) -> Response {
    let headers = response.headers_mut();
    for (name, written) in [
        (SAMPLES_WRITTEN, report.accepted + report.repeated),
        (
            HISTOGRAMS_WRITTEN,
            report.accepted_histograms + report.repeated_histograms,
        ),
        (EXEMPLARS_WRITTEN, report.exemplars),
    ] {
        headers.insert(name, HeaderValue::from(written));
    }
    response
}

fn answer_error(error: &IngestError) -> Response {
    let status = match error {
        IngestError::Decode(
            DecodeError::Expanded { .. } | DecodeError::Labels { .. } | DecodeError::Parts,
        )
        | IngestError::Refused(WriteError::TooManySamples { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        IngestError::Refused(WriteError::Rate(_)) | IngestError::TooManyTenants => {
            StatusCode::TOO_MANY_REQUESTS
        }
        IngestError::Decode(_) | IngestError::Refused(_) => StatusCode::BAD_REQUEST,
        IngestError::Log(_) | IngestError::Unopened(_) => StatusCode::INTERNAL_SERVER_ERROR,
        IngestError::Hanging | IngestError::Overloaded | IngestError::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let mut response = plain(status, &chain(error));
    let retry_after = if let IngestError::Refused(WriteError::Rate(exceeded)) = error {
        Some(HeaderValue::from(exceeded.retry_after.as_secs()))
    } else {
        (status == StatusCode::SERVICE_UNAVAILABLE)
            .then_some(HeaderValue::from_static(OVERLOADED_RETRY_SECONDS))
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn plain(status: StatusCode, reason: &str) -> Response {
    (status, format!("{reason}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

    use ingest_core::Protocol;

    use super::check_headers;

    #[test]
    fn only_remote_write_is_accepted() {
        let snappy = Some("snappy");
        for (content_type, encoding, outcome) in [
            (None, None, Ok(Protocol::V1)),
            (Some("application/x-protobuf"), snappy, Ok(Protocol::V1)),
            (
                Some("application/x-protobuf;proto=prometheus.WriteRequest"),
                snappy,
                Ok(Protocol::V1),
            ),
            (
                Some("Application/X-Protobuf; charset=x"),
                Some(""),
                Ok(Protocol::V1),
            ),
            (
                Some("application/x-protobuf; proto=io.prometheus.write.v2.Request"),
                snappy,
                Ok(Protocol::V2),
            ),
            (
                Some("application/x-protobuf;charset=x;proto=\"io.prometheus.write.v2.Request\""),
                Some("Snappy"),
                Ok(Protocol::V2),
            ),
            (
                Some("application/x-protobuf"),
                Some("gzip"),
                Err(
                    "gzip encoding (compression) is not accepted by this server; only snappy is acceptable",
                ),
            ),
            (
                Some("application/json"),
                snappy,
                Err(
                    "content type \"application/json\" is not accepted by this server; expected application/x-protobuf",
                ),
            ),
            (
                Some("application/x-protobuf;proto"),
                snappy,
                Err(
                    "content type \"application/x-protobuf;proto\" is not accepted by this server; its parameters must be name=value",
                ),
            ),
            (
                Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"),
                snappy,
                Err(
                    "io.prometheus.write.v3.Request protobuf message is not accepted by this server; only prometheus.WriteRequest and io.prometheus.write.v2.Request are acceptable",
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
            let checked = check_headers(&headers);
            assert_eq!(
                checked,
                outcome.map_err(str::to_owned),
                "{content_type:?} {encoding:?}"
            );
        }
    }
}
