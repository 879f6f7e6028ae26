//! What is told when something is wrong: templates that fail, events that are too large, recipients who are refused.
use config::{AlertmanagerConfig, AlertmanagerOptions, IntegrationKind};
use model::{Alert, Labels, Timestamp};
use serde_json::{Value as Json, json};
use template::TemplateSet;
use watchbell_notifiers_core::{
    BodyExtent, Conversation, GroupKey, HttpRequest, HttpResponse, IntegrationPlan, MailReply,
    MailRequest, MailStage, Memory, Notification, NotificationReason, Outcome, RefusedRecipient,
    Request, Response, SecretFiles, Step,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Parses, and fails when it is rendered.
const FAILS: &str = r#"{{ template "nobody" }}"#;
const NOTE: &str = "[template error: ";

fn plan(kind: IntegrationKind, integration: &str) -> IntegrationPlan {
    let text = format!(
        "route: {{receiver: team}}\nreceivers:\n- name: team\n  {}_configs:\n  - {{{integration}}}\n",
        kind.as_str()
    );
    let options = AlertmanagerOptions::default();
    let config = AlertmanagerConfig::read("alertmanager.yml", &text, &options);
    let config = config
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .value;
    let integration = &config.receivers[0].integrations[0];
    IntegrationPlan::compile(integration, &TemplateSet::alertmanager()).expect("it compiles")
}

fn firing(annotation: &str) -> Notification {
    let group_labels = Labels::from_pairs([("alertname", "Down")]);
    let starts_at = Timestamp::parse_rfc3339("2026-01-02T03:04:05Z").expect("a time");
    Notification {
        receiver: "team".into(),
        group_key: GroupKey::new("{}", &group_labels),
        alerts: vec![Alert {
            labels: Labels::from_pairs([
                ("alertname", "Down"),
                ("instance", "a:1"),
                ("severity", "critical"),
            ]),
            annotations: Labels::from_pairs([("summary", annotation)]),
            starts_at,
            ends_at: Timestamp::MAX,
            updated_at: starts_at,
            generator_url: "http://p/g?a=1&b=2".into(),
            timeout: true,
        }],
        group_labels,
        route_labels: Labels::default(),
        reason: NotificationReason::FirstNotification,
        at: starts_at,
        external_url: "http://am:9093".into(),
    }
}

fn begin(
    plan: &IntegrationPlan,
    notification: &Notification,
    memory: &Memory,
) -> (Conversation, Step) {
    plan.begin(notification, memory, &SecretFiles::default())
}

fn http(step: Step) -> HttpRequest {
    let Step::Ask(Request::Http(request)) = step else {
        panic!("no HTTP request: {step:?}")
    };
    request
}

fn mail(step: Step) -> MailRequest {
    let Step::Ask(Request::Mail(request)) = step else {
        panic!("no mail: {step:?}")
    };
    *request
}

fn json_of(step: Step) -> Json {
    serde_json::from_slice(&http(step).body).expect("the body is JSON")
}

fn first(kind: IntegrationKind, integration: &str) -> Json {
    let plan = plan(kind, integration);
    json_of(begin(&plan, &firing("A is down"), &Memory::default()).1)
}

#[test]
fn a_failing_template_loses_no_incident() {
    let failing = format!(
        "routing_key: {KEY}, description: '{FAILS}', severity: '{FAILS}', client: '{FAILS}', details: {{more: '{FAILS}'}}"
    );
    let event = first(IntegrationKind::PagerDuty, &failing);
    let payload = &event["payload"];
    let summary = payload["summary"].as_str().unwrap_or("");
    assert!(
        summary.starts_with(r#"[FIRING] {alertname="Down"} [template error: "#),
        "{summary}"
    );
    assert_eq!(payload["severity"], "error");
    assert_eq!(payload["source"], "Alertmanager");
    assert_eq!(payload["custom_details"]["num_firing"], 1);
    let more = payload["custom_details"]["more"].as_str().unwrap_or("");
    assert!(more.starts_with(NOTE), "{more}");
}

#[test]
fn a_start_at_the_end_of_time_is_told_as_it_was_said() {
    let plan = plan(IntegrationKind::Webhook, "url: 'http://x/'");
    let mut notification = firing("A will be down");
    for (starts_at, told) in [
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("0000-01-01T00:00:00+00:00", "0000-01-01T00:00:00Z"),
    ] {
        notification.alerts[0].starts_at = Timestamp::parse_rfc3339(starts_at).expect("a time");
        let body = json_of(begin(&plan, &notification, &Memory::default()).1);
        assert_eq!(body["alerts"][0]["startsAt"], told);
        assert_eq!(body["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    }
}

#[test]
fn a_failing_template_loses_no_webhook() {
    let webhook =
        format!("url: 'http://x/', payload: {{a: '{FAILS}', b: ['{{{{ .Status }}}}', 1]}}");
    let body = first(IntegrationKind::Webhook, &webhook);
    assert_eq!(body["b"], json!(["firing", 1]));
    assert!(body["a"].as_str().unwrap_or("").starts_with(NOTE), "{body}");
    let plan = plan(IntegrationKind::Webhook, "url: 'http://x/'");
    let mut notification = firing("A is down");
    notification.route_labels = Labels::from_pairs([("team", FAILS), ("status", "{{ .Status }}")]);
    let body = json_of(begin(&plan, &notification, &Memory::default()).1);
    assert_eq!(body["routeLabels"]["status"], "firing");
    assert!(
        body["routeLabels"]["team"]
            .as_str()
            .unwrap_or("")
            .starts_with(NOTE),
        "{body}"
    );
}

#[test]
fn a_failing_template_loses_no_message() {
    let slack = format!("api_url: 'http://x/', channel: '#c', pretext: '{FAILS}'");
    let body = first(IntegrationKind::Slack, &slack);
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["title"], "[FIRING:1] Down (a:1 critical)");
    let text = attachment["text"].as_str().unwrap_or("");
    assert!(
        text.starts_with(NOTE) && text.ends_with(r#"[FIRING] {alertname="Down"}"#),
        "{text}"
    );
}

#[test]
fn summaries_are_cut_at_1024_characters() {
    let long = "é".repeat(1025);
    let event = first(
        IntegrationKind::PagerDuty,
        &format!("routing_key: {KEY}, description: '{long}'"),
    );
    let summary = event["payload"]["summary"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert_eq!(summary, format!("{}…", "é".repeat(1023)));
}

#[test]
fn an_event_that_is_too_large_goes_without_its_details() {
    let plan = plan(IntegrationKind::PagerDuty, &format!("routing_key: {KEY}"));
    let note = "Custom details have been removed because the original event exceeds the maximum size of 512KB";
    let huge = begin(&plan, &firing(&"x".repeat(512_000)), &Memory::default()).1;
    assert_eq!(
        json_of(huge)["payload"]["custom_details"],
        json!({"error": note})
    );
    // The vendor may count in another way: then the event is shrunk when it says so, once.
    let (mut conversation, step) = begin(&plan, &firing(&"x".repeat(300_000)), &Memory::default());
    assert!(http(step).body.len() > 300_000);
    let too_large = || {
        Response::Http(HttpResponse {
            status: 413,
            headers: Vec::new(),
            body: Vec::new(),
            extent: BodyExtent::Whole,
        })
    };
    let now = Timestamp::from_secs(0);
    let again = json_of(conversation.next(too_large(), now));
    assert_eq!(again["payload"]["custom_details"], json!({"error": note}));
    let end = conversation.next(too_large(), now);
    assert!(
        matches!(end, Step::Done(Outcome::Rejected { .. }, _)),
        "{end:?}"
    );
}

fn mailing(to: &str) -> IntegrationPlan {
    plan(
        IntegrationKind::Email,
        &format!("to: '{to}', from: w@shop.example, smarthost: 'mail:25'"),
    )
}

fn answered(stage: MailStage, code: u16, refused: &[(&str, u16)]) -> Response {
    let refused = refused.iter().map(|(address, code)| RefusedRecipient {
        address: (*address).to_owned(),
        code: *code,
        text: "no".into(),
    });
    Response::Mail(MailReply {
        stage,
        code,
        text: "said".into(),
        refused: refused.collect(),
    })
}

/// `D`elivered, `R`etry, re`J`ected, `A`mbiguous, and what is to be remembered.
fn end(step: Step) -> (char, Memory) {
    match step {
        Step::Done(Outcome::Delivered { .. }, memory) => ('D', memory),
        Step::Done(Outcome::Retry { .. }, memory) => ('R', memory),
        Step::Done(Outcome::Rejected { .. }, memory) => ('J', memory),
        Step::Done(Outcome::Ambiguous { .. }, memory) => ('A', memory),
        Step::Ask(request) => panic!("not the end: {request:?}"),
    }
}

#[test]
fn who_has_the_mail_does_not_get_it_again() {
    let plan = mailing("a@x, b@x, c@x");
    let notification = firing("A is down");
    let now = notification.at;
    let (mut conversation, step) = begin(&plan, &notification, &Memory::default());
    assert_eq!(mail(step).recipients, ["a@x", "b@x", "c@x"]);
    let refused = [("b@x", 451), ("c@x", 550)];
    let (word, memory) = end(conversation.next(answered(MailStage::Message, 250, &refused), now));
    assert_eq!(word, 'R');
    let (mut conversation, step) = begin(&plan, &notification, &memory);
    assert_eq!(mail(step).recipients, ["b@x", "c@x"]);
    let refused = [("c@x", 550)];
    let (word, memory) = end(conversation.next(answered(MailStage::Message, 250, &refused), now));
    assert_eq!((word, memory), ('D', Memory::default()));
}

#[test]
fn a_later_mail_goes_to_everybody() {
    let plan = mailing("a@x, b@x");
    let mut notification = firing("A is down");
    let (mut conversation, _) = begin(&plan, &notification, &Memory::default());
    let partly = answered(MailStage::Message, 250, &[("b@x", 451)]);
    let (_, memory) = end(conversation.next(partly, notification.at));
    notification.at = Timestamp::from_secs(2_000_000_000);
    let (_, step) = begin(&plan, &notification, &memory);
    assert_eq!(mail(step).recipients, ["a@x", "b@x"]);
}

#[test]
fn a_full_mailbox_does_not_hold_the_mail_open_for_ever() {
    let plan = mailing("a@x, full@x");
    let notification = firing("A is down");
    let refused = [("full@x", 452)];
    let mut memory = Memory::default();
    let mut words = String::new();
    for attempt in 0..12 {
        let (mut conversation, step) = begin(&plan, &notification, &memory);
        assert!(mail(step).recipients.contains(&"full@x".to_owned()));
        let answer = if attempt == 0 {
            answered(MailStage::Message, 250, &refused)
        } else {
            answered(MailStage::RcptTo, 452, &refused)
        };
        let (word, remembered) = end(conversation.next(answer, notification.at));
        words.push(word);
        memory = remembered;
        if word == 'D' {
            break;
        }
    }
    assert_eq!(words, "RRRRRRRRD");
}

#[test]
fn every_integration_has_its_own_message_id_and_every_attempt_the_same() {
    let id = |to: &str| {
        let message = mail(begin(&mailing(to), &firing("A is down"), &Memory::default()).1).message;
        let text = String::from_utf8_lossy(&message).into_owned();
        let line = text.lines().find(|line| line.starts_with("Message-Id: "));
        line.expect("it has an id").to_owned()
    };
    assert_eq!(id("a@x"), id("a@x"));
    assert_ne!(id("a@x"), id("b@x"));
}

#[test]
fn what_cannot_be_told_yet_says_so() {
    for (kind, keys) in [
        ("discord", "webhook_url: 'http://d'"),
        ("incidentio", "url: 'http://i'"),
        ("jira", "api_url: 'http://j', project: p, issue_type: i"),
        ("mattermost", "webhook_url: 'http://m'"),
        ("msteams", "webhook_url: 'http://t'"),
        ("msteamsv2", "webhook_url: 'http://t'"),
        ("opsgenie", "api_key: k"),
        ("pushover", "user_key: u, token: t"),
        ("rocketchat", "token: t, token_id: i"),
        ("sns", "topic_arn: t"),
        ("telegram", "bot_token: t, chat_id: 1"),
        ("victorops", "api_key: k, routing_key: r"),
        (
            "webex",
            "room_id: r, http_config: {authorization: {credentials: c}}",
        ),
        ("wechat", "api_secret: s, corp_id: c"),
    ] {
        let text = format!(
            "route: {{receiver: d}}\nreceivers: [{{name: d, {kind}_configs: [{{{keys}}}]}}]\n"
        );
        let config =
            AlertmanagerConfig::read("a.yml", &text, &AlertmanagerOptions::default()).unwrap();
        let integration = &config.value.receivers[0].integrations[0];
        let error =
            IntegrationPlan::compile(integration, &TemplateSet::alertmanager()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{kind}_configs is not supported by this version")
        );
    }
}
