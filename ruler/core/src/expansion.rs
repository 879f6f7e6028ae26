//! An alerting rule's templates, expanded for each element of its result.
use std::sync::Arc;

use model::{Labels, SampleValue};
use template::{AlertTemplateData, Host, Limits, RenderError, Template, Value};

use crate::alerting::AlertElement;
use crate::plan::RulePlan;

/// What a rule's alert or template sees of a value: of a histogram nothing, as in Prometheus.
#[must_use]
pub fn alert_value(value: &SampleValue) -> f64 {
    value.as_float().unwrap_or_default()
}

/// The element with its labels and annotations expanded. A template that fails does not fail its alert: its text says
/// what went wrong. `expanded` hears of each expansion that was more than a constant text.
pub fn alert_element(
    plan: &RulePlan,
    data: AlertTemplateData,
    host: &dyn Host,
    expanded: &mut dyn FnMut(Option<&RenderError>),
) -> AlertElement {
    let (series, value) = (data.labels.clone(), data.value);
    let data: Value = data.into();
    let mut all = |templates: &[(Arc<str>, Template)]| {
        let texts = templates.iter().map(|(name, template)| {
            let text = expand(template, &data, host, expanded);
            (name, text)
        });
        Labels::from_pairs(texts.collect::<Vec<_>>())
    };
    AlertElement {
        rule_labels: all(&plan.labels),
        annotations: all(&plan.annotations),
        series,
        value,
    }
}

fn expand(
    template: &Template,
    data: &Value,
    host: &dyn Host,
    expanded: &mut dyn FnMut(Option<&RenderError>),
) -> String {
    if let Some(text) = template.constant() {
        return text.to_owned();
    }
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
