//! The ingest with its log, its blocks and its API: `cargo bench -p watchbell-ingest`. Names are those of Prometheus' own benchmarks.
#![allow(clippy::unwrap_used, reason = "a benchmark: a failure is its message")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use config::WatchbellConfig;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use fakes::{Message1, Part, REMOTE_WRITE_HEADERS};
use ingest_core::{DecodeBounds, Limits, Memory, Protocol, WriteRequest, expand};
use model::{Labels, Sample, TenantId, Timestamp};
use promql::{Selection, SeriesReader};
use runtime::{ManualClock, Metrics};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use watchbell_ingest::{Build, Engine, IngestSettings, routes};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn main() {
    divan::main();
}

struct Site {
    runtime: Runtime,
    engine: Engine,
    clock: Arc<ManualClock>,
}

fn open(folder: &Path) -> Site {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut config = WatchbellConfig::default();
    config.storage.path = folder.to_owned();
    let clock = Arc::new(ManualClock::at(NOW));
    let settings = IngestSettings::new(&config, Build::default());
    Site {
        engine: runtime
            .block_on(async { Engine::open(settings, clock.clone(), &Metrics::new()) })
            .unwrap(),
        runtime,
        clock,
    }
}

fn labels(number: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_requests_total_{}", number % 20)),
        (
            "instance",
            format!("10.0.{}.{}:9100", number / 250, number % 250),
        ),
        ("job", "kubernetes-service-endpoints".to_owned()),
        ("number", number.to_string()),
    ])
}

impl Site {
    fn write(&self, series: &[Labels], at: Timestamp) {
        let samples: Vec<(Labels, Sample)> = series
            .iter()
            .map(|labels| {
                let value = (at.as_millis() / 1000) as f64;
                let sample = Sample {
                    timestamp: at,
                    value,
                };
                (labels.clone(), sample)
            })
            .collect();
        let tenant = TenantId::anonymous();
        let written = self.engine.append(&tenant, &samples);
        self.runtime.block_on(written).unwrap();
    }

    fn fill(&self, series: usize, begin: Timestamp, samples: u32, step: Duration) {
        let series: Vec<Labels> = (0..series).map(labels).collect();
        for number in 0..samples {
            self.write(&series, begin + step * number);
        }
    }

    fn ask(&self, router: &Router, request: Request<Body>) -> usize {
        self.runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            assert!(response.status().is_success(), "{response:?}");
            let body = to_bytes(response.into_body(), 1 << 30).await.unwrap();
            body.len()
        })
    }
}

fn message(samples: usize, at: Timestamp) -> Message1 {
    let mut message = Message1::default();
    for number in 0..samples {
        let labels = labels(number);
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        let sample = Part::Sample {
            value: number as f64,
            millis: at.as_millis(),
        };
        message = message.series(&pairs, &[sample]);
    }
    message
}

#[divan::bench(
    name = "RemoteWriteHandler: requests of 2,000 samples",
    sample_count = 50
)]
fn remote_write_handler(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path());
    let router = routes(&site.engine).into_router();
    let mut at = NOW - Duration::from_secs(3600);
    bencher
        .counter(ItemsCount::new(2000_usize))
        .with_inputs(|| {
            at = at + Duration::from_secs(1);
            let mut request = Request::post("/api/v1/write");
            for (name, value) in REMOTE_WRITE_HEADERS {
                request = request.header(name, value);
            }
            request.body(Body::from(message(2000, at).body())).unwrap()
        })
        .bench_local_values(|request| site.ask(&router, request));
}

#[divan::bench(
    name = "WAL_Log: appends of 2,000 samples, until the log has them",
    sample_count = 50
)]
fn wal_log(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path());
    let series: Vec<Labels> = (0..2000).map(labels).collect();
    let mut at = NOW - Duration::from_secs(3600);
    bencher
        .counter(ItemsCount::new(2000_usize))
        .bench_local(|| {
            at = at + Duration::from_secs(1);
            site.write(&series, at);
        });
}

#[divan::bench(name = "LoadWLs: 10,000 series of 100 samples", sample_count = 5)]
fn load_wls(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path());
    site.fill(
        10_000,
        NOW - Duration::from_secs(3600),
        100,
        Duration::from_secs(15),
    );
    drop(site);
    bencher
        .counter(ItemsCount::new(1_000_000_usize))
        .bench_local(|| open(folder.path()));
}

#[divan::bench(
    name = "Compaction: 1,000 series of 9 hours, cut and merged",
    sample_count = 5
)]
fn compaction(bencher: Bencher<'_, '_>) {
    let begin = Timestamp::from_secs(NOW.as_millis() / 1000 / 21_600 * 21_600);
    bencher
        .counter(ItemsCount::new(540_000_usize))
        .with_inputs(|| {
            let folder = tempfile::tempdir().unwrap();
            let site = open(folder.path());
            site.clock.set(begin + Duration::from_secs(9 * 3600));
            site.fill(1000, begin, 540, Duration::from_secs(60));
            (site, folder)
        })
        .bench_local_values(|(site, folder)| {
            site.engine.keep_blocks();
            (site, folder)
        });
}

#[divan::bench(name = "Querier: 1,000 series of 9 hours", args = ["head", "blocks"], sample_count = 10)]
fn querier(bencher: Bencher<'_, '_>, place: &str) {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path());
    let begin = NOW - Duration::from_secs(9 * 3600);
    site.fill(1000, begin, 540, Duration::from_secs(60));
    if place == "blocks" {
        site.engine.keep_blocks();
    }
    let reader = site.engine.reader(&TenantId::anonymous());
    let selection = Selection {
        matchers: &[],
        after: Timestamp::MIN,
        until: Timestamp::MAX,
        newest_only: false,
    };
    bencher
        .counter(ItemsCount::new(540_000_usize))
        .bench_local(|| {
            reader
                .select(black_box(&selection), usize::MAX)
                .unwrap()
                .len()
        });
}

#[divan::bench(
    name = "Respond: a matrix of 100 series of 500 values",
    sample_count = 20
)]
fn respond(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path());
    let begin = NOW - Duration::from_secs(7200);
    site.fill(100, begin, 500, Duration::from_secs(14));
    let router = routes(&site.engine).into_router();
    let address = "/api/v1/query?query=%7Bjob!=%22%22%7D%5B3h%5D";
    bencher
        .counter(ItemsCount::new(50_000_usize))
        .bench_local(|| {
            let request = Request::get(address).body(Body::empty()).unwrap();
            site.ask(&router, request)
        });
}

#[divan::bench(name = "AddExemplar: 1,000 of as many series", sample_count = 50)]
fn add_exemplar(bencher: Bencher<'_, '_>) {
    let mut memory = Memory::new(Limits::default(), 1);
    let mut expanded = Vec::new();
    let mut stage = |memory: &mut Memory, body: &[u8]| {
        expand(body, 1 << 30, &mut expanded).unwrap();
        let bounds = DecodeBounds {
            samples_max: 1_000_000,
            label_bytes_max: 0,
        };
        let request = WriteRequest::read_within(Protocol::V1, &expanded, &bounds).unwrap();
        let (staged, records) = memory.stage(&request, NOW).unwrap();
        memory.commit(staged);
        records.len()
    };
    stage(&mut memory, &message(1000, NOW).body());
    let mut at = NOW - Duration::from_secs(3600);
    bencher
        .counter(ItemsCount::new(1000_usize))
        .with_inputs(|| {
            at = at + Duration::from_secs(1);
            let mut message = Message1::default();
            for number in 0..1000 {
                let labels = labels(number);
                let pairs: Vec<(&str, &str)> = labels.iter().collect();
                let exemplar = Part::Exemplar {
                    labels: &[("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")],
                    value: 1.0,
                    millis: at.as_millis(),
                };
                message = message.series(&pairs, &[exemplar]);
            }
            message.body()
        })
        .bench_local_values(|body| stage(&mut memory, &body));
}
