//! HTTP towards vendors: one client for each `http_config`.
use std::pin::pin;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use config::{HttpAuthorization, HttpConfig, SecretSource};
use notifiers_core::{HttpRequest, Reached, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use runtime::Clock;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connector::{
    ANSWER_GRACE, Connector, HttpError, Transport, exchange, header_name, header_value,
};
use crate::failure::{chain, nothing_sent, out_of_time};
use crate::oauth2::TokenSource;
use crate::secret_file::{read_text, reveal};

const UNAUTHORIZED: u16 = 401;

/// Speaks HTTP as one `http_config` says. Connections and tokens are shared by all requests.
pub struct HttpClient {
    config: HttpConfig,
    attempt_timeout: Duration,
    connector: Connector,
    tokens: Option<TokenSource>,
}

impl HttpClient {
    /// `attempt_timeout` is how long one attempt takes at most.
    ///
    /// # Errors
    /// An authorization that is not spoken here.
    pub fn new(config: HttpConfig, attempt_timeout: Duration) -> Result<Self, HttpError> {
        let tokens = match &config.authorization {
            Some(HttpAuthorization::OAuth2(settings)) => Some(TokenSource::new(settings)?),
            Some(HttpAuthorization::Basic { .. } | HttpAuthorization::Scheme { .. }) | None => None,
        };
        Ok(Self {
            connector: Connector::new(Transport::of(&config, attempt_timeout)),
            config,
            attempt_timeout,
            tokens,
        })
    }

    /// Speaks HTTP/2 and nothing else, as gRPC does.
    ///
    /// # Errors
    /// An authorization that is not spoken here.
    pub fn over_http2(config: HttpConfig, attempt_timeout: Duration) -> Result<Self, HttpError> {
        let mut client = Self::new(config, attempt_timeout)?;
        let transport = Transport::of(&client.config, attempt_timeout).over_http2();
        client.connector = Connector::new(transport);
        Ok(client)
    }

    /// Whether requests of such an integration may go through this client.
    pub(crate) fn serves(&self, config: &HttpConfig, attempt_timeout: Duration) -> bool {
        self.config == *config && self.attempt_timeout == attempt_timeout
    }

    /// What can be found wrong before anybody is to be told: certificates, keys and names of headers. Secrets in files
    /// are read at each use and may come later.
    ///
    /// # Errors
    /// The first thing that would keep every request from being sent.
    pub async fn rehearse(&self) -> Result<(), HttpError> {
        for (name, values) in &self.config.headers {
            header_name(name)?;
            for value in &values.values {
                header_value(name, value)?;
            }
        }
        if let Some(tokens) = &self.tokens {
            tokens.rehearse().await?;
        }
        self.connector.rehearse().await
    }

    /// Asks, and waits for the whole answer, `time_left` at most.
    pub async fn ask(
        &self,
        request: &HttpRequest,
        time_left: Duration,
        clock: &dyn Clock,
    ) -> Response {
        let mut reached = Reached::Nothing;
        let until = Instant::now() + time_left;
        let answered = {
            let mut asking = pin!(self.ask_in_time(request, clock, until, &mut reached));
            match timeout_at(until, &mut asking).await {
                Ok(response) => Some(response),
                // A process that was suspended finds its time over and an answer that has come meanwhile.
                Err(_) => timeout(ANSWER_GRACE, asking).await.ok(),
            }
        };
        answered.unwrap_or_else(|| out_of_time(reached, format!("no answer within {time_left:?}")))
    }

    async fn ask_in_time(
        &self,
        request: &HttpRequest,
        clock: &dyn Clock,
        until: Instant,
        reached: &mut Reached,
    ) -> Response {
        let response = match self.prepare(request, clock).await {
            Err(error) => return nothing_sent(chain(&error)),
            Ok(prepared) => {
                *reached = Reached::PerhapsAll;
                exchange(prepared, until).await
            }
        };
        // A token may be withdrawn before its time: the request was not taken, so it is sent again with a new one.
        let was_refused =
            matches!(&response, Response::Http(answer) if answer.status == UNAUTHORIZED);
        match &self.tokens {
            Some(tokens) if was_refused && tokens.forget().await => {
                match self.prepare(request, clock).await {
                    Err(error) => nothing_sent(chain(&error)),
                    Ok(prepared) => exchange(prepared, until).await,
                }
            }
            Some(_) | None => response,
        }
    }

    pub(crate) async fn prepare(
        &self,
        request: &HttpRequest,
        clock: &dyn Clock,
    ) -> Result<reqwest::RequestBuilder, HttpError> {
        let mut headers = self.configured_headers().await?;
        if let Some(value) = self.authorization(clock).await? {
            headers.insert(AUTHORIZATION, header_value("authorization", &value)?);
        }
        self.connector.prepare(request, headers).await
    }

    /// `http_headers`, with the secrets as they are at this moment.
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
        Ok(headers)
    }

    async fn authorization(&self, clock: &dyn Clock) -> Result<Option<String>, HttpError> {
        if let Some(tokens) = &self.tokens {
            let token = tokens.token(clock).await;
            return token.map(Some).map_err(HttpError::Token);
        }
        Ok(match &self.config.authorization {
            Some(HttpAuthorization::Basic { username, password }) => {
                let (username, password) = (text(username).await?, text(password).await?);
                // RFC 7617.
                let pair = BASE64.encode(format!("{username}:{password}"));
                Some(format!("Basic {pair}"))
            }
            Some(HttpAuthorization::Scheme {
                scheme,
                credentials,
            }) => {
                let credentials = text(credentials).await?;
                Some(format!("{scheme} {credentials}").trim_end().to_owned())
            }
            Some(HttpAuthorization::OAuth2(_)) | None => None,
        })
    }
}

/// The secret, empty where there is none.
async fn text(source: &Option<SecretSource>) -> Result<String, HttpError> {
    match source {
        None => Ok(String::new()),
        Some(source) => reveal(source).await.map_err(HttpError::Secret),
    }
}
