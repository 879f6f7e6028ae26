//! Runs a query and shapes its answer.
use std::time::Duration;

use model::go_quote::quote;
use model::{SampleValue, Timestamp};

use crate::answer::{Answer, EvalError, QueryValue, VectorSample};
use crate::ast::{AggregateOp, Expr, ValueType};
use crate::context::Context;
use crate::evaluator::{Evaluator, Value, series_of};
use crate::function::FunctionKind;
use crate::options::QueryLimits;
use crate::query::Query;
use crate::reader::{Series, SeriesReader};
use crate::table::{Cell, Steps, Table};

pub(crate) fn instant(
    query: &Query,
    reader: &dyn SeriesReader,
    at: Timestamp,
    limits: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    let steps = Steps::once(at.as_millis());
    let context = Context::new(limits, steps, at.as_millis(), 0);
    let evaluator = Evaluator::new(query, reader, context, steps)?;
    let value = match evaluator.value(query.expr(), steps)? {
        Value::Scalar(values) => QueryValue::Scalar {
            at,
            value: values[0],
        },
        Value::Text(value) => QueryValue::Text { at, value },
        Value::Vector(mut table) => {
            table.settle_names()?;
            let mut vector: Vec<VectorSample> = Vec::with_capacity(table.rows.len());
            for (row, meta) in table.rows.iter().enumerate() {
                let value = match table.cell(row, 0) {
                    Cell::Absent => continue,
                    Cell::Float(value) => SampleValue::Float(value),
                    Cell::Histogram(histogram) => SampleValue::Histogram(histogram),
                };
                vector.push(VectorSample {
                    labels: meta.labels.clone(),
                    at,
                    value,
                });
            }
            if !keeps_order(query.expr()) {
                vector.sort_by(|left, right| left.labels.cmp(&right.labels));
            }
            QueryValue::Vector(vector)
        }
        Value::Ranges(series) => QueryValue::Matrix(series),
    };
    Ok(evaluator.answer(value))
}

pub(crate) fn range(
    query: &Query,
    reader: &dyn SeriesReader,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
    limits: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    let kind = query.expr().value_type();
    if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        return Err(EvalError::NotRangeable(format!(
            "invalid expression type {} for range query, must be Scalar or instant Vector",
            quote(kind.as_str())
        )));
    }
    let interval = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if interval == 0 {
        return Err(EvalError::NotRangeable(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
                .to_owned(),
        ));
    }
    let steps = Steps::between(start.as_millis(), end.as_millis(), interval);
    let context = Context::new(limits, steps, end.as_millis(), interval);
    // Whatever the expression is, it holds a value a step somewhere.
    context.charge(steps.count)?;
    let evaluator = Evaluator::new(query, reader, context, steps)?;
    let mut table = match evaluator.value(query.expr(), steps)? {
        Value::Scalar(values) => Table::of_scalars(values),
        Value::Vector(table) => table,
        Value::Ranges(_) | Value::Text(_) => Table::new(steps.count),
    };
    table.settle_names()?;
    let mut matrix: Vec<Series> = (0..table.rows.len())
        .map(|row| series_of(&table, row, steps))
        .collect();
    matrix.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(evaluator.answer(QueryValue::Matrix(matrix)))
}

/// Where no order is asked for an answer is sorted by its labels.
fn keeps_order(expr: &Expr) -> bool {
    match expr.unwrapped() {
        Expr::Aggregate(node) => matches!(node.op, AggregateOp::TopK | AggregateOp::BottomK),
        Expr::Call(node) => matches!(
            node.function.kind,
            FunctionKind::Sort
                | FunctionKind::SortByLabel
                | FunctionKind::SortByLabelDesc
                | FunctionKind::SortDesc
        ),
        Expr::Binary(_)
        | Expr::Matrix(_)
        | Expr::Number(_)
        | Expr::Paren(_)
        | Expr::Selector(_)
        | Expr::Subquery(_)
        | Expr::Text(_)
        | Expr::Unary(_) => false,
    }
}
