//! What was decided, for logs, figures and readers' views.
use std::time::Duration;

use model::Timestamp;

use crate::alerting::Transition;
use crate::evaluation::Ticket;
use crate::group_state::LastIteration;
use crate::outbox::{Destination, DropReason, SendOutcome, Settled};
use crate::rule::GroupKey;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    AlertChanged {
        ticket: Ticket,
        transition: Transition,
    },
    BatchSettled {
        destination: Destination,
        outcome: SendOutcome,
        settled: Settled,
    },
    /// A group is new, or its rules have changed: its view is to be published.
    GroupLoaded {
        group: GroupKey,
    },
    GroupRemoved {
        group: GroupKey,
    },
    /// The group's view is to be published.
    IterationFinished {
        group: GroupKey,
        iteration: LastIteration,
    },
    IterationStarted {
        group: GroupKey,
        at: Timestamp,
        /// Slots before this one that passed unused.
        missed: u64,
    },
    MessagesDropped {
        /// The `alertname` of one of them, where it is known.
        first: Option<String>,
        destination: Destination,
        reason: DropReason,
        count: usize,
    },
    PersistFailed {
        reason: String,
    },
    /// What one [`Input::RulesLoaded`](crate::Input::RulesLoaded) brought is in force, or will be when the evaluation
    /// that is under way has ended. Comes after the events of its groups.
    RulesTakenOver,
    RuleEvaluated {
        ticket: Ticket,
        took: Duration,
        /// The error is the query's, or says why its result was not taken.
        outcome: Result<(), String>,
    },
    /// The storage did not take a rule's samples, or some of them.
    SamplesRefused {
        ticket: Ticket,
        count: usize,
        reason: String,
    },
    /// A group's samples could not be written at all.
    WriteFailed {
        ticket: Ticket,
        reason: String,
    },
}
