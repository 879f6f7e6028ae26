//! Histograms as scripts write them: `{{schema:0 sum:5 count:4 offset:1 buckets:[1 2 1]}}`.
use model::Histogram;
use model::go_number::format_g;
use model::histogram::{Bucket, ResetHint};

use crate::series_notation::number;

/// The histogram at the beginning of the text, and what follows it. An error comes with how much of the text remains
/// where it stands.
pub(crate) fn parse(text: &str) -> Result<(Histogram, &str), (usize, String)> {
    let end = text
        .find("}}")
        .ok_or_else(|| (text.len(), "a histogram without its end \"}}\"".to_owned()))?;
    let mut histogram = Histogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let (mut buckets, mut n_buckets) = (Vec::new(), Vec::new());
    let mut rest = text[2..end].trim_start();
    while !rest.is_empty() {
        // Up to the end of the whole text, not of the histogram.
        let remaining = rest.len() + text.len() - end;
        let wrong = |message: String| (remaining, message);
        let (key, behind) = rest
            .split_once(':')
            .ok_or_else(|| wrong("key:value is expected".to_owned()))?;
        let (value, next) = match behind.strip_prefix('[') {
            Some(list) => list
                .split_once(']')
                .ok_or_else(|| wrong("a list without its end \"]\"".to_owned()))?,
            None => behind
                .split_once(char::is_whitespace)
                .unwrap_or((behind, "")),
        };
        let float = |word: &str| match number(word) {
            Some((value, "")) => Ok(value),
            _ => Err(wrong(format!("{word:?} is no number"))),
        };
        let whole = || {
            value
                .parse::<i32>()
                .map_err(|_| wrong(format!("{value:?} is no whole number")))
        };
        let list = || {
            value
                .split_whitespace()
                .map(float)
                .collect::<Result<Vec<f64>, _>>()
        };
        match key.trim() {
            "schema" => histogram.schema = whole()?,
            "sum" => histogram.sum = float(value)?,
            "count" => histogram.count = float(value)?,
            "z_bucket" => histogram.zero_count = float(value)?,
            "z_bucket_w" => histogram.zero_threshold = float(value)?,
            "offset" => offset = whole()?,
            "n_offset" => n_offset = whole()?,
            "buckets" => buckets = list()?,
            "n_buckets" => n_buckets = list()?,
            "custom_values" => histogram.custom_values = list()?.into(),
            "counter_reset_hint" => {
                histogram.reset_hint = match value {
                    "gauge" => ResetHint::Gauge,
                    "not_reset" => ResetHint::NotReset,
                    "reset" => ResetHint::Reset,
                    "unknown" => ResetHint::Unknown,
                    _ => return Err(wrong(format!("unknown counter_reset_hint {value:?}"))),
                }
            }
            key => return Err(wrong(format!("unknown key {key:?} of a histogram"))),
        }
        rest = next.trim_start();
    }
    histogram.positive = indexed(offset, &buckets);
    histogram.negative = indexed(n_offset, &n_buckets);
    Ok((histogram, &text[end + 2..]))
}

/// In the same notation, every histogram in one way: what is zero is left out, and so are empty buckets at both ends.
#[must_use]
pub fn print(histogram: &Histogram) -> String {
    let mut words = vec![format!("schema:{}", histogram.schema)];
    for (key, value) in [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ] {
        if value != 0.0 {
            words.push(format!("{key}:{}", format_g(value)));
        }
    }
    let list = |values: &mut dyn Iterator<Item = f64>| {
        let words: Vec<String> = values.map(format_g).collect();
        format!("[{}]", words.join(" "))
    };
    if histogram.has_custom_buckets() {
        let values = list(&mut histogram.custom_values.iter().copied());
        words.push(format!("custom_values:{values}"));
    }
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => None,
        ResetHint::Reset => Some("reset"),
        ResetHint::NotReset => Some("not_reset"),
        ResetHint::Gauge => Some("gauge"),
    };
    words.extend(hint.map(|hint| format!("counter_reset_hint:{hint}")));
    for (prefix, buckets) in [("", &histogram.positive), ("n_", &histogram.negative)] {
        let held = || buckets.iter().filter(|bucket| bucket.count != 0.0);
        let (Some(first), Some(last)) = (held().next(), held().next_back()) else {
            continue;
        };
        if first.index != 0 {
            words.push(format!("{prefix}offset:{}", first.index));
        }
        let mut counts = (first.index..=last.index).map(|index| {
            let bucket = held().find(|bucket| bucket.index == index);
            bucket.map_or(0.0, |bucket| bucket.count)
        });
        words.push(format!("{prefix}buckets:{}", list(&mut counts)));
    }
    format!("{{{{{}}}}}", words.join(" "))
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
