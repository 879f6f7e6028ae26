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
mod cuts;
mod replay;
mod selection;
pub(crate) mod snapshot;

use std::collections::HashMap;
use std::time::Duration;

use model::{HistogramSample, Labels, Sample, SampleValue, Timestamp};

use crate::admission::{Admission, LateAdmission, OnRefusal, Reason, WriteError};
use crate::block::Ulid;
use crate::decode::{Protocol, SentHistogram, SeriesSamples, WriteRequest};
use crate::label_bytes::{LabelError, push_labels, read_labels, shown};
use crate::limits::Limits;
use crate::newest::Newest;
use crate::out_of_order::OutOfOrder;
use crate::record::SeriesId;
use crate::series::{BLOCK_RANGE, Series};
use crate::series_set::SeriesSet;
use crate::stage::{Records, Stage, Staged};
use crate::start_times::StartTimes;

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

#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;
