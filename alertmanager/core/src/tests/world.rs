//! A tenant's Alertmanager in a world where time is a number, the log is a list of bytes and receivers obey a script.
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::{AlertStatus, Labels, Machine, Timestamp};
use notifiers_core::{Attempted, FailureReason, Memory, NotificationReason, Outcome};

use crate::delivery::DeliveryId;
use crate::hashes::AlertHashes;
use crate::intake::AlertDraft;
use crate::machine::Alertmanager;
use crate::nflog::{Entry, LogKey};
use crate::policy::Policy;
use crate::protocol::{Answer, Command, Deliver, Event, Input, Settings, Ticket};
use crate::record::Record;
use crate::silence::SilenceId;
use crate::snapshot_files::{read_nflog, write_nflog};

pub(crate) const START: i64 = 1_000_000;

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// `a=1 b=2`
pub(crate) fn labels(text: &str) -> Labels {
    text.split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .collect()
}

/// One receiver with one webhook, grouped by `alertname`: 30 s, 5 m, 4 h.
pub(crate) const PLAIN: &str = "
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";

pub(crate) fn policy(yaml: &str) -> Policy {
    let loaded = AlertmanagerConfig::read("am.yml", yaml, &AlertmanagerOptions::default());
    Policy::new(Arc::new(loaded.unwrap().value), "http://am:9093/")
}

/// One message as a receiver took it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    /// Seconds from the start.
    pub(crate) at: i64,
    pub(crate) kind: String,
    /// Its place among those of the kind.
    pub(crate) integration: u32,
    pub(crate) group: String,
    pub(crate) reason: NotificationReason,
    /// The alerts' `instance` labels.
    pub(crate) firing: BTreeSet<String>,
    pub(crate) resolved: BTreeSet<String>,
}

impl Heard {
    /// `30 first notification +a +b -c`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.at, self.words())
    }

    /// `first notification +a +b -c`
    pub(crate) fn words(&self) -> String {
        let mut line = self.reason.as_str().to_owned();
        for instance in &self.firing {
            line.push_str(&format!(" +{instance}"));
        }
        for instance in &self.resolved {
            line.push_str(&format!(" -{instance}"));
        }
        line
    }
}

/// What a receiver does with one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    /// Whether the receiver takes the message, whatever it answers.
    pub(crate) takes: bool,
    pub(crate) after: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) ends_by: EndsBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndsBy {
    Outcome,
    MissedTurn,
}

impl Reaction {
    pub(crate) fn take() -> Self {
        Self {
            takes: true,
            after: Duration::ZERO,
            outcome: Outcome::Delivered { id: None },
            ends_by: EndsBy::Outcome,
        }
    }

    /// Its turn does not come before the deadline.
    pub(crate) fn miss_turn(deliver: &Deliver, now: Timestamp) -> Self {
        Self {
            ends_by: EndsBy::MissedTurn,
            ..Self::hang(deliver, now)
        }
    }

    /// No answer before the deadline.
    pub(crate) fn hang(deliver: &Deliver, now: Timestamp) -> Self {
        Self {
            takes: false,
            after: deliver.deadline.saturating_since(now),
            outcome: Outcome::Ambiguous {
                reason: "no answer before the deadline".to_owned(),
            },
            ends_by: EndsBy::Outcome,
        }
    }

    pub(crate) fn fail() -> Self {
        Self {
            takes: false,
            after: Duration::ZERO,
            outcome: Outcome::Retry {
                not_before: None,
                reason: "503".to_owned(),
            },
            ends_by: EndsBy::Outcome,
        }
    }
}

type Script = Box<dyn FnMut(&Deliver, Timestamp) -> Reaction>;

pub(crate) struct World {
    pub(crate) machine: Alertmanager,
    pub(crate) policy: Policy,
    pub(crate) settings: Settings,
    /// Encoded records, as a log on disk would hold them.
    pub(crate) log: Vec<Vec<u8>>,
    /// The notification log of an Alertmanager's data folder, which a process reads when it begins.
    pub(crate) file: Vec<u8>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) attempts: Vec<(Timestamp, Deliver)>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) events: Vec<Event>,
    pub(crate) now: Timestamp,
    pub(crate) script: Script,
    outcomes: VecDeque<(Timestamp, DeliveryId, Outcome, EndsBy)>,
    fresh: u64,
}

impl World {
    pub(crate) fn new(yaml: &str) -> Self {
        let settings = Settings::default();
        let policy = policy(yaml);
        Self {
            machine: Alertmanager::restore(settings.clone(), policy.clone(), [], at(0)),
            policy,
            settings,
            log: Vec::new(),
            file: Vec::new(),
            heard: Vec::new(),
            attempts: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            now: at(0),
            script: Box::new(|_, _| Reaction::take()),
            outcomes: VecDeque::new(),
            fresh: 0,
        }
    }

    pub(crate) fn with_script(
        mut self,
        script: impl FnMut(&Deliver, Timestamp) -> Reaction + 'static,
    ) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Posts alerts that fire from now on and last until they are resolved.
    pub(crate) fn fire(&mut self, alerts: &[&str]) {
        self.post(alerts, None);
    }

    pub(crate) fn resolve(&mut self, alerts: &[&str]) {
        let now = self.now;
        self.post(alerts, Some(now));
    }

    pub(crate) fn post(&mut self, alerts: &[&str], ends_at: Option<Timestamp>) {
        // An hour and more: in these worlds an alert ends when it is said to.
        let lease = self.now + secs(30 * 24 * 3600);
        let drafts = alerts
            .iter()
            .map(|text| AlertDraft {
                labels: labels(text)
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                starts_at: Some(self.now.min(ends_at.unwrap_or(self.now))),
                ends_at: Some(ends_at.unwrap_or(lease)),
                ..AlertDraft::default()
            })
            .collect();
        self.post_drafts(drafts);
    }

    pub(crate) fn post_drafts(&mut self, alerts: Vec<AlertDraft>) {
        let ticket = Ticket(0);
        self.tell(Input::AlertsPosted { ticket, alerts });
    }

    pub(crate) fn tell(&mut self, input: Input) {
        self.machine.handle(input, self.now);
        self.carry_out();
    }

    pub(crate) fn reload(&mut self, yaml: &str) {
        self.policy = policy(yaml);
        let policy = Box::new(self.policy.clone());
        let ticket = Ticket(0);
        self.tell(Input::Configured { ticket, policy });
    }

    pub(crate) fn fresh_id(&mut self) -> SilenceId {
        self.fresh += 1;
        SilenceId::new(format!("silence-{}", self.fresh))
    }

    /// Lets time pass until `secs` from the start.
    pub(crate) fn until(&mut self, secs: i64) {
        let end = at(secs);
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Messages whose outcome the process does not know yet: those that their receivers took, and those that would
    /// have told an end. Of both it must believe that they may have arrived.
    pub(crate) fn hidden_by_a_crash(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, id, outcome, _)| {
                matches!(outcome, Outcome::Delivered { .. })
                    || self
                        .attempts
                        .iter()
                        .rev()
                        .find(|(_, order)| order.id == *id)
                        .is_some_and(|(_, order)| tells_an_end(order))
            })
            .count()
    }

    fn next_event(&self) -> Option<Timestamp> {
        let outcome = self.outcomes.iter().map(|(at, ..)| *at).min();
        outcome.into_iter().chain(self.machine.poll_timeout()).min()
    }

    fn step(&mut self) {
        let due = self.outcomes.iter().position(|(at, ..)| *at <= self.now);
        match due.and_then(|index| self.outcomes.remove(index)) {
            Some((_, id, _, EndsBy::MissedTurn)) => {
                self.machine.handle(Input::TurnMissed { id }, self.now);
            }
            Some((_, id, outcome, EndsBy::Outcome)) => self.machine.handle(
                Input::DeliveryEnded {
                    id,
                    attempted: Attempted {
                        outcome,
                        memory: Memory::default(),
                        failure: FailureReason::ServerError,
                    },
                },
                self.now,
            ),
            None => self.machine.handle_timeout(self.now),
        }
        self.carry_out();
    }

    /// A snapshot takes the place of all records.
    pub(crate) fn compact(&mut self) {
        let snapshot = self.machine.snapshot(self.now);
        self.log = snapshot.iter().map(Record::encode).collect();
    }

    /// The data folder is written, as at maintenance.
    pub(crate) fn export(&mut self) {
        self.file = write_nflog(self.machine.nflog.iter());
    }

    /// Another Alertmanager, which works on the folder while the process is down, tells the integration with this number.
    pub(crate) fn told_elsewhere(&mut self, index: u32, secs: i64, firing: &str, resolved: &str) {
        let (known, _) = self.machine.nflog.iter().next().unwrap();
        let key = LogKey {
            index,
            ..known.clone()
        };
        self.told_of_elsewhere(key, secs, firing, resolved);
    }

    /// As [`World::told_elsewhere`], the first integration of a receiver that was told here before.
    pub(crate) fn receiver_told_elsewhere(
        &mut self,
        receiver: &str,
        secs: i64,
        firing: &str,
        resolved: &str,
    ) {
        let keys: Vec<LogKey> = self
            .machine
            .nflog
            .iter()
            .map(|(key, _)| key.clone())
            .collect();
        let key = keys.into_iter().find(|key| key.receiver == receiver);
        self.told_of_elsewhere(key.unwrap(), secs, firing, resolved);
    }

    fn told_of_elsewhere(&mut self, key: LogKey, secs: i64, firing: &str, resolved: &str) {
        let hash = |instance: &str| labels(&format!("alertname=Down instance={instance}"));
        let hashes = |instances: &str| -> AlertHashes {
            let instances = instances.split_whitespace();
            instances
                .map(|instance| hash(instance).xxhash64())
                .collect()
        };
        let entry = Entry {
            at: at(secs),
            expires_at: at(secs + 120 * 3600),
            firing: hashes(firing),
            resolved: hashes(resolved),
            memory: Memory::default(),
        };
        let mut entries: Vec<(LogKey, Entry)> = Vec::new();
        for record in read_nflog(&self.file).unwrap().records {
            if let Record::ToldElsewhere { key: of, entry } = record
                && of != key
            {
                entries.push((of, entry));
            }
        }
        entries.push((key, entry));
        self.file = write_nflog(entries.iter().map(|(key, entry)| (key, entry)));
    }

    /// The process dies and begins again from its log after `down`.
    pub(crate) fn crash(&mut self, down: Duration) {
        self.outcomes.clear();
        self.now = self.now + down;
        self.machine = self.restored();
        self.carry_out();
    }

    /// What a process that began now would know.
    pub(crate) fn restored(&self) -> Alertmanager {
        let mut records: Vec<Record> = self
            .log
            .iter()
            .map(|bytes| Record::decode(bytes).unwrap())
            .collect();
        records.extend(read_nflog(&self.file).unwrap().records);
        Alertmanager::restore(
            self.settings.clone(),
            self.policy.clone(),
            records,
            self.now,
        )
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.machine.poll_command() {
            match command {
                Command::Persist(record) => self.log.push(record.encode()),
                Command::Deliver(deliver) => self.deliver(*deliver),
                Command::Hurry { id, deadline } => self.hurry(id, deadline),
                Command::Answer { answer, .. } => self.answers.push(answer),
            }
        }
        while let Some(event) = self.machine.poll_event() {
            self.events.push(event);
        }
    }

    fn deliver(&mut self, deliver: Deliver) {
        let reaction = (self.script)(&deliver, self.now);
        assert!(
            self.now + reaction.after <= deliver.deadline,
            "the script answers in time"
        );
        if reaction.takes {
            self.heard.push(heard(&deliver, self.now));
        }
        self.outcomes.push_back((
            self.now + reaction.after,
            deliver.id,
            reaction.outcome,
            reaction.ends_by,
        ));
        self.attempts.push((self.now, deliver));
    }

    fn hurry(&mut self, id: DeliveryId, deadline: Timestamp) {
        for (at, own, outcome, _) in &mut self.outcomes {
            if *own == id && *at > deadline {
                *at = deadline;
                *outcome = Outcome::Ambiguous {
                    reason: "no answer before the deadline".to_owned(),
                };
            }
        }
    }

    /// `alerts_ended: 2 alerts, 503`
    pub(crate) fn abandoned(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| {
                let Event::DeliveryAbandoned {
                    cause,
                    alerts,
                    attempts,
                    reason,
                    ..
                } = event
                else {
                    return None;
                };
                assert!(*attempts > 0, "{event:?}");
                Some(format!("{}: {alerts} alerts, {reason}", cause.as_str()))
            })
            .collect()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard.iter().map(Heard::line).collect()
    }

    pub(crate) fn check(&self, lines: &[&str]) {
        assert_eq!(self.lines(), lines);
    }
}

pub(crate) fn tells_an_end(deliver: &Deliver) -> bool {
    let notification = &deliver.notification;
    notification
        .alerts
        .iter()
        .any(|alert| alert.status(notification.at) == AlertStatus::Resolved)
}

fn heard(deliver: &Deliver, now: Timestamp) -> Heard {
    let notification = &deliver.notification;
    let with = |status: AlertStatus| {
        notification
            .alerts
            .iter()
            .filter(|alert| alert.status(notification.at) == status)
            .map(|alert| alert.labels.value("instance").to_owned())
            .collect()
    };
    Heard {
        at: now.as_millis().div_euclid(1000) - START,
        kind: deliver.key.integration.clone(),
        integration: deliver.key.index,
        group: notification.group_key.as_str().to_owned(),
        reason: notification.reason,
        firing: with(AlertStatus::Firing),
        resolved: with(AlertStatus::Resolved),
    }
}
