//! The ruler's figures, under the names that Prometheus' dashboards know.
//!
//! Where Prometheus has a summary this has a histogram of the same name: `_sum` and `_count` are there, quantiles come
//! from the buckets.
use std::time::Duration;

use model::TenantId;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use ruler_core::{Destination, GroupKey, LastIteration};
use runtime::Metrics;
use std::sync::atomic::AtomicU64;

use crate::rule_collector::RuleCollector;
use crate::views::Views;

type LabelSet = Vec<(String, String)>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Prometheus' own buckets for evaluations and for notifications.
const DURATION_BUCKETS: [f64; 8] = [0.01, 0.1, 0.5, 1.0, 3.0, 7.0, 15.0, 30.0];

#[derive(Clone, Debug)]
pub struct RulerMetrics {
    rules: RuleCollector,
    evaluation_duration: Histogram,
    group_duration: Histogram,
    iterations: Family<LabelSet, Counter>,
    iterations_missed: Family<LabelSet, Counter>,
    evaluations: Family<LabelSet, Counter>,
    evaluation_failures: Family<LabelSet, Counter>,
    group_interval: Family<LabelSet, FloatGauge>,
    group_last_evaluation: Family<LabelSet, FloatGauge>,
    group_last_duration: Family<LabelSet, FloatGauge>,
    group_last_rule_duration_sum: Family<LabelSet, FloatGauge>,
    group_last_samples: Family<LabelSet, Gauge>,
    group_rules: Family<LabelSet, Gauge>,
    pub(crate) template_expansions: Counter,
    pub(crate) template_expansion_failures: Counter,
    pub(crate) selections_shared: Counter,
    pub(crate) persist_failures: Counter,
    pub(crate) log_damages: Counter,
    pub(crate) rule_storage_reachable: Gauge,
    pub(crate) rule_storage_failures: Counter,
    pub(crate) rule_storage_groups: Gauge,
    pub(crate) rule_storage_damaged: Gauge,
    notification_latency: Family<LabelSet, Histogram>,
    notification_errors: Family<LabelSet, Counter>,
    notifications_sent: Family<LabelSet, Counter>,
    notifications_dropped: Family<LabelSet, Counter>,
    notification_queue_length: Family<LabelSet, Gauge>,
    alertmanagers: Gauge,
}

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl RulerMetrics {
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let capacity: Gauge = metrics.register(
            "prometheus_notifications_queue_capacity",
            "The capacity of the alert notifications queue of one tenant and one Alertmanager",
            Gauge::default(),
        );
        capacity.set(i64::try_from(ruler_core::WAITING_MAX).unwrap_or(i64::MAX));
        let twice = |summary: &str, name: &str, help: &str| {
            let histogram = metrics.register(name, help, duration_histogram());
            metrics.register(summary, help, histogram)
        };
        let latency_help = "Latency for sending alert notifications";
        let notification_latency = metrics.register(
            "prometheus_notifications_latency_histogram_seconds",
            latency_help,
            Family::new_with_constructor(duration_histogram as fn() -> Histogram),
        );
        metrics.register(
            "prometheus_notifications_latency_seconds",
            latency_help,
            notification_latency.clone(),
        );
        let rules = RuleCollector::default();
        metrics.collect(Box::new(rules.clone()));
        Self {
            rules,
            evaluation_duration: twice(
                "prometheus_rule_evaluation_duration_seconds",
                "prometheus_rule_evaluation_duration_histogram_seconds",
                "The duration for a rule to execute",
            ),
            group_duration: twice(
                "prometheus_rule_group_duration_seconds",
                "prometheus_rule_group_duration_histogram_seconds",
                "The duration of rule group evaluations",
            ),
            iterations: metrics.register(
                "prometheus_rule_group_iterations",
                "The total number of scheduled rule group evaluations, whether executed or missed",
                Family::default(),
            ),
            iterations_missed: metrics.register(
                "prometheus_rule_group_iterations_missed",
                "The total number of rule group evaluations missed due to slow rule group evaluation",
                Family::default(),
            ),
            evaluations: metrics.register(
                "prometheus_rule_evaluations",
                "The total number of rule evaluations",
                Family::default(),
            ),
            evaluation_failures: metrics.register(
                "prometheus_rule_evaluation_failures",
                "The total number of rule evaluation failures",
                Family::default(),
            ),
            group_interval: metrics.register(
                "prometheus_rule_group_interval_seconds",
                "The interval of a rule group",
                Family::default(),
            ),
            group_last_evaluation: metrics.register(
                "prometheus_rule_group_last_evaluation_timestamp_seconds",
                "The timestamp of the last rule group evaluation in seconds",
                Family::default(),
            ),
            group_last_duration: metrics.register(
                "prometheus_rule_group_last_duration_seconds",
                "The duration of the last rule group evaluation",
                Family::default(),
            ),
            group_last_rule_duration_sum: metrics.register(
                "prometheus_rule_group_last_rule_duration_sum_seconds",
                "The sum of time in seconds it took to evaluate each rule in the group regardless of concurrency",
                Family::default(),
            ),
            group_last_samples: metrics.register(
                "prometheus_rule_group_last_evaluation_samples",
                "The number of samples returned during the last rule group evaluation",
                Family::default(),
            ),
            group_rules: metrics.register(
                "prometheus_rule_group_rules",
                "The number of rules",
                Family::default(),
            ),
            template_expansions: metrics.register(
                "prometheus_template_text_expansions",
                "The total number of template text expansions",
                Counter::default(),
            ),
            template_expansion_failures: metrics.register(
                "prometheus_template_text_expansion_failures",
                "The total number of template text expansion failures",
                Counter::default(),
            ),
            selections_shared: metrics.register(
                "watchbell_ruler_selections_shared",
                "Selections of samples that a rule did not make because another rule of its group had made the same",
                Counter::default(),
            ),
            persist_failures: metrics.register(
                "watchbell_ruler_persist_failures",
                "Changes of alert state that could not be written to the log",
                Counter::default(),
            ),
            rule_storage_reachable: metrics.register(
                "watchbell_rule_storage_reachable",
                "Whether the storage of uploaded rules could be read when it was looked at last",
                Gauge::default(),
            ),
            rule_storage_failures: metrics.register(
                "watchbell_rule_storage_failures",
                "Reads and changes of the storage of uploaded rules that failed",
                Counter::default(),
            ),
            rule_storage_groups: metrics.register(
                "watchbell_rule_storage_groups",
                "Uploaded rule groups of all tenants, as of the last look",
                Gauge::default(),
            ),
            rule_storage_damaged: metrics.register(
                "watchbell_rule_storage_damaged_objects",
                "Objects in the storage of uploaded rules that cannot be read or do not run",
                Gauge::default(),
            ),
            log_damages: metrics.register(
                "watchbell_ruler_log_damages",
                "Damaged or missing places that were found in the log of alert state at the start",
                Counter::default(),
            ),
            notification_latency,
            notification_errors: metrics.register(
                "prometheus_notifications_errors",
                "Total number of sent alerts affected by errors",
                Family::default(),
            ),
            notifications_sent: metrics.register(
                "prometheus_notifications_sent",
                "Total number of alerts sent",
                Family::default(),
            ),
            notifications_dropped: metrics.register(
                "prometheus_notifications_dropped",
                "Total number of alerts dropped",
                Family::default(),
            ),
            notification_queue_length: metrics.register(
                "prometheus_notifications_queue_length",
                "The number of alert notifications in the queue",
                Family::default(),
            ),
            alertmanagers: metrics.register(
                "prometheus_notifications_alertmanagers_discovered",
                "The number of alertmanagers discovered and active",
                Gauge::default(),
            ),
        }
    }

    /// Shows what each rule of `views` takes.
    pub(crate) fn watch_rules(&self, views: Views) {
        self.rules.watch(views);
    }

    pub(crate) fn alertmanagers_known(&self, count: usize) {
        self.alertmanagers
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn group_loaded(
        &self,
        tenant: &TenantId,
        group: &GroupKey,
        interval: Duration,
        rules: usize,
    ) {
        let labels = group_labels(tenant, group);
        self.group_interval
            .get_or_create(&labels)
            .set(interval.as_secs_f64());
        self.group_rules
            .get_or_create(&labels)
            .set(i64::try_from(rules).unwrap_or(i64::MAX));
        // What counts is there from the first scrape on, so that the first increase is seen.
        drop(self.iterations.get_or_create(&labels));
        drop(self.iterations_missed.get_or_create(&labels));
        drop(self.evaluations.get_or_create(&labels));
        drop(self.evaluation_failures.get_or_create(&labels));
    }

    pub(crate) fn group_removed(&self, tenant: &TenantId, group: &GroupKey) {
        let labels = group_labels(tenant, group);
        self.iterations.remove(&labels);
        self.iterations_missed.remove(&labels);
        self.evaluations.remove(&labels);
        self.evaluation_failures.remove(&labels);
        self.group_interval.remove(&labels);
        self.group_last_evaluation.remove(&labels);
        self.group_last_duration.remove(&labels);
        self.group_last_rule_duration_sum.remove(&labels);
        self.group_last_samples.remove(&labels);
        self.group_rules.remove(&labels);
    }

    /// Missed slots count as iterations too, as in Prometheus.
    pub(crate) fn iteration_started(&self, tenant: &TenantId, group: &GroupKey, missed: u64) {
        let labels = group_labels(tenant, group);
        self.iterations.get_or_create(&labels).inc_by(1 + missed);
        self.iterations_missed.get_or_create(&labels).inc_by(missed);
    }

    pub(crate) fn iteration_finished(
        &self,
        tenant: &TenantId,
        group: &GroupKey,
        iteration: &LastIteration,
    ) {
        let labels = group_labels(tenant, group);
        self.group_duration.observe(iteration.took.as_secs_f64());
        self.group_last_duration
            .get_or_create(&labels)
            .set(iteration.took.as_secs_f64());
        self.group_last_rule_duration_sum
            .get_or_create(&labels)
            .set(iteration.rules_took.as_secs_f64());
        self.group_last_evaluation
            .get_or_create(&labels)
            .set(iteration.started.as_secs_f64());
        self.group_last_samples
            .get_or_create(&labels)
            .set(i64::try_from(iteration.samples).unwrap_or(i64::MAX));
    }

    pub(crate) fn rule_evaluated(
        &self,
        tenant: &TenantId,
        group: &GroupKey,
        took: Duration,
        failed: bool,
    ) {
        let labels = group_labels(tenant, group);
        self.evaluation_duration.observe(took.as_secs_f64());
        self.evaluations.get_or_create(&labels).inc();
        if failed {
            self.evaluation_failures.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn write_failed(&self, tenant: &TenantId, group: &GroupKey) {
        self.evaluation_failures
            .get_or_create(&group_labels(tenant, group))
            .inc();
    }

    pub(crate) fn batch_sent(&self, destination: &Destination, latency: Duration) {
        self.notification_latency
            .get_or_create(&destination_labels(destination))
            .observe(latency.as_secs_f64());
    }

    pub(crate) fn alerts_delivered(&self, destination: &Destination, count: usize) {
        self.notifications_sent
            .get_or_create(&destination_labels(destination))
            .inc_by(count as u64);
    }

    pub(crate) fn alerts_failed(&self, destination: &Destination, count: usize) {
        self.notification_errors
            .get_or_create(&destination_labels(destination))
            .inc_by(count as u64);
    }

    pub(crate) fn alerts_dropped(&self, destination: &Destination, count: usize) {
        self.notifications_dropped
            .get_or_create(&destination_labels(destination))
            .inc_by(count as u64);
    }

    /// How many more, or fewer, alerts of any tenant wait for a destination than before.
    pub(crate) fn queue_changed(&self, destination: &Destination, by: i64) {
        self.notification_queue_length
            .get_or_create(&destination_labels(destination))
            .inc_by(by);
    }
}

/// The tenant of a single-tenant installation stays unnamed, so that its dashboards are Prometheus' own.
pub(crate) fn group_labels(tenant: &TenantId, group: &GroupKey) -> LabelSet {
    let mut labels = vec![("rule_group".to_owned(), group.to_string())];
    if *tenant != TenantId::anonymous() {
        labels.push(("user".to_owned(), tenant.to_string()));
    }
    labels
}

fn destination_labels(destination: &Destination) -> LabelSet {
    vec![("alertmanager".to_owned(), destination.0.to_string())]
}
