//! The verbs by which every core is driven.
use crate::time::Timestamp;

/// A state machine that decides and never does.
///
/// The driver tells it what happened and what time it is, carries out the commands it answers with, and wakes
/// it at the deadline it names. It reads no clock, draws no random number and performs no IO, so the same
/// inputs always give the same commands and events.
pub trait Machine {
    /// What happened.
    type Input;
    /// An order to the shell. The shell carries orders out in the order in which they are polled.
    type Command;
    /// What was decided and why, for logs, metrics and explanations; the machine itself neither logs nor counts.
    type Event;

    fn handle(&mut self, input: Self::Input, now: Timestamp);

    /// Does what is due at `now`: bounded work a call; what is left is due again at once.
    fn handle_timeout(&mut self, now: Timestamp);

    fn poll_command(&mut self) -> Option<Self::Command>;

    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`Machine::handle_timeout`] next; `None` while nothing waits for time.
    fn poll_timeout(&self) -> Option<Timestamp>;
}
