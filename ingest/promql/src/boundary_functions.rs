//! Functions of windows whose edges are made of the samples around them: `anchored` takes the sample at or before
//! the beginning, `smoothed` draws lines to the neighbours outside. Nothing is extrapolated.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use model::Sample;

use crate::ast::Boundary;
use crate::function::FunctionKind;
use crate::window_functions::{Window, changes, resets};

/// Whether the function knows such edges; otherwise the error.
pub(crate) fn check(kind: FunctionKind, boundary: Boundary, name: &str) -> Result<(), String> {
    let rates = matches!(
        kind,
        FunctionKind::Delta | FunctionKind::Increase | FunctionKind::Rate
    );
    let counts = matches!(kind, FunctionKind::Changes | FunctionKind::Resets);
    match boundary {
        Boundary::Anchored if !rates && !counts => Err(format!(
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with {name}"
        )),
        Boundary::Smoothed if !rates => Err(format!(
            "smoothed modifier can only be used with: delta, increase, rate - not with {name}"
        )),
        Boundary::Anchored | Boundary::Plain | Boundary::Smoothed => Ok(()),
    }
}

/// `window.samples` reach out of the window by the lookback.
pub(crate) fn compute(kind: FunctionKind, boundary: Boundary, window: &Window<'_>) -> Option<f64> {
    let samples = window.samples;
    let at = |sample: &Sample| sample.timestamp.as_millis();
    let smoothed = boundary == Boundary::Smoothed;
    // The last sample at or before the beginning, else the first.
    let first = samples
        .partition_point(|sample| at(sample) <= window.start)
        .saturating_sub(1);
    // The first at or behind the end, else the last.
    let last = if smoothed {
        samples
            .partition_point(|sample| at(sample) < window.end)
            .min(samples.len() - 1)
    } else {
        samples.len() - 1
    };
    if at(&samples[last]) <= window.start || at(&samples[first]) > window.end {
        return None;
    }
    let inside = Window {
        samples: &samples[first..=last],
        offset: window.offset + first,
        starts: window.starts.get(first..=last).unwrap_or_default(),
        ..*window
    };
    match kind {
        FunctionKind::Changes => return Some(changes(&inside)),
        FunctionKind::Resets => return Some(resets(&inside)),
        _ => {}
    }
    let counter = kind != FunctionKind::Delta;
    let reset = |before: &Sample, after: &Sample| counter && after.value < before.value;
    let left_cut = smoothed && at(&samples[first]) < window.start;
    let right_cut = smoothed && last > 0 && at(&samples[last]) > window.end;
    let left = if left_cut {
        let (before, after) = (&samples[first], &samples[first + 1]);
        // A counter that is reset on the way began again at zero.
        let from = if reset(before, after) {
            0.0
        } else {
            before.value
        };
        on_the_line(before, from, after, after.value, window.start)
    } else {
        samples[first].value
    };
    let right = if right_cut {
        let (before, after) = (&samples[last - 1], &samples[last]);
        let (from, to) = match (reset(before, after), left_cut && first + 1 == last) {
            (false, _) => (before.value, after.value),
            // Both edges lie on one line, which began at zero.
            (true, true) => (0.0, after.value),
            // Without the reset the counter would have gone on by what it counted since.
            (true, false) => (before.value, after.value + before.value),
        };
        on_the_line(before, from, after, to, window.end)
    } else {
        samples[last].value
    };
    let mut difference = right - left;
    if counter {
        let strictly_inside = samples[first..=last]
            .iter()
            .filter(|sample| at(sample) > window.start && at(sample) < window.end)
            .map(|sample| sample.value);
        let mut previous = left;
        for value in strictly_inside.chain([right]) {
            if value < previous {
                difference += previous;
            }
            previous = value;
        }
    }
    if kind == FunctionKind::Rate {
        difference /= (window.end - window.start) as f64 / 1000.0;
    }
    Some(difference)
}

/// An instant selector's value between its neighbours; the previous one where there is no next.
pub(crate) fn smoothed_value(samples: &[Sample], at: i64) -> Option<f64> {
    let next = samples.partition_point(|sample| sample.timestamp.as_millis() < at);
    match (
        next.checked_sub(1).map(|before| &samples[before]),
        samples.get(next),
    ) {
        (_, Some(exact)) if exact.timestamp.as_millis() == at => Some(exact.value),
        (Some(before), Some(after)) => {
            Some(on_the_line(before, before.value, after, after.value, at))
        }
        (Some(before), None) => Some(before.value),
        (None, _) => None,
    }
}

fn on_the_line(before: &Sample, from: f64, after: &Sample, to: f64, at: i64) -> f64 {
    let (begin, end) = (before.timestamp.as_millis(), after.timestamp.as_millis());
    from + (to - from) * (at - begin) as f64 / (end - begin) as f64
}
