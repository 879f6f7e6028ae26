//! Writes index and chunk segments of a block, from front to back.
//!
//! What is held meanwhile are the symbols and the postings: four bytes for each label of each series.
use std::collections::HashMap;

use foldhash::quality::RandomState;
use model::protobuf::{push_varint, zigzag};
use model::{Labels, Timestamp};

use crate::block::castagnoli::castagnoli;
use crate::block::layout::{
    CHUNKS_HEADER_BYTES, CHUNKS_MAGIC, CHUNKS_VERSION, CONTENTS_PLACES, Encoding, INDEX_MAGIC,
    INDEX_VERSION, POSTINGS_ALIGNMENT, SERIES_ALIGNMENT,
};
use crate::block::meta::BlockStats;

/// Prometheus' segments.
const SEGMENT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Where a block's bytes go, in the order in which they come.
pub trait BlockOutput {
    type Error;

    fn index(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// Into the newest segment.
    fn chunks(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// What comes now belongs into the next segment; the first one is asked for too.
    fn next_segment(&mut self) -> Result<(), Self::Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum WriteBlockError<E> {
    #[error("block could not be written")]
    Output(#[from] E),
    #[error("block is too large for its index")]
    TooLarge,
    #[error("series {0} comes before what was written already")]
    Order(Labels),
    #[error("series {0} has a label that is not among the symbols")]
    Symbol(Labels),
}

/// A chunk on its way into a block.
#[derive(Clone, Copy, Debug)]
pub struct ChunkToWrite<'c> {
    pub min_time: Timestamp,
    pub max_time: Timestamp,
    pub encoding: Encoding,
    pub bytes: &'c [u8],
}

pub struct BlockWriter<O> {
    output: O,
    segment_bytes_max: u64,
    symbols: Vec<Box<str>>,
    index: Buffer,
    /// Of the newest segment; `None` as long as there is none.
    segment: Option<u64>,
    chunks: Buffer,
    places: [u64; CONTENTS_PLACES],
    last: Option<Labels>,
    all: Vec<u32>,
    /// By the places of name and value among the symbols.
    postings: HashMap<(u32, u32), Vec<u32>, RandomState>,
    stats: BlockStats,
    entry: Vec<u8>,
}

impl<O: BlockOutput> BlockWriter<O> {
    /// `symbols` are all names and values that any series will have; others do no harm.
    pub fn begin(output: O, symbols: Vec<Box<str>>) -> Result<Self, WriteBlockError<O::Error>> {
        Self::with_segments(output, symbols, SEGMENT_BYTES_MAX)
    }

    pub(crate) fn with_segments(
        output: O,
        mut symbols: Vec<Box<str>>,
        segment_bytes_max: u64,
    ) -> Result<Self, WriteBlockError<O::Error>> {
        symbols.sort_unstable();
        symbols.dedup();
        let mut writer = Self {
            output,
            segment_bytes_max,
            symbols,
            index: Buffer::default(),
            segment: None,
            chunks: Buffer::default(),
            places: [0; CONTENTS_PLACES],
            last: None,
            all: Vec::new(),
            postings: HashMap::default(),
            stats: BlockStats::default(),
            entry: Vec::new(),
        };
        let header = [&INDEX_MAGIC.to_be_bytes()[..], &[INDEX_VERSION]].concat();
        writer.push_index(&header)?;
        writer.places[0] = writer.index.at;
        let mut section = count(writer.symbols.len())?;
        for symbol in &writer.symbols {
            push_text(&mut section, symbol);
        }
        writer.push_section(&section)?;
        Ok(writer)
    }

    /// In ascending order of labels; `chunks` in the order of time. Without chunks nothing is written.
    pub fn series<'c>(
        &mut self,
        labels: &Labels,
        chunks: impl IntoIterator<Item = ChunkToWrite<'c>>,
    ) -> Result<(), WriteBlockError<O::Error>> {
        let mut chunks = chunks.into_iter().peekable();
        if chunks.peek().is_none() {
            return Ok(());
        }
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(WriteBlockError::Order(labels.clone()));
        }
        self.align(SERIES_ALIGNMENT)?;
        if self.stats.num_series == 0 {
            self.places[1] = self.index.at;
        }
        let number = u32::try_from(self.index.at / SERIES_ALIGNMENT)
            .map_err(|_| WriteBlockError::TooLarge)?;
        let mut entry = std::mem::take(&mut self.entry);
        entry.clear();
        push_varint(&mut entry, labels.len() as u64);
        for (name, value) in labels {
            let place = |symbol: &str| {
                let found = self.symbols.binary_search_by(|known| (**known).cmp(symbol));
                found.map_err(|_| WriteBlockError::Symbol(labels.clone()))
            };
            // Their number fits into the count that stands before them.
            let (name, value) = (place(name)? as u32, place(value)? as u32);
            push_varint(&mut entry, u64::from(name));
            push_varint(&mut entry, u64::from(value));
            self.postings.entry((name, value)).or_default().push(number);
        }
        let mut metas = Vec::new();
        let mut chunks_len = 0_u64;
        let mut before: Option<(Timestamp, u64)> = None;
        for chunk in chunks {
            let reference = self.push_chunk(&chunk)?;
            let (min, max) = (chunk.min_time.as_millis(), chunk.max_time.as_millis());
            match before {
                None => push_varint(&mut metas, zigzag(min)),
                Some((max, _)) => {
                    push_varint(&mut metas, min.wrapping_sub(max.as_millis()) as u64);
                }
            }
            push_varint(&mut metas, max.wrapping_sub(min) as u64);
            match before {
                None => push_varint(&mut metas, reference),
                Some((_, last)) => {
                    push_varint(&mut metas, zigzag(reference.wrapping_sub(last) as i64));
                }
            }
            before = Some((chunk.max_time, reference));
            chunks_len += 1;
            self.stats.num_samples += u64::from(chunk.encoding.samples_len(chunk.bytes));
        }
        push_varint(&mut entry, chunks_len);
        entry.extend_from_slice(&metas);
        let mut length = Vec::new();
        push_varint(&mut length, entry.len() as u64);
        self.push_index(&length)?;
        let sum = castagnoli(&entry);
        self.push_index(&entry)?;
        self.push_index(&sum.to_be_bytes())?;
        self.entry = entry;
        self.all.push(number);
        self.stats.num_series += 1;
        self.stats.num_chunks += chunks_len;
        self.last = Some(labels.clone());
        Ok(())
    }

    pub fn finish(mut self) -> Result<(O, BlockStats), WriteBlockError<O::Error>> {
        if self.stats.num_series == 0 {
            self.places[1] = self.index.at;
        }
        // The label indices are no longer read by anybody; an empty table says that there are none.
        self.align(POSTINGS_ALIGNMENT)?;
        self.places[2] = self.index.at;
        self.places[4] = self.index.at;
        let mut lists: Vec<((u32, u32), Vec<u32>)> = self.postings.drain().collect();
        lists.sort_unstable_by_key(|(key, _)| *key);
        let mut offsets = count(lists.len() + 1)?;
        let all = std::mem::take(&mut self.all);
        self.push_postings(&mut offsets, None, &all)?;
        for (key, list) in lists {
            self.push_postings(&mut offsets, Some(key), &list)?;
        }
        self.places[3] = self.index.at;
        self.push_section(&0_u32.to_be_bytes())?;
        self.places[5] = self.index.at;
        self.push_section(&offsets)?;
        let contents: Vec<u8> = self
            .places
            .iter()
            .flat_map(|place| place.to_be_bytes())
            .collect();
        self.push_index(&contents)?;
        self.push_index(&castagnoli(&contents).to_be_bytes())?;
        if self.segment.is_none() {
            self.begin_segment()?;
        }
        self.output.index(&self.index.bytes)?;
        self.output.chunks(&self.chunks.bytes)?;
        Ok((self.output, self.stats))
    }

    fn push_postings(
        &mut self,
        offsets: &mut Vec<u8>,
        key: Option<(u32, u32)>,
        list: &[u32],
    ) -> Result<(), WriteBlockError<O::Error>> {
        self.align(POSTINGS_ALIGNMENT)?;
        offsets.push(2);
        let symbol = |place: u32| self.symbols.get(place as usize).map_or("", AsRef::as_ref);
        let (name, value) = key.map_or(("", ""), |(name, value)| (symbol(name), symbol(value)));
        push_text(offsets, name);
        push_text(offsets, value);
        push_varint(offsets, self.index.at);
        let mut section = count(list.len())?;
        section.reserve(list.len() * 4);
        for number in list {
            section.extend_from_slice(&number.to_be_bytes());
        }
        self.push_section(&section)
    }

    /// Answers the chunk's reference.
    fn push_chunk(&mut self, chunk: &ChunkToWrite<'_>) -> Result<u64, WriteBlockError<O::Error>> {
        let bytes = 10 + 1 + chunk.bytes.len() as u64 + 4;
        if self.segment.is_none()
            || self.chunks.at + bytes > self.segment_bytes_max
                && self.chunks.at > CHUNKS_HEADER_BYTES
        {
            self.begin_segment()?;
        }
        let place = u32::try_from(self.chunks.at).map_err(|_| WriteBlockError::TooLarge)?;
        let reference = self.segment.unwrap_or(0) << 32 | u64::from(place);
        let mut head = Vec::with_capacity(11);
        push_varint(&mut head, chunk.bytes.len() as u64);
        self.chunks.push(&head);
        let mut data = Vec::with_capacity(1 + chunk.bytes.len());
        data.push(chunk.encoding.0);
        data.extend_from_slice(chunk.bytes);
        self.chunks.push(&data);
        self.chunks.push(&castagnoli(&data).to_be_bytes());
        if self.chunks.bytes.len() >= WRITE_BYTES {
            self.output.chunks(&self.chunks.bytes)?;
            self.chunks.bytes.clear();
        }
        Ok(reference)
    }

    fn begin_segment(&mut self) -> Result<(), WriteBlockError<O::Error>> {
        if !self.chunks.bytes.is_empty() {
            self.output.chunks(&self.chunks.bytes)?;
        }
        self.output.next_segment()?;
        self.segment = Some(self.segment.map_or(0, |segment| segment + 1));
        self.chunks = Buffer::default();
        self.chunks.push(&CHUNKS_MAGIC.to_be_bytes());
        self.chunks.push(&[CHUNKS_VERSION, 0, 0, 0]);
        Ok(())
    }

    fn push_section(&mut self, section: &[u8]) -> Result<(), WriteBlockError<O::Error>> {
        self.push_index(&count(section.len())?)?;
        self.push_index(section)?;
        self.push_index(&castagnoli(section).to_be_bytes())
    }

    fn align(&mut self, to: u64) -> Result<(), WriteBlockError<O::Error>> {
        let missing = self.index.at.next_multiple_of(to) - self.index.at;
        self.push_index(&[0; SERIES_ALIGNMENT as usize][..missing as usize])
    }

    fn push_index(&mut self, bytes: &[u8]) -> Result<(), WriteBlockError<O::Error>> {
        self.index.push(bytes);
        if self.index.bytes.len() >= WRITE_BYTES {
            self.output.index(&self.index.bytes)?;
            self.index.bytes.clear();
        }
        Ok(())
    }
}

/// What is not written yet of a file, and how long the file is with it.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    at: u64,
}

impl Buffer {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn count<E>(number: usize) -> Result<Vec<u8>, WriteBlockError<E>> {
    let number = u32::try_from(number).map_err(|_| WriteBlockError::TooLarge)?;
    Ok(number.to_be_bytes().to_vec())
}
