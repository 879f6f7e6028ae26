//! A head for the log, in parts, so that what stood before it in the log can go.
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::chunk::Chunk;
use crate::encoding::Encoding;
use crate::head::Head;
use crate::label_bytes::push_labels;
use crate::out_of_order::LateChunk;
use crate::record::{Cut, RecordKind, SeriesId, push_chunks, push_late_chunks, push_start};
use crate::start_times::{Run, SaidStart};

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotCursor(Next);

/// What comes next: first what is in blocks, so that what the log says of that later is compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Cuts,
    /// Chunks of that series that end later are still to come.
    Series(SeriesId, Timestamp),
    Late(SeriesId),
    Starts(SeriesId),
}

impl SnapshotCursor {
    pub const START: Self = Self(Next::Cuts);
}

/// A piece of the head for a snapshot.
#[derive(Debug)]
pub struct SnapshotPart(Part);

#[derive(Debug)]
enum Part {
    Cuts(Vec<Cut>),
    Series(Vec<(SeriesId, Labels, Vec<Arc<Chunk>>)>),
    Late(Vec<(SeriesId, Labels, Vec<LateChunk>)>),
    Starts(Vec<(SeriesId, Vec<Run>)>),
}

impl SnapshotPart {
    /// A record's kind and payload. Where all chunks are of floats it is one that was there before there were others.
    #[must_use]
    pub fn into_record(self) -> (RecordKind, Vec<u8>) {
        let mut payload = Vec::new();
        let mut label_bytes = Vec::new();
        match self.0 {
            Part::Cuts(cuts) => Cut::to_record(&cuts),
            Part::Series(series) => {
                let mut chunks = series.iter().flat_map(|(.., chunks)| chunks);
                let kind = if chunks.all(|chunk| chunk.encoding == Encoding::XOR) {
                    RecordKind::Chunks
                } else {
                    RecordKind::AnyChunks
                };
                for (id, labels, chunks) in series {
                    label_bytes.clear();
                    push_labels(&mut label_bytes, &labels);
                    let chunks = chunks.iter().map(AsRef::as_ref);
                    push_chunks(&mut payload, kind, id, &label_bytes, chunks);
                }
                (kind, payload)
            }
            Part::Late(series) => {
                for (id, labels, chunks) in series {
                    label_bytes.clear();
                    push_labels(&mut label_bytes, &labels);
                    push_late_chunks(&mut payload, id, &label_bytes, &chunks);
                }
                (RecordKind::LateChunks, payload)
            }
            Part::Starts(series) => {
                for (id, runs) in series {
                    for Run { first: at, start } in runs {
                        let is_late = false;
                        push_start(&mut payload, id, SaidStart { at, start, is_late });
                    }
                }
                (RecordKind::StartTimes, payload)
            }
        }
    }
}

impl Head {
    /// The next part of a snapshot: chunks of about `bytes_max`, and where to go on. Between two parts the head may
    /// change: samples that come meanwhile are in the log behind the snapshot.
    #[must_use]
    pub fn snapshot(
        &self,
        from: SnapshotCursor,
        bytes_max: usize,
    ) -> (SnapshotPart, Option<SnapshotCursor>) {
        match from.0 {
            Next::Cuts => {
                let mut cuts = Vec::new();
                let in_order = self.cuts.last();
                cuts.extend(in_order.map(|(end, block)| Cut::InOrder {
                    end: *end,
                    block: *block,
                }));
                if let Some(begun) = self.late.cut().checked_sub(1) {
                    cuts.push(Cut::LateBegun(begun));
                }
                if cuts.is_empty() {
                    self.snapshot_series(SeriesId(0), Timestamp::MIN, bytes_max)
                } else {
                    let next = Next::Series(SeriesId(0), Timestamp::MIN);
                    (SnapshotPart(Part::Cuts(cuts)), Some(SnapshotCursor(next)))
                }
            }
            Next::Series(id, after) => self.snapshot_series(id, after, bytes_max),
            Next::Late(id) => self.snapshot_late(id, bytes_max),
            Next::Starts(id) => self.snapshot_starts(id, bytes_max),
        }
    }

    fn snapshot_series(
        &self,
        from: SeriesId,
        from_after: Timestamp,
        bytes_max: usize,
    ) -> (SnapshotPart, Option<SnapshotCursor>) {
        let mut part = Vec::new();
        let mut next = (!self.late.is_empty())
            .then_some(Next::Late(SeriesId(0)))
            .or_else(|| self.begin_starts());
        let mut left = bytes_max;
        for (id, series) in self.series.iter_from(from) {
            if left == 0 {
                next = Some(Next::Series(id, Timestamp::MIN));
                break;
            }
            let after = if id == from {
                from_after
            } else {
                Timestamp::MIN
            };
            let labels = series.labels.clone();
            let (chunks, rest) = series.view(after, Timestamp::MAX).take_chunks(left);
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes().len()).sum();
            left = left.saturating_sub(bytes + labels.size_bytes());
            part.push((id, labels, chunks));
            if let Some(after) = rest {
                next = Some(Next::Series(id, after));
                break;
            }
        }
        (SnapshotPart(Part::Series(part)), next.map(SnapshotCursor))
    }

    fn snapshot_late(
        &self,
        from: SeriesId,
        bytes_max: usize,
    ) -> (SnapshotPart, Option<SnapshotCursor>) {
        let mut part = Vec::new();
        let mut next = self.begin_starts();
        let mut left = bytes_max;
        for (id, chunks) in self.late.iter_from(from) {
            if left == 0 {
                next = Some(Next::Late(id));
                break;
            }
            let Some(series) = self.series.get(id) else {
                continue;
            };
            let bytes: usize = chunks.iter().map(|late| late.chunk.bytes().len()).sum();
            left = left.saturating_sub(bytes + series.labels.size_bytes());
            part.push((id, series.labels.clone(), chunks));
        }
        (SnapshotPart(Part::Late(part)), next.map(SnapshotCursor))
    }

    fn begin_starts(&self) -> Option<Next> {
        (!self.starts.is_empty()).then_some(Next::Starts(SeriesId(0)))
    }

    fn snapshot_starts(
        &self,
        from: SeriesId,
        bytes_max: usize,
    ) -> (SnapshotPart, Option<SnapshotCursor>) {
        let mut part = Vec::new();
        let mut next = None;
        let mut left = bytes_max;
        for (id, runs) in self.starts.iter_from(from) {
            if left == 0 {
                next = Some(SnapshotCursor(Next::Starts(id)));
                break;
            }
            left = left.saturating_sub(size_of_val(runs));
            part.push((id, runs.to_vec()));
        }
        (SnapshotPart(Part::Starts(part)), next)
    }
}
