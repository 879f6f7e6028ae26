//! `histogram_quantile`, `histogram_fraction` and their relatives over tables.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the few of ninety functions that it is about"
)]

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use model::{Labels, LabelsBuilder};

use crate::annotations::{Annotations, Monotonicity};
use crate::answer::EvalError;
use crate::classic_histogram::{self, Bucket};
use crate::function::FunctionKind;
use crate::native_histogram::{self, NanEffect};
use crate::span::Span;
use crate::table::{Steps, Table, is_absent};

const BOUND: &str = "le";

/// Rows that are the buckets of one histogram.
struct Histogram {
    /// Without the bound, with the name.
    labels: Labels,
    drop_name: bool,
    /// Bound and row.
    buckets: Vec<(f64, usize)>,
}

/// What `histogram_avg` and its likes say of a histogram.
pub(crate) fn number_of(kind: FunctionKind, histogram: &model::Histogram) -> Option<f64> {
    Some(match kind {
        FunctionKind::HistogramAvg => histogram.sum / histogram.count,
        FunctionKind::HistogramCount => histogram.count,
        FunctionKind::HistogramStdDev => native_histogram::variance(histogram).sqrt(),
        FunctionKind::HistogramStdVar => native_histogram::variance(histogram),
        FunctionKind::HistogramSum => histogram.sum,
        _ => return None,
    })
}

/// Each quantile of each histogram. With a label, the quantile is its value.
pub(crate) fn quantiles(
    wanted: &[(Option<&str>, Vec<f64>)],
    input: &Table,
    steps: Steps,
    span: Span,
    annotations: &mut Annotations<'_>,
    delayed: bool,
) -> Result<Table, EvalError> {
    let mut mixed = Mixed::default();
    let histograms = histograms(input, span, annotations, &mut mixed);
    let mut out = Table::new(input.steps);
    for row in 0..input.rows.len() {
        if !input.row_has_histograms(row) {
            continue;
        }
        let meta = &input.rows[row];
        for (label, quantiles) in wanted {
            let mut rows: HashMap<u64, usize, FixedState> = HashMap::default();
            for (step, quantile) in quantiles.iter().enumerate() {
                let Some(histogram) = input.histogram(row, step) else {
                    continue;
                };
                if mixed.is_mixed(row, step) {
                    continue;
                }
                let found = native_histogram::quantile(*quantile, histogram);
                if let Some(effect) = found.nan {
                    let metric = meta.labels.metric_name().unwrap_or_default();
                    annotations.quantile_of_nan(span, metric, effect == NanEffect::IsResult);
                }
                let out_row = *rows
                    .entry(label.map_or(0, |_| quantile.to_bits()))
                    .or_insert_with(|| {
                        let labels = with_quantile(&meta.labels, *label, *quantile);
                        out.add_row(labels, meta.drop_name)
                    });
                out.set(out_row, step, found.value);
            }
        }
    }
    for histogram in &histograms {
        for (label, quantiles) in wanted {
            let mut rows: HashMap<u64, usize, FixedState> = HashMap::default();
            for (step, quantile) in quantiles.iter().enumerate() {
                let mut buckets = buckets_at(histogram, input, step);
                if buckets.is_empty() || mixed.has(&histogram.labels, step) {
                    continue;
                }
                let (value, raised) = classic_histogram::quantile(*quantile, &mut buckets);
                let row = *rows
                    .entry(label.map_or(0, |_| quantile.to_bits()))
                    .or_insert_with(|| {
                        let labels = with_quantile(&histogram.labels, *label, *quantile);
                        out.add_row(labels, histogram.drop_name)
                    });
                out.set(row, step, value);
                if let Some(raised) = raised {
                    let at = steps.at(step);
                    annotations.forced_monotonicity(
                        span,
                        histogram.labels.metric_name().unwrap_or_default(),
                        Monotonicity {
                            bucket_min: raised.bucket_min,
                            bucket_max: raised.bucket_max,
                            difference_max: raised.difference_max,
                            samples: 1,
                            first: at,
                            last: at,
                        },
                    );
                }
            }
        }
    }
    out.prune();
    if wanted.iter().any(|(label, _)| label.is_some()) {
        // The quantile's label may have taken the place of one that told the histograms apart.
        out.merge()?;
    }
    out.drop_names(delayed)?;
    Ok(out)
}

pub(crate) fn fractions(
    lower: &[f64],
    upper: &[f64],
    input: &Table,
    span: Span,
    annotations: &mut Annotations<'_>,
    delayed: bool,
) -> Result<Table, EvalError> {
    let mut mixed = Mixed::default();
    let histograms = histograms(input, span, annotations, &mut mixed);
    let mut out = Table::new(input.steps);
    for row in 0..input.rows.len() {
        if !input.row_has_histograms(row) {
            continue;
        }
        let meta = &input.rows[row];
        let out_row = out.add_row(meta.labels.clone(), meta.drop_name);
        for step in 0..input.steps {
            let Some(histogram) = input.histogram(row, step) else {
                continue;
            };
            if mixed.is_mixed(row, step) {
                continue;
            }
            if histogram.sum.is_nan() {
                let metric = meta.labels.metric_name().unwrap_or_default();
                annotations.fraction_of_nan(span, metric);
            }
            let value = native_histogram::fraction(lower[step], upper[step], histogram);
            out.set(out_row, step, value);
        }
    }
    for histogram in &histograms {
        let row = out.add_row(histogram.labels.clone(), histogram.drop_name);
        for step in 0..input.steps {
            let mut buckets = buckets_at(histogram, input, step);
            if !buckets.is_empty() && !mixed.has(&histogram.labels, step) {
                let value = classic_histogram::fraction(lower[step], upper[step], &mut buckets);
                out.set(row, step, value);
            }
        }
    }
    out.prune();
    out.drop_names(delayed)?;
    Ok(out)
}

fn with_quantile(labels: &Labels, label: Option<&str>, quantile: f64) -> Labels {
    let Some(label) = label else {
        return labels.clone();
    };
    let mut builder = LabelsBuilder::new(labels);
    builder.set(label, &model::go_number::format_f(quantile));
    builder.build()
}

/// Where a native histogram and the buckets of a classic one bear the same labels: neither is answered.
#[derive(Default)]
struct Mixed {
    cells: HashSet<(usize, usize), FixedState>,
    by_labels: HashSet<(Labels, usize), FixedState>,
}

impl Mixed {
    fn is_mixed(&self, row: usize, step: usize) -> bool {
        self.cells.contains(&(row, step))
    }

    fn has(&self, labels: &Labels, step: usize) -> bool {
        !self.by_labels.is_empty() && self.by_labels.contains(&(labels.clone(), step))
    }
}

/// The classic histograms, and where they meet native ones.
fn histograms(
    input: &Table,
    span: Span,
    annotations: &mut Annotations<'_>,
    mixed: &mut Mixed,
) -> Vec<Histogram> {
    let mut found: Vec<Histogram> = Vec::new();
    let mut index: HashMap<Labels, usize, FixedState> = HashMap::default();
    for (row, meta) in input.rows.iter().enumerate() {
        if input.row_values(row).iter().all(|value| is_absent(*value)) {
            continue;
        }
        let text = meta.labels.value(BOUND);
        let Some(bound) = bound(text) else {
            let metric = meta.labels.metric_name().unwrap_or_default();
            annotations.bad_bucket(span, metric, text);
            continue;
        };
        let labels = meta.labels.filtered(|name| name != BOUND);
        let histogram = *index.entry(labels).or_insert_with_key(|labels| {
            found.push(Histogram {
                labels: labels.clone(),
                drop_name: false,
                buckets: Vec::new(),
            });
            found.len() - 1
        });
        found[histogram].drop_name |= meta.drop_name;
        found[histogram].buckets.push((bound, row));
    }
    for (row, meta) in input.rows.iter().enumerate() {
        let Some(classic) = index.get(&meta.labels) else {
            continue;
        };
        for step in 0..input.steps {
            let meets = input.histogram(row, step).is_some()
                && found[*classic]
                    .buckets
                    .iter()
                    .any(|(_, row)| !is_absent(input.value(*row, step)));
            if meets {
                mixed.cells.insert((row, step));
                mixed.by_labels.insert((meta.labels.clone(), step));
                let metric = meta.labels.metric_name().unwrap_or_default();
                annotations.mixed_classic_and_native(span, metric);
            }
        }
    }
    found
}

fn buckets_at(histogram: &Histogram, input: &Table, step: usize) -> Vec<Bucket> {
    histogram
        .buckets
        .iter()
        .map(|(bound, row)| Bucket {
            bound: *bound,
            count: input.value(*row, step),
        })
        .filter(|bucket| !is_absent(bucket.count))
        .collect()
}

fn bound(text: &str) -> Option<f64> {
    text.parse().ok()
}
