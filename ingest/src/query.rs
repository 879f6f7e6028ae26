//! Queries on threads that may take their time: bounded in number, in time and, by the evaluator, in samples.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{TenantId, Timestamp};
use promql::{Answer, EvalError, Query, QueryLimits};

use crate::engine::Engine;
use crate::query_slots::TooManyQueries;

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    #[error("query failed unexpectedly")]
    Failed,
    #[error("query timed out in {phase}")]
    TimedOut { phase: &'static str },
    #[error(transparent)]
    TooMany(#[from] TooManyQueries),
}

/// For which times a query is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTimes {
    Instant(Timestamp),
    Range {
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    },
}

/// What one query may have of its own; the settings' bounds stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    pub timeout: Option<Duration>,
    pub lookback: Option<Duration>,
}

/// Tells a run that nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// The value at one time, for a caller in this process.
    pub async fn query(
        &self,
        tenant: &TenantId,
        query: &Arc<Query>,
        at: Timestamp,
    ) -> Result<Answer, QueryError> {
        self.run(
            tenant,
            query,
            QueryTimes::Instant(at),
            QueryOptions::default(),
        )
        .await
    }

    /// Waits for a free thread, runs the query there, and stops it when the time is over or the caller goes away.
    pub async fn run(
        &self,
        tenant: &TenantId,
        query: &Arc<Query>,
        times: QueryTimes,
        options: QueryOptions,
    ) -> Result<Answer, QueryError> {
        let most = self.settings().query.timeout;
        let timeout = options.timeout.map_or(most, |timeout| timeout.min(most));
        let mut phase = "query queue";
        // A timer of no length may still come later than a quick answer.
        if timeout.is_zero() {
            return Err(QueryError::TimedOut { phase });
        }
        let work = async {
            let slot = self.query_slot(tenant).await?;
            phase = "expression evaluation";
            self.metrics().queries.inc();
            let cancelled = Arc::new(AtomicBool::new(false));
            let _cancel = CancelOnDrop(Arc::clone(&cancelled));
            let (engine, tenant, query) = (self.clone(), tenant.clone(), Arc::clone(query));
            let running = tokio::task::spawn_blocking(move || {
                // Held until the run has really ended, so that cancelled ones count too.
                let _slot = slot;
                let is_cancelled = || cancelled.load(Ordering::Relaxed);
                engine.run_blocking(&tenant, &query, times, options.lookback, &is_cancelled)
            });
            match running.await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(QueryError::Failed),
            }
        };
        let answer = tokio::time::timeout(timeout, work).await;
        answer.unwrap_or(Err(QueryError::TimedOut { phase }))
    }

    /// On the caller's own thread, for those who have a pool of their own.
    pub fn run_blocking(
        &self,
        tenant: &TenantId,
        query: &Query,
        times: QueryTimes,
        lookback: Option<Duration>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer, EvalError> {
        let settings = &self.settings().query;
        let limits = QueryLimits {
            lookback: lookback.unwrap_or(settings.lookback),
            samples_max: settings.samples_max,
            default_step: settings.default_step,
            cancelled: Some(is_cancelled),
        };
        let reader = self.reader(tenant);
        match times {
            QueryTimes::Instant(at) => query.instant(&reader, at, &limits),
            QueryTimes::Range { start, end, step } => {
                query.range(&reader, start, end, step, &limits)
            }
        }
    }
}
