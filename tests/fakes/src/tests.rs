//! The fakes over real sockets, spoken to by hand.
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::event::Happened;
use crate::fake::Verdict;
use crate::fakes::Fakes;
use crate::fault::HttpFault;
use crate::http::Answer;
use crate::mail_rules::{AuthMechanism, MailAccount, MailFault, MailRules, MailTls, SmtpStage};
use crate::mail_server::MailServer;

/// Generous: it only bounds how long a broken test hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const MESSAGE: &str =
    "From: a@b\r\nDate: d\r\nMessage-Id: <i>\r\nSubject: s\r\n\r\nx\r\n..y\r\n.\r\n";

/// Writes a request, reads until the connection closes.
async fn speak(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    answer
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn one_port_holds_all_http_vendors() {
    let fakes = Fakes::start().await;
    let mut events = fakes.subscribe();
    let address = fakes.webhook.address();
    for (request, status) in [
        (post("/webhook/a", r#"{"status":"firing"}"#), "200 OK"),
        (post("/p/KEY/prod", "{}"), "200 OK"),
        (post("/services/T/B/X", r#"{"text":"t"}"#), "200 OK"),
        (post("/v2/enqueue", "{"), "400 Bad Request"),
        (post("/elsewhere", "{}"), "404 Not Found"),
        (
            "GET /webhook HTTP/1.1\r\n\r\n".to_owned(),
            "400 Bad Request",
        ),
        ("nonsense\r\n".to_owned(), "400 Bad Request"),
    ] {
        let answer = speak(address, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request}: {answer}"
        );
    }
    assert_eq!(fakes.strays(), ["POST /elsewhere"]);
    let seen = fakes.pagerduty.requests();
    assert_eq!(seen[0].verdict, Verdict::Refused("not JSON".into()));
    let first = events.recv().await.unwrap();
    assert_eq!(first.to_string(), "Webhook /webhook/a: firing");
    let second = events.recv().await.unwrap().what;
    assert_eq!(
        second,
        Happened::Pinged {
            monitor: "prod".into(),
            count: 1
        }
    );
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_chunks() {
    let fakes = Fakes::start().await;
    let chunked = "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1;x=y\r\n]\r\n0\r\n\r\n";
    let both = format!("{chunked}{}", post("/webhook", "[2]"));
    let answer = speak(fakes.webhook.address(), &both).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2);
    let bodies = fakes.webhook.look(|receiver| receiver.bodies.clone());
    assert_eq!(bodies[0].1, serde_json::json!([1]));
    assert_eq!(bodies[1].1, serde_json::json!([2]));
}

#[tokio::test]
async fn faults_are_played_in_order() {
    let fakes = Fakes::start().await;
    let hook = &fakes.webhook;
    hook.fail_next(
        1,
        HttpFault::Answer(Answer::text(503, "").with_header("retry-after", 7)),
    );
    hook.fail_next(1, HttpFault::CloseBeforeReply);
    hook.fail_next(1, HttpFault::CloseAfterCommit);
    hook.fail_next(
        1,
        HttpFault::RateLimit {
            retry_after: Some(3),
        },
    );
    hook.fail_next(1, HttpFault::Delay(Duration::from_millis(20)));
    let mut answers = Vec::new();
    for number in 0..5 {
        answers.push(speak(hook.address(), &post("/webhook", &format!("[{number}]"))).await);
    }
    assert!(
        answers[0].contains("503 Service Unavailable") && answers[0].contains("retry-after: 7")
    );
    assert_eq!((answers[1].as_str(), answers[2].as_str()), ("", ""));
    assert!(answers[3].contains("429") && answers[3].contains("retry-after: 3"));
    assert!(answers[4].contains("200 OK"));
    let taken = hook.look(|receiver| receiver.bodies.clone());
    assert_eq!(taken.len(), 2, "after the commit, and after the delay");
    let requests = hook
        .wait_for(PATIENCE, |_, requests| {
            requests.get(4)?.answered_at.map(|_| requests.to_vec())
        })
        .await
        .unwrap();
    let answered: Vec<bool> = requests
        .iter()
        .map(|request| request.answered_at.is_some())
        .collect();
    assert_eq!(answered, [true, false, false, true, true]);
    assert!(requests[2].accepted() && !requests[1].accepted());
}

#[tokio::test]
async fn waiting_ends_with_what_was_received() {
    let fakes = Fakes::start().await;
    speak(fakes.webhook.address(), &post("/webhook", "[7]")).await;
    let waited = fakes
        .webhook
        .wait_for(Duration::from_millis(10), |receiver, _| {
            receiver.bodies.get(1).cloned()
        });
    let error = waited.await.unwrap_err();
    assert!(
        error.received.contains("#0 POST /webhook Accepted 200 [7]"),
        "{error}"
    );
}

#[tokio::test]
async fn stopping_closes_the_ports() {
    let fakes = Fakes::start().await;
    let (http, smtp) = (fakes.webhook.address(), fakes.smtp_address());
    fakes.stop().await;
    assert!(TcpStream::connect(http).await.is_err());
    assert!(TcpStream::connect(smtp).await.is_err());
}

/// Says each line after the answer to the one before, and returns the codes. A line may be a whole message.
async fn converse<Stream: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream,
    greets: bool,
    lines: &[&str],
) -> Vec<String> {
    let mut codes = Vec::new();
    if greets {
        codes.push(code(stream).await);
    }
    for line in lines {
        let end = if line.ends_with("\r\n") { "" } else { "\r\n" };
        stream
            .write_all(format!("{line}{end}").as_bytes())
            .await
            .unwrap();
        codes.push(code(stream).await);
    }
    codes
}

/// The code of the next answer, empty where the connection has ended.
async fn code<Stream: AsyncRead + Unpin>(stream: &mut Stream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        loop {
            let mut byte = [0];
            match stream.read(&mut byte).await {
                Ok(1) => answer.push(byte[0]),
                Ok(_) | Err(_) => return String::new(),
            }
            let text = String::from_utf8_lossy(&answer);
            let last = text
                .trim_end_matches("\r\n")
                .rsplit("\r\n")
                .next()
                .unwrap_or("");
            if text.ends_with("\r\n") && last.as_bytes().get(3) == Some(&b' ') {
                return last[..3].to_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap()
}

async fn check(server: &MailServer, lines: &[&str], expected: &str) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let codes = converse(&mut stream, true, lines).await;
    assert_eq!(codes.join(" "), expected, "{lines:?}");
}

#[tokio::test]
async fn mail_arrives_as_it_was_sent() {
    let server = MailServer::start(MailRules::default()).await;
    let lines = [
        "EHLO x",
        "MAIL FROM:<a@b> BODY=8BITMIME",
        "RCPT TO:<c@d>",
        "DATA",
        MESSAGE,
        "QUIT",
    ];
    check(&server, &lines, "220 250 250 250 354 250 221").await;
    let mail = &server.mails()[0];
    assert!(
        mail.message.ends_with(b"\r\n\r\nx\r\n.y\r\n"),
        "dots are unstuffed"
    );
    assert_eq!((mail.subject(), mail.recipients.len()), ("s".into(), 1));
    server
        .wait_for(PATIENCE, |house, _| house.mailbox[0].answered_at)
        .await
        .unwrap();
}

#[tokio::test]
async fn mail_is_refused_as_servers_refuse_it() {
    let rules = MailRules {
        size_max: 100,
        refused: [("no@d".to_owned(), (550, "5.1.1 no such user".to_owned()))].into(),
        ..MailRules::default()
    };
    let server = MailServer::start(rules).await;
    let long = format!("Subject: {}\r\n.\r\n", "x".repeat(101));
    for (lines, expected) in [
        (&["MAIL FROM:<a@b>"][..], "220 503"),
        (&["EHLO x", "RCPT TO:<a@b>"], "220 250 503"),
        (&["EHLO x", "MAIL FROM:a@b"], "220 250 501"),
        (&["EHLO x", "MAIL FROM:<a@b> SIZE=101"], "220 250 552"),
        (&["EHLO x", "MAIL FROM:<a@b> SMTPUTF8"], "220 250 555"),
        (
            &["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<no@d>", "DATA"],
            "220 250 250 550 503",
        ),
        (
            &["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", &long],
            "220 250 250 250 354 552",
        ),
        (
            &[
                "EHLO x",
                "MAIL FROM:<a@b>",
                "RCPT TO:<c@d>",
                "DATA",
                "x\r\n.\r\n",
            ],
            "220 250 250 250 354 554",
        ),
        (&["EHLO x\r\nNOOP\r\n"], "220 503"),
        (&["EHLO x", "AUTH PLAIN AA=="], "220 250 503"),
        (&["EHLO x", "STARTTLS"], "220 250 502"),
    ] {
        check(&server, lines, expected).await;
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn greylisting_wants_a_second_try() {
    let rules = MailRules {
        greylists: true,
        ..MailRules::default()
    };
    let server = MailServer::start(rules).await;
    let lines = ["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"];
    check(&server, &lines, "220 250 250 451").await;
    check(&server, &lines, "220 250 250 250").await;
}

#[tokio::test]
async fn faults_of_mail() {
    let server = MailServer::start(MailRules::default()).await;
    let busy = |at| MailFault::Answer {
        at,
        code: 421,
        text: "4.3.2 busy".into(),
    };
    server.fail_next(1, busy(SmtpStage::Banner));
    server.fail_next(
        1,
        MailFault::Close {
            at: SmtpStage::Data,
        },
    );
    server.fail_next(1, MailFault::CloseAfterCommit);
    let lines = [
        "EHLO x",
        "MAIL FROM:<a@b>",
        "RCPT TO:<c@d>",
        "DATA",
        MESSAGE,
    ];
    check(&server, &[], "421").await;
    check(&server, &lines[..4], "220 250 250 250 ").await;
    check(&server, &lines, "220 250 250 250 354 ").await;
    let mails = server.mails();
    assert_eq!((mails.len(), mails[0].answered_at), (1, None));
}

fn with_account(tls: MailTls, mechanism: AuthMechanism) -> MailRules {
    MailRules {
        tls,
        account: Some(MailAccount {
            username: "u".into(),
            password: "p".into(),
            secret: "s".into(),
        }),
        mechanisms: vec![mechanism],
        auth_required: true,
        ..MailRules::default()
    }
}

#[tokio::test]
async fn who_may_send_must_log_in() {
    for (mechanism, lines, expected) in [
        (
            AuthMechanism::Plain,
            &["EHLO x", "MAIL FROM:<a@b>"][..],
            "220 250 530",
        ),
        (
            AuthMechanism::Plain,
            &["EHLO x", "AUTH PLAIN AHUAcA==", "MAIL FROM:<a@b>"],
            "220 250 235 250",
        ),
        (
            AuthMechanism::Plain,
            &["EHLO x", "AUTH PLAIN", "AHUAeA=="],
            "220 250 334 535",
        ),
        (
            AuthMechanism::Login,
            &["EHLO x", "AUTH LOGIN", "dQ==", "cA=="],
            "220 250 334 334 235",
        ),
        (
            AuthMechanism::Login,
            &["EHLO x", "AUTH PLAIN AHUAcA=="],
            "220 250 504",
        ),
    ] {
        let server = MailServer::start(with_account(MailTls::Off, mechanism)).await;
        check(&server, lines, expected).await;
    }
    let server = MailServer::start(with_account(MailTls::Off, AuthMechanism::CramMd5)).await;
    for (answer, expected) in [
        ("u 0435563ae1ea91537a60624b6b72b761", "220 250 334 235"),
        ("u 0435563ae1ea91537a60624b6b72b760", "220 250 334 535"),
    ] {
        let answer = BASE64.encode(answer);
        check(&server, &["EHLO x", "AUTH CRAM-MD5", &answer], expected).await;
    }
}

#[tokio::test]
async fn tls_begins_with_the_word_or_with_the_first_byte() {
    for tls in [MailTls::Required, MailTls::Implicit] {
        let server = MailServer::start(with_account(tls, AuthMechanism::Plain)).await;
        let mut roots = RootCertStore::empty();
        let pem = server.certificate_pem().as_bytes();
        roots
            .add(CertificateDer::from_pem_slice(pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let mut plain = TcpStream::connect(server.address()).await.unwrap();
        if tls == MailTls::Required {
            let early = [
                "EHLO x",
                "MAIL FROM:<a@b>",
                "AUTH PLAIN AHUAcA==",
                "STARTTLS",
            ];
            let codes = converse(&mut plain, true, &early).await;
            assert_eq!(codes.join(" "), "220 250 530 538 220");
        }
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, plain).await.unwrap();
        let lines = [
            "EHLO x",
            "AUTH PLAIN AHUAcA==",
            "MAIL FROM:<a@b>",
            "RCPT TO:<c@d>",
            "DATA",
            MESSAGE,
        ];
        let codes = converse(&mut stream, tls == MailTls::Implicit, &lines).await;
        assert!(
            codes.join(" ").ends_with("250 235 250 250 354 250"),
            "{codes:?}"
        );
        let mail = &server.mails()[0];
        assert!(mail.encrypted && mail.user.as_deref() == Some("u"));
    }
}
