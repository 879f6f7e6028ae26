//! The JSON of recorded events: protojson, in which 64-bit numbers are text and what is zero or empty is left out.
use std::time::Duration;

use config::InhibitRule;
use model::{Alert, AlertStatus, Labels, MatchOp, Matcher, Timestamp};
use notifiers_core::NotificationReason;
use serde_json::{Map, Value, json};

use crate::hashes::AlertHashes;
use crate::recorded_event::{
    EventData, GroupInfo, GroupedAlert, MutedAlert, RecordedEvent, ToldNotification,
};
use crate::silence::Silence;

impl RecordedEvent {
    /// One line without its end. `instance` names who records, `cluster_position` its place among its peers.
    #[must_use]
    pub fn to_json(&self, instance: &str, cluster_position: u32) -> String {
        let (name, body) = data(&self.data, self.at);
        let data = message([(name, body)]);
        let line = message([
            ("@timestamp", timestamp(self.at)),
            ("instance", text(instance)),
            ("data", data),
            (
                "clusterPosition",
                (cluster_position > 0).then_some(cluster_position).into(),
            ),
        ]);
        line.to_string()
    }
}

fn data(data: &EventData, now: Timestamp) -> (&'static str, Value) {
    match data {
        EventData::AlertCreated { alert: created } => {
            ("alertCreated", message([("alert", alert(created, now))]))
        }
        EventData::AlertGrouped { alert, group } => ("alertGrouped", of_group(alert, group, now)),
        EventData::AlertResolved { alert, group } => ("alertResolved", of_group(alert, group, now)),
        EventData::InhibitionMutedAlert {
            rules,
            muted,
            inhibiting,
        } => (
            "inhibitionMutedAlert",
            message([
                ("inhibitRules", list(rules.iter().map(inhibit_rule))),
                ("mutedAlert", muted_alert(muted)),
                (
                    "inhibitingFingerprints",
                    list(inhibiting.iter().map(|source| number(source.0))),
                ),
            ]),
        ),
        EventData::Notification(told) => ("notification", notification(told, now)),
        EventData::ProcessEnds => ("alertmanagerShutdownEvent", message([])),
        EventData::ProcessStarts {
            version,
            build_context,
        } => (
            "alertmanagerStartupEvent",
            message([
                ("version", text(version)),
                ("buildContext", text(build_context)),
            ]),
        ),
        EventData::SilenceCreated(created) => {
            ("silenceCreated", message([("silence", silence(created))]))
        }
        EventData::SilenceUpdated(updated) => {
            ("silenceUpdated", message([("silence", silence(updated))]))
        }
        EventData::SilenceMutedAlert {
            silence: muting,
            muted,
        } => (
            "silenceMutedAlert",
            message([
                ("silence", silence(muting)),
                ("mutedAlert", muted_alert(muted)),
            ]),
        ),
    }
}

fn of_group(alert: &GroupedAlert, group: &GroupInfo, now: Timestamp) -> Value {
    let alert = grouped_alert(alert.hash, &alert.alert, now);
    message([("alert", alert), ("groupInfo", group_info(group))])
}

fn notification(told: &ToldNotification, now: Timestamp) -> Value {
    let flush = &told.flush;
    let alerts = told
        .alerts
        .iter()
        .map(|alert| grouped_alert(alert.labels.xxhash64(), alert, now));
    message([
        ("alerts", list(alerts)),
        ("firingAlerts", hashes(&flush.firing)),
        ("resolvedAlerts", hashes(&flush.resolved)),
        ("mutedAlerts", hashes(&flush.muted)),
        ("groupInfo", group_info(&flush.group)),
        ("repeatInterval", text(&duration(flush.repeat_interval))),
        ("reason", text(reason(told.reason))),
        ("flushId", number(flush.number)),
        (
            "integration",
            message([
                ("name", text(&told.integration)),
                ("index", number(u64::from(told.index))),
            ]),
        ),
    ])
}

fn reason(reason: NotificationReason) -> &'static str {
    match reason {
        NotificationReason::AllAlertsResolved => "NOTIFY_REASON_ALL_ALERTS_RESOLVED",
        NotificationReason::FirstNotification => "NOTIFY_REASON_FIRST_NOTIFICATION",
        NotificationReason::NewAlertsAdded => "NOTIFY_REASON_NEW_ALERTS_IN_GROUP",
        NotificationReason::RepeatIntervalElapsed => "NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED",
        NotificationReason::SomeAlertsResolved => "NOTIFY_REASON_NEW_RESOLVED_ALERTS",
    }
}

fn alert(alert: &Alert, now: Timestamp) -> Value {
    let is_resolved = alert.status(now) == AlertStatus::Resolved;
    message([
        ("fingerprint", number(alert.fingerprint().0)),
        ("name", text(alert.labels.value("alertname"))),
        ("labels", labels(&alert.labels)),
        ("annotations", labels(&alert.annotations)),
        ("startsAt", timestamp(alert.starts_at)),
        ("endsAt", timestamp(alert.ends_at)),
        ("resolved", is_resolved.then_some(true).into()),
    ])
}

fn grouped_alert(hash: u64, details: &Alert, now: Timestamp) -> Value {
    message([("hash", number(hash)), ("details", alert(details, now))])
}

fn hashes(hashes: &AlertHashes) -> Value {
    list(hashes.iter().map(|hash| message([("hash", number(hash))])))
}

fn muted_alert(muted: &MutedAlert) -> Value {
    message([
        ("labels", labels(&muted.labels)),
        ("fingerprint", number(muted.fingerprint.0)),
    ])
}

fn group_info(group: &GroupInfo) -> Value {
    message([
        ("groupKey", text(group.key.as_str())),
        ("groupLabels", labels(&group.labels)),
        ("groupId", text(&group.key.sha256_hex())),
        ("receiverName", text(&group.receiver)),
        ("matchers", matchers(&group.matchers)),
        ("groupUuid", text(&group.uuid)),
    ])
}

fn inhibit_rule(rule: &InhibitRule) -> Value {
    message([
        ("sourceMatchers", matchers(&rule.source_matchers)),
        ("targetMatchers", matchers(&rule.target_matchers)),
        (
            "equalLabels",
            list(rule.equal.iter().map(|name| json!(name))),
        ),
        ("name", text(&rule.name)),
    ])
}

fn silence(silence: &Silence) -> Value {
    let first = silence.matcher_sets.first().map_or(&[][..], Vec::as_slice);
    let annotations = if silence.annotations.is_empty() {
        Value::Null
    } else {
        labels(&silence.annotations)
    };
    message([
        ("id", text(silence.id.as_str())),
        ("matchers", matchers(first)),
        ("annotations", annotations),
        ("startsAt", timestamp(silence.starts_at)),
        ("endsAt", timestamp(silence.ends_at)),
        ("updatedAt", timestamp(silence.updated_at)),
        ("createdBy", text(&silence.created_by)),
        ("comment", text(&silence.comment)),
        (
            "matcherSets",
            list(
                silence
                    .matcher_sets
                    .iter()
                    .map(|set| message([("matchers", matchers(set))])),
            ),
        ),
    ])
}

fn matchers(matchers: &[Matcher]) -> Value {
    list(matchers.iter().map(|matcher| {
        let kind = match matcher.op() {
            MatchOp::Equal => "TYPE_EQUAL",
            MatchOp::NotEqual => "TYPE_NOT_EQUAL",
            MatchOp::Regex => "TYPE_REGEXP",
            MatchOp::NotRegex => "TYPE_NOT_REGEXP",
        };
        message([
            ("type", text(kind)),
            ("name", text(matcher.name())),
            ("pattern", text(matcher.value())),
            ("rendered", text(&matcher.to_string())),
        ])
    }))
}

/// In the order of names; there even where it is empty.
fn labels(labels: &Labels) -> Value {
    let pairs = labels
        .iter()
        .map(|(name, value)| message([("key", text(name)), ("value", text(value))]));
    message([("labels", list(pairs))])
}

/// Fields that are null are not there.
fn message<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.collect();
    if items.is_empty() {
        Value::Null
    } else {
        Value::Array(items)
    }
}

fn text(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        Value::from(text)
    }
}

fn number(number: u64) -> Value {
    if number == 0 {
        Value::Null
    } else {
        Value::from(number.to_string())
    }
}

/// With no decimals or three.
fn timestamp(at: Timestamp) -> Value {
    let whole = at.as_millis().rem_euclid(1000) == 0;
    Value::from(if whole {
        at.to_rfc3339_nano()
    } else {
        at.to_rfc3339_millis()
    })
}

/// With no decimals or three, and its unit.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        millis => format!("{}.{millis:03}s", duration.as_secs()),
    }
}
