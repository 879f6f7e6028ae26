//! The life of alerts, held against Debian's Prometheus: the same rules, the same samples by remote write to both, over a
//! script with `for`, `keep_firing_for`, ends, a gap and reloads. `ALERTS`, the list of rules, and what an Alertmanager is
//! told must be the same; their slots differ, so each may be an interval or two behind the other.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fakes::{Fakes, SentSample, write_request};
use model::{Timestamp, stale_nan};
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::client::remote_write;
use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::wait::wait_for;
use crate::watchbell::{STARTING, Watchbell};

/// `FOR` and `SUMMARY` are changed by a reload, and the last rule comes with it.
const RULES: &str = "groups:
- name: states
  interval: 1s
  rules:
  - record: job:load:sum
    expr: sum by (job) (load)
  - alert: High
    expr: load > 10
    for: FOR
    labels: {severity: '{{ if gt $value 20.0 }}page{{ else }}ticket{{ end }}'}
    annotations: {summary: 'SUMMARY {{ $labels.instance }} at {{ $value }}'}
  - alert: Now
    expr: load > 20
  - alert: Kept
    expr: load > 10
    keep_firing_for: 4s
  - alert: Chain
    expr: job:load:sum > 30
  - alert: Gone
    expr: absent(load{instance=\"b\"})
    labels: {instance: ''}
  - alert: Several
    expr: count(ALERTS{alertname=\"Now\", alertstate=\"firing\"}) > 1
  - alert: Twice
    expr: load > 40 or label_replace(load > 40, \"x\", \"y\", \"\", \"\")
    labels: {x: ''}
  - alert: Never
    expr: load > 1000
";

const ADDED: &str = "  - alert: Added
    expr: load > 10
";

/// For so many seconds `load` of `a` and `b` is so much; `None` ends the series.
const SCRIPT: [(u64, Option<f64>, Option<f64>); 9] = [
    (4, Some(5.0), Some(5.0)),
    (8, Some(15.0), Some(5.0)),
    (8, Some(25.0), Some(25.0)),
    (8, Some(5.0), None),
    // Too short for `for`.
    (3, Some(15.0), None),
    (7, Some(5.0), Some(5.0)),
    // From here on after a reload.
    (6, Some(15.0), Some(15.0)),
    (5, Some(45.0), Some(5.0)),
    (8, Some(5.0), Some(5.0)),
];
const RELOAD_BEFORE: usize = 6;

fn rules(before: bool) -> String {
    let (held, summary) = if before {
        ("4s", "load of")
    } else {
        ("2s", "too high:")
    };
    let text = RULES.replace("FOR", held).replace("SUMMARY", summary);
    if before { text } else { text + ADDED }
}

/// Both programs, by the same API.
struct Side {
    name: &'static str,
    address: SocketAddr,
}

impl Side {
    async fn write(&self, samples: &[SentSample]) {
        let base = format!("http://{}", self.address);
        let request = remote_write(&reqwest::Client::new(), &base, write_request(samples));
        let answer = request.send().await;
        let status = answer.expect("it answers").status();
        assert!(status.is_success(), "{}: {status}", self.name);
    }

    async fn reload(&self) {
        let url = format!("http://{}/-/reload", self.address);
        let answer = reqwest::Client::new().post(url).send().await;
        let status = answer.expect("it answers").status();
        assert!(status.is_success(), "{}: {status}", self.name);
    }

    async fn get(&self, path: &str) -> Json {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await;
        let text = answer.expect("it answers").text().await.expect("with text");
        serde_json::from_str(&text).expect("and JSON")
    }

    /// The states that each alert went through, by its labels, with an end to each: `pending firing -`.
    async fn alerts_series(&self, from: Timestamp, until: Timestamp) -> BTreeMap<String, String> {
        let (from, until) = (from.as_secs_f64(), until.as_secs_f64());
        let path = format!("/api/v1/query_range?query=ALERTS&start={from}&end={until}&step=0.5");
        let answer = self.get(&path).await;
        let mut states: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
        for series in answer["data"]["result"].as_array().expect("a matrix") {
            let mut labels = series["metric"].as_object().expect("labels").clone();
            let state = labels.remove("alertstate").expect("a state");
            let of_alert = states.entry(Json::from(labels).to_string()).or_default();
            for value in series["values"].as_array().expect("values") {
                let half_seconds = (value[0].as_f64().expect("a time") * 2.0).round() as i64;
                let state = state.as_str().expect("text").to_owned();
                of_alert.insert(half_seconds, state);
            }
        }
        let story = |states: BTreeMap<i64, String>| {
            let mut words: Vec<String> = Vec::new();
            let mut before = None;
            for (at, state) in states {
                if before.is_some_and(|before| at - before > 1) {
                    words.push("-".to_owned());
                }
                if words.last() != Some(&state) {
                    words.push(state);
                }
                before = Some(at);
            }
            words.join(" ")
        };
        states
            .into_iter()
            .map(|(alert, states)| (alert, story(states)))
            .collect()
    }

    /// The list of rules without what differs from run to run.
    async fn rules(&self) -> Json {
        let mut answer = self.get("/api/v1/rules").await;
        let groups = answer.pointer_mut("/data/groups").expect("groups");
        let mut rules = groups[0]["rules"].take();
        for rule in rules.as_array_mut().expect("rules") {
            let rule = rule.as_object_mut().expect("a rule");
            rule.remove("evaluationTime");
            rule.remove("lastEvaluation");
            rule.entry("labels")
                .or_insert_with(|| serde_json::json!({}));
            let alerts = rule.get_mut("alerts").and_then(Json::as_array_mut);
            for alert in alerts.into_iter().flatten() {
                let alert = alert.as_object_mut().expect("an alert");
                alert.remove("activeAt");
                alert.remove("keepFiringSince");
            }
            if let Some(alerts) = rule.get_mut("alerts").and_then(Json::as_array_mut) {
                alerts.sort_by_key(Json::to_string);
            }
        }
        rules
    }
}

/// What a receiver heard of one alert: when it began, whether its end was told, and its last annotations.
type Heard = Vec<(f64, bool, String)>;

fn heard(fakes: &Fakes, whose: &str, now: Timestamp) -> BTreeMap<String, Heard> {
    let bodies = fakes.webhook.look(|receiver| receiver.bodies.clone());
    let path = format!("/webhook/{whose}/api/v2/alerts");
    let bodies = bodies.iter().filter(|(at, _)| *at == path);
    let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
    for alert in bodies.flat_map(|(_, body)| body.as_array().expect("alerts")) {
        let time = |name: &str| {
            let text = alert[name].as_str().expect("a time");
            Timestamp::parse_rfc3339(text).expect("a time")
        };
        let began = time("startsAt").as_secs_f64();
        let is_over = time("endsAt") <= now;
        let annotations = alert["annotations"].to_string();
        let lives = heard.entry(alert["labels"].to_string()).or_default();
        match lives.last_mut() {
            Some(life) if life.0 == began => *life = (began, is_over, annotations),
            Some(_) | None => lives.push((began, is_over, annotations)),
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_live_as_they_do_in_prometheus() {
    if program(PROGRAM).is_none() {
        return;
    }
    let fakes = Fakes::start().await;
    let settings = format!(
        "rule_files: [rules.yml]\nalertmanager: {{urls: ['{}']}}\n",
        fakes.webhook_url("ours")
    );
    let folder = folder(&[("watchbell.yml", &settings), ("rules.yml", &rules(true))]);
    let watchbell = Watchbell::start(folder.path()).await;
    let address = free_address();
    let webhook = fakes.webhook_url("");
    let host = webhook.trim_start_matches("http://");
    let (host, _) = host.split_once('/').expect("an address and a path");
    let theirs = format!(
        "rule_files: ['{}/rules.yml']\nalerting:\n  alertmanagers:\n  - path_prefix: /webhook/theirs\n    static_configs: [{{targets: ['{host}']}}]\n",
        folder.path().display()
    );
    let flags = [
        "--web.enable-remote-write-receiver",
        "--web.enable-lifecycle",
    ];
    let _prometheus =
        Prometheus::start_with(folder.path(), "prometheus", address, &theirs, &flags).await;
    let sides = [
        Side {
            name: "ours",
            address: watchbell.address,
        },
        Side {
            name: "theirs",
            address,
        },
    ];

    let clock = SystemClock::new();
    let begun = clock.now();
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let mut before = (None, None);
    for (number, (secs, a, b)) in SCRIPT.into_iter().enumerate() {
        if number == RELOAD_BEFORE {
            std::fs::write(folder.path().join("rules.yml"), rules(false))
                .expect("it can be written");
            for side in &sides {
                side.reload().await;
            }
        }
        for _ in 0..secs * 2 {
            ticks.tick().await;
            let at = clock.now().as_millis();
            let mut samples = Vec::new();
            for (instance, value, before) in [("a", a, before.0), ("b", b, before.1)] {
                let labels = [("instance", instance), ("job", "x")];
                let value = match (value, before) {
                    (Some(value), _) => value,
                    (None, Some(_)) => stale_nan(),
                    (None, None) => continue,
                };
                samples.push(SentSample::new("load", &labels, at, value));
            }
            before = (a, b);
            for side in &sides {
                side.write(&samples).await;
            }
        }
        // Before what is next happens both must have come to the same.
        let both = async || (sides[0].rules().await, sides[1].rules().await);
        let same = wait_for("the same list of rules", STARTING, async || {
            let (ours, theirs) = both().await;
            (ours == theirs).then_some(())
        });
        if tokio::time::timeout(Duration::from_secs(3), same)
            .await
            .is_err()
        {
            let (ours, theirs) = both().await;
            panic!("after {number}:\nours   {ours}\ntheirs {theirs}");
        }
    }
    let now = clock.now();
    let ours = sides[0].alerts_series(begun, now).await;
    assert_eq!(ours, sides[1].alerts_series(begun, now).await);
    assert!(ours.len() >= 10, "{ours:?}");
    let (ours, theirs) = (heard(&fakes, "ours", now), heard(&fakes, "theirs", now));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (labels, lives) in &ours {
        let other = &theirs[labels];
        assert_eq!(
            lives.len(),
            other.len(),
            "{labels}: {lives:?} and {other:?}"
        );
        for (life, other) in lives.iter().zip(other) {
            assert!(
                (life.0 - other.0).abs() < 2.5,
                "{labels}: {life:?} and {other:?}"
            );
            assert_eq!((life.1, &life.2), (other.1, &other.2), "{labels}");
        }
    }
    assert!(ours.len() >= 10, "{ours:?}");
    fakes.stop().await;
}
