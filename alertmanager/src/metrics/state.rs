//! Figures of what is kept: silences and the notification log.
use std::time::Duration;

use alertmanager_core::{SilenceState, SilencesAsked, Tally};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::{Metrics, Summary};

use crate::metrics::labels::{LabelSet, pairs};

/// The default buckets of Go's client, in seconds.
const QUERY_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What Alertmanager counts of silences and of its log alike.
#[derive(Clone, Debug)]
pub(crate) struct KeptMetrics {
    queries: Counter,
    query_errors: Counter,
    query_duration: Histogram,
    garbage_duration: Summary,
    snapshot_duration: Summary,
    snapshot_bytes: Gauge,
    maintenances: Counter,
    maintenance_errors: Counter,
}

#[derive(Clone, Debug)]
pub(crate) struct SilenceMetrics {
    pub(crate) kept: KeptMetrics,
    by_state: Family<LabelSet, Gauge>,
    scanned: Counter,
    skipped: Counter,
    state_size: Gauge,
    matcher_index_size: Gauge,
    version_index_size: Gauge,
    compile_errors: Family<LabelSet, Counter>,
}

impl KeptMetrics {
    /// `what` is `silences` or `nflog`, `words` what people call it.
    pub(crate) fn register(metrics: &Metrics, what: &str, words: &str) -> Self {
        let counter = |name: &str, help: String| {
            metrics.register(
                &format!("alertmanager_{what}_{name}"),
                &help,
                Counter::default(),
            )
        };
        let summary = |name: &str, help: String| {
            metrics.register_summary(&format!("alertmanager_{what}_{name}"), &help)
        };
        Self {
            queries: counter("queries", format!("How many {words} queries were received")),
            query_errors: counter(
                "query_errors",
                format!("How many {words} received queries did not succeed"),
            ),
            query_duration: metrics.register(
                &format!("alertmanager_{what}_query_duration_seconds"),
                &format!(
                    "Duration of {words} query evaluation, where it was asked for by a request"
                ),
                Histogram::new(QUERY_BUCKETS),
            ),
            garbage_duration: summary(
                "gc_duration_seconds",
                format!("Duration of the turns in which {words} garbage was collected"),
            ),
            snapshot_duration: summary(
                "snapshot_duration_seconds",
                format!("Duration of writing the {words} snapshot"),
            ),
            snapshot_bytes: metrics.register(
                &format!("alertmanager_{what}_snapshot_size_bytes"),
                &format!("Size of the last {words} snapshot in bytes"),
                Gauge::default(),
            ),
            maintenances: counter(
                "maintenance",
                format!("How many maintenances were executed for the {words}"),
            ),
            maintenance_errors: counter(
                "maintenance_errors",
                format!("How many maintenances were executed for the {words} that failed"),
            ),
        }
    }

    pub(crate) fn asked(&self, count: usize) {
        self.queries.inc_by(count as u64);
    }

    /// A request asked, and was answered or not.
    pub(crate) fn asked_by_request(&self, took: Duration, well: bool) {
        self.queries.inc();
        self.query_duration.observe(took.as_secs_f64());
        if !well {
            self.query_errors.inc();
        }
    }

    pub(crate) fn garbage_collected(&self, took: Duration) {
        self.garbage_duration.observe(took);
    }

    /// `bytes` of what was written, where it was.
    pub(crate) fn maintained(&self, took: Duration, bytes: Option<usize>) {
        self.maintenances.inc();
        match bytes {
            Some(bytes) => {
                self.snapshot_duration.observe(took);
                self.snapshot_bytes
                    .set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
            None => {
                self.maintenance_errors.inc();
            }
        }
    }
}

impl SilenceMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let figures = Self {
            kept: KeptMetrics::register(metrics, "silences", "silence"),
            by_state: metrics.register(
                "alertmanager_silences",
                "How many silences by state",
                Family::default(),
            ),
            scanned: metrics.register(
                "alertmanager_silences_query_silences_scanned",
                "How many silences were held against an alert during queries",
                Counter::default(),
            ),
            skipped: metrics.register(
                "alertmanager_silences_query_silences_skipped",
                "How many silences were ruled out by an index during queries",
                Counter::default(),
            ),
            state_size: metrics.register(
                "alertmanager_silences_state_size",
                "The number of silences that are kept",
                Gauge::default(),
            ),
            matcher_index_size: metrics.register(
                "alertmanager_silences_matcher_index_size",
                "The number of silences whose matchers are indexed",
                Gauge::default(),
            ),
            version_index_size: metrics.register(
                "alertmanager_silences_version_index_size",
                "The number of silences whose versions are known, which are all",
                Gauge::default(),
            ),
            compile_errors: metrics.register(
                "alertmanager_silences_matcher_compile_errors",
                "How many silences had matchers that could not be compiled",
                Family::default(),
            ),
        };
        // It cannot fail: a collection of garbage asks nobody.
        metrics.register(
            "alertmanager_silences_gc_errors",
            "How many silence garbage collections failed",
            Counter::<u64>::default(),
        );
        figures.show(&Tally::default());
        for stage in ["index", "load_snapshot"] {
            figures
                .compile_errors
                .get_or_create(&pairs(&[("stage", stage)]))
                .inc_by(0);
        }
        figures
    }

    pub(crate) fn asked_at_flush(&self, asked: SilencesAsked) {
        self.kept.asked(asked.queries);
        self.scanned.inc_by(asked.scanned as u64);
        self.skipped.inc_by(asked.skipped as u64);
    }

    /// Silences of an Alertmanager's file that were passed over.
    pub(crate) fn not_loaded(&self, count: usize) {
        self.compile_errors
            .get_or_create(&pairs(&[("stage", "load_snapshot")]))
            .inc_by(count as u64);
    }

    pub(crate) fn show(&self, tally: &Tally) {
        let states = [
            SilenceState::Pending,
            SilenceState::Active,
            SilenceState::Expired,
        ];
        let mut sum = 0;
        for (state, count) in states.into_iter().zip(tally.silences) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            sum += count;
            self.by_state
                .get_or_create(&pairs(&[("state", state.as_str())]))
                .set(count);
        }
        for gauge in [
            &self.state_size,
            &self.matcher_index_size,
            &self.version_index_size,
        ] {
            gauge.set(sum);
        }
    }
}
