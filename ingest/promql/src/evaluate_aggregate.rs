//! Aggregations with their parameters.
use model::go_number::format_g;
use model::go_quote::quote;
use model::is_label_name;

use crate::aggregate;
use crate::answer::EvalError;
use crate::ast::{Aggregate, AggregateOp, Boundary, Call, Expr, ValueType};
use crate::evaluate_window::{WindowRow, drops_name};
use crate::evaluator::{Evaluator, mistyped, text_of};
use crate::folding::{FoldedRow, Taker, fold_rows};
use crate::function::FunctionKind;
use crate::invariance::is_invariant;
use crate::reader::Series;
use crate::selection::each_instant;
use crate::table::{METADATA, Steps, Table, one_name};

impl Evaluator<'_> {
    pub(crate) fn aggregate(&self, node: &Aggregate, steps: Steps) -> Result<Table, EvalError> {
        let error = |text: String| Err(EvalError::Execution(text));
        let Some(param) = &node.param else {
            if let Some(folded) = self.folded_directly(node, steps)? {
                return Ok(folded);
            }
            let input = self.folded(node, steps)?;
            return aggregate::fold(node, &input, &self.annotations, &self.context);
        };
        if node.op == AggregateOp::CountValues {
            let label = text_of(param);
            if !is_label_name(label) || label.contains('\u{fffd}') {
                return error(format!("invalid label name {}", quote(label)));
            }
            let input = self.vector(&node.expr, steps)?;
            return aggregate::count_values(node, label, &input, &self.context);
        }
        let params = self.scalars(param, steps)?;
        match node.op {
            AggregateOp::Quantile => {
                let input = self.vector(&node.expr, steps)?;
                self.check_quantiles(param, &params);
                aggregate::note_ignored(node, &input, &self.annotations);
                aggregate::quantiles(node, &params, &input, &self.context)
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
                aggregate::first_rows(node, &counts, input, &self.context)
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
                aggregate::extremes(node, &counts, input, &self.context)
            }
        }
    }

    /// Folds the series of a selector, or what a function makes of each of their windows, one by one: a row of steps for
    /// every series would take the memory of a sample at every step, however few samples it has. `None` where the
    /// operand is of another kind, and where histograms are among its samples.
    fn folded_directly(&self, node: &Aggregate, steps: Steps) -> Result<Option<Table>, EvalError> {
        let operand = node.expr.unwrapped();
        if steps.count > 1 && is_invariant(operand) {
            return Ok(None);
        }
        let choice = aggregate::choice(node);
        let fold = |feed: &mut dyn FnMut(&mut Taker<'_>) -> Result<bool, EvalError>| {
            fold_rows(node.op, &choice, steps.count, &self.context, feed)
        };
        match operand {
            Expr::Selector(selector) if selector.boundary == Boundary::Plain => {
                let series = self.sources.of(selector);
                if series.iter().any(|one| !one.histograms.is_empty()) {
                    return Ok(None);
                }
                fold(&mut |take| {
                    each_instant(&self.context, &series, selector, steps, |labels, values| {
                        take(FoldedRow {
                            labels,
                            drop_name: false,
                            values,
                        })
                    })?;
                    Ok(true)
                })
            }
            Expr::Call(call) => {
                let kind = call.function.kind;
                let Some(Expr::Matrix(matrix)) = window_of(call) else {
                    return Ok(None);
                };
                let series = self.sources.of(&matrix.selector);
                let drops_name = drops_name(kind);
                let names_matter = drops_name
                    && !self.delayed
                    && (self.sees_metadata(node) || !have_one_name(&series));
                if names_matter
                    || kind == FunctionKind::AbsentOverTime
                    || series.iter().any(|one| !one.histograms.is_empty())
                {
                    return Ok(None);
                }
                fold(&mut |take| {
                    self.window_rows(call, kind, steps, |series, drop_name, row| match row {
                        WindowRow::Floats(values) => take(FoldedRow {
                            labels: &series.labels,
                            drop_name: drop_name || self.delayed && drops_name,
                            values,
                        }),
                        WindowRow::Cells(_) => Err(mistyped()),
                    })?;
                    Ok(true)
                })
            }
            Expr::Aggregate(_)
            | Expr::Binary(_)
            | Expr::Matrix(_)
            | Expr::Number(_)
            | Expr::Paren(_)
            | Expr::Selector(_)
            | Expr::Subquery(_)
            | Expr::Text(_)
            | Expr::Unary(_) => Ok(None),
        }
    }

    /// Whether the labels that operations drop with the name decide about the group.
    fn sees_metadata(&self, node: &Aggregate) -> bool {
        let named = |name: &String| METADATA.contains(&name.as_str());
        !node.without && node.grouping.iter().any(named)
    }

    /// What a fold works on. In `sum by (a) (rate(m[5m]))` nobody sees the names that `rate` drops, and where all series
    /// bear one name no two of them become alike without it: then they need not be dropped one by one.
    fn folded(&self, node: &Aggregate, steps: Steps) -> Result<Table, EvalError> {
        let sees_metadata = self.sees_metadata(node);
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

/// The range vector among the arguments.
fn window_of(call: &Call) -> Option<&Expr> {
    let mut args = call.args.iter();
    args.find(|arg| arg.value_type() == ValueType::Matrix)
        .map(Expr::unwrapped)
}

fn have_one_name(series: &[Series]) -> bool {
    one_name(series.iter().map(|one| &one.labels))
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
