//! Function calls without range vectors.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use model::{Labels, Timestamp};

use crate::absence::absent;
use crate::answer::EvalError;
use crate::ast::{Call, Expr, ValueType};
use crate::evaluator::{Evaluator, Value, text_of};
use crate::function::FunctionKind;
use crate::histogram_functions;
use crate::info;
use crate::label_functions;
use crate::number_functions::{self, larger, smaller};
use crate::quantile::ascending;
use crate::selection::Wanted;
use crate::table::{ABSENT, Cell, Steps, Table, is_absent};

impl Evaluator<'_> {
    pub(crate) fn call(&self, node: &Call, steps: Steps) -> Result<Value, EvalError> {
        let kind = node.function.kind;
        let seconds = |millis: i64| Timestamp::from_millis(millis).as_secs_f64();
        let constant = |value: f64| Ok(Value::Scalar(vec![value; steps.count]));
        match kind {
            FunctionKind::End => constant(seconds(self.context.query_end())),
            FunctionKind::Pi => constant(std::f64::consts::PI),
            FunctionKind::Range => constant(seconds(self.context.query_range())),
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
                    .map(|step| (0..input.rows.len()).any(|row| input.holds(row, step)))
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
            FunctionKind::HistogramAvg
            | FunctionKind::HistogramCount
            | FunctionKind::HistogramStdDev
            | FunctionKind::HistogramStdVar
            | FunctionKind::HistogramSum => {
                let mut table = self.vector(&node.args[0], steps)?;
                // Floats are no histograms.
                table.map_cells(|_, cell| match cell {
                    Cell::Absent | Cell::Float(_) => Cell::Absent,
                    Cell::Histogram(histogram) => {
                        Cell::float(histogram_functions::number_of(kind, histogram))
                    }
                });
                table.prune();
                table.drop_names(self.delayed)?;
                Ok(table)
            }
            FunctionKind::StartTimestamp => {
                // Only a selector's samples know when they began.
                let Expr::Selector(selector) = node.args[0].unwrapped() else {
                    self.vector(&node.args[0], steps)?;
                    return Ok(Table::new(steps.count));
                };
                let series = self.sources.of(selector);
                let wanted = Wanted::StartSeconds;
                let mut table = self.instant_values(&series, selector, steps, wanted)?;
                table.drop_names(self.delayed)?;
                Ok(table)
            }
            FunctionKind::Info => {
                let base = self.vector(&node.args[0], steps)?;
                let selector = match node.args.get(1) {
                    Some(Expr::Selector(selector)) => Some(selector),
                    Some(_) | None => None,
                };
                info::join(
                    &self.context,
                    &self.annotations,
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
                label_functions::join(&mut table, texts[0], texts[1], &texts[2..], &self.context)?;
                Ok(table)
            }
            FunctionKind::LabelReplace => {
                let mut table = self.vector(&node.args[0], steps)?;
                let text = |index: usize| text_of(&node.args[index]);
                label_functions::replace(
                    &mut table,
                    text(1),
                    text(2),
                    text(3),
                    text(4),
                    &self.context,
                )?;
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
        table.drop_histograms();
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
            self.instant_values(&series, selector, steps, Wanted::Seconds)?
        } else {
            let mut table = self.vector(&node.args[0], steps)?;
            table.map_cells(|step, _| {
                Cell::Float(Timestamp::from_millis(steps.at(step)).as_secs_f64())
            });
            table
        };
        table.drop_names(self.delayed)?;
        Ok(table)
    }

    fn sort(&self, node: &Call, kind: FunctionKind, steps: Steps) -> Result<Table, EvalError> {
        let mut input = self.vector(&node.args[0], steps)?;
        if steps.count != 1 {
            self.annotations.borrow_mut().warn(
                node.span,
                "sort is ineffective for range queries since results are always ordered by labels",
            );
            return Ok(input);
        }
        let by_value = matches!(kind, FunctionKind::Sort | FunctionKind::SortDesc);
        if by_value {
            input.drop_histograms();
            input.prune();
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
            sorted.set_cell(out, 0, input.cell(row, 0));
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
}
