//! Samples in the layout of Prometheus' XOR chunks (Gorilla's compression), byte for byte.
//!
//! ```text
//! count u16 big-endian | bits:
//!   1st sample   timestamp as signed varint, value as 64 bits
//!   2nd sample   timestamp's delta as unsigned varint, value
//!   others       delta of the delta in 1, 16, 20, 24 or 68 bits, value
//!   value        XOR with the one before
//! ```
use std::sync::Arc;

use model::protobuf::{push_varint, unzigzag, zigzag};
use model::{HistogramSample, Sample, Timestamp};

use crate::bits::{BitReader, BitWriter};
use crate::encoding::{Encoding, floats, histograms};
use crate::xor::XorValue;

/// Samples after which a chunk is closed (Prometheus' `samplesPerChunk`).
pub const SAMPLES_PER_CHUNK: u16 = 120;

const COUNT_BYTES: usize = 2;

/// A closed chunk, of floats or of histograms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub min_time: Timestamp,
    pub max_time: Timestamp,
    pub encoding: Encoding,
    bytes: Box<[u8]>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("chunk is malformed")]
pub struct ChunkError;

impl Chunk {
    /// Reads all samples of a chunk of floats once, so that nothing about it can surprise later.
    pub fn from_bytes(bytes: Box<[u8]>) -> Result<Self, ChunkError> {
        let mut samples = ChunkSamples::new(&bytes);
        let (mut min, mut max) = (Timestamp::MAX, Timestamp::MIN);
        let mut read = 0;
        for sample in samples.by_ref() {
            min = min.min(sample.timestamp);
            max = max.max(sample.timestamp);
            read += 1;
        }
        if read == 0 || read != count(&bytes) {
            return Err(ChunkError);
        }
        Ok(Self::from_stored(min, max, Encoding::XOR, bytes))
    }

    /// A chunk out of a record whose checksum was right; reading it stays safe where it is malformed nevertheless.
    pub(crate) fn from_stored(
        min_time: Timestamp,
        max_time: Timestamp,
        encoding: Encoding,
        bytes: Box<[u8]>,
    ) -> Self {
        Self {
            min_time,
            max_time,
            encoding,
            bytes,
        }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn samples_len(&self) -> u16 {
        count(&self.bytes)
    }

    /// The floats; none where the chunk holds histograms.
    pub fn samples(&self) -> impl Iterator<Item = Sample> + use<'_> {
        floats(self.encoding, &self.bytes)
    }

    /// The histograms; none where the chunk holds floats.
    pub fn histograms(&self) -> impl Iterator<Item = HistogramSample> + use<'_> {
        histograms(self.encoding, &self.bytes)
    }
}

/// A chunk that grows.
#[derive(Clone, Debug)]
pub struct OpenChunk {
    writer: BitWriter,
    min_time: i64,
    state: State,
}

/// What the next sample is written relative to.
#[derive(Clone, Copy, Debug)]
struct State {
    count: u16,
    timestamp: i64,
    delta: u64,
    value: XorValue,
}

impl OpenChunk {
    #[must_use]
    pub fn new(first: Sample) -> Self {
        // Two bytes of count, a varint of today's milliseconds, a value, and room for some samples more.
        let mut bytes = Vec::with_capacity(40);
        bytes.extend_from_slice(&1_u16.to_be_bytes());
        let timestamp = first.timestamp.as_millis();
        push_varint(&mut bytes, zigzag(timestamp));
        bytes.extend_from_slice(&first.value.to_bits().to_be_bytes());
        Self {
            writer: BitWriter::with_bytes(bytes),
            min_time: timestamp,
            state: State {
                count: 1,
                timestamp,
                delta: 0,
                value: XorValue::starting_at(first.value.to_bits()),
            },
        }
    }

    /// Goes on with a chunk that was stored before it was full.
    #[must_use]
    pub fn reopen(chunk: &Chunk) -> Option<Self> {
        let mut samples = chunk.samples();
        let mut open = Self::new(samples.next()?);
        for sample in samples {
            open.push(sample);
        }
        Some(open)
    }

    /// `sample` is newer than the last one.
    pub fn push(&mut self, sample: Sample) {
        let timestamp = sample.timestamp.as_millis();
        let delta = timestamp.wrapping_sub(self.state.timestamp) as u64;
        if self.state.count == 1 {
            let mut varint = Vec::with_capacity(10);
            push_varint(&mut varint, delta);
            self.writer.push_bytes(&varint);
        } else {
            self.push_delta_of_delta(delta.wrapping_sub(self.state.delta) as i64);
        }
        self.state
            .value
            .push(&mut self.writer, sample.value.to_bits());
        self.state.timestamp = timestamp;
        self.state.delta = delta;
        self.state.count += 1;
        self.writer.bytes_mut()[..COUNT_BYTES].copy_from_slice(&self.state.count.to_be_bytes());
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
    pub fn last(&self) -> Sample {
        Sample {
            timestamp: Timestamp::from_millis(self.state.timestamp),
            value: f64::from_bits(self.state.value.bits),
        }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    #[must_use]
    pub fn seal(self) -> Arc<Chunk> {
        Arc::new(Chunk {
            min_time: self.min_time(),
            max_time: self.last().timestamp,
            encoding: Encoding::XOR,
            bytes: self.writer.into_bytes().into_boxed_slice(),
        })
    }

    fn push_delta_of_delta(&mut self, dod: i64) {
        let low = dod as u64;
        match dod {
            0 => self.writer.push(0b0, 1),
            -8191..=8192 => self.writer.push(0b10 << 14 | low & 0x3fff, 16),
            -65_535..=65_536 => self.writer.push(0b110 << 17 | low & 0x1_ffff, 20),
            -524_287..=524_288 => self.writer.push(0b1110 << 20 | low & 0xf_ffff, 24),
            _ => {
                self.writer.push(0b1111, 4);
                self.writer.push(low, 64);
            }
        }
    }
}

/// The samples of a chunk, in the order of time. Ends early where the bytes are malformed.
#[derive(Clone, Debug)]
pub struct ChunkSamples<'a> {
    bits: BitReader<'a>,
    left: u16,
    state: State,
}

impl<'a> ChunkSamples<'a> {
    /// The bytes of a [`Chunk`] or an [`OpenChunk`].
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            left: count(bytes),
            bits: BitReader::new(bytes.get(COUNT_BYTES..).unwrap_or_default()),
            state: State {
                count: 0,
                timestamp: 0,
                delta: 0,
                value: XorValue::starting_at(0),
            },
        }
    }

    fn read(&mut self) -> Option<()> {
        match self.state.count {
            0 => {
                self.state.timestamp = unzigzag(self.bits.varint()?);
                self.state.value = XorValue::starting_at(self.bits.bits(64)?);
            }
            1 => {
                self.state.delta = self.bits.varint()?;
                self.state.value.read(&mut self.bits)?;
                self.state.timestamp = self.state.timestamp.wrapping_add(self.state.delta as i64);
            }
            _ => {
                let dod = self.read_delta_of_delta()?;
                self.state.delta = self.state.delta.wrapping_add(dod as u64);
                self.state.value.read(&mut self.bits)?;
                self.state.timestamp = self.state.timestamp.wrapping_add(self.state.delta as i64);
            }
        }
        self.state.count = self.state.count.saturating_add(1);
        Some(())
    }

    #[inline]
    fn read_delta_of_delta(&mut self) -> Option<i64> {
        let (shown, there) = self.bits.peek();
        // Mostly senders keep their interval.
        if shown >> 63 == 0 && there > 0 {
            self.bits.skip(1);
            return Some(0);
        }
        self.read_changed_delta()
    }

    fn read_changed_delta(&mut self) -> Option<i64> {
        let mut width = 0;
        for step in [14, 17, 20, 64] {
            if !self.bits.bit()? {
                break;
            }
            width = step;
        }
        if width == 0 {
            return Some(0);
        }
        let bits = self.bits.bits(width)?;
        if width == 64 {
            return Some(bits as i64);
        }
        // The range is one off two's complement: 2^(width-1) itself is positive.
        let value = bits as i64;
        Some(if value > 1 << (width - 1) {
            value - (1 << width)
        } else {
            value
        })
    }
}

impl Iterator for ChunkSamples<'_> {
    type Item = Sample;

    #[inline]
    fn next(&mut self) -> Option<Sample> {
        self.left = self.left.checked_sub(1)?;
        if self.read().is_none() {
            self.left = 0;
            return None;
        }
        Some(Sample {
            timestamp: Timestamp::from_millis(self.state.timestamp),
            value: f64::from_bits(self.state.value.bits),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

fn count(bytes: &[u8]) -> u16 {
    match bytes {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use model::{STALE_NAN, Sample, Timestamp};
    use proptest::prelude::*;

    use super::{Chunk, ChunkError, ChunkSamples, OpenChunk};

    fn sample(timestamp: i64, bits: u64) -> Sample {
        Sample {
            timestamp: Timestamp::from_millis(timestamp),
            value: f64::from_bits(bits),
        }
    }

    fn chunk(samples: &[(i64, u64)]) -> OpenChunk {
        let mut open = OpenChunk::new(sample(samples[0].0, samples[0].1));
        for (timestamp, bits) in &samples[1..] {
            open.push(sample(*timestamp, *bits));
        }
        open
    }

    fn read(bytes: &[u8]) -> Vec<(i64, u64)> {
        ChunkSamples::new(bytes)
            .map(|sample| (sample.timestamp.as_millis(), sample.value.to_bits()))
            .collect()
    }

    /// Worked out by hand from the layout above.
    #[test]
    fn the_bytes_are_those_of_prometheus() {
        let one = 1.0_f64.to_bits();
        let two = 2.0_f64.to_bits();
        let open = chunk(&[(1000, one), (16_000, one), (31_000, one), (46_001, two)]);
        let hex: String = open.bytes().iter().map(|b| format!("{b:02x}")).collect();
        // count 4; zigzag(1000) = d0 0f; 1.0; delta 15000 = 98 75; then bits:
        // 0 (same value) | 0 0 (dod 0, same) | 10 and 14 bits of 1 |
        // 11, 1 leading zero (00001), 11 significant (001011), 3ff0 ^ 4000 = 7ff0: eleven ones; padding.
        let bits = "0 0 0 10 00000000000001 11 00001 001011 11111111111".replace(' ', "");
        let tail: String = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| {
                let padded = format!("{:0<8}", String::from_utf8_lossy(byte));
                format!("{:02x}", u8::from_str_radix(&padded, 2).unwrap())
            })
            .collect();
        assert_eq!(hex, format!("0004d00f3ff00000000000009875{tail}"));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let whole = chunk(&[(0, 0), (10, 77), (20, 78)]).bytes().to_vec();
        assert!(Chunk::from_bytes(whole.clone().into()).is_ok());
        for length in 0..whole.len() {
            assert_eq!(
                Chunk::from_bytes(whole[..length].into()),
                Err(ChunkError),
                "cut at {length}"
            );
        }
    }

    proptest! {
        #[test]
        fn samples_read_back_bit_by_bit(
            start: i32,
            steps in prop::collection::vec((
                prop_oneof![Just(15_000_i64), 1..20_000_i64, 1..3_000_000_i64, 1..i64::MAX / 1000],
                prop_oneof![
                    any::<u64>(),
                    Just(STALE_NAN),
                    Just(f64::NAN.to_bits()),
                    (0..1000_u32).prop_map(|n| f64::from(n).to_bits()),
                ],
            ), 1..150),
        ) {
            let mut at = i64::from(start);
            let samples: Vec<(i64, u64)> = steps
                .iter()
                .map(|(step, bits)| {
                    at += step;
                    (at, *bits)
                })
                .collect();
            let open = chunk(&samples);
            prop_assert_eq!(read(open.bytes()), samples.clone());
            let sealed = Chunk::from_bytes(open.bytes().into()).unwrap();
            prop_assert_eq!(sealed.min_time.as_millis(), samples[0].0);
            prop_assert_eq!(sealed.max_time.as_millis(), at);

            let half = samples.len().div_ceil(2);
            let stored = Chunk::from_bytes(chunk(&samples[..half]).bytes().into()).unwrap();
            let mut reopened = OpenChunk::reopen(&stored).unwrap();
            for (timestamp, bits) in &samples[half..] {
                reopened.push(sample(*timestamp, *bits));
            }
            prop_assert_eq!(reopened.bytes(), open.bytes());
        }

        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
