//! `sum`, `avg`, `count` and `group` where histograms are among the values.
use std::cell::RefCell;

use crate::annotations::{Annotations, HistogramOperation};
use crate::ast::AggregateOp;
use crate::histogram_window::{Adding, Total};
use crate::kahan::{KahanMean, KahanSum};
use crate::span::Span;
use crate::table::{Cell, Table};

/// What a group has come to at a step.
#[derive(Clone, Debug, Default)]
struct Folding {
    members: f64,
    floats: Option<(KahanSum, KahanMean)>,
    histograms: Option<Adding>,
    /// Buckets of two kinds met: nothing comes of it.
    is_spoilt: bool,
}

/// Fills `out`, which has a row for each group; `groups` has the group of each row of `input`.
pub(crate) fn fold(
    op: AggregateOp,
    input: &Table,
    groups: &[usize],
    out: &mut Table,
    span: Span,
    annotations: &RefCell<Annotations<'_>>,
) {
    let wanted = if op == AggregateOp::Avg {
        Total::Average
    } else {
        Total::Sum
    };
    for step in 0..input.steps {
        let mut states = vec![Folding::default(); out.rows.len()];
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group];
            match input.cell(row, step) {
                Cell::Absent => continue,
                Cell::Float(value) => match &mut state.floats {
                    Some((sum, mean)) => {
                        *sum = sum.plus(value);
                        mean.add(value);
                    }
                    floats @ None => {
                        let begin = (KahanSum::starting_at(value), KahanMean::starting_at(value));
                        *floats = Some(begin);
                    }
                },
                Cell::Histogram(histogram) => {
                    let sums = matches!(op, AggregateOp::Sum | AggregateOp::Avg);
                    match &mut state.histograms {
                        Some(adding) if sums => {
                            if adding.add(&histogram).is_err() {
                                state.is_spoilt = true;
                                let metric = input.rows[row].labels.metric_name();
                                annotations
                                    .borrow_mut()
                                    .mixed_buckets(span, metric.unwrap_or_default());
                            }
                        }
                        Some(_) => {}
                        none @ None => *none = Some(Adding::starting_at(&histogram, wanted)),
                    }
                }
            }
            state.members += 1.0;
        }
        for (group, state) in states.into_iter().enumerate() {
            if state.members > 0.0 {
                let cell = finished(op, state, span, annotations);
                out.set_cell(group, step, cell);
            }
        }
    }
    out.prune();
}

fn finished(
    op: AggregateOp,
    state: Folding,
    span: Span,
    annotations: &RefCell<Annotations<'_>>,
) -> Cell {
    match op {
        AggregateOp::Count => return Cell::Float(state.members),
        AggregateOp::Group => return Cell::Float(1.0),
        AggregateOp::Avg
        | AggregateOp::BottomK
        | AggregateOp::CountValues
        | AggregateOp::LimitK
        | AggregateOp::LimitRatio
        | AggregateOp::Max
        | AggregateOp::Min
        | AggregateOp::Quantile
        | AggregateOp::StdDev
        | AggregateOp::StdVar
        | AggregateOp::Sum
        | AggregateOp::TopK => {}
    }
    let is_average = op == AggregateOp::Avg;
    match (state.floats, state.histograms) {
        (Some(_), Some(_)) => {
            annotations.borrow_mut().mixed_in_aggregation(span);
            Cell::Absent
        }
        (Some((_, mean)), None) if is_average => Cell::Float(mean.value()),
        (Some((sum, _)), None) => Cell::Float(sum.value()),
        (None, Some(adding)) => {
            let mut annotations = annotations.borrow_mut();
            if adding.hints_conflict() {
                annotations.conflicting_resets(span, HistogramOperation::Aggregation);
            }
            if adding.reconciled {
                annotations.reconciled_bounds(span, HistogramOperation::Aggregation);
            }
            if state.is_spoilt {
                Cell::Absent
            } else {
                Cell::histogram(Some(adding.value()))
            }
        }
        (None, None) => Cell::Absent,
    }
}
