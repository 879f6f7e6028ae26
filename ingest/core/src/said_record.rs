//! Records of what senders say besides samples. Each can be read without any other: series and metrics stand in them by
//! their names, so that one that is damaged takes nothing with it but itself.
//!
//! ```text
//! exemplars   (length, series' canonical label bytes, number of exemplars,
//!               (length, label bytes, time zigzag, value 8 bytes)…)…
//! metadata    (kind byte, length, metric, length, help text, length, unit, time it was heard zigzag)…
//! ```
//! Numbers are varints, values little-endian.
use model::Timestamp;
use model::protobuf::{Fields, push_varint, unzigzag, zigzag};

use crate::exemplars::{Exemplar, SeriesExemplar};
use crate::label_bytes::{push_labels, read_label_set};
use crate::metadata::SaidMetadata;
use crate::metric_kind::MetricKind;
use crate::record::{RecordError, RecordKind};
use crate::stage::Records;

/// A record is closed when it has as much.
const RECORD_BYTES: usize = 1024 * 1024;

pub(crate) fn push_exemplars(records: &mut Records, exemplars: &[SeriesExemplar]) {
    let mut payload = Vec::new();
    let mut label_bytes = Vec::new();
    for run in exemplars.chunk_by(|(left, _), (right, _)| left == right) {
        // So that no record grows past its bound with one series' exemplars.
        for run in run.chunks(RUN_MAX) {
            push_spelled(&mut payload, &mut label_bytes, &run[0].0);
            push_varint(&mut payload, run.len() as u64);
            for (_, exemplar) in run {
                push_spelled(&mut payload, &mut label_bytes, &exemplar.labels);
                push_varint(&mut payload, zigzag(exemplar.timestamp.as_millis()));
                payload.extend_from_slice(&exemplar.value.to_le_bytes());
            }
            close(records, RecordKind::Exemplars, &mut payload, RECORD_BYTES);
        }
    }
    close(records, RecordKind::Exemplars, &mut payload, 1);
}

/// Exemplars have 128 characters of labels at most.
const RUN_MAX: usize = 1000;

pub(crate) fn read_exemplars(
    payload: &[u8],
    mut each: impl FnMut(SeriesExemplar),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let series = read_label_set(fields.bytes()?).map_err(|_| RecordError::Range)?;
        for _ in 0..fields.varint()? {
            let labels = read_label_set(fields.bytes()?).map_err(|_| RecordError::Range)?;
            let timestamp = Timestamp::from_millis(unzigzag(fields.varint()?));
            let value = f64::from_bits(fields.fixed64()?);
            let exemplar = Exemplar {
                labels,
                value,
                timestamp,
            };
            each((series.clone(), exemplar));
        }
    }
    Ok(())
}

pub(crate) fn push_metadata(records: &mut Records, all: &[SaidMetadata]) {
    let mut payload = Vec::new();
    for said in all {
        payload.push(said.kind.to_wire());
        for text in [&said.metric, &said.help, &said.unit] {
            push_varint(&mut payload, text.len() as u64);
            payload.extend_from_slice(text.as_bytes());
        }
        push_varint(&mut payload, zigzag(said.heard.as_millis()));
        close(records, RecordKind::Metadata, &mut payload, RECORD_BYTES);
    }
    close(records, RecordKind::Metadata, &mut payload, 1);
}

pub(crate) fn read_metadata(
    payload: &[u8],
    mut each: impl FnMut(SaidMetadata),
) -> Result<(), RecordError> {
    let mut fields = Fields::new(payload);
    while !fields.is_empty() {
        let kind = MetricKind::from_wire(u64::from(fields.byte()?));
        let mut text = || {
            let text = std::str::from_utf8(fields.bytes()?).map_err(|_| RecordError::Range)?;
            Ok::<_, RecordError>(text.to_owned())
        };
        let (metric, help, unit) = (text()?, text()?, text()?);
        let heard = Timestamp::from_millis(unzigzag(fields.varint()?));
        each(SaidMetadata {
            metric,
            kind,
            help,
            unit,
            heard,
        });
    }
    Ok(())
}

fn push_spelled(payload: &mut Vec<u8>, label_bytes: &mut Vec<u8>, labels: &model::Labels) {
    label_bytes.clear();
    push_labels(label_bytes, labels);
    push_varint(payload, label_bytes.len() as u64);
    payload.extend_from_slice(label_bytes);
}

fn close(records: &mut Records, kind: RecordKind, payload: &mut Vec<u8>, at_least: usize) {
    if payload.len() >= at_least {
        records.push((kind, std::mem::take(payload)));
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};
    use proptest::prelude::*;

    use super::{
        RECORD_BYTES, RUN_MAX, push_exemplars, push_metadata, read_exemplars, read_metadata,
    };
    use crate::exemplars::{Exemplar, SeriesExemplar};
    use crate::metadata::SaidMetadata;
    use crate::metric_kind::MetricKind;
    use crate::record::{RecordError, RecordKind};

    fn exemplar(series: &str, trace: &str, value: f64, millis: i64) -> SeriesExemplar {
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", trace)]),
            value,
            timestamp: Timestamp::from_millis(millis),
        };
        (Labels::from_pairs([("__name__", series)]), exemplar)
    }

    fn said(metric: &str, kind: MetricKind, help: &str) -> SaidMetadata {
        SaidMetadata {
            metric: metric.to_owned(),
            kind,
            help: help.to_owned(),
            unit: "s".to_owned(),
            heard: Timestamp::from_millis(-3),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the first release wrote: it must stay readable.
    #[test]
    fn the_bytes_of_both_records() {
        let mut records = Vec::new();
        let exemplars = [exemplar("a", "1", 0.5, 7), exemplar("a", "2", 1.0, 9)];
        push_exemplars(&mut records, &exemplars);
        push_metadata(&mut records, &[said("a", MetricKind::Gauge, "b")]);
        let [
            (RecordKind::Exemplars, first),
            (RecordKind::Metadata, second),
        ] = &records[..]
        else {
            panic!("{records:?}");
        };
        assert_eq!(
            hex(first),
            "0f0a0d0a085f5f6e616d655f5f120161020f0a0d0a0874726163655f69641201310e000000000000e03f0f0a0d0a0874726163655f696412013212000000000000f03f"
        );
        assert_eq!(hex(second), "02016101620173".to_owned() + "05");
    }

    #[test]
    fn records_stay_below_a_bound_and_read_back() {
        let trace = "x".repeat(100);
        let exemplars: Vec<SeriesExemplar> = (0..3 * RUN_MAX as i64 + 10_000)
            .map(|at| exemplar(if at < 10_000 { "a" } else { "b" }, &trace, 1.0, at))
            .collect();
        let mut records = Vec::new();
        push_exemplars(&mut records, &exemplars);
        let help = "h".repeat(16_000);
        let metadata: Vec<SaidMetadata> = (0..100)
            .map(|number| said(&number.to_string(), MetricKind::StateSet, &help))
            .collect();
        push_metadata(&mut records, &metadata);
        assert!(records.len() > 3);
        let (mut read, mut heard) = (Vec::new(), Vec::new());
        for (kind, payload) in records {
            assert!(payload.len() < 2 * RECORD_BYTES);
            if kind == RecordKind::Exemplars {
                read_exemplars(&payload, |exemplar| read.push(exemplar)).unwrap();
                let cut = read_exemplars(&payload[..payload.len() - 1], |_| {});
                assert!(matches!(cut, Err(RecordError::Cut(_))));
            } else {
                read_metadata(&payload, |said| heard.push(said)).unwrap();
            }
        }
        assert_eq!((read, heard), (exemplars, metadata));
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_exemplars(&bytes, |_| {});
            let _ = read_metadata(&bytes, |_| {});
        }
    }
}
