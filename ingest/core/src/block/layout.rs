//! The layout of a block's files, as Prometheus writes them. Numbers are big-endian, checksums are CRC-32C.
//!
//! ```text
//! chunks/NNNNNN  magic u32 | version u8 | 0 0 0 | chunks:
//!                length varint | encoding u8 | data | checksum of encoding and data
//! index          magic u32 | version u8 | symbols | series | label indices | postings | label offsets
//!                | postings offsets | table of contents
//!   symbols      length u32 | count u32 | (length varint, text)… ascending | checksum
//!   series       each at a multiple of 16, which divided by 16 is its number:
//!                length varint | count varint | (name, value as symbols' places)… | chunks varint
//!                | first: min time zigzag, max − min, reference | others: min − max before, max − min,
//!                  reference's difference zigzag | checksum
//!   postings     each at a multiple of 4: length u32 | count u32 | series' numbers u32… | checksum
//!   offsets      length u32 | count u32 | (2, name, value, place varint)… by name and value | checksum
//!   contents     six places u64, in the order above | checksum
//! ```
//! A chunk's reference is its segment's place among the segments, from 0, in the upper 32 bits, and its place in the
//! segment in the lower ones. The postings of the empty name and value are those of all series.

pub(crate) const CHUNKS_MAGIC: u32 = 0x85bd_40dd;
pub(crate) const CHUNKS_VERSION: u8 = 1;
pub(crate) const CHUNKS_HEADER_BYTES: u64 = 8;
pub(crate) const INDEX_MAGIC: u32 = 0xbaaa_d700;
pub(crate) const INDEX_VERSION: u8 = 2;
pub(crate) const INDEX_HEADER_BYTES: u64 = 5;
pub(crate) const SERIES_ALIGNMENT: u64 = 16;
pub(crate) const POSTINGS_ALIGNMENT: u64 = 4;
pub(crate) const CONTENTS_PLACES: usize = 6;
pub(crate) const CONTENTS_BYTES: u64 = CONTENTS_PLACES as u64 * 8 + 4;

pub use crate::encoding::Encoding;

/// A chunk of a block, in whatever encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockChunk {
    pub min_time: model::Timestamp,
    /// Of the last sample.
    pub max_time: model::Timestamp,
    pub encoding: Encoding,
    pub bytes: Box<[u8]>,
}
