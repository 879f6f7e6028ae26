//! `anchored` and `smoothed` where a series holds histograms.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use model::histogram::{IncompatibleBuckets, ResetHint};
use model::{Histogram, HistogramSample};

use crate::ast::Boundary;
use crate::function::FunctionKind;
use crate::histogram_window::{Notes, changed, combined, is_reset, transitions};
use crate::points::{Point, merged};
use crate::table::Cell;
use crate::window_functions::Window;

/// `window` holds at least one histogram, and reaches out by the lookback.
pub(crate) fn compute(
    kind: FunctionKind,
    boundary: Boundary,
    window: &Window<'_>,
    notes: Notes<'_, '_>,
) -> Cell {
    match kind {
        FunctionKind::Changes => anchored_transitions(window, changed),
        FunctionKind::Resets => anchored_transitions(window, is_reset),
        _ if !window.samples.is_empty() => {
            notes.mixed_kinds();
            Cell::Absent
        }
        _ => Cell::histogram(change(kind, boundary, window, notes)),
    }
}

/// From the last point at or before the beginning.
fn anchored_transitions(
    window: &Window<'_>,
    is_one: impl Fn(Point<'_>, Point<'_>, &Window<'_>) -> bool,
) -> Cell {
    let anchor = merged(window.samples, window.histograms)
        .map(|point| point.at())
        .take_while(|at| at.as_millis() <= window.start)
        .last();
    let last = merged(window.samples, window.histograms)
        .map(|point| point.at())
        .last();
    if last.is_none_or(|last| last.as_millis() <= window.start) {
        return Cell::Absent;
    }
    let from = anchor.unwrap_or(model::Timestamp::MIN);
    let floats = window
        .samples
        .partition_point(|sample| sample.timestamp < from);
    let histograms = window
        .histograms
        .partition_point(|sample| sample.timestamp < from);
    let inside = Window {
        samples: &window.samples[floats..],
        offset: window.offset + floats,
        starts: window.starts.get(floats..).unwrap_or_default(),
        histograms: &window.histograms[histograms..],
        ..*window
    };
    Cell::Float(transitions(&inside, is_one))
}

fn change(
    kind: FunctionKind,
    boundary: Boundary,
    window: &Window<'_>,
    notes: Notes<'_, '_>,
) -> Option<Histogram> {
    let histograms = window.histograms;
    let at = |sample: &HistogramSample| sample.timestamp.as_millis();
    let is_smoothed = boundary == Boundary::Smoothed;
    let first = histograms
        .partition_point(|sample| at(sample) <= window.start)
        .saturating_sub(1);
    let last = if is_smoothed {
        histograms
            .partition_point(|sample| at(sample) < window.end)
            .min(histograms.len() - 1)
    } else {
        histograms.len() - 1
    };
    if at(&histograms[last]) <= window.start || at(&histograms[first]) > window.end {
        return None;
    }
    let used = &histograms[first..=last];
    let custom = used[0].histogram.has_custom_buckets();
    if used
        .iter()
        .any(|sample| sample.histogram.has_custom_buckets() != custom)
    {
        notes.mixed_buckets();
        return None;
    }
    let is_gauge = |sample: &HistogramSample| sample.histogram.reset_hint == ResetHint::Gauge;
    let is_counter = kind != FunctionKind::Delta;
    let edges_are_gauges = is_gauge(&used[0]) && is_gauge(&used[used.len() - 1]);
    if is_counter && used.iter().any(is_gauge) {
        notes.not_a_counter();
    } else if !is_counter && !edges_are_gauges {
        notes.not_a_gauge();
    }
    let left_cut = is_smoothed && at(&histograms[first]) < window.start;
    let right_cut = is_smoothed && last > 0 && at(&histograms[last]) > window.end;
    let left = if left_cut {
        on_the_line(
            &histograms[first],
            &histograms[first + 1],
            window.start,
            is_counter,
        )
        .ok()?
    } else {
        (*histograms[first].histogram).clone()
    };
    let mut total = if right_cut {
        on_the_line(
            &histograms[last - 1],
            &histograms[last],
            window.end,
            is_counter,
        )
        .ok()?
    } else {
        (*histograms[last].histogram).clone()
    };
    if !combined(&mut total, &left, false, notes) {
        return None;
    }
    if is_counter {
        // Where the left edge lies between two samples it counts from the second one's beginning already.
        for index in first + 1 + usize::from(left_cut)..=last {
            let (before, after) = (&histograms[index - 1], &histograms[index]);
            if after.histogram.is_reset_since(&before.histogram)
                && !combined(&mut total, &before.histogram, true, notes)
            {
                return None;
            }
        }
    }
    if kind == FunctionKind::Rate {
        total = total.divided((window.end - window.start) as f64 / 1000.0);
    }
    total.reset_hint = ResetHint::Gauge;
    Some(total.compacted())
}

/// An instant selector's histogram between its neighbours; the previous one where there is no next.
pub(crate) fn smoothed_value(
    histograms: &[HistogramSample],
    at: i64,
) -> Result<Cell, IncompatibleBuckets> {
    let next = histograms.partition_point(|sample| sample.timestamp.as_millis() < at);
    Ok(
        match (
            next.checked_sub(1).map(|before| &histograms[before]),
            histograms.get(next),
        ) {
            (_, Some(exact)) if exact.timestamp.as_millis() == at => Point::Histogram(exact).cell(),
            (Some(before), Some(after)) => {
                let is_counter = after.histogram.reset_hint != ResetHint::Gauge
                    && before.histogram.reset_hint != ResetHint::Gauge;
                Cell::histogram(Some(on_the_line(before, after, at, is_counter)?))
            }
            (Some(before), None) => Point::Histogram(before).cell(),
            (None, _) => Cell::Absent,
        },
    )
}

/// What a histogram between two others would be. A counter that is reset on the way began again at zero.
fn on_the_line(
    before: &HistogramSample,
    after: &HistogramSample,
    at: i64,
    is_counter: bool,
) -> Result<Histogram, IncompatibleBuckets> {
    let millis = |sample: &HistogramSample| sample.timestamp.as_millis();
    let fraction = (at - millis(before)) as f64 / (millis(after) - millis(before)) as f64;
    let mut line = (*after.histogram).clone();
    let hint = line.reset_hint;
    if line.has_custom_buckets() != before.histogram.has_custom_buckets() {
        return Err(IncompatibleBuckets);
    }
    if is_counter && line.is_reset_since(&before.histogram) {
        return Ok(line.scaled(fraction));
    }
    line.subtract(&before.histogram)?;
    line = line.scaled(fraction);
    line.add(&before.histogram)?;
    line.reset_hint = hint;
    Ok(line.compacted())
}
