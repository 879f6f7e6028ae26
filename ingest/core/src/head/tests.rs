//! What a tenant's head admits, shows, forgets and gets back.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::protobuf::{push_bytes, push_varint, zigzag};
use model::{Labels, MatchOp, Matcher, MatcherDialect, STALE_NAN, Sample, Timestamp};
use proptest::prelude::*;

use crate::admission::{Reason, SampleError, WriteError};
use crate::decode::WriteRequest;
use crate::head::Head;
use crate::head::snapshot::SnapshotCursor;
use crate::label_bytes::{LabelError, push_labels};
use crate::limits::{Limits, SizeError};
use crate::record::RecordKind;
use crate::stage::{Records, Staged};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// `up{job=a}` or `up`: enough for these stories.
pub(super) fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let pairs = rest
        .trim_end_matches('}')
        .split(',')
        .filter_map(|pair| pair.split_once('='));
    Labels::from_pairs(pairs.chain((!name.is_empty()).then_some(("__name__", name))))
}

/// From here on a value stands for a histogram of as many observations as it is larger.
pub(super) const HISTOGRAM: f64 = 1e6;

/// All observations are in one bucket.
fn histogram_message(observations: u64, at: i64) -> Vec<u8> {
    let mut histogram = vec![0x08];
    push_varint(&mut histogram, observations);
    if observations > 0 {
        push_bytes(&mut histogram, 11, &[0x10, 1]);
        let mut deltas = Vec::new();
        push_varint(&mut deltas, zigzag(observations.cast_signed()));
        push_bytes(&mut histogram, 12, &deltas);
    }
    histogram.push(15 << 3);
    push_varint(&mut histogram, at as u64);
    histogram
}

/// A request of series and their samples `(seconds before NOW, value)`.
pub(super) fn request(series: &[(&str, &[(i64, f64)])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (text, samples) in series {
        let mut content = Vec::new();
        push_labels(&mut content, &labels(text));
        for (ago, value) in *samples {
            let at = NOW.as_millis() - ago * 1000;
            if *value >= HISTOGRAM {
                let histogram = histogram_message((value - HISTOGRAM) as u64, at);
                push_bytes(&mut content, 4, &histogram);
                continue;
            }
            let mut sample = vec![0x09];
            sample.extend_from_slice(&value.to_bits().to_le_bytes());
            sample.push(0x10);
            push_varint(&mut sample, at as u64);
            push_bytes(&mut content, 2, &sample);
        }
        push_bytes(&mut bytes, 1, &content);
    }
    bytes
}

fn head(limits: Limits) -> Head {
    Head::new(limits, 7)
}

pub(super) fn stage(head: &mut Head, bytes: &[u8]) -> Result<(Staged, Records), WriteError> {
    head.stage(&WriteRequest::read(bytes).unwrap(), NOW)
}

/// Stages and commits; the answer is the reason of a refusal.
fn write(head: &mut Head, series: &[(&str, &[(i64, f64)])]) -> Result<Staged, String> {
    let (staged, _) = stage(head, &request(series)).map_err(|error| error.to_string())?;
    Ok(staged)
}

pub(super) fn written(head: &mut Head, series: &[(&str, &[(i64, f64)])]) {
    let staged = write(head, series).unwrap();
    head.commit(staged);
}

/// Every series with its samples as seconds before NOW.
pub(super) fn seen(head: &Head) -> BTreeMap<String, Vec<(i64, u64)>> {
    head.select(&[], Timestamp::MIN, Timestamp::MAX)
        .into_iter()
        .map(|view| {
            let ago = |at: Timestamp| (NOW.as_millis() - at.as_millis()) / 1000;
            let points = view.points(Timestamp::MIN, Timestamp::MAX, &mut usize::MAX.clone());
            let points = points.unwrap();
            let floats = (points.samples.iter())
                .map(|sample| (ago(sample.timestamp), sample.value.to_bits()));
            let histograms = points.histograms.iter().map(|sample| {
                let value = HISTOGRAM + sample.histogram.count;
                (ago(sample.timestamp), value.to_bits())
            });
            let mut samples: Vec<(i64, u64)> = floats.chain(histograms).collect();
            samples.sort_by_key(|(ago, _)| std::cmp::Reverse(*ago));
            (view.labels.to_string(), samples)
        })
        .collect()
}

fn ages(head: &Head, name: &str) -> Vec<i64> {
    seen(head)
        .get(&labels(name).to_string())
        .into_iter()
        .flatten()
        .map(|(ago, _)| *ago)
        .collect()
}

#[test]
fn one_sample_that_does_not_fit_refuses_the_whole_request() {
    for (series, reason) in [
        (
            &[("new", &[(0, 1.0)][..]), ("up", &[(61, 1.0)])][..],
            "out of order sample for series {__name__=\"up\"} at 1970-01-12T13:45:39Z, its newest is at 1970-01-12T13:45:40Z",
        ),
        (
            &[("new", &[(0, 1.0)]), ("up", &[(60, 2.0)])],
            "duplicate sample for timestamp for series {__name__=\"up\"} at 1970-01-12T13:45:40Z, its newest is at 1970-01-12T13:45:40Z",
        ),
        (
            &[
                ("up", &[(30, 1.0)]),
                ("up", &[(20, 1.0)]),
                ("up", &[(25, 1.0)]),
            ],
            "out of order sample for series {__name__=\"up\"} at 1970-01-12T13:46:15Z, its newest is at 1970-01-12T13:46:20Z",
        ),
        (
            &[("up", &[(0, 1.0)]), ("new", &[(-601, 1.0)])],
            "out of bounds: timestamp is too far in the future for series {__name__=\"new\"} at 1970-01-12T13:56:41Z",
        ),
        (
            &[("up", &[(0, 1.0)]), ("new", &[(15 * 24 * 3600 + 1, 1.0)])],
            "out of bounds: sample is older than the retention for series {__name__=\"new\"} at 1969-12-28T13:46:39Z",
        ),
    ] {
        let mut head = head(Limits::default());
        written(&mut head, &[("up", &[(60, 1.0)])]);
        assert_eq!(write(&mut head, series).unwrap_err(), reason);
        assert_eq!(ages(&head, "up"), [60], "{reason}");
        assert_eq!(ages(&head, "new"), [0; 0], "{reason}");
        // And it left no trace: what is in order is admitted.
        written(&mut head, &[("up", &[(59, 1.0)]), ("new", &[(59, 1.0)])]);
        assert_eq!(ages(&head, "up"), [60, 59], "{reason}");
    }
}

#[test]
fn the_same_sample_again_is_admitted_and_kept_once() {
    let mut head = head(Limits::default());
    let nan = f64::from_bits(STALE_NAN);
    written(&mut head, &[("up", &[(60, nan)])]);
    let staged = write(&mut head, &[("up", &[(60, nan), (-600, 1.0)])]).unwrap();
    assert_eq!((staged.report.repeated, staged.report.accepted), (1, 1));
    head.commit(staged);
    assert_eq!(
        seen(&head)["{__name__=\"up\"}"],
        [(60, STALE_NAN), (-600, 1.0_f64.to_bits())]
    );
}

#[test]
fn nothing_is_seen_before_it_is_in_the_log() {
    let mut head = head(Limits::default());
    let first = write(&mut head, &[("up", &[(60, 1.0)])]).unwrap();
    assert_eq!(seen(&head), BTreeMap::new());
    assert_eq!(
        write(&mut head, &[("up", &[(61, 1.0)])]).err().as_deref(),
        Some(
            "out of order sample for series {__name__=\"up\"} at 1970-01-12T13:45:39Z, its newest is at 1970-01-12T13:45:40Z"
        ),
        "judged against what is on its way"
    );
    let second = write(&mut head, &[("up", &[(50, 1.0)])]).unwrap();
    head.commit(first);
    assert_eq!(ages(&head, "up"), [60]);
    head.commit(second);
    assert_eq!(ages(&head, "up"), [60, 50]);
}

#[test]
fn a_sample_repeated_while_the_first_is_on_its_way_goes_to_the_log_itself() {
    let mut head = head(Limits::default());
    let first = write(&mut head, &[("up", &[(60, 1.0)])]).unwrap();
    let (again, records) = stage(&mut head, &request(&[("up", &[(60, 1.0)])])).unwrap();
    let kinds: Vec<RecordKind> = records.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [RecordKind::Definitions, RecordKind::Samples],
        "the definition too may not get there with the first"
    );
    head.abort(first);
    head.commit(again);
    assert_eq!(ages(&head, "up"), [60]);
}

#[test]
fn what_the_log_did_not_take_may_be_sent_again() {
    let mut head = head(Limits::default());
    written(&mut head, &[("up", &[(60, 1.0)])]);
    let failed = write(&mut head, &[("up", &[(50, 1.0)]), ("new", &[(50, 1.0)])]).unwrap();
    head.abort(failed);
    assert_eq!(ages(&head, "up"), [60]);
    let (staged, records) = stage(
        &mut head,
        &request(&[("up", &[(55, 2.0), (50, 1.0)]), ("new", &[(50, 1.0)])]),
    )
    .unwrap();
    assert_eq!(staged.report.accepted, 3);
    assert_eq!(records[0].0, RecordKind::Definitions, "of the new series");
    head.commit(staged);
    assert_eq!(ages(&head, "up"), [60, 55, 50]);
}

/// What waits for the log is what the next request is measured by, not what the log refused after it.
#[test]
fn what_the_log_refused_may_be_sent_again_while_an_earlier_request_waits() {
    let mut head = head(Limits::default());
    let waiting = write(&mut head, &[("up", &[(60, 1.0)])]).unwrap();
    let refused = write(&mut head, &[("up", &[(40, 1.0), (30, 1.0)])]).unwrap();
    head.take_back(refused);
    let between = write(&mut head, &[("up", &[(50, 1.0)])]).unwrap();
    head.commit(waiting);
    head.commit(between);
    let again = write(&mut head, &[("up", &[(40, 1.0), (30, 1.0)])]).unwrap();
    assert_eq!(again.report.accepted, 2);
    head.commit(again);
    assert_eq!(ages(&head, "up"), [60, 50, 40, 30]);
}

#[test]
fn impossible_series_are_left_out_and_counted_with_their_reason() {
    let limits = Limits {
        series_max: 2,
        labels_per_series_max: 2,
        ..Limits::default()
    };
    let mut head = head(limits);
    let staged = write(
        &mut head,
        &[
            ("one", &[(1, 1.0)]),
            ("{job=x}", &[(1, 1.0), (0, 1.0)]),
            ("large{a=1,b=2}", &[(1, 1.0)]),
            ("two", &[(1, 1.0)]),
            ("three", &[(1, 1.0)]),
            ("four", &[(1, 1.0)]),
            ("one", &[(0, 1.0)]),
        ],
    )
    .unwrap();
    let refused: Vec<(Reason, usize, &str)> = staged
        .report
        .refused
        .iter()
        .map(|(reason, refused)| (*reason, refused.samples, refused.first.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (Reason::Labels(LabelError::NoMetricName), 2, "{job=\"x\"}"),
            (Reason::SeriesMax, 2, "{__name__=\"three\"}"),
            (
                Reason::Size(SizeError::Labels),
                1,
                "{__name__=\"large\", a=\"1\", b=\"2\"}"
            ),
        ]
    );
    assert_eq!(staged.report.accepted, 3);
    head.commit(staged);
    assert_eq!(ages(&head, "one"), [1, 0]);
}

#[test]
fn histograms_and_floats_of_one_series_keep_their_order() {
    let mut head = head(Limits::default());
    let staged = write(
        &mut head,
        &[
            ("a", &[(9, 1.0), (8, HISTOGRAM + 1.0)]),
            ("a", &[(7, 2.0)]),
            ("a", &[(6, HISTOGRAM + 5.0), (5, HISTOGRAM + 4.0)]),
            ("b", &[(9, HISTOGRAM)]),
        ],
    )
    .unwrap();
    assert_eq!(
        (staged.report.accepted, staged.report.accepted_histograms),
        (2, 4)
    );
    head.commit(staged);
    assert_eq!(ages(&head, "a"), [9, 8, 7, 6, 5]);
    // A chunk for each kind in turn, and another where the counter began anew.
    assert_eq!(head.stats().chunks, 6);
    let again = [("a", &[(5, HISTOGRAM + 4.0)][..])];
    let staged = write(&mut head, &again).unwrap();
    assert_eq!(staged.report.repeated_histograms, 1);
    head.commit(staged);
    for (value, reason) in [
        (HISTOGRAM + 3.0, "duplicate sample for timestamp"),
        (4.0, "duplicate sample for timestamp"),
    ] {
        let error = write(&mut head, &[("a", &[(5, value)])]).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
    let error = write(&mut head, &[("a", &[(6, HISTOGRAM + 9.0)])]).unwrap_err();
    assert!(error.starts_with("out of order sample"), "{error}");
}

#[test]
fn a_request_with_too_many_samples_or_malformed_labels_is_refused() {
    let limits = Limits {
        samples_per_request_max: 1,
        ..Limits::default()
    };
    let mut head = head(limits);
    assert_eq!(
        write(&mut head, &[("up", &[(1, 1.0), (0, 1.0)])]).unwrap_err(),
        "request has 2 samples, more than the limit of 1"
    );
    let malformed = [0x0a, 4, 0x0a, 2, 0x0a, 9];
    assert_eq!(
        stage(&mut head, &malformed).unwrap_err(),
        WriteError::MalformedLabels
    );
}

#[test]
fn samples_of_rules_are_judged_one_by_one() {
    let mut head = head(Limits::default());
    written(&mut head, &[("up", &[(60, 1.0)])]);
    let sample = |ago: i64| Sample {
        timestamp: NOW - Duration::from_secs(ago as u64),
        value: 1.0,
    };
    let (up, new) = (labels("up"), labels("new"));
    let (staged, _) = head
        .stage_samples(
            [(&up, sample(70)), (&new, sample(70)), (&up, sample(50))],
            NOW,
        )
        .unwrap();
    assert_eq!(
        staged.report.refused[&Reason::Sample(SampleError::OutOfOrder)].first,
        "{__name__=\"up\"}"
    );
    assert_eq!(
        staged.report.refused_samples,
        [(0, Reason::Sample(SampleError::OutOfOrder))]
    );
    head.commit(staged);
    assert_eq!(
        (ages(&head, "up"), ages(&head, "new")),
        (vec![60, 50], vec![70])
    );
}

#[test]
fn selects_by_matchers_and_window() {
    let mut head = head(Limits::default());
    written(
        &mut head,
        &[
            ("up{job=a}", &[(60, 1.0)]),
            ("up{job=b}", &[(30, 1.0)]),
            ("down{job=a}", &[(30, 1.0)]),
        ],
    );
    let select = |matchers: &[Matcher], after: i64, until: i64| -> Vec<String> {
        let at = |ago: i64| Timestamp::from_millis(NOW.as_millis() - ago * 1000);
        let mut sets: Vec<String> = head
            .select(matchers, at(after), at(until))
            .into_iter()
            .map(|view| view.labels.to_string())
            .collect();
        sets.sort();
        sets
    };
    let up = Matcher::equal("__name__", "up");
    let not_b = Matcher::new(MatchOp::NotEqual, "job", "b", MatcherDialect::PromQl).unwrap();
    let a = "{__name__=\"up\", job=\"a\"}";
    let b = "{__name__=\"up\", job=\"b\"}";
    assert_eq!(select(std::slice::from_ref(&up), 100, 0), [a, b]);
    assert_eq!(select(&[up.clone(), not_b], 100, 0), [a]);
    assert_eq!(
        select(std::slice::from_ref(&up), 60, 0),
        [b],
        "the window is open at the left"
    );
    assert_eq!(
        select(std::slice::from_ref(&up), 61, 60),
        [a],
        "and closed at the right"
    );
    assert_eq!(head.label_names(), ["__name__", "job"]);
    assert_eq!(head.label_values("job"), ["a", "b"]);
    assert_eq!(
        head.series_by_value("job"),
        [("a".to_owned(), 2), ("b".to_owned(), 1)]
    );
}

#[test]
fn what_is_past_the_retention_is_forgotten() {
    let limits = Limits {
        retention: Duration::from_secs(3600),
        ..Limits::default()
    };
    let mut head = head(limits);
    written(
        &mut head,
        &[("old", &[(3500, 1.0)]), ("up", &[(3500, 1.0)])],
    );
    written(&mut head, &[("up", &[(0, 1.0)])]);
    assert_eq!(head.collect_garbage(NOW), 0);
    assert_eq!(head.collect_garbage(NOW + Duration::from_secs(200)), 1);
    assert_eq!(seen(&head).len(), 1);
    assert_eq!(head.series_len(), 1);
    assert_eq!(head.label_values("__name__"), ["up"]);
    let stats = head.stats();
    assert_eq!((stats.series, stats.label_pairs), (1, 1));
    written(&mut head, &[("old", &[(0, 1.0)])]);
    assert_eq!(ages(&head, "old"), [0], "it comes back as a new series");
}

#[test]
fn a_series_that_only_a_refused_request_named_is_gone() {
    let mut head = head(Limits::default());
    written(&mut head, &[("up", &[(60, 1.0)])]);
    write(
        &mut head,
        &[
            ("new{a=b}", &[(0, 1.0)]),
            ("newer", &[(0, 1.0)]),
            ("up", &[(61, 1.0)]),
        ],
    )
    .unwrap_err();
    assert_eq!(head.series_len(), 1);
    assert_eq!(head.label_names(), ["__name__"]);
    assert_eq!(head.label_values("__name__"), ["up"]);
    written(&mut head, &[("newer", &[(0, 1.0)])]);
    assert_eq!(ages(&head, "newer"), [0]);
}

#[test]
fn a_series_that_the_log_never_had_is_collected() {
    let mut head = head(Limits::default());
    let staged = write(&mut head, &[("new", &[(0, 1.0)])]).unwrap();
    assert_eq!(head.collect_garbage(NOW), 0, "it waits for the log");
    head.abort(staged);
    assert_eq!(head.collect_garbage(NOW), 1);
    assert_eq!(head.series_len(), 0);
}

#[test]
fn a_snapshot_comes_in_parts_whatever_their_size() {
    let mut head = head(Limits::default());
    for ago in (0..1000).rev() {
        let more: &[(&str, &[(i64, f64)])] = if ago % 100 == 0 {
            &[("rare", &[(0, 1.0)])]
        } else {
            &[]
        };
        let often: &[(i64, f64)] = &[(ago, ago as f64)];
        let rare: Vec<(&str, &[(i64, f64)])> =
            more.iter().map(|(name, _)| (*name, often)).collect();
        written(&mut head, &[&[("often", often)], rare.as_slice()].concat());
    }
    for bytes_max in [1, 100, 1000, 1 << 20] {
        let mut disk = Disk::default();
        let mut from = Some(SnapshotCursor::START);
        while let Some(start) = from {
            let (part, next) = head.snapshot(start, bytes_max);
            disk.snapshot.push(part.into_record());
            from = next;
        }
        let largest = disk.snapshot.iter().map(|(_, payload)| payload.len()).max();
        assert!(
            largest.unwrap() < bytes_max + 1500,
            "{bytes_max}: {largest:?}"
        );
        let restored = disk.restart();
        assert_eq!(seen(&restored), seen(&head), "{bytes_max}");
        assert_eq!(restored.stats(), head.stats(), "{bytes_max}");
    }
}

/// Everything the log and the newest snapshot hold.
#[derive(Default)]
struct Disk {
    snapshot: Vec<(RecordKind, Vec<u8>)>,
    log: Vec<(RecordKind, Vec<u8>)>,
}

impl Disk {
    fn restart(&self) -> Head {
        let mut head = head(Limits::default());
        for (kind, payload) in self.snapshot.iter().chain(&self.log) {
            assert_eq!(head.replay(*kind, payload), Ok(0));
        }
        head.end_replay(|_| true);
        head
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Series, seconds after the start, value.
    Stage(Vec<(u8, u8, u8)>),
    /// The same, but the log did not take it in line.
    Refused(Vec<(u8, u8, u8)>),
    /// The log took the oldest waiting request, or not.
    Logged(bool),
    CollectGarbage,
    /// Everything waiting is settled first, as the shell does.
    Snapshot,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..4_u8, any::<u8>(), 0..6_u8), 1..5).prop_map(Step::Stage),
        1 => prop::collection::vec((0..4_u8, any::<u8>(), 0..6_u8), 1..5).prop_map(Step::Refused),
        4 => prop::bool::weighted(0.8).prop_map(Step::Logged),
        1 => Just(Step::CollectGarbage),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
    ]
}

fn stage_all(head: &mut Head, samples: &[(u8, u8, u8)]) -> Option<(Staged, Records)> {
    let series: Vec<(String, [(i64, f64); 1])> = samples
        .iter()
        .map(|(name, at, value)| {
            let value = match value {
                0..3 => f64::from(*value),
                _ => HISTOGRAM + f64::from(*value),
            };
            (format!("s{name}"), [(1000 - i64::from(*at), value)])
        })
        .collect();
    let series: Vec<(&str, &[(i64, f64)])> = series
        .iter()
        .map(|(name, samples)| (name.as_str(), samples.as_slice()))
        .collect();
    stage(head, &request(&series)).ok()
}

proptest! {
    /// Whatever happens in whatever order: after a restart the head shows what it showed before, which is exactly
    /// what was acknowledged.
    #[test]
    fn a_restart_shows_what_was_acknowledged(steps in prop::collection::vec(step(), 1..60)) {
        let mut disk = Disk::default();
        let mut head = head(Limits::default());
        let mut waiting: VecDeque<(Staged, Records)> = VecDeque::new();
        let settle = |head: &mut Head, disk: &mut Disk, (staged, records): (Staged, Records), logged: bool| {
            if logged {
                disk.log.extend(records);
                head.commit(staged);
            } else {
                head.abort(staged);
            }
        };
        for step in steps {
            match step {
                Step::Stage(samples) => {
                    waiting.extend(stage_all(&mut head, &samples));
                }
                Step::Refused(samples) => {
                    if let Some((staged, _)) = stage_all(&mut head, &samples) {
                        head.take_back(staged);
                    }
                }
                Step::Logged(logged) => {
                    if let Some(staged) = waiting.pop_front() {
                        settle(&mut head, &mut disk, staged, logged);
                    }
                }
                Step::CollectGarbage => {
                    head.collect_garbage(NOW);
                }
                Step::Snapshot => {
                    for staged in waiting.drain(..) {
                        settle(&mut head, &mut disk, staged, true);
                    }
                    disk = Disk::default();
                    let mut from = Some(SnapshotCursor::START);
                    while let Some(start) = from {
                        let (part, next) = head.snapshot(start, 100);
                        disk.snapshot.push(part.into_record());
                        from = next;
                    }
                }
                Step::Restart => {
                    let before = seen(&head);
                    waiting.clear();
                    head = disk.restart();
                    prop_assert_eq!(seen(&head), before);
                }
            }
        }
        prop_assert_eq!(seen(&disk.restart()), seen(&head));
    }
}

pub(super) const HOUR: i64 = 3600;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// One sample for each of these series at a time in seconds, each judged for itself; how many were refused.
fn append(head: &mut Head, series: impl Iterator<Item = Labels>, secs: i64) -> usize {
    let sample = Sample {
        timestamp: at(secs),
        // The same each hour, so that bytes can be compared.
        value: (secs % HOUR) as f64,
    };
    let series: Vec<Labels> = series.collect();
    let samples = series.iter().map(|labels| (labels, sample));
    let (staged, _) = head.stage_samples(samples, at(secs)).unwrap();
    let refused = staged.report.refused_samples.len();
    head.commit(staged);
    refused
}

#[test]
fn the_oldest_range_leaves_when_the_head_spans_one_and_a_half() {
    for (first, last, end) in [
        (0, 3 * HOUR, None),
        (0, 3 * HOUR + 1, Some(2 * HOUR)),
        (HOUR, 4 * HOUR, None),
        (HOUR, 4 * HOUR + 1, Some(2 * HOUR)),
        (2 * HOUR - 1, 9 * HOUR, Some(2 * HOUR)),
        (2 * HOUR, 9 * HOUR, Some(4 * HOUR)),
    ] {
        let mut head = head(Limits::default());
        assert_eq!(head.cut_due(), None);
        append(&mut head, [labels("old")].into_iter(), first);
        append(&mut head, [labels("new")].into_iter(), last);
        assert_eq!(head.cut_due(), end.map(at), "{first} to {last}");
    }
}

#[test]
fn what_is_cut_off_is_forgotten_and_does_not_come_again() {
    let mut head = head(Limits::default());
    let both = || [labels("old"), labels("both")].into_iter();
    for secs in [0, HOUR, 2 * HOUR - 1] {
        append(&mut head, both(), secs);
    }
    for secs in [2 * HOUR, 4 * HOUR] {
        append(&mut head, [labels("both")].into_iter(), secs);
    }
    let end = at(2 * HOUR);
    head.refuse_before(end);
    head.refuse_before(at(0));
    assert_eq!(
        append(&mut head, [labels("late")].into_iter(), 2 * HOUR - 1),
        1
    );
    assert_eq!(append(&mut head, [labels("late")].into_iter(), 2 * HOUR), 0);
    let mut leaving = head.series_before(end);
    leaving.sort();
    let found: Vec<(String, Vec<i64>)> = leaving
        .into_iter()
        .map(|(labels, id)| {
            let chunks = head.chunks_before(id, end);
            let samples = chunks.iter().flat_map(|chunk| chunk.samples());
            let secs = samples.map(|sample| sample.timestamp.as_millis() / 1000);
            (labels.value("__name__").to_owned(), secs.collect())
        })
        .collect();
    let all = vec![0, HOUR, 2 * HOUR - 1];
    assert_eq!(
        found,
        [("both".to_owned(), all.clone()), ("old".to_owned(), all)]
    );
    assert_eq!(head.drop_before(end), 1);
    assert_eq!(head.label_values("__name__"), ["both", "late"]);
    assert_eq!(head.stats().min_time, Some(end));
    // A repetition of what is in the block is judged by what the series still has.
    assert_eq!(append(&mut head, both(), 2 * HOUR - 1), 2);
}

/// A thousand series, of which a hundred are replaced each hour, for a day: what the head holds stays the same.
#[test]
fn a_day_of_churn_leaves_memory_flat() {
    const SERIES: i64 = 1000;
    let mut head = head(Limits::default());
    let mut held = Vec::new();
    for hour in 0..24 {
        for minute in 0..60 {
            let alive = (hour * SERIES / 10)..(hour * SERIES / 10 + SERIES);
            let series = alive.map(|number| labels(&format!("up{{pod=p{number},job=j}}")));
            append(&mut head, series, hour * HOUR + minute * 60);
        }
        if let Some(end) = head.cut_due() {
            head.refuse_before(end);
            head.drop_before(end);
        }
        let index = head.series.index();
        let postings: usize = index
            .names()
            .iter()
            .flat_map(|name| index.values(name))
            .map(|(_, list)| list.len())
            .sum();
        let chunk_bytes: usize = head
            .series_before(Timestamp::MAX)
            .into_iter()
            .flat_map(|(_, id)| head.chunks_before(id, Timestamp::MAX))
            .map(|chunk| chunk.bytes().len())
            .sum();
        held.push([
            head.series_len(),
            head.stats().label_pairs,
            postings,
            chunk_bytes,
        ]);
    }
    // By then the first cuts were made; from there on the two hours between two cuts repeat themselves.
    for hour in 6..24 {
        let (now, before) = (held[hour], held[hour - 2]);
        let flat = now
            .iter()
            .zip(before)
            .all(|(now, before)| *now <= before + before / 50);
        assert!(flat, "hour {hour}: {now:?} after {before:?}");
    }
    assert!(held[23][0] <= 1400, "{:?}", held[23]);
    assert_eq!(held[23][2], 3 * held[23][0]);
}

/// After four milliards of series the numbers of those that are gone are given out again, while the log still has their
/// samples.
#[test]
fn numbers_of_series_begin_anew() {
    let limits = Limits {
        retention: Duration::from_secs(3600),
        ..Limits::default()
    };
    let mut head = Head::new(limits.clone(), 7);
    let mut log = Vec::new();
    let mut write = |head: &mut Head, series: &[(&str, &[(i64, f64)])]| {
        let (staged, records) = stage(head, &request(series)).unwrap();
        log.extend(records);
        head.commit(staged);
    };
    write(
        &mut head,
        &[("gone", &[(3500, 1.0)]), ("stays", &[(10, 2.0)])],
    );
    head.next_id = u32::MAX - 1;
    write(&mut head, &[("last", &[(10, 3.0)])]);
    assert_eq!(head.collect_garbage(NOW + Duration::from_secs(200)), 1);
    write(
        &mut head,
        &[("largest", &[(10, 4.0)]), ("new", &[(10, 5.0)])],
    );
    write(&mut head, &[("new", &[(5, 5.0)]), ("newer", &[(5, 6.0)])]);
    // A refused request gives its numbers back.
    let refused = request(&[("other", &[(5, 1.0)]), ("new", &[(5, 7.0)])]);
    stage(&mut head, &refused).unwrap_err();
    write(&mut head, &[("again", &[(1, 7.0)])]);
    let names = ["again", "largest", "last", "new", "newer", "stays"];
    assert_eq!(head.label_values("__name__"), names);
    let mut numbers: Vec<(u32, String)> = head
        .series_before(Timestamp::MAX)
        .into_iter()
        .map(|(labels, id)| (id.0, labels.value("__name__").to_owned()))
        .collect();
    numbers.sort();
    let named = |number, name: &str| (number, name.to_owned());
    assert_eq!(
        numbers,
        [
            named(0, "new"),
            named(1, "stays"),
            named(2, "newer"),
            named(3, "again"),
            named(u32::MAX - 1, "last"),
            named(u32::MAX, "largest"),
        ]
    );
    let mut restored = Head::new(limits, 7);
    for (kind, payload) in &log {
        assert_eq!(restored.replay(*kind, payload), Ok(0));
    }
    restored.end_replay(|_| true);
    restored.collect_garbage(NOW + Duration::from_secs(200));
    assert_eq!(seen(&restored), seen(&head));
    written(&mut restored, &[("another", &[(0, 1.0)])]);
    assert_eq!(restored.series_len(), 7);
}
