//! Functions of one series' samples in a window.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use model::{HistogramSample, Sample, Timestamp};

use crate::function::FunctionKind;
use crate::kahan::{KahanMean, KahanSum};
use crate::quantile::quantile;

/// Samples of one series, without stale marks, later than `start` and not later than `end`. Never empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    /// How many samples of the series are before it.
    pub(crate) offset: usize,
    /// When what each of `samples` counts began, or empty.
    pub(crate) starts: &'a [Timestamp],
    pub(crate) histograms: &'a [HistogramSample],
    /// Counters are known to begin where the samples say so.
    pub(crate) heeds_starts: bool,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// When the query looks, which offsets do not change.
    pub(crate) at: i64,
}

impl Window<'_> {
    /// The counter of the first sample began inside the window, before that sample.
    pub(crate) fn began_inside(&self, start: Timestamp, first: Timestamp) -> Option<Timestamp> {
        let inside = self.heeds_starts
            && start != Timestamp::default()
            && start.as_millis() > self.start
            && start < first;
        inside.then_some(start)
    }

    /// The counter began anew between a float and the one before it.
    fn is_reset(&self, index: usize) -> bool {
        let (before, after) = (&self.samples[index - 1], &self.samples[index]);
        let began = || {
            counter_began(
                (self.starts[index - 1], before.timestamp),
                (self.starts[index], after.timestamp),
            )
        };
        after.value < before.value || (!self.starts.is_empty() && began())
    }

    /// A float is another one than that before it; one NaN is like another.
    fn is_change(&self, index: usize) -> bool {
        let (before, after) = (self.samples[index - 1].value, self.samples[index].value);
        before != after && !(before.is_nan() && after.is_nan())
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }

    fn first(&self) -> &Sample {
        &self.samples[0]
    }

    fn last(&self) -> &Sample {
        &self.samples[self.samples.len() - 1]
    }
}

/// The samples of a series that differ from the one before them in the way that a function asks for. Windows overlap:
/// found once, no window has to look at each of its samples.
#[derive(Debug)]
pub(crate) struct Transitions(Vec<usize>);

impl Transitions {
    /// `series` is a window over all of its floats. `None` where the function does not ask for any.
    pub(crate) fn of(kind: FunctionKind, series: &Window<'_>) -> Option<Self> {
        let places = 1..series.samples.len();
        Some(Self(match kind {
            FunctionKind::Changes => places.filter(|index| series.is_change(*index)).collect(),
            FunctionKind::Increase | FunctionKind::Rate | FunctionKind::Resets => {
                places.filter(|index| series.is_reset(*index)).collect()
            }
            _ => return None,
        }))
    }

    /// Those of which both samples are in the window, as places in it.
    fn inside(&self, window: &Window<'_>) -> impl ExactSizeIterator<Item = usize> {
        let first = window.offset;
        let end = first + window.samples.len();
        let low = self.0.partition_point(|place| *place <= first);
        let len = self.0[low..].partition_point(|place| *place < end);
        self.0[low..low + len]
            .iter()
            .map(move |place| place - first)
    }
}

/// The function's value over the window, with the values of its scalar arguments. Where the series' `transitions` are
/// known, they are those of this function.
pub(crate) fn compute(
    kind: FunctionKind,
    window: &Window<'_>,
    scalars: [f64; 2],
    scratch: &mut Vec<f64>,
    transitions: Option<&Transitions>,
) -> Option<f64> {
    match kind {
        FunctionKind::AvgOverTime => Some(average(window)),
        FunctionKind::Changes => Some(match transitions {
            Some(known) => known.inside(window).len() as f64,
            None => changes(window),
        }),
        FunctionKind::CountOverTime => Some(window.samples.len() as f64),
        FunctionKind::Delta => extrapolated(window, Extrapolation::Delta, transitions),
        FunctionKind::Deriv => derivative(window),
        FunctionKind::DoubleExponentialSmoothing => smooth(window, scalars[0], scalars[1]),
        FunctionKind::FirstOverTime => Some(window.first().value),
        FunctionKind::Idelta => last_step(window, false),
        FunctionKind::Increase => extrapolated(window, Extrapolation::Increase, transitions),
        FunctionKind::Irate => last_step(window, true),
        FunctionKind::LastOverTime => Some(window.last().value),
        FunctionKind::MadOverTime => Some(median_absolute_deviation(window, scratch)),
        FunctionKind::MaxOverTime => Some(extreme(window, |value, best| value > best).value),
        FunctionKind::MinOverTime => Some(extreme(window, |value, best| value < best).value),
        FunctionKind::PredictLinear => predict(window, scalars[0]),
        FunctionKind::AbsentOverTime | FunctionKind::PresentOverTime => Some(1.0),
        FunctionKind::QuantileOverTime => {
            scratch.clear();
            scratch.extend(window.values());
            Some(quantile(scalars[0], scratch))
        }
        FunctionKind::Rate => extrapolated(window, Extrapolation::Rate, transitions),
        FunctionKind::Resets => Some(match transitions {
            Some(known) => known.inside(window).len() as f64,
            None => resets(window),
        }),
        FunctionKind::StdDevOverTime => Some(variance(window).sqrt()),
        FunctionKind::StdVarOverTime => Some(variance(window)),
        FunctionKind::SumOverTime => Some(sum(window)),
        FunctionKind::TsOfFirstOverTime => Some(window.first().timestamp.as_secs_f64()),
        FunctionKind::TsOfLastOverTime => Some(window.last().timestamp.as_secs_f64()),
        FunctionKind::TsOfMaxOverTime => Some(
            extreme(window, |value, best| value >= best)
                .timestamp
                .as_secs_f64(),
        ),
        FunctionKind::TsOfMinOverTime => Some(
            extreme(window, |value, best| value <= best)
                .timestamp
                .as_secs_f64(),
        ),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extrapolation {
    Delta,
    Increase,
    Rate,
}

/// Whether a counter began between two samples, each with when its counter began (the epoch where that is unknown) and
/// its own time. A counter that says that it began just when the sample before was taken either counts from there, or
/// never knew when it began: then the sample before knows nothing either.
pub(crate) fn counter_began(
    (start_before, before): (Timestamp, Timestamp),
    (start, at): (Timestamp, Timestamp),
) -> bool {
    let unknown = Timestamp::default();
    if start == unknown || start >= at {
        return false;
    }
    start > before || (start == before && start_before != unknown && start_before < before)
}

/// Whether a sample counts from a time before the sample before it, but not from where that one does.
pub(crate) fn overlaps((start_before, before): (Timestamp, Timestamp), start: Timestamp) -> bool {
    start != Timestamp::default() && start < before && start != start_before
}

/// Last minus first (a counter's resets added), stretched to the window's edges.
fn extrapolated(
    window: &Window<'_>,
    what: Extrapolation,
    resets: Option<&Transitions>,
) -> Option<f64> {
    let count = window.samples.len();
    let (first, last) = (window.first(), window.last());
    let counter = what != Extrapolation::Delta;
    let began = window
        .starts
        .first()
        .filter(|_| counter)
        .and_then(|start| window.began_inside(*start, first.timestamp));
    if count < 2 && began.is_none() {
        return None;
    }
    let mut difference = last.value - first.value;
    if let Some(resets) = resets.filter(|_| counter) {
        for index in resets.inside(window) {
            difference += window.samples[index - 1].value;
        }
    } else if counter && window.starts.is_empty() {
        let mut previous = first.value;
        for value in window.values() {
            if value < previous {
                difference += previous;
            }
            previous = value;
        }
    } else if counter {
        for index in 1..count {
            if window.is_reset(index) {
                difference += window.samples[index - 1].value;
            }
        }
    }
    if began.is_some() {
        difference += first.value;
    }
    let factor = stretch(
        window,
        what,
        (first.timestamp, last.timestamp, count),
        began,
        (first.value, difference),
    );
    Some(difference * factor)
}

/// By what a change between the first and the last of `count` samples is multiplied to be one over the whole window:
/// by the whole gap at its edges where that is not much longer than the samples' average distance, else by half that
/// distance; and not to before a counter was zero. Where it is known when the counter `began`, it is taken from there.
pub(crate) fn stretch(
    window: &Window<'_>,
    what: Extrapolation,
    (first, last, count): (Timestamp, Timestamp, usize),
    began: Option<Timestamp>,
    (first_value, difference): (f64, f64),
) -> f64 {
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let (first_at, last_at) = (first.as_millis(), last.as_millis());
    let mut sampled = seconds(first_at, last_at);
    let average = sampled / count.saturating_sub(1).max(1) as f64;
    let threshold = average * 1.1;
    let reach = |gap: f64| if gap >= threshold { average / 2.0 } else { gap };
    let mut to_start = reach(seconds(window.start, first_at));
    let to_end = reach(seconds(last_at, window.end));
    if let Some(began) = began {
        to_start = 0.0;
        sampled = seconds(began.as_millis(), last_at);
    } else if what != Extrapolation::Delta && difference > 0.0 && first_value >= 0.0 {
        to_start = to_start.min(sampled * (first_value / difference));
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if what == Extrapolation::Rate {
        factor /= seconds(window.start, window.end);
    }
    factor
}

/// Between the last two samples: how fast a counter grows, or by how much a gauge changed.
pub(crate) fn last_step(window: &Window<'_>, per_second: bool) -> Option<f64> {
    let [.., before, last] = window.samples else {
        return None;
    };
    let millis = last.timestamp.as_millis() - before.timestamp.as_millis();
    if millis == 0 {
        return None;
    }
    if !per_second {
        return Some(last.value - before.value);
    }
    let reset = window.is_reset(window.samples.len() - 1);
    let difference = if reset {
        last.value
    } else {
        last.value - before.value
    };
    Some(difference / (millis as f64 / 1000.0))
}

fn average(window: &Window<'_>) -> f64 {
    let mut mean = KahanMean::starting_at(window.first().value);
    for value in window.values().skip(1) {
        mean.add(value);
    }
    mean.value()
}

fn sum(window: &Window<'_>) -> f64 {
    let sum = window.values().fold(KahanSum::default(), KahanSum::plus);
    if sum.sum.is_infinite() {
        sum.sum
    } else {
        sum.value()
    }
}

/// Welford's method with compensated sums.
fn variance(window: &Window<'_>) -> f64 {
    let mut count = 0.0;
    let mut mean = KahanSum::default();
    let mut squares = KahanSum::default();
    for value in window.values() {
        count += 1.0;
        let delta = value - mean.value();
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (value - mean.value()));
    }
    squares.value() / count
}

fn median_absolute_deviation(window: &Window<'_>, scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend(window.values());
    if scratch.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, scratch);
    for value in scratch.iter_mut() {
        *value = (*value - median).abs();
    }
    quantile(0.5, scratch)
}

/// The sample that is better than all before it; any number is better than NaN.
fn extreme(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> Sample {
    let mut best = *window.first();
    for sample in &window.samples[1..] {
        if better(sample.value, best.value) || best.value.is_nan() {
            best = *sample;
        }
    }
    best
}

pub(crate) fn changes(window: &Window<'_>) -> f64 {
    (1..window.samples.len())
        .filter(|index| window.is_change(*index))
        .count() as f64
}

pub(crate) fn resets(window: &Window<'_>) -> f64 {
    (1..window.samples.len())
        .filter(|index| window.is_reset(*index))
        .count() as f64
}

fn derivative(window: &Window<'_>) -> Option<f64> {
    if window.samples.len() < 2 {
        return None;
    }
    Some(regression(window, window.first().timestamp.as_millis()).0)
}

fn predict(window: &Window<'_>, seconds: f64) -> Option<f64> {
    if window.samples.len() < 2 {
        return None;
    }
    let (slope, intercept) = regression(window, window.at);
    Some(slope * seconds + intercept)
}

/// Slope per second and the value at `origin` of the line with the least squared distances.
fn regression(window: &Window<'_>, origin: i64) -> (f64, f64) {
    let first = window.first().value;
    if window.values().all(|value| value == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let (mut x_sum, mut y_sum) = (KahanSum::default(), KahanSum::default());
    let (mut xy_sum, mut xx_sum) = (KahanSum::default(), KahanSum::default());
    for sample in window.samples {
        let x = (sample.timestamp.as_millis() - origin) as f64 / 1000.0;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(sample.value);
        xy_sum = xy_sum.plus(x * sample.value);
        xx_sum = xx_sum.plus(x * x);
    }
    let count = window.samples.len() as f64;
    let (x, y) = (x_sum.value(), y_sum.value());
    let covariance = xy_sum.value() - x * y / count;
    let variance = xx_sum.value() - x * x / count;
    let slope = covariance / variance;
    (slope, y / count - slope * x / count)
}

/// Holt's linear method: the level follows the values by `smoothing`, the trend follows the levels by `trending`.
fn smooth(window: &Window<'_>, smoothing: f64, trending: f64) -> Option<f64> {
    let [first, second, ..] = window.samples else {
        return None;
    };
    let mut level_before = 0.0;
    let mut level = first.value;
    let mut trend = second.value - first.value;
    for (index, sample) in window.samples.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trending * (level - level_before) + (1.0 - trending) * trend;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + trend);
        level_before = level;
        level = next;
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use model::{Sample, Timestamp};
    use proptest::prelude::*;

    use super::{Transitions, Window, compute};
    use crate::function::FunctionKind;

    /// Windows of a series, with what is known of all of it and without, are the same to the last bit.
    fn check(kind: FunctionKind, samples: &[Sample], starts: &[Timestamp], len: usize) {
        let window = |low: usize, high: usize| Window {
            samples: &samples[low..high],
            offset: low,
            starts: starts.get(low..high).unwrap_or_default(),
            histograms: &[],
            heeds_starts: !starts.is_empty(),
            start: low as i64 * 1000,
            end: high as i64 * 1000,
            at: 0,
        };
        let known = Transitions::of(kind, &window(0, samples.len()));
        assert!(known.is_some(), "{kind:?}");
        for low in 0..=samples.len() - len {
            let window = window(low, low + len);
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            let scratch = &mut Vec::new();
            assert_eq!(
                bits(compute(kind, &window, [0.0; 2], scratch, known.as_ref())),
                bits(compute(kind, &window, [0.0; 2], scratch, None)),
                "{kind:?} at {low}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_known_of_the_series_changes_no_window(
            values in prop::collection::vec(prop_oneof![0.0..3.0_f64, Just(f64::NAN), Just(1.0)], 1..40),
            began in prop::collection::vec(prop::option::of(0..1000_i64), 40),
            heeds_starts in any::<bool>(),
            len in 1..40_usize,
        ) {
            let at = |place: usize| Timestamp::from_millis((place as i64 + 1) * 1000);
            let samples: Vec<Sample> = values
                .iter()
                .enumerate()
                .map(|(place, value)| Sample { timestamp: at(place), value: *value })
                .collect();
            let starts: Vec<Timestamp> = began[..samples.len()]
                .iter()
                .enumerate()
                .map(|(place, began)| began.map_or_else(Timestamp::default, |before| {
                    Timestamp::from_millis(at(place).as_millis() - before)
                }))
                .collect();
            let starts = if heeds_starts { &starts[..] } else { &[] };
            for kind in [
                FunctionKind::Changes,
                FunctionKind::Increase,
                FunctionKind::Rate,
                FunctionKind::Resets,
            ] {
                check(kind, &samples, starts, len.min(samples.len()));
            }
        }
    }
}
