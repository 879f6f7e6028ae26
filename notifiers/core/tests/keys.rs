//! Every key of the four integrations by its effect: what is asked of the vendor without the key, and with it.
//!
//! A row names what is written, where it shows, what stands there without it, and what stands there with it; a key
//! whose two sides are equal fails. `http_config`, `tls_config` and how mail is sent are the shell's; `send_resolved`
//! is the Alertmanager's.
use std::path::Path;

use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::{Alert, Labels, Timestamp};
use serde_json::{Map, Value as Json, json};
use template::TemplateSet;
use watchbell_notifiers_core::{
    GroupKey, HttpRequest, IntegrationPlan, MailRequest, Memory, Notification, NotificationReason,
    Remembered, Request, SecretFiles, Step,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_171_200);
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Two alerts of the group `Down`.
fn notification() -> Notification {
    let alert = |instance: &str| Alert {
        labels: Labels::from_pairs([
            ("alertname", "Down"),
            ("instance", instance),
            ("severity", "warning"),
        ]),
        annotations: Labels::from_pairs([("summary", "it is down")]),
        starts_at: NOW,
        ends_at: Timestamp::MAX,
        updated_at: NOW,
        generator_url: String::new(),
        timeout: false,
    };
    let group_labels = Labels::from_pairs([("alertname", "Down")]);
    Notification {
        receiver: "r".to_owned(),
        group_key: GroupKey::new("{}", &group_labels),
        group_labels,
        route_labels: Labels::default(),
        alerts: vec![alert("a:1"), alert("b:1")],
        reason: NotificationReason::FirstNotification,
        at: NOW,
        external_url: "http://am:9093".to_owned(),
    }
}

/// What the only integration of the file asks for, as JSON. Each of its secret files holds `of-file` behind the
/// beginning of an address.
fn asked(global: &str, integration: &str) -> Json {
    let file = format!(
        "global: {{{global}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r, {integration}}}]\n"
    );
    let config = AlertmanagerConfig::read("a.yml", &file, &AlertmanagerOptions::default())
        .unwrap_or_else(|problems| panic!("{file}\n{problems}"));
    let integration = &config.value.receivers[0].integrations[0];
    let plan = IntegrationPlan::compile(integration, &TemplateSet::alertmanager())
        .unwrap_or_else(|error| panic!("{file}\n{error}"));
    let mut secrets = SecretFiles::default();
    for path in plan.secret_files() {
        let is_address = path == Path::new("url");
        let content = if is_address {
            "http://of-file/"
        } else {
            "of-file"
        };
        secrets.insert(path, Ok(format!("{content}\n")));
    }
    let text = |text: &str| Remembered::Text(text.to_owned());
    let memory = [("threadTs", text("15.2")), ("channelId", text("C1"))];
    let memory = memory.map(|(name, value)| (name.to_owned(), value));
    let (_, step) = plan.begin(&notification(), &Memory(memory.into()), &secrets);
    match step {
        Step::Ask(Request::Http(request)) => http(&request),
        Step::Ask(Request::Mail(request)) => mail(&request),
        Step::Done(outcome, _) => panic!("{file}\n{outcome:?}"),
    }
}

fn http(request: &HttpRequest) -> Json {
    let headers: Map<String, Json> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
        .collect();
    json!({
        "url": request.url,
        "headers": headers,
        "timeout": request.timeout.map(|timeout| timeout.as_secs_f64()),
        "body": serde_json::from_slice::<Json>(&request.body).expect("the body is JSON"),
    })
}

/// Headers that come once, by name, and the parts by the end of their type.
fn mail(request: &MailRequest) -> Json {
    let message = String::from_utf8_lossy(&request.message).into_owned();
    let (head, body) = message.split_once("\r\n\r\n").expect("a head and a body");
    let headers: Map<String, Json> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), Json::from(value)))
        .collect();
    let parts: Map<String, Json> = body
        .split("Content-Type: text/")
        .skip(1)
        .filter_map(|part| part.split_once("; charset=UTF-8\r\n\r\n"))
        .map(|(kind, text)| {
            let text = text.split("\r\n--").next().unwrap_or_default();
            (kind.to_owned(), Json::from(text))
        })
        .collect();
    let login = request.login.as_ref().map(|login| {
        json!({
            "username": login.username, "password": login.password,
            "secret": login.secret, "identity": login.identity,
        })
    });
    json!({
        "smarthost": request.smarthost,
        "hello": request.hello,
        "security": format!("{:?}", request.security),
        "login": login,
        "from": request.from,
        "recipients": request.recipients,
        "headers": headers,
        "parts": parts,
    })
}

/// What is written below the integration, where it shows, what is there without it and with it.
type Row = (&'static str, &'static str, Json, Json);

/// `base` is what the integration needs besides. A key that is in `base` is written anew by the row.
fn check(kind: &str, base: &[&str], rows: &[Row]) {
    let written = |row: &str| {
        let key = row.split(':').next().unwrap_or_default();
        let own = base.iter().filter(|line| {
            let their_key = line.split(':').next().unwrap_or_default();
            row.is_empty() || their_key != key.trim_end_matches("_file")
        });
        let mut keys: Vec<&str> = own.copied().collect();
        keys.push(row);
        format!("{kind}_configs: [{{{}}}]", keys.join(", "))
    };
    let before = asked("", &written(""));
    for (row, at, without, with) in rows {
        assert_ne!(without, with, "{kind}: {row} shows nothing");
        let found = before.pointer(at).unwrap_or(&Json::Null);
        assert_eq!(found, without, "{kind} without {row}, {at}");
        let after = asked("", &written(row));
        let found = after.pointer(at).unwrap_or(&Json::Null);
        assert_eq!(found, with, "{kind} with {row}, {at}");
    }
}

#[test]
fn webhook_keys() {
    let whole = asked("", "webhook_configs: [{url: 'http://w/'}]");
    let alerts = whole["body"]["alerts"].clone();
    check(
        "webhook",
        &["url: 'http://w/'"],
        &[
            (
                "url: 'http://x/{{ .GroupLabels.alertname }}'",
                "/url",
                json!("http://w/"),
                json!("http://x/Down"),
            ),
            (
                "url_file: url",
                "/url",
                json!("http://w/"),
                json!("http://of-file/"),
            ),
            (
                "max_alerts: 1",
                "/body/alerts",
                alerts.clone(),
                json!([alerts[0]]),
            ),
            ("max_alerts: 1", "/body/truncatedAlerts", json!(0), json!(1)),
            (
                "max_alerts: 1",
                "/body/commonLabels/instance",
                Json::Null,
                json!("a:1"),
            ),
            ("timeout: 90s", "/timeout", Json::Null, json!(90.0)),
            (
                "payload: {a: '{{ .Status }}', b: [1, '{{ len .Alerts }}']}",
                "/body",
                whole["body"].clone(),
                json!({"a": "firing", "b": [1, 2]}),
            ),
        ],
    );
    assert_eq!(
        whole["headers"],
        json!({"content-type": "application/json"})
    );
}

#[test]
fn pagerduty_keys() {
    let client = json!("Alertmanager");
    check(
        "pagerduty",
        &["routing_key: 0123456789abcdef0123456789abcdef"],
        &[
            (
                "routing_key: '{{ .GroupLabels.alertname }}'",
                "/body/routing_key",
                json!(KEY),
                json!("Down"),
            ),
            (
                "routing_key_file: key",
                "/body/routing_key",
                json!(KEY),
                json!("of-file"),
            ),
            (
                "service_key: '{{ .GroupLabels.alertname }}'",
                "/body/service_key",
                Json::Null,
                json!("Down"),
            ),
            (
                "service_key_file: key",
                "/body/service_key",
                Json::Null,
                json!("of-file"),
            ),
            (
                "service_key: k",
                "/url",
                json!("https://events.pagerduty.com/v2/enqueue"),
                json!("https://events.pagerduty.com/generic/2010-04-15/create_event.json"),
            ),
            (
                "url: 'http://p/'",
                "/url",
                json!("https://events.pagerduty.com/v2/enqueue"),
                json!("http://p/"),
            ),
            (
                "client: '{{ .Status }}'",
                "/body/client",
                client.clone(),
                json!("firing"),
            ),
            (
                "client: '{{ .Status }}'",
                "/body/payload/source",
                client.clone(),
                json!("firing"),
            ),
            (
                "client_url: '{{ .ExternalURL }}'",
                "/body/client_url",
                json!("http://am:9093/#/alerts?receiver=r"),
                json!("http://am:9093"),
            ),
            (
                "description: '{{ len .Alerts }} alerts'",
                "/body/payload/summary",
                json!("[FIRING:2] Down (warning)"),
                json!("2 alerts"),
            ),
            (
                "details: {a: {b: ['{{ .Status }}', 1]}}",
                "/body/payload/custom_details/a",
                Json::Null,
                json!({"b": ["firing", 1]}),
            ),
            (
                "details: {num_firing: '{{ .Status }}'}",
                "/body/payload/custom_details/num_firing",
                json!(2),
                json!("firing"),
            ),
            (
                "details: {num_resolved: none}",
                "/body/payload/custom_details/num_resolved",
                json!(0),
                json!("none"),
            ),
            (
                "details: {resolved: none}",
                "/body/payload/custom_details/resolved",
                json!([]),
                json!("none"),
            ),
            (
                "images: [{src: '{{ .Status }}', alt: '{{ .Receiver }}', href: h}, {src: ''}]",
                "/body/images",
                Json::Null,
                json!([{"href": "h", "src": "firing", "alt": "r"}]),
            ),
            (
                "links: [{href: '{{ .Status }}', text: '{{ .Receiver }}'}, {text: lost}]",
                "/body/links",
                Json::Null,
                json!([{"href": "firing", "text": "r"}]),
            ),
            (
                "source: '{{ .Status }}'",
                "/body/payload/source",
                client,
                json!("firing"),
            ),
            (
                "severity: '{{ .CommonLabels.severity }}'",
                "/body/payload/severity",
                json!("error"),
                json!("warning"),
            ),
            (
                "class: '{{ .Status }}'",
                "/body/payload/class",
                Json::Null,
                json!("firing"),
            ),
            (
                "component: '{{ .Status }}'",
                "/body/payload/component",
                Json::Null,
                json!("firing"),
            ),
            (
                "group: '{{ .Status }}'",
                "/body/payload/group",
                Json::Null,
                json!("firing"),
            ),
            ("timeout: 90s", "/timeout", json!(10.0), json!(90.0)),
        ],
    );
}

#[test]
fn slack_keys() {
    let subject = "[FIRING:2] Down (warning)";
    let link = "http://am:9093/#/alerts?receiver=r";
    let fallback = format!("{subject} | {link}");
    let button = "type: button, text: '{{ .Status }}'";
    let buttons = [
        format!("actions: [{{{button}, url: 'http://{{{{ .Receiver }}}}', style: primary}}]"),
        format!(
            "actions: [{{{button}, name: '{{{{ .Receiver }}}}', value: '{{{{ len .Alerts }}}}', \
             confirm: {{text: '{{{{ .Status }}}}?', title: t, ok_text: 'yes', dismiss_text: 'no'}}}}]"
        ),
    ];
    check(
        "slack",
        &["api_url: 'http://s/hook'"],
        &[
            (
                "api_url: 'http://x/'",
                "/url",
                json!("http://s/hook"),
                json!("http://x/"),
            ),
            (
                "api_url_file: url",
                "/url",
                json!("http://s/hook"),
                json!("http://of-file/"),
            ),
            (
                "channel: '#{{ .GroupLabels.alertname }}'",
                "/body/channel",
                Json::Null,
                json!("#Down"),
            ),
            (
                "username: '{{ .Status }}'",
                "/body/username",
                json!("Alertmanager"),
                json!("firing"),
            ),
            (
                "icon_emoji: ':{{ .Status }}:'",
                "/body/icon_emoji",
                Json::Null,
                json!(":firing:"),
            ),
            (
                "icon_url: 'http://{{ .Status }}'",
                "/body/icon_url",
                Json::Null,
                json!("http://firing"),
            ),
            (
                "link_names: true",
                "/body/link_names",
                Json::Null,
                json!(true),
            ),
            (
                "message_text: '{{ .Status }}'",
                "/body/text",
                Json::Null,
                json!("firing"),
            ),
            (
                "color: '{{ .Status }}'",
                "/body/attachments/0/color",
                json!("danger"),
                json!("firing"),
            ),
            (
                "title: '{{ .Status }}'",
                "/body/attachments/0/title",
                json!(subject),
                json!("firing"),
            ),
            (
                "title_link: '{{ .Status }}'",
                "/body/attachments/0/title_link",
                json!(link),
                json!("firing"),
            ),
            (
                "pretext: '{{ .Status }}'",
                "/body/attachments/0/pretext",
                Json::Null,
                json!("firing"),
            ),
            (
                "text: '{{ .Status }}'",
                "/body/attachments/0/text",
                json!(""),
                json!("firing"),
            ),
            (
                "fallback: '{{ .Status }}'",
                "/body/attachments/0/fallback",
                json!(fallback),
                json!("firing"),
            ),
            (
                "callback_id: '{{ .Status }}'",
                "/body/attachments/0/callback_id",
                json!(""),
                json!("firing"),
            ),
            (
                "footer: '{{ .Status }}'",
                "/body/attachments/0/footer",
                json!(""),
                json!("firing"),
            ),
            (
                "image_url: 'http://{{ .Status }}'",
                "/body/attachments/0/image_url",
                Json::Null,
                json!("http://firing"),
            ),
            (
                "thumb_url: 'http://{{ .Status }}'",
                "/body/attachments/0/thumb_url",
                Json::Null,
                json!("http://firing"),
            ),
            (
                "mrkdwn_in: [title]",
                "/body/attachments/0/mrkdwn_in",
                json!(["fallback", "pretext", "text"]),
                json!(["title"]),
            ),
            (
                "fields: [{title: '{{ .Status }}', value: '{{ .Receiver }}'}]",
                "/body/attachments/0/fields",
                Json::Null,
                json!([{"title": "firing", "value": "r", "short": false}]),
            ),
            (
                "short_fields: true, fields: [{title: t, value: v}, {title: t, value: v, short: false}]",
                "/body/attachments/0/fields",
                Json::Null,
                json!([
                    {"title": "t", "value": "v", "short": true},
                    {"title": "t", "value": "v", "short": false},
                ]),
            ),
            (
                buttons[0].clone().leak(),
                "/body/attachments/0/actions",
                Json::Null,
                json!([{"type": "button", "text": "firing", "url": "http://r", "style": "primary"}]),
            ),
            (
                buttons[1].clone().leak(),
                "/body/attachments/0/actions",
                Json::Null,
                json!([{
                    "type": "button", "text": "firing", "name": "r", "value": "2",
                    "confirm": {"text": "firing?", "title": "t", "ok_text": "yes", "dismiss_text": "no"},
                }]),
            ),
            ("timeout: 90s", "/timeout", Json::Null, json!(90.0)),
        ],
    );
    check(
        "slack",
        &["app_token: t"],
        &[
            (
                "app_token: x",
                "/headers/authorization",
                json!("Bearer t"),
                json!("Bearer x"),
            ),
            (
                "app_token_file: token",
                "/headers/authorization",
                json!("Bearer t"),
                json!("Bearer of-file"),
            ),
            (
                "app_url: 'http://s/chat.postMessage'",
                "/url",
                json!("https://slack.com/api/chat.postMessage"),
                json!("http://s/chat.postMessage"),
            ),
            (
                "update_message: true",
                "/url",
                json!("https://slack.com/api/chat.postMessage"),
                json!("https://slack.com/api/chat.update"),
            ),
            (
                "update_message: true",
                "/body/ts",
                Json::Null,
                json!("15.2"),
            ),
        ],
    );
}

#[test]
fn email_keys() {
    let subject = "[FIRING:2] Down (warning)";
    let base = [
        "to: 'a@b'",
        "from: 'c@d'",
        "smarthost: 'm:25'",
        "auth_username: u",
        "html: ''",
        "text: t",
    ];
    check(
        "email",
        &base,
        &[
            (
                "to: 'x@y, {{ .Receiver }}@y'",
                "/recipients",
                json!(["a@b"]),
                json!(["x@y", "r@y"]),
            ),
            ("to: 'x@y'", "/headers/To", json!("a@b"), json!("x@y")),
            (
                "from: '{{ .Receiver }}@y'",
                "/from",
                json!("c@d"),
                json!("r@y"),
            ),
            ("from: 'x@y'", "/headers/From", json!("c@d"), json!("x@y")),
            ("hello: h", "/hello", json!("localhost"), json!("h")),
            (
                "smarthost: 'n:26'",
                "/smarthost",
                json!("m:25"),
                json!("n:26"),
            ),
            (
                "smarthost: 'n:465'",
                "/security",
                json!("StartTls"),
                json!("Implicit"),
            ),
            (
                "require_tls: false",
                "/security",
                json!("StartTls"),
                json!("Opportunistic"),
            ),
            (
                "force_implicit_tls: true",
                "/security",
                json!("StartTls"),
                json!("Implicit"),
            ),
            (
                "auth_username: v",
                "/login/username",
                json!("u"),
                json!("v"),
            ),
            (
                "auth_password: p",
                "/login/password",
                Json::Null,
                json!("p"),
            ),
            (
                "auth_password_file: f",
                "/login/password",
                Json::Null,
                json!("of-file"),
            ),
            ("auth_secret: s", "/login/secret", Json::Null, json!("s")),
            (
                "auth_secret_file: f",
                "/login/secret",
                Json::Null,
                json!("of-file"),
            ),
            ("auth_identity: i", "/login/identity", json!(""), json!("i")),
            (
                "headers: {x-team: '{{ .Receiver }}'}",
                "/headers/X-Team",
                Json::Null,
                json!("r"),
            ),
            (
                "headers: {subject: '{{ .Status }}'}",
                "/headers/Subject",
                json!(subject),
                json!("firing"),
            ),
            (
                "text: '{{ .Status }} <b>'",
                "/parts/plain",
                json!("t"),
                json!("firing <b>"),
            ),
            ("text: ''", "/parts/plain", json!("t"), Json::Null),
            (
                "html: '<b>{{ \"<\" }}</b>'",
                "/parts/html",
                Json::Null,
                json!("<b>&lt;</b>"),
            ),
            (
                "threading: {enabled: true, thread_by_date: none}",
                "/headers/References",
                Json::Null,
                json!("<alert-af94c9e8f6a30436-@alertmanager>"),
            ),
            (
                "threading: {enabled: true, thread_by_date: daily}",
                "/headers/In-Reply-To",
                Json::Null,
                json!("<alert-af94c9e8f6a30436-2026-11-20@alertmanager>"),
            ),
        ],
    );
    // Port 465 without TLS from the first byte, and the default HTML.
    let written =
        "email_configs: [{to: 'a@b', from: 'c@d', smarthost: 'm:465', force_implicit_tls: false}]";
    let mail = asked("", written);
    assert_eq!(mail["security"], "StartTls");
    let html = mail["parts"]["html"].as_str().unwrap_or_default();
    assert!(html.contains("View in Alertmanager"), "{html}");
}

/// What `global` gives to integrations that say nothing themselves: key, its integration, where it shows.
#[test]
fn global_keys() {
    const MAIL: &str = "email_configs: [{to: 'a@b'}]";
    const SMTP: &str = "smtp_from: 'c@d', smtp_smarthost: 'm:25'";
    const LOGIN: &str = "smtp_from: 'c@d', smtp_smarthost: 'm:25', smtp_auth_username: u";
    const SLACK: &str = "slack_configs: [{}]";
    const PAGERDUTY: &str = "pagerduty_configs: [{routing_key: k}]";
    for (base, key, integration, at, with) in [
        (
            "smtp_smarthost: 'm:25'",
            "smtp_from: 'x@y'",
            MAIL,
            "/from",
            json!("x@y"),
        ),
        (
            "smtp_from: 'c@d'",
            "smtp_smarthost: 'n:26'",
            MAIL,
            "/smarthost",
            json!("n:26"),
        ),
        (SMTP, "smtp_hello: h", MAIL, "/hello", json!("h")),
        (
            SMTP,
            "smtp_auth_username: u",
            MAIL,
            "/login/username",
            json!("u"),
        ),
        (
            LOGIN,
            "smtp_auth_password: p",
            MAIL,
            "/login/password",
            json!("p"),
        ),
        (
            LOGIN,
            "smtp_auth_password_file: f",
            MAIL,
            "/login/password",
            json!("of-file"),
        ),
        (
            LOGIN,
            "smtp_auth_secret: s",
            MAIL,
            "/login/secret",
            json!("s"),
        ),
        (
            LOGIN,
            "smtp_auth_secret_file: f",
            MAIL,
            "/login/secret",
            json!("of-file"),
        ),
        (
            LOGIN,
            "smtp_auth_identity: i",
            MAIL,
            "/login/identity",
            json!("i"),
        ),
        (
            SMTP,
            "smtp_require_tls: false",
            MAIL,
            "/security",
            json!("Opportunistic"),
        ),
        (
            SMTP,
            "smtp_force_implicit_tls: true",
            MAIL,
            "/security",
            json!("Implicit"),
        ),
        (
            "",
            "slack_api_url: 'http://s/'",
            SLACK,
            "/url",
            json!("http://s/"),
        ),
        (
            "",
            "slack_api_url_file: url",
            SLACK,
            "/url",
            json!("http://of-file/"),
        ),
        (
            "",
            "slack_app_token: t",
            SLACK,
            "/headers/authorization",
            json!("Bearer t"),
        ),
        (
            "",
            "slack_app_token_file: t",
            SLACK,
            "/headers/authorization",
            json!("Bearer of-file"),
        ),
        (
            "slack_app_token: t",
            "slack_app_url: 'http://s/'",
            SLACK,
            "/url",
            json!("http://s/"),
        ),
        (
            "",
            "pagerduty_url: 'http://p/'",
            PAGERDUTY,
            "/url",
            json!("http://p/"),
        ),
    ] {
        let separator = if base.is_empty() { "" } else { ", " };
        let found = asked(&format!("{base}{separator}{key}"), integration);
        assert_eq!(found.pointer(at), Some(&with), "{key}");
        // A key that the integration cannot do without has no other side.
        let own = key.split(':').next().unwrap_or_default();
        let needed = [
            "smtp_from",
            "smtp_smarthost",
            "slack_api_url",
            "slack_app_token",
        ];
        if !needed.contains(&own.trim_end_matches("_file")) {
            let without = asked(base, integration);
            assert_ne!(without.pointer(at), Some(&with), "{key} shows nothing");
        }
    }
    // The integration's own word wins.
    let own = "email_configs: [{to: 'a@b', from: 'x@y', smarthost: 'n:26', hello: h, auth_username: v, auth_password: q, auth_secret: z, auth_identity: j, require_tls: true, force_implicit_tls: false}]";
    let everything = format!(
        "{SMTP}, smtp_hello: g, smtp_auth_username: u, smtp_auth_password: p, smtp_auth_secret: s, smtp_auth_identity: i, smtp_require_tls: false, smtp_force_implicit_tls: true"
    );
    assert_eq!(asked(&everything, own), asked("", own));
    // One of a pair in the integration keeps both of the global pair away.
    for (global, own, login) in [
        (
            "smtp_auth_password: p",
            "auth_password_file: f",
            json!("of-file"),
        ),
        ("smtp_auth_password_file: f", "auth_password: q", json!("q")),
    ] {
        let mail = format!("email_configs: [{{to: 'a@b', {own}}}]");
        let found = asked(&format!("{LOGIN}, {global}"), &mail);
        assert_eq!(found["login"]["password"], login, "{global} {own}");
    }
}
