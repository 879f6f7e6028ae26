//! Remote write's messages as prost reads and writes them: what the decoder is held against.
use model::histogram::{Bucket, ResetHint};
use model::{Labels, Timestamp};
use proptest::prelude::*;
use prost::Message;

use super::{DecodeBounds, DecodeError, HistogramForm, Protocol, WriteRequest};
use crate::label_bytes::read_label_set;
use crate::metric_kind::MetricKind;

#[derive(Clone, PartialEq, Message)]
struct Request1 {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series1>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata1>,
}

#[derive(Clone, PartialEq, Message)]
struct Series1 {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WireSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar1>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<WireHistogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// 1.0 has no start time.
#[derive(Clone, PartialEq, Message)]
struct WireSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar1 {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata1 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric_family_name: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct Request2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<Series2>,
}

#[derive(Clone, PartialEq, Message)]
struct Series2 {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WireSample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<WireHistogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar2>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata2>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar2 {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata2 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WireHistogram {
    #[prost(oneof = "Count", tags = "1, 2")]
    count: Option<Count>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    start_timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Count {
    #[prost(uint64, tag = "1")]
    Integer(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ZeroCount {
    #[prost(uint64, tag = "6")]
    Integer(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

const SYMBOLS: u32 = 8;

fn text() -> impl Strategy<Value = String> {
    "[a-zé]{1,5}"
}

/// No NaN, so that what was read can be compared.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::INFINITY), -1e9_f64..1e9]
}

fn sample() -> impl Strategy<Value = WireSample> {
    (number(), any::<i64>(), prop_oneof![Just(0), any::<i64>()]).prop_map(
        |(value, timestamp, start_timestamp)| WireSample {
            value,
            timestamp,
            start_timestamp,
        },
    )
}

/// Of either form, with exponential buckets. Spans fit the counts.
fn histogram() -> impl Strategy<Value = WireHistogram> {
    let side = || {
        prop::collection::vec(
            (-50..50_i32, prop::collection::vec(0..1000_u32, 0..4)),
            0..3,
        )
    };
    (
        any::<bool>(),
        -4..=8,
        side(),
        side(),
        0..100_u32,
        0..4,
        any::<i64>(),
    )
        .prop_map(
            |(is_float, schema, negative, positive, zero, reset_hint, timestamp)| {
                let spans = |side: &[(i32, Vec<u32>)]| -> Vec<WireSpan> {
                    let span = |(place, (offset, counts)): (usize, &(i32, Vec<u32>))| WireSpan {
                        offset: if place == 0 { *offset } else { offset.abs() },
                        length: counts.len() as u32,
                    };
                    side.iter().enumerate().map(span).collect()
                };
                let counts = |side: &[(i32, Vec<u32>)]| -> Vec<u32> {
                    side.iter().flat_map(|(_, counts)| counts.clone()).collect()
                };
                let deltas = |counts: &[u32]| -> Vec<i64> {
                    let before = std::iter::once(0).chain(counts.iter().copied());
                    let pairs = counts.iter().zip(before);
                    pairs
                        .map(|(count, before)| i64::from(*count) - i64::from(before))
                        .collect()
                };
                let (low, high) = (counts(&negative), counts(&positive));
                let count: u32 = low.iter().chain(&high).sum::<u32>() + zero;
                let floats =
                    |counts: &[u32]| counts.iter().map(|count| f64::from(*count)).collect();
                let mut wire = WireHistogram {
                    sum: f64::from(count) * 1.5,
                    schema,
                    zero_threshold: 0.001,
                    negative_spans: spans(&negative),
                    positive_spans: spans(&positive),
                    reset_hint,
                    timestamp,
                    ..WireHistogram::default()
                };
                if is_float {
                    wire.count = Some(Count::Float(f64::from(count)));
                    wire.zero_count = Some(ZeroCount::Float(f64::from(zero)));
                    wire.negative_counts = floats(&low);
                    wire.positive_counts = floats(&high);
                } else {
                    wire.count = Some(Count::Integer(u64::from(count)));
                    wire.zero_count = Some(ZeroCount::Integer(u64::from(zero)));
                    wire.negative_deltas = deltas(&low);
                    wire.positive_deltas = deltas(&high);
                }
                wire
            },
        )
}

fn label_set() -> impl Strategy<Value = Vec<Label>> {
    prop::collection::btree_map(text(), text(), 1..4).prop_map(|pairs| {
        let label = |(name, value)| Label { name, value };
        pairs.into_iter().map(label).collect()
    })
}

fn request_1() -> impl Strategy<Value = Request1> {
    let exemplar =
        (label_set(), number(), any::<i64>()).prop_map(|(labels, value, timestamp)| Exemplar1 {
            labels,
            value,
            timestamp,
        });
    let series = (
        label_set(),
        prop::collection::vec(sample(), 0..3),
        prop::collection::vec(exemplar, 0..3),
        prop::collection::vec(histogram(), 0..3),
    )
        .prop_map(|(labels, samples, exemplars, histograms)| Series1 {
            labels,
            samples,
            exemplars,
            histograms,
        });
    let metadata =
        (0..9, text(), text(), text()).prop_map(|(kind, metric_family_name, help, unit)| {
            Metadata1 {
                kind,
                metric_family_name,
                help,
                unit,
            }
        });
    (
        prop::collection::vec(series, 0..4),
        prop::collection::vec(metadata, 0..3),
    )
        .prop_map(|(series, metadata)| Request1 { series, metadata })
}

fn request_2() -> impl Strategy<Value = Request2> {
    let references = || {
        // Names differ, so that the labels are a set.
        prop::collection::btree_map(0..SYMBOLS, 0..SYMBOLS, 1..4).prop_map(|pairs| {
            pairs
                .into_iter()
                .flat_map(|(name, value)| [name, value])
                .collect()
        })
    };
    let exemplar =
        (references(), number(), any::<i64>()).prop_map(|(labels_refs, value, timestamp)| {
            Exemplar2 {
                labels_refs,
                value,
                timestamp,
            }
        });
    let metadata =
        (0..9, 0..SYMBOLS, 0..SYMBOLS).prop_map(|(kind, help_ref, unit_ref)| Metadata2 {
            kind,
            help_ref,
            unit_ref,
        });
    let series = (
        references(),
        prop::collection::vec(sample(), 1..3),
        prop::collection::vec(histogram(), 0..3),
        prop::collection::vec(exemplar, 0..3),
        prop::option::of(metadata),
        prop_oneof![Just(0), any::<i64>()],
    )
        .prop_map(
            |(labels_refs, samples, histograms, exemplars, metadata, created_timestamp)| Series2 {
                labels_refs,
                samples,
                histograms,
                exemplars,
                metadata,
                created_timestamp,
            },
        );
    (
        prop::collection::vec(text(), SYMBOLS as usize),
        prop::collection::vec(series, 0..4),
    )
        .prop_map(|(symbols, series)| {
            // A symbol of its own for each name.
            let number = |(place, symbol)| format!("{symbol}{place}");
            let symbols = symbols.into_iter().enumerate().map(number).collect();
            Request2 { symbols, series }
        })
}

fn set(labels: &[Label]) -> Labels {
    Labels::from_pairs(labels.iter().map(|label| (&label.name, &label.value)))
}

fn spelled(symbols: &[String], references: &[u32]) -> Labels {
    let symbol = |reference: &u32| symbols[*reference as usize].as_str();
    Labels::from_pairs(
        references
            .chunks(2)
            .map(|pair| (symbol(&pair[0]), symbol(&pair[1]))),
    )
}

fn read_v2(bytes: &[u8], label_bytes_max: usize) -> Result<WriteRequest<'_>, DecodeError> {
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max,
    };
    WriteRequest::read_within(Protocol::V2, bytes, &bounds)
}

/// Absolute counts by index, computed the plain way.
fn buckets(spans: &[WireSpan], counts: &[f64], deltas: &[i64]) -> Vec<Bucket> {
    let mut running = 0;
    let absolute = deltas.iter().map(|delta| {
        running += delta;
        running as f64
    });
    let counts: Vec<f64> = counts.iter().copied().chain(absolute).collect();
    let mut counts = counts.into_iter();
    let mut index = 0;
    let mut all = Vec::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            all.push(Bucket {
                index,
                count: counts.next().unwrap(),
            });
            index += 1;
        }
    }
    all
}

fn assert_histograms(
    request: &WriteRequest<'_>,
    place: usize,
    sent: &[WireHistogram],
    created: i64,
) {
    let own = request.series().nth(place).unwrap().histograms;
    assert_eq!(own.len(), sent.len());
    for (own, sent) in own.iter().zip(sent) {
        let start = match sent.start_timestamp {
            0 => created,
            start => start,
        };
        assert_eq!(own.timestamp.as_millis(), sent.timestamp);
        assert_eq!(own.start_time.as_millis(), start);
        let histogram = own.histogram.as_ref().unwrap();
        let (form, count) = match sent.count {
            Some(Count::Float(count)) => (HistogramForm::Float, count),
            Some(Count::Integer(count)) => (HistogramForm::Integer, count as f64),
            None => (HistogramForm::Integer, 0.0),
        };
        let zero = match sent.zero_count {
            Some(ZeroCount::Float(count)) => count,
            Some(ZeroCount::Integer(count)) => count as f64,
            None => 0.0,
        };
        assert_eq!((own.form, histogram.count), (form, count));
        assert_eq!(histogram.zero_count, zero);
        assert_eq!(histogram.zero_threshold, sent.zero_threshold);
        assert_eq!((histogram.schema, histogram.sum), (sent.schema, sent.sum));
        let hints = [
            ResetHint::Unknown,
            ResetHint::Reset,
            ResetHint::NotReset,
            ResetHint::Gauge,
        ];
        assert_eq!(histogram.reset_hint, hints[sent.reset_hint as usize]);
        let low = buckets(
            &sent.negative_spans,
            &sent.negative_counts,
            &sent.negative_deltas,
        );
        let high = buckets(
            &sent.positive_spans,
            &sent.positive_counts,
            &sent.positive_deltas,
        );
        assert_eq!((&histogram.negative, &histogram.positive), (&low, &high));
    }
}

fn assert_samples(
    request: &WriteRequest<'_>,
    place: usize,
    sent: &[WireSample],
    created: Option<i64>,
) {
    let own = request.series().nth(place).unwrap();
    let samples = own.samples.iter();
    let samples: Vec<_> = samples
        .map(|sample| (sample.value, sample.timestamp.as_millis()))
        .collect();
    let expected: Vec<_> = sent
        .iter()
        .map(|sample| (sample.value, sample.timestamp))
        .collect();
    assert_eq!(samples, expected);
    let Some(created) = created else {
        return;
    };
    for (place, sent) in sent.iter().enumerate() {
        let start = own.start_times.get(place).copied();
        let start = start.unwrap_or(Timestamp::from_millis(0)).as_millis();
        let expected = match sent.start_timestamp {
            0 => created,
            start => start,
        };
        assert_eq!(start, expected);
    }
}

/// Series place, labels, value, time.
type PlainExemplar = (usize, Labels, f64, i64);

fn exemplars(request: &WriteRequest<'_>) -> Vec<PlainExemplar> {
    let plain = |own: super::SentExemplar<'_>| {
        let labels = read_label_set(own.label_bytes).unwrap();
        (own.series, labels, own.value, own.timestamp.as_millis())
    };
    request.exemplars().map(plain).collect()
}

proptest! {
    #[test]
    fn what_prost_writes_as_1_0_is_read(wire in request_1()) {
        let bytes = wire.encode_to_vec();
        let request = WriteRequest::read(&bytes).unwrap();
        prop_assert_eq!(request.protocol, Protocol::V1);
        prop_assert_eq!(request.series().len(), wire.series.len());
        for (place, (own, sent)) in request.series().zip(&wire.series).enumerate() {
            prop_assert_eq!(read_label_set(own.label_bytes).unwrap(), set(&sent.labels));
            assert_samples(&request, place, &sent.samples, None);
            assert_histograms(&request, place, &sent.histograms, 0);
        }
        let sent: Vec<PlainExemplar> = wire
            .series
            .iter()
            .enumerate()
            .flat_map(|(place, series)| {
                series.exemplars.iter().map(move |exemplar| {
                    (place, set(&exemplar.labels), exemplar.value, exemplar.timestamp)
                })
            })
            .collect();
        prop_assert_eq!(exemplars(&request), sent);
        prop_assert_eq!(request.metadata.len(), wire.metadata.len());
        for (own, sent) in request.metadata.iter().zip(&wire.metadata) {
            prop_assert_eq!(own.metric, sent.metric_family_name.as_bytes());
            prop_assert_eq!(own.kind, MetricKind::from_wire(sent.kind as u64));
            prop_assert_eq!((own.help, own.unit), (sent.help.as_bytes(), sent.unit.as_bytes()));
        }
    }

    #[test]
    fn what_prost_writes_as_2_0_is_read(wire in request_2()) {
        let bytes = wire.encode_to_vec();
        let request = read_v2(&bytes, 1 << 20).unwrap();
        prop_assert_eq!(request.protocol, Protocol::V2);
        prop_assert_eq!(&request.flaws, &[]);
        prop_assert_eq!(request.series().len(), wire.series.len());
        for (place, (own, sent)) in request.series().zip(&wire.series).enumerate() {
            let labels = spelled(&wire.symbols, &sent.labels_refs);
            prop_assert_eq!(read_label_set(own.label_bytes).unwrap(), labels);
            assert_samples(&request, place, &sent.samples, Some(sent.created_timestamp));
            assert_histograms(&request, place, &sent.histograms, sent.created_timestamp);
        }
        let sent: Vec<PlainExemplar> = wire
            .series
            .iter()
            .enumerate()
            .flat_map(|(place, series)| {
                let symbols = &wire.symbols;
                series.exemplars.iter().map(move |exemplar| {
                    let labels = spelled(symbols, &exemplar.labels_refs);
                    (place, labels, exemplar.value, exemplar.timestamp)
                })
            })
            .collect();
        prop_assert_eq!(exemplars(&request), sent);
        let metadata: Vec<_> = wire.series.iter().filter_map(|series| series.metadata.as_ref()).collect();
        prop_assert_eq!(request.metadata.len(), metadata.len());
        for (own, sent) in request.metadata.iter().zip(metadata) {
            prop_assert_eq!(own.kind, MetricKind::from_wire(sent.kind as u64));
            prop_assert_eq!(own.help, wire.symbols[sent.help_ref as usize].as_bytes());
            prop_assert_eq!(own.unit, wire.symbols[sent.unit_ref as usize].as_bytes());
        }
    }

    /// A message that is cut anywhere, or has a byte of its own changed, is read or refused.
    #[test]
    fn damaged_requests_do_no_harm(wire in request_2(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = wire.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let place = place.index(bytes.len());
        let _ = read_v2(&bytes[..place], 1 << 20);
        bytes[place] = byte;
        for request in [read_v2(&bytes, 1 << 20), WriteRequest::read(&bytes)].into_iter().flatten() {
            let _ = exemplars_len(&request);
        }
    }
}

fn exemplars_len(request: &WriteRequest<'_>) -> usize {
    let labels = request
        .exemplars()
        .map(|own| read_label_set(own.label_bytes));
    labels.filter(Result::is_ok).count()
        + request
            .series()
            .map(|own| own.histograms.len())
            .sum::<usize>()
}
