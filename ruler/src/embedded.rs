//! This process' own engine as the place where rules ask and write.
use std::time::Duration;

use ingest::{Engine, QueryTimes, SharedReads};
use model::{Labels, SampleValue, TenantId, Timestamp, stale_nan};
use promql::{EvalError, Query};
use ruler_core::{AppendReport, QueryCost, RefusedSample, SampleBatch, instant_vector};
use tokio::time::Instant;

use crate::backend::{Answering, Backend, Queried};

/// Queries run on the thread that asks: the ruler's workers are a pool already.
#[derive(Clone)]
pub struct Embedded {
    engine: Engine,
    timeout: Duration,
}

impl Embedded {
    /// `timeout` is what one query may take.
    #[must_use]
    pub fn new(engine: Engine, timeout: Duration) -> Self {
        Self { engine, timeout }
    }

    fn instant(
        &self,
        tenant: &TenantId,
        query: &Query,
        at: Timestamp,
        shared: Option<&SharedReads>,
    ) -> Result<Queried, String> {
        let started = Instant::now();
        let is_late = || started.elapsed() > self.timeout;
        let times = QueryTimes::Instant(at);
        let answer = self
            .engine
            .run_shared(tenant, query, times, None, &is_late, shared);
        match answer {
            Ok((answer, read)) => Ok(Queried {
                vector: instant_vector(answer.value)?,
                cost: QueryCost {
                    series: read.series,
                    samples: read.samples,
                },
            }),
            Err(EvalError::Cancelled) => Err("query timed out in expression evaluation".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn write(&self, tenant: &TenantId, batch: &SampleBatch) -> Result<AppendReport, String> {
        let ended = batch.ended.iter().map(|labels| {
            let mark = SampleValue::Float(stale_nan());
            (labels.clone(), batch.at, mark)
        });
        let samples = batch.samples.iter();
        let values: Vec<(Labels, Timestamp, SampleValue)> = samples
            .map(|series| (series.labels.clone(), batch.at, series.value.clone()))
            .chain(ended)
            .collect();
        let report = self
            .engine
            .append_values(tenant, &values)
            .await
            .map_err(|error| with_cause(&error))?;
        Ok(AppendReport {
            refused: report
                .refused_samples
                .iter()
                .filter_map(|(index, reason)| {
                    // Past the samples stand the markers, and a refused marker is no mistake.
                    let series = batch.samples.get(*index)?;
                    Some(RefusedSample {
                        labels: series.labels.clone(),
                        reason: reason.to_string(),
                    })
                })
                .collect(),
        })
    }
}

impl Backend for Embedded {
    fn query<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: &'a Query,
        at: Timestamp,
        shared: Option<&'a SharedReads>,
    ) -> Answering<'a, Result<Queried, String>> {
        Box::pin(async move { self.instant(tenant, query, at, shared) })
    }

    fn append<'a>(
        &'a self,
        tenant: &'a TenantId,
        batch: &'a SampleBatch,
    ) -> Answering<'a, Result<AppendReport, String>> {
        Box::pin(self.write(tenant, batch))
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
