//! The wire form of protocol buffers, as much of it as messages of samples and snapshots need. Reading borrows, is
//! bounded, and takes one pass.
use crate::histogram::{Histogram, ResetHint};
use crate::sample::SampleValue;
use crate::time::Timestamp;

/// Appends one `prometheus.TimeSeries` with one value to a `prometheus.WriteRequest` (remote write 1.0). Labels keep
/// their order; a receiver wants them sorted.
pub fn push_time_series<'l>(
    request: &mut Vec<u8>,
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    at: Timestamp,
    value: &SampleValue,
) {
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        push_bytes(&mut label, 1, name.as_bytes());
        push_bytes(&mut label, 2, value.as_bytes());
        push_bytes(&mut series, 1, &label);
    }
    match value {
        SampleValue::Float(value) => {
            let mut point = Vec::new();
            push_double(&mut point, 1, *value);
            push_number(&mut point, 2, at.as_millis().cast_unsigned());
            push_bytes(&mut series, 2, &point);
        }
        SampleValue::Histogram(histogram) => {
            push_bytes(&mut series, 4, &histogram_message(histogram, at));
        }
    }
    push_bytes(request, 1, &series);
}

/// A `prometheus.Histogram` of floats.
fn histogram_message(histogram: &Histogram, at: Timestamp) -> Vec<u8> {
    let mut message = Vec::new();
    push_double(&mut message, 2, histogram.count);
    push_double(&mut message, 3, histogram.sum);
    push_number(&mut message, 4, zigzag(i64::from(histogram.schema)));
    push_double(&mut message, 5, histogram.zero_threshold);
    push_double(&mut message, 7, histogram.zero_count);
    for (buckets, spans, counts) in [(&histogram.negative, 8, 10), (&histogram.positive, 11, 13)] {
        let mut next = 0;
        let mut packed = Vec::with_capacity(buckets.len() * 8);
        let runs = buckets.chunk_by(|left, right| left.index.checked_add(1) == Some(right.index));
        for run in runs {
            let first = i64::from(run[0].index);
            let mut span = Vec::new();
            push_number(&mut span, 1, zigzag(first - next));
            push_number(&mut span, 2, run.len() as u64);
            push_bytes(&mut message, spans, &span);
            next = first + run.len() as i64;
            for bucket in run {
                packed.extend_from_slice(&bucket.count.to_le_bytes());
            }
        }
        push_bytes(&mut message, counts, &packed);
    }
    push_number(
        &mut message,
        14,
        match histogram.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
    );
    push_number(&mut message, 15, at.as_millis().cast_unsigned());
    if !histogram.custom_values.is_empty() {
        // The field's number is 16, so that its tag takes two bytes.
        push_varint(&mut message, 16 << 3 | u64::from(BYTES));
        push_varint(&mut message, histogram.custom_values.len() as u64 * 8);
        for bound in histogram.custom_values.iter() {
            message.extend_from_slice(&bound.to_le_bytes());
        }
    }
    message
}

/// A field below 16 that holds a varint.
fn push_number(message: &mut Vec<u8>, field: u8, number: u64) {
    message.push(field << 3 | VARINT);
    push_varint(message, number);
}

/// A field below 16 that holds a double.
fn push_double(message: &mut Vec<u8>, field: u8, number: f64) {
    message.push(field << 3 | FIXED64);
    message.extend_from_slice(&number.to_le_bytes());
}

/// A field below 16 that holds bytes, text or a message.
pub fn push_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | BYTES);
    push_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

#[inline]
pub fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("message ends in the middle of a field")]
    Cut,
    #[error("varint is longer than 64 bits")]
    Varint,
    #[error("field has the wrong wire type")]
    WireType,
    #[error("field number is 0")]
    FieldNumber,
}

pub const VARINT: u8 = 0;
pub const FIXED64: u8 = 1;
pub const BYTES: u8 = 2;
pub const FIXED32: u8 = 5;

/// Reads fields from the front of a message.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// A field's number and wire type; its value comes next.
#[derive(Clone, Copy)]
pub struct Tag {
    pub field: u32,
    pub wire: u8,
}

impl<'a> Fields<'a> {
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub fn tag(&mut self) -> Result<Tag, WireError> {
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| WireError::Varint)?;
        if field == 0 {
            return Err(WireError::FieldNumber);
        }
        Ok(Tag {
            field,
            wire: (tag & 7) as u8,
        })
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(WireError::Varint);
            }
            value |= bits << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            WireError::Cut
        } else {
            WireError::Varint
        })
    }

    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub fn byte(&mut self) -> Result<u8, WireError> {
        let (byte, rest) = self.rest.split_first().ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Bytes that stand behind their length.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Cut)?;
        self.take(length)
    }

    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn skip(&mut self, wire: u8) -> Result<(), WireError> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.bytes().map(drop),
            FIXED32 => {
                let (_, rest) = self.rest.split_first_chunk::<4>().ok_or(WireError::Cut)?;
                self.rest = rest;
                Ok(())
            }
            // Groups (3, 4) were given up long ago; no message of ours has them.
            _ => Err(WireError::WireType),
        }
    }
}

/// Small numbers of either sign as small varints.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fields, WireError, push_time_series, push_varint, unzigzag, zigzag};
    use crate::sample::SampleValue;
    use crate::time::Timestamp;

    #[test]
    fn a_series_is_written_as_the_protocol_says() {
        let mut request = vec![0xff];
        let one = SampleValue::Float(1.0);
        let at = Timestamp::from_millis;
        push_time_series(
            &mut request,
            [("__name__", "up"), ("job", "a")],
            at(300),
            &one,
        );
        push_time_series(&mut request, [], at(-1), &one);
        let value = &1.0_f64.to_le_bytes()[..];
        let minus_one = [&[0xff; 9][..], &[0x01]].concat();
        let expected = [
            &[0xff, 0x0a, 40, 0x0a, 14, 0x0a, 8][..],
            b"__name__",
            &[0x12, 2],
            b"up",
            &[0x0a, 8, 0x0a, 3],
            b"job",
            &[0x12, 1],
            b"a",
            &[0x12, 12, 0x09],
            value,
            &[0x10, 0xac, 0x02],
            &[0x0a, 22, 0x12, 20, 0x09],
            value,
            &[0x10],
            &minus_one,
        ]
        .concat();
        assert_eq!(request, expected);
    }

    #[test]
    fn varints_are_as_short_as_they_can_be() {
        for (value, bytes) in [
            (0, &[0][..]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (
                1 << 63,
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            ),
        ] {
            let mut written = Vec::new();
            push_varint(&mut written, value);
            assert_eq!(written, bytes, "{value}");
        }
    }

    #[test]
    fn refuses_what_is_no_varint() {
        for (bytes, error) in [
            (&[][..], WireError::Cut),
            (&[0x80], WireError::Cut),
            (&[0xff; 9], WireError::Cut),
            (&[0xff; 10], WireError::Varint),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                WireError::Varint,
            ),
        ] {
            assert_eq!(Fields::new(bytes).varint(), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn varints_read_back(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            push_varint(&mut bytes, zigzag(signed));
            let mut fields = Fields::new(&bytes);
            prop_assert_eq!(fields.varint(), Ok(value));
            prop_assert_eq!(fields.varint().map(unzigzag), Ok(signed));
            prop_assert!(fields.is_empty());
        }
    }
}
