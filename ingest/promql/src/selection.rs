//! Which samples the selectors of a query need, fetched once before anything is computed.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of expression that it is about"
)]

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use model::histogram::ResetHint;
use model::{HistogramSample, Labels, Matcher, Sample, Timestamp, is_stale_nan};

use crate::annotations::Annotations;

use crate::answer::EvalError;
use crate::ast::{Binary, Boundary, Expr, ValueType, VectorSelector};
use crate::boundary_functions::smoothed_value;
use crate::context::Context;
use crate::function::FunctionKind;
use crate::histogram_boundary;
use crate::histogram_window::Notes;
use crate::points::{Point, latest};
use crate::reader::{ReadError, Selection, Series, SeriesReader};
use crate::table::{ABSENT, Cell, Steps, Table, is_absent, weight};

/// What was read, by the place of the selector in the text.
#[derive(Default)]
pub(crate) struct Sources {
    by_place: HashMap<u32, Rc<Vec<Series>>>,
}

/// One look into the store, which several selectors may share.
pub(crate) struct Reading<'a> {
    pub(crate) matchers: &'a [Matcher],
    pub(crate) after: i64,
    pub(crate) until: i64,
    pub(crate) newest_only: bool,
    pub(crate) sees_order: bool,
    pub(crate) series: Rc<Vec<Series>>,
}

impl Reading<'_> {
    fn serves(&self, want: &Want<'_>) -> bool {
        self.matchers == want.selector.matchers
            && self.after == want.after
            && self.until == want.until
    }

    /// Reads, in the order of labels where that is seen, and counts the samples.
    pub(crate) fn read(
        &self,
        context: &Context<'_>,
        reader: &dyn SeriesReader,
    ) -> Result<Vec<Series>, EvalError> {
        let selection = Selection {
            matchers: self.matchers,
            after: Timestamp::from_millis(self.after),
            until: Timestamp::from_millis(self.until),
            newest_only: self.newest_only,
        };
        let selected = reader.select(&selection, context.samples_left());
        let mut series = selected.map_err(|error| match error {
            ReadError::TooManySamples => context.too_many(),
            ReadError::Cancelled => EvalError::Cancelled,
            error @ ReadError::Storage(_) => EvalError::Read(error),
        })?;
        context.charge(series.iter().map(size).sum())?;
        context.charge_labels(series.iter().map(|series| &series.labels))?;
        if self.sees_order && !series.is_sorted_by(|left, right| left.labels <= right.labels) {
            series.sort_by(|left, right| left.labels.cmp(&right.labels));
        }
        Ok(series)
    }
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
        let demand = Demand {
            compares_histograms: false,
            sees_order: true,
        };
        collect(context, expr, steps, demand, &mut wanted)?;
        let mut sources = Self::default();
        let mut readings: Vec<Reading<'_>> = Vec::new();
        for want in &wanted {
            match readings.iter_mut().find(|reading| reading.serves(want)) {
                Some(reading) => {
                    reading.newest_only &= want.newest_only;
                    reading.sees_order |= want.demand.sees_order;
                }
                None => readings.push(Reading {
                    matchers: &want.selector.matchers,
                    after: want.after,
                    until: want.until,
                    newest_only: want.newest_only,
                    sees_order: want.demand.sees_order,
                    series: Rc::default(),
                }),
            }
        }
        for reading in &mut readings {
            context.check_cancelled()?;
            reading.series = Rc::new(reading.read(context, reader)?);
        }
        for want in &wanted {
            let Some(reading) = readings.iter().find(|reading| reading.serves(want)) else {
                continue;
            };
            let series = if want.demand.compares_histograms && has_unknown_hints(&reading.series) {
                Rc::new(with_hints(&reading.series))
            } else {
                Rc::clone(&reading.series)
            };
            sources.by_place.insert(want.selector.span.start, series);
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

/// A selector, and the window of time that it looks into.
struct Want<'a> {
    selector: &'a VectorSelector,
    after: i64,
    until: i64,
    newest_only: bool,
    demand: Demand,
}

/// What those above a selector make of its series.
#[derive(Clone, Copy)]
struct Demand {
    /// Neighbouring histograms are compared where nobody has: only their counts and sums are asked for.
    compares_histograms: bool,
    /// The order of the series can be seen in the answer. Folding them hides it, but for the last bits of a sum.
    sees_order: bool,
}

fn has_unknown_hints(series: &[Series]) -> bool {
    series
        .iter()
        .flat_map(|series| &series.histograms)
        .any(|sample| sample.histogram.reset_hint == ResetHint::Unknown)
}

/// Each histogram says whether its counter began anew since the one before it.
fn with_hints(series: &[Series]) -> Vec<Series> {
    let mut hinted = series.to_vec();
    for series in &mut hinted {
        for index in 1..series.histograms.len() {
            let (known, rest) = series.histograms.split_at_mut(index);
            let (before, sample) = (&known[index - 1].histogram, &mut rest[0]);
            if sample.histogram.reset_hint == ResetHint::Unknown {
                let hint = if sample.histogram.is_reset_since(before) {
                    ResetHint::Reset
                } else {
                    ResetHint::NotReset
                };
                Arc::make_mut(&mut sample.histogram).reset_hint = hint;
            }
        }
    }
    hinted
}

/// What the selectors below `expr` need.
fn collect<'a>(
    context: &Context<'_>,
    expr: &'a Expr,
    steps: Steps,
    demand: Demand,
    wanted: &mut Vec<Want<'a>>,
) -> Result<(), EvalError> {
    if steps.count == 0 {
        return Ok(());
    }
    match expr {
        Expr::Selector(selector) => {
            let moved = context.moved(selector.at, &selector.offset, steps)?;
            let ahead = ahead(context, selector);
            let after = moved.start.saturating_sub(context.lookback);
            wanted.push(Want {
                selector,
                after,
                until: moved.last().saturating_add(ahead),
                newest_only: steps.count == 1
                    && selector.boundary == Boundary::Plain
                    && !demand.compares_histograms,
                demand,
            });
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
            wanted.push(Want {
                selector,
                after: moved.start.saturating_sub(before),
                until,
                newest_only: false,
                demand,
            });
        }
        Expr::Subquery(subquery) => {
            let inner = context.subquery_steps(subquery, steps)?;
            // Its steps leave samples out.
            let demand = Demand {
                compares_histograms: false,
                ..demand
            };
            collect(context, &subquery.expr, inner, demand, wanted)?;
        }
        // The second argument of `info` is read when the first is known.
        Expr::Call(call) if call.function.kind == FunctionKind::Info => {
            collect(context, &call.args[0], steps, demand, wanted)?;
        }
        Expr::Aggregate(_)
        | Expr::Binary(_)
        | Expr::Call(_)
        | Expr::Number(_)
        | Expr::Paren(_)
        | Expr::Text(_)
        | Expr::Unary(_) => {
            let demand = demand.below(expr);
            for child in expr.children() {
                collect(context, child, steps, demand, wanted)?;
            }
        }
    }
    Ok(())
}

impl Demand {
    /// What is demanded of the parts of `expr`.
    fn below(self, expr: &Expr) -> Self {
        match expr {
            Expr::Aggregate(node) => Self {
                sees_order: node.op.takes_param(),
                ..self
            },
            // Errors name the first of the series that are in each other's way.
            Expr::Binary(node) => Self {
                sees_order: self.sees_order || joins_vectors(node),
                ..self
            },
            Expr::Call(call) => Self {
                compares_histograms: match call.function.kind {
                    FunctionKind::HistogramAvg
                    | FunctionKind::HistogramCount
                    | FunctionKind::HistogramSum => true,
                    FunctionKind::HistogramFraction
                    | FunctionKind::HistogramQuantile
                    | FunctionKind::HistogramQuantiles => false,
                    _ => self.compares_histograms,
                },
                ..self
            },
            _ => self,
        }
    }
}

fn joins_vectors(node: &Binary) -> bool {
    let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
    is_vector(&node.lhs) && is_vector(&node.rhs)
}

/// How far behind its window a selector looks for a neighbour.
fn ahead(context: &Context<'_>, selector: &VectorSelector) -> i64 {
    match selector.boundary {
        Boundary::Smoothed => context.lookback,
        Boundary::Anchored | Boundary::Plain => 0,
    }
}

/// What a series holds, counted in floats with their times.
pub(crate) fn size(series: &Series) -> usize {
    let histograms = series.histograms.iter();
    series.samples.len()
        + histograms
            .map(|sample| 1 + weight(&sample.histogram))
            .sum::<usize>()
}

/// What of the latest sample is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// When it was taken, in milliseconds.
    Millis,
    /// When it was taken, in seconds.
    Seconds,
    /// When its counter began, in seconds.
    StartSeconds,
    Value,
}

/// At each step the latest sample that is not older than the lookback; none where that is a stale mark.
pub(crate) fn instant_values(
    context: &Context<'_>,
    annotations: &RefCell<Annotations<'_>>,
    series: &[Series],
    selector: &VectorSelector,
    steps: Steps,
    wanted: Wanted,
) -> Result<Table, EvalError> {
    let times = context.moved(selector.at, &selector.offset, steps)?;
    let mut table = Table::new(steps.count);
    let mut values = Vec::with_capacity(steps.count);
    for one in series {
        context.work(steps.count)?;
        context.charge(steps.count)?;
        if selector.boundary == Boundary::Smoothed {
            let fresh = fresh(one);
            let notes = Notes {
                annotations,
                metric: one.labels.metric_name().unwrap_or_default(),
                span: selector.span,
            };
            let cells =
                (0..steps.count).map(|step| smoothed(context, &fresh, times.at(step), notes));
            add_cells(&mut table, &one.labels, cells);
            continue;
        }
        if !one.histograms.is_empty() {
            let mut floats = Walk::default();
            let mut histograms = Walk::default();
            let cells = (0..steps.count).map(|step| {
                let at = times.at(step);
                let float = floats.latest(&one.samples, at, steps, |sample| sample.timestamp);
                let histogram =
                    histograms.latest(&one.histograms, at, steps, |sample| sample.timestamp);
                latest_cell(context, one, (float, histogram), at, wanted)
            });
            add_cells(&mut table, &one.labels, cells);
            continue;
        }
        float_values(context, one, times, wanted, &mut values)?;
        add_values(&mut table, &one.labels, &values);
    }
    if context.seen.is_asked() {
        for row in 0..table.rows.len() {
            for step in (0..steps.count).filter(|step| table.holds(row, *step)) {
                let histogram = table.histogram(row, step);
                let beside = histogram.map_or(0, |histogram| weight(histogram));
                context.seen.add(step, 1 + beside);
            }
        }
    }
    Ok(table)
}

/// Hands on the values of each series of floats, unless none is there: as [`instant_values`] has them, but without a
/// table of all.
pub(crate) fn each_instant(
    context: &Context<'_>,
    series: &[Series],
    selector: &VectorSelector,
    steps: Steps,
    mut each: impl FnMut(&Labels, &[f64]) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let times = context.moved(selector.at, &selector.offset, steps)?;
    let mut values = Vec::with_capacity(steps.count);
    for one in series {
        float_values(context, one, times, Wanted::Value, &mut values)?;
        if context.seen.is_asked() {
            for step in (0..steps.count).filter(|step| !is_absent(values[*step])) {
                context.seen.add(step, 1);
            }
        }
        if values.iter().any(|value| !is_absent(*value)) {
            each(&one.labels, &values)?;
        }
    }
    Ok(())
}

fn float_values(
    context: &Context<'_>,
    series: &Series,
    times: Steps,
    wanted: Wanted,
    values: &mut Vec<f64>,
) -> Result<(), EvalError> {
    context.work(times.count)?;
    values.clear();
    let mut floats = Walk::default();
    for step in 0..times.count {
        let at = times.at(step);
        let latest = floats
            .latest(&series.samples, at, times, |sample| sample.timestamp)
            .map(|index| (index, &series.samples[index]))
            .filter(|(_, sample)| {
                sample.timestamp.as_millis() > at.saturating_sub(context.lookback)
                    && !is_stale_nan(sample.value)
            });
        values.push(latest.map_or(ABSENT, |(index, sample)| match wanted {
            Wanted::Millis => sample.timestamp.as_millis() as f64,
            Wanted::Seconds => sample.timestamp.as_secs_f64(),
            Wanted::StartSeconds => series.start_of(index).as_secs_f64(),
            Wanted::Value => sample.value,
        }));
    }
    Ok(())
}

/// A place in the samples of a series that moves on from step to step.
#[derive(Default)]
struct Walk {
    next: usize,
}

impl Walk {
    /// The latest sample that is not later than `at`.
    fn latest<T>(
        &mut self,
        samples: &[T],
        at: i64,
        steps: Steps,
        time: impl Fn(&T) -> Timestamp,
    ) -> Option<usize> {
        if steps.count == 1 {
            self.next = samples.partition_point(|sample| time(sample).as_millis() <= at);
        } else {
            while self.next < samples.len() && time(&samples[self.next]).as_millis() <= at {
                self.next += 1;
            }
        }
        self.next.checked_sub(1)
    }
}

/// What is wanted of the latest of a float and a histogram, unless it is a stale mark or too old.
fn latest_cell(
    context: &Context<'_>,
    series: &Series,
    (float, histogram): (Option<usize>, Option<usize>),
    at: i64,
    wanted: Wanted,
) -> Cell {
    let Some(point) = latest(
        float.map(|index| &series.samples[index]),
        histogram.map(|index| &series.histograms[index]),
    ) else {
        return Cell::Absent;
    };
    let (is_stale, start) = match point {
        Point::Float(sample) => (
            is_stale_nan(sample.value),
            float.map_or(Timestamp::default(), |index| series.start_of(index)),
        ),
        Point::Histogram(sample) => (sample.histogram.is_stale(), sample.start),
    };
    if is_stale || point.at().as_millis() <= at.saturating_sub(context.lookback) {
        return Cell::Absent;
    }
    match wanted {
        Wanted::Millis => Cell::Float(point.at().as_millis() as f64),
        Wanted::Seconds => Cell::Float(point.at().as_secs_f64()),
        Wanted::StartSeconds => Cell::Float(start.as_secs_f64()),
        Wanted::Value => point.cell(),
    }
}

fn smoothed(context: &Context<'_>, series: &Series, at: i64, notes: Notes<'_, '_>) -> Cell {
    let samples = near(context, &series.samples, at, |sample| sample.timestamp);
    let histograms = near(context, &series.histograms, at, |sample| sample.timestamp);
    match (samples, histograms) {
        (samples, []) => Cell::float(smoothed_value(samples, at)),
        ([], histograms) => {
            histogram_boundary::smoothed_value(histograms, at).unwrap_or_else(|_| {
                notes.mixed_buckets();
                Cell::Absent
            })
        }
        _ => {
            notes.mixed_kinds();
            Cell::Absent
        }
    }
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

/// A row, unless it would be empty.
fn add_cells(table: &mut Table, labels: &Labels, cells: impl Iterator<Item = Cell>) {
    let mut row = None;
    for (step, cell) in cells.enumerate() {
        if !cell.is_absent() {
            let row = *row.get_or_insert_with(|| table.add_row(labels.clone(), false));
            table.set_cell(row, step, cell);
        }
    }
}

/// The samples that the lookback reaches, before and behind.
fn near<'a, T>(
    context: &Context<'_>,
    samples: &'a [T],
    at: i64,
    time: impl Fn(&T) -> Timestamp,
) -> &'a [T] {
    let up_to = |limit: i64| samples.partition_point(|sample| time(sample).as_millis() <= limit);
    &samples[up_to(at.saturating_sub(context.lookback))..up_to(at.saturating_add(context.lookback))]
}

/// The series without stale marks.
pub(crate) fn fresh(series: &Series) -> Cow<'_, Series> {
    let is_fresh = |sample: &Sample| !is_stale_nan(sample.value);
    let is_fresh_histogram = |sample: &HistogramSample| !sample.histogram.is_stale();
    if series.samples.iter().all(is_fresh) && series.histograms.iter().all(is_fresh_histogram) {
        return Cow::Borrowed(series);
    }
    let mut fresh = Series {
        labels: series.labels.clone(),
        ..Series::default()
    };
    for (index, sample) in series.samples.iter().enumerate() {
        if is_fresh(sample) {
            fresh.samples.push(*sample);
            fresh.starts.extend(series.starts.get(index));
        }
    }
    let histograms = series.histograms.iter();
    fresh.histograms.extend(
        histograms
            .filter(|sample| is_fresh_histogram(sample))
            .cloned(),
    );
    Cow::Owned(fresh)
}
