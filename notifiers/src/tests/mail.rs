//! Mail.
use std::fs;
use std::time::Duration;

use config::{Endpoints, TlsConfig};
use fakes::{AuthMechanism, MailAccount, MailFault, MailRules, MailServer, MailTls, SmtpStage};
use notifiers_core::{MailRequest, MailSecurity, Memory, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::mail::send;
use crate::teller::Tellers;
use crate::tests::world::{PATIENCE, attempt, attempt_with, firing, reason, tellers, word};

/// Mail to `to` through the server; `further` are more keys of `email_configs`.
fn mailing(server: &MailServer, to: &str, further: &str) -> Tellers {
    let integrations = format!(
        "  email_configs: [{{to: '{to}', from: 'Watch <watch@shop.example>', smarthost: '{}'{further}}}]",
        server.address()
    );
    tellers("", &integrations, Endpoints::default())
}

const PLAIN_TEXT: &str = ", require_tls: false";

#[tokio::test]
async fn a_mail_arrives_once_for_all_recipients() {
    let server = MailServer::start(MailRules::default()).await;
    let tellers = mailing(&server, "a@b.test, Ops <c@d.test>", PLAIN_TEXT);
    let outcome = attempt(&tellers, "email", &firing()).await;
    assert_eq!(word(&outcome), "delivered", "{outcome:?}");
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.from, "watch@shop.example");
    assert_eq!(mail.recipients, ["a@b.test", "c@d.test"]);
    assert_eq!(mail.subject(), "[FIRING:1] Down (a:1)");
    assert!(
        mail.part("text/html")
            .unwrap()
            .contains("A is &lt;down&gt;")
    );
    let said = &server.sessions()[0].said;
    assert!(said[2].starts_with("S: 250-fakes.example"), "{said:?}");
    assert!(said.contains(&"C: RCPT TO:<c@d.test>".to_owned()));
}

fn rules(tls: MailTls, mechanisms: Vec<AuthMechanism>) -> MailRules {
    MailRules {
        tls,
        account: Some(MailAccount {
            username: "u".into(),
            password: "p".into(),
            secret: "s".into(),
        }),
        mechanisms,
        auth_required: true,
        ..MailRules::default()
    }
}

#[tokio::test]
async fn tls_and_login_as_the_server_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    for (tls, mechanism, credential, further) in [
        (
            MailTls::Required,
            AuthMechanism::Plain,
            "auth_password: p",
            "",
        ),
        (
            MailTls::Required,
            AuthMechanism::Login,
            "auth_password: p",
            "",
        ),
        (
            MailTls::Required,
            AuthMechanism::CramMd5,
            "auth_secret: s",
            "",
        ),
        (
            MailTls::Offered,
            AuthMechanism::Plain,
            "auth_password: p",
            PLAIN_TEXT,
        ),
        (
            MailTls::Implicit,
            AuthMechanism::Plain,
            "auth_password: p",
            ", force_implicit_tls: true",
        ),
    ] {
        let server = MailServer::start(rules(tls, vec![AuthMechanism::Xoauth2, mechanism])).await;
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, server.certificate_pem()).unwrap();
        let further = format!(
            "{further}, auth_username: u, {credential}, tls_config: {{ca_file: '{}'}}",
            ca.display()
        );
        let outcome = attempt(&mailing(&server, "a@b.test", &further), "email", &firing()).await;
        assert_eq!(
            word(&outcome),
            "delivered",
            "{tls:?} {mechanism:?}: {outcome:?}"
        );
        let mail = &server.mails()[0];
        assert!(mail.encrypted && mail.user.as_deref() == Some("u"));
    }
}

#[tokio::test]
async fn without_the_demanded_tls_there_is_no_mail() {
    let server = MailServer::start(MailRules::default()).await;
    let outcome = attempt(&mailing(&server, "a@b.test", ""), "email", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    let expected = format!(
        "'require_tls' is true (default) but {} does not advertise the STARTTLS extension",
        server.address()
    );
    assert_eq!(reason(&outcome), expected);
    let server = MailServer::start(rules(MailTls::Required, vec![AuthMechanism::Plain])).await;
    let outcome = attempt(&mailing(&server, "a@b.test", ""), "email", &firing()).await;
    assert_eq!(
        word(&outcome),
        "retry",
        "nobody vouches for the certificate"
    );
    assert!(reason(&outcome).starts_with("TLS: "), "{outcome:?}");
    assert!(server.mails().is_empty());
}

/// What the keys of `tls_config` ask for holds for STARTTLS and for TLS from the first byte.
#[tokio::test]
async fn tls_is_spoken_as_configured() {
    for (tls, implicit) in [(MailTls::Required, false), (MailTls::Implicit, true)] {
        let server = MailServer::start(rules(tls, vec![AuthMechanism::Plain])).await;
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, server.certificate_pem()).unwrap();
        let trusted = format!("ca_file: '{}'", ca.display());
        for (tls_config, expected) in [
            ("insecure_skip_verify: true".to_owned(), "delivered"),
            (format!("{trusted}, server_name: localhost"), "delivered"),
            (format!("{trusted}, server_name: elsewhere.test"), "retry"),
            (format!("{trusted}, max_version: TLS12"), "delivered"),
            (format!("{trusted}, max_version: TLS11"), "retry"),
        ] {
            let further = format!(
                ", force_implicit_tls: {implicit}, auth_username: u, auth_password: p, tls_config: {{{tls_config}}}"
            );
            let tellers = mailing(&server, "a@b.test", &further);
            let outcome = attempt(&tellers, "email", &firing()).await;
            assert_eq!(word(&outcome), expected, "{tls:?} {tls_config} {outcome:?}");
            assert!(expected == "delivered" || reason(&outcome).starts_with("TLS: "));
        }
    }
}

/// RFC 3207 5.
#[tokio::test]
async fn what_is_said_before_tls_does_not_count_in_it() {
    let server = MailServer::start(rules(MailTls::Required, vec![AuthMechanism::Plain])).await;
    let fault = MailFault::Answer {
        at: SmtpStage::StartTls,
        code: 220,
        text: "go ahead\r\n250 fakes.example".to_owned(),
    };
    server.fail_next(1, fault);
    let outcome = attempt(&mailing(&server, "a@b.test", ""), "email", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    assert_eq!(
        reason(&outcome),
        "TLS: the server said more before TLS began"
    );
}

#[tokio::test]
async fn a_line_break_is_no_second_command() {
    let server = MailServer::start(MailRules::default()).await;
    let further = format!("{PLAIN_TEXT}, hello: \"x\\r\\nVRFY root\"");
    let tellers = mailing(&server, "a@b.test", &further);
    let outcome = attempt(&tellers, "email", &firing()).await;
    assert_eq!(
        reason(&outcome),
        "a mail command must not hold line breaks",
        "{outcome:?}"
    );
    assert!(server.sessions().is_empty());
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let head =
        "From: a@b.test\r\nDate: Fri, 20 Nov 2026 15:00:00 +0000\r\nMessage-Id: <1@b.test>\r\n\r\n";
    for (body, arrived) in [
        ("a\r\n", "a\r\n"),
        ("a", "a\r\n"),
        ("a\r\n\r\n", "a\r\n\r\n"),
        (".\r\n..x\r\ny.\r\n", ".\r\n..x\r\ny.\r\n"),
        ("a\r\n.\r\n", "a\r\n.\r\n"),
    ] {
        let server = MailServer::start(MailRules::default()).await;
        let request = MailRequest {
            smarthost: server.address().to_string(),
            hello: "localhost".to_owned(),
            security: MailSecurity::Opportunistic,
            login: None,
            from: "a@b.test".to_owned(),
            recipients: vec!["c@d.test".to_owned()],
            message: format!("{head}{body}").into_bytes(),
            step_timeout: PATIENCE,
        };
        let response = send(&request, &TlsConfig::default(), PATIENCE).await;
        assert!(
            matches!(&response, Response::Mail(reply) if reply.code == 250),
            "{response:?}"
        );
        let message = String::from_utf8(server.mails()[0].message.clone()).unwrap();
        assert_eq!(message, format!("{head}{arrived}"), "{body:?}");
    }
}

/// However oddly a server says that it has the mail, it has it.
#[tokio::test]
async fn odd_words_are_understood() {
    let answer = |text: &[u8]| [b"250", text].concat();
    for (text, expected) in [
        (answer(b" ok\r\n"), "delivered"),
        (answer(b"\r\n"), "delivered"),
        (answer(b" \r\n"), "delivered"),
        (answer(b" ok\n"), "delivered"),
        (answer(b" accept\xe9\r\n"), "delivered"),
        (answer(b"-a\r\n250 b\r\n"), "delivered"),
        (b"huh\r\n".to_vec(), "ambiguous"),
        (answer(&[b'x'; 100_000]), "ambiguous"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let lines: [&[u8]; 6] = [
                b"220 odd\r\n",
                b"250 odd\r\n",
                b"250 odd\r\n",
                b"250 from\r\n",
                b"250 to\r\n",
                b"354 go\r\n",
            ];
            for line in lines {
                stream.write_all(line).await.unwrap();
                let mut command = [0; 1024];
                let _ = stream.read(&mut command).await.unwrap();
            }
            let _ = stream.write_all(&text).await;
            let _ = stream.shutdown().await;
            // What the client still says is heard, so that its system does not break off before it has read.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let integrations = format!(
            "  email_configs: [{{to: a@b.test, from: w@b.test, smarthost: '{address}', require_tls: false}}]"
        );
        let tellers = tellers("", &integrations, Endpoints::default());
        let outcome = attempt(&tellers, "email", &firing()).await;
        assert_eq!(word(&outcome), expected, "{said:?}: {outcome:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_login_is_the_operators_to_mend() {
    let server = MailServer::start(rules(MailTls::Off, vec![AuthMechanism::Plain])).await;
    for (further, expected) in [
        (", auth_username: u, auth_password: wrong", "rejected"),
        ("", "rejected"),
        (", auth_username: u, auth_secret: s", "retry"),
    ] {
        let further = format!("{PLAIN_TEXT}{further}");
        let outcome = attempt(&mailing(&server, "a@b.test", &further), "email", &firing()).await;
        assert_eq!(word(&outcome), expected, "{further}: {outcome:?}");
        assert!(!reason(&outcome).contains("wrong"));
    }
}

#[tokio::test]
async fn codes_say_whether_another_attempt_is_worth_it() {
    for (at, code, expected) in [
        (SmtpStage::Banner, 421, "retry"),
        (SmtpStage::Banner, 554, "rejected"),
        (SmtpStage::Hello, 421, "retry"),
        (SmtpStage::MailFrom, 451, "retry"),
        (SmtpStage::MailFrom, 550, "rejected"),
        (SmtpStage::RcptTo, 450, "retry"),
        (SmtpStage::RcptTo, 550, "rejected"),
        (SmtpStage::Data, 421, "retry"),
        (SmtpStage::Message, 452, "retry"),
        (SmtpStage::Message, 554, "rejected"),
    ] {
        let server = MailServer::start(MailRules::default()).await;
        let text = "as ordered".to_owned();
        server.fail_next(1, MailFault::Answer { at, code, text });
        let tellers = mailing(&server, "a@b.test", PLAIN_TEXT);
        let outcome = attempt(&tellers, "email", &firing()).await;
        assert_eq!(word(&outcome), expected, "{at:?} {code}: {outcome:?}");
        assert!(reason(&outcome).contains(&code.to_string()), "{outcome:?}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn only_the_last_word_can_be_missed() {
    for (fault, expected, arrived) in [
        (
            MailFault::Close {
                at: SmtpStage::Banner,
            },
            "retry",
            0,
        ),
        (
            MailFault::Close {
                at: SmtpStage::Data,
            },
            "retry",
            0,
        ),
        (
            MailFault::Close {
                at: SmtpStage::Message,
            },
            "ambiguous",
            0,
        ),
        (MailFault::CloseAfterCommit, "ambiguous", 1),
        (
            MailFault::Close {
                at: SmtpStage::Quit,
            },
            "delivered",
            1,
        ),
    ] {
        let server = MailServer::start(MailRules::default()).await;
        server.fail_next(1, fault.clone());
        let tellers = mailing(&server, "a@b.test", PLAIN_TEXT);
        let outcome = attempt(&tellers, "email", &firing()).await;
        assert_eq!(word(&outcome), expected, "{fault:?}: {outcome:?}");
        assert_eq!(server.mails().len(), arrived, "{fault:?}");
    }
}

#[tokio::test]
async fn a_slow_server_is_left_at_the_deadline() {
    for (at, expected) in [
        (SmtpStage::Banner, "retry"),
        (SmtpStage::Message, "ambiguous"),
    ] {
        let server = MailServer::start(MailRules::default()).await;
        let delay = Duration::from_secs(3600);
        server.fail_next(1, MailFault::Delay { at, delay });
        let tellers = mailing(&server, "a@b.test", PLAIN_TEXT);
        let within = Duration::from_secs(1);
        let (outcome, _) =
            attempt_with(&tellers, "email", &firing(), &Memory::default(), within).await;
        assert_eq!(word(&outcome), expected, "{at:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn one_bad_recipient_does_not_keep_the_others_from_their_mail() {
    let rules = MailRules {
        refused: [(
            "gone@b.test".to_owned(),
            (550, "5.1.1 no such user".to_owned()),
        )]
        .into(),
        ..MailRules::default()
    };
    let server = MailServer::start(rules).await;
    let tellers = mailing(&server, "gone@b.test, a@b.test", PLAIN_TEXT);
    let outcome = attempt(&tellers, "email", &firing()).await;
    assert_eq!(word(&outcome), "delivered", "{outcome:?}");
    assert_eq!(server.mails()[0].recipients, ["a@b.test"]);
}

#[tokio::test]
async fn greylisting_lets_the_second_attempt_in() {
    let rules = MailRules {
        greylists: true,
        ..MailRules::default()
    };
    let server = MailServer::start(rules).await;
    let tellers = mailing(&server, "a@b.test", PLAIN_TEXT);
    assert_eq!(word(&attempt(&tellers, "email", &firing()).await), "retry");
    assert_eq!(
        word(&attempt(&tellers, "email", &firing()).await),
        "delivered"
    );
}
