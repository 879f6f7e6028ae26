//! What is decided about rules: when each group is evaluated, what a result makes of a rule's alerts, who is told, what
//! is written and what is saved.
//!
//! One [`Ruler`] is the machine of one tenant. It is given [`Group`]s (compiled from rule files), orders evaluations, and
//! hears results whose templates are already expanded. Its alerts go through [`AlertState`], its messages through the
//! [`Outbox`], its changes through [`Record`]s that rebuild it after a restart ([`SavedState`]).
mod alert;
mod alerting;
mod announcement;
mod codec;
mod command;
mod compile;
#[cfg(test)]
mod compliance;
mod departed;
mod evaluation;
mod event;
mod expansion;
mod fair_turns;
mod group_state;
mod group_table;
mod input;
mod instant;
mod notes;
mod outbox;
mod plan;
mod record;
mod recording;
mod refusal;
#[cfg(test)]
mod rehearsal;
mod relabel;
mod restore;
mod rule;
mod rule_order;
mod rule_state;
mod rule_test;
mod rule_test_failure;
#[cfg(test)]
mod rule_test_tests;
mod ruler;
mod schedule;
mod series;
mod uploaded;
mod view;

pub use alert::{ActiveAlert, AlertState, AlertTiming, RESOLVED_RETENTION};
pub use alerting::{AlertElement, OutgoingAlert, Transition};
pub use codec::DecodeError;
pub use command::{Command, Persist};
pub use compile::{GroupDefaults, compile_groups};
pub use evaluation::{
    Append, AppendReport, Appended, Evaluate, Evaluated, QueryCost, RefusedSample, RuleResult,
    Ticket,
};
pub use event::Event;
pub use expansion::{alert_element, alert_value};
pub use fair_turns::FairTurns;
pub use group_state::LastIteration;
pub use input::Input;
pub use instant::instant_vector;
pub use notes::{LEFT_OUT, UNCONFIRMED};
pub use outbox::{
    BATCH_MAX, Destination, DropReason, Message, Outbox, SendOutcome, Settled, WAITING_MAX,
};
pub use plan::{RulePlan, RuleText};
pub use record::Record;
pub use recording::RecordedElement;
pub use refusal::{OverLimit, ResultRefused};
pub use relabel::relabel;
pub use restore::{DepartedAlert, OUTAGE_TOLERANCE, SavedRule, SavedState};
pub use rule::{Group, GroupKey, Rule, RuleClass, RuleKey, RuleKind};
pub use rule_order::RuleOrder;
pub use rule_state::{QUERY_FAILURE_GRACE, RuleFigures, RuleHealth};
pub use rule_test::{INPUT_VALUES_MAX, RuleTestRun, run_rule_test};
pub use rule_test_failure::{RuleTestFailure, TestedAlert, TestedSample};
pub use ruler::{Ruler, RulerOptions};
pub use schedule::Slots;
pub use series::{SampleBatch, SeriesValue};
pub use uploaded::{LimitExceeded, UploadLimits, Uploaded, UploadedGroups};
pub use view::{GroupView, RuleView};
