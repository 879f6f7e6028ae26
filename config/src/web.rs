//! The file of `--web.config.file`, in the format of Prometheus' exporter-toolkit: TLS, users, headers, a rate limit.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::cursor::{Cursor, Fields};
use crate::http::{PemSource, TlsVersion, pem, tls_version};
use crate::problem::Problems;
use crate::source::Source;
use crate::value::{Secret, SecretSource};

/// Its `Default` is what an empty file means: plain HTTP for everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct WebConfig {
    pub tls: Option<ServerTls>,
    /// Spoken only over TLS.
    pub http2: bool,
    /// Added to every answer.
    pub headers: BTreeMap<String, String>,
    /// Names and bcrypt hashes; empty: nobody has to log in.
    pub users: BTreeMap<String, Secret>,
    pub rate_limit: Option<RateLimit>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServerTls {
    /// The server's own certificate first, then those that signed it.
    pub certificate: PemSource,
    pub key: SecretSource,
    pub client: ClientCertificates,
    pub version_min: TlsVersion,
    pub version_max: TlsVersion,
    /// Go's names; empty: what the library thinks good.
    pub cipher_suites: Vec<String>,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientCertificates {
    NotAsked,
    /// Any certificate will do; with `required` there must be one.
    Any {
        required: bool,
    },
    /// Signed by one of `authorities`, and where `names` are given, issued to one of them (DNS name, address or URI).
    Verified {
        required: bool,
        authorities: PemSource,
        names: Vec<String>,
    },
}

/// Requests of all clients together: so many at once, then one an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub burst: u64,
    pub interval: Duration,
}

/// Headers that may be set, each with the values that it may have; none listed: any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Go's names of the suites that can be had here.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// Longer names of two of them, as Go spells them too.
const CIPHER_SUITES_SPELLED_OUT: [&str; 2] = [
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
];

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            tls: None,
            http2: true,
            headers: BTreeMap::new(),
            users: BTreeMap::new(),
            rate_limit: None,
        }
    }
}

impl WebConfig {
    /// Reads a file's text. Relative paths are meant from the file's folder.
    ///
    /// # Errors
    /// All mistakes together, by place.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let (source, node) = Source::open(file, text, "web.Config");
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        let config = node
            .map(|node| read_top(&Cursor::root(&source, &node), base))
            .unwrap_or_default();
        let (problems, _) = source.close();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }
}

fn read_top(top: &Cursor<'_>, base: &Path) -> WebConfig {
    let mut fields = top.fields("web.Config");
    let tls = fields
        .get("tls_server_config")
        .filter(|cursor| !cursor.is_null())
        .and_then(|cursor| read_tls(&cursor, base));
    let (http2, headers) = match fields.get("http_server_config") {
        Some(cursor) => read_http(&cursor),
        None => (true, BTreeMap::new()),
    };
    let users = fields
        .get("basic_auth_users")
        .map(|cursor| read_users(&cursor))
        .unwrap_or_default();
    let rate_limit = fields
        .get("rate_limit")
        .and_then(|cursor| read_rate_limit(&cursor));
    fields.finish();
    WebConfig {
        tls,
        http2,
        headers,
        users,
        rate_limit,
    }
}

fn read_tls(cursor: &Cursor<'_>, base: &Path) -> Option<ServerTls> {
    let mut fields = cursor.fields("web.TLSConfig");
    let certificate = pem(&mut fields, "cert", "cert_file", Some(base));
    if certificate.is_none() {
        fields.problem("", "missing one of cert or cert_file");
    }
    let key = fields.secret("key");
    let key_file = fields.path("key_file", Some(base));
    let key = fields.one_source("key", key, "key_file", key_file);
    if key.is_none() {
        fields.problem("", "missing one of key or key_file");
    }
    let client = read_client(&mut fields, base);
    let version_min = tls_version(&mut fields, "min_version").unwrap_or(TlsVersion::Tls12);
    let version_max = tls_version(&mut fields, "max_version").unwrap_or(TlsVersion::Tls13);
    if version_max < TlsVersion::Tls12 {
        fields.problem(
            "max_version",
            "TLS10 and TLS11 are not safe and not supported",
        );
    } else if version_max < version_min {
        fields.problem("max_version", "max_version is below min_version");
    }
    let mut cipher_suites = Vec::new();
    if let Some(suites) = fields.get("cipher_suites") {
        for suite in suites.list() {
            let Some(name) = suite.text() else { continue };
            if CIPHER_SUITES.contains(&name.as_str())
                || CIPHER_SUITES_SPELLED_OUT.contains(&name.as_str())
            {
                cipher_suites.push(name);
            } else {
                suite.problem(format!("unknown cipher: {name}"));
            }
        }
    }
    // Taken by the library into its own hands: what is fast and safe on this machine comes first.
    fields.boolean_or("prefer_server_cipher_suites", true);
    fields.texts("curve_preferences");
    fields.finish();
    Some(ServerTls {
        certificate: certificate?,
        key: key?,
        client,
        version_min,
        version_max,
        cipher_suites,
    })
}

fn read_client(fields: &mut Fields<'_>, base: &Path) -> ClientCertificates {
    let policy = fields.text_or("client_auth_type", "");
    let authorities = pem(fields, "client_ca", "client_ca_file", Some(base));
    let names = fields.texts("client_allowed_sans");
    if authorities.is_some() && matches!(policy.as_str(), "" | "NoClientCert") {
        fields.problem(
            "client_auth_type",
            "Client CA's have been configured without a Client Auth Policy",
        );
    }
    if !names.is_empty() && authorities.is_none() {
        fields.problem(
            "client_allowed_sans",
            "client_allowed_sans needs client_ca or client_ca_file",
        );
    }
    let required = matches!(
        policy.as_str(),
        "RequireAnyClientCert" | "RequireClientCert" | "RequireAndVerifyClientCert"
    );
    match policy.as_str() {
        "" | "NoClientCert" => ClientCertificates::NotAsked,
        "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
            ClientCertificates::Any { required }
        }
        "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert" => match authorities {
            Some(authorities) => ClientCertificates::Verified {
                required,
                authorities,
                names,
            },
            None => {
                fields.problem(
                    "client_auth_type",
                    format!("{policy} needs client_ca or client_ca_file"),
                );
                ClientCertificates::NotAsked
            }
        },
        other => {
            fields.problem("client_auth_type", format!("Invalid ClientAuth: {other}"));
            ClientCertificates::NotAsked
        }
    }
}

fn read_http(cursor: &Cursor<'_>) -> (bool, BTreeMap<String, String>) {
    let mut fields = cursor.fields("web.HTTPConfig");
    let http2 = fields.boolean_or("http2", true);
    let mut headers = BTreeMap::new();
    for (name, _, value) in fields
        .get("headers")
        .map(|cursor| cursor.entries())
        .unwrap_or_default()
    {
        let Some(text) = value.text() else { continue };
        match HEADERS.iter().find(|(known, _)| *known == name) {
            None => value.problem(format!(
                "HTTP header {} can not be configured",
                model::go_quote::quote(&name)
            )),
            Some((_, allowed))
                if !text.is_empty() && !allowed.is_empty() && !allowed.contains(&text.as_str()) =>
            {
                value.problem(format!(
                    "invalid value for {name}. Expected one of: [{}], but got: {}",
                    allowed
                        .iter()
                        .map(|value| model::go_quote::quote(value))
                        .collect::<Vec<_>>()
                        .join(" "),
                    model::go_quote::quote(&text)
                ));
            }
            Some(_) => {
                headers.insert(name, text);
            }
        }
    }
    fields.finish();
    (http2, headers)
}

/// A hash is `$2a$`, `$2b$` or `$2y$`, a cost and 53 characters.
fn read_users(cursor: &Cursor<'_>) -> BTreeMap<String, Secret> {
    let mut users = BTreeMap::new();
    for (name, _, value) in cursor.entries() {
        let Some(hash) = value.text() else { continue };
        let parts: Vec<&str> = hash.split('$').collect();
        let is_bcrypt = match parts.as_slice() {
            ["", "2a" | "2b" | "2x" | "2y", cost, rest] => {
                cost.parse::<u32>()
                    .is_ok_and(|cost| (4..=31).contains(&cost))
                    && rest.len() == 53
            }
            _ => false,
        };
        if !is_bcrypt {
            value.problem(format!(
                "the password of user {} is not a bcrypt hash",
                model::go_quote::quote(&name)
            ));
        }
        users.insert(name, Secret::new(hash));
    }
    users
}

fn read_rate_limit(cursor: &Cursor<'_>) -> Option<RateLimit> {
    let mut fields = cursor.fields("web.RateLimiterConfig");
    let burst = fields
        .get("burst")
        .and_then(|cursor| cursor.unsigned())
        .unwrap_or(0);
    let interval = fields
        .get("interval")
        .and_then(|cursor| cursor.go_duration())
        .unwrap_or(Duration::ZERO);
    fields.finish();
    // As there: no interval is no limit.
    (!interval.is_zero()).then_some(RateLimit { burst, interval })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{ClientCertificates, RateLimit, WebConfig};
    use crate::http::{PemSource, TlsVersion};

    const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

    fn said(text: &str) -> Vec<String> {
        match WebConfig::read("web.yml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn nothing_is_plain_http_for_everybody() {
        for text in ["", "{}", "tls_server_config:\n", "# nothing"] {
            assert_eq!(
                WebConfig::read("w", text),
                Ok(WebConfig::default()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_written_counts() {
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: /k/server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [team.example]\n  min_version: TLS13\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n\
             http_server_config: {{http2: false, headers: {{X-Frame-Options: deny, Strict-Transport-Security: max-age=60}}}}\n\
             basic_auth_users: {{alice: {HASH}}}\nrate_limit: {{burst: 20, interval: 1ms}}\n"
        );
        let config = WebConfig::read("/etc/am/web.yml", &text).unwrap();
        let tls = config.tls.unwrap();
        assert_eq!(
            tls.certificate,
            PemSource::File(Path::new("/etc/am/server.crt").into())
        );
        assert_eq!(
            (tls.version_min, tls.version_max),
            (TlsVersion::Tls13, TlsVersion::Tls13)
        );
        assert_eq!(
            tls.client,
            ClientCertificates::Verified {
                required: true,
                authorities: PemSource::File(Path::new("/etc/am/ca.crt").into()),
                names: vec!["team.example".to_owned()],
            }
        );
        assert!(!config.http2);
        assert_eq!(config.headers["X-Frame-Options"], "deny");
        assert_eq!(config.users["alice"].reveal(), HASH);
        assert_eq!(
            config.rate_limit,
            Some(RateLimit {
                burst: 20,
                interval: Duration::from_millis(1)
            })
        );
    }

    #[test]
    fn mistakes_are_told_together_with_their_places() {
        let text = "tls_server_config:\n  cert_file: a\n  client_auth_type: Perhaps\n  min_version: SSL3\n  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n  surprise: 1\n\
                    http_server_config:\n  headers:\n    Server: x\n    X-Frame-Options: allow\nbasic_auth_users:\n  bob: secret\nrate_limit: {burst: -1}\n";
        assert_eq!(
            said(text),
            [
                "web.yml:2:3: missing one of key or key_file (tls_server_config)",
                "web.yml:3:21: Invalid ClientAuth: Perhaps (tls_server_config.client_auth_type)",
                "web.yml:4:16: unknown TLS version: SSL3 (tls_server_config.min_version)",
                "web.yml:5:19: unknown cipher: TLS_RSA_WITH_RC4_128_SHA (tls_server_config.cipher_suites[0])",
                "web.yml:6:3: field surprise not found in type web.TLSConfig (tls_server_config.surprise)",
                "web.yml:9:13: HTTP header \"Server\" can not be configured (http_server_config.headers.Server)",
                "web.yml:10:22: invalid value for X-Frame-Options. Expected one of: [\"deny\" \"sameorigin\"], but got: \"allow\" (http_server_config.headers.X-Frame-Options)",
                "web.yml:12:8: the password of user \"bob\" is not a bcrypt hash (basic_auth_users.bob)",
                "web.yml:13:21: cannot unmarshal !!int `-1` into uint64 (rate_limit.burst)",
            ]
        );
        assert_eq!(
            said("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}"),
            [
                "web.yml:1:20: Client CA's have been configured without a Client Auth Policy (tls_server_config)"
            ]
        );
    }
}
