//! One connection, from its first byte until it is closed.
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::debug;

use crate::server::body::{BodyLate, PunctualBody};
use crate::server::deadline::Progress;
use crate::server::limits::ServerLimits;
use crate::server::metrics::ServerMetrics;
use crate::server::stream::NotedStream;
use crate::server::web::Web;
use crate::stop::Stop;

/// Queries stand in addresses, and nobody's is longer; each open connection may fill a buffer of this size.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection: what a busy proxy needs, and little beside [`ServerLimits`]' connections.
const HTTP2_STREAMS_MAX: u32 = 128;

/// What all connections share.
pub(crate) struct Serving {
    pub(crate) router: Router,
    pub(crate) limits: ServerLimits,
    pub(crate) metrics: ServerMetrics,
    pub(crate) web: Option<Arc<Web>>,
}

/// Serves a connection, inside TLS where that is to be spoken.
pub(crate) async fn serve_stream(serving: Arc<Serving>, stream: TcpStream, mut stop: Stop) {
    let Some(tls) = serving.web.as_ref().and_then(|web| web.tls()) else {
        return serve_connection(serving, stream, stop).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let shaken = tokio::select! {
        shaken = timeout(serving.limits.head_time_max, handshake) => shaken,
        () = stop.stopped() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve_connection(serving, stream, stop).await,
        // Scanners and clients of plain HTTP: nothing for the operator to do.
        Ok(Err(problem)) => debug!(error = %problem, "TLS handshake failed"),
        Err(_) => serving.metrics.timed_out("handshake"),
    }
}

/// Serves until the client has gone, is overdue, or was answered after the signal to stop.
async fn serve_connection<S>(serving: Arc<Serving>, stream: S, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let _connected = serving.metrics.connected();
    let progress = Arc::new(Mutex::new(Progress::new(Instant::now())));
    let stream = TokioIo::new(NotedStream::new(stream, progress.clone()));
    let service = service_fn({
        let (serving, progress) = (serving.clone(), progress.clone());
        move |request| {
            let (serving, open) = (serving.clone(), OpenRequest::begin(progress.clone()));
            async move {
                let response = answer(&serving, request).await;
                drop(open);
                Ok::<_, Infallible>(response)
            }
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(stream, service));
    let overdue = {
        let mut stopped = pin!(stop.stopped());
        let mut is_stopping = false;
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut timed_for = None;
        poll_fn(|context| {
            if !is_stopping && stopped.as_mut().poll(context).is_ready() {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // Whatever went wrong between the two is for the client to see.
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if is_stopping && progress.lock().is_reading_head() {
                return Poll::Ready(None);
            }
            // All progress is made in the poll above, so that the deadline cannot change until the next turn; that of
            // HTTP/2 requests, which run elsewhere, wakes this task when their answers are to be sent.
            let deadline = progress.lock().deadline(&serving.limits);
            let Some((at, overdue)) = deadline else {
                return Poll::Pending;
            };
            if timed_for != Some(at) {
                timed_for = Some(at);
                timer.as_mut().reset(at);
            }
            timer.as_mut().poll(context).map(|()| Some(overdue))
        })
        .await
    };
    if let Some(overdue) = overdue {
        serving.metrics.timed_out(overdue.as_str());
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `deadline.rs` has one that tells a slow head from a quiet connection.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    builder
}

async fn answer(serving: &Serving, request: Request<Incoming>) -> Response {
    let Some(web) = &serving.web else {
        return answer_guest(serving, request).await;
    };
    let mut response = match web.refusal(request.headers()).await {
        Some(refusal) => refusal,
        None => answer_guest(serving, request).await,
    };
    web.add_headers(&mut response);
    response
}

/// Answers somebody who may come in.
async fn answer_guest(serving: &Serving, request: Request<Incoming>) -> Response {
    let version = request.version();
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return route(serving, Request::from_parts(parts, Body::new(body))).await;
    }
    let (body, late) = PunctualBody::new(body, &serving.limits);
    let response = route(serving, Request::from_parts(parts, Body::new(body))).await;
    if !late.is_so() {
        return response;
    }
    // Whatever the handler made of the body's error, this is what happened.
    serving.metrics.timed_out("body");
    let mut response = (StatusCode::REQUEST_TIMEOUT, format!("{BodyLate}\n")).into_response();
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn route(serving: &Serving, request: Request<Body>) -> Response {
    let Ok(response) = serving.router.clone().oneshot(request).await;
    response
}

/// A request is open while its answer is made, also where its client goes away meanwhile.
struct OpenRequest(Arc<Mutex<Progress>>);

impl OpenRequest {
    fn begin(progress: Arc<Mutex<Progress>>) -> Self {
        progress.lock().request_began();
        Self(progress)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.lock().request_ended(Instant::now());
    }
}
