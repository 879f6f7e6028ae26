use std::time::Duration;

use model::{AlertStatus, Labels, Timestamp};

use crate::alert::{ActiveAlert, AlertState, AlertTiming};
use crate::alerting::{ActiveAlerts, AlertElement, AlertPolicy, OutgoingAlert, Sending};
use crate::notes::Notes;
use crate::refusal::OverLimit;

const SENDING: Sending = Sending {
    resend_delay: Duration::from_secs(60),
    interval: Duration::from_secs(30),
};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(minute * 60)
}

fn policy(hold_minutes: u64, limit: Option<u64>) -> AlertPolicy<'static> {
    AlertPolicy {
        name: "Down",
        timing: AlertTiming {
            hold_duration: Duration::from_secs(hold_minutes * 60),
            keep_firing_for: Duration::ZERO,
        },
        limit,
        over_limit: OverLimit::DropAll,
    }
}

/// An element for each character: the series `up{instance="a"}`.
fn elements(instances: &str) -> Vec<AlertElement> {
    instances
        .chars()
        .map(|instance| AlertElement {
            series: labels(&[("__name__", "up"), ("instance", &instance.to_string())]),
            rule_labels: labels(&[("severity", "page")]),
            annotations: labels(&[("summary", "down")]),
            value: 0.0,
        })
        .collect()
}

/// `aF bP`: each alert's instance and state.
fn story(alerts: &ActiveAlerts) -> String {
    let told: Vec<String> = alerts
        .iter()
        .map(|alert| {
            let state = match alert.state {
                AlertState::Pending { .. } => "P",
                AlertState::Firing { .. } => "F",
                AlertState::Resolved { .. } => "r",
            };
            format!("{}{state}", alert.labels.value("instance"))
        })
        .collect();
    told.join(" ")
}

/// `a!` firing, `a.` resolved.
fn messages(outgoing: &[OutgoingAlert]) -> String {
    let told: Vec<String> = outgoing
        .iter()
        .map(|alert| {
            let status = match alert.status {
                AlertStatus::Firing => "!",
                AlertStatus::Resolved => ".",
            };
            format!("{}{status}", alert.labels.value("instance"))
        })
        .collect();
    told.join(" ")
}

/// Rows of minute, instances in the result, states after it, what is sent.
fn check(policy: AlertPolicy<'_>, rows: &[(i64, &str, &str, &str)]) {
    let mut alerts = ActiveAlerts::default();
    for (minute, instances, states, sent) in rows {
        let _refused_or_not = alerts.step(policy, elements(instances), at(*minute));
        assert_eq!(story(&alerts), *states, "minute {minute}");
        let outgoing = alerts.take_due(SENDING, &Notes::default(), at(*minute));
        assert_eq!(messages(&outgoing), *sent, "minute {minute}");
    }
}

#[test]
fn each_element_has_a_life_of_its_own() {
    check(
        policy(2, None),
        &[
            (0, "a", "aP", ""),
            (1, "ab", "aP bP", ""),
            (2, "ab", "aF bP", "a!"),
            (3, "ab", "aF bF", "b!"),
            // Told a minute ago is not yet more than the resend delay of a minute.
            (4, "b", "ar bF", "a."),
            (5, "", "ar br", "b."),
            (6, "", "ar br", "a."),
            (7, "a", "aP br", "b."),
            (8, "", "br", ""),
            (20, "", "br", "b."),
            (21, "", "", ""),
        ],
    );
}

#[test]
fn without_for_an_alert_fires_and_is_sent_in_the_same_evaluation() {
    check(
        policy(0, None),
        &[
            (0, "a", "aF", "a!"),
            (1, "", "ar", "a."),
            (2, "a", "aF", "a!"),
        ],
    );
}

#[test]
fn more_alerts_than_the_limit_are_forgotten_without_a_word() {
    check(
        policy(0, Some(2)),
        &[
            (0, "ab", "aF bF", "a! b!"),
            (1, "abc", "", ""),
            (2, "a", "aF", "a!"),
        ],
    );
    let mut alerts = ActiveAlerts::default();
    let refused = alerts
        .step(policy(0, Some(2)), elements("abc"), at(0))
        .unwrap_err();
    assert_eq!(refused.to_string(), "exceeded limit of 2 with 3 alerts");
}

#[test]
fn within_the_limit_those_alive_stay_and_new_ones_come_as_there_is_room() {
    let keeping = AlertPolicy {
        over_limit: OverLimit::KeepFirst,
        ..policy(0, Some(2))
    };
    check(
        keeping,
        &[
            (0, "cd", "cF dF", "c! d!"),
            (2, "abcd", "cF dF", "c! d!"),
            (3, "abd", "aF cr dF", "a! c."),
            // What ended does not come back before there is room.
            (4, "abcd", "aF cr dF", "d!"),
            (5, "bc", "ar bF cF dr", "a. b! c! d."),
        ],
    );
    let mut alerts = ActiveAlerts::default();
    let step = alerts.step(keeping, elements("abcde"), at(0)).unwrap();
    assert_eq!(step.left_out.map(|left_out| left_out.count), Some(3));
    assert_eq!(step.samples.len(), 4);
    // A limit that was lowered ends nothing that fires.
    let lowered = AlertPolicy {
        limit: Some(1),
        ..keeping
    };
    let step = alerts.step(lowered, elements("abcde"), at(1)).unwrap();
    assert_eq!(story(&alerts), "aF bF");
    assert_eq!(step.left_out.map(|left_out| left_out.count), Some(3));
}

#[test]
fn two_elements_that_become_one_alert_change_nothing() {
    let mut alerts = ActiveAlerts::default();
    alerts.step(policy(0, None), elements("a"), at(0)).unwrap();
    alerts.take_changes();
    let mut same = elements("bb");
    same[1].annotations = labels(&[]);
    let refused = alerts.step(policy(0, None), same, at(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "vector contains metrics with the same labelset after applying alert labels"
    );
    assert_eq!(story(&alerts), "aF");
    assert_eq!(alerts.take_changes(), super::AlertChanges::default());
}

#[test]
fn an_alerts_labels_are_the_series_then_the_rules_then_its_name() {
    let element = AlertElement {
        series: labels(&[
            ("__name__", "up"),
            ("alertname", "Mine"),
            ("instance", "a"),
            ("job", "x"),
            ("severity", "low"),
        ]),
        rule_labels: labels(&[("alertname", "Other"), ("job", ""), ("severity", "page")]),
        annotations: labels(&[]),
        value: 0.0,
    };
    let mut alerts = ActiveAlerts::default();
    alerts.step(policy(0, None), vec![element], at(0)).unwrap();
    let found: Vec<String> = alerts
        .iter()
        .map(|alert| alert.labels.to_string())
        .collect();
    assert_eq!(
        found,
        [r#"{alertname="Down", instance="a", severity="page"}"#]
    );
}

#[test]
fn alerts_and_alerts_for_state_are_written_while_it_is_alive() {
    let mut alerts = ActiveAlerts::default();
    for (minute, instances, written) in [
        (
            1,
            "a",
            &[
                r#"{__name__="ALERTS", alertname="Down", alertstate="pending", instance="a", severity="page"} 1"#,
                r#"{__name__="ALERTS_FOR_STATE", alertname="Down", instance="a", severity="page"} 60"#,
            ][..],
        ),
        (
            2,
            "a",
            &[
                r#"{__name__="ALERTS", alertname="Down", alertstate="firing", instance="a", severity="page"} 1"#,
                r#"{__name__="ALERTS_FOR_STATE", alertname="Down", instance="a", severity="page"} 60"#,
            ],
        ),
        (3, "", &[]),
    ] {
        let step = alerts
            .step(policy(1, None), elements(instances), at(minute))
            .unwrap();
        let found: Vec<String> = step
            .samples
            .iter()
            .map(|sample| format!("{} {}", sample.labels, sample.value))
            .collect();
        assert_eq!(found, written, "minute {minute}");
    }
}

#[test]
fn starts_when_it_fired_and_ends_when_it_resolved_or_after_four_chances() {
    let mut alerts = ActiveAlerts::default();
    for (minute, instances, starts_at, ends_at) in [
        (0, "a", None, None),
        (2, "a", Some(at(2)), Some(at(6))),
        (4, "a", Some(at(2)), Some(at(8))),
        (5, "", Some(at(2)), Some(at(5))),
        (7, "", Some(at(2)), Some(at(5))),
    ] {
        alerts
            .step(policy(2, None), elements(instances), at(minute))
            .unwrap();
        let sent = alerts.take_due(SENDING, &Notes::default(), at(minute));
        let first = sent.first();
        assert_eq!(first.map(|alert| alert.starts_at), starts_at);
        assert_eq!(first.map(|alert| alert.ends_at), ends_at);
    }
    let slow = Sending {
        interval: Duration::from_secs(120),
        ..SENDING
    };
    assert_eq!(slow.valid_until(at(0)), at(8));
}

#[test]
fn only_what_changed_is_saved() {
    let mut alerts = ActiveAlerts::default();
    let saved = |alerts: &mut ActiveAlerts, minute, result: Vec<AlertElement>, send| {
        alerts.step(policy(0, None), result, at(minute)).unwrap();
        if send {
            alerts.take_due(SENDING, &Notes::default(), at(minute));
        }
        let changes = alerts.take_changes();
        let names: String = changes
            .changed
            .iter()
            .map(|alert| alert.labels.value("instance"))
            .collect();
        (names, changes.forgotten.len())
    };
    let mut risen = elements("ab");
    risen[1].value = 7.0;
    assert_eq!(
        saved(&mut alerts, 0, elements("ab"), true),
        ("ab".into(), 0)
    );
    assert_eq!(
        saved(&mut alerts, 1, elements("ab"), false),
        (String::new(), 0)
    );
    assert_eq!(saved(&mut alerts, 1, risen, false), ("b".into(), 0));
    assert_eq!(
        saved(&mut alerts, 2, elements("ab"), true),
        ("ab".into(), 0)
    );
    assert_eq!(saved(&mut alerts, 3, elements("b"), false), ("a".into(), 0));
    assert_eq!(
        saved(&mut alerts, 30, elements("b"), false),
        (String::new(), 1)
    );
}

#[test]
fn a_value_of_nan_is_not_a_change_at_every_evaluation() {
    let mut nan = elements("a");
    nan[0].value = f64::NAN;
    let mut alerts = ActiveAlerts::default();
    alerts.step(policy(0, None), nan.clone(), at(0)).unwrap();
    alerts.take_changes();
    alerts.step(policy(0, None), nan, at(1)).unwrap();
    assert_eq!(alerts.take_changes(), super::AlertChanges::default());
}

#[test]
fn restored_alerts_go_on_where_they_were() {
    let alert = |instance: &str, state| ActiveAlert {
        labels: labels(&[
            ("alertname", "Down"),
            ("instance", instance),
            ("severity", "page"),
        ]),
        annotations: labels(&[("summary", "down")]),
        value: 0.0,
        state,
    };
    let firing = AlertState::Firing {
        active_at: at(0),
        fired_at: at(5),
        unseen_since: None,
        sent_at: Some(at(9)),
    };
    let mut alerts = ActiveAlerts::restored([
        alert("a", firing),
        alert("b", AlertState::Pending { active_at: at(8) }),
    ]);
    alerts
        .step(policy(5, None), elements("ab"), at(13))
        .unwrap();
    assert_eq!(story(&alerts), "aF bF");
    let starts: Vec<Timestamp> = alerts
        .take_due(SENDING, &Notes::default(), at(13))
        .iter()
        .map(|alert| alert.starts_at)
        .collect();
    assert_eq!(starts, [at(5), at(13)]);
    alerts.forget_pending();
    assert_eq!(story(&alerts), "aF bF");
}
