//! Where rules ask and write: this process' own engine, or an outside one.
use std::future::Future;
use std::pin::Pin;

use ingest::SharedReads;
use model::{TenantId, Timestamp};
use promql::{Query, VectorSample};
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
    /// The instant vector at `at`, a scalar as one element without labels ([`ruler_core::instant_vector`]). The error is what the
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
