//! Remote write: a snappy block that holds a `prometheus.WriteRequest` (1.0) or an `io.prometheus.write.v2.Request` (2.0).
//!
//! One pass over the bytes finds each series' labels (as bytes) and its samples. Of 1.0 nothing is copied but the
//! samples; the labels of 2.0 are references to a table of symbols, and are spelled out as 1.0 spells them. Labels are
//! read only where a series is not known yet.
mod histogram;
mod symbols;

use std::ops::Range;

use model::protobuf::{BYTES, FIXED64, Fields, VARINT, WireError};
use model::{Sample, Timestamp};

use crate::decode::histogram::read_histogram;
use crate::decode::symbols::{Symbols, each_reference};
use crate::label_bytes::{LABEL_TAG, push_label, shown};
use crate::metric_kind::MetricKind;

pub use crate::decode::histogram::{HistogramError, HistogramForm, SentHistogram};
pub use crate::decode::symbols::SymbolError;

/// Why a body is no write request.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("request expands to {bytes} bytes, more than the limit of {max}")]
    Expanded { bytes: usize, max: usize },
    #[error("labels of the request expand to more than the limit of {max} bytes")]
    Labels { max: usize },
    #[error(
        "request has more than {PARTS_MAX} exemplars, histograms, descriptions of metrics or series without samples"
    )]
    Parts,
    #[error("body is not a snappy block")]
    Snappy(#[source] snap::Error),
    #[error("body is not a write request: series {series}")]
    Series {
        /// Counted from 0.
        series: usize,
        #[source]
        source: WireError,
    },
    #[error("body is not a write request")]
    Wire(#[source] WireError),
}

/// Of each of these. A sender puts some thousands into a request; two bytes that say nothing must not become hundreds.
const PARTS_MAX: usize = 200_000;

/// What a request may become in memory. Past it nothing more is taken in, and the request is refused.
#[derive(Clone, Copy, Debug)]
pub struct DecodeBounds {
    pub samples_max: usize,
    /// What the labels of 2.0 spell out to: a few bytes may refer to a long one again and again.
    pub label_bytes_max: usize,
}

/// What a body will expand to, known before anything is expanded and refused where it passes `bytes_max`.
pub fn expanded_len(body: &[u8], bytes_max: usize) -> Result<usize, DecodeError> {
    let bytes = snap::raw::decompress_len(body).map_err(DecodeError::Snappy)?;
    if bytes > bytes_max {
        return Err(DecodeError::Expanded {
            bytes,
            max: bytes_max,
        });
    }
    Ok(bytes)
}

/// Expands a body into `expanded`, whose old content goes.
pub fn expand(body: &[u8], bytes_max: usize, expanded: &mut Vec<u8>) -> Result<(), DecodeError> {
    expanded.clear();
    expanded.resize(expanded_len(body, bytes_max)?, 0);
    let written = snap::raw::Decoder::new()
        .decompress(body, expanded)
        .map_err(DecodeError::Snappy)?;
    expanded.truncate(written);
    Ok(())
}

/// Which message a body holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`: what does not fit refuses the whole request.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`: what does not fit is left out.
    V2,
}

/// A request's series in the order in which they were sent.
#[derive(Debug, Default)]
pub struct WriteRequest<'a> {
    pub protocol: Protocol,
    /// Labels that lie apart in the body, brought together.
    gathered: Vec<u8>,
    series: Vec<RawSeries<'a>>,
    samples: Vec<Sample>,
    samples_max: usize,
    /// Samples past `samples_max`.
    samples_more: usize,
    series_without_samples: usize,
    /// One for each sample, or none at all where no sample has one.
    start_times: Vec<Timestamp>,
    /// In the order of their series, as exemplars are.
    histograms: Vec<SentHistogram>,
    exemplars: Vec<RawExemplar<'a>>,
    pub metadata: Vec<SentMetadata<'a>>,
    /// What makes series none, of 2.0 only: each kind once.
    pub flaws: Vec<Flaw>,
}

#[derive(Debug)]
struct RawSeries<'a> {
    labels: LabelPlace<'a>,
    samples: Range<usize>,
}

#[derive(Debug)]
struct RawExemplar<'a> {
    series: usize,
    labels: LabelPlace<'a>,
    value: f64,
    timestamp: Timestamp,
}

#[derive(Debug)]
enum LabelPlace<'a> {
    Body(&'a [u8]),
    Gathered(Range<usize>),
}

/// One series of a request: its labels as bytes, and its samples.
#[derive(Clone, Copy, Debug)]
pub struct SeriesSamples<'r> {
    pub label_bytes: &'r [u8],
    pub samples: &'r [Sample],
    /// When counting began, for each sample, 0 where that is not known; none at all where no sample of the request
    /// says so.
    pub start_times: &'r [Timestamp],
    pub histograms: &'r [SentHistogram],
}

/// What was sent about one sample of a series.
#[derive(Clone, Copy, Debug)]
pub struct SentExemplar<'r> {
    /// The place of its series in the request.
    pub series: usize,
    pub series_label_bytes: &'r [u8],
    pub label_bytes: &'r [u8],
    pub value: f64,
    pub timestamp: Timestamp,
}

/// What was sent about a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentMetadata<'a> {
    /// 1.0 names a family of metrics, 2.0 the metric of a series.
    pub metric: &'a [u8],
    pub kind: MetricKind,
    pub help: &'a [u8],
    pub unit: &'a [u8],
}

/// Series that are left out before their labels are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub kind: FlawKind,
    pub series: usize,
    /// The first of them, as far as it can be read.
    pub first: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum FlawKind {
    #[error("TimeSeries must contain at least one sample or histogram")]
    Empty,
    #[error("parsing labels: {0}")]
    Symbols(SymbolError),
}

impl<'a> WriteRequest<'a> {
    /// `bytes` are the expanded body. Whether each label is well-formed is looked at when the series is new.
    pub fn read_within(
        protocol: Protocol,
        bytes: &'a [u8],
        bounds: &DecodeBounds,
    ) -> Result<Self, DecodeError> {
        let mut request = Self {
            protocol,
            samples_max: bounds.samples_max,
            ..Self::default()
        };
        match protocol {
            Protocol::V1 => request.read_v1(bytes)?,
            Protocol::V2 => request.read_v2(bytes, bounds.label_bytes_max)?,
        }
        Ok(request)
    }

    /// A request of 1.0 that is known to be small.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let bounds = DecodeBounds {
            samples_max: usize::MAX,
            label_bytes_max: usize::MAX,
        };
        Self::read_within(Protocol::V1, bytes, &bounds)
    }

    fn read_v1(&mut self, bytes: &'a [u8]) -> Result<(), DecodeError> {
        let mut fields = Fields::new(bytes);
        while !fields.is_empty() {
            let tag = fields.tag().map_err(DecodeError::Wire)?;
            match (tag.field, tag.wire) {
                (1, BYTES) => {
                    let message = fields.bytes().map_err(DecodeError::Wire)?;
                    let outcome = self.read_series(message);
                    outcome.map_err(|source| DecodeError::Series {
                        series: self.series.len(),
                        source,
                    })?;
                    self.check_parts()?;
                }
                (3, BYTES) => {
                    let metadata = fields.bytes().and_then(read_metadata);
                    self.metadata.push(metadata.map_err(DecodeError::Wire)?);
                    self.check_parts()?;
                }
                (1 | 3, _) => return Err(DecodeError::Wire(WireError::WireType)),
                (_, wire) => fields.skip(wire).map_err(DecodeError::Wire)?,
            }
        }
        Ok(())
    }

    fn read_v2(&mut self, bytes: &'a [u8], label_bytes_max: usize) -> Result<(), DecodeError> {
        // Symbols come first by custom, and anywhere by right.
        let symbols = Symbols::read(bytes, label_bytes_max).map_err(DecodeError::Wire)?;
        let too_many = DecodeError::Labels {
            max: label_bytes_max,
        };
        if symbols.are_too_many() {
            return Err(too_many);
        }
        let mut fields = Fields::new(bytes);
        let mut series = 0;
        while !fields.is_empty() {
            let tag = fields.tag().map_err(DecodeError::Wire)?;
            match (tag.field, tag.wire) {
                (5, BYTES) => {
                    let message = fields.bytes().map_err(DecodeError::Wire)?;
                    self.read_series_v2(message, &symbols)
                        .map_err(|source| DecodeError::Series { series, source })?;
                    series += 1;
                    self.check_parts()?;
                    if self.gathered.len() > label_bytes_max {
                        return Err(too_many);
                    }
                }
                (5, _) => return Err(DecodeError::Wire(WireError::WireType)),
                (_, wire) => fields.skip(wire).map_err(DecodeError::Wire)?,
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesSamples<'_>> {
        let mut histograms = self.histograms.as_slice();
        self.series.iter().enumerate().map(move |(place, series)| {
            let own = if histograms.is_empty() {
                0
            } else {
                histograms.partition_point(|histogram| histogram.series <= place)
            };
            let (own, others) = histograms.split_at(own);
            histograms = others;
            SeriesSamples {
                label_bytes: self.label_bytes(&series.labels),
                samples: &self.samples[series.samples.clone()],
                start_times: self
                    .start_times
                    .get(series.samples.clone())
                    .unwrap_or_default(),
                histograms: own,
            }
        })
    }

    /// Those included that were not taken in.
    #[must_use]
    pub fn samples_len(&self) -> usize {
        self.samples.len() + self.samples_more
    }

    #[must_use]
    pub fn histograms_len(&self) -> usize {
        self.histograms.len()
    }

    #[must_use]
    pub fn exemplars(&self) -> impl ExactSizeIterator<Item = SentExemplar<'_>> {
        self.exemplars.iter().map(|exemplar| SentExemplar {
            series: exemplar.series,
            series_label_bytes: self.label_bytes(&self.series[exemplar.series].labels),
            label_bytes: self.label_bytes(&exemplar.labels),
            value: exemplar.value,
            timestamp: exemplar.timestamp,
        })
    }

    fn label_bytes<'r>(&'r self, place: &'r LabelPlace<'a>) -> &'r [u8] {
        match place {
            LabelPlace::Body(bytes) => bytes,
            LabelPlace::Gathered(range) => &self.gathered[range.clone()],
        }
    }

    fn check_parts(&self) -> Result<(), DecodeError> {
        let parts = [
            self.exemplars.len(),
            self.histograms.len(),
            self.metadata.len(),
            self.series_without_samples,
        ];
        if parts.iter().any(|count| *count > PARTS_MAX) {
            return Err(DecodeError::Parts);
        }
        Ok(())
    }

    /// One too many may come in, and refuses the request.
    #[inline]
    fn push_sample(&mut self, sample: Sample) -> bool {
        let is_taken = self.samples.len() <= self.samples_max;
        if is_taken {
            self.samples.push(sample);
        } else {
            self.samples_more += 1;
        }
        is_taken
    }

    fn read_histogram(&mut self, message: &[u8]) -> Result<(), WireError> {
        if self.histograms.len() <= PARTS_MAX {
            let histogram = read_histogram(message, self.series.len())?;
            self.histograms.push(histogram);
        }
        Ok(())
    }

    fn push_series(&mut self, labels: LabelPlace<'a>, samples: Range<usize>) {
        self.series_without_samples += usize::from(samples.is_empty());
        self.series.push(RawSeries { labels, samples });
    }

    fn read_series(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut labels = LabelPlace::Body(take_labels(&mut fields)?);
        let samples_start = self.samples.len();
        while !fields.is_empty() {
            let before = fields.rest();
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, BYTES) => labels = self.gather(&labels, before, &mut fields)?,
                (2, BYTES) => {
                    let (sample, _) = read_sample(fields.bytes()?)?;
                    self.push_sample(sample);
                }
                (3, BYTES) => self.read_exemplar(fields.bytes()?)?,
                (4, BYTES) => self.read_histogram(fields.bytes()?)?,
                (1..=4, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        self.push_series(labels, samples_start..self.samples.len());
        Ok(())
    }

    /// Labels mostly stand together before the samples. Where one stands elsewhere, all are copied together. It is what
    /// comes next, and `before` begins with its tag.
    fn gather(
        &mut self,
        labels: &LabelPlace<'a>,
        before: &[u8],
        fields: &mut Fields<'_>,
    ) -> Result<LabelPlace<'a>, WireError> {
        fields.bytes()?;
        let label = &before[..before.len() - fields.rest().len()];
        let start = match labels {
            LabelPlace::Body(bytes) => {
                let start = self.gathered.len();
                self.gathered.extend_from_slice(bytes);
                start
            }
            // What was gathered after these labels belongs to others.
            LabelPlace::Gathered(range) if range.end == self.gathered.len() => range.start,
            LabelPlace::Gathered(range) => {
                let start = self.gathered.len();
                self.gathered.extend_from_within(range.clone());
                start
            }
        };
        self.gathered.extend_from_slice(label);
        Ok(LabelPlace::Gathered(start..self.gathered.len()))
    }

    fn read_exemplar(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut labels = LabelPlace::Body(take_labels(&mut fields)?);
        let (mut value, mut timestamp) = (0, 0);
        while !fields.is_empty() {
            let before = fields.rest();
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, BYTES) => labels = self.gather(&labels, before, &mut fields)?,
                (2, FIXED64) => value = fields.fixed64()?,
                (3, VARINT) => timestamp = fields.varint()?,
                (1..=3, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        self.push_exemplar(labels, value, timestamp);
        Ok(())
    }

    fn push_exemplar(&mut self, labels: LabelPlace<'a>, value: u64, timestamp: u64) {
        if self.exemplars.len() > PARTS_MAX {
            return;
        }
        self.exemplars.push(RawExemplar {
            series: self.series.len(),
            labels,
            value: f64::from_bits(value),
            timestamp: Timestamp::from_millis(timestamp.cast_signed()),
        });
    }

    fn read_series_v2(
        &mut self,
        message: &'a [u8],
        symbols: &Symbols<'a>,
    ) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut labels = SpelledLabels::default();
        let (samples_start, histograms_start) = (self.samples.len(), self.histograms.len());
        let exemplars_start = self.exemplars.len();
        let start = self.gathered.len();
        // Exemplars have labels too, and those of the series must stand together.
        let mut exemplars = Vec::new();
        let mut metadata = None;
        let mut created = 0;
        while !fields.is_empty() {
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, VARINT | BYTES) => {
                    labels.spell(&mut fields, tag.wire, symbols, &mut self.gathered)?;
                }
                (2, BYTES) => {
                    let (sample, start_time) = read_sample(fields.bytes()?)?;
                    if self.push_sample(sample) {
                        self.push_start_time(start_time);
                    }
                }
                (3, BYTES) => self.read_histogram(fields.bytes()?)?,
                (4, BYTES) => {
                    let exemplar = fields.bytes()?;
                    if exemplars.len() <= PARTS_MAX {
                        exemplars.push(exemplar);
                    }
                }
                (5, BYTES) => metadata = Some(read_metadata_v2(fields.bytes()?, symbols)?),
                // As earlier senders of 2.0 wrote it, for all samples of the series.
                (6, VARINT) => created = fields.varint()?.cast_signed(),
                (1..=6, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        let range = start..self.gathered.len();
        for exemplar in exemplars {
            self.read_exemplar_v2(exemplar, symbols)?;
        }
        let samples = self.samples.len() - samples_start + self.histograms.len() - histograms_start;
        let flaw = match labels.end() {
            Err(error) => Some(FlawKind::Symbols(error)),
            Ok(()) if samples == 0 => Some(FlawKind::Empty),
            Ok(()) => None,
        };
        if let Some(kind) = flaw {
            match self.flaws.iter_mut().find(|flaw| flaw.kind == kind) {
                Some(flaw) => flaw.series += 1,
                None => self.flaws.push(Flaw {
                    kind,
                    series: 1,
                    first: shown(&self.gathered[range]),
                }),
            }
            self.samples.truncate(samples_start);
            self.start_times.truncate(samples_start);
            self.histograms.truncate(histograms_start);
            self.exemplars.truncate(exemplars_start);
            self.gathered.truncate(start);
            return Ok(());
        }
        self.add_created(created, samples_start, histograms_start);
        if let Some((kind, help, unit)) = metadata {
            self.metadata.push(SentMetadata {
                metric: labels.metric,
                kind,
                help,
                unit,
            });
        }
        let labels = LabelPlace::Gathered(range);
        self.push_series(labels, samples_start..self.samples.len());
        Ok(())
    }

    fn push_start_time(&mut self, start_time: Timestamp) {
        if start_time != UNKNOWN || !self.start_times.is_empty() {
            self.start_times.resize(self.samples.len() - 1, UNKNOWN);
            self.start_times.push(start_time);
        }
    }

    /// Where a series says when counting began, its samples need not.
    fn add_created(&mut self, created: i64, samples_start: usize, histograms_start: usize) {
        if created == 0 {
            return;
        }
        let created = Timestamp::from_millis(created);
        self.start_times.resize(self.samples.len(), UNKNOWN);
        for own in &mut self.start_times[samples_start..] {
            if *own == UNKNOWN {
                *own = created;
            }
        }
        for histogram in &mut self.histograms[histograms_start..] {
            if histogram.start_time == UNKNOWN {
                histogram.start_time = created;
            }
        }
    }

    /// An exemplar whose labels refer to nothing has none; what it says of them cannot be known.
    fn read_exemplar_v2(
        &mut self,
        message: &'a [u8],
        symbols: &Symbols<'a>,
    ) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let start = self.gathered.len();
        let mut labels = SpelledLabels::default();
        let (mut value, mut timestamp) = (0, 0);
        while !fields.is_empty() {
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, VARINT | BYTES) => {
                    labels.spell(&mut fields, tag.wire, symbols, &mut self.gathered)?;
                }
                (2, FIXED64) => value = fields.fixed64()?,
                (3, VARINT) => timestamp = fields.varint()?,
                (1..=3, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        if labels.end().is_err() {
            self.gathered.truncate(start);
        }
        let labels = LabelPlace::Gathered(start..self.gathered.len());
        self.push_exemplar(labels, value, timestamp);
        Ok(())
    }
}

/// Of a start time.
const UNKNOWN: Timestamp = Timestamp::from_millis(0);

/// References come in pairs: a name, a value.
#[derive(Debug, Default)]
struct SpelledLabels<'a> {
    name: Option<&'a [u8]>,
    /// The value of `__name__`.
    metric: &'a [u8],
    error: Option<SymbolError>,
}

impl<'a> SpelledLabels<'a> {
    #[inline]
    fn spell(
        &mut self,
        fields: &mut Fields<'_>,
        wire: u8,
        symbols: &Symbols<'a>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        each_reference(fields, wire, |reference| {
            self.take(reference, symbols, bytes);
        })
    }

    #[inline]
    fn take(&mut self, reference: u64, symbols: &Symbols<'a>, bytes: &mut Vec<u8>) {
        match (symbols.get(reference), self.name.take()) {
            (Err(error), _) => self.error = self.error.or(Some(error)),
            (Ok(name), None) => self.name = Some(name),
            (Ok(value), Some(name)) => {
                if name == model::METRIC_NAME.as_bytes() {
                    self.metric = value;
                }
                // Past the bound the request is refused, and need not become larger before.
                if bytes.len() <= symbols.spelled_bytes_max {
                    push_label(bytes, name, value);
                }
            }
        }
    }

    fn end(&self) -> Result<(), SymbolError> {
        match (self.error, self.name) {
            (Some(error), _) => Err(error),
            (None, Some(_)) => Err(SymbolError::Odd),
            (None, None) => Ok(()),
        }
    }
}

/// The run of labels at the front of a series or an exemplar.
fn take_labels<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], WireError> {
    let start = fields.rest();
    while fields.rest().first() == Some(&LABEL_TAG) {
        fields.tag()?;
        fields.bytes()?;
    }
    Ok(&start[..start.len() - fields.rest().len()])
}

/// The sample, and when its counting began.
fn read_sample(message: &[u8]) -> Result<(Sample, Timestamp), WireError> {
    let mut fields = Fields::new(message);
    let (mut value, mut timestamp, mut start_time) = (0, 0, 0);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            // Bits and not a number: a NaN's payload says whether the series is stale.
            (1, FIXED64) => value = fields.fixed64()?,
            (2, VARINT) => timestamp = fields.varint()?,
            (3, VARINT) => start_time = fields.varint()?,
            (1..=3, _) => return Err(WireError::WireType),
            (_, wire) => fields.skip(wire)?,
        }
    }
    let sample = Sample {
        timestamp: Timestamp::from_millis(timestamp.cast_signed()),
        value: f64::from_bits(value),
    };
    Ok((sample, Timestamp::from_millis(start_time.cast_signed())))
}

fn read_metadata(message: &[u8]) -> Result<SentMetadata<'_>, WireError> {
    let mut fields = Fields::new(message);
    let (mut kind, mut metric, mut help, mut unit) = (0, &[][..], &[][..], &[][..]);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, VARINT) => kind = fields.varint()?,
            (2, BYTES) => metric = fields.bytes()?,
            (4, BYTES) => help = fields.bytes()?,
            (5, BYTES) => unit = fields.bytes()?,
            (1 | 2 | 4 | 5, _) => return Err(WireError::WireType),
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok(SentMetadata {
        metric,
        kind: MetricKind::from_wire(kind),
        help,
        unit,
    })
}

type KindHelpUnit<'a> = (MetricKind, &'a [u8], &'a [u8]);

/// A text that is referred to and not there is empty.
fn read_metadata_v2<'a>(
    message: &[u8],
    symbols: &Symbols<'a>,
) -> Result<KindHelpUnit<'a>, WireError> {
    let mut fields = Fields::new(message);
    let (mut kind, mut help, mut unit) = (0, 0, 0);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, VARINT) => kind = fields.varint()?,
            (3, VARINT) => help = fields.varint()?,
            (4, VARINT) => unit = fields.varint()?,
            (1 | 3 | 4, _) => return Err(WireError::WireType),
            (_, wire) => fields.skip(wire)?,
        }
    }
    let text = |reference| symbols.get(reference).unwrap_or_default();
    Ok((MetricKind::from_wire(kind), text(help), text(unit)))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
