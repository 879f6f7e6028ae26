//! Native histograms in the layout of Prometheus' histogram chunks, byte for byte.
//!
//! ```text
//! count u16 big-endian | flags u8 (the top two bits: reset hint of the first) | bits:
//!   layout       zero threshold, schema, spans of positive and of negative buckets, custom bounds
//!   1st sample   time, count, zero count, sum, buckets
//!   others       the same, as deltas (2nd) and deltas of deltas; sums and floats as XOR
//! ```
//!
//! All samples of a chunk have one layout. Buckets of whole counts are written each as the difference to the one before
//! it; counts that are no whole numbers make a chunk of floats.
pub(crate) mod layout;
pub(crate) mod numbers;
pub(crate) mod samples;

use model::histogram::{Bucket, ResetHint};
use model::{Histogram, HistogramSample, Timestamp};

use crate::bits::BitWriter;
use crate::histogram_chunk::layout::{BUCKETS_MAX, Layout};
use crate::histogram_chunk::numbers::{HistogramEncoding, Numbers, State, Whole};
use crate::histogram_chunk::samples::{HistogramSamples, hint_of};
use crate::varbit::{push_signed, push_unsigned};
use crate::xor::XorValue;

/// Samples after which a chunk is closed.
pub const HISTOGRAMS_PER_CHUNK: u16 = 120;
/// Whole numbers up to here are exact as floats.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A chunk of histograms that grows.
#[derive(Clone, Debug)]
pub struct OpenHistogramChunk {
    encoding: HistogramEncoding,
    writer: BitWriter,
    layout: Layout,
    min_time: i64,
    state: State,
    last: Histogram,
}

/// Why a histogram does not go into a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAppendable {
    /// Its counter began anew.
    IsReset,
    /// It has another layout, or is a gauge among counters, or the chunk is full.
    IsOther,
}

/// Of an ascending list of buckets, each relative to the one before.
fn differences(buckets: &[f64]) -> impl Iterator<Item = i64> {
    let mut before = 0;
    buckets.iter().map(move |count| {
        let count = *count as i64;
        let difference = count.wrapping_sub(before);
        before = count;
        difference
    })
}

impl OpenHistogramChunk {
    /// `hint` is what the chunk says of its first histogram: [`ResetHint::Unknown`] where there is none before it.
    #[must_use]
    pub fn new(first: &HistogramSample, hint: ResetHint) -> Self {
        let histogram = first.histogram.as_ref();
        let encoding = if is_whole(histogram) {
            HistogramEncoding::Whole
        } else {
            HistogramEncoding::Floats
        };
        Self::with_layout(first, hint, encoding, Layout::of(&unfilled(histogram)))
    }

    fn with_layout(
        first: &HistogramSample,
        hint: ResetHint,
        encoding: HistogramEncoding,
        layout: Layout,
    ) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&1_u16.to_be_bytes());
        bytes.push(match hint {
            ResetHint::Gauge => 0b1100_0000,
            ResetHint::NotReset => 0b0100_0000,
            ResetHint::Reset => 0b1000_0000,
            ResetHint::Unknown => 0,
        });
        let mut writer = BitWriter::with_bytes(bytes);
        layout.push(&mut writer);
        let timestamp = first.timestamp.as_millis();
        push_signed(&mut writer, timestamp);
        let histogram = unfilled(&first.histogram);
        let (positive, negative) = filled(&layout, &histogram);
        let sum = histogram.sum.to_bits();
        let numbers = match encoding {
            HistogramEncoding::Whole => {
                push_unsigned(&mut writer, histogram.count as u64);
                push_unsigned(&mut writer, histogram.zero_count as u64);
                writer.push(sum, 64);
                let buckets: Vec<Whole> = differences(&positive)
                    .chain(differences(&negative))
                    .map(|value| Whole { value, delta: 0 })
                    .collect();
                for bucket in &buckets {
                    push_signed(&mut writer, bucket.value);
                }
                let whole = |number: f64| Whole {
                    value: number as i64,
                    delta: 0,
                };
                Numbers::Whole {
                    count: whole(histogram.count),
                    zero_count: whole(histogram.zero_count),
                    buckets,
                }
            }
            HistogramEncoding::Floats => {
                let start = |number: &f64| XorValue::starting_at(number.to_bits());
                writer.push(histogram.count.to_bits(), 64);
                writer.push(histogram.zero_count.to_bits(), 64);
                writer.push(sum, 64);
                let buckets: Vec<XorValue> = positive.iter().chain(&negative).map(start).collect();
                for bucket in &buckets {
                    writer.push(bucket.bits, 64);
                }
                Numbers::Floats {
                    count: start(&histogram.count),
                    zero_count: start(&histogram.zero_count),
                    buckets,
                }
            }
        };
        Self {
            encoding,
            writer,
            layout,
            min_time: timestamp,
            state: State {
                count: 1,
                timestamp,
                delta: 0,
                numbers,
                sum: XorValue::starting_at(sum),
            },
            last: histogram,
        }
    }

    /// Goes on with a chunk that was stored before it was full.
    #[must_use]
    pub fn reopen(encoding: HistogramEncoding, bytes: &[u8]) -> Option<Self> {
        let samples = HistogramSamples::new(encoding, bytes)?;
        let (layout, hint) = (samples.layout.clone(), samples.hint);
        let mut samples = samples.peekable();
        let mut open = Self::with_layout(&samples.next()?, hint, encoding, layout);
        for sample in samples {
            open.push_numbers(&sample);
        }
        Some(open)
    }

    /// Whether `next` would go into this chunk; what it says about resets is heeded.
    ///
    /// # Errors
    /// Why it needs a chunk of its own.
    pub fn check(&self, next: &Histogram) -> Result<(), NotAppendable> {
        let is_gauge = self.hint() == ResetHint::Gauge;
        if is_gauge != (next.reset_hint == ResetHint::Gauge)
            || self.state.count >= HISTOGRAMS_PER_CHUNK
            || (self.encoding == HistogramEncoding::Whole && !is_whole(next))
        {
            return self.refusal(next);
        }
        if next.is_stale() {
            return Ok(());
        }
        if next.reset_hint == ResetHint::Reset {
            return Err(NotAppendable::IsReset);
        }
        let same = next.schema == self.layout.schema
            && next.zero_threshold == self.layout.zero_threshold
            && next.custom_values == self.layout.custom_values;
        let has_room = self.layout.positive.len() + next.positive.len() <= BUCKETS_MAX
            && self.layout.negative.len() + next.negative.len() <= BUCKETS_MAX;
        // After a stale mark a series begins anew.
        if self.last.is_stale() || !same || !has_room {
            return Err(NotAppendable::IsOther);
        }
        if !is_gauge && is_reset(next, &self.last) {
            return Err(NotAppendable::IsReset);
        }
        Ok(())
    }

    /// Between chunks a reset is noticed where layouts can be compared.
    fn refusal(&self, next: &Histogram) -> Result<(), NotAppendable> {
        let counters = self.hint() != ResetHint::Gauge && next.reset_hint != ResetHint::Gauge;
        if counters && !next.is_stale() && !self.last.is_stale() && is_reset(next, &self.last) {
            return Err(NotAppendable::IsReset);
        }
        Err(NotAppendable::IsOther)
    }

    /// `sample` is newer than the last one, and [`Self::check`] had nothing against it.
    pub fn push(&mut self, sample: &HistogramSample) {
        let new = unfilled(&sample.histogram);
        let widened = |own: &[i32], buckets: &[Bucket]| {
            let mut merged: Vec<i32> = own.to_vec();
            merged.extend(buckets.iter().map(|bucket| bucket.index));
            merged.sort_unstable();
            merged.dedup();
            (merged.len() > own.len()).then_some(merged)
        };
        let positive = widened(&self.layout.positive, &new.positive);
        let negative = widened(&self.layout.negative, &new.negative);
        if positive.is_some() || negative.is_some() {
            let mut layout = self.layout.clone();
            layout.positive = positive.unwrap_or(layout.positive);
            layout.negative = negative.unwrap_or(layout.negative);
            self.write_anew(layout);
        }
        self.push_numbers(sample);
    }

    /// The same samples in a layout with more buckets.
    fn write_anew(&mut self, layout: Layout) {
        let hint = self.hint();
        let samples: Vec<HistogramSample> = self.samples().collect();
        let mut samples = samples.iter();
        let Some(first) = samples.next() else {
            return;
        };
        let mut open = Self::with_layout(first, hint, self.encoding, layout);
        for sample in samples {
            open.push_numbers(sample);
        }
        *self = open;
    }

    fn push_numbers(&mut self, sample: &HistogramSample) {
        let timestamp = sample.timestamp.as_millis();
        let delta = timestamp.wrapping_sub(self.state.timestamp);
        let is_second = self.state.count == 1;
        let writer = &mut self.writer;
        if is_second {
            push_unsigned(writer, delta as u64);
        } else {
            push_signed(writer, delta.wrapping_sub(self.state.delta));
        }
        let histogram = unfilled(&sample.histogram);
        let is_stale = histogram.is_stale();
        let (positive, negative) = filled(&self.layout, &histogram);
        let sum = histogram.sum.to_bits();
        match &mut self.state.numbers {
            Numbers::Whole {
                count,
                zero_count,
                buckets,
            } => {
                if is_stale {
                    push_signed(writer, 0);
                    push_signed(writer, 0);
                } else {
                    count.push(writer, histogram.count as i64, is_second);
                    zero_count.push(writer, histogram.zero_count as i64, is_second);
                }
                self.state.sum.push(writer, sum);
                if !is_stale {
                    let values = differences(&positive).chain(differences(&negative));
                    for (bucket, value) in buckets.iter_mut().zip(values) {
                        bucket.push(writer, value, is_second);
                    }
                }
            }
            Numbers::Floats {
                count,
                zero_count,
                buckets,
            } => {
                count.push(writer, histogram.count.to_bits());
                zero_count.push(writer, histogram.zero_count.to_bits());
                self.state.sum.push(writer, sum);
                if !is_stale {
                    let values = positive.iter().chain(&negative);
                    for (bucket, value) in buckets.iter_mut().zip(values) {
                        bucket.push(writer, value.to_bits());
                    }
                }
            }
        }
        self.state.timestamp = timestamp;
        self.state.delta = delta;
        self.state.count += 1;
        self.last = histogram;
        let count = self.state.count.to_be_bytes();
        self.writer.bytes_mut()[..count.len()].copy_from_slice(&count);
    }

    fn hint(&self) -> ResetHint {
        hint_of(self.writer.bytes())
    }

    #[must_use]
    pub fn encoding(&self) -> HistogramEncoding {
        self.encoding
    }

    #[must_use]
    pub fn samples_len(&self) -> u16 {
        self.state.count
    }

    #[must_use]
    pub fn min_time(&self) -> Timestamp {
        Timestamp::from_millis(self.min_time)
    }

    #[must_use]
    pub fn max_time(&self) -> Timestamp {
        Timestamp::from_millis(self.state.timestamp)
    }

    /// The newest histogram, without a hint.
    #[must_use]
    pub fn last(&self) -> &Histogram {
        &self.last
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    #[must_use]
    pub fn into_bytes(self) -> Box<[u8]> {
        self.writer.into_bytes().into_boxed_slice()
    }

    pub fn samples(&self) -> impl Iterator<Item = HistogramSample> {
        HistogramSamples::new(self.encoding, self.bytes())
            .into_iter()
            .flatten()
    }
}

/// Without buckets that hold nothing; of a stale mark nothing but the mark.
fn unfilled(histogram: &Histogram) -> Histogram {
    if histogram.is_stale() {
        return Histogram {
            sum: histogram.sum,
            ..Histogram::default()
        };
    }
    Histogram {
        reset_hint: ResetHint::Unknown,
        ..histogram.clone()
    }
    .compacted()
}

fn is_reset(next: &Histogram, last: &Histogram) -> bool {
    let unhinted = Histogram {
        reset_hint: ResetHint::Unknown,
        ..next.clone()
    };
    unhinted.is_reset_since(last)
}

fn is_whole(histogram: &Histogram) -> bool {
    let whole = |number: f64| number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number);
    let buckets = histogram.positive.iter().chain(&histogram.negative);
    histogram.is_stale()
        || (whole(histogram.count)
            && whole(histogram.zero_count)
            && buckets.into_iter().all(|bucket| whole(bucket.count)))
}

/// The counts of all buckets of the layout; zero where the histogram has none.
fn filled(layout: &Layout, histogram: &Histogram) -> (Vec<f64>, Vec<f64>) {
    let counts = |indexes: &[i32], buckets: &[Bucket]| {
        let mut buckets = buckets.iter().peekable();
        indexes
            .iter()
            .map(|index| {
                let bucket = buckets.next_if(|bucket| bucket.index == *index);
                bucket.map_or(0.0, |bucket| bucket.count)
            })
            .collect()
    };
    (
        counts(&layout.positive, &histogram.positive),
        counts(&layout.negative, &histogram.negative),
    )
}

#[cfg(test)]
mod tests;
