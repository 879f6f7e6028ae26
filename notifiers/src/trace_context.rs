//! Which trace the requests of an attempt are part of.
use std::future::Future;

tokio::task_local! {
    /// Of the task, and not an argument of every step on the way: whatever request an attempt needs, tokens and uploads
    /// too, is part of its trace.
    static TRACEPARENT: Option<String>;
}

/// Requests that `work` makes carry this `traceparent` header.
pub async fn in_trace<F: Future>(traceparent: Option<String>, work: F) -> F::Output {
    TRACEPARENT.scope(traceparent, work).await
}

pub(crate) fn traceparent() -> Option<String> {
    TRACEPARENT.try_with(Clone::clone).ok().flatten()
}
