//! A sender that says more than samples: messages of remote write 1.0 and 2.0 with exemplars, native histograms, metadata
//! and start times, right or wrong.
use std::collections::BTreeMap;

use model::protobuf::{push_bytes, push_varint, zigzag};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What a series of a message may hold.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    Sample {
        value: f64,
        millis: i64,
    },
    /// Of 2.0.
    SampleFrom {
        value: f64,
        millis: i64,
        start_millis: i64,
    },
    /// A histogram's message.
    Histogram(Vec<u8>),
    Exemplar {
        labels: Pairs<'a>,
        value: f64,
        millis: i64,
    },
    /// Of 2.0.
    Metadata {
        kind: u64,
        help: &'a str,
        unit: &'a str,
    },
    /// Of earlier senders of 2.0.
    Created {
        millis: i64,
    },
}

/// A `prometheus.WriteRequest` that grows.
#[derive(Debug, Default)]
pub struct Message1 {
    bytes: Vec<u8>,
}

impl Message1 {
    /// Labels as they are given, sorted or not.
    #[must_use]
    pub fn series(mut self, labels: Pairs<'_>, parts: &[Part<'_>]) -> Self {
        let mut series = Vec::new();
        push_labels(&mut series, labels);
        for part in parts {
            match part {
                Part::Sample { value, millis } | Part::SampleFrom { value, millis, .. } => {
                    push_bytes(&mut series, 2, &sample(*value, *millis, None));
                }
                Part::Histogram(histogram) => push_bytes(&mut series, 4, histogram),
                Part::Exemplar {
                    labels,
                    value,
                    millis,
                } => {
                    let mut exemplar = Vec::new();
                    push_labels(&mut exemplar, labels);
                    push_double(&mut exemplar, 2, *value);
                    push_number(&mut exemplar, 3, millis.cast_unsigned());
                    push_bytes(&mut series, 3, &exemplar);
                }
                Part::Metadata { .. } | Part::Created { .. } => {}
            }
        }
        push_bytes(&mut self.bytes, 1, &series);
        self
    }

    #[must_use]
    pub fn metadata(mut self, metric: &str, kind: u64, help: &str, unit: &str) -> Self {
        let mut metadata = Vec::new();
        push_number(&mut metadata, 1, kind);
        push_bytes(&mut metadata, 2, metric.as_bytes());
        push_bytes(&mut metadata, 4, help.as_bytes());
        push_bytes(&mut metadata, 5, unit.as_bytes());
        push_bytes(&mut self.bytes, 3, &metadata);
        self
    }

    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        snappy(&self.bytes)
    }
}

/// An `io.prometheus.write.v2.Request` that grows.
#[derive(Debug)]
pub struct Message2 {
    symbols: Vec<String>,
    places: BTreeMap<String, u64>,
    series: Vec<u8>,
}

impl Default for Message2 {
    /// The table of symbols begins with the empty one.
    fn default() -> Self {
        Self {
            symbols: vec![String::new()],
            places: BTreeMap::from([(String::new(), 0)]),
            series: Vec::new(),
        }
    }
}

impl Message2 {
    #[must_use]
    pub fn series(mut self, labels: Pairs<'_>, parts: &[Part<'_>]) -> Self {
        let references = self.references(labels);
        self.series_of(&references, parts)
    }

    /// With references of its own.
    #[must_use]
    pub fn series_of(mut self, references: &[u64], parts: &[Part<'_>]) -> Self {
        let mut series = Vec::new();
        push_packed(&mut series, references);
        for part in parts {
            match part {
                Part::Sample { value, millis } => {
                    push_bytes(&mut series, 2, &sample(*value, *millis, None));
                }
                Part::SampleFrom {
                    value,
                    millis,
                    start_millis,
                } => {
                    let sample = sample(*value, *millis, Some(*start_millis));
                    push_bytes(&mut series, 2, &sample);
                }
                Part::Histogram(histogram) => push_bytes(&mut series, 3, histogram),
                Part::Exemplar {
                    labels,
                    value,
                    millis,
                } => {
                    let references = self.references(labels);
                    let mut exemplar = Vec::new();
                    push_packed(&mut exemplar, &references);
                    push_double(&mut exemplar, 2, *value);
                    push_number(&mut exemplar, 3, millis.cast_unsigned());
                    push_bytes(&mut series, 4, &exemplar);
                }
                Part::Metadata { kind, help, unit } => {
                    let mut metadata = Vec::new();
                    push_number(&mut metadata, 1, *kind);
                    push_number(&mut metadata, 3, self.symbol(help));
                    push_number(&mut metadata, 4, self.symbol(unit));
                    push_bytes(&mut series, 5, &metadata);
                }
                Part::Created { millis } => push_number(&mut series, 6, millis.cast_unsigned()),
            }
        }
        push_bytes(&mut self.series, 5, &series);
        self
    }

    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for symbol in &self.symbols {
            push_bytes(&mut bytes, 4, symbol.as_bytes());
        }
        bytes.extend_from_slice(&self.series);
        snappy(&bytes)
    }

    fn references(&mut self, labels: Pairs<'_>) -> Vec<u64> {
        let texts = labels.iter().flat_map(|(name, value)| [*name, *value]);
        texts.map(|text| self.symbol(text)).collect()
    }

    fn symbol(&mut self, text: &str) -> u64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.symbols.len() as u64;
        self.symbols.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

/// A histogram's message: integers, exponential buckets from index 0 on, a zero bucket with one observation.
#[must_use]
pub fn integer_histogram(millis: i64, counts: &[u64]) -> Vec<u8> {
    let mut message = Vec::new();
    push_number(&mut message, 1, counts.iter().sum::<u64>() + 1);
    push_double(&mut message, 3, 18.4);
    push_number(&mut message, 4, zigzag(1));
    push_double(&mut message, 5, 0.001);
    push_number(&mut message, 6, 1);
    push_bytes(&mut message, 11, &span(0, counts.len() as u64));
    let mut deltas = Vec::new();
    let mut before = 0;
    for count in counts {
        push_varint(&mut deltas, zigzag(count.cast_signed() - before));
        before = count.cast_signed();
    }
    push_bytes(&mut message, 12, &deltas);
    push_number(&mut message, 15, millis.cast_unsigned());
    message
}

/// A histogram's message: floats, buckets with the given upper bounds and one beyond.
#[must_use]
pub fn custom_histogram(millis: i64, bounds: &[f64], counts: &[f64]) -> Vec<u8> {
    let mut message = Vec::new();
    push_double(&mut message, 2, counts.iter().sum());
    push_double(&mut message, 3, 18.4);
    push_number(&mut message, 4, zigzag(-53));
    push_bytes(&mut message, 11, &span(0, counts.len() as u64));
    let doubles = |values: &[f64]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    push_bytes(&mut message, 13, &doubles(counts));
    push_number(&mut message, 15, millis.cast_unsigned());
    // Field 16 takes two bytes of tag.
    let bounds = doubles(bounds);
    push_varint(&mut message, 16 << 3 | 2);
    push_varint(&mut message, bounds.len() as u64);
    message.extend(bounds);
    message
}

fn span(offset: i64, length: u64) -> Vec<u8> {
    let mut span = Vec::new();
    push_number(&mut span, 1, zigzag(offset));
    push_number(&mut span, 2, length);
    span
}

fn push_labels(message: &mut Vec<u8>, labels: Pairs<'_>) {
    for (name, value) in labels {
        let mut label = Vec::new();
        push_bytes(&mut label, 1, name.as_bytes());
        push_bytes(&mut label, 2, value.as_bytes());
        push_bytes(message, 1, &label);
    }
}

fn sample(value: f64, millis: i64, start_millis: Option<i64>) -> Vec<u8> {
    let mut sample = Vec::new();
    push_double(&mut sample, 1, value);
    push_number(&mut sample, 2, millis.cast_unsigned());
    if let Some(start) = start_millis {
        push_number(&mut sample, 3, start.cast_unsigned());
    }
    sample
}

fn push_packed(message: &mut Vec<u8>, references: &[u64]) {
    let mut packed = Vec::new();
    for reference in references {
        push_varint(&mut packed, *reference);
    }
    push_bytes(message, 1, &packed);
}

fn push_number(message: &mut Vec<u8>, field: u8, number: u64) {
    message.push(field << 3);
    push_varint(message, number);
}

fn push_double(message: &mut Vec<u8>, field: u8, value: f64) {
    message.push(field << 3 | 1);
    message.extend(value.to_le_bytes());
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .expect("a request is far below snappy's 4 GiB")
}
