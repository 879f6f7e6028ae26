//! What real configurations send, against what a real Alertmanager was seen to send.
//!
//! The captured bodies are Alertmanager 0.25's. Where 0.34 sends something else, the difference is made here in the open:
//! each function below that changes a captured body says why.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use config::{AlertmanagerConfig, AlertmanagerOptions, Endpoints, Integration, IntegrationKind};
use model::{Alert, Labels, Timestamp};
use serde_json::Value as Json;
use template::TemplateSet;
use watchbell_notifiers_core::{
    GroupKey, HttpRequest, IntegrationPlan, MailRequest, Memory, Notification, NotificationReason,
    Request, SecretFiles, Step,
};

/// Where the captured Alertmanagers said they are.
const ALL: Site = Site {
    file: "all-integrations.yml",
    external_url: "http://alerts.example.test",
};
const SERVICE: Site = Site {
    file: "gds-shortened.yml",
    external_url: "http://alerts-1.example.test",
};

struct Site {
    file: &'static str,
    external_url: &'static str,
}

#[test]
fn webhook_bodies_are_alertmanagers() {
    let Some(golden) = golden() else { return };
    for (payload, alerts, reason) in [
        (
            "02-webhook.txt",
            both_firing(),
            NotificationReason::FirstNotification,
        ),
        (
            "19-webhook.txt",
            first_resolved("2026-11-20T10:50:54Z"),
            NotificationReason::SomeAlertsResolved,
        ),
        (
            "33-webhook.txt",
            second_resolved("2026-11-20T10:51:02Z"),
            NotificationReason::AllAlertsResolved,
        ),
    ] {
        let notification = ALL.notification("all", page_group(), alerts, reason);
        let request = ALL.http(&golden, IntegrationKind::Webhook, &notification);
        let captured = with_reason_and_route_labels(&body_of(&golden, payload), reason);
        assert_eq!(text(&request.body), captured, "{payload}");
        assert_eq!(
            request.headers,
            [("content-type".to_owned(), "application/json".to_owned())]
        );
    }
}

#[test]
fn a_heartbeat_is_a_webhook_without_generator() {
    let Some(golden) = golden() else { return };
    let reason = NotificationReason::FirstNotification;
    let alert = service_alert(
        &[
            ("alertname", "AlwaysAlert"),
            ("product", "prometheus"),
            ("severity", "constant"),
        ],
        "",
    );
    let group = Group {
        route: r#"{}/{product="prometheus",severity="constant"}"#,
        labels: &[("alertname", "AlwaysAlert"), ("product", "prometheus")],
    };
    let notification = SERVICE.notification("observe-cronitor", group, vec![alert], reason);
    let request = SERVICE.http(&golden, IntegrationKind::Webhook, &notification);
    let captured = with_reason_and_route_labels(
        &body_of(&golden, "03-cronitor_p_KEY_observe-prod.txt"),
        reason,
    );
    assert_eq!(text(&request.body), captured);
}

#[test]
fn slack_bodies_are_alertmanagers_byte_for_byte() {
    let Some(golden) = golden() else { return };
    for (payload, alerts, reason) in [
        (
            "14-slack_default.txt",
            both_firing(),
            NotificationReason::FirstNotification,
        ),
        (
            "20-slack_default.txt",
            first_resolved("2026-11-20T10:50:54Z"),
            NotificationReason::SomeAlertsResolved,
        ),
        (
            "32-slack_default.txt",
            second_resolved("2026-11-20T10:51:02Z"),
            NotificationReason::AllAlertsResolved,
        ),
    ] {
        let notification = ALL.notification("all", page_group(), alerts, reason);
        let request = ALL.http(&golden, IntegrationKind::Slack, &notification);
        assert_eq!(text(&request.body), body_of(&golden, payload), "{payload}");
    }
    for (payload, receiver, group, alert, end) in [
        (
            "06-slack_services_T000_B000_XXXX.txt",
            "autom8-tickets",
            ticket_group(),
            ticket(),
            None,
        ),
        (
            "27-slack_services_T000_B000_XXXX.txt",
            "autom8-tickets",
            ticket_group(),
            ticket(),
            Some("2026-11-20T10:51:02Z"),
        ),
        (
            "11-slack_services_T000_B000_XXXX.txt",
            "dcs-slack",
            pod_group(),
            pod(),
            None,
        ),
        (
            "28-slack_services_T000_B000_XXXX.txt",
            "dcs-slack",
            pod_group(),
            pod(),
            Some("2026-11-20T10:51:02Z"),
        ),
    ] {
        let (alert, reason) = match end {
            None => (alert, NotificationReason::FirstNotification),
            Some(end) => (
                Alert {
                    ends_at: time(end),
                    ..alert
                },
                NotificationReason::AllAlertsResolved,
            ),
        };
        let notification = SERVICE.notification(receiver, group, vec![alert], reason);
        let request = SERVICE.http(&golden, IntegrationKind::Slack, &notification);
        assert_eq!(text(&request.body), body_of(&golden, payload), "{payload}");
    }
}

#[test]
fn pagerduty_events_are_alertmanagers() {
    let Some(golden) = golden() else { return };
    for (payload, alerts, reason) in [
        (
            "04-pd_v2_enqueue.txt",
            both_firing(),
            NotificationReason::FirstNotification,
        ),
        (
            "21-pd_v2_enqueue.txt",
            first_resolved("2026-11-20T10:50:54Z"),
            NotificationReason::SomeAlertsResolved,
        ),
        (
            "30-pd_v2_enqueue.txt",
            second_resolved("2026-11-20T10:51:02Z"),
            NotificationReason::AllAlertsResolved,
        ),
    ] {
        let notification = ALL.notification("all", page_group(), alerts, reason);
        let webhook = ALL.http(&golden, IntegrationKind::Webhook, &notification);
        let request = ALL.http(&golden, IntegrationKind::PagerDuty, &notification);
        let captured =
            with_details_of_their_types(&body_of(&golden, payload), &json(&webhook.body));
        assert_eq!(text(&request.body), captured, "{payload}");
    }
}

#[test]
fn mails_are_alertmanagers() {
    let Some(golden) = golden() else { return };
    for (payload, site, receiver, group, alerts, reason) in [
        (
            "07-smtp.txt",
            &ALL,
            "all",
            page_group(),
            both_firing(),
            NotificationReason::FirstNotification,
        ),
        (
            "08-smtp.txt",
            &SERVICE,
            "autom8-tickets",
            ticket_group(),
            vec![ticket()],
            NotificationReason::FirstNotification,
        ),
        (
            "09-smtp.txt",
            &SERVICE,
            "notify-tickets",
            notify_group(),
            vec![notify_ticket()],
            NotificationReason::FirstNotification,
        ),
        (
            "24-smtp.txt",
            &ALL,
            "all",
            page_group(),
            first_resolved("2026-11-20T10:50:54Z"),
            NotificationReason::SomeAlertsResolved,
        ),
        (
            "38-smtp.txt",
            &ALL,
            "all",
            page_group(),
            second_resolved("2026-11-20T10:51:02Z"),
            NotificationReason::AllAlertsResolved,
        ),
    ] {
        let notification = site.notification(receiver, group, alerts, reason);
        let mail = site.mail(&golden, &notification);
        let captured = fs::read_to_string(golden.join("payloads").join(payload)).unwrap();
        let (commands, message) = captured.split_once("\n\n").unwrap();
        assert_eq!(
            envelope(&mail),
            &commands.lines().skip(2).collect::<Vec<_>>()[..commands.lines().count() - 3]
        );
        let (theirs, ours) = (Mail::read(message), Mail::read(text(&mail.message)));
        assert_eq!(ours.headers, theirs.headers, "{payload}");
        assert_eq!(ours.body, theirs.body, "{payload}");
    }
}

/// Alertmanager 0.34 adds both members; 0.25 knew neither.
fn with_reason_and_route_labels(captured: &str, reason: NotificationReason) -> String {
    captured
        .replace(
            r#"],"groupLabels":"#,
            &format!(
                r#"],"notification_reason":"{}","groupLabels":"#,
                reason.as_str()
            ),
        )
        .replace(r#","externalURL":"#, r#","routeLabels":{},"externalURL":"#)
}

/// Since 0.28 the details are numbers and lists of alerts, where 0.25 sent everything as text. The alerts are those of
/// the webhook body, with their members sorted because they pass through a map.
fn with_details_of_their_types(captured: &str, webhook: &Json) -> String {
    let mut event: Json = serde_json::from_str(captured).unwrap();
    let alerts = webhook["alerts"].as_array().unwrap();
    let of = |status: &str| {
        alerts
            .iter()
            .filter(|alert| alert["status"] == status)
            .cloned()
            .collect::<Vec<_>>()
    };
    let details = &mut event["payload"]["custom_details"];
    details["num_firing"] = details["num_firing"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        .into();
    details["num_resolved"] = details["num_resolved"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        .into();
    assert_eq!(details["num_firing"], of("firing").len());
    assert_eq!(details["num_resolved"], of("resolved").len());
    details["firing"] = of("firing").into();
    details["resolved"] = of("resolved").into();
    let details = model::go_json::to_string(&event["payload"]["custom_details"]).unwrap();
    let start = captured.find(r#""custom_details":"#).unwrap() + r#""custom_details":"#.len();
    let end = captured.find(r#"},"client":"#).unwrap();
    format!("{}{details}{}", &captured[..start], &captured[end..])
}

impl Site {
    fn notification(
        &self,
        receiver: &str,
        group: Group,
        alerts: Vec<Alert>,
        reason: NotificationReason,
    ) -> Notification {
        let labels = Labels::from_pairs(group.labels.iter().copied());
        Notification {
            receiver: receiver.to_owned(),
            group_key: GroupKey::new(group.route, &labels),
            group_labels: labels,
            route_labels: Labels::default(),
            alerts,
            reason,
            at: time("2026-11-20T11:00:00Z"),
            external_url: self.external_url.to_owned(),
        }
    }

    fn http(
        &self,
        golden: &Path,
        kind: IntegrationKind,
        notification: &Notification,
    ) -> HttpRequest {
        let step = self.begin(golden, kind, notification);
        let Step::Ask(Request::Http(request)) = step else {
            panic!("{step:?}")
        };
        request
    }

    fn mail(&self, golden: &Path, notification: &Notification) -> MailRequest {
        let step = self.begin(golden, IntegrationKind::Email, notification);
        let Step::Ask(Request::Mail(mail)) = step else {
            panic!("{step:?}")
        };
        *mail
    }

    fn begin(&self, golden: &Path, kind: IntegrationKind, notification: &Notification) -> Step {
        let integration = self.integration(golden, &notification.receiver, kind);
        let plan = IntegrationPlan::compile(&integration, &self.templates(golden)).unwrap();
        plan.begin(notification, &Memory::default(), &SecretFiles::default())
            .1
    }

    fn integration(&self, golden: &Path, receiver: &str, kind: IntegrationKind) -> Integration {
        let written = fs::read_to_string(golden.join(self.file)).unwrap();
        // These integrations are not Watchbell's yet; the ones compared here are left as they were captured.
        let known: Vec<&str> = written
            .lines()
            .filter(|line| {
                ![
                    "opsgenie",
                    "victorops",
                    "telegram",
                    "webex",
                    "wechat",
                    "discord",
                ]
                .iter()
                .any(|name| line.contains(&format!("{name}_configs")))
            })
            .collect();
        let options = AlertmanagerOptions {
            endpoints: Endpoints::default(),
            ..AlertmanagerOptions::default()
        };
        let config = AlertmanagerConfig::read(self.file, &known.join("\n"), &options)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let receiver = config.value.receiver(receiver).unwrap().clone();
        receiver
            .integrations
            .into_iter()
            .find(|integration| integration.kind() == kind)
            .unwrap()
    }

    fn templates(&self, golden: &Path) -> TemplateSet {
        let set = TemplateSet::alertmanager();
        if self.file == ALL.file {
            return set;
        }
        let text = fs::read_to_string(golden.join("../default.tmpl")).unwrap();
        set.with_file("default.tmpl", &text).unwrap()
    }
}

struct Group {
    route: &'static str,
    labels: &'static [(&'static str, &'static str)],
}

const DEPLOYMENT: &str = "gds \"a\"\\b";

fn page_group() -> Group {
    Group {
        route: r#"{}/{product="prometheus",severity=~"page|ticket"}"#,
        labels: &[
            ("alertname", "RE_Observe_Target_Down"),
            ("product", "prometheus"),
            ("deployment", DEPLOYMENT),
        ],
    }
}

fn ticket_group() -> Group {
    Group {
        route: r#"{}/{product="prometheus",severity="ticket"}"#,
        ..page_group()
    }
}

fn notify_group() -> Group {
    Group {
        route: r#"{}/{product="notify",severity="ticket"}"#,
        labels: &[
            ("alertname", "RE_Observe_Target_Down"),
            ("product", "notify"),
            ("deployment", DEPLOYMENT),
        ],
    }
}

fn pod_group() -> Group {
    Group {
        route: r#"{}/{product="doc-checking"}/{space=~"^(?:production|integration)$"}"#,
        labels: &[
            ("alertname", "KubePodCrash"),
            ("product", "doc-checking"),
            ("deployment", DEPLOYMENT),
        ],
    }
}

fn both_firing() -> Vec<Alert> {
    vec![page("i-1:9100"), page("i-2:9100")]
}

fn first_resolved(end: &str) -> Vec<Alert> {
    vec![
        Alert {
            ends_at: time(end),
            ..page("i-1:9100")
        },
        page("i-2:9100"),
    ]
}

fn second_resolved(end: &str) -> Vec<Alert> {
    vec![Alert {
        ends_at: time(end),
        ..page("i-2:9100")
    }]
}

fn page(instance: &str) -> Alert {
    let annotations = [
        ("summary", "target down é"),
        ("description", "first line\nsecond <b>line</b>"),
        ("runbook", "https://rb.example.test/x?y=1&z=2"),
    ];
    let labels = [
        ("alertname", "RE_Observe_Target_Down"),
        ("product", "prometheus"),
        ("severity", "page"),
        ("instance", instance),
        ("job", "node"),
        ("deployment", DEPLOYMENT),
    ];
    alert(&labels, &annotations, GENERATOR)
}

const GENERATOR: &str = "http://prom-1.example.test/graph?g0.expr=up+%3D%3D+0&g0.tab=1";

fn ticket() -> Alert {
    ticket_of("prometheus", "i-1")
}

fn notify_ticket() -> Alert {
    ticket_of("notify", "i-2")
}

fn ticket_of(product: &str, instance: &str) -> Alert {
    service_alert(
        &[
            ("alertname", "RE_Observe_Target_Down"),
            ("product", product),
            ("severity", "ticket"),
            ("instance", instance),
            ("job", "node"),
            ("deployment", DEPLOYMENT),
        ],
        GENERATOR,
    )
}

fn pod() -> Alert {
    service_alert(
        &[
            ("alertname", "KubePodCrash"),
            ("product", "doc-checking"),
            ("severity", "p4"),
            ("instance", "p-1"),
            ("job", "node"),
            ("deployment", DEPLOYMENT),
            ("space", "production"),
            ("pod", "pod-7"),
            ("namespace", "ns1"),
        ],
        GENERATOR,
    )
}

fn service_alert(labels: &[(&str, &str)], generator_url: &str) -> Alert {
    let mut annotations = vec![
        ("message", "msg é"),
        ("runbook_url", "https://rb.example.test/x?y=1&z=2"),
        ("summary", "sum"),
    ];
    if !generator_url.is_empty() {
        annotations.push(("description", "first line\nsecond <b>line</b>"));
        annotations.push(("runbook", "https://rb.example.test/x?y=1&z=2"));
    }
    alert(labels, &annotations, generator_url)
}

fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)], generator_url: &str) -> Alert {
    Alert {
        labels: Labels::from_pairs(labels.iter().copied()),
        annotations: Labels::from_pairs(annotations.iter().copied()),
        starts_at: time("2026-11-20T09:00:00Z"),
        ends_at: time("2036-01-01T00:00:00Z"),
        updated_at: time("2026-11-20T09:00:00Z"),
        generator_url: generator_url.to_owned(),
        timeout: false,
    }
}

/// A mail without what must differ from mail to mail: its id, its date, its boundary, the order of its headers.
struct Mail {
    headers: Vec<String>,
    body: String,
}

impl Mail {
    fn read(message: &str) -> Self {
        let message = message.replace("\r\n", "\n");
        let (head, body) = message.split_once("\n\n").unwrap();
        let varying = ["Message-Id:", "Date:", "Content-Type:"];
        let mut headers: Vec<String> = head
            .lines()
            .filter(|line| !varying.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect();
        headers.sort();
        let kind = head
            .lines()
            .find(|line| line.starts_with("Content-Type:"))
            .unwrap();
        let (kind, boundary) = kind.split_once("boundary=").unwrap();
        assert_eq!(kind, "Content-Type: multipart/alternative;  ");
        assert_eq!(boundary.len(), 60);
        Self {
            headers,
            body: body.replace(boundary, "BOUNDARY").trim_end().to_owned(),
        }
    }
}

fn envelope(mail: &MailRequest) -> Vec<String> {
    let from = format!("MAIL FROM:<{}> BODY=8BITMIME", mail.from);
    std::iter::once(from)
        .chain(mail.recipients.iter().map(|to| format!("RCPT TO:<{to}>")))
        .collect()
}

fn body_of(golden: &Path, payload: &str) -> String {
    let captured = fs::read_to_string(golden.join("payloads").join(payload)).unwrap();
    captured.split_once("\n\n").unwrap().1.to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// The captured data lie beside the project. Without them the test says so and is left out, except in continuous
/// integration, where it fails.
fn golden() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/real/gds/golden");
    if folder.exists() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        folder.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {} is missing; this test reads it",
        folder.display()
    );
    None
}
