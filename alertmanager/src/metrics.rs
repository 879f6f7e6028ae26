//! The Alertmanager's figures, under the names that its dashboards and alerts know.
mod cluster;
mod labels;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{AbandonCause, Limit, LogKey, MuteReason, Tally};
use config::{AlertmanagerConfig, IntegrationKind};
use notifiers_core::FailureReason;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::{Metrics, Summary};

use crate::metrics::labels::LabelSet;
pub(crate) use crate::metrics::labels::pairs;
use crate::metrics::state::{KeptMetrics, SilenceMetrics};

/// Alertmanager's own buckets for notifications, in seconds.
const LATENCY_BUCKETS: [f64; 5] = [1.0, 5.0, 10.0, 15.0, 20.0];
/// Names of alerts among the labels: senders choose them, so that past these all others share an empty one.
const LIMITED_NAMES_MAX: usize = 1000;

/// What Alertmanager's features add to labels, and what the process knows of itself.
#[derive(Clone, Debug, Default)]
pub struct MetricSettings {
    /// `alertname` of alerts that a limit refused (`alert-names-in-metrics`).
    pub alert_names: bool,
    /// `group_key` of alerts by state (`group-key-in-metrics`).
    pub group_keys: bool,
    /// `receiver_name` of notifications (`receiver-name-in-metrics`).
    pub receiver_names: bool,
    /// This node's name in the cluster; none where clustering is off.
    pub peer_name: Option<String>,
}

#[derive(Clone, Debug)]
pub struct AlertmanagerMetrics {
    settings: MetricSettings,
    alerts: Family<LabelSet, Gauge>,
    alerts_received: Family<LabelSet, Counter>,
    alerts_invalid: Family<LabelSet, Counter>,
    alerts_limited: Family<LabelSet, Counter>,
    limited_names: Arc<Mutex<BTreeSet<String>>>,
    per_alert_limit: Gauge,
    subscriber_writes: Family<LabelSet, Counter>,
    processing: Summary,
    groups: Gauge,
    group_limit_reached: Counter,
    notifications: Family<LabelSet, Counter>,
    notifications_failed: Family<LabelSet, Counter>,
    requests: Family<LabelSet, Counter>,
    requests_failed: Family<LabelSet, Counter>,
    suppressed: Family<LabelSet, Counter>,
    latency: Family<LabelSet, Histogram>,
    pub(crate) silences: SilenceMetrics,
    pub(crate) nflog: KeptMetrics,
    config_hash: Gauge,
    pub(crate) config_successful: Gauge,
    config_success_seconds: Gauge,
    receivers: Gauge,
    integrations: Gauge,
    inhibition_rules: Gauge,
    pub(crate) persist_failures: Counter,
    abandoned: Family<LabelSet, Counter>,
}

impl AlertmanagerMetrics {
    #[must_use]
    pub fn register(metrics: &Metrics, settings: MetricSettings) -> Self {
        cluster::register(metrics, settings.peer_name.as_deref());
        for (name, help) in [
            (
                "alertmanager_dispatcher_aggregation_group_creation_retries",
                "Number of times creating an aggregation group was tried again; groups are created by one hand",
            ),
            (
                "alertmanager_dispatcher_aggregation_group_creation_given_up",
                "Number of times creating an aggregation group was given up",
            ),
        ] {
            metrics.register(name, help, Counter::<u64>::default());
        }
        let figures = Self {
            alerts: metrics.register(
                "alertmanager_alerts",
                "How many alerts by state",
                Family::default(),
            ),
            alerts_received: metrics.register(
                "alertmanager_alerts_received",
                "The total number of received alerts",
                Family::default(),
            ),
            alerts_invalid: metrics.register(
                "alertmanager_alerts_invalid",
                "The total number of received alerts that were invalid",
                Family::default(),
            ),
            alerts_limited: metrics.register(
                "alertmanager_alerts_limited",
                "The total number of alerts that were refused because of a limit",
                Family::default(),
            ),
            limited_names: Arc::default(),
            per_alert_limit: metrics.register(
                "alertmanager_alerts_per_alert_limit",
                "Current limit on number of alerts per alert name",
                Gauge::default(),
            ),
            subscriber_writes: metrics.register(
                "alertmanager_alerts_subscriber_channel_writes",
                "Number of alerts handed to those who act on them",
                Family::default(),
            ),
            processing: metrics.register_summary(
                "alertmanager_dispatcher_alert_processing_duration_seconds",
                "Summary of latencies for the processing of alerts",
            ),
            groups: metrics.register(
                "alertmanager_dispatcher_aggregation_groups",
                "Number of active aggregation groups",
                Gauge::default(),
            ),
            group_limit_reached: metrics.register(
                "alertmanager_dispatcher_aggregation_group_limit_reached",
                "Number of alerts that were refused because the limit of aggregation groups was reached",
                Counter::default(),
            ),
            notifications: metrics.register(
                "alertmanager_notifications",
                "The total number of attempted notifications",
                Family::default(),
            ),
            notifications_failed: metrics.register(
                "alertmanager_notifications_failed",
                "The total number of failed notifications",
                Family::default(),
            ),
            requests: metrics.register(
                "alertmanager_notification_requests",
                "The total number of attempted notification requests",
                Family::default(),
            ),
            requests_failed: metrics.register(
                "alertmanager_notification_requests_failed",
                "The total number of failed notification requests",
                Family::default(),
            ),
            suppressed: metrics.register(
                "alertmanager_notifications_suppressed",
                "The total number of alerts that were muted at a flush",
                Family::default(),
            ),
            latency: metrics.register(
                "alertmanager_notification_latency_seconds",
                "The latency of notification requests in seconds",
                Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            ),
            silences: SilenceMetrics::register(metrics),
            nflog: KeptMetrics::register(metrics, "nflog", "notification log"),
            config_hash: metrics.register(
                "alertmanager_config_hash",
                "Hash of the currently loaded alertmanager configuration",
                Gauge::default(),
            ),
            config_successful: metrics.register(
                "alertmanager_config_last_reload_successful",
                "Whether the last configuration reload attempt was successful",
                Gauge::default(),
            ),
            config_success_seconds: metrics.register(
                "alertmanager_config_last_reload_success_timestamp_seconds",
                "Timestamp of the last successful configuration reload",
                Gauge::default(),
            ),
            receivers: metrics.register(
                "alertmanager_receivers",
                "Number of receivers that a route refers to",
                Gauge::default(),
            ),
            integrations: metrics.register(
                "alertmanager_integrations",
                "Number of configured integrations",
                Gauge::default(),
            ),
            inhibition_rules: metrics.register(
                "alertmanager_inhibition_rules",
                "Number of configured inhibition rules",
                Gauge::default(),
            ),
            persist_failures: metrics.register(
                "watchbell_alertmanager_persist_failures",
                "Writes of alerts, silences or notifications that did not reach the log",
                Counter::default(),
            ),
            abandoned: metrics.register(
                "watchbell_notifications_abandoned",
                "Notifications that failed until there was nothing left to tell, or nobody to tell it to",
                Family::default(),
            ),
            settings,
        };
        figures.begin_at_zero();
        figures
    }

    pub(crate) fn received(&self, status: &str, count: usize) {
        let labels = pairs(&[("status", status), ("version", "v2")]);
        self.alerts_received
            .get_or_create(&labels)
            .inc_by(count as u64);
    }

    pub(crate) fn invalid(&self, count: usize) {
        self.alerts_invalid
            .get_or_create(&pairs(&[("version", "v2")]))
            .inc_by(count as u64);
    }

    /// Alerts that are routed, and may inhibit others.
    pub(crate) fn taken_in(&self, count: usize) {
        for subscriber in ["dispatcher", "inhibitor"] {
            self.subscriber_writes
                .get_or_create(&pairs(&[("subscriber", subscriber)]))
                .inc_by(count as u64);
        }
    }

    pub(crate) fn processed(&self, took: Duration, count: usize) {
        self.processing.observe_all(took, count as u64);
    }

    pub(crate) fn limited(&self, limit: Limit, alertname: &str, count: usize) {
        let labels = if self.settings.alert_names {
            pairs(&[("alertname", self.limited_name(alertname))])
        } else {
            LabelSet::new()
        };
        self.alerts_limited
            .get_or_create(&labels)
            .inc_by(count as u64);
        match limit {
            Limit::Groups(_) => {
                self.group_limit_reached.inc_by(count as u64);
            }
            Limit::Alerts(_) | Limit::AlertsOfName(_) => {}
        }
    }

    pub(crate) fn limit_per_name(&self, limit: usize) {
        self.per_alert_limit.set(number(limit));
    }

    /// A notification reaches sending: counted once, however many attempts it needs.
    pub(crate) fn notification(&self, key: &LogKey) {
        self.notifications.get_or_create(&self.labels(key)).inc();
    }

    pub(crate) fn notification_failed(&self, key: &LogKey, reason: FailureReason) {
        let labels = with_reason(self.labels(key), reason);
        self.notifications_failed.get_or_create(&labels).inc();
    }

    pub(crate) fn abandoned(&self, integration: &str, cause: AbandonCause) {
        let labels = pairs(&[("integration", integration), ("reason", cause.as_str())]);
        self.abandoned.get_or_create(&labels).inc();
    }

    pub(crate) fn request(&self, key: &LogKey) {
        self.requests.get_or_create(&self.labels(key)).inc();
    }

    pub(crate) fn request_failed(&self, key: &LogKey) {
        self.requests_failed.get_or_create(&self.labels(key)).inc();
    }

    pub(crate) fn latency(&self, key: &LogKey, seconds: f64) {
        self.latency
            .get_or_create(&self.labels(key))
            .observe(seconds);
    }

    pub(crate) fn suppressed(&self, reason: MuteReason, count: usize) {
        self.suppressed
            .get_or_create(&pairs(&[("reason", reason.as_str())]))
            .inc_by(count as u64);
    }

    /// A configuration is in force since `seconds`.
    pub(crate) fn configured(&self, config: &AlertmanagerConfig, seconds: i64) {
        let routes = config.routes.routes();
        let referenced: BTreeSet<&str> =
            routes.iter().map(|route| route.receiver.as_str()).collect();
        let integrations = config
            .receivers
            .iter()
            .map(|receiver| receiver.integrations.len())
            .sum();
        self.receivers.set(number(referenced.len()));
        self.integrations.set(number(integrations));
        self.inhibition_rules
            .set(number(config.inhibit_rules.len()));
        self.config_successful.set(1);
        self.config_success_seconds.set(seconds);
        if self.settings.receiver_names {
            self.begin_receivers_at_zero(config);
        }
    }

    pub(crate) fn config_hash(&self, hash: u64) {
        self.config_hash
            .set(i64::try_from(hash).unwrap_or(i64::MAX));
    }

    /// How much there is of all tenants.
    pub(crate) fn show(&self, tally: &Tally) {
        self.groups.set(number(tally.groups));
        self.silences.show(tally);
        if self.settings.group_keys {
            // Groups come and go.
            self.alerts.clear();
            for (key, of_group) in &tally.by_group {
                for (state, count) in [
                    ("active", of_group.active),
                    ("suppressed", of_group.suppressed),
                ] {
                    let labels = pairs(&[("state", state), ("group_key", key.as_str())]);
                    self.alerts.get_or_create(&labels).set(number(count));
                }
            }
            return;
        }
        for (state, count) in [
            ("active", tally.active),
            ("suppressed", tally.suppressed),
            // Every alert is judged as it comes.
            ("unprocessed", 0),
        ] {
            self.alerts
                .get_or_create(&pairs(&[("state", state)]))
                .set(number(count));
        }
    }

    pub(crate) fn by_group(&self) -> bool {
        self.settings.group_keys
    }

    fn labels(&self, key: &LogKey) -> LabelSet {
        self.labels_of(&key.integration, &key.receiver)
    }

    fn labels_of(&self, integration: &str, receiver: &str) -> LabelSet {
        if self.settings.receiver_names {
            pairs(&[("integration", integration), ("receiver_name", receiver)])
        } else {
            pairs(&[("integration", integration)])
        }
    }

    fn limited_name<'a>(&self, alertname: &'a str) -> &'a str {
        let mut names = self.limited_names.lock();
        if names.contains(alertname) {
            return alertname;
        }
        if names.len() >= LIMITED_NAMES_MAX {
            return "";
        }
        names.insert(alertname.to_owned());
        alertname
    }

    /// What can be counted stands at 0 from the start, so that its first increase is seen.
    fn begin_at_zero(&self) {
        for status in ["firing", "resolved"] {
            self.received(status, 0);
        }
        self.invalid(0);
        self.taken_in(0);
        if !self.settings.alert_names {
            self.limited(Limit::Alerts(0), "", 0);
        }
        for reason in [
            MuteReason::ActiveTimeInterval,
            MuteReason::Inhibition,
            MuteReason::MuteTimeInterval,
            MuteReason::Silence,
        ] {
            self.suppressed(reason, 0);
        }
        self.show(&Tally::default());
        for kind in IntegrationKind::ALL {
            if !self.settings.receiver_names {
                self.begin_integration_at_zero(&pairs(&[("integration", kind.as_str())]));
            }
            for cause in [
                AbandonCause::AlertsEnded,
                AbandonCause::Expired,
                AbandonCause::Reconfigured,
            ] {
                let labels = pairs(&[("integration", kind.as_str()), ("reason", cause.as_str())]);
                self.abandoned.get_or_create(&labels).inc_by(0);
            }
        }
    }

    /// Receivers that are gone leave no figures behind.
    fn begin_receivers_at_zero(&self, config: &AlertmanagerConfig) {
        self.notifications.clear();
        self.notifications_failed.clear();
        self.requests.clear();
        self.requests_failed.clear();
        self.latency.clear();
        for receiver in &config.receivers {
            for integration in &receiver.integrations {
                let kind = integration.kind().as_str();
                self.begin_integration_at_zero(&self.labels_of(kind, &receiver.name));
            }
        }
    }

    fn begin_integration_at_zero(&self, labels: &LabelSet) {
        self.notifications.get_or_create(labels).inc_by(0);
        self.requests.get_or_create(labels).inc_by(0);
        self.requests_failed.get_or_create(labels).inc_by(0);
        drop(self.latency.get_or_create(labels));
        for reason in FailureReason::ALL {
            let labels = with_reason(labels.clone(), reason);
            self.notifications_failed.get_or_create(&labels).inc_by(0);
        }
    }
}

fn with_reason(mut labels: LabelSet, reason: FailureReason) -> LabelSet {
    labels.push(("reason".to_owned(), reason.as_str().to_owned()));
    labels
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
