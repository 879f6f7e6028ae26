//! An alerting rule's templates, expanded for each element of its result.
use model::{Labels, SampleValue};
use template::{AlertTemplateData, Host, Limits, RenderError, Value};

use crate::alerting::AlertElement;
use crate::plan::RuleText;
use crate::rule::Rule;

/// What a rule's alert or template sees of a value: of a histogram nothing, as in Prometheus.
#[must_use]
pub fn alert_value(value: &SampleValue) -> f64 {
    value.as_float().unwrap_or_default()
}

/// The element with its labels and annotations expanded. A template that fails does not fail its alert: its text says
/// what went wrong. `expanded` hears of each expansion that was more than a constant text.
pub fn alert_element(
    rule: &Rule,
    data: AlertTemplateData,
    host: &dyn Host,
    expanded: &mut dyn FnMut(Option<&RenderError>),
) -> AlertElement {
    let (series, value) = (data.labels.clone(), data.value);
    let data: Value = data.into();
    let mut expanded = |(name, text)| (name, expand(text, &data, host, expanded));
    AlertElement {
        rule_labels: Labels::from_pairs(rule.label_texts().map(&mut expanded)),
        annotations: Labels::from_pairs(rule.annotation_texts().map(&mut expanded)),
        series,
        value,
    }
}

fn expand(
    text: RuleText<'_>,
    data: &Value,
    host: &dyn Host,
    expanded: &mut dyn FnMut(Option<&RenderError>),
) -> String {
    let template = match text {
        RuleText::Constant(text) => return text.to_owned(),
        RuleText::Template(template) => template,
    };
    match template.render(data, host, &Limits::default()) {
        Ok(text) => {
            expanded(None);
            text
        }
        Err(error) => {
            expanded(Some(&error));
            format!("<error expanding template: {error}>")
        }
    }
}
