//! Chunks, the head and its index: `cargo bench -p watchbell-ingest-core`. Names are those of Prometheus' own benchmarks; where a
//! row says so, that is what Prometheus 3.14 does on two cores of an AMD EPYC, its log included.
#![allow(clippy::unwrap_used, reason = "a benchmark: a failure is its message")]
use std::sync::LazyLock;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use model::{Labels, MatchOp, Matcher, MatcherDialect, Sample, Timestamp};
use watchbell_ingest_core::{
    Chunk, Head, Limits, OpenChunk, Points, SAMPLES_PER_CHUNK, SeriesView,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const SERIES: usize = 100_000;

fn main() {
    divan::main();
}

fn labels(number: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_requests_total_{}", number % 20)),
        ("i", number.to_string()),
        ("instance", format!("10.0.0.{}:9100", number % 200)),
        ("j", ["foo", "bar"][number / 10 % 2].to_owned()),
        ("job", "kubernetes-service-endpoints".to_owned()),
        ("n", (number % 10).to_string()),
    ])
}

static LABELS: LazyLock<Vec<Labels>> = LazyLock::new(|| (0..SERIES).map(labels).collect());

fn sample(at: Timestamp, number: usize) -> Sample {
    Sample {
        timestamp: at,
        value: (at.as_millis() / 1000 * (number as i64 % 7)) as f64,
    }
}

fn append(head: &mut Head, series: usize, at: Timestamp) -> usize {
    let samples = LABELS[..series].iter().enumerate();
    let samples = samples.map(|(number, labels)| (labels, sample(at, number)));
    let (staged, records) = head.stage_samples(samples, NOW).unwrap();
    head.commit(staged);
    records.iter().map(|(_, payload)| payload.len()).sum()
}

fn head_of(series: usize, samples: u32, step: Duration) -> Head {
    let mut head = Head::new(Limits::default(), 1);
    for number in 0..samples {
        append(&mut head, series, NOW - step * (samples - number));
    }
    head
}

#[divan::bench(name = "CreateSeries [Prometheus 498 k/s]", sample_count = 10)]
fn create_series(bencher: Bencher<'_, '_>) {
    LazyLock::force(&LABELS);
    bencher
        .counter(ItemsCount::new(SERIES))
        .with_inputs(|| Head::new(Limits::default(), 1))
        .bench_local_values(|mut head| {
            append(&mut head, SERIES, NOW);
            head
        });
}

#[divan::bench(
    name = "HeadAppender_AppendCommit by labels [Prometheus 2.52 M/s]",
    sample_count = 10
)]
fn append_commit(bencher: Bencher<'_, '_>) {
    let mut head = head_of(SERIES, 1, Duration::from_secs(3600));
    let mut at = NOW - Duration::from_secs(3000);
    bencher.counter(ItemsCount::new(SERIES)).bench_local(|| {
        at = at + Duration::from_secs(15);
        append(&mut head, SERIES, at)
    });
}

/// What the log is given; its bytes are the counter.
#[divan::bench(name = "WAL_Log [Prometheus 12.1 bytes a sample]")]
fn wal_log(bencher: Bencher<'_, '_>) {
    let mut head = head_of(2000, 1, Duration::from_secs(7200));
    let mut at = NOW - Duration::from_secs(7000);
    let bytes = append(&mut head, 2000, at);
    println!(
        "2,000 samples are {bytes} bytes: {:.2} a sample",
        bytes as f64 / 2000.0
    );
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        at = at + Duration::from_millis(10);
        let samples = LABELS[..2000].iter().enumerate();
        let samples = samples.map(|(number, labels)| (labels, sample(at, number)));
        let (staged, records) = head.stage_samples(samples, NOW).unwrap();
        head.abort(staged);
        records
    });
}

#[divan::bench(name = "Head_Truncate", args = [1000, 10_000], sample_count = 10)]
fn head_truncate(bencher: Bencher<'_, '_>, series: usize) {
    bencher
        .with_inputs(|| head_of(series, 480, Duration::from_secs(30)))
        .bench_local_values(|mut head| {
            head.drop_before(NOW - Duration::from_secs(2 * 3600));
            head
        });
}

static HEAD: LazyLock<Head> = LazyLock::new(|| head_of(SERIES, 2, Duration::from_secs(15)));

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value, MatcherDialect::PromQl).unwrap()
}

/// Name, operator, value, one after the other.
type Selector = &'static [(&'static str, MatchOp, &'static str)];

const SELECTORS: [(&str, Selector); 9] = [
    ("n=\"1\"", &[("n", MatchOp::Equal, "1")]),
    (
        "n=\"1\", j=\"foo\"",
        &[("n", MatchOp::Equal, "1"), ("j", MatchOp::Equal, "foo")],
    ),
    (
        "j=\"foo\", n=\"1\"",
        &[("j", MatchOp::Equal, "foo"), ("n", MatchOp::Equal, "1")],
    ),
    (
        "n=\"1\", j!=\"foo\"",
        &[("n", MatchOp::Equal, "1"), ("j", MatchOp::NotEqual, "foo")],
    ),
    ("i=~\".*\"", &[("i", MatchOp::Regex, ".*")]),
    ("i=~\"1.+\"", &[("i", MatchOp::Regex, "1.+")]),
    (
        "n=\"1\", i=~\".*1$\"",
        &[("n", MatchOp::Equal, "1"), ("i", MatchOp::Regex, ".*1$")],
    ),
    (
        "n=\"1\", i!~\"2.*\"",
        &[("n", MatchOp::Equal, "1"), ("i", MatchOp::NotRegex, "2.*")],
    ),
    (
        "n=\"X\", j=\"foo\"",
        &[("n", MatchOp::Equal, "X"), ("j", MatchOp::Equal, "foo")],
    ),
];

fn select(bencher: Bencher<'_, '_>, selector: &[(&str, MatchOp, &str)]) {
    let matchers: Vec<Matcher> = selector
        .iter()
        .map(|(name, op, value)| matcher(*op, name, value))
        .collect();
    LazyLock::force(&HEAD);
    bencher.bench(|| {
        HEAD.select(black_box(&matchers), Timestamp::MIN, Timestamp::MAX)
            .len()
    });
}

#[divan::bench(name = "QuerierSelect", args = SELECTORS.map(|(name, _)| name), sample_count = 20)]
fn querier_select(bencher: Bencher<'_, '_>, name: &str) {
    let found = SELECTORS.iter().find(|(own, _)| *own == name);
    select(bencher, found.unwrap().1);
}

#[divan::bench(name = "Intersect", sample_count = 20)]
fn intersect(bencher: Bencher<'_, '_>) {
    let name = ("__name__", MatchOp::Equal, "http_requests_total_11");
    let all = ("job", MatchOp::Equal, "kubernetes-service-endpoints");
    select(
        bencher,
        &[
            name,
            all,
            ("j", MatchOp::Equal, "bar"),
            ("n", MatchOp::Equal, "1"),
        ],
    );
}

#[divan::bench(name = "Merge", sample_count = 20)]
fn merge(bencher: Bencher<'_, '_>) {
    select(bencher, &[("instance", MatchOp::Regex, "10\\.0\\.0\\..*")]);
}

#[divan::bench(name = "SetMatcher", sample_count = 20)]
fn set_matcher(bencher: Bencher<'_, '_>) {
    select(
        bencher,
        &[("i", MatchOp::Regex, "1|22|333|4444|55555|none|of|these")],
    );
}

#[divan::bench(name = "Postings: values of a label", args = ["i", "instance", "n"], sample_count = 20)]
fn postings(bencher: Bencher<'_, '_>, name: &str) {
    LazyLock::force(&HEAD);
    bencher.bench(|| HEAD.label_values(black_box(name)).len());
}

/// Ten hours of one sample every 15 s.
fn long_head() -> Head {
    head_of(100, 2400, Duration::from_secs(15))
}

#[divan::bench(name = "QueryIterator", sample_count = 20)]
fn query_iterator(bencher: Bencher<'_, '_>) {
    let head = long_head();
    let views = head.select(&[], Timestamp::MIN, Timestamp::MAX);
    bencher
        .counter(ItemsCount::new(100_usize * 2400))
        .bench_local(|| {
            views
                .iter()
                .map(|view| read(view).samples.len())
                .sum::<usize>()
        });
}

/// The last sample of each hour: what is before it in its chunk is passed.
#[divan::bench(name = "QuerySeek", sample_count = 20)]
fn query_seek(bencher: Bencher<'_, '_>) {
    let head = long_head();
    bencher.bench_local(|| {
        let mut found = 0;
        for hour in 0..10 {
            let until = NOW - Duration::from_secs(hour * 3600);
            let after = until - Duration::from_secs(15);
            for view in head.select(&[], after, until) {
                found += usize::from(
                    read(&view)
                        .samples
                        .iter()
                        .any(|sample| sample.timestamp > after),
                );
            }
        }
        found
    });
}

fn chunk() -> std::sync::Arc<Chunk> {
    let at = |number: u16| NOW + Duration::from_secs(15 * u64::from(number));
    let mut open = OpenChunk::new(sample(at(0), 3));
    for number in 1..SAMPLES_PER_CHUNK {
        open.push(sample(at(number), 3));
    }
    open.seal()
}

#[divan::bench(name = "Appender")]
fn appender(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(usize::from(SAMPLES_PER_CHUNK)))
        .bench(chunk);
}

#[divan::bench(name = "Iterator")]
fn iterator(bencher: Bencher<'_, '_>) {
    let chunk = chunk();
    bencher
        .counter(ItemsCount::new(usize::from(SAMPLES_PER_CHUNK)))
        .bench(|| black_box(&chunk).samples().count());
}

#[divan::bench(name = "XorRead")]
fn xor_read(bencher: Bencher<'_, '_>) {
    let chunk = chunk();
    bencher
        .counter(ItemsCount::new(usize::from(SAMPLES_PER_CHUNK)))
        .bench(|| {
            black_box(&chunk)
                .samples()
                .map(|sample| sample.value)
                .sum::<f64>()
        });
}

fn read(view: &SeriesView) -> Points {
    let mut left = usize::MAX;
    view.points(Timestamp::MIN, Timestamp::MAX, &mut left)
        .expect("there is no limit")
}
