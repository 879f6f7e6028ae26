//! Samples out of order, beside Debian's Prometheus with the same configuration file, and over a `kill -9`.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fakes::{Message1, Part, SentSample, integer_histogram, write_request};
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::client::{plain_client, remote_write};
use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::small::SETTLING;
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

/// One request: series, seconds before now, value; and what is answered without a window and with one of half an hour.
struct Row {
    samples: Vec<(&'static str, i64, f64)>,
    without: &'static str,
    with: &'static str,
}

const KEPT: &str = "204 ";
const LATE: &str = "400 out of order sample";
const OUTSIDE: &str = "400 out of bounds";
const OLD: &str = "400 too old sample";
const TWICE: &str = "400 duplicate sample for timestamp";

fn rows() -> Vec<Row> {
    let row = |samples: &[(&'static str, i64, f64)], without, with| Row {
        samples: samples.to_vec(),
        without,
        with,
    };
    // A hundred late ones as they may come, more than three chunks of them.
    let scattered: Vec<(&str, i64, f64)> = (0..100)
        .map(|step| ("scattered", 10 + step * 37 % 1700, f64::from(step as u32)))
        .collect();
    vec![
        row(&[("up", 0, 1.0), ("scattered", 0, 1.0)], KEPT, KEPT),
        row(&[("old", 3500, 1.0)], KEPT, KEPT),
        row(&[("up", 60, 2.0)], LATE, KEPT),
        row(&[("up", 60, 2.0)], LATE, KEPT),
        row(&[("up", 60, 3.0)], LATE, KEPT),
        row(&[("up", 0, 1.0)], KEPT, KEPT),
        row(&[("up", 0, 5.0)], TWICE, TWICE),
        row(&[("up", 1800, 6.0)], LATE, KEPT),
        row(&[("up", 1801, 6.0)], LATE, OLD),
        row(&[("up", 3601, 6.0)], OUTSIDE, OLD),
        row(&[("new", 1700, 6.0)], KEPT, KEPT),
        row(&[("new", 3000, 6.0)], LATE, OLD),
        row(&[("old", 3590, 7.0)], LATE, OLD),
        row(&[("old", 3700, 7.0)], OUTSIDE, OLD),
        row(&[("old", 3499, 7.0), ("old", 1799, 8.0)], KEPT, KEPT),
        row(&[("up", 5, 8.0), ("up", 1801, 8.0)], LATE, OLD),
        row(&[("up", -1, 9.0), ("up", 3601, 9.0)], OUTSIDE, OLD),
        row(&[("up", 1801, 9.0), ("up", 30, 9.0)], LATE, OLD),
        row(&scattered, LATE, KEPT),
        row(&[("up", -2, 10.0)], KEPT, KEPT),
    ]
}

async fn send(base: &str, body: Vec<u8>) -> String {
    let request = remote_write(&plain_client(), base, body);
    let answer = request.send().await.expect("it answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    format!("{status} {}", text.trim_end())
}

/// The result of a query, by the text of its labels.
async fn ask(base: &str, query: &str, time: i64) -> BTreeMap<String, Json> {
    let time = (time / 1000).to_string();
    let url = reqwest::Url::parse_with_params(
        &format!("{base}/api/v1/query"),
        &[("query", query), ("time", &time)],
    );
    let answer = reqwest::get(url.expect("an address")).await;
    let text = answer.expect("an answer").text().await.expect("a text");
    let json: Json = serde_json::from_str(&text).expect("JSON");
    let result = json["data"]["result"].as_array();
    let result = result.unwrap_or_else(|| panic!("{query}: {text}"));
    result
        .iter()
        .map(|series| {
            let told = series.get("values").or(series.get("value"));
            let metric = series["metric"].to_string();
            (metric, told.cloned().unwrap_or_default())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_prometheus_and_watchbell_take_and_refuse_the_same_late_samples() {
    if program(PROGRAM).is_none() {
        return;
    }
    for window in ["0s", "30m"] {
        let folder = folder(&[(
            "watchbell.yml",
            "prometheus_config_file: prometheus/prometheus.yml\n",
        )]);
        let address = free_address();
        let storage = format!("storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n");
        let flags = ["--web.enable-remote-write-receiver"];
        let _prometheus =
            Prometheus::start_with(folder.path(), "prometheus", address, &storage, &flags).await;
        let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
        let theirs = format!("http://{address}");
        let now = SystemClock::new().now().as_millis() / 1000 * 1000;
        for (place, row) in rows().into_iter().enumerate() {
            let samples: Vec<SentSample> = row
                .samples
                .iter()
                .map(|(name, ago, value)| SentSample::new(name, &[], now - ago * 1000, *value))
                .collect();
            let expected = if window == "0s" {
                row.without
            } else {
                row.with
            };
            for base in [&theirs, &watchbell.url("")] {
                // 2.42 says of this one that it was its own mistake.
                let told = send(base, write_request(&samples)).await;
                let told = told.replace("500 too old", "400 too old");
                assert!(
                    told.starts_with(expected),
                    "row {place} with a window of {window}: {told:?} of {base}, not {expected:?}"
                );
            }
        }
        compare(&theirs, &watchbell.url(""), now, window).await;
        let watchbell = watchbell.kill_and_restart().await;
        compare(&theirs, &watchbell.url(""), now, window).await;
    }
}

async fn compare(theirs: &str, ours: &str, now: i64, window: &str) {
    let mut found = 0;
    for (query, ago) in [
        ("{__name__=~\"up|old|new|scattered\"}[2h]", -3),
        ("{__name__=~\"up|old|new|scattered\"}[1000s]", 15),
        ("{__name__=~\"up|scattered\"}", 58),
        ("up", 1799),
        ("count_over_time(scattered[1h])", -3),
        ("rate(scattered[20m])", 7),
    ] {
        let at = now - ago * 1000;
        let (theirs, ours) = (ask(theirs, query, at).await, ask(ours, query, at).await);
        assert_eq!(ours, theirs, "{query} {ago} s ago, window of {window}");
        found += ours.len();
    }
    assert!(found >= 5, "{found} series");
}

/// Floats and histograms, each acknowledged by a process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_takes_no_late_sample_that_was_acknowledged() {
    let folder = folder(&[("watchbell.yml", "storage: {out_of_order_time_window: 1h}\n")]);
    let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
    let base = watchbell.url("");
    let now = SystemClock::new().now().as_millis();
    let newest = Message1::default()
        .series(
            &[("__name__", "late_probe")],
            &[Part::Sample {
                value: -1.0,
                millis: now,
            }],
        )
        .series(
            &[("__name__", "late_histogram")],
            &[Part::Histogram(integer_histogram(now, &[1, 1, 1, 1, 1]))],
        );
    assert_eq!(send(&base, newest.body()).await, KEPT);
    let acknowledged: Arc<Mutex<BTreeMap<i64, f64>>> = Arc::default();
    let kept = acknowledged.clone();
    let sending = tokio::spawn(async move {
        for number in 0_i64..100_000 {
            // Backwards and forwards by turns.
            let ago = 1000 + number * 7919 % 3_500_000;
            let message = Message1::default()
                .series(
                    &[("__name__", "late_probe")],
                    &[Part::Sample {
                        value: number as f64,
                        millis: now - ago,
                    }],
                )
                .series(
                    &[("__name__", "late_histogram")],
                    &[Part::Histogram(integer_histogram(
                        now - ago,
                        &[1, 1, number as u64, 1, 1],
                    ))],
                );
            let request = remote_write(&reqwest::Client::new(), &base, message.body());
            match request.timeout(Duration::from_secs(5)).send().await {
                Ok(answer) if answer.status() == 204 => {
                    let mut kept = kept.lock().expect("nobody panics with the lock");
                    kept.insert(now - ago, number as f64);
                }
                _ => break,
            }
        }
    });
    wait_for("late samples to be acknowledged", SETTLING, async || {
        let kept = acknowledged.lock().expect("nobody panics with the lock");
        (kept.len() > 200).then_some(())
    })
    .await;
    let watchbell = watchbell.kill_and_restart().await;
    sending.await.expect("it ends with the first failure");
    let expected = acknowledged.lock().expect("nobody panics").clone();
    let base = watchbell.url("");
    let floats = ask(&base, "late_probe[2h]", now + 1000).await;
    let values: BTreeMap<i64, f64> = floats
        .values()
        .flat_map(|values| values.as_array().expect("samples"))
        .map(|pair| {
            let millis = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
            let value = pair[1].as_str().and_then(|value| value.parse().ok());
            (millis, value.expect("a value"))
        })
        .collect();
    for (at, value) in &expected {
        assert_eq!(values.get(at), Some(value), "at {at}");
    }
    let counted = ask(&base, "count_over_time(late_histogram[2h])", now + 1000).await;
    let count = counted.values().next().and_then(|told| told[1].as_str());
    let count: usize = count.and_then(|text| text.parse().ok()).expect("a number");
    assert!(count > expected.len(), "{count} of {}", expected.len());
}
