//! Bounds, errors and order of answers, and what is asked of a reader.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::{Labels, Sample, Timestamp, match_all};
use watchbell_promql::{
    Answer, EvalError, HEIGHT_MAX, ParserOptions, Query, QueryLimits, QueryValue, ReadError,
    Selection, Series, SeriesReader,
};

/// Hands out its series in a wrong order, and remembers what it was asked for.
#[derive(Default)]
struct Table {
    series: Vec<Series>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    /// `count` series of one metric with a sample each second from 0 to 1000 s.
    fn of(metric: &str, count: usize) -> Self {
        let samples: Vec<Sample> = (0..=1000)
            .map(|second| Sample {
                timestamp: Timestamp::from_secs(second),
                value: second as f64,
            })
            .collect();
        let series = |index: usize| Series {
            labels: Labels::from_pairs([("__name__", metric), ("n", &index.to_string())]),
            samples: samples.clone(),
            ..Series::default()
        };
        Self {
            series: (0..count).rev().map(series).collect(),
            asked: Mutex::default(),
        }
    }
}

impl SeriesReader for Table {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        self.asked.lock().unwrap().push(format!(
            "{:?} ({}, {}]",
            selection.matchers,
            selection.after.as_millis() / 1000,
            selection.until.as_millis() / 1000
        ));
        let mut found = Vec::new();
        let mut total = 0;
        for series in &self.series {
            let inside = |sample: &&Sample| {
                sample.timestamp > selection.after && sample.timestamp <= selection.until
            };
            if match_all(selection.matchers, &series.labels) {
                let samples: Vec<Sample> = series.samples.iter().filter(inside).copied().collect();
                total += samples.len();
                found.push(Series {
                    labels: series.labels.clone(),
                    samples,
                    ..Series::default()
                });
            }
        }
        if total > samples_max {
            return Err(ReadError::TooManySamples);
        }
        Ok(found)
    }
}

fn compile(text: &str) -> Query {
    Query::compile(text, &ParserOptions::all()).unwrap()
}

fn instant(
    reader: &dyn SeriesReader,
    text: &str,
    limits: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    compile(text).instant(reader, Timestamp::from_secs(1000), limits)
}

fn range(
    reader: &dyn SeriesReader,
    text: &str,
    limits: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    let (start, end) = (Timestamp::from_secs(500), Timestamp::from_secs(1000));
    compile(text).range(reader, start, end, Duration::from_secs(1), limits)
}

#[test]
fn samples_in_memory_are_bounded() {
    let reader = Table::of("m", 10);
    for (text, samples_max, fits) in [
        // 300 samples of each of ten series, and a value for each.
        ("m", 3010, true),
        ("m", 3009, false),
        ("m", 100, false),
        // The same selection is read once.
        ("sum(m) + sum(m)", 3022, true),
        // A subquery's times count before they are computed.
        ("max_over_time(vector(1)[1y:1ms])", 50_000_000, false),
        ("sum_over_time(m[10s])", 110, true),
        ("sum_over_time(m[10s])", 99, false),
    ] {
        let limits = QueryLimits {
            samples_max,
            ..QueryLimits::default()
        };
        let answer = instant(&reader, text, &limits);
        if fits {
            assert!(answer.is_ok(), "{text}: {answer:?}");
        } else {
            assert_eq!(answer, Err(EvalError::TooManySamples), "{text}");
        }
    }
    let limits = QueryLimits {
        samples_max: 1_000_000,
        ..QueryLimits::default()
    };
    let endless = compile("1").range(
        &reader,
        Timestamp::from_secs(0),
        Timestamp::from_secs(1_000_000_000),
        Duration::from_millis(1),
        &limits,
    );
    assert_eq!(endless, Err(EvalError::TooManySamples));
}

#[test]
fn infinities_win_over_nan_as_in_go() {
    let reader = Table::of("m", 1);
    for (text, value) in [
        ("clamp_max(vector(-Inf), NaN)", f64::NEG_INFINITY),
        ("clamp_max(vector(NaN), -Inf)", f64::NEG_INFINITY),
        ("clamp_max(vector(Inf), NaN)", f64::NAN),
        ("clamp_max(vector(1), NaN)", f64::NAN),
        ("clamp_min(vector(NaN), Inf)", f64::INFINITY),
        ("clamp_min(vector(Inf), NaN)", f64::INFINITY),
        ("clamp_min(vector(-Inf), NaN)", f64::NAN),
        ("clamp(vector(NaN), -Inf, Inf)", f64::NAN),
        ("clamp(vector(NaN), Inf, Inf)", f64::INFINITY),
    ] {
        let answer = instant(&reader, text, &QueryLimits::default()).unwrap();
        let QueryValue::Vector(vector) = answer.value else {
            panic!("{text}: a vector");
        };
        let found = vector[0].value.as_float().unwrap();
        assert!(
            found == value || (found.is_nan() && value.is_nan()),
            "{text}: {found}"
        );
    }
}

#[test]
fn a_query_reads_so_many_series() {
    let mut reader = Table::of("m", 3);
    reader.series.extend(Table::of("n", 2).series);
    for (text, series_max, fits) in [
        ("m", 3, true),
        ("m", 2, false),
        ("sum(m)", 2, false),
        ("m + m", 3, true),
        ("sum(m) + sum(n)", 5, true),
        ("sum(m) + sum(n)", 4, false),
        ("m + m offset 1s", 5, false),
        ("max_over_time(m[1m:1s])", 3, true),
        ("vector(1)", 0, true),
    ] {
        let limits = QueryLimits {
            series_max,
            ..QueryLimits::default()
        };
        let answer = instant(&reader, text, &limits);
        if fits {
            assert!(answer.is_ok(), "{text} {series_max}: {answer:?}");
        } else {
            assert_eq!(answer, Err(EvalError::TooManySeries), "{text} {series_max}");
        }
    }
}

#[test]
fn a_query_holds_so_many_bytes() {
    let reader = Table::of("m", 10);
    // 3,010 samples of 16 bytes, and ten series of 128 bytes and their labels.
    let labels = |count| count * (128 + Table::of("m", 1).series[0].labels.size_bytes());
    let exact = 3010 * 16 + labels(10);
    for (text, bytes_max, fits) in [
        ("m", exact, true),
        ("m", exact - 16, false),
        ("m", 1000, false),
        ("m", 0, false),
        ("vector(1)", 64, true),
        ("max_over_time(vector(1)[1y:1s])", 1 << 20, false),
    ] {
        let limits = QueryLimits {
            bytes_max,
            ..QueryLimits::default()
        };
        let answer = instant(&reader, text, &limits);
        if fits {
            assert!(answer.is_ok(), "{text} {bytes_max}: {answer:?}");
        } else {
            assert_eq!(answer, Err(EvalError::TooManyBytes), "{text} {bytes_max}");
        }
    }
    let limits = QueryLimits {
        samples_max: 1,
        ..QueryLimits::default()
    };
    let answer = instant(&reader, "m", &limits);
    assert_eq!(answer, Err(EvalError::TooManySamples));
}

#[test]
fn a_query_is_cancelled_within_a_series() {
    let reader = Table::of("m", 1);
    let asked = AtomicUsize::new(0);
    // Beyond the questions that come before the one series is looked at.
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= 10;
    let limits = QueryLimits {
        cancelled: Some(&cancelled),
        ..QueryLimits::default()
    };
    let query = compile("quantile_over_time(0.5, vector(1)[1d:1s])");
    let (start, step) = (Timestamp::from_secs(100_000), Duration::from_secs(1));
    let answer = query.range(&reader, start, start + step * 10_000, step, &limits);
    assert_eq!(answer, Err(EvalError::Cancelled));
    assert_eq!(asked.load(Ordering::Relaxed), 11);
}

#[test]
fn a_query_is_cancelled_between_series() {
    let reader = Table::of("m", 50);
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= 10;
    let limits = QueryLimits {
        cancelled: Some(&cancelled),
        ..QueryLimits::default()
    };
    let error = range(&reader, "rate(m[5m])", &limits).unwrap_err();
    assert_eq!(error, EvalError::Cancelled);
    assert_eq!(asked.load(Ordering::Relaxed), 11);
}

/// However much there is to do for one series, or for one operator.
#[test]
fn a_query_is_cancelled_between_values() {
    let reader = Table::of("m", 200);
    let asks = |text: &str| {
        let asked = AtomicUsize::new(0);
        let cancelled = || {
            asked.fetch_add(1, Ordering::Relaxed);
            false
        };
        let limits = QueryLimits {
            cancelled: Some(&cancelled),
            ..QueryLimits::default()
        };
        range(&reader, text, &limits).unwrap();
        asked.into_inner()
    };
    let alone = asks("m");
    for text in [
        "sum_over_time(vector(1)[1h:1s])",
        "quantile_over_time(0.5, (vector(time()))[1h:1s])",
        r#"count_values("v", m)"#,
        "m * on() group_left() (vector(1) + vector(1) + vector(1))",
        "topk(2, m) or topk(2, m) or topk(2, m)",
        "stddev(m + 1 + 1 + 1 + 1)",
    ] {
        assert!(asks(text) > alone + 1, "{text}");
    }
}

/// Prometheus holds no value where a series has no sample; a row for each of many short series would.
#[test]
fn what_is_folded_is_not_held() {
    let reader = Table::of("m", 100);
    for (text, samples_max) in [
        ("count(m)", 82_000),
        ("sum(rate(m[10s]))", 53_000),
        ("max(max_over_time(m[10s]))", 53_000),
    ] {
        let limits = QueryLimits {
            samples_max,
            ..QueryLimits::default()
        };
        let answer = range(&reader, text, &limits);
        assert!(answer.is_ok(), "{text}: {answer:?}");
    }
}

/// A row for every value of every step, or text that doubles, is counted before it is there.
#[test]
fn what_would_grow_is_refused_before_it_has() {
    let reader = Table::of("m", 1);
    let doubled = (0..40).fold("m".to_owned(), |inner, _| {
        format!(r#"label_replace({inner}, "n", "$1$1", "n", "(.*)")"#)
    });
    let joined = (0..40).fold("m".to_owned(), |inner, _| {
        format!(r#"label_join({inner}, "n", "", "n", "n")"#)
    });
    let counted = r#"count_values("v", vector(time()))"#;
    for text in [&doubled, &joined, counted] {
        let limits = QueryLimits {
            samples_max: 100_000,
            ..QueryLimits::default()
        };
        assert_eq!(
            range(&reader, text, &limits),
            Err(EvalError::TooManySamples),
            "{text}"
        );
    }
}

#[test]
fn errors_use_prometheus_words() {
    let reader = Table::of("m", 2);
    for (text, error) in [
        (
            "m + on() m",
            "found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"m\", n=\"0\"}, {__name__=\"m\", n=\"1\"}];many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "m + on() sum(m)",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "label_replace(m, \"n\", \"\", \"\", \"\") + on() group_left sum(m)",
            "vector cannot contain metrics with the same labelset",
        ),
        (
            "m * on() group_left(n) count_values(\"n\", sum(m))",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
        ("topk(NaN, m)", "Parameter value is NaN"),
        ("topk(1e30, m)", "Scalar value 1e+30 overflows int64"),
        (
            "double_exponential_smoothing(m[1m], 2, 0.5)",
            "invalid smoothing factor. Expected: 0 < sf < 1, got: 2.000000",
        ),
        (
            "label_replace(m, \"x\", \"\", \"n\", \"(\")",
            "invalid regular expression in label_replace(): (",
        ),
        (
            "label_join(m, \"\", \",\", \"n\")",
            "invalid destination label name in label_join(): ",
        ),
        (
            "max_over_time(m[1m] smoothed)",
            "smoothed modifier can only be used with: delta, increase, rate - not with max_over_time",
        ),
    ] {
        let found = instant(&reader, text, &QueryLimits::default()).unwrap_err();
        assert_eq!(found.to_string(), error, "{text}");
    }
    let error = range(&reader, "m[5m]", &QueryLimits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
}

#[test]
fn answers_are_sorted_by_labels_whatever_the_reader_does() {
    let reader = Table::of("m", 12);
    for text in ["m", "-m", "m and m", "max by (n) (m)", "m > 1"] {
        let answer = instant(&reader, text, &QueryLimits::default()).unwrap();
        let QueryValue::Vector(vector) = answer.value else {
            panic!("{text} is a vector");
        };
        assert_eq!(vector.len(), 12, "{text}");
        assert!(
            vector.is_sorted_by(|left, right| left.labels < right.labels),
            "{text}"
        );
    }
}

#[test]
fn a_reader_is_asked_once_for_just_what_is_needed() {
    for (text, asked) in [
        ("m", vec![r#"[__name__="m"] (700, 1000]"#]),
        ("m / m", vec![r#"[__name__="m"] (700, 1000]"#]),
        ("rate(m[2m])", vec![r#"[__name__="m"] (880, 1000]"#]),
        ("m offset 1m", vec![r#"[__name__="m"] (640, 940]"#]),
        ("m @ 10", vec![r#"[__name__="m"] (-290, 10]"#]),
        (
            "m{n=\"1\"} - m",
            vec![
                r#"[n="1" __name__="m"] (700, 1000]"#,
                r#"[__name__="m"] (700, 1000]"#,
            ],
        ),
        // The first computation inside (400, 1000] is at 420, the last at 960 or 1000.
        (
            "max_over_time(rate(m[1m])[10m:1m])",
            vec![r#"[__name__="m"] (360, 960]"#],
        ),
        (
            "rate(m[1m] anchored)",
            vec![r#"[__name__="m"] (640, 1000]"#],
        ),
        ("time()", vec![]),
    ] {
        let reader = Table::of("m", 2);
        instant(&reader, text, &QueryLimits::default()).unwrap();
        let found: Vec<String> = reader
            .asked
            .into_inner()
            .unwrap()
            .into_iter()
            .map(|text| text.replace(',', "").replace(") (", " ("))
            .collect();
        let wanted: Vec<String> = asked.iter().map(|text| text.replace(',', "")).collect();
        assert_eq!(found, wanted, "{text}");
    }
    let reader = Table::of("m", 2);
    range(&reader, "sum(rate(m[1m]))", &QueryLimits::default()).unwrap();
    assert_eq!(
        *reader.asked.lock().unwrap(),
        [r#"[__name__="m"] (440, 1000]"#]
    );
}

#[test]
fn the_highest_tree_is_computed_on_a_threads_usual_stack() {
    let chain = "m".to_owned() + &" + m".repeat(HEIGHT_MAX - 2);
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let answer = worker
        .spawn(move || instant(&Table::of("m", 1), &chain, &QueryLimits::default()).unwrap())
        .unwrap()
        .join()
        .unwrap();
    let QueryValue::Vector(vector) = answer.value else {
        panic!("a vector");
    };
    assert_eq!(
        vector[0].value.as_float(),
        Some(1000.0 * (HEIGHT_MAX - 1) as f64)
    );
}

#[test]
fn one_compiled_query_runs_on_many_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Query>();
}

#[test]
fn series_that_only_their_names_tell_apart_are_refused_where_names_are_dropped_at_once() {
    let mut reader = Table::of("a_total", 2);
    reader.series.extend(Table::of("b_total", 2).series);
    for (text, fits) in [
        ("rate(a_total[1m])", true),
        ("sum by (n) (rate(a_total[1m]))", true),
        ("sum by (n) (rate({__name__=~\".+_total\"}[1m]))", false),
        ("rate({__name__=~\".+_total\"}[1m])", false),
        ("-{__name__=~\".+_total\"}", false),
        (
            "sum by (__name__) (last_over_time({__name__=~\".+_total\"}[1m]))",
            true,
        ),
        ("sum({__name__=~\".+_total\"})", true),
    ] {
        let query = Query::compile(text, &ParserOptions::default()).unwrap();
        let answer = query.instant(&reader, Timestamp::from_secs(1000), &QueryLimits::default());
        match answer {
            Ok(answer) => assert!(fits, "{text}: {answer:?}"),
            Err(error) => {
                assert!(!fits, "{text}: {error}");
                assert_eq!(
                    error.to_string(),
                    "vector cannot contain metrics with the same labelset"
                );
            }
        }
    }
}

/// Each row: how many samples an instant query looks at, and each of three steps, 100 s apart. There is a sample a second.
#[test]
fn samples_are_counted_at_every_step_that_looks_at_them() {
    let reader = Table::of("m", 2);
    for (text, instant, steps) in [
        ("m", 2, Some([2, 2, 2])),
        ("m offset 900s", 2, Some([0, 2, 2])),
        ("sum(m)", 2, Some([2, 2, 2])),
        ("m + m", 4, Some([4, 4, 4])),
        ("m @ 500", 2, Some([2, 2, 2])),
        ("sum(m @ 500) + m", 4, Some([4, 4, 4])),
        ("timestamp(m)", 2, Some([2, 2, 2])),
        ("rate(m[50s])", 100, Some([100, 100, 100])),
        ("sum(rate(m[50s]))", 100, Some([100, 100, 100])),
        ("rate(m[150s] offset 850s)", 300, Some([0, 102, 300])),
        ("max_over_time(m[50s] @ 500)", 100, Some([100, 100, 100])),
        // What the subquery has looked at is not counted, but its steps are.
        ("max_over_time(m[50s:10s])", 10, Some([10, 10, 10])),
        (
            "max_over_time(rate(m[50s])[50s:10s])",
            10,
            Some([10, 10, 10]),
        ),
        ("1", 0, Some([0, 0, 0])),
        ("nothing", 0, Some([0, 0, 0])),
        // Range vectors as an answer.
        ("m[50s]", 100, None),
        ("rate(m[50s])[50s:10s]", 500, None),
        ("(m @ 500)[50s:10s]", 10, None),
    ] {
        let seen = Mutex::new(Vec::new());
        let tell = |counts| *seen.lock().unwrap() = counts;
        let limits = QueryLimits {
            seen: Some(&tell),
            ..QueryLimits::default()
        };
        compile(text)
            .instant(&reader, Timestamp::from_secs(1000), &limits)
            .unwrap();
        assert_eq!(*seen.lock().unwrap(), [instant], "{text}");
        if let Some(steps) = steps {
            let [start, end] = [800, 1000].map(Timestamp::from_secs);
            compile(text)
                .range(&reader, start, end, Duration::from_secs(100), &limits)
                .unwrap();
            assert_eq!(*seen.lock().unwrap(), steps, "{text}");
        }
    }
}
