//! What the tests have in common: a configuration, a notification, an attempt.
use std::time::Duration;

use config::{AlertmanagerConfig, AlertmanagerOptions, Endpoints};
use model::{Alert, Labels, Timestamp};
use notifiers_core::{GroupKey, Memory, Notification, NotificationReason, Outcome};
use runtime::{Clock, SystemClock};
use template::TemplateSet;

use crate::teller::Tellers;

/// Far longer than any fake takes: only a broken test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The integrations of a receiver `team`, written as YAML below `receivers[0]`, and what stands under `global`.
pub(super) fn tellers(global: &str, integrations: &str, endpoints: Endpoints) -> Tellers {
    let text = format!(
        "global: {{{global}}}\nroute: {{receiver: team}}\nreceivers:\n- name: team\n{integrations}\n"
    );
    let options = AlertmanagerOptions {
        endpoints,
        ..AlertmanagerOptions::default()
    };
    let config = AlertmanagerConfig::read("alertmanager.yml", &text, &options);
    let config = config
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .value;
    Tellers::prepare(&config.receivers, &TemplateSet::alertmanager()).unwrap()
}

pub(super) fn firing() -> Notification {
    let group_labels = Labels::from_pairs([("alertname", "Down")]);
    let alert = Alert {
        labels: Labels::from_pairs([("alertname", "Down"), ("instance", "a:1")]),
        annotations: Labels::from_pairs([("summary", "A is <down>")]),
        starts_at: Timestamp::from_secs(1_795_000_000),
        ends_at: Timestamp::MAX,
        updated_at: Timestamp::from_secs(1_795_000_000),
        generator_url: "http://p/g?a=1&b=2".into(),
        timeout: true,
    };
    Notification {
        receiver: "team".into(),
        group_key: GroupKey::new("{}", &group_labels),
        group_labels,
        route_labels: Labels::default(),
        alerts: vec![alert],
        reason: NotificationReason::FirstNotification,
        at: Timestamp::from_secs(1_795_000_030),
        external_url: "http://am:9093".into(),
    }
}

pub(super) fn resolved() -> Notification {
    let mut notification = firing();
    notification.alerts[0].ends_at = notification.at;
    notification.reason = NotificationReason::AllAlertsResolved;
    notification
}

/// One attempt with a deadline that it never reaches.
pub(super) async fn attempt(tellers: &Tellers, kind: &str, notification: &Notification) -> Outcome {
    let memory = Memory::default();
    attempt_with(tellers, kind, notification, &memory, PATIENCE)
        .await
        .0
}

pub(super) async fn attempt_with(
    tellers: &Tellers,
    kind: &str,
    notification: &Notification,
    memory: &Memory,
    within: Duration,
) -> (Outcome, Memory) {
    let teller = tellers
        .get("team", kind, 0)
        .expect("the integration is configured");
    let clock = SystemClock::new();
    let deadline = clock.now() + within;
    let attempted = movable(teller.attempt(notification, memory, deadline, &clock)).await;
    (attempted.outcome, attempted.memory)
}

/// Attempts run on whichever thread is free: their future must be able to move.
fn movable<Attempt: Future + Send>(attempt: Attempt) -> Attempt {
    attempt
}

/// The outcome's kind, for tables.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ambiguous { .. } => "ambiguous",
        Outcome::Delivered { .. } => "delivered",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Retry { .. } => "retry",
    }
}

pub(super) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Delivered { .. } => "",
        Outcome::Ambiguous { reason }
        | Outcome::Rejected { reason }
        | Outcome::Retry { reason, .. } => reason,
    }
}
