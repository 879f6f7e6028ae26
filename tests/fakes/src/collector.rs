//! An OpenTelemetry collector: takes spans by OTLP over HTTP and over gRPC on one port.
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Empty};
use model::protobuf::{Fields, WireError};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::Tls;

/// No test sends as much.
const MESSAGE_MAX: u64 = 16 * 1024 * 1024;

/// Ends when it is dropped.
pub struct TraceCollector {
    address: SocketAddr,
    taken: Arc<Taken>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Taken {
    requests: Mutex<Vec<TraceExport>>,
    refusals: Mutex<Vec<String>>,
    is_full: AtomicBool,
}

/// One request that was taken.
#[derive(Clone, Debug)]
pub struct TraceExport {
    pub is_grpc: bool,
    pub is_gzip: bool,
    /// In text, names in lower case.
    pub headers: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
    pub spans: Vec<ExportedSpan>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportedSpan {
    /// In hexadecimal digits, as the next ones.
    pub trace: String,
    pub span: String,
    /// Empty where the span has none.
    pub parent: String,
    pub name: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: u64,
    pub began: u64,
    pub ended: u64,
    pub attributes: BTreeMap<String, String>,
    /// The text of an error.
    pub failure: Option<String>,
}

impl TraceCollector {
    /// # Panics
    /// Where loopback has no free port: no test can go on without.
    pub async fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await)
    }

    /// # Panics
    /// As [`TraceCollector::start`].
    pub async fn start_with_tls(tls: &Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let acceptor = tls.http2_acceptor();
        Self::serve(listener.map(|listener| TlsListener { listener, acceptor }))
    }

    fn serve(listener: io::Result<impl Listener<Addr = SocketAddr>>) -> Self {
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let taken: Arc<Taken> = Arc::default();
        let router = Router::new()
            .route("/v1/traces", post(take_http))
            .route(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                post(take_grpc),
            )
            .with_state(taken.clone());
        let serving = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            taken,
            serving,
        }
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    #[must_use]
    pub fn requests(&self) -> Vec<TraceExport> {
        self.taken.requests.lock().clone()
    }

    #[must_use]
    pub fn spans(&self) -> Vec<ExportedSpan> {
        let requests = self.taken.requests.lock();
        let spans = requests.iter().flat_map(|request| &request.spans);
        spans.cloned().collect()
    }

    /// From here on nothing is taken.
    pub fn refuse_all(&self) {
        self.taken.is_full.store(true, Ordering::Relaxed);
    }

    /// Why requests were refused.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.taken.refusals.lock().clone()
    }
}

impl Drop for TraceCollector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// One handshake after the other: enough for a test.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Whoever speaks no TLS, or does not trust this certificate, comes in vain.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn take_http(State(taken): State<Arc<Taken>>, headers: HeaderMap, body: Bytes) -> Response {
    let is_gzip = match text(&headers, "content-encoding").as_str() {
        "" => false,
        "gzip" => true,
        other => return taken.refuse(&format!("content-encoding {other}")),
    };
    if text(&headers, "content-type") != "application/x-protobuf" {
        return taken.refuse("the content type is not that of protobuf");
    }
    match taken.take(false, is_gzip, &headers, &body) {
        Ok(()) => ([("content-type", "application/x-protobuf")], "").into_response(),
        Err(reason) => taken.refuse(&reason),
    }
}

async fn take_grpc(
    State(taken): State<Arc<Taken>>,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let refusal = if version != Version::HTTP_2 {
        Some("gRPC goes over HTTP/2".to_owned())
    } else if text(&headers, "content-type") != "application/grpc" {
        Some("the content type is not that of gRPC".to_owned())
    } else if text(&headers, "te") != "trailers" {
        Some("trailers are not announced".to_owned())
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return taken.refuse(&refusal);
    }
    let outcome = match body.split_first_chunk::<5>() {
        Some(([flag, length @ ..], message))
            if u32::from_be_bytes(*length) as usize == message.len() =>
        {
            let announced = text(&headers, "grpc-encoding");
            if *flag == 1 && announced != "gzip" {
                Err("compressed, and it was not said how".to_owned())
            } else {
                taken.take(true, *flag == 1, &headers, message)
            }
        }
        Some(_) | None => Err("no message of the length that it says".to_owned()),
    };
    let (status, message) = match outcome {
        Ok(()) => ("0", String::new()),
        Err(reason) => {
            taken.refusals.lock().push(reason.clone());
            ("3", reason)
        }
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    if let Ok(message) = HeaderValue::from_str(&message) {
        trailers.insert("grpc-message", message);
    }
    let body = Empty::<Bytes>::new().with_trailers(async { Some(Ok(trailers)) });
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

impl Taken {
    fn refuse(&self, reason: &str) -> Response {
        self.refusals.lock().push(reason.to_owned());
        (StatusCode::BAD_REQUEST, reason.to_owned()).into_response()
    }

    fn take(
        &self,
        is_grpc: bool,
        is_gzip: bool,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), String> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err("full".to_owned());
        }
        let mut message = Vec::new();
        if is_gzip {
            let mut decoder = GzDecoder::new(body).take(MESSAGE_MAX);
            let read = decoder.read_to_end(&mut message);
            read.map_err(|failure| failure.to_string())?;
        } else {
            message.extend_from_slice(body);
        }
        let mut export = TraceExport {
            is_grpc,
            is_gzip,
            headers: headers
                .keys()
                .map(|name| (name.to_string(), text(headers, name.as_str())))
                .collect(),
            resource: BTreeMap::new(),
            spans: Vec::new(),
        };
        read_request(&message, &mut export).map_err(|error| error.to_string())?;
        if let Some(span) = export.spans.iter().find(|span| !span.is_valid()) {
            return Err(format!("not a span: {span:?}"));
        }
        self.requests.lock().push(export);
        Ok(())
    }
}

impl ExportedSpan {
    fn is_valid(&self) -> bool {
        self.trace.len() == 32
            && self.span.len() == 16
            && [0, 16].contains(&self.parent.len())
            && !self.name.is_empty()
            && self.began > 0
            && self.ended >= self.began
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn read_request(message: &[u8], export: &mut TraceExport) -> Result<(), WireError> {
    each(message, |field, resource_spans| {
        if field != 1 {
            return Ok(());
        }
        each(resource_spans.bytes, |field, part| match field {
            1 => each(part.bytes, |field, pair| {
                read_attribute(field == 1, pair, &mut export.resource)
            }),
            2 => each(part.bytes, |field, span| {
                if field == 2 {
                    export.spans.push(read_span(span.bytes)?);
                }
                Ok(())
            }),
            _ => Ok(()),
        })
    })
}

fn read_span(message: &[u8]) -> Result<ExportedSpan, WireError> {
    let mut span = ExportedSpan::default();
    each(message, |field, value| {
        match field {
            1 => span.trace = hex(value.bytes),
            2 => span.span = hex(value.bytes),
            4 => span.parent = hex(value.bytes),
            5 => span.name = String::from_utf8_lossy(value.bytes).into_owned(),
            6 => span.kind = value.number,
            7 => span.began = value.number,
            8 => span.ended = value.number,
            9 => read_attribute(true, value, &mut span.attributes)?,
            15 => each(value.bytes, |field, value| {
                if field == 2 {
                    span.failure = Some(String::from_utf8_lossy(value.bytes).into_owned());
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(span)
}

fn read_attribute(
    is_one: bool,
    pair: Value<'_>,
    attributes: &mut BTreeMap<String, String>,
) -> Result<(), WireError> {
    if !is_one {
        return Ok(());
    }
    let (mut name, mut text) = (String::new(), String::new());
    each(pair.bytes, |field, part| match field {
        1 => {
            name = String::from_utf8_lossy(part.bytes).into_owned();
            Ok(())
        }
        _ => each(part.bytes, |field, value| {
            text = match field {
                1 => String::from_utf8_lossy(value.bytes).into_owned(),
                _ => value.number.to_string(),
            };
            Ok(())
        }),
    })?;
    attributes.insert(name, text);
    Ok(())
}

/// A field's value, in the form that it has.
#[derive(Clone, Copy, Default)]
struct Value<'m> {
    bytes: &'m [u8],
    number: u64,
}

fn each<'m>(
    message: &'m [u8],
    mut read: impl FnMut(u32, Value<'m>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        let mut value = Value::default();
        match tag.wire {
            model::protobuf::BYTES => value.bytes = fields.bytes()?,
            model::protobuf::VARINT => value.number = fields.varint()?,
            model::protobuf::FIXED64 => value.number = fields.fixed64()?,
            other => fields.skip(other)?,
        }
        read(tag.field, value)?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
