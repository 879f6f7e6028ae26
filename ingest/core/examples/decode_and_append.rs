//! Prints how fast requests of 2,000 series with 10 labels are expanded, decoded, admitted and kept, one sample a
//! series and request: `cargo run --release -p watchbell-ingest-core --example decode_and_append`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
use std::time::{Duration, Instant};

use model::protobuf::{push_bytes, push_time_series, push_varint};
use model::{SampleValue, Timestamp};
use watchbell_ingest_core::{DecodeBounds, Head, Limits, Protocol, WriteRequest, expand};

const SERIES: usize = 2000;
const REQUESTS: i64 = 240;

fn main() {
    let bodies: Vec<Vec<u8>> = (0..REQUESTS).map(body).collect();
    let now = Timestamp::from_secs(1_700_000_000 + REQUESTS * 15);
    let mut head = Head::new(Limits::default(), 1);
    let mut expanded = Vec::new();
    let mut log_bytes = 0;
    let mut first = Duration::ZERO;
    let [mut expanding, mut decoding, mut staging, mut committing] = [Duration::ZERO; 4];
    let start = now_instant();
    for (number, body) in bodies.iter().enumerate() {
        let begun = now_instant();
        expand(body, 32 << 20, &mut expanded).expect("the body is sound");
        expanding += begun.elapsed();
        let request = WriteRequest::read(&expanded).expect("the body is sound");
        let decoded = now_instant();
        decoding += decoded - begun;
        let (staged, records) = head.stage(&request, now).expect("the samples are in order");
        log_bytes += records
            .iter()
            .map(|(_, payload)| payload.len())
            .sum::<usize>();
        let admitted = now_instant();
        staging += admitted - decoded;
        head.commit(staged);
        committing += admitted.elapsed();
        if number == 0 {
            first = begun.elapsed();
        }
    }
    let all = start.elapsed();
    let samples = SERIES * REQUESTS as usize;
    let per_second = |samples: usize, time: Duration| samples as f64 / time.as_secs_f64() / 1e6;
    println!(
        "body: {} bytes, {} expanded",
        bodies[0].len(),
        expanded.len()
    );
    println!(
        "all:            {:6.2} M samples/s",
        per_second(samples, all)
    );
    println!(
        "  known series: {:6.2} M samples/s",
        per_second(samples - SERIES, all - first)
    );
    println!("  new series:   {:6.2} M/s", per_second(SERIES, first));
    println!(
        "  expand:       {:6.2} M samples/s",
        per_second(samples, expanding)
    );
    println!(
        "  decode:       {:6.2} M samples/s",
        per_second(samples, decoding - expanding)
    );
    println!(
        "  stage:        {:6.2} M samples/s",
        per_second(samples, staging)
    );
    println!(
        "  commit:       {:6.2} M samples/s",
        per_second(samples, committing)
    );
    println!("log: {:.2} bytes/sample", log_bytes as f64 / samples as f64);
    println!(
        "decode of 2.0:  {:6.2} M samples/s",
        per_second(samples, decoding_of_2())
    );
}

/// The same series in the message of 2.0.
fn decoding_of_2() -> Duration {
    let bounds = DecodeBounds {
        samples_max: usize::MAX,
        label_bytes_max: usize::MAX,
    };
    let mut decoding = Duration::ZERO;
    let message = message_of_2();
    for _ in 0..REQUESTS {
        let begun = now_instant();
        let request = WriteRequest::read_within(Protocol::V2, &message, &bounds);
        let request = request.expect("the message is sound");
        decoding += begun.elapsed();
        assert_eq!(request.samples_len(), SERIES);
    }
    decoding
}

fn message_of_2() -> Vec<u8> {
    let mut symbols: Vec<String> = vec![String::new()];
    let mut series_bytes = Vec::new();
    for series in 0..SERIES {
        let mut references = Vec::new();
        for (name, value) in labels(series) {
            for text in [name.to_owned(), value] {
                let known = symbols.iter().position(|symbol| *symbol == text);
                let place = known.unwrap_or_else(|| {
                    symbols.push(text);
                    symbols.len() - 1
                });
                push_varint(&mut references, place as u64);
            }
        }
        let mut message = Vec::new();
        push_bytes(&mut message, 1, &references);
        push_bytes(&mut message, 2, &sample(series));
        push_bytes(&mut series_bytes, 5, &message);
    }
    let mut bytes = Vec::new();
    for symbol in symbols {
        push_bytes(&mut bytes, 4, symbol.as_bytes());
    }
    bytes.extend(series_bytes);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn now_instant() -> Instant {
    Instant::now()
}

fn body(step: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for series in 0..SERIES {
        let labels = labels(series);
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
        let value = SampleValue::Float(value(step, series));
        push_time_series(&mut bytes, labels, at(step), &value);
    }
    snap::raw::Encoder::new()
        .compress_vec(&bytes)
        .expect("the size is within snappy's bound")
}

fn labels(series: usize) -> [(&'static str, String); 10] {
    [
        ("__name__", format!("http_requests_total_{}", series % 20)),
        ("cluster", "production-europe-west".to_owned()),
        ("code", format!("{}", 200 + series % 5)),
        ("container", "application".to_owned()),
        ("endpoint", "metrics".to_owned()),
        (
            "instance",
            format!("10.0.{}.{}:9100", series / 250, series % 250),
        ),
        ("job", "kubernetes-service-endpoints".to_owned()),
        ("method", "GET".to_owned()),
        ("namespace", "monitoring".to_owned()),
        ("pod", format!("application-{series:08x}-abcde")),
    ]
}

fn at(step: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + step * 15_000)
}

fn value(step: i64, series: usize) -> f64 {
    (step * (series as i64 % 7) + series as i64) as f64
}

/// The first one of a series.
fn sample(series: usize) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&value(0, series).to_bits().to_le_bytes());
    sample.push(0x10);
    push_varint(&mut sample, at(0).as_millis() as u64);
    sample
}
