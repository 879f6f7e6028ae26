//! How an HTTP client speaks: `http_config` and `tls_config`.
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::value::{HttpUrl, Secret, SecretSource};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    pub authorization: Option<HttpAuthorization>,
    pub tls: TlsConfig,
    pub proxy: ProxyConfig,
    pub follow_redirects: bool,
    pub enable_http2: bool,
    /// Further headers, by name.
    pub headers: BTreeMap<String, HeaderValues>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAuthorization {
    Basic {
        username: Option<SecretSource>,
        password: Option<SecretSource>,
    },
    OAuth2(Box<OAuth2>),
    /// `Authorization: <scheme> <credentials>`; a bearer token is the scheme `Bearer`.
    Scheme {
        scheme: String,
        credentials: Option<SecretSource>,
    },
}

/// The client credentials grant (RFC 6749), or a signed assertion (RFC 7523).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    pub client_id: String,
    pub client_secret: Option<SecretSource>,
    pub scopes: Vec<String>,
    pub token_url: String,
    pub endpoint_params: BTreeMap<String, String>,
    pub tls: TlsConfig,
    pub proxy: ProxyConfig,
    pub grant_type: String,
    pub client_certificate_key: Option<SecretSource>,
    pub client_certificate_key_id: String,
    pub signature_algorithm: String,
    pub issuer: String,
    pub audience: String,
    pub claims: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    pub url: Option<HttpUrl>,
    /// Hosts that are reached without the proxy, comma separated.
    pub no_proxy: String,
    pub from_environment: bool,
    pub connect_headers: BTreeMap<String, Vec<Secret>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderValues {
    pub values: Vec<String>,
    pub secrets: Vec<Secret>,
    pub files: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    pub ca: Option<PemSource>,
    pub certificate: Option<PemSource>,
    pub key: Option<SecretSource>,
    pub server_name: String,
    pub insecure_skip_verify: bool,
    pub version_min: Option<TlsVersion>,
    pub version_max: Option<TlsVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemSource {
    File(PathBuf),
    Inline(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}
