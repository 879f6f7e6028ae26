//! Histograms as scripts write them: `{{schema:0 sum:5 count:4 offset:1 buckets:[1 2 1]}}`.
use model::Histogram;
use model::histogram::{Bucket, ResetHint};

/// The histogram at the beginning of the text, and what follows it.
pub(crate) fn parse(text: &str) -> (Histogram, &str) {
    let end = text.find("}}").expect("a histogram ends");
    let inner = &text[2..end];
    let mut histogram = Histogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let mut buckets = Vec::new();
    let mut n_buckets = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once(':').expect("key:value");
        let (value, next) = if let Some(list) = behind.strip_prefix('[') {
            list.split_once(']').expect("a list ends")
        } else {
            behind
                .split_once(char::is_whitespace)
                .unwrap_or((behind, ""))
        };
        let float = || float(value);
        let list = || {
            value
                .split_whitespace()
                .map(self::float)
                .collect::<Vec<f64>>()
        };
        match key.trim() {
            "schema" => histogram.schema = value.parse().unwrap(),
            "sum" => histogram.sum = float(),
            "count" => histogram.count = float(),
            "z_bucket" => histogram.zero_count = float(),
            "z_bucket_w" => histogram.zero_threshold = float(),
            "offset" => offset = value.parse().unwrap(),
            "n_offset" => n_offset = value.parse().unwrap(),
            "buckets" => buckets = list(),
            "n_buckets" => n_buckets = list(),
            "custom_values" => histogram.custom_values = list().into(),
            "counter_reset_hint" => {
                histogram.reset_hint = match value {
                    "gauge" => ResetHint::Gauge,
                    "not_reset" => ResetHint::NotReset,
                    "reset" => ResetHint::Reset,
                    "unknown" => ResetHint::Unknown,
                    _ => panic!("unknown hint {value}"),
                }
            }
            key => panic!("unknown key {key}"),
        }
        rest = next.trim();
    }
    histogram.positive = indexed(offset, &buckets);
    histogram.negative = indexed(n_offset, &n_buckets);
    (histogram, &text[end + 2..])
}

fn float(text: &str) -> f64 {
    let (value, rest) = crate::script::number(text).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(rest, "", "{text}");
    value
}

fn indexed(offset: i32, counts: &[f64]) -> Vec<Bucket> {
    (offset..)
        .zip(counts)
        .map(|(index, count)| Bucket {
            index,
            count: *count,
        })
        .collect()
}
