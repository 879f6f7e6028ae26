//! What all samples of a chunk of histograms have in common, and how it is written: threshold, schema, spans, bounds.
use std::sync::Arc;

use model::Histogram;
use model::histogram::{Bucket, CUSTOM_BUCKETS, SCHEMA_MAX, SCHEMA_MIN};

use crate::bits::{BitReader, BitWriter};
use crate::varbit::{push_signed, push_unsigned, read_signed, read_unsigned};

/// On either side of zero. More than any source has; a bound for what malformed bytes can ask for.
pub(crate) const BUCKETS_MAX: usize = 1 << 16;

/// What all samples of a chunk have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive: Vec<i32>,
    pub(super) negative: Vec<i32>,
    pub(super) custom_values: Arc<[f64]>,
}

impl Layout {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let indexes = |buckets: &[Bucket]| buckets.iter().map(|bucket| bucket.index).collect();
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive: indexes(&histogram.positive),
            negative: indexes(&histogram.negative),
            custom_values: Arc::clone(&histogram.custom_values),
        }
    }

    pub(super) fn push(&self, writer: &mut BitWriter) {
        push_threshold(writer, self.zero_threshold);
        push_signed(writer, i64::from(self.schema));
        push_spans(writer, &self.positive);
        push_spans(writer, &self.negative);
        if self.schema == CUSTOM_BUCKETS {
            push_unsigned(writer, self.custom_values.len() as u64);
            for bound in self.custom_values.iter() {
                push_bound(writer, *bound);
            }
        }
    }

    pub(super) fn read(reader: &mut BitReader<'_>) -> Option<Self> {
        let zero_threshold = read_threshold(reader)?;
        let schema = i32::try_from(read_signed(reader)?).ok()?;
        if schema != CUSTOM_BUCKETS && !(SCHEMA_MIN..=SCHEMA_MAX).contains(&schema) {
            return None;
        }
        if !(zero_threshold >= 0.0 && zero_threshold.is_finite()) {
            return None;
        }
        let positive = read_spans(reader)?;
        let negative = read_spans(reader)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS {
            let count = usize::try_from(read_unsigned(reader)?).ok()?;
            if count > BUCKETS_MAX {
                return None;
            }
            for _ in 0..count {
                custom_values.push(read_bound(reader)?);
            }
            if !custom_values.is_sorted_by(|left, right| left < right) {
                return None;
            }
        }
        Some(Self {
            schema,
            zero_threshold,
            positive,
            negative,
            custom_values: custom_values.into(),
        })
    }
}

/// A power of two from 2^−243 to 2^10 takes a byte, zero too.
fn push_threshold(writer: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        writer.push(0, 8);
        return;
    }
    let exponent = threshold.log2();
    let whole = exponent as i32;
    // A fraction of one half and an exponent one above, in the words of C's frexp.
    if f64::from(whole) == exponent && (-243..=10).contains(&whole) && threshold > 0.0 {
        writer.push((whole + 244) as u64, 8);
        return;
    }
    writer.push(255, 8);
    writer.push(threshold.to_bits(), 64);
}

fn read_threshold(reader: &mut BitReader<'_>) -> Option<f64> {
    Some(match reader.bits(8)? {
        0 => 0.0,
        255 => f64::from_bits(reader.bits(64)?),
        exponent => f64::from(exponent as i32 - 244).exp2(),
    })
}

/// Runs of indexes that follow on one another: length, and the distance to the run before (of the first: its index).
fn push_spans(writer: &mut BitWriter, indexes: &[i32]) {
    let mut spans: Vec<(i64, u64)> = Vec::new();
    let mut next = 0;
    for index in indexes {
        let index = i64::from(*index);
        match spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => spans.push((index - next, 1)),
        }
        next = index + 1;
    }
    push_unsigned(writer, spans.len() as u64);
    for (offset, length) in spans {
        push_unsigned(writer, length);
        push_signed(writer, offset);
    }
}

fn read_spans(reader: &mut BitReader<'_>) -> Option<Vec<i32>> {
    let spans = read_unsigned(reader)?;
    let mut indexes = Vec::new();
    let mut next = 0_i64;
    for _ in 0..spans {
        let length = usize::try_from(read_unsigned(reader)?).ok()?;
        let offset = read_signed(reader)?;
        if length > BUCKETS_MAX - indexes.len() || (!indexes.is_empty() && offset < 0) {
            return None;
        }
        next = next.checked_add(offset)?;
        for _ in 0..length {
            indexes.push(i32::try_from(next).ok()?);
            next += 1;
        }
    }
    Some(indexes)
}

/// Bounds with three decimals at most are written as thousandths, plus one.
fn push_bound(writer: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    let is_exact =
        (0.0..=33_554_430.0).contains(&(bound * 1000.0)) && thousandths / 1000.0 == bound;
    if is_exact {
        push_unsigned(writer, thousandths as u64 + 1);
    } else {
        writer.push(0, 1);
        writer.push(bound.to_bits(), 64);
    }
}

fn read_bound(reader: &mut BitReader<'_>) -> Option<f64> {
    Some(match read_unsigned(reader)? {
        0 => f64::from_bits(reader.bits(64)?),
        thousandths => (thousandths - 1) as f64 / 1000.0,
    })
}
