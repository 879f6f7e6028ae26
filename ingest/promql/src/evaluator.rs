//! Computes an expression from the leaves up, all steps of a node at a time.
//!
//! How functions and aggregations are computed stands in `evaluate_*.rs`, as more of [`Evaluator`]'s methods.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of expression that it is about"
)]

use std::cell::RefCell;

use model::go_quote::quote;
use model::{HistogramSample, Sample, Timestamp};

use crate::annotations::Annotations;
use crate::answer::{Answer, EvalError, QueryValue};
use crate::arithmetic::{Computed, compute, scalar, truth};
use crate::ast::{Binary, BinaryOp, Expr, Unary, VectorSelector};
use crate::context::Context;
use crate::histogram_binary::{self, BinaryNotes, Outcome};
use crate::invariance::is_invariant;
use crate::query::Query;
use crate::reader::{Series, SeriesReader};
use crate::selection::{Sources, Wanted, instant_values, size};
use crate::table::{ABSENT, Cell, Steps, Table, is_absent};
use crate::vector_matching;

/// What an expression comes to at the steps asked for.
pub(crate) enum Value {
    /// Range vectors, at one step.
    Ranges(Vec<Series>),
    /// One number a step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Table),
}

pub(crate) struct Evaluator<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) reader: &'a dyn SeriesReader,
    pub(crate) sources: Sources,
    pub(crate) annotations: RefCell<Annotations<'a>>,
    pub(crate) delayed: bool,
    pub(crate) heeds_starts: bool,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        query: &'a Query,
        reader: &'a dyn SeriesReader,
        context: Context<'a>,
        steps: Steps,
    ) -> Result<Self, EvalError> {
        let sources = Sources::read(&context, reader, query.expr(), steps)?;
        Ok(Self {
            context,
            reader,
            sources,
            annotations: RefCell::new(Annotations::new(query.text())),
            delayed: query.options().delayed_name_removal,
            heeds_starts: query.options().start_timestamps,
        })
    }

    pub(crate) fn answer(self, value: QueryValue) -> Answer {
        self.context.finish();
        let (warnings, infos) = self.annotations.into_inner().finish();
        Answer {
            value,
            warnings,
            infos,
        }
    }

    /// Computes `expr`, and counts of what that took only what is left of it.
    pub(crate) fn value(&self, expr: &Expr, steps: Steps) -> Result<Value, EvalError> {
        self.context.check_cancelled()?;
        let before = self.context.samples_used();
        let value = if steps.count > 1 && is_invariant(expr) {
            let once = Steps { count: 1, ..steps };
            let seen = self.context.seen.first();
            let value = self.computed(expr, once)?;
            self.context.seen.repeat_since(seen, steps.count);
            repeated(value, steps.count, &self.context)?
        } else {
            self.computed(expr, steps)?
        };
        let kept = match &value {
            Value::Ranges(series) => series.iter().map(size).sum(),
            Value::Scalar(values) => values.len(),
            Value::Text(_) => 0,
            Value::Vector(table) => table.cells(),
        };
        self.context.release_to(before, kept);
        // What an operator made of two tables must fit too.
        self.context.charge(0)?;
        Ok(value)
    }

    fn computed(&self, expr: &Expr, steps: Steps) -> Result<Value, EvalError> {
        match expr {
            Expr::Aggregate(node) => self.aggregate(node, steps).map(Value::Vector),
            Expr::Binary(node) => self.binary(node, steps),
            Expr::Call(node) => self.call(node, steps),
            Expr::Matrix(_) | Expr::Subquery(_) => {
                self.range_values(expr, steps).map(Value::Ranges)
            }
            Expr::Number(node) => Ok(Value::Scalar(vec![node.value; steps.count])),
            Expr::Paren(node) => self.computed(&node.expr, steps),
            Expr::Selector(node) => {
                let series = self.sources.of(node);
                self.instant_values(&series, node, steps, Wanted::Value)
                    .map(Value::Vector)
            }
            Expr::Text(node) => Ok(Value::Text(node.value.clone())),
            Expr::Unary(node) => self.unary(node, steps),
        }
    }

    pub(crate) fn instant_values(
        &self,
        series: &[Series],
        selector: &VectorSelector,
        steps: Steps,
        wanted: Wanted,
    ) -> Result<Table, EvalError> {
        instant_values(
            &self.context,
            &self.annotations,
            series,
            selector,
            steps,
            wanted,
        )
    }

    pub(crate) fn vector(&self, expr: &Expr, steps: Steps) -> Result<Table, EvalError> {
        match self.value(expr, steps)? {
            Value::Vector(table) => Ok(table),
            Value::Ranges(_) | Value::Scalar(_) | Value::Text(_) => Err(mistyped()),
        }
    }

    pub(crate) fn scalars(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, EvalError> {
        match self.value(expr, steps)? {
            Value::Scalar(values) => Ok(values),
            Value::Ranges(_) | Value::Text(_) | Value::Vector(_) => Err(mistyped()),
        }
    }

    fn unary(&self, node: &Unary, steps: Steps) -> Result<Value, EvalError> {
        let value = self.value(&node.expr, steps)?;
        if !node.negate {
            return Ok(value);
        }
        match value {
            Value::Scalar(mut values) => {
                for value in &mut values {
                    *value = -*value;
                }
                Ok(Value::Scalar(values))
            }
            Value::Vector(mut table) => {
                if table.has_histograms() {
                    table.map_cells(|_, cell| match cell {
                        Cell::Absent => Cell::Absent,
                        Cell::Float(value) => Cell::Float(-value),
                        Cell::Histogram(histogram) => {
                            Cell::histogram(Some((**histogram).clone().scaled(-1.0)))
                        }
                    });
                } else {
                    table.map(|_, value| -value);
                }
                table.drop_names(self.delayed)?;
                Ok(Value::Vector(table))
            }
            Value::Ranges(_) | Value::Text(_) => Err(mistyped()),
        }
    }

    fn binary(&self, node: &Binary, steps: Steps) -> Result<Value, EvalError> {
        let left = self.value(&node.lhs, steps)?;
        let right = self.value(&node.rhs, steps)?;
        if is_trim(node.op) && matches!((&left, &right), (Value::Scalar(_), Value::Scalar(_))) {
            return Err(EvalError::Execution(format!(
                "operator {} not allowed for Scalar operations",
                quote(node.op.as_str())
            )));
        }
        match (left, right) {
            (Value::Scalar(mut left), Value::Scalar(right)) => {
                for (left, right) in left.iter_mut().zip(right) {
                    *left = scalar(node.op, *left, right);
                }
                Ok(Value::Scalar(left))
            }
            (Value::Vector(table), Value::Scalar(scalars)) => self
                .with_scalar(node, table, &scalars, false)
                .map(Value::Vector),
            (Value::Scalar(scalars), Value::Vector(table)) => self
                .with_scalar(node, table, &scalars, true)
                .map(Value::Vector),
            (Value::Vector(left), Value::Vector(right)) => {
                let matching = node.matching.clone().unwrap_or_default();
                let notes = self.binary_notes(node);
                vector_matching::combine(
                    node,
                    &matching,
                    left,
                    right,
                    self.delayed,
                    notes,
                    &self.context,
                )
                .map(Value::Vector)
            }
            (Value::Ranges(_) | Value::Text(_), _) | (_, Value::Ranges(_) | Value::Text(_)) => {
                Err(mistyped())
            }
        }
    }

    /// What an operator says is about the whole of it, which begins where its left side does.
    fn binary_notes(&self, node: &Binary) -> BinaryNotes<'_, 'a> {
        BinaryNotes {
            annotations: &self.annotations,
            span: node.lhs.span(),
        }
    }

    /// A comparison keeps the vector's value, on whichever side it stands.
    fn with_scalar(
        &self,
        node: &Binary,
        mut table: Table,
        scalars: &[f64],
        scalar_first: bool,
    ) -> Result<Table, EvalError> {
        if table.has_histograms() || is_trim(node.op) {
            let notes = self.binary_notes(node);
            table.map_cells(|step, cell| {
                let scalar = Cell::Float(scalars[step]);
                let outcome = if scalar_first {
                    histogram_binary::combine(node.op, &scalar, cell, notes)
                } else {
                    histogram_binary::combine(node.op, cell, &scalar, notes)
                };
                match outcome {
                    Outcome::Holds(holds) if node.return_bool => Cell::Float(truth(holds)),
                    Outcome::Holds(true) => cell.clone(),
                    Outcome::Holds(false) | Outcome::Nothing => Cell::Absent,
                    Outcome::Value(value) => value,
                }
            });
            return self.with_scalar_done(node, table);
        }
        table.map(|step, value| {
            let computed = if scalar_first {
                compute(node.op, scalars[step], value)
            } else {
                compute(node.op, value, scalars[step])
            };
            match computed {
                Computed::Holds(holds) if node.return_bool => truth(holds),
                Computed::Holds(true) => value,
                Computed::Holds(false) | Computed::Undefined => ABSENT,
                Computed::Value(value) => value,
            }
        });
        self.with_scalar_done(node, table)
    }

    fn with_scalar_done(&self, node: &Binary, mut table: Table) -> Result<Table, EvalError> {
        table.prune();
        if node.return_bool || !(node.op.is_comparison() || is_trim(node.op)) {
            table.drop_names(self.delayed)?;
        }
        Ok(table)
    }
}

/// Parsing has seen to it that this does not happen.
pub(crate) fn mistyped() -> EvalError {
    EvalError::Execution("expression has an unexpected type".to_owned())
}

fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

/// A row as a series with a sample a step.
pub(crate) fn series_of(table: &Table, row: usize, steps: Steps) -> Series {
    let mut series = Series {
        labels: table.rows[row].labels.clone(),
        samples: samples_of(table.row_values(row), steps),
        ..Series::default()
    };
    if table.row_has_histograms(row) {
        for step in 0..steps.count {
            if let Some(histogram) = table.histogram(row, step) {
                series.histograms.push(HistogramSample {
                    timestamp: Timestamp::from_millis(steps.at(step)),
                    start: Timestamp::default(),
                    histogram: histogram.clone(),
                });
            }
        }
    }
    series
}

fn samples_of(values: &[f64], steps: Steps) -> Vec<Sample> {
    values
        .iter()
        .enumerate()
        .filter(|(_, value)| !is_absent(**value))
        .map(|(step, value)| Sample {
            timestamp: Timestamp::from_millis(steps.at(step)),
            value: *value,
        })
        .collect()
}

/// The value of one step at every step.
fn repeated(value: Value, count: usize, context: &Context<'_>) -> Result<Value, EvalError> {
    Ok(match value {
        Value::Scalar(values) => Value::Scalar(vec![values[0]; count]),
        Value::Vector(table) => {
            context.charge(table.cells().saturating_mul(count))?;
            Value::Vector(table.repeated(count))
        }
        value @ (Value::Ranges(_) | Value::Text(_)) => value,
    })
}

pub(crate) fn text_of(expr: &Expr) -> &str {
    match expr.unwrapped() {
        Expr::Text(node) => &node.value,
        _ => "",
    }
}
