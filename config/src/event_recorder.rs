//! `event_recorder`: where a history of alerts and notifications goes, where the feature `event-recorder` is on. Else
//! the block is checked, and a warning says that it has no effect.
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::duration;
use model::go_quote::quote;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::{http_config, tls_config};
use crate::go_yaml::Yaml;
use crate::http::{HttpConfig, TlsConfig};
use crate::value::Secret;

/// More requests at once are no faster, and each is a connection.
const EVENT_WORKERS_MAX: usize = 256;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventRecorder {
    pub files: Vec<PathBuf>,
    pub webhooks: Vec<EventWebhook>,
    pub kafkas: Vec<EventKafka>,
    /// How many times events go to standard output.
    pub stdouts: usize,
}

/// As it is written; what is not takes upstream's default, as does what makes no sense.
#[derive(Clone, Debug, PartialEq)]
pub struct EventWebhook {
    pub url: Secret,
    pub http: Option<HttpConfig>,
    pub timeout: Option<Duration>,
    pub workers: Option<i64>,
    pub max_retries: Option<i64>,
    pub retry_backoff: Option<Duration>,
    /// Whether events go in lists.
    pub batch: Option<EventBatch>,
}

impl EventWebhook {
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(defaults::EVENT_TIMEOUT)
    }

    /// Requests at once.
    #[must_use]
    pub fn workers(&self) -> usize {
        positive(self.workers, defaults::EVENT_WORKERS).min(EVENT_WORKERS_MAX)
    }

    /// Attempts of one request, the first included.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        positive(self.max_retries, defaults::EVENT_ATTEMPTS)
    }

    /// Before the second attempt.
    #[must_use]
    pub fn retry_backoff(&self) -> Duration {
        self.retry_backoff.unwrap_or(defaults::EVENT_RETRY_BACKOFF)
    }
}

impl EventBatch {
    #[must_use]
    pub fn events_max(&self) -> usize {
        positive(self.max_events, defaults::EVENT_BATCH_EVENTS)
    }

    #[must_use]
    pub fn bytes_max(&self) -> usize {
        positive(self.max_bytes, defaults::EVENT_BATCH_BYTES)
    }

    #[must_use]
    pub fn flush_interval(&self) -> Duration {
        self.flush_interval
            .unwrap_or(defaults::EVENT_BATCH_INTERVAL)
    }
}

fn positive<N: TryFrom<i64>>(written: Option<i64>, default: N) -> N {
    written
        .filter(|number| *number > 0)
        .and_then(|number| N::try_from(number).ok())
        .unwrap_or(default)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventBatch {
    pub max_events: Option<i64>,
    pub max_bytes: Option<i64>,
    pub flush_interval: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventKafka {
    pub brokers: Vec<String>,
    pub topic: String,
    pub client_id: String,
    /// `json` or `protobuf`.
    pub format: String,
    /// `none`, `leader`, `all`, or empty, which means `leader`.
    pub acks: String,
    pub compression: String,
    pub buffer_size: Option<i64>,
    pub tls: Option<TlsConfig>,
}

impl EventRecorder {
    pub(crate) fn read(cursor: &Cursor<'_>, base: &Path) -> Self {
        let mut fields = cursor.fields("eventrecorder.Config");
        let recorder = Self {
            files: fields
                .list("file_outputs")
                .iter()
                .filter_map(|cursor| read_file(cursor, base))
                .collect(),
            webhooks: fields
                .list("webhook_outputs")
                .iter()
                .filter_map(|cursor| read_webhook(cursor, base))
                .collect(),
            kafkas: fields
                .list("kafka_outputs")
                .iter()
                .map(|cursor| read_kafka(cursor, base))
                .collect(),
            stdouts: fields
                .list("stdout_outputs")
                .iter()
                .map(|cursor| cursor.fields("eventrecorder.plain").finish())
                .count(),
        };
        fields.finish();
        recorder
    }

    pub(crate) fn has_kafka(&self) -> bool {
        !self.kafkas.is_empty()
    }

    pub(crate) fn dump(&self) -> Yaml {
        let mut entries = Entries::default();
        let files = self.files.iter().map(|path| {
            let mut entries = Entries::default();
            entries.text("path", &path.display().to_string());
            entries.into_yaml()
        });
        entries.list("file_outputs", files.collect());
        let webhooks = self.webhooks.iter().map(dump_webhook);
        entries.list("webhook_outputs", webhooks.collect());
        entries.list(
            "kafka_outputs",
            self.kafkas.iter().map(dump_kafka).collect(),
        );
        entries.list("stdout_outputs", vec![Yaml::Map(Vec::new()); self.stdouts]);
        entries.into_yaml()
    }
}

fn read_file(cursor: &Cursor<'_>, base: &Path) -> Option<PathBuf> {
    let mut fields = cursor.fields("eventrecorder.plain");
    let path = fields.path("path", Some(base));
    if path.is_none() {
        fields.problem("path", "event_recorder file output requires a path");
    }
    fields.finish();
    path
}

fn read_webhook(cursor: &Cursor<'_>, base: &Path) -> Option<EventWebhook> {
    let mut fields = cursor.fields("eventrecorder.plain");
    let url = fields.secret_url("url");
    match &url {
        None if !fields.has("url") => {
            fields.problem("url", "event_recorder webhook output requires a url");
        }
        // Upstream refuses its own dump here. It may be read again, but not be recorded to.
        None | Some(_) => {}
    }
    let http = fields.get("http_config");
    let webhook = EventWebhook {
        http: http.map(|cursor| HttpConfig::read(&cursor, Some(base))),
        timeout: some_duration(&mut fields, "timeout"),
        workers: some_number(&mut fields, "workers"),
        max_retries: some_number(&mut fields, "max_retries"),
        retry_backoff: some_duration(&mut fields, "retry_backoff"),
        batch: read_batch(&mut fields),
        url: url.unwrap_or_else(|| Secret::new("")),
    };
    fields.finish();
    (!webhook.url.reveal().is_empty()).then_some(webhook)
}

fn read_batch(fields: &mut Fields<'_>) -> Option<EventBatch> {
    let is_on = fields.boolean_or("batch", false);
    let batch = EventBatch {
        max_events: some_number(fields, "batch_max_events"),
        max_bytes: some_number(fields, "batch_max_bytes"),
        flush_interval: some_duration(fields, "batch_flush_interval"),
    };
    let is_negative = |number: Option<i64>| number.is_some_and(|number| number < 0);
    if is_negative(batch.max_events) || is_negative(batch.max_bytes) {
        fields.problem(
            "",
            "event_recorder webhook batch settings cannot be negative",
        );
    } else if !is_on && batch != EventBatch::default() {
        fields.problem(
            "",
            "event_recorder webhook batch settings require batch: true",
        );
    }
    is_on.then_some(batch)
}

/// Zero is as good as absent.
fn some_duration(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let duration = fields.duration(key);
    duration.filter(|duration| !duration.is_zero())
}

fn some_number(fields: &mut Fields<'_>, key: &'static str) -> Option<i64> {
    let number = fields.get(key).and_then(|cursor| cursor.integer());
    number.filter(|number| *number != 0)
}

fn read_kafka(cursor: &Cursor<'_>, base: &Path) -> EventKafka {
    let mut fields = cursor.fields("eventrecorder.plain");
    let brokers = fields.texts("brokers");
    if brokers.is_empty() {
        fields.problem(
            "brokers",
            "event_recorder kafka: at least one broker is required",
        );
    } else if brokers.iter().any(String::is_empty) {
        fields.problem(
            "brokers",
            "event_recorder kafka: broker entries must be non-empty",
        );
    }
    let acks = fields.text("acks");
    if !["", "none", "leader", "all"].contains(&acks.as_str()) {
        fields.problem(
            "acks",
            format!(
                r#"event_recorder kafka: unknown acks {}, must be "none", "leader", or "all""#,
                quote(&acks)
            ),
        );
    }
    let compression = fields.text("compression");
    if !["", "none", "gzip", "snappy", "lz4", "zstd"].contains(&compression.as_str()) {
        fields.problem(
            "compression",
            format!(
                "event_recorder kafka: unknown compression {}",
                quote(&compression)
            ),
        );
    }
    let topic = fields.text("topic");
    if topic.is_empty() {
        fields.problem("topic", "event_recorder kafka output requires a topic");
    }
    let mut format = fields.text("format");
    if format.is_empty() {
        "json".clone_into(&mut format);
    }
    if !["json", "protobuf"].contains(&format.as_str()) {
        fields.problem(
            "format",
            format!(
                r#"event_recorder kafka: unknown format {}, must be "json" or "protobuf""#,
                quote(&format)
            ),
        );
    }
    let tls = fields.get("tls_config");
    let kafka = EventKafka {
        brokers,
        topic,
        client_id: fields.text("client_id"),
        format,
        acks,
        compression,
        buffer_size: some_number(&mut fields, "buffer_size"),
        tls: tls.map(|cursor| TlsConfig::read(&cursor, Some(base))),
    };
    fields.finish();
    kafka
}

fn dump_webhook(webhook: &EventWebhook) -> Yaml {
    let mut entries = Entries::default();
    entries.secret("url", Some(&webhook.url));
    if let Some(http) = &webhook.http {
        entries.put("http_config", http_config(http));
    }
    put_duration(&mut entries, "timeout", webhook.timeout);
    put_number(&mut entries, "workers", webhook.workers);
    put_number(&mut entries, "max_retries", webhook.max_retries);
    put_duration(&mut entries, "retry_backoff", webhook.retry_backoff);
    if let Some(batch) = &webhook.batch {
        entries.plain("batch", true);
        put_number(&mut entries, "batch_max_events", batch.max_events);
        put_number(&mut entries, "batch_max_bytes", batch.max_bytes);
        put_duration(&mut entries, "batch_flush_interval", batch.flush_interval);
    }
    entries.into_yaml()
}

fn dump_kafka(kafka: &EventKafka) -> Yaml {
    let mut entries = Entries::default();
    entries.texts("brokers", kafka.brokers.iter().map(String::as_str));
    entries.text("topic", &kafka.topic);
    entries.text("client_id", &kafka.client_id);
    entries.text("format", &kafka.format);
    entries.text("acks", &kafka.acks);
    entries.text("compression", &kafka.compression);
    put_number(&mut entries, "buffer_size", kafka.buffer_size);
    if let Some(tls) = &kafka.tls {
        entries.put("tls_config", tls_config(tls));
    }
    entries.into_yaml()
}

fn put_number(entries: &mut Entries, key: &str, number: Option<i64>) {
    if let Some(number) = number {
        entries.plain(key, number);
    }
}

fn put_duration(entries: &mut Entries, key: &str, written: Option<Duration>) {
    if let Some(written) = written {
        entries.text(key, &duration::format(written));
    }
}
