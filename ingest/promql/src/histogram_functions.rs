//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` over tables.
use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Labels, LabelsBuilder};

use crate::annotations::{Annotations, Monotonicity};
use crate::answer::EvalError;
use crate::classic_histogram::{self, Bucket};
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

/// Each quantile of each histogram. With a label, the quantile is its value.
pub(crate) fn quantiles(
    wanted: &[(Option<&str>, Vec<f64>)],
    input: &Table,
    steps: Steps,
    span: Span,
    annotations: &mut Annotations<'_>,
    delayed: bool,
) -> Result<Table, EvalError> {
    let histograms = histograms(input, span, annotations);
    let mut out = Table::new(input.steps);
    for histogram in &histograms {
        for (label, quantiles) in wanted {
            let mut rows: HashMap<u64, usize, FixedState> = HashMap::default();
            for (step, quantile) in quantiles.iter().enumerate() {
                let mut buckets = buckets_at(histogram, input, step);
                if buckets.is_empty() {
                    continue;
                }
                let (value, raised) = classic_histogram::quantile(*quantile, &mut buckets);
                let row = *rows
                    .entry(label.map_or(0, |_| quantile.to_bits()))
                    .or_insert_with(|| {
                        let mut builder = LabelsBuilder::new(&histogram.labels);
                        if let Some(label) = label {
                            builder.set(label, &model::go_number::format_f(*quantile));
                        }
                        out.add_row(builder.build(), histogram.drop_name)
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
    let histograms = histograms(input, span, annotations);
    let mut out = Table::new(input.steps);
    for histogram in &histograms {
        let row = out.add_row(histogram.labels.clone(), histogram.drop_name);
        for step in 0..input.steps {
            let mut buckets = buckets_at(histogram, input, step);
            if !buckets.is_empty() {
                let value = classic_histogram::fraction(lower[step], upper[step], &mut buckets);
                out.set(row, step, value);
            }
        }
    }
    out.prune();
    out.drop_names(delayed)?;
    Ok(out)
}

fn histograms(input: &Table, span: Span, annotations: &mut Annotations<'_>) -> Vec<Histogram> {
    let mut found: Vec<Histogram> = Vec::new();
    let mut index: HashMap<Labels, usize, FixedState> = HashMap::default();
    for (row, meta) in input.rows.iter().enumerate() {
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
