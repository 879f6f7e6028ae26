//! Function calls over range vectors: one series after the other, the window sliding over its samples.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use std::borrow::Cow;

use model::{Labels, Sample};

use crate::absence::absent;
use crate::answer::EvalError;
use crate::ast::{Boundary, Call, Expr, ValueType};
use crate::boundary_functions;
use crate::evaluator::{Evaluator, mistyped, samples_of};
use crate::function::FunctionKind;
use crate::reader::Series;
use crate::selection::without_stale;
use crate::table::{ABSENT, SAME_LABELS, Steps, Table, is_absent, without_metadata};
use crate::window_functions::{self, Window};

/// One series of a range vector.
struct RangeSeries<'a> {
    labels: &'a Labels,
    drop_name: bool,
    samples: Cow<'a, [Sample]>,
    /// Where the windows end.
    ends: Steps,
    /// How long the windows are.
    millis: i64,
    boundary: Boundary,
}

impl Evaluator<'_> {
    pub(crate) fn window_call(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        let mut table = self.window_call_with_names(node, kind, steps)?;
        if drops_name(kind) {
            table.drop_names(self.delayed)?;
        }
        Ok(table)
    }

    /// The same, but the series keep their names.
    pub(crate) fn window_call_with_names(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        let mut matrix = &node.args[0];
        let mut scalars = Vec::new();
        let mut scalar_spans = Vec::new();
        for arg in &node.args {
            if arg.value_type() == ValueType::Matrix {
                matrix = arg;
            } else {
                scalars.push(self.scalars(arg, steps)?);
                scalar_spans.push(arg);
            }
        }
        self.check_window_arguments(kind, &scalars, &scalar_spans)?;
        if let Expr::Matrix(node_matrix) = matrix.unwrapped() {
            boundary_functions::check(kind, node_matrix.selector.boundary, node.function.name)
                .map_err(EvalError::Execution)?;
        }
        let mut table = Table::new(steps.count);
        let mut scratch = Vec::new();
        let mut values = Vec::with_capacity(steps.count);
        let mut not_counters: Vec<String> = Vec::new();
        self.each_range(matrix, steps, |range| {
            self.slide(range, kind, &scalars, steps, &mut scratch, &mut values);
            if values.iter().all(|value| is_absent(*value)) {
                return Ok(());
            }
            self.context.charge(steps.count)?;
            if matches!(kind, FunctionKind::Rate | FunctionKind::Increase)
                && let Some(name) = range.labels.metric_name()
                && !is_counter_name(name)
                && not_counters.last().is_none_or(|last| last != name)
            {
                not_counters.push(name.to_owned());
            }
            let row = table.add_row(range.labels.clone(), range.drop_name);
            let begin = row * steps.count;
            table.values[begin..].copy_from_slice(&values);
            Ok(())
        })?;
        for name in not_counters {
            self.annotations
                .borrow_mut()
                .not_a_counter(matrix.span(), &name);
        }
        if kind == FunctionKind::AbsentOverTime {
            let present: Vec<bool> = (0..steps.count)
                .map(|step| (0..table.rows.len()).any(|row| !is_absent(table.value(row, step))))
                .collect();
            return Ok(absent(matrix, &present));
        }
        Ok(table)
    }

    /// The function's values over one series, step by step.
    fn slide(
        &self,
        range: &RangeSeries<'_>,
        kind: FunctionKind,
        scalars: &[Vec<f64>],
        steps: Steps,
        scratch: &mut Vec<f64>,
        values: &mut Vec<f64>,
    ) {
        values.clear();
        // Edges that are made of neighbours need those that the lookback reaches.
        let (before, behind) = match range.boundary {
            Boundary::Plain => (0, 0),
            Boundary::Anchored => (self.context.lookback, 0),
            Boundary::Smoothed => (self.context.lookback, self.context.lookback),
        };
        let scalar =
            |index: usize, step: usize| scalars.get(index).map_or(0.0, |values| values[step]);
        let samples = range.samples.as_ref();
        let (mut low, mut high) = (0, 0);
        for step in 0..steps.count {
            let end = range.ends.at(step);
            let start = end.saturating_sub(range.millis);
            low = advanced(samples, low, start.saturating_sub(before), steps);
            high = advanced(samples, high.max(low), end.saturating_add(behind), steps);
            let window = Window {
                samples: &samples[low..high],
                start,
                end,
                at: steps.at(step),
            };
            let value = match range.boundary {
                _ if window.samples.is_empty() => None,
                Boundary::Plain => {
                    let scalars = [scalar(0, step), scalar(1, step)];
                    window_functions::compute(kind, &window, scalars, scratch)
                }
                boundary => boundary_functions::compute(kind, boundary, &window),
            };
            values.push(value.unwrap_or(ABSENT));
        }
    }

    fn check_window_arguments(
        &self,
        kind: FunctionKind,
        scalars: &[Vec<f64>],
        args: &[&Expr],
    ) -> Result<(), EvalError> {
        match kind {
            FunctionKind::QuantileOverTime => self.check_quantiles(args[0], &scalars[0]),
            FunctionKind::DoubleExponentialSmoothing => {
                for (values, name, short) in [
                    (&scalars[0], "smoothing", "sf"),
                    (&scalars[1], "trend", "tf"),
                ] {
                    if let Some(wrong) =
                        values.iter().find(|value| **value <= 0.0 || **value >= 1.0)
                    {
                        return Err(EvalError::Execution(format!(
                            "invalid {name} factor. Expected: 0 < {short} < 1, got: {wrong:.6}"
                        )));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Calls `each` with the samples of every series of a range vector.
    fn each_range(
        &self,
        expr: &Expr,
        steps: Steps,
        mut each: impl FnMut(&RangeSeries<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        match expr.unwrapped() {
            Expr::Matrix(node) => {
                let selector = &node.selector;
                let ends = self.context.moved(selector.at, &selector.offset, steps)?;
                let millis = self.context.positive_millis(&node.range)?;
                for series in self.sources.of(selector).iter() {
                    self.context.check_cancelled()?;
                    each(&RangeSeries {
                        labels: &series.labels,
                        drop_name: false,
                        samples: without_stale(&series.samples),
                        ends,
                        millis,
                        boundary: selector.boundary,
                    })?;
                }
                Ok(())
            }
            Expr::Subquery(node) => {
                let ends = self.context.moved(node.at, &node.offset, steps)?;
                let millis = self.context.positive_millis(&node.range)?;
                let inner = self.context.subquery_steps(node, steps)?;
                self.context.charge(inner.count)?;
                let table = self.vector(&node.expr, inner)?;
                for (row, meta) in table.rows.iter().enumerate() {
                    self.context.check_cancelled()?;
                    each(&RangeSeries {
                        labels: &meta.labels,
                        drop_name: meta.drop_name,
                        samples: Cow::Owned(samples_of(table.row_values(row), inner)),
                        ends,
                        millis,
                        boundary: Boundary::Plain,
                    })?;
                }
                Ok(())
            }
            _ => Err(mistyped()),
        }
    }

    /// A range vector as the answer of an instant query.
    pub(crate) fn range_values(&self, expr: &Expr, steps: Steps) -> Result<Vec<Series>, EvalError> {
        let mut found = Vec::new();
        self.each_range(expr, steps, |range| {
            let end = range.ends.at(0);
            let inside = |sample: &&Sample| {
                let at = sample.timestamp.as_millis();
                at > end.saturating_sub(range.millis) && at <= end
            };
            let samples: Vec<Sample> = range.samples.iter().filter(inside).copied().collect();
            if !samples.is_empty() {
                let labels = if range.drop_name {
                    without_metadata(range.labels)
                } else {
                    range.labels.clone()
                };
                found.push(Series { labels, samples });
            }
            Ok(())
        })?;
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        if found
            .windows(2)
            .any(|pair| pair[0].labels == pair[1].labels)
        {
            return Err(EvalError::Execution(SAME_LABELS.to_owned()));
        }
        Ok(found)
    }
}

/// Whether the function's values mean something else than the series' samples.
pub(crate) fn drops_name(kind: FunctionKind) -> bool {
    !matches!(
        kind,
        FunctionKind::AbsentOverTime | FunctionKind::FirstOverTime | FunctionKind::LastOverTime
    )
}

/// How many samples are not later than `until`, of which there are `known` at least. From step to step it is a short
/// walk, at the first a bisection.
fn advanced(samples: &[Sample], known: usize, until: i64, steps: Steps) -> usize {
    let reached = |sample: &Sample| sample.timestamp.as_millis() <= until;
    if steps.count == 1 {
        return known + samples[known..].partition_point(reached);
    }
    known
        + samples[known..]
            .iter()
            .take_while(|sample| reached(sample))
            .count()
}

fn is_counter_name(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}
