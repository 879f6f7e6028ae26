//! Classic histograms made into native ones with custom buckets, as `load_with_nhcb` does it.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::{Bucket, CUSTOM_BUCKETS};
use model::{Histogram, Labels, LabelsBuilder, METRIC_NAME};

use crate::script::{Cell, Loaded};

/// A classic histogram at one time.
#[derive(Default)]
struct Classic {
    /// Cumulative counts by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

pub(crate) fn converted(series: &[Loaded]) -> Vec<Loaded> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    // Only what has buckets is a histogram.
    for pass in ["_bucket", "_count", "_sum"] {
        for one in series {
            let name = one.labels.metric_name().unwrap_or_default();
            let Some(base) = name.strip_suffix(pass) else {
                continue;
            };
            let bound = one.labels.get("le").and_then(|bound| bound.parse().ok());
            let mut builder = LabelsBuilder::new(&one.labels);
            builder.set(METRIC_NAME, base);
            builder.remove("le");
            let labels = builder.build();
            let at = match (pass, bound) {
                ("_bucket", Some(_)) => found.entry(labels).or_default(),
                ("_bucket", None) => continue,
                _ => match found.get_mut(&labels) {
                    Some(known) => known,
                    None => continue,
                },
            };
            for (millis, cell) in &one.cells {
                let Cell::Value(value) = cell else {
                    continue;
                };
                let classic = at.entry(*millis).or_default();
                match (pass, bound) {
                    ("_bucket", Some(bound)) => classic.buckets.push((bound, *value)),
                    ("_count", _) => classic.count = Some(*value),
                    _ => classic.sum = *value,
                }
            }
        }
    }
    found
        .into_iter()
        .map(|(labels, classics)| Loaded {
            labels,
            cells: classics
                .into_iter()
                .filter(|(_, classic)| !classic.buckets.is_empty())
                .map(|(millis, classic)| (millis, Cell::Histogram(Arc::new(native(classic)))))
                .collect(),
            starts: Vec::new(),
        })
        .collect()
}

fn native(mut classic: Classic) -> Histogram {
    classic
        .buckets
        .sort_by(|left, right| left.0.total_cmp(&right.0));
    let highest = classic.buckets[classic.buckets.len() - 1];
    let count = classic.count.unwrap_or(highest.1);
    if highest.0 != f64::INFINITY {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut before = 0.0;
    let mut positive = Vec::new();
    for (index, (_, cumulative)) in (0..).zip(&classic.buckets) {
        positive.push(Bucket {
            index,
            count: cumulative - before,
        });
        before = *cumulative;
    }
    let bounds = classic.buckets.iter().map(|(bound, _)| *bound);
    Histogram {
        schema: CUSTOM_BUCKETS,
        count,
        sum: classic.sum,
        positive,
        custom_values: bounds.filter(|bound| bound.is_finite()).collect(),
        ..Histogram::default()
    }
    .compacted()
}
