//! The Alertmanager's figures, under the names that its dashboards and alerts know.
use alertmanager_core::{AbandonCause, MuteReason};
use config::IntegrationKind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::Metrics;

type LabelSet = Vec<(String, String)>;

/// Alertmanager's own buckets for notifications, in seconds.
const LATENCY_BUCKETS: [f64; 5] = [1.0, 5.0, 10.0, 15.0, 20.0];

/// Why notifications fail, as Alertmanager counts it.
const FAILURE_REASONS: [&str; 2] = ["clientError", "other"];

#[derive(Clone, Debug)]
pub struct AlertmanagerMetrics {
    pub(crate) alerts: Family<LabelSet, Gauge>,
    alerts_received: Family<LabelSet, Counter>,
    alerts_invalid: Family<LabelSet, Counter>,
    pub(crate) alerts_limited: Counter,
    pub(crate) groups: Gauge,
    notifications: Family<LabelSet, Counter>,
    notifications_failed: Family<LabelSet, Counter>,
    requests: Family<LabelSet, Counter>,
    requests_failed: Family<LabelSet, Counter>,
    suppressed: Family<LabelSet, Counter>,
    latency: Family<LabelSet, Histogram>,
    pub(crate) silences: Family<LabelSet, Gauge>,
    pub(crate) config_successful: Gauge,
    pub(crate) config_success_seconds: Gauge,
    pub(crate) receivers: Gauge,
    pub(crate) integrations: Gauge,
    pub(crate) inhibition_rules: Gauge,
    pub(crate) persist_failures: Counter,
    abandoned: Family<LabelSet, Counter>,
}

impl AlertmanagerMetrics {
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
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
                Counter::default(),
            ),
            groups: metrics.register(
                "alertmanager_dispatcher_aggregation_groups",
                "Number of active aggregation groups",
                Gauge::default(),
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
            silences: metrics.register(
                "alertmanager_silences",
                "How many silences by state",
                Family::default(),
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
                "Number of configured receivers",
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

    /// A notification reaches sending: counted once, however many attempts it needs.
    pub(crate) fn notification(&self, integration: &str) {
        self.notifications
            .get_or_create(&pairs(&[("integration", integration)]))
            .inc();
    }

    pub(crate) fn notification_failed(&self, integration: &str, reason: &str) {
        self.notifications_failed
            .get_or_create(&pairs(&[("integration", integration), ("reason", reason)]))
            .inc();
    }

    pub(crate) fn abandoned(&self, integration: &str, cause: AbandonCause) {
        let labels = pairs(&[("integration", integration), ("reason", cause.as_str())]);
        self.abandoned.get_or_create(&labels).inc();
    }

    pub(crate) fn request(&self, integration: &str) {
        self.requests
            .get_or_create(&pairs(&[("integration", integration)]))
            .inc();
    }

    pub(crate) fn request_failed(&self, integration: &str) {
        self.requests_failed
            .get_or_create(&pairs(&[("integration", integration)]))
            .inc();
    }

    pub(crate) fn latency(&self, integration: &str, seconds: f64) {
        self.latency
            .get_or_create(&pairs(&[("integration", integration)]))
            .observe(seconds);
    }

    pub(crate) fn suppressed(&self, reason: MuteReason, count: usize) {
        self.suppressed
            .get_or_create(&pairs(&[("reason", reason.as_str())]))
            .inc_by(count as u64);
    }

    /// What can be counted stands at 0 from the start, so that its first increase is seen.
    fn begin_at_zero(&self) {
        for status in ["firing", "resolved"] {
            self.received(status, 0);
        }
        self.invalid(0);
        for reason in [
            MuteReason::ActiveTimeInterval,
            MuteReason::Inhibition,
            MuteReason::MuteTimeInterval,
            MuteReason::Silence,
        ] {
            self.suppressed(reason, 0);
        }
        for kind in [
            IntegrationKind::Email,
            IntegrationKind::PagerDuty,
            IntegrationKind::Slack,
            IntegrationKind::Webhook,
        ] {
            let labels = pairs(&[("integration", kind.as_str())]);
            self.notifications.get_or_create(&labels).inc_by(0);
            self.requests.get_or_create(&labels).inc_by(0);
            self.requests_failed.get_or_create(&labels).inc_by(0);
            for cause in [
                AbandonCause::AlertsEnded,
                AbandonCause::Expired,
                AbandonCause::Reconfigured,
            ] {
                let labels = pairs(&[("integration", kind.as_str()), ("reason", cause.as_str())]);
                self.abandoned.get_or_create(&labels).inc_by(0);
            }
            for reason in FAILURE_REASONS {
                let labels = pairs(&[("integration", kind.as_str()), ("reason", reason)]);
                self.notifications_failed.get_or_create(&labels).inc_by(0);
            }
        }
    }
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> LabelSet {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
