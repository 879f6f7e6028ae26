//! What is read from a Prometheus' own configuration file.
use std::path::PathBuf;
use std::time::Duration;

use model::{GoRegex, Labels};

use crate::http::HttpConfig;
use crate::value::HttpUrl;

/// `rule_files`, `alerting` and three keys of `global`; the rest of the file is not looked at.
#[derive(Clone, Debug)]
pub struct PrometheusConfig {
    pub evaluation_interval: Duration,
    pub rule_query_offset: Duration,
    pub external_labels: Labels,
    /// Globs; relative ones are meant from `base`.
    pub rule_files: Vec<String>,
    pub base: PathBuf,
    /// Applied once to each alert, after the external labels.
    pub alert_relabel_configs: Vec<RelabelConfig>,
    pub alertmanagers: Vec<AlertmanagerTargets>,
}

/// One element of `alerting.alertmanagers`.
#[derive(Clone, Debug)]
pub struct AlertmanagerTargets {
    pub http: HttpConfig,
    pub timeout: Duration,
    /// Each with scheme, port and path: `http://host:9093/prefix/api/v2/alerts`; no address comes twice.
    pub urls: Vec<HttpUrl>,
    /// Applied after the global ones.
    pub alert_relabel_configs: Vec<RelabelConfig>,
}

/// One step of relabelling.
#[derive(Clone, Debug)]
pub struct RelabelConfig {
    pub source_labels: Vec<String>,
    pub separator: String,
    /// Anchored at both ends; its dot matches a newline.
    pub regex: GoRegex,
    pub modulus: u64,
    pub target_label: String,
    pub replacement: String,
    pub action: RelabelAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelabelAction {
    Drop,
    DropEqual,
    HashMod,
    Keep,
    KeepEqual,
    LabelDrop,
    LabelKeep,
    LabelMap,
    Lowercase,
    Replace,
    Uppercase,
}
