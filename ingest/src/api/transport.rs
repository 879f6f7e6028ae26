//! How answers travel: for pages of other origins, and compressed where whoever asks can read that.
use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_ENCODING, CONTENT_LENGTH,
    ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Below this nothing is gained.
const COMPRESSED_BYTES_MIN: u64 = 1024;
/// Above this it takes a while, and others wait for the thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Lets pages of other origins ask.
pub(crate) async fn across_origins(request: Request, next: Next) -> Response {
    let is_foreign = request.headers().contains_key(ORIGIN);
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    if is_foreign {
        allow_origins(response.headers_mut());
    }
    response
}

/// Compresses answers for those who can read that.
pub(crate) async fn compression(request: Request, next: Next) -> Response {
    let encoding = accepted(request.headers());
    compressed(next.run(request).await, encoding).await
}

/// Prometheus' `--web.cors.origin` at its default: any page may ask.
fn allow_origins(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Accept, Authorization, Content-Type, Origin",
        ),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Identity,
    Zstd,
}

/// What is wanted most of what there is; gzip where it is all the same, which is faster and smaller here.
fn accepted(headers: &HeaderMap) -> Encoding {
    let mut best = (Encoding::Identity, 0.0);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let encoding = match name.trim().to_ascii_lowercase().as_str() {
                "gzip" => Encoding::Gzip,
                "zstd" => Encoding::Zstd,
                _ => continue,
            };
            let weight = parameters
                .split(';')
                .find_map(|parameter| parameter.trim().strip_prefix("q="))
                .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > best.1 || (weight == best.1 && encoding == Encoding::Gzip && weight > 0.0) {
                best = (encoding, weight);
            }
        }
    }
    best.0
}

/// The API's bodies are in memory whole before they are sent, so that this takes none in that is not there.
async fn compressed(response: Response, encoding: Encoding) -> Response {
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    if bytes < COMPRESSED_BYTES_MIN {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let vary = HeaderValue::from_static("Accept-Encoding");
    parts.headers.append(VARY, vary);
    let name = match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Identity => return Response::from_parts(parts, body),
        Encoding::Zstd => "zstd",
    };
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let small = if plain.len() <= INLINE_BYTES_MAX {
        compress(&plain, encoding)
    } else {
        let work = tokio::task::spawn_blocking({
            let plain = plain.clone();
            move || compress(&plain, encoding)
        });
        work.await.unwrap_or_default()
    };
    let Some(small) = small else {
        return Response::from_parts(parts, Body::from(plain));
    };
    parts.headers.remove(CONTENT_LENGTH);
    let value = HeaderValue::from_static(name);
    parts.headers.insert(CONTENT_ENCODING, value);
    Response::from_parts(parts, Body::from(small))
}

fn compress(plain: &Bytes, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Gzip => {
            let room = Vec::with_capacity(plain.len() / 4);
            let mut encoder = GzEncoder::new(room, Compression::fast());
            encoder.write_all(plain).ok()?;
            encoder.finish().ok()
        }
        Encoding::Identity => None,
        Encoding::Zstd => Some(compress_to_vec(plain.as_ref(), CompressionLevel::Fastest)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::ACCEPT_ENCODING;

    use super::{Encoding, accepted};

    #[test]
    fn what_is_wanted_most_is_taken() {
        for (values, encoding) in [
            (&[][..], Encoding::Identity),
            (&["gzip"], Encoding::Gzip),
            (&["gzip, deflate, br"], Encoding::Gzip),
            (&["GZIP;q=0.5, zstd;q=0.4"], Encoding::Gzip),
            (&["gzip, zstd"], Encoding::Gzip),
            (&["zstd", "gzip"], Encoding::Gzip),
            (&["gzip;q=0.9, zstd"], Encoding::Zstd),
            (&["br, zstd"], Encoding::Zstd),
            (&["gzip;q=0"], Encoding::Identity),
            (&["identity, br"], Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(accepted(&headers), encoding, "{values:?}");
        }
    }
}
