//! The ruler of one tenant: which group is due, what its rules' results mean, who is told what.
//!
//! An iteration of a group gives each of its rules a turn: `Evaluate` out, the result in, the alerts step; then what
//! changed is saved (`Persist`), what is due is told (`Send`), the samples are written (`Append`), and the turn ends when
//! the answer to that is in. A rule's turn begins when those have ended that it has to wait for
//! ([`RuleOrder`](crate::RuleOrder)), a few at once. Groups run beside each other; how many evaluations at once is the
//! shell's to bound. A reload waits for the running iteration of each group that it changes.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Machine, TenantId, Timestamp};

use crate::alerting::OutgoingAlert;
use crate::announcement::{announcement, message, resolved};
use crate::command::{Command, Persist};
use crate::departed::{Departed, Departing};
use crate::evaluation::{Append, Appended, Evaluate, Evaluated, Ticket};
use crate::event::Event;
use crate::group_state::{GroupState, RemovedRule, Successor};
use crate::group_table::{GroupTable, StartedGroup};
use crate::input::Input;
use crate::notes::Notes;
use crate::outbox::{Destination, DropReason, Message, Outbox, SendOutcome};
use crate::record::Record;
use crate::refusal::OverLimit;
use crate::restore::{DepartedAlert, SavedGroup, SavedState};
use crate::rule::{Group, GroupKey, RuleClass, RuleKey};
use crate::rule_state::{RuleHealth, RuleState, Taking};
use crate::series::SampleBatch;
use crate::view::GroupView;

/// Groups that start in one call: a tenant with thousands of groups at the same slot does not keep its inputs waiting.
const GROUPS_STARTED_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulerOptions {
    /// How long before a firing alert is told again (`--rules.alert.resend-delay`).
    pub resend_delay: Duration,
    /// See [`crate::OUTAGE_TOLERANCE`].
    pub outage_tolerance: Duration,
    /// Rules of one group that are evaluated at once, where none waits for another.
    pub group_concurrency_max: usize,
    pub over_limit: OverLimit,
}

#[derive(Debug)]
pub struct Ruler {
    tenant: TenantId,
    options: RulerOptions,
    groups: GroupTable,
    /// Saved rules that no loaded rule has claimed; `None` once rules were loaded.
    unclaimed: Option<SavedState>,
    departed: Departed,
    outbox: Outbox,
    /// A record is missing in the log: only a snapshot makes it whole again.
    log_has_hole: bool,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl Ruler {
    /// A ruler without rules and destinations that goes on where `saved` ends.
    #[must_use]
    pub fn new(tenant: TenantId, options: RulerOptions, mut saved: SavedState) -> Self {
        let departed = std::mem::take(&mut saved.departed);
        Self {
            tenant,
            options,
            groups: GroupTable::default(),
            unclaimed: Some(saved),
            departed: Departed::restored(departed),
            outbox: Outbox::default(),
            log_has_hole: false,
            commands: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    #[must_use]
    pub fn view(&self, group: &GroupKey) -> Option<GroupView> {
        self.groups.get(group).map(GroupView::of)
    }

    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What a restart would have to find.
    #[must_use]
    pub fn saved(&self) -> SavedState {
        let SavedState {
            mut rules,
            mut written,
            ..
        } = self.unclaimed.clone().unwrap_or_default();
        for (key, state) in self.groups.iter() {
            for (rule, state) in state.group.rules.iter().zip(&state.rules) {
                let saved = state.written.saved();
                if rule.key.class == RuleClass::Recording && !saved.is_empty() {
                    let of_group = written.entry(key.clone()).or_default();
                    of_group.insert(rule.key.clone(), saved.iter().cloned().collect());
                }
                if let Some(saved) = state.saved() {
                    rules
                        .entry(key.clone())
                        .or_default()
                        .insert(rule.key.clone(), saved);
                }
            }
        }
        let departed = self.departed.iter();
        SavedState {
            rules,
            written,
            departed: departed
                .map(|departed| (departed.alert.labels.clone(), departed.clone()))
                .collect(),
        }
    }

    fn load(&mut self, groups: Vec<Arc<Group>>, now: Timestamp) {
        let incoming: BTreeMap<GroupKey, Arc<Group>> = groups
            .into_iter()
            .map(|group| (group.key.clone(), group))
            .collect();
        let gone: Vec<GroupKey> = self
            .groups
            .keys()
            .filter(|key| !incoming.contains_key(key))
            .cloned()
            .collect();
        for key in gone {
            self.succeed(&key, Successor::Removed, now);
        }
        let mut unclaimed = self.unclaimed.take();
        let mut was_set_back = false;
        for (key, group) in incoming {
            match self.groups.get_mut(&key) {
                Some(state) if state.group.is_same(&group) => state.set_successor(None),
                Some(_) => self.succeed(&key, Successor::Replaced(group), now),
                None => {
                    let mut saved = unclaimed
                        .as_mut()
                        .map(|unclaimed| unclaimed.take_group(&key))
                        .unwrap_or_default();
                    let tolerance = self.options.outage_tolerance;
                    let claim = |rule: &RuleKey| {
                        if let Some(written) = saved.written.remove(rule) {
                            return Some(RuleState::recorded(written));
                        }
                        let saved = saved.rules.remove(rule)?;
                        was_set_back |= saved.evaluated_at > now;
                        Some(RuleState::restored(saved, tolerance, now))
                    };
                    let state = GroupState::new(&self.tenant, group, claim, now);
                    self.put(state);
                    self.remove_saved(&key, saved, now);
                }
            }
        }
        if let Some(mut unclaimed) = unclaimed {
            for key in unclaimed.groups() {
                let saved = unclaimed.take_group(&key);
                self.remove_saved(&key, saved, now);
            }
            if was_set_back {
                // Other times than those that were saved are saved before anybody hears of them.
                self.snapshot();
            }
            // Receivers that were restarted too have forgotten what they were told.
            let all: Vec<Destination> = self.outbox.destinations().cloned().collect();
            self.announce(&all, now);
        }
    }

    /// Puts a successor in a group's place, at once or when its running iteration has ended.
    fn succeed(&mut self, key: &GroupKey, successor: Successor, now: Timestamp) {
        let Some(mut state) = self.groups.remove(key) else {
            return;
        };
        if state.is_running() {
            state.set_successor(Some(successor));
            self.groups.insert(state);
            return;
        }
        let offset = state.group.query_offset;
        let removed = match successor {
            Successor::Removed => {
                self.events
                    .push_back(Event::GroupRemoved { group: key.clone() });
                state.into_removed_rules()
            }
            Successor::Replaced(group) => {
                let (replaced, removed) = state.replace(&self.tenant, group, now);
                self.put(replaced);
                removed
            }
        };
        self.remove_rules(key, removed, offset, now);
    }

    fn put(&mut self, state: GroupState) {
        self.events.push_back(Event::GroupLoaded {
            group: state.group.key.clone(),
        });
        self.groups.insert(state);
    }

    /// Saved rules that are not there any more.
    fn remove_saved(&mut self, group: &GroupKey, saved: SavedGroup, now: Timestamp) {
        let tolerance = self.options.outage_tolerance;
        let alerting = saved
            .rules
            .into_iter()
            .map(|(key, saved)| (key, RuleState::restored(saved, tolerance, now)));
        let recording = saved
            .written
            .into_iter()
            .map(|(key, written)| (key, RuleState::recorded(written)));
        let removed = alerting
            .chain(recording)
            .map(|(key, state)| RemovedRule {
                key,
                expression: Arc::default(),
                state,
            })
            .collect();
        self.remove_rules(group, removed, Duration::ZERO, now);
    }

    /// The rules are gone: what fires is resolved and told at once, and their series end.
    fn remove_rules(
        &mut self,
        group: &GroupKey,
        removed: Vec<RemovedRule>,
        query_offset: Duration,
        now: Timestamp,
    ) {
        let mut ended = Vec::new();
        for RemovedRule {
            key,
            expression,
            state,
        } in removed
        {
            for alert in state.alerts.iter() {
                if let Some(end) = alert.state.end(now) {
                    let mut alert = alert.clone();
                    alert.state = end;
                    self.departed.insert(DepartedAlert {
                        alert: alert.clone(),
                        expression: expression.clone(),
                    });
                    self.persist(&Record::Departed {
                        alert,
                        expression: expression.clone(),
                    });
                }
            }
            if !state.alerts.is_empty() || !state.written.is_empty() {
                let (group, rule) = (group.clone(), key);
                self.persist(&Record::RuleRemoved { group, rule });
            }
            ended.extend(state.written.into_labels());
        }
        self.tell_departed(now);
        if !ended.is_empty() {
            let batch = SampleBatch {
                at: now - query_offset,
                samples: Vec::new(),
                ended,
            };
            self.commands.push_back(Command::Append(Append {
                ticket: None,
                batch,
            }));
        }
    }

    fn tell_departed(&mut self, now: Timestamp) {
        for departing in self.departed.take_due(self.options.resend_delay, now) {
            match departing {
                Departing::Forget(labels) => self.persist(&Record::DepartedForgotten { labels }),
                Departing::Tell(departed) => {
                    let DepartedAlert { alert, expression } = departed;
                    self.persist(&Record::Departed {
                        alert: alert.clone(),
                        expression: expression.clone(),
                    });
                    let sending = resolved(self.options.resend_delay);
                    let notes = Notes::default();
                    self.tell(message(&alert, sending, &notes, &expression).as_slice());
                }
            }
        }
    }

    /// Tells `destinations` what every receiver was last told, and still goes by.
    fn announce(&mut self, destinations: &[Destination], now: Timestamp) {
        let resend_delay = self.options.resend_delay;
        let messages = announcement(&self.groups, &self.departed, resend_delay, now);
        for destination in destinations {
            let count = self.outbox.enqueue_for(destination, &messages);
            self.note_dropped(destination, DropReason::Full, count, None);
        }
    }

    fn start_due(&mut self, now: Timestamp) {
        for _ in 0..GROUPS_STARTED_MAX {
            let Some(StartedGroup { group, at, missed }) = self.groups.start_next(now) else {
                return;
            };
            self.events.push_back(Event::IterationStarted {
                group: group.clone(),
                at,
                missed,
            });
            self.take_turns(&group, now);
        }
    }

    /// Evaluates the rules whose turn it is, and ends the iteration after the last.
    fn take_turns(&mut self, key: &GroupKey, now: Timestamp) {
        let Some(state) = self.groups.get_mut(key) else {
            return;
        };
        while let Some(ticket) = state.next_ticket(self.options.group_concurrency_max) {
            if let Some(rule) = state.rules.get_mut(ticket.rule) {
                rule.last_evaluation = Some(now);
            }
            let group = state.group.clone();
            self.commands
                .push_back(Command::Evaluate(Evaluate { ticket, group }));
        }
        let Some(iteration) = state.finish(now) else {
            return;
        };
        self.events.push_back(Event::IterationFinished {
            group: key.clone(),
            iteration,
        });
        let successor = state.take_successor();
        self.groups.rest(key);
        if let Some(successor) = successor {
            self.succeed(key, successor, now);
        }
    }

    fn evaluated(&mut self, evaluated: Evaluated, now: Timestamp) {
        let Evaluated {
            ticket,
            outcome,
            took,
            cost,
        } = evaluated;
        let Some(state) = self.groups.get_mut(&ticket.group) else {
            return;
        };
        if !state.awaits_result(&ticket) {
            return;
        }
        let taking = Taking {
            sending: state.sending(self.options.resend_delay),
            over_limit: self.options.over_limit,
        };
        let group = state.group.clone();
        let (Some(rule), Some(rule_state)) = (
            group.rules.get(ticket.rule),
            state.rules.get_mut(ticket.rule),
        ) else {
            return;
        };
        rule_state.count(took, cost);
        let step = rule_state.evaluated(&group, rule, ticket.at, outcome, taking);
        self.events.push_back(Event::RuleEvaluated {
            ticket: ticket.clone(),
            took,
            outcome: match &rule_state.health {
                RuleHealth::Unknown | RuleHealth::Ok => Ok(()),
                RuleHealth::Err { reason } => Err(reason.clone()),
            },
        });
        state.add_time(took);
        let batch = step.batch.map(|(batch, written)| {
            state.await_append(&ticket, written, batch.samples.len());
            batch
        });
        for transition in step.transitions {
            self.events.push_back(Event::AlertChanged {
                ticket: ticket.clone(),
                transition,
            });
        }
        if let Some(record) = &step.record {
            self.persist(record);
        }
        self.tell_alerts(step.outgoing, &rule.expression);
        match batch.filter(|batch| !batch.is_empty()) {
            Some(batch) => {
                // What is told goes before what is written.
                self.send(now);
                let ticket = Some(ticket);
                self.commands
                    .push_back(Command::Append(Append { ticket, batch }));
            }
            None => self.end_turn(&ticket, now),
        }
    }

    fn appended(&mut self, appended: Appended, now: Timestamp) {
        let Appended {
            ticket,
            outcome,
            took,
        } = appended;
        let refused = outcome.as_ref().map_or(0, |report| report.refused.len());
        let Some(state) = self.groups.get_mut(&ticket.group) else {
            return;
        };
        let Some(written) = state.take_append(&ticket, refused) else {
            return;
        };
        state.add_time(took);
        if let Some(rule) = state.rules.get_mut(ticket.rule) {
            rule.figures.took += took;
        }
        match &outcome {
            Ok(report) => {
                if let Some(first) = report.refused.first() {
                    self.events.push_back(Event::SamplesRefused {
                        ticket: ticket.clone(),
                        count: refused,
                        reason: first.reason.clone(),
                    });
                }
            }
            Err(reason) => self.events.push_back(Event::WriteFailed {
                ticket: ticket.clone(),
                reason: reason.clone(),
            }),
        }
        let group = state.group.clone();
        let record = match (
            group.rules.get(ticket.rule),
            state.rules.get_mut(ticket.rule),
        ) {
            (Some(rule), Some(state)) => state.appended(&group, rule, written, outcome),
            (None, _) | (_, None) => None,
        };
        if let Some(record) = record {
            self.persist(&record);
        }
        self.end_turn(&ticket, now);
    }

    fn end_turn(&mut self, ticket: &Ticket, now: Timestamp) {
        if let Some(state) = self.groups.get_mut(&ticket.group) {
            state.end_turn(ticket);
        }
        self.take_turns(&ticket.group, now);
    }

    fn tell_alerts(&mut self, alerts: Vec<OutgoingAlert>, expression: &Arc<str>) {
        let messages: Vec<Message> = alerts
            .into_iter()
            .map(|alert| Message {
                alert,
                expression: expression.clone(),
            })
            .collect();
        for message in &messages {
            self.supersede_departed(&message.alert.labels);
        }
        self.tell(&messages);
    }

    /// What a living rule says of an alert counts.
    fn supersede_departed(&mut self, labels: &Labels) {
        if self.departed.remove(labels) {
            let labels = labels.clone();
            self.persist(&Record::DepartedForgotten { labels });
        }
    }

    fn tell(&mut self, messages: &[Message]) {
        for (destination, count) in self.outbox.enqueue(messages) {
            self.note_dropped(&destination, DropReason::Full, count, None);
        }
    }

    /// Sends what may go.
    fn send(&mut self, now: Timestamp) {
        while let Some((destination, batch)) = self.outbox.poll(now) {
            let count = batch.expired.len();
            let first = batch.expired.into_iter().next();
            self.note_dropped(&destination, DropReason::Expired, count, first);
            if !batch.messages.is_empty() {
                self.commands.push_back(Command::Send {
                    destination,
                    messages: batch.messages,
                });
            }
        }
    }

    fn sent(&mut self, destination: Destination, outcome: SendOutcome, now: Timestamp) {
        let settled = self.outbox.settle(&destination, &outcome, now);
        self.note_dropped(&destination, DropReason::Rejected, settled.dropped, None);
        self.events.push_back(Event::BatchSettled {
            destination,
            outcome,
            settled,
        });
    }

    fn note_dropped(
        &mut self,
        destination: &Destination,
        reason: DropReason,
        count: usize,
        first: Option<String>,
    ) {
        if count > 0 {
            self.events.push_back(Event::MessagesDropped {
                destination: destination.clone(),
                reason,
                count,
                first,
            });
        }
    }

    fn persist(&mut self, record: &Record) {
        let persist = Persist::Record(record.to_bytes());
        self.commands.push_back(Command::Persist(persist));
    }

    fn snapshot(&mut self) {
        self.log_has_hole = false;
        let persist = Persist::Snapshot(self.saved().to_snapshot());
        self.commands.push_back(Command::Persist(persist));
    }
}

impl Machine for Ruler {
    type Input = Input;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Appended(appended) => self.appended(appended, now),
            Input::DestinationsChanged(destinations) => {
                let added = self.outbox.set_destinations(destinations);
                self.announce(&added, now);
            }
            Input::Evaluated(evaluated) => self.evaluated(evaluated, now),
            Input::PersistFailed { reason } => {
                self.events.push_back(Event::PersistFailed { reason });
                self.log_has_hole = true;
            }
            Input::RulesLoaded(groups) => {
                self.load(groups, now);
                self.events.push_back(Event::RulesTakenOver);
            }
            Input::Sent {
                destination,
                outcome,
            } => self.sent(destination, outcome, now),
            Input::SnapshotWanted => self.snapshot(),
        }
        self.send(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.start_due(now);
        self.tell_departed(now);
        self.send(now);
        // Not sooner: a full disk would be asked again and again.
        if self.log_has_hole {
            self.snapshot();
        }
    }

    fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.groups.next_due();
        let departed = self.departed.poll_timeout(self.options.resend_delay);
        let outbox = self.outbox.poll_timeout();
        [due, departed, outbox].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
