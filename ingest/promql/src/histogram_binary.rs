//! Binary operators where a side is a histogram, and what cannot be combined.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the operators that it is about"
)]

use std::cell::RefCell;
use std::sync::Arc;

use model::Histogram;
use model::histogram::ResetHint;

use crate::annotations::{Annotations, HistogramOperation};
use crate::arithmetic::{Computed, compute};
use crate::ast::BinaryOp;
use crate::native_histogram::{Kept, trimmed};
use crate::span::Span;
use crate::table::Cell;

/// What an operator makes of two values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A comparison and its answer.
    Holds(bool),
    /// The kinds do not fit the operator; that has been said.
    Nothing,
    Value(Cell),
}

/// Where an operator says what it noticed.
#[derive(Clone, Copy)]
pub(crate) struct BinaryNotes<'a, 'b> {
    pub(crate) annotations: &'a RefCell<Annotations<'b>>,
    pub(crate) span: Span,
}

pub(crate) fn combine(
    op: BinaryOp,
    left: &Cell,
    right: &Cell,
    notes: BinaryNotes<'_, '_>,
) -> Outcome {
    let outcome = match (left, right) {
        (Cell::Float(left), Cell::Float(right)) => match compute(op, *left, *right) {
            Computed::Holds(holds) => Some(Outcome::Holds(holds)),
            Computed::Undefined => None,
            Computed::Value(value) => Some(Outcome::Value(Cell::Float(value))),
        },
        (Cell::Histogram(left), Cell::Histogram(right)) => both(op, left, right, notes),
        (Cell::Histogram(left), Cell::Float(right)) => match op {
            BinaryOp::Mul => Some((**left).clone().scaled(*right).compacted()),
            BinaryOp::Div => Some((**left).clone().divided(*right).compacted()),
            BinaryOp::TrimLower => Some(trimmed(left, *right, Kept::Above)),
            BinaryOp::TrimUpper => Some(trimmed(left, *right, Kept::Below)),
            _ => None,
        }
        .map(value),
        (Cell::Float(left), Cell::Histogram(right)) => match op {
            BinaryOp::Mul => Some(value((**right).clone().scaled(*left).compacted())),
            _ => None,
        },
        (Cell::Absent, _) | (_, Cell::Absent) => return Outcome::Nothing,
    };
    outcome.unwrap_or_else(|| {
        notes.annotations.borrow_mut().incompatible_types(
            notes.span,
            kind(left),
            op.as_str(),
            kind(right),
        );
        Outcome::Nothing
    })
}

fn value(histogram: Histogram) -> Outcome {
    Outcome::Value(Cell::Histogram(Arc::new(histogram)))
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Histogram(_) => "histogram",
        Cell::Absent | Cell::Float(_) => "float",
    }
}

/// `None` where the operator is not for two histograms.
fn both(
    op: BinaryOp,
    left: &Histogram,
    right: &Histogram,
    notes: BinaryNotes<'_, '_>,
) -> Option<Outcome> {
    let mut total = left.clone();
    let (outcome, operation) = match op {
        BinaryOp::Add => (total.add(right), HistogramOperation::Addition),
        BinaryOp::Sub => (total.subtract(right), HistogramOperation::Subtraction),
        BinaryOp::Equal => return Some(Outcome::Holds(left.is_same(right))),
        BinaryOp::NotEqual => return Some(Outcome::Holds(!left.is_same(right))),
        _ => return None,
    };
    let mut annotations = notes.annotations.borrow_mut();
    let Ok(reconciled) = outcome else {
        annotations.incompatible_layout(notes.span, op.as_str());
        return Some(Outcome::Nothing);
    };
    if reconciled.hints_conflict {
        annotations.conflicting_resets(notes.span, operation);
    }
    if reconciled.bounds {
        annotations.reconciled_bounds(notes.span, operation);
    }
    if op == BinaryOp::Sub {
        // A difference may be negative.
        total.reset_hint = ResetHint::Gauge;
    }
    Some(value(total.compacted()))
}
