//! What a ruler orders.
use crate::evaluation::{Append, Evaluate};
use crate::outbox::{Destination, Message};

/// To be carried out in order; [`Command::Persist`] before anything after it.
#[derive(Clone, Debug)]
pub enum Command {
    Append(Append),
    Evaluate(Evaluate),
    Persist(Persist),
    Send {
        destination: Destination,
        messages: Vec<Message>,
    },
}

/// Bytes for the log, to be given back to [`SavedState::replay`](crate::SavedState::replay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persist {
    Record(Vec<u8>),
    /// Takes the place of everything before it.
    Snapshot(Vec<u8>),
}
