//! Computes an expression from the leaves up, all steps of a node at a time.
use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, Sample, Timestamp};

use crate::aggregate;
use crate::annotations::Annotations;
use crate::answer::{Answer, EvalError, QueryValue, VectorSample};
use crate::arithmetic::{Computed, compute, scalar, truth};
use crate::ast::{Aggregate, AggregateOp, Binary, Boundary, Call, Expr, Unary, ValueType};
use crate::boundary_functions;
use crate::context::Context;
use crate::function::FunctionKind;
use crate::histogram_functions;
use crate::info;
use crate::label_functions;
use crate::number_functions::{self, larger, smaller};
use crate::options::QueryLimits;
use crate::quantile::ascending;
use crate::query::Query;
use crate::reader::{Series, SeriesReader};
use crate::selection::{Sources, instant_values, without_stale};
use crate::table::{ABSENT, Row, Steps, Table, is_absent};
use crate::vector_matching;
use crate::window_functions::{self, Window};

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
            let mut vector: Vec<VectorSample> = table
                .rows
                .into_iter()
                .zip(table.values)
                .map(|(row, value)| VectorSample {
                    labels: row.labels,
                    at,
                    value,
                })
                .collect();
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
            model::go_quote::quote(kind.as_str())
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
        Value::Scalar(values) => Table {
            steps: steps.count,
            rows: vec![Row {
                labels: Labels::default(),
                drop_name: false,
            }],
            values,
        },
        Value::Vector(table) => table,
        Value::Ranges(_) | Value::Text(_) => Table::new(steps.count),
    };
    table.settle_names()?;
    let mut matrix = evaluator.series(&table, steps);
    matrix.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(evaluator.answer(QueryValue::Matrix(matrix)))
}

/// What an expression comes to at the steps asked for.
enum Value {
    /// Range vectors, at one step.
    Ranges(Vec<Series>),
    /// One number a step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Table),
}

struct Evaluator<'a> {
    context: Context<'a>,
    reader: &'a dyn SeriesReader,
    sources: Sources,
    annotations: RefCell<Annotations<'a>>,
    delayed: bool,
}

impl<'a> Evaluator<'a> {
    fn new(
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

    fn answer(self, value: QueryValue) -> Answer {
        let (warnings, infos) = self.annotations.into_inner().finish();
        Answer {
            value,
            warnings,
            infos,
        }
    }

    /// Computes `expr`, and counts of what that took only what is left of it.
    fn value(&self, expr: &Expr, steps: Steps) -> Result<Value, EvalError> {
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

    fn vector(&self, expr: &Expr, steps: Steps) -> Result<Table, EvalError> {
        match self.value(expr, steps)? {
            Value::Vector(table) => Ok(table),
            Value::Ranges(_) | Value::Scalar(_) | Value::Text(_) => Err(mistyped()),
        }
    }

    fn scalars(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, EvalError> {
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

    fn aggregate(&self, node: &Aggregate, steps: Steps) -> Result<Table, EvalError> {
        let error = |text: String| Err(EvalError::Execution(text));
        let Some(param) = &node.param else {
            let input = self.vector(&node.expr, steps)?;
            return Ok(aggregate::fold(node, &input));
        };
        if node.op == AggregateOp::CountValues {
            let label = text_of(param);
            if !model::is_label_name(label) || label.contains('\u{fffd}') {
                return error(format!(
                    "invalid label name {}",
                    model::go_quote::quote(label)
                ));
            }
            let input = self.vector(&node.expr, steps)?;
            return Ok(aggregate::count_values(node, label, &input));
        }
        let params = self.scalars(param, steps)?;
        match node.op {
            AggregateOp::Quantile => {
                let input = self.vector(&node.expr, steps)?;
                self.check_quantiles(param, &params);
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
                Ok(aggregate::extremes(node, &counts, input))
            }
        }
    }

    fn check_quantiles(&self, param: &Expr, quantiles: &[f64]) {
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
                        model::go_number::format_g(ratio),
                        model::go_number::format_g(capped)
                    ),
                );
            }
        }
        ratios.iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect()
    }

    fn call(&self, node: &Call, steps: Steps) -> Result<Value, EvalError> {
        let kind = node.function.kind;
        let seconds = |millis: i64| Timestamp::from_millis(millis).as_secs_f64();
        let constant = |value: f64| Ok(Value::Scalar(vec![value; steps.count]));
        match kind {
            FunctionKind::End => constant(seconds(self.context.query_end())),
            FunctionKind::Pi => constant(std::f64::consts::PI),
            FunctionKind::Range => constant(seconds(
                self.context.query_end() - self.context.query_start(),
            )),
            FunctionKind::Start => constant(seconds(self.context.query_start())),
            FunctionKind::Step => constant(seconds(self.context.query_step())),
            FunctionKind::Time => Ok(Value::Scalar(
                (0..steps.count)
                    .map(|step| seconds(steps.at(step)))
                    .collect(),
            )),
            FunctionKind::MaxOf | FunctionKind::MinOf => {
                let mut left = self.scalars(&node.args[0], steps)?;
                let right = self.scalars(&node.args[1], steps)?;
                let choose = if kind == FunctionKind::MaxOf {
                    larger
                } else {
                    smaller
                };
                for (left, right) in left.iter_mut().zip(right) {
                    *left = choose(*left, right);
                }
                Ok(Value::Scalar(left))
            }
            FunctionKind::ScalarOf => self.scalar_of(node, steps).map(Value::Scalar),
            _ => self.vector_call(node, kind, steps).map(Value::Vector),
        }
    }

    fn vector_call(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        if node.function.args.contains(&ValueType::Matrix) {
            return self.window_call(node, kind, steps);
        }
        match kind {
            FunctionKind::Absent => {
                let input = self.vector(&node.args[0], steps)?;
                let present: Vec<bool> = (0..steps.count)
                    .map(|step| (0..input.rows.len()).any(|row| !is_absent(input.value(row, step))))
                    .collect();
                Ok(absent(&node.args[0], &present))
            }
            FunctionKind::HistogramFraction => {
                let lower = self.scalars(&node.args[0], steps)?;
                let upper = self.scalars(&node.args[1], steps)?;
                let input = self.vector(&node.args[2], steps)?;
                let span = node.args[2].span();
                let mut annotations = self.annotations.borrow_mut();
                histogram_functions::fractions(
                    &lower,
                    &upper,
                    &input,
                    span,
                    &mut annotations,
                    self.delayed,
                )
            }
            FunctionKind::HistogramQuantile => {
                let quantiles = self.scalars(&node.args[0], steps)?;
                let input = self.vector(&node.args[1], steps)?;
                self.check_quantiles(&node.args[0], &quantiles);
                let mut annotations = self.annotations.borrow_mut();
                histogram_functions::quantiles(
                    &[(None, quantiles)],
                    &input,
                    steps,
                    node.args[1].span(),
                    &mut annotations,
                    self.delayed,
                )
            }
            FunctionKind::HistogramQuantiles => self.histogram_quantiles(node, steps),
            // Floats are no histograms.
            FunctionKind::HistogramAvg
            | FunctionKind::HistogramCount
            | FunctionKind::HistogramStdDev
            | FunctionKind::HistogramStdVar
            | FunctionKind::HistogramSum
            | FunctionKind::StartTimestamp => {
                self.vector(&node.args[0], steps)?;
                Ok(Table::new(steps.count))
            }
            FunctionKind::Info => {
                let base = self.vector(&node.args[0], steps)?;
                let selector = match node.args.get(1) {
                    Some(Expr::Selector(selector)) => Some(selector),
                    Some(_) | None => None,
                };
                info::join(
                    &self.context,
                    self.reader,
                    base,
                    &node.args[0],
                    selector,
                    steps,
                )
            }
            FunctionKind::LabelJoin => {
                let mut table = self.vector(&node.args[0], steps)?;
                let texts: Vec<&str> = node.args[1..].iter().map(text_of).collect();
                label_functions::join(&mut table, texts[0], texts[1], &texts[2..])?;
                Ok(table)
            }
            FunctionKind::LabelReplace => {
                let mut table = self.vector(&node.args[0], steps)?;
                let text = |index: usize| text_of(&node.args[index]);
                label_functions::replace(&mut table, text(1), text(2), text(3), text(4))?;
                Ok(table)
            }
            FunctionKind::Sort
            | FunctionKind::SortByLabel
            | FunctionKind::SortByLabelDesc
            | FunctionKind::SortDesc => self.sort(node, kind, steps),
            FunctionKind::TimestampOf => self.timestamps(node, steps),
            FunctionKind::VectorOf => {
                let values = self.scalars(&node.args[0], steps)?;
                let mut table = Table::new(steps.count);
                table.add_row(Labels::default(), false);
                table.values = values;
                Ok(table)
            }
            _ => self.number_call(node, kind, steps),
        }
    }

    /// Functions of one number, at each step with the values that their scalar arguments have there.
    fn number_call(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        let Some(first) = node.args.first() else {
            // Only the functions of a date may come without an argument: theirs is the time.
            let mut table = Table::new(steps.count);
            table.add_row(Labels::default(), false);
            for step in 0..steps.count {
                let at = Timestamp::from_millis(steps.at(step)).as_secs_f64();
                table.set(
                    0,
                    step,
                    number_functions::date_part(kind, at).unwrap_or(ABSENT),
                );
            }
            return Ok(table);
        };
        let mut table = self.vector(first, steps)?;
        let mut scalars = Vec::new();
        for arg in &node.args[1..] {
            scalars.push(self.scalars(arg, steps)?);
        }
        // The nearest integer, where nothing else is asked for.
        let at = |index: usize, step: usize| {
            scalars
                .get(index)
                .map_or(1.0, |values: &Vec<f64>| values[step])
        };
        table.map(|step, value| {
            let (first, second) = (at(0, step), at(1, step));
            if kind == FunctionKind::Clamp && second < first {
                return ABSENT;
            }
            number_functions::compute(kind, value, [first, second]).unwrap_or(ABSENT)
        });
        table.prune();
        table.drop_names(self.delayed)?;
        Ok(table)
    }

    fn scalar_of(&self, node: &Call, steps: Steps) -> Result<Vec<f64>, EvalError> {
        let table = self.vector(&node.args[0], steps)?;
        Ok((0..steps.count)
            .map(|step| {
                let mut values = (0..table.rows.len())
                    .map(|row| table.value(row, step))
                    .filter(|value| !is_absent(*value));
                match (values.next(), values.next()) {
                    (Some(only), None) => only,
                    (Some(_), Some(_)) | (None, _) => f64::NAN,
                }
            })
            .collect())
    }

    /// A selector's samples have times of their own; anything else has the time at which it is computed.
    fn timestamps(&self, node: &Call, steps: Steps) -> Result<Table, EvalError> {
        let mut table = if let Expr::Selector(selector) = node.args[0].unwrapped() {
            let series = self.sources.of(selector);
            instant_values(&self.context, &series, selector, steps, |sample| {
                sample.timestamp.as_secs_f64()
            })?
        } else {
            let mut table = self.vector(&node.args[0], steps)?;
            table.map(|step, _| Timestamp::from_millis(steps.at(step)).as_secs_f64());
            table
        };
        table.drop_names(self.delayed)?;
        Ok(table)
    }

    fn sort(&self, node: &Call, kind: FunctionKind, steps: Steps) -> Result<Table, EvalError> {
        let input = self.vector(&node.args[0], steps)?;
        if steps.count != 1 {
            self.annotations.borrow_mut().warn(
                node.span,
                "sort is ineffective for range queries since results are always ordered by labels",
            );
            return Ok(input);
        }
        let names: Vec<&str> = node.args[1..].iter().map(text_of).collect();
        let mut order: Vec<usize> = (0..input.rows.len()).collect();
        let value = |row: &usize| input.value(*row, 0);
        let labels = |row: &usize| &input.rows[*row].labels;
        let nan_last = |left: f64, right: f64| left.is_nan().cmp(&right.is_nan());
        match kind {
            FunctionKind::Sort => order.sort_by(|left, right| {
                let (left, right) = (value(left), value(right));
                nan_last(left, right).then_with(|| ascending(left, right))
            }),
            FunctionKind::SortDesc => order.sort_by(|left, right| {
                let (left, right) = (value(left), value(right));
                nan_last(left, right).then_with(|| ascending(right, left))
            }),
            FunctionKind::SortByLabel => {
                order.sort_by(|left, right| {
                    label_functions::order_by(labels(left), labels(right), &names)
                });
            }
            _ => {
                order.sort_by(|left, right| {
                    label_functions::order_by(labels(right), labels(left), &names)
                });
            }
        }
        let mut sorted = Table::new(1);
        for row in order {
            let meta = &input.rows[row];
            let out = sorted.add_row(meta.labels.clone(), meta.drop_name);
            sorted.set(out, 0, input.value(row, 0));
        }
        Ok(sorted)
    }

    fn histogram_quantiles(&self, node: &Call, steps: Steps) -> Result<Table, EvalError> {
        let input = self.vector(&node.args[0], steps)?;
        let label = text_of(&node.args[1]);
        if !model::is_label_name(label) {
            return Err(EvalError::Execution(format!("invalid label name {label}")));
        }
        let mut quantiles = Vec::new();
        for arg in &node.args[2..] {
            let values = self.scalars(arg, steps)?;
            self.check_quantiles(arg, &values);
            quantiles.push((Some(label), values));
        }
        let mut annotations = self.annotations.borrow_mut();
        histogram_functions::quantiles(
            &quantiles,
            &input,
            steps,
            node.args[0].span(),
            &mut annotations,
            self.delayed,
        )
    }

    /// Functions of range vectors: one series after the other, the window sliding over its samples.
    fn window_call(
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
        let at = |index: usize, step: usize| scalars.get(index).map_or(0.0, |values| values[step]);
        let mut table = Table::new(steps.count);
        let mut scratch = Vec::new();
        let mut values = Vec::with_capacity(steps.count);
        let mut not_counters: Vec<String> = Vec::new();
        self.each_range(matrix, steps, |range| {
            values.clear();
            let (mut low, mut high) = (0, 0);
            for step in 0..steps.count {
                let end = range.ends.at(step);
                let start = end.saturating_sub(range.millis);
                let samples = range.samples.as_ref();
                // Edges that are made of neighbours need those that the lookback reaches.
                let (after, until) = match range.boundary {
                    Boundary::Plain => (start, end),
                    Boundary::Anchored => (start.saturating_sub(self.context.lookback), end),
                    Boundary::Smoothed => (
                        start.saturating_sub(self.context.lookback),
                        end.saturating_add(self.context.lookback),
                    ),
                };
                if steps.count == 1 {
                    low = samples.partition_point(|sample| sample.timestamp.as_millis() <= after);
                    high = samples.partition_point(|sample| sample.timestamp.as_millis() <= until);
                } else {
                    while low < samples.len() && samples[low].timestamp.as_millis() <= after {
                        low += 1;
                    }
                    high = high.max(low);
                    while high < samples.len() && samples[high].timestamp.as_millis() <= until {
                        high += 1;
                    }
                }
                let window = Window {
                    samples: &samples[low..high],
                    start,
                    end,
                    at: steps.at(step),
                };
                let value = match range.boundary {
                    _ if window.samples.is_empty() => None,
                    Boundary::Plain => window_functions::compute(
                        kind,
                        &window,
                        [at(0, step), at(1, step)],
                        &mut scratch,
                    ),
                    boundary => boundary_functions::compute(kind, boundary, &window),
                };
                values.push(value.unwrap_or(ABSENT));
            }
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
        match kind {
            FunctionKind::AbsentOverTime => {
                let present: Vec<bool> = (0..steps.count)
                    .map(|step| (0..table.rows.len()).any(|row| !is_absent(table.value(row, step))))
                    .collect();
                return Ok(absent(matrix, &present));
            }
            FunctionKind::FirstOverTime | FunctionKind::LastOverTime => {}
            _ => table.drop_names(self.delayed)?,
        }
        Ok(table)
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
    fn range_values(&self, expr: &Expr, steps: Steps) -> Result<Vec<Series>, EvalError> {
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
                    crate::table::without_metadata(range.labels)
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
            return Err(EvalError::Execution(crate::table::SAME_LABELS.to_owned()));
        }
        Ok(found)
    }

    fn series(&self, table: &Table, steps: Steps) -> Vec<Series> {
        table
            .rows
            .iter()
            .enumerate()
            .map(|(row, meta)| Series {
                labels: meta.labels.clone(),
                samples: samples_of(table.row_values(row), steps),
            })
            .collect()
    }
}

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

/// Parsing has seen to it that this does not happen.
fn mistyped() -> EvalError {
    EvalError::Execution("expression has an unexpected type".to_owned())
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

/// Whether every step has the same value: all selectors are pinned, and nothing looks at the clock.
fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Matrix(node) => node.selector.at.is_some(),
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Selector(node) => node.at.is_some(),
        Expr::Subquery(node) => node.at.is_some(),
        Expr::Call(node) => {
            !looks_at_time(node.function.kind, node.args.len())
                && node.args.iter().all(is_invariant)
        }
        Expr::Aggregate(_) | Expr::Binary(_) | Expr::Paren(_) | Expr::Unary(_) => {
            expr.children().into_iter().all(is_invariant)
        }
    }
}

fn looks_at_time(kind: FunctionKind, args: usize) -> bool {
    let date = number_functions::date_part(kind, 0.0).is_some();
    (date && args == 0)
        || matches!(
            kind,
            FunctionKind::Info
                | FunctionKind::PredictLinear
                | FunctionKind::Time
                | FunctionKind::TimestampOf
        )
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

/// One, without a name, at the steps where nothing is; its labels are those that the selector demands.
fn absent(selected: &Expr, present: &[bool]) -> Table {
    let mut table = Table::new(present.len());
    let matchers: &[Matcher] = match selected.unwrapped() {
        Expr::Matrix(node) => &node.selector.matchers,
        Expr::Selector(node) => &node.matchers,
        _ => &[],
    };
    let mut builder = LabelsBuilder::default();
    let mut demanded: Vec<&str> = Vec::new();
    for matcher in matchers
        .iter()
        .filter(|matcher| matcher.name() != METRIC_NAME)
    {
        if matcher.op() == MatchOp::Equal && !demanded.contains(&matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            demanded.push(matcher.name());
        } else {
            builder.remove(matcher.name());
        }
    }
    table.add_row(builder.build(), false);
    for (step, present) in present.iter().enumerate() {
        if !present {
            table.set(0, step, 1.0);
        }
    }
    table.prune();
    table
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

fn is_counter_name(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

fn text_of(expr: &Expr) -> &str {
    match expr.unwrapped() {
        Expr::Text(node) => &node.value,
        _ => "",
    }
}
