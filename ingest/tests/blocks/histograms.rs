//! Native histograms through log, memory, blocks, merges and a restart, and as a Prometheus reads them.
use std::collections::BTreeMap;

use model::histogram::{Bucket, ResetHint};
use model::protobuf::{push_bytes, push_varint, zigzag};
use model::{Histogram, Labels, Timestamp};
use promql::{Selection, SeriesReader};
use serde_json::Value as Json;

use crate::site::{HOUR, Keeping, Site, tenant};
use crate::tools::RunningPrometheus;

fn double(field: u8, number: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend_from_slice(&number.to_bits().to_le_bytes());
    bytes
}

/// As a sender writes a histogram of whole counts, or of floats.
fn wire(histogram: &Histogram, at: i64, whole: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let varint = |bytes: &mut Vec<u8>, field: u64, number: u64| {
        push_varint(bytes, field << 3);
        push_varint(bytes, number);
    };
    if whole {
        varint(&mut bytes, 1, histogram.count as u64);
        varint(&mut bytes, 6, histogram.zero_count as u64);
    } else {
        bytes.extend(double(2, histogram.count));
        bytes.extend(double(7, histogram.zero_count));
    }
    bytes.extend(double(3, histogram.sum));
    varint(&mut bytes, 4, zigzag(i64::from(histogram.schema)));
    bytes.extend(double(5, histogram.zero_threshold));
    for (buckets, spans, deltas, counts) in [
        (&histogram.negative, 8, 9, 10),
        (&histogram.positive, 11, 12, 13),
    ] {
        let mut next = 0;
        let mut packed = Vec::new();
        let mut before = 0;
        for bucket in buckets {
            let mut span = Vec::new();
            varint(&mut span, 1, zigzag(i64::from(bucket.index - next)));
            varint(&mut span, 2, 1);
            push_bytes(&mut bytes, spans, &span);
            next = bucket.index + 1;
            if whole {
                push_varint(&mut packed, zigzag(bucket.count as i64 - before));
                before = bucket.count as i64;
            } else {
                packed.extend_from_slice(&bucket.count.to_bits().to_le_bytes());
            }
        }
        push_bytes(&mut bytes, if whole { deltas } else { counts }, &packed);
    }
    if histogram.reset_hint == ResetHint::Gauge {
        varint(&mut bytes, 14, 3);
    }
    varint(&mut bytes, 15, at as u64);
    bytes
}

/// Grows, gets new buckets now and then, and begins anew every 100 minutes.
fn histogram(minute: i64, whole: bool) -> Histogram {
    let age = minute % 100;
    let unit = if whole { 1.0 } else { 0.375 };
    let positive: Vec<Bucket> = (0..=age / 20)
        .map(|step| Bucket {
            index: (step * step - 3) as i32,
            count: (age - step * 20 + 1) as f64 * unit,
        })
        .collect();
    let negative = vec![Bucket {
        index: 2,
        count: (1 + age / 3) as f64 * unit,
    }];
    let zero_count = (age / 7) as f64 * unit;
    let buckets = positive.iter().chain(&negative);
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count,
        count: zero_count + buckets.map(|bucket| bucket.count).sum::<f64>(),
        sum: age as f64 * 1.7 - 5.0,
        positive,
        negative,
        ..Histogram::default()
    }
}

const NAMES: [&str; 2] = ["floats", "whole"];

fn request(minute: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in NAMES {
        let mut label = Vec::new();
        push_bytes(&mut label, 1, b"__name__");
        push_bytes(&mut label, 2, name.as_bytes());
        let mut series = Vec::new();
        push_bytes(&mut series, 1, &label);
        let whole = name == "whole";
        let sent = wire(&histogram(minute, whole), minute * 60_000, whole);
        push_bytes(&mut series, 4, &sent);
        push_bytes(&mut bytes, 1, &series);
    }
    bytes
}

/// By name and minute.
type Told = BTreeMap<(String, i64), Histogram>;

fn expected(minutes: std::ops::Range<i64>) -> Told {
    minutes
        .flat_map(|minute| {
            NAMES.map(|name| {
                (
                    (name.to_owned(), minute),
                    histogram(minute, name == "whole"),
                )
            })
        })
        .collect()
}

fn read(site: &Site) -> Told {
    let selection = Selection {
        matchers: &[],
        after: Timestamp::MIN,
        until: Timestamp::MAX,
        newest_only: false,
    };
    let found = site.engine.reader(&tenant()).select(&selection, usize::MAX);
    let mut told = Told::new();
    for series in found.unwrap() {
        assert!(series.samples.is_empty());
        let name = series.labels.metric_name().unwrap_or_default().to_owned();
        for sample in series.histograms {
            let minute = sample.timestamp.as_millis() / 60_000;
            let before = told.insert((name.clone(), minute), (*sample.histogram).clone());
            assert_eq!(before, None, "each time once");
        }
    }
    told
}

fn assert_told(told: &Told, wanted: &Told) {
    assert_eq!(told.len(), wanted.len());
    for (key, wanted) in wanted {
        let got = &told[key];
        assert!(got.is_same(wanted), "{key:?}: {got} instead of {wanted}");
    }
}

#[tokio::test]
async fn histograms_go_through_blocks_and_restarts_and_a_prometheus_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    let minutes = 13 * 60;
    for minute in 0..minutes {
        site.clock.set(Timestamp::from_secs(minute * 60));
        let body = snap::raw::Encoder::new()
            .compress_vec(&request(minute))
            .unwrap();
        let report = site.engine.push(&tenant(), body.into()).await.unwrap();
        assert_eq!(report.accepted_histograms, 2, "{report:?}");
        if minute % 60 == 0 {
            site.engine.keep_blocks();
        }
    }
    assert_told(&read(&site), &expected(0..minutes));
    site.engine.keep_blocks();
    assert!(site.blocks().iter().any(|(level, _, _)| *level == 2));
    assert_told(&read(&site), &expected(0..minutes));
    site = site.open_again(Keeping::default());
    assert_told(&read(&site), &expected(0..minutes));

    let in_blocks = site.blocks().iter().map(|(_, _, end)| *end).max().unwrap() * 60;
    let Some(prometheus) = RunningPrometheus::on(&site).await else {
        return;
    };
    let mut points = 0;
    for name in NAMES {
        let end = in_blocks * 60 - 60;
        let path = format!("/api/v1/query_range?query={name}&start=0&end={end}&step=60");
        let answer = prometheus.get(&path).await.unwrap();
        let series = &answer["data"]["result"][0];
        for point in series["histograms"].as_array().unwrap() {
            let minute = point[0].as_f64().unwrap() as i64 / 60;
            let wanted = histogram(minute, name == "whole");
            assert_shown(&shown(&point[1]), &shown_of(&wanted), (name, minute));
            points += 1;
        }
    }
    assert_eq!(points, in_blocks * 2);
}

/// Count, sum, and each bucket's bounds and count.
type Shown = (f64, f64, Vec<[f64; 3]>);

fn shown(json: &Json) -> Shown {
    let number = |json: &Json| json.as_str().unwrap().parse::<f64>().unwrap();
    let buckets = json["buckets"].as_array().unwrap().iter();
    (
        number(&json["count"]),
        number(&json["sum"]),
        buckets
            .map(|bucket| [1, 2, 3].map(|place| number(&bucket[place])))
            .collect(),
    )
}

fn shown_of(histogram: &Histogram) -> Shown {
    let filled = histogram.spans().filter(|span| span.count != 0.0);
    (
        histogram.count,
        histogram.sum,
        filled
            .map(|span| [span.lower, span.upper, span.count])
            .collect(),
    )
}

/// Prometheus' bounds come out of a table, whose last digit is not always the nearest one.
fn assert_shown(got: &Shown, wanted: &Shown, of: (&str, i64)) {
    assert_eq!((got.0, got.1), (wanted.0, wanted.1), "{of:?}");
    assert_eq!(got.2.len(), wanted.2.len(), "{of:?}");
    for (got, wanted) in got.2.iter().zip(&wanted.2) {
        let near = |got: f64, wanted: f64| (got - wanted).abs() <= wanted.abs() * 1e-14;
        let same = near(got[0], wanted[0]) && near(got[1], wanted[1]) && got[2] == wanted[2];
        assert!(same, "{of:?}: {got:?} instead of {wanted:?}");
    }
}

#[tokio::test]
async fn what_a_query_says_of_histograms_in_blocks_is_what_it_says_of_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path(), Keeping::default(), 0);
    let mut rates = Vec::new();
    for minute in 0..4 * 60 {
        site.clock.set(Timestamp::from_secs(minute * 60));
        let body = snap::raw::Encoder::new()
            .compress_vec(&request(minute))
            .unwrap();
        site.engine.push(&tenant(), body.into()).await.unwrap();
    }
    for is_cut in [false, true] {
        if is_cut {
            site.engine.keep_blocks();
            assert_eq!(site.blocks(), [(1, 0, 2)]);
        }
        let query =
            promql::Query::compile("increase(whole[90m])", &promql::ParserOptions::default())
                .unwrap();
        let answer = query
            .range(
                &site.engine.reader(&tenant()),
                Timestamp::from_secs(HOUR),
                Timestamp::from_secs(4 * HOUR),
                std::time::Duration::from_secs(600),
                &promql::QueryLimits::default(),
            )
            .unwrap();
        rates.push(answer);
    }
    assert_eq!(rates[0], rates[1]);
    let promql::QueryValue::Matrix(matrix) = &rates[0].value else {
        panic!("a matrix");
    };
    assert_eq!(matrix[0].labels, Labels::default());
    assert_eq!(matrix[0].histograms.len(), 19);
}
