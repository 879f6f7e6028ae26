//! Blocks: what left the head, in Prometheus' format on disk, so that its tools and others read them.
//!
//! Bytes come in and go out by [`BlockFile`] and [`BlockOutput`]; the files are the shell's. A [`Block`] holds places
//! of its index and reads all else by ranges. [`MergedSeries`] makes several blocks one, [`plan_compaction`] says
//! which, [`past_retention`], [`ended_before`] and [`past_size`] say which go.
mod castagnoli;
mod file;
mod index;
mod layout;
mod merge;
mod meta;
mod plan;
mod reader;
mod tombstones;
mod ulid;
mod window;
mod writer;

#[cfg(test)]
mod tests;

pub use file::{BlockError, BlockFault, BlockFile, FileFault, FileName};
pub use layout::{BlockChunk, Encoding};
pub use merge::{MergeError, MergedSeries};
pub use meta::{BlockMeta, BlockParent, BlockStats, MetaError};
pub use plan::{
    StoredBlock, block_ranges, ended_before, past_retention, past_size, plan_compaction,
};
pub use reader::{Block, BlockSeries, BlockWalk, SelectError, Selected, WalkedSeries};
pub use tombstones::empty_tombstones;
pub use ulid::Ulid;
pub use writer::{BlockOutput, BlockWriter, ChunkToWrite, WriteBlockError};
