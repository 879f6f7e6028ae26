//! Who may come in, by a web configuration file: read again when it or one of its files has changed.
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::header::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{Problems, RateLimit, WebConfig};
use parking_lot::Mutex;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{error, info};

use crate::server::tls::{ServerTlsError, files, server_config};
use crate::trouble::Trouble;

/// How often the files are looked at, at most.
const LOOKING_INTERVAL: Duration = Duration::from_secs(1);
/// Passwords that were found right or wrong and need no other 50 ms of a processor: more than there are users.
const CHECKED_MAX: usize = 1000;
/// Hashing at once: strangers who guess passwords must not take every processor.
const HASHING_MAX: usize = 1;
/// What a password of nobody is held against, so that an unknown name takes as long as a known one. Nobody knows what
/// was hashed.
const NOBODY: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoO5sI9vGm3mTgQ1h0xVZ6oZyfQJqf3J0e";

#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Config(Problems),
    #[error("TLS of {} cannot be set up", path.display())]
    Tls {
        path: PathBuf,
        #[source]
        source: ServerTlsError,
    },
}

/// The web configuration that is in force.
pub struct Web {
    path: PathBuf,
    state: Mutex<State>,
    checked: Mutex<BTreeMap<[u8; 32], bool>>,
    hashing: Semaphore,
    tokens: Mutex<Option<Tokens>>,
    trouble: Trouble,
}

struct State {
    current: Arc<Current>,
    looked_at: Instant,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

/// Length and time of change.
type Stamp = (u64, Option<SystemTime>);

struct Current {
    config: WebConfig,
    tls: Option<Arc<ServerConfig>>,
}

/// Requests that may come at once, and when they were counted.
struct Tokens {
    left: f64,
    at: Instant,
}

impl fmt::Debug for Web {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Web")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Web {
    /// Reads the file and those that it names. Blocks.
    ///
    /// # Errors
    /// What is wrong with any of them.
    pub fn open(path: &Path) -> Result<Self, WebError> {
        let current = load(path)?;
        let stamps = stamps(path, &current.config);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State {
                current: Arc::new(current),
                looked_at: Instant::now(),
                stamps,
            }),
            checked: Mutex::default(),
            hashing: Semaphore::new(HASHING_MAX),
            tokens: Mutex::default(),
            trouble: Trouble::new(),
        })
    }

    /// What a connection is to be wrapped in.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.clone()
    }

    /// Whether answers go out over TLS, and HTTP/2 with it.
    #[must_use]
    pub fn speaks_tls(&self) -> (bool, bool) {
        let current = self.current();
        (
            current.tls.is_some(),
            current.tls.is_some() && current.config.http2,
        )
    }

    /// The refusal of a request, if it is to be refused.
    pub(crate) async fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let current = self.current();
        if let Some(limit) = current.config.rate_limit
            && !self.takes_one_more(limit)
        {
            let text = "Too Many Requests\n";
            return Some((StatusCode::TOO_MANY_REQUESTS, text).into_response());
        }
        if current.config.users.is_empty() || self.is_let_in(&current.config, headers).await {
            return None;
        }
        let ask = [(WWW_AUTHENTICATE, "Basic")];
        Some((StatusCode::UNAUTHORIZED, ask, "Unauthorized\n").into_response())
    }

    pub(crate) fn add_headers(&self, response: &mut Response) {
        for (name, value) in &self.current().config.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                response.headers_mut().insert(name, value);
            }
        }
    }

    /// A file that cannot be used leaves what was in force.
    fn current(&self) -> Arc<Current> {
        let mut state = self.state.lock();
        if state.looked_at.elapsed() < LOOKING_INTERVAL {
            return state.current.clone();
        }
        state.looked_at = Instant::now();
        let now = stamps(&self.path, &state.current.config);
        if now == state.stamps {
            return state.current.clone();
        }
        match load(&self.path) {
            Ok(current) => {
                state.stamps = stamps(&self.path, &current.config);
                state.current = Arc::new(current);
                self.checked.lock().clear();
                self.trouble.is_over();
                info!(path = %self.path.display(), "web configuration taken over");
            }
            Err(problem) => {
                if let Some(left_out) = self.trouble.happened() {
                    error!(
                        error = &problem as &dyn std::error::Error,
                        left_out, "web configuration not taken over, the one before stays"
                    );
                }
            }
        }
        state.current.clone()
    }

    async fn is_let_in(&self, config: &WebConfig, headers: &HeaderMap) -> bool {
        let Some((name, password)) = credentials(headers) else {
            return false;
        };
        let user = config.users.get(&name);
        let hash = user.map_or(NOBODY, |hash| hash.reveal()).to_owned();
        let mut digest = Sha256::new();
        for part in [name.as_bytes(), hash.as_bytes(), password.as_bytes()] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let key: [u8; 32] = digest.finalize().into();
        if let Some(known) = self.checked.lock().get(&key) {
            return *known;
        }
        let Ok(_permit) = self.hashing.acquire().await else {
            return false;
        };
        let is_known = user.is_some();
        let checking =
            tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let right = checking.await.unwrap_or(false) && is_known;
        let mut checked = self.checked.lock();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(key, right);
        right
    }

    fn takes_one_more(&self, limit: RateLimit) -> bool {
        let now = Instant::now();
        let mut tokens = self.tokens.lock();
        let burst = limit.burst as f64;
        let tokens = tokens.get_or_insert(Tokens {
            left: burst,
            at: now,
        });
        let earned = now.duration_since(tokens.at).as_secs_f64() / limit.interval.as_secs_f64();
        tokens.left = (tokens.left + earned).min(burst);
        tokens.at = now;
        let takes = tokens.left >= 1.0;
        if takes {
            tokens.left -= 1.0;
        }
        takes
    }
}

fn load(path: &Path) -> Result<Current, WebError> {
    let text = fs::read_to_string(path).map_err(|source| WebError::Read {
        path: path.to_owned(),
        source,
    })?;
    let config = WebConfig::read(&path.to_string_lossy(), &text).map_err(WebError::Config)?;
    let tls = match &config.tls {
        None => None,
        Some(tls) => {
            let ready = server_config(tls, config.http2).map_err(|source| WebError::Tls {
                path: path.to_owned(),
                source,
            })?;
            Some(Arc::new(ready))
        }
    };
    Ok(Current { config, tls })
}

fn stamps(path: &Path, config: &WebConfig) -> Vec<(PathBuf, Option<Stamp>)> {
    let named = config.tls.as_ref().map(files).unwrap_or_default();
    [path.to_owned()]
        .into_iter()
        .chain(named)
        .map(|path| {
            let stamp = fs::metadata(&path)
                .ok()
                .map(|metadata| (metadata.len(), metadata.modified().ok()));
            (path, stamp)
        })
        .collect()
}

/// Name and password of a request that logs in.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests;
