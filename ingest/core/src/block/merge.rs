//! Several blocks into one: series by series, each sample once, without what is deleted.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::{HistogramSample, Labels, Sample, Timestamp};

use crate::block::file::BlockError;
use crate::block::layout::BlockChunk;
use crate::block::reader::{BlockWalk, WalkedSeries};
use crate::block::tombstones::{Interval, is_deleted};
use crate::chunk::SAMPLES_PER_CHUNK;
use crate::encoding::{floats, histograms};
use crate::open_chunk::Open;

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("series {0} has chunks over one another in an encoding that is not known")]
    UnknownEncoding(Labels),
}

/// All series of several walks, in the order of labels.
pub struct MergedSeries<'b> {
    walks: Vec<BlockWalk<'b>>,
    /// The next series of each walk.
    next: BinaryHeap<Reverse<(Labels, usize)>>,
    waiting: Vec<Option<WalkedSeries>>,
    failed: Option<BlockError>,
}

impl<'b> MergedSeries<'b> {
    /// Where two have a sample of one time, that of the earlier walk stays.
    #[must_use]
    pub fn new(walks: Vec<BlockWalk<'b>>) -> Self {
        let mut merged = Self {
            next: BinaryHeap::new(),
            waiting: walks.iter().map(|_| None).collect(),
            walks,
            failed: None,
        };
        for number in 0..merged.walks.len() {
            merged.advance(number);
        }
        merged
    }

    fn advance(&mut self, number: usize) {
        match self.walks[number].next() {
            Some(Ok(series)) => {
                self.next.push(Reverse((series.labels.clone(), number)));
                self.waiting[number] = Some(series);
            }
            Some(Err(error)) => self.failed = Some(error),
            None => {}
        }
    }
}

impl Iterator for MergedSeries<'_> {
    type Item = Result<(Labels, Vec<BlockChunk>), MergeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.next.clear();
            return Some(Err(error.into()));
        }
        let labels = self.next.peek()?.0.0.clone();
        let mut chunks = Vec::new();
        while let Some(Reverse((next, number))) = self.next.peek()
            && *next == labels
        {
            let number = *number;
            self.next.pop();
            if let Some(series) = self.waiting[number].take() {
                match without_deleted(series) {
                    Ok(kept) => chunks.extend(kept),
                    Err(labels) => return Some(Err(MergeError::UnknownEncoding(labels))),
                }
            }
            self.advance(number);
        }
        let merged = merge_chunks(chunks);
        Some(match merged {
            Some(chunks) => Ok((labels, chunks)),
            None => Err(MergeError::UnknownEncoding(labels)),
        })
    }
}

/// Chunks that nothing was deleted of stay as they are.
fn without_deleted(series: WalkedSeries) -> Result<Vec<BlockChunk>, Labels> {
    let WalkedSeries {
        labels,
        chunks,
        deleted,
    } = series;
    if deleted.is_empty() {
        return Ok(chunks);
    }
    let mut kept = Vec::new();
    for chunk in chunks {
        let touches =
            |(first, last): &Interval| *first <= chunk.max_time && *last >= chunk.min_time;
        let covers = |(first, last): &Interval| *first <= chunk.min_time && *last >= chunk.max_time;
        if !deleted.iter().any(touches) {
            kept.push(chunk);
        } else if !deleted.iter().any(covers) {
            if !chunk.encoding.is_known() {
                return Err(labels);
            }
            kept.extend(encode(
                points_of(&chunk).filter(|point| !is_deleted(&deleted, point.timestamp())),
            ));
        }
    }
    Ok(kept)
}

/// In the order of time, none over another. Chunks that stand alone stay as they are; of equal times the sample that
/// came first stays. `None` where chunks that lie over one another cannot be read.
fn merge_chunks(chunks: Vec<BlockChunk>) -> Option<Vec<BlockChunk>> {
    let mut chunks: Vec<(usize, BlockChunk)> = chunks.into_iter().enumerate().collect();
    chunks.sort_by_key(|(_, chunk)| chunk.min_time);
    let mut merged = Vec::with_capacity(chunks.len());
    let mut rest = chunks.into_iter().peekable();
    while let Some((place, first)) = rest.next() {
        let mut max_time = first.max_time;
        let mut over_one_another = vec![(place, first)];
        while let Some((place, next)) = rest.next_if(|(_, next)| next.min_time <= max_time) {
            max_time = max_time.max(next.max_time);
            // The same chunk in two blocks.
            if !over_one_another.iter().any(|(_, known)| *known == next) {
                over_one_another.push((place, next));
            }
        }
        over_one_another.sort_by_key(|(place, _)| *place);
        let mut over_one_another: Vec<BlockChunk> = over_one_another
            .into_iter()
            .map(|(_, chunk)| chunk)
            .collect();
        if over_one_another.len() == 1 {
            merged.append(&mut over_one_another);
            continue;
        }
        if over_one_another
            .iter()
            .any(|chunk| !chunk.encoding.is_known())
        {
            return None;
        }
        let mut points: Vec<Point> = over_one_another.iter().flat_map(points_of).collect();
        points.sort_by_key(Point::timestamp);
        points.dedup_by_key(|point| point.timestamp());
        merged.extend(encode(points.into_iter()));
    }
    Some(merged)
}

/// A float or a histogram.
enum Point {
    Float(Sample),
    Histogram(HistogramSample),
}

impl Point {
    fn timestamp(&self) -> Timestamp {
        match self {
            Self::Float(sample) => sample.timestamp,
            Self::Histogram(sample) => sample.timestamp,
        }
    }
}

fn points_of(chunk: &BlockChunk) -> impl Iterator<Item = Point> {
    let samples = floats(chunk.encoding, &chunk.bytes).map(Point::Float);
    samples.chain(histograms(chunk.encoding, &chunk.bytes).map(Point::Histogram))
}

fn encode(points: impl Iterator<Item = Point>) -> Vec<BlockChunk> {
    let mut chunks = Vec::new();
    let mut open: Option<Open> = None;
    for point in points {
        let next = match (point, &mut open) {
            (Point::Float(sample), Some(Open::Floats(chunk)))
                if chunk.samples_len() < SAMPLES_PER_CHUNK =>
            {
                chunk.push(sample);
                continue;
            }
            (Point::Float(sample), _) => Open::from(sample),
            (Point::Histogram(sample), Some(Open::Histograms(chunk)))
                if chunk.check(&sample.histogram).is_ok() =>
            {
                chunk.push(&sample);
                continue;
            }
            (Point::Histogram(sample), before) => Open::begin_histograms(before.as_ref(), &sample),
        };
        chunks.extend(open.replace(next).map(seal));
    }
    chunks.extend(open.map(seal));
    chunks
}

fn seal(open: Open) -> BlockChunk {
    BlockChunk {
        min_time: open.min_time(),
        max_time: open.max_time(),
        encoding: open.encoding(),
        bytes: open.bytes().into(),
    }
}
