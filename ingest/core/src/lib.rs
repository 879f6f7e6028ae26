//! What is decided about samples: decoding, limits, chunks, postings, the head, log records.
mod admission;
mod bits;
mod chunk;
mod decode;
mod exemplar_error;
mod exemplars;
mod head;
mod index;
mod label_bytes;
mod limits;
mod metadata;
mod metric_kind;
mod postings;
mod record;
mod series;
mod series_set;
mod stage;
mod table;

pub use admission::{Reason, Refused, Report, SampleError, WriteError};
pub use chunk::{Chunk, ChunkError, ChunkSamples, OpenChunk, SAMPLES_PER_CHUNK};
pub use decode::{
    DecodeBounds, DecodeError, Flaw, FlawKind, HistogramError, HistogramForm, Protocol,
    SentExemplar, SentHistogram, SentMetadata, SeriesSamples, SymbolError, WriteRequest, expand,
    expanded_len,
};
pub use exemplar_error::ExemplarError;
pub use exemplars::{Exemplar, ExemplarRing, SeriesExemplar, take_exemplars};
pub use head::{Head, HeadStats, SnapshotCursor, SnapshotPart};
pub use label_bytes::{LabelError, LabelHasher};
pub use limits::{Limits, SizeError};
pub use metadata::{Metadata, MetadataRefused, MetadataTable};
pub use metric_kind::MetricKind;
pub use model::protobuf::WireError;
pub use record::{RecordError, RecordKind, SeriesId};
pub use series::{BLOCK_RANGE, SeriesView};
pub use stage::{Records, Staged};
