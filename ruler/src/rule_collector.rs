//! Figures of each rule, written when somebody asks: between two scrapes they cost no memory.
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use ruler_core::RuleFigures;

use crate::metrics::group_labels;
use crate::views::Views;

#[derive(Clone, Default)]
pub(crate) struct RuleCollector {
    /// `None` where nobody wants them.
    views: Arc<RwLock<Option<Views>>>,
}

impl RuleCollector {
    pub(crate) fn watch(&self, views: Views) {
        *self.views.write() = Some(views);
    }
}

/// Name, help and figure.
type Shown = (&'static str, &'static str, fn(&RuleFigures) -> f64);

const SHOWN: [Shown; 6] = [
    (
        "watchbell_rule_evaluations",
        "Evaluations of the rule",
        |figures| figures.evaluations as f64,
    ),
    (
        "watchbell_rule_failures",
        "Evaluations of the rule whose query failed or whose result was not taken whole",
        |figures| figures.failures as f64,
    ),
    (
        "watchbell_rule_missed",
        "Slots that passed without an evaluation of the rule",
        |figures| figures.missed as f64,
    ),
    (
        "watchbell_rule_seconds",
        "Time that the rule took in queries, templates and writes",
        |figures| figures.took.as_secs_f64(),
    ),
    (
        "watchbell_rule_series_read",
        "Series that the rule's queries read",
        |figures| figures.series as f64,
    ),
    (
        "watchbell_rule_samples_read",
        "Samples that the rule's queries read",
        |figures| figures.samples as f64,
    ),
];

impl Collector for RuleCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(views) = self.views.read().clone() else {
            return Ok(());
        };
        let groups = views.all();
        for (name, help, figure) in SHOWN {
            let mut descriptor =
                encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (tenant, view) in &groups {
                let of_group = group_labels(tenant, &view.group.key);
                for (place, (rule, view)) in view.iter().enumerate() {
                    let mut labels = of_group.clone();
                    labels.push(("rule".to_owned(), rule.key.name.to_string()));
                    // Two rules of a group may have one name.
                    labels.push(("rule_number".to_owned(), (place + 1).to_string()));
                    let counter = ConstCounter::new(figure(&view.figures));
                    counter.encode(descriptor.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RuleCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RuleCollector").finish()
    }
}
