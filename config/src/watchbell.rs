//! `watchbell.yml`: the one file that says what this process is to do. `docs/configuration.md` has the table.
use std::path::PathBuf;
use std::time::Duration;

use model::Labels;

use crate::value::HttpUrl;

/// Its `Default` is what runs without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchbellConfig {
    pub server: Server,
    /// Put on every alert that does not carry the label itself.
    pub external_labels: Labels,
    pub storage: Storage,
    pub evaluation: Evaluation,
    /// Globs, from the configuration file's folder.
    pub rule_files: Vec<String>,
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
    /// Within what time written records are on the disk itself; zero: before they are answered.
    pub sync_interval: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub interval: Duration,
    pub query_offset: Duration,
    pub resend_delay: Duration,
    pub for_grace_period: Duration,
    pub for_outage_tolerance: Duration,
    pub concurrency_max: usize,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertmanagerSettings {
    pub config_file: Option<PathBuf>,
    /// Outside Alertmanagers that alerts go to; empty: this process' own.
    pub urls: Vec<HttpUrl>,
}

/// An outside engine that rules query and write to; absent: this process' own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulerSettings {
    pub query_url: Option<HttpUrl>,
    pub write_url: Option<HttpUrl>,
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
    /// Of one `POST /api/v2/alerts`.
    pub alerts_body_bytes_max: usize,
    pub query_concurrency_max: usize,
    pub query_samples_max: usize,
    pub query_timeout: Duration,
    /// How far back an instant looks for a sample.
    pub query_lookback: Duration,
}
