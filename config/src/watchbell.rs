//! `watchbell.yml`: the one file that says what this process is to do. `docs/configuration.md` has the table.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Labels, is_label_name};

use crate::byte_size;
use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::problem::Problems;
use crate::query_feature::QueryFeature;
use crate::rule_files::RuleFilesPattern;
use crate::source::Source;
use crate::value::{HostPort, HttpUrl, Secret};

/// Its `Default` is what runs without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchbellConfig {
    pub server: Server,
    /// Put on every alert that does not carry the label itself.
    pub external_labels: Labels,
    pub storage: Storage,
    pub query: QueryConfig,
    pub evaluation: Evaluation,
    pub rule_files: Vec<RuleFilesPattern>,
    pub alertmanager: AlertmanagerSettings,
    pub ruler: RulerSettings,
    pub notifiers: NotifiersSettings,
    pub log: Log,
    pub limits: Limits,
    /// A Prometheus' own file, whose `rule_files`, `alerting` and `global` keys are read.
    pub prometheus_config_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// `host:port`; an empty host is every address of the machine.
    pub listen_address: String,
    /// How others reach this server: the base of links in notifications. Where it is absent, the machine's name and port.
    pub external_url: Option<HttpUrl>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    pub path: PathBuf,
    pub retention: Duration,
    /// What samples may take of the disk; beyond it the oldest blocks go. `None`: as much as there is.
    pub retention_bytes_max: Option<u64>,
    /// Within what time written records are on the disk itself; zero: before they are answered.
    pub sync_interval: Duration,
    /// How far behind the newest sample one may be that comes out of order; none and zero: none is taken.
    pub out_of_order_time_window: Option<Duration>,
    /// Whether it is kept, and heeded by queries, when samples of remote write 2.0 began to count.
    pub start_timestamps: bool,
    /// A tenant that nobody reads or writes for so long is closed; whoever needs it opens it again.
    pub tenant_idle_max: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryConfig {
    /// What is switched on of the language, for the API and for rules.
    pub features: BTreeSet<QueryFeature>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// As written; see [`Evaluation::interval`].
    pub interval: Option<Duration>,
    /// As written; see [`Evaluation::query_offset`].
    pub query_offset: Option<Duration>,
    pub resend_delay: Duration,
    pub for_outage_tolerance: Duration,
    pub concurrency_max: usize,
    /// Rules of one group that are evaluated at once, where none needs what another writes.
    pub group_concurrency_max: usize,
    /// Whether of a result above a group's `limit` the first are kept.
    pub limit_keeps_first: bool,
    /// Whether there are metrics of each rule.
    pub rule_metrics: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertmanagerSettings {
    pub config_file: Option<PathBuf>,
    /// Outside Alertmanagers that alerts go to; empty: this process' own.
    pub urls: Vec<HttpUrl>,
}

/// An outside engine that rules query and write to; absent: this process' own.
#[derive(Clone, Debug, PartialEq)]
pub struct RulerSettings {
    pub query_url: Option<HttpUrl>,
    /// Where a query goes when `query_url` cannot answer it: the same engine, or another with the same series.
    pub query_replicas: Vec<HttpUrl>,
    /// Sent with each query, such as Thanos' `partial_response`.
    pub query_params: BTreeMap<String, String>,
    pub write_url: Option<HttpUrl>,
    pub storage: RuleStorage,
}

/// Where uploaded rules are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStorage {
    /// `s3://bucket/prefix` or `file:///folder`; absent: the folder `rules` in the storage's own.
    pub url: Option<String>,
    /// Region, keys and what else a bucket's service wants to know, under the names of its environment variables.
    pub options: BTreeMap<String, Secret>,
    /// How often it is looked at for what others have changed.
    pub poll_interval: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifiersSettings {
    pub endpoints: Endpoints,
}

/// Addresses in place of the vendors' own: for tests, demonstrations and proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// In place of `https://events.pagerduty.com/generic/2010-04-15/create_event.json`.
    pub pagerduty_v1: Option<HttpUrl>,
    /// In place of `https://events.pagerduty.com/v2/enqueue`, where the Alertmanager's file names no other.
    pub pagerduty_v2: Option<HttpUrl>,
    /// In place of `https://slack.com/api/chat.postMessage`, where the Alertmanager's file names no other.
    pub slack: Option<HttpUrl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Logfmt,
}

/// What one tenant may do; past a limit a request is refused with a counted reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Series in memory.
    pub series_max: usize,
    /// Labels of one series.
    pub labels_max: usize,
    pub label_name_bytes_max: usize,
    pub label_value_bytes_max: usize,
    /// Of one remote-write request, as it arrives.
    pub write_body_bytes_max: usize,
    /// Of one remote-write request, decompressed.
    pub write_decompressed_bytes_max: usize,
    pub write_samples_max: usize,
    /// Samples of remote-write requests; 0: no limit.
    pub ingest_samples_per_second: usize,
    /// Of them, what may come at once; 0: ten seconds' worth.
    pub ingest_burst_samples: usize,
    /// Exemplars in memory, of which the oldest makes room; 0: none.
    pub exemplars_max: usize,
    /// Of one `POST /api/v2/alerts`.
    pub alerts_body_bytes_max: usize,
    /// In an Alertmanager, ended ones included that are still to be told.
    pub alerts_max: usize,
    /// Aggregation groups in an Alertmanager.
    pub alert_groups_max: usize,
    /// Firing alerts of one `alertname`; 0: no limit.
    pub alerts_per_alertname_max: usize,
    /// Uploaded groups; 0: no limit.
    pub rule_groups_max: usize,
    /// Rules of one uploaded group; 0: no limit.
    pub rules_per_group_max: usize,
    /// Of one uploaded group's text.
    pub rule_group_bytes_max: usize,
    pub query_concurrency_max: usize,
    pub query_samples_max: usize,
    /// That one query reads; 0: no limit.
    pub query_series_max: usize,
    /// In memory, of one query.
    pub query_bytes_max: usize,
    pub query_timeout: Duration,
    /// How far back an instant looks for a sample.
    pub query_lookback: Duration,
}

impl Default for WatchbellConfig {
    fn default() -> Self {
        Self {
            server: Server {
                listen_address: defaults::LISTEN_ADDRESS.to_owned(),
                external_url: None,
            },
            external_labels: Labels::from_pairs(std::iter::empty::<(&str, &str)>()),
            storage: Storage {
                path: PathBuf::from(defaults::STORAGE_PATH),
                retention: defaults::STORAGE_RETENTION,
                retention_bytes_max: None,
                sync_interval: defaults::SYNC_INTERVAL,
                out_of_order_time_window: None,
                start_timestamps: false,
                tenant_idle_max: defaults::TENANT_IDLE_MAX,
            },
            query: QueryConfig::default(),
            evaluation: Evaluation {
                interval: None,
                query_offset: None,
                resend_delay: defaults::RESEND_DELAY,
                for_outage_tolerance: defaults::FOR_OUTAGE_TOLERANCE,
                concurrency_max: defaults::EVALUATION_CONCURRENCY_MAX,
                group_concurrency_max: defaults::GROUP_CONCURRENCY_MAX,
                limit_keeps_first: false,
                rule_metrics: false,
            },
            rule_files: Vec::new(),
            alertmanager: AlertmanagerSettings::default(),
            ruler: RulerSettings::default(),
            notifiers: NotifiersSettings::default(),
            log: Log::default(),
            limits: Limits::default(),
            prometheus_config_file: None,
        }
    }
}

impl Storage {
    /// How far behind the newest sample one may be that comes out of order; zero: none is taken.
    #[must_use]
    pub fn out_of_order_time_window(&self) -> Duration {
        self.out_of_order_time_window.unwrap_or_default()
    }
}

impl Evaluation {
    /// How often groups that name no interval are evaluated.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval.unwrap_or(defaults::EVALUATION_INTERVAL)
    }

    /// How far in the past groups that name no offset look.
    #[must_use]
    pub fn query_offset(&self) -> Duration {
        self.query_offset.unwrap_or(Duration::ZERO)
    }
}

impl Default for RulerSettings {
    fn default() -> Self {
        Self {
            query_url: None,
            query_replicas: Vec::new(),
            query_params: BTreeMap::new(),
            write_url: None,
            storage: RuleStorage {
                url: None,
                options: BTreeMap::new(),
                poll_interval: defaults::RULE_STORAGE_POLL_INTERVAL,
            },
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Logfmt,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series_max: defaults::SERIES_MAX,
            labels_max: defaults::LABELS_MAX,
            label_name_bytes_max: defaults::LABEL_NAME_BYTES_MAX,
            label_value_bytes_max: defaults::LABEL_VALUE_BYTES_MAX,
            write_body_bytes_max: defaults::WRITE_BODY_BYTES_MAX,
            write_decompressed_bytes_max: defaults::WRITE_DECOMPRESSED_BYTES_MAX,
            write_samples_max: defaults::WRITE_SAMPLES_MAX,
            ingest_samples_per_second: 0,
            ingest_burst_samples: 0,
            exemplars_max: defaults::EXEMPLARS_MAX,
            alerts_body_bytes_max: defaults::ALERTS_BODY_BYTES_MAX,
            alerts_max: defaults::ALERTS_MAX,
            alert_groups_max: defaults::ALERT_GROUPS_MAX,
            alerts_per_alertname_max: 0,
            rule_groups_max: defaults::RULE_GROUPS_MAX,
            rules_per_group_max: defaults::RULES_PER_GROUP_MAX,
            rule_group_bytes_max: defaults::RULE_GROUP_BYTES_MAX,
            query_concurrency_max: defaults::QUERY_CONCURRENCY_MAX,
            query_samples_max: defaults::QUERY_SAMPLES_MAX,
            query_series_max: 0,
            query_bytes_max: defaults::QUERY_BYTES_MAX,
            query_timeout: defaults::QUERY_TIMEOUT,
            query_lookback: defaults::QUERY_LOOKBACK,
        }
    }
}

impl LogLevel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl WatchbellConfig {
    /// Reads a file's text; what it does not say takes its default, an empty file is all defaults. `file` names it in
    /// problems, and relative paths that it writes are meant from its folder.
    ///
    /// # Errors
    /// All mistakes together, by place.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let (source, node) = Source::open(file, text, "watchbell.yml");
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        let config = node
            .map(|node| read_top(&Cursor::root(&source, &node), base))
            .unwrap_or_default();
        let (problems, _) = source.close();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// Switches more of the language on.
    pub fn enable(&mut self, features: impl IntoIterator<Item = QueryFeature>) {
        self.query.features.extend(features);
        // There are two words for it, and one switch.
        self.storage.start_timestamps |=
            self.query.features.contains(&QueryFeature::StartTimestamps);
    }
}

fn read_top(top: &Cursor<'_>, base: &Path) -> WatchbellConfig {
    let default = WatchbellConfig::default();
    let mut fields = top.fields("");
    let config = WatchbellConfig {
        server: read_block(&mut fields, "server", default.server, read_server),
        external_labels: read_labels(&mut fields),
        storage: read_block(
            &mut fields,
            "storage",
            default.storage,
            |fields, default| read_storage(fields, default, base),
        ),
        query: read_block(&mut fields, "query", default.query, |fields, _| {
            QueryConfig {
                features: fields
                    .list("features")
                    .iter()
                    .filter_map(|name| name.parsed(QueryFeature::parse))
                    .collect(),
            }
        }),
        evaluation: read_block(
            &mut fields,
            "evaluation",
            default.evaluation,
            read_evaluation,
        ),
        rule_files: RuleFilesPattern::read(&mut fields, base),
        alertmanager: read_block(
            &mut fields,
            "alertmanager",
            default.alertmanager,
            |fields, _| AlertmanagerSettings {
                config_file: fields.path("config_file", Some(base)),
                urls: fields
                    .list("urls")
                    .iter()
                    .filter_map(Cursor::http_url)
                    .collect(),
            },
        ),
        ruler: read_block(&mut fields, "ruler", default.ruler, read_ruler),
        notifiers: read_block(
            &mut fields,
            "notifiers",
            default.notifiers,
            |fields, default| NotifiersSettings {
                endpoints: read_block(fields, "endpoints", default.endpoints, read_endpoints),
            },
        ),
        log: read_block(&mut fields, "log", default.log, read_log),
        limits: read_block(&mut fields, "limits", default.limits, read_limits),
        prometheus_config_file: fields.path("prometheus_config_file", Some(base)),
    };
    fields.finish();
    let features = config.query.features.clone();
    let mut config = config;
    config.enable(features);
    config
}

fn read_block<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: T,
    read: impl FnOnce(&mut Fields<'_>, T) -> T,
) -> T {
    let Some(cursor) = fields.get(key) else {
        return default;
    };
    let mut inner = cursor.fields("");
    let block = read(&mut inner, default);
    inner.finish();
    block
}

fn read_server(fields: &mut Fields<'_>, default: Server) -> Server {
    let listen_address = fields
        .get("listen_address")
        .and_then(|cursor| cursor.parsed(HostPort::parse));
    Server {
        listen_address: listen_address
            .map_or(default.listen_address, |address| address.to_string()),
        external_url: fields.http_url("external_url"),
    }
}

fn read_labels(fields: &mut Fields<'_>) -> Labels {
    let mut labels = Vec::new();
    let entries = fields.get("external_labels").map(|cursor| cursor.entries());
    for (name, _, value) in entries.unwrap_or_default() {
        if !is_label_name(&name) {
            value.problem("a label's name cannot be empty");
        }
        labels.extend(value.text().map(|text| (name, text)));
    }
    Labels::from_pairs(labels)
}

fn read_storage(fields: &mut Fields<'_>, default: Storage, base: &Path) -> Storage {
    Storage {
        path: fields.path("path", Some(base)).unwrap_or(default.path),
        retention: positive(fields, "retention").unwrap_or(default.retention),
        // As for Prometheus' flag nothing means without bound.
        retention_bytes_max: fields
            .get("retention_size")
            .and_then(|cursor| cursor.parsed(byte_size::parse))
            .filter(|bytes| *bytes > 0),
        sync_interval: fields.duration_or("sync_interval", default.sync_interval),
        out_of_order_time_window: fields.duration("out_of_order_time_window"),
        start_timestamps: fields.boolean_or("start_timestamps", default.start_timestamps),
        tenant_idle_max: positive(fields, "tenant_idle_max").unwrap_or(default.tenant_idle_max),
    }
}

fn read_evaluation(fields: &mut Fields<'_>, default: Evaluation) -> Evaluation {
    Evaluation {
        interval: positive(fields, "interval"),
        query_offset: fields.duration("query_offset"),
        resend_delay: fields.duration_or("resend_delay", default.resend_delay),
        for_outage_tolerance: fields
            .duration_or("for_outage_tolerance", default.for_outage_tolerance),
        concurrency_max: fields.size_or("concurrency_max", default.concurrency_max, 1),
        group_concurrency_max: fields.size_or(
            "group_concurrency_max",
            default.group_concurrency_max,
            1,
        ),
        limit_keeps_first: fields.boolean_or("limit_keeps_first", default.limit_keeps_first),
        rule_metrics: fields.boolean_or("rule_metrics", default.rule_metrics),
    }
}

/// What one engine's rules write, they also query.
fn read_ruler(fields: &mut Fields<'_>, default: RulerSettings) -> RulerSettings {
    let (query, write) = ("query_url", "write_url");
    for (written, missing) in [(query, write), (write, query)] {
        if fields.has(written) && !fields.has(missing) {
            fields.problem(
                written,
                "ruler.query_url and ruler.write_url are needed together",
            );
        }
    }
    let replicas = fields.list("query_replicas");
    let query_replicas: Vec<HttpUrl> = replicas.iter().filter_map(Cursor::http_url).collect();
    let query_params = fields.text_map("query_params");
    for (key, given) in [
        ("query_replicas", !query_replicas.is_empty()),
        ("query_params", !query_params.is_empty()),
    ] {
        if given && !fields.has(query) {
            fields.problem(key, format!("ruler.{key} needs ruler.query_url"));
        }
    }
    for reserved in ["query", "time"] {
        if query_params.contains_key(reserved) {
            fields.problem(
                "query_params",
                format!("{reserved} is said by each query itself"),
            );
        }
    }
    RulerSettings {
        query_url: fields.http_url("query_url"),
        query_replicas,
        query_params,
        write_url: fields.http_url("write_url"),
        storage: read_block(fields, "storage", default.storage, read_rule_storage),
    }
}

/// Whether it can be opened, whoever opens it says.
fn read_rule_storage(fields: &mut Fields<'_>, default: RuleStorage) -> RuleStorage {
    let options = fields.text_map("options").into_iter();
    RuleStorage {
        url: Some(fields.text("url")).filter(|url| !url.is_empty()),
        options: options
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
        poll_interval: positive(fields, "poll_interval").unwrap_or(default.poll_interval),
    }
}

fn read_endpoints(fields: &mut Fields<'_>, _: Endpoints) -> Endpoints {
    Endpoints {
        pagerduty_v1: fields.http_url("pagerduty_v1"),
        pagerduty_v2: fields.http_url("pagerduty_v2"),
        slack: fields.http_url("slack"),
    }
}

fn read_log(fields: &mut Fields<'_>, default: Log) -> Log {
    let level = fields.get("level").and_then(|cursor| {
        cursor.parsed(|text| match text {
            "debug" => Ok(LogLevel::Debug),
            "info" => Ok(LogLevel::Info),
            "warn" => Ok(LogLevel::Warn),
            "error" => Ok(LogLevel::Error),
            _ => Err("must be debug, info, warn or error"),
        })
    });
    let format = fields.get("format").and_then(|cursor| {
        cursor.parsed(|text| match text {
            "logfmt" => Ok(LogFormat::Logfmt),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be logfmt or json"),
        })
    });
    Log {
        level: level.unwrap_or(default.level),
        format: format.unwrap_or(default.format),
    }
}

fn read_limits(fields: &mut Fields<'_>, default: Limits) -> Limits {
    Limits {
        series_max: fields.size_or("series_max", default.series_max, 1),
        labels_max: fields.size_or("labels_max", default.labels_max, 1),
        label_name_bytes_max: fields.size_or(
            "label_name_bytes_max",
            default.label_name_bytes_max,
            1,
        ),
        label_value_bytes_max: fields.size_or(
            "label_value_bytes_max",
            default.label_value_bytes_max,
            1,
        ),
        write_body_bytes_max: fields.size_or(
            "write_body_bytes_max",
            default.write_body_bytes_max,
            1,
        ),
        write_decompressed_bytes_max: fields.size_or(
            "write_decompressed_bytes_max",
            default.write_decompressed_bytes_max,
            1,
        ),
        write_samples_max: fields.size_or("write_samples_max", default.write_samples_max, 1),
        ingest_samples_per_second: fields.size_or(
            "ingest_samples_per_second",
            default.ingest_samples_per_second,
            0,
        ),
        ingest_burst_samples: fields.size_or(
            "ingest_burst_samples",
            default.ingest_burst_samples,
            0,
        ),
        exemplars_max: fields.size_or("exemplars_max", default.exemplars_max, 0),
        alerts_body_bytes_max: fields.size_or(
            "alerts_body_bytes_max",
            default.alerts_body_bytes_max,
            1,
        ),
        alerts_max: fields.size_or("alerts_max", default.alerts_max, 1),
        alert_groups_max: fields.size_or("alert_groups_max", default.alert_groups_max, 1),
        alerts_per_alertname_max: fields.size_or(
            "alerts_per_alertname_max",
            default.alerts_per_alertname_max,
            0,
        ),
        rule_groups_max: fields.size_or("rule_groups_max", default.rule_groups_max, 0),
        rules_per_group_max: fields.size_or("rules_per_group_max", default.rules_per_group_max, 0),
        rule_group_bytes_max: fields.size_or(
            "rule_group_bytes_max",
            default.rule_group_bytes_max,
            1,
        ),
        query_concurrency_max: fields.size_or(
            "query_concurrency_max",
            default.query_concurrency_max,
            1,
        ),
        query_samples_max: fields.size_or("query_samples_max", default.query_samples_max, 1),
        query_series_max: fields.size_or("query_series_max", default.query_series_max, 0),
        query_bytes_max: fields.size_or("query_bytes_max", default.query_bytes_max, 1),
        query_timeout: positive(fields, "query_timeout").unwrap_or(default.query_timeout),
        query_lookback: positive(fields, "query_lookback").unwrap_or(default.query_lookback),
    }
}

fn positive(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let duration = fields.duration(key);
    if duration.is_some_and(|duration| duration.is_zero()) {
        fields.problem(key, "must be longer than zero");
    }
    duration
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{LogFormat, WatchbellConfig, read_top};
    use crate::cursor::Cursor;
    use crate::query_feature::QueryFeature;
    use crate::source::Source;

    fn problems(text: &str) -> Vec<String> {
        match WatchbellConfig::read("w.yml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    fn project() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn nothing_means_the_defaults() {
        for text in ["", "# nothing", "server:\nlog: {}\n"] {
            assert_eq!(
                WatchbellConfig::read("", text),
                Ok(WatchbellConfig::default()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_written_counts() {
        let text = "server: {listen_address: '127.0.0.1:0'}\nstorage: {path: db, retention: 30d, retention_size: 512MB}\nexternal_labels: {replica: 1}\nrule_files: [rules/*.yml, /etc/*.yml]\nlog: {format: json}\n";
        let config = WatchbellConfig::read("/etc/watchbell/watchbell.yml", text).unwrap();
        assert_eq!(config.server.listen_address, "127.0.0.1:0");
        assert_eq!(config.storage.path, Path::new("/etc/watchbell/db"));
        assert_eq!(
            config.storage.retention,
            Duration::from_secs(30 * 24 * 3600)
        );
        assert_eq!(config.storage.retention_bytes_max, Some(512 << 20));
        let unbounded = WatchbellConfig::read("w.yml", "storage: {retention_size: 0}").unwrap();
        assert_eq!(unbounded.storage.retention_bytes_max, None);
        assert_eq!(config.external_labels.value("replica"), "1");
        let patterns = config.rule_files.iter();
        let patterns: Vec<_> = patterns
            .map(|pattern| (pattern.pattern.as_str(), pattern.problem("x").to_string()))
            .collect();
        assert_eq!(
            patterns,
            [
                (
                    "/etc/watchbell/rules/*.yml",
                    "/etc/watchbell/watchbell.yml:4:14: x (rule_files[0])".to_owned()
                ),
                (
                    "/etc/*.yml",
                    "/etc/watchbell/watchbell.yml:4:27: x (rule_files[1])".to_owned()
                )
            ]
        );
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.evaluation, WatchbellConfig::default().evaluation);
    }

    #[test]
    fn mistakes_are_reported_together() {
        let text = "servr: {}\nstorage:\n  retention: 0\n  retention_size: 50\n  sync_interval: soon\nlog: {level: loud}\nlimits: {series_max: -1, labels_max: 0, alerts_max: 0, alerts_per_alertname_max: 0}\nalertmanager:\n  urls: ['ftp://x']\nevaluation: often\n";
        assert_eq!(
            problems(text),
            [
                "w.yml:1:1: unknown key servr (servr)",
                "w.yml:3:14: must be longer than zero (storage.retention)",
                r#"w.yml:4:19: "50" is no size: a whole number with one of the units B, KB, MB, GB, TB, PB, EB was expected, such as 512MB (storage.retention_size)"#,
                r#"w.yml:5:18: not a valid duration string: "soon" (storage.sync_interval)"#,
                "w.yml:6:14: must be debug, info, warn or error (log.level)",
                "w.yml:7:22: cannot unmarshal !!int `-1` into uint64 (limits.series_max)",
                "w.yml:7:38: must be at least 1 (limits.labels_max)",
                "w.yml:7:53: must be at least 1 (limits.alerts_max)",
                r#"w.yml:9:10: unsupported scheme "ftp" for URL (alertmanager.urls[0])"#,
                "w.yml:10:13: keys and values are expected here, not !!str `often` (evaluation)",
            ]
        );
    }

    #[test]
    fn features_are_known_by_prometheus_names() {
        let text =
            "query:\n  features: [promql-experimental-functions, use-start-timestamps, agent]\n";
        let config = WatchbellConfig::read("w.yml", text).unwrap();
        let features = [
            QueryFeature::ExperimentalFunctions,
            QueryFeature::StartTimestamps,
            QueryFeature::WithoutEffect("agent"),
        ];
        assert_eq!(config.query.features, features.into());
        assert!(config.storage.start_timestamps);
        let found = problems("query:\n  features: [agent, promql-everything]\n");
        let [problem] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(
            problem.starts_with(
                r#"w.yml:2:21: unknown feature "promql-everything"; known are promql-binop-fill-modifiers, "#
            ) && problem.ends_with("(query.features[1])"),
            "{problem}"
        );
    }

    #[test]
    fn an_outside_engine_is_queried_and_written_to() {
        let together = "ruler.query_url and ruler.write_url are needed together";
        for (ruler, problem) in [
            ("query_url: 'http://e'", Some(":1:21:")),
            ("write_url: 'http://e', query_url:", Some(":1:21:")),
            ("query_url: 'http://e', write_url: 'http://e'", None),
            ("", None),
        ] {
            let key = &ruler[..ruler.len().min(9)];
            let problem = problem.map(|at| format!("w.yml{at} {together} (ruler.{key})"));
            let found = problems(&format!("ruler: {{ {ruler} }}"));
            assert_eq!(found, problem.into_iter().collect::<Vec<_>>(), "{ruler}");
        }
    }

    #[test]
    fn what_queries_carry_and_where_else_they_go_needs_an_engine() {
        let engine = "query_url: 'http://e', write_url: 'http://e'";
        for (ruler, problem) in [
            (
                "query_replicas: ['http://f']",
                Some(
                    "w.yml:1:26: ruler.query_replicas needs ruler.query_url (ruler.query_replicas)",
                ),
            ),
            (
                "query_params: {dedup: true}",
                Some("w.yml:1:24: ruler.query_params needs ruler.query_url (ruler.query_params)"),
            ),
            (
                &format!("query_params: {{time: 5}}, {engine}"),
                Some("w.yml:1:24: time is said by each query itself (ruler.query_params)"),
            ),
            (
                &format!(
                    "query_replicas: ['http://f', 'http://g'], query_params: {{dedup: true}}, {engine}"
                ),
                None,
            ),
        ] {
            let found = problems(&format!("ruler: {{ {ruler} }}"));
            let expected: Vec<String> = problem.into_iter().map(str::to_owned).collect();
            assert_eq!(found, expected, "{ruler}");
        }
    }

    #[test]
    fn the_example_and_the_document_know_every_key() {
        let example = std::fs::read_to_string(project().join("examples/watchbell.yml")).unwrap();
        let document = std::fs::read_to_string(project().join("docs/configuration.md")).unwrap();
        let (source, node) = Source::open("watchbell.yml", &example, "");
        let node = node.unwrap();
        read_top(&Cursor::root(&source, &node), Path::new(""));
        let asked = source.asked();
        assert!(asked.len() > 40, "{asked:?}");
        for path in asked {
            let mut lines = example.lines();
            let key = path.rsplit('.').next().unwrap_or_default();
            assert!(
                lines.any(|line| line.trim_start().starts_with(&format!("{key}:"))),
                "the example lacks {path}"
            );
            assert!(
                document.contains(&format!("| `{path}` |")),
                "the document lacks {path}"
            );
        }
        let config = WatchbellConfig::read("watchbell.yml", &example).unwrap();
        let default = WatchbellConfig::default();
        let (mut storage, written) = (default.storage, config.storage.clone());
        assert_eq!(
            written.out_of_order_time_window(),
            storage.out_of_order_time_window()
        );
        storage.out_of_order_time_window = written.out_of_order_time_window;
        assert_eq!(written, storage);
        let (mut evaluation, written) = (default.evaluation, config.evaluation.clone());
        assert_eq!(written.interval(), evaluation.interval());
        assert_eq!(written.query_offset(), evaluation.query_offset());
        evaluation.interval = written.interval;
        evaluation.query_offset = written.query_offset;
        assert_eq!(written, evaluation);
        assert_eq!(config.log, default.log);
        assert_eq!(config.limits, default.limits);
    }
}
