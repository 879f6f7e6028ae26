//! The recent window of one tenant.
//!
//! A write goes in two steps, because nothing is seen before it is in the log. [`Head::stage`] admits a request's
//! samples or refuses them and answers with the records for the log; nothing of it can be queried. When the log has
//! them, [`Head::commit`] puts them into their series; when it has failed, [`Head::abort`] forgets them. Between the
//! two other requests may be staged: samples are judged against what was admitted, not against what is committed,
//! and commits come in the order of the log. So a replay of the log admits exactly what was admitted then.
//!
//! A request of which one sample is refused is refused whole, so one tenant's head is the smallest piece that can
//! be locked; it is not cut into shards.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{HistogramSample, Labels, Matcher, Sample, SampleValue, Timestamp};

use crate::admission::{Admission, LateAdmission, OnRefusal, Reason, WriteError};
use crate::block::Ulid;
use crate::chunk::Chunk;
use crate::chunk_merge::Point;
use crate::decode::{Protocol, SentHistogram, SeriesSamples, WriteRequest};
use crate::encoding::Encoding;
use crate::histogram_record::read_histograms;
use crate::label_bytes::{LabelError, push_labels, read_labels, shown};
use crate::limits::Limits;
use crate::newest::Newest;
use crate::out_of_order::{LateChunk, OutOfOrder};
use crate::record::{
    Cut, RecordError, RecordKind, SeriesId, push_chunks, push_late_chunks, push_start, read_chunks,
    read_cuts, read_definitions, read_late_chunks, read_samples, read_starts,
};
use crate::series::{BLOCK_RANGE, Series, SeriesView};
use crate::series_set::SeriesSet;
use crate::stage::{Records, Stage, Staged};
use crate::start_times::{Run, SaidStart, StartTimes};

#[derive(Debug)]
pub struct Head {
    limits: Limits,
    series: SeriesSet,
    /// Numbers begin anew when all were given out.
    next_id: u32,
    /// By the request that is being staged.
    created: Vec<SeriesId>,
    chunks: usize,
    /// Samples before this are in blocks, or come out of order, or never.
    horizon: Timestamp,
    /// The newest cut, and in a replay those before it too, with the blocks that they went into.
    cuts: Vec<(Timestamp, Ulid)>,
    /// The newest sample that ever came in order.
    max_time: Timestamp,
    late: OutOfOrder,
    starts: StartTimes,
    /// What was said of start times and waits for the log.
    starts_pending: usize,
    /// Numbers that the log gave to series which the head knows by another one. Only a replay needs them.
    renumbered: HashMap<SeriesId, SeriesId>,
}

/// How far behind the newest sample Prometheus takes one for out of order; beyond that for out of bounds.
const IN_BOUNDS: Duration = Duration::from_secs(BLOCK_RANGE.as_secs() / 2);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    pub series: usize,
    pub chunks: usize,
    pub label_pairs: usize,
    /// Of all samples; `None` where there are none.
    pub min_time: Option<Timestamp>,
    pub max_time: Option<Timestamp>,
}

impl Head {
    /// `seed` must be unknown to senders, since it keeps them from choosing labels whose hashes collide.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            series: SeriesSet::new(seed),
            next_id: 0,
            created: Vec::new(),
            chunks: 0,
            horizon: Timestamp::MIN,
            cuts: Vec::new(),
            max_time: Timestamp::MIN,
            late: OutOfOrder::default(),
            starts: StartTimes::default(),
            starts_pending: 0,
            renumbered: HashMap::new(),
        }
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is held already stays, even where it passes the new limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Admits a request, as Prometheus' receiver does. Of remote write 1.0 series with impossible labels are left out and
    /// counted, and the first sample that does not fit its series refuses the whole request; of 2.0 it is left out alone.
    pub fn stage(
        &mut self,
        request: &WriteRequest<'_>,
        now: Timestamp,
    ) -> Result<(Staged, Records), WriteError> {
        let samples = request.samples_len();
        if samples > self.limits.samples_per_request_max {
            return Err(WriteError::TooManySamples {
                samples,
                max: self.limits.samples_per_request_max,
            });
        }
        let first_new = self.begin_stage();
        let on_refusal = match request.protocol {
            Protocol::V1 => OnRefusal::Whole,
            Protocol::V2 => OnRefusal::Part,
        };
        let mut stage = Stage::new(samples, on_refusal, self.admission(on_refusal, now));
        for flaw in &request.flaws {
            let first = || flaw.first.clone();
            stage
                .report
                .refuse(Reason::Flaw(flaw.kind), flaw.series, first);
        }
        let asks_for_series = request.exemplars().len() > 0;
        let mut outcome = Ok(());
        for (place, series) in request.series().enumerate() {
            outcome = self.stage_series(&mut stage, &series).map(|is_known| {
                if asks_for_series && !is_known {
                    stage.report.unknown_series.push(place);
                }
            });
            if outcome.is_err() {
                break;
            }
        }
        self.end_stage(stage, outcome, first_new)
    }

    /// Admits single samples, each for itself: what does not fit its series is left out and counted.
    pub fn stage_samples<'s>(
        &mut self,
        samples: impl IntoIterator<Item = (&'s Labels, Sample)>,
        now: Timestamp,
    ) -> Result<(Staged, Records), WriteError> {
        let values = samples.into_iter().map(|(labels, sample)| {
            let value = SampleValue::Float(sample.value);
            (labels, sample.timestamp, value)
        });
        self.stage_values(values, now)
    }

    /// The same for floats and histograms.
    pub fn stage_values<'s>(
        &mut self,
        values: impl IntoIterator<Item = (&'s Labels, Timestamp, SampleValue)>,
        now: Timestamp,
    ) -> Result<(Staged, Records), WriteError> {
        let values = values.into_iter();
        let first_new = self.begin_stage();
        let at_least = values.size_hint().0;
        let admission = self.admission(OnRefusal::Sample, now);
        let mut stage = Stage::new(at_least, OnRefusal::Sample, admission);
        let mut label_bytes = Vec::new();
        let mut outcome = Ok(());
        for (place, (labels, timestamp, value)) in values.enumerate() {
            stage.place = place;
            label_bytes.clear();
            push_labels(&mut label_bytes, labels);
            outcome = match self.find_or_create(&label_bytes) {
                Ok(id) => match self.series.get_mut(id) {
                    Some(series) => stage.admit_value(id, series, &self.late, timestamp, &value),
                    None => Ok(()),
                },
                Err(reason) => {
                    stage.refuse_sample(reason, labels);
                    Ok(())
                }
            };
            if outcome.is_err() {
                break;
            }
        }
        self.end_stage(stage, outcome, first_new)
    }

    /// The log has the records.
    pub fn commit(&mut self, staged: Staged) {
        for id in staged.defined {
            if let Some(series) = self.series.get_mut(id) {
                series.is_defined = true;
            }
        }
        let mut histograms = staged.histograms.into_iter().peekable();
        for (place, (id, sample)) in staged.samples.into_iter().enumerate() {
            while let Some((_, id, sample)) = histograms.next_if(|(before, ..)| *before <= place) {
                self.commit_histogram(id, &sample);
            }
            if let Some(series) = self.series.get_mut(id) {
                series.pending -= 1;
                self.chunks += usize::from(series.push(sample));
                self.max_time = self.max_time.max(sample.timestamp);
            }
        }
        for (_, id, sample) in histograms {
            self.commit_histogram(id, &sample);
        }
        for (id, point) in staged.late {
            if let Some(series) = self.series.get_mut(id) {
                series.pending -= 1;
                // It may have been on its way in order when this was judged.
                if series.find(point.timestamp()).is_none() {
                    self.late.insert(id, point, staged.late_cut);
                }
            }
        }
        self.starts_pending -= staged.starts.len();
        for (id, said) in staged.starts {
            self.starts.say(id, said);
        }
    }

    fn commit_histogram(&mut self, id: SeriesId, sample: &HistogramSample) {
        if let Some(series) = self.series.get_mut(id) {
            series.pending -= 1;
            self.chunks += usize::from(series.push_histogram(sample));
            self.max_time = self.max_time.max(sample.timestamp);
        }
    }

    /// The log does not have the records, and never will. What was staged later may still wait for the log.
    pub fn abort(&mut self, staged: Staged) {
        self.starts_pending -= staged.starts.len();
        for id in staged.ids() {
            if let Some(series) = self.series.get_mut(id) {
                series.pending -= 1;
                if series.pending == 0 {
                    series.forget_pending();
                }
            }
        }
    }

    /// The log has refused the records of what was staged last. What was staged before it may still wait for the log,
    /// and is what the next request is measured by.
    pub fn take_back(&mut self, staged: Staged) {
        self.starts_pending -= staged.starts.len();
        self.unstage(staged.ids(), &staged.before);
    }

    fn unstage(
        &mut self,
        ids: impl Iterator<Item = SeriesId>,
        before: &[(SeriesId, Option<Newest>)],
    ) {
        for id in ids {
            if let Some(series) = self.series.get_mut(id) {
                series.pending -= 1;
            }
        }
        // Backwards, since one series may stand in a request twice.
        for (id, newest) in before.iter().rev() {
            if let Some(series) = self.series.get_mut(*id) {
                series.newest = *newest;
            }
        }
    }

    /// The series that match and have chunks in the window `(after, until]`, in no order that means anything.
    #[must_use]
    pub fn select(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<SeriesView> {
        self.views(matchers, after, until, Series::view)
    }

    /// The same, for those who want nothing but the newest sample of each series in the window.
    #[must_use]
    pub fn select_newest(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<SeriesView> {
        self.views(matchers, after, until, Series::newest_view)
    }

    /// Where samples came late the whole view is needed, whatever is enough in order.
    fn views(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
        in_order: impl Fn(&Series, Timestamp, Timestamp) -> SeriesView,
    ) -> Vec<SeriesView> {
        self.overlapping(matchers, after, until)
            .map(|(id, series)| {
                let late = if self.late.is_empty() {
                    Vec::new()
                } else {
                    self.late.chunks(id, after, until)
                };
                let mut view = if late.is_empty() {
                    in_order(series, after, until)
                } else {
                    series.view(after, until).with_late(late)
                };
                if !self.starts.is_empty() {
                    view = view.with_starts(self.starts.runs(id));
                }
                view
            })
            .collect()
    }

    fn overlapping(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = (SeriesId, &Series)> {
        self.series
            .matching(matchers)
            .into_iter()
            .filter_map(|id| Some((id, self.series.get(id)?)))
            .filter(move |(id, series)| self.overlaps(*id, series, after, until))
    }

    fn overlaps(&self, id: SeriesId, series: &Series, after: Timestamp, until: Timestamp) -> bool {
        series.overlaps(after, until)
            || !self.late.is_empty() && self.late.overlaps(id, after, until)
    }

    /// The label sets that match and have samples in the window.
    #[must_use]
    pub fn label_sets(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<Labels> {
        self.overlapping(matchers, after, until)
            .map(|(_, series)| series.labels.clone())
            .collect()
    }

    /// Whether any series has samples in the window.
    #[must_use]
    pub fn has_samples(&self, after: Timestamp, until: Timestamp) -> bool {
        let mut series = self.series.iter_from(SeriesId(0));
        series.any(|(_, series)| series.overlaps(after, until))
            || self.late.overlaps_any(after, until)
    }

    /// The names of all labels, sorted.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        self.series
            .index()
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// The values of a label that any series has, sorted.
    #[must_use]
    pub fn label_values(&self, name: &str) -> Vec<String> {
        let values = self.series.index().values(name).into_iter();
        values.map(|(value, _)| value.to_owned()).collect()
    }

    /// How many series each value of a label has, the most first, equal ones by value.
    #[must_use]
    pub fn series_by_value(&self, name: &str) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = self
            .series
            .index()
            .values(name)
            .into_iter()
            .map(|(value, list)| (value.to_owned(), list.len()))
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

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

    #[must_use]
    pub fn stats(&self) -> HeadStats {
        let series = || self.series.iter_from(SeriesId(0)).map(|(_, series)| series);
        HeadStats {
            series: self.series.len(),
            chunks: self.chunks + self.late.chunks_len(),
            label_pairs: self
                .series
                .index()
                .names()
                .into_iter()
                .map(|name| self.series.index().values(name).len())
                .sum(),
            min_time: series().filter_map(Series::first_time).min(),
            max_time: series().filter_map(Series::last_time).max(),
        }
    }

    #[must_use]
    pub fn series_len(&self) -> usize {
        self.series.len()
    }

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

    fn admission(&self, on_refusal: OnRefusal, now: Timestamp) -> Admission {
        let newest = self.max_time.max(self.horizon);
        let window = self.limits.out_of_order_window;
        Admission {
            oldest: now - self.limits.retention,
            newest: now + self.limits.ahead_max,
            in_order: self.horizon,
            late: match on_refusal {
                _ if window.is_zero() => LateAdmission::Never {
                    in_bounds: self.horizon.max(newest - IN_BOUNDS),
                },
                OnRefusal::Part | OnRefusal::Whole => LateAdmission::From(newest - window),
                // Rules, whose results Prometheus never takes out of order.
                OnRefusal::Sample => LateAdmission::Discarded(newest - window),
            },
        }
    }

    /// Answers whether there is such a series now.
    #[inline]
    fn stage_series(
        &mut self,
        stage: &mut Stage,
        series: &SeriesSamples<'_>,
    ) -> Result<bool, WriteError> {
        let is_sound = |sent: &SentHistogram| sent.histogram.is_ok();
        let found = if series.samples.is_empty() && !series.histograms.iter().any(is_sound) {
            // A series without samples is none yet; it may have exemplars.
            self.find(series.label_bytes)
        } else {
            self.find_or_create(series.label_bytes).map(Some)
        };
        match found {
            Ok(id) => {
                match id.and_then(|id| Some((id, self.series.get_mut(id)?))) {
                    Some((id, own)) => {
                        let marks = stage.marks(own, self.starts_pending == 0);
                        stage.admit(id, own, &self.late, series.samples)?;
                        if !series.histograms.is_empty() {
                            stage.admit_histograms(id, own, &self.late, series.histograms)?;
                        }
                        if self.limits.start_times {
                            stage.note_starts(id, &self.starts, series, marks);
                        }
                    }
                    None => {
                        for sent in series.histograms {
                            if let Err(error) = &sent.histogram {
                                stage.refuse_histogram(*error, || shown(series.label_bytes))?;
                            }
                        }
                    }
                }
                Ok(id.is_some())
            }
            Err(Reason::Labels(LabelError::Malformed)) => Err(WriteError::MalformedLabels),
            Err(reason) => {
                let samples = series.samples.len() + series.histograms.len();
                stage.refuse_series(reason, samples, series.label_bytes);
                Ok(false)
            }
        }
    }

    fn find(&self, label_bytes: &[u8]) -> Result<Option<SeriesId>, Reason> {
        if let Some(id) = self.series.find_spelled(label_bytes) {
            return Ok(Some(id));
        }
        let labels = read_labels(label_bytes).map_err(Reason::Labels)?;
        let mut canonical = Vec::with_capacity(label_bytes.len());
        push_labels(&mut canonical, &labels);
        let hash = self.series.hash(&canonical);
        Ok(self.series.find_labels(hash, &labels))
    }

    #[inline]
    fn find_or_create(&mut self, label_bytes: &[u8]) -> Result<SeriesId, Reason> {
        match self.series.find_spelled(label_bytes) {
            Some(id) => Ok(id),
            None => self.create(label_bytes),
        }
    }

    /// The series is new, or its labels are not spelled in the canonical way.
    fn create(&mut self, label_bytes: &[u8]) -> Result<SeriesId, Reason> {
        let labels = read_labels(label_bytes).map_err(Reason::Labels)?;
        let mut canonical = Vec::with_capacity(label_bytes.len());
        push_labels(&mut canonical, &labels);
        let hash = self.series.hash(&canonical);
        if let Some(id) = self.series.find_labels(hash, &labels) {
            return Ok(id);
        }
        self.limits.check_labels(&labels).map_err(Reason::Size)?;
        if self.series.len() >= self.limits.series_max {
            return Err(Reason::SeriesMax);
        }
        let id = self.free_id().ok_or(Reason::SeriesMax)?;
        self.created.push(id);
        self.series.insert(id, Series::new(labels, hash));
        Ok(id)
    }

    /// A number that no series has. The log may have one that had it; the new one's definition comes behind that, and a
    /// replay tells them apart.
    fn free_id(&mut self) -> Option<SeriesId> {
        if self.series.len() > u32::MAX as usize {
            return None;
        }
        while self.series.get(SeriesId(self.next_id)).is_some() {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = SeriesId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        Some(id)
    }

    fn begin_stage(&mut self) -> u32 {
        self.created.clear();
        self.next_id
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

    /// Of a request that is refused nothing stays: no sample, and none of its series, whose numbers began at `first_new`.
    fn end_stage(
        &mut self,
        stage: Stage,
        outcome: Result<(), WriteError>,
        first_new: u32,
    ) -> Result<(Staged, Records), WriteError> {
        let Err(error) = outcome else {
            let (staged, records) = stage.finish(self.late.cut());
            self.starts_pending += staged.starts.len();
            return Ok((staged, records));
        };
        let (staged, _) = stage.finish(self.late.cut());
        self.unstage(staged.ids(), &staged.before);
        while let Some(id) = self.created.pop() {
            self.series.remove_one(id);
        }
        self.next_id = first_new;
        Err(error)
    }
}

fn range_end(at: Timestamp) -> Timestamp {
    let range = BLOCK_RANGE.as_millis() as i64;
    let begin = at.as_millis().div_euclid(range).saturating_mul(range);
    Timestamp::from_millis(begin.saturating_add(range))
}

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

#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;
