//! The default templates against what Alertmanager really sent.
use std::fs;
use std::path::Path;

use model::{AlertStatus, Timestamp};

use crate::alertmanager::data::{AlertData, NotificationData};
use crate::host::AtTime;
use crate::limits::Limits;
use crate::set::{Mode, TemplateSet};
use crate::tests::world::{
    alertmanager, labels, notification, shared, time, two_alerts, with_data,
};
use crate::value::Value;

#[derive(Clone, Copy, PartialEq)]
enum Now {
    Fires,
    Resolved,
}

fn alert(instance: &str, severity: &str, product: &str, now: Now) -> AlertData {
    AlertData {
        status: match now {
            Now::Fires => AlertStatus::Firing,
            Now::Resolved => AlertStatus::Resolved,
        },
        labels: labels(&[
            ("alertname", "RE_Observe_Target_Down"),
            ("product", product),
            ("severity", severity),
            ("instance", instance),
            ("job", "node"),
            ("deployment", "gds \"a\"\\b"),
        ]),
        annotations: labels(&[
            ("summary", "target down é"),
            ("description", "first line\nsecond <b>line</b>"),
            ("runbook", "https://rb.example.test/x?y=1&z=2"),
        ]),
        starts_at: time("2026-11-20T09:00:00Z"),
        ends_at: Timestamp::GO_ZERO,
        generator_url: "http://prom-1.example.test/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
        fingerprint: String::new(),
    }
}

/// The receiver of all integrations.
fn all(instances: &[(&str, Now)]) -> NotificationData {
    let alerts = instances
        .iter()
        .map(|(instance, now)| alert(instance, "page", "prometheus", *now))
        .collect();
    let group_by = ["alertname", "product", "deployment"];
    notification("all", "http://alerts.example.test", &group_by, alerts)
}

/// A ticket of the GDS configuration, with its own annotations.
fn ticket(receiver: &str, instance: &str, product: &str, now: Now) -> NotificationData {
    let mut alert = alert(instance, "ticket", product, now);
    let mut annotations = alert.annotations.iter().collect::<Vec<_>>();
    annotations.retain(|(name, _)| *name != "summary");
    annotations.extend([
        ("message", "msg é"),
        ("runbook_url", "https://rb.example.test/x?y=1&z=2"),
        ("summary", "sum"),
    ]);
    alert.annotations = labels(&annotations);
    let group_by = ["alertname", "product", "deployment"];
    notification(
        receiver,
        "http://alerts-1.example.test",
        &group_by,
        vec![alert],
    )
}

/// Body and subject of a captured mail.
fn mail(folder: &Path, file: &str) -> (String, String) {
    let text = fs::read(folder.join(file)).unwrap();
    let text = String::from_utf8(text).unwrap();
    let subject = text
        .lines()
        .find_map(|line| line.strip_prefix("Subject: "))
        .unwrap()
        .to_owned();
    let start = text.find("Content-Type: text/html; charset=UTF-8").unwrap();
    let body = text[start..].splitn(3, '\n').nth(2).unwrap();
    let body = &body[..body.rfind("\n--").unwrap()];
    (decode_quoted_printable(body), subject)
}

fn decode_quoted_printable(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.replace("=\n", "");
    rest.push_str("  ");
    let raw = rest.as_bytes();
    let mut at = 0;
    while at < raw.len() - 2 {
        if raw[at] == b'=' {
            let code = std::str::from_utf8(&raw[at + 1..at + 3]).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            at += 3;
        } else {
            bytes.push(raw[at]);
            at += 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn mails_are_byte_for_byte_those_of_alertmanager() {
    let Some(folder) = shared("real/gds/golden/payloads") else {
        return;
    };
    use Now::{Fires, Resolved};
    let rows = [
        (
            "07-smtp.txt",
            all(&[("i-1:9100", Fires), ("i-2:9100", Fires)]),
        ),
        (
            "08-smtp.txt",
            ticket("autom8-tickets", "i-1", "prometheus", Fires),
        ),
        (
            "09-smtp.txt",
            ticket("notify-tickets", "i-2", "notify", Fires),
        ),
        (
            "24-smtp.txt",
            all(&[("i-1:9100", Resolved), ("i-2:9100", Fires)]),
        ),
        ("38-smtp.txt", all(&[("i-2:9100", Resolved)])),
    ];
    for (file, data) in rows {
        let (html, subject) = mail(&folder, file);
        let rendered = with_data(
            r#"{{ template "email.default.html" . }}"#,
            Mode::Html,
            data.clone(),
        );
        assert_eq!(rendered.unwrap(), html, "{file}");
        let rendered = with_data(
            r#"{{ template "email.default.subject" . }}"#,
            Mode::Text,
            data,
        );
        assert_eq!(rendered.unwrap(), subject, "{file}");
    }
}

#[test]
fn the_texts_of_all_integrations_are_those_of_alertmanager() {
    let Some(folder) = shared("real/gds/golden/payloads") else {
        return;
    };
    use Now::{Fires, Resolved};
    let both = || all(&[("i-1:9100", Fires), ("i-2:9100", Fires)]);
    let mixed = || all(&[("i-1:9100", Resolved), ("i-2:9100", Fires)]);
    let last = || all(&[("i-2:9100", Resolved)]);
    // A file, the place of a text in its JSON, and the template that gives it.
    let rows = [
        (
            "01-webex_v1_messages",
            both(),
            "/markdown",
            "webex.default.message",
        ),
        (
            "17-webex_v1_messages",
            mixed(),
            "/markdown",
            "webex.default.message",
        ),
        (
            "34-webex_v1_messages",
            last(),
            "/markdown",
            "webex.default.message",
        ),
        (
            "04-pd_v2_enqueue",
            both(),
            "/payload/summary",
            "pagerduty.default.description",
        ),
        (
            "04-pd_v2_enqueue",
            both(),
            "/client",
            "pagerduty.default.client",
        ),
        (
            "04-pd_v2_enqueue",
            both(),
            "/client_url",
            "pagerduty.default.clientURL",
        ),
        (
            "05-og_v2_alerts",
            both(),
            "/description",
            "opsgenie.default.description",
        ),
        (
            "26-og_v2_alerts",
            mixed(),
            "/description",
            "opsgenie.default.description",
        ),
        (
            "26-og_v2_alerts",
            mixed(),
            "/message",
            "opsgenie.default.message",
        ),
        (
            "10-discord_wh",
            both(),
            "/embeds/0/description",
            "discord.default.message",
        ),
        (
            "23-discord_wh",
            mixed(),
            "/embeds/0/description",
            "discord.default.message",
        ),
        (
            "37-discord_wh",
            last(),
            "/embeds/0/description",
            "discord.default.message",
        ),
        (
            "37-discord_wh",
            last(),
            "/embeds/0/title",
            "discord.default.title",
        ),
        (
            "13-vo_alert_vo-key_rk",
            both(),
            "/state_message",
            "victorops.default.state_message",
        ),
        (
            "22-vo_alert_vo-key_rk",
            mixed(),
            "/state_message",
            "victorops.default.state_message",
        ),
        (
            "14-slack_default",
            both(),
            "/attachments/0/title",
            "slack.default.title",
        ),
        (
            "14-slack_default",
            both(),
            "/attachments/0/fallback",
            "slack.default.fallback",
        ),
        (
            "14-slack_default",
            both(),
            "/attachments/0/color",
            "slack.default.color",
        ),
        (
            "32-slack_default",
            last(),
            "/attachments/0/fallback",
            "slack.default.fallback",
        ),
        (
            "32-slack_default",
            last(),
            "/attachments/0/color",
            "slack.default.color",
        ),
        (
            "32-slack_default",
            last(),
            "/username",
            "slack.default.username",
        ),
        (
            "16-wx_message_send",
            both(),
            "/text/content",
            "wechat.default.message",
        ),
        (
            "31-wx_message_send",
            last(),
            "/text/content",
            "wechat.default.message",
        ),
        (
            "12-tg_bot1_tok_sendMessage",
            both(),
            "/text",
            "telegram.default.message",
        ),
        (
            "25-tg_bot1_tok_sendMessage",
            mixed(),
            "/text",
            "telegram.default.message",
        ),
        (
            "35-tg_bot1_tok_sendMessage",
            last(),
            "/text",
            "telegram.default.message",
        ),
    ];
    for (file, data, place, name) in rows {
        let text = fs::read_to_string(folder.join(format!("{file}.txt"))).unwrap();
        let (_, body) = text.split_once("\n\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let sent = json.pointer(place).unwrap().as_str().unwrap();
        let mode = if name.starts_with("telegram") {
            Mode::Html
        } else {
            Mode::Text
        };
        let rendered = with_data(&format!("{{{{ template {name:?} . }}}}"), mode, data);
        assert_eq!(rendered.unwrap(), sent, "{file} {name}");
    }
}

#[test]
fn a_users_templates_redefine_the_built_in_ones() {
    let (Some(file), Some(folder)) = (
        shared("real/gds/default.tmpl"),
        shared("real/gds/golden/payloads"),
    ) else {
        return;
    };
    let set = TemplateSet::alertmanager()
        .with_file("default.tmpl", &fs::read_to_string(file).unwrap())
        .unwrap();
    let text = r#"*Description:* {{ .CommonAnnotations.message }}
{{ range .Alerts }}
  *Details:*
  {{ range .Labels.SortedPairs }} • *{{ .Name }}:* `{{ .Value }}`
  {{ end }}
{{ end }}"#;
    let pretext = r#"{{ if eq .Status "firing" }}{{ if eq .CommonLabels.severity "warning" }}:warning:{{ else }}:rotating_light:{{ end }}{{ else }}:green_tick:{{ end }} {{ .CommonLabels.alertname }}:{{ .CommonAnnotations.summary }}"#;
    for (file, now) in [
        ("06-slack_services_T000_B000_XXXX.txt", Now::Fires),
        ("27-slack_services_T000_B000_XXXX.txt", Now::Resolved),
    ] {
        let sent = fs::read_to_string(folder.join(file)).unwrap();
        let (_, body) = sent.split_once("\n\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let data = Value::from(ticket("autom8-tickets", "i-1", "prometheus", now));
        for (place, template) in [
            (
                "/attachments/0/title",
                r#"{{ template "slack.default.title" . }}"#,
            ),
            (
                "/attachments/0/title_link",
                r#"{{ template "slack.default.titlelink" . }}"#,
            ),
            (
                "/attachments/0/fallback",
                r#"{{ template "slack.default.fallback" . }}"#,
            ),
            ("/attachments/0/text", text),
            ("/attachments/0/pretext", pretext),
        ] {
            let rendered = set
                .compile("", template, Mode::Text)
                .unwrap()
                .render(&data, &AtTime(Timestamp::GO_ZERO), &Limits::default())
                .unwrap();
            let sent = json.pointer(place).unwrap().as_str().unwrap();
            assert_eq!(rendered, sent, "{file} {place}");
        }
    }
}

#[test]
fn default_texts_of_a_group_with_one_firing_and_one_resolved_alert() {
    const FIRING: &str = "Labels:\n - alertname = Down\n - instance = a:1\n - severity = critical\nAnnotations:\n - summary = A is down\nSource: http://p/g?a=1&b=2\n";
    const RESOLVED: &str = "Labels:\n - alertname = Down\n - instance = b:1\n - severity = critical\nAnnotations:\n - summary = B <is> down\nSource: http://p/g2\n";
    let compact = format!("\nAlerts Firing:\n{FIRING}\nAlerts Resolved:\n{RESOLVED}");
    let loose = format!("\n\nAlerts Firing:\n{FIRING}\n\n\nAlerts Resolved:\n{RESOLVED}\n\n");
    let markdown = "\n\n# Alerts Firing:\n\nLabels:\n  - alertname = Down\n  - instance = a:1\n  - severity = critical\n\nAnnotations:\n  - summary = A is down\n\nSource: http://p/g?a=1&b=2\n\n\n\n\n# Alerts Resolved:\n\nLabels:\n  - alertname = Down\n  - instance = b:1\n  - severity = critical\n\nAnnotations:\n  - summary = B <is> down\n\nSource: http://p/g2\n\n\n\n";
    let subject = "[FIRING:1] Down (critical)";
    let url = "http://am:9093/#/alerts?receiver=team-X";
    for (name, text) in [
        ("__subject", subject),
        ("__alertmanagerURL", url),
        ("slack.default.fallback", &format!("{subject} | {url}")),
        ("slack.default.color", "danger"),
        ("opsgenie.default.description", &compact),
        (
            "wechat.default.message",
            &format!("{subject}\n{compact}\nAlertmanagerUrl:\n{url}"),
        ),
        ("pushover.default.message", &loose),
        ("discord.default.message", &loose),
        ("msteams.default.text", markdown),
        ("jira.default.description", markdown),
        ("jira.default.priority", "High"),
        ("mattermost.default.color", "danger"),
        ("rocketchat.default.alias", "Alertmanager"),
        ("slack.default.footer", ""),
    ] {
        assert_eq!(
            alertmanager(&format!("{{{{ template {name:?} . }}}}")).as_deref(),
            Ok(text),
            "{name}"
        );
    }
}

#[test]
fn subjects_keep_their_odd_spaces() {
    let mut data = two_alerts();
    data.alerts.truncate(1);
    data.common_labels = data.group_labels.clone();
    let subject = r#"{{ template "__subject" . }}"#;
    assert_eq!(
        with_data(subject, Mode::Text, data.clone()).unwrap(),
        "[FIRING:1] Down "
    );
    data.status = AlertStatus::Resolved;
    data.common_labels = labels(&[]);
    data.group_labels = labels(&[]);
    assert_eq!(
        with_data(subject, Mode::Text, data).unwrap(),
        "[RESOLVED]  "
    );
}
