//! What clients of a guarded port see.
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{CertificateParams, Issuer, KeyPair};
use tempfile::TempDir;

use crate::server::Server;
use crate::server::web::Web;
use crate::stop::Stopper;

/// Nothing of what is tested takes as long.
const FAR: Duration = Duration::from_secs(60);

/// A server that says `here`, and the folder of its files.
struct Site {
    address: SocketAddr,
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    authority_pem: String,
    _stopper: Stopper,
}

impl Site {
    /// `web` is the web configuration's text.
    async fn start(web: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority_pem = params.self_signed(&key).unwrap().pem();
        let authority = Issuer::new(params, key);
        let (certificate, key) = issue(&authority, "127.0.0.1");
        for (name, text) in [
            ("ca.crt", authority_pem.as_str()),
            ("server.crt", &certificate),
            ("server.key", &key),
            ("web.yml", web),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let web = Arc::new(Web::open(&folder.path().join("web.yml")).unwrap());
        let server = Server::bind(&["127.0.0.1:0".to_owned()])
            .await
            .unwrap()
            .guarded(Some(web));
        let address = server.addresses()[0];
        let (stopper, stop) = Stopper::new();
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(server.serve(router, stop));
        Self {
            address,
            folder,
            authority,
            authority_pem,
            _stopper: stopper,
        }
    }

    fn write(&self, web: &str) {
        fs::write(self.folder.path().join("web.yml"), web).unwrap();
    }

    /// Status and protocol, or nothing where no answer came. A client of its own, so that nothing is kept open.
    async fn ask(&self, scheme: &str, client: Client<'_>) -> Option<(u16, reqwest::Version)> {
        let authority = reqwest::Certificate::from_pem(self.authority_pem.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority]);
        if let Some(name) = client.certificate {
            let (certificate, key) = issue(&self.authority, name);
            let identity = format!("{certificate}{key}");
            builder = builder.identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap());
        }
        let url = format!("{scheme}://{}/", self.address);
        let mut request = builder.build().unwrap().get(url);
        if let Some((name, password)) = client.login {
            request = request.basic_auth(name, Some(password));
        }
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.version()))
    }

    async fn status(&self, client: Client<'_>) -> Option<u16> {
        self.ask("http", client).await.map(|(status, _)| status)
    }

    async fn wait_for(&self, client: Client<'_>, status: u16) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let changing = async {
            while self.status(client).await != Some(status) {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(FAR, changing).await.unwrap();
    }
}

#[derive(Clone, Copy, Default)]
struct Client<'a> {
    /// The name in its certificate.
    certificate: Option<&'a str>,
    login: Option<(&'a str, &'a str)>,
}

fn login<'a>(name: &'a str, password: &'a str) -> Client<'a> {
    Client {
        login: Some((name, password)),
        ..Client::default()
    }
}

fn issue(authority: &Issuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// The cheapest hash that there is.
fn user(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("basic_auth_users: {{{name}: '{hash}'}}\n")
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

#[tokio::test]
async fn over_tls_http_2_is_spoken_unless_it_is_switched_off() {
    let site = Site::start(TLS).await;
    let answer = site.ask("https", Client::default()).await;
    assert_eq!(answer, Some((200, reqwest::Version::HTTP_2)));
    assert_eq!(site.status(Client::default()).await, None, "plain HTTP");

    let site = Site::start(&format!("{TLS}http_server_config: {{http2: false}}\n")).await;
    let answer = site.ask("https", Client::default()).await;
    assert_eq!(answer, Some((200, reqwest::Version::HTTP_11)));
}

#[tokio::test]
async fn clients_show_the_certificates_that_are_asked_for() {
    let any = Client {
        certificate: Some("team-a.example"),
        ..Client::default()
    };
    for (policy, with, without) in [
        ("NoClientCert", true, true),
        ("RequestClientCert", true, true),
        ("RequireAnyClientCert", true, false),
        (
            "VerifyClientCertIfGiven\n  client_ca_file: ca.crt",
            true,
            true,
        ),
        (
            "RequireAndVerifyClientCert\n  client_ca_file: ca.crt",
            true,
            false,
        ),
        (
            "RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [x.example, team-a.example]",
            true,
            false,
        ),
        (
            "RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [x.example]",
            false,
            false,
        ),
    ] {
        let site = Site::start(&format!("{TLS}  client_auth_type: {policy}\n")).await;
        let lets_in = async |client| site.ask("https", client).await.is_some();
        assert_eq!(lets_in(any).await, with, "{policy}");
        assert_eq!(lets_in(Client::default()).await, without, "{policy}");
    }
    // Signed by somebody else.
    let site = Site::start(&format!(
        "{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n"
    ))
    .await;
    let stranger = Site::start("").await;
    let other = Site {
        authority: stranger.authority,
        ..site
    };
    assert_eq!(other.ask("https", any).await, None);
}

#[tokio::test]
async fn users_log_in_and_changes_of_the_file_count() {
    let site = Site::start(&user("alice", "right")).await;
    for (client, status) in [
        (Client::default(), 401),
        (login("alice", "wrong"), 401),
        (login("alice", ""), 401),
        (login("bob", "right"), 401),
        (login("", ""), 401),
        (login("alice", "right"), 200),
        // Answered from memory.
        (login("alice", "right"), 200),
        (login("alice", "wrong"), 401),
    ] {
        assert_eq!(
            site.status(client).await,
            Some(status),
            "{:?}",
            client.login
        );
    }
    site.write(&user("bob", "right"));
    site.wait_for(login("bob", "right"), 200).await;
    assert_eq!(site.status(login("alice", "right")).await, Some(401));

    // What cannot be used leaves what was in force; what can be used later is.
    site.write("basic_auth_users: {carol: not-a-hash}");
    site.write("surprise: 1");
    assert_eq!(site.status(login("bob", "right")).await, Some(200));
    site.write("");
    site.wait_for(Client::default(), 200).await;
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_as_a_wrong_password() {
    assert!(matches!(bcrypt::verify("x", super::NOBODY), Ok(false)));
}

#[tokio::test]
async fn answers_carry_the_headers_and_no_more_requests_come_than_may() {
    let web = "http_server_config: {headers: {X-Frame-Options: deny}}\nrate_limit: {burst: 2, interval: 1h}\n";
    let site = Site::start(web).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let url = format!("http://{}/", site.address);
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.headers()["x-frame-options"], "deny");
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn mistakes_are_told_when_the_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    let said = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut said = String::new();
        let mut error: Option<&dyn std::error::Error> = None;
        let opened = Web::open(&path);
        let failure = opened.err();
        if let Some(failure) = &failure {
            error = Some(failure);
        }
        while let Some(cause) = error {
            said += &format!("{cause}: ");
            error = cause.source();
        }
        said
    };
    assert_eq!(said(""), "");
    assert!(said("users: 1").contains("field users not found"));
    assert!(
        said(TLS).contains("server.crt: No such file"),
        "{}",
        said(TLS)
    );
    for name in ["server.crt", "server.key"] {
        fs::write(folder.path().join(name), "nothing").unwrap();
    }
    assert!(said(TLS).contains("the certificate is not in PEM form"));
}
