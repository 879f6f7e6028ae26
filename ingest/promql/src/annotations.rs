//! What a query has to say beside its value.
use std::collections::{BTreeMap, BTreeSet};

use model::go_number::format_g;
use model::go_quote::quote;

use crate::span::Span;

/// Texts with the place of the argument that they are about.
#[derive(Debug)]
pub(crate) struct Annotations<'a> {
    text: &'a str,
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
    monotonicity: BTreeMap<(String, Span), Monotonicity>,
}

/// Counts of a classic histogram's buckets that had to be raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Monotonicity {
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) difference_max: f64,
    pub(crate) samples: usize,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl<'a> Annotations<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            warnings: BTreeSet::new(),
            infos: BTreeSet::new(),
            monotonicity: BTreeMap::new(),
        }
    }

    pub(crate) fn warn(&mut self, span: Span, message: &str) {
        let text = format!(
            "PromQL warning: {message} ({})",
            span.line_column(self.text)
        );
        self.warnings.insert(text);
    }

    pub(crate) fn inform(&mut self, span: Span, message: &str) {
        let text = format!("PromQL info: {message} ({})", span.line_column(self.text));
        self.infos.insert(text);
    }

    pub(crate) fn invalid_quantile(&mut self, span: Span, quantile: f64) {
        self.warn(
            span,
            &format!(
                "quantile value should be between 0 and 1, got {}",
                format_g(quantile)
            ),
        );
    }

    pub(crate) fn not_a_counter(&mut self, span: Span, metric: &str) {
        self.inform(
            span,
            &format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn bad_bucket(&mut self, span: Span, metric: &str, value: &str) {
        self.warn(
            span,
            &format!(
                "bucket label \"le\" is missing or has a malformed value of {}{}",
                quote(value),
                for_metric(metric)
            ),
        );
    }

    pub(crate) fn forced_monotonicity(&mut self, span: Span, metric: &str, found: Monotonicity) {
        self.monotonicity
            .entry((metric.to_owned(), span))
            .and_modify(|known| {
                known.bucket_min = known.bucket_min.min(found.bucket_min);
                known.bucket_max = known.bucket_max.max(found.bucket_max);
                known.difference_max = known.difference_max.max(found.difference_max);
                known.samples += found.samples;
                known.first = known.first.min(found.first);
                known.last = known.last.max(found.last);
            })
            .or_insert(found);
    }

    /// Warnings and infos.
    pub(crate) fn finish(mut self) -> (Vec<String>, Vec<String>) {
        for ((metric, span), found) in std::mem::take(&mut self.monotonicity) {
            let message = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                for_metric(&metric),
                format_g(found.bucket_min),
                format_g(found.bucket_max),
                two_digits(found.difference_max),
                found.samples,
                whole_seconds(found.first),
                whole_seconds(found.last),
            );
            self.inform(span, &message);
        }
        (
            self.warnings.into_iter().collect(),
            self.infos.into_iter().collect(),
        )
    }
}

fn for_metric(metric: &str) -> String {
    if metric.is_empty() {
        String::new()
    } else {
        format!(" for metric name {}", quote(metric))
    }
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    format!("{value:.1e}")
        .parse()
        .map_or_else(|_| format_g(value), format_g)
}

/// RFC 3339 to the second.
fn whole_seconds(millis: i64) -> String {
    model::Timestamp::from_secs(millis.div_euclid(1000)).to_rfc3339_nano()
}
