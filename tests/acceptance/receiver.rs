//! Remote write as a receiver's compliance suite asks for it: 2.0 with the exact counts in its headers, 1.0 beside it,
//! and what is wrong with either. All against one running server; each row has series of its own.
use std::time::Duration;

use fakes::{Message1, Message2, Part, custom_histogram, integer_histogram};
use model::{Timestamp, stale_nan};
use runtime::{Clock, SystemClock};
use serde_json::json;

use crate::client::plain_client;
use crate::files::folder;
use crate::small::SETTLING;
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const TYPE_1: &str = "application/x-protobuf;proto=prometheus.WriteRequest";
const TYPE_2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// What one request was answered: status, what the three headers say, text.
#[derive(Debug)]
struct Answer {
    status: u16,
    written: [Option<u64>; 3],
    text: String,
}

struct Receiver {
    watchbell: Watchbell,
    client: reqwest::Client,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Receiver {
    async fn start() -> Self {
        Self::start_with("log: {level: info}\n").await
    }

    async fn start_with(configuration: &str) -> Self {
        let folder = folder(&[("watchbell.yml", configuration)]);
        let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
        Self {
            watchbell,
            client: plain_client(),
            now: SystemClock::new().now(),
            _folder: folder,
        }
    }

    /// So many seconds before the start, in milliseconds.
    fn ago(&self, seconds: u64) -> i64 {
        (self.now - Duration::from_secs(seconds)).as_millis()
    }

    fn sample(&self, value: f64, seconds: u64) -> Part<'static> {
        Part::Sample {
            value,
            millis: self.ago(seconds),
        }
    }

    async fn send(&self, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = self
            .client
            .post(self.watchbell.url("/api/v1/write"))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("watchbell answers");
        let written = ["samples", "histograms", "exemplars"].map(|kind| {
            let name = format!("x-prometheus-remote-write-{kind}-written");
            let value = answer.headers().get(name)?;
            value.to_str().ok()?.parse().ok()
        });
        Answer {
            status: answer.status().as_u16(),
            written,
            text: answer.text().await.expect("a text"),
        }
    }

    async fn send_1(&self, message: Message1) -> Answer {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", TYPE_1),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.send(&headers, message.body()).await
    }

    async fn send_2(&self, message: Message2) -> Answer {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", TYPE_2),
            ("X-Prometheus-Remote-Write-Version", "2.0.0"),
        ];
        self.send(&headers, message.body()).await
    }

    /// A request of which everything is kept: 204, with exactly these counts.
    async fn accepts(&self, what: &str, message: Message2, written: [u64; 3]) {
        let answer = self.send_2(message).await;
        assert_eq!(answer.status, 204, "{what}: {}", answer.text);
        assert_eq!(answer.written, written.map(Some), "{what}");
        assert_eq!(answer.text, "", "{what}");
    }

    /// A request of which a part is left out: 400, and the rest is counted.
    async fn accepts_in_part(&self, what: &str, message: Message2, written: [u64; 3], word: &str) {
        let answer = self.send_2(message).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        assert_eq!(answer.written, written.map(Some), "{what}");
        assert!(answer.text.contains(word), "{what}: {}", answer.text);
    }

    /// The label sets of a metric.
    async fn series(&self, selector: &str) -> serde_json::Value {
        let url = reqwest::Url::parse_with_params(
            &self.watchbell.url("/api/v1/series"),
            &[("match[]", selector)],
        )
        .expect("an address");
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["data"].clone()
    }

    async fn value(&self, query: &str) -> serde_json::Value {
        let time = (self.ago(0) / 1000).to_string();
        let url = reqwest::Url::parse_with_params(
            &self.watchbell.url("/api/v1/query"),
            &[("query", query), ("time", &time)],
        )
        .expect("an address");
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["data"]["result"][0]["value"][1].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_and_encodings_are_told_before_wrong_bodies() {
    let receiver = Receiver::start().await;
    let sound = Message2::default()
        .series(&[("__name__", "types")], &[receiver.sample(1.0, 10)])
        .body();
    for content_type in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/x-protobuf;proto=io.prometheus.write.v3.Request",
        "application/x-protobuf;proto=",
        "application/x-protobuf;proto=prometheus.WriteRequestX",
        "application/x-protobuf;proto",
        "x-protobuf",
    ] {
        for body in [sound.clone(), b"no snappy".to_vec()] {
            let headers = [
                ("Content-Encoding", "snappy"),
                ("Content-Type", content_type),
            ];
            let answer = receiver.send(&headers, body).await;
            assert_eq!(answer.status, 415, "{content_type}: {}", answer.text);
        }
    }
    for encoding in ["gzip", "deflate", "br", "zstd", "snappy, gzip", "x"] {
        for body in [sound.clone(), b"no snappy".to_vec()] {
            let headers = [("Content-Encoding", encoding), ("Content-Type", TYPE_2)];
            let answer = receiver.send(&headers, body).await;
            assert_eq!(answer.status, 415, "{encoding}: {}", answer.text);
        }
    }
    for content_type in [TYPE_1, TYPE_2] {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", content_type),
        ];
        // No snappy block, and one that holds no message.
        let no_message = snap::raw::Encoder::new().compress_vec(&[0x2a, 0xff]);
        for body in [b"no snappy".to_vec(), no_message.expect("a block")] {
            let answer = receiver.send(&headers, body).await;
            assert_eq!(answer.status, 400, "{}", answer.text);
        }
    }
    let got = receiver.client.get(receiver.watchbell.url("/api/v1/write"));
    assert_eq!(got.send().await.expect("an answer").status(), 405);
    assert_eq!(receiver.series("types").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_every_kind_are_written_and_counted() {
    let receiver = Receiver::start().await;
    let one = |seconds| receiver.sample(1.0, seconds);
    receiver
        .accepts("nothing", Message2::default(), [0, 0, 0])
        .await;
    let name = [("__name__", "one")];
    let message = Message2::default().series(&name, &[one(10)]);
    receiver.accepts("one sample", message, [1, 0, 0]).await;
    let message = Message2::default().series(&name, &[one(10)]);
    receiver.accepts("the same again", message, [1, 0, 0]).await;
    let several = [one(40), one(30), one(20)];
    let message = Message2::default()
        .series(&[("__name__", "several"), ("a", "1")], &several)
        .series(&[("__name__", "several"), ("a", "2")], &several);
    receiver.accepts("several", message, [6, 0, 0]).await;
    let odd = [
        receiver.sample(f64::INFINITY, 60),
        receiver.sample(f64::NEG_INFINITY, 50),
        receiver.sample(f64::MIN_POSITIVE, 45),
        receiver.sample(f64::MAX, 44),
        receiver.sample(-0.0, 43),
        receiver.sample(f64::NAN, 42),
    ];
    let message = Message2::default().series(&[("__name__", "odd")], &odd);
    receiver.accepts("odd values", message, [6, 0, 0]).await;
    assert_eq!(receiver.value("odd").await, json!("NaN"));
    let stale = [receiver.sample(stale_nan(), 5)];
    let message = Message2::default().series(&name, &stale);
    receiver.accepts("an end", message, [1, 0, 0]).await;
    assert_eq!(receiver.value("one").await, json!(null));
    // More than senders put into one request, in one series and in many.
    let many: Vec<Part<'_>> = (0..3000)
        .rev()
        .map(|place| Part::Sample {
            value: 1.0,
            millis: receiver.ago(1) - place * 100,
        })
        .collect();
    let message = Message2::default().series(&[("__name__", "many")], &many);
    receiver
        .accepts("many samples", message, [3000, 0, 0])
        .await;
    let names: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let message = names.iter().fold(Message2::default(), |message, number| {
        message.series(&[("__name__", "wide"), ("n", number)], &[one(10)])
    });
    receiver.accepts("many series", message, [2000, 0, 0]).await;
    assert_eq!(receiver.value("count(wide)").await, json!("2000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_may_be_anything_and_in_any_order() {
    let receiver = Receiver::start().await;
    let one = [receiver.sample(1.0, 10)];
    let special = "quote \" backslash \\ line\nbreak tab\t 世界 🦀 =,{}";
    let labels = [
        ("__name__", "special"),
        ("a", special),
        ("with.dot", "x"),
        ("ünï", "y"),
    ];
    let message = Message2::default().series(&labels, &one);
    receiver.accepts("characters", message, [1, 0, 0]).await;
    assert_eq!(
        receiver.series("special").await,
        json!([{"__name__": "special", "a": special, "with.dot": "x", "ünï": "y"}])
    );
    let unsorted = [("z", "1"), ("__name__", "unsorted"), ("a", "2")];
    let message = Message2::default().series(&unsorted, &one);
    receiver.accepts("unsorted", message, [1, 0, 0]).await;
    let sorted = [("__name__", "unsorted"), ("a", "2"), ("z", "1")];
    let message = Message2::default().series(&sorted, &one);
    receiver.accepts("sorted", message, [1, 0, 0]).await;
    assert_eq!(
        receiver.series("unsorted").await,
        json!([{"__name__": "unsorted", "a": "2", "z": "1"}])
    );
    let empty_value = [("__name__", "empty_value"), ("a", "")];
    let message = Message2::default().series(&empty_value, &one);
    receiver.accepts("an empty value", message, [1, 0, 0]).await;
    assert_eq!(
        receiver.series("empty_value").await,
        json!([{"__name__": "empty_value"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_leaves_the_rest() {
    let receiver = Receiver::start().await;
    let one = [receiver.sample(1.0, 10)];
    let long_ago = Part::Sample {
        value: 1.0,
        millis: 1000,
    };
    let ahead = Part::Sample {
        value: 1.0,
        millis: receiver.ago(0) + 3_600_000,
    };
    let late = [
        receiver.sample(1.0, 20),
        receiver.sample(1.0, 30),
        receiver.sample(2.0, 20),
    ];
    let bare = || Message2::default().series(&[("__name__", "beside")], &one);
    for (what, message, written, word) in [
        (
            "no name",
            bare().series(&[("job", "x")], &one),
            1,
            "invalid metric name or labels, got {job=\"x\"}",
        ),
        (
            "an empty name",
            bare().series(&[("__name__", ""), ("a", "1")], &one),
            1,
            "invalid metric name or labels",
        ),
        (
            "an empty label name",
            bare().series(&[("__name__", "x"), ("", "1")], &one),
            1,
            "invalid metric name or labels",
        ),
        (
            "a label twice",
            bare().series(&[("__name__", "x"), ("a", "1"), ("a", "1")], &one),
            1,
            "duplicated label a",
        ),
        (
            "the name twice",
            bare().series(&[("__name__", "x"), ("__name__", "y")], &one),
            1,
            "duplicated label __name__",
        ),
        (
            "no samples",
            bare().series(&[("__name__", "x")], &[]),
            1,
            "TimeSeries must contain at least one sample or histogram for series",
        ),
        (
            "an odd number of references",
            bare().series_of(&[1, 2, 0], &one),
            1,
            "parsing labels for series",
        ),
        (
            "a reference to nothing",
            bare().series_of(&[1, 1000], &one),
            1,
            "parsing labels for series",
        ),
        (
            "late and twice",
            bare().series(&[("__name__", "late")], &late),
            2,
            "out of order sample for series {__name__=\"late\"}",
        ),
        (
            "too old",
            bare().series(&[("__name__", "x")], &[long_ago]),
            1,
            "out of bounds",
        ),
        (
            "in the future",
            bare().series(&[("__name__", "x")], &[ahead]),
            1,
            "too far in the future",
        ),
    ] {
        receiver
            .accepts_in_part(what, message, [written, 0, 0], word)
            .await;
    }
    assert_eq!(receiver.series("x").await, json!([]));
    assert_eq!(receiver.series("late").await, json!([{"__name__": "late"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_of_every_kind_are_written_and_counted() {
    let receiver = Receiver::start().await;
    let labels = [("__name__", "h")];
    let integer =
        |seconds| Part::Histogram(integer_histogram(receiver.ago(seconds), &[1, 2, 0, 3]));
    let custom = |seconds| {
        Part::Histogram(custom_histogram(
            receiver.ago(seconds),
            &[0.1, 0.5, 1.0],
            &[1.0, 2.0, 0.0, 4.0],
        ))
    };
    let beside =
        || Message2::default().series(&[("__name__", "beside")], &[receiver.sample(1.0, 10)]);
    for (what, parts, histograms) in [
        ("integers", vec![integer(60)], 1),
        ("the same again", vec![integer(60)], 1),
        ("custom buckets", vec![custom(50)], 1),
        ("one of each", vec![integer(40), custom(30)], 2),
    ] {
        let message = beside().series(&labels, &parts);
        receiver.accepts(what, message, [1, histograms, 0]).await;
    }
    let trace = Part::Exemplar {
        labels: &[("trace_id", "abc")],
        value: 0.3,
        millis: receiver.ago(20),
    };
    let metadata = Part::Metadata {
        kind: 3,
        help: "Of requests.",
        unit: "seconds",
    };
    let message = beside().series(&labels, &[integer(20), trace, metadata]);
    receiver.accepts("with all else", message, [1, 1, 1]).await;
    for (what, part, word) in [
        (
            "too many buckets",
            Part::Histogram(custom_histogram(receiver.ago(5), &[], &[1.0, 2.0])),
            "histogram spans specify different number of buckets than provided",
        ),
        (
            "bounds that do not ascend",
            Part::Histogram(custom_histogram(receiver.ago(5), &[2.0, 1.0], &[1.0])),
            "custom bounds",
        ),
        ("a late one", integer(55), "out of order sample"),
    ] {
        let message = beside().series(&labels, &[part]);
        receiver
            .accepts_in_part(what, message, [1, 0, 0], word)
            .await;
    }
    assert_eq!(receiver.value("histogram_count(h)").await, json!("7"));
    assert_eq!(receiver.value("count_over_time(h[5m])").await, json!("5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_metadata_and_start_times_come_with_their_samples() {
    let receiver = Receiver::start().await;
    let exemplar = |labels, value, seconds| Part::Exemplar {
        labels,
        value,
        millis: receiver.ago(seconds),
    };
    let trace = [("trace_id", "abc"), ("span_id", "def")];
    let one = receiver.sample(1.0, 10);
    let name = [("__name__", "exemplified"), ("job", "a")];
    let message = Message2::default().series(&name, &[one.clone(), exemplar(&trace, 0.5, 10)]);
    receiver.accepts("an exemplar", message, [1, 0, 1]).await;
    let several = [
        receiver.sample(1.0, 8),
        exemplar(&trace, 1.0, 9),
        exemplar(&[], 2.0, 8),
        exemplar(&[("trace_id", "世界")], 3.0, 7),
    ];
    let message = Message2::default().series(&name, &several);
    receiver.accepts("several", message, [1, 0, 3]).await;
    let late = [receiver.sample(1.0, 7), exemplar(&trace, 1.0, 60)];
    let message = Message2::default().series(&name, &late);
    receiver
        .accepts_in_part("a late one", message, [1, 0, 0], "out of order exemplar")
        .await;
    let found = receiver
        .watchbell
        .json("/api/v1/query_exemplars?query=exemplified")
        .await;
    let exemplars = found["data"][0]["exemplars"].as_array().expect("a list");
    assert_eq!(exemplars.len(), 4);
    assert_eq!(
        exemplars[0]["labels"],
        json!({"trace_id": "abc", "span_id": "def"})
    );

    let kinds = [
        "unknown",
        "counter",
        "gauge",
        "histogram",
        "gaugehistogram",
        "summary",
        "info",
        "stateset",
    ];
    for (kind, word) in (0..).zip(kinds) {
        let metric = format!("described_as_{word}");
        let metadata = Part::Metadata {
            kind,
            help: "What it is: \"quoted\", 世界.",
            unit: "seconds",
        };
        let labels = [("__name__", metric.as_str())];
        let message = Message2::default().series(&labels, &[one.clone(), metadata]);
        receiver.accepts(word, message, [1, 0, 0]).await;
        let listed = receiver
            .watchbell
            .json(&format!("/api/v1/metadata?metric={metric}"))
            .await;
        assert_eq!(
            listed["data"][&metric],
            json!([{"type": word, "help": "What it is: \"quoted\", 世界.", "unit": "seconds"}])
        );
    }

    let from = Part::SampleFrom {
        value: 5.0,
        millis: receiver.ago(10),
        start_millis: receiver.ago(100),
    };
    let message = Message2::default().series(&[("__name__", "started")], &[from]);
    receiver.accepts("a start time", message, [1, 0, 0]).await;
    let created = [
        one,
        Part::Created {
            millis: receiver.ago(100),
        },
    ];
    let message = Message2::default().series(&[("__name__", "created")], &created);
    receiver.accepts("of the series", message, [1, 0, 0]).await;
    // A start time is no sample.
    for name in ["started", "created"] {
        let count = receiver
            .value(&format!("count_over_time({name}[5m])"))
            .await;
        assert_eq!(count, json!("1"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_1_goes_on_as_before() {
    let receiver = Receiver::start().await;
    let one = [receiver.sample(1.0, 10)];
    let message = Message1::default()
        .series(&[("__name__", "old"), ("a", "1")], &one)
        .series(&[("job", "nameless")], &one)
        .metadata("old", 2, "An old one.", "");
    let answer = receiver.send_1(message).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.written, [None; 3], "1.0 knows no such headers");
    // One sample that does not fit takes all back.
    let message = Message1::default()
        .series(&[("__name__", "new")], &one)
        .series(
            &[("__name__", "old"), ("a", "1")],
            &[receiver.sample(1.0, 60)],
        );
    let answer = receiver.send_1(message).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text.starts_with("out of order sample"),
        "{}",
        answer.text
    );
    assert_eq!(answer.written, [None; 3]);
    assert_eq!(
        receiver.series("{__name__!=\"\"}").await,
        json!([{"__name__": "old", "a": "1"}])
    );
}

/// An error of the server is none of the sender's: nothing counts as written, and all of it may come again.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_is_taken_back() {
    let mut receiver = Receiver::start().await;
    let trace = [("trace_id", "abc")];
    let message = |receiver: &Receiver, seconds| {
        let exemplar = Part::Exemplar {
            labels: &trace,
            value: 1.0,
            millis: receiver.ago(seconds),
        };
        Message2::default().series(
            &[("__name__", "logged")],
            &[receiver.sample(1.0, seconds), exemplar],
        )
    };
    let first = message(&receiver, 50);
    receiver.accepts("with room", first, [1, 0, 1]).await;
    receiver.watchbell.process().limit_files(Some(1));
    let answer = receiver.send_2(message(&receiver, 40)).await;
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert_eq!(answer.written, [Some(0); 3]);
    let count = receiver.value("count_over_time(logged[5m])").await;
    assert_eq!(count, json!("1"));
    receiver.watchbell.process().limit_files(None);
    wait_for("the log to take samples again", SETTLING, async || {
        let answer = receiver.send_2(message(&receiver, 40)).await;
        (answer.status == 204).then_some(())
    })
    .await;
    let found = receiver
        .watchbell
        .json("/api/v1/query_exemplars?query=logged")
        .await;
    let exemplars = found["data"][0]["exemplars"].as_array().expect("a list");
    assert_eq!(exemplars.len(), 2);
}

/// A counter with a single sample has increased since it began, where that is known.
#[tokio::test(flavor = "multi_thread")]
async fn start_times_are_kept_and_heeded_where_they_are_asked_for() {
    for (setting, increase) in [("false", json!(null)), ("true", json!("5"))] {
        let text = format!("storage: {{start_timestamps: {setting}}}\n");
        let mut receiver = Receiver::start_with(&text).await;
        let from = Part::SampleFrom {
            value: 5.0,
            millis: receiver.ago(10),
            start_millis: receiver.ago(100),
        };
        let message = Message2::default().series(&[("__name__", "started")], &[from]);
        receiver.accepts("a start time", message, [1, 0, 0]).await;
        for _ in 0..2 {
            let found = receiver.value("round(increase(started[110s]))").await;
            assert_eq!(found, increase, "with {setting}");
            receiver.watchbell = receiver.watchbell.kill_and_restart().await;
        }
    }
}
