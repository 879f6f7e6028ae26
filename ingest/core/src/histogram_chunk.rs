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
use std::sync::Arc;

use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint, SCHEMA_MAX, SCHEMA_MIN};
use model::{Histogram, HistogramSample, Timestamp, is_stale_nan};

use crate::bits::{BitReader, BitWriter};
use crate::varbit::{push_signed, push_unsigned, read_signed, read_unsigned};
use crate::xor::XorValue;

const HEADER_BYTES: usize = 3;
/// Samples after which a chunk is closed.
pub const HISTOGRAMS_PER_CHUNK: u16 = 120;
/// Whole numbers up to here are exact as floats.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// On either side of zero. More than any source has; a bound for what malformed bytes can ask for.
pub(crate) const BUCKETS_MAX: usize = 1 << 16;

/// How the numbers of a chunk are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramEncoding {
    /// Prometheus' encoding 3.
    Floats,
    /// Prometheus' encoding 2.
    Whole,
}

/// What all samples of a chunk have in common.
#[derive(Clone, Debug, PartialEq)]
struct Layout {
    schema: i32,
    zero_threshold: f64,
    positive: Vec<i32>,
    negative: Vec<i32>,
    custom_values: Arc<[f64]>,
}

impl Layout {
    fn of(histogram: &Histogram) -> Self {
        let indexes = |buckets: &[Bucket]| buckets.iter().map(|bucket| bucket.index).collect();
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive: indexes(&histogram.positive),
            negative: indexes(&histogram.negative),
            custom_values: Arc::clone(&histogram.custom_values),
        }
    }

    fn push(&self, writer: &mut BitWriter) {
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

    fn read(reader: &mut BitReader<'_>) -> Option<Self> {
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

/// What the next sample is written relative to, and what the last one read was.
#[derive(Clone, Debug)]
struct State {
    count: u16,
    timestamp: i64,
    delta: i64,
    numbers: Numbers,
    sum: XorValue,
}

#[derive(Clone, Debug)]
enum Numbers {
    Floats {
        count: XorValue,
        zero_count: XorValue,
        buckets: Vec<XorValue>,
    },
    Whole {
        count: Whole,
        zero_count: Whole,
        /// Each relative to the bucket before it, positive ones first.
        buckets: Vec<Whole>,
    },
}

/// A whole number, and by how much it grew.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    value: i64,
    delta: i64,
}

impl Whole {
    fn push(&mut self, writer: &mut BitWriter, value: i64, is_second: bool) {
        let delta = value.wrapping_sub(self.value);
        let written = if is_second {
            delta
        } else {
            delta.wrapping_sub(self.delta)
        };
        push_signed(writer, written);
        *self = Self { value, delta };
    }

    fn read(&mut self, reader: &mut BitReader<'_>, is_second: bool) -> Option<()> {
        let read = read_signed(reader)?;
        self.delta = if is_second {
            read
        } else {
            self.delta.wrapping_add(read)
        };
        self.value = self.value.wrapping_add(self.delta);
        Some(())
    }
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

fn hint_of(bytes: &[u8]) -> ResetHint {
    match bytes.get(2).copied().unwrap_or_default() & 0b1100_0000 {
        0b1100_0000 => ResetHint::Gauge,
        0b1000_0000 => ResetHint::Reset,
        0b0100_0000 => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    }
}

/// The histograms of a chunk, in the order of time. Ends early where the bytes are malformed.
#[derive(Clone, Debug)]
pub struct HistogramSamples<'a> {
    bits: BitReader<'a>,
    layout: Layout,
    hint: ResetHint,
    left: u16,
    state: State,
}

impl<'a> HistogramSamples<'a> {
    /// The bytes of a chunk. None where they do not even begin like one.
    #[must_use]
    pub fn new(encoding: HistogramEncoding, bytes: &'a [u8]) -> Option<Self> {
        let left = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
        let mut bits = BitReader::new(bytes.get(HEADER_BYTES..)?);
        let layout = Layout::read(&mut bits)?;
        let buckets = layout.positive.len() + layout.negative.len();
        let zero = XorValue::starting_at(0);
        let numbers = match encoding {
            HistogramEncoding::Floats => Numbers::Floats {
                count: zero,
                zero_count: zero,
                buckets: vec![zero; buckets],
            },
            HistogramEncoding::Whole => Numbers::Whole {
                count: Whole::default(),
                zero_count: Whole::default(),
                buckets: vec![Whole::default(); buckets],
            },
        };
        Some(Self {
            bits,
            layout,
            hint: hint_of(bytes),
            left,
            state: State {
                count: 0,
                timestamp: 0,
                delta: 0,
                numbers,
                sum: zero,
            },
        })
    }

    fn read(&mut self) -> Option<HistogramSample> {
        let State {
            count,
            timestamp,
            delta,
            numbers,
            sum,
        } = &mut self.state;
        let bits = &mut self.bits;
        match *count {
            0 => *timestamp = read_signed(bits)?,
            1 => *delta = read_unsigned(bits)? as i64,
            _ => *delta = delta.wrapping_add(read_signed(bits)?),
        }
        *timestamp = timestamp.wrapping_add(*delta);
        let (is_first, is_second) = (*count == 0, *count == 1);
        match numbers {
            Numbers::Whole {
                count,
                zero_count,
                buckets,
            } => {
                if is_first {
                    count.value = read_unsigned(bits)? as i64;
                    zero_count.value = read_unsigned(bits)? as i64;
                    *sum = XorValue::starting_at(bits.bits(64)?);
                } else {
                    count.read(bits, is_second)?;
                    zero_count.read(bits, is_second)?;
                    sum.read(bits)?;
                }
                if !is_stale_nan(f64::from_bits(sum.bits)) {
                    for bucket in buckets {
                        if is_first {
                            bucket.value = read_signed(bits)?;
                        } else {
                            bucket.read(bits, is_second)?;
                        }
                    }
                }
            }
            Numbers::Floats {
                count,
                zero_count,
                buckets,
            } => {
                for number in [count, zero_count, sum] {
                    if is_first {
                        *number = XorValue::starting_at(bits.bits(64)?);
                    } else {
                        number.read(bits)?;
                    }
                }
                if !is_stale_nan(f64::from_bits(sum.bits)) {
                    for bucket in buckets {
                        if is_first {
                            *bucket = XorValue::starting_at(bits.bits(64)?);
                        } else {
                            bucket.read(bits)?;
                        }
                    }
                }
            }
        }
        *count = count.saturating_add(1);
        Some(self.sample())
    }

    fn sample(&self) -> HistogramSample {
        let sum = f64::from_bits(self.state.sum.bits);
        let mut histogram = Histogram {
            sum,
            ..Histogram::default()
        };
        if !histogram.is_stale() {
            let layout = &self.layout;
            let (count, zero_count, counts) = self.numbers();
            let bucket = |(index, count): (&i32, &f64)| Bucket {
                index: *index,
                count: *count,
            };
            let (positive, negative) = counts.split_at(layout.positive.len());
            histogram = Histogram {
                // In a chunk of counters nothing after the first is a reset.
                reset_hint: match self.hint {
                    ResetHint::Gauge => ResetHint::Gauge,
                    _ if self.state.count > 1 => ResetHint::NotReset,
                    ResetHint::Reset => ResetHint::Reset,
                    ResetHint::NotReset | ResetHint::Unknown => ResetHint::Unknown,
                },
                schema: layout.schema,
                zero_threshold: layout.zero_threshold,
                zero_count,
                count,
                sum,
                positive: layout.positive.iter().zip(positive).map(bucket).collect(),
                negative: layout.negative.iter().zip(negative).map(bucket).collect(),
                custom_values: Arc::clone(&layout.custom_values),
            }
            .compacted();
        }
        HistogramSample {
            timestamp: Timestamp::from_millis(self.state.timestamp),
            start: Timestamp::default(),
            histogram: Arc::new(histogram),
        }
    }

    /// Count, zero count and the counts of all buckets.
    fn numbers(&self) -> (f64, f64, Vec<f64>) {
        match &self.state.numbers {
            Numbers::Floats {
                count,
                zero_count,
                buckets,
            } => {
                let float = |value: &XorValue| f64::from_bits(value.bits);
                (
                    float(count),
                    float(zero_count),
                    buckets.iter().map(float).collect(),
                )
            }
            Numbers::Whole {
                count,
                zero_count,
                buckets,
            } => {
                let mut counts = Vec::with_capacity(buckets.len());
                let mut total = 0_i64;
                for (place, bucket) in buckets.iter().enumerate() {
                    if place == self.layout.positive.len() {
                        total = 0;
                    }
                    total = total.wrapping_add(bucket.value);
                    counts.push(total as f64);
                }
                (count.value as f64, zero_count.value as f64, counts)
            }
        }
    }
}

impl Iterator for HistogramSamples<'_> {
    type Item = HistogramSample;

    fn next(&mut self) -> Option<HistogramSample> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.read();
        if sample.is_none() {
            self.left = 0;
        }
        sample
    }
}

#[cfg(test)]
mod tests;
