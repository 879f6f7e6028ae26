//! The same script of alerts, ends and silences for Debian's Alertmanager and for Watchbell: every notification is
//! compared, in its order, with its text and its time. Where Watchbell differs on purpose the scenario says how, and
//! `docs/differences-from-alertmanager.md` says why.
//!
//! All scenarios run at once, each below a route of its own, in two processes beside each other. Groups wait for two
//! seconds and are flushed every four (2, 6, 10 and 14 seconds after the start), and things happen between flushes, so
//! that a machine which is late by less than two seconds changes nothing.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use fakes::Fakes;
use model::Timestamp;
use runtime::{Clock, SystemClock};
use serde_json::{Value as Json, json};

use crate::alertmanager::{self, Alertmanager, DEBIANS};
use crate::client::plain_client;
use crate::files::folder;
use crate::process::program;
use crate::scenarios::{Outcome, SCENARIOS, Scenario};

/// Where both machines are said to be: nine hours east, all year round.
const ZONE: &str = "Asia/Tokyo";
const ZONE_HOURS: i64 = 9;
/// The last flush of interest comes 14 seconds after the start.
const PLAYING: Duration = Duration::from_millis(16_500);
/// How far apart the two may tell the same thing.
const APART_MAX: Duration = Duration::from_millis(1900);

#[tokio::test(flavor = "multi_thread")]
async fn debians_alertmanager_and_watchbell_tell_the_same() {
    let Some(program) = program(DEBIANS) else {
        return;
    };
    let (their_fakes, our_fakes) = (Fakes::start().await, Fakes::start().await);
    let theirs = folder(&[("alertmanager.yml", &configuration(&their_fakes))]);
    let ours = folder(&[("alertmanager.yml", &configuration(&our_fakes))]);
    let start = async |mut command: Command, folder: &tempfile::TempDir| {
        Alertmanager::start_in(folder.path(), command.env("TZ", ZONE), &[]).await
    };
    let upstream = start(Command::new(program), &theirs).await;
    let watchbell = start(alertmanager::ours(), &ours).await;

    // One for all, made before: each reads the system's certificates.
    let client = plain_client();
    let begun = SystemClock::new().now();
    let plays: Vec<_> = SCENARIOS
        .iter()
        .flat_map(|scenario| {
            [upstream.base.clone(), watchbell.base.clone()]
                .map(|base| tokio::spawn(play(client.clone(), base, scenario, begun)))
        })
        .collect();
    for played in plays {
        played.await.expect("a script is played to its end");
    }
    at(begun, PLAYING).await;

    let theirs = heard(&their_fakes, begun);
    let ours = heard(&our_fakes, begun);
    let mut report = String::new();
    for scenario in SCENARIOS {
        report_on(scenario, &theirs, &ours, &mut report);
    }
    assert!(report.is_empty(), "{report}");
}

/// Everything that both must be configured with.
fn configuration(fakes: &Fakes) -> String {
    let mut routes = String::new();
    let mut inhibitions = String::new();
    let mut receivers = String::new();
    for scenario in SCENARIOS {
        let name = scenario.name;
        let mut keys = vec![format!("matchers: ['scenario=\"{name}\"']")];
        if !scenario.route.contains("receiver:") {
            keys.push(format!("receiver: {name}"));
        }
        if !scenario.route.is_empty() {
            keys.push(scenario.route.replace('@', name));
        }
        // What goes on behind the scenario's own route, where that says `continue`.
        writeln!(routes, "  - {{{}}}", keys.join(", ")).expect("a string takes everything");
        for more in scenario.more_routes {
            writeln!(
                routes,
                "  - {{matchers: ['scenario=\"{name}\"'], {}}}",
                more.replace('@', name)
            )
            .expect("a string takes everything");
        }
        for rule in scenario.inhibit_rules {
            writeln!(inhibitions, "- {{{}}}", rule.replace('@', name))
                .expect("a string takes everything");
        }
        for receiver in [""].iter().chain(scenario.more_receivers) {
            let receiver = format!("{name}{receiver}");
            let url = fakes.webhook_url(&receiver);
            let count = scenario.integrations.max(1);
            let hook = if scenario.webhook.is_empty() {
                format!("{{url: '{url}'}}")
            } else {
                format!("{{url: '{url}', {}}}", scenario.webhook)
            };
            writeln!(
                receivers,
                "- {{name: {receiver}, webhook_configs: [{}]}}",
                vec![hook; count].join(", ")
            )
            .expect("a string takes everything");
        }
    }
    format!(
        "route:\n  receiver: nobody\n  group_by: [alertname]\n  group_wait: 2s\n  group_interval: 4s\n  \
         repeat_interval: 1h\n  routes:\n{routes}\
         inhibit_rules:\n{inhibitions}\
         time_intervals:\n\
         - {{name: always, time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]}}\n\
         - {{name: never, time_intervals: [{{years: ['1999']}}]}}\n\
         - {{name: local, time_intervals: [{{location: Local, times: [{}]}}]}}\n\
         receivers:\n- {{name: nobody}}\n{receivers}",
        local_hours(),
    )
}

/// The hours around this one where [`ZONE`] is: in UTC they are others.
fn local_hours() -> String {
    let seconds = SystemClock::new().now().as_millis() / 1000;
    let hour = (seconds / 3600 + ZONE_HOURS).rem_euclid(24);
    let (start, end) = ((hour - 1).max(0), (hour + 2).min(24));
    format!("{{start_time: '{start:02}:00', end_time: '{end:02}:00'}}")
}

/// One of the two, with the same arguments.
/// Does what the script says, each at its time.
async fn play(
    client: reqwest::Client,
    base: String,
    scenario: &'static Scenario,
    begun: Timestamp,
) {
    let mut silences = BTreeMap::new();
    for (seconds, step) in scenario.steps {
        at(begun, Duration::from_secs_f64(*seconds)).await;
        let (verb, rest) = step.split_once(": ").unwrap_or((step, ""));
        let mut words = verb.split(' ');
        match (words.next().unwrap_or_default(), words.next()) {
            ("fire", None) => post(&client, &base, &alerts(scenario, rest, json!({}))).await,
            ("fire", Some(until)) => {
                let secs: u64 = until.parse().expect("seconds until the end");
                let ends_at = SystemClock::new().now() + Duration::from_secs(secs);
                let times = json!({"endsAt": ends_at.to_rfc3339_millis()});
                post(&client, &base, &alerts(scenario, rest, times)).await;
            }
            ("old", None) => {
                let hour = Duration::from_secs(3600);
                let starts_at = SystemClock::new().now() - hour;
                let times = json!({"startsAt": starts_at.to_rfc3339_millis()});
                post(&client, &base, &alerts(scenario, rest, times)).await;
            }
            ("resolve", None) => {
                let times = json!({"endsAt": SystemClock::new().now().to_rfc3339_millis()});
                post(&client, &base, &alerts(scenario, rest, times)).await;
            }
            ("silence", Some(name)) => {
                let id = silence(&client, &base, scenario, rest).await;
                silences.insert(name.to_owned(), id);
            }
            ("expire", Some(name)) => {
                let url = format!("{base}/api/v2/silence/{}", silences[name]);
                let answer = client.delete(url).send().await.expect("it answers");
                assert!(answer.status().is_success(), "{}: {step}", scenario.name);
            }
            _ => panic!("{}: nobody knows how to {step:?}", scenario.name),
        }
    }
}

/// Alerts are separated by `;`; of each, words with `@` are annotations and the others labels.
fn alerts(scenario: &Scenario, text: &str, times: Json) -> Json {
    let alerts = text.split(';').map(|alert| {
        let mut labels = json!({"alertname": "A", "scenario": scenario.name});
        let mut annotations = json!({});
        for word in alert.split_whitespace() {
            let (name, value) = word.split_once('=').expect("name=value");
            match name.strip_prefix('@') {
                Some(name) => annotations[name] = json!(value),
                None => labels[name] = json!(value),
            }
        }
        let mut alert = times.clone();
        alert["labels"] = labels;
        alert["annotations"] = annotations;
        alert["generatorURL"] = json!("http://prometheus.example/graph?g0.expr=up");
        alert
    });
    Json::Array(alerts.collect())
}

async fn post(client: &reqwest::Client, base: &str, alerts: &Json) {
    let answer = client
        .post(format!("{base}/api/v2/alerts"))
        .header("content-type", "application/json")
        .body(alerts.to_string())
        .send()
        .await
        .expect("it answers");
    assert!(
        answer.status().is_success(),
        "{}: {alerts}",
        answer.status()
    );
}

/// `instance=a instance=~a.*`, for an hour.
async fn silence(
    client: &reqwest::Client,
    base: &str,
    scenario: &Scenario,
    matchers: &str,
) -> String {
    let mut list = vec![json!({
        "name": "scenario", "value": scenario.name, "isRegex": false, "isEqual": true
    })];
    for word in matchers.split_whitespace() {
        let (name, value) = word.split_once('=').expect("name=value");
        let (value, is_regex) = match value.strip_prefix('~') {
            Some(value) => (value, true),
            None => (value, false),
        };
        list.push(json!({"name": name, "value": value, "isRegex": is_regex, "isEqual": true}));
    }
    let now = SystemClock::new().now();
    let body = json!({
        "matchers": list,
        "startsAt": now.to_rfc3339_millis(),
        "endsAt": (now + Duration::from_secs(3600)).to_rfc3339_millis(),
        "createdBy": "test",
        "comment": "test",
    });
    let answer = client
        .post(format!("{base}/api/v2/silences"))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .expect("it answers");
    let text = answer.text().await.expect("an answer in text");
    let answer: Json = serde_json::from_str(&text).expect("an answer in JSON");
    answer["silenceID"].as_str().expect("an id").to_owned()
}

/// Returns when `after` has passed since `begun`.
async fn at(begun: Timestamp, after: Duration) {
    let left = (begun + after).saturating_since(SystemClock::new().now());
    // Real programs run on real time.
    let mut due = tokio::time::interval_at(
        tokio::time::Instant::now() + left,
        after.max(left) + PLAYING,
    );
    due.tick().await;
}

/// One notification, without what rightly differs.
#[derive(Clone, Debug)]
struct Heard {
    after: Duration,
    body: Json,
}

/// By receiver; of one group in the order of arrival, and groups that are told at one flush in the order of their keys.
fn heard(fakes: &Fakes, begun: Timestamp) -> ByReceiver {
    let mut by_receiver = ByReceiver::new();
    for request in fakes.webhook.requests() {
        let mut body = request.request.json().expect("a body in JSON");
        let receiver = body["receiver"].as_str().unwrap_or_default().to_owned();
        let fields = body.as_object_mut().expect("an object");
        // Its own address, and what only newer releases say.
        fields.remove("externalURL");
        fields.remove("notification_reason");
        fields.remove("routeLabels");
        for alert in body["alerts"].as_array_mut().expect("a list of alerts") {
            // Both know the times of their own clocks: what counts is whether there is an end.
            let ended = alert["endsAt"] != "0001-01-01T00:00:00Z";
            alert["endsAt"] = json!(ended);
            alert["startsAt"] = json!("");
        }
        by_receiver.entry(receiver).or_default().push(Heard {
            after: request.arrived_at.saturating_since(begun),
            body,
        });
    }
    for heard in by_receiver.values_mut() {
        heard.sort_by_key(|heard| (heard.flush(), heard.body["groupKey"].to_string()));
    }
    by_receiver
}

type ByReceiver = BTreeMap<String, Vec<Heard>>;

fn report_on(scenario: &Scenario, theirs: &ByReceiver, ours: &ByReceiver, report: &mut String) {
    let nothing = Vec::new();
    let mut different = Vec::new();
    let (mut their_lines, mut our_lines) = (Vec::new(), Vec::new());
    for suffix in [""].iter().chain(scenario.more_receivers) {
        let receiver = format!("{}{suffix}", scenario.name);
        let theirs = theirs.get(&receiver).unwrap_or(&nothing);
        let ours = ours.get(&receiver).unwrap_or(&nothing);
        their_lines.extend(theirs.iter().map(|heard| heard.line(suffix)));
        our_lines.extend(ours.iter().map(|heard| heard.line(suffix)));
        if theirs.len() != ours.len() {
            different.push(format!("{} and {} notifications", theirs.len(), ours.len()));
        }
        for (their, our) in theirs.iter().zip(ours) {
            compare("", &their.body, &our.body, &mut different);
            if their.after.abs_diff(our.after) > APART_MAX {
                different.push(format!("at {:?} and {:?}", their.after, our.after));
            }
        }
    }
    let wrong = match scenario.outcome {
        Outcome::Same => !different.is_empty(),
        Outcome::Told(_) if different.is_empty() => {
            different.push("both tell the same, and are said to differ".to_owned());
            true
        }
        Outcome::Told(expected) => our_lines != expected,
    };
    if wrong {
        writeln!(
            report,
            "{}\n  theirs {their_lines:?}\n  ours   {our_lines:?}\n  {}",
            scenario.name,
            different.join("\n  ")
        )
        .expect("a string takes everything");
    }
}

/// The places in which two bodies differ.
fn compare(path: &str, theirs: &Json, ours: &Json, different: &mut Vec<String>) {
    match (theirs, ours) {
        (Json::Object(theirs), Json::Object(ours)) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let value = |object: &serde_json::Map<String, Json>| {
                    object.get(key).cloned().unwrap_or(Json::Null)
                };
                compare(
                    &format!("{path}.{key}"),
                    &value(theirs),
                    &value(ours),
                    different,
                );
            }
        }
        (Json::Array(theirs), Json::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                compare(&format!("{path}[{index}]"), theirs, ours, different);
            }
        }
        (theirs, ours) if theirs != ours => different.push(format!("{path}: {theirs} and {ours}")),
        _ => {}
    }
}

impl Heard {
    /// Flushes come at even seconds, and late ones count for the one before.
    fn flush(&self) -> u64 {
        self.after.as_secs() / 2 * 2
    }

    /// `2 firing +a -b`: when, and the alerts by their instance.
    fn line(&self, suffix: &str) -> String {
        let alerts = self.body["alerts"].as_array().expect("a list of alerts");
        let alerts: Vec<String> = alerts
            .iter()
            .map(|alert| {
                let sign = if alert["status"] == "firing" {
                    '+'
                } else {
                    '-'
                };
                let instance = alert["labels"]["instance"].as_str().unwrap_or("?");
                format!("{sign}{instance}")
            })
            .collect();
        let status = self.body["status"].as_str().unwrap_or("?");
        let receiver = if suffix.is_empty() { "" } else { " " };
        format!(
            "{suffix}{receiver}{} {status} {}",
            self.flush(),
            alerts.join(" ")
        )
    }
}
