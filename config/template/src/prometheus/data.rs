//! What the templates of an alerting rule are given.
use model::Labels;

/// The dot of a rule's label and annotation templates, Prometheus 3.14.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertTemplateData {
    /// All labels of the result's element, its metric name among them.
    pub labels: Labels,
    pub external_labels: Labels,
    pub external_url: String,
    pub value: f64,
}
