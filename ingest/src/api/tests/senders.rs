//! What senders say besides samples, and the messages in which they say it.
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use fakes::{Message1, Message2, Part, custom_histogram, integer_histogram};

use super::{NOW, Site, open, settings, site, site_with};

/// So many seconds before NOW.
fn ago(seconds: u64) -> i64 {
    (NOW - Duration::from_secs(seconds)).as_millis()
}

fn sample(value: f64, seconds: u64) -> Part<'static> {
    Part::Sample {
        value,
        millis: ago(seconds),
    }
}

fn trace<'a>(labels: &'a [(&'a str, &'a str)], value: f64, seconds: u64) -> Part<'a> {
    Part::Exemplar {
        labels,
        value,
        millis: ago(seconds),
    }
}

/// Status, what the three headers say, and the text.
async fn push_2(site: &Site, message: &Message2) -> (u16, String, String) {
    let request = Request::post("/api/v1/write")
        .header("Content-Encoding", "snappy")
        .header(
            "Content-Type",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        )
        .body(Body::from(message.body()))
        .unwrap();
    let response = tower::ServiceExt::oneshot(site.router.clone(), request)
        .await
        .unwrap();
    let written: Vec<&str> = ["samples", "histograms", "exemplars"]
        .iter()
        .map(|kind| {
            let name = format!("x-prometheus-remote-write-{kind}-written");
            let value = response.headers().get(name);
            value.map_or("none", |value| value.to_str().unwrap())
        })
        .collect();
    let written = written.join(" ");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, written, String::from_utf8(body.to_vec()).unwrap())
}

fn up(job: &str) -> [(&str, &str); 2] {
    [("__name__", "up"), ("job", job)]
}

#[tokio::test]
async fn of_2_0_what_does_not_fit_is_left_out_and_told() {
    let site = site();
    let first = Message2::default().series(&up("a"), &[sample(1.0, 50)]);
    assert_eq!(
        push_2(&site, &first).await,
        (204, "1 0 0".into(), "".into())
    );
    // What is there already counts as written.
    assert_eq!(
        push_2(&site, &first).await,
        (204, "1 0 0".into(), "".into())
    );
    let late = Part::Sample {
        value: 1.0,
        millis: ago(0) + 601_000,
    };
    let labels = up("a");
    for (message, written, text) in [
        (
            Message2::default().series(&labels, &[sample(2.0, 50), sample(3.0, 40)]),
            "1 0 0",
            "duplicate sample for timestamp for series {__name__=\"up\", job=\"a\"}\n",
        ),
        (
            Message2::default().series(&labels, &[sample(2.0, 60), sample(2.0, 70), late]),
            "0 0 0",
            "out of order sample for series {__name__=\"up\", job=\"a\"} (and 1 more)\n\
             out of bounds: timestamp is too far in the future for series {__name__=\"up\", job=\"a\"}\n",
        ),
        (
            Message2::default()
                .series(&[("job", "x")], &[sample(1.0, 30)])
                .series(
                    &[("__name__", "x"), ("a", "1"), ("a", "2")],
                    &[sample(1.0, 30)],
                )
                .series(&up("b"), &[sample(1.0, 30)]),
            "1 0 0",
            "invalid labels for series, labels {__name__=\"x\", a=\"1\", a=\"2\"}, duplicated label a\n\
             invalid metric name or labels, got {job=\"x\"}\n",
        ),
        (
            Message2::default()
                .series(&up("c"), &[])
                .series_of(&[1, 99], &[sample(1.0, 30)])
                .series(&up("d"), &[sample(1.0, 30)]),
            "1 0 0",
            "TimeSeries must contain at least one sample or histogram for series {__name__=\"up\", job=\"c\"}\n\
             parsing labels for series {}: a reference is behind the end of the symbols table\n",
        ),
    ] {
        let answer = push_2(&site, &message).await;
        assert_eq!(answer, (400, written.to_owned(), text.to_owned()));
    }
    assert_eq!(
        site.data("/api/v1/label/job/values").await,
        r#"["a","b","d"]"#
    );
    let metrics = site.metrics.text();
    for line in [
        "watchbell_ingest_samples_total 4",
        "watchbell_ingest_refused_samples_total{reason=\"duplicate_timestamp\"} 1",
        "watchbell_ingest_refused_samples_total{reason=\"empty_series\"} 1",
        "watchbell_ingest_refused_samples_total{reason=\"label_references\"} 1",
        "prometheus_api_remote_write_invalid_labels_samples_total 2",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn of_2_0_limits_are_told_with_what_was_written() {
    let site = site_with(|settings| {
        settings.limits.series_max = 1;
        settings.limits.samples_per_request_max = 3;
    });
    let two = Message2::default()
        .series(&up("a"), &[sample(1.0, 50)])
        .series(&up("b"), &[sample(1.0, 50)]);
    let (status, written, text) = push_2(&site, &two).await;
    assert_eq!((status, written.as_str()), (429, "1 0 0"));
    assert_eq!(
        text,
        "tenant has as many series as its limit allows for series {__name__=\"up\", job=\"b\"}\n"
    );
    // Coming again does not help all of it.
    let worse = two.series(&[("job", "x")], &[sample(1.0, 50)]);
    let (status, written, _) = push_2(&site, &worse).await;
    assert_eq!((status, written.as_str()), (400, "1 0 0"));
    let many = Message2::default().series(
        &up("a"),
        &[
            sample(1.0, 40),
            sample(1.0, 30),
            sample(1.0, 20),
            sample(1.0, 10),
        ],
    );
    let (status, written, _) = push_2(&site, &many).await;
    assert_eq!((status, written.as_str()), (413, "0 0 0"));
}

#[tokio::test]
async fn histograms_are_kept_beside_floats() {
    let site = site();
    let labels = [("__name__", "h")];
    let sound = [
        Part::Histogram(integer_histogram(ago(40), &[1, 3])),
        Part::Histogram(custom_histogram(ago(30), &[1.0, 5.0], &[1.0, 2.0, 3.0])),
    ];
    let broken = [Part::Histogram(custom_histogram(
        ago(30),
        &[5.0, 1.0],
        &[1.0],
    ))];
    let floats = [sample(1.0, 50)];
    let version_1 = Message1::default()
        .series(&up("a"), &floats)
        .series(&labels, &sound);
    assert_eq!(site.push(&[], version_1.body()).await, (204, String::new()));
    assert_eq!(
        site.data("/api/v1/query?query=h")
            .await
            .split_once("\"count\"")
            .map(|(_, rest)| rest),
        Some(
            r#":"6","sum":"18.4","buckets":[[3,"-Inf","1","1"],[0,"1","5","2"],[0,"5","+Inf","3"]]}]}]}"#
        )
    );
    assert!(
        site.data("/api/v1/query?query=h[1m]")
            .await
            .contains(r#""histograms":[["#)
    );
    // What is no histogram refuses a request of 1.0 whole, and is left out of one of 2.0.
    let wrong = "histogram custom bounds must be finite, and each greater than the one before for series {__name__=\"h\"}\n";
    let version_1 = Message1::default()
        .series(&up("b"), &floats)
        .series(&labels, &broken);
    assert_eq!(
        site.push(&[], version_1.body()).await,
        (400, wrong.to_owned())
    );
    let version_2 = Message2::default()
        .series(&up("c"), &floats)
        .series(&labels, &broken)
        .series(&labels, &sound);
    assert_eq!(
        push_2(&site, &version_2).await,
        (
            400,
            // Of the sound ones the newer is there already, and the other is older than it.
            "1 1 0".to_owned(),
            format!(
                "{wrong}out of order sample for series {{__name__=\"h\"}}
"
            )
        )
    );
    assert_eq!(site.data("/api/v1/label/job/values").await, r#"["a","c"]"#);
}

#[tokio::test]
async fn metadata_of_both_versions_are_listed() {
    let site = site();
    let version_1 = Message1::default()
        .metadata("requests", 1, "How many <requests>.", "")
        .metadata("h", 3, "A histogram.", "seconds");
    assert_eq!(site.push(&[], version_1.body()).await.0, 204);
    let version_2 = Message2::default()
        .series(
            &[("__name__", "h_bucket"), ("le", "1")],
            &[
                sample(1.0, 50),
                Part::Metadata {
                    kind: 3,
                    help: "A histogram.",
                    unit: "seconds",
                },
            ],
        )
        .series(
            &[("__name__", "requests")],
            &[
                sample(1.0, 50),
                Part::Metadata {
                    kind: 2,
                    help: "Others say so.",
                    unit: "",
                },
            ],
        );
    assert_eq!(push_2(&site, &version_2).await.0, 204);
    let requests = r#""requests":[{"type":"counter","help":"How many \u003crequests\u003e.","unit":""},{"type":"gauge","help":"Others say so.","unit":""}]"#;
    let h = r#""h":[{"type":"histogram","help":"A histogram.","unit":"seconds"}]"#;
    let first =
        r#""requests":[{"type":"counter","help":"How many \u003crequests\u003e.","unit":""}]"#;
    for (address, data) in [
        ("", format!("{{{h},{requests}}}")),
        ("?limit=1", format!("{{{h}}}")),
        ("?limit=0", "{}".to_owned()),
        ("?limit=-1", format!("{{{h},{requests}}}")),
        ("?limit_per_metric=1", format!("{{{h},{first}}}")),
        (
            "?metric=requests&limit_per_metric=0",
            format!("{{{requests}}}"),
        ),
        ("?metric=none", "{}".to_owned()),
    ] {
        let listed = site.data(&format!("/api/v1/metadata{address}")).await;
        assert_eq!(listed, data, "{address}");
    }
    for name in ["limit", "limit_per_metric"] {
        let (status, body) = site.get(&format!("/api/v1/metadata?{name}=x")).await;
        assert_eq!(status, 400);
        assert!(body.contains(&format!("{name} must be a number")), "{body}");
    }
    // Nothing of it is another tenant's.
    let other = Request::get("/api/v1/metadata")
        .header("X-Scope-OrgID", "other")
        .body(Body::empty());
    let (_, body) = site.ask(other.unwrap()).await;
    assert_eq!(body, r#"{"status":"success","data":{}}"#);
}

#[tokio::test]
async fn exemplars_are_found_by_the_series_of_a_query() {
    let site = site_with(|settings| settings.limits.exemplars_max = 3);
    // As Prometheus sends it: a series for the sample and one for the exemplar.
    let version_1 = Message1::default()
        .series(&up("a"), &[sample(1.0, 50)])
        .series(&up("a"), &[trace(&[("trace_id", "1")], 0.5, 50)])
        .series(&up("nobody"), &[trace(&[("trace_id", "x")], 0.5, 50)]);
    assert_eq!(site.push(&[], version_1.body()).await.0, 204);
    let twice = trace(&[("trace_id", "2")], 7.0, 40);
    let version_2 = Message2::default()
        .series(&up("b"), &[sample(1.0, 40), twice.clone(), twice])
        .series(&[("job", "x")], &[sample(1.0, 40), trace(&[], 1.0, 40)]);
    let (status, written, text) = push_2(&site, &version_2).await;
    assert_eq!((status, written.as_str()), (400, "1 0 2"), "{text}");
    let late = Message2::default().series(
        &up("b"),
        &[
            sample(1.0, 30),
            trace(&[("trace_id", "3")], 7.0, 45),
            trace(&[("trace_id", "4")], 7.0, 30),
        ],
    );
    assert_eq!(
        push_2(&site, &late).await,
        (
            400,
            "1 0 1".to_owned(),
            "out of order exemplar for series {__name__=\"up\", job=\"b\"}\n".to_owned()
        )
    );
    let a = r#"{"seriesLabels":{"__name__":"up","job":"a"},"exemplars":[{"labels":{"trace_id":"1"},"value":"0.5","timestamp":999950}]}"#;
    let two = r#"{"labels":{"trace_id":"2"},"value":"7","timestamp":999960}"#;
    let four = r#"{"labels":{"trace_id":"4"},"value":"7","timestamp":999970}"#;
    let b = |exemplars: &str| {
        format!(r#"{{"seriesLabels":{{"__name__":"up","job":"b"}},"exemplars":[{exemplars}]}}"#)
    };
    for (address, data) in [
        (
            "query=rate(up[5m])",
            format!("[{a},{}]", b(&format!("{two},{four}"))),
        ),
        (
            "query=up%7Bjob=%22a%22%7D%2Bup%7Bjob=%22c%22%7D",
            format!("[{a}]"),
        ),
        ("query=up&start=999955&end=999960", format!("[{}]", b(two))),
        ("query=down", "[]".to_owned()),
    ] {
        let found = site
            .data(&format!("/api/v1/query_exemplars?{address}"))
            .await;
        assert_eq!(found, data, "{address}");
    }
    assert_eq!(
        site.get("/api/v1/query_exemplars?query=1").await,
        (204, String::new())
    );
    let (status, body) = site
        .get("/api/v1/query_exemplars?query=up&start=2&end=1")
        .await;
    assert_eq!(status, 400);
    assert!(
        body.contains("end timestamp must not be before start timestamp"),
        "{body}"
    );
    // The ring is full: one more takes the place of the oldest.
    let more = Message1::default().series(
        &up("a"),
        &[sample(1.0, 20), trace(&[("trace_id", "5")], 1.0, 20)],
    );
    assert_eq!(site.push(&[], more.body()).await.0, 204);
    let all = site.data("/api/v1/query_exemplars?query=up").await;
    assert!(
        !all.contains(r#""trace_id":"1""#) && all.contains(r#""trace_id":"5""#),
        "{all}"
    );
    let metrics = site.metrics.text();
    for line in [
        "watchbell_ingest_exemplars_total 5",
        "watchbell_ingest_refused_samples_total{reason=\"exemplar_out_of_order\"} 1",
        "watchbell_ingest_refused_samples_total{reason=\"exemplar_series_unknown\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

/// From the log, from a snapshot, and from a snapshot with the log behind it.
#[tokio::test]
async fn what_senders_say_survives_a_restart() {
    for checkpoints in [&[][..], &[1], &[0], &[0, 1]] {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            let mut settings = settings(folder.path());
            settings.limits.exemplars_max = 3;
            open(settings)
        };
        let site = start();
        for turn in 0..2 {
            let seconds = 50 - 10 * turn as u64;
            let traces = ["1", "2"].map(|trace| format!("{turn}{trace}"));
            let message = Message1::default()
                .series(&up("a"), &[sample(1.0, seconds)])
                .series(
                    &up("a"),
                    &[trace(&[("trace_id", &traces[0])], 0.5, seconds)],
                )
                .series(
                    &up("a"),
                    &[trace(&[("trace_id", &traces[1])], 1.5, seconds)],
                )
                .metadata("up", 2, &format!("Said in turn {turn}."), "");
            assert_eq!(site.push(&[], message.body()).await.0, 204);
            if checkpoints.contains(&turn) {
                site.engine.checkpoint();
            }
        }
        let addresses = ["/api/v1/query_exemplars?query=up", "/api/v1/metadata"];
        let mut said = Vec::new();
        for address in addresses {
            said.push(site.data(address).await);
        }
        assert!(
            !said[0].contains("\"01\"") && said[0].contains("\"02\""),
            "{said:?}"
        );
        assert!(
            said[1].contains("turn 0") && said[1].contains("turn 1"),
            "{said:?}"
        );
        drop(site);
        let site = start();
        for (address, said) in addresses.iter().zip(&said) {
            assert_eq!(site.data(address).await, *said, "{checkpoints:?}");
        }
        // The newest is known, and what is earlier comes too late.
        let late = Message2::default().series(
            &up("a"),
            &[sample(1.0, 30), trace(&[("trace_id", "late")], 0.5, 45)],
        );
        assert_eq!(push_2(&site, &late).await.1, "1 0 0");
        assert!(
            site.metrics
                .text()
                .contains("watchbell_ingest_log_damages_total 0")
        );
    }
}
