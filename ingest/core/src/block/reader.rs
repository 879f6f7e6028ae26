//! A block that is read: what matches, and its samples.
use std::collections::BTreeMap;

use model::{Labels, Matcher, Timestamp};

use crate::block::file::{BlockError, BlockFault, BlockFile, FileName};
use crate::block::index::{BlockIndex, ChunkPlace, IndexReader, IndexedSeries};
use crate::block::layout::{
    BlockChunk, CHUNKS_HEADER_BYTES, CHUNKS_MAGIC, CHUNKS_VERSION, Encoding,
};
use crate::block::tombstones::{Interval, Tombstones, is_deleted};
use crate::block::window::Window;
use crate::points::{PointWindow, Points, TooManyPoints};
use crate::record::SeriesId;

/// An opened block: places of its index are held, all else is read when it is wanted.
pub struct Block {
    index_file: Box<dyn BlockFile>,
    segments: Vec<Box<dyn BlockFile>>,
    index: BlockIndex,
    tombstones: Tombstones,
}

/// What a selection found of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSeries {
    pub labels: Labels,
    pub points: Points,
}

/// What a selection found.
#[derive(Debug, Default, PartialEq)]
pub struct Selected {
    /// In the order of labels.
    pub series: Vec<BlockSeries>,
    /// Chunks whose encoding cannot be read, by encoding. They were passed over.
    pub unknown_chunks: BTreeMap<Encoding, u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("too many samples")]
    TooManySamples,
}

impl From<TooManyPoints> for SelectError {
    fn from(_: TooManyPoints) -> Self {
        Self::TooManySamples
    }
}

impl Block {
    /// Checks what is held of it: the ends of the files, the tables of the index, the deletions. `tombstones` are the
    /// bytes of that file, where there is one.
    pub fn open(
        index_file: Box<dyn BlockFile>,
        segments: Vec<Box<dyn BlockFile>>,
        tombstones: Option<&[u8]>,
    ) -> Result<Self, BlockError> {
        let index = BlockIndex::open(index_file.as_ref())?;
        for (number, segment) in segments.iter().enumerate() {
            let mut window = Window::new(segment_name(number), segment.as_ref());
            if window.u32(0)? != CHUNKS_MAGIC {
                return Err(window.error(0, BlockFault::Magic));
            }
            let version = window.bytes(4, 1)?[0];
            if version != CHUNKS_VERSION {
                return Err(window.error(4, BlockFault::Version(version)));
            }
        }
        let tombstones = tombstones.map(Tombstones::read).transpose()?;
        Ok(Self {
            index_file,
            segments,
            index,
            tombstones: tombstones.unwrap_or_default(),
        })
    }

    /// The series that match and their samples in the window `(after, until]`. `samples_max` bounds all of them
    /// together.
    pub fn select(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
        samples_max: usize,
    ) -> Result<Selected, SelectError> {
        let mut selected = Selected::default();
        let mut left = samples_max;
        let window = PointWindow { after, until };
        let mut index = self.index_reader();
        let mut chunks = ChunkReader::new(&self.segments);
        for id in index.select(matchers)? {
            let series = index.series(id)?;
            let deleted = self.tombstones.of(series.number);
            let mut points = Points::default();
            for place in series.chunks {
                if place.max_time <= after || place.min_time > until {
                    continue;
                }
                let (encoding, bytes) = chunks.read(&place)?;
                if !encoding.is_known() {
                    *selected.unknown_chunks.entry(encoding).or_default() += 1;
                    continue;
                }
                let is_wanted = |at: Timestamp| !is_deleted(deleted, at);
                points.add_chunk((encoding, bytes), window, is_wanted, &mut left)?;
            }
            if !points.is_empty() {
                selected.series.push(BlockSeries {
                    labels: series.labels,
                    points,
                });
            }
        }
        Ok(selected)
    }

    /// The label sets that match and have chunks in the window.
    pub fn label_sets(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Result<impl Iterator<Item = Result<Labels, BlockError>>, BlockError> {
        let mut index = self.index_reader();
        let selected = index.select(matchers)?;
        Ok(selected.into_iter().filter_map(move |id| {
            let series = match index.series(id) {
                Ok(series) => series,
                Err(error) => return Some(Err(error)),
            };
            let deleted = self.tombstones.of(series.number);
            let is_there = |chunk: &ChunkPlace| {
                let whole =
                    |(first, last): &Interval| *first <= chunk.min_time && *last >= chunk.max_time;
                chunk.max_time > after && chunk.min_time <= until && !deleted.iter().any(whole)
            };
            let is_found = series.chunks.iter().any(is_there);
            is_found.then_some(Ok(series.labels))
        }))
    }

    /// Sorted.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        self.index.names().map(str::to_owned).collect()
    }

    /// Sorted.
    pub fn label_values(&self, name: &str) -> Result<Vec<String>, BlockError> {
        if name.is_empty() {
            return Ok(Vec::new());
        }
        self.index_reader().values(name)
    }

    /// Every name and value, sorted.
    pub fn symbols(&self) -> Result<Vec<Box<str>>, BlockError> {
        self.index_reader().all_symbols()
    }

    /// All series in the order of labels, without what is deleted.
    pub fn walk(&self) -> Result<BlockWalk<'_>, BlockError> {
        let mut index = self.index_reader();
        let ids = index.all()?.into_iter();
        Ok(BlockWalk {
            block: self,
            ids,
            index,
            chunks: ChunkReader::new(&self.segments),
            last: None,
        })
    }

    fn index_reader(&self) -> IndexReader<'_> {
        IndexReader::new(&self.index, self.index_file.as_ref())
    }
}

/// See [`Block::walk`].
pub struct BlockWalk<'b> {
    block: &'b Block,
    ids: std::vec::IntoIter<SeriesId>,
    index: IndexReader<'b>,
    chunks: ChunkReader<'b>,
    last: Option<Labels>,
}

impl BlockWalk<'_> {
    fn read(&mut self, id: SeriesId) -> Result<WalkedSeries, BlockError> {
        let IndexedSeries {
            number,
            labels,
            chunks,
        } = self.index.series(id)?;
        if self.last.as_ref().is_some_and(|last| *last >= labels) {
            return Err(BlockError {
                file: FileName::Index,
                at: u64::from(number) * 16,
                fault: BlockFault::Malformed("series are not in order"),
            });
        }
        self.last = Some(labels.clone());
        let mut read = Vec::with_capacity(chunks.len().min(1024));
        for place in chunks {
            let (encoding, bytes) = self.chunks.read(&place)?;
            read.push(BlockChunk {
                min_time: place.min_time,
                max_time: place.max_time,
                encoding,
                bytes: bytes.into(),
            });
        }
        Ok(WalkedSeries {
            labels,
            chunks: read,
            deleted: self.block.tombstones.of(number).to_vec(),
        })
    }
}

/// A series with all its chunks, and the times at which it is deleted.
#[derive(Clone, Debug)]
pub struct WalkedSeries {
    pub labels: Labels,
    pub(crate) chunks: Vec<BlockChunk>,
    pub(crate) deleted: Vec<Interval>,
}

impl Iterator for BlockWalk<'_> {
    type Item = Result<WalkedSeries, BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.ids.next()?;
        Some(self.read(id))
    }
}

/// Chunks lie in the order of their series, so that what is read forwards is read once.
struct ChunkReader<'b> {
    segments: Vec<Window<'b>>,
}

impl<'b> ChunkReader<'b> {
    fn new(segments: &'b [Box<dyn BlockFile>]) -> Self {
        let windows = segments
            .iter()
            .enumerate()
            .map(|(number, segment)| Window::new(segment_name(number), segment.as_ref()));
        Self {
            segments: windows.collect(),
        }
    }

    fn read(&mut self, place: &ChunkPlace) -> Result<(Encoding, &[u8]), BlockError> {
        let at = u64::from(place.at);
        let Some(window) = self.segments.get_mut(place.segment as usize) else {
            return Err(BlockError {
                file: segment_name(place.segment as usize),
                at,
                fault: BlockFault::Malformed("segment is missing"),
            });
        };
        if at < CHUNKS_HEADER_BYTES {
            return Err(window.malformed(at, "no chunk stands here"));
        }
        let (length, start) = window.varint(at)?;
        let content = window.checked(start, length.saturating_add(1))?;
        Ok((Encoding(content[0]), &content[1..]))
    }
}

fn segment_name(number: usize) -> FileName {
    FileName::Chunks(u32::try_from(number).map_or(u32::MAX, |number| number.saturating_add(1)))
}
