//! `kill -9` under load: senders as fast as they are accepted, over several connections, to tenants that open and close. Every
//! acknowledged sample is there exactly once after every kill.
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fakes::{Message1, Part};
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::client::remote_write;
use crate::files::folder;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, Watchbell, serve};

/// Runs in every change's tests; the long tests ask for a hundred.
const KILLS_DEFAULT: u64 = 10;
const CONNECTIONS: usize = 4;
/// Of each connection: one that it always writes, and some of which it writes one at a time, so that the others rest.
const TENANTS: usize = 4;
const SERIES: usize = 10;
const MOMENT_MAX: Duration = Duration::from_millis(2500);
const STARTING_MAX: Duration = Duration::from_millis(200);
/// So far back the senders' clocks begin: each request is a millisecond later than the one before.
const BEHIND: Duration = Duration::from_secs(1200);
const HELP: &str = "What is sent under load.";

#[derive(Default)]
struct Told {
    /// By time in milliseconds; of each series the value is this and its number.
    acknowledged: BTreeMap<i64, f64>,
    /// Without an answer: it may be there.
    open: BTreeMap<i64, f64>,
    /// Up to here it was compared, and so much was there.
    compared_until: i64,
    stored: usize,
}

/// One connection's tenants, and the time of its next request.
struct Sender {
    told: Vec<Told>,
    name: usize,
    at: i64,
    number: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_under_load_loses_and_doubles_no_acknowledged_sample() {
    let kills = std::env::var("WATCHBELL_LOAD_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS_DEFAULT);
    let folder = folder(&[("watchbell.yml", "storage: {tenant_idle_max: 200ms}\n")]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    let begin = (SystemClock::new().now() - BEHIND).as_millis();
    let mut senders: Vec<Sender> = (0..CONNECTIONS)
        .map(|name| Sender {
            told: (0..TENANTS).map(|_| Told::default()).collect(),
            name,
            at: begin,
            number: 0,
        })
        .collect();
    for sender in &mut senders {
        for told in &mut sender.told {
            told.compared_until = begin;
        }
    }
    let mut closings = 0;
    for kill in 0..kills {
        let moment = random_below(MOMENT_MAX);
        let is_over = Arc::new(AtomicBool::new(false));
        let sending: Vec<_> = senders
            .into_iter()
            .map(|sender| {
                let base = watchbell.url("");
                tokio::spawn(sender.send(base, is_over.clone()))
            })
            .collect();
        pass(moment).await;
        closings += metric(&watchbell, "watchbell_ingest_closed_tenants_total").await;
        watchbell.process().kill();
        is_over.store(true, Ordering::Relaxed);
        senders = Vec::new();
        for sender in sending {
            senders.push(sender.await.expect("a sender that does not panic"));
        }
        if kill % 4 == 3 {
            // While it reads back what is there.
            let mut starting = serve(folder.path(), "starting.log");
            pass(random_below(STARTING_MAX)).await;
            starting.kill();
        }
        watchbell = watchbell.start_again().await;
        let mut samples = 0;
        for sender in &mut senders {
            samples += sender.compare(&watchbell).await;
        }
        eprintln!(
            "kill {kill} of {kills} after {moment:?}: {samples} more samples are there, each once"
        );
        let text = watchbell.process().log_text();
        assert!(!text.contains("level=ERROR"), "{text}");
    }
    // Once more, from disk alone.
    wait_for("all tenants to be closed", STARTING, async || {
        let open = metric(&watchbell, "watchbell_ingest_open_tenants").await;
        (open == 0).then_some(())
    })
    .await;
    for sender in &mut senders {
        sender.compare(&watchbell).await;
        sender.assert_said(&watchbell).await;
    }
    let samples: usize = senders
        .iter()
        .flat_map(|sender| &sender.told)
        .map(|told| told.acknowledged.len() * SERIES)
        .sum();
    eprintln!("{samples} samples were acknowledged, {closings} tenants were closed meanwhile");
    assert!(samples > 0);
}

impl Sender {
    fn tenant(&self, number: usize) -> String {
        format!("load-{}-{number}", self.name)
    }

    async fn send(mut self, base: String, is_over: Arc<AtomicBool>) -> Self {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .expect("a plain client");
        let begun = tokio::time::Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let resting = 1 + begun.elapsed().as_millis() as usize / 300 % (TENANTS - 1);
            let of = if self.number % 8 == 7 { resting } else { 0 };
            self.at += 1;
            self.number += 1;
            let (at, value) = (self.at, f64::from(self.number));
            let is_accepted = remote_write(&client, &base, message(at, value))
                .header("X-Scope-OrgID", self.tenant(of))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success());
            let told = &mut self.told[of];
            if is_accepted {
                told.acknowledged.insert(at, value);
            } else {
                told.open.insert(at, value);
            }
        }
        self
    }

    /// What came since the last time, sample by sample, and the number of all. Answers how many are new.
    async fn compare(&mut self, watchbell: &Watchbell) -> usize {
        let mut new = 0;
        for number in 0..TENANTS {
            let (tenant, until) = (self.tenant(number), self.at);
            let told = &mut self.told[number];
            let window = until - told.compared_until;
            if window == 0 {
                continue;
            }
            let found = query(
                watchbell,
                &tenant,
                &format!("load_probe[{window}ms]"),
                until,
            )
            .await;
            let mut expected: BTreeMap<(usize, i64), f64> = BTreeMap::new();
            for (at, value) in told.acknowledged.range(told.compared_until + 1..) {
                for series in 0..SERIES {
                    expected.insert((series, *at), value + series as f64);
                }
            }
            let mut stored = 0;
            for result in &found {
                let series = result["metric"]["series"].as_str().map(str::parse);
                let series: usize = series.expect("a label").expect("a number");
                let mut before = i64::MIN;
                for pair in result["values"].as_array().expect("samples") {
                    let at = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
                    let value = pair[1].as_str().and_then(|value| value.parse::<f64>().ok());
                    assert!(before < at, "{tenant} {series} {at}: each time once");
                    before = at;
                    stored += 1;
                    match expected.remove(&(series, at)) {
                        Some(sent) => assert_eq!(value, Some(sent), "{tenant} {series} {at}"),
                        None => {
                            let sent = told.open.get(&at).map(|value| value + series as f64);
                            assert_eq!(value, sent, "{tenant} {series} {at} was never sent");
                        }
                    }
                }
            }
            let first: Vec<_> = expected.iter().take(5).collect();
            assert!(
                expected.is_empty(),
                "{tenant}: {} acknowledged samples are lost: {first:?}",
                expected.len()
            );
            told.compared_until = until;
            told.stored += stored;
            new += stored;
            if told.stored > 0 {
                let counts = query(
                    watchbell,
                    &tenant,
                    "sum(count_over_time(load_probe[2h]))",
                    until,
                );
                let counts = counts.await;
                let count = counts[0]["value"][1].as_str();
                let count = count.and_then(|count| count.parse().ok());
                assert_eq!(count, Some(told.stored), "{tenant}: of before, each once");
            }
        }
        new
    }

    /// What came with the samples is there too.
    async fn assert_said(&self, watchbell: &Watchbell) {
        for (number, told) in self.told.iter().enumerate() {
            let Some((at, value)) = told.acknowledged.last_key_value() else {
                continue;
            };
            let tenant = self.tenant(number);
            let time = at_secs(*at);
            let path = format!("/api/v1/query_exemplars?query=load_probe&start={time}&end={time}");
            let (_, text) = watchbell.get(Some(&tenant), &path).await;
            let trace = format!("\"trace_id\":\"{value}\"");
            assert!(text.contains(&trace), "{tenant} {trace}: {text}");
            let (_, text) = watchbell.get(Some(&tenant), "/api/v1/metadata").await;
            assert!(text.contains(HELP), "{tenant}: {text}");
        }
    }
}

fn message(millis: i64, value: f64) -> Vec<u8> {
    let mut message = Message1::default().metadata("load_probe", 2, HELP, "");
    for series in 0..SERIES {
        let name = series.to_string();
        let labels = [("__name__", "load_probe"), ("series", name.as_str())];
        let sample = Part::Sample {
            value: value + series as f64,
            millis,
        };
        message = message.series(&labels, &[sample]);
    }
    let trace = value.to_string();
    let exemplar = Part::Exemplar {
        labels: &[("trace_id", trace.as_str())],
        value,
        millis,
    };
    let labels = [("__name__", "load_probe"), ("series", "0")];
    message.series(&labels, &[exemplar]).body()
}

async fn query(watchbell: &Watchbell, tenant: &str, query: &str, millis: i64) -> Vec<Json> {
    let query = query.replace('[', "%5B").replace(']', "%5D");
    let path = format!("/api/v1/query?query={query}&time={}", at_secs(millis));
    let (status, text) = watchbell.get(Some(tenant), &path).await;
    assert_eq!(status, 200, "{path}: {text}");
    let answer: Json = serde_json::from_str(&text).expect("an answer in JSON");
    let result = answer["data"]["result"].as_array();
    result.expect("a list").clone()
}

fn at_secs(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

async fn metric(watchbell: &Watchbell, name: &str) -> u64 {
    let (_, text) = watchbell.get(None, "/metrics").await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{name} in\n{text}"))
}

async fn pass(time: Duration) {
    tokio::time::timeout(time, std::future::pending::<()>())
        .await
        .expect_err("it never ends by itself");
}

fn random_below(bound: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    bound.mul_f64(random as f64 / u64::MAX as f64)
}
