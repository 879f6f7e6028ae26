//! Alerts and silences of one tenant: `cargo bench -p watchbell-alertmanager-core`. What is to be stored and recorded is written
//! as the shell would write it; nothing goes to a disk or by a socket.
#![allow(clippy::unwrap_used, reason = "a benchmark: a failure is its message")]
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use config::{AlertmanagerConfig, AlertmanagerOptions};
use divan::Bencher;
use divan::counter::ItemsCount;
use model::{Labels, Machine, MatchOp, Timestamp};
use watchbell_alertmanager_core::{
    AlertDraft, Alertmanager, Command, Event, Input, MatcherDraft, Policy, Settings, SilenceDraft,
    SilenceId, Ticket,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ALERTS: usize = 100_000;
/// Of one request: Prometheus sends at most so many.
const BATCH: usize = 256;
const CONFIG: &str = "
route: {receiver: team, group_by: [alertname, cluster]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";

fn main() {
    divan::main();
}

fn draft(number: usize) -> AlertDraft {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    AlertDraft {
        labels: [
            pair("alertname", format!("InstanceDown{}", number % 100)),
            pair("cluster", format!("eu-west-{}", number % 10)),
            pair(
                "instance",
                format!("10.0.{}.{}:9100", number / 200, number % 200),
            ),
            pair("job", "kubernetes-service-endpoints".to_owned()),
            pair("severity", ["page", "ticket"][number % 2].to_owned()),
        ]
        .into(),
        annotations: [pair(
            "summary",
            format!("Instance {number} does not answer"),
        )]
        .into(),
        starts_at: Some(NOW),
        ends_at: Some(NOW + Duration::from_secs(240)),
        generator_url: "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0".to_owned(),
    }
}

static DRAFTS: LazyLock<Vec<Vec<AlertDraft>>> = LazyLock::new(|| {
    let drafts: Vec<AlertDraft> = (0..ALERTS).map(draft).collect();
    drafts.chunks(BATCH).map(<[AlertDraft]>::to_vec).collect()
});

fn machine(records_events: bool) -> Alertmanager {
    let loaded = AlertmanagerConfig::read("am.yml", CONFIG, &AlertmanagerOptions::default());
    let policy = Policy::new(Arc::new(loaded.unwrap().value), "http://am:9093/");
    let settings = Settings {
        records_events,
        ..Settings::default()
    };
    Alertmanager::restore(settings, policy, [], NOW)
}

/// Bytes that are to be stored and recorded.
fn drain(machine: &mut Alertmanager) -> usize {
    let mut bytes = 0;
    while let Some(command) = machine.poll_command() {
        if let Command::Persist(record) = command {
            bytes += record.encode().len();
        }
    }
    while let Some(event) = machine.poll_event() {
        if let Event::Recorded(recorded) = event {
            bytes += recorded.to_json("alertmanager-0", 0).len();
        }
    }
    bytes
}

fn post(machine: &mut Alertmanager, batches: Vec<Vec<AlertDraft>>, now: Timestamp) -> usize {
    let mut bytes = 0;
    for alerts in batches {
        let ticket = Ticket(0);
        machine.handle(Input::AlertsPosted { ticket, alerts }, now);
        bytes += drain(machine);
    }
    bytes
}

fn filled(records_events: bool) -> Alertmanager {
    let mut machine = machine(records_events);
    post(&mut machine, DRAFTS.clone(), NOW);
    machine
}

#[divan::bench(args = [false, true], sample_count = 10)]
fn new_alerts_with_event_recorder(bencher: Bencher<'_, '_>, records_events: bool) {
    bencher
        .counter(ItemsCount::new(ALERTS))
        .with_inputs(|| (machine(records_events), DRAFTS.clone()))
        .bench_local_values(|(mut machine, batches)| {
            post(&mut machine, batches, NOW);
            machine
        });
}

#[divan::bench(args = [false, true], sample_count = 10)]
fn repeated_alerts_with_event_recorder(bencher: Bencher<'_, '_>, records_events: bool) {
    let mut machine = filled(records_events);
    let mut now = NOW;
    bencher
        .counter(ItemsCount::new(ALERTS))
        .with_inputs(|| DRAFTS.clone())
        .bench_local_values(|batches| {
            now = now + Duration::from_millis(1);
            post(&mut machine, batches, now)
        });
}

/// The first flush of every group, up to the orders to tell.
#[divan::bench(args = [false, true], sample_count = 10)]
fn flushes_with_event_recorder(bencher: Bencher<'_, '_>, records_events: bool) {
    let now = NOW + Duration::from_secs(30);
    bencher
        .counter(ItemsCount::new(ALERTS))
        .with_inputs(|| filled(records_events))
        .bench_local_values(|mut machine| {
            while machine.poll_timeout().is_some_and(|due| due <= now) {
                machine.handle_timeout(now);
                drain(&mut machine);
            }
            machine
        });
}

/// `POST /api/v2/silences` beside 100,000 alerts, of which it mutes a thousand.
#[divan::bench(args = [("=", "InstanceDown7"), ("=~", "Instance(Down|Up)7"), ("=~", ".*Down7")], sample_count = 20)]
fn silence_beside_alerts(bencher: Bencher<'_, '_>, (op, value): (&str, &str)) {
    let op = if op == "=" {
        MatchOp::Equal
    } else {
        MatchOp::Regex
    };
    let mut machine = filled(false);
    let mut number = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        number += 1;
        let draft = SilenceDraft {
            id: None,
            matcher_sets: vec![vec![MatcherDraft {
                op,
                name: "alertname".to_owned(),
                value: value.to_owned(),
            }]],
            starts_at: NOW,
            ends_at: NOW + Duration::from_secs(3600),
            created_by: "ops".to_owned(),
            comment: "maintenance".to_owned(),
            annotations: Labels::default(),
        };
        let fresh = SilenceId::new(format!("silence-{number}"));
        let ticket = Ticket(0);
        machine.handle(
            Input::SilenceSet {
                ticket,
                draft,
                fresh,
            },
            NOW,
        );
        drain(&mut machine)
    });
}
