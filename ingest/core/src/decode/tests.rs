use std::sync::Arc;

use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint};
use model::protobuf::{WireError, push_bytes, push_time_series, push_varint, zigzag};
use model::{Histogram, Labels, STALE_NAN, SampleValue, Timestamp};
use proptest::prelude::*;

use super::{
    DecodeBounds, DecodeError, FlawKind, HistogramError, PARTS_MAX, Protocol, SymbolError,
    WriteRequest, expand,
};
use crate::label_bytes::{push_labels, read_labels};

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_bytes(&mut bytes, number, content);
    bytes
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_labels(&mut bytes, &Labels::from_pairs([("__name__", name)]));
    bytes
}

fn sample(value: u64, timestamp: i64) -> Vec<u8> {
    let mut bytes = vec![0x09];
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes.push(0x10);
    push_varint(&mut bytes, timestamp as u64);
    field(2, &bytes)
}

/// Each series as `labels timestamp=bits …`.
fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    let request = WriteRequest::read(bytes).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    })?;
    Ok(request
        .series()
        .map(|series| {
            let mut text = read_labels(series.label_bytes).unwrap().to_string();
            for sample in series.samples {
                let millis = sample.timestamp.as_millis();
                text += &format!(" {millis}={:x}", sample.value.to_bits());
            }
            text
        })
        .collect())
}

#[test]
fn reads_series_with_several_samples_and_every_bit_of_a_nan() {
    let one = [labels("a"), sample(STALE_NAN, 15), sample(0, -1)].concat();
    let two = [sample(1, 2), labels("b")].concat();
    let bytes = [field(1, &one), field(1, &two), field(1, &labels("c"))].concat();
    assert_eq!(
        read(&bytes).unwrap(),
        [
            r#"{__name__="a"} 15=7ff0000000000002 -1=0"#,
            r#"{__name__="b"} 2=1"#,
            r#"{__name__="c"}"#
        ]
    );
    assert_eq!(read(&[]).unwrap(), [""; 0]);
}

#[test]
fn labels_that_lie_apart_are_brought_together() {
    let mut more = Vec::new();
    push_labels(&mut more, &Labels::from_pairs([("x", "1")]));
    let series = [labels("a"), sample(1, 2), more.clone(), sample(3, 4), {
        let mut last = Vec::new();
        push_labels(&mut last, &Labels::from_pairs([("y", "2")]));
        last
    }]
    .concat();
    assert_eq!(
        read(&field(1, &series)).unwrap(),
        [r#"{__name__="a", x="1", y="2"} 2=1 4=3"#]
    );
}

#[test]
fn refuses_broken_messages_with_one_reason() {
    let good = field(1, &labels("a"));
    for (bytes, reason) in [
        (
            vec![0x0a, 5, 1],
            "request: message ends in the middle of a field",
        ),
        (vec![0x08, 1], "request: field has the wrong wire type"),
        (vec![0x0b], "request: field has the wrong wire type"),
        (vec![0x02, 0], "request: field number is 0"),
        (
            [good.clone(), field(1, &[0x12, 9])].concat(),
            "request: series 1: message ends in the middle of a field",
        ),
        (
            field(1, &field(2, &[0x08, 1])),
            "request: series 0: field has the wrong wire type",
        ),
    ] {
        assert_eq!(
            read(&bytes),
            Err(format!("body is not a write {reason}")),
            "{bytes:?}"
        );
    }
    assert!(matches!(
        WriteRequest::read(&[0xff; 12]),
        Err(DecodeError::Wire(WireError::Varint))
    ));
}

#[test]
fn an_expanded_size_is_refused_before_it_is_taken() {
    let body = snap::raw::Encoder::new().compress_vec(&[7; 1000]).unwrap();
    let mut expanded = Vec::new();
    expand(&body, 1000, &mut expanded).unwrap();
    assert_eq!(expanded, [7; 1000]);
    assert!(matches!(
        expand(&body, 999, &mut expanded),
        Err(DecodeError::Expanded {
            bytes: 1000,
            max: 999
        })
    ));
    assert!(matches!(
        expand(b"\xff\xff", 1000, &mut expanded),
        Err(DecodeError::Snappy(_))
    ));
}

proptest! {
    #[test]
    fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = WriteRequest::read(&bytes) {
            for series in request.series() {
                let _ = read_labels(series.label_bytes);
            }
        }
        let _ = read_v2(&bytes, 1 << 16);
        let _ = expand(&bytes, 1 << 16, &mut Vec::new());
    }
}

/// Histograms as `field number, varint or double`, in an order of their own.
fn histogram(fields: &[(u8, Wire<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        match value {
            Wire::Signed(value) => {
                push_varint(&mut bytes, u64::from(*number) << 3);
                push_varint(&mut bytes, zigzag(*value));
            }
            Wire::Plain(value) => {
                push_varint(&mut bytes, u64::from(*number) << 3);
                push_varint(&mut bytes, *value);
            }
            Wire::Double(value) => {
                push_varint(&mut bytes, u64::from(*number) << 3 | 1);
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            Wire::Span(offset, length) => {
                let mut span = vec![8];
                push_varint(&mut span, zigzag(*offset));
                span.push(16);
                push_varint(&mut span, *length);
                push_bytes(&mut bytes, *number, &span);
            }
            Wire::Deltas(deltas) => {
                let mut packed = Vec::new();
                for delta in *deltas {
                    push_varint(&mut packed, zigzag(*delta));
                }
                push_bytes(&mut bytes, *number, &packed);
            }
        }
    }
    bytes
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Signed(i64),
    Plain(u64),
    Double(f64),
    Span(i64, u64),
    Deltas(&'a [i64]),
}

#[test]
fn histograms_are_checked_as_prometheus_checks_them() {
    use Wire::{Deltas, Double, Plain, Signed, Span};
    let sound = [
        (1, Plain(4)),
        (4, Signed(0)),
        (11, Span(0, 2)),
        (12, Deltas(&[1, 2])),
    ];
    let custom = [
        (1, Plain(4)),
        (4, Signed(-53)),
        (11, Span(0, 2)),
        (12, Deltas(&[1, 2])),
        (16, Double(5.0)),
    ];
    for (base, change, outcome) in [
        (&sound[..], &[][..], None),
        (&sound, &[(4, Signed(9))], None),
        (&sound, &[(4, Signed(52))], None),
        (&sound, &[(4, Signed(53))], Some(HistogramError::Schema)),
        (&sound, &[(4, Signed(-5))], Some(HistogramError::Schema)),
        (
            &sound,
            &[(4, Signed(1 << 40))],
            Some(HistogramError::Schema),
        ),
        (
            &sound,
            &[(1, Plain(5))],
            Some(HistogramError::CountMismatch),
        ),
        (&sound, &[(1, Plain(5)), (3, Double(f64::NAN))], None),
        (
            &sound,
            &[(1, Plain(3)), (3, Double(f64::NAN))],
            Some(HistogramError::CountTooSmall),
        ),
        (
            &sound,
            &[(11, Span(1, 1))],
            Some(HistogramError::SpanLength),
        ),
        (
            &sound,
            &[(11, Span(0, u64::MAX))],
            Some(HistogramError::SpanLength),
        ),
        (
            &sound,
            &[(11, Span(-1, 1)), (12, Deltas(&[0])), (1, Plain(7))],
            Some(HistogramError::SpanOffset),
        ),
        (
            &sound,
            &[(11, Span(1 << 40, 1)), (12, Deltas(&[0])), (1, Plain(7))],
            Some(HistogramError::Index),
        ),
        (
            &sound,
            &[(8, Span(0, 1)), (9, Deltas(&[-1]))],
            Some(HistogramError::NegativeBucket),
        ),
        (
            &sound,
            &[(5, Double(f64::NAN))],
            Some(HistogramError::ZeroThreshold),
        ),
        (
            &sound,
            &[(16, Double(1.0))],
            Some(HistogramError::UnexpectedBounds),
        ),
        (
            &sound,
            &[(2, Double(-1.0)), (13, Double(0.0)), (13, Double(0.0))],
            Some(HistogramError::NegativeCount),
        ),
        (
            &sound,
            &[(2, Double(1.0))],
            Some(HistogramError::SpanLength),
        ),
        (&custom, &[], None),
        (&custom, &[(16, Double(6.0))], None),
        (
            &custom,
            &[(16, Double(5.0))],
            Some(HistogramError::CustomBounds),
        ),
        (
            &custom,
            &[(16, Double(f64::INFINITY))],
            Some(HistogramError::CustomBounds),
        ),
        (
            &custom,
            &[(6, Plain(1))],
            Some(HistogramError::CustomZeroCount),
        ),
        (
            &custom,
            &[(5, Double(0.1))],
            Some(HistogramError::CustomZeroThreshold),
        ),
        (
            &custom,
            &[(8, Span(0, 1)), (9, Deltas(&[0]))],
            Some(HistogramError::CustomNegative),
        ),
        (
            &custom,
            &[(11, Span(0, 1)), (12, Deltas(&[0])), (1, Plain(7))],
            Some(HistogramError::SpanLength),
        ),
    ] {
        let all: Vec<_> = base.iter().chain(change).copied().collect();
        let series = [labels("h"), field(4, &histogram(&all))].concat();
        let bytes = field(1, &series);
        let request = WriteRequest::read(&bytes).unwrap();
        let own = request.series().next().unwrap().histograms;
        let error = own[0].histogram.as_ref().err().copied();
        let place = all.len() - base.len();
        assert_eq!(
            error,
            outcome,
            "{place} changed, the last field is {}",
            all[all.len() - 1].0
        );
    }
}

#[test]
fn finer_schemas_are_made_coarser() {
    let fine = [
        (1, Wire::Plain(4)),
        (4, Wire::Signed(52)),
        (11, Wire::Span(0, 2)),
        (12, Wire::Deltas(&[1, 2])),
    ];
    let bytes = field(1, &[labels("h"), field(4, &histogram(&fine))].concat());
    let request = WriteRequest::read(&bytes).unwrap();
    let own = request.series().next().unwrap().histograms;
    let histogram = own[0].histogram.as_ref().unwrap();
    assert_eq!(histogram.schema, 8);
    let buckets: Vec<_> = histogram
        .positive
        .iter()
        .map(|own| (own.index, own.count))
        .collect();
    assert_eq!(buckets, [(0, 1.0), (1, 3.0)]);
}

/// Symbols, and series of references with one sample each.
fn request_2(symbols: &[&str], series: &[&[u64]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for references in series {
        let mut packed = Vec::new();
        for reference in *references {
            push_varint(&mut packed, *reference);
        }
        let series = [field(1, &packed), sample(1, 2)].concat();
        push_bytes(&mut bytes, 5, &series);
    }
    for symbol in symbols {
        push_bytes(&mut bytes, 4, symbol.as_bytes());
    }
    bytes
}

fn read_v2(bytes: &[u8], label_bytes_max: usize) -> Result<WriteRequest<'_>, DecodeError> {
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max,
    };
    WriteRequest::read_within(Protocol::V2, bytes, &bounds)
}

#[test]
fn references_that_lead_nowhere_leave_their_series_out() {
    let bytes = request_2(
        &["", "__name__", "up", "down"],
        &[&[1, 2], &[1, 4], &[1, 2, 0], &[1, 3], &[1, 9]],
    );
    let request = read_v2(&bytes, 1000).unwrap();
    let names: Vec<_> = request
        .series()
        .map(|own| read_labels(own.label_bytes).unwrap().to_string())
        .collect();
    assert_eq!(names, ["{__name__=\"up\"}", "{__name__=\"down\"}"]);
    assert_eq!(request.samples_len(), 2);
    let flaws: Vec<_> = request
        .flaws
        .iter()
        .map(|flaw| (flaw.kind, flaw.series, flaw.first.as_str()))
        .collect();
    assert_eq!(
        flaws,
        [
            (FlawKind::Symbols(SymbolError::Outside), 2, "{}"),
            (FlawKind::Symbols(SymbolError::Odd), 1, "{__name__=\"up\"}"),
        ]
    );
}

#[test]
fn few_bytes_do_not_become_many() {
    let long = "x".repeat(1000);
    let references: Vec<u64> = [0, 1].repeat(100);
    let bytes = request_2(&["a", &long], &[&references]);
    assert!(bytes.len() < 1300);
    assert!(matches!(
        read_v2(&bytes, 50_000),
        Err(DecodeError::Labels { max: 50_000 })
    ));
    read_v2(&bytes, 200_000).unwrap();
    // Each of two bytes, in one series and in many.
    let many = |tag: u8, count: usize| [tag, 0].repeat(count);
    let symbols = many(0x22, 1000);
    let room = 1000 * size_of::<&[u8]>();
    read_v2(&symbols, room).unwrap();
    assert!(matches!(
        read_v2(&symbols, room - 1),
        Err(DecodeError::Labels { .. })
    ));
    for tag in [0x1a, 0x22] {
        let series = field(1, &many(tag, 2 * PARTS_MAX));
        let outcome = WriteRequest::read(&series);
        assert!(matches!(outcome, Err(DecodeError::Parts)), "{tag:x}");
    }
    for tag in [0x0a, 0x1a] {
        let outcome = WriteRequest::read(&many(tag, PARTS_MAX + 1)).map(|_| ());
        assert!(matches!(outcome, Err(DecodeError::Parts)), "{tag:x}");
    }
    let bounds = DecodeBounds {
        samples_max: 10,
        label_bytes_max: 0,
    };
    let series = field(1, &[labels("a"), many(0x12, 1000)].concat());
    let request = WriteRequest::read_within(Protocol::V1, &series, &bounds).unwrap();
    assert_eq!(request.samples_len(), 1000, "so that it is refused");
    assert_eq!(request.series().next().unwrap().samples.len(), 11);
}

#[test]
fn what_we_send_ourselves_is_what_we_read() {
    let bucket = |index, count| Bucket { index, count };
    let exponential = Histogram {
        reset_hint: ResetHint::Gauge,
        schema: 3,
        zero_threshold: 0.25,
        zero_count: 0.5,
        count: 9.5,
        sum: -7.25,
        positive: vec![bucket(-4, 1.0), bucket(-3, 2.0), bucket(9, 1.5)],
        negative: vec![bucket(0, 4.5)],
        ..Histogram::default()
    };
    let custom = Histogram {
        schema: CUSTOM_BUCKETS,
        count: 3.5,
        sum: 1.0,
        positive: vec![bucket(1, 3.5)],
        custom_values: [0.1, 2.5].into(),
        ..Histogram::default()
    };
    let mut bytes = Vec::new();
    let at = Timestamp::from_millis(1234);
    for histogram in [&exponential, &custom] {
        let value = SampleValue::Histogram(Arc::new(histogram.clone()));
        push_time_series(&mut bytes, [("__name__", "h")], at, &value);
    }
    let request = WriteRequest::read(&bytes).unwrap();
    let read: Vec<&Histogram> = request
        .series()
        .flat_map(|series| series.histograms)
        .map(|sent| {
            assert_eq!(sent.timestamp, at);
            sent.histogram.as_ref().unwrap()
        })
        .collect();
    assert_eq!(read, [&exponential, &custom]);
}
