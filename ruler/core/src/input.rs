//! What happens to a ruler.
use std::sync::Arc;

use crate::evaluation::{Appended, Evaluated};
use crate::outbox::{Destination, SendOutcome};
use crate::rule::Group;

#[derive(Clone, Debug)]
pub enum Input {
    Appended(Appended),
    /// The Alertmanagers from here on; a new one is told of everything that fires.
    DestinationsChanged(Vec<Destination>),
    Evaluated(Evaluated),
    PersistFailed {
        reason: String,
    },
    /// All groups of the tenant, at the start and whenever one of them has changed.
    RulesLoaded(Vec<Arc<Group>>),
    Sent {
        destination: Destination,
        outcome: SendOutcome,
    },
    /// The log is to be shortened: a snapshot is to take the place of the records so far.
    SnapshotWanted,
}
