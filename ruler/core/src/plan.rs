//! What a rule needs to be run: parsed once, at load.
use std::sync::Arc;

use promql::Query;
use template::Template;

#[derive(Clone, Debug)]
pub struct RulePlan {
    pub query: Query,
    /// An alerting rule's labels and annotations by name; a recording rule has no templates.
    pub labels: Vec<(Arc<str>, Template)>,
    pub annotations: Vec<(Arc<str>, Template)>,
}
