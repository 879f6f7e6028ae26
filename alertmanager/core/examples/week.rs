//! A week of one tenant with 1,000 alerts: senders repeat every firing alert each minute, half of the alerts come and go,
//! people silence, receivers fail, the process is killed every night. Prints what it took, and fails where a receiver
//! is left with a wrong picture or hears something twice without need:
//! `cargo run --release -p watchbell-alertmanager-core --example week`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::wire::PostableAlert;
use model::{AlertStatus, Labels, Machine as _, MatchOp, Timestamp};
use notifiers_core::{Attempted, FailureReason, Memory, NotificationReason, Outcome};
use watchbell_alertmanager_core::{
    AlertDraft, Alertmanager, Command, Deliver, DeliveryId, Event, Input, MatcherDraft, Policy,
    Record, Settings, SilenceDraft, SilenceId, Ticket,
};

const ALERTS: usize = 1000;
const TEAMS: usize = 20;
const NAMES: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);
const WEEK_MINUTES: u32 = 7 * 24 * 60;
/// Nothing happens in it: whoever is owed something has heard it by its end.
const REST_MINUTES: u32 = 12 * 60;
/// As Prometheus sets it: four evaluation intervals.
const LEASE: Duration = Duration::from_secs(240);
/// Longest silence.
const SILENCE_MINUTES_MAX: u64 = 180;
/// A Monday's midnight.
const START: Timestamp = Timestamp::from_secs(1_795_392_000);

fn main() {
    let begun = now();
    let mut week = Week::new();
    for minute in 0..WEEK_MINUTES + REST_MINUTES {
        week.minute(minute, minute >= WEEK_MINUTES);
    }
    let took = begun.elapsed();
    week.assert_everybody_knows_what_fires();
    week.assert_nothing_was_told_twice_without_need();
    let figures = &week.figures;
    println!(
        "{:.1} s for a week of {ALERTS} alerts in {} groups: {} alerts posted ({:.2} µs each, all else included), {} flushes, \
         {} notifications in {} attempts, {} restarts, {} records, {:.1} MB of log",
        took.as_secs_f64(),
        week.machine.groups_len(),
        figures.posted,
        took.as_secs_f64() * 1e6 / figures.posted as f64,
        figures.flushes,
        week.heard.len(),
        figures.attempts,
        figures.restarts,
        figures.records,
        figures.log_bytes as f64 / 1e6,
    );
}

#[derive(Default)]
struct Figures {
    posted: usize,
    flushes: usize,
    attempts: usize,
    restarts: usize,
    records: usize,
    log_bytes: usize,
    /// Messages that a receiver may have, of which the process could not know it.
    hidden: usize,
}

struct Heard {
    key: Key,
    reason: NotificationReason,
    firing: BTreeSet<String>,
    resolved: BTreeSet<String>,
}

/// Receiver, kind and index of the integration, and the group's key.
type Key = (String, String, u32, String);

struct Week {
    machine: Alertmanager,
    policy: Policy,
    now: Timestamp,
    rng: Rng,
    drafts: Vec<AlertDraft>,
    firing: Vec<bool>,
    /// When each began to fire.
    starts_at: Vec<Timestamp>,
    log: Vec<Vec<u8>>,
    outcomes: VecDeque<(Timestamp, DeliveryId, Outcome, bool)>,
    heard: Vec<Heard>,
    silences: u64,
    figures: Figures,
    resting: bool,
}

impl Week {
    fn new() -> Self {
        let config = AlertmanagerConfig::read(
            "week.yml",
            &configuration(),
            &AlertmanagerOptions::default(),
        );
        let config = config.expect("the configuration is sound").value;
        let policy = Policy::new(Arc::new(config), "http://alerts.example.org");
        Self {
            machine: Alertmanager::restore(Settings::default(), policy.clone(), [], START),
            policy,
            now: START,
            rng: Rng(7),
            drafts: (0..ALERTS).map(draft).collect(),
            firing: vec![false; ALERTS],
            starts_at: vec![START; ALERTS],
            log: Vec::new(),
            outcomes: VecDeque::new(),
            heard: Vec::new(),
            silences: 0,
            figures: Figures::default(),
            resting: false,
        }
    }

    fn minute(&mut self, minute: u32, resting: bool) {
        self.resting = resting;
        let mut ended = Vec::new();
        for number in 0..ALERTS {
            // Every second alert is up or down for some hours at a time, the others fire all week.
            let was = self.firing[number];
            let turns = number % 2 == 0 && !resting && self.rng.below(200) == 0;
            self.firing[number] = was != turns || minute == 0;
            if was && !self.firing[number] {
                ended.push(number);
            }
            if !was && self.firing[number] {
                self.starts_at[number] = self.now;
            }
        }
        if !resting {
            match minute % 60 {
                0 => self.compact(),
                15 | 30 | 45 => self.silence(),
                _ => {}
            }
            if minute % (24 * 60) == 3 * 60 {
                self.crash();
            }
        }
        let post = |number: usize, ends_at: Timestamp| AlertDraft {
            starts_at: Some(self.starts_at[number]),
            ends_at: Some(ends_at),
            ..self.drafts[number].clone()
        };
        let firing = (0..ALERTS).filter(|number| self.firing[*number]);
        let alerts: Vec<AlertDraft> = firing
            .map(|number| post(number, self.now + LEASE))
            .chain(ended.into_iter().map(|number| post(number, self.now)))
            .collect();
        self.figures.posted += alerts.len();
        self.tell(Input::AlertsPosted {
            ticket: Ticket(0),
            alerts,
        });
        self.until(START + MINUTE * (minute + 1));
    }

    fn silence(&mut self) {
        self.silences += 1;
        let team = self.rng.below(TEAMS as u64);
        let minutes = 10 + self.rng.below(SILENCE_MINUTES_MAX - 10);
        let matcher = |name: &str, value: String, op| MatcherDraft {
            name: name.to_owned(),
            value,
            op,
        };
        let draft = SilenceDraft {
            id: None,
            matcher_sets: vec![vec![
                matcher("team", format!("t{team}"), MatchOp::Equal),
                matcher("alertname", "A[0-2]".to_owned(), MatchOp::Regex),
            ]],
            starts_at: self.now,
            ends_at: self.now + Duration::from_secs(minutes * 60),
            created_by: "ops".to_owned(),
            comment: "maintenance".to_owned(),
            annotations: Labels::default(),
        };
        let fresh = SilenceId::new(format!("silence-{}", self.silences));
        self.tell(Input::SilenceSet {
            ticket: Ticket(0),
            draft,
            fresh,
        });
    }

    fn tell(&mut self, input: Input) {
        self.machine.handle(input, self.now);
        self.carry_out();
    }

    fn until(&mut self, end: Timestamp) {
        loop {
            let outcome = self.outcomes.iter().map(|(at, ..)| *at).min();
            let next = outcome.into_iter().chain(self.machine.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            let due = self.outcomes.iter().position(|(at, ..)| *at <= self.now);
            match due.and_then(|index| self.outcomes.remove(index)) {
                Some((_, id, outcome, _)) => self.tell(Input::DeliveryEnded {
                    id,
                    attempted: Attempted {
                        outcome,
                        memory: Memory::default(),
                        failure: FailureReason::ServerError,
                    },
                }),
                None => {
                    self.machine.handle_timeout(self.now);
                    self.carry_out();
                }
            }
        }
        self.now = end;
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.machine.poll_command() {
            match command {
                Command::Persist(record) => {
                    let bytes = record.encode();
                    self.figures.records += 1;
                    self.figures.log_bytes += bytes.len();
                    self.log.push(bytes);
                }
                Command::Deliver(deliver) => self.deliver(&deliver),
                // Nothing is configured anew in this week.
                Command::Answer { .. } | Command::Hurry { .. } => {}
            }
        }
        while let Some(event) = self.machine.poll_event() {
            self.figures.flushes += usize::from(matches!(event, Event::GroupFlushed { .. }));
        }
    }

    /// Of a hundred attempts five fail and one is left without an answer.
    fn deliver(&mut self, deliver: &Deliver) {
        self.figures.attempts += 1;
        let after = Duration::from_millis(20 + self.rng.below(2000));
        let chance = if self.resting {
            99
        } else {
            self.rng.below(100)
        };
        let reason = || "503".to_owned();
        let (takes, outcome) = match chance {
            0..5 => (
                false,
                Outcome::Retry {
                    not_before: None,
                    reason: reason(),
                },
            ),
            5 => (true, Outcome::Ambiguous { reason: reason() }),
            _ => (true, Outcome::Delivered { id: None }),
        };
        self.figures.hidden += usize::from(matches!(outcome, Outcome::Ambiguous { .. }));
        if takes {
            self.heard.push(heard(deliver));
        }
        let at = self.now + after;
        self.outcomes.push_back((at, deliver.id, outcome, takes));
    }

    fn compact(&mut self) {
        let snapshot = self.machine.snapshot(self.now);
        self.log = snapshot.iter().map(Record::encode).collect();
    }

    fn crash(&mut self) {
        self.figures.restarts += 1;
        self.figures.hidden += self.outcomes.iter().filter(|(.., takes)| *takes).count();
        self.outcomes.clear();
        self.now = self.now + Duration::from_secs(20);
        let records: Vec<Record> = self
            .log
            .iter()
            .map(|bytes| Record::decode(bytes).expect("what was written can be read"))
            .collect();
        let (settings, policy) = (Settings::default(), self.policy.clone());
        self.machine = Alertmanager::restore(settings, policy, records, self.now);
        self.carry_out();
    }

    /// What fires and is not inhibited is known everywhere, and nothing is that does not fire.
    fn assert_everybody_knows_what_fires(&self) {
        let mut known: BTreeMap<&Key, BTreeSet<&str>> = BTreeMap::new();
        for heard in &self.heard {
            let known = known.entry(&heard.key).or_default();
            if heard.firing.is_empty() {
                known.clear();
            }
            known.retain(|instance| !heard.resolved.contains(*instance));
            known.extend(heard.firing.iter().map(String::as_str));
        }
        let mut integrations: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (key, known) in &known {
            for instance in known {
                let number: usize = instance[1..].parse().expect("an alert's number");
                assert!(self.firing[number], "{key:?} thinks that {instance} fires");
                *integrations.entry((&key.1, instance)).or_default() += 1;
            }
        }
        for number in (0..ALERTS).filter(|number| self.firing[*number]) {
            let inhibited = severity(number) == "info"
                && (0..ALERTS).any(|other| {
                    self.firing[other]
                        && severity(other) == "critical"
                        && group(other) == group(number)
                });
            let instance = format!("i{number}");
            for kind in ["pagerduty", "webhook"] {
                let knows = integrations.contains_key(&(kind, instance.as_str()));
                assert!(
                    knows || inhibited,
                    "{kind} does not know that {instance} fires"
                );
            }
        }
    }

    fn assert_nothing_was_told_twice_without_need(&self) {
        let mut last: BTreeMap<&Key, &Heard> = BTreeMap::new();
        let mut repeated = 0;
        for heard in &self.heard {
            let due = heard.reason == NotificationReason::RepeatIntervalElapsed;
            if let Some(last) = last.insert(&heard.key, heard) {
                let same = last.firing == heard.firing && last.resolved == heard.resolved;
                repeated += usize::from(same && !due && last.reason == heard.reason);
            }
        }
        let hidden = self.figures.hidden;
        assert!(repeated <= hidden, "{repeated} told twice, {hidden} hidden");
    }
}

fn heard(deliver: &Deliver) -> Heard {
    let notification = &deliver.notification;
    let with = |status: AlertStatus| {
        let alerts = notification.alerts.iter();
        alerts
            .filter(|alert| alert.status(notification.at) == status)
            .map(|alert| alert.labels.value("instance").to_owned())
            .collect()
    };
    Heard {
        key: (
            deliver.key.receiver.clone(),
            deliver.key.integration.clone(),
            deliver.key.index,
            notification.group_key.as_str().to_owned(),
        ),
        reason: notification.reason,
        firing: with(AlertStatus::Firing),
        resolved: with(AlertStatus::Resolved),
    }
}

fn group(number: usize) -> (usize, usize) {
    (number % TEAMS, number / TEAMS % NAMES)
}

fn severity(number: usize) -> &'static str {
    ["critical", "warning", "info"][number / (TEAMS * NAMES) % 3]
}

/// As wide as a real one.
fn draft(number: usize) -> AlertDraft {
    let (team, name) = group(number);
    let pairs = |pairs: &[(&str, String)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    AlertDraft {
        labels: pairs(&[
            ("alertname", format!("A{name}")),
            ("team", format!("t{team}")),
            ("instance", format!("i{number}")),
            ("severity", severity(number).to_owned()),
            ("cluster", "eu-west-1".to_owned()),
            ("namespace", format!("team-{team}-production")),
            ("job", "kubernetes-pods".to_owned()),
            ("prometheus", "monitoring/k8s".to_owned()),
        ]),
        annotations: pairs(&[
            ("summary", format!("Instance i{number} does not answer")),
            (
                "runbook_url",
                format!("https://runbooks.example.org/A{name}"),
            ),
        ]),
        generator_url: "http://prometheus.example.org/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
            .to_owned(),
        ..AlertDraft::parse(PostableAlert::default()).expect("nothing is said")
    }
}

fn configuration() -> String {
    let mut text =
        "route:\n  receiver: rest\n  group_by: [alertname, team]\n  routes:\n".to_owned();
    for team in 0..TEAMS {
        let nights = if team == 0 {
            ", mute_time_intervals: [nights]"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  - {{matchers: ['team=\"t{team}\"'], receiver: t{team}{nights}}}"
        );
    }
    text.push_str("receivers:\n- name: rest\n");
    for team in 0..TEAMS {
        let _ = writeln!(
            text,
            "- name: t{team}\n  webhook_configs: [{{url: 'http://hooks.example.org/t{team}'}}]\n  \
             pagerduty_configs: [{{routing_key: '{team}'}}]"
        );
    }
    text.push_str(
        "inhibit_rules:\n- {source_matchers: [severity=critical], target_matchers: [severity=info], equal: [team, alertname]}\n\
         time_intervals:\n- name: nights\n  time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}, {start_time: '00:00', end_time: '06:00'}]}]\n",
    );
    text
}

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it took is what is printed"
)]
fn now() -> Instant {
    Instant::now()
}
