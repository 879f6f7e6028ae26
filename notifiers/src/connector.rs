//! How requests reach their host: TLS, proxy, redirects, connections that are used again.
use std::time::Duration;

use config::{HttpConfig, OAuth2, ProxyConfig, TlsConfig};
use notifiers_core::{
    BodyExtent, HttpRequest, HttpResponse, Method, RESPONSE_BODY_MAX, Reached, Response,
};
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use reqwest::{Client, Proxy, RequestBuilder, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::failure::{chain, failed, out_of_time};
use crate::proxy::{NotAnAddress, ProxyRules};
use crate::tls::{TlsError, TlsMaterial, client_config};
use crate::trace_context::traceparent;

/// Longer than this nobody waits for a connection: the fourth try of TCP, after seven seconds, still counts, and the
/// shortest attempt that names no `timeout` (ten seconds) is longer, so that one which got no connection is known to have
/// sent nothing. An attempt may be shorter still.
pub(crate) const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(8);
/// A connection is given up when for so long nobody has acknowledged what was sent: an answer may be waited for over many
/// minutes, but only of somebody who is there.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(30);
/// While nothing is to be sent the other side is asked whether it is there, after so long and then so often.
pub(crate) const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// As many as fit before [`DEAD_AFTER`].
pub(crate) const KEEPALIVES_MAX: u32 = 4;
/// Connections that wait longer for their next request are closed: a vendor may close them too (many do after five
/// seconds), and a request that meets such an end would be neither told nor known not to be.
const POOL_IDLE: Duration = Duration::from_secs(2);
/// From an answer's head to its end.
const BODY_MAX: Duration = Duration::from_secs(5);
/// What has come is still taken so long after the time is over.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_millis(100);
const REDIRECTS_MAX: usize = 5;
/// Of an answer that is longer, the rest is not read and the connection is given up.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const USER_AGENT: &str = concat!("Watchbell/", env!("CARGO_PKG_VERSION"));

/// Why a client cannot be made, or a request not be sent.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("oauth2 knows no grant_type {0:?}")]
    GrantType(String),
    #[error(
        "oauth2 needs client_certificate_key or client_certificate_key_file for a signed assertion"
    )]
    NoAssertionKey,
    #[error("the proxy's address cannot be used")]
    Proxy,
    #[error("header {0:?} cannot be sent")]
    Header(String),
    #[error("{0}")]
    Secret(String),
    #[error("no OAuth 2 token: {0}")]
    Token(String),
    #[error("TLS")]
    Tls(#[source] TlsError),
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// What decides how a host is reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transport {
    tls: TlsConfig,
    proxy: ProxyConfig,
    follow_redirects: bool,
    enable_http2: bool,
    /// Nothing but HTTP/2, without TLS too.
    http2_only: bool,
    connect_timeout: Duration,
}

impl Transport {
    /// `attempt_timeout` is how long one attempt takes at most: a part of it is for connecting, so that an attempt that
    /// got no connection is known to have sent nothing.
    pub(crate) fn of(config: &HttpConfig, attempt_timeout: Duration) -> Self {
        Self {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            follow_redirects: config.follow_redirects,
            enable_http2: config.enable_http2,
            http2_only: false,
            connect_timeout: (attempt_timeout / 4 * 3).min(CONNECT_TIMEOUT_MAX),
        }
    }

    pub(crate) fn over_http2(self) -> Self {
        Self {
            http2_only: true,
            ..self
        }
    }

    /// Towards the server that gives tokens.
    pub(crate) fn of_tokens(config: &OAuth2) -> Self {
        Self {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            follow_redirects: true,
            enable_http2: true,
            http2_only: false,
            connect_timeout: CONNECT_TIMEOUT_MAX,
        }
    }
}

pub(crate) struct Connector {
    transport: Transport,
    /// Made at the first request, and again when a file of `tls_config` has changed.
    built: Mutex<Option<(TlsMaterial, Client)>>,
}

impl Connector {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            built: Mutex::new(None),
        }
    }

    /// A request that only needs to be sent. Its own headers win over `headers`.
    pub(crate) async fn prepare(
        &self,
        request: &HttpRequest,
        mut headers: HeaderMap,
    ) -> Result<RequestBuilder, HttpError> {
        let method = match request.method {
            Method::Delete => reqwest::Method::DELETE,
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        if let Some(traceparent) = traceparent() {
            headers.insert(TRACEPARENT, header_value("traceparent", &traceparent)?);
        }
        for (name, value) in &request.headers {
            headers.insert(header_name(name)?, header_value(name, value)?);
        }
        Ok(self
            .client()
            .await?
            .request(method, &request.url)
            .headers(headers)
            .body(request.body.clone()))
    }

    /// Reads the files of `tls_config` and makes the client, without a request.
    pub(crate) async fn rehearse(&self) -> Result<(), HttpError> {
        self.client().await.map(drop)
    }

    async fn client(&self) -> Result<Client, HttpError> {
        let material = TlsMaterial::read(&self.transport.tls)
            .await
            .map_err(HttpError::Tls)?;
        let mut built = self.built.lock();
        if let Some((known, client)) = &*built
            && *known == material
        {
            return Ok(client.clone());
        }
        let client = build(&self.transport, &material)?;
        *built = Some((material, client.clone()));
        Ok(client)
    }
}

fn build(transport: &Transport, material: &TlsMaterial) -> Result<Client, HttpError> {
    let mut tls = client_config(&transport.tls, material).map_err(HttpError::Tls)?;
    tls.alpn_protocols = if transport.http2_only {
        vec![b"h2".to_vec()]
    } else if transport.enable_http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .connect_timeout(transport.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(KEEPALIVE_AFTER)
        .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(KEEPALIVES_MAX)
        .referer(false)
        .redirect(redirects(transport.follow_redirects));
    if transport.http2_only {
        builder = builder.http2_prior_knowledge();
    } else if !transport.enable_http2 {
        builder = builder.http1_only();
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        builder = builder.tcp_user_timeout(DEAD_AFTER);
    }
    builder = builder.no_proxy();
    for proxy in proxies(&transport.proxy)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(HttpError::Client)
}

/// Only 307 and 308 say "the same request, elsewhere"; the others would turn a notification into a GET without its
/// body, which tells nobody anything. Elsewhere must be the same host, at most with TLS where there was none: what is
/// sent holds credentials. An answer that is not followed is the vendor's answer.
fn redirects(follow: bool) -> redirect::Policy {
    if !follow {
        return redirect::Policy::none();
    }
    redirect::Policy::custom(|attempt| {
        let same_request = matches!(
            attempt.status(),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        let same_host = attempt.previous().last().is_some_and(|from| {
            let to = attempt.url();
            from.origin() == to.origin() || (from.host() == to.host() && to.scheme() == "https")
        });
        if same_request && same_host && attempt.previous().len() <= REDIRECTS_MAX {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// Two, because the headers are the proxy's alone: it gets them where it makes a tunnel, and would hand them on to the
/// vendor where it passes a request.
fn proxies(config: &ProxyConfig) -> Result<Vec<Proxy>, HttpError> {
    let rules = ProxyRules::read(config, &|name| std::env::var(name).ok())
        .map_err(|NotAnAddress| HttpError::Proxy)?;
    let Some(rules) = rules else {
        return Ok(Vec::new());
    };
    let mut headers = HeaderMap::new();
    for (name, values) in &config.connect_headers {
        for value in values {
            headers.append(header_name(name)?, header_value(name, value.reveal())?);
        }
    }
    let proxy = |scheme: &'static str| {
        let rules = rules.clone();
        Proxy::custom(move |url| match url.scheme() == scheme {
            true => rules.proxy_for(url).cloned(),
            false => None,
        })
    };
    Ok(vec![proxy("https").headers(headers), proxy("http")])
}

pub(crate) fn header_name(name: &str) -> Result<HeaderName, HttpError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::Header(name.to_owned()))
}

pub(crate) fn header_value(name: &str, value: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| HttpError::Header(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends the request, waits for the answer's beginning as long as it is polled, and for the rest of it until `until`,
/// [`BODY_MAX`] at most: its status says what became of the request, and a vendor that does not end its words has mostly
/// been told all the same.
pub(crate) async fn exchange(request: RequestBuilder, until: Instant) -> Response {
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let reached = if error.is_connect() || error.is_builder() {
                Reached::Nothing
            } else {
                Reached::PerhapsAll
            };
            let is_late = error.is_timeout();
            // The address may be a secret.
            let text = chain(&error.without_url());
            return if is_late {
                out_of_time(reached, text)
            } else {
                failed(reached, text)
            };
        }
    };
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let mut response = HttpResponse {
        status: answer.status().as_u16(),
        headers,
        body: Vec::new(),
        extent: BodyExtent::CutOff,
    };
    let mut read = 0;
    let until = until.min(Instant::now() + BODY_MAX);
    loop {
        match timeout_at(until, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                read += chunk.len();
                let wanted = RESPONSE_BODY_MAX - response.body.len();
                response
                    .body
                    .extend_from_slice(&chunk[..chunk.len().min(wanted)]);
                if read > ANSWER_BYTES_MAX {
                    return Response::Http(response);
                }
            }
            Ok(Ok(None)) => {
                if read == response.body.len() {
                    response.extent = BodyExtent::Whole;
                }
                return Response::Http(response);
            }
            // The vendor has said what became of the request; the rest of its words is missing.
            Ok(Err(_)) | Err(_) => return Response::Http(response),
        }
    }
}
