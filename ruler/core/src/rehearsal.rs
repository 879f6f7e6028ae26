//! A ruler with a shell that answers at once: tests decide what queries give and watch what comes out.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{AlertStatus, Labels, Machine, TenantId, Timestamp};
use promql::{ParserOptions, Query};

use crate::alert::{ActiveAlert, AlertState, AlertTiming};
use crate::alerting::AlertElement;
use crate::command::{Command, Persist};
use crate::evaluation::{AppendReport, Appended, Evaluate, Evaluated, QueryCost, RuleResult};
use crate::event::Event;
use crate::input::Input;
use crate::outbox::{Destination, Message, SendOutcome};
use crate::plan::RulePlan;
use crate::record::{Record, snapshot_from_bytes};
use crate::recording::RecordedElement;
use crate::refusal::OverLimit;
use crate::restore::SavedState;
use crate::rule::{Group, GroupKey, Rule, RuleClass, RuleKey, RuleKind};
use crate::rule_order::RuleOrder;
use crate::ruler::{Ruler, RulerOptions};
use crate::series::SampleBatch;

pub(crate) const OPTIONS: RulerOptions = RulerOptions {
    resend_delay: Duration::from_secs(60),
    outage_tolerance: Duration::from_secs(3600),
    group_concurrency_max: 4,
    over_limit: OverLimit::DropAll,
};
pub(crate) const INTERVAL: Duration = Duration::from_secs(30);

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// An alerting rule whose expression is its own name.
pub(crate) fn alerting(name: &str, hold_secs: u64) -> Rule {
    let timing = AlertTiming {
        hold_duration: Duration::from_secs(hold_secs),
        keep_firing_for: Duration::ZERO,
    };
    let annotations = Labels::default();
    rule(
        RuleClass::Alerting,
        name,
        RuleKind::Alerting {
            timing,
            annotations,
        },
    )
}

pub(crate) fn recording(name: &str) -> Rule {
    rule(RuleClass::Recording, name, RuleKind::Recording)
}

/// The same rule, whose query reads what `expr` does.
pub(crate) fn reading(expr: &str, mut rule: Rule) -> Rule {
    rule.plan.query = Query::compile(expr, &ParserOptions::default()).unwrap();
    rule
}

fn rule(class: RuleClass, name: &str, kind: RuleKind) -> Rule {
    Rule {
        key: RuleKey {
            class,
            name: name.into(),
            labels: Labels::default(),
            twin: 0,
        },
        expression: name.into(),
        kind,
        plan: RulePlan::new(Query::compile(name, &ParserOptions::default()).unwrap(), 0),
    }
}

pub(crate) fn group(name: &str, rules: Vec<Rule>) -> Arc<Group> {
    Arc::new(Group {
        key: GroupKey::new("rules.yml", name),
        interval: INTERVAL,
        query_offset: Duration::ZERO,
        limit: None,
        order: RuleOrder::of(&rules),
        shared_selectors: Arc::default(),
        rules,
    })
}

/// What a query gives: the elements' labels and values.
pub(crate) type Vector = Result<Vec<(Labels, f64)>, String>;

/// Every effect that the outside saw, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    Append(SampleBatch),
    Query { rule: String, at: Timestamp },
    Send(Vec<Message>),
}

pub(crate) struct Rehearsal {
    pub(crate) ruler: Ruler,
    /// Deadlines that lie before it are late.
    now: Timestamp,
    pub(crate) snapshot: Option<Vec<u8>>,
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) effects: Vec<(Timestamp, Effect)>,
    pub(crate) events: Vec<Event>,
    /// Labels and start of every alert that was ever saved as firing or resolved.
    saved: BTreeSet<(Labels, Timestamp)>,
    /// The latest value of every series that was written.
    pub(crate) written: BTreeMap<Labels, (Timestamp, f64)>,
    /// Answers to `Send`, `Delivered` when it is empty.
    pub(crate) sending: SendOutcome,
    pub(crate) appending: Result<AppendReport, String>,
    /// Evaluations that wait for [`Rehearsal::answer`] instead of being answered at once.
    pub(crate) holding: bool,
    pub(crate) held: Vec<Evaluate>,
}

impl Rehearsal {
    pub(crate) fn new(groups: Vec<Arc<Group>>, now: Timestamp) -> Self {
        let mut rehearsal = Self::restored(SavedState::default());
        rehearsal.ruler.handle(
            Input::DestinationsChanged(vec![Destination("http://am".into())]),
            now,
        );
        rehearsal.handle(Input::RulesLoaded(groups), now);
        rehearsal
    }

    pub(crate) fn with_options(
        options: RulerOptions,
        groups: Vec<Arc<Group>>,
        now: Timestamp,
    ) -> Self {
        let mut rehearsal = Self::restored(SavedState::default());
        rehearsal.ruler = Ruler::new(TenantId::anonymous(), options, SavedState::default());
        rehearsal.handle(Input::RulesLoaded(groups), now);
        rehearsal
    }

    fn restored(saved: SavedState) -> Self {
        Self {
            ruler: Ruler::new(TenantId::anonymous(), OPTIONS, saved),
            now: Timestamp::MIN,
            snapshot: None,
            records: Vec::new(),
            effects: Vec::new(),
            events: Vec::new(),
            saved: BTreeSet::new(),
            written: BTreeMap::new(),
            sending: SendOutcome::Delivered,
            appending: Ok(AppendReport::default()),
            holding: false,
            held: Vec::new(),
        }
    }

    /// The process is killed and started again, with what the log holds.
    pub(crate) fn restart(self, groups: Vec<Arc<Group>>, now: Timestamp) -> Self {
        let saved = self.replayed();
        let mut next = Self::restored(saved);
        next.snapshot = self.snapshot;
        next.records = self.records;
        next.written = self.written;
        next.saved = self.saved;
        next.ruler.handle(
            Input::DestinationsChanged(vec![Destination("http://am".into())]),
            now,
        );
        next.handle(Input::RulesLoaded(groups), now);
        next
    }

    pub(crate) fn replayed(&self) -> SavedState {
        let records = self.records.iter().map(Vec::as_slice);
        SavedState::replay(self.snapshot.as_deref(), records).unwrap()
    }

    /// An input that asks nothing of any query.
    pub(crate) fn handle(&mut self, input: Input, now: Timestamp) {
        self.now = now;
        self.ruler.handle(input, now);
        self.settle(now, &mut |_, _| Ok(Vec::new()));
    }

    /// Runs to `until`, deadline by deadline.
    pub(crate) fn run(
        &mut self,
        until: Timestamp,
        mut query: impl FnMut(&str, &Snapshot<'_>) -> Vector,
    ) {
        while let Some(deadline) = self.ruler.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            self.ruler.handle_timeout(self.now);
            self.settle(self.now, &mut query);
        }
    }

    /// Runs what is due at `now`, which nobody looked at before.
    pub(crate) fn run_late(
        &mut self,
        now: Timestamp,
        mut query: impl FnMut(&str, &Snapshot<'_>) -> Vector,
    ) {
        self.now = now;
        self.ruler.handle_timeout(now);
        self.settle(now, &mut query);
    }

    fn settle(&mut self, now: Timestamp, query: &mut dyn FnMut(&str, &Snapshot<'_>) -> Vector) {
        loop {
            while let Some(event) = self.ruler.poll_event() {
                self.events.push(event);
            }
            let Some(command) = self.ruler.poll_command() else {
                return;
            };
            match command {
                Command::Evaluate(evaluate) if self.holding => self.held.push(evaluate),
                Command::Evaluate(evaluate) => self.evaluate(&evaluate, now, query),
                Command::Append(append) => {
                    self.write(&append.batch);
                    self.effects.push((now, Effect::Append(append.batch)));
                    if let Some(ticket) = append.ticket {
                        let appended = Appended {
                            ticket,
                            outcome: self.appending.clone(),
                            took: Duration::ZERO,
                        };
                        self.ruler.handle(Input::Appended(appended), now);
                    }
                }
                Command::Persist(Persist::Record(bytes)) => {
                    self.note_saved(Record::from_bytes(&bytes).unwrap());
                    self.records.push(bytes);
                }
                Command::Persist(Persist::Snapshot(bytes)) => {
                    for record in snapshot_from_bytes(&bytes).unwrap() {
                        self.note_saved(record);
                    }
                    self.records.clear();
                    self.snapshot = Some(bytes);
                }
                Command::Send {
                    destination,
                    messages,
                } => {
                    for message in &messages {
                        let start = (message.alert.labels.clone(), message.alert.starts_at);
                        assert!(
                            self.saved.contains(&start),
                            "told before it was saved: {start:?}"
                        );
                    }
                    self.effects.push((now, Effect::Send(messages)));
                    let outcome = self.sending.clone();
                    self.ruler.handle(
                        Input::Sent {
                            destination,
                            outcome,
                        },
                        now,
                    );
                }
            }
        }
    }

    /// The evaluation that was held back comes in.
    pub(crate) fn answer(&mut self, evaluate: &Evaluate, vector: Vector, now: Timestamp) {
        let mut vector = Some(vector);
        self.now = now;
        self.evaluate(evaluate, now, &mut |_, _| vector.take().unwrap());
        self.settle(now, &mut |_, _| Ok(Vec::new()));
    }

    fn evaluate(
        &mut self,
        evaluate: &Evaluate,
        now: Timestamp,
        query: &mut dyn FnMut(&str, &Snapshot<'_>) -> Vector,
    ) {
        let rule = evaluate.rule();
        let at = evaluate.query_time();
        self.effects.push((
            now,
            Effect::Query {
                rule: rule.key.name.to_string(),
                at,
            },
        ));
        let snapshot = Snapshot {
            at,
            written: &self.written,
        };
        let outcome = query(&rule.expression, &snapshot).map(|vector| match rule.kind {
            RuleKind::Alerting { .. } => RuleResult::Alerting(
                vector
                    .into_iter()
                    .map(|(series, value)| AlertElement {
                        series,
                        rule_labels: Labels::default(),
                        annotations: Labels::default(),
                        value,
                    })
                    .collect(),
            ),
            RuleKind::Recording => RuleResult::Recording(
                vector
                    .into_iter()
                    .map(|(series, value)| RecordedElement {
                        series,
                        value: value.into(),
                    })
                    .collect(),
            ),
        });
        let evaluated = Evaluated {
            ticket: evaluate.ticket.clone(),
            outcome,
            took: Duration::from_millis(1),
            cost: QueryCost {
                series: 2,
                samples: 10,
            },
        };
        self.ruler.handle(Input::Evaluated(evaluated), now);
    }

    fn note_saved(&mut self, record: Record) {
        let alerts = match record {
            Record::Evaluated { changed, .. } => changed,
            Record::Departed { alert, .. } => vec![alert],
            Record::RuleRemoved { .. }
            | Record::DepartedForgotten { .. }
            | Record::Wrote { .. } => Vec::new(),
        };
        for alert in alerts {
            if let AlertState::Firing { fired_at, .. } | AlertState::Resolved { fired_at, .. } =
                alert.state
            {
                self.saved.insert((alert.labels, fired_at));
            }
        }
    }

    fn write(&mut self, batch: &SampleBatch) {
        for sample in &batch.samples {
            self.written.insert(
                sample.labels.clone(),
                (batch.at, sample.value.as_float().unwrap_or(f64::NAN)),
            );
        }
        for labels in &batch.ended {
            self.written
                .insert(labels.clone(), (batch.at, model::stale_nan()));
        }
    }

    /// The alerts of one rule.
    pub(crate) fn alerts(&self, rule: &str) -> Vec<ActiveAlert> {
        self.ruler
            .saved()
            .rules
            .values()
            .flatten()
            .filter(|(key, _)| &*key.name == rule)
            .flat_map(|(_, saved)| saved.alerts.values().cloned())
            .collect()
    }

    /// `@30 F` one firing, `r` resolved: when, in seconds since `from`, which alerts of a rule were told.
    pub(crate) fn told(&self, rule: &str, from: Timestamp) -> String {
        let mut words = Vec::new();
        for (at, effect) in &self.effects {
            if let Effect::Send(messages) = effect {
                for message in messages {
                    if message.alert.labels.value("alertname") == rule {
                        let status = match message.alert.status {
                            AlertStatus::Firing => "F",
                            AlertStatus::Resolved => "r",
                        };
                        words.push(format!("{status}{}", at.saturating_since(from).as_secs()));
                    }
                }
            }
        }
        words.join(" ")
    }
}

/// What a query can see.
pub(crate) struct Snapshot<'a> {
    pub(crate) at: Timestamp,
    pub(crate) written: &'a BTreeMap<Labels, (Timestamp, f64)>,
}

/// `P`, `F`, `r` by the alert's state.
pub(crate) fn letter(state: AlertState) -> char {
    match state {
        AlertState::Pending { .. } => 'P',
        AlertState::Firing { .. } => 'F',
        AlertState::Resolved { .. } => 'r',
    }
}
