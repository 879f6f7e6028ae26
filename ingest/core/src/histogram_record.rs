//! Native histograms in the log.
//!
//! ```text
//! flags u8                bits 0–1 reset hint, bit 2 whole counts, bit 3 custom bounds
//! schema zigzag varint | zero threshold, sum: 8 bytes each | zero count, count
//! positive, negative: number varint, (index zigzag from the one before, count)…
//! custom bounds           number varint, 8 bytes each
//! ```
//! Whole counts are varints, others 8 bytes.
use std::sync::Arc;

use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint, SCHEMA_MAX, SCHEMA_MIN};
use model::protobuf::{Fields, WireError, push_varint, unzigzag, zigzag};
use model::{Histogram, HistogramSample, Timestamp};

use crate::record::{RecordError, SeriesId, read_id};

const HINT: u8 = 0b11;
const WHOLE: u8 = 0b100;
const CUSTOM: u8 = 0b1000;
/// Whole numbers up to here are exact as floats.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn push_histogram(bytes: &mut Vec<u8>, id: SeriesId, sample: &HistogramSample) {
    push_varint(bytes, u64::from(id.0));
    push_varint(bytes, zigzag(sample.timestamp.as_millis()));
    let mut own = Vec::with_capacity(64);
    push(&mut own, &sample.histogram);
    push_varint(bytes, own.len() as u64);
    bytes.extend_from_slice(&own);
}

fn push(bytes: &mut Vec<u8>, histogram: &Histogram) {
    let whole = |number: f64| number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number);
    let mut buckets = histogram.positive.iter().chain(&histogram.negative);
    let is_whole = whole(histogram.count)
        && whole(histogram.zero_count)
        && buckets.all(|bucket| whole(bucket.count));
    let mut flags = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    if is_whole {
        flags |= WHOLE;
    }
    if !histogram.custom_values.is_empty() {
        flags |= CUSTOM;
    }
    let number = |bytes: &mut Vec<u8>, number: f64| {
        if is_whole {
            push_varint(bytes, number as u64);
        } else {
            push_float(bytes, number);
        }
    };
    bytes.push(flags);
    push_varint(bytes, zigzag(i64::from(histogram.schema)));
    push_float(bytes, histogram.zero_threshold);
    push_float(bytes, histogram.sum);
    number(bytes, histogram.zero_count);
    number(bytes, histogram.count);
    for buckets in [&histogram.positive, &histogram.negative] {
        push_varint(bytes, buckets.len() as u64);
        let mut before = 0_i64;
        for bucket in buckets {
            let index = i64::from(bucket.index);
            push_varint(bytes, zigzag(index - before));
            number(bytes, bucket.count);
            before = index;
        }
    }
    if !histogram.custom_values.is_empty() {
        push_varint(bytes, histogram.custom_values.len() as u64);
        for bound in histogram.custom_values.iter() {
            push_float(bytes, *bound);
        }
    }
}

fn push_float(bytes: &mut Vec<u8>, number: f64) {
    bytes.extend_from_slice(&number.to_bits().to_be_bytes());
}

pub(crate) fn read_histograms(
    payload: &[u8],
    mut each: impl FnMut(SeriesId, HistogramSample),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let id = read_id(&mut fields)?;
        let timestamp = Timestamp::from_millis(unzigzag(fields.varint()?));
        let histogram = read(&mut Fields::new(fields.bytes()?))?;
        each(
            id,
            HistogramSample {
                timestamp,
                start: Timestamp::default(),
                histogram: Arc::new(histogram),
            },
        );
    }
    Ok(())
}

fn read(fields: &mut Fields<'_>) -> Result<Histogram, RecordError> {
    let flags = fields.byte()?;
    let is_whole = flags & WHOLE != 0;
    let number = |fields: &mut Fields<'_>| -> Result<f64, WireError> {
        if is_whole {
            fields.varint().map(|number| number as f64)
        } else {
            read_float(fields)
        }
    };
    let mut histogram = Histogram {
        reset_hint: match flags & HINT {
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        },
        schema: i32::try_from(unzigzag(fields.varint()?)).map_err(|_| RecordError::Range)?,
        zero_threshold: read_float(fields)?,
        sum: read_float(fields)?,
        ..Histogram::default()
    };
    histogram.zero_count = number(fields)?;
    histogram.count = number(fields)?;
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        let count = fields.varint()?;
        let mut before = 0_i64;
        for _ in 0..count {
            before = before.wrapping_add(unzigzag(fields.varint()?));
            let index = i32::try_from(before).map_err(|_| RecordError::Range)?;
            let count = number(fields)?;
            buckets.push(Bucket { index, count });
        }
    }
    if flags & CUSTOM != 0 {
        let count = fields.varint()?;
        let mut bounds = Vec::new();
        for _ in 0..count {
            bounds.push(read_float(fields)?);
        }
        histogram.custom_values = bounds.into();
    }
    // Only what was admitted is ever written.
    let ascends = |buckets: &[Bucket]| buckets.is_sorted_by(|left, right| left.index < right.index);
    let has_schema =
        histogram.schema == CUSTOM_BUCKETS || (SCHEMA_MIN..=SCHEMA_MAX).contains(&histogram.schema);
    let is_sound = has_schema
        && histogram.zero_threshold >= 0.0
        && histogram.zero_threshold.is_finite()
        && ascends(&histogram.positive)
        && ascends(&histogram.negative)
        && histogram
            .custom_values
            .is_sorted_by(|left, right| left < right);
    if is_sound {
        Ok(histogram)
    } else {
        Err(RecordError::Range)
    }
}

fn read_float(fields: &mut Fields<'_>) -> Result<f64, WireError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(fields.take(8)?);
    Ok(f64::from_bits(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint};
    use model::{Histogram, HistogramSample, Timestamp, stale_nan};
    use proptest::prelude::*;

    use super::{push_histogram, read_histograms};
    use crate::record::SeriesId;

    fn bucket(index: i32, count: f64) -> Bucket {
        Bucket { index, count }
    }

    fn histograms() -> Vec<Histogram> {
        let whole = Histogram {
            reset_hint: ResetHint::Gauge,
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 300.0,
            sum: -7.25,
            positive: vec![bucket(-9, 200.0), bucket(4, 90.0)],
            negative: vec![bucket(i32::MAX, 8.0)],
            ..Histogram::default()
        };
        let custom = Histogram {
            schema: CUSTOM_BUCKETS,
            count: 1.5,
            positive: vec![bucket(0, 1.5)],
            custom_values: [0.1, 2.0].into(),
            ..Histogram::default()
        };
        let stale = Histogram {
            sum: stale_nan(),
            ..Histogram::default()
        };
        vec![whole, custom, stale]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut payload = Vec::new();
        for (id, histogram) in (7..).zip(histograms()) {
            let sample = HistogramSample {
                timestamp: Timestamp::from_millis(-5),
                start: Timestamp::default(),
                histogram: Arc::new(histogram),
            };
            push_histogram(&mut payload, SeriesId(id), &sample);
        }
        let mut seen = Vec::new();
        read_histograms(&payload, |id, sample| seen.push((id.0, sample))).unwrap();
        assert_eq!(seen.len(), 3);
        for ((id, sample), (wanted_id, wanted)) in seen.iter().zip((7..).zip(histograms())) {
            assert_eq!((*id, sample.timestamp.as_millis()), (wanted_id, -5));
            assert!(sample.histogram.is_same(&wanted), "{}", sample.histogram);
            assert_eq!(sample.histogram.reset_hint, wanted.reset_hint);
        }
        let cut = read_histograms(&payload[..payload.len() - 1], |_, _| {});
        assert!(cut.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_histograms(&bytes, |_, _| {});
        }
    }
}
