//! Queries on threads that may take their time: bounded in number, in time and, by the evaluator, in samples.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use model::{TenantId, Timestamp};
use parking_lot::Mutex;
use promql::{Answer, EvalError, Query, QueryLimits, ReadError, Selection, Series, SeriesReader};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::look::Look;
use crate::query_slots::TooManyQueries;
use crate::reader::StoreReader;
use crate::shared_reads::SharedReads;

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
    /// Whether the samples that each step looks at are counted.
    pub counts_samples: bool,
}

/// What a run took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueryStats {
    /// Until it had its turn.
    pub(crate) queued: Duration,
    /// Of its evaluation: reading samples.
    pub(crate) reading: Duration,
    pub(crate) evaluating: Duration,
    /// That were read.
    pub(crate) samples: usize,
    /// That each step looked at, where they were to be counted.
    pub(crate) seen: Vec<u64>,
}

/// Looks at what a query reads.
struct MeasuredReader<'r> {
    reader: &'r StoreReader,
    is_cancelled: &'r (dyn Fn() -> bool + Sync),
    shared: Option<&'r SharedReads>,
    reading_micros: AtomicU64,
    series: AtomicUsize,
    samples: AtomicUsize,
}

/// What a query looked at in the store, or would have if it had not been read already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadStats {
    pub series: usize,
    pub samples: usize,
}

impl<'r> MeasuredReader<'r> {
    fn new(reader: &'r StoreReader, is_cancelled: &'r (dyn Fn() -> bool + Sync)) -> Self {
        Self {
            reader,
            is_cancelled,
            shared: None,
            reading_micros: AtomicU64::new(0),
            series: AtomicUsize::new(0),
            samples: AtomicUsize::new(0),
        }
    }
}

impl SeriesReader for MeasuredReader<'_> {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let start = Instant::now();
        let read = || {
            self.reader
                .select_unless(selection, samples_max, self.is_cancelled)
        };
        let found = match self.shared {
            Some(shared) => shared.select(selection, read)?,
            None => read()?,
        };
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.reading_micros.fetch_add(micros, Ordering::Relaxed);
        let samples = found
            .iter()
            .map(|series| series.samples.len() + series.histograms.len())
            .sum();
        self.series.fetch_add(found.len(), Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
        Ok(found)
    }
}

/// Is told how many samples each step has looked at.
type Tell<'t> = &'t (dyn Fn(Vec<u64>) + Sync);

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
        self.run_and(tenant, query, times, options, |answer, _, _| Ok(answer))
            .await
    }

    /// Runs the query and makes something of its answer, which may be large: in the same turn, within its time, and within
    /// as much memory again as the query may take.
    pub(crate) async fn run_and<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        query: &Arc<Query>,
        times: QueryTimes,
        options: QueryOptions,
        then: impl FnOnce(Answer, &QueryStats, &Look<'_>) -> Result<T, EvalError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let asked = Instant::now();
        let (query, of_tenant) = (Arc::clone(query), tenant.clone());
        self.in_turn(tenant, options.timeout, move |engine, is_cancelled| {
            engine.metrics().queries.inc();
            let start = Instant::now();
            let reader = engine.reader(&of_tenant);
            let reader = MeasuredReader::new(&reader, is_cancelled);
            let seen = Mutex::new(Vec::new());
            let tell = |counts| *seen.lock() = counts;
            let tell = options.counts_samples.then_some(&tell as Tell<'_>);
            let lookback = options.lookback;
            let answer = engine.evaluate(&reader, &query, times, lookback, tell, is_cancelled)?;
            let stats = QueryStats {
                queued: start - asked,
                reading: Duration::from_micros(reader.reading_micros.into_inner()),
                evaluating: start.elapsed(),
                samples: reader.samples.into_inner(),
                seen: seen.into_inner(),
            };
            let bounds = Look::new(engine.settings().query.bytes_max, is_cancelled);
            then(answer, &stats, &bounds)
                .inspect_err(|error| engine.metrics().count_stopped_query(error))
        })
        .await
    }

    /// Looks at a tenant's series for a list: in turn with queries, within their time and their memory.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        look: impl FnOnce(&Self, &Look<'_>) -> Result<T, EvalError> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.in_turn(tenant, None, |engine, is_cancelled| {
            let bounds = Look::new(engine.settings().query.bytes_max, is_cancelled);
            look(engine, &bounds).inspect_err(|error| engine.metrics().count_stopped_query(error))
        })
        .await
    }

    /// Waits for a free thread and works there, until the time is over or the caller goes away.
    async fn in_turn<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        timeout: Option<Duration>,
        work: impl FnOnce(&Self, &(dyn Fn() -> bool + Sync)) -> Result<T, EvalError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let most = self.settings().query.timeout;
        let timeout = timeout.map_or(most, |timeout| timeout.min(most));
        let mut phase = "query queue";
        // A timer of no length may still come later than a quick answer.
        if timeout.is_zero() {
            return Err(QueryError::TimedOut { phase });
        }
        let working = async {
            let slot = self.query_slot(tenant).await?;
            phase = "expression evaluation";
            let cancelled = Arc::new(AtomicBool::new(false));
            let _cancel = CancelOnDrop(Arc::clone(&cancelled));
            let engine = self.clone();
            let running = tokio::task::spawn_blocking(move || {
                // Held until the run has really ended, so that cancelled ones count too.
                let _slot = slot;
                work(&engine, &|| cancelled.load(Ordering::Relaxed))
            });
            match running.await {
                Ok(outcome) => Ok(outcome?),
                Err(_) => Err(QueryError::Failed),
            }
        };
        let outcome = tokio::time::timeout(timeout, working).await;
        outcome.unwrap_or(Err(QueryError::TimedOut { phase }))
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
        let answer = self.run_shared(tenant, query, times, lookback, is_cancelled, None);
        answer.map(|(answer, _)| answer)
    }

    /// As [`Engine::run_blocking`], reading what `shared` has not read yet.
    pub fn run_shared(
        &self,
        tenant: &TenantId,
        query: &Query,
        times: QueryTimes,
        lookback: Option<Duration>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        shared: Option<&SharedReads>,
    ) -> Result<(Answer, ReadStats), EvalError> {
        let reader = self.reader(tenant);
        let mut reader = MeasuredReader::new(&reader, is_cancelled);
        reader.shared = shared;
        let answer = self.evaluate(&reader, query, times, lookback, None, is_cancelled)?;
        let stats = ReadStats {
            series: reader.series.into_inner(),
            samples: reader.samples.into_inner(),
        };
        Ok((answer, stats))
    }

    fn evaluate(
        &self,
        reader: &dyn SeriesReader,
        query: &Query,
        times: QueryTimes,
        lookback: Option<Duration>,
        seen: Option<Tell<'_>>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer, EvalError> {
        let settings = &self.settings().query;
        let limits = QueryLimits {
            lookback: lookback.unwrap_or(settings.lookback),
            samples_max: settings.samples_max,
            series_max: settings.series_max,
            bytes_max: settings.bytes_max,
            default_step: settings.default_step,
            cancelled: Some(is_cancelled),
            seen,
        };
        let answer = match times {
            QueryTimes::Instant(at) => query.instant(reader, at, &limits),
            QueryTimes::Range { start, end, step } => {
                query.range(reader, start, end, step, &limits)
            }
        };
        answer.inspect_err(|error| self.metrics().count_stopped_query(error))
    }
}
