//! Aggregations with their parameters.
use model::go_number::format_g;
use model::go_quote::quote;
use model::is_label_name;

use crate::aggregate;
use crate::answer::EvalError;
use crate::ast::{Aggregate, AggregateOp, Expr, ValueType};
use crate::evaluate_window::drops_name;
use crate::evaluator::{Evaluator, text_of};
use crate::invariance::is_invariant;
use crate::table::{METADATA, Steps, Table};

impl Evaluator<'_> {
    pub(crate) fn aggregate(&self, node: &Aggregate, steps: Steps) -> Result<Table, EvalError> {
        let error = |text: String| Err(EvalError::Execution(text));
        let Some(param) = &node.param else {
            let input = self.folded(node, steps)?;
            return Ok(aggregate::fold(node, &input, &self.annotations));
        };
        if node.op == AggregateOp::CountValues {
            let label = text_of(param);
            if !is_label_name(label) || label.contains('\u{fffd}') {
                return error(format!("invalid label name {}", quote(label)));
            }
            let input = self.vector(&node.expr, steps)?;
            return Ok(aggregate::count_values(node, label, &input));
        }
        let params = self.scalars(param, steps)?;
        match node.op {
            AggregateOp::Quantile => {
                let input = self.vector(&node.expr, steps)?;
                self.check_quantiles(param, &params);
                aggregate::note_ignored(node, &input, &self.annotations);
                Ok(aggregate::quantiles(node, &params, &input))
            }
            AggregateOp::LimitRatio => {
                if params.iter().any(|ratio| ratio.is_nan()) {
                    return error("Ratio value is NaN".to_owned());
                }
                let input = self.vector(&node.expr, steps)?;
                let ratios = self.capped_ratios(param, &params);
                Ok(aggregate::sampled(&ratios, input))
            }
            AggregateOp::LimitK => {
                let counts = aggregate::counts(&params)?;
                let input = self.vector(&node.expr, steps)?;
                Ok(aggregate::first_rows(node, &counts, input))
            }
            AggregateOp::Avg
            | AggregateOp::BottomK
            | AggregateOp::Count
            | AggregateOp::CountValues
            | AggregateOp::Group
            | AggregateOp::Max
            | AggregateOp::Min
            | AggregateOp::StdDev
            | AggregateOp::StdVar
            | AggregateOp::Sum
            | AggregateOp::TopK => {
                let counts = aggregate::counts(&params)?;
                let input = self.vector(&node.expr, steps)?;
                aggregate::note_ignored(node, &input, &self.annotations);
                Ok(aggregate::extremes(node, &counts, input))
            }
        }
    }

    /// What a fold works on. In `sum by (a) (rate(m[5m]))` nobody sees the names that `rate` drops, and where all series
    /// bear one name no two of them become alike without it: then they need not be dropped one by one.
    fn folded(&self, node: &Aggregate, steps: Steps) -> Result<Table, EvalError> {
        let sees_metadata = !node.without
            && node
                .grouping
                .iter()
                .any(|name| METADATA.contains(&name.as_str()));
        let once = steps.count > 1 && is_invariant(&node.expr);
        let Expr::Call(call) = node.expr.unwrapped() else {
            return self.vector(&node.expr, steps);
        };
        let kind = call.function.kind;
        let over_window = call.function.args.contains(&ValueType::Matrix) && drops_name(kind);
        if self.delayed || sees_metadata || once || !over_window {
            return self.vector(&node.expr, steps);
        }
        let before = self.context.samples_used();
        let mut table = self.window_call_with_names(call, kind, steps)?;
        if !table.has_one_name() {
            table.drop_names(self.delayed)?;
        }
        self.context.release_to(before, table.cells());
        Ok(table)
    }

    pub(crate) fn check_quantiles(&self, param: &Expr, quantiles: &[f64]) {
        let mut annotations = self.annotations.borrow_mut();
        for quantile in extremes_of(quantiles) {
            if quantile.is_nan() || !(0.0..=1.0).contains(&quantile) {
                annotations.invalid_quantile(param.span(), quantile);
            }
        }
    }

    fn capped_ratios(&self, param: &Expr, ratios: &[f64]) -> Vec<f64> {
        let mut annotations = self.annotations.borrow_mut();
        for ratio in extremes_of(ratios) {
            let capped = ratio.clamp(-1.0, 1.0);
            if capped != ratio {
                annotations.warn(
                    param.span(),
                    &format!(
                        "ratio value should be between -1 and 1, got {}, capping to {}",
                        format_g(ratio),
                        format_g(capped)
                    ),
                );
            }
        }
        ratios.iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect()
    }
}

/// NaN where there is one, then the largest and the smallest.
fn extremes_of(values: &[f64]) -> Vec<f64> {
    let numbers = || values.iter().copied().filter(|value| !value.is_nan());
    let mut extremes: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_nan())
        .take(1)
        .collect();
    extremes.extend(numbers().max_by(f64::total_cmp));
    extremes.extend(numbers().min_by(f64::total_cmp));
    extremes
}
