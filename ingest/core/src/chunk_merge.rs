//! Chunks over one another made into chunks side by side: each time once.
use model::histogram::ResetHint;
use model::{HistogramSample, Sample, Timestamp};
use std::sync::Arc;

use crate::block::BlockChunk;
use crate::chunk::SAMPLES_PER_CHUNK;
use crate::encoding::{Encoding, floats, histograms};
use crate::open_chunk::Open;

/// A float or a histogram at its time.
#[derive(Clone, Debug)]
pub(crate) enum Point {
    Float(Sample),
    Histogram(HistogramSample),
}

impl Point {
    pub(crate) fn timestamp(&self) -> Timestamp {
        match self {
            Self::Float(sample) => sample.timestamp,
            Self::Histogram(sample) => sample.timestamp,
        }
    }
}

pub(crate) fn points(encoding: Encoding, bytes: &[u8]) -> impl Iterator<Item = Point> {
    let samples = floats(encoding, bytes).map(Point::Float);
    samples.chain(histograms(encoding, bytes).map(Point::Histogram))
}

/// In the order of time, none over another. Chunks that stand alone stay as they are; of equal times the sample that
/// came first stays. `None` where chunks that lie over one another cannot be read.
pub(crate) fn merge_chunks(chunks: Vec<BlockChunk>) -> Option<Vec<BlockChunk>> {
    let mut chunks: Vec<(usize, BlockChunk)> = chunks.into_iter().enumerate().collect();
    chunks.sort_by_key(|(_, chunk)| chunk.min_time);
    let mut merged = Vec::with_capacity(chunks.len());
    // The place of the chunk in front, where it stands alone.
    let mut before = None;
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
        if over_one_another.len() == 1 {
            for (place, mut chunk) in over_one_another {
                let follows = place.checked_sub(1);
                if !merged.is_empty() && (follows.is_none() || follows != before) {
                    forget_hint(&mut chunk);
                }
                before = Some(place);
                merged.push(chunk);
            }
            continue;
        }
        over_one_another.sort_by_key(|(place, _)| *place);
        let mut all = Vec::new();
        for (_, chunk) in &over_one_another {
            if !chunk.encoding.is_known() {
                return None;
            }
            all.extend(points(chunk.encoding, &chunk.bytes));
        }
        all.sort_by_key(Point::timestamp);
        all.dedup_by_key(|point| point.timestamp());
        all.iter_mut().for_each(forget_reset);
        merged.extend(encode(all.into_iter()));
        before = None;
    }
    Some(merged)
}

/// What a histogram says of the one before is true only behind that one.
fn forget_reset(point: &mut Point) {
    if let Point::Histogram(sample) = point
        && matches!(
            sample.histogram.reset_hint,
            ResetHint::Reset | ResetHint::NotReset
        )
    {
        Arc::make_mut(&mut sample.histogram).reset_hint = ResetHint::Unknown;
    }
}

/// The same for a chunk's first one, which its third byte says.
fn forget_hint(chunk: &mut BlockChunk) {
    const HINT: u8 = 0b1100_0000;
    if chunk.encoding.of_histograms().is_some()
        && let Some(flags) = chunk.bytes.get_mut(2)
        && *flags & HINT != HINT
    {
        *flags &= !HINT;
    }
}

/// In the order of time.
pub(crate) fn encode(points: impl Iterator<Item = Point>) -> Vec<BlockChunk> {
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
