//! The flags of `watchbell alertmanager`: Alertmanager 0.34's, with its names, defaults and complaints.
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Parser};
use model::go_duration;
use model::matcher_syntax::ParserMode;

use crate::cli::{LogFormatName, LogLevelName};
use crate::version::ALERTMANAGER_VERSION;

/// An Alertmanager: takes the flags, the files and the clients of prometheus/alertmanager.
#[derive(Debug, Parser)]
#[command(
    name = "alertmanager",
    version = ALERTMANAGER_VERSION,
    display_name = "alertmanager, version"
)]
pub(crate) struct AlertmanagerLine {
    #[command(flatten)]
    pub(crate) flags: AlertmanagerFlags,
}

/// What of it has no meaning here is accepted, and [`AlertmanagerFlags::without_effect`] names it.
#[derive(Clone, Debug, Args)]
pub(crate) struct AlertmanagerFlags {
    /// Alertmanager configuration file name.
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = "alertmanager.yml"
    )]
    pub(crate) config_file: PathBuf,
    /// Base path for data storage.
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "data/")]
    pub(crate) storage_path: PathBuf,
    /// How long to keep data for.
    #[arg(long = "data.retention", value_name = "DURATION", default_value = "120h", value_parser = go_duration::parse)]
    pub(crate) retention: Duration,
    /// Interval between garbage collection and snapshotting to disk of the silences and the notification log.
    #[arg(long = "data.maintenance-interval", value_name = "DURATION", default_value = "15m", value_parser = go_duration::parse)]
    pub(crate) maintenance_interval: Duration,
    /// Maximum number of silences, including expired ones; 0 for no limit but the built-in one.
    #[arg(
        long = "silences.max-silences",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) silences_max: i64,
    /// Maximum silence size in bytes; 0 for no limit but the built-in one.
    #[arg(
        long = "silences.max-silence-size-bytes",
        value_name = "BYTES",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) silence_bytes_max: i64,
    /// Log silences when they are created, updated and expired.
    #[arg(long = "log.silences", overrides_with = "no_log_silences")]
    pub(crate) log_silences: bool,
    #[arg(long = "no-log.silences", hide = true)]
    no_log_silences: bool,
    /// Interval between alert garbage collections.
    #[arg(long = "alerts.gc-interval", value_name = "DURATION", default_value = "30m", value_parser = go_duration::parse)]
    pub(crate) gc_interval: Duration,
    /// Maximum number of alerts per alertname; 0 for no limit.
    #[arg(
        long = "alerts.per-alertname-limit",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) per_alertname_limit: i64,
    /// Watchbell's own: maximum number of alerts, those included that have ended and are still to be told; 0 for the
    /// built-in limit of 500000.
    #[arg(
        long = "alerts.max-alerts",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) alerts_max: i64,
    /// Watchbell's own: maximum number of aggregation groups; 0 for the built-in limit of 500000.
    #[arg(
        long = "alerts.max-groups",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) groups_max: i64,
    /// Accepted: groups that are over are removed at once.
    #[arg(long = "dispatch.maintenance-interval", value_name = "DURATION", default_value = "30s", value_parser = go_duration::parse)]
    dispatch_maintenance_interval: Duration,
    /// Minimum time to wait before alerts are dispatched after the start.
    #[arg(long = "dispatch.start-delay", value_name = "DURATION", default_value = "0s", value_parser = go_duration::parse)]
    pub(crate) start_delay: Duration,
    /// Addresses on which to listen; may be given several times.
    #[arg(
        long = "web.listen-address",
        value_name = "HOST:PORT",
        default_value = ":9093"
    )]
    pub(crate) listen_addresses: Vec<String>,
    /// Use systemd socket activation listeners instead of port listeners.
    #[arg(long = "web.systemd-socket", overrides_with = "no_systemd_socket")]
    pub(crate) systemd_socket: bool,
    #[arg(long = "no-web.systemd-socket", hide = true)]
    no_systemd_socket: bool,
    /// Configuration file that enables TLS or authentication.
    #[arg(long = "web.config.file", value_name = "FILE", default_value = "")]
    pub(crate) web_config_file: String,
    /// The URL under which Alertmanager is reachable from outside.
    #[arg(long = "web.external-url", value_name = "URL", default_value = "")]
    pub(crate) external_url: String,
    /// Prefix for the internal routes of web endpoints; defaults to the path of --web.external-url.
    #[arg(long = "web.route-prefix", value_name = "PATH", default_value = "")]
    pub(crate) route_prefix: String,
    /// Maximum number of GET requests processed at once; 0 for the larger of 8 and the number of processors.
    #[arg(
        long = "web.get-concurrency",
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) get_concurrency: i64,
    /// Timeout for HTTP requests; 0 for none.
    #[arg(long = "web.timeout", value_name = "DURATION", default_value = "0", value_parser = go_duration::parse)]
    pub(crate) web_timeout: Duration,
    /// Accepted: there is no collector to tune.
    #[arg(
        long = "auto-gomemlimit.ratio",
        value_name = "RATIO",
        default_value_t = 0.9
    )]
    auto_gomemlimit_ratio: f64,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    /// Comma separated features to enable.
    #[arg(long = "enable-feature", value_name = "NAMES", default_value = "")]
    enable_feature: String,
    /// Only log messages with the given severity or above.
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true
    )]
    pub(crate) log_level: LogLevelName,
    /// Output format of log messages.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub(crate) log_format: LogFormatName,
}

/// Their places are kept: a cluster of one node.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterFlags {
    /// Listen address for the cluster; empty disables it.
    #[arg(
        long = "cluster.listen-address",
        value_name = "HOST:PORT",
        default_value = "0.0.0.0:9094"
    )]
    pub(crate) listen_address: String,
    #[arg(
        long = "cluster.advertise-address",
        value_name = "HOST:PORT",
        default_value = ""
    )]
    pub(crate) advertise_address: String,
    #[arg(long = "cluster.peer-name", value_name = "NAME", default_value = "")]
    pub(crate) peer_name: String,
    /// Other members; may be given several times.
    #[arg(long = "cluster.peer", value_name = "HOST:PORT")]
    pub(crate) peers: Vec<String>,
    #[arg(long = "cluster.peer-timeout", value_name = "DURATION", default_value = "15s", value_parser = go_duration::parse)]
    peer_timeout: Duration,
    #[arg(long = "cluster.peers-resolve-timeout", value_name = "DURATION", default_value = "15s", value_parser = go_duration::parse)]
    peers_resolve_timeout: Duration,
    #[arg(long = "cluster.gossip-interval", value_name = "DURATION", default_value = "200ms", value_parser = go_duration::parse)]
    gossip_interval: Duration,
    #[arg(long = "cluster.pushpull-interval", value_name = "DURATION", default_value = "1m0s", value_parser = go_duration::parse)]
    pushpull_interval: Duration,
    #[arg(long = "cluster.tcp-timeout", value_name = "DURATION", default_value = "10s", value_parser = go_duration::parse)]
    tcp_timeout: Duration,
    #[arg(long = "cluster.probe-timeout", value_name = "DURATION", default_value = "500ms", value_parser = go_duration::parse)]
    probe_timeout: Duration,
    #[arg(long = "cluster.probe-interval", value_name = "DURATION", default_value = "1s", value_parser = go_duration::parse)]
    probe_interval: Duration,
    #[arg(long = "cluster.settle-timeout", value_name = "DURATION", default_value = "1m0s", value_parser = go_duration::parse)]
    settle_timeout: Duration,
    #[arg(long = "cluster.reconnect-interval", value_name = "DURATION", default_value = "10s", value_parser = go_duration::parse)]
    reconnect_interval: Duration,
    #[arg(long = "cluster.reconnect-timeout", value_name = "DURATION", default_value = "6h0m0s", value_parser = go_duration::parse)]
    reconnect_timeout: Duration,
    #[arg(long = "cluster.tls-config", value_name = "FILE", default_value = "")]
    pub(crate) tls_config: String,
    #[arg(long = "cluster.allow-insecure-public-advertise-address-discovery", action = ArgAction::SetTrue)]
    allow_insecure_public_advertise_address_discovery: bool,
    #[arg(long = "cluster.label", value_name = "LABEL", default_value = "")]
    label: String,
}

/// What `--enable-feature` turns on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) alert_names_in_metrics: bool,
    pub(crate) receiver_name_in_metrics: bool,
    pub(crate) event_recorder: bool,
    pub(crate) group_key_in_metrics: bool,
    pub(crate) parser_mode: ParserMode,
    /// Known, and nothing to do here.
    pub(crate) without_effect: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("unknown option '{0}' for --enable-feature")]
    UnknownFeature(String),
    #[error("cannot have both classic and UTF-8 modes enabled")]
    TwoModes,
    #[error("alertmanager/app: Options.{0} must be positive{1}")]
    NotPositive(&'static str, &'static str),
    #[error("cannot listen on {0}: vsock addresses are not supported")]
    Vsock(String),
}

impl AlertmanagerFlags {
    pub(crate) fn features(&self) -> Result<Features, FlagError> {
        let mut features = Features::default();
        let (mut classic, mut utf8) = (false, false);
        for name in self
            .enable_feature
            .split(',')
            .filter(|name| !name.is_empty())
        {
            match name {
                "alert-names-in-metrics" => features.alert_names_in_metrics = true,
                "receiver-name-in-metrics" => features.receiver_name_in_metrics = true,
                "classic-mode" => classic = true,
                "utf8-strict-mode" => utf8 = true,
                "event-recorder" => features.event_recorder = true,
                "group-key-in-metrics" => features.group_key_in_metrics = true,
                "auto-gomemlimit" => {
                    features.without_effect.push(name.to_owned());
                }
                other => return Err(FlagError::UnknownFeature(other.to_owned())),
            }
        }
        features.parser_mode = match (classic, utf8) {
            (true, true) => return Err(FlagError::TwoModes),
            (true, false) => ParserMode::Classic,
            (false, true) => ParserMode::Utf8,
            (false, false) => ParserMode::Fallback,
        };
        Ok(features)
    }

    /// Intervals that may not be zero, and addresses of a kind that is not there.
    pub(crate) fn check(&self) -> Result<(), FlagError> {
        let always = [
            ("Retention", self.retention),
            ("MaintenanceInterval", self.maintenance_interval),
            ("AlertGCInterval", self.gc_interval),
        ];
        let cluster = &self.cluster;
        let in_cluster = [
            ("PeerTimeout", cluster.peer_timeout),
            ("GossipInterval", cluster.gossip_interval),
            ("PushPullInterval", cluster.pushpull_interval),
            ("TCPTimeout", cluster.tcp_timeout),
            ("ProbeTimeout", cluster.probe_timeout),
            ("ProbeInterval", cluster.probe_interval),
            ("ReconnectInterval", cluster.reconnect_interval),
            ("ReconnectTimeout", cluster.reconnect_timeout),
        ];
        let zero = |values: &[(&'static str, Duration)]| {
            values
                .iter()
                .find(|(_, value)| value.is_zero())
                .map(|(name, _)| *name)
        };
        if let Some(name) = zero(&always) {
            return Err(FlagError::NotPositive(name, ""));
        }
        let vsock = |address: &&String| address.starts_with("vsock://");
        if let Some(address) = self.listen_addresses.iter().find(vsock)
            && !self.systemd_socket
        {
            return Err(FlagError::Vsock(address.clone()));
        }
        match zero(&in_cluster) {
            Some(name) if !cluster.listen_address.is_empty() => {
                Err(FlagError::NotPositive(name, " when clustering is enabled"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The complaint about a command line, in the words of Alertmanager's own parser. It ends the process with 1.
pub(crate) fn complaint(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // `--flag <VALUE>` names the flag with its value.
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split(' ').next().unwrap_or_default().to_owned();
    let value = context(ContextKind::InvalidValue);
    let what = if error.kind() == ErrorKind::UnknownArgument {
        if flag.starts_with("--") {
            format!("unknown long flag '{flag}'")
        } else if flag.starts_with('-') {
            format!("unknown short flag '{flag}'")
        } else {
            format!("unexpected {flag}")
        }
    } else if error.kind() == ErrorKind::InvalidValue && value.is_empty() {
        format!("expected argument for flag '{flag}'")
    } else if error.kind() == ErrorKind::InvalidValue {
        let names = match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(names)) => names.join(","),
            _ => String::new(),
        };
        format!("enum value must be one of {names}, got '{value}'")
    } else if error.kind() == ErrorKind::ArgumentConflict {
        // No two flags exclude each other: this one was given twice.
        let name = flag.trim_start_matches('-');
        format!("flag '{name}' cannot be repeated")
    } else {
        std::error::Error::source(error)
            .map_or_else(|| error.to_string().trim().to_owned(), ToString::to_string)
    };
    format!("alertmanager: error: {what}, try --help")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use model::matcher_syntax::ParserMode;

    use super::{AlertmanagerFlags, AlertmanagerLine, complaint};
    use crate::cli::LogLevelName;

    fn parse(line: &str) -> Result<AlertmanagerFlags, String> {
        let words = ["alertmanager"].into_iter().chain(line.split_whitespace());
        match AlertmanagerLine::try_parse_from(words) {
            Ok(line) => Ok(line.flags),
            Err(error) => Err(complaint(&error)),
        }
    }

    #[test]
    fn every_flag_is_known_in_both_spellings_and_has_alertmanagers_default() {
        let defaults = parse("").unwrap();
        for (flag, default) in [
            ("config.file", "alertmanager.yml"),
            ("storage.path", "data/"),
            ("data.retention", "120h"),
            ("data.maintenance-interval", "15m"),
            ("silences.max-silences", "0"),
            ("silences.max-silence-size-bytes", "0"),
            ("alerts.gc-interval", "30m"),
            ("alerts.per-alertname-limit", "0"),
            ("alerts.max-alerts", "0"),
            ("alerts.max-groups", "0"),
            ("dispatch.maintenance-interval", "30s"),
            ("dispatch.start-delay", "0s"),
            ("web.listen-address", ":9093"),
            ("web.get-concurrency", "0"),
            ("web.timeout", "0"),
            ("auto-gomemlimit.ratio", "0.9"),
            ("cluster.listen-address", "0.0.0.0:9094"),
            ("cluster.peer-timeout", "15s"),
            ("cluster.peers-resolve-timeout", "15s"),
            ("cluster.gossip-interval", "200ms"),
            ("cluster.pushpull-interval", "1m0s"),
            ("cluster.tcp-timeout", "10s"),
            ("cluster.probe-timeout", "500ms"),
            ("cluster.probe-interval", "1s"),
            ("cluster.settle-timeout", "1m0s"),
            ("cluster.reconnect-interval", "10s"),
            ("cluster.reconnect-timeout", "6h0m0s"),
            ("log.level", "info"),
            ("log.format", "logfmt"),
        ] {
            for line in [format!("--{flag}={default}"), format!("--{flag} {default}")] {
                let parsed = parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(format!("{parsed:?}"), format!("{defaults:?}"), "{line}");
            }
        }
        for line in [
            "--web.config.file=w.yml --web.external-url=http://x/y --web.route-prefix=/y",
            "--cluster.peer=a:9094 --cluster.peer=b:9094 --cluster.advertise-address=1.2.3.4:9094",
            "--cluster.peer-name=n --cluster.tls-config=t.yml --cluster.label=l",
            "--cluster.allow-insecure-public-advertise-address-discovery",
            "--log.silences --no-log.silences --web.systemd-socket --no-web.systemd-socket",
            "--cluster.listen-address= --web.listen-address=:1 --web.listen-address=:2",
            "--silences.max-silences=-1",
        ] {
            let parsed = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_ne!(format!("{parsed:?}"), format!("{defaults:?}"), "{line}");
        }
        assert_eq!(defaults.retention, Duration::from_secs(120 * 3600));
    }

    #[test]
    fn levels_are_known_in_every_case() {
        for level in ["warn", "WARN", "Warn"] {
            let flags = parse(&format!("--log.level={level}")).unwrap();
            assert_eq!(flags.log_level, LogLevelName::Warn, "{level}");
        }
    }

    #[test]
    fn complaints_are_alertmanagers() {
        for (line, said) in [
            ("--nope", "unknown long flag '--nope'"),
            ("--nope=1", "unknown long flag '--nope'"),
            ("-x", "unknown short flag '-x'"),
            ("extra", "unexpected extra"),
            (
                "--cluster.label=a --cluster.label=b",
                "flag 'cluster.label' cannot be repeated",
            ),
            (
                "--config.file",
                "expected argument for flag '--config.file'",
            ),
            (
                "--log.level=loud",
                "enum value must be one of debug,info,warn,error, got 'loud'",
            ),
            ("--data.retention=soon", r#"time: invalid duration "soon""#),
        ] {
            let expected = format!("alertmanager: error: {said}, try --help");
            assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn features_and_intervals_are_checked() {
        for (line, said) in [
            ("", ""),
            ("--enable-feature=", ""),
            ("--enable-feature=event-recorder,alert-names-in-metrics", ""),
            (
                "--enable-feature=auto-gomaxprocs",
                "unknown option 'auto-gomaxprocs' for --enable-feature",
            ),
            (
                "--enable-feature=classic-mode,utf8-strict-mode",
                "cannot have both classic and UTF-8 modes enabled",
            ),
            (
                "--data.retention=0",
                "alertmanager/app: Options.Retention must be positive",
            ),
            (
                "--cluster.gossip-interval=0s",
                "alertmanager/app: Options.GossipInterval must be positive when clustering is enabled",
            ),
            ("--cluster.gossip-interval=0s --cluster.listen-address=", ""),
            (
                "--web.listen-address=:9093 --web.listen-address=vsock://:9093",
                "cannot listen on vsock://:9093: vsock addresses are not supported",
            ),
            (
                "--web.listen-address=vsock://:9093 --web.systemd-socket",
                "",
            ),
        ] {
            let flags = parse(line).unwrap();
            let outcome = flags.features().map(drop).and_then(|()| flags.check());
            let text = outcome
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert_eq!(text, said, "{line}");
        }
        let mode = |line| parse(line).unwrap().features().unwrap().parser_mode;
        assert_eq!(mode(""), ParserMode::Fallback);
        assert_eq!(mode("--enable-feature=classic-mode"), ParserMode::Classic);
        assert_eq!(mode("--enable-feature utf8-strict-mode"), ParserMode::Utf8);
    }
}
