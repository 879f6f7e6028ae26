//! Where rules ask and write: this process' own engine, or an outside one.
use std::future::Future;
use std::pin::Pin;

use ingest::SharedReads;
use model::{Labels, TenantId, Timestamp};
use promql::{Query, QueryValue, SampleValue, VectorSample};
use ruler_core::{AppendReport, QueryCost, SampleBatch};

pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An instant vector, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queried {
    pub vector: Vec<VectorSample>,
    pub cost: QueryCost,
}

/// An engine. It bounds the time and the samples of a query by itself.
pub trait Backend: Send + Sync + 'static {
    /// The instant vector at `at`, a scalar as one element without labels ([`instant_vector`]). The error is what the
    /// engine says; it stands in the rule's `lastError`.
    ///
    /// What `shared` has read already may be taken from there: it belongs to queries of the same tenant and time.
    fn query<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: &'a Query,
        at: Timestamp,
        shared: Option<&'a SharedReads>,
    ) -> Answering<'a, Result<Queried, String>>;

    /// Writes the samples, and staleness markers for the series that ended. Readable when this answers.
    fn append<'a>(
        &'a self,
        tenant: &'a TenantId,
        batch: &'a SampleBatch,
    ) -> Answering<'a, Result<AppendReport, String>>;
}

/// A rule's result as Prometheus takes it: a vector or a scalar.
///
/// # Errors
/// A string or a matrix is no result of a rule.
pub fn instant_vector(value: QueryValue) -> Result<Vec<VectorSample>, String> {
    match value {
        QueryValue::Vector(samples) => Ok(samples),
        QueryValue::Scalar { at, value } => Ok(vec![VectorSample {
            labels: Labels::default(),
            at,
            value: SampleValue::Float(value),
        }]),
        QueryValue::Matrix(_) | QueryValue::Text { .. } => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}
