//! `tracing` and `event_recorder`.
use crate::alertmanager::tests::texts::{check, read, warnings, with_top};
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerFiles, AlertmanagerOptions};
use crate::files::MemoryFiles;
use crate::tracing::TracingClient;

fn with_tracing(keys: &str) -> String {
    with_top(&format!("tracing: {{{keys}}}"))
}

fn with_recorder(keys: &str) -> String {
    with_top(&format!("event_recorder: {{{keys}}}"))
}

#[test]
fn tracing_is_refused_in_alertmanagers_words() {
    check(&[
        (
            with_tracing("client_type: http"),
            "3:10",
            "tracing endpoint must be set",
        ),
        (
            with_tracing("endpoint: e, client_type: udp"),
            "3:37",
            "expected tracing client type to be to be http or grpc, but got udp",
        ),
        (
            with_tracing("endpoint: e, compression: zstd"),
            "3:37",
            "invalid compression type zstd provided, valid options: gzip",
        ),
        (
            with_tracing("endpoint: e, headers: {A: {files: [f]}}"),
            "3:33",
            "header files are not supported for tracing configuration",
        ),
        (
            with_tracing("endpoint: e, sampling_fraction: all"),
            "3:43",
            "cannot unmarshal !!str `all` into float64",
        ),
        (
            with_tracing("endpoint: e, rate: 1"),
            "3:24",
            "field rate not found in type tracing.plain",
        ),
    ]);
    let config = read(&with_tracing("endpoint: 'c:4317', sampling_fraction: 1"));
    let tracing = config.tracing.unwrap();
    assert_eq!(tracing.client, TracingClient::Grpc);
    assert!((tracing.sampling_fraction - 1.0).abs() < f64::EPSILON);
}

#[test]
fn the_event_recorder_is_refused_in_alertmanagers_words() {
    let webhook = "webhook_outputs: [{url: 'http://a', ";
    let kafka = "kafka_outputs: [{brokers: ['k:1'], topic: t, ";
    let batch = "event_recorder webhook batch settings require batch: true";
    check(&[
        (
            with_recorder("file_outputs: [{}]"),
            "3:33",
            "event_recorder file output requires a path",
        ),
        (
            with_recorder("webhook_outputs: [{}]"),
            "3:36",
            "event_recorder webhook output requires a url",
        ),
        (
            with_recorder("webhook_outputs: [{url: 'ftp://a'}]"),
            "3:42",
            r#"unsupported scheme "ftp" for URL"#,
        ),
        (
            with_recorder(&format!("{webhook}batch_max_events: 5}}]")),
            "3:36",
            batch,
        ),
        (
            with_recorder(&format!("{webhook}batch_flush_interval: 1s}}]")),
            "3:36",
            batch,
        ),
        (
            with_recorder(&format!("{webhook}batch: yes, batch_max_bytes: -1}}]")),
            "3:36",
            "event_recorder webhook batch settings cannot be negative",
        ),
        (
            with_recorder("kafka_outputs: [{topic: t}]"),
            "3:34",
            "event_recorder kafka: at least one broker is required",
        ),
        (
            with_recorder("kafka_outputs: [{brokers: [''], topic: t}]"),
            "3:44",
            "event_recorder kafka: broker entries must be non-empty",
        ),
        (
            with_recorder("kafka_outputs: [{brokers: ['k:1']}]"),
            "3:34",
            "event_recorder kafka output requires a topic",
        ),
        (
            with_recorder(&format!("{kafka}format: xml}}]")),
            "3:71",
            r#"event_recorder kafka: unknown format "xml", must be "json" or "protobuf""#,
        ),
        (
            with_recorder(&format!("{kafka}acks: some}}]")),
            "3:69",
            r#"event_recorder kafka: unknown acks "some", must be "none", "leader", or "all""#,
        ),
        (
            with_recorder(&format!("{kafka}compression: zip}}]")),
            "3:76",
            r#"event_recorder kafka: unknown compression "zip""#,
        ),
        (
            with_recorder("outputs: []"),
            "3:18",
            "field outputs not found in type eventrecorder.Config",
        ),
    ]);
}

#[test]
fn what_has_no_effect_is_said() {
    let recorder = with_recorder("stdout_outputs: [{}]");
    assert_eq!(
        warnings(&recorder),
        [
            "a.yml:3:17: event_recorder has no effect without the feature event-recorder (event_recorder)"
        ]
    );
    let options = AlertmanagerOptions {
        records_events: true,
        ..AlertmanagerOptions::default()
    };
    let enabled = AlertmanagerConfig::read("a.yml", &recorder, &options).unwrap();
    assert_eq!(enabled.warnings.iter().count(), 0);
    let load = |text: &str| {
        let files: MemoryFiles = [("a.yml", text)].into_iter().collect();
        let loaded = AlertmanagerFiles::load("a.yml", &AlertmanagerOptions::default(), &files);
        loaded.map(|_| ()).map_err(|problems| problems.to_string())
    };
    assert_eq!(load(&recorder), Ok(()));
    assert_eq!(
        load(&with_recorder("kafka_outputs: [{brokers: ['k:1'], topic: t}]")),
        Err(
            "a.yml:3:33: kafka_outputs is not supported by this version (event_recorder.kafka_outputs)"
                .to_owned()
        )
    );
    assert_eq!(load(&with_tracing("endpoint: e")), Ok(()));
}

#[test]
fn an_event_webhook_has_alertmanagers_defaults() {
    let resolved = |keys: &str| {
        let text = with_recorder(&format!("webhook_outputs: [{{url: 'http://a', {keys}}}]"));
        let recorder = read(&text).event_recorder.unwrap();
        let webhook = &recorder.webhooks[0];
        let batch = webhook.batch.as_ref().map(|batch| {
            let interval = batch.flush_interval().as_millis();
            (batch.events_max(), batch.bytes_max(), interval)
        });
        let (timeout, backoff) = (
            webhook.timeout().as_millis(),
            webhook.retry_backoff().as_millis(),
        );
        (
            timeout,
            webhook.workers(),
            webhook.attempts_max(),
            backoff,
            batch,
        )
    };
    assert_eq!(resolved(""), (10_000, 4, 3, 500, None));
    assert_eq!(
        resolved("workers: -1, max_retries: -1, batch: yes"),
        (10_000, 4, 3, 500, Some((100, 1 << 20, 100)))
    );
    assert_eq!(
        resolved(
            "timeout: 1s, workers: 900, max_retries: 7, retry_backoff: 2s, batch: yes, batch_max_events: 5, batch_max_bytes: 6, batch_flush_interval: 7ms"
        ),
        (1000, 256, 7, 2000, Some((5, 6, 7)))
    );
}

#[test]
fn both_survive_a_dump() {
    let text = "\
route: {receiver: d}
receivers: [{name: d}]
tracing: {client_type: http, endpoint: 'c:4318', sampling_fraction: 0.25, insecure: yes, tls_config: {insecure_skip_verify: yes}, headers: {A: {values: [b]}}, compression: gzip, timeout: 90s}
event_recorder:
  file_outputs: [{path: /e.jsonl}]
  webhook_outputs:
  - {url: <secret>, http_config: {follow_redirects: no}, timeout: 5s, workers: 2, max_retries: 1, retry_backoff: 1s, batch: yes, batch_max_events: 5, batch_max_bytes: 6, batch_flush_interval: 7ms}
  kafka_outputs: [{brokers: ['k:1'], topic: t, client_id: c, acks: all, compression: lz4, buffer_size: 8, tls_config: {ca_file: /c}}]
  stdout_outputs: [{}]
";
    let config = read(text);
    let dump = config.dump();
    let (_, own) = dump.split_once("templates: []\n").unwrap();
    assert_eq!(
        own,
        "\
tracing:
  client_type: http
  endpoint: c:4318
  sampling_fraction: 0.25
  insecure: true
  tls_config:
    insecure_skip_verify: true
  headers:
    A:
      values:
      - b
  compression: gzip
  timeout: 1m30s
event_recorder:
  file_outputs:
  - path: /e.jsonl
  webhook_outputs:
  - url: <secret>
    http_config:
      follow_redirects: false
      enable_http2: true
    timeout: 5s
    workers: 2
    max_retries: 1
    retry_backoff: 1s
    batch: true
    batch_max_events: 5
    batch_max_bytes: 6
    batch_flush_interval: 7ms
  kafka_outputs:
  - brokers:
    - k:1
    topic: t
    client_id: c
    format: json
    acks: all
    compression: lz4
    buffer_size: 8
    tls_config:
      ca_file: /c
      insecure_skip_verify: false
  stdout_outputs:
  - {}
"
    );
    assert_eq!(read(&dump), config);
}
