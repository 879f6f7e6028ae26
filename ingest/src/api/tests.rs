//! The API as a client sees it: the router over an engine in a folder of its own, with a clock that stands still.
mod endpoints;
mod lists;
mod senders;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::Request;
use hyper::body::Frame;
use ingest_core::Limits;
use model::{Histogram, Labels, Sample, SampleValue, TenantId, Timestamp};
use runtime::log::SyncPolicy;
use runtime::{HeardLog, ManualClock, Metrics};
use tower::ServiceExt;

use crate::api::routes;
use crate::engine::Engine;
use crate::engine::REQUEST_BYTES_MAX;
use crate::look::Look;
use crate::query::QueryTimes;
use crate::reader::newest_samples;
use crate::settings::{Build, IngestSettings, QuerySettings};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

struct Site {
    engine: Engine,
    router: Router,
    metrics: Metrics,
    clock: Arc<ManualClock>,
    _folder: Option<tempfile::TempDir>,
}

fn settings(folder: &Path) -> IngestSettings {
    let config = config::WatchbellConfig::default();
    IngestSettings {
        folder: folder.to_owned(),
        sync: SyncPolicy::default(),
        external_labels: Labels::default(),
        query: QuerySettings {
            concurrency_max: 2,
            ..IngestSettings::new(&config, Build::default()).query
        },
        retention_bytes_max: None,
        tenant_idle_max: Duration::from_secs(3600),
        limits: Limits::default(),
        build: Build {
            version: "1.2.3".to_owned(),
            ..Default::default()
        },
    }
}

fn open(settings: IngestSettings) -> Site {
    let metrics = Metrics::new();
    let clock = Arc::new(ManualClock::at(NOW));
    let engine = Engine::open(settings, clock.clone(), &metrics).unwrap();
    Site {
        router: routes(&engine).into_router(),
        engine,
        metrics,
        clock,
        _folder: None,
    }
}

fn site() -> Site {
    site_with(|_| {})
}

fn site_with(change: impl FnOnce(&mut IngestSettings)) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    change(&mut settings);
    Site {
        _folder: Some(folder),
        ..open(settings)
    }
}

impl Site {
    async fn ask(&self, request: Request<Body>) -> (u16, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, address: &str) -> (u16, String) {
        self.ask(Request::get(address).body(Body::empty()).unwrap())
            .await
    }

    /// The `data` of an answer that is a success without annotations.
    async fn data(&self, address: &str) -> String {
        let (status, body) = self.get(address).await;
        assert_eq!(status, 200, "{address}: {body}");
        body.strip_prefix(r#"{"status":"success","data":"#)
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(&body)
            .to_owned()
    }

    async fn form(&self, address: &str, form: &str) -> (u16, String) {
        let request = Request::post(address)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.ask(request.unwrap()).await
    }

    /// Seconds before NOW, value.
    async fn write(&self, tenant: &str, series: &[(&str, &[(i64, f64)])]) {
        let mut samples = Vec::new();
        for (text, own) in series {
            for (ago, value) in *own {
                let timestamp = Timestamp::from_millis(NOW.as_millis() - ago * 1000);
                samples.push((
                    labels(text),
                    Sample {
                        timestamp,
                        value: *value,
                    },
                ));
            }
        }
        let tenant = TenantId::parse(tenant).unwrap();
        let report = self.engine.append(&tenant, &samples).await.unwrap();
        assert_eq!(report.refused_samples, []);
    }

    async fn push(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
        let mut request = Request::post("/api/v1/write");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body)).unwrap()).await
    }
}

/// `up{job=a}` or `up`.
fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let pairs = rest.trim_end_matches('}').split(',');
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    Labels::from_pairs(pairs.chain([("__name__", name)]))
}

/// A remote-write body: series, seconds before NOW, value.
fn body(series: &[(&str, i64, f64)]) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128);
        [&[number << 3 | 2, length], content].concat()
    };
    let mut message = Vec::new();
    for (text, ago, value) in series {
        let mut own = Vec::new();
        for (name, value) in &labels(text) {
            let label = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
            own.extend(field(1, &label));
        }
        let mut sample = vec![0x09];
        sample.extend(value.to_bits().to_le_bytes());
        sample.push(0x10);
        let mut millis = (NOW.as_millis() - ago * 1000) as u64;
        while millis >= 0x80 {
            sample.push(millis as u8 | 0x80);
            millis >>= 7;
        }
        sample.push(millis as u8);
        own.extend(field(2, &sample));
        message.extend(field(1, &own));
    }
    snappy(&message)
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

#[tokio::test]
async fn what_was_written_can_be_listed_and_a_tenant_sees_only_its_own() {
    let site = site();
    let sent = body(&[("up{job=a}", 60, 1.0), ("down{job=b}", 30, 0.0)]);
    assert_eq!(site.push(&[], sent).await, (204, String::new()));
    site.write("other", &[("secret", &[(1, 1.0)])]).await;
    for (address, data) in [
        ("/api/v1/labels", r#"["__name__","job"]"#),
        ("/api/v1/label/job/values", r#"["a","b"]"#),
        ("/api/v1/label/__name__/values", r#"["down","up"]"#),
        ("/api/v1/label/U______name____/values", r#"["down","up"]"#),
        ("/api/v1/label/nowhere/values", "[]"),
        ("/api/v1/label/job/values?match[]=up", r#"["a"]"#),
        ("/api/v1/labels?match[]=nothing", "[]"),
        (
            "/api/v1/series?match[]=up&match[]=%7Bjob%3D~%22a%7Cb%22%7D",
            r#"[{"__name__":"down","job":"b"},{"__name__":"up","job":"a"}]"#,
        ),
        (
            "/api/v1/series?match[]=%7Bjob!=%22%22%7D&start=999941&end=999970",
            r#"[{"__name__":"down","job":"b"}]"#,
        ),
        (
            "/api/v1/series?match[]=%7Bjob!=%22%22%7D&start=999900&end=999940",
            r#"[{"__name__":"up","job":"a"}]"#,
        ),
        ("/api/v1/metadata", "{}"),
        ("/api/v1/format_query?query=sum%20%20(up)", r#""sum(up)""#),
    ] {
        assert_eq!(site.data(address).await, data, "{address}");
    }
    let (_, limited) = site.get("/api/v1/labels?limit=1").await;
    assert_eq!(
        limited,
        r#"{"status":"success","data":["__name__"],"warnings":["results truncated due to limit"]}"#
    );
    let (_, posted) = site.form("/api/v1/series", "match[]=up").await;
    assert_eq!(
        posted,
        r#"{"status":"success","data":[{"__name__":"up","job":"a"}]}"#
    );
    assert!(
        site.data("/api/v1/status/buildinfo")
            .await
            .contains(r#""version":"1.2.3""#)
    );
    let head = site.data("/api/v1/status/tsdb?limit=1").await;
    assert_eq!(
        head,
        concat!(
            r#"{"headStats":{"numSeries":2,"numLabelPairs":4,"chunkCount":2,"minTime":999940000,"maxTime":999970000},"#,
            r#""seriesCountByMetricName":[{"name":"down","value":1}],"#,
            r#""labelValueCountByLabelName":[{"name":"__name__","value":2}],"#,
            r#""memoryInBytesByLabelName":[{"name":"__name__","value":6}],"#,
            r#""seriesCountByLabelValuePair":[{"name":"__name__=down","value":1}]}"#
        )
    );
}

#[tokio::test]
async fn mistakes_in_parameters_are_named() {
    let site = site();
    for (address, status, kind, message) in [
        (
            "query?query=up%7B",
            400,
            "bad_data",
            r#"invalid parameter \"query\": 1:4: parse error: "#,
        ),
        (
            "query?query=1&time=x",
            400,
            "bad_data",
            r#"invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp"#,
        ),
        (
            "query?query=1&timeout=x",
            400,
            "bad_data",
            r#"invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"#,
        ),
        (
            "query_range?query=1&start=2&end=1&step=1",
            400,
            "bad_data",
            r#"invalid parameter \"end\": end timestamp must not be before start time"#,
        ),
        (
            "query_range?query=1&start=1&end=2&step=0",
            400,
            "bad_data",
            r#"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        (
            "labels?match[]=%7B%7D",
            400,
            "bad_data",
            "match[] must contain at least one non-empty matcher",
        ),
        (
            "series?match[]=%7B%7D",
            400,
            "bad_data",
            r#"invalid parameter \"match[]\": match[] must contain at least one non-empty matcher"#,
        ),
        (
            "label/U__a_x/values",
            400,
            "bad_data",
            r#"invalid label name: \"U__a_x\""#,
        ),
    ] {
        let (actual, body) = site.get(&format!("/api/v1/{address}")).await;
        let start = format!(r#"{{"status":"error","errorType":"{kind}","error":"{message}"#);
        assert_eq!(actual, status, "{address}: {body}");
        assert!(body.starts_with(&start), "{address}: {body}");
    }
}

#[tokio::test]
async fn a_sender_who_is_not_told_of_its_impossible_labels_is_told_of() {
    let heard = HeardLog::start();
    let site = site();
    for _ in 0..3 {
        let sent = body(&[("up", 50, 1.0), ("{job=x}", 50, 1.0), ("{job=y}", 50, 1.0)]);
        assert_eq!(site.push(&[], sent).await, (204, String::new()));
    }
    let mut lines = heard.lines();
    lines.retain(|line| line.starts_with("WARN"));
    assert_eq!(
        lines,
        [
            "WARN samples refused, though their sender was answered 204 tenant=anonymous \
             reason=invalid labels: metric name is missing samples=2 series={__name__=\"\", job=\"x\"} left_out=0"
        ]
    );
}

#[tokio::test]
async fn a_write_is_answered_as_its_fault_deserves() {
    let site = site_with(|settings| {
        settings.limits.series_max = 2;
        settings.limits.body_bytes_max = 1000;
        settings.limits.expanded_bytes_max = 2000;
    });
    site.write("anonymous", &[("up", &[(60, 1.0)])]).await;
    let protobuf = &[("Content-Type", "application/x-protobuf")][..];
    let over_limit = "tenant has as many series as its limit allows: 1 refused, first series {__name__=\"three\"} (2 samples kept)\n";
    for (headers, sent, status, answer) in [
        (protobuf, body(&[("up", 50, 1.0)]), 204, ""),
        (protobuf, body(&[("up", 50, 1.0)]), 204, ""),
        (protobuf, body(&[("{job=x}", 50, 1.0)]), 204, ""),
        (
            protobuf,
            body(&[("new", 50, 1.0), ("up", 55, 1.0)]),
            400,
            "out of order sample for series {__name__=\"up\"} at 1970-01-12T13:45:45Z, its newest is at 1970-01-12T13:45:50Z\n",
        ),
        (
            protobuf,
            body(&[("up", 40, 1.0), ("two", 40, 1.0), ("three", 40, 1.0)]),
            429,
            over_limit,
        ),
        (
            protobuf,
            b"\xff\xff\xff".to_vec(),
            400,
            "body is not a snappy block: ",
        ),
        (
            protobuf,
            snappy(&[0x0a, 9]),
            400,
            "body is not a write request: message ends in the middle of a field\n",
        ),
        (
            protobuf,
            vec![0; 1001],
            413,
            "request body is larger than the limit of 1000 bytes\n",
        ),
        (
            protobuf,
            snappy(&[0; 2001]),
            413,
            "request expands to 2001 bytes, more than the limit of 2000\n",
        ),
        (
            &[("Content-Type", "text/plain")],
            vec![0xff],
            415,
            "content type \"text/plain\"",
        ),
        (
            &[("Content-Encoding", "zstd")],
            vec![0xff],
            415,
            "zstd encoding (compression)",
        ),
        (&[("X-Scope-OrgID", "a/b")], vec![], 400, "tenant ID 'a/b'"),
    ] {
        let (actual, text) = site.push(headers, sent).await;
        assert_eq!(actual, status, "{text}");
        assert!(text.starts_with(answer), "{text}");
    }
    // The refused request that names "new" leaves nothing of it.
    assert_eq!(
        site.data("/api/v1/series?match[]=%7B__name__!=%22%22%7D")
            .await,
        r#"[{"__name__":"two"},{"__name__":"up"}]"#
    );
    let metrics = site.metrics.text();
    for line in [
        "watchbell_ingest_samples_total 4",
        "watchbell_ingest_refused_samples_total{reason=\"no_metric_name\"} 1",
        "watchbell_ingest_refused_samples_total{reason=\"series_max\"} 1",
        "prometheus_api_remote_write_invalid_labels_samples_total 1",
        "watchbell_ingest_refused_requests_total{reason=\"out_of_order\"} 1",
        "watchbell_ingest_refused_requests_total{reason=\"body_too_large\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(settings(folder.path()));
    first
        .write("team", &[("up{job=a}", &[(60, 1.0), (45, 0.0)])])
        .await;
    first.write("idle", &[("once", &[(60, 1.0)])]).await;
    first.engine.checkpoint();
    first
        .write(
            "team",
            &[("up{job=a}", &[(30, 1.0)]), ("new", &[(30, 1.0)])],
        )
        .await;
    drop(first);
    for round in 0..3 {
        let site = open(settings(folder.path()));
        let all = |tenant: &str| {
            let reader = site.engine.reader(&TenantId::parse(tenant).unwrap());
            let matchers = [model::Matcher::equal("job", "")];
            let named = [model::Matcher::equal("job", "a")];
            let newest = |matchers: &[model::Matcher]| {
                let window = (Timestamp::MIN, Timestamp::MAX);
                let look = Look::new(usize::MAX, &|| false);
                newest_samples(&reader, matchers, window, 100, &look).unwrap()
            };
            let both = newest(&matchers).into_iter().chain(newest(&named));
            both.map(|(labels, sample)| {
                format!(
                    "{labels} {}",
                    NOW.as_millis() / 1000 - sample.timestamp.as_millis() / 1000
                )
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(
            all("team"),
            ["{__name__=\"new\"} 30", "{__name__=\"up\", job=\"a\"} 30"],
            "{round}"
        );
        assert_eq!(all("idle"), ["{__name__=\"once\"} 60"]);
        assert_eq!(
            site.engine.stats(&TenantId::parse("team").unwrap()).series,
            2
        );
        if round == 1 {
            site.engine.checkpoint();
        }
    }
}

#[tokio::test]
async fn damage_is_counted_and_the_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(settings(folder.path()));
    first.write("gone", &[("up", &[(60, 1.0)])]).await;
    first.engine.checkpoint();
    for ago in [50, 40, 30] {
        first.write("anonymous", &[("up", &[(ago, 1.0)])]).await;
    }
    drop(first);
    let flip = |path: &str, at: usize| {
        let path = folder.path().join(path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    flip("snapshots/gone.records", 3);
    // Behind the segment's header stand the definition of "up" and its first sample; the second one is hit.
    let log = folder.path().join("log/00000002.log");
    let length = std::fs::read(&log).unwrap().len();
    flip("log/00000002.log", length - 40);
    let site = open(settings(folder.path()));
    assert_eq!(
        site.data("/api/v1/query?query=count_over_time(up%5B5m%5D)")
            .await,
        r#"{"resultType":"vector","result":[{"metric":{},"value":[1000000,"2"]}]}"#
    );
    let metrics = site.metrics.text();
    assert!(
        metrics.contains("watchbell_ingest_log_damages_total 2"),
        "{metrics}"
    );
    assert!(folder.path().join("snapshots/gone.damaged").exists());
}

#[tokio::test]
async fn federation_shows_the_newest_samples() {
    let site = site();
    site.write(
        "anonymous",
        &[
            ("up{job=a}", &[(60, 1.0), (45, 0.5)]),
            ("old", &[(600, 1.0)]),
        ],
    )
    .await;
    assert_eq!(
        site.get("/federate?match[]=%7B__name__!=%22%22%7D").await,
        (
            200,
            "# TYPE up untyped\nup{job=\"a\",instance=\"\"} 0.5 999955000\n".to_owned()
        )
    );
    // Where histograms came later the float is not the newest any more.
    let up = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
    let later = Timestamp::from_millis(NOW.as_millis() - 10_000);
    let histogram = SampleValue::Histogram(Arc::new(Histogram::default()));
    let values = [(up, later, histogram)];
    let written = site
        .engine
        .append_values(&TenantId::anonymous(), &values)
        .await;
    assert_eq!(written.unwrap().accepted_histograms, 1);
    assert_eq!(site.get("/federate?match[]=up").await, (200, String::new()));
    let (status, text) = site.get("/federate?match[]=up%7B").await;
    assert_eq!(status, 400, "{text}");
}

#[tokio::test]
async fn queries_are_answered_as_prometheus_answers_them() {
    let site = site();
    site.write(
        "anonymous",
        &[
            ("up{job=a}", &[(120, 1.0), (60, 0.0), (0, 1.0)]),
            ("up{job=b}", &[(60, 1.0), (30, model::stale_nan())]),
        ],
    )
    .await;
    for (address, data) in [
        (
            "query?query=up",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1000000,"1"]}]}"#,
        ),
        (
            "query?query=sum(up)&time=999940.5",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[999940.500,"1"]}]}"#,
        ),
        (
            "query?query=up%7Bjob%3D%22a%22%7D%5B2m%5D",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[999940,"0"],[1000000,"1"]]}]}"#,
        ),
        (
            "query?query=1e-7",
            r#"{"resultType":"scalar","result":[1000000,"0.0000001"]}"#,
        ),
        (
            "query?query=up%7Bjob%3D%22a%22%7D&time=999999&lookback_delta=30s",
            r#"{"resultType":"vector","result":[]}"#,
        ),
        (
            "query_range?query=up%7Bjob%3D%22b%22%7D&start=999930&end=999990&step=15",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"b"},"values":[[999945,"1"],[999960,"1"]]}]}"#,
        ),
    ] {
        assert_eq!(
            site.data(&format!("/api/v1/{address}")).await,
            data,
            "{address}"
        );
    }
    let form = "query=count(up)&time=999940";
    let (status, body) = site.form("/api/v1/query", form).await;
    assert_eq!(
        (status, body.as_str()),
        (
            200,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[999940,"2"]}]}}"#
        )
    );
    for (address, status, message) in [
        (
            "query_range?query=up%5B1m%5D&start=0&end=1&step=1",
            400,
            r#""errorType":"bad_data","error":"invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector""#,
        ),
        (
            "query?query=up&timeout=0",
            503,
            r#""errorType":"timeout","error":"query timed out in "#,
        ),
        (
            "query?query=label_replace(up,%22a%22,%22%22,%22b%22,%22(%22)",
            422,
            r#""errorType":"execution""#,
        ),
    ] {
        let (actual, body) = site.get(&format!("/api/v1/{address}")).await;
        assert_eq!(actual, status, "{address}: {body}");
        assert!(body.contains(message), "{address}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = open(settings(folder.path()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let engine = site.engine.clone();
            tokio::spawn(async move {
                let mut acknowledged = 0;
                for ago in (0..100).rev() {
                    // One series of its own, and one that all writers fight for.
                    let own = format!("own{{writer={writer}}}");
                    let sent = body(&[(&own, ago, 1.0)]);
                    engine
                        .push(&TenantId::anonymous(), sent.into())
                        .await
                        .unwrap();
                    let sent = body(&[("shared", ago, f64::from(writer))]);
                    let tried = engine.push(&TenantId::anonymous(), sent.into()).await;
                    acknowledged += usize::from(tried.is_ok());
                    if ago == 50 && writer == 0 {
                        let engine = engine.clone();
                        tokio::task::spawn_blocking(move || engine.checkpoint())
                            .await
                            .unwrap();
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = 0;
    for writer in writers {
        acknowledged += writer.await.unwrap();
    }
    drop(site);
    let site = open(settings(folder.path()));
    let selection = promql::Selection {
        matchers: &[],
        after: Timestamp::MIN,
        until: Timestamp::MAX,
        newest_only: false,
    };
    let reader = site.engine.reader(&TenantId::anonymous());
    let all = promql::SeriesReader::select(&reader, &selection, usize::MAX).unwrap();
    assert_eq!(all.len(), 9);
    for series in all {
        let expected = match series.labels.metric_name() {
            Some("shared") => acknowledged,
            _ => 100,
        };
        assert_eq!(series.samples.len(), expected, "{}", series.labels);
    }
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_no_hole() {
    let site = site();
    let tenant = TenantId::anonymous();
    {
        let first = site.engine.push(&tenant, body(&[("up", 60, 1.0)]).into());
        let mut first = std::pin::pin!(first);
        // Polled once: the records are in line, and then nobody waits for them any more.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(first.as_mut().poll(context).is_ready())
        });
        let _ = polled.await;
    }
    assert_eq!(
        site.push(&[], body(&[("up", 61, 1.0)])).await.0,
        400,
        "the first one was admitted"
    );
    assert_eq!(site.push(&[], body(&[("up", 59, 1.0)])).await.0, 204);
    assert_eq!(
        site.data("/api/v1/query?query=count_over_time(up%5B5m%5D)")
            .await,
        r#"{"resultType":"vector","result":[{"metric":{},"value":[1000000,"2"]}]}"#
    );
}

#[tokio::test]
async fn a_tenant_that_runs_all_queries_it_may_is_told_so_and_stops_nobody_else() {
    let site = site_with(|settings| {
        settings.query.concurrency_max = 2;
        settings.query.queue_time_max = Duration::ZERO;
    });
    for tenant in ["greedy", "other"] {
        site.write(tenant, &[("up", &[(0, 1.0)])]).await;
    }
    let greedy = TenantId::parse("greedy").unwrap();
    let mut running = Vec::new();
    while let Ok(slot) = site.engine.query_slot(&greedy).await {
        running.push(slot);
    }
    let as_tenant = async |tenant: &str, address: &str| {
        let request = Request::get(address).header("X-Scope-OrgID", tenant);
        site.ask(request.body(Body::empty()).unwrap()).await
    };
    let sentence = "too many concurrent queries: tenant greedy runs 2 already, try again later";
    let refused = format!(r#"{{"status":"error","errorType":"timeout","error":"{sentence}"}}"#);
    for address in [
        "/api/v1/query?query=up",
        "/api/v1/query_range?query=up&start=1&end=2&step=1",
        "/api/v1/series?match[]=up",
        "/api/v1/labels",
        "/api/v1/label/job/values",
        "/api/v1/status/tsdb",
        "/federate?match[]=up",
    ] {
        let expected = match address {
            "/federate?match[]=up" => format!("{sentence}\n"),
            _ => refused.clone(),
        };
        assert_eq!(
            as_tenant("greedy", address).await,
            (503, expected),
            "{address}"
        );
        assert_eq!(as_tenant("other", address).await.0, 200, "{address}");
    }
    let counted = "watchbell_ingest_refused_queries_total{reason=\"of_tenant\"} 8";
    assert!(
        site.metrics.text().contains(counted),
        "{}",
        site.metrics.text()
    );
    // A rule of the same tenant is evaluated on a thread of the ruler's.
    let query = promql::Query::compile("up", &promql::ParserOptions::default()).unwrap();
    let times = QueryTimes::Instant(NOW);
    site.engine
        .run_blocking(&greedy, &query, times, None, &|| false)
        .unwrap();
    drop(running);
    assert_eq!(as_tenant("greedy", "/api/v1/query?query=up").await.0, 200);
}

#[tokio::test]
async fn a_request_keeps_its_turn_until_it_is_done() {
    let site = site_with(|settings| {
        settings.query.concurrency_max = 1;
        settings.query.queue_time_max = Duration::ZERO;
    });
    site.write("anonymous", &[("up", &[(0, 1.0)])]).await;
    for address in [
        "/api/v1/query?query=up",
        "/api/v1/series?match[]=up",
        "/api/v1/status/tsdb",
        "/federate?match[]=up",
    ] {
        // Whoever writes keeps readers waiting.
        let store = site.engine.store(&TenantId::anonymous()).unwrap().unwrap();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (locked, is_locked) = tokio::sync::oneshot::channel();
        let writer = std::thread::spawn(move || {
            store.write(|_| {
                locked.send(()).unwrap();
                let _ = wait.recv();
            });
        });
        is_locked.await.unwrap();
        let mut first = std::pin::pin!(site.get(address));
        let is_pending = std::future::poll_fn(|context| {
            std::task::Poll::Ready(first.as_mut().poll(context).is_pending())
        });
        assert!(is_pending.await, "{address}");
        let second = tokio::time::timeout(Duration::from_secs(60), site.get(address)).await;
        assert_eq!(second.unwrap().0, 503, "{address}");
        drop(done);
        assert_eq!(first.await.0, 200, "{address}");
        writer.join().unwrap();
        assert_eq!(site.get(address).await.0, 200, "{address}");
    }
}

#[tokio::test]
async fn a_log_that_was_emptied_behind_its_snapshots_is_noticed() {
    for (gone, damages) in [
        (&[][..], 0),
        (&["log"], 1),
        (&["extent"], 0),
        (&["log", "extent"], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let site = open(settings(folder.path()));
        site.write("anonymous", &[("up", &[(60, 1.0)])]).await;
        site.engine.checkpoint();
        site.write("anonymous", &[("up", &[(30, 1.0)])]).await;
        drop(site);
        for entry in std::fs::read_dir(folder.path().join("log")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.extension().or(path.file_name()).unwrap();
            if gone.iter().any(|gone| name == *gone) {
                std::fs::remove_file(path).unwrap();
            }
        }
        let heard = HeardLog::start();
        let site = open(settings(folder.path()));
        let line = format!("watchbell_ingest_log_damages_total {damages}\n");
        assert!(site.metrics.text().contains(&line), "{gone:?}");
        let mut lines = heard.lines();
        lines.retain(|line| line.starts_with("ERROR"));
        let missing = "ERROR the log is damaged; what follows is read error=segments 00000002 to 00000002 of the log \
                       are missing left_out=0";
        assert_eq!(lines, vec![missing; damages], "{gone:?}");
    }
}

/// A body that never ends by itself: it counts the pieces that are asked for, and breaks off after so many.
struct Pieces {
    asked_for: Arc<AtomicUsize>,
    breaks_after: usize,
}

const PIECE_BYTES: usize = 64 * 1024;

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let before = self.asked_for.fetch_add(1, Ordering::SeqCst);
        let piece = if before < self.breaks_after {
            Ok(Frame::data(vec![0; PIECE_BYTES].into()))
        } else {
            Err(std::io::ErrorKind::ConnectionReset.into())
        };
        Poll::Ready(Some(piece))
    }
}

#[tokio::test]
async fn a_body_is_read_no_further_than_it_may_be_kept() {
    let site = site_with(|settings| settings.limits.body_bytes_max = 10 * PIECE_BYTES);
    for (left_bytes, breaks_after, status, text, pieces) in [
        (
            3 * PIECE_BYTES,
            usize::MAX,
            503,
            "too many requests are being written; try again\n",
            4,
        ),
        (
            REQUEST_BYTES_MAX,
            usize::MAX,
            413,
            "request body is larger than the limit of 655360 bytes\n",
            11,
        ),
        (
            REQUEST_BYTES_MAX,
            2,
            400,
            "request body could not be read\n",
            3,
        ),
    ] {
        let mut others = site.engine.reserve();
        others.grow(REQUEST_BYTES_MAX - left_bytes).unwrap();
        let asked_for = Arc::new(AtomicUsize::new(0));
        let body = Pieces {
            asked_for: asked_for.clone(),
            breaks_after,
        };
        let request = Request::post("/api/v1/write")
            .body(Body::new(body))
            .unwrap();
        assert_eq!(site.ask(request).await, (status, text.to_owned()));
        assert_eq!(asked_for.load(Ordering::SeqCst), pieces, "{text}");
        // What it had is free again.
        assert_eq!(others.grow(left_bytes), Ok(()));
    }
}

#[tokio::test]
async fn a_tenant_that_sends_too_fast_is_told_when_to_come_again() {
    let rate = ingest_core::SampleRate {
        samples_per_second: 1,
        burst_samples: 3,
    };
    let site = site_with(|settings| settings.limits.rate = Some(rate));
    let send = async |tenant: &str, protocol: &str| {
        let request = Request::post("/api/v1/write")
            .header("X-Scope-OrgID", tenant)
            .header(
                "Content-Type",
                format!("application/x-protobuf;proto={protocol}"),
            )
            .body(Body::from(body(&[
                ("up{job=a}", 60, 1.0),
                ("up{job=b}", 60, 1.0),
            ])));
        let response = site.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let retry_after = response.headers().get("Retry-After").cloned();
        let text = to_bytes(response.into_body(), 1000).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        (
            status,
            retry_after.map(|value| value.to_str().unwrap().to_owned()),
            text,
        )
    };
    let v1 = "prometheus.WriteRequest";
    let taken = (204, None, String::new());
    assert_eq!(send("a", v1).await, taken);
    let sentence = "tenant sends more than its limit of 1 samples a second; try again in 1 s\n";
    let refused = (429, Some("1".to_owned()), sentence.to_owned());
    assert_eq!(send("a", v1).await, refused);
    assert_eq!(
        send("b", v1).await,
        taken,
        "another tenant has a rate of its own"
    );
    let metrics = site.metrics.text();
    for line in [
        "watchbell_ingest_refused_requests_total{reason=\"rate\"} 1",
        "watchbell_ingest_samples_total 4",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    site.clock.set(NOW + Duration::from_secs(1));
    assert_eq!(send("a", v1).await, taken);
}

#[tokio::test]
async fn a_query_of_too_many_series_is_refused_and_counted() {
    let site = site_with(|settings| settings.query.series_max = 1);
    site.write("anonymous", &[("a", &[(1, 1.0)]), ("b", &[(1, 1.0)])])
        .await;
    let fits = site.data("/api/v1/query?query=a").await;
    assert!(fits.contains("\"value\""), "{fits}");
    let refused = site.get("/api/v1/query?query=a%20or%20b").await;
    let text = r#"{"status":"error","errorType":"execution","error":"query processing would load too many series into memory in query execution"}"#;
    assert_eq!(refused, (422, text.to_owned()));
    let metrics = site.metrics.text();
    let line = "watchbell_ingest_stopped_queries_total{reason=\"series\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_query_of_too_many_bytes_is_refused_and_counted() {
    let site = site_with(|settings| settings.query.bytes_max = 1000);
    site.write("anonymous", &[("a", &[(1, 1.0)])]).await;
    let fits = site.data("/api/v1/query?query=a").await;
    assert!(fits.contains("\"value\""), "{fits}");
    for address in [
        "query?query=max_over_time(a%5B1h:1s%5D)",
        "query_range?query=a&start=999000&end=1000000&step=1",
    ] {
        assert_eq!(
            site.get(&format!("/api/v1/{address}")).await,
            (
                422,
                r#"{"status":"error","errorType":"execution","error":"query processing would load too many bytes into memory in query execution"}"#.to_owned()
            ),
            "{address}"
        );
    }
    let metrics = site.metrics.text();
    let line = "watchbell_ingest_stopped_queries_total{reason=\"bytes\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn what_looks_at_too_much_is_refused() {
    let site = site_with(|settings| settings.query.samples_max = 2);
    site.write(
        "anonymous",
        &[("a", &[(1, 1.0)]), ("b", &[(1, 1.0)]), ("c", &[(1, 1.0)])],
    )
    .await;
    let (status, text) = site.get("/federate?match[]=a").await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = site.get("/federate?match[]=%7B__name__!=%22%22%7D").await;
    assert_eq!(
        (status, text.as_str()),
        (
            422,
            "query processing would load too many samples into memory in query execution\n"
        )
    );
    let selectors = "match[]=a&".repeat(1000);
    let (status, text) = site.form("/api/v1/series", &selectors).await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = site
        .form("/api/v1/series", &format!("{selectors}match[]=a"))
        .await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains(r#"invalid parameter \"match[]\": more than 1000 selectors"#));
}
