//! The same samples by remote write to Debian's Prometheus and to Watchbell, and the same queries to both: everything
//! that both understand must be answered the same, instant and range, values and errors.
//!
//! Debian's is 2.42, Watchbell is 3.14. What changed between them is either kept out of the way or named in [`EXCLUDED`]:
//! since 3.0 windows are open on the left, so no sample and no step of a subquery stands on the edge of a window (samples
//! come 1 to 3 s after each multiple of 5 s, queries ask at multiples of 5 s that are none of 10 s, and subqueries step by
//! multiples of 10 s).
use std::collections::{BTreeMap, BTreeSet};

use fakes::{Message1, Part, SentSample, integer_histogram, write_request};
use model::stale_nan;
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::client::{plain_client, remote_write};
use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::watchbell::Watchbell;

/// Sums are compensated in another order, and powers differ in the last bit.
const TOLERANCE: f64 = 1e-9;
/// The metric of native histograms.
const NATIVE: &str = "demo_native_seconds";
/// Samples of each series.
const SAMPLES: i64 = 160;
const SECONDS_BETWEEN: i64 = 15;
const COMPARED_MIN: usize = 500;

/// Templates of which one of the two knows nothing, or something else on purpose.
const EXCLUDED: [(&str, &str); 15] = [
    (
        "last_over_time(demo_native_seconds",
        "2.42 makes zeros of native histograms there",
    ),
    (
        "label_replace(demo_native_seconds",
        "2.42 makes zeros of native histograms there",
    ),
    (
        "histogram_quantile(0.9, demo_native_seconds",
        "2.42 interpolates native buckets linearly, 3.0 exponentially",
    ),
    (
        "histogram_fraction(",
        "2.42 interpolates native buckets linearly, 3.0 exponentially",
    ),
    (
        "demo_num_cpus atan2 3",
        "atan2 kept the metric's name until 3.0; its values are compared inside `sum without ()`",
    ),
    (
        "holt_winters(",
        "renamed to double_exponential_smoothing in 3.0, and experimental since",
    ),
    ("first_over_time(", "came after 2.42"),
    ("ts_of_max_over_time(", "came after 2.42"),
    ("mad_over_time(", "came after 2.42, and is experimental"),
    ("sort_by_label(", "came after 2.42, and is experimental"),
    ("limitk(", "came after 2.42, and is experimental"),
    ("info(", "came after 2.42, and is experimental"),
    ("[5m + 1m]", "arithmetic in durations came after 2.42"),
    ("{\"demo_num_cpus\"}", "names in quotes came with 3.0"),
    (
        "-(demo_intermittent or",
        "2.42 refuses series that are one without their names though they never meet; today they are joined",
    ),
];

/// Deterministic numbers from 0 to 1 that look like none.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One series: its name and labels, and its value at each step, if any.
struct Source {
    name: &'static str,
    labels: Vec<(String, String)>,
    values: Vec<Option<f64>>,
}

/// What services of a demo would tell: gauges, counters with a reset, classic histograms, gaps, ends and odd values.
fn sources() -> Vec<Source> {
    let mut noise = Noise(7);
    let mut all = Vec::new();
    let mut add = |name, labels: &[(&str, &str)], value: &mut dyn FnMut(i64) -> Option<f64>| {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        all.push(Source {
            name,
            labels: labels.collect(),
            values: (0..SAMPLES).map(value).collect(),
        });
    };
    for instance in ["demo:1", "demo:2", "demo:3"] {
        let own = |more: &[(&'static str, &'static str)]| {
            let mut labels = vec![("instance", instance), ("job", "demo")];
            labels.extend_from_slice(more);
            labels
        };
        for kind in ["buffers", "cached", "free", "used"] {
            let base = 1e9 * (1.0 + noise.next());
            add(
                "demo_memory_usage_bytes",
                &own(&[("type", kind)]),
                &mut |_| Some((base + noise.next() * 1e8).round()),
            );
        }
        for mode in ["idle", "system", "user"] {
            let mut total = noise.next() * 1000.0;
            let rate = noise.next() * 15.0;
            // One of them begins anew on the way.
            let reset = (instance == "demo:2" && mode == "user").then_some(77);
            add(
                "demo_cpu_usage_seconds_total",
                &own(&[("mode", mode)]),
                &mut |step| {
                    if Some(step) == reset {
                        total = 0.0;
                    }
                    total += rate * noise.next();
                    Some(total)
                },
            );
        }
        add("demo_num_cpus", &own(&[]), &mut |_| Some(4.0));
        add("demo_disk_total_bytes", &own(&[]), &mut |_| Some(1e12));
        let mut used = 1e11;
        add("demo_disk_usage_bytes", &own(&[]), &mut |_| {
            used += noise.next() * 1e7;
            Some(used)
        });
        add(
            "demo_batch_last_success_timestamp_seconds",
            &own(&[]),
            &mut |step| Some(1.7e9 + (step / 20 * 300) as f64),
        );
        add(
            "demo_intermittent",
            &own(&[]),
            &mut |step| match step % 40 {
                0..=24 => Some(step as f64),
                // Its target goes away in good order.
                25 => Some(stale_nan()),
                _ => None,
            },
        );
        for (method, path) in [("GET", "/api/foo"), ("POST", "/api/bar")] {
            let mut totals = [0.0_f64; 6];
            let bounds = ["0.01", "0.05", "0.1", "0.5", "1", "+Inf"];
            let mut history = Vec::new();
            for _ in 0..SAMPLES {
                for _ in 0..20 {
                    let bucket = (noise.next() * noise.next() * 6.0) as usize;
                    for total in &mut totals[bucket.min(5)..] {
                        *total += 1.0;
                    }
                }
                history.push(totals);
            }
            for (place, bound) in bounds.iter().enumerate() {
                let labels = own(&[("method", method), ("path", path), ("le", bound)]);
                add(
                    "demo_api_request_duration_seconds_bucket",
                    &labels,
                    &mut |step| Some(history[step as usize][place]),
                );
            }
            let labels = own(&[("method", method), ("path", path)]);
            add(
                "demo_api_request_duration_seconds_count",
                &labels,
                &mut |step| Some(history[step as usize][5]),
            );
        }
        let odd = [
            0.0,
            -0.0,
            -1.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e300,
        ];
        add("demo_odd", &own(&[]), &mut |step| {
            Some(odd[(step as usize) % odd.len()])
        });
    }
    add(
        "demo_target_info",
        &[("instance", "demo:1"), ("job", "demo"), ("version", "1.2")],
        &mut |_| Some(1.0),
    );
    all
}

/// Every query, each once.
fn queries() -> Vec<String> {
    let mut all = BTreeSet::new();
    let memory = "demo_memory_usage_bytes";
    let cpu = "demo_cpu_usage_seconds_total";
    let selectors = [
        "demo_num_cpus",
        memory,
        "demo_memory_usage_bytes{type=\"free\"}",
        "demo_memory_usage_bytes{type!=\"free\",instance=~\"demo:[12]\"}",
        "demo_memory_usage_bytes{type!~\"f.*|used\"}",
        "{__name__=~\"demo_disk_.+\",instance=\"demo:1\"}",
        "demo_intermittent",
        "demo_odd",
        "nothing_at_all",
    ];
    for selector in selectors {
        for query in [
            selector.to_owned(),
            format!("{selector} offset 5m"),
            format!("{selector} offset -5m"),
            format!("-{selector}"),
            format!("absent({selector})"),
            format!("timestamp({selector})"),
            format!("count({selector})"),
            format!("scalar({selector})"),
            format!("vector(scalar({selector}))"),
            format!("sort({selector})"),
            format!("sort_desc({selector})"),
        ] {
            all.insert(query);
        }
    }
    let over_time = [
        "avg_over_time",
        "count_over_time",
        "last_over_time",
        "max_over_time",
        "min_over_time",
        "present_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "sum_over_time",
        "changes",
        "resets",
        "delta",
        "deriv",
        "idelta",
        "increase",
        "irate",
        "rate",
        "absent_over_time",
    ];
    for function in over_time {
        for range in ["20s", "1m", "5m", "15m"] {
            for selector in [
                "demo_memory_usage_bytes{type=\"used\"}",
                cpu,
                "demo_intermittent",
            ] {
                all.insert(format!("{function}({selector}[{range}])"));
            }
        }
        all.insert(format!("{function}({cpu}[5m] offset 3m)"));
        all.insert(format!("{function}(demo_odd[2m])"));
        all.insert(format!("{function}(sum by (mode) ({cpu})[10m:1m])"));
        all.insert(format!("{function}(rate({cpu}[1m])[5m:30s])"));
    }
    for quantile in ["-1", "0", "0.3", "0.9", "1", "2"] {
        all.insert(format!("quantile_over_time({quantile}, {memory}[5m])"));
        all.insert(format!("quantile by (type) ({quantile}, {memory})"));
        all.insert(format!(
            "histogram_quantile({quantile}, rate(demo_api_request_duration_seconds_bucket[5m]))"
        ));
        all.insert(format!(
            "histogram_quantile({quantile}, sum by (le, method) (rate(demo_api_request_duration_seconds_bucket[5m])))"
        ));
    }
    for seconds in ["60", "3600", "-600"] {
        all.insert(format!(
            "predict_linear(demo_disk_usage_bytes[10m], {seconds})"
        ));
    }
    for aggregator in [
        "avg", "sum", "min", "max", "count", "stddev", "stdvar", "group",
    ] {
        for grouping in [
            "",
            " by ()",
            " by (instance)",
            " by (instance, type)",
            " by (nothing)",
            " without ()",
            " without (type)",
            " without (instance, job)",
        ] {
            all.insert(format!("{aggregator}{grouping} ({memory})"));
        }
        all.insert(format!("{aggregator}(demo_odd)"));
        all.insert(format!("{aggregator} by (job) (rate({cpu}[5m]))"));
    }
    for count in ["0", "1", "2", "100", "-1"] {
        for aggregator in ["topk", "bottomk"] {
            all.insert(format!("{aggregator}({count}, {memory})"));
            all.insert(format!("{aggregator} by (instance) ({count}, {memory})"));
        }
    }
    all.insert("count_values(\"value\", demo_num_cpus)".to_owned());
    all.insert("count_values by (job) (\"instance\", demo_num_cpus)".to_owned());
    for function in [
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg",
        "exp", "floor", "ln", "log10", "log2", "rad", "round", "sgn", "sin", "sinh", "sqrt", "tan",
        "tanh",
    ] {
        for inner in ["demo_odd", "demo_num_cpus / 7", "-demo_intermittent"] {
            all.insert(format!("{function}({inner})"));
        }
    }
    for function in [
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
        "month",
        "year",
    ] {
        all.insert(format!("{function}()"));
        all.insert(format!(
            "{function}(demo_batch_last_success_timestamp_seconds offset 10m)"
        ));
        all.insert(format!("{function}(vector(951782400))"));
    }
    for bounds in ["-1, 2", "2, -1", "0, Inf", "NaN, 1"] {
        all.insert(format!("clamp(demo_odd, {bounds})"));
    }
    all.insert("clamp_min(demo_intermittent, 30)".to_owned());
    all.insert("clamp_max(demo_intermittent, 30)".to_owned());
    all.insert(format!("round({memory}, 1000)"));
    let left = "demo_memory_usage_bytes{type=\"used\"}";
    for operator in ["+", "-", "*", "/", "%", "^", "atan2"] {
        let mut add = |query: String| {
            all.insert(match operator {
                "atan2" => format!("sum without () ({query})"),
                _ => query,
            });
        };
        add(format!("demo_num_cpus {operator} 3"));
        add(format!("2 {operator} demo_num_cpus"));
        add(format!("demo_odd {operator} 0"));

        add(format!(
            "{left} {operator} on (instance, job) demo_num_cpus"
        ));
        add(format!(
            "{left} {operator} ignoring (type) demo_disk_usage_bytes"
        ));
        add(format!(
            "{memory} {operator} on (instance) group_left () demo_num_cpus"
        ));
        add(format!(
            "demo_num_cpus {operator} on (instance) group_right (job) {memory}"
        ));
        // Several partners: an error of both.
        add(format!("{memory} {operator} on (instance) demo_num_cpus"));
        all.insert(format!("7 {operator} 3"));
    }
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        all.insert(format!("demo_intermittent {operator} 40"));
        all.insert(format!("40 {operator} demo_intermittent"));
        all.insert(format!("demo_intermittent {operator} bool 40"));
        all.insert(format!("1 {operator} bool 2"));
        all.insert(format!("demo_odd {operator} bool demo_odd"));
        all.insert(format!(
            "demo_disk_usage_bytes {operator} bool on (instance) demo_disk_total_bytes"
        ));
        all.insert(format!(
            "{memory} {operator} on (instance) group_left () (demo_num_cpus * 3e8)"
        ));
        all.insert(format!("demo_num_cpus {operator} 1"));
        // Without bool between numbers: refused by both.
        all.insert(format!("1 {operator} 2"));
    }
    for operator in ["and", "or", "unless"] {
        all.insert(format!("{memory} {operator} {left}"));
        all.insert(format!(
            "{memory} {operator} on (instance) demo_intermittent"
        ));
        all.insert(format!(
            "demo_num_cpus {operator} ignoring (instance) demo_disk_total_bytes"
        ));
        all.insert(format!("demo_num_cpus {operator} nothing_at_all"));
        all.insert(format!("nothing_at_all {operator} demo_num_cpus"));
    }
    all.insert(
        "demo_num_cpus * on (instance, job) group_left (version) demo_target_info".to_owned(),
    );
    for query in [
        "label_replace(demo_num_cpus, \"copy\", \"<$1>\", \"instance\", \"demo:(.*)\")",
        "label_replace(demo_num_cpus, \"job\", \"\", \"instance\", \".*\")",
        "label_replace(demo_num_cpus, \"instance\", \"all\", \"instance\", \".*\")",
        "label_replace(demo_num_cpus, \"bad-name\", \"x\", \"instance\", \"(\")",
        "label_join(demo_num_cpus, \"both\", \"-\", \"job\", \"instance\", \"none\")",
        "label_join(demo_num_cpus, \"job\", \",\")",
        "time()",
        "pi()",
        "vector(1.5)",
        "1 + 2 * 3 ^ 2 % 4",
        "-2 ^ 2",
        "0x1F / 1e-3",
        "1 / 0",
        "-1 / 0",
        "0 / 0",
        "demo_num_cpus @ end()",
        "demo_intermittent @ start()",
        "rate(demo_cpu_usage_seconds_total[5m] @ end() offset 2m)",
        "max_over_time(sum(demo_intermittent)[10m:20s] offset 1m)",
        "sum(rate(demo_cpu_usage_seconds_total[1m])) by (mode) / ignoring (mode) group_left () sum(rate(demo_cpu_usage_seconds_total[1m]))",
        "avg_over_time(max_over_time(demo_intermittent[1m])[10m:50s])",
        "min_over_time((demo_num_cpus > 100)[5m:30s])",
        "absent(sum(nothing_at_all))",
        "absent(nothing_at_all{job=\"a\",instance=~\".+\"})",
        "absent_over_time(nothing_at_all{job=\"a\"}[5m])",
        "sum(demo_num_cpus) + time()",
        "demo_num_cpus{",
        "sum(demo_num_cpus",
        "rate(demo_num_cpus)",
        "demo_num_cpus[5m] + 1",
        "sum by (job) (demo_num_cpus) + on (job) (demo_disk_total_bytes)",
        "unknown_function(demo_num_cpus)",
        "\"a string\"",
        "demo_num_cpus offset 5m offset 1m",
    ] {
        all.insert(query.to_owned());
    }
    for query in [
        NATIVE.to_owned(),
        format!("{NATIVE}{{instance=\"demo:1\"}}"),
        format!("{NATIVE} offset 5m"),
        format!("{NATIVE}[1m]"),
        format!("rate({NATIVE}[5m])"),
        format!("increase({NATIVE}[2m])"),
        format!("sum({NATIVE})"),
        format!("sum by (instance) ({NATIVE})"),
        format!("sum(rate({NATIVE}[5m]))"),
        format!("count({NATIVE})"),
        format!("group({NATIVE})"),
        format!("histogram_count({NATIVE})"),
        format!("histogram_sum(rate({NATIVE}[5m]))"),
        format!("histogram_count(sum(rate({NATIVE}[5m])))"),
        format!("count_over_time({NATIVE}[5m])"),
        format!("present_over_time({NATIVE}[5m])"),
        format!("absent({NATIVE})"),
        format!("timestamp({NATIVE})"),
        format!("{NATIVE} and on (instance) demo_num_cpus"),
        format!("{NATIVE} or demo_num_cpus"),
        format!("{NATIVE} + {NATIVE}"),
    ] {
        all.insert(query);
    }
    for (template, _) in EXCLUDED {
        let is_there = all
            .iter()
            .any(|query| !query.starts_with("sum without ()") && query.contains(template));
        assert!(!is_there, "{template} is said to be left out");
    }
    all.into_iter().collect()
}

/// The times at which queries ask.
#[derive(Clone, Copy)]
enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// An answer in a form that can be compared.
#[derive(Debug)]
enum Told {
    Error {
        status: u16,
        kind: String,
    },
    Value {
        kind: String,
        series: Vec<Row>,
        /// What `stats=all` says of samples: in all, and at each step.
        seen: [Json; 2],
    },
}

/// A series: its labels as text, then times and values.
type Row = (String, Vec<(String, f64)>);

async fn ask(client: &reqwest::Client, base: &str, query: &str, times: Times) -> Told {
    let (path, mut pairs) = match times {
        Times::Instant(at) => ("query", vec![("time", at.to_string())]),
        Times::Range { start, end, step } => (
            "query_range",
            vec![
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("step", step.to_string()),
            ],
        ),
    };
    pairs.push(("query", query.to_owned()));
    pairs.push(("stats", "all".to_owned()));
    let url = reqwest::Url::parse_with_params(&format!("{base}/api/v1/{path}"), &pairs)
        .expect("an address");
    let answer = client.get(url).send().await.expect("it answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("it answers with text");
    let json: Json = serde_json::from_str(&text).expect("it answers with JSON");
    if status != 200 {
        let kind = json["errorType"].as_str().unwrap_or_default().to_owned();
        return Told::Error { status, kind };
    }
    let data = &json["data"];
    let kind = data["resultType"].as_str().expect("a type").to_owned();
    let point = |point: &Json| {
        let value = point[1].as_str().expect("a value in a string");
        (point[0].to_string(), value.parse().unwrap_or(f64::NAN))
    };
    let result = &data["result"];
    let series = match kind.as_str() {
        "scalar" => vec![(String::new(), vec![point(result)])],
        "string" => vec![(result[1].to_string(), Vec::new())],
        _ => result
            .as_array()
            .expect("a list")
            .iter()
            .map(|series| {
                let all = |one: &str, many: &str| match series[many].as_array() {
                    Some(points) => points.clone(),
                    None => series.get(one).cloned().into_iter().collect(),
                };
                let floats = all("value", "values");
                let histograms = all("histogram", "histograms");
                let mut points: Vec<(String, f64)> = floats.iter().map(point).collect();
                points.extend(histograms.iter().flat_map(histogram_points));
                let labels: BTreeMap<String, Json> = series["metric"]
                    .as_object()
                    .expect("labels")
                    .clone()
                    .into_iter()
                    .collect();
                (format!("{labels:?}"), points)
            })
            .collect(),
    };
    let samples = &data["stats"]["samples"];
    let seen = ["totalQueryableSamples", "totalQueryableSamplesPerStep"];
    Told::Value {
        kind,
        series,
        seen: seen.map(|name| samples[name].clone()),
    }
}

/// A histogram as numbers with names: count, sum, and of each bucket its bounds and count.
fn histogram_points(point: &Json) -> Vec<(String, f64)> {
    let (time, histogram) = (&point[0], &point[1]);
    let number = |value: &Json| -> f64 {
        let text = value.as_str().expect("a number in a string");
        text.parse().expect("a number")
    };
    let mut points = vec![
        (format!("{time} count"), number(&histogram["count"])),
        (format!("{time} sum"), number(&histogram["sum"])),
    ];
    let buckets = histogram["buckets"].as_array().into_iter().flatten();
    for (place, bucket) in buckets.enumerate() {
        let rule = &bucket[0];
        for (index, name) in [(1, "lower"), (2, "upper"), (3, "count")] {
            points.push((
                format!("{time} bucket {place} ({rule}) {name}"),
                number(&bucket[index]),
            ));
        }
    }
    points
}

/// What is different, if anything. Where a query sorts its values must stand in order; otherwise order says nothing.
fn difference(query: &str, theirs: Told, ours: Told) -> Option<String> {
    match (theirs, ours) {
        (
            Told::Error { status, kind },
            Told::Error {
                status: our_status,
                kind: our_kind,
            },
        ) => (status != our_status || kind != our_kind)
            .then(|| format!("{status} {kind} there, {our_status} {our_kind} here")),
        (
            Told::Value {
                kind,
                mut series,
                seen,
            },
            Told::Value {
                kind: our_kind,
                series: mut ours,
                seen: our_seen,
            },
        ) => {
            // There a native histogram counts as one sample, here, as since 3.0, by what it takes.
            if !query.contains(NATIVE) && seen != our_seen {
                return Some(format!("looked at {seen:?} there, at {our_seen:?} here"));
            }
            if kind != our_kind {
                return Some(format!("{kind} there, {our_kind} here"));
            }
            let sorts = query.starts_with("sort") && kind == "vector";
            if sorts {
                let values = |rows: &[Row]| -> Vec<f64> {
                    rows.iter().map(|(_, points)| points[0].1).collect()
                };
                let (theirs, ours) = (values(&series), values(&ours));
                let same = theirs.len() == ours.len()
                    && theirs
                        .iter()
                        .zip(&ours)
                        .all(|(one, other)| near(*one, *other));
                if !same {
                    return Some(format!("{theirs:?} there, {ours:?} here, in this order"));
                }
            }
            series.sort_by(|one, other| one.0.cmp(&other.0));
            ours.sort_by(|one, other| one.0.cmp(&other.0));
            let labels = |rows: &[Row]| -> Vec<String> {
                rows.iter().map(|(labels, _)| labels.clone()).collect()
            };
            if labels(&series) != labels(&ours) {
                return Some(format!(
                    "{:?} there, {:?} here",
                    labels(&series),
                    labels(&ours)
                ));
            }
            series.iter().zip(&ours).find_map(|(theirs, ours)| {
                let same = theirs.1.len() == ours.1.len()
                    && theirs
                        .1
                        .iter()
                        .zip(&ours.1)
                        .all(|(one, other)| one.0 == other.0 && near(one.1, other.1));
                (!same).then(|| {
                    let first = theirs
                        .1
                        .iter()
                        .zip(&ours.1)
                        .find(|(one, other)| one.0 != other.0 || !near(one.1, other.1));
                    format!(
                        "{}: {} points there, {} here; first difference {first:?}",
                        theirs.0,
                        theirs.1.len(),
                        ours.1.len()
                    )
                })
            })
        }
        (theirs, ours) => Some(format!("{theirs:?} there, {ours:?} here")),
    }
}

fn near(one: f64, other: f64) -> bool {
    one == other
        || one.is_nan() && other.is_nan()
        || (one - other).abs() <= TOLERANCE * one.abs().max(other.abs()).max(1e-6)
}

async fn write(client: &reqwest::Client, base: &str, sources: &[Source], start: i64) {
    // In the order of time: samples an hour behind the newest are refused there.
    for steps in (0..SAMPLES).collect::<Vec<_>>().chunks(20) {
        let mut samples = Vec::new();
        for step in steps {
            for (place, source) in sources.iter().enumerate() {
                let Some(value) = source.values[*step as usize] else {
                    continue;
                };
                let labels: Vec<(&str, &str)> = source
                    .labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let seconds = start + step * SECONDS_BETWEEN + 1 + place as i64 % 3;
                samples.push(SentSample::new(source.name, &labels, seconds * 1000, value));
            }
        }
        send(client, base, write_request(&samples)).await;
    }
}

/// Native histograms that grow, one for each instance.
async fn write_histograms(client: &reqwest::Client, base: &str, start: i64) {
    let mut noise = Noise(11);
    let mut counts = [[1_u64; 5]; 3];
    let mut parts: [Vec<Part<'_>>; 3] = Default::default();
    for step in 0..SAMPLES {
        for (place, own) in parts.iter_mut().enumerate() {
            for count in &mut counts[place] {
                *count += (noise.next() * 9.0) as u64;
            }
            let seconds = start + step * SECONDS_BETWEEN + 1 + place as i64;
            own.push(Part::Histogram(integer_histogram(
                seconds * 1000,
                &counts[place],
            )));
        }
    }
    let instances = ["demo:1", "demo:2", "demo:3"];
    let series = instances.iter().zip(&parts);
    let message = series.fold(Message1::default(), |message, (instance, parts)| {
        message.series(&[("__name__", NATIVE), ("instance", instance)], parts)
    });
    send(client, base, message.body()).await;
}

async fn send(client: &reqwest::Client, base: &str, body: Vec<u8>) {
    let request = remote_write(client, base, body);
    let answer = request.send().await.expect("it answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_default();
    assert_eq!(status, 204, "{base}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_prometheus_and_watchbell_answer_the_same() {
    if program(PROGRAM).is_none() {
        return;
    }
    let folder = folder(&[("watchbell.yml", "")]);
    let address = free_address();
    let _prometheus = Prometheus::start_with(
        folder.path(),
        "prometheus",
        address,
        "",
        &[
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms,promql-per-step-stats",
        ],
    )
    .await;
    let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
    let bases = [format!("http://{address}"), watchbell.url("")];
    let client = plain_client();
    let sources = sources();
    let now = SystemClock::new().now().as_millis() / 1000;
    let start = now / 60 * 60 - SAMPLES * SECONDS_BETWEEN - 120;
    for base in &bases {
        write(&client, base, &sources, start).await;
        write_histograms(&client, base, start).await;
    }

    let end = start + SAMPLES * SECONDS_BETWEEN - 15;
    let times = [
        Times::Instant(end - 600),
        Times::Range {
            start: start + 905,
            end: end - 120,
            step: 50,
        },
    ];
    let mut compared = 0;
    let mut errors = 0;
    let mut empty = 0;
    let mut differences = Vec::new();
    for query in queries() {
        for times in times {
            let theirs = ask(&client, &bases[0], &query, times).await;
            let ours = ask(&client, &bases[1], &query, times).await;
            compared += 1;
            errors += usize::from(matches!(theirs, Told::Error { .. }));
            empty += usize::from(
                matches!(&theirs, Told::Value { series, kind, .. } if series.is_empty() && kind != "string"),
            );
            if let Some(difference) = difference(&query, theirs, ours) {
                let form = match times {
                    Times::Instant(_) => "instant",
                    Times::Range { .. } => "range",
                };
                differences.push(format!("{query} ({form}): {difference}"));
            }
        }
    }
    println!("{compared} compared, of which {errors} fail and {empty} are empty");
    assert!(
        differences.is_empty(),
        "{} of {compared} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared >= COMPARED_MIN, "{compared} are too few");
    assert!(
        errors + empty < compared / 4,
        "{errors} fail, {empty} are empty"
    );
}
