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

/// What was done with histograms that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Addition,
    Aggregation,
    Subtraction,
}

impl HistogramOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Aggregation => "aggregation",
            Self::Subtraction => "subtraction",
        }
    }
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

    pub(crate) fn mixed_floats_and_histograms(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "encountered a mix of histograms and floats for metric name {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn mixed_in_aggregation(&mut self, span: Span) {
        self.warn(
            span,
            "encountered a mix of histograms and floats for aggregation",
        );
    }

    pub(crate) fn mixed_buckets(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn mixed_classic_and_native(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "vector contains a mix of classic and native histograms{}",
                for_metric(metric)
            ),
        );
    }

    pub(crate) fn histogram_is_no_counter(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "this native histogram metric is not a counter: {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn histogram_is_no_gauge(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "this native histogram metric is not a gauge: {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn incompatible_layout(&mut self, span: Span, operator: &str) {
        self.warn(
            span,
            &format!("incompatible bucket layout encountered for binary operator {operator}"),
        );
    }

    pub(crate) fn conflicting_resets(&mut self, span: Span, operation: HistogramOperation) {
        self.warn(
            span,
            &format!(
                "conflicting counter resets during histogram {}",
                operation.as_str()
            ),
        );
    }

    pub(crate) fn overlapping_start(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            &format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn reconciled_bounds(&mut self, span: Span, operation: HistogramOperation) {
        self.inform(
            span,
            &format!(
                "mismatched custom buckets were reconciled during {}",
                operation.as_str()
            ),
        );
    }

    pub(crate) fn incompatible_types(&mut self, span: Span, left: &str, op: &str, right: &str) {
        self.inform(
            span,
            &format!(
                "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
                quote(op)
            ),
        );
    }

    pub(crate) fn ignored_in_aggregation(&mut self, span: Span, aggregation: &str) {
        self.inform(
            span,
            &format!("ignored histogram in {aggregation} aggregation"),
        );
    }

    pub(crate) fn ignored_in_range(&mut self, span: Span, metric: &str) {
        self.inform(
            span,
            &format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quote(metric)
            ),
        );
    }

    pub(crate) fn quantile_of_nan(&mut self, span: Span, metric: &str, is_nan: bool) {
        let what = if is_nan { "NaN" } else { "skewed higher" };
        self.inform(
            span,
            &format!(
                "input to histogram_quantile has NaN observations, result is {what}{}",
                for_metric(metric)
            ),
        );
    }

    pub(crate) fn fraction_of_nan(&mut self, span: Span, metric: &str) {
        self.inform(
            span,
            &format!(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions{}",
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
