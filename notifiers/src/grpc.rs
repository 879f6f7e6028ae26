//! One call of a gRPC service: a request over HTTP/2 whose end says how it went (gRPC over HTTP/2, unary calls).
use std::time::Duration;

use http_body_util::BodyExt;
use notifiers_core::{HttpRequest, Method};
use reqwest::header::HeaderMap;
use runtime::Clock;

use crate::connector::HttpError;
use crate::failure::chain;
use crate::http::HttpClient;

/// A message is preceded by whether it is compressed and by its length.
const PREFIX_BYTES: usize = 5;
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
/// Of what a server says about itself.
const SAID_MAX: usize = 200;

/// Why a call did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Failed(String),
    #[error("HTTP status {0}")]
    Http(u16),
    /// In the server's words.
    #[error("gRPC status {status}: {message}")]
    Status { status: String, message: String },
    #[error("the request cannot be made")]
    Request(#[source] HttpError),
}

/// A message for a method, as it goes over the wire.
pub struct Call<'a> {
    /// `http(s)://host:port/package.Service/Method`
    pub url: String,
    pub message: &'a [u8],
    /// Whether the message is compressed with gzip.
    pub is_gzip: bool,
}

impl HttpClient {
    /// Calls over a client of [`HttpClient::over_http2`], and looks at nothing of the answer but how it ends.
    ///
    /// # Errors
    /// Anything but gRPC's status 0.
    pub async fn call(
        &self,
        call: &Call<'_>,
        timeout: Duration,
        clock: &dyn Clock,
    ) -> Result<(), CallError> {
        match tokio::time::timeout(timeout, self.call_in_time(call, timeout, clock)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallError::Late(timeout)),
        }
    }

    async fn call_in_time(
        &self,
        call: &Call<'_>,
        timeout: Duration,
        clock: &dyn Clock,
    ) -> Result<(), CallError> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/grpc".to_owned()),
            ("te".to_owned(), "trailers".to_owned()),
            (
                "grpc-timeout".to_owned(),
                format!("{}m", timeout.as_millis().min(99_999_999)),
            ),
        ];
        if call.is_gzip {
            headers.push(("grpc-encoding".to_owned(), "gzip".to_owned()));
        }
        let request = HttpRequest {
            method: Method::Post,
            url: call.url.clone(),
            headers,
            body: framed(call),
            timeout: Some(timeout),
        };
        let prepared = self.prepare(&request, clock).await;
        let sent = prepared.map_err(CallError::Request)?.send().await;
        let answer = sent.map_err(|error| CallError::Failed(chain(&error.without_url())))?;
        if !answer.status().is_success() {
            return Err(CallError::Http(answer.status().as_u16()));
        }
        // Where there is nothing else to say the status stands in the headers.
        if let Some(ended) = ended(answer.headers()) {
            return ended;
        }
        let mut body = reqwest::Body::from(answer);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| CallError::Failed(chain(&error.without_url())))?;
            if let Some(ended) = frame.trailers_ref().and_then(ended) {
                return ended;
            }
        }
        Err(CallError::Failed(format!("the answer has no {STATUS}")))
    }
}

fn framed(call: &Call<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(PREFIX_BYTES + call.message.len());
    body.push(u8::from(call.is_gzip));
    let length = u32::try_from(call.message.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(call.message);
    body
}

fn ended(headers: &HeaderMap) -> Option<Result<(), CallError>> {
    let text = |name| {
        let value = headers.get(name)?;
        let text = String::from_utf8_lossy(value.as_bytes());
        Some(text.chars().take(SAID_MAX).collect::<String>())
    };
    let status = text(STATUS)?;
    Some(if status == "0" {
        Ok(())
    } else {
        let message = text(MESSAGE).unwrap_or_default();
        Err(CallError::Status { status, message })
    })
}
