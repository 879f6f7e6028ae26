//! When samples began to count: told with them, over restarts and snapshots, where it is to be kept.
use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use model::protobuf::{push_bytes, push_varint};
use proptest::prelude::*;

use crate::decode::{DecodeBounds, Protocol, WriteRequest};
use crate::head::Head;
use crate::head::snapshot::SnapshotCursor;
use crate::head::tests::NOW;
use crate::limits::Limits;
use crate::record::RecordKind;
use crate::stage::{Records, Staged};

fn head(start_times: bool) -> Head {
    let limits = Limits {
        out_of_order_window: Duration::from_secs(3600),
        start_times,
        ..Limits::default()
    };
    Head::new(limits, 7)
}

/// One sample: series, seconds before now, and so many seconds before now it began, 0 where it says nothing of that.
#[derive(Clone, Copy, Debug)]
struct Sent {
    series: u8,
    ago: i64,
    began: i64,
    is_histogram: bool,
}

fn millis(ago: i64) -> u64 {
    (NOW.as_millis() - ago * 1000) as u64
}

/// Of remote write 2.0: series `s0`, `s1`, each sample in a series of its own.
fn request(samples: &[Sent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for symbol in ["", "__name__", "s0", "s1"] {
        push_bytes(&mut bytes, 4, symbol.as_bytes());
    }
    for sent in samples {
        let mut part = Vec::new();
        if sent.is_histogram {
            part.extend([0x08, 0, 15 << 3]);
            push_varint(&mut part, millis(sent.ago));
            if sent.began > 0 {
                push_varint(&mut part, 17 << 3);
                push_varint(&mut part, millis(sent.began));
            }
        } else {
            part.push(0x09);
            part.extend(1.5_f64.to_bits().to_le_bytes());
            part.push(0x10);
            push_varint(&mut part, millis(sent.ago));
            if sent.began > 0 {
                part.push(0x18);
                push_varint(&mut part, millis(sent.began));
            }
        }
        let mut series = Vec::new();
        push_bytes(&mut series, 1, &[1, 2 + sent.series]);
        push_bytes(&mut series, if sent.is_histogram { 3 } else { 2 }, &part);
        push_bytes(&mut bytes, 5, &series);
    }
    bytes
}

fn stage(head: &mut Head, samples: &[Sent]) -> (Staged, Records) {
    let bytes = request(samples);
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max: 1 << 20,
    };
    let request = WriteRequest::read_within(Protocol::V2, &bytes, &bounds).unwrap();
    head.stage(&request, NOW).unwrap()
}

/// By series and seconds before now: so many seconds before now it began, 0 where that is not known.
type Starts = BTreeMap<(String, i64), i64>;

fn read(head: &Head) -> Starts {
    let mut found = Starts::new();
    for view in head.select(&[], Timestamp::MIN, Timestamp::MAX) {
        let points = view.points(Timestamp::MIN, Timestamp::MAX, &mut usize::MAX.clone());
        let points = points.unwrap();
        let starts = points.starts.iter().copied();
        let starts = starts.chain(std::iter::repeat(Timestamp::default()));
        let floats = (points.samples.iter().map(|sample| sample.timestamp)).zip(starts);
        let histograms = (points.histograms.iter()).map(|sample| (sample.timestamp, sample.start));
        for (at, start) in floats.chain(histograms) {
            let ago = |at: Timestamp| (NOW.as_millis() - at.as_millis()) / 1000;
            let began = if start == Timestamp::default() {
                0
            } else {
                ago(start)
            };
            let name = view.labels.value("__name__").to_owned();
            found.insert((name, ago(at)), began);
        }
    }
    found
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..2_u8, 1..60_i64, 0..4_i64, any::<bool>()).prop_map(|(series, ago, began, is_histogram)| {
        let began = began * 1000;
        Sent {
            series,
            ago,
            began,
            is_histogram,
        }
    })
}

#[derive(Clone, Debug)]
enum Step {
    /// The log takes it at once, later, or never.
    Write(Vec<Sent>, Taken),
    Snapshot,
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Taken {
    AtOnce,
    WithTheNext,
    Never,
}

fn step() -> impl Strategy<Value = Step> {
    let taken = prop_oneof![
        3 => Just(Taken::AtOnce),
        2 => Just(Taken::WithTheNext),
        1 => Just(Taken::Never),
    ];
    let samples = prop::collection::vec(sent(), 1..6);
    prop_oneof![
        6 => (samples, taken).prop_map(|(samples, taken)| Step::Write(samples, taken)),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
    ]
}

/// A request on its way, and whether the log takes it.
type Waiting = (Staged, Records, Vec<Sent>, bool);

fn settle(head: &mut Head, log: &mut Records, expected: &mut Starts, waiting: &mut Vec<Waiting>) {
    for (staged, records, samples, is_taken) in waiting.drain(..) {
        if !is_taken {
            head.abort(staged);
            continue;
        }
        log.extend(records);
        head.commit(staged);
        let found = read(head);
        for sent in samples {
            let key = (format!("s{}", sent.series), sent.ago);
            // Of one time the first sample stays, with its start.
            if found.contains_key(&key) {
                expected.entry(key).or_insert(sent.began);
            }
        }
    }
}

proptest! {
    #[test]
    fn each_sample_keeps_its_start(steps in prop::collection::vec(step(), 1..30)) {
        let mut own = head(true);
        let (mut snapshot, mut log) = (Vec::new(), Vec::new());
        let mut expected = Starts::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for step in steps {
            match step {
                Step::Write(samples, taken) => {
                    // One time twice in flight is another story.
                    let is_new = |sent: &Sent| {
                        let same = |other: &Sent| (other.series, other.ago) == (sent.series, sent.ago);
                        let on_its_way = waiting.iter().any(|(_, _, others, _)| others.iter().any(same));
                        !on_its_way && !expected.contains_key(&(format!("s{}", sent.series), sent.ago))
                    };
                    let mut samples: Vec<Sent> = samples.into_iter().filter(is_new).collect();
                    samples.sort_by_key(|sent| (sent.series, sent.ago));
                    samples.dedup_by_key(|sent| (sent.series, sent.ago));
                    samples.reverse();
                    let (staged, records) = stage(&mut own, &samples);
                    waiting.push((staged, records, samples, !matches!(taken, Taken::Never)));
                    if !matches!(taken, Taken::WithTheNext) {
                        settle(&mut own, &mut log, &mut expected, &mut waiting);
                    }
                }
                Step::Snapshot => {
                    settle(&mut own, &mut log, &mut expected, &mut waiting);
                    log.clear();
                    snapshot.clear();
                    let mut from = Some(SnapshotCursor::START);
                    while let Some(start) = from {
                        let (part, next) = own.snapshot(start, 60);
                        snapshot.push(part.into_record());
                        from = next;
                    }
                }
                Step::Restart => {
                    settle(&mut own, &mut log, &mut expected, &mut waiting);
                    own = head(true);
                    for (kind, payload) in snapshot.iter().chain(&log) {
                        prop_assert_eq!(own.replay(*kind, payload), Ok(0));
                    }
                    own.end_replay(|_| true);
                }
            }
            prop_assert_eq!(&read(&own), &expected);
        }
    }
}

#[test]
fn without_the_setting_nothing_is_kept_and_nothing_logged() {
    for (is_kept, began) in [(false, 0), (true, 100)] {
        let mut head = head(is_kept);
        let sent = Sent {
            series: 0,
            ago: 5,
            began: 100,
            is_histogram: false,
        };
        let (staged, records) = stage(&mut head, &[sent]);
        let is_told = records
            .iter()
            .any(|(kind, _)| *kind == RecordKind::StartTimes);
        assert_eq!(is_told, is_kept);
        head.commit(staged);
        assert_eq!(read(&head), Starts::from([(("s0".to_owned(), 5), began)]));
    }
}
