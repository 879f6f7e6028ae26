//! Tokens by the client credentials grant (RFC 6749, 4.4) or by a signed assertion (RFC 7523): asked for when needed,
//! kept until most of their life is over.
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use config::{OAuth2, SecretSource};
use model::Timestamp;
use notifiers_core::{HttpRequest, HttpResponse, Method, Response};
use reqwest::header::HeaderMap;
use runtime::Clock;
use serde_json::Value as Json;
use tokio::sync::Mutex;
use url::form_urlencoded;

use crate::assertion::assertion;
use crate::connector::{Connector, HttpError, Transport, exchange};
use crate::failure::chain;
use crate::secret_file::reveal;

const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A token that says nothing about its life.
const LIFE_DEFAULT: Duration = Duration::from_secs(300);
/// A token is used for this part of its life, so that it does not end on its way.
const USED_PERCENT: u32 = 80;
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

pub(crate) struct TokenSource {
    settings: OAuth2,
    grant: Grant,
    connector: Connector,
    /// Held while a token is asked for, so that many attempts ask once.
    current: Mutex<Option<Token>>,
}

struct Token {
    /// `Bearer …`.
    authorization: String,
    good_until: Timestamp,
}

enum Grant {
    ClientCredentials,
    /// Signed with this key.
    Assertion(SecretSource),
}

/// How the client says who it is; servers differ.
#[derive(Clone, Copy)]
enum Proof<'p> {
    Assertion(&'p str),
    SecretInBody(&'p str),
    SecretInHeader(&'p str),
}

impl TokenSource {
    pub(crate) fn new(settings: &OAuth2) -> Result<Self, HttpError> {
        let grant = match (
            settings.grant_type.as_str(),
            &settings.client_certificate_key,
        ) {
            ("" | "client_credentials", _) => Grant::ClientCredentials,
            (OAuth2::JWT_BEARER, Some(key)) => Grant::Assertion(key.clone()),
            (OAuth2::JWT_BEARER, None) => return Err(HttpError::NoAssertionKey),
            (other, _) => return Err(HttpError::GrantType(other.to_owned())),
        };
        Ok(Self {
            settings: settings.clone(),
            grant,
            connector: Connector::new(Transport::of_tokens(settings)),
            current: Mutex::new(None),
        })
    }

    /// The value of `Authorization`, or why there is none.
    pub(crate) async fn token(&self, clock: &dyn Clock) -> Result<String, String> {
        let mut current = self.current.lock().await;
        if let Some(token) = &*current
            && clock.now() < token.good_until
        {
            return Ok(token.authorization.clone());
        }
        let token = self.fetch(clock).await?;
        let authorization = token.authorization.clone();
        *current = Some(token);
        Ok(authorization)
    }

    /// Whether the server that gives tokens can be spoken to, as far as files say.
    pub(crate) async fn rehearse(&self) -> Result<(), HttpError> {
        self.connector.rehearse().await
    }

    /// The next request gets a new token. Whether there was one to forget.
    pub(crate) async fn forget(&self) -> bool {
        self.current.lock().await.take().is_some()
    }

    /// Who the client is goes into a header, as the RFC wants it, and where that is refused into the body.
    async fn fetch(&self, clock: &dyn Clock) -> Result<Token, String> {
        let answer = match &self.grant {
            Grant::Assertion(key) => {
                let key = reveal(key).await?;
                let assertion = assertion(&self.settings, key.as_bytes(), drawn(), clock.now())
                    .map_err(|error| error.to_string())?;
                self.ask(Proof::Assertion(&assertion)).await?
            }
            Grant::ClientCredentials => {
                let secret = match &self.settings.client_secret {
                    None => String::new(),
                    Some(source) => reveal(source).await?,
                };
                let answer = self.ask(Proof::SecretInHeader(&secret)).await?;
                if (400..500).contains(&answer.status) {
                    self.ask(Proof::SecretInBody(&secret)).await?
                } else {
                    answer
                }
            }
        };
        read_token(&answer, clock.now())
    }

    async fn ask(&self, proof: Proof<'_>) -> Result<HttpResponse, String> {
        let request = self.request(proof);
        let asking = async {
            match self.connector.prepare(&request, HeaderMap::new()).await {
                Ok(prepared) => {
                    Ok(exchange(prepared, tokio::time::Instant::now() + TOKEN_TIMEOUT).await)
                }
                Err(error) => Err(chain(&error)),
            }
        };
        match tokio::time::timeout(TOKEN_TIMEOUT, asking).await {
            Ok(Ok(Response::Http(answer))) => Ok(answer),
            Ok(Ok(Response::Failed(failure))) => Err(failure.text),
            Ok(Ok(Response::Mail(_))) => unreachable!("HTTP is answered by HTTP"),
            Ok(Err(text)) => Err(text),
            Err(_) => Err(format!("no answer within {TOKEN_TIMEOUT:?}")),
        }
    }

    fn request(&self, proof: Proof<'_>) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        if let Proof::Assertion(assertion) = proof {
            form.append_pair("grant_type", OAuth2::JWT_BEARER);
            form.append_pair("assertion", assertion);
        } else {
            form.append_pair("grant_type", "client_credentials");
            if !self.settings.scopes.is_empty() {
                form.append_pair("scope", &self.settings.scopes.join(" "));
            }
        }
        for (name, value) in &self.settings.endpoint_params {
            form.append_pair(name, value);
        }
        let mut headers = vec![(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )];
        match proof {
            Proof::Assertion(_) => {}
            Proof::SecretInBody(secret) => {
                form.append_pair("client_id", &self.settings.client_id);
                form.append_pair("client_secret", secret);
            }
            Proof::SecretInHeader(secret) => {
                let quoted = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", quoted(&self.settings.client_id), quoted(secret));
                let value = format!("Basic {}", BASE64.encode(pair));
                headers.push(("authorization".to_owned(), value));
            }
        }
        HttpRequest {
            method: Method::Post,
            url: self.settings.token_url.clone(),
            headers,
            body: form.finish().into_bytes(),
            timeout: Some(TOKEN_TIMEOUT),
        }
    }
}

/// A random number.
fn drawn() -> u128 {
    let mut bytes = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random
        .fill(&mut bytes)
        .expect("the system gives random numbers, or no TLS could be spoken either");
    u128::from_be_bytes(bytes)
}

fn read_token(answer: &HttpResponse, now: Timestamp) -> Result<Token, String> {
    let body: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
    let member = |name: &str| body.get(name).and_then(Json::as_str);
    let token = match member("access_token") {
        Some(token) if (200..300).contains(&answer.status) => token,
        Some(_) | None => {
            // RFC 6749 5.2: one of a few words, never a secret.
            let error = member("error").unwrap_or("it is not a token");
            return Err(format!("status code {}: {error}", answer.status));
        }
    };
    let kind = match member("token_type") {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => kind,
        Some(_) | None => "Bearer",
    };
    let life = body
        .get("expires_in")
        .and_then(Json::as_u64)
        .map_or(LIFE_DEFAULT, Duration::from_secs)
        .min(LIFE_MAX);
    Ok(Token {
        authorization: format!("{kind} {token}"),
        good_until: now + life * USED_PERCENT / 100,
    })
}
