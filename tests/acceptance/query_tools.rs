//! Those who ask a Prometheus and are answered by Watchbell: `promtool query`, and a Prometheus that federates.
use std::fs;
use std::process::Command;
use std::time::Duration;

use fakes::SentSample;
use runtime::{Clock, SystemClock};
use serde_json::{Value as Json, json};

use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const PROMTOOL: &str = "/usr/bin/promtool";
/// Some scrapes, each a second apart.
const SCRAPING: Duration = Duration::from_secs(60);

async fn start() -> (tempfile::TempDir, Watchbell) {
    let folder = folder(&[("watchbell.yml", "external_labels: {cluster: eu}\n")]);
    let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
    (folder, watchbell)
}

/// Two series with samples 60 s and 30 s before `seconds`.
async fn write(watchbell: &Watchbell, seconds: i64) {
    let samples: Vec<SentSample> = [("a", 1.0), ("b<c>\"", 2.5)]
        .iter()
        .flat_map(|(job, value)| {
            [60, 30].map(|ago| {
                let millis = (seconds - ago) * 1000;
                SentSample::new("demo", &[("job", job)], millis, value + ago as f64)
            })
        })
        .collect();
    let (status, answer) = watchbell.write(None, &samples).await;
    assert_eq!(status, 204, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_asks_as_it_asks_prometheus() {
    let Some(promtool) = program(PROMTOOL) else {
        return;
    };
    let (_folder, watchbell) = start().await;
    let now = SystemClock::new().now().as_millis() / 1000;
    write(&watchbell, now).await;
    let server = watchbell.url("");
    let run = |arguments: &[&str], rest: &[&str]| {
        let output = Command::new(promtool)
            .arg("query")
            .args(arguments)
            .arg(&server)
            .args(rest)
            .output()
            .expect("promtool can be started");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, complaints)
    };
    let (start, end) = (format!("--start={}", now - 45), format!("--end={now}"));
    let time = format!("--time={now}");
    for (arguments, rest, lines) in [
        (
            &["instant", &time][..],
            &["demo"][..],
            vec![
                format!("demo{{job=\"a\"}} => 31 @[{now}]"),
                format!("demo{{job=\"b<c>\\\"\"}} => 32.5 @[{now}]"),
            ],
        ),
        (
            &["instant", &time],
            &["sum(demo) * 2"],
            vec![format!("{{}} => 127 @[{now}]")],
        ),
        (
            &["instant", &time],
            &["1/3"],
            vec![format!("scalar: 0.3333333333333333 @[{now}]")],
        ),
        (
            &["range", &start, &end, "--step=45s"],
            &["demo{job=\"a\"}"],
            vec![
                "demo{job=\"a\"} =>".to_owned(),
                format!("61 @[{}]", now - 45),
                format!("31 @[{now}]"),
            ],
        ),
        (
            &["series", "--match=demo", "--match=none", &start, &end],
            &[],
            vec![
                "{__name__=\"demo\", job=\"a\"}".to_owned(),
                "{__name__=\"demo\", job=\"b<c>\\\"\"}".to_owned(),
            ],
        ),
        (
            &["labels", &start, &end],
            &["job"],
            vec!["a".to_owned(), "b<c>\"".to_owned()],
        ),
    ] {
        let (code, text, complaints) = run(arguments, rest);
        assert_eq!(code, Some(0), "{arguments:?}: {complaints}");
        let told: Vec<&str> = text.lines().collect();
        assert_eq!(told, lines, "{arguments:?} {rest:?}");
    }
    let (code, _, complaints) = run(&["instant"], &["demo{"]);
    assert_ne!(code, Some(0));
    assert!(complaints.contains("parse error"), "{complaints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_federates_from_watchbell() {
    if program(PROGRAM).is_none() {
        return;
    }
    let (folder, watchbell) = start().await;
    let now = SystemClock::new().now().as_millis() / 1000;
    write(&watchbell, now).await;
    let address = free_address();
    let home = folder.path().join("above");
    fs::create_dir_all(&home).expect("a folder can be made");
    let scrape = format!(
        "scrape_configs:\n  - job_name: federate\n    honor_labels: true\n    metrics_path: /federate\n    \
         params: {{'match[]': ['{{job=~\".+\"}}']}}\n    static_configs: [{{targets: ['{}']}}]\n",
        watchbell.address
    );
    let _prometheus = Prometheus::start(&home, "prometheus", address, &scrape).await;
    let demo = wait_for("the samples to be federated", SCRAPING, async || {
        let answer = reqwest::get(format!("http://{address}/api/v1/query?query=demo")).await;
        let text = answer.ok()?.text().await.ok()?;
        let json: Json = serde_json::from_str(&text).ok()?;
        let found = json["data"]["result"].as_array()?.clone();
        (!found.is_empty()).then_some(found)
    })
    .await;
    let mut told: Vec<(Json, Json)> = demo
        .iter()
        .map(|series| (series["metric"].clone(), series["value"][1].clone()))
        .collect();
    told.sort_by_key(|(metric, _)| metric["job"].to_string());
    // The series' own labels, what Watchbell adds outside, and nothing of the target.
    assert_eq!(
        told,
        [
            (
                json!({"__name__": "demo", "job": "a", "cluster": "eu"}),
                json!("31")
            ),
            (
                json!({"__name__": "demo", "job": "b<c>\"", "cluster": "eu"}),
                json!("32.5")
            ),
        ]
    );
    let url = format!("http://{address}/api/v1/query?query=up%7Bjob=%22federate%22%7D");
    let up = reqwest::get(url).await.expect("prometheus answers");
    let text = up.text().await.expect("a text");
    assert!(text.contains(",\"1\"]"), "{text}");
}

/// What a Prometheus knows of its targets' metrics comes with their samples.
#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_tells_watchbell_of_its_metrics() {
    if program(PROGRAM).is_none() {
        return;
    }
    let (folder, watchbell) = start().await;
    let address = free_address();
    let scrape = format!(
        "scrape_configs:\n  - job_name: itself\n    static_configs: [{{targets: ['{address}']}}]\n\
         remote_write:\n  - url: {}\n    metadata_config: {{send_interval: 1s}}\n    \
         queue_config: {{batch_send_deadline: 500ms}}\n",
        watchbell.url("/api/v1/write"),
    );
    let _prometheus = Prometheus::start(folder.path(), "below", address, &scrape).await;
    let metric = "prometheus_http_requests_total";
    let told = wait_for("metadata to arrive", SCRAPING, async || {
        let path = format!("/api/v1/metadata?metric={metric}");
        let listed = watchbell.json(&path).await["data"][metric][0].clone();
        (!listed.is_null()).then_some(listed)
    })
    .await;
    assert_eq!(told["type"], "counter", "{told}");
    assert_eq!(told["help"], "Counter of HTTP requests.", "{told}");
}
