//! Rules on outside engines: two of Debian's Prometheus, of which one ends in the middle.
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const SETTLING: Duration = Duration::from_secs(60);

/// The times, in whole milliseconds, at which the engine has a sample of what the rule records.
async fn recorded(engine: &str) -> Vec<i64> {
    let url = format!("{engine}/api/v1/query?query=recorded%5B10m%5D");
    let answer = reqwest::get(url).await.expect("the engine answers");
    let text = answer.text().await.expect("the engine answers");
    let answer: Value = serde_json::from_str(&text).expect("the answer is JSON");
    let values = answer["data"]["result"][0]["values"].as_array();
    let times = values
        .into_iter()
        .flatten()
        .filter_map(|value| value[0].as_f64());
    times.map(|secs| (secs * 1000.0).round() as i64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_costs_no_evaluation_where_it_has_a_replica() {
    if program(PROGRAM).is_none() {
        return;
    }
    let (first, second) = (free_address(), free_address());
    let rules = "groups: [{name: g, interval: 1s, rules: [{record: recorded, expr: vector(1)}]}]\n";
    let home = folder(&[("rules.yml", rules)]);
    let engine = async |name, address| {
        let flags = ["--web.enable-remote-write-receiver"];
        Prometheus::start_with(home.path(), name, address, "", &flags).await
    };
    let ending = engine("first", first).await;
    let staying = engine("second", second).await;
    let engine = format!("http://{second}");
    let settings = format!(
        "rule_files: [rules.yml]\nruler: {{query_url: 'http://{first}', query_replicas: ['{engine}'], \
         query_params: {{dedup: 'true'}}, write_url: '{engine}/api/v1/write'}}\n"
    );
    fs::write(home.path().join("watchbell.yml"), settings).expect("a file can be written");
    let watchbell = Watchbell::start(home.path()).await;
    let has = async |count: usize| {
        wait_for("results to be recorded", SETTLING, async || {
            let times = recorded(&engine).await;
            (times.len() >= count).then_some(times)
        })
        .await
    };
    let before = has(4).await.len();
    drop(ending);
    let times = has(before + 6).await;
    // Each second has its sample, those around the end of the first engine too.
    for pair in times.windows(2) {
        assert_eq!(pair[1] - pair[0], 1000, "{times:?}");
    }
    let shown = watchbell.json("/api/v1/rules?stats=all").await;
    let rule = &shown["data"]["groups"][0]["rules"][0];
    assert_eq!(rule["health"], "ok", "{rule}");
    drop(staying);
}
