//! A head that comes back from records of the log and of snapshots.
use std::collections::HashMap;
use std::sync::Arc;

use crate::block::Ulid;
use crate::chunk::Chunk;
use crate::chunk_merge::Point;
use crate::head::Head;
use crate::histogram_record::read_histograms;
use crate::label_bytes::read_labels;
use crate::record::{
    Cut, RecordError, RecordKind, SeriesId, read_chunks, read_cuts, read_definitions,
    read_late_chunks, read_samples, read_starts,
};
use crate::series::Series;

impl Head {
    /// Takes a record of the log or of a snapshot back. Samples that are there already are passed over, so that it
    /// does no harm to replay what a snapshot covers in part. Answers how many samples were for series that
    /// nothing defines; that happens only where the log was damaged.
    pub fn replay(&mut self, kind: RecordKind, payload: &[u8]) -> Result<usize, RecordError> {
        let mut undefined = 0;
        match kind {
            RecordKind::Definitions => {
                read_definitions(payload, |id, bytes| self.restore(id, bytes, Vec::new()))?;
            }
            RecordKind::Samples => read_samples(payload, |id, sample| {
                let id = self.renumbered.get(&id).copied().unwrap_or(id);
                match self.series.get_mut(id) {
                    Some(series) => {
                        self.chunks += usize::from(series.replay(sample));
                        self.max_time = self.max_time.max(sample.timestamp);
                    }
                    None => undefined += 1,
                }
            })?,
            RecordKind::Histograms => read_histograms(payload, |id, sample| {
                let id = self.renumbered.get(&id).copied().unwrap_or(id);
                match self.series.get_mut(id) {
                    Some(series) => {
                        self.chunks += usize::from(series.replay_histogram(&sample));
                        self.max_time = self.max_time.max(sample.timestamp);
                    }
                    None => undefined += 1,
                }
            })?,
            RecordKind::LateSamples => read_samples(payload, |id, sample| {
                undefined += usize::from(!self.replay_late(id, Point::Float(sample)));
            })?,
            RecordKind::LateHistograms => read_histograms(payload, |id, sample| {
                undefined += usize::from(!self.replay_late(id, Point::Histogram(sample)));
            })?,
            RecordKind::LateChunks => read_late_chunks(payload, |id, bytes, chunks| {
                self.restore(id, bytes, Vec::new());
                let id = self.renumbered.get(&id).copied().unwrap_or(id);
                if self.series.get(id).is_some() {
                    self.late.restore(id, chunks);
                }
            })?,
            RecordKind::StartTimes => read_starts(payload, |id, said| {
                let id = self.renumbered.get(&id).copied().unwrap_or(id);
                // Of a series that a snapshot was too early for the log tells again.
                if self.series.get(id).is_some() {
                    self.starts.say(id, said);
                }
            })?,
            RecordKind::Cuts => read_cuts(payload, |cut| match cut {
                Cut::InOrder { end, block } => self.cuts.push((end, block)),
                Cut::LateBegun(cut) => self.late.resume(cut),
                Cut::LateDone(cut) => self.late.drop_cut(cut),
            })?,
            RecordKind::AnyChunks | RecordKind::Chunks => {
                read_chunks(kind, payload, |id, bytes, chunks| {
                    self.restore(id, bytes, chunks);
                })?;
            }
            // Kept beside the head.
            RecordKind::Exemplars | RecordKind::Metadata => {}
        }
        Ok(undefined)
    }

    /// Answers whether there is such a series.
    fn replay_late(&mut self, id: SeriesId, late: Point) -> bool {
        let id = self.renumbered.get(&id).copied().unwrap_or(id);
        let Some(series) = self.series.get(id) else {
            return false;
        };
        if series.find(late.timestamp()).is_none() {
            self.late.insert(id, late, self.late.cut());
        }
        true
    }

    /// All of the log was replayed. What it holds still and `is_there` knows the block of is forgotten.
    pub fn end_replay(&mut self, is_there: impl Fn(Ulid) -> bool) {
        self.renumbered = HashMap::new();
        self.cuts.retain(|(_, block)| is_there(*block));
        let newest = self.cuts.iter().max().copied();
        self.cuts = Vec::new();
        if let Some((end, block)) = newest {
            self.refuse_before(end);
            self.end_cut(end, block);
        }
    }

    fn restore(&mut self, id: SeriesId, label_bytes: &[u8], chunks: Vec<Arc<Chunk>>) {
        // Only what was admitted is ever written, so that the labels are sound where the checksum was.
        let Ok(labels) = read_labels(label_bytes) else {
            return;
        };
        self.next_id = self.next_id.max(id.0.saturating_add(1));
        if let Some(last) = chunks.last() {
            self.max_time = self.max_time.max(last.max_time);
        }
        let hash = self.series.hash(label_bytes);
        match self.series.find_labels(hash, &labels) {
            Some(known) if known == id => {
                self.renumbered.remove(&id);
                if let Some(series) = self.series.get_mut(id).filter(|_| !chunks.is_empty()) {
                    self.chunks += chunks.len();
                    series.restore_more(chunks);
                }
            }
            Some(known) => {
                self.renumbered.insert(id, known);
            }
            None => {
                let mut own = id;
                // A number that another series had before, when numbers began anew.
                if self.series.get(id).is_some() {
                    let Some(free) = self.free_id() else {
                        return;
                    };
                    own = free;
                    self.renumbered.insert(id, own);
                } else {
                    self.renumbered.remove(&id);
                }
                self.chunks += chunks.len();
                self.series
                    .insert(own, Series::restored(labels, hash, chunks));
            }
        }
    }
}
