//! The four schedules of Prometheus' compliance suite for alert generators, with the checks of its specification: `ALERTS`
//! in the store, the list of rules, the list of alerts and every message, on a clock of their own and with the engine,
//! the templates and the bodies of the real thing.
//!
//! Samples come every 15 s, the group is evaluated every 30 s. Stories count evaluations: `-4 P12 F19` is four without the
//! alert, twelve pending, nineteen firing; messages are `F16` or `r35` by the evaluation that sent them.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ingest::{Build, Engine, IngestSettings, QueryTimes};
use model::{AlertStatus, Labels, Machine, Sample, Timestamp, go_number};
use promql::{ParserOptions, Query};
use ruler_core::{
    Appended, Command, Destination, Evaluated, GroupKey, GroupView, Input, Message, OverLimit,
    Ruler, RulerOptions, SavedState, SendOutcome, instant_vector,
};
use runtime::{Clock, Metrics, Trouble};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{groups, team};
use crate::api::{alerts_of, rules_of};
use crate::embedded::Embedded;
use crate::evaluate::{Evaluation, evaluate};
use crate::external::{External, Outside};
use crate::metrics::RulerMetrics;

const STEP: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(30);
const RESEND_DELAY: Duration = Duration::from_secs(60);

#[derive(Default)]
struct VirtualClock(AtomicI64);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// `3 5 0x2` is 3, 5, 5, 5.
fn script(text: &str) -> Vec<f64> {
    let mut values: Vec<f64> = Vec::new();
    for word in text.split_whitespace() {
        match word.strip_prefix("0x") {
            Some(times) => {
                let last = *values.last().unwrap();
                values.extend(std::iter::repeat_n(last, times.parse().unwrap()));
            }
            None => values.push(word.parse().unwrap()),
        }
    }
    values
}

/// One alert as the specification wants it.
struct Wanted {
    rule: &'static str,
    /// Which series it is about; empty where it is about none.
    variant: &'static str,
    story: &'static str,
    messages: String,
    /// Of the message at a value.
    annotations: fn(f64) -> Value,
}

struct World {
    _folder: TempDir,
    clock: Arc<VirtualClock>,
    engine: Engine,
    evaluation: Evaluation,
    ruler: Ruler,
    sent: Vec<(Timestamp, Message)>,
}

impl World {
    fn new(now: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::default());
        clock.0.store(now.as_millis(), Ordering::Relaxed);
        let mut config = config::WatchbellConfig::default();
        config.storage.path = folder.path().to_owned();
        let metrics = Metrics::new();
        let settings = IngestSettings::new(&config, Build::default());
        let engine = Engine::open(settings, clock.clone(), &metrics).unwrap();
        let external = External::default();
        external.set(Outside {
            external_labels: Labels::from_pairs([("cluster", "eu")]),
            external_url: "http://watchbell.example/".into(),
            ..Outside::default()
        });
        let evaluation = Evaluation {
            tenant: team(),
            backend: Arc::new(Embedded::new(engine.clone(), Duration::from_secs(10))),
            external,
            metrics: RulerMetrics::new(&metrics),
            expanding: Arc::new(Trouble::new()),
        };
        let options = RulerOptions {
            resend_delay: RESEND_DELAY,
            outage_tolerance: Duration::from_secs(3600),
            group_concurrency_max: 4,
            over_limit: OverLimit::DropAll,
        };
        let mut ruler = Ruler::new(team(), options, SavedState::default());
        let destination = Destination("http://am".into());
        ruler.handle(Input::DestinationsChanged(vec![destination]), now);
        Self {
            _folder: folder,
            clock,
            engine,
            evaluation,
            ruler,
            sent: Vec::new(),
        }
    }

    async fn settle(&mut self, now: Timestamp) {
        while let Some(command) = self.ruler.poll_command() {
            let input = match command {
                Command::Persist(_) => continue,
                Command::Evaluate(order) => {
                    let (evaluation, ticket) = (self.evaluation.clone(), order.ticket.clone());
                    let runtime = Handle::current();
                    let running = tokio::task::spawn_blocking(move || {
                        evaluate(&evaluation, &order, None, &runtime)
                    });
                    let (outcome, cost) = running.await.unwrap();
                    Input::Evaluated(Evaluated {
                        ticket,
                        outcome,
                        took: Duration::from_millis(1),
                        cost,
                    })
                }
                Command::Append(order) => {
                    let backend = &self.evaluation.backend;
                    let outcome = backend.append(&team(), &order.batch).await;
                    let Some(ticket) = order.ticket else { continue };
                    Input::Appended(Appended {
                        ticket,
                        outcome,
                        took: Duration::from_millis(1),
                    })
                }
                Command::Send {
                    destination,
                    messages,
                } => {
                    let messages = messages.into_iter().map(|message| (now, message));
                    self.sent.extend(messages);
                    Input::Sent {
                        destination,
                        outcome: SendOutcome::Delivered,
                    }
                }
            };
            self.ruler.handle(input, now);
        }
        while self.ruler.poll_event().is_some() {}
    }

    /// `ALERTS` at a time: labels without its name, and the state.
    fn alerts_series(&self, at: Timestamp) -> BTreeMap<String, String> {
        let query = Query::compile("ALERTS", &ParserOptions::default()).unwrap();
        let times = QueryTimes::Instant(at);
        let answer = self
            .engine
            .run_blocking(&team(), &query, times, None, &|| false)
            .unwrap();
        let vector = instant_vector(answer.value).unwrap().into_iter();
        vector
            .map(|sample| {
                assert_eq!(sample.value.as_float(), Some(1.0));
                let state = sample.labels.value("alertstate").to_owned();
                let rest = sample
                    .labels
                    .filtered(|name| name != "alertstate" && name != "__name__");
                (rest.to_string(), state)
            })
            .collect()
    }

    fn view(&self) -> Arc<GroupView> {
        let key = GroupKey::new("rules.yml", "compliance");
        Arc::new(self.ruler.view(&key).unwrap())
    }
}

fn letters(story: &str) -> Vec<char> {
    let runs = story.split(' ').flat_map(|run| {
        let (letter, count) = run.split_at(1);
        std::iter::repeat_n(letter.chars().next().unwrap(), count.parse().unwrap())
    });
    runs.collect()
}

fn as_json(labels: &Labels) -> Value {
    let pairs = labels.iter();
    Value::Object(
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    )
}

/// Runs the schedule and holds everything against the stories. `rules` are what stands below `rules:`.
async fn check(rules: &str, series: &[(&str, &str)], wanted: &[Wanted]) {
    let before = Timestamp::from_secs(1_700_000_000);
    let mut world = World::new(before);
    let text = format!(
        "groups:\n- name: compliance\n  interval: 30s\n  labels: {{suite: compliance}}\n  rules:\n{rules}"
    );
    let loaded = groups(&text);
    let group = loaded[0].clone();
    world.ruler.handle(Input::RulesLoaded(loaded), before);
    world.settle(before).await;
    let start = world.ruler.poll_timeout().unwrap();
    let series: Vec<(&str, Vec<f64>)> = series
        .iter()
        .map(|(name, text)| (*name, script(text)))
        .collect();
    let evaluations = letters(wanted[0].story).len();
    // For each wanted alert since when it is active and since when it fires.
    let mut since = vec![(start, start); wanted.len()];
    for number in 0..evaluations * 2 {
        let now = start + STEP * u32::try_from(number).unwrap();
        world.clock.0.store(now.as_millis(), Ordering::Relaxed);
        let samples: Vec<(Labels, Sample)> = series
            .iter()
            .filter_map(|(name, values)| {
                let labels = [
                    ("__name__", "requests"),
                    ("instance", "web:80"),
                    ("variant", name),
                ];
                let sample = Sample {
                    timestamp: now,
                    value: *values.get(number)?,
                };
                Some((Labels::from_pairs(labels), sample))
            })
            .collect();
        world.engine.append(&team(), &samples).await.unwrap();
        while world.ruler.poll_timeout().is_some_and(|at| at <= now) {
            world.ruler.handle_timeout(now);
            world.settle(now).await;
        }
        let evaluation = number / 2;
        let evaluated_at = start + INTERVAL * u32::try_from(evaluation).unwrap();
        let value = |variant: &str| {
            let found = series.iter().find(|(name, _)| *name == variant);
            found.map_or(2.0, |(_, values)| values[evaluation * 2])
        };
        let mut alive: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut in_store = BTreeMap::new();
        for (wanted, since) in wanted.iter().zip(&mut since) {
            let states = letters(wanted.story);
            let earlier = evaluation
                .checked_sub(1)
                .map_or('-', |before| states[before]);
            let state = states[evaluation];
            if number % 2 == 0 && matches!(state, 'P' | 'F') && matches!(earlier, '-' | 'r') {
                since.0 = now;
            }
            if number % 2 == 0 && state == 'F' && earlier != 'F' {
                since.1 = now;
            }
            let name = match state {
                'P' => "pending",
                'F' => "firing",
                _ => continue,
            };
            let rule = group
                .rules
                .iter()
                .find(|rule| *rule.key.name == *wanted.rule);
            let mut labels: BTreeMap<String, String> = rule
                .unwrap()
                .key
                .labels
                .iter()
                .map(|(name, text)| {
                    (
                        name.to_owned(),
                        text.replace("{{ $labels.variant }}", wanted.variant),
                    )
                })
                .collect();
            labels.insert("alertname".to_owned(), wanted.rule.to_owned());
            if !wanted.variant.is_empty() {
                labels.insert("variant".to_owned(), wanted.variant.to_owned());
                labels.insert("instance".to_owned(), "web:80".to_owned());
            }
            let labels = Labels::from_pairs(labels);
            in_store.insert(labels.to_string(), name.to_owned());
            let value = value(wanted.variant);
            alive
                .entry(wanted.rule.to_owned())
                .or_default()
                .push(json!({
                    "labels": as_json(&labels),
                    "annotations": (wanted.annotations)(value),
                    "state": name,
                    "activeAt": since.0.to_rfc3339_nano(),
                    "value": go_number::format_e(value),
                }));
        }
        assert_eq!(world.alerts_series(now), in_store, "at {number}");
        let views = [world.view()];
        let rules: Vec<Value> = group
            .rules
            .iter()
            .map(|rule| {
                let alerts = alive.get(&*rule.key.name).cloned().unwrap_or_default();
                let gravest = |state| alerts.iter().any(|alert| alert["state"] == state);
                let state = match (gravest("firing"), gravest("pending")) {
                    (true, _) => "firing",
                    (false, true) => "pending",
                    (false, false) => "inactive",
                };
                json!({
                    "state": state,
                    "name": &*rule.key.name,
                    "query": &*rule.expression,
                    "duration": rule.alert_timing().hold_duration.as_secs(),
                    "keepFiringFor": 0,
                    "labels": as_json(&rule.key.labels),
                    "annotations": as_json(match &rule.kind {
                        ruler_core::RuleKind::Alerting { annotations, .. } => annotations,
                        ruler_core::RuleKind::Recording => unreachable!(),
                    }),
                    "alerts": alerts,
                    "health": "ok",
                    "evaluationTime": 0.001,
                    "lastEvaluation": evaluated_at.to_rfc3339_nano(),
                    "type": "alerting",
                })
            })
            .collect();
        let told = serde_json::to_value(rules_of(&views)).unwrap();
        assert_eq!(told["groups"][0]["rules"], json!(rules), "at {number}");
        assert_eq!(told["groups"][0]["interval"], 30);
        assert_eq!(
            told["groups"][0]["lastEvaluation"],
            evaluated_at.to_rfc3339_nano()
        );
        let in_order = group.rules.iter();
        let all: Vec<Value> = in_order
            .filter_map(|rule| alive.get(&*rule.key.name).cloned())
            .flatten()
            .collect();
        let told = serde_json::to_value(alerts_of(&views)).unwrap();
        assert_eq!(told, json!({ "alerts": all }), "at {number}");
        check_messages(&world, wanted, &since, &series, (start, now, evaluation));
    }
    for wanted in wanted {
        let told: Vec<String> = world
            .sent
            .iter()
            .filter(|(_, message)| is_about(message, wanted))
            .map(|(at, message)| {
                let number = at.saturating_since(start).as_secs() / 30;
                match message.alert.status {
                    AlertStatus::Firing => format!("F{number}"),
                    AlertStatus::Resolved => format!("r{number}"),
                }
            })
            .collect();
        assert_eq!(
            told.join(" "),
            wanted.messages,
            "{} {}",
            wanted.rule,
            wanted.variant
        );
    }
    let about = |message: &Message| wanted.iter().any(|wanted| is_about(message, wanted));
    assert!(world.sent.iter().all(|(_, message)| about(message)));
}

fn is_about(message: &Message, wanted: &Wanted) -> bool {
    let labels = &message.alert.labels;
    labels.value("alertname") == wanted.rule && labels.value("variant") == wanted.variant
}

/// Those that were sent at `now`: start, end and annotations.
fn check_messages(
    world: &World,
    wanted: &[Wanted],
    since: &[(Timestamp, Timestamp)],
    series: &[(&str, Vec<f64>)],
    (start, now, evaluation): (Timestamp, Timestamp, usize),
) {
    for (wanted, (_, fired_at)) in wanted.iter().zip(since) {
        let states = letters(wanted.story);
        let sent = world.sent.iter().filter(|(at, _)| *at == now);
        for (_, message) in sent.filter(|(_, message)| is_about(message, wanted)) {
            let alert = &message.alert;
            assert_eq!(alert.starts_at, *fired_at, "it starts when it fired");
            match alert.status {
                AlertStatus::Firing => {
                    assert_eq!(states[evaluation], 'F');
                    assert_eq!(alert.ends_at, now + RESEND_DELAY.max(INTERVAL) * 4);
                    let value = series
                        .iter()
                        .find(|(name, _)| *name == wanted.variant)
                        .map_or(2.0, |(_, values)| values[evaluation * 2]);
                    assert_eq!(as_json(&alert.annotations), (wanted.annotations)(value));
                }
                AlertStatus::Resolved => {
                    assert_eq!(states[evaluation], 'r');
                    let ended = states[..=evaluation]
                        .iter()
                        .rposition(|state| *state == 'F');
                    let ended = u32::try_from(ended.unwrap() + 1).unwrap();
                    assert_eq!(alert.ends_at, start + INTERVAL * ended);
                    assert!(now <= alert.ends_at + Duration::from_secs(15 * 60));
                }
            }
        }
    }
}

/// Told every third evaluation, the first that is more than the resend delay after the one before.
fn told(letter: char, from: usize, until: usize) -> String {
    let words: Vec<String> = (from..=until)
        .step_by(3)
        .map(|number| format!("{letter}{number}"))
        .collect();
    words.join(" ")
}

fn simple(value: f64) -> Value {
    json!({ "description": "it fires", "summary": format!("The value is {value}") })
}

fn none(_: f64) -> Value {
    json!({})
}

const SIMPLE: &str =
    "    annotations: {description: 'it fires', summary: 'The value is {{ $value }}'}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_and_firing_and_resolved() {
    let rules = format!(
        "  - alert: Rule\n    expr: requests > 10\n    for: 6m\n    labels: {{foo: bar, of: 'v {{{{ $labels.variant }}}}'}}\n{SIMPLE}"
    );
    let messages = [
        told('F', 16, 34),
        told('r', 35, 44),
        told('F', 57, 66),
        told('r', 67, 73),
    ];
    check(
        &rules,
        &[(
            "one",
            "3 5 0x2 9 0x3 11 0x12 15 0x11 0x20 19 0x15 9 0x19 15 0x24 0x20 8 0x15",
        )],
        &[Wanted {
            rule: "Rule",
            variant: "one",
            story: "-4 P12 F19 r10 P12 F10 r8",
            messages: messages.join(" "),
            annotations: simple,
        }],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_and_resolved_and_always_inactive() {
    let rules = format!(
        "  - alert: Pending\n    expr: requests > 10\n    for: 3m\n{SIMPLE}  - alert: Inactive\n    expr: requests > 99\n    for: 3m\n{SIMPLE}"
    );
    let wanted = |rule, story| Wanted {
        rule,
        variant: "one",
        story,
        messages: String::new(),
        annotations: simple,
    };
    check(
        &rules,
        &[("one", "3 5 0x2 9 0x3 11 0x10 9 0x40")],
        &[wanted("Pending", "-4 P6 -20"), wanted("Inactive", "-30")],
    )
    .await;
}

/// Every kind of thing that the suite's templates use.
const TEMPLATED: &str = r#"    annotations:
      all: '{{ define "x" }}{{ .arg0 }}={{ .arg1 }}{{ end }}{{ template "x" (args "a" 5) }} {{ range $i, $s := query "requests" | sortByLabel "variant" }}{{ $i }}:{{ $s.Labels.variant }}={{ $s.Value }}{{ end }} {{ with query "requests" }}{{ . | first | value }}{{ end }} {{ humanize 1234.567 }} {{ humanize1024 2048 }} {{ humanizeDuration 90061 }} {{ humanizePercentage 0.1234 }} {{ humanizeTimestamp 1435065584.128 }} {{ title "a bc" }} {{ toUpper "x" }}{{ toLower "Y" }} {{ match "^w.*" $labels.instance }} {{ reReplaceAll "(w)eb" "$1" "web" }} {{ stripPort $labels.instance }} {{ parseDuration "1h30m" }} {{ if and (gt $value 10.0) (lt $value 99.0) }}in{{ else }}out{{ end }} {{ printf "%.1f" $value }} {{ $externalLabels.cluster }} {{ $externalURL }} {{ externalURL }}{{ pathPrefix }} {{ graphLink "up" }} {{ tableLink "up" }} {{ safeHtml "<b>" }}'
"#;

fn templated(value: f64) -> Value {
    json!({ "all": format!(
        "a=5 0:one={value} {value} 1.235k 2ki 1d 1h 1m 1s 12.34% 2015-06-23 13:19:44.128 +0000 UTC A Bc Xy true w web 5400 in {value:.1} eu http://watchbell.example http://watchbell.example /graph?g0.expr=up&g0.tab=0 /graph?g0.expr=up&g0.tab=1 <b>"
    ) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_for_and_small_for() {
    let rules = format!(
        "  - alert: ZeroFor\n    expr: requests > 10\n{TEMPLATED}  - alert: SmallFor\n    expr: requests > 10\n    for: 15s\n{TEMPLATED}"
    );
    let wanted = |rule, story, parts: [String; 4]| Wanted {
        rule,
        variant: "one",
        story,
        messages: parts.join(" "),
        annotations: templated,
    };
    check(
        &rules,
        &[("one", "3 5 0x2 9 0x3 15 0x12 9 0x71 11 0x12 9 0x20")],
        &[
            wanted(
                "ZeroFor",
                "-4 F7 r31 -5 F6 r11",
                [
                    told('F', 4, 10),
                    told('r', 11, 41),
                    told('F', 47, 52),
                    told('r', 53, 63),
                ],
            ),
            wanted(
                "SmallFor",
                "-4 P1 F6 r31 -5 P1 F5 r11",
                [
                    told('F', 5, 10),
                    told('r', 11, 41),
                    told('F', 48, 52),
                    told('r', 53, 63),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_alerts_and_the_order_of_rules() {
    let rules = format!(
        "  - alert: Rule1\n    expr: requests > 10\n    for: 3m\n{SIMPLE}  - alert: Rule2\n    expr: sum(ALERTS{{alertname=\"Rule1\", alertstate=\"firing\", variant=\"one\"}} or ALERTS{{alertname=\"Rule1\", alertstate=\"firing\", variant=\"two\"}}) == 2\n"
    );
    let wanted = |rule, variant, story, parts: [String; 2], annotations| Wanted {
        rule,
        variant,
        story,
        messages: parts.join(" "),
        annotations,
    };
    check(
        &rules,
        &[
            ("one", "1 0x7 11 0x64 9 0x20"),
            ("two", "1 0x31 11 0x32 9 0x20 0x8"),
        ],
        &[
            wanted(
                "Rule1",
                "one",
                "-4 P6 F27 r10",
                [told('F', 10, 36), told('r', 37, 46)],
                simple,
            ),
            wanted(
                "Rule1",
                "two",
                "-16 P6 F11 r14",
                [told('F', 22, 32), told('r', 33, 46)],
                simple,
            ),
            // In the very evaluation in which the second alert fires, the later rule sees both.
            wanted(
                "Rule2",
                "",
                "-22 F11 r14",
                [told('F', 22, 32), told('r', 33, 46)],
                none,
            ),
        ],
    )
    .await;
}
