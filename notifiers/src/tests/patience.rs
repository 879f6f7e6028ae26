//! Who is waited for, and for how long: an answer that may still come, a server that does not go on, a connection that is
//! dead.
use std::fs;
use std::time::Duration;

use config::{Endpoints, TlsConfig};
use fakes::{MailFault, MailRules, MailServer, SmtpStage};
use notifiers_core::{
    Failure, FailureCause, MailRequest, MailSecurity, Memory, Outcome, Reached, Response,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mail::send;
use crate::tests::world::{PATIENCE, attempt_with, firing, tellers};

const HEAD: &str =
    "From: a@b.test\r\nDate: Fri, 20 Nov 2026 15:00:00 +0000\r\nMessage-Id: <1@b.test>\r\n\r\n";

fn mail(server: &str, bytes: usize, step_timeout: Duration) -> MailRequest {
    MailRequest {
        smarthost: server.to_owned(),
        hello: "localhost".to_owned(),
        security: MailSecurity::Opportunistic,
        login: None,
        from: "a@b.test".to_owned(),
        recipients: vec!["c@d.test".to_owned()],
        message: format!("{HEAD}{}\r\n", "x".repeat(bytes)).into_bytes(),
        step_timeout,
    }
}

/// Before the message nobody is told: a server that does not go on is tried anew. Its word on the message is worth the
/// whole time.
#[tokio::test]
async fn a_mail_server_has_its_time_for_each_step_and_all_of_it_for_the_last() {
    let step_timeout = Duration::from_millis(500);
    for at in [
        SmtpStage::Banner,
        SmtpStage::Hello,
        SmtpStage::MailFrom,
        SmtpStage::RcptTo,
        SmtpStage::Data,
        SmtpStage::Message,
    ] {
        let server = MailServer::start(MailRules::default()).await;
        let delay = if at == SmtpStage::Message {
            step_timeout * 3
        } else {
            PATIENCE
        };
        server.fail_next(1, MailFault::Delay { at, delay });
        let request = mail(&server.address().to_string(), 10, step_timeout);
        let response = send(&request, &TlsConfig::default(), PATIENCE / 2).await;
        if at == SmtpStage::Message {
            assert!(
                matches!(&response, Response::Mail(reply) if reply.code == 250),
                "{response:?}"
            );
        } else {
            let Response::Failed(Failure {
                reached,
                cause,
                text,
            }) = response
            else {
                panic!("{at:?}: {response:?}")
            };
            assert_eq!(
                (reached, cause, text.as_str()),
                (
                    Reached::Nothing,
                    FailureCause::OutOfTime,
                    "no answer within 500ms"
                ),
                "{at:?}"
            );
        }
    }
}

/// The server has taken the mail: how long it takes over the goodbye is nothing to anybody, and a process that was
/// suspended meanwhile finds the server's word behind its time.
#[tokio::test]
async fn a_mail_that_the_server_has_taken_is_sent() {
    let server = MailServer::start(MailRules::default()).await;
    let delay = PATIENCE;
    let at = SmtpStage::Quit;
    server.fail_next(1, MailFault::Delay { at, delay });
    let request = mail(&server.address().to_string(), 10, PATIENCE);
    let time_left = Duration::from_millis(500);
    let response = send(&request, &TlsConfig::default(), time_left).await;
    assert!(
        matches!(&response, Response::Mail(reply) if reply.code == 250),
        "{response:?}"
    );
}

/// It has its whole time behind it at once, and the server's word before it.
#[tokio::test]
async fn a_process_that_was_suspended_hears_what_the_mail_server_has_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for line in ["220 a", "250 a", "250 a", "250 a", "250 a", "354 go"] {
            stream
                .write_all(format!("{line}\r\n").as_bytes())
                .await
                .unwrap();
            if line != "354 go" {
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
            }
        }
        let mut message = Vec::new();
        while !message.ends_with(b"\r\n.\r\n") {
            stream.read_buf(&mut message).await.unwrap();
        }
        stream.write_all(b"250 taken\r\n").await.unwrap();
        tokio::time::pause();
        tokio::time::advance(PATIENCE * 2).await;
        tokio::time::resume();
        stream
    });
    let request = mail(&address, 10, PATIENCE);
    let response = send(&request, &TlsConfig::default(), PATIENCE).await;
    assert!(
        matches!(&response, Response::Mail(reply) if reply.text == "taken"),
        "{response:?}"
    );
    server.await.unwrap();
}

/// A mail that broke off before its last line is nobody's.
#[tokio::test]
async fn a_message_without_its_end_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for line in [
            "220 a\r\n",
            "250 a\r\n",
            "250 a\r\n",
            "250 a\r\n",
            "250 a\r\n",
            "354 go\r\n",
        ] {
            stream.write_all(line.as_bytes()).await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
        }
    });
    let request = mail(&address, 32 * 1024 * 1024, PATIENCE);
    let response = send(&request, &TlsConfig::default(), PATIENCE).await;
    assert!(
        matches!(&response, Response::Failed(failure) if failure.reached == Reached::Nothing),
        "{response:?}"
    );
    server.await.unwrap();
}

/// The status says what became of the request: a vendor whose words do not end was told.
#[tokio::test]
async fn an_answer_whose_body_does_not_end_is_an_answer() {
    let slack = ", channel: '#c', timeout: 1s";
    for (kind, key, settings, body) in [
        ("webhook", "url", "", "ok"),
        ("webhook", "url", ", timeout: 1s", "ok"),
        ("slack", "api_url", slack, "o"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let integration = format!("  {kind}_configs: [{{{key}: 'http://{address}'{settings}}}]");
        let tellers = tellers("", &integration, Endpoints::default());
        let attempt = tokio::spawn(async move {
            attempt_with(&tellers, kind, &firing(), &Memory::default(), PATIENCE).await
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (outcome, _) = attempt.await.unwrap();
        assert!(
            matches!(outcome, Outcome::Delivered { .. }),
            "{kind}{settings}: {outcome:?}"
        );
    }
}

/// While an answer is waited for the other side is asked every few seconds whether it is there, so that a connection that
/// some box in between has forgotten does not cost a whole group interval.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn whoever_is_waited_for_is_asked_whether_it_is_there() {
    for kind in ["webhook", "slack", "pagerduty", "email"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let integration = match kind {
            "webhook" => format!("webhook_configs: [{{url: 'http://{address}'}}]"),
            "slack" => format!("slack_configs: [{{api_url: 'http://{address}', channel: c}}]"),
            "pagerduty" => format!(
                "pagerduty_configs: [{{routing_key: {}, url: 'http://{address}'}}]",
                "0".repeat(32)
            ),
            _ => {
                format!("email_configs: [{{to: a@b.test, from: a@b.test, smarthost: '{address}'}}]")
            }
        };
        let tellers = tellers("", &format!("  {integration}"), Endpoints::default());
        let attempt = tokio::spawn(async move {
            attempt_with(&tellers, kind, &firing(), &Memory::default(), PATIENCE).await
        });
        let (mut stream, client) = listener.accept().await.unwrap();
        if kind != "email" {
            // All of the request, so that nothing is left to be acknowledged.
            read_request(&mut stream).await;
        }
        let asked = async {
            loop {
                match keepalive_timer(client.port()) {
                    Some(left) => break left,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let asked_within = tokio::time::timeout(PATIENCE, asked).await.unwrap();
        assert!(
            asked_within <= Duration::from_secs(10),
            "{kind}: {asked_within:?}"
        );
        attempt.abort();
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}\n") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
}

/// How long until the socket with this port asks its other side; none while something else is due first, and where the
/// list, which changes while it is read, lacks it.
#[cfg(target_os = "linux")]
fn keepalive_timer(port: u16) -> Option<Duration> {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let own = format!("0100007F:{port:04X}");
    let row = sockets
        .lines()
        .find(|row| row.split_whitespace().nth(1) == Some(own.as_str()))?;
    let (timer, left) = row.split_whitespace().nth(5)?.split_once(':')?;
    let ticks = u64::from_str_radix(left, 16).unwrap();
    // 02 is the keepalive timer, and ticks are hundredths of a second.
    (timer == "02").then(|| Duration::from_millis(ticks * 10))
}
