//! Samples that came after newer ones of their series: Prometheus' out-of-order window.
//!
//! They stand beside the series, so that one to which nothing comes late takes no room for it. Of each series the newest
//! 32 that came are held sorted; when there are more they become chunks, which may lie over one another and over those
//! of the series. Whoever reads merges them. Where a time is there twice, the sample that came first stays: the one in
//! order before the late one, and of late ones the earlier.
//!
//! Late samples leave for blocks all together. A cut has a number, and so has what came before it begins: what comes
//! while the block is written has the next number and stays.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

use crate::block::BlockChunk;
use crate::chunk::Chunk;
use crate::chunk_merge::{Point, encode, merge_chunks, points};
use crate::newest::Newest;
use crate::record::SeriesId;
use crate::series::block_of;

/// Prometheus' `out_of_order_cap_max`.
const POINTS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct OutOfOrder {
    /// Of series that have any.
    series: BTreeMap<SeriesId, Late>,
    /// Of the cut that what comes now leaves with.
    cut: u32,
}

#[derive(Debug, Default)]
struct Late {
    /// By time, each time once.
    open: Vec<Point>,
    open_cut: u32,
    /// In the order in which they were closed, none over the end of a block's range.
    sealed: Vec<LateChunk>,
}

/// A chunk with the number of the cut that it leaves with.
#[derive(Clone, Debug)]
pub(crate) struct LateChunk {
    pub(crate) cut: u32,
    pub(crate) chunk: Arc<Chunk>,
}

impl OutOfOrder {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn cut(&self) -> u32 {
        self.cut
    }

    pub(crate) fn has(&self, id: SeriesId) -> bool {
        self.series.contains_key(&id)
    }

    /// The late sample of a time, as far as the sorted ones say.
    pub(crate) fn find(&self, id: SeriesId, at: Timestamp) -> Option<Newest> {
        let late = self.series.get(&id)?;
        let place = late.place(at).ok()?;
        late.open.get(place).map(Newest::from)
    }

    /// `cut` is the one that was next when the sample was admitted. Where its time is there already, nothing changes.
    pub(crate) fn insert(&mut self, id: SeriesId, point: Point, cut: u32) {
        let late = self.series.entry(id).or_default();
        if late.open_cut != cut {
            late.seal();
            late.open_cut = cut;
        }
        if late.place(point.timestamp()).is_ok() {
            return;
        }
        if late.open.len() >= POINTS_MAX {
            late.seal();
        }
        if let Err(place) = late.place(point.timestamp()) {
            late.open.insert(place, point);
        }
    }

    /// A series' chunks in the window `(after, until]`, in the order in which their samples came.
    pub(crate) fn chunks(
        &self,
        id: SeriesId,
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<Arc<Chunk>> {
        let Some(late) = self.series.get(&id) else {
            return Vec::new();
        };
        let mut chunks = late.all();
        chunks.retain(|late| late.chunk.min_time <= until && late.chunk.max_time > after);
        chunks.into_iter().map(|late| late.chunk).collect()
    }

    pub(crate) fn overlaps(&self, id: SeriesId, after: Timestamp, until: Timestamp) -> bool {
        self.series.get(&id).is_some_and(|late| {
            let is_in = |min, max| min <= until && max > after;
            let open = late.open.first().zip(late.open.last());
            open.is_some_and(|(first, last)| is_in(first.timestamp(), last.timestamp()))
                || late
                    .sealed
                    .iter()
                    .any(|late| is_in(late.chunk.min_time, late.chunk.max_time))
        })
    }

    pub(crate) fn overlaps_any(&self, after: Timestamp, until: Timestamp) -> bool {
        let mut ids = self.series.keys();
        ids.any(|id| self.overlaps(*id, after, until))
    }

    pub(crate) fn chunks_len(&self) -> usize {
        let of_one = |late: &Late| late.sealed.len() + usize::from(!late.open.is_empty());
        self.series.values().map(of_one).sum()
    }

    pub(crate) fn samples_len(&self) -> usize {
        let sealed = |late: &Late| -> usize {
            let lengths = late.sealed.iter().map(|late| late.chunk.samples_len());
            lengths.map(usize::from).sum()
        };
        let of_one = |late: &Late| late.open.len() + sealed(late);
        self.series.values().map(of_one).sum()
    }

    /// What is there leaves with the cut whose number is answered, and what comes from now on does not.
    pub(crate) fn begin_cut(&mut self) -> Option<u32> {
        if self.series.is_empty() {
            return None;
        }
        let cut = self.cut;
        self.resume(cut);
        Some(cut)
    }

    /// As it was said to the log.
    pub(crate) fn resume(&mut self, begun: u32) {
        self.cut = self.cut.max(begun.saturating_add(1));
    }

    /// The series that have something to leave with a cut, or with one before.
    pub(crate) fn leaving(&mut self, cut: u32) -> Vec<SeriesId> {
        for late in self.series.values_mut() {
            if late.open_cut <= cut {
                late.seal();
            }
        }
        let leaves = |late: &Late| late.sealed.iter().any(|late| late.cut <= cut);
        let ids = self.series.iter().filter(|(_, late)| leaves(late));
        ids.map(|(id, _)| *id).collect()
    }

    /// Of one of them.
    pub(crate) fn chunks_leaving(&self, id: SeriesId, cut: u32) -> Vec<Arc<Chunk>> {
        let sealed = self.series.get(&id).map_or(&[][..], |late| &late.sealed);
        let leaving = sealed.iter().filter(|late| late.cut <= cut);
        leaving.map(|late| Arc::clone(&late.chunk)).collect()
    }

    /// They are in blocks.
    pub(crate) fn drop_cut(&mut self, cut: u32) {
        self.series.retain(|_, late| {
            late.sealed.retain(|late| late.cut > cut);
            if late.open_cut <= cut {
                late.open.clear();
            }
            !late.is_empty()
        });
    }

    pub(crate) fn drop_before(&mut self, horizon: Timestamp) {
        self.series.retain(|_, late| {
            late.sealed.retain(|late| late.chunk.max_time >= horizon);
            late.open.retain(|point| point.timestamp() >= horizon);
            !late.is_empty()
        });
    }

    /// From a series on, with all chunks.
    pub(crate) fn iter_from(
        &self,
        from: SeriesId,
    ) -> impl Iterator<Item = (SeriesId, Vec<LateChunk>)> {
        self.series
            .range(from..)
            .map(|(id, late)| (*id, late.all()))
    }

    /// As a snapshot holds them: the last of them goes on, so that a repetition of its samples is noticed.
    pub(crate) fn restore(&mut self, id: SeriesId, chunks: Vec<LateChunk>) {
        let late = self.series.entry(id).or_default();
        late.seal();
        late.sealed.extend(chunks);
        let last = late
            .sealed
            .pop_if(|late| usize::from(late.chunk.samples_len()) < POINTS_MAX);
        if let Some(LateChunk { cut, chunk }) = last {
            late.open_cut = cut;
            late.open = points(chunk.encoding, chunk.bytes()).collect();
            // As it is, but for bytes that were never written.
            late.open.sort_by_key(Point::timestamp);
            late.open.dedup_by_key(|point| point.timestamp());
        }
        if late.is_empty() {
            self.series.remove(&id);
        }
    }
}

impl Late {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }

    fn place(&self, at: Timestamp) -> Result<usize, usize> {
        self.open.binary_search_by_key(&at, Point::timestamp)
    }

    fn seal(&mut self) {
        let open = std::mem::take(&mut self.open);
        let cut = self.open_cut;
        self.sealed
            .extend(close(&open).map(|chunk| LateChunk { cut, chunk }));
    }

    fn all(&self) -> Vec<LateChunk> {
        let mut all = self.sealed.clone();
        let cut = self.open_cut;
        all.extend(close(&self.open).map(|chunk| LateChunk { cut, chunk }));
        all
    }
}

fn close(points: &[Point]) -> impl Iterator<Item = Arc<Chunk>> {
    points
        .chunk_by(|left, right| block_of(left.timestamp()) == block_of(right.timestamp()))
        .flat_map(|points| encode(points.iter().cloned()))
        .map(|chunk| Arc::new(chunk.into()))
}

/// Chunks in the order in which their samples came, as a block may have them: in the order of time, each time once.
#[must_use]
pub fn settle_late(chunks: &[Arc<Chunk>]) -> Vec<BlockChunk> {
    let chunks = chunks.iter().map(|chunk| BlockChunk::from(chunk.as_ref()));
    // Late chunks are of encodings that are known.
    merge_chunks(chunks.collect()).unwrap_or_default()
}

impl From<BlockChunk> for Chunk {
    fn from(chunk: BlockChunk) -> Self {
        Self::from_stored(chunk.min_time, chunk.max_time, chunk.encoding, chunk.bytes)
    }
}

impl From<&Chunk> for BlockChunk {
    fn from(chunk: &Chunk) -> Self {
        Self {
            min_time: chunk.min_time,
            max_time: chunk.max_time,
            encoding: chunk.encoding,
            bytes: chunk.bytes().into(),
        }
    }
}

impl From<&Point> for Newest {
    fn from(point: &Point) -> Self {
        match point {
            Point::Float(sample) => (*sample).into(),
            Point::Histogram(sample) => Self::histogram(sample.timestamp, &sample.histogram),
        }
    }
}
