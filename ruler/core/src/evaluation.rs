//! What the ruler asks its shell about a rule, and what it hears back.
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::alerting::AlertElement;
use crate::recording::RecordedElement;
use crate::rule::{Group, GroupKey, Rule};
use crate::series::SampleBatch;

/// One rule in one iteration of its group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    pub group: GroupKey,
    /// The slot: the time of the evaluation, whenever it really happens.
    pub at: Timestamp,
    /// The rule's place in its group, from 0.
    pub rule: usize,
}

/// Run the rule's query at [`Evaluate::query_time`] and, for an alerting rule, expand its templates for each element.
#[derive(Clone, Debug)]
pub struct Evaluate {
    pub ticket: Ticket,
    pub group: Arc<Group>,
}

impl Evaluate {
    /// # Panics
    /// Never: the ruler makes tickets for rules that its groups have.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.group.rules[self.ticket.rule]
    }

    /// Templates see the slot itself; the query looks `query_offset` further back.
    #[must_use]
    pub fn query_time(&self) -> Timestamp {
        self.ticket.at - self.group.query_offset
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    pub ticket: Ticket,
    /// The error is what the engine says.
    pub outcome: Result<RuleResult, String>,
    pub took: Duration,
    pub cost: QueryCost,
}

/// What a rule's query, and those of its templates, read. Zero where the engine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryCost {
    pub series: usize,
    pub samples: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RuleResult {
    Alerting(Vec<AlertElement>),
    Recording(Vec<RecordedElement>),
}

/// Write what a rule gave. The group's next rule waits for the answer, so that it sees these samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// `None` for the series of rules that are gone: nobody waits for the answer.
    pub ticket: Option<Ticket>,
    pub batch: SampleBatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub ticket: Ticket,
    /// The error says why nothing at all was written.
    pub outcome: Result<AppendReport, String>,
    pub took: Duration,
}

/// What the storage did not take of a batch that it took otherwise; refused staleness markers do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    pub refused: Vec<RefusedSample>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSample {
    pub labels: Labels,
    /// Such as `out of order sample`.
    pub reason: String,
}
