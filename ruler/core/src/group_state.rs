//! One group between and during its iterations: one rule at a time, each seeing what the rules before it wrote.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{TenantId, Timestamp};

use crate::alerting::Sending;
use crate::evaluation::Ticket;
use crate::rule::{Group, RuleKey};
use crate::rule_state::RuleState;
use crate::schedule::Slots;
use crate::series::WrittenSeries;

#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) group: Arc<Group>,
    /// In the order of the group's rules.
    pub(crate) rules: Vec<RuleState>,
    slots: Slots,
    next_slot: Timestamp,
    iteration: Option<Iteration>,
    /// What a reload has put in this group's place, where that has to wait for the running iteration.
    successor: Option<Successor>,
    pub(crate) last: Option<LastIteration>,
}

#[derive(Debug)]
pub(crate) enum Successor {
    Removed,
    Replaced(Arc<Group>),
}

/// An evaluation of the whole group that is under way.
#[derive(Debug)]
struct Iteration {
    at: Timestamp,
    started: Timestamp,
    rule: usize,
    waiting_for: WaitingFor,
    took: Duration,
    samples: usize,
}

#[derive(Debug)]
enum WaitingFor {
    Result,
    /// The series that stand written when the answer is good.
    Appended {
        written: WrittenSeries,
        samples: usize,
    },
}

/// The figures of an iteration that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastIteration {
    pub at: Timestamp,
    /// By the wall clock.
    pub started: Timestamp,
    /// In queries, templates and writes.
    pub took: Duration,
    pub samples: usize,
}

/// The state of a rule that is gone.
#[derive(Debug)]
pub(crate) struct RemovedRule {
    pub(crate) key: RuleKey,
    pub(crate) expression: Arc<str>,
    pub(crate) state: RuleState,
}

impl GroupState {
    /// A group that begins at the next slot after `now`, its rules with the state that `claim` finds for them.
    pub(crate) fn new(
        tenant: &TenantId,
        group: Arc<Group>,
        mut claim: impl FnMut(&RuleKey) -> Option<RuleState>,
        now: Timestamp,
    ) -> Self {
        let slots = Slots::new(tenant, &group.key, group.interval);
        let rules = group
            .rules
            .iter()
            .map(|rule| claim(&rule.key).unwrap_or_default())
            .collect();
        Self {
            group,
            rules,
            slots,
            next_slot: slots.after(now),
            iteration: None,
            successor: None,
            last: None,
        }
    }

    /// When the next iteration is due; `None` while one is running.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.iteration.is_none().then_some(self.next_slot)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.iteration.is_some()
    }

    /// Starts the iteration of the latest slot that has come. Returns its time and how many slots were missed.
    pub(crate) fn start(&mut self, now: Timestamp) -> Option<(Timestamp, u64)> {
        if self.is_running() {
            return None;
        }
        let due = self.slots.due(self.next_slot, now)?;
        self.next_slot = self.slots.next(due.at);
        self.iteration = Some(Iteration {
            at: due.at,
            started: now,
            rule: 0,
            waiting_for: WaitingFor::Result,
            took: Duration::ZERO,
            samples: 0,
        });
        Some((due.at, due.missed))
    }

    /// The rule whose turn it is; `None` when all had theirs.
    pub(crate) fn next_ticket(&self) -> Option<Ticket> {
        let iteration = self.iteration.as_ref()?;
        (iteration.rule < self.rules.len()).then(|| Ticket {
            group: self.group.key.clone(),
            at: iteration.at,
            rule: iteration.rule,
        })
    }

    /// Is this the result that the iteration waits for?
    pub(crate) fn awaits_result(&self, ticket: &Ticket) -> bool {
        self.iteration.as_ref().is_some_and(|iteration| {
            iteration.at == ticket.at
                && iteration.rule == ticket.rule
                && matches!(iteration.waiting_for, WaitingFor::Result)
        })
    }

    /// The result took `took`; the answer to its batch is waited for from here on.
    pub(crate) fn await_append(&mut self, written: WrittenSeries, samples: usize) {
        if let Some(iteration) = &mut self.iteration {
            iteration.waiting_for = WaitingFor::Appended { written, samples };
        }
    }

    /// The answer to a batch: the series it holds, if it is the one that the iteration waits for.
    pub(crate) fn take_append(&mut self, ticket: &Ticket, refused: usize) -> Option<WrittenSeries> {
        let iteration = self
            .iteration
            .as_mut()
            .filter(|iteration| iteration.at == ticket.at && iteration.rule == ticket.rule)?;
        match std::mem::replace(&mut iteration.waiting_for, WaitingFor::Result) {
            WaitingFor::Result => None,
            WaitingFor::Appended { written, samples } => {
                iteration.samples += samples.saturating_sub(refused);
                Some(written)
            }
        }
    }

    /// Time spent on the rule whose turn it is.
    pub(crate) fn add_time(&mut self, took: Duration) {
        if let Some(iteration) = &mut self.iteration {
            iteration.took += took;
        }
    }

    /// The rule whose turn it was is done.
    pub(crate) fn turn_to_next(&mut self) {
        if let Some(iteration) = &mut self.iteration {
            iteration.rule += 1;
            iteration.waiting_for = WaitingFor::Result;
        }
    }

    pub(crate) fn finish(&mut self) -> Option<LastIteration> {
        let iteration = self.iteration.take()?;
        self.last = Some(LastIteration {
            at: iteration.at,
            started: iteration.started,
            took: iteration.took,
            samples: iteration.samples,
        });
        self.last
    }

    pub(crate) fn set_successor(&mut self, successor: Option<Successor>) {
        self.successor = successor;
    }

    pub(crate) fn take_successor(&mut self) -> Option<Successor> {
        self.successor.take()
    }

    /// The group as a reload has made it. A rule with the same key goes on with its state, whatever else of it has
    /// changed; the others are handed back. With the same interval the slots go on too.
    pub(crate) fn replace(
        self,
        tenant: &TenantId,
        group: Arc<Group>,
        now: Timestamp,
    ) -> (Self, Vec<RemovedRule>) {
        let same_interval = self.group.interval == group.interval;
        let (next_slot, last) = (self.next_slot, self.last);
        let mut before: BTreeMap<RuleKey, RemovedRule> = self
            .into_removed_rules()
            .into_iter()
            .map(|rule| (rule.key.clone(), rule))
            .collect();
        let mut replaced = Self::new(
            tenant,
            group,
            |key| before.remove(key).map(|rule| rule.state),
            now,
        );
        if same_interval {
            replaced.next_slot = next_slot;
        }
        replaced.last = last;
        (replaced, before.into_values().collect())
    }

    pub(crate) fn into_removed_rules(self) -> Vec<RemovedRule> {
        let rules = self.group.rules.iter().zip(self.rules);
        rules
            .map(|(rule, state)| RemovedRule {
                key: rule.key.clone(),
                expression: rule.expression.clone(),
                state,
            })
            .collect()
    }

    pub(crate) fn sending(&self, resend_delay: Duration) -> Sending {
        Sending {
            resend_delay,
            interval: self.group.interval,
        }
    }
}
