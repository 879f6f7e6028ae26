//! What each vendor's answer leads to, at each step.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::path::Path;

use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::{Alert, Labels, Timestamp};
use template::TemplateSet;
use watchbell_notifiers_core::{
    BodyExtent, Conversation, Failure, FailureCause, GroupKey, HttpRequest, HttpResponse,
    IntegrationPlan, MailReply, MailRequest, MailSecurity, MailStage, Memory, Notification,
    NotificationReason, Outcome, Reached, Remembered, Request, Response, SecretFiles, Step,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_171_200);

/// Compiles the only integration of the only receiver.
fn plan(integration: &str) -> IntegrationPlan {
    let file = format!("route: {{receiver: r}}\nreceivers:\n- name: r\n  {integration}\n");
    let config = AlertmanagerConfig::read("a.yml", &file, &AlertmanagerOptions::default());
    let config = config.unwrap_or_else(|problems| panic!("{problems}")).value;
    IntegrationPlan::compile(
        &config.receivers[0].integrations[0],
        &TemplateSet::alertmanager(),
    )
    .unwrap()
}

fn notification(ends_at: Timestamp) -> Notification {
    let labels = Labels::from_pairs([("alertname", "Down")]);
    Notification {
        receiver: "r".to_owned(),
        group_key: GroupKey::new("{}", &labels),
        group_labels: labels,
        route_labels: Labels::default(),
        alerts: vec![Alert {
            labels: Labels::from_pairs([
                ("alertname", "Down"),
                ("instance", "a:1"),
                ("severity", "critical"),
            ]),
            annotations: Labels::from_pairs([("summary", "A is down")]),
            starts_at: Timestamp::parse_rfc3339("2026-01-02T03:04:05Z").unwrap(),
            ends_at,
            updated_at: NOW,
            generator_url: "http://p/g?a=1&b=2".to_owned(),
            timeout: false,
        }],
        reason: NotificationReason::FirstNotification,
        at: NOW,
        external_url: "http://am:9093".to_owned(),
    }
}

fn firing() -> Notification {
    notification(Timestamp::MAX)
}

fn resolved() -> Notification {
    notification(NOW)
}

fn begin(
    plan: &IntegrationPlan,
    notification: &Notification,
    memory: &Memory,
) -> (Conversation, HttpRequest) {
    let (conversation, step) = plan.begin(notification, memory, &SecretFiles::default());
    let Step::Ask(Request::Http(request)) = step else {
        panic!("{step:?}")
    };
    (conversation, request)
}

fn body(request: &HttpRequest) -> String {
    String::from_utf8(request.body.clone()).unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Response::Http(HttpResponse {
        status,
        headers,
        body: body.as_bytes().to_vec(),
        extent: BodyExtent::Whole,
    })
}

/// As [`answer`], whose body goes on.
fn begun(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let Response::Http(whole) = answer(status, headers, body) else {
        unreachable!("an answer is HTTP")
    };
    Response::Http(HttpResponse {
        extent: BodyExtent::CutOff,
        ..whole
    })
}

fn lost(reached: Reached) -> Response {
    Response::Failed(Failure {
        reached,
        cause: FailureCause::Unreachable,
        text: "connection reset".to_owned(),
    })
}

/// One word for how a conversation of one step ended.
fn word(step: Step) -> String {
    match step {
        Step::Done(Outcome::Delivered { id }, _) => format!("delivered {}", id.unwrap_or_default()),
        Step::Done(Outcome::Retry { not_before, .. }, _) => {
            let wait = not_before.map_or(0, |at| at.saturating_since(NOW).as_secs());
            format!("retry {wait}")
        }
        Step::Done(Outcome::Rejected { reason }, _) => format!("rejected {reason}"),
        Step::Done(Outcome::Ambiguous { .. }, _) => "ambiguous".to_owned(),
        Step::Ask(_) => "asks".to_owned(),
    }
}

const PAGERDUTY_V1: &str = "pagerduty_configs: [{service_key: 00000000000000000000000000000001}]";
const PAGERDUTY_V2: &str = "pagerduty_configs: [{routing_key: 00000000000000000000000000000002, severity: '{{ .CommonLabels.severity }}'}]";
const KEY: &str = "af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e";

#[test]
fn pagerduty_v1_events_carry_the_incident_key_and_empty_members_of_version_2() {
    let plan = plan(PAGERDUTY_V1);
    let (_, request) = begin(&plan, &firing(), &Memory::default());
    assert_eq!(
        request.url,
        "https://events.pagerduty.com/generic/2010-04-15/create_event.json"
    );
    let details = r#"{"firing":[{"annotations":{"summary":"A is down"},"endsAt":"0001-01-01T00:00:00Z","fingerprint":"2fc4c353ef13c5b1","generatorURL":"http://p/g?a=1\u0026b=2","labels":{"alertname":"Down","instance":"a:1","severity":"critical"},"startsAt":"2026-01-02T03:04:05Z","status":"firing"}],"num_firing":1,"num_resolved":0,"resolved":[]}"#;
    let expected = format!(
        r#"{{"service_key":"00000000000000000000000000000001","incident_key":"{KEY}","event_type":"trigger","description":"[FIRING:1] Down (a:1 critical)","event_action":"","payload":null,"client":"Alertmanager","client_url":"http://am:9093/#/alerts?receiver=r","details":{details}}}"#
    );
    assert_eq!(body(&request), format!("{expected}\n"));

    let (_, request) = begin(&plan, &resolved(), &Memory::default());
    let said = body(&request);
    assert!(
        said.contains(r#""event_type":"resolve""#) && !said.contains("client_url"),
        "{said}"
    );
}

#[test]
fn pagerduty_answers_mean_what_pagerduty_means() {
    let invalid =
        r#"{"status":"invalid event","message":"Event object is invalid","errors":["a","b"]}"#;
    for (integration, response, expected) in [
        (
            PAGERDUTY_V2,
            answer(202, &[], r#"{"status":"success","dedup_key":"k"}"#),
            "delivered k",
        ),
        (
            PAGERDUTY_V1,
            answer(200, &[], r#"{"status":"success","incident_key":"k"}"#),
            "delivered k",
        ),
        (
            PAGERDUTY_V2,
            answer(400, &[], invalid),
            "rejected unexpected status code 400: Event object is invalid: a,b",
        ),
        (PAGERDUTY_V1, answer(403, &[], "slow down"), "retry 0"),
        (
            PAGERDUTY_V2,
            answer(403, &[], "no"),
            "rejected unexpected status code 403: no",
        ),
        (
            PAGERDUTY_V2,
            answer(429, &[("retry-after", "30")], ""),
            "retry 30",
        ),
        (PAGERDUTY_V2, answer(503, &[], ""), "retry 0"),
        (PAGERDUTY_V2, lost(Reached::Nothing), "retry 0"),
        (PAGERDUTY_V2, lost(Reached::PerhapsAll), "ambiguous"),
    ] {
        let (mut conversation, _) = begin(&plan(integration), &firing(), &Memory::default());
        assert_eq!(
            word(conversation.next(response.clone(), NOW)),
            expected,
            "{response:?}"
        );
    }
}

#[test]
fn pagerduty_knows_four_severities_and_everything_else_is_an_error() {
    for (severity, sent) in [
        ("critical", "critical"),
        ("WARNING", "warning"),
        ("p1", "error"),
        ("", "error"),
    ] {
        let mut notification = firing();
        notification.alerts[0].labels =
            Labels::from_pairs([("alertname", "Down"), ("severity", severity)]);
        let (_, request) = begin(&plan(PAGERDUTY_V2), &notification, &Memory::default());
        assert!(
            body(&request).contains(&format!(r#""severity":"{sent}","custom_details""#)),
            "{}",
            body(&request)
        );
    }
}

#[test]
fn an_event_above_pagerdutys_limit_loses_its_details_and_not_the_page() {
    let mut notification = firing();
    notification.alerts[0].annotations = Labels::from_pairs([("summary", "x".repeat(600_000))]);
    for integration in [PAGERDUTY_V1, PAGERDUTY_V2] {
        let (_, request) = begin(&plan(integration), &notification, &Memory::default());
        assert!(request.body.len() < 512_000);
        assert!(body(&request).contains(r#"{"error":"Custom details have been removed because the original event exceeds the maximum size of 512KB"}"#));
    }
}

#[test]
fn a_key_in_a_file_is_read_for_every_attempt() {
    let plan = plan("pagerduty_configs: [{routing_key_file: /run/key}]");
    assert_eq!(plan.secret_files(), [Path::new("/run/key")]);
    let mut secrets = SecretFiles::default();
    secrets.insert(
        Path::new("/run/key"),
        Ok("00000000000000000000000000000003\n".to_owned()),
    );
    let (_, step) = plan.begin(&firing(), &Memory::default(), &secrets);
    let Step::Ask(Request::Http(request)) = step else {
        panic!("{step:?}")
    };
    assert!(body(&request).starts_with(r#"{"routing_key":"00000000000000000000000000000003","#));

    secrets.insert(Path::new("/run/key"), Err("permission denied".to_owned()));
    let (_, step) = plan.begin(&firing(), &Memory::default(), &secrets);
    let Step::Done(Outcome::Retry { reason, .. }, _) = step else {
        panic!("{step:?}")
    };
    assert_eq!(reason, "cannot read /run/key: permission denied");
}

const SLACK: &str = "slack_configs: [{api_url: 'http://s/hook', channel: '#c'}]";
const SLACK_UPDATING: &str = "slack_configs: [{api_url: 'https://slack.com/api/chat.postMessage', channel: '#c', update_message: true}]";
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn slacks_answers_are_read_to_the_end() {
    for (response, expected) in [
        (
            answer(200, &[("content-type", "text/html")], "ok"),
            "delivered ",
        ),
        (
            answer(200, &[("content-type", "text/html")], "channel_not_found"),
            "rejected error response from Slack: channel_not_found",
        ),
        (
            answer(200, &[JSON], r#"{"ok":true,"channel":"C1","ts":"15.2"}"#),
            "delivered 15.2",
        ),
        (
            answer(200, &[JSON], r#"{"ok":false,"error":"not_in_channel"}"#),
            "rejected error response from Slack: not_in_channel",
        ),
        (
            answer(
                200,
                &[JSON, ("retry-after", "7")],
                r#"{"ok":false,"error":"ratelimited"}"#,
            ),
            "retry 7",
        ),
        (answer(200, &[JSON], "<html>"), "retry 0"),
        // The status is all that there is of a webhook's answer.
        (begun(200, &[], ""), "delivered "),
        (begun(200, &[], "o"), "delivered "),
        (begun(200, &[], "ok\n"), "delivered "),
        (
            begun(200, &[], "<html>"),
            "rejected error response from Slack: <html>",
        ),
        (begun(503, &[], ""), "retry 0"),
        // The API says in the body what became of it.
        (begun(200, &[JSON], ""), "ambiguous"),
        (begun(200, &[JSON], r#"{"o"#), "ambiguous"),
        (begun(200, &[JSON], r#"{"channel":"C1","#), "ambiguous"),
        (
            begun(200, &[JSON], r#"{"ok":true,"channel":"C1","ts":"15"#),
            "delivered ",
        ),
        (begun(200, &[JSON], "{ \"ok\": true"), "delivered "),
        (
            begun(200, &[JSON], r#"{"ok":true,"channel":"C1","ts":"15.2"}"#),
            "delivered 15.2",
        ),
        (
            begun(200, &[JSON], r#"{"ok":false,"error":"not_"#),
            "retry 0",
        ),
        (answer(429, &[("retry-after", "12")], ""), "retry 12"),
        (
            answer(404, &[], "no_service"),
            "rejected unexpected status code 404: no_service",
        ),
        (lost(Reached::PerhapsAll), "ambiguous"),
    ] {
        let (mut conversation, _) = begin(&plan(SLACK), &firing(), &Memory::default());
        assert_eq!(
            word(conversation.next(response.clone(), NOW)),
            expected,
            "{response:?}"
        );
    }
}

#[test]
fn a_message_is_edited_and_posted_anew_where_it_cannot_be() {
    let plan = plan(SLACK_UPDATING);
    let (mut conversation, request) = begin(&plan, &firing(), &Memory::default());
    assert_eq!(request.url, "https://slack.com/api/chat.postMessage");
    let step = conversation.next(
        answer(200, &[JSON], r#"{"ok":true,"channel":"C1","ts":"15.2"}"#),
        NOW,
    );
    let Step::Done(Outcome::Delivered { .. }, memory) = step else {
        panic!("{step:?}")
    };
    let text = |text: &str| Remembered::Text(text.to_owned());
    assert_eq!(memory.0.get("threadTs"), Some(&text("15.2")));
    assert_eq!(memory.0.get("channelId"), Some(&text("C1")));

    let (mut conversation, request) = begin(&plan, &resolved(), &memory);
    assert_eq!(request.url, "https://slack.com/api/chat.update");
    assert!(
        body(&request).starts_with(r#"{"channel":"C1","ts":"15.2","#),
        "{}",
        body(&request)
    );
    let step = conversation.next(
        answer(200, &[JSON], r#"{"ok":false,"error":"message_not_found"}"#),
        NOW,
    );
    let Step::Ask(Request::Http(request)) = step else {
        panic!("{step:?}")
    };
    assert_eq!(request.url, "https://slack.com/api/chat.postMessage");
    assert!(
        body(&request).starts_with(r##"{"channel":"#c","username""##),
        "{}",
        body(&request)
    );
    let step = conversation.next(
        answer(200, &[JSON], r#"{"ok":true,"channel":"C1","ts":"16.0"}"#),
        NOW,
    );
    let Step::Done(Outcome::Delivered { .. }, memory) = step else {
        panic!("{step:?}")
    };
    assert_eq!(memory.0.get("threadTs"), Some(&text("16.0")));
}

#[test]
fn a_failing_template_does_not_keep_the_page_from_slack() {
    let plan = plan(
        "slack_configs: [{api_url: 'http://s/hook', channel: '#c', title: '{{ .Nonsense }}', text: hello}]",
    );
    let (_, request) = begin(&plan, &firing(), &Memory::default());
    let said = body(&request);
    assert!(
        said.contains(r##""channel":"#c""##) && said.contains("hello\\n[template error: "),
        "{said}"
    );
    assert!(said.contains("[FIRING] {alertname=\\\"Down\\\"}"), "{said}");
}

#[test]
fn webhook_payloads_are_structures_and_addresses_are_checked() {
    let payload = "webhook_configs: [{url: 'http://w/{{ .CommonLabels.severity }}', payload: {text: '{{ .CommonLabels.alertname }}', n1: '{{ len .Alerts }}', k: {'{{ .Status }}': ['{{ .Receiver }}', 1, true]}, j: '{{ .CommonLabels | toJson }}'}}]";
    let (_, request) = begin(&plan(payload), &firing(), &Memory::default());
    assert_eq!(request.url, "http://w/critical");
    assert_eq!(
        body(&request),
        "{\"j\":{\"alertname\":\"Down\",\"instance\":\"a:1\",\"severity\":\"critical\"},\"k\":{\"firing\":[\"r\",1,true]},\"n1\":1,\"text\":\"Down\"}\n"
    );
    let plan = plan("webhook_configs: [{url: '{{ .CommonLabels.severity }}'}]");
    let (_, step) = plan.begin(&firing(), &Memory::default(), &SecretFiles::default());
    assert_eq!(
        word(step),
        "rejected the rendered URL is not an HTTP address"
    );
}

const MAIL: &str = "email_configs: [{to: 'a@b, Ops <c@d>', from: 'w@x', smarthost: 'm:587', auth_username: u, auth_password: p}]";

fn mail(plan: &IntegrationPlan) -> (Conversation, MailRequest) {
    let (conversation, step) = plan.begin(&firing(), &Memory::default(), &SecretFiles::default());
    let Step::Ask(Request::Mail(request)) = step else {
        panic!("{step:?}")
    };
    (conversation, *request)
}

#[test]
fn a_mail_is_whole_before_it_is_sent_and_the_same_for_every_attempt() {
    let plan = plan(MAIL);
    let (_, request) = mail(&plan);
    assert_eq!(request.recipients, ["a@b", "c@d"]);
    assert_eq!(
        (request.from.as_str(), request.smarthost.as_str()),
        ("w@x", "m:587")
    );
    assert_eq!(request.security, MailSecurity::StartTls);
    assert_eq!(
        request.login.as_ref().map(|login| login.username.as_str()),
        Some("u")
    );
    assert_eq!(
        mail(&plan).1,
        request,
        "a second attempt sends the same bytes"
    );
    let message = String::from_utf8(request.message).unwrap();
    assert!(
        message.contains(&format!("Message-Id: <{}.", &KEY[..16])),
        "{message}"
    );
    assert!(
        message.contains("Date: Fri, 20 Nov 2026 10:40:00 +0000\r\n"),
        "{message}"
    );
}

#[test]
fn a_mail_servers_words_are_heard() {
    let reply = |stage, code| {
        Response::Mail(MailReply {
            stage,
            code,
            text: "words".to_owned(),
            refused: Vec::new(),
        })
    };
    let id = format!("<{}.{}.", &KEY[..16], NOW.as_millis());
    for (response, expected) in [
        (
            reply(MailStage::Message, 250),
            format!("delivered {id}").as_str(),
        ),
        (
            reply(MailStage::Message, 554),
            "rejected the mail server answered 554 words (end of the message)",
        ),
        (reply(MailStage::Message, 451), "retry 0"),
        (
            reply(MailStage::RcptTo, 550),
            "rejected the mail server answered 550 words (RCPT TO)",
        ),
        (reply(MailStage::RcptTo, 450), "retry 0"),
        (reply(MailStage::Connect, 421), "retry 0"),
        (
            reply(MailStage::Auth, 535),
            "rejected the mail server answered 535 words (AUTH); check smtp_auth_username and its password or secret",
        ),
        (lost(Reached::Nothing), "retry 0"),
        (lost(Reached::PerhapsAll), "ambiguous"),
    ] {
        let (mut conversation, _) = mail(&plan(MAIL));
        let said = word(conversation.next(response.clone(), NOW));
        assert!(said.starts_with(expected), "{response:?}: {said}");
    }
}
