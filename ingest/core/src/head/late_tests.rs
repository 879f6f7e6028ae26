//! What comes out of order: what is taken, what is seen, and that it is there after a restart and a cut.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use model::{Sample, Timestamp};
use proptest::prelude::*;

use crate::admission::{Reason, SampleError};
use crate::head::Head;
use crate::head::snapshot::SnapshotCursor;
use crate::head::tests::{HISTOGRAM, HOUR, NOW, labels, request, seen, stage, written};
use crate::limits::Limits;
use crate::points::Points;
use crate::record::{Cut, RecordKind};
use crate::series::SeriesView;
use crate::stage::{Records, Staged};

const WINDOW: Duration = Duration::from_secs(1800);

fn head(window: Duration) -> Head {
    let limits = Limits {
        out_of_order_window: window,
        ..Limits::default()
    };
    Head::new(limits, 7)
}

/// What Prometheus answers, for a series whose newest sample is three hours old and one that is up to date.
#[test]
fn what_is_late_is_taken_within_the_window_and_has_prometheus_words_beyond() {
    let cases = [
        // Without a window.
        (0, "up", 1, Err("out of order sample")),
        (0, "up", 3600, Err("out of order sample")),
        (0, "up", 3601, Err("out of bounds")),
        (0, "new", 3 * HOUR, Ok(())),
        (0, "new", 3 * HOUR + 1, Err("out of bounds")),
        (0, "old", 3 * HOUR + 1, Err("out of bounds")),
        // With one, of half an hour and of four hours.
        (1800, "up", 1800, Ok(())),
        (1800, "up", 1801, Err("too old sample")),
        (1800, "new", 3 * HOUR, Ok(())),
        (1800, "new", 3 * HOUR + 1, Err("too old sample")),
        (4 * HOUR, "up", 4 * HOUR, Ok(())),
        (4 * HOUR, "new", 4 * HOUR, Ok(())),
        (4 * HOUR, "old", 4 * HOUR, Ok(())),
        (4 * HOUR, "old", 4 * HOUR + 1, Err("too old sample")),
    ];
    for (window, name, ago, outcome) in cases {
        for value in [7.0, HISTOGRAM + 7.0] {
            let mut head = head(Duration::from_secs(window as u64));
            written(
                &mut head,
                &[("old", &[(3 * HOUR, 1.0)]), ("up", &[(0, 1.0)])],
            );
            head.refuse_before(NOW - Duration::from_secs(3 * HOUR as u64));
            let before = seen(&head);
            let case = format!("{name} {ago} s ago with a window of {window} s");
            let staged = stage(&mut head, &request(&[(name, &[(ago, value)])]));
            match (staged, outcome) {
                (Ok((staged, _)), Ok(())) => {
                    let report = &staged.report;
                    assert_eq!(report.accepted + report.accepted_histograms, 1, "{case}");
                    assert_eq!(seen(&head), before, "the log does not have it yet: {case}");
                    head.commit(staged);
                    let samples = &seen(&head)[&labels(name).to_string()];
                    assert!(samples.contains(&(ago, value.to_bits())), "{case}");
                }
                (Err(error), Err(text)) => {
                    let text = format!("{text} for series ");
                    assert!(error.to_string().starts_with(&text), "{case}: {error}");
                    assert_eq!(seen(&head), before, "{case}");
                }
                (staged, _) => panic!("{case}: {staged:?}"),
            }
        }
    }
}

/// Prometheus never takes a rule's result out of order.
#[test]
fn what_is_judged_one_by_one_is_never_taken_out_of_order() {
    let mut head = head(WINDOW);
    written(&mut head, &[("up", &[(0, 1.0)])]);
    let up = labels("up");
    let sample = |ago| Sample {
        timestamp: NOW - Duration::from_secs(ago),
        value: 1.0,
    };
    let (staged, _) = head
        .stage_samples([(&up, sample(1800)), (&up, sample(1801))], NOW)
        .unwrap();
    assert_eq!(
        staged.report.refused_samples,
        [
            (0, Reason::Sample(SampleError::OutOfOrder)),
            (1, Reason::Sample(SampleError::BeforeWindow))
        ]
    );
    head.commit(staged);
}

#[test]
fn a_time_that_is_there_keeps_its_first_value() {
    let mut head = head(WINDOW);
    written(
        &mut head,
        &[("up", &[(60, 1.0), (50, HISTOGRAM + 1.0), (0, 3.0)])],
    );
    written(&mut head, &[("up", &[(55, 4.0), (45, HISTOGRAM + 4.0)])]);
    let before = seen(&head);
    for (ago, value, histograms, contradicting) in [
        (60, 1.0, 0, 0),
        (60, 9.0, 0, 1),
        (60, HISTOGRAM + 9.0, 1, 1),
        (50, HISTOGRAM + 1.0, 1, 0),
        (50, 1.0, 0, 1),
        (55, 4.0, 0, 0),
        (55, 5.0, 0, 1),
        (45, HISTOGRAM + 4.0, 1, 0),
        (45, HISTOGRAM + 5.0, 1, 1),
    ] {
        let (staged, records) = stage(&mut head, &request(&[("up", &[(ago, value)])])).unwrap();
        let report = &staged.report;
        assert_eq!(
            (
                report.repeated + report.repeated_histograms,
                report.repeated_histograms,
                report.contradicting,
                report.late + report.late_histograms,
                records.len()
            ),
            (1, histograms, contradicting, 0, 0),
            "{value} {ago} s ago"
        );
        head.commit(staged);
        assert_eq!(seen(&head), before, "{value} {ago} s ago");
    }
}

/// Both requests are on their way when they are judged, so that both have the time: the first one has it for good.
#[test]
fn of_two_late_samples_on_their_way_the_first_one_stays() {
    let mut head = head(WINDOW);
    written(&mut head, &[("up", &[(0, 3.0)])]);
    let (first, _) = stage(&mut head, &request(&[("up", &[(60, 1.0)])])).unwrap();
    let (second, _) = stage(&mut head, &request(&[("up", &[(60, 2.0)])])).unwrap();
    head.commit(first);
    head.commit(second);
    let expected = [(60, 1.0_f64.to_bits()), (0, 3.0_f64.to_bits())];
    assert_eq!(seen(&head)["{__name__=\"up\"}"], expected);
}

#[test]
fn a_refused_request_leaves_nothing_late_behind() {
    let mut head = head(WINDOW);
    written(&mut head, &[("up", &[(0, 3.0)])]);
    let bytes = request(&[
        ("up", &[(60, 1.0), (50, HISTOGRAM)]),
        ("up", &[(1801, 1.0)]),
    ]);
    stage(&mut head, &bytes).unwrap_err();
    let (failed, _) = stage(&mut head, &request(&[("new", &[(60, 1.0)])])).unwrap();
    head.abort(failed);
    assert_eq!(seen(&head).len(), 1);
    assert_eq!((head.late_samples(), head.stats().chunks), (0, 1));
    assert_eq!(head.collect_garbage(NOW), 1, "nothing is pending");
}

/// What a sender sees of its counters does not depend on the order in which it sent.
#[test]
fn a_late_histogram_does_not_count_as_a_reset() {
    use model::histogram::ResetHint;
    let mut head = head(WINDOW);
    let counts = |samples: &[(i64, f64)]| -> Vec<(i64, f64)> {
        let mark = |(ago, count): &(i64, f64)| (*ago, HISTOGRAM + count);
        samples.iter().map(mark).collect()
    };
    // A reset at 40 s ago; the late one at 50 s ago is what began anew.
    written(
        &mut head,
        &[(
            "h",
            &counts(&[(60, 9.0), (40, 5.0), (30, 6.0), (0, 7.0)])[..],
        )],
    );
    written(&mut head, &[("h", &counts(&[(50, 2.0), (20, 6.0)])[..])]);
    let views = head.select(&[], Timestamp::MIN, Timestamp::MAX);
    let found: Vec<(f64, ResetHint)> = points(&views[0])
        .histograms
        .iter()
        .map(|sample| (sample.histogram.count, sample.histogram.reset_hint))
        .collect();
    // What is unknown is found out by whoever compares two of them.
    let (unknown, not) = (ResetHint::Unknown, ResetHint::NotReset);
    let expected = [
        (9.0, unknown),
        (2.0, unknown),
        (5.0, not),
        (6.0, not),
        (6.0, not),
        (7.0, not),
    ];
    assert_eq!(found, expected);
}

/// Whatever its order, a thousand samples take some thirty chunks.
#[test]
fn chunks_are_bounded_and_end_with_the_range_of_a_block() {
    let mut head = head(Duration::from_secs(4 * HOUR as u64));
    written(&mut head, &[("up", &[(0, 3.0)])]);
    for step in 0..1000 {
        let ago = 1 + step * 7919 % 10_000;
        written(&mut head, &[("up", &[(ago, 1.0)])]);
    }
    assert_eq!(head.late_samples(), 1000);
    let cut = head.begin_late_cut().unwrap();
    let leaving = head.late_series(cut);
    let chunks = head.late_chunks(leaving[0].1, cut);
    assert!((32..=80).contains(&chunks.len()), "{}", chunks.len());
    for chunk in chunks {
        assert!(chunk.samples_len() <= 32);
        let range = |time: Timestamp| time.as_millis().div_euclid(2 * HOUR * 1000);
        assert_eq!(range(chunk.min_time), range(chunk.max_time));
    }
    assert_eq!(
        seen(&head)["{__name__=\"up\"}"].len(),
        1001,
        "still to be seen"
    );
    written(&mut head, &[("up", &[(10_001, 1.0)])]);
    head.end_late_cut(cut);
    assert_eq!(seen(&head)["{__name__=\"up\"}"].len(), 2);
    assert_eq!(head.begin_late_cut(), Some(cut + 1));
}

#[test]
fn late_samples_keep_their_series_and_go_with_the_retention() {
    let limits = Limits {
        out_of_order_window: Duration::from_secs(86_400),
        retention: Duration::from_secs(86_400),
        ..Limits::default()
    };
    let mut head = Head::new(limits, 7);
    written(&mut head, &[("up", &[(0, 3.0)])]);
    head.refuse_before(NOW - Duration::from_secs(100));
    written(&mut head, &[("late", &[(200, 3.0)])]);
    assert_eq!(head.drop_before(NOW - Duration::from_secs(100)), 0);
    assert_eq!(seen(&head).len(), 2);
    let later = NOW + Duration::from_secs(86_400 - 200);
    assert_eq!(head.collect_garbage(later), 0);
    assert_eq!(
        head.collect_garbage(later + Duration::from_millis(1001)),
        1,
        "of the late one"
    );
    assert_eq!(head.label_values("__name__"), ["up"]);
}

#[test]
fn windows_and_matchers_find_what_is_late() {
    let mut head = head(Duration::from_secs(4 * HOUR as u64));
    written(&mut head, &[("up", &[(0, 3.0)])]);
    written(&mut head, &[("up", &[(300, 3.0)])]);
    let at = |ago: u64| NOW - Duration::from_secs(ago);
    for (after, until, found) in [(301, 300, 1), (301, 1, 1), (300, 1, 0), (400, 301, 0)] {
        let (after, until) = (at(after), at(until));
        assert_eq!(head.select(&[], after, until).len(), found);
        assert_eq!(head.label_sets(&[], after, until).len(), found);
        assert_eq!(head.has_samples(after, until), found == 1);
    }
}

/// Everything the log, the newest snapshot and the blocks hold.
#[derive(Default)]
struct Disk {
    snapshot: Vec<(RecordKind, Vec<u8>)>,
    log: Records,
    blocks: Acknowledged,
}

/// The values that were acknowledged for each time of each series. Those that came first are the first.
type Acknowledged = BTreeMap<String, BTreeMap<i64, Vec<u64>>>;

impl Disk {
    fn restart(&self) -> Head {
        let mut head = head(Duration::from_secs(10_000));
        for (kind, payload) in self.snapshot.iter().chain(&self.log) {
            assert_eq!(head.replay(*kind, payload), Ok(0));
        }
        head.end_replay(|_| true);
        head
    }
}

fn points(view: &SeriesView) -> Points {
    view.points(Timestamp::MIN, Timestamp::MAX, &mut usize::MAX.clone())
        .unwrap()
}

/// Every series' times and values, each time once.
fn read(head: &Head) -> BTreeMap<String, BTreeMap<i64, u64>> {
    let mut all = BTreeMap::new();
    for view in head.select(&[], Timestamp::MIN, Timestamp::MAX) {
        let secs = |at: Timestamp| (NOW.as_millis() - at.as_millis()) / 1000;
        let points = points(&view);
        let floats: Vec<(Timestamp, u64)> = (points.samples.iter())
            .map(|sample| (sample.timestamp, sample.value.to_bits()))
            .collect();
        let histograms: Vec<(Timestamp, u64)> = (points.histograms.iter())
            .map(|sample| {
                let value = HISTOGRAM + sample.histogram.count;
                (sample.timestamp, value.to_bits())
            })
            .collect();
        for list in [&floats, &histograms] {
            assert!(
                list.is_sorted_by(|left, right| left.0 < right.0),
                "{list:?}"
            );
        }
        let mut samples = BTreeMap::new();
        for (at, value) in floats.into_iter().chain(histograms) {
            assert_eq!(samples.insert(secs(at), value), None, "each time once");
        }
        all.insert(view.labels.value("__name__").to_owned(), samples);
    }
    all
}

/// Series, seconds before the end, value.
type Sent = Vec<(u8, i64, u8)>;

#[derive(Clone, Debug)]
enum Step {
    Stage(Sent),
    /// The log took the oldest waiting request, or not.
    Logged(bool),
    Snapshot,
    Restart,
    /// What is late goes into a block; so many requests come meanwhile.
    Cut(Sent),
}

fn samples() -> impl Strategy<Value = Sent> {
    prop::collection::vec((0..3_u8, 0..9000_i64, 0..8_u8), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => samples().prop_map(Step::Stage),
        6 => prop::bool::weighted(0.8).prop_map(Step::Logged),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
        1 => samples().prop_map(Step::Cut),
    ]
}

/// A run of steps with what was acknowledged so far.
struct Story {
    head: Head,
    disk: Disk,
    waiting: VecDeque<(Staged, Records, Sent)>,
    acknowledged: Acknowledged,
    values: BTreeMap<(String, i64), u64>,
}

impl Story {
    fn new() -> Self {
        Self {
            head: head(Duration::from_secs(10_000)),
            disk: Disk::default(),
            waiting: VecDeque::new(),
            acknowledged: BTreeMap::new(),
            values: BTreeMap::new(),
        }
    }

    fn stage(&mut self, samples: Sent) {
        let value = |value: u8| match value {
            0..4 => f64::from(value),
            _ => HISTOGRAM + f64::from(value),
        };
        let series: Vec<(String, [(i64, f64); 1])> = samples
            .iter()
            .map(|(name, ago, number)| (format!("s{name}"), [(*ago, value(*number))]))
            .collect();
        let series: Vec<(&str, &[(i64, f64)])> = series
            .iter()
            .map(|(name, samples)| (name.as_str(), samples.as_slice()))
            .collect();
        if let Ok((staged, records)) = stage(&mut self.head, &request(&series)) {
            self.waiting.push_back((staged, records, samples));
        }
    }

    fn settle(&mut self, logged: bool) {
        let Some((staged, records, samples)) = self.waiting.pop_front() else {
            return;
        };
        if !logged {
            self.head.abort(staged);
            return;
        }
        self.disk.log.extend(records);
        self.head.commit(staged);
        for (name, ago, value) in samples {
            let value = match value {
                0..4 => f64::from(value),
                _ => HISTOGRAM + f64::from(value),
            };
            let of_series = self.acknowledged.entry(format!("s{name}")).or_default();
            of_series.entry(ago).or_default().push(value.to_bits());
        }
    }

    fn snapshot(&mut self) {
        while !self.waiting.is_empty() {
            self.settle(true);
        }
        self.disk.log = Vec::new();
        self.disk.snapshot = Vec::new();
        let mut from = Some(SnapshotCursor::START);
        while let Some(start) = from {
            let (part, next) = self.head.snapshot(start, 300);
            self.disk.snapshot.push(part.into_record());
            from = next;
        }
    }

    /// As the shell does it: what is staged before the cut begins has its outcome before anything is written.
    fn cut(&mut self, meanwhile: Sent) {
        let before = self.waiting.len();
        let Some(cut) = self.head.begin_late_cut() else {
            return;
        };
        let begun = Cut::to_record(&[Cut::LateBegun(cut)]);
        self.stage(meanwhile);
        for _ in 0..before {
            self.settle(true);
        }
        self.disk.log.push(begun);
        while !self.waiting.is_empty() {
            self.settle(true);
        }
        for (labels, id) in self.head.late_series(cut) {
            let name = labels.value("__name__").to_owned();
            let block = self.disk.blocks.entry(name).or_default();
            for chunk in self.head.late_chunks(id, cut) {
                let floats = chunk.samples();
                let floats = floats.map(|sample| (sample.timestamp, sample.value));
                let histograms = chunk.histograms();
                let histograms =
                    histograms.map(|sample| (sample.timestamp, HISTOGRAM + sample.histogram.count));
                for (at, value) in floats.chain(histograms) {
                    let ago = (NOW.as_millis() - at.as_millis()) / 1000;
                    block.entry(ago).or_default().push(value.to_bits());
                }
            }
        }
        self.head.end_late_cut(cut);
        self.disk.log.push(Cut::to_record(&[Cut::LateDone(cut)]));
    }

    /// Head and blocks together hold each acknowledged time, with a value that was acknowledged and stays.
    fn check(&mut self) {
        let mut found: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (name, block) in &self.disk.blocks {
            for (ago, values) in block {
                found.insert((name.clone(), *ago), values[0]);
            }
        }
        for (name, samples) in read(&self.head) {
            for (ago, value) in samples {
                found.entry((name.clone(), ago)).or_insert(value);
            }
        }
        let times = |name: &str, of: &BTreeMap<i64, Vec<u64>>| -> Vec<(String, i64)> {
            of.keys().map(|ago| (name.to_owned(), *ago)).collect()
        };
        let expected: BTreeSet<(String, i64)> = self
            .acknowledged
            .iter()
            .flat_map(|(name, of)| times(name, of))
            .collect();
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
        for (key, value) in &found {
            let known = &self.acknowledged[&key.0][&key.1];
            assert!(known.contains(value), "{key:?}");
            if let Some(before) = self.values.get(key) {
                assert_eq!(value, before, "{key:?} changed");
            }
        }
        self.values = found;
    }
}

proptest! {
    /// In whatever order samples come, whatever the log does, over restarts, snapshots and cuts.
    #[test]
    fn what_was_acknowledged_is_there_once(steps in prop::collection::vec(step(), 1..40)) {
        let mut story = Story::new();
        for step in steps {
            match step {
                Step::Stage(samples) => story.stage(samples),
                Step::Logged(logged) => story.settle(logged),
                Step::Snapshot => story.snapshot(),
                Step::Restart => {
                    story.waiting.clear();
                    story.head = story.disk.restart();
                }
                Step::Cut(meanwhile) => story.cut(meanwhile),
            }
            story.check();
        }
        story.waiting.clear();
        story.head = story.disk.restart();
        story.check();
    }
}

/// One word for a late sample of a series that is not there any more: its definition was lost.
#[test]
fn a_late_sample_without_a_definition_is_told() {
    let mut head = head(WINDOW);
    written(&mut head, &[("up", &[(0, 1.0)])]);
    let (_, records) = stage(
        &mut head,
        &request(&[("up", &[(9, 1.0), (8, HISTOGRAM), (7, 2.0)])]),
    )
    .unwrap();
    let kinds: Vec<RecordKind> = records.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [RecordKind::LateSamples, RecordKind::LateHistograms]);
    let mut other = Head::new(Limits::default(), 7);
    let told: Vec<_> = records
        .iter()
        .map(|(kind, payload)| other.replay(*kind, payload))
        .collect();
    assert_eq!(told, [Ok(2), Ok(1)]);
    assert_eq!(other.select(&[], Timestamp::MIN, Timestamp::MAX).len(), 0);
}
