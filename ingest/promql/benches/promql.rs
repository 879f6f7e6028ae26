//! Parsing and evaluating: `cargo bench -p watchbell-promql`. Names and shapes are those of Prometheus' own benchmarks: series with
//! a sample every 10 s, queries of 1 and of 1,000 steps. Where a row says so, Prometheus 3.14 takes that long on two cores of an AMD
//! EPYC, its storage included; here samples are read from a table.
#![allow(clippy::unwrap_used, reason = "a benchmark: a failure is its message")]
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::{Bencher, black_box};
use model::histogram::{Bucket, CUSTOM_BUCKETS};
use model::{Histogram, HistogramSample, Labels, Sample, Timestamp, match_all};
use watchbell_promql::{
    ParserOptions, Query, QueryLimits, ReadError, Selection, Series, SeriesReader, parse,
};

const INTERVAL: i64 = 10_000;
/// A day before the queries begin, and what they look at.
const BEFORE: i64 = 8640;
const STEPS_MAX: i64 = 1000;

fn main() {
    divan::main();
}

struct Table(Vec<Series>);

impl SeriesReader for Table {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let mut left = samples_max;
        let mut found = Vec::new();
        for series in &self.0 {
            if !match_all(selection.matchers, &series.labels) {
                continue;
            }
            let floats = inside(&series.samples, selection, |sample| sample.timestamp);
            let histograms = inside(&series.histograms, selection, |sample| sample.timestamp);
            let read = floats.len() + histograms.len();
            left = left.checked_sub(read).ok_or(ReadError::TooManySamples)?;
            if read > 0 {
                found.push(Series {
                    labels: series.labels.clone(),
                    samples: floats.to_vec(),
                    histograms: histograms.to_vec(),
                    ..Series::default()
                });
            }
        }
        Ok(found)
    }
}

fn inside<'s, T>(
    samples: &'s [T],
    selection: &Selection<'_>,
    time: impl Fn(&T) -> Timestamp,
) -> &'s [T] {
    let begin = samples.partition_point(|sample| time(sample) <= selection.after);
    let end = samples.partition_point(|sample| time(sample) <= selection.until);
    &samples[begin..end.max(begin)]
}

fn times() -> impl Iterator<Item = Timestamp> {
    (0..BEFORE + STEPS_MAX).map(|number| Timestamp::from_millis(number * INTERVAL))
}

fn floats(number: usize) -> Vec<Sample> {
    let value = |place: usize| (place * (number + 1)) as f64;
    let times = times().enumerate();
    times
        .map(|(place, timestamp)| Sample {
            timestamp,
            value: value(place),
        })
        .collect()
}

fn series(pairs: &[(&str, String)], samples: Vec<Sample>) -> Series {
    Series {
        labels: Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))),
        samples,
        ..Series::default()
    }
}

/// `a_one`, `b_one`, `a_hundred`, `b_hundred`, and `h_hundred` with ten buckets and an infinite one.
static FLOATS: LazyLock<Table> = LazyLock::new(|| {
    let mut all = Vec::new();
    for metric in ["a", "b"] {
        all.push(series(&[("__name__", format!("{metric}_one"))], floats(0)));
        for number in 0..100 {
            let labels = [
                ("__name__", format!("{metric}_hundred")),
                ("l", number.to_string()),
            ];
            all.push(series(&labels, floats(number)));
        }
    }
    for number in 0..100 {
        for le in 0..=10 {
            let bound = if le == 10 {
                "+Inf".to_owned()
            } else {
                le.to_string()
            };
            let labels = [
                ("__name__", "h_hundred".to_owned()),
                ("l", number.to_string()),
                ("le", bound),
            ];
            all.push(series(&labels, floats(le)));
        }
    }
    Table(all)
});

/// A row: an expression, and what Prometheus takes for one step and for a thousand.
struct Row(&'static str, &'static str, &'static str);

const RANGE_QUERIES: [Row; 15] = [
    Row("a_one", "15 µs", "82 µs"),
    Row("a_hundred", "257 µs", "5.04 ms"),
    Row("rate(a_hundred[1m])", "291 µs", "14.6 ms"),
    Row("rate(a_hundred[1d])", "40.9 ms", "971 ms"),
    Row("changes(a_hundred[1d])", "37.7 ms", "5896 ms"),
    Row("absent_over_time(a_hundred[1d])", "28 ms", "147 ms"),
    Row(
        "double_exponential_smoothing(a_hundred[1d], 0.3, 0.3)",
        "33 ms",
        "6109 ms",
    ),
    Row("a_hundred - b_hundred", "660 µs", "33.4 ms"),
    Row("sum(a_hundred)", "340 µs", "7.4 ms"),
    Row("sum by (le) (h_hundred)", "2.26 ms", "108 ms"),
    Row("topk(5, a_hundred)", "570 µs", "9.5 ms"),
    Row(
        "histogram_quantile(0.9, rate(h_hundred[5m]))",
        "3.12 ms",
        "181 ms",
    ),
    Row(
        "sum without (l) (rate(a_hundred[1m])) / sum without (l) (rate(b_hundred[1m]))",
        "430 µs",
        "16.9 ms",
    ),
    Row(
        "label_replace(a_hundred, 'l2', '$1', 'l', '(.*)')",
        "410 µs",
        "7.2 ms",
    ),
    Row("count({__name__!=\"\"})", "2.2 ms", "not told"),
];

struct Run {
    text: &'static str,
    steps: u32,
    quoted: &'static str,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} steps", self.text, self.steps)?;
        if !self.quoted.is_empty() {
            write!(f, " [Prometheus {}]", self.quoted)?;
        }
        Ok(())
    }
}

fn range_queries() -> Vec<Run> {
    let both = RANGE_QUERIES.iter().flat_map(|Row(text, once, often)| {
        let run = |steps, quoted| Run {
            text,
            steps,
            quoted,
        };
        [run(1, once), run(1000, often)]
    });
    both.collect()
}

fn of(texts: &'static [&'static str]) -> Vec<Run> {
    let runs = texts.iter().flat_map(|text| {
        [1, 100].map(|steps| Run {
            text,
            steps,
            quoted: "",
        })
    });
    runs.collect()
}

fn run(bencher: Bencher<'_, '_>, table: &Table, run: &Run) {
    let query = Query::compile(run.text, &ParserOptions::all()).unwrap();
    let limits = QueryLimits::default();
    let start = Timestamp::from_millis(BEFORE * INTERVAL);
    let step = Duration::from_millis(INTERVAL as u64);
    let end = start + step * (run.steps - 1);
    bencher.bench(|| {
        query
            .range(table, start, end, step, black_box(&limits))
            .unwrap()
    });
}

#[divan::bench(name = "RangeQuery", args = range_queries(), sample_count = 10, max_time = 2)]
fn range_query(bencher: Bencher<'_, '_>, one: &Run) {
    run(bencher, &FLOATS, one);
}

fn joins() -> Vec<Run> {
    of(&[
        "a_hundred + on (l) b_hundred",
        "a_hundred and b_hundred",
        "a_hundred and ignoring (l) b_one",
        "a_hundred or b_hundred",
        "a_hundred unless b_hundred",
        "h_hundred / on (l) group_left a_hundred",
    ])
}

#[divan::bench(name = "JoinQuery", args = joins(), sample_count = 10, max_time = 2)]
fn join_query(bencher: Bencher<'_, '_>, one: &Run) {
    run(bencher, &FLOATS, one);
}

/// A hundred series of histograms, with a bucket more for every sample of a hundred.
fn histograms(schema: i32) -> Table {
    let custom_values: Arc<[f64]> = if schema == CUSTOM_BUCKETS {
        (0..20).map(f64::from).collect()
    } else {
        Arc::default()
    };
    let all = (0..100).map(|number| {
        let samples = times().skip(BEFORE as usize - 100).take(300).enumerate();
        let histograms = samples.map(|(place, timestamp)| {
            let positive: Vec<Bucket> = (0..20)
                .map(|index| Bucket {
                    index,
                    count: (place * (index as usize + 1)) as f64,
                })
                .collect();
            let count = positive.iter().map(|bucket| bucket.count).sum();
            HistogramSample {
                timestamp,
                start: Timestamp::default(),
                histogram: Arc::new(Histogram {
                    schema,
                    count,
                    sum: count * 1.5,
                    positive,
                    custom_values: Arc::clone(&custom_values),
                    ..Histogram::default()
                }),
            }
        });
        Series {
            labels: Labels::from_pairs([("__name__", "native"), ("l", &number.to_string())]),
            histograms: histograms.collect(),
            ..Series::default()
        }
    });
    Table(all.collect())
}

static EXPONENTIAL: LazyLock<Table> = LazyLock::new(|| histograms(3));
static CUSTOM: LazyLock<Table> = LazyLock::new(|| histograms(CUSTOM_BUCKETS));

fn of_histograms() -> Vec<Run> {
    of(&[
        "sum(native)",
        "sum(rate(native[2m]))",
        "histogram_quantile(0.9, rate(native[2m]))",
        "histogram_count(sum(rate(native[2m])))",
    ])
}

#[divan::bench(name = "NativeHistograms", args = of_histograms(), sample_count = 10, max_time = 2)]
fn native_histograms(bencher: Bencher<'_, '_>, one: &Run) {
    run(bencher, &EXPONENTIAL, one);
}

#[divan::bench(name = "NativeHistogramsCustomBuckets", args = of_histograms(), sample_count = 10, max_time = 2)]
fn native_histograms_custom_buckets(bencher: Bencher<'_, '_>, one: &Run) {
    run(bencher, &CUSTOM, one);
}

/// Ten instances with their `target_info`, and a hundred series of each.
static INFOS: LazyLock<Table> = LazyLock::new(|| {
    let mut all = Vec::new();
    for instance in 0..10 {
        let identity = || [("instance", instance.to_string()), ("job", "j".to_owned())];
        let info = [
            ("__name__", "target_info".to_owned()),
            ("cluster", "c".to_owned()),
        ];
        all.push(series(&[&info[..], &identity()[..]].concat(), floats(0)));
        for number in 0..100 {
            let own = [
                ("__name__", "requests".to_owned()),
                ("l", number.to_string()),
            ];
            all.push(series(
                &[&own[..], &identity()[..]].concat(),
                floats(number),
            ));
        }
    }
    Table(all)
});

fn infos() -> Vec<Run> {
    of(&["info(requests)", "info(requests, {cluster=\"c\"})"])
}

#[divan::bench(name = "InfoFunction", args = infos(), sample_count = 10, max_time = 2)]
fn info_function(bencher: Bencher<'_, '_>, one: &Run) {
    run(bencher, &INFOS, one);
}

const TEXTS: [&str; 7] = [
    "a",
    "metric{label=\"value\", other!~\"a|b\"}",
    "(foo + bar) / baz{a=\"b\"}[5m:10s] offset 5m",
    "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m])) > 0.1",
    "histogram_quantile(0.9, sum by (le) (rate(request_duration_seconds_bucket[5m])))",
    "foo and on (a, b) group_left (c) bar or baz unless boom",
    "1 + 2 / (3 * 1) ^ -2 % 4 == bool 5",
];

fn parsed() -> Vec<&'static str> {
    // A subquery needs an instant vector, and an operator takes no matrix.
    let is_sound = |text: &&str| parse(text, &ParserOptions::all()).is_ok();
    TEXTS.into_iter().filter(is_sound).collect()
}

#[divan::bench(name = "Parser", args = TEXTS)]
fn parser(text: &str) -> bool {
    parse(black_box(text), &ParserOptions::all()).is_ok()
}

#[divan::bench(name = "ExprString", args = parsed())]
fn expr_string(bencher: Bencher<'_, '_>, text: &str) {
    let expr = parse(text, &ParserOptions::all()).unwrap();
    bencher.bench(|| black_box(&expr).to_string());
}
