//! PagerDuty, Slack and webhooks.
use std::fs;
use std::time::Duration;

use config::{Endpoints, HttpUrl};
use fakes::{Answer, Fake, Fakes, HttpFault, Tls, WebhookReceiver};
use notifiers_core::{Memory, Outcome};
use serde_json::json;
use tokio::net::TcpListener;

use crate::teller::Tellers;
use crate::tests::world::{
    PATIENCE, attempt, attempt_with, firing, reason, resolved, tellers, word,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn webhook(url: &str, further: &str) -> Tellers {
    let integrations = format!("  webhook_configs: [{{url: '{url}'{further}}}]");
    tellers("", &integrations, Endpoints::default())
}

#[tokio::test]
async fn pagerduty_opens_and_resolves_one_incident_in_both_versions() {
    let fakes = Fakes::start().await;
    for (member, url) in [
        ("routing_key", fakes.pagerduty_v2_url()),
        ("service_key", fakes.pagerduty_v1_url()),
    ] {
        let endpoints = Endpoints {
            pagerduty_v1: Some(HttpUrl::parse(&fakes.pagerduty_v1_url()).unwrap()),
            ..Endpoints::default()
        };
        let integrations = format!("  pagerduty_configs: [{{{member}: {KEY}, url: '{url}'}}]");
        let tellers = tellers("", &integrations, endpoints);
        let id = firing().group_key.sha256_hex();
        for notification in [firing(), firing()] {
            let outcome = attempt(&tellers, "pagerduty", &notification).await;
            assert_eq!(
                outcome,
                Outcome::Delivered {
                    id: Some(id.clone())
                }
            );
        }
        let open = fakes.pagerduty.open_incidents();
        assert_eq!(open[&id].log.len(), 2);
        assert_eq!(open[&id].summary, "[FIRING:1] Down (a:1)");
        let outcome = attempt(&tellers, "pagerduty", &resolved()).await;
        assert_eq!(word(&outcome), "delivered", "{outcome:?}");
        assert!(fakes.pagerduty.open_incidents().is_empty());
    }
    assert_eq!(fakes.pagerduty.incidents().len(), 2);
    assert!(fakes.strays().is_empty());
}

#[tokio::test]
async fn what_an_answer_means_is_the_vendors_affair() {
    let fakes = Fakes::start().await;
    let tellers = webhook(&fakes.webhook_url(""), "");
    for (fault, expected) in [
        (HttpFault::Answer(Answer::text(204, "")), "delivered"),
        (HttpFault::Answer(Answer::text(400, "no")), "rejected"),
        (HttpFault::Answer(Answer::text(503, "")), "retry"),
        (
            HttpFault::RateLimit {
                retry_after: Some(30),
            },
            "retry",
        ),
        (HttpFault::CloseBeforeReply, "ambiguous"),
        (HttpFault::CloseAfterCommit, "ambiguous"),
    ] {
        fakes.webhook.fail_next(1, fault.clone());
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome), expected, "{fault:?}: {outcome:?}");
        assert!(
            !reason(&outcome).contains(&fakes.webhook_url("")),
            "{outcome:?}"
        );
        if let (HttpFault::RateLimit { .. }, Outcome::Retry { not_before, .. }) = (fault, outcome) {
            assert!(not_before.is_some(), "the vendor said when");
        }
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    drop(listener);
    let outcome = attempt(&webhook(&url, ""), "webhook", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    assert!(!reason(&outcome).contains("secret-path"), "{outcome:?}");
}

#[tokio::test]
async fn an_attempt_ends_with_its_timeout_or_its_deadline() {
    let fakes = Fakes::start().await;
    fakes
        .webhook
        .fail_always(HttpFault::Delay(Duration::from_secs(3600)));
    let impatient = webhook(&fakes.webhook_url(""), ", timeout: 1s");
    let outcome = attempt(&impatient, "webhook", &firing()).await;
    assert_eq!(word(&outcome), "ambiguous", "{outcome:?}");
    let patient = webhook(&fakes.webhook_url(""), "");
    let within = Duration::from_secs(1);
    let (outcome, _) =
        attempt_with(&patient, "webhook", &firing(), &Memory::default(), within).await;
    assert_eq!(word(&outcome), "ambiguous", "{outcome:?}");
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let fakes = Fakes::start().await;
    let tellers = webhook(&fakes.webhook_url(""), "");
    let (outcome, _) = attempt_with(
        &tellers,
        "webhook",
        &firing(),
        &Memory::default(),
        Duration::ZERO,
    )
    .await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
    assert!(fakes.webhook.requests().is_empty());
}

#[tokio::test]
async fn redirects_keep_the_request_and_the_host() {
    let fakes = Fakes::start().await;
    let elsewhere = Fakes::start().await;
    let tellers = webhook(&fakes.webhook_url(""), "");
    for (status, to, expected) in [
        (307, fakes.webhook_url("moved"), "delivered"),
        (308, fakes.webhook_url("moved"), "delivered"),
        (301, fakes.webhook_url("moved"), "rejected"),
        (303, fakes.webhook_url("moved"), "rejected"),
        (307, elsewhere.webhook_url(""), "rejected"),
    ] {
        let moved = Answer::text(status, "").with_header("location", &to);
        fakes.webhook.fail_next(1, HttpFault::Answer(moved));
        let outcome = attempt(&tellers, "webhook", &firing()).await;
        assert_eq!(word(&outcome), expected, "{status} {to}");
    }
    assert!(elsewhere.webhook.requests().is_empty());
    let moved = fakes.webhook.look(|receiver| receiver.bodies.clone());
    assert_eq!(moved.len(), 2);
    let endless = Answer::text(307, "").with_header("location", fakes.webhook_url(""));
    fakes.webhook.fail_always(HttpFault::Answer(endless));
    let outcome = attempt(&tellers, "webhook", &firing()).await;
    assert_eq!(
        word(&outcome),
        "rejected",
        "a circle has an end: {outcome:?}"
    );
    let still = webhook(
        &fakes.webhook_url(""),
        ", http_config: {follow_redirects: false}",
    );
    fakes.webhook.heal();
    let moved = Answer::text(307, "").with_header("location", fakes.webhook_url("moved"));
    fakes.webhook.fail_next(1, HttpFault::Answer(moved));
    assert_eq!(
        word(&attempt(&still, "webhook", &firing()).await),
        "rejected"
    );
}

#[tokio::test]
async fn credentials_are_sent_and_read_anew_from_their_files() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "first\n").unwrap();
    let path = file.display();
    for (http_config, expected) in [
        (
            "basic_auth: {username: u, password: p}".to_owned(),
            "Basic dTpw",
        ),
        (
            "authorization: {type: Token, credentials: x}".to_owned(),
            "Token x",
        ),
        (
            format!("authorization: {{credentials_file: '{path}'}}"),
            "Bearer first",
        ),
    ] {
        let tellers = webhook(
            &fakes.webhook_url(""),
            &format!(", http_config: {{{http_config}}}"),
        );
        assert_eq!(
            word(&attempt(&tellers, "webhook", &firing()).await),
            "delivered"
        );
        let sent = fakes.webhook.requests().pop().unwrap().request;
        assert_eq!(sent.header("authorization"), Some(expected));
        assert!(sent.header("user-agent").unwrap().starts_with("Watchbell/"));
    }
    let further = format!(", http_config: {{authorization: {{credentials_file: '{path}'}}}}");
    let tellers = webhook(&fakes.webhook_url(""), &further);
    fs::write(&file, "second").unwrap();
    assert_eq!(
        word(&attempt(&tellers, "webhook", &firing()).await),
        "delivered"
    );
    let sent = fakes.webhook.requests().pop().unwrap().request;
    assert_eq!(sent.header("authorization"), Some("Bearer second"));
    fs::remove_file(&file).unwrap();
    let outcome = attempt(&tellers, "webhook", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    assert!(
        reason(&outcome).contains("token"),
        "the file is named: {outcome:?}"
    );
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_refused() {
    let (fakes, issuer) = (Fakes::start().await, Fakes::start().await);
    let token = |value: &str| {
        let body = json!({"access_token": value, "token_type": "bearer", "expires_in": 3600});
        HttpFault::Answer(Answer::json(200, &body))
    };
    let refused = |error: &str| HttpFault::Answer(Answer::json(401, &json!({"error": error})));
    let further = format!(
        ", http_config: {{oauth2: {{client_id: id, client_secret: 's:t', token_url: '{}', scopes: [a, b]}}}}",
        issuer.webhook_url("token")
    );
    let tellers = webhook(&fakes.webhook_url(""), &further);
    issuer.webhook.fail_next(1, refused("invalid_client"));
    issuer.webhook.fail_next(1, token("first"));
    for _ in 0..2 {
        assert_eq!(
            word(&attempt(&tellers, "webhook", &firing()).await),
            "delivered"
        );
    }
    fakes
        .webhook
        .fail_next(1, HttpFault::Answer(Answer::text(401, "")));
    issuer.webhook.fail_next(1, token("second"));
    assert_eq!(
        word(&attempt(&tellers, "webhook", &firing()).await),
        "delivered"
    );
    let sent: Vec<String> = fakes
        .webhook
        .requests()
        .iter()
        .map(|sent| sent.request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(
        sent,
        [
            "Bearer first",
            "Bearer first",
            "Bearer first",
            "Bearer second"
        ]
    );
    let asked = issuer.webhook.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!(
        asked[0].request.header("authorization"),
        Some("Basic aWQ6cyUzQXQ=")
    );
    assert_eq!(
        asked[0].request.text(),
        "grant_type=client_credentials&scope=a+b"
    );
    assert_eq!(
        asked[1].request.text(),
        "grant_type=client_credentials&scope=a+b&client_id=id&client_secret=s%3At"
    );
    fakes
        .webhook
        .fail_next(1, HttpFault::Answer(Answer::text(401, "")));
    issuer.webhook.fail_next(2, refused("invalid_client"));
    let outcome = attempt(&tellers, "webhook", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    assert_eq!(
        reason(&outcome),
        "no OAuth 2 token: status code 401: invalid_client"
    );
}

#[tokio::test]
async fn an_address_in_a_file_is_read_for_each_attempt() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let integrations = format!("  webhook_configs: [{{url_file: '{}'}}]", file.display());
    let tellers = tellers("", &integrations, Endpoints::default());
    assert_eq!(
        word(&attempt(&tellers, "webhook", &firing()).await),
        "retry"
    );
    fs::write(
        &file,
        format!("{}\n", fakes.webhook_url("{{ .GroupLabels.alertname }}")),
    )
    .unwrap();
    assert_eq!(
        word(&attempt(&tellers, "webhook", &firing()).await),
        "delivered"
    );
    assert_eq!(fakes.webhook.requests()[0].request.path, "/webhook/Down");
}

#[tokio::test]
async fn tls_trusts_whom_the_configuration_names() {
    let tls = Tls::new();
    let fake = Fake::<WebhookReceiver>::start_with_tls(&tls).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, tls.certificate_pem()).unwrap();
    let ca = ca.display();
    for (tls_config, expected) in [
        (format!("ca_file: '{ca}'"), "delivered"),
        (format!("ca_file: '{ca}', min_version: TLS13"), "delivered"),
        (format!("ca_file: '{ca}', max_version: TLS12"), "delivered"),
        (
            format!("ca_file: '{ca}', server_name: elsewhere.test"),
            "retry",
        ),
        ("insecure_skip_verify: true".to_owned(), "delivered"),
        ("ca_file: /nowhere/ca.pem".to_owned(), "retry"),
        (String::new(), "retry"),
    ] {
        let further = format!(", http_config: {{tls_config: {{{tls_config}}}}}");
        let outcome = attempt(&webhook(&fake.url(""), &further), "webhook", &firing()).await;
        assert_eq!(word(&outcome), expected, "{tls_config}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    let fakes = Fakes::start().await;
    let long = Answer::text(500, "x".repeat(3 * 1024 * 1024));
    fakes.webhook.fail_next(1, HttpFault::Answer(long));
    let outcome = attempt(&webhook(&fakes.webhook_url(""), ""), "webhook", &firing()).await;
    assert_eq!(word(&outcome), "retry");
    assert!(reason(&outcome).len() < 2000);
}

#[tokio::test]
async fn slack_remembers_the_message_that_it_changes() {
    let fakes = Fakes::start().await;
    let integrations = format!(
        "  slack_configs: [{{app_token: xoxb-1, app_url: '{}', channel: '#c', update_message: true}}]",
        fakes.slack_post_message_url()
    );
    let tellers = tellers("", &integrations, Endpoints::default());
    let none = Memory::default();
    let (outcome, memory) = attempt_with(&tellers, "slack", &firing(), &none, PATIENCE).await;
    assert_eq!(word(&outcome), "delivered", "{outcome:?}");
    let (outcome, _) = attempt_with(&tellers, "slack", &resolved(), &memory, PATIENCE).await;
    assert_eq!(word(&outcome), "delivered", "{outcome:?}");
    let messages = fakes.slack.messages();
    assert_eq!((messages.len(), messages[0].updates), (1, 1));
    assert_eq!(messages[0].title(), "[RESOLVED] Down (a:1)");
    fakes.slack.change(|workspace| workspace.messages.clear());
    let (outcome, _) = attempt_with(&tellers, "slack", &firing(), &memory, PATIENCE).await;
    assert_eq!(
        word(&outcome),
        "delivered",
        "a lost message is posted anew: {outcome:?}"
    );
    assert_eq!(fakes.slack.messages().len(), 1);
}

#[tokio::test]
async fn slack_says_no_in_two_ways() {
    let fakes = Fakes::start().await;
    fakes
        .slack
        .change(|workspace| workspace.allow_channels(["#here".to_owned()]));
    let by_webhook = format!("api_url: '{}'", fakes.slack_webhook_url());
    let by_token = format!(
        "app_token: xoxb-1, app_url: '{}'",
        fakes.slack_post_message_url()
    );
    for (target, channel, expected) in [
        (&by_webhook, "#here", "delivered"),
        (&by_webhook, "#gone", "rejected"),
        (&by_token, "#here", "delivered"),
        (&by_token, "#gone", "rejected"),
    ] {
        let integrations = format!("  slack_configs: [{{{target}, channel: '{channel}'}}]");
        let tellers = tellers("", &integrations, Endpoints::default());
        let outcome = attempt(&tellers, "slack", &firing()).await;
        assert_eq!(word(&outcome), expected, "{target} {channel}");
        if expected == "rejected" {
            assert!(
                reason(&outcome).contains("channel_not_found"),
                "{outcome:?}"
            );
        }
    }
}
