//! What leaves a head: past the retention for good, before that for blocks, in order and late.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::block::Ulid;
use crate::chunk::Chunk;
use crate::head::Head;
use crate::record::SeriesId;
use crate::series::{BLOCK_RANGE, Series};

impl Head {
    /// Forgets samples past the retention, and series that have none left. Answers how many series went.
    pub fn collect_garbage(&mut self, now: Timestamp) -> usize {
        let horizon = now - self.limits.retention;
        self.late.drop_before(horizon);
        self.starts.drop_before(horizon);
        self.drop_before(horizon)
    }

    /// When the head spans one and a half ranges of blocks, the oldest range leaves it: answered is where that range
    /// ends. So what a block begins with comes at most half a range late.
    #[must_use]
    pub fn cut_due(&self) -> Option<Timestamp> {
        let series = || self.series.iter_from(SeriesId(0)).map(|(_, series)| series);
        let min = series().filter_map(Series::first_time).min()?;
        let max = series().filter_map(Series::last_time).max()?;
        let range = BLOCK_RANGE.as_millis() as i64;
        let span = max.as_millis().saturating_sub(min.as_millis());
        (span > range / 2 * 3).then(|| range_end(min))
    }

    /// Where the range of the oldest sample ends.
    #[must_use]
    pub fn oldest_range_end(&self) -> Option<Timestamp> {
        let series = self.series.iter_from(SeriesId(0)).map(|(_, series)| series);
        series.filter_map(Series::first_time).min().map(range_end)
    }

    /// From now on no sample before `horizon` is admitted in order, as long as it is not older than one before.
    pub fn refuse_before(&mut self, horizon: Timestamp) {
        self.horizon = self.horizon.max(horizon);
    }

    /// The series that have chunks before `end`, in no order that means anything.
    #[must_use]
    pub fn series_before(&self, end: Timestamp) -> Vec<(Labels, SeriesId)> {
        self.series
            .iter_from(SeriesId(0))
            .filter(|(_, series)| series.first_time().is_some_and(|first| first < end))
            .map(|(id, series)| (series.labels.clone(), id))
            .collect()
    }

    /// A series' chunks that end before `end`. No chunk reaches over the end of a range.
    #[must_use]
    pub fn chunks_before(&self, id: SeriesId, end: Timestamp) -> Vec<Arc<Chunk>> {
        let series = self.series.get(id);
        series.map_or_else(Vec::new, |series| series.chunks_before(end))
    }

    /// Forgets what a cut took into a block, as [`Self::drop_before`] does.
    pub fn end_cut(&mut self, end: Timestamp, block: Ulid) -> usize {
        self.cuts = vec![(end, block)];
        // What is left of before it came late and leaves next.
        self.starts
            .drop_before(end - self.limits.out_of_order_window);
        self.drop_before(end)
    }

    /// Begins to cut what came out of order and is staged already: answered is the cut's number, and what the log must
    /// have before anything that is staged later. When all that was staged before is committed,
    /// [`Head::late_series`] names it.
    pub fn begin_late_cut(&mut self) -> Option<u32> {
        self.late.begin_cut()
    }

    /// The series that leave with a cut of what came out of order, in no order that means anything.
    pub fn late_series(&mut self, cut: u32) -> Vec<(Labels, SeriesId)> {
        let ids = self.late.leaving(cut).into_iter();
        ids.filter_map(|id| Some((self.series.get(id)?.labels.clone(), id)))
            .collect()
    }

    /// Of one of them what leaves, in the order in which it came. No chunk reaches over the end of a range, and chunks may
    /// lie over one another.
    #[must_use]
    pub fn late_chunks(&self, id: SeriesId, cut: u32) -> Vec<Arc<Chunk>> {
        self.late.chunks_leaving(id, cut)
    }

    /// Forgets what left with a cut.
    pub fn end_late_cut(&mut self, cut: u32) {
        self.late.drop_cut(cut);
    }

    #[must_use]
    pub fn late_samples(&self) -> usize {
        self.late.samples_len()
    }

    /// Forgets samples in order before `horizon`, and series that have none left: their labels and postings with them. Answers
    /// how many series went.
    pub fn drop_before(&mut self, horizon: Timestamp) -> usize {
        let mut gone = BTreeMap::new();
        for (id, series) in self.series.iter_mut() {
            self.chunks -= series.drop_before(horizon);
            if !series.has_samples() && series.pending == 0 && !self.late.has(id) {
                gone.insert(id, series.labels.clone());
            }
        }
        self.series.remove(&gone);
        if !self.starts.is_empty() {
            for id in gone.keys() {
                self.starts.remove(*id);
            }
        }
        gone.len()
    }
}

fn range_end(at: Timestamp) -> Timestamp {
    let range = BLOCK_RANGE.as_millis() as i64;
    let begin = at.as_millis().div_euclid(range).saturating_mul(range);
    Timestamp::from_millis(begin.saturating_add(range))
}
