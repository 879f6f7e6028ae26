//! What receivers are told beside a rule's own annotations while something is not as it should be.
use model::{Labels, LabelsBuilder, Timestamp};

/// The alert is told on although its rule's query fails.
pub const UNCONFIRMED: &str = "watchbell_unconfirmed";
/// The rule has more alerts than it may have.
pub const LEFT_OUT: &str = "watchbell_left_out";

/// Annotations by name; nearly always none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(Vec<(&'static str, String)>);

impl Notes {
    pub(crate) fn unconfirmed(&mut self, since: Timestamp, reason: &str) {
        let text = format!("since {}: {reason}", since.to_rfc3339_millis());
        self.0.push((UNCONFIRMED, text));
    }

    pub(crate) fn left_out(&mut self, count: usize) {
        self.0
            .push((LEFT_OUT, format!("{count} more alerts of this rule")));
    }

    pub(crate) fn on(&self, annotations: &Labels) -> Labels {
        if self.0.is_empty() {
            return annotations.clone();
        }
        let mut builder = LabelsBuilder::new(annotations);
        for (name, text) in &self.0 {
            builder.set(name, text);
        }
        builder.build()
    }
}
