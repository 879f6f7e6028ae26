//! Alertmanager's configuration file.
use std::path::PathBuf;
use std::time::Duration;

use crate::http::HttpConfig;
use crate::inhibit::InhibitRule;
use crate::receiver::Receiver;
use crate::route::RouteTree;
use crate::time_interval::NamedTimeInterval;

/// One file, resolved: every default and every inherited value is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerConfig {
    pub global: Global,
    pub routes: RouteTree,
    pub receivers: Vec<Receiver>,
    pub inhibit_rules: Vec<InhibitRule>,
    /// From `time_intervals` and from the deprecated `mute_time_intervals`; names are unique.
    pub time_intervals: Vec<NamedTimeInterval>,
    pub templates: TemplateGlobs,
}

/// What is not already filled into the receivers.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// After which an alert without an end counts as resolved.
    pub resolve_timeout: Duration,
    pub http: HttpConfig,
}

/// Template files, as globs; relative ones are meant from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateGlobs {
    pub base: PathBuf,
    pub patterns: Vec<String>,
}
