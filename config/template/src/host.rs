//! What templates ask of the world: the time, and the metrics.
use model::{Labels, Timestamp};

/// One element of the answer to a template's `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    pub labels: Labels,
    pub value: f64,
}

/// The world as a template sees it. The engine itself has no clock and knows no metrics.
pub trait Host {
    /// The time of the evaluation (rules) or of the notification.
    fn now(&self) -> Timestamp;

    /// An instant query at the time of the evaluation, in the order in which the engine gives its elements.
    /// The error is what the engine says.
    fn query(&self, expr: &str) -> Result<Vec<QueryResult>, String>;
}

/// A host without metrics: for notifications, which know no `query`.
#[derive(Clone, Copy, Debug)]
pub struct AtTime(pub Timestamp);

impl Host for AtTime {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn query(&self, _expr: &str) -> Result<Vec<QueryResult>, String> {
        Err("no metrics can be queried here".to_owned())
    }
}
