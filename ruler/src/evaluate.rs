//! Runs one rule: its query, then its templates for each element.
use std::cell::Cell;
use std::sync::Arc;

use ingest::SharedReads;
use model::{TenantId, Timestamp};
use promql::{Query, VectorSample};
use ruler_core::{
    AlertElement, Evaluate, QueryCost, RecordedElement, Rule, RuleKind, RuleResult, alert_element,
    alert_value,
};
use runtime::Trouble;
use template::{AlertTemplateData, Host, QueryResult};
use tokio::runtime::Handle;
use tracing::warn;

use crate::backend::{Backend, Queried};
use crate::external::{External, Outside};
use crate::metrics::RulerMetrics;

/// What every evaluation of a tenant's rules is given.
#[derive(Clone)]
pub(crate) struct Evaluation {
    pub(crate) tenant: TenantId,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) external: External,
    pub(crate) metrics: RulerMetrics,
    pub(crate) expanding: Arc<Trouble>,
}

/// Blocks until the engine has answered, so it belongs on a thread that may. The error is what the engine says. A template that fails does not fail its alert: its text says what went wrong.
pub(crate) fn evaluate(
    evaluation: &Evaluation,
    evaluate: &Evaluate,
    shared: Option<&SharedReads>,
    runtime: &Handle,
) -> (Result<RuleResult, String>, QueryCost) {
    let rule = evaluate.rule();
    let query = evaluation.backend.query(
        &evaluation.tenant,
        &rule.plan.query,
        evaluate.query_time(),
        shared,
    );
    let Queried { vector, cost } = match runtime.block_on(query) {
        Ok(queried) => queried,
        Err(reason) => return (Err(reason), QueryCost::default()),
    };
    let cost = Cell::new(cost);
    let result = match rule.kind {
        RuleKind::Recording => RuleResult::Recording(
            vector
                .into_iter()
                .map(|sample| RecordedElement {
                    series: sample.labels,
                    value: sample.value,
                })
                .collect(),
        ),
        RuleKind::Alerting { .. } => {
            let host = RuleHost {
                evaluation,
                outside: evaluation.external.current(),
                at: evaluate.ticket.at,
                cost: &cost,
                runtime,
            };
            RuleResult::Alerting(
                vector
                    .into_iter()
                    .map(|sample| element(rule, sample, &host))
                    .collect(),
            )
        }
    };
    (Ok(result), cost.get())
}

fn element(rule: &Rule, sample: VectorSample, host: &RuleHost<'_>) -> AlertElement {
    let data = AlertTemplateData {
        value: alert_value(&sample.value),
        labels: sample.labels,
        external_labels: host.outside.external_labels.clone(),
        external_url: host.outside.external_url.clone(),
    };
    let metrics = &host.evaluation.metrics;
    alert_element(rule, data, host, &mut |failed| {
        metrics.template_expansions.inc();
        let Some(error) = failed else { return };
        metrics.template_expansion_failures.inc();
        if let Some(left_out) = host.evaluation.expanding.happened() {
            let alert = &rule.key.name;
            warn!(tenant = %host.evaluation.tenant, %alert, %error, left_out, "expanding alert template failed");
        }
    })
}

/// The world as a rule's template sees it: at the group's slot, whatever the query offset is.
struct RuleHost<'a> {
    evaluation: &'a Evaluation,
    outside: Arc<Outside>,
    at: Timestamp,
    /// Of the rule's queries so far.
    cost: &'a Cell<QueryCost>,
    runtime: &'a Handle,
}

impl Host for RuleHost<'_> {
    fn now(&self) -> Timestamp {
        self.at
    }

    fn query(&self, expr: &str) -> Result<Vec<QueryResult>, String> {
        let evaluation = self.evaluation;
        let query =
            Query::compile(expr, &self.outside.language).map_err(|error| error.to_string())?;
        let answer = evaluation
            .backend
            .query(&evaluation.tenant, &query, self.at, None);
        let queried = self.runtime.block_on(answer)?;
        let before = self.cost.get();
        self.cost.set(QueryCost {
            series: before.series + queried.cost.series,
            samples: before.samples + queried.cost.samples,
        });
        Ok(queried
            .vector
            .into_iter()
            .map(|sample| QueryResult {
                value: alert_value(&sample.value),
                labels: sample.labels,
            })
            .collect())
    }
}
