//! What is decided about samples: decoding, limits, chunks, postings, the head, log records, blocks.
mod admission;
mod bits;
mod block;
mod chunk;
mod chunk_merge;
mod decode;
mod encoding;
mod exemplar_error;
mod exemplars;
mod head;
mod histogram_chunk;
mod histogram_record;
mod index;
mod label_bytes;
mod limits;
mod memory;
mod metadata;
mod metadata_refused;
mod metric_kind;
mod newest;
mod open_chunk;
mod out_of_order;
mod points;
mod postings;
mod rate;
mod record;
mod said_record;
mod series;
mod series_set;
mod stage;
mod start_times;
mod table;
mod varbit;
mod xor;

pub use admission::{Reason, Refused, Report, SampleError, WriteError};
pub use block::{
    Block, BlockChunk, BlockError, BlockFault, BlockFile, BlockMeta, BlockOutput, BlockParent,
    BlockSeries, BlockStats, BlockWalk, BlockWriter, ChunkToWrite, Encoding, FileFault, FileName,
    MergeError, MergedSeries, MetaError, SelectError, Selected, StoredBlock, Ulid, WalkedSeries,
    WriteBlockError, block_ranges, empty_tombstones, ended_before, past_retention, past_size,
    plan_compaction,
};
pub use chunk::{Chunk, ChunkError, ChunkSamples, OpenChunk, SAMPLES_PER_CHUNK};
pub use decode::{
    DecodeBounds, DecodeError, Flaw, FlawKind, HistogramError, HistogramForm, Protocol,
    SentExemplar, SentHistogram, SentMetadata, SeriesSamples, SymbolError, WriteRequest, expand,
    expanded_len,
};
pub use exemplar_error::ExemplarError;
pub use exemplars::{Exemplar, ExemplarRing, SeriesExemplar};
pub use head::snapshot::{SnapshotCursor, SnapshotPart};
pub use head::{Head, HeadStats};
pub use histogram_chunk::numbers::HistogramEncoding;
pub use histogram_chunk::samples::HistogramSamples;
pub use histogram_chunk::{HISTOGRAMS_PER_CHUNK, NotAppendable, OpenHistogramChunk};
pub use label_bytes::{LabelError, LabelHasher};
pub use limits::{Limits, SizeError};
pub use memory::{Memory, MemoryPart, StagedWrite};
pub use metadata::{Metadata, MetadataTable, SaidMetadata, StagedMetadata};
pub use metadata_refused::MetadataRefused;
pub use metric_kind::MetricKind;
pub use model::protobuf::WireError;
pub use out_of_order::settle_late;
pub use points::{Points, TooManyPoints};
pub use rate::{RateExceeded, SampleRate};
pub use record::{Cut, RecordError, RecordKind, SeriesId};
pub use series::{BLOCK_RANGE, SeriesView};
pub use stage::{Records, Staged};
