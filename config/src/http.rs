//! How an HTTP client speaks: `http_config` and `tls_config`.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::go_quote::quote;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::value::{HttpUrl, Secret, SecretSource, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    pub authorization: Option<HttpAuthorization>,
    pub tls: TlsConfig,
    pub proxy: ProxyConfig,
    pub follow_redirects: bool,
    pub enable_http2: bool,
    /// Further headers, by name.
    pub headers: BTreeMap<String, HeaderValues>,
}

#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2 {
    pub client_id: String,
    pub client_secret: Option<SecretSource>,
    pub scopes: Vec<String>,
    pub token_url: String,
    pub endpoint_params: BTreeMap<String, String>,
    pub tls: TlsConfig,
    pub proxy: ProxyConfig,
    /// Empty: `client_credentials`.
    pub grant_type: String,
    /// Signs the assertion.
    pub client_certificate_key: Option<SecretSource>,
    /// Empty: the assertion names no key.
    pub client_certificate_key_id: String,
    /// Empty: `RS256`.
    pub signature_algorithm: String,
    /// Empty: the client.
    pub issuer: String,
    /// Empty: `token_url`.
    pub audience: String,
    /// Further claims of the assertion; they win over its own.
    pub claims: BTreeMap<String, TemplateValue>,
}

impl OAuth2 {
    /// The grant by a signed assertion (RFC 7523).
    pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
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

/// Headers that belong to the connection, or that other settings make.
const RESERVED_HEADERS: [&str; 18] = [
    "Accept-Encoding",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Host",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "User-Agent",
    "Www-Authenticate",
    "X-Amz-Content-Sha256",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
];

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            authorization: None,
            tls: TlsConfig::default(),
            proxy: ProxyConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            headers: BTreeMap::new(),
        }
    }
}

impl HttpConfig {
    /// Relative paths are meant from `base`.
    pub(crate) fn read(cursor: &Cursor<'_>, base: Option<&Path>) -> Self {
        let mut fields = cursor.fields("config.plain");
        let config = Self::read_keys(&mut fields, base);
        fields.finish();
        config
    }

    /// Where the keys stand among others, as below `alertmanagers` of a Prometheus.
    pub(crate) fn read_keys(fields: &mut Fields<'_>, base: Option<&Path>) -> Self {
        Self {
            authorization: authorization(fields, base),
            tls: fields
                .get("tls_config")
                .map(|cursor| TlsConfig::read(&cursor, base))
                .unwrap_or_default(),
            proxy: proxy(fields),
            follow_redirects: fields.boolean_or("follow_redirects", true),
            enable_http2: fields.boolean_or("enable_http2", true),
            headers: fields
                .get("http_headers")
                .map(|cursor| read_headers(&cursor, base))
                .unwrap_or_default(),
        }
    }
}

fn authorization(fields: &mut Fields<'_>, base: Option<&Path>) -> Option<HttpAuthorization> {
    let bearer = fields.secret("bearer_token");
    let bearer_file = fields.path("bearer_token_file", base);
    let bearer = fields.one_source("bearer_token", bearer, "bearer_token_file", bearer_file);
    let basic = fields
        .get("basic_auth")
        .map(|cursor| basic_auth(&cursor, base));
    let scheme = fields
        .get("authorization")
        .map(|cursor| scheme(&cursor, base));
    let oauth2 = fields.get("oauth2").map(|cursor| oauth2(&cursor, base));
    let key = ["authorization", "oauth2", "basic_auth"]
        .into_iter()
        .find(|key| fields.has(key))
        .unwrap_or_default();
    if bearer.is_some() && (basic.is_some() || oauth2.is_some()) {
        fields.problem(
            key,
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        );
    } else if bearer.is_some() && scheme.is_some() {
        fields.problem(
            key,
            "authorization is not compatible with bearer_token & bearer_token_file",
        );
    } else if [basic.is_some(), scheme.is_some(), oauth2.is_some()]
        .into_iter()
        .filter(|given| *given)
        .count()
        > 1
    {
        fields.problem(
            key,
            "at most one of basic_auth, oauth2 & authorization must be configured",
        );
    }
    let bearer = bearer.map(|credentials| HttpAuthorization::Scheme {
        scheme: defaults::AUTHORIZATION_TYPE.to_owned(),
        credentials: Some(credentials),
    });
    scheme.or(basic).or(oauth2).or(bearer)
}

fn basic_auth(cursor: &Cursor<'_>, base: Option<&Path>) -> HttpAuthorization {
    let mut fields = cursor.fields("config.plain");
    let username = fields.secret("username");
    let username_file = fields.path("username_file", base);
    if username.is_some() && username_file.is_some() {
        fields.problem(
            "username_file",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        );
    }
    let username = username
        .map(SecretSource::Inline)
        .or_else(|| username_file.map(SecretSource::File));
    let password = fields.secret("password");
    let password_file = fields.path("password_file", base);
    if password.is_some() && password_file.is_some() {
        fields.problem(
            "password_file",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        );
    }
    fields.finish();
    HttpAuthorization::Basic {
        username,
        password: password
            .map(SecretSource::Inline)
            .or_else(|| password_file.map(SecretSource::File)),
    }
}

fn scheme(cursor: &Cursor<'_>, base: Option<&Path>) -> HttpAuthorization {
    let mut fields = cursor.fields("config.plain");
    let written = fields.text("type");
    let scheme = match written.trim() {
        "" => defaults::AUTHORIZATION_TYPE,
        scheme => scheme,
    };
    if scheme.eq_ignore_ascii_case("basic") {
        fields.problem(
            "type",
            r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
        );
    }
    let credentials = fields.secret("credentials");
    let file = fields.path("credentials_file", base);
    let credentials = fields.one_source(
        "authorization credentials",
        credentials,
        "credentials_file",
        file,
    );
    fields.finish();
    HttpAuthorization::Scheme {
        scheme: scheme.to_owned(),
        credentials,
    }
}

fn oauth2(cursor: &Cursor<'_>, base: Option<&Path>) -> HttpAuthorization {
    let mut fields = cursor.fields("config.plain");
    let client_id = fields.text("client_id");
    if client_id.is_empty() {
        fields.problem("client_id", "oauth2 client_id must be configured");
    }
    let token_url = fields.text("token_url");
    if token_url.is_empty() {
        fields.problem("token_url", "oauth2 token_url must be configured");
    }
    let secret = fields.secret("client_secret");
    let secret_file = fields.path("client_secret_file", base);
    let key = fields.secret("client_certificate_key");
    let key_file = fields.path("client_certificate_key_file", base);
    let grant_type = fields.text("grant_type");
    let signature_algorithm = fields.text("signature_algorithm");
    if grant_type == OAuth2::JWT_BEARER {
        if !["", "RS256", "RS384", "RS512"].contains(&signature_algorithm.as_str()) {
            fields.problem(
                "signature_algorithm",
                "valid signature algorithms are RS256, RS384 and RS512",
            );
        }
        if key.is_some() && key_file.is_some() {
            fields.problem(
                "client_certificate_key_file",
                "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            );
        }
    }
    if secret.is_some() && secret_file.is_some() {
        fields.problem(
            "client_secret_file",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured",
        );
    }
    let settings = OAuth2 {
        client_id,
        client_secret: secret
            .map(SecretSource::Inline)
            .or_else(|| secret_file.map(SecretSource::File)),
        scopes: fields.texts("scopes"),
        token_url,
        endpoint_params: fields.text_map("endpoint_params"),
        tls: fields
            .get("tls_config")
            .map(|cursor| TlsConfig::read(&cursor, base))
            .unwrap_or_default(),
        proxy: proxy(&mut fields),
        grant_type,
        client_certificate_key: key
            .map(SecretSource::Inline)
            .or_else(|| key_file.map(SecretSource::File)),
        client_certificate_key_id: fields.text("client_certificate_key_id"),
        signature_algorithm,
        issuer: fields.text("iss"),
        audience: fields.text("audience"),
        claims: fields
            .get("claims")
            .map(|cursor| {
                let entries = cursor.entries().into_iter();
                entries
                    .map(|(name, _, value)| (name, value.template_value()))
                    .collect()
            })
            .unwrap_or_default(),
    };
    fields.finish();
    HttpAuthorization::OAuth2(Box::new(settings))
}

fn proxy(fields: &mut Fields<'_>) -> ProxyConfig {
    let url = fields.text("proxy_url");
    let url = if url.is_empty() {
        None
    } else {
        fields.get("proxy_url")
    };
    let proxy = ProxyConfig {
        url: url.and_then(|cursor| cursor.http_url()),
        no_proxy: fields.text("no_proxy"),
        from_environment: fields.boolean_or("proxy_from_environment", false),
        connect_headers: fields
            .get("proxy_connect_header")
            .map(|cursor| {
                let entries = cursor.entries().into_iter();
                entries
                    .map(|(name, _, values)| (name, secrets(&values)))
                    .collect()
            })
            .unwrap_or_default(),
    };
    let has_url = fields.has("proxy_url");
    if !proxy.connect_headers.is_empty() && !has_url && !proxy.from_environment {
        fields.problem(
            "proxy_connect_header",
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        );
    }
    if !proxy.no_proxy.is_empty() && !has_url && !proxy.from_environment {
        fields.problem(
            "no_proxy",
            "if no_proxy is configured, proxy_url must also be configured",
        );
    }
    if proxy.from_environment && proxy.url.is_some() {
        fields.problem(
            "proxy_from_environment",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        );
    }
    if proxy.from_environment && !proxy.no_proxy.is_empty() {
        fields.problem(
            "proxy_from_environment",
            "if proxy_from_environment is configured, no_proxy must not be configured",
        );
    }
    proxy
}

pub(crate) fn read_headers(
    cursor: &Cursor<'_>,
    base: Option<&Path>,
) -> BTreeMap<String, HeaderValues> {
    let mut headers = BTreeMap::new();
    for (name, place, cursor) in cursor.entries() {
        let canonical = canonical_header(&name);
        if RESERVED_HEADERS.contains(&canonical.as_str()) {
            let message = format!("setting header {} is not allowed", quote(&canonical));
            cursor.source().problem(Some(place), cursor.path(), message);
        }
        let mut fields = cursor.fields("config.plain");
        let values = HeaderValues {
            values: fields.texts("values"),
            secrets: fields
                .get("secrets")
                .map(|cursor| secrets(&cursor))
                .unwrap_or_default(),
            files: fields
                .texts("files")
                .into_iter()
                .map(|file| base.map_or_else(|| PathBuf::from(&file), |base| base.join(&file)))
                .collect(),
        };
        fields.finish();
        headers.insert(name, values);
    }
    headers
}

/// Go's canonical form: `reply-TO` is `Reply-To`; what is no header name stays as it is.
pub(crate) fn canonical_header(name: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return name.to_owned();
    }
    let mut upper = true;
    name.chars()
        .map(|character| {
            let cased = if upper {
                character.to_ascii_uppercase()
            } else {
                character.to_ascii_lowercase()
            };
            upper = character == '-';
            cased
        })
        .collect()
}

fn secrets(cursor: &Cursor<'_>) -> Vec<Secret> {
    cursor.texts().into_iter().map(Secret::new).collect()
}

impl TlsConfig {
    pub(crate) fn read(cursor: &Cursor<'_>, base: Option<&Path>) -> Self {
        let mut fields = cursor.fields("config.plain");
        let key = fields.secret("key");
        let key_file = fields.path("key_file", base);
        if key.is_some() && key_file.is_some() {
            fields.problem(
                "key_file",
                "at most one of key and key_file must be configured",
            );
        }
        let config = Self {
            ca: pem(&mut fields, "ca", "ca_file", base),
            certificate: pem(&mut fields, "cert", "cert_file", base),
            key: key
                .map(SecretSource::Inline)
                .or_else(|| key_file.map(SecretSource::File)),
            server_name: fields.text("server_name"),
            insecure_skip_verify: fields.boolean_or("insecure_skip_verify", false),
            version_min: tls_version(&mut fields, "min_version"),
            version_max: tls_version(&mut fields, "max_version"),
        };
        if config.certificate.is_some() != config.key.is_some() {
            let message = if config.key.is_some() {
                "exactly one of cert or cert_file must be configured when a client key is configured"
            } else {
                "exactly one of key or key_file must be configured when a client certificate is configured"
            };
            fields.problem("", message);
        }
        fields.finish();
        config
    }
}

pub(crate) fn pem(
    fields: &mut Fields<'_>,
    key: &'static str,
    file_key: &'static str,
    base: Option<&Path>,
) -> Option<PemSource> {
    let inline = fields.text(key);
    let file = fields.path(file_key, base);
    if !inline.is_empty() && file.is_some() {
        fields.problem(
            file_key,
            format!("at most one of {key}, {file_key} & {key}_ref must be configured"),
        );
    }
    if inline.is_empty() {
        file.map(PemSource::File)
    } else {
        Some(PemSource::Inline(inline))
    }
}

pub(crate) fn tls_version(fields: &mut Fields<'_>, key: &'static str) -> Option<TlsVersion> {
    let cursor = fields.get(key)?;
    cursor.parsed(|text| match text {
        "TLS10" => Ok(TlsVersion::Tls10),
        "TLS11" => Ok(TlsVersion::Tls11),
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        other => Err(format!("unknown TLS version: {other}")),
    })
}
