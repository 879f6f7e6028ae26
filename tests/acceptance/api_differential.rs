//! The HTTP API beside Debian's Prometheus, byte for byte: parameters right and wrong, lists of labels and series, and
//! what a federation scrapes. Both have the same few samples.
use fakes::{Message1, Part, SentSample, write_request};
use runtime::{Clock, SystemClock};

use crate::client::{plain_client, remote_write};
use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::watchbell::Watchbell;

/// Requests of which both answer the same, text for text; `@T` is a time at which there are samples, in seconds.
const SAME: &[&str] = &[
    // Values.
    "/api/v1/query?query=demo&time=@T",
    "/api/v1/query?query=demo&time=@T.5",
    "/api/v1/query?query=demo%7Bjob=%22a%22%7D&time=@T.123",
    "/api/v1/query?query=1&time=@T",
    "/api/v1/query?query=%22text%22&time=@T",
    "/api/v1/query?query=1e21&time=1",
    "/api/v1/query?query=1&time=1.0005",
    "/api/v1/query?query=1&time=-1.0006",
    "/api/v1/query?query=vector(1e21)&time=1",
    "/api/v1/query?query=vector(1e-7)&time=1.001",
    "/api/v1/query?query=vector(0.000001)&time=-1.5",
    "/api/v1/query?query=vector(-0.1%2B-0.2)&time=2015-07-01T20:10:51.781Z",
    "/api/v1/query?query=vector(0/0)&time=1",
    "/api/v1/query?query=vector(-1/0)&time=1",
    "/api/v1/query?query=demo%5B1m%5D&time=@T",
    "/api/v1/query?query=nothing&time=@T",
    "/api/v1/query?query=nothing%5B1m%5D&time=@T",
    "/api/v1/query_range?query=demo&start=@T&end=@T&step=1",
    "/api/v1/query_range?query=demo&start=@T&end=@T.9&step=0.3",
    "/api/v1/query_range?query=sum(demo)&start=@T&end=@T&step=1m",
    "/api/v1/query_range?query=1.5&start=1&end=3.5&step=1.25",
    "/api/v1/query_range?query=nothing&start=1&end=3&step=1",
    // Wrong parameters.
    "/api/v1/query?query=1&timeout=x",
    "/api/v1/query?query=1&timeout=1e20",
    "/api/v1/query_range?query=1&start=x&end=2&step=1",
    "/api/v1/query_range?query=1&start=1&end=x&step=1",
    "/api/v1/query_range?query=1&start=1&end=2&step=x",
    "/api/v1/query_range?query=1&start=2&end=1&step=1",
    "/api/v1/query_range?query=1&start=1&end=2&step=0",
    "/api/v1/query_range?query=1&start=1&end=2&step=-1",
    "/api/v1/query_range?query=1&end=2&step=1",
    "/api/v1/query_range?query=1&start=0&end=11001&step=1",
    "/api/v1/query_range?query=1&start=0&end=11000&step=1s&timeout=1m",
    "/api/v1/query?query=demo%20%2B%20on(job)%20sum%20without%20(x)(demo)&time=1",
    "/api/v1/query?query=sum(&time=1",
    "/api/v1/query?query=unknown(demo)&time=1",
    // Lists.
    "/api/v1/labels",
    "/api/v1/labels?match%5B%5D=demo",
    "/api/v1/labels?match%5B%5D=nothing",
    "/api/v1/labels?match%5B%5D=demo&start=@T&end=@T",
    "/api/v1/label/job/values",
    "/api/v1/label/__name__/values",
    "/api/v1/label/nothing/values",
    "/api/v1/labels?start=1&end=2",
    "/api/v1/labels?start=@T&end=4000000000",
    "/api/v1/labels?start=1&end=@T",
    "/api/v1/label/job/values?start=1&end=2",
    "/api/v1/label/job/values?start=1&end=@T",
    "/api/v1/targets/metadata",
    "/api/v1/scrape_pools",
    "/api/v1/label/job/values?match%5B%5D=demo%7Bjob!=%22a%22%7D",
    "/api/v1/label/job/values?match%5B%5D=demo&match%5B%5D=other",
    "/api/v1/series",
    "/api/v1/series?match%5B%5D=demo",
    "/api/v1/series?match%5B%5D=demo&match%5B%5D=%7Bjob=%22a%22%7D",
    "/api/v1/series?match%5B%5D=nothing",
    "/api/v1/series?match%5B%5D=%7B%7D",
    "/api/v1/series?match%5B%5D=demo%7B",
    "/api/v1/labels?match%5B%5D=%7B%7D",
    "/api/v1/labels?match%5B%5D=demo%7B",
    "/api/v1/label/job/values?match%5B%5D=%7B%7D",
    "/api/v1/label/job/values?match%5B%5D=demo%7B",
    "/api/v1/metadata?limit=x",
    "/api/v1/query_exemplars?query=demo%7B",
    "/api/v1/query_exemplars?query=1",
    "/api/v1/query_exemplars?query=demo",
    "/api/v1/metadata",
    "/api/v1/format_query?query=sum%20by(a)(b)",
    "/api/v1/query_exemplars?query=demo&start=2&end=1",
    // Text of a federation.
    "/federate?match%5B%5D=demo",
    "/federate?match%5B%5D=%7B__name__=~%22.%2B%22%7D",
    "/federate?match%5B%5D=nothing",
    "/federate?match%5B%5D=demo&match%5B%5D=other%7Bx!=%22%22%7D&match%5B%5D=demo",
    "/federate",
    "/federate?match%5B%5D=demo%7B",
];

/// Requests of which the answers differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "/api/v1/query_range?query=demo%5B1m%5D&start=1&end=2&step=1",
        "2.42 does not name the parameter",
    ),
    (
        "/api/v1/query?query=1&time=x",
        "2.42 begins the second sentence with a capital",
    ),
    (
        "/api/v1/series?match%5B%5D=demo&start=@T&end=x",
        "2.42 begins the second sentence with a capital",
    ),
    (
        "/api/v1/query?query=demo%7Bx=%22%3Cb%3E%26%22%7D%20%2B%20on()%20demo&time=@T",
        "of two series that both match, which is named first",
    ),
    (
        "/api/v1/query?query=&time=1",
        "since 3.0 nothing has no position; 2.42 says 1:1",
    ),
    (
        "/api/v1/query?query=1&limit=x&time=1",
        "2.42 knows no limit",
    ),
    (
        "/api/v1/metadata?limit_per_metric=x",
        "2.42 does not know the parameter",
    ),
    (
        "/federate?match%5B%5D=%7B%7D",
        "there it is a selector of nothing, here a mistake",
    ),
    (
        "/api/v1/targets",
        "2.42 counts no targets that were dropped",
    ),
    (
        "/api/v1/label/b%C3%A4d/values",
        "since 3.0 every name in UTF-8 is one",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn debians_prometheus_and_watchbell_say_the_same_words() {
    if program(PROGRAM).is_none() {
        return;
    }
    let global = "external_labels: {cluster: eu, job: never}\n";
    let folder = folder(&[("watchbell.yml", global)]);
    let address = free_address();
    let _prometheus = Prometheus::start_with(
        folder.path(),
        "prometheus",
        address,
        &format!("  {global}"),
        &["--web.enable-remote-write-receiver"],
    )
    .await;
    let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
    let bases = [format!("http://{address}"), watchbell.url("")];
    let client = plain_client();
    let now = SystemClock::new().now().as_millis() / 1000;
    let millis = (now - 60) * 1000;
    let samples = [
        SentSample::new("demo", &[("job", "a"), ("x", "<b>&")], millis, 1.5),
        SentSample::new("demo", &[("job", "b"), ("instance", "i:1")], millis, 1e6),
        SentSample::new("demo", &[("job", "c\"\\\n")], millis, f64::NAN),
        SentSample::new("other", &[("x", "é")], millis, f64::NEG_INFINITY),
        SentSample::new("other", &[], millis, 1e-7),
    ];
    for base in &bases {
        let request = remote_write(&client, base, write_request(&samples));
        let answer = request.send().await.expect("it answers");
        assert_eq!(answer.status(), 204);
    }
    let ask = async |base: &str, path: &str, origin: bool| {
        let path = path.replace("@T", &(now - 55).to_string());
        let mut request = client.get(format!("{base}{path}"));
        if origin {
            request = request.header("Origin", "http://grafana.example");
        }
        let answer = request.send().await.expect("it answers");
        let mut said = vec![answer.status().as_u16().to_string()];
        for name in [
            "content-type",
            "access-control-allow-origin",
            "access-control-allow-methods",
            "access-control-allow-headers",
            "access-control-expose-headers",
        ] {
            let value = answer.headers().get(name);
            let value = value.map_or("", |value| value.to_str().expect("a plain header"));
            // It says how names of 3.x are escaped.
            said.push(value.replace("; escaping=allow-utf-8", ""));
        }
        said.push(answer.text().await.expect("a text"));
        said
    };
    let mut differences = Vec::new();
    for path in SAME {
        for origin in [false, true] {
            let theirs = ask(&bases[0], path, origin).await;
            let ours = ask(&bases[1], path, origin).await;
            if theirs != ours {
                differences.push(format!("{path}\n  there: {theirs:?}\n  here:  {ours:?}"));
                break;
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        SAME.len(),
        differences.join("\n")
    );
    for (path, why) in DIFFERENT {
        let theirs = ask(&bases[0], path, false).await;
        let ours = ask(&bases[1], path, false).await;
        assert_ne!(theirs, ours, "{path} is the same now, though {why}");
    }
}

/// Status by status: what a sender is told decides whether it comes again. A label without a name is left out of this:
/// 2.42 stores it.
#[tokio::test(flavor = "multi_thread")]
async fn debians_prometheus_and_watchbell_answer_senders_alike() {
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
        &["--web.enable-remote-write-receiver"],
    )
    .await;
    let watchbell = Watchbell::start_target(folder.path(), "ingest").await;
    let bases = [format!("http://{address}"), watchbell.url("")];
    let client = plain_client();
    let now = SystemClock::new().now().as_millis();
    let sample = |value, ago: i64| Part::Sample {
        value,
        millis: now - ago * 1000,
    };
    let up = [("__name__", "up")];
    let one = |labels, part| Message1::default().series(labels, &[part]).body();
    let rows: Vec<(&str, Vec<u8>, [&str; 2])> = vec![
        ("a first sample", one(&up, sample(1.0, 60)), ["204"; 2]),
        ("the same again", one(&up, sample(1.0, 60)), ["204"; 2]),
        ("another value", one(&up, sample(2.0, 60)), ["400"; 2]),
        ("an older one", one(&up, sample(1.0, 70)), ["400"; 2]),
        ("much older", one(&up, sample(1.0, 2 * 3600)), ["400"; 2]),
        ("a newer one", one(&up, sample(1.0, 50)), ["204"; 2]),
        ("no name", one(&[("job", "x")], sample(1.0, 40)), ["204"; 2]),
        (
            "a label twice",
            one(
                &[("__name__", "x"), ("a", "1"), ("a", "2")],
                sample(1.0, 40),
            ),
            // An error of the server, in 2.42, so that the sender comes again and again.
            ["500", "204"],
        ),
        (
            "no samples",
            Message1::default().series(&up, &[]).body(),
            ["204"; 2],
        ),
        ("no series", Message1::default().body(), ["204"; 2]),
        (
            "an exemplar without its series",
            Message1::default()
                .series(
                    &[("__name__", "nobody")],
                    &[Part::Exemplar {
                        labels: &[],
                        value: 1.0,
                        millis: now,
                    }],
                )
                .body(),
            ["204"; 2],
        ),
        (
            "metadata alone",
            Message1::default().metadata("up", 2, "Up.", "").body(),
            ["204"; 2],
        ),
        ("no body", Vec::new(), ["400"; 2]),
        ("no snappy", b"\xff\xff\xff".to_vec(), ["400"; 2]),
        (
            "cut off",
            one(&up, sample(1.0, 30))[..20].to_vec(),
            ["400"; 2],
        ),
        (
            "one that fits and one that does not",
            Message1::default()
                .series(&[("__name__", "fits")], &[sample(1.0, 30)])
                .series(&up, &[sample(1.0, 90)])
                .body(),
            ["400"; 2],
        ),
    ];
    for (what, body, status) in rows {
        let mut told = Vec::new();
        for base in &bases {
            let request = remote_write(&client, base, body.clone());
            let answer = request.send().await.expect("an answer");
            told.push(answer.status().as_u16().to_string());
        }
        assert_eq!(told, status, "{what}");
    }
    let mut stored = Vec::new();
    for base in &bases {
        let url = format!("{base}/api/v1/series?match[]=%7B__name__=~%22.%2B%22%7D");
        let answer = client.get(url).send().await.expect("an answer");
        stored.push(answer.text().await.expect("a text"));
    }
    assert_eq!(stored[0], stored[1]);
    assert!(stored[0].contains("\"up\"") && !stored[0].contains("fits"));
}
