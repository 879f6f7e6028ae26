//! A request on its way into the head: what of it is admitted so far, and how to take it back.
use model::{Labels, Sample, Timestamp};

use crate::admission::{Admission, OnRefusal, Reason, Report, SampleError, WriteError};
use crate::decode::SeriesSamples;
use crate::label_bytes::{LabelError, duplicate_name, push_labels, shown};
use crate::record::{RecordKind, SamplesWriter, SeriesId, push_definition};
use crate::series::{Place, Series};

/// What was admitted and waits for the log. It must come back by `Head::commit` or `Head::abort`, in the order of
/// staging.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    pub(crate) samples: Vec<(SeriesId, Sample)>,
    /// Series whose definitions are among the records.
    pub(crate) defined: Vec<SeriesId>,
    pub report: Report,
}

/// A request's records, in the order in which the log must have them.
pub type Records = Vec<(RecordKind, Vec<u8>)>;

/// Definitions go into records of about this size, since a request with nothing but new series may be large.
const DEFINITIONS_BYTES: usize = 4 * 1024 * 1024;

pub(crate) struct Stage {
    admission: Admission,
    /// What is older would belong into a block that is written already.
    not_before: Timestamp,
    on_refusal: OnRefusal,
    /// Of the sample that is looked at, where samples are judged one by one.
    pub(crate) place: usize,
    pub(crate) samples: Vec<(SeriesId, Sample)>,
    /// The newest sample of each series before this request, to take the request back.
    pub(crate) before: Vec<(SeriesId, Option<Sample>)>,
    definitions: Vec<u8>,
    definition_records: Vec<Vec<u8>>,
    defined: Vec<SeriesId>,
    records: SamplesWriter,
    pub(crate) report: Report,
}

impl Stage {
    /// For about as many samples as `samples` says.
    pub(crate) fn new(
        samples: usize,
        on_refusal: OnRefusal,
        admission: Admission,
        not_before: Timestamp,
    ) -> Self {
        Self {
            admission,
            not_before,
            on_refusal,
            place: 0,
            samples: Vec::with_capacity(samples),
            before: Vec::with_capacity(samples),
            definitions: Vec::new(),
            definition_records: Vec::new(),
            defined: Vec::new(),
            records: SamplesWriter::with_capacity(samples),
            report: Report::default(),
        }
    }

    /// Admits samples of one series. An error refuses the whole request: the head takes back what was admitted.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        id: SeriesId,
        series: &mut Series,
        samples: &[Sample],
    ) -> Result<(), WriteError> {
        self.before.push((id, series.newest));
        for sample in samples {
            let problem = match (self.admission.check(*sample), series.place(*sample)) {
                (Some(problem), _) => problem,
                (None, Place::Newer) if sample.timestamp < self.not_before => {
                    SampleError::OutOfOrder
                }
                (None, Place::Newer) => {
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
                (None, Place::Older) => SampleError::OutOfOrder,
            };
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
                        timestamp: sample.timestamp,
                        newest: series.newest.map(|newest| newest.timestamp),
                    });
                }
            }
        }
        Ok(())
    }

    /// No histogram is kept yet; one that is none refuses its request as a sample would.
    pub(crate) fn refuse_histograms(
        &mut self,
        series: &SeriesSamples<'_>,
    ) -> Result<(), WriteError> {
        for sent in series.histograms {
            let labels = || shown(series.label_bytes);
            match (&sent.histogram, self.on_refusal) {
                (Ok(_), _) => self.report.refuse(Reason::NativeHistogram, 1, labels),
                (Err(error), OnRefusal::Whole) => {
                    return Err(WriteError::Histogram {
                        error: *error,
                        series: labels(),
                    });
                }
                (Err(error), OnRefusal::Part | OnRefusal::Sample) => {
                    self.report.refuse(Reason::Histogram(*error), 1, labels);
                }
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

    pub(crate) fn finish(self) -> (Staged, Records) {
        let mut report = self.report;
        report.accepted = self.samples.len();
        let mut definitions = self.definition_records;
        definitions.push(self.definitions);
        definitions.retain(|payload| !payload.is_empty());
        let mut records: Records = definitions
            .into_iter()
            .map(|payload| (RecordKind::Definitions, payload))
            .collect();
        if !self.samples.is_empty() {
            records.push((RecordKind::Samples, self.records.into_bytes()));
        }
        let staged = Staged {
            samples: self.samples,
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
        series.newest = Some(sample);
        series.pending += 1;
        self.records.push(id, sample);
        self.samples.push((id, sample));
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
        if self.definitions.len() >= DEFINITIONS_BYTES {
            let full = std::mem::take(&mut self.definitions);
            self.definition_records.push(full);
        }
    }
}
