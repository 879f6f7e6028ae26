//! Several blocks into one: series by series, each sample once, without what is deleted.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::Labels;

use crate::block::file::BlockError;
use crate::block::layout::BlockChunk;
use crate::block::reader::{BlockWalk, WalkedSeries};
use crate::block::tombstones::{Interval, is_deleted};
use crate::chunk_merge::{encode, merge_chunks, points};

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
                points(chunk.encoding, &chunk.bytes)
                    .filter(|point| !is_deleted(&deleted, point.timestamp())),
            ));
        }
    }
    Ok(kept)
}
