//! HTTP towards vendors: one client for each `http_config`.
use std::time::Duration;

use config::{HttpAuthorization, HttpConfig, ProxyConfig, SecretSource};
use notifiers_core::{HttpRequest, HttpResponse, Method, RESPONSE_BODY_MAX, Reached, Response};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use reqwest::{Client, NoProxy, Proxy, RequestBuilder, StatusCode};

use crate::failure::{chain, failed, nothing_sent};
use crate::secret_file::{read_text, reveal};
use crate::tls::{TlsError, TlsMaterial, client_config};

/// Longer than this nobody waits for a connection; an attempt may be shorter still.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// Connections that wait longer for their next request are closed: a vendor may close them too (many do after five
/// seconds), and a request that meets such an end would be neither told nor known not to be.
const POOL_IDLE: Duration = Duration::from_secs(2);
const REDIRECTS_MAX: usize = 5;
/// Of an answer that is longer, the rest is not read and the connection is given up.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const USER_AGENT: &str = concat!("Watchbell/", env!("CARGO_PKG_VERSION"));

/// Why a client cannot be made, or a request not be sent.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("oauth2 is not supported by this version")]
    OAuth2,
    #[error("the proxy's address cannot be used")]
    Proxy,
    #[error("header {0:?} cannot be sent")]
    Header(String),
    #[error("{0}")]
    Secret(String),
    #[error("TLS")]
    Tls(#[source] TlsError),
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Speaks HTTP as one `http_config` says. Connections are shared by all requests.
pub(crate) struct HttpClient {
    config: HttpConfig,
    connect_timeout: Duration,
    /// Made at the first request, and again when a file of `tls_config` has changed.
    built: Mutex<Option<(TlsMaterial, Client)>>,
}

impl HttpClient {
    /// `attempt_timeout` is how long one attempt takes at most: a part of it is for connecting, so that an attempt that
    /// got no connection is known to have sent nothing.
    pub(crate) fn new(config: HttpConfig, attempt_timeout: Duration) -> Result<Self, HttpError> {
        if matches!(config.authorization, Some(HttpAuthorization::OAuth2(_))) {
            return Err(HttpError::OAuth2);
        }
        Ok(Self {
            config,
            connect_timeout: connect_timeout(attempt_timeout),
            built: Mutex::new(None),
        })
    }

    /// Whether requests of such an integration may go through this client.
    pub(crate) fn serves(&self, config: &HttpConfig, attempt_timeout: Duration) -> bool {
        self.config == *config && self.connect_timeout == connect_timeout(attempt_timeout)
    }

    /// Asks, and waits for the whole answer, `time_left` at most.
    pub(crate) async fn ask(&self, request: &HttpRequest, time_left: Duration) -> Response {
        let mut reached = Reached::Nothing;
        let asking = async {
            match self.prepare(request).await {
                Err(error) => nothing_sent(chain(&error)),
                Ok(prepared) => {
                    reached = Reached::PerhapsAll;
                    exchange(prepared).await
                }
            }
        };
        match tokio::time::timeout(time_left, asking).await {
            Ok(response) => response,
            Err(_) => failed(reached, format!("no answer within {time_left:?}")),
        }
    }

    async fn prepare(&self, request: &HttpRequest) -> Result<RequestBuilder, HttpError> {
        let client = self.client().await?;
        let method = match request.method {
            Method::Delete => reqwest::Method::DELETE,
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut headers = self.configured_headers().await?;
        for (name, value) in &request.headers {
            headers.insert(header_name(name)?, header_value(name, value)?);
        }
        Ok(client
            .request(method, &request.url)
            .headers(headers)
            .body(request.body.clone()))
    }

    async fn client(&self) -> Result<Client, HttpError> {
        let material = TlsMaterial::read(&self.config.tls)
            .await
            .map_err(HttpError::Tls)?;
        let mut built = self.built.lock();
        if let Some((known, client)) = &*built
            && *known == material
        {
            return Ok(client.clone());
        }
        let client = build(&self.config, &material, self.connect_timeout)?;
        *built = Some((material, client.clone()));
        Ok(client)
    }

    /// `http_headers` and the authorization, with the secrets as they are at this moment.
    async fn configured_headers(&self) -> Result<HeaderMap, HttpError> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.config.headers {
            let own = header_name(name)?;
            for value in &values.values {
                headers.append(own.clone(), header_value(name, value)?);
            }
            for secret in &values.secrets {
                headers.append(own.clone(), header_value(name, secret.reveal())?);
            }
            for file in &values.files {
                let text = read_text(file).await.map_err(HttpError::Secret)?;
                headers.append(own.clone(), header_value(name, &text)?);
            }
        }
        if let Some(value) = self.authorization().await? {
            headers.insert(AUTHORIZATION, header_value("authorization", &value)?);
        }
        Ok(headers)
    }

    async fn authorization(&self) -> Result<Option<String>, HttpError> {
        async fn text(source: Option<&SecretSource>) -> Result<String, HttpError> {
            match source {
                None => Ok(String::new()),
                Some(source) => reveal(source).await.map_err(HttpError::Secret),
            }
        }
        Ok(match &self.config.authorization {
            None => None,
            Some(HttpAuthorization::Basic { username, password }) => {
                let username = text(username.as_ref()).await?;
                let password = text(password.as_ref()).await?;
                Some(basic(&username, &password))
            }
            Some(HttpAuthorization::Scheme {
                scheme,
                credentials,
            }) => {
                let credentials = text(credentials.as_ref()).await?;
                Some(format!("{scheme} {credentials}").trim_end().to_owned())
            }
            Some(HttpAuthorization::OAuth2(_)) => return Err(HttpError::OAuth2),
        })
    }
}

fn connect_timeout(attempt_timeout: Duration) -> Duration {
    (attempt_timeout * 3 / 4).min(CONNECT_TIMEOUT_MAX)
}

fn build(
    config: &HttpConfig,
    material: &TlsMaterial,
    connect_timeout: Duration,
) -> Result<Client, HttpError> {
    let mut tls = client_config(&config.tls, material).map_err(HttpError::Tls)?;
    tls.alpn_protocols = if config.enable_http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .referer(false)
        .redirect(redirects(config.follow_redirects));
    if !config.enable_http2 {
        builder = builder.http1_only();
    }
    if !config.proxy.from_environment {
        builder = builder.no_proxy();
    }
    if let Some(proxy) = proxy(&config.proxy)? {
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

fn proxy(config: &ProxyConfig) -> Result<Option<Proxy>, HttpError> {
    let Some(url) = &config.url else {
        return Ok(None);
    };
    let mut headers = HeaderMap::new();
    for (name, values) in &config.connect_headers {
        for value in values {
            headers.append(header_name(name)?, header_value(name, value.reveal())?);
        }
    }
    let proxy = Proxy::all(url.as_str()).map_err(|_| HttpError::Proxy)?;
    Ok(Some(
        proxy
            .headers(headers)
            .no_proxy(NoProxy::from_string(&config.no_proxy)),
    ))
}

fn header_name(name: &str) -> Result<HeaderName, HttpError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::Header(name.to_owned()))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| HttpError::Header(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 7617.
fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

async fn exchange(request: RequestBuilder) -> Response {
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let reached = if error.is_connect() || error.is_builder() {
                Reached::Nothing
            } else {
                Reached::PerhapsAll
            };
            // The address may be a secret.
            return failed(reached, chain(&error.without_url()));
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
    };
    let mut read = 0;
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                read += chunk.len();
                let wanted = RESPONSE_BODY_MAX - response.body.len();
                response
                    .body
                    .extend_from_slice(&chunk[..chunk.len().min(wanted)]);
                if read > ANSWER_BYTES_MAX {
                    return Response::Http(response);
                }
            }
            // The vendor has said what became of the request; the rest of its words may be missing.
            Ok(None) | Err(_) => return Response::Http(response),
        }
    }
}
