//! Reading a chunk of histograms.
use std::sync::Arc;

use model::histogram::{Bucket, ResetHint};
use model::{Histogram, HistogramSample, Timestamp, is_stale_nan};

use crate::bits::BitReader;
use crate::histogram_chunk::layout::Layout;
use crate::histogram_chunk::numbers::{HistogramEncoding, Numbers, State, Whole};
use crate::varbit::{read_signed, read_unsigned};
use crate::xor::XorValue;

const HEADER_BYTES: usize = 3;

/// The histograms of a chunk, in the order of time. Ends early where the bytes are malformed.
#[derive(Clone, Debug)]
pub struct HistogramSamples<'a> {
    bits: BitReader<'a>,
    pub(super) layout: Layout,
    pub(super) hint: ResetHint,
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

pub(super) fn hint_of(bytes: &[u8]) -> ResetHint {
    match bytes.get(2).copied().unwrap_or_default() & 0b1100_0000 {
        0b1100_0000 => ResetHint::Gauge,
        0b1000_0000 => ResetHint::Reset,
        0b0100_0000 => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    }
}
