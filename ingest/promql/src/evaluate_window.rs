//! Function calls over range vectors: one series after the other, the window sliding over its samples.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use std::borrow::Cow;
use std::sync::Arc;

use model::Timestamp;
use model::histogram::ResetHint;

use crate::absence::absent;
use crate::answer::EvalError;
use crate::ast::{Boundary, Call, Expr, ValueType};
use crate::boundary_functions;
use crate::evaluator::{Evaluator, mistyped, series_of};
use crate::function::FunctionKind;
use crate::histogram_boundary;
use crate::histogram_window::{self, Notes};
use crate::reader::Series;
use crate::selection::{fresh, size};
use crate::table::{ABSENT, Cell, SAME_LABELS, Steps, Table, is_absent, weight, without_metadata};
use crate::window_functions::{self, Transitions, Window, overlaps};

/// One series of a range vector.
struct RangeSeries<'a> {
    /// Without stale marks.
    series: Cow<'a, Series>,
    drop_name: bool,
    /// Where the windows end.
    ends: Steps,
    /// How long the windows are.
    millis: i64,
    boundary: Boundary,
}

/// A function's values over one series, step by step; at least one of them is there.
pub(crate) enum WindowRow<'r> {
    Cells(Vec<Cell>),
    Floats(&'r [f64]),
}

impl Evaluator<'_> {
    pub(crate) fn window_call(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        let mut table = self.window_call_with_names(node, kind, steps)?;
        if drops_name(kind) {
            table.drop_names(self.delayed)?;
        }
        Ok(table)
    }

    /// The same, but the series keep their names.
    pub(crate) fn window_call_with_names(
        &self,
        node: &Call,
        kind: FunctionKind,
        steps: Steps,
    ) -> Result<Table, EvalError> {
        let mut table = Table::new(steps.count);
        let matrix = self.window_rows(node, kind, steps, |series, drop_name, row| {
            self.context.charge(steps.count)?;
            let place = table.add_row(series.labels.clone(), drop_name);
            match row {
                WindowRow::Floats(values) => {
                    let begin = place * steps.count;
                    table.values[begin..].copy_from_slice(values);
                }
                WindowRow::Cells(cells) => {
                    for (step, cell) in cells.into_iter().enumerate() {
                        if let Cell::Histogram(histogram) = &cell {
                            self.context.charge(weight(histogram))?;
                        }
                        table.set_cell(place, step, cell);
                    }
                }
            }
            Ok(())
        })?;
        if kind == FunctionKind::AbsentOverTime {
            let present: Vec<bool> = (0..steps.count)
                .map(|step| (0..table.rows.len()).any(|row| table.holds(row, step)))
                .collect();
            return Ok(absent(matrix, &present));
        }
        Ok(table)
    }

    /// Computes the function for one series after the other, and hands on what is not empty. Answers the range vector.
    pub(crate) fn window_rows<'n>(
        &self,
        node: &'n Call,
        kind: FunctionKind,
        steps: Steps,
        mut each: impl FnMut(&Series, bool, WindowRow<'_>) -> Result<(), EvalError>,
    ) -> Result<&'n Expr, EvalError> {
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
        let mut scratch = Vec::new();
        let mut values = Vec::with_capacity(steps.count);
        let mut not_counters: Vec<String> = Vec::new();
        let is_rate = matches!(kind, FunctionKind::Rate | FunctionKind::Increase);
        self.each_range(matrix, steps, |range| {
            let labels = &range.series.labels;
            let notes = Notes {
                annotations: &self.annotations,
                metric: labels.metric_name().unwrap_or_default(),
                span: matrix.span(),
            };
            self.check_starts(range, kind, notes);
            let row = if range.series.histograms.is_empty() {
                self.float_values(range, kind, &scalars, steps, &mut scratch, &mut values)?;
                if values.iter().all(|value| is_absent(*value)) {
                    return Ok(());
                }
                WindowRow::Floats(&values)
            } else {
                let before = self.context.samples_used();
                let cells = self.cells(range, kind, &scalars, steps, &mut scratch, notes)?;
                // Whoever keeps them counts them again.
                self.context.release_to(before, 0);
                if cells.iter().all(Cell::is_absent) {
                    return Ok(());
                }
                WindowRow::Cells(cells)
            };
            each(&range.series, range.drop_name, row)?;
            if is_rate
                && !range.series.samples.is_empty()
                && let Some(name) = labels.metric_name()
                && !is_counter_name(name)
                && not_counters.last().is_none_or(|last| last != name)
            {
                not_counters.push(name.to_owned());
            }
            Ok(())
        })?;
        for name in not_counters {
            self.annotations
                .borrow_mut()
                .not_a_counter(matrix.span(), &name);
        }
        Ok(matrix)
    }

    /// The function's values over a series of floats, step by step.
    fn float_values(
        &self,
        range: &RangeSeries<'_>,
        kind: FunctionKind,
        scalars: &[Vec<f64>],
        steps: Steps,
        scratch: &mut Vec<f64>,
        values: &mut Vec<f64>,
    ) -> Result<(), EvalError> {
        values.clear();
        let transitions = match range.boundary {
            Boundary::Plain if steps.count > 1 => {
                Transitions::of(kind, &self.window_of_all(range, steps))
            }
            Boundary::Plain | Boundary::Anchored | Boundary::Smoothed => None,
        };
        let known = transitions.as_ref();
        self.slide(range, steps, |step, window| {
            let value = match range.boundary {
                _ if window.samples.is_empty() => None,
                Boundary::Plain => {
                    let scalars = scalars_at(scalars, step);
                    window_functions::compute(kind, window, scalars, scratch, known)
                }
                boundary => boundary_functions::compute(kind, boundary, window),
            };
            values.push(value.unwrap_or(ABSENT));
            Ok(())
        })
    }

    /// A window that holds all floats of a series.
    fn window_of_all<'r>(&self, range: &'r RangeSeries<'_>, steps: Steps) -> Window<'r> {
        let series = range.series.as_ref();
        Window {
            samples: &series.samples,
            offset: 0,
            starts: if self.heeds_starts {
                &series.starts
            } else {
                &[]
            },
            histograms: &[],
            heeds_starts: self.heeds_starts,
            start: i64::MIN,
            end: i64::MAX,
            at: steps.start,
        }
    }

    /// The function's values over a series with histograms, step by step.
    fn cells(
        &self,
        range: &RangeSeries<'_>,
        kind: FunctionKind,
        scalars: &[Vec<f64>],
        steps: Steps,
        scratch: &mut Vec<f64>,
        notes: Notes<'_, '_>,
    ) -> Result<Vec<Cell>, EvalError> {
        let mut cells = Vec::with_capacity(steps.count);
        self.slide(range, steps, |step, window| {
            let scalars = scalars_at(scalars, step);
            let cell = match (range.boundary, window.samples, window.histograms) {
                (_, [], []) => Cell::Absent,
                (Boundary::Plain, _, []) => {
                    let value = window_functions::compute(kind, window, scalars, scratch, None);
                    Cell::float(value)
                }
                (Boundary::Plain, _, _) => {
                    histogram_window::compute(kind, window, scalars, scratch, notes)
                }
                (boundary, _, []) => {
                    Cell::float(boundary_functions::compute(kind, boundary, window))
                }
                (boundary, _, _) => histogram_boundary::compute(kind, boundary, window, notes),
            };
            // Each may be large, and all are held until the series is done.
            if let Cell::Histogram(histogram) = &cell {
                self.context.charge(weight(histogram))?;
            }
            cells.push(cell);
            Ok(())
        })?;
        Ok(cells)
    }

    /// Calls `each` with the window of every step. One series may take long, so that a cancelled run ends between steps.
    fn slide(
        &self,
        range: &RangeSeries<'_>,
        steps: Steps,
        mut each: impl FnMut(usize, &Window<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        // Edges that are made of neighbours need those that the lookback reaches.
        let (before, behind) = match range.boundary {
            Boundary::Plain => (0, 0),
            Boundary::Anchored => (self.context.lookback, 0),
            Boundary::Smoothed => (self.context.lookback, self.context.lookback),
        };
        let Series {
            samples,
            starts,
            histograms,
            ..
        } = range.series.as_ref();
        let counts = self.context.seen.is_asked();
        let (mut low, mut high) = (0, 0);
        let (mut low_histogram, mut high_histogram) = (0, 0);
        for step in 0..steps.count {
            let end = range.ends.at(step);
            let start = end.saturating_sub(range.millis);
            let (from, until) = (start.saturating_sub(before), end.saturating_add(behind));
            low = advanced(samples, low, from, steps, |sample| sample.timestamp);
            high = advanced(samples, high.max(low), until, steps, |sample| {
                sample.timestamp
            });
            if !histograms.is_empty() {
                let time = |sample: &model::HistogramSample| sample.timestamp;
                low_histogram = advanced(histograms, low_histogram, from, steps, time);
                let known = high_histogram.max(low_histogram);
                high_histogram = advanced(histograms, known, until, steps, time);
            }
            let window = Window {
                samples: &samples[low..high],
                offset: low,
                starts: if self.heeds_starts {
                    starts.get(low..high).unwrap_or_default()
                } else {
                    &[]
                },
                histograms: &histograms[low_histogram..high_histogram],
                heeds_starts: self.heeds_starts,
                start,
                end,
                at: steps.at(step),
            };
            let seen = window.samples.len() + window.histograms.len();
            self.context.work(1 + seen)?;
            if counts {
                let histograms = window.histograms.iter();
                let beside: usize = histograms.map(|sample| weight(&sample.histogram)).sum();
                self.context.seen.add(step, seen + beside);
            }
            each(step, &window)?;
        }
        Ok(())
    }

    /// Says where a counter's sample began before the sample before it, but not with it.
    fn check_starts(&self, range: &RangeSeries<'_>, kind: FunctionKind, notes: Notes<'_, '_>) {
        let heeding = matches!(
            kind,
            FunctionKind::Increase | FunctionKind::Irate | FunctionKind::Rate
        );
        if !self.heeds_starts || !heeding {
            return;
        }
        let series = range.series.as_ref();
        let floats: Vec<(Timestamp, Timestamp)> = (series.starts.iter().copied())
            .zip(series.samples.iter().map(|sample| sample.timestamp))
            .collect();
        let histograms: Vec<(Timestamp, Timestamp)> = (series.histograms.iter())
            .map(|sample| (sample.start, sample.timestamp))
            .collect();
        let found = [floats, histograms]
            .iter()
            .any(|samples| samples.windows(2).any(|pair| overlaps(pair[0], pair[1].0)));
        if found {
            self.annotations
                .borrow_mut()
                .overlapping_start(notes.span, notes.metric);
        }
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

    /// Calls `each` with the samples of every series of a range vector. Answers how many samples a subquery has looked at.
    fn each_range(
        &self,
        expr: &Expr,
        steps: Steps,
        mut each: impl FnMut(&RangeSeries<'_>) -> Result<(), EvalError>,
    ) -> Result<u64, EvalError> {
        match expr.unwrapped() {
            Expr::Matrix(node) => {
                let selector = &node.selector;
                let ends = self.context.moved(selector.at, &selector.offset, steps)?;
                let millis = self.context.positive_millis(&node.range)?;
                for series in self.sources.of(selector).iter() {
                    self.context.check_cancelled()?;
                    each(&RangeSeries {
                        series: fresh(series),
                        drop_name: false,
                        ends,
                        millis,
                        boundary: selector.boundary,
                    })?;
                }
                Ok(0)
            }
            Expr::Subquery(node) => {
                let ends = self.context.moved(node.at, &node.offset, steps)?;
                let millis = self.context.positive_millis(&node.range)?;
                let inner = self.context.subquery_steps(node, steps)?;
                self.context.charge(inner.count)?;
                let (table, seen) = self.context.seen.apart(|| self.vector(&node.expr, inner));
                let table = table?;
                for (row, meta) in table.rows.iter().enumerate() {
                    self.context.check_cancelled()?;
                    let mut series = series_of(&table, row, inner);
                    forget_hints(&mut series);
                    each(&RangeSeries {
                        series: Cow::Owned(series),
                        drop_name: meta.drop_name,
                        ends,
                        millis,
                        boundary: Boundary::Plain,
                    })?;
                }
                Ok(seen)
            }
            _ => Err(mistyped()),
        }
    }

    /// A range vector as the answer of an instant query.
    pub(crate) fn range_values(&self, expr: &Expr, steps: Steps) -> Result<Vec<Series>, EvalError> {
        let mut found = Vec::new();
        let seen = self.each_range(expr, steps, |range| {
            let end = range.ends.at(0);
            let inside = |at: Timestamp| {
                let at = at.as_millis();
                at > end.saturating_sub(range.millis) && at <= end
            };
            let series = range.series.as_ref();
            let samples = series.samples.iter().copied();
            let histograms = series.histograms.iter();
            let cut = Series {
                labels: if range.drop_name {
                    without_metadata(&series.labels)
                } else {
                    series.labels.clone()
                },
                samples: samples.filter(|sample| inside(sample.timestamp)).collect(),
                starts: Vec::new(),
                histograms: (histograms.filter(|sample| inside(sample.timestamp)))
                    .cloned()
                    .collect(),
            };
            if !cut.is_empty() {
                found.push(cut);
            }
            Ok(())
        })?;
        let seen = match expr.unwrapped() {
            // Its own samples are not the store's.
            Expr::Subquery(_) => usize::try_from(seen).unwrap_or(usize::MAX),
            _ => found.iter().map(size).sum(),
        };
        self.context.seen.add(0, seen);
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        if found
            .windows(2)
            .any(|pair| pair[0].labels == pair[1].labels)
        {
            return Err(EvalError::Execution(SAME_LABELS.to_owned()));
        }
        Ok(found)
    }
}

/// Between the steps of a subquery samples are left out: what a histogram says about the one before it does not hold
/// for the one before it here.
fn forget_hints(series: &mut Series) {
    for sample in &mut series.histograms {
        if matches!(
            sample.histogram.reset_hint,
            ResetHint::NotReset | ResetHint::Reset
        ) {
            Arc::make_mut(&mut sample.histogram).reset_hint = ResetHint::Unknown;
        }
    }
}

/// Whether the function's values mean something else than the series' samples.
pub(crate) fn drops_name(kind: FunctionKind) -> bool {
    !matches!(
        kind,
        FunctionKind::AbsentOverTime | FunctionKind::FirstOverTime | FunctionKind::LastOverTime
    )
}

/// How many samples are not later than `until`, of which there are `known` at least. From step to step it is a short
/// walk, at the first a bisection.
fn advanced<T>(
    samples: &[T],
    known: usize,
    until: i64,
    steps: Steps,
    time: impl Fn(&T) -> Timestamp,
) -> usize {
    let reached = |sample: &T| time(sample).as_millis() <= until;
    if steps.count == 1 {
        return known + samples[known..].partition_point(reached);
    }
    known
        + samples[known..]
            .iter()
            .take_while(|sample| reached(sample))
            .count()
}

fn scalars_at(scalars: &[Vec<f64>], step: usize) -> [f64; 2] {
    [0, 1].map(|index| scalars.get(index).map_or(0.0, |values| values[step]))
}

fn is_counter_name(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}
