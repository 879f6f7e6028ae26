//! Computes an expression from the leaves up, all steps of a node at a time.
//!
//! How functions and aggregations are computed stands in `evaluate_*.rs`, as more of [`Evaluator`]'s methods.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of expression that it is about"
)]

use std::cell::RefCell;

use model::go_quote::quote;
use model::{Sample, Timestamp};

use crate::annotations::Annotations;
use crate::answer::{Answer, EvalError, QueryValue};
use crate::arithmetic::{Computed, compute, scalar, truth};
use crate::ast::{Binary, BinaryOp, Expr, Unary};
use crate::context::Context;
use crate::invariance::is_invariant;
use crate::query::Query;
use crate::reader::{Series, SeriesReader};
use crate::selection::{Sources, instant_values};
use crate::table::{ABSENT, Steps, Table, is_absent};
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
        })
    }

    pub(crate) fn answer(self, value: QueryValue) -> Answer {
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
            repeated(self.computed(expr, once)?, steps.count, &self.context)?
        } else {
            self.computed(expr, steps)?
        };
        let kept = match &value {
            Value::Ranges(series) => series.iter().map(|series| series.samples.len()).sum(),
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
                let table =
                    instant_values(&self.context, &series, node, steps, |sample| sample.value)?;
                Ok(Value::Vector(table))
            }
            Expr::Text(node) => Ok(Value::Text(node.value.clone())),
            Expr::Unary(node) => self.unary(node, steps),
        }
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
                table.map(|_, value| -value);
                table.drop_names(self.delayed)?;
                Ok(Value::Vector(table))
            }
            Value::Ranges(_) | Value::Text(_) => Err(mistyped()),
        }
    }

    fn binary(&self, node: &Binary, steps: Steps) -> Result<Value, EvalError> {
        let left = self.value(&node.lhs, steps)?;
        let right = self.value(&node.rhs, steps)?;
        if matches!(node.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            self.check_trim(node, &left, &right)?;
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
                vector_matching::combine(node, &matching, left, right, self.delayed)
                    .map(Value::Vector)
            }
            (Value::Ranges(_) | Value::Text(_), _) | (_, Value::Ranges(_) | Value::Text(_)) => {
                Err(mistyped())
            }
        }
    }

    /// Trimming is for histograms: between scalars it is an error, on floats of a vector it comes to nothing.
    fn check_trim(&self, node: &Binary, left: &Value, right: &Value) -> Result<(), EvalError> {
        let op = node.op.as_str();
        let has_floats = |value: &Value| matches!(value, Value::Vector(table) if table.cells() > 0);
        if matches!((left, right), (Value::Scalar(_), Value::Scalar(_))) {
            return Err(EvalError::Execution(format!(
                "operator {} not allowed for Scalar operations",
                quote(op)
            )));
        }
        if has_floats(left) || has_floats(right) {
            self.annotations.borrow_mut().inform(
                node.lhs.span(),
                &format!(
                    "incompatible sample types encountered for binary operator {}: float {op} float",
                    quote(op)
                ),
            );
        }
        Ok(())
    }

    /// A comparison keeps the vector's value, on whichever side it stands.
    fn with_scalar(
        &self,
        node: &Binary,
        mut table: Table,
        scalars: &[f64],
        scalar_first: bool,
    ) -> Result<Table, EvalError> {
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
        table.prune();
        if node.return_bool || !node.op.is_comparison() {
            table.drop_names(self.delayed)?;
        }
        Ok(table)
    }
}

/// Parsing has seen to it that this does not happen.
pub(crate) fn mistyped() -> EvalError {
    EvalError::Execution("expression has an unexpected type".to_owned())
}

pub(crate) fn samples_of(values: &[f64], steps: Steps) -> Vec<Sample> {
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
            context.charge(table.rows.len().saturating_mul(count))?;
            let mut values = Vec::with_capacity(table.rows.len() * count);
            for value in table.values {
                values.resize(values.len() + count, value);
            }
            Value::Vector(Table {
                steps: count,
                rows: table.rows,
                values,
            })
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
