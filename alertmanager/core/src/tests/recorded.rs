//! What the event recorder hears of a machine's life, and the JSON that it writes.
use model::{Alert, Labels, MatchOp};
use notifiers_core::Outcome;
use serde_json::{Value, json};

use crate::protocol::{Event, Input, Ticket};
use crate::recorded_event::{EventData, RecordedEvent};
use crate::silence::{MatcherDraft, SilenceDraft, SilenceId};
use crate::tests::world::{PLAIN, Reaction, START, World, at, labels, secs};

const INHIBITING: &str = "
route: {receiver: team, group_by: [alertname], routes: [{receiver: team, matchers: [severity=\"page\"]}]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
inhibit_rules: [{name: root, source_matchers: [alertname=Dead], target_matchers: [alertname=~\"Slow|Sick\"], equal: [host]}]
";

fn recording(yaml: &str) -> World {
    let mut world = World::new(yaml);
    world.settings.records_events = true;
    world.machine = world.restored();
    world
}

fn recorded(world: &World) -> Vec<&RecordedEvent> {
    let events = world.events.iter().filter_map(|event| {
        let Event::Recorded(recorded) = event else {
            return None;
        };
        Some(&**recorded)
    });
    events.collect()
}

/// `30 notification`, with what tells it from others of its kind.
fn lines(world: &World) -> Vec<String> {
    let name = |alert: &Alert| alert.labels.value("alertname").to_owned();
    let line = |event: &&RecordedEvent| {
        let at = event.at.as_millis().div_euclid(1000) - START;
        let what = match &event.data {
            EventData::AlertCreated { alert } => name(alert),
            EventData::AlertGrouped { alert, .. } | EventData::AlertResolved { alert, .. } => {
                name(&alert.alert)
            }
            EventData::InhibitionMutedAlert { rules, muted, .. } => {
                format!("{} by {}", muted.labels, rules[0].name)
            }
            EventData::Notification(told) => format!(
                "{} alerts, flush {}: {} firing, {} muted, {} resolved",
                told.alerts.len(),
                told.flush.number,
                told.flush.firing.len(),
                told.flush.muted.len(),
                told.flush.resolved.len(),
            ),
            EventData::SilenceCreated(silence) | EventData::SilenceUpdated(silence) => {
                silence.id.to_string()
            }
            EventData::SilenceMutedAlert { silence, muted } => {
                format!("{} by {}", muted.labels, silence.id)
            }
            EventData::ProcessEnds | EventData::ProcessStarts { .. } => String::new(),
        };
        format!("{at} {}: {what}", event.data.kind())
    };
    recorded(world).iter().map(line).collect()
}

fn silence(world: &mut World, id: Option<&str>, alertname: &str, ends: i64) {
    let draft = SilenceDraft {
        id: id.map(SilenceId::new),
        matcher_sets: vec![vec![MatcherDraft {
            op: MatchOp::Equal,
            name: "alertname".to_owned(),
            value: alertname.to_owned(),
        }]],
        starts_at: at(0),
        ends_at: at(ends),
        created_by: "ops".to_owned(),
        comment: "known".to_owned(),
        annotations: Labels::default(),
    };
    let (ticket, fresh) = (Ticket(0), world.fresh_id());
    world.tell(Input::SilenceSet {
        ticket,
        draft,
        fresh,
    });
}

#[test]
fn nothing_is_recorded_where_nobody_listens() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down"]);
    world.until(60);
    assert_eq!(world.heard.len(), 1);
    assert_eq!(lines(&world), [""; 0]);
}

#[test]
fn an_alerts_life_is_told_in_order() {
    let mut world = recording(PLAIN);
    world.fire(&["alertname=Down"]);
    world.until(60);
    // A repetition is nothing new.
    world.fire(&["alertname=Down"]);
    world.resolve(&["alertname=Down"]);
    world.until(400);
    assert_eq!(
        lines(&world),
        [
            "0 alert_created: Down",
            "0 alert_grouped: Down",
            "30 notification: 1 alerts, flush 1: 1 firing, 0 muted, 0 resolved",
            "330 notification: 1 alerts, flush 2: 0 firing, 0 muted, 1 resolved",
            "330 alert_resolved: Down",
        ]
    );
}

#[test]
fn only_what_was_delivered_is_a_notification() {
    let mut failures = 2;
    let mut world = recording(PLAIN).with_script(move |_, _| {
        failures -= 1;
        match failures {
            1 => Reaction::fail(),
            0 => Reaction {
                takes: false,
                after: secs(0),
                outcome: Outcome::Rejected {
                    reason: "400".to_owned(),
                },
                ..Reaction::fail()
            },
            _ => Reaction::take(),
        }
    });
    world.fire(&["alertname=Down"]);
    world.until(340);
    assert_eq!(
        lines(&world)[2..],
        ["330 notification: 1 alerts, flush 2: 1 firing, 0 muted, 0 resolved"]
    );
}

#[test]
fn mutes_are_told_at_each_flush_and_silences_when_they_change() {
    let mut world = recording(INHIBITING);
    silence(&mut world, None, "Noisy", 400);
    world.fire(&["alertname=Dead host=a", "alertname=Slow host=a"]);
    world.fire(&["alertname=Noisy"]);
    world.until(40);
    silence(&mut world, Some("silence-1"), "Noisy", 500);
    silence(&mut world, Some("silence-1"), "Else", 500);
    let told = lines(&world);
    let (before, after) = told.split_at(1);
    assert_eq!(before, ["0 silence_created: silence-1"]);
    let muted: Vec<&String> = after
        .iter()
        .filter(|line| line.contains("muted_alert"))
        .collect();
    assert_eq!(
        muted,
        [
            r#"30 silence_muted_alert: {alertname="Noisy"} by silence-1"#,
            r#"30 inhibition_muted_alert: {alertname="Slow", host="a"} by root"#,
        ]
    );
    assert_eq!(
        told[told.len() - 3..],
        [
            "40 silence_updated: silence-1",
            "40 silence_updated: silence-1",
            "40 silence_created: silence-3",
        ]
    );
    let (ticket, id) = (Ticket(0), SilenceId::new("silence-3"));
    world.tell(Input::SilenceExpired { ticket, id });
    assert_eq!(
        lines(&world).last().map(String::as_str),
        Some("40 silence_updated: silence-3")
    );
}

#[test]
fn a_group_that_begins_anew_has_another_uuid() {
    let mut world = recording(PLAIN);
    world.fire(&["alertname=Down"]);
    world.until(60);
    world.reload(PLAIN);
    world.until(61);
    let uuids: Vec<String> = recorded(&world)
        .iter()
        .filter_map(|event| {
            let EventData::AlertGrouped { group, .. } = &event.data else {
                return None;
            };
            Some(group.uuid.clone())
        })
        .collect();
    assert_eq!(uuids.len(), 2);
    assert_ne!(uuids[0], uuids[1]);
    // After a restart too.
    world.crash(secs(10));
    assert_eq!(
        lines(&world).last().map(String::as_str),
        Some("71 alert_grouped: Down")
    );
    for uuid in uuids {
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(&uuid[14..15], "4", "{uuid}");
    }
}

fn json_of(event: &RecordedEvent) -> Value {
    serde_json::from_str(&event.to_json("am-1", 0)).unwrap()
}

/// Field by field as protojson writes them: 64-bit numbers as text, nothing that is zero or empty.
#[test]
fn a_notification_is_written_as_protojson() {
    let mut world = recording(INHIBITING);
    world.fire(&["alertname=Down severity=page"]);
    world.until(30);
    let recorded = recorded(&world);
    let labels = json!({"labels": [{"key": "alertname", "value": "Down"}, {"key": "severity", "value": "page"}]});
    let own = self::labels("alertname=Down severity=page");
    let alert = json!({
        "fingerprint": own.fingerprint().0.to_string(),
        "name": "Down",
        "labels": labels,
        "annotations": {},
        "startsAt": "1970-01-12T13:46:40Z",
        "endsAt": "1970-02-11T13:46:40Z",
    });
    let hash = own.xxhash64().to_string();
    let told = json_of(recorded[2]);
    let group = &told["data"]["notification"]["groupInfo"];
    let uuid = group["groupUuid"].as_str().unwrap();
    let group = json!({
        "groupKey": r#"{}/{severity="page"}:{alertname="Down"}"#,
        "groupLabels": {"labels": [{"key": "alertname", "value": "Down"}]},
        // `sha256sum` of the key.
        "groupId": "7338d4d547ae795e46790a981150123c2d6ae4a40fdc7834d8ec15188ec56af6",
        "receiverName": "team",
        "matchers": [{"type": "TYPE_EQUAL", "name": "severity", "pattern": "page", "rendered": "severity=\"page\""}],
        "groupUuid": uuid,
    });
    assert_eq!(
        told,
        json!({
            "@timestamp": "1970-01-12T13:47:10Z",
            "instance": "am-1",
            "data": {"notification": {
                "alerts": [{"hash": hash, "details": alert}],
                "firingAlerts": [{"hash": hash}],
                "groupInfo": group,
                "repeatInterval": "14400s",
                "reason": "NOTIFY_REASON_FIRST_NOTIFICATION",
                "flushId": "1",
                "integration": {"name": "webhook"},
            }},
        })
    );
    assert_eq!(
        json_of(recorded[0])["data"],
        json!({"alertCreated": {"alert": alert}})
    );
    assert_eq!(
        json_of(recorded[1])["data"],
        json!({"alertGrouped": {"alert": {"hash": hash, "details": alert}, "groupInfo": group}})
    );
    world.resolve(&["alertname=Down severity=page"]);
    world.until(330);
    let resolved = json_of(self::recorded(&world).last().unwrap());
    let resolved = &resolved["data"]["alertResolved"];
    assert_eq!(resolved["alert"]["details"]["resolved"], json!(true));
    assert_eq!(
        resolved["alert"]["details"]["endsAt"],
        "1970-01-12T13:47:10Z"
    );
    assert_eq!(resolved["groupInfo"], group);
}

#[test]
fn mutes_are_written_as_protojson() {
    let mut world = recording(INHIBITING);
    silence(&mut world, None, "Noisy", 400);
    world.fire(&["alertname=Dead host=a", "alertname=Slow host=a"]);
    world.fire(&["alertname=Noisy"]);
    world.until(30);
    let bodies: Vec<Value> = recorded(&world)
        .iter()
        .map(|event| json_of(event)["data"].clone())
        .collect();
    let matchers = json!([{"type": "TYPE_EQUAL", "name": "alertname", "pattern": "Noisy", "rendered": "alertname=\"Noisy\""}]);
    let silence = json!({
        "id": "silence-1",
        "matchers": matchers,
        "startsAt": "1970-01-12T13:46:40Z",
        "endsAt": "1970-01-12T13:53:20Z",
        "updatedAt": "1970-01-12T13:46:40Z",
        "createdBy": "ops",
        "comment": "known",
        "matcherSets": [{"matchers": matchers}],
    });
    assert_eq!(bodies[0], json!({"silenceCreated": {"silence": silence}}));
    let muted = |fingerprint: u64, pairs: Value| json!({"labels": {"labels": pairs}, "fingerprint": fingerprint.to_string()});
    let noisy = labels("alertname=Noisy").fingerprint().0;
    let silenced = json!({"silenceMutedAlert": {
        "silence": silence,
        "mutedAlert": muted(noisy, json!([{"key": "alertname", "value": "Noisy"}])),
    }});
    let (dead, slow) = (
        labels("alertname=Dead host=a"),
        labels("alertname=Slow host=a"),
    );
    let inhibited = json!({"inhibitionMutedAlert": {
        "inhibitRules": [{
            "name": "root",
            "sourceMatchers": [{"type": "TYPE_EQUAL", "name": "alertname", "pattern": "Dead", "rendered": "alertname=\"Dead\""}],
            "targetMatchers": [{"type": "TYPE_REGEXP", "name": "alertname", "pattern": "Slow|Sick", "rendered": "alertname=~\"Slow|Sick\""}],
            "equalLabels": ["host"],
        }],
        "mutedAlert": muted(slow.fingerprint().0, json!([{"key": "alertname", "value": "Slow"}, {"key": "host", "value": "a"}])),
        "inhibitingFingerprints": [dead.fingerprint().0.to_string()],
    }});
    for body in [silenced, inhibited] {
        assert!(bodies.contains(&body), "{body}\nis not among\n{bodies:#?}");
    }
}

#[test]
fn the_process_own_events_and_places_in_a_cluster_are_written() {
    let event = |data| RecordedEvent {
        at: at(0) + std::time::Duration::from_millis(40),
        data,
    };
    let started = event(EventData::ProcessStarts {
        version: "1".to_owned(),
        build_context: "(b)".to_owned(),
    });
    assert_eq!(
        started.to_json("a \"b\"", 2),
        r#"{"@timestamp":"1970-01-12T13:46:40.040Z","clusterPosition":2,"data":{"alertmanagerStartupEvent":{"buildContext":"(b)","version":"1"}},"instance":"a \"b\""}"#
    );
    assert_eq!(
        event(EventData::ProcessEnds).to_json("a", 0),
        r#"{"@timestamp":"1970-01-12T13:46:40.040Z","data":{"alertmanagerShutdownEvent":{}},"instance":"a"}"#
    );
}
