//! What is decided about samples: decoding, limits, chunks, postings, the head, log records.
mod admission;
mod bits;
mod chunk;
mod decode;
mod head;
mod histogram_chunk;
mod index;
mod label_bytes;
mod limits;
mod postings;
mod record;
mod series;
mod series_set;
mod stage;
mod table;
mod varbit;
mod xor;

pub use admission::{Reason, Refused, Report, SampleError, WriteError};
pub use chunk::{Chunk, ChunkError, ChunkSamples, OpenChunk, SAMPLES_PER_CHUNK};
pub use decode::{DecodeError, Ignored, SeriesSamples, WriteRequest, expand, expanded_len};
pub use head::{Head, HeadStats, SnapshotCursor, SnapshotPart};
pub use histogram_chunk::{
    HISTOGRAMS_PER_CHUNK, HistogramEncoding, HistogramSamples, NotAppendable, OpenHistogramChunk,
};
pub use label_bytes::{LabelError, LabelHasher};
pub use limits::{Limits, SizeError};
pub use model::protobuf::WireError;
pub use record::{RecordError, RecordKind, SeriesId};
pub use series::{BLOCK_RANGE, SeriesView};
pub use stage::{Records, Staged};
