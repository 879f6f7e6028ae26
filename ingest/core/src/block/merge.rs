//! Several blocks into one: series by series, each sample once, without what is deleted.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::{Labels, Sample, Timestamp};

use crate::block::file::BlockError;
use crate::block::layout::{BlockChunk, Encoding};
use crate::block::reader::{BlockWalk, WalkedSeries};
use crate::block::tombstones::{Interval, is_deleted};
use crate::chunk::{ChunkSamples, OpenChunk, SAMPLES_PER_CHUNK};

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
            if chunk.encoding != Encoding::XOR {
                return Err(labels);
            }
            let samples = ChunkSamples::new(&chunk.bytes);
            kept.extend(encode(
                samples.filter(|sample| !is_deleted(&deleted, sample.timestamp)),
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
            .any(|chunk| chunk.encoding != Encoding::XOR)
        {
            return None;
        }
        let mut samples: Vec<Sample> = over_one_another
            .iter()
            .flat_map(|chunk| ChunkSamples::new(&chunk.bytes))
            .collect();
        samples.sort_by_key(|sample| sample.timestamp);
        samples.dedup_by_key(|sample| sample.timestamp);
        merged.extend(encode(samples.into_iter()));
    }
    Some(merged)
}

fn encode(samples: impl Iterator<Item = Sample>) -> Vec<BlockChunk> {
    let mut chunks = Vec::new();
    let mut open: Option<OpenChunk> = None;
    for sample in samples {
        match &mut open {
            Some(chunk) if chunk.samples_len() < SAMPLES_PER_CHUNK => chunk.push(sample),
            _ => chunks.extend(open.replace(OpenChunk::new(sample)).map(seal)),
        }
    }
    chunks.extend(open.map(seal));
    chunks
}

fn seal(open: OpenChunk) -> BlockChunk {
    let (min_time, max_time): (Timestamp, Timestamp) = (open.min_time(), open.last().timestamp);
    BlockChunk {
        min_time,
        max_time,
        encoding: Encoding::XOR,
        bytes: open.bytes().into(),
    }
}
