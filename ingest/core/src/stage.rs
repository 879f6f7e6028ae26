//! A request on its way into the head: what of it is admitted so far, and how to take it back.
use std::collections::HashMap;
use std::sync::Arc;

use model::{Histogram, HistogramSample, Labels, Sample, SampleValue, Timestamp};

use crate::admission::{Admission, OnRefusal, Reason, Report, SampleError, WriteError};
use crate::chunk_merge::Point;
use crate::decode::{HistogramError, SentHistogram, SeriesSamples};
use crate::histogram_record::push_histogram;
use crate::label_bytes::{LabelError, duplicate_name, push_labels, shown};
use crate::newest::Newest;
use crate::out_of_order::OutOfOrder;
use crate::record::{RecordKind, SamplesWriter, SeriesId, push_definition, push_start};
use crate::series::{Place, Series};
use crate::start_times::{SaidStart, StartTimes, UNKNOWN};

/// What was admitted and waits for the log. It must come back by `Head::commit` or `Head::abort`, in the order of
/// staging, or at once by `Head::take_back`.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    pub(crate) samples: Vec<(SeriesId, Sample)>,
    /// Each with how many of `samples` were admitted before it.
    pub(crate) histograms: Vec<(usize, SeriesId, HistogramSample)>,
    /// The newest value of each series before it, to take it back.
    pub(crate) before: Vec<(SeriesId, Option<Newest>)>,
    /// What came out of order, in the order of the log.
    pub(crate) late: Vec<(SeriesId, Point)>,
    /// The cut with which that leaves.
    pub(crate) late_cut: u32,
    pub(crate) starts: Vec<(SeriesId, SaidStart)>,
    /// Series whose definitions are among the records.
    pub(crate) defined: Vec<SeriesId>,
    pub report: Report,
}

impl Staged {
    /// The series of every sample.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        let floats = self.samples.iter().map(|(id, _)| *id);
        let histograms = self.histograms.iter().map(|(_, id, _)| *id);
        let late = self.late.iter().map(|(id, _)| *id);
        floats.chain(histograms).chain(late)
    }
}

/// A request's records, in the order in which the log must have them.
pub type Records = Vec<(RecordKind, Vec<u8>)>;

/// Definitions and histograms go into records of about this size, since a request with nothing else may be large.
const RECORD_BYTES: usize = 4 * 1024 * 1024;

pub(crate) struct Stage {
    admission: Admission,
    on_refusal: OnRefusal,
    /// Of the sample that is looked at, where samples are judged one by one.
    pub(crate) place: usize,
    pub(crate) samples: Vec<(SeriesId, Sample)>,
    pub(crate) histograms: Vec<(usize, SeriesId, HistogramSample)>,
    /// The newest value of each series before this request, to take the request back.
    pub(crate) before: Vec<(SeriesId, Option<Newest>)>,
    definitions: Vec<u8>,
    definition_records: Vec<Vec<u8>>,
    defined: Vec<SeriesId>,
    records: SamplesWriter,
    histogram_records: Vec<u8>,
    late: LateStage,
    starts: Vec<(SeriesId, SaidStart)>,
    /// Records that must come before those that are written now.
    closed: Records,
    pub(crate) report: Report,
}

/// See [`Stage::marks`].
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    /// What is known of the series' start times is all that there is.
    is_certain: bool,
    samples: usize,
    histograms: usize,
    late: usize,
    late_histograms: usize,
}

/// What came out of order: floats in one record, histograms in others.
#[derive(Default)]
struct LateStage {
    floats: SamplesWriter,
    histograms: Vec<u8>,
    full_histograms: Vec<Vec<u8>>,
    samples: Vec<(SeriesId, Point)>,
    histogram_samples: Vec<(SeriesId, Point)>,
}

impl LateStage {
    fn into_records(mut self) -> (Vec<(SeriesId, Point)>, Records) {
        self.full_histograms.push(self.histograms);
        let floats = [(RecordKind::LateSamples, self.floats.into_bytes())];
        let histograms = self
            .full_histograms
            .into_iter()
            .map(|payload| (RecordKind::LateHistograms, payload));
        let mut records: Records = floats.into_iter().chain(histograms).collect();
        records.retain(|(_, payload)| !payload.is_empty());
        self.samples.append(&mut self.histogram_samples);
        (self.samples, records)
    }
}

impl Stage {
    /// For about as many samples as `samples` says.
    pub(crate) fn new(samples: usize, on_refusal: OnRefusal, admission: Admission) -> Self {
        Self {
            admission,
            on_refusal,
            place: 0,
            samples: Vec::with_capacity(samples),
            histograms: Vec::new(),
            before: Vec::with_capacity(samples),
            definitions: Vec::new(),
            definition_records: Vec::new(),
            defined: Vec::new(),
            records: SamplesWriter::with_capacity(samples),
            histogram_records: Vec::new(),
            late: LateStage::default(),
            starts: Vec::new(),
            closed: Vec::new(),
            report: Report::default(),
        }
    }

    /// Admits samples of one series. An error refuses the whole request: the head takes back what was admitted.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        known: &OutOfOrder,
        samples: &[Sample],
    ) -> Result<(), WriteError> {
        self.before.push((id, series.newest));
        for sample in samples {
            let problem = match (
                self.admission.check(sample.timestamp),
                series.place((*sample).into()),
            ) {
                (Some(problem), _) => problem,
                (None, Place::Newer) if sample.timestamp >= self.admission.in_order => {
                    self.take(id, series, *sample);
                    continue;
                }
                // A repetition of what is not in the log yet must reach the log itself before it is answered.
                (None, Place::Repeated) if series.pending > 0 => {
                    self.take(id, series, *sample);
                    continue;
                }
                (None, Place::Repeated) => {
                    self.report.repeated += 1;
                    continue;
                }
                (None, Place::Conflicting) => SampleError::Duplicate,
                (None, Place::Newer | Place::Older) => {
                    match self.admit_late(id, series, known, Point::Float(*sample)) {
                        Ok(()) => continue,
                        Err(problem) => problem,
                    }
                }
            };
            self.refuse(problem, series, sample.timestamp)?;
        }
        Ok(())
    }

    /// The same for histograms; one that is none refuses its request as a sample that does not fit would.
    pub(crate) fn admit_histograms(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        known: &OutOfOrder,
        histograms: &[SentHistogram],
    ) -> Result<(), WriteError> {
        self.before.push((id, series.newest));
        for sent in histograms {
            let histogram = match &sent.histogram {
                Ok(histogram) => histogram,
                Err(error) => {
                    self.refuse_histogram(*error, || series.labels.to_string())?;
                    continue;
                }
            };
            self.admit_histogram(id, series, known, sent.timestamp, histogram)?;
        }
        Ok(())
    }

    /// [`Self::before`] knows what the series was.
    fn admit_histogram(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        known: &OutOfOrder,
        timestamp: Timestamp,
        histogram: &Histogram,
    ) -> Result<(), WriteError> {
        let newest = Newest::histogram(timestamp, histogram);
        let problem = match (self.admission.check(timestamp), series.place(newest)) {
            (Some(problem), _) => problem,
            (None, Place::Newer) if timestamp >= self.admission.in_order => {
                self.take_histogram(id, series, newest, histogram);
                return Ok(());
            }
            // A repetition of what is not in the log yet must reach the log itself before it is answered.
            (None, Place::Repeated) if series.pending > 0 => {
                self.take_histogram(id, series, newest, histogram);
                return Ok(());
            }
            (None, Place::Repeated) => {
                self.report.repeated_histograms += 1;
                return Ok(());
            }
            (None, Place::Conflicting) => SampleError::Duplicate,
            (None, Place::Newer | Place::Older) => {
                let late = Point::Histogram(sample_of(timestamp, histogram));
                match self.admit_late(id, series, known, late) {
                    Ok(()) => return Ok(()),
                    Err(problem) => problem,
                }
            }
        };
        self.refuse(problem, series, timestamp)
    }

    /// What does not fit into the order of its series. Where its time is there already, that sample stays; what is not
    /// looked for among chunks of late samples and in blocks is found when they are read.
    fn admit_late(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        known: &OutOfOrder,
        late: Point,
    ) -> Result<(), SampleError> {
        let at = late.timestamp();
        self.admission.late.check(at)?;
        let there = known.find(id, at).or_else(|| series.find(at));
        if let Some(there) = there {
            match late {
                Point::Float(_) => self.report.repeated += 1,
                Point::Histogram(_) => self.report.repeated_histograms += 1,
            }
            self.report.contradicting += usize::from(there != Newest::from(&late));
            return Ok(());
        }
        if !series.is_defined {
            self.define(id, &series.labels);
        }
        series.pending += 1;
        match late {
            Point::Float(sample) => {
                self.late.floats.push(id, sample);
                self.late.samples.push((id, late));
            }
            Point::Histogram(ref sample) => {
                push_histogram(&mut self.late.histograms, id, sample);
                self.late.histogram_samples.push((id, late));
                if self.late.histograms.len() >= RECORD_BYTES {
                    let full = std::mem::take(&mut self.late.histograms);
                    self.late.full_histograms.push(full);
                }
            }
        }
        Ok(())
    }

    /// How much was admitted so far. `starts_are_known`: nothing is on its way that says when samples began to count.
    pub(crate) fn marks(&self, series: &Series, starts_are_known: bool) -> Marks {
        Marks {
            is_certain: series.pending == 0 || starts_are_known && self.starts.is_empty(),
            samples: self.samples.len(),
            histograms: self.histograms.len(),
            late: self.late.samples.len(),
            late_histograms: self.late.histogram_samples.len(),
        }
    }

    /// Notes when what was admitted of a series behind the marks began to count, where that is not known of it.
    pub(crate) fn note_starts(
        &mut self,
        id: SeriesId,
        known: &StartTimes,
        sent: &SeriesSamples<'_>,
        marks: Marks,
    ) {
        let is_said = sent.start_times.iter().any(|start| *start != UNKNOWN)
            || sent
                .histograms
                .iter()
                .any(|sent| sent.start_time != UNKNOWN);
        if !is_said && marks.is_certain && known.runs(id).is_none() {
            return;
        }
        let floats = sent.samples.iter().map(|sample| sample.timestamp);
        let floats = floats.zip(sent.start_times.iter().copied());
        let histograms = sent.histograms.iter();
        let histograms = histograms.map(|sent| (sent.timestamp, sent.start_time));
        let said: HashMap<Timestamp, Timestamp> = histograms.chain(floats).collect();
        let in_order = self.samples[marks.samples..]
            .iter()
            .map(|(_, sample)| sample.timestamp);
        let histograms = self.histograms[marks.histograms..]
            .iter()
            .map(|(.., sample)| sample.timestamp);
        let mut in_order: Vec<Timestamp> = in_order.chain(histograms).collect();
        in_order.sort_unstable();
        // One run after another: what is said once goes on.
        let mut last = None;
        for at in in_order {
            let start = said.get(&at).copied().unwrap_or(UNKNOWN);
            let is_known = match last {
                Some(last) => last == start,
                None => marks.is_certain && known.at(id, at) == start,
            };
            if !is_known {
                self.starts.push((
                    id,
                    SaidStart {
                        at,
                        start,
                        is_late: false,
                    },
                ));
                last = Some(start);
            }
        }
        let late = self.late.samples[marks.late..].iter();
        let late = late.chain(&self.late.histogram_samples[marks.late_histograms..]);
        for (_, point) in late {
            let at = point.timestamp();
            let start = said.get(&at).copied().unwrap_or(UNKNOWN);
            // What this request says of others may reach over it.
            if last.is_some() || !marks.is_certain || known.at(id, at) != start {
                self.starts.push((
                    id,
                    SaidStart {
                        at,
                        start,
                        is_late: true,
                    },
                ));
            }
        }
    }

    /// One value of either kind.
    pub(crate) fn admit_value(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        known: &OutOfOrder,
        timestamp: Timestamp,
        value: &SampleValue,
    ) -> Result<(), WriteError> {
        match value {
            SampleValue::Float(value) => {
                let value = *value;
                self.admit(id, series, known, &[Sample { timestamp, value }])
            }
            SampleValue::Histogram(histogram) => {
                self.before.push((id, series.newest));
                self.admit_histogram(id, series, known, timestamp, histogram)
            }
        }
    }

    fn refuse(
        &mut self,
        problem: SampleError,
        series: &Series,
        timestamp: Timestamp,
    ) -> Result<(), WriteError> {
        match self.on_refusal {
            OnRefusal::Part => {
                let labels = || series.labels.to_string();
                self.report.refuse(Reason::Sample(problem), 1, labels);
            }
            OnRefusal::Sample => {
                self.refuse_sample(Reason::Sample(problem), &series.labels);
            }
            OnRefusal::Whole => {
                return Err(WriteError::Sample {
                    error: problem,
                    labels: series.labels.clone(),
                    timestamp,
                    newest: series.newest.map(|newest| newest.timestamp),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn refuse_histogram(
        &mut self,
        error: HistogramError,
        series: impl FnOnce() -> String,
    ) -> Result<(), WriteError> {
        match self.on_refusal {
            OnRefusal::Whole => {
                let series = series();
                return Err(WriteError::Histogram { error, series });
            }
            OnRefusal::Part | OnRefusal::Sample => {
                self.report.refuse(Reason::Histogram(error), 1, series);
            }
        }
        Ok(())
    }

    /// All of a series that cannot be kept.
    pub(crate) fn refuse_series(&mut self, reason: Reason, samples: usize, label_bytes: &[u8]) {
        self.report.refuse(reason, samples, || shown(label_bytes));
        if reason == Reason::Labels(LabelError::DuplicateName)
            && let Some(refused) = self.report.refused.get_mut(&reason)
            && refused.name.is_empty()
        {
            refused.name = duplicate_name(label_bytes);
        }
    }

    pub(crate) fn refuse_sample(&mut self, reason: Reason, labels: &Labels) {
        self.report.refuse(reason, 1, || labels.to_string());
        self.report.refused_samples.push((self.place, reason));
    }

    /// `late_cut` is the one with which late samples leave.
    pub(crate) fn finish(mut self, late_cut: u32) -> (Staged, Records) {
        let mut report = std::mem::take(&mut self.report);
        report.late = self.late.samples.len();
        report.late_histograms = self.late.histogram_samples.len();
        report.accepted = self.samples.len() + report.late;
        report.accepted_histograms = self.histograms.len() + report.late_histograms;
        self.close_records();
        let mut definitions = self.definition_records;
        definitions.push(self.definitions);
        definitions.retain(|payload| !payload.is_empty());
        let mut records: Records = definitions
            .into_iter()
            .map(|payload| (RecordKind::Definitions, payload))
            .collect();
        records.append(&mut self.closed);
        let (late, mut late_records) = self.late.into_records();
        records.append(&mut late_records);
        let mut starts = Vec::new();
        for (id, said) in &self.starts {
            push_start(&mut starts, *id, *said);
        }
        if !starts.is_empty() {
            records.push((RecordKind::StartTimes, starts));
        }
        let staged = Staged {
            samples: self.samples,
            histograms: self.histograms,
            before: self.before,
            late,
            late_cut,
            starts: self.starts,
            defined: self.defined,
            report,
        };
        (staged, records)
    }

    #[inline]
    fn take(&mut self, id: SeriesId, series: &mut Series, sample: Sample) {
        if !series.is_defined {
            self.define(id, &series.labels);
        }
        // Floats are written before histograms: what comes behind a histogram of its own series needs a later record.
        if !self.histogram_records.is_empty()
            && series.pending > 0
            && series.newest.is_some_and(|newest| newest.is_histogram())
        {
            self.close_records();
        }
        series.newest = Some(sample.into());
        series.pending += 1;
        self.records.push(id, sample);
        self.samples.push((id, sample));
    }

    fn take_histogram(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        newest: Newest,
        histogram: &Histogram,
    ) {
        if !series.is_defined {
            self.define(id, &series.labels);
        }
        series.newest = Some(newest);
        series.pending += 1;
        let sample = sample_of(newest.timestamp, histogram);
        push_histogram(&mut self.histogram_records, id, &sample);
        self.histograms.push((self.samples.len(), id, sample));
        if self.histogram_records.len() >= RECORD_BYTES {
            self.close_records();
        }
    }

    fn close_records(&mut self) {
        let floats = std::mem::take(&mut self.records).into_bytes();
        let histograms = std::mem::take(&mut self.histogram_records);
        for (kind, payload) in [
            (RecordKind::Samples, floats),
            (RecordKind::Histograms, histograms),
        ] {
            if !payload.is_empty() {
                self.closed.push((kind, payload));
            }
        }
    }

    /// The same series may come several times; a definition too many does no harm.
    fn define(&mut self, id: SeriesId, labels: &Labels) {
        if self.defined.last() == Some(&id) {
            return;
        }
        let mut label_bytes = Vec::with_capacity(labels.size_bytes() + 32);
        push_labels(&mut label_bytes, labels);
        push_definition(&mut self.definitions, id, &label_bytes);
        self.defined.push(id);
        if self.definitions.len() >= RECORD_BYTES {
            let full = std::mem::take(&mut self.definitions);
            self.definition_records.push(full);
        }
    }
}

fn sample_of(timestamp: Timestamp, histogram: &Histogram) -> HistogramSample {
    HistogramSample {
        timestamp,
        start: Timestamp::default(),
        histogram: Arc::new(histogram.clone()),
    }
}
