//! One group between and during its iterations: each rule sees what the rules before it wrote.
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
    /// In the order of the group's rules.
    turns: Vec<Turn>,
    /// Rules before it are done.
    first_open: usize,
    running: usize,
    rules_took: Duration,
    samples: usize,
}

#[derive(Debug)]
enum Turn {
    Waiting,
    Evaluating,
    /// The series that stand written when the answer is good.
    Appending {
        written: WrittenSeries,
        samples: usize,
    },
    Done,
}

impl Turn {
    const fn is_done(&self) -> bool {
        match self {
            Self::Waiting | Self::Evaluating | Self::Appending { .. } => false,
            Self::Done => true,
        }
    }
}

/// The figures of an iteration that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastIteration {
    pub at: Timestamp,
    /// By the wall clock.
    pub started: Timestamp,
    pub took: Duration,
    /// In queries, templates and writes, of all rules together.
    pub rules_took: Duration,
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
        for rule in &mut self.rules {
            rule.figures.missed += due.missed;
        }
        self.iteration = Some(Iteration {
            at: due.at,
            started: now,
            turns: self.rules.iter().map(|_| Turn::Waiting).collect(),
            first_open: 0,
            running: 0,
            rules_took: Duration::ZERO,
            samples: 0,
        });
        Some((due.at, due.missed))
    }

    /// The next rule that may be evaluated, of which no more than `at_once_max` are at once; it is from here on.
    pub(crate) fn next_ticket(&mut self, at_once_max: usize) -> Option<Ticket> {
        let iteration = self.iteration.as_mut()?;
        if iteration.running >= at_once_max.max(1) {
            return None;
        }
        let turns = &mut iteration.turns;
        while turns.get(iteration.first_open).is_some_and(Turn::is_done) {
            iteration.first_open += 1;
        }
        let order = &self.group.order;
        let rule = (iteration.first_open..turns.len()).find(|rule| {
            matches!(turns[*rule], Turn::Waiting)
                && order.may_begin(*rule, |earlier| turns[earlier].is_done())
        })?;
        turns[rule] = Turn::Evaluating;
        iteration.running += 1;
        Some(Ticket {
            group: self.group.key.clone(),
            at: iteration.at,
            rule,
        })
    }

    fn turn_of(&mut self, ticket: &Ticket) -> Option<&mut Turn> {
        let iteration = self.iteration.as_mut()?;
        (iteration.at == ticket.at)
            .then(|| iteration.turns.get_mut(ticket.rule))
            .flatten()
    }

    /// Is this the result that the rule waits for?
    pub(crate) fn awaits_result(&mut self, ticket: &Ticket) -> bool {
        matches!(self.turn_of(ticket), Some(Turn::Evaluating))
    }

    /// The answer to the batch of the rule's result is waited for from here on.
    pub(crate) fn await_append(&mut self, ticket: &Ticket, written: WrittenSeries, samples: usize) {
        if let Some(turn) = self.turn_of(ticket) {
            *turn = Turn::Appending { written, samples };
        }
    }

    /// The answer to a batch: the series it holds, if it is one that the rule waits for.
    pub(crate) fn take_append(&mut self, ticket: &Ticket, refused: usize) -> Option<WrittenSeries> {
        let turn = self.turn_of(ticket)?;
        match std::mem::replace(turn, Turn::Evaluating) {
            Turn::Appending { written, samples } => {
                if let Some(iteration) = &mut self.iteration {
                    iteration.samples += samples.saturating_sub(refused);
                }
                Some(written)
            }
            other @ (Turn::Waiting | Turn::Evaluating | Turn::Done) => {
                *turn = other;
                None
            }
        }
    }

    /// Time spent on one of the rules.
    pub(crate) fn add_time(&mut self, took: Duration) {
        if let Some(iteration) = &mut self.iteration {
            iteration.rules_took += took;
        }
    }

    /// The rule has had its turn.
    pub(crate) fn end_turn(&mut self, ticket: &Ticket) {
        if let Some(turn) = self.turn_of(ticket) {
            *turn = Turn::Done;
            if let Some(iteration) = &mut self.iteration {
                iteration.running = iteration.running.saturating_sub(1);
            }
        }
    }

    /// Ends the iteration if all rules have had their turns.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Option<LastIteration> {
        let iteration = self
            .iteration
            .take_if(|iteration| iteration.turns.iter().all(Turn::is_done))?;
        self.last = Some(LastIteration {
            at: iteration.at,
            started: iteration.started,
            took: now.saturating_since(iteration.started),
            rules_took: iteration.rules_took,
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
