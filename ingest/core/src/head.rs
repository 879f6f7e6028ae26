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

use model::{HistogramSample, Labels, Matcher, Sample, SampleValue, Timestamp};

use crate::admission::{Admission, OnRefusal, Reason, WriteError};
use crate::chunk::Chunk;
use crate::decode::{Protocol, SentHistogram, SeriesSamples, WriteRequest};
use crate::encoding::Encoding;
use crate::histogram_record::read_histograms;
use crate::label_bytes::{LabelError, push_labels, read_labels, shown};
use crate::limits::Limits;
use crate::record::{
    RecordError, RecordKind, SeriesId, push_chunks, read_chunks, read_definitions, read_samples,
};
use crate::series::{BLOCK_RANGE, Series, SeriesView};
use crate::series_set::SeriesSet;
use crate::stage::{Records, Stage, Staged};

#[derive(Debug)]
pub struct Head {
    limits: Limits,
    series: SeriesSet,
    next_id: u32,
    chunks: usize,
    /// Samples before this are in blocks, or never come.
    horizon: Timestamp,
    /// Numbers that the log gave to series which the head knows by another one. Only a replay needs them.
    renumbered: HashMap<SeriesId, SeriesId>,
}

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
            chunks: 0,
            horizon: Timestamp::MIN,
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
        let first_new = self.next_id;
        let on_refusal = match request.protocol {
            Protocol::V1 => OnRefusal::Whole,
            Protocol::V2 => OnRefusal::Part,
        };
        let mut stage = Stage::new(samples, on_refusal, self.admission(now), self.horizon);
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
        let first_new = self.next_id;
        let at_least = values.size_hint().0;
        let mut stage = Stage::new(
            at_least,
            OnRefusal::Sample,
            self.admission(now),
            self.horizon,
        );
        let mut label_bytes = Vec::new();
        let mut outcome = Ok(());
        for (place, (labels, timestamp, value)) in values.enumerate() {
            stage.place = place;
            label_bytes.clear();
            push_labels(&mut label_bytes, labels);
            outcome = match self.find_or_create(&label_bytes) {
                Ok(id) => match self.series.get_mut(id) {
                    Some(series) => stage.admit_value(id, series, timestamp, &value),
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
            }
        }
        for (_, id, sample) in histograms {
            self.commit_histogram(id, &sample);
        }
    }

    fn commit_histogram(&mut self, id: SeriesId, sample: &HistogramSample) {
        if let Some(series) = self.series.get_mut(id) {
            series.pending -= 1;
            self.chunks += usize::from(series.push_histogram(sample));
        }
    }

    /// The log does not have the records, and never will.
    pub fn abort(&mut self, staged: Staged) {
        let floats = staged.samples.into_iter().map(|(id, _)| id);
        let histograms = staged.histograms.into_iter().map(|(_, id, _)| id);
        for id in floats.chain(histograms) {
            if let Some(series) = self.series.get_mut(id) {
                series.pending -= 1;
                if series.pending == 0 {
                    series.forget_pending();
                }
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
        self.series
            .matching(matchers)
            .into_iter()
            .filter_map(|id| self.series.get(id))
            .filter(|series| series.overlaps(after, until))
            .map(|series| series.view(after, until))
            .collect()
    }

    /// The label sets that match and have samples in the window.
    #[must_use]
    pub fn label_sets(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<Labels> {
        self.series
            .matching(matchers)
            .into_iter()
            .filter_map(|id| self.series.get(id))
            .filter(|series| series.overlaps(after, until))
            .map(|series| series.labels.clone())
            .collect()
    }

    /// Whether any series has samples in the window.
    #[must_use]
    pub fn has_samples(&self, after: Timestamp, until: Timestamp) -> bool {
        let mut series = self.series.iter_from(SeriesId(0));
        series.any(|(_, series)| series.overlaps(after, until))
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
        self.drop_before(now - self.limits.retention)
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

    /// From now on no sample before `horizon` is admitted, as long as it is not older than one before.
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

    /// Forgets samples before `horizon`, and series that have none left: their labels and postings with them. Answers
    /// how many series went.
    pub fn drop_before(&mut self, horizon: Timestamp) -> usize {
        let mut gone = BTreeMap::new();
        for (id, series) in self.series.iter_mut() {
            self.chunks -= series.drop_before(horizon);
            if !series.has_samples() && series.pending == 0 {
                gone.insert(id, series.labels.clone());
            }
        }
        self.series.remove(&gone);
        gone.len()
    }

    #[must_use]
    pub fn stats(&self) -> HeadStats {
        let series = || self.series.iter_from(SeriesId(0)).map(|(_, series)| series);
        HeadStats {
            series: self.series.len(),
            chunks: self.chunks,
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
        let mut part = SnapshotPart::default();
        let mut left = bytes_max;
        for (id, series) in self.series.iter_from(from.id) {
            if left == 0 {
                let cursor = SnapshotCursor {
                    id,
                    ..SnapshotCursor::START
                };
                return (part, Some(cursor));
            }
            let after = if id == from.id {
                from.after
            } else {
                Timestamp::MIN
            };
            let labels = series.labels.clone();
            let (chunks, rest) = series.view(after, Timestamp::MAX).take_chunks(left);
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes().len()).sum();
            left = left.saturating_sub(bytes + labels.size_bytes());
            part.series.push((id, labels, chunks));
            if let Some(after) = rest {
                return (part, Some(SnapshotCursor { id, after }));
            }
        }
        (part, None)
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
                    Some(series) => self.chunks += usize::from(series.replay(sample)),
                    None => undefined += 1,
                }
            })?,
            RecordKind::Histograms => read_histograms(payload, |id, sample| {
                let id = self.renumbered.get(&id).copied().unwrap_or(id);
                match self.series.get_mut(id) {
                    Some(series) => self.chunks += usize::from(series.replay_histogram(&sample)),
                    None => undefined += 1,
                }
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

    /// All of the log was replayed.
    pub fn end_replay(&mut self) {
        self.renumbered = HashMap::new();
    }

    fn admission(&self, now: Timestamp) -> Admission {
        Admission {
            oldest: now - self.limits.retention,
            newest: now + self.limits.ahead_max,
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
                        stage.admit(id, own, series.samples)?;
                        if !series.histograms.is_empty() {
                            stage.admit_histograms(id, own, series.histograms)?;
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
        if self.series.len() >= self.limits.series_max || self.next_id == u32::MAX {
            return Err(Reason::SeriesMax);
        }
        let id = SeriesId(self.next_id);
        self.next_id += 1;
        self.series.insert(id, Series::new(labels, hash));
        Ok(id)
    }

    fn restore(&mut self, id: SeriesId, label_bytes: &[u8], chunks: Vec<Arc<Chunk>>) {
        // Only what was admitted is ever written, so that the labels are sound where the checksum was.
        let Ok(labels) = read_labels(label_bytes) else {
            return;
        };
        self.next_id = self.next_id.max(id.0.saturating_add(1));
        let hash = self.series.hash(label_bytes);
        match self.series.find_labels(hash, &labels) {
            Some(known) if known == id => {
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
                // A number that another series has already: only where the log is not what was written.
                if self.series.get(id).is_some() {
                    if self.next_id == u32::MAX {
                        return;
                    }
                    own = SeriesId(self.next_id);
                    self.next_id += 1;
                    self.renumbered.insert(id, own);
                }
                self.chunks += chunks.len();
                self.series
                    .insert(own, Series::restored(labels, hash, chunks));
            }
        }
    }

    /// Of a request that is refused nothing stays: no sample, and none of the series from `first_new` on.
    fn end_stage(
        &mut self,
        stage: Stage,
        outcome: Result<(), WriteError>,
        first_new: u32,
    ) -> Result<(Staged, Records), WriteError> {
        let Err(error) = outcome else {
            return Ok(stage.finish());
        };
        let floats = stage.samples.iter().map(|(id, _)| id);
        let histograms = stage.histograms.iter().map(|(_, id, _)| id);
        for id in floats.chain(histograms) {
            if let Some(series) = self.series.get_mut(*id) {
                series.pending -= 1;
            }
        }
        // Backwards, since one series may stand in a request twice.
        for (id, newest) in stage.before.into_iter().rev() {
            if let Some(series) = self.series.get_mut(id) {
                series.newest = newest;
            }
        }
        for id in (first_new..self.next_id).rev() {
            self.series.remove_last(SeriesId(id));
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
pub struct SnapshotCursor {
    id: SeriesId,
    /// Chunks of that series that end later are still to come.
    after: Timestamp,
}

impl SnapshotCursor {
    pub const START: Self = Self {
        id: SeriesId(0),
        after: Timestamp::MIN,
    };
}

/// Series copied out of the head for a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotPart {
    series: Vec<(SeriesId, Labels, Vec<Arc<Chunk>>)>,
}

impl SnapshotPart {
    /// A record's kind and payload. Where all chunks are of floats it is one that was there before there were others.
    #[must_use]
    pub fn into_record(self) -> (RecordKind, Vec<u8>) {
        let mut chunks = self.series.iter().flat_map(|(.., chunks)| chunks);
        let kind = if chunks.all(|chunk| chunk.encoding == Encoding::XOR) {
            RecordKind::Chunks
        } else {
            RecordKind::AnyChunks
        };
        let mut payload = Vec::new();
        let mut label_bytes = Vec::new();
        for (id, labels, chunks) in self.series {
            label_bytes.clear();
            push_labels(&mut label_bytes, &labels);
            let chunks = chunks.iter().map(AsRef::as_ref);
            push_chunks(&mut payload, kind, id, &label_bytes, chunks);
        }
        (kind, payload)
    }
}

#[cfg(test)]
mod tests;
