//! `http_config` and `tls_config` in the dump.
use std::collections::BTreeMap;
use std::path::Path;

use crate::dump::entries::Entries;
use crate::go_yaml::Yaml;
use crate::http::{
    HeaderValues, HttpAuthorization, HttpConfig, OAuth2, PemSource, ProxyConfig, TlsConfig,
    TlsVersion,
};
use crate::value::{HttpUrl, SecretSource};

pub(crate) fn http_config(config: &HttpConfig) -> Yaml {
    let mut entries = Entries::default();
    if let Some(authorization) = &config.authorization {
        put_authorization(&mut entries, authorization);
    }
    if config.tls != TlsConfig::default() {
        entries.put("tls_config", tls_config(&config.tls));
    }
    entries.plain("follow_redirects", config.follow_redirects);
    entries.plain("enable_http2", config.enable_http2);
    put_proxy(&mut entries, &config.proxy);
    entries.map("http_headers", headers(&config.headers));
    entries.into_yaml()
}

pub(crate) fn headers(headers: &BTreeMap<String, HeaderValues>) -> Vec<(String, Yaml)> {
    let headers = headers.iter().map(|(name, header)| {
        let mut entries = Entries::default();
        entries.texts("values", header.values.iter().map(String::as_str));
        entries.secrets("secrets", &header.secrets);
        let files: Vec<String> = header.files.iter().map(|file| text_of(file)).collect();
        entries.texts("files", files.iter().map(String::as_str));
        (name.clone(), entries.into_yaml())
    });
    headers.collect()
}

fn put_authorization(entries: &mut Entries, authorization: &HttpAuthorization) {
    let mut own = Entries::default();
    let key = match authorization {
        HttpAuthorization::Basic { username, password } => {
            match username {
                Some(SecretSource::File(path)) => {
                    own.even_empty("username", "");
                    own.text("username_file", &text_of(path));
                }
                Some(SecretSource::Inline(name)) => own.even_empty("username", name.reveal()),
                None => own.even_empty("username", ""),
            }
            own.source("password", "password_file", password.as_ref());
            "basic_auth"
        }
        HttpAuthorization::OAuth2(oauth2) => {
            put_oauth2(&mut own, oauth2);
            "oauth2"
        }
        HttpAuthorization::Scheme {
            scheme,
            credentials,
        } => {
            own.text("type", scheme);
            own.source("credentials", "credentials_file", credentials.as_ref());
            "authorization"
        }
    };
    entries.put(key, own.into_yaml());
}

/// Only what is set: upstream prints empty keys too.
fn put_oauth2(entries: &mut Entries, oauth2: &OAuth2) {
    entries.text("client_id", &oauth2.client_id);
    let secret = oauth2.client_secret.as_ref();
    entries.source("client_secret", "client_secret_file", secret);
    entries.text(
        "client_certificate_key_id",
        &oauth2.client_certificate_key_id,
    );
    let key = oauth2.client_certificate_key.as_ref();
    entries.source("client_certificate_key", "client_certificate_key_file", key);
    entries.text("grant_type", &oauth2.grant_type);
    entries.text("signature_algorithm", &oauth2.signature_algorithm);
    entries.text("iss", &oauth2.issuer);
    entries.text("audience", &oauth2.audience);
    let pairs = |map: &BTreeMap<String, String>| -> Vec<(String, Yaml)> {
        map.iter()
            .map(|(name, text)| (name.clone(), Yaml::Text(text.clone())))
            .collect()
    };
    entries.values("claims", &oauth2.claims);
    entries.texts("scopes", oauth2.scopes.iter().map(String::as_str));
    entries.text("token_url", &oauth2.token_url);
    entries.map("endpoint_params", pairs(&oauth2.endpoint_params));
    if oauth2.tls != TlsConfig::default() {
        entries.put("tls_config", tls_config(&oauth2.tls));
    }
    put_proxy(entries, &oauth2.proxy);
}

fn put_proxy(entries: &mut Entries, proxy: &ProxyConfig) {
    if let Some(url) = &proxy.url {
        entries.text("proxy_url", &without_password(url));
    }
    entries.text("no_proxy", &proxy.no_proxy);
    entries.flag("proxy_from_environment", proxy.from_environment);
    let headers = proxy.connect_headers.iter().map(|(name, secrets)| {
        let mut entries = Entries::default();
        entries.secrets(name, secrets);
        entries.into_list()
    });
    entries.map("proxy_connect_header", headers.flatten().collect());
}

/// As Go prints an address whose password is nobody's business.
fn without_password(url: &HttpUrl) -> String {
    let written = url.as_str();
    let Some(password) = url.parsed().password() else {
        return written.to_owned();
    };
    written.replacen(&format!(":{password}@"), ":xxxxx@", 1)
}

pub(crate) fn tls_config(config: &TlsConfig) -> Yaml {
    let mut entries = Entries::default();
    let pems = [("ca", &config.ca), ("cert", &config.certificate)];
    for (key, pem) in pems {
        if let Some(PemSource::Inline(text)) = pem {
            entries.text(key, text);
        }
    }
    if let Some(SecretSource::Inline(key)) = &config.key {
        entries.secret("key", Some(key));
    }
    for (key, pem) in pems {
        if let Some(PemSource::File(path)) = pem {
            entries.text(&format!("{key}_file"), &text_of(path));
        }
    }
    if let Some(SecretSource::File(path)) = &config.key {
        entries.text("key_file", &text_of(path));
    }
    entries.text("server_name", &config.server_name);
    entries.plain("insecure_skip_verify", config.insecure_skip_verify);
    for (key, version) in [
        ("min_version", config.version_min),
        ("max_version", config.version_max),
    ] {
        entries.text(key, version.map_or("", tls_version));
    }
    entries.into_yaml()
}

fn tls_version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Tls10 => "TLS10",
        TlsVersion::Tls11 => "TLS11",
        TlsVersion::Tls12 => "TLS12",
        TlsVersion::Tls13 => "TLS13",
    }
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}
