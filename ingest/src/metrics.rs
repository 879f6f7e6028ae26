//! What the ingest tells about itself.
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use ingest_core::{MetadataRefused, Reason, Refused, Report, SampleError, WriteError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use promql::{EvalError, ReadError};
use runtime::Metrics;

use crate::query_slots::TooManyQueries;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Prometheus' label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

/// Cheap to copy. Tenants are not told apart: their number has no small bound.
#[derive(Clone, Debug)]
pub(crate) struct IngestMetrics {
    pub(crate) samples: Counter,
    pub(crate) exemplars: Counter,
    refused_metadata: Family<ReasonLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    refused_requests: Family<ReasonLabel, Counter>,
    invalid_labels: Counter,
    late: Family<TypeLabel, Counter>,
    contradicting: Counter,
    out_of_order: Counter,
    out_of_bounds: Counter,
    before_window: Counter,
    pub(crate) tenants: Gauge,
    pub(crate) open_tenants: Gauge,
    pub(crate) opened_tenants: Counter,
    pub(crate) closed_tenants: Counter,
    pub(crate) series: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) log_write_failures: Gauge,
    pub(crate) log_sync_failures: Gauge,
    pub(crate) log_damages: Counter,
    pub(crate) replay_seconds: Gauge<f64, AtomicU64>,
    pub(crate) checkpoints: Counter,
    pub(crate) failed_checkpoints: Counter,
    pub(crate) blocks: Gauge,
    pub(crate) block_bytes: Gauge,
    pub(crate) damaged_blocks: Counter,
    pub(crate) cuts: Counter,
    pub(crate) compactions: Counter,
    pub(crate) failed_block_writes: Counter,
    pub(crate) expired_blocks: Counter,
    pub(crate) unknown_chunks: Counter,
    pub(crate) queries: Counter,
    refused_queries: Family<ReasonLabel, Counter>,
    stopped_queries: Family<ReasonLabel, Counter>,
}

impl IngestMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            samples: metrics.register(
                "watchbell_ingest_samples",
                "Samples that were admitted and logged",
                Counter::default(),
            ),
            exemplars: metrics.register(
                "watchbell_ingest_exemplars",
                "Exemplars that were taken in",
                Counter::default(),
            ),
            refused_metadata: metrics.register(
                "watchbell_ingest_refused_metadata",
                "Descriptions of metrics that were left out",
                Family::default(),
            ),
            refused: metrics.register(
                "watchbell_ingest_refused_samples",
                "Samples and exemplars that were left out of requests of which the rest was kept",
                Family::default(),
            ),
            refused_requests: metrics.register(
                "watchbell_ingest_refused_requests",
                "Requests of which nothing was kept",
                Family::default(),
            ),
            invalid_labels: metrics.register(
                "prometheus_api_remote_write_invalid_labels_samples",
                "Samples whose labels name no series",
                Counter::default(),
            ),
            late: metrics.register(
                "prometheus_tsdb_head_out_of_order_samples_appended",
                "Samples out of order that were admitted and logged",
                Family::default(),
            ),
            contradicting: metrics.register(
                "watchbell_ingest_contradicting_samples",
                "Samples out of order that were not kept, since memory holds another value of their time",
                Counter::default(),
            ),
            out_of_order: metrics.register(
                "prometheus_tsdb_out_of_order_samples",
                "Samples that were refused because they came out of order",
                Counter::default(),
            ),
            out_of_bounds: metrics.register(
                "prometheus_tsdb_out_of_bound_samples",
                "Samples that were refused because they were older than what memory holds",
                Counter::default(),
            ),
            before_window: metrics.register(
                "prometheus_tsdb_too_old_samples",
                "Samples that were refused because they were older than the window for what comes out of order",
                Counter::default(),
            ),
            tenants: metrics.register(
                "watchbell_ingest_tenants",
                "Tenants that have sent samples",
                Gauge::default(),
            ),
            open_tenants: metrics.register(
                "watchbell_ingest_open_tenants",
                "Tenants that are in memory; the others are opened by whoever needs them",
                Gauge::default(),
            ),
            opened_tenants: metrics.register(
                "watchbell_ingest_opened_tenants",
                "Tenants that were opened since the start",
                Counter::default(),
            ),
            closed_tenants: metrics.register(
                "watchbell_ingest_closed_tenants",
                "Tenants that were closed, because nobody used them",
                Counter::default(),
            ),
            series: metrics.register(
                "watchbell_ingest_series",
                "Series in memory",
                Gauge::default(),
            ),
            log_bytes: metrics.register(
                "watchbell_ingest_log_bytes",
                "Size of the log on disk",
                Gauge::default(),
            ),
            log_write_failures: metrics.register(
                "watchbell_ingest_log_write_failures",
                "Writes to the log that failed since the start",
                Gauge::default(),
            ),
            log_sync_failures: metrics.register(
                "watchbell_ingest_log_sync_failures",
                "Syncs of the log that failed since the start",
                Gauge::default(),
            ),
            log_damages: metrics.register(
                "watchbell_ingest_log_damages",
                "Damaged or missing places that were found in log and snapshots",
                Counter::default(),
            ),
            replay_seconds: metrics.register(
                "watchbell_ingest_replay_seconds",
                "How long reading snapshots and log took at the start",
                Gauge::default(),
            ),
            checkpoints: metrics.register(
                "watchbell_ingest_checkpoints",
                "Checkpoints that shortened the log",
                Counter::default(),
            ),
            failed_checkpoints: metrics.register(
                "watchbell_ingest_failed_checkpoints",
                "Checkpoints that failed; the log keeps what they would have saved",
                Counter::default(),
            ),
            blocks: metrics.register(
                "watchbell_ingest_blocks",
                "Blocks on disk",
                Gauge::default(),
            ),
            block_bytes: metrics.register(
                "watchbell_ingest_block_bytes",
                "Size of the blocks on disk",
                Gauge::default(),
            ),
            damaged_blocks: metrics.register(
                "watchbell_ingest_damaged_blocks",
                "Blocks that could not be read when their tenant was opened; queries go without them",
                Counter::default(),
            ),
            cuts: metrics.register(
                "watchbell_ingest_cuts",
                "Blocks that were cut out of memory",
                Counter::default(),
            ),
            compactions: metrics.register(
                "watchbell_ingest_compactions",
                "Blocks that were made of smaller ones",
                Counter::default(),
            ),
            failed_block_writes: metrics.register(
                "watchbell_ingest_failed_block_writes",
                "Blocks that could not be cut or merged; what they would hold stays where it is",
                Counter::default(),
            ),
            expired_blocks: metrics.register(
                "watchbell_ingest_expired_blocks",
                "Blocks that were removed for their age or for want of room",
                Counter::default(),
            ),
            unknown_chunks: metrics.register(
                "watchbell_ingest_unknown_chunks",
                "Chunks that queries passed over, because their encoding cannot be read",
                Counter::default(),
            ),
            queries: metrics.register(
                "watchbell_ingest_queries",
                "Queries that were run",
                Counter::default(),
            ),
            stopped_queries: metrics.register(
                "watchbell_ingest_stopped_queries",
                "Queries that were stopped at a bound of theirs, or because nobody waited any more",
                Family::default(),
            ),
            refused_queries: metrics.register(
                "watchbell_ingest_refused_queries",
                "Queries, and requests for series, that did not get their turn in time",
                Family::default(),
            ),
        }
    }

    pub(crate) fn count_refused(&self, refused: &BTreeMap<Reason, Refused>) {
        for (reason, refused) in refused {
            let samples = refused.samples as u64;
            let label = ReasonLabel {
                reason: reason.as_str(),
            };
            self.refused.get_or_create(&label).inc_by(samples);
            match reason {
                Reason::Labels(_) => {
                    self.invalid_labels.inc_by(samples);
                }
                Reason::Sample(error) => self.count_refused_samples(*error, samples),
                Reason::Exemplar(_)
                | Reason::Flaw(_)
                | Reason::Histogram(_)
                | Reason::SeriesMax
                | Reason::Size(_) => {}
            }
        }
    }

    fn count_refused_samples(&self, error: SampleError, samples: u64) {
        let counter = match error {
            SampleError::OutOfOrder => &self.out_of_order,
            SampleError::OutOfBounds => &self.out_of_bounds,
            SampleError::BeforeWindow => &self.before_window,
            SampleError::Duplicate | SampleError::TooFarInFuture | SampleError::TooOld => return,
        };
        counter.inc_by(samples);
    }

    pub(crate) fn count_late(&self, report: &Report) {
        for (r#type, samples) in [
            ("float", report.late),
            ("histogram", report.late_histograms),
        ] {
            if samples > 0 {
                let counter = self.late.get_or_create(&TypeLabel { r#type });
                counter.inc_by(samples as u64);
            }
        }
        self.contradicting.inc_by(report.contradicting as u64);
    }

    pub(crate) fn count_refused_metadata(&self, refused: MetadataRefused) {
        for (reason, count) in [
            ("malformed", refused.malformed),
            ("too_much", refused.too_much),
        ] {
            if count > 0 {
                let label = ReasonLabel { reason };
                let counter = self.refused_metadata.get_or_create(&label);
                counter.inc_by(count as u64);
            }
        }
    }

    pub(crate) fn count_refused_query(&self, refused: &TooManyQueries) {
        let reason = match refused {
            TooManyQueries::OfAll => "of_all",
            TooManyQueries::OfTenant { .. } => "of_tenant",
            TooManyQueries::Waiting { .. } => "waiting",
        };
        self.refused_queries
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    pub(crate) fn count_stopped_query(&self, error: &EvalError) {
        let reason = match error {
            EvalError::Cancelled | EvalError::Read(ReadError::Cancelled) => "cancelled",
            EvalError::TooManyBytes => "bytes",
            EvalError::TooManySeries => "series",
            EvalError::TooManySamples | EvalError::Read(ReadError::TooManySamples) => "samples",
            EvalError::Execution(_)
            | EvalError::NotRangeable(_)
            | EvalError::Read(ReadError::Storage(_)) => return,
        };
        self.stopped_queries
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    pub(crate) fn count_refused_request(&self, error: &WriteError) {
        if let WriteError::Sample { error, .. } = error {
            self.count_refused_samples(*error, 1);
        }
        self.count_refused_request_for(error.as_str());
    }

    pub(crate) fn count_refused_request_for(&self, reason: &'static str) {
        self.refused_requests
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }
}
