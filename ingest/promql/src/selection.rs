//! Which samples the selectors of a query need, fetched once before anything is computed.
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use model::{Labels, Matcher, Sample, Timestamp, is_stale_nan};

use crate::answer::EvalError;
use crate::ast::{Boundary, Expr, VectorSelector};
use crate::boundary_functions::smoothed_value;
use crate::context::Context;
use crate::reader::{ReadError, Selection, Series, SeriesReader};
use crate::table::{ABSENT, Steps, Table, is_absent};

/// What was read, by the place of the selector in the text.
#[derive(Default)]
pub(crate) struct Sources {
    by_place: HashMap<u32, Rc<Vec<Series>>>,
}

/// A reading that another selector may share.
struct Reading<'a> {
    matchers: &'a [Matcher],
    after: i64,
    until: i64,
    series: Rc<Vec<Series>>,
}

impl Sources {
    /// Reads what every selector in `expr` needs to be computed at `steps`.
    pub(crate) fn read(
        context: &Context<'_>,
        reader: &dyn SeriesReader,
        expr: &Expr,
        steps: Steps,
    ) -> Result<Self, EvalError> {
        let mut wanted = Vec::new();
        collect(context, expr, steps, &mut wanted)?;
        let mut sources = Self::default();
        let mut readings: Vec<Reading<'_>> = Vec::new();
        for (selector, after, until) in wanted {
            context.check_cancelled()?;
            let known = readings.iter().find(|reading| {
                reading.matchers == selector.matchers
                    && reading.after == after
                    && reading.until == until
            });
            let series = match known {
                Some(reading) => Rc::clone(&reading.series),
                None => {
                    let series = Rc::new(read(context, reader, &selector.matchers, after, until)?);
                    readings.push(Reading {
                        matchers: &selector.matchers,
                        after,
                        until,
                        series: Rc::clone(&series),
                    });
                    series
                }
            };
            sources.by_place.insert(selector.span.start, series);
        }
        Ok(sources)
    }

    pub(crate) fn of(&self, selector: &VectorSelector) -> Rc<Vec<Series>> {
        self.by_place
            .get(&selector.span.start)
            .map(Rc::clone)
            .unwrap_or_default()
    }
}

/// Reads one selection in the order of labels, and counts its samples.
pub(crate) fn read(
    context: &Context<'_>,
    reader: &dyn SeriesReader,
    matchers: &[Matcher],
    after: i64,
    until: i64,
) -> Result<Vec<Series>, EvalError> {
    let selection = Selection {
        matchers,
        after: Timestamp::from_millis(after),
        until: Timestamp::from_millis(until),
    };
    let mut series =
        reader
            .select(&selection, context.samples_left())
            .map_err(|error| match error {
                ReadError::TooManySamples => EvalError::TooManySamples,
                error @ ReadError::Storage(_) => EvalError::Read(error),
            })?;
    context.charge(series.iter().map(|series| series.samples.len()).sum())?;
    if !series.is_sorted_by(|left, right| left.labels <= right.labels) {
        series.sort_by(|left, right| left.labels.cmp(&right.labels));
    }
    Ok(series)
}

/// The windows of time that the selectors below `expr` look into.
fn collect<'a>(
    context: &Context<'_>,
    expr: &'a Expr,
    steps: Steps,
    wanted: &mut Vec<(&'a VectorSelector, i64, i64)>,
) -> Result<(), EvalError> {
    if steps.count == 0 {
        return Ok(());
    }
    match expr {
        Expr::Selector(selector) => {
            let moved = context.moved(selector.at, &selector.offset, steps)?;
            let ahead = ahead(context, selector);
            let after = moved.start.saturating_sub(context.lookback);
            wanted.push((selector, after, moved.last().saturating_add(ahead)));
        }
        Expr::Matrix(matrix) => {
            let selector = &matrix.selector;
            let moved = context.moved(selector.at, &selector.offset, steps)?;
            let range = context.positive_millis(&matrix.range)?;
            let before = match selector.boundary {
                Boundary::Plain => range,
                Boundary::Anchored | Boundary::Smoothed => range.saturating_add(context.lookback),
            };
            let until = moved.last().saturating_add(ahead(context, selector));
            wanted.push((selector, moved.start.saturating_sub(before), until));
        }
        Expr::Subquery(subquery) => {
            let inner = context.subquery_steps(subquery, steps)?;
            collect(context, &subquery.expr, inner, wanted)?;
        }
        // The second argument of `info` is read when the first is known.
        Expr::Call(call) if call.function.kind == crate::function::FunctionKind::Info => {
            collect(context, &call.args[0], steps, wanted)?;
        }
        Expr::Aggregate(_)
        | Expr::Binary(_)
        | Expr::Call(_)
        | Expr::Number(_)
        | Expr::Paren(_)
        | Expr::Text(_)
        | Expr::Unary(_) => {
            for child in expr.children() {
                collect(context, child, steps, wanted)?;
            }
        }
    }
    Ok(())
}

/// How far behind its window a selector looks for a neighbour.
fn ahead(context: &Context<'_>, selector: &VectorSelector) -> i64 {
    match selector.boundary {
        Boundary::Smoothed => context.lookback,
        Boundary::Anchored | Boundary::Plain => 0,
    }
}

/// At each step the latest sample that is not older than the lookback; none where that is a stale mark.
pub(crate) fn instant_values(
    context: &Context<'_>,
    series: &[Series],
    selector: &VectorSelector,
    steps: Steps,
    value_of: impl Fn(&Sample) -> f64,
) -> Result<Table, EvalError> {
    let times = context.moved(selector.at, &selector.offset, steps)?;
    let mut table = Table::new(steps.count);
    let mut values = Vec::with_capacity(steps.count);
    for one in series {
        context.check_cancelled()?;
        context.charge(steps.count)?;
        values.clear();
        if selector.boundary == Boundary::Smoothed {
            let fresh = without_stale(&one.samples);
            for step in 0..steps.count {
                let near = near(context, &fresh, times.at(step));
                values.push(smoothed_value(near, times.at(step)).unwrap_or(ABSENT));
            }
            add_values(&mut table, &one.labels, &values);
            continue;
        }
        let mut next = 0;
        for step in 0..steps.count {
            let at = times.at(step);
            if steps.count == 1 {
                next = one
                    .samples
                    .partition_point(|sample| sample.timestamp.as_millis() <= at);
            } else {
                while next < one.samples.len() && one.samples[next].timestamp.as_millis() <= at {
                    next += 1;
                }
            }
            let fresh = next
                .checked_sub(1)
                .map(|latest| &one.samples[latest])
                .filter(|sample| sample.timestamp.as_millis() > at.saturating_sub(context.lookback))
                .filter(|sample| !is_stale_nan(sample.value));
            values.push(fresh.map_or(ABSENT, &value_of));
        }
        add_values(&mut table, &one.labels, &values);
    }
    Ok(table)
}

/// A row, unless it would be empty.
fn add_values(table: &mut Table, labels: &Labels, values: &[f64]) {
    if values.iter().all(|value| is_absent(*value)) {
        return;
    }
    let row = table.add_row(labels.clone(), false);
    let begin = row * table.steps;
    table.values[begin..].copy_from_slice(values);
}

/// The samples that the lookback reaches, before and behind.
fn near<'a>(context: &Context<'_>, samples: &'a [Sample], at: i64) -> &'a [Sample] {
    let up_to =
        |limit: i64| samples.partition_point(|sample| sample.timestamp.as_millis() <= limit);
    &samples[up_to(at.saturating_sub(context.lookback))..up_to(at.saturating_add(context.lookback))]
}

pub(crate) fn without_stale(samples: &[Sample]) -> Cow<'_, [Sample]> {
    let fresh = |sample: &&Sample| !is_stale_nan(sample.value);
    if samples.iter().all(|sample| fresh(&sample)) {
        Cow::Borrowed(samples)
    } else {
        Cow::Owned(samples.iter().filter(fresh).copied().collect())
    }
}
