//! What the log and the snapshots hold: each record can be read without any other but the series' definitions.
//!
//! ```text
//! definitions   (id varint, length varint, canonical label bytes)…
//! samples       time zigzag varint, then per sample a head byte:
//!                 bits 0–3  bytes of the value that follow, from the high end; the others are zero
//!                 bit 4     the time is that of the sample before
//!                 bit 5     the id follows that of the sample before
//!               then, where the bits do not say so, the id's and the time's difference as zigzag varints, then
//!               the value's bytes. The first sample's id counts from 0, its time from the record's.
//! chunks        (id, label bytes, number of chunks, (min time zigzag, max − min, length, bytes)…)…, in varints;
//!                 all of floats
//! any chunks    the same, with the encoding as a byte before each chunk's length
//! histograms    (id, time zigzag, length, histogram)…, in varints (`histogram_record.rs`)
//! late samples, late histograms
//!               the same as samples and histograms: they came out of order
//! late chunks   (id, label bytes, number of chunks, (cut, min time zigzag, max − min, encoding byte, length, bytes)…)…,
//!                 in varints
//! start times   (2 × id + 1 where only of this sample, time zigzag, start zigzag)…, in varints
//! cuts          (what u8, number varint)…: what is in blocks, see [`Cut`]; behind the end of a cut in order as zigzag
//!                 varint the block's ULID as text
//! exemplars, metadata    what senders say besides; they name their series and metrics in full (`said_record.rs`)
//! ```
//! Equal times and neighbouring ids are the rule, and counters are mostly small whole numbers, so that a sample
//! takes 3 to 6 bytes.
use std::sync::Arc;

use model::protobuf::{Fields, WireError, push_varint, unzigzag, zigzag};
use model::{Sample, Timestamp};

use crate::block::Ulid;
use crate::chunk::Chunk;
use crate::encoding::Encoding;
use crate::out_of_order::LateChunk;
use crate::start_times::SaidStart;

/// A series' number within its tenant; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// What kind of record a payload is. A changed layout gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    Definitions = 1,
    Samples = 2,
    Chunks = 3,
    Histograms = 4,
    AnyChunks = 5,
    LateSamples = 6,
    LateHistograms = 7,
    LateChunks = 8,
    Cuts = 9,
    StartTimes = 10,
    Exemplars = 16,
    Metadata = 17,
}

impl RecordKind {
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Definitions,
            Self::Samples,
            Self::Chunks,
            Self::Histograms,
            Self::AnyChunks,
            Self::LateSamples,
            Self::LateHistograms,
            Self::LateChunks,
            Self::Cuts,
            Self::StartTimes,
            Self::Exemplars,
            Self::Metadata,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("record is cut off")]
    Cut(#[from] WireError),
    #[error("record holds a number that is out of range")]
    Range,
}

pub(crate) fn push_definition(bytes: &mut Vec<u8>, id: SeriesId, label_bytes: &[u8]) {
    push_varint(bytes, u64::from(id.0));
    push_varint(bytes, label_bytes.len() as u64);
    bytes.extend_from_slice(label_bytes);
}

pub(crate) fn read_definitions(
    payload: &[u8],
    mut each: impl FnMut(SeriesId, &[u8]),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let id = read_id(&mut fields)?;
        each(id, fields.bytes()?);
    }
    Ok(())
}

const VALUE_BYTES: u8 = 0x0f;
const SAME_TIME: u8 = 0x10;
const NEXT_ID: u8 = 0x20;

/// Writes one record of samples.
#[derive(Debug, Default)]
pub(crate) struct SamplesWriter {
    bytes: Vec<u8>,
    id: u32,
    time: i64,
}

impl SamplesWriter {
    pub(crate) fn with_capacity(samples: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(10 + samples * 8),
            ..Self::default()
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, id: SeriesId, sample: Sample) {
        let time = sample.timestamp.as_millis();
        if self.bytes.is_empty() {
            push_varint(&mut self.bytes, zigzag(time));
            self.time = time;
        }
        let bits = sample.value.to_bits();
        let value_bytes = if bits == 0 {
            0
        } else {
            8 - bits.trailing_zeros() / 8
        };
        let same_time = time == self.time;
        let next_id = id.0 == self.id.wrapping_add(1);
        let mut head = value_bytes as u8;
        if same_time {
            head |= SAME_TIME;
        }
        if next_id {
            head |= NEXT_ID;
        }
        self.bytes.push(head);
        if !next_id {
            let difference = i64::from(id.0) - i64::from(self.id);
            push_varint(&mut self.bytes, zigzag(difference));
        }
        if !same_time {
            push_varint(&mut self.bytes, zigzag(time.wrapping_sub(self.time)));
        }
        self.bytes
            .extend_from_slice(&bits.to_be_bytes()[..value_bytes as usize]);
        self.id = id.0;
        self.time = time;
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(crate) fn read_samples(
    payload: &[u8],
    mut each: impl FnMut(SeriesId, Sample),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    if fields.is_empty() {
        return Ok(());
    }
    let mut time = unzigzag(fields.varint()?);
    let mut id = 0_u32;
    while !fields.is_empty() {
        let head = fields.byte()?;
        id = if head & NEXT_ID == 0 {
            let id = i64::from(id).wrapping_add(unzigzag(fields.varint()?));
            u32::try_from(id).map_err(|_| RecordError::Range)?
        } else {
            id.wrapping_add(1)
        };
        if head & SAME_TIME == 0 {
            time = time.wrapping_add(unzigzag(fields.varint()?));
        }
        let length = usize::from(head & VALUE_BYTES);
        let mut value = [0; 8];
        value
            .get_mut(..length)
            .ok_or(RecordError::Range)?
            .copy_from_slice(fields.take(length)?);
        each(
            SeriesId(id),
            Sample {
                timestamp: Timestamp::from_millis(time),
                value: f64::from_bits(u64::from_be_bytes(value)),
            },
        );
    }
    Ok(())
}

/// Appends a series with all its chunks to a snapshot's record of `kind`: [`RecordKind::AnyChunks`], or
/// [`RecordKind::Chunks`] where all are of floats.
pub(crate) fn push_chunks<'c>(
    bytes: &mut Vec<u8>,
    kind: RecordKind,
    id: SeriesId,
    label_bytes: &[u8],
    chunks: impl ExactSizeIterator<Item = &'c Chunk>,
) {
    push_definition(bytes, id, label_bytes);
    push_varint(bytes, chunks.len() as u64);
    for chunk in chunks {
        let (min, max) = (chunk.min_time.as_millis(), chunk.max_time.as_millis());
        push_varint(bytes, zigzag(min));
        push_varint(bytes, max.wrapping_sub(min) as u64);
        if kind == RecordKind::AnyChunks {
            bytes.push(chunk.encoding.0);
        }
        push_varint(bytes, chunk.bytes().len() as u64);
        bytes.extend_from_slice(chunk.bytes());
    }
}

pub(crate) fn read_chunks(
    kind: RecordKind,
    payload: &[u8],
    mut each: impl FnMut(SeriesId, &[u8], Vec<Arc<Chunk>>),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let id = read_id(&mut fields)?;
        let label_bytes = fields.bytes()?;
        let length = fields.varint()?;
        let mut chunks: Vec<Arc<Chunk>> = Vec::new();
        for _ in 0..length {
            let min = unzigzag(fields.varint()?);
            let max = min.wrapping_add(fields.varint()? as i64);
            let follows = |last: &Arc<Chunk>| last.max_time.as_millis() < min;
            if max < min || !chunks.last().is_none_or(follows) {
                return Err(RecordError::Range);
            }
            let encoding = if kind == RecordKind::AnyChunks {
                Encoding(fields.byte()?)
            } else {
                Encoding::XOR
            };
            let bytes = fields.bytes()?;
            chunks.push(Arc::new(Chunk::from_stored(
                Timestamp::from_millis(min),
                Timestamp::from_millis(max),
                encoding,
                bytes.into(),
            )));
        }
        each(id, label_bytes, chunks);
    }
    Ok(())
}

pub(crate) fn push_late_chunks(
    bytes: &mut Vec<u8>,
    id: SeriesId,
    label_bytes: &[u8],
    chunks: &[LateChunk],
) {
    push_definition(bytes, id, label_bytes);
    push_varint(bytes, chunks.len() as u64);
    for LateChunk { cut, chunk } in chunks {
        let (min, max) = (chunk.min_time.as_millis(), chunk.max_time.as_millis());
        push_varint(bytes, u64::from(*cut));
        push_varint(bytes, zigzag(min));
        push_varint(bytes, max.wrapping_sub(min) as u64);
        bytes.push(chunk.encoding.0);
        push_varint(bytes, chunk.bytes().len() as u64);
        bytes.extend_from_slice(chunk.bytes());
    }
}

pub(crate) fn read_late_chunks(
    payload: &[u8],
    mut each: impl FnMut(SeriesId, &[u8], Vec<LateChunk>),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let id = read_id(&mut fields)?;
        let label_bytes = fields.bytes()?;
        let length = fields.varint()?;
        let mut chunks = Vec::new();
        for _ in 0..length {
            let cut = u32::try_from(fields.varint()?).map_err(|_| RecordError::Range)?;
            let min = unzigzag(fields.varint()?);
            let max = min.wrapping_add(fields.varint()? as i64);
            let encoding = Encoding(fields.byte()?);
            if max < min || !encoding.is_known() {
                return Err(RecordError::Range);
            }
            let chunk = Arc::new(Chunk::from_stored(
                Timestamp::from_millis(min),
                Timestamp::from_millis(max),
                encoding,
                fields.bytes()?.into(),
            ));
            chunks.push(LateChunk { cut, chunk });
        }
        each(id, label_bytes, chunks);
    }
    Ok(())
}

pub(crate) fn push_start(bytes: &mut Vec<u8>, id: SeriesId, said: SaidStart) {
    push_varint(bytes, u64::from(id.0) << 1 | u64::from(said.is_late));
    push_varint(bytes, zigzag(said.at.as_millis()));
    push_varint(bytes, zigzag(said.start.as_millis()));
}

pub(crate) fn read_starts(
    payload: &[u8],
    mut each: impl FnMut(SeriesId, SaidStart),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let number = fields.varint()?;
        let id = u32::try_from(number >> 1).map_err(|_| RecordError::Range)?;
        let said = SaidStart {
            at: Timestamp::from_millis(unzigzag(fields.varint()?)),
            start: Timestamp::from_millis(unzigzag(fields.varint()?)),
            is_late: number & 1 == 1,
        };
        each(SeriesId(id), said);
    }
    Ok(())
}

/// What the log says of samples that left for blocks. Only a log's own word counts: blocks are copied about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What came in order before `end` is in blocks, the newest of it in this one. Where neither it nor one that it went
    /// into is there any more, nothing is said.
    InOrder { end: Timestamp, block: Ulid },
    /// What came late and was logged before this leaves with the cut of this number.
    LateBegun(u32),
    /// And is in blocks.
    LateDone(u32),
}

impl Cut {
    const IN_ORDER: u8 = 1;
    const LATE_BEGUN: u8 = 2;
    const LATE_DONE: u8 = 3;

    /// A record's kind and payload.
    #[must_use]
    pub fn to_record(cuts: &[Self]) -> (RecordKind, Vec<u8>) {
        let mut bytes = Vec::new();
        for cut in cuts {
            let (what, number) = match cut {
                Self::InOrder { end, .. } => (Self::IN_ORDER, zigzag(end.as_millis())),
                Self::LateBegun(number) => (Self::LATE_BEGUN, u64::from(*number)),
                Self::LateDone(number) => (Self::LATE_DONE, u64::from(*number)),
            };
            bytes.push(what);
            push_varint(&mut bytes, number);
            if let Self::InOrder { block, .. } = cut {
                bytes.extend_from_slice(block.to_string().as_bytes());
            }
        }
        (RecordKind::Cuts, bytes)
    }
}

pub(crate) fn read_cuts(payload: &[u8], mut each: impl FnMut(Cut)) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let (what, number) = (fields.byte()?, fields.varint()?);
        let small = || u32::try_from(number).map_err(|_| RecordError::Range);
        each(match what {
            Cut::IN_ORDER => {
                let text = std::str::from_utf8(fields.take(Ulid::CHARS)?).ok();
                Cut::InOrder {
                    end: Timestamp::from_millis(unzigzag(number)),
                    block: text.and_then(Ulid::parse).ok_or(RecordError::Range)?,
                }
            }
            Cut::LATE_BEGUN => Cut::LateBegun(small()?),
            Cut::LATE_DONE => Cut::LateDone(small()?),
            _ => return Err(RecordError::Range),
        });
    }
    Ok(())
}

pub(crate) fn read_id(fields: &mut Fields<'_>) -> Result<SeriesId, RecordError> {
    u32::try_from(fields.varint()?)
        .map(SeriesId)
        .map_err(|_| RecordError::Range)
}

#[cfg(test)]
mod tests {
    use model::{STALE_NAN, Sample, Timestamp};
    use proptest::prelude::*;

    use super::{
        Cut, RecordError, RecordKind, SamplesWriter, SeriesId, push_chunks, push_definition,
        push_late_chunks, read_chunks, read_cuts, read_definitions, read_late_chunks, read_samples,
        read_starts,
    };
    use crate::block::Ulid;
    use crate::chunk::OpenChunk;
    use crate::out_of_order::LateChunk;
    use model::protobuf::WireError;

    fn write(samples: &[(u32, i64, u64)]) -> Vec<u8> {
        let mut writer = SamplesWriter::default();
        for (id, time, bits) in samples {
            let sample = Sample {
                timestamp: Timestamp::from_millis(*time),
                value: f64::from_bits(*bits),
            };
            writer.push(SeriesId(*id), sample);
        }
        writer.into_bytes()
    }

    fn read(payload: &[u8]) -> Result<Vec<(u32, i64, u64)>, RecordError> {
        let mut samples = Vec::new();
        read_samples(payload, |id, sample| {
            samples.push((id.0, sample.timestamp.as_millis(), sample.value.to_bits()));
        })?;
        Ok(samples)
    }

    /// What the first release wrote: it must stay readable.
    #[test]
    fn the_bytes_of_a_record_of_samples() {
        let samples = [
            (5, 1000, 3.0_f64.to_bits()),
            (6, 1000, 0),
            (6, 900, STALE_NAN),
        ];
        let payload = write(&samples);
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "d00f120a40083008".to_owned() + "00c7017ff0000000000002"
        );
        assert_eq!(read(&payload), Ok(samples.to_vec()));
        assert_eq!(
            read(&payload[..payload.len() - 1]),
            Err(RecordError::Cut(WireError::Cut))
        );
        assert_eq!(read(&[0, 0x19]), Err(RecordError::Cut(WireError::Cut)));
        assert_eq!(read(&[0, 0x3f]), Err(RecordError::Range));
    }

    #[test]
    fn cuts_read_back() {
        let cuts = [
            Cut::InOrder {
                end: Timestamp::from_millis(-7),
                block: Ulid::new(Timestamp::from_millis(9), 7),
            },
            Cut::LateBegun(u32::MAX),
            Cut::LateDone(3),
        ];
        let (_, payload) = Cut::to_record(&cuts);
        let mut seen = Vec::new();
        read_cuts(&payload, |cut| seen.push(cut)).unwrap();
        assert_eq!(seen, cuts);
        let no_ulid = [&[1, 0][..], &[b'U'; 26]].concat();
        for wrong in [&[4, 0][..], &[2, 0xff, 0xff, 0xff, 0xff, 0x10], &no_ulid] {
            assert_eq!(read_cuts(wrong, |_| {}), Err(RecordError::Range));
        }
    }

    #[test]
    fn late_chunks_read_back() {
        let sample = |time| Sample {
            timestamp: Timestamp::from_millis(time),
            value: 1.5,
        };
        let late = |cut, time| LateChunk {
            cut,
            chunk: OpenChunk::new(sample(time)).seal(),
        };
        // In any order of time.
        let chunks = [late(3, 10), late(3, -5), late(4, 10)];
        let mut payload = Vec::new();
        push_late_chunks(&mut payload, SeriesId(7), b"labels", &chunks);
        push_late_chunks(&mut payload, SeriesId(8), b"", &[]);
        let mut seen = Vec::new();
        read_late_chunks(&payload, |id, labels, chunks| {
            let chunks: Vec<_> = chunks
                .into_iter()
                .map(|late| (late.cut, late.chunk))
                .collect();
            seen.push((id.0, labels.to_vec(), chunks));
        })
        .unwrap();
        let expected = chunks.map(|late| (late.cut, late.chunk));
        assert_eq!(
            seen,
            [
                (7, b"labels".to_vec(), expected.to_vec()),
                (8, vec![], vec![])
            ]
        );
    }

    #[test]
    fn definitions_and_chunks_read_back() {
        let mut payload = Vec::new();
        push_definition(&mut payload, SeriesId(7), b"labels");
        push_definition(&mut payload, SeriesId(u32::MAX), b"");
        let mut seen = Vec::new();
        read_definitions(&payload, |id, bytes| seen.push((id.0, bytes.to_vec()))).unwrap();
        assert_eq!(seen, [(7, b"labels".to_vec()), (u32::MAX, vec![])]);

        let sample = |time| Sample {
            timestamp: Timestamp::from_millis(time),
            value: 1.5,
        };
        let mut open = OpenChunk::new(sample(-5));
        open.push(sample(10));
        let chunk = open.seal();
        let later = OpenChunk::new(sample(11)).seal();
        let mut payload = Vec::new();
        push_chunks(
            &mut payload,
            RecordKind::Chunks,
            SeriesId(3),
            b"labels",
            [chunk.as_ref(), later.as_ref()].into_iter(),
        );
        push_chunks(
            &mut payload,
            RecordKind::Chunks,
            SeriesId(4),
            b"x",
            [].into_iter(),
        );
        let mut seen = Vec::new();
        read_chunks(RecordKind::Chunks, &payload, |id, bytes, chunks| {
            seen.push((id.0, bytes.to_vec(), chunks));
        })
        .unwrap();
        assert_eq!(
            seen,
            [
                (3, b"labels".to_vec(), vec![chunk.clone(), later]),
                (4, b"x".to_vec(), vec![])
            ]
        );

        // In another order than that of time nothing was ever written.
        let mut payload = Vec::new();
        push_chunks(
            &mut payload,
            RecordKind::AnyChunks,
            SeriesId(3),
            b"labels",
            [chunk.as_ref(), chunk.as_ref()].into_iter(),
        );
        let outcome = read_chunks(RecordKind::AnyChunks, &payload, |_, _, _| {});
        assert_eq!(outcome, Err(RecordError::Range));
    }

    proptest! {
        #[test]
        fn samples_read_back(samples in prop::collection::vec((any::<u32>(), any::<i64>(), any::<u64>()), 0..20)) {
            prop_assert_eq!(read(&write(&samples)), Ok(samples));
        }

        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes);
            let _ = read_definitions(&bytes, |_, _| {});
            let _ = read_late_chunks(&bytes, |_, _, _| {});
            let _ = read_cuts(&bytes, |_| {});
            let _ = read_starts(&bytes, |_, _| {});
            for kind in [RecordKind::Chunks, RecordKind::AnyChunks] {
                let _ = read_chunks(kind, &bytes, |_, _, _| {});
            }
        }
    }
}
