//! A native histogram as remote write carries it, in both versions alike: checked as Prometheus checks it.
//!
//! Spans say which buckets there are: a gap to the end of the span before (from index 0 in the first one), and how many
//! buckets follow each other. Counts of integer histograms are differences to the bucket before.
use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint, SCHEMA_MAX, SCHEMA_MIN};
use model::protobuf::{BYTES, FIXED64, Fields, VARINT, WireError, unzigzag};
use model::{Histogram, Timestamp};

use crate::histogram_chunk::layout::BUCKETS_MAX;

/// Finer schemas up to this one are brought to [`SCHEMA_MAX`], as Prometheus does.
const SCHEMA_SENT_MAX: i32 = 52;
/// A shift that a bucket's index can take.
const SCHEMA_STEP: i32 = 31;

/// Which kind of numbers a histogram was counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramForm {
    Float,
    #[default]
    Integer,
}

/// One histogram of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct SentHistogram {
    /// The place of its series in the request.
    pub series: usize,
    pub timestamp: Timestamp,
    /// When counting began; 0 where that is not known.
    pub start_time: Timestamp,
    pub form: HistogramForm,
    pub histogram: Result<Histogram, HistogramError>,
}

/// What is wrong with a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum HistogramError {
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets"
    )]
    Schema,
    #[error("histogram has a span whose offset is negative")]
    SpanOffset,
    #[error("histogram spans specify different number of buckets than provided")]
    SpanLength,
    #[error("histogram has more than {BUCKETS_MAX} buckets")]
    TooManyBuckets,
    #[error("histogram has a bucket whose index is out of range")]
    Index,
    #[error("histogram has a bucket whose observation count is negative")]
    NegativeBucket,
    #[error("histogram's observation count is negative")]
    NegativeCount,
    #[error(
        "histogram's observation count should equal the number of observations found in the buckets"
    )]
    CountMismatch,
    #[error(
        "histogram's observation count should be at least the number of observations found in the buckets"
    )]
    CountTooSmall,
    #[error("histogram's zero threshold must be a number of zero or more")]
    ZeroThreshold,
    #[error("custom buckets: must have zero count of 0")]
    CustomZeroCount,
    #[error("custom buckets: must have zero threshold of 0")]
    CustomZeroThreshold,
    #[error("custom buckets: must not have negative buckets")]
    CustomNegative,
    #[error("histogram custom bounds must be finite, and each greater than the one before")]
    CustomBounds,
    #[error("histogram with exponential schema must not have custom bounds")]
    UnexpectedBounds,
}

/// What the fields say, before it is known what they mean together.
#[derive(Debug, Default)]
struct Raw {
    form: HistogramForm,
    count: f64,
    count_integer: u64,
    sum: f64,
    schema: i64,
    zero_threshold: f64,
    zero_count: f64,
    zero_count_integer: u64,
    reset_hint: u64,
    timestamp: i64,
    start_time: i64,
    negative: Side,
    positive: Side,
    custom_values: Vec<f64>,
}

#[derive(Debug, Default)]
struct Side {
    spans: Vec<(i64, u64)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// A message that can be read and means nothing is a histogram with an error.
pub(crate) fn read_histogram(message: &[u8], series: usize) -> Result<SentHistogram, WireError> {
    let raw = Raw::read(message)?;
    Ok(SentHistogram {
        series,
        timestamp: Timestamp::from_millis(raw.timestamp),
        start_time: Timestamp::from_millis(raw.start_time),
        form: raw.form,
        histogram: raw.into_histogram(),
    })
}

impl Raw {
    fn read(message: &[u8]) -> Result<Self, WireError> {
        let mut raw = Self::default();
        let mut fields = Fields::new(message);
        while !fields.is_empty() {
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, VARINT) => {
                    raw.form = HistogramForm::Integer;
                    raw.count_integer = fields.varint()?;
                }
                (2, FIXED64) => {
                    raw.form = HistogramForm::Float;
                    raw.count = f64::from_bits(fields.fixed64()?);
                }
                (3, FIXED64) => raw.sum = f64::from_bits(fields.fixed64()?),
                (4, VARINT) => raw.schema = unzigzag(fields.varint()?),
                (5, FIXED64) => raw.zero_threshold = f64::from_bits(fields.fixed64()?),
                (6, VARINT) => raw.zero_count_integer = fields.varint()?,
                (7, FIXED64) => raw.zero_count = f64::from_bits(fields.fixed64()?),
                (8, BYTES) => raw.negative.spans.push(read_span(fields.bytes()?)?),
                (9, wire) => read_deltas(&mut fields, wire, &mut raw.negative.deltas)?,
                (10, wire) => read_doubles(&mut fields, wire, &mut raw.negative.counts)?,
                (11, BYTES) => raw.positive.spans.push(read_span(fields.bytes()?)?),
                (12, wire) => read_deltas(&mut fields, wire, &mut raw.positive.deltas)?,
                (13, wire) => read_doubles(&mut fields, wire, &mut raw.positive.counts)?,
                (14, VARINT) => raw.reset_hint = fields.varint()?,
                (15, VARINT) => raw.timestamp = fields.varint()?.cast_signed(),
                (16, wire) => read_doubles(&mut fields, wire, &mut raw.custom_values)?,
                (17, VARINT) => raw.start_time = fields.varint()?.cast_signed(),
                (1..=17, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        Ok(raw)
    }

    fn into_histogram(self) -> Result<Histogram, HistogramError> {
        let schema = i32::try_from(self.schema).map_err(|_| HistogramError::Schema)?;
        let is_custom = schema == CUSTOM_BUCKETS;
        if !is_custom && !(SCHEMA_MIN..=SCHEMA_SENT_MAX).contains(&schema) {
            return Err(HistogramError::Schema);
        }
        if !(self.zero_threshold >= 0.0 && self.zero_threshold.is_finite()) {
            return Err(HistogramError::ZeroThreshold);
        }
        let (count, zero_count) = match self.form {
            HistogramForm::Float => (self.count, self.zero_count),
            HistogramForm::Integer => (self.count_integer as f64, self.zero_count_integer as f64),
        };
        if count < 0.0 || zero_count < 0.0 {
            return Err(HistogramError::NegativeCount);
        }
        if is_custom {
            check_custom(&self, zero_count)?;
        } else if !self.custom_values.is_empty() {
            return Err(HistogramError::UnexpectedBounds);
        }
        let negative = self.negative.buckets(self.form)?;
        let positive = self.positive.buckets(self.form)?;
        if [positive.len(), negative.len(), self.custom_values.len()]
            .iter()
            .any(|buckets| *buckets > BUCKETS_MAX)
        {
            return Err(HistogramError::TooManyBuckets);
        }
        if self.form == HistogramForm::Integer {
            self.check_count()?;
        }
        let mut histogram = Histogram {
            reset_hint: match self.reset_hint {
                1 => ResetHint::Reset,
                2 => ResetHint::NotReset,
                3 => ResetHint::Gauge,
                _ => ResetHint::Unknown,
            },
            schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum: self.sum,
            positive,
            negative,
            custom_values: self.custom_values.into(),
        };
        while histogram.schema > SCHEMA_MAX {
            let schema = SCHEMA_MAX.max(histogram.schema - SCHEMA_STEP);
            histogram.reduce_to_schema(schema);
        }
        Ok(histogram)
    }

    /// Integers can be added without loss. What was no number is counted and in no bucket.
    fn check_count(&self) -> Result<(), HistogramError> {
        let sum =
            self.negative.total() + self.positive.total() + u128::from(self.zero_count_integer);
        let count = u128::from(self.count_integer);
        if self.sum.is_nan() {
            if sum > count {
                return Err(HistogramError::CountTooSmall);
            }
        } else if sum != count {
            return Err(HistogramError::CountMismatch);
        }
        Ok(())
    }
}

impl Side {
    fn buckets(&self, form: HistogramForm) -> Result<Vec<Bucket>, HistogramError> {
        let counts: Vec<f64> = match form {
            HistogramForm::Float => self.counts.clone(),
            HistogramForm::Integer => {
                let mut count = 0_i64;
                let absolute = self.deltas.iter().map(|delta| {
                    count = count.wrapping_add(*delta);
                    count as f64
                });
                absolute.collect()
            }
        };
        // What spans promise is held against what is there before anything is made of it.
        let promised = self
            .spans
            .iter()
            .try_fold(0_u64, |sum, (_, length)| sum.checked_add(*length));
        if promised != Some(counts.len() as u64) {
            return Err(HistogramError::SpanLength);
        }
        let mut counts = counts.into_iter();
        let mut buckets = Vec::with_capacity(counts.len());
        let mut index = 0_i64;
        for (place, (offset, length)) in self.spans.iter().enumerate() {
            if place > 0 && *offset < 0 {
                return Err(HistogramError::SpanOffset);
            }
            index = index.checked_add(*offset).ok_or(HistogramError::Index)?;
            for _ in 0..*length {
                let count = counts.next().ok_or(HistogramError::SpanLength)?;
                if count < 0.0 {
                    return Err(HistogramError::NegativeBucket);
                }
                let place = i32::try_from(index).map_err(|_| HistogramError::Index)?;
                buckets.push(Bucket {
                    index: place,
                    count,
                });
                index += 1;
            }
        }
        Ok(buckets)
    }

    /// Of an integer histogram without negative buckets.
    fn total(&self) -> u128 {
        let mut count = 0_i64;
        self.deltas
            .iter()
            .map(|delta| {
                count = count.wrapping_add(*delta);
                u128::try_from(count).unwrap_or(0)
            })
            .sum()
    }
}

fn check_custom(raw: &Raw, zero_count: f64) -> Result<(), HistogramError> {
    if zero_count != 0.0 {
        return Err(HistogramError::CustomZeroCount);
    }
    if raw.zero_threshold != 0.0 {
        return Err(HistogramError::CustomZeroThreshold);
    }
    let negative = &raw.negative;
    if !(negative.spans.is_empty() && negative.deltas.is_empty() && negative.counts.is_empty()) {
        return Err(HistogramError::CustomNegative);
    }
    let bounds = &raw.custom_values;
    let ascends = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascends || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err(HistogramError::CustomBounds);
    }
    if raw.positive.spans.iter().any(|(offset, _)| *offset < 0) {
        return Err(HistogramError::SpanOffset);
    }
    // The last bucket is above the last bound.
    let end = raw
        .positive
        .spans
        .iter()
        .try_fold(0_u64, |end, (offset, length)| {
            end.checked_add(offset.unsigned_abs())?.checked_add(*length)
        });
    match end {
        Some(end) if end <= bounds.len() as u64 + 1 => Ok(()),
        _ => Err(HistogramError::SpanLength),
    }
}

fn read_span(message: &[u8]) -> Result<(i64, u64), WireError> {
    let mut fields = Fields::new(message);
    let (mut offset, mut length) = (0, 0);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, VARINT) => offset = unzigzag(fields.varint()?),
            (2, VARINT) => length = fields.varint()?,
            (1 | 2, _) => return Err(WireError::WireType),
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok((offset, length))
}

/// Packed together, or one alone.
fn read_deltas(fields: &mut Fields<'_>, wire: u8, deltas: &mut Vec<i64>) -> Result<(), WireError> {
    match wire {
        VARINT => deltas.push(unzigzag(fields.varint()?)),
        BYTES => {
            let mut packed = Fields::new(fields.bytes()?);
            while !packed.is_empty() {
                deltas.push(unzigzag(packed.varint()?));
            }
        }
        _ => return Err(WireError::WireType),
    }
    Ok(())
}

fn read_doubles(
    fields: &mut Fields<'_>,
    wire: u8,
    doubles: &mut Vec<f64>,
) -> Result<(), WireError> {
    match wire {
        FIXED64 => doubles.push(f64::from_bits(fields.fixed64()?)),
        BYTES => {
            let mut packed = Fields::new(fields.bytes()?);
            while !packed.is_empty() {
                doubles.push(f64::from_bits(packed.fixed64()?));
            }
        }
        _ => return Err(WireError::WireType),
    }
    Ok(())
}
