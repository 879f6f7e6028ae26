//! Functions of windows that hold native histograms, alone or among floats.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use std::cell::RefCell;

use model::histogram::{HistogramSum, IncompatibleBuckets, ResetHint};
use model::{Histogram, HistogramSample};

use crate::annotations::{Annotations, HistogramOperation};
use crate::function::FunctionKind;
use crate::points::{Point, merged};
use crate::span::Span;
use crate::table::Cell;
use crate::window_functions::{self, Extrapolation, Window, counter_began};

/// Where a function says what it noticed.
#[derive(Clone, Copy)]
pub(crate) struct Notes<'a, 'b> {
    pub(crate) annotations: &'a RefCell<Annotations<'b>>,
    pub(crate) metric: &'a str,
    /// The range vector.
    pub(crate) span: Span,
}

impl Notes<'_, '_> {
    pub(crate) fn mixed_kinds(&self) {
        self.annotations
            .borrow_mut()
            .mixed_floats_and_histograms(self.span, self.metric);
    }

    pub(crate) fn mixed_buckets(&self) {
        self.annotations
            .borrow_mut()
            .mixed_buckets(self.span, self.metric);
    }

    pub(crate) fn not_a_counter(&self) {
        self.annotations
            .borrow_mut()
            .histogram_is_no_counter(self.span, self.metric);
    }

    pub(crate) fn not_a_gauge(&self) {
        self.annotations
            .borrow_mut()
            .histogram_is_no_gauge(self.span, self.metric);
    }

    pub(crate) fn reconciled(&self, is_so: bool, operation: HistogramOperation) {
        if is_so {
            self.annotations
                .borrow_mut()
                .reconciled_bounds(self.span, operation);
        }
    }
}

/// The function's value over a window with at least one histogram.
pub(crate) fn compute(
    kind: FunctionKind,
    window: &Window<'_>,
    scalars: [f64; 2],
    scratch: &mut Vec<f64>,
    notes: Notes<'_, '_>,
) -> Cell {
    let points = || merged(window.samples, window.histograms);
    match kind {
        FunctionKind::AbsentOverTime | FunctionKind::PresentOverTime => Cell::Float(1.0),
        FunctionKind::AvgOverTime | FunctionKind::SumOverTime => {
            if !window.samples.is_empty() {
                notes.mixed_kinds();
                return Cell::Absent;
            }
            let wanted = if kind == FunctionKind::AvgOverTime {
                Total::Average
            } else {
                Total::Sum
            };
            Cell::histogram(total(window, wanted, notes))
        }
        FunctionKind::Changes => Cell::Float(transitions(window, changed)),
        FunctionKind::CountOverTime => {
            Cell::Float((window.samples.len() + window.histograms.len()) as f64)
        }
        FunctionKind::Delta => extrapolated(window, Extrapolation::Delta, notes),
        FunctionKind::FirstOverTime => points().next().map_or(Cell::Absent, |point| point.cell()),
        FunctionKind::Idelta => last_step(window, false, notes),
        FunctionKind::Increase => extrapolated(window, Extrapolation::Increase, notes),
        FunctionKind::Irate => last_step(window, true, notes),
        FunctionKind::LastOverTime => points().last().map_or(Cell::Absent, |point| point.cell()),
        FunctionKind::Rate => extrapolated(window, Extrapolation::Rate, notes),
        FunctionKind::Resets => Cell::Float(transitions(window, is_reset)),
        FunctionKind::TsOfFirstOverTime => {
            Cell::float(points().next().map(|point| point.at().as_secs_f64()))
        }
        FunctionKind::TsOfLastOverTime => {
            Cell::float(points().last().map(|point| point.at().as_secs_f64()))
        }
        // The others are for floats.
        _ => {
            if window.samples.is_empty() {
                return Cell::Absent;
            }
            notes
                .annotations
                .borrow_mut()
                .ignored_in_range(notes.span, notes.metric);
            let floats = Window {
                histograms: &[],
                ..*window
            };
            Cell::float(window_functions::compute(
                kind, &floats, scalars, scratch, None,
            ))
        }
    }
}

/// How many neighbours differ in a way.
pub(crate) fn transitions(
    window: &Window<'_>,
    is_one: impl Fn(Point<'_>, Point<'_>, &Window<'_>) -> bool,
) -> f64 {
    let points: Vec<Point<'_>> = merged(window.samples, window.histograms).collect();
    let count = points
        .windows(2)
        .filter(|pair| is_one(pair[0], pair[1], window))
        .count();
    count as f64
}

pub(crate) fn changed(before: Point<'_>, after: Point<'_>, _: &Window<'_>) -> bool {
    match (before, after) {
        (Point::Float(before), Point::Float(after)) => {
            before.value != after.value && !(before.value.is_nan() && after.value.is_nan())
        }
        (Point::Histogram(before), Point::Histogram(after)) => {
            !after.histogram.is_same(&before.histogram)
        }
        _ => true,
    }
}

pub(crate) fn is_reset(before: Point<'_>, after: Point<'_>, window: &Window<'_>) -> bool {
    match (before, after) {
        (Point::Float(before), Point::Float(after)) => after.value < before.value,
        (Point::Histogram(before), Point::Histogram(after)) => {
            is_histogram_reset(before, after, window.heeds_starts)
        }
        _ => true,
    }
}

fn is_histogram_reset(
    before: &HistogramSample,
    after: &HistogramSample,
    heeds_starts: bool,
) -> bool {
    let began = heeds_starts
        && counter_began(
            (before.start, before.timestamp),
            (after.start, after.timestamp),
        );
    began || after.histogram.is_reset_since(&before.histogram)
}

/// The sum of all, or their average.
fn total(window: &Window<'_>, wanted: Total, notes: Notes<'_, '_>) -> Option<Histogram> {
    let mut adding = Adding::starting_at(&window.histograms[0].histogram, wanted);
    for sample in &window.histograms[1..] {
        if adding.add(&sample.histogram).is_err() {
            notes.mixed_buckets();
            return None;
        }
    }
    notes.reconciled(adding.reconciled, HistogramOperation::Aggregation);
    if adding.hints_conflict() {
        notes
            .annotations
            .borrow_mut()
            .conflicting_resets(notes.span, HistogramOperation::Aggregation);
    }
    Some(adding.value())
}

/// Histograms being added, and what is noticed by it.
#[derive(Clone, Debug)]
pub(crate) struct Adding {
    sum: HistogramSum,
    wanted: Total,
    /// The sum grew beyond what floats hold, and `sum` is the mean.
    is_mean: bool,
    count: f64,
    pub(crate) reconciled: bool,
    saw_reset: bool,
    saw_no_reset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Average,
    Sum,
}

impl Adding {
    pub(crate) fn starting_at(first: &Histogram, wanted: Total) -> Self {
        let mut adding = Self {
            sum: HistogramSum::starting_at(first.clone()),
            wanted,
            is_mean: false,
            count: 1.0,
            reconciled: false,
            saw_reset: false,
            saw_no_reset: false,
        };
        adding.note_hint(first);
        adding
    }

    pub(crate) fn add(&mut self, other: &Histogram) -> Result<(), IncompatibleBuckets> {
        self.note_hint(other);
        if self.wanted == Total::Average && !self.is_mean && self.sum.may_overflow(other) {
            let mut sum = self.sum.clone();
            self.reconciled |= sum.add(other)?.bounds;
            if sum.has_overflown() && !self.sum.has_overflown() {
                self.sum = self.sum.clone().scaled(1.0 / self.count);
                self.is_mean = true;
            } else {
                self.count += 1.0;
                self.sum = sum;
                return Ok(());
            }
        }
        self.count += 1.0;
        let reconciled = if self.is_mean {
            let share = (self.count - 1.0) / self.count;
            self.sum = self.sum.clone().scaled(share);
            self.sum.add(&other.clone().divided(self.count))?
        } else {
            self.sum.add(other)?
        };
        self.reconciled |= reconciled.bounds;
        Ok(())
    }

    fn note_hint(&mut self, other: &Histogram) {
        match other.reset_hint {
            ResetHint::NotReset => self.saw_no_reset = true,
            ResetHint::Reset => self.saw_reset = true,
            ResetHint::Gauge | ResetHint::Unknown => {}
        }
    }

    pub(crate) fn hints_conflict(&self) -> bool {
        self.saw_reset && self.saw_no_reset
    }

    pub(crate) fn value(self) -> Histogram {
        let value = self.sum.value();
        match self.wanted {
            Total::Average if !self.is_mean => value.divided(self.count),
            Total::Average | Total::Sum => value,
        }
        .compacted()
    }
}

fn extrapolated(window: &Window<'_>, what: Extrapolation, notes: Notes<'_, '_>) -> Cell {
    if !window.samples.is_empty() {
        notes.mixed_kinds();
        return Cell::Absent;
    }
    let histograms = window.histograms;
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let is_counter = what != Extrapolation::Delta;
    let began = window
        .began_inside(first.start, first.timestamp)
        .filter(|_| is_counter);
    if histograms.len() < 2 && began.is_none() {
        return Cell::Absent;
    }
    let Some(mut change) = change(window, is_counter, began.is_some(), notes) else {
        return Cell::Absent;
    };
    let factor = window_functions::stretch(
        window,
        what,
        (first.timestamp, last.timestamp, histograms.len()),
        began,
        (first.histogram.count, change.count),
    );
    change = change.scaled(factor);
    change.reset_hint = ResetHint::Gauge;
    Cell::histogram(Some(change.compacted()))
}

/// Last minus first; of a counter, what was lost by resets is added.
fn change(
    window: &Window<'_>,
    is_counter: bool,
    from_zero: bool,
    notes: Notes<'_, '_>,
) -> Option<Histogram> {
    let histograms = window.histograms;
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let is_gauge = |sample: &HistogramSample| sample.histogram.reset_hint == ResetHint::Gauge;
    if is_counter {
        if histograms.iter().any(is_gauge) {
            notes.not_a_counter();
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        notes.not_a_gauge();
    }
    let reset = |index: usize| {
        is_histogram_reset(
            &histograms[index - 1],
            &histograms[index],
            window.heeds_starts,
        )
    };
    // A first histogram that is followed by a reset needs not fit the others: what it counted is taken away and added.
    let skips_first = is_counter && histograms.len() > 1 && !from_zero && reset(1);
    let custom = last.histogram.has_custom_buckets();
    let fits = |sample: &HistogramSample| sample.histogram.has_custom_buckets() == custom;
    if !histograms[usize::from(skips_first)..].iter().all(fits) {
        notes.mixed_buckets();
        return None;
    }
    let mut change = (*last.histogram).clone();
    if histograms.len() == 1 {
        return Some(change);
    }
    if is_counter {
        // The resolution that all share, so that none is better than what it is compared with.
        let schema = histograms[usize::from(skips_first)..]
            .iter()
            .map(|sample| sample.histogram.schema)
            .min();
        if let Some(schema) = schema {
            change.reduce_to_schema(schema);
        }
    }
    let mut ok = true;
    if !skips_first && !from_zero {
        ok &= combined(&mut change, &first.histogram, false, notes);
    }
    if is_counter {
        for index in 1 + usize::from(skips_first)..histograms.len() {
            if reset(index) {
                ok &= combined(&mut change, &histograms[index - 1].histogram, true, notes);
            }
        }
    }
    ok.then_some(change)
}

/// Adds or subtracts, and says what had to be overlooked. Whether it could be done.
pub(crate) fn combined(
    total: &mut Histogram,
    other: &Histogram,
    adds: bool,
    notes: Notes<'_, '_>,
) -> bool {
    let (outcome, operation) = if adds {
        (total.add(other), HistogramOperation::Addition)
    } else {
        (total.subtract(other), HistogramOperation::Subtraction)
    };
    match outcome {
        Ok(reconciled) => {
            notes.reconciled(reconciled.bounds, operation);
            true
        }
        Err(IncompatibleBuckets) => {
            notes.mixed_buckets();
            false
        }
    }
}

fn last_step(window: &Window<'_>, per_second: bool, notes: Notes<'_, '_>) -> Cell {
    let points: Vec<Point<'_>> = merged(window.samples, window.histograms).collect();
    let [.., before, last] = points.as_slice() else {
        return Cell::Absent;
    };
    let (before, last) = match (before, last) {
        (Point::Histogram(before), Point::Histogram(last)) => (before, last),
        (Point::Float(_), Point::Float(_)) => {
            let floats = Window {
                histograms: &[],
                ..*window
            };
            return Cell::float(window_functions::last_step(&floats, per_second));
        }
        _ => {
            notes.mixed_kinds();
            return Cell::Absent;
        }
    };
    let is_gauge = |sample: &HistogramSample| sample.histogram.reset_hint == ResetHint::Gauge;
    let gauges = [before, last]
        .into_iter()
        .filter(|sample| is_gauge(sample))
        .count();
    if per_second && gauges > 0 {
        notes.not_a_counter();
    } else if !per_second && gauges < 2 {
        notes.not_a_gauge();
    }
    let mut change = (*last.histogram).clone();
    if (!per_second || !is_histogram_reset(before, last, window.heeds_starts))
        && !combined(&mut change, &before.histogram, false, notes)
    {
        return Cell::Absent;
    }
    if per_second {
        let millis = last.timestamp.as_millis() - before.timestamp.as_millis();
        change = change.divided(millis as f64 / 1000.0);
    }
    change.reset_hint = ResetHint::Gauge;
    Cell::histogram(Some(change.compacted()))
}
