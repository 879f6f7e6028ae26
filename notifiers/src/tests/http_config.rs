//! `http_config` and `tls_config`, key by key, by what the vendor, the proxy or the issuer of tokens hears.
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use config::{AlertmanagerConfig, AlertmanagerOptions, Endpoints};
use fakes::{
    Answer, AuthMechanism, Fake, Fakes, HttpFault, MailAccount, MailRules, MailServer, MailTls,
    Tls, WebhookReceiver,
};
use serde_json::json;
use template::TemplateSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;

use crate::teller::Tellers;
use crate::tests::world::{attempt, firing, tellers, word};

fn webhook(global: &str, url: &str, http_config: &str) -> Tellers {
    let own = if http_config.is_empty() {
        String::new()
    } else {
        format!(", http_config: {{{http_config}}}")
    };
    let integrations = format!("  webhook_configs: [{{url: '{url}'{own}}}]");
    tellers(global, &integrations, Endpoints::default())
}

/// Takes one connection, hears one request's head and refuses it. Gives the address, and what was heard.
async fn listener() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, heard)
}

/// The values of a header, in order.
fn values(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[tokio::test]
async fn credentials_and_headers() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["user", "word", "token", "header"] {
        fs::write(folder.path().join(name), format!("{name}-of-file\n")).unwrap();
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    // `echo -n user-of-file:word-of-file | base64`
    let both_of_files = "Basic dXNlci1vZi1maWxlOndvcmQtb2YtZmlsZQ==";
    for (keys, header, expected) in [
        ("", "authorization", &[][..]),
        ("", "x-a", &[]),
        (
            "basic_auth: {username: u, password: p}",
            "authorization",
            &["Basic dTpw"],
        ),
        (
            "basic_auth: {username: u}",
            "authorization",
            &["Basic dTo="],
        ),
        (
            &format!(
                "basic_auth: {{username_file: '{}', password_file: '{}'}}",
                file("user"),
                file("word")
            ),
            "authorization",
            &[both_of_files],
        ),
        (
            "authorization: {credentials: c}",
            "authorization",
            &["Bearer c"],
        ),
        (
            "authorization: {type: ' ', credentials: c}",
            "authorization",
            &["Bearer c"],
        ),
        (
            "authorization: {type: Token, credentials: c}",
            "authorization",
            &["Token c"],
        ),
        (
            &format!("authorization: {{credentials_file: '{}'}}", file("token")),
            "authorization",
            &["Bearer token-of-file"],
        ),
        ("bearer_token: t", "authorization", &["Bearer t"]),
        (
            &format!("bearer_token_file: '{}'", file("token")),
            "authorization",
            &["Bearer token-of-file"],
        ),
        (
            &format!(
                "http_headers: {{X-A: {{values: [a, b], secrets: [c], files: ['{}']}}}}",
                file("header")
            ),
            "x-a",
            &["a", "b", "c", "header-of-file"],
        ),
    ] {
        let (address, heard) = listener().await;
        let tellers = webhook("", &format!("http://{address}/webhook"), keys);
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome), "rejected", "{keys}: {outcome:?}");
        assert_eq!(values(&heard.await.unwrap(), header), expected, "{keys}");
    }
}

#[tokio::test]
async fn an_integrations_own_block_replaces_the_global_one() {
    let global =
        "http_config: {basic_auth: {username: u, password: p}, http_headers: {X-A: {values: [a]}}}";
    for (own, authorization, header) in [
        ("", Some("Basic dTpw"), Some("a")),
        ("bearer_token: t", Some("Bearer t"), None),
        ("follow_redirects: true", None, None),
    ] {
        let fakes = Fakes::start().await;
        let tellers = webhook(global, &fakes.webhook_url(""), own);
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome), "delivered", "{outcome:?}");
        let sent = fakes.webhook.requests().pop().unwrap().request;
        assert_eq!(sent.header("authorization"), authorization, "{own}");
        assert_eq!(sent.header("x-a"), header, "{own}");
    }
}

#[tokio::test]
async fn every_vendor_is_asked_as_its_block_says() {
    let fakes = Fakes::start().await;
    let url = fakes.webhook_url("");
    let http_config = "http_config: {basic_auth: {username: u, password: p}}";
    for (kind, integrations) in [
        (
            "pagerduty",
            format!("  pagerduty_configs: [{{routing_key: k, url: '{url}', {http_config}}}]"),
        ),
        (
            "slack",
            format!("  slack_configs: [{{api_url: '{url}', {http_config}}}]"),
        ),
        (
            "webhook",
            format!("  webhook_configs: [{{url: '{url}', {http_config}}}]"),
        ),
    ] {
        let tellers = tellers("", &integrations, Endpoints::default());
        let outcome = attempt(&tellers, kind, &firing()).await;
        assert_eq!(word(&outcome), "delivered", "{kind}: {outcome:?}");
        let sent = fakes.webhook.requests().pop().unwrap().request;
        assert_eq!(sent.header("authorization"), Some("Basic dTpw"), "{kind}");
    }
}

/// Which way a request takes, and what the proxy hears of it.
#[tokio::test]
async fn proxies() {
    let headers = "proxy_connect_header: {Proxy-Authorization: [s3cret], X-P: [a, b]}";
    for (target, keys, first_line, for_the_proxy) in [
        (
            "http://a.test/webhook",
            "",
            Some("POST http://a.test/webhook HTTP/1.1"),
            false,
        ),
        (
            "https://a.test/webhook",
            "",
            Some("CONNECT a.test:443 HTTP/1.1"),
            false,
        ),
        // Only the proxy gets what is the proxy's.
        (
            "https://a.test/webhook",
            headers,
            Some("CONNECT a.test:443 HTTP/1.1"),
            true,
        ),
        (
            "http://a.test/webhook",
            headers,
            Some("POST http://a.test/webhook HTTP/1.1"),
            false,
        ),
        ("http://a.test/webhook", "no_proxy: a.test", None, false),
        (
            "http://b.test/webhook",
            "no_proxy: a.test",
            Some("POST http://b.test/webhook HTTP/1.1"),
            false,
        ),
    ] {
        let (address, heard) = listener().await;
        let separator = if keys.is_empty() { "" } else { ", " };
        let keys = format!("proxy_url: 'http://{address}'{separator}{keys}");
        let outcome = attempt(&webhook("", target, &keys), "webhook", &firing()).await;
        let Some(first_line) = first_line else {
            // No name below `test` is ever found (RFC 6761).
            assert_eq!(word(&outcome), "retry", "{keys}: {outcome:?}");
            assert!(!heard.is_finished(), "{keys}");
            heard.abort();
            continue;
        };
        let heard = heard.await.unwrap();
        assert_eq!(heard.lines().next(), Some(first_line), "{keys}");
        let expected: (&[&str], &[&str]) = if for_the_proxy {
            (&["s3cret"], &["a", "b"])
        } else {
            (&[], &[])
        };
        assert_eq!(values(&heard, "proxy-authorization"), expected.0, "{heard}");
        assert_eq!(values(&heard, "x-p"), expected.1, "{heard}");
    }
    let (address, heard) = listener().await;
    let keys = format!("proxy_url: 'http://u:p@{address}'");
    let _ = attempt(&webhook("", "https://a.test/", &keys), "webhook", &firing()).await;
    let heard = heard.await.unwrap();
    assert_eq!(values(&heard, "proxy-authorization"), ["Basic dTpw"]);
}

/// What a client says of itself before anything is agreed upon.
#[tokio::test]
async fn http_2_is_offered_unless_it_is_switched_off() {
    for (keys, offered) in [
        ("enable_http2: true", &["h2", "http/1.1"][..]),
        ("follow_redirects: true", &["h2", "http/1.1"]),
        ("enable_http2: false", &["http/1.1"]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/webhook", listener.local_addr().unwrap());
        let hello = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = rustls::server::Acceptor::default();
            let hello = LazyConfigAcceptor::new(acceptor, stream).await.unwrap();
            let protocols: Vec<String> = hello
                .client_hello()
                .alpn()
                .unwrap()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect();
            protocols
        });
        let outcome = attempt(&webhook("", &url, keys), "webhook", &firing()).await;
        assert_eq!(word(&outcome), "retry", "{outcome:?}");
        assert_eq!(hello.await.unwrap(), offered, "{keys}");
    }
}

/// A text of several lines in one of YAML.
fn quoted(pem: &str) -> String {
    let mut quoted = String::from("\"");
    for line in pem.lines() {
        // Writing to a string cannot fail.
        let _ = write!(quoted, "{line}\\n");
    }
    quoted + "\""
}

/// Certificate and key as texts and as files.
fn pems(tls: &Tls, folder: &Path) -> [String; 4] {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, tls.certificate_pem()).unwrap();
    fs::write(&key, tls.key_pem()).unwrap();
    [
        quoted(tls.certificate_pem()),
        quoted(tls.key_pem()),
        certificate.display().to_string(),
        key.display().to_string(),
    ]
}

#[tokio::test]
async fn certificates_are_shown_and_asked_for() {
    let tls = Tls::among_equals();
    let fake = Fake::<WebhookReceiver>::start_with_tls(&tls).await;
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, certificate_file, key_file] = pems(&tls, folder.path());
    for (tls_config, delivered) in [
        (
            format!(
                "ca_file: '{certificate_file}', cert_file: '{certificate_file}', key_file: '{key_file}'"
            ),
            true,
        ),
        (
            format!("ca: {certificate}, cert: {certificate}, key: {key}"),
            true,
        ),
        (
            format!("ca: {certificate}, cert_file: '{certificate_file}', key: {key}"),
            true,
        ),
        (format!("ca: {certificate}"), false),
        (format!("cert: {certificate}, key: {key}"), false),
        (
            format!("cert: {certificate}, key: {key}, insecure_skip_verify: true"),
            true,
        ),
        (
            format!("ca: {certificate}, cert: {certificate}, key: {key}, server_name: localhost"),
            true,
        ),
        (
            format!("ca: {certificate}, cert: {certificate}, key: {key}, server_name: other.test"),
            false,
        ),
    ] {
        let keys = format!("tls_config: {{{tls_config}}}");
        let outcome = attempt(&webhook("", &fake.url(""), &keys), "webhook", &firing()).await;
        assert_eq!(
            word(&outcome) == "delivered",
            delivered,
            "{keys}: {outcome:?}"
        );
    }
}

/// The versions that a server of both is spoken to in, and what is left where none is.
#[tokio::test]
async fn versions_of_tls() {
    let tls = Tls::new();
    let fake = Fake::<WebhookReceiver>::start_with_tls(&tls).await;
    for (versions, delivered) in [
        ("min_version: TLS10", true),
        ("min_version: TLS12, max_version: TLS12", true),
        ("min_version: TLS13", true),
        ("min_version: TLS13, max_version: TLS13", true),
        ("max_version: TLS11", false),
        ("min_version: TLS13, max_version: TLS12", false),
    ] {
        let keys = format!("tls_config: {{insecure_skip_verify: true, {versions}}}");
        let outcome = attempt(&webhook("", &fake.url(""), &keys), "webhook", &firing()).await;
        assert_eq!(
            word(&outcome) == "delivered",
            delivered,
            "{versions}: {outcome:?}"
        );
    }
    for (versions, offered) in [
        ("", &["TLSv1_3", "TLSv1_2"][..]),
        (", min_version: TLS13", &["TLSv1_3"]),
        (", max_version: TLS12", &["TLSv1_2"]),
    ] {
        let keys = format!("tls_config: {{insecure_skip_verify: true{versions}}}");
        assert_eq!(offered_versions(&keys).await, offered, "{versions}");
    }
}

/// Which versions a client's first record offers: its extension 43 (RFC 8446 4.2.1), or by its absence 1.2 alone.
async fn offered_versions(http_config: &str) -> Vec<&'static str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/webhook", listener.local_addr().unwrap());
    let hello = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.unwrap();
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut record).await.unwrap();
        record
    });
    let _ = attempt(&webhook("", &url, http_config), "webhook", &firing()).await;
    let record = hello.await.unwrap();
    let extension = record.windows(3).enumerate().find_map(|(at, window)| {
        // Type 43, then its length, then the list's: 2 bytes a version.
        let body = record.get(at + 5..)?;
        let list = usize::from(body.first().copied()?.saturating_sub(2));
        (window[..2] == [0, 43] && list < 5).then_some(body)
    });
    let Some(body) = extension else {
        return vec!["TLSv1_2"];
    };
    body.chunks(2)
        .take(2)
        .filter_map(|version| match version {
            [3, 4] => Some("TLSv1_3"),
            [3, 3] => Some("TLSv1_2"),
            _ => None,
        })
        .collect()
}

/// The issuer of tokens has its own TLS, and its own way.
#[tokio::test]
async fn tokens() {
    let tls = Tls::among_equals();
    let issuer = Fake::<WebhookReceiver>::start_with_tls(&tls).await;
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, ..] = pems(&tls, folder.path());
    let secret = folder.path().join("secret");
    fs::write(&secret, "first\n").unwrap();
    let token = || {
        let body = json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600});
        HttpFault::Answer(Answer::json(200, &body))
    };
    let to = |keys: &str| {
        let own = format!(
            "oauth2: {{client_id: id, token_url: '{}', tls_config: {{ca: {certificate}, cert: {certificate}, key: {key}}}{keys}}}",
            issuer.url("token")
        );
        webhook("", &fakes.webhook_url(""), &own)
    };
    let secret_file = format!(", client_secret_file: '{}'", secret.display());
    for (keys, authorization, body) in [
        // `id:` and `id:s`
        ("", "Basic aWQ6", "grant_type=client_credentials"),
        (
            ", client_secret: s",
            "Basic aWQ6cw==",
            "grant_type=client_credentials",
        ),
        (
            &secret_file,
            "Basic aWQ6Zmlyc3Q=",
            "grant_type=client_credentials",
        ),
        (
            ", scopes: [a, b]",
            "Basic aWQ6",
            "grant_type=client_credentials&scope=a+b",
        ),
        (
            ", endpoint_params: {audience: 'x y', resource: r}",
            "Basic aWQ6",
            "grant_type=client_credentials&audience=x+y&resource=r",
        ),
    ] {
        issuer.fail_next(1, token());
        let outcome = attempt(&to(keys), "webhook", &firing()).await;
        assert_eq!(word(&outcome), "delivered", "{keys}: {outcome:?}");
        let asked = issuer.requests().pop().unwrap().request;
        assert_eq!(asked.header("authorization"), Some(authorization), "{keys}");
        assert_eq!(asked.text(), body, "{keys}");
        let sent = fakes.webhook.requests().pop().unwrap().request;
        assert_eq!(sent.header("authorization"), Some("Bearer t"));
    }
    // The secret is read for each token.
    let tellers = to(&secret_file);
    for (content, authorization) in [
        ("first", "Basic aWQ6Zmlyc3Q="),
        ("second", "Basic aWQ6c2Vjb25k"),
    ] {
        fs::write(&secret, content).unwrap();
        issuer.fail_next(1, token());
        fakes
            .webhook
            .fail_next(1, HttpFault::Answer(Answer::text(401, "")));
        issuer.fail_next(1, token());
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome), "delivered", "{outcome:?}");
        let asked = issuer.requests().pop().unwrap().request;
        assert_eq!(asked.header("authorization"), Some(authorization));
        issuer.heal();
    }
    // Whom the vendor's TLS would trust does not count for the issuer.
    let own = format!(
        "tls_config: {{ca: {certificate}, cert: {certificate}, key: {key}}}, oauth2: {{client_id: id, token_url: '{}'}}",
        issuer.url("token")
    );
    let outcome = attempt(
        &webhook("", &fakes.webhook_url(""), &own),
        "webhook",
        &firing(),
    )
    .await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
    // The issuer's proxy is its own too.
    let (address, heard) = listener().await;
    let own = format!(
        "oauth2: {{client_id: id, token_url: 'http://tokens.test/', proxy_url: 'http://{address}'}}"
    );
    let outcome = attempt(
        &webhook("", &fakes.webhook_url(""), &own),
        "webhook",
        &firing(),
    )
    .await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
    let heard = heard.await.unwrap();
    assert!(
        heard.starts_with("POST http://tokens.test/ HTTP/1.1"),
        "{heard}"
    );
}

/// Where a key signs for the client no secret is sent; the key is read for each token.
#[tokio::test]
async fn tokens_by_a_signed_assertion() {
    const KEY: &str = include_str!("rsa-key.pem");
    let (fakes, issuer) = (Fakes::start().await, Fakes::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let oauth2 = format!(
        "oauth2: {{client_id: id, token_url: '{}', grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', endpoint_params: {{a: b}}",
        issuer.webhook_url("token")
    );
    let token = || {
        let body = json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600});
        HttpFault::Answer(Answer::json(200, &body))
    };
    let inline = format!("{oauth2}, client_certificate_key: {}}}", quoted(KEY));
    let in_file = format!(
        "{oauth2}, client_certificate_key_file: '{}'}}",
        file.display()
    );
    for (keys, content, expected) in [
        (&inline, "", "delivered"),
        (&in_file, KEY, "delivered"),
        (&in_file, "none", "retry"),
    ] {
        fs::write(&file, content).unwrap();
        issuer.webhook.fail_next(1, token());
        let outcome = attempt(
            &webhook("", &fakes.webhook_url(""), keys),
            "webhook",
            &firing(),
        )
        .await;
        assert_eq!(word(&outcome), expected, "{outcome:?}");
        issuer.webhook.heal();
    }
    let asked = issuer.webhook.requests();
    assert_eq!(asked.len(), 2);
    let assertions: Vec<String> = asked
        .iter()
        .map(|asked| {
            assert_eq!(asked.request.header("authorization"), None);
            let text = asked.request.text();
            let rest = text.strip_prefix(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
            );
            let assertion = rest.and_then(|rest| rest.strip_suffix("&a=b"));
            assertion.unwrap_or_else(|| panic!("{text}")).to_owned()
        })
        .collect();
    assert_eq!(assertions[0].split('.').count(), 3);
    assert_ne!(assertions[0], assertions[1], "each has a number of its own");
    let sent = fakes.webhook.requests().pop().unwrap().request;
    assert_eq!(sent.header("authorization"), Some("Bearer t"));
}

/// What cannot be meant is said when the configuration is taken over.
#[test]
fn grants_that_nobody_knows_are_refused() {
    for (keys, sentence) in [
        (
            "grant_type: password",
            r#"oauth2 knows no grant_type "password""#,
        ),
        (
            "grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'",
            "oauth2 needs client_certificate_key or client_certificate_key_file for a signed assertion",
        ),
    ] {
        let text = format!(
            "route: {{receiver: r}}\nreceivers: [{{name: r, webhook_configs: [{{url: 'http://w', http_config: {{oauth2: {{client_id: id, token_url: 'http://t', {keys}}}}}}}]}}]\n"
        );
        let config = AlertmanagerConfig::read("a.yml", &text, &AlertmanagerOptions::default());
        let error = Tellers::prepare(
            &config.unwrap().value.receivers,
            &TemplateSet::alertmanager(),
        );
        let error = error.err().expect("it is refused");
        assert_eq!(error.sentence(), format!("r/webhook[0]: {sentence}"));
    }
}

/// A file that changes between two notifications counts for the second.
#[tokio::test]
async fn files_are_read_for_each_notification() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let path = file.display().to_string();
    let url = fakes.webhook_url("");
    let webhook =
        |keys: &str| format!("  webhook_configs: [{{url: '{url}', http_config: {{{keys}}}}}]");
    for (kind, integrations, header) in [
        (
            "webhook",
            webhook(&format!("bearer_token_file: '{path}'")),
            "authorization",
        ),
        (
            "webhook",
            webhook(&format!(
                "basic_auth: {{username: u, password_file: '{path}'}}"
            )),
            "authorization",
        ),
        (
            "webhook",
            webhook(&format!(
                "basic_auth: {{username_file: '{path}', password: p}}"
            )),
            "authorization",
        ),
        (
            "webhook",
            webhook(&format!("http_headers: {{X-A: {{files: ['{path}']}}}}")),
            "x-a",
        ),
        (
            "slack",
            format!("  slack_configs: [{{app_token_file: '{path}', app_url: '{url}'}}]"),
            "authorization",
        ),
    ] {
        let tellers = tellers("", &integrations, Endpoints::default());
        let mut said = Vec::new();
        for content in ["first", "second\n"] {
            fs::write(&file, content).unwrap();
            let _ = attempt(&tellers, kind, &firing()).await;
            let sent = fakes.webhook.requests().pop().unwrap().request;
            said.push(sent.header(header).unwrap().to_owned());
        }
        assert_ne!(said[0], said[1], "{integrations}");
    }
    // Addresses and keys.
    for (kind, integrations, contents) in [
        (
            "slack",
            format!("  slack_configs: [{{api_url_file: '{path}'}}]"),
            [fakes.webhook_url("one"), fakes.webhook_url("two")],
        ),
        (
            "webhook",
            format!("  webhook_configs: [{{url_file: '{path}'}}]"),
            [fakes.webhook_url("one"), fakes.webhook_url("two")],
        ),
        (
            "pagerduty",
            format!("  pagerduty_configs: [{{routing_key_file: '{path}', url: '{url}'}}]"),
            ["one".to_owned(), "two".to_owned()],
        ),
        (
            "pagerduty",
            format!("  pagerduty_configs: [{{service_key_file: '{path}'}}]"),
            ["one".to_owned(), "two".to_owned()],
        ),
    ] {
        let endpoints = Endpoints {
            pagerduty_v1: Some(config::HttpUrl::parse(&url).unwrap()),
            ..Endpoints::default()
        };
        let tellers = tellers("", &integrations, endpoints);
        for (content, last) in contents.iter().zip(["one", "two"]) {
            fs::write(&file, content).unwrap();
            let _ = attempt(&tellers, kind, &firing()).await;
            let sent = fakes.webhook.requests().pop().unwrap().request;
            let heard = format!("{} {}", sent.path, sent.text());
            assert!(heard.contains(last), "{integrations}: {heard}");
        }
    }
}

#[tokio::test]
async fn files_of_mail_are_read_for_each_notification() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let ca = folder.path().join("ca.pem");
    for (key, mechanism) in [
        ("auth_password_file", AuthMechanism::Plain),
        ("auth_secret_file", AuthMechanism::CramMd5),
    ] {
        let rules = MailRules {
            tls: MailTls::Required,
            account: Some(MailAccount {
                username: "u".into(),
                password: "right".into(),
                secret: "right".into(),
            }),
            mechanisms: vec![mechanism],
            auth_required: true,
            ..MailRules::default()
        };
        let server = MailServer::start(rules).await;
        let global = format!(
            "smtp_from: w@x.test, smtp_smarthost: '{}', smtp_auth_username: u, smtp_{key}: '{}', smtp_tls_config: {{ca_file: '{}'}}",
            server.address(),
            file.display(),
            ca.display(),
        );
        let tellers = tellers(
            &global,
            "  email_configs: [{to: a@b.test}]",
            Endpoints::default(),
        );
        for (secret, authority, expected) in [
            ("right\n", server.certificate_pem(), "delivered"),
            ("wrong\n", server.certificate_pem(), "rejected"),
            ("right", server.certificate_pem(), "delivered"),
            ("right", Tls::new().certificate_pem(), "retry"),
        ] {
            fs::write(&file, secret).unwrap();
            fs::write(&ca, authority).unwrap();
            let outcome = attempt(&tellers, "email", &firing()).await;
            assert_eq!(word(&outcome), expected, "{key} {secret:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_mail_begins_with_its_greeting() {
    let server = MailServer::start(MailRules::default()).await;
    let global = format!(
        "smtp_from: w@x.test, smtp_smarthost: '{}', smtp_require_tls: false, smtp_hello: me.test",
        server.address()
    );
    for (own, greeting) in [
        ("", "C: EHLO me.test"),
        (", hello: own.test", "C: EHLO own.test"),
    ] {
        let mail = format!("  email_configs: [{{to: a@b.test{own}}}]");
        let tellers = tellers(&global, &mail, Endpoints::default());
        let outcome = attempt(&tellers, "email", &firing()).await;
        assert_eq!(word(&outcome), "delivered", "{outcome:?}");
        let said = server.sessions().pop().unwrap().said;
        assert_eq!(said[1], greeting);
    }
}

/// A certificate that changes on the disk is shown by the next notification.
#[tokio::test]
async fn changed_certificates_count_from_the_next_notification() {
    let (tls, other) = (Tls::among_equals(), Tls::new());
    let fake = Fake::<WebhookReceiver>::start_with_tls(&tls).await;
    let folder = tempfile::tempdir().unwrap();
    let [_, _, certificate, key] = pems(&tls, folder.path());
    let authority = folder.path().join("ca.pem");
    let keys = format!(
        "tls_config: {{ca_file: '{}', cert_file: '{certificate}', key_file: '{key}'}}",
        authority.display()
    );
    let tellers = webhook("", &fake.url(""), &keys);
    for (trusted, own, delivered) in [
        (&tls, &tls, true),
        (&tls, &other, false),
        (&other, &tls, false),
        (&tls, &tls, true),
    ] {
        fs::write(&authority, trusted.certificate_pem()).unwrap();
        fs::write(&certificate, own.certificate_pem()).unwrap();
        fs::write(&key, own.key_pem()).unwrap();
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome) == "delivered", delivered, "{outcome:?}");
    }
}
