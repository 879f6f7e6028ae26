//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/NAME/values`.
use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use model::{TenantId, Timestamp, go_quote};
use promql::{EvalError, ReadError};
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, TRUNCATED, respond};
use crate::api::json::{push_labels, push_text, push_within};
use crate::api::label_name::unescape;
use crate::api::params::Params;
use crate::engine::Engine;
use crate::look::Look;
use crate::query::QueryError;
use crate::reader::StoreReader;

pub(crate) async fn series(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        if params.all("match[]").next().is_none() {
            return Err(ApiError::bad_data("no match[] parameter provided"));
        }
        let selectors = params.named_selectors()?;
        let (after, until) = window(&params)?;
        let limit = params.limit()?;
        look(&engine, &tenant, move |reader, look| {
            let found = reader.label_sets(&selectors, after, until, look)?;
            listed(&found, limit, look, push_labels)
        })
        .await
    };
    respond(answer.await)
}

pub(crate) async fn labels(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        let selectors = params.selectors()?;
        let (after, until) = window(&params)?;
        let limit = params.limit()?;
        look(&engine, &tenant, move |reader, look| {
            if selectors.is_empty() {
                let names = reader.label_names(after, until, look)?;
                return listed(&names, limit, look, |json, name| push_text(json, name));
            }
            let sets = reader.label_sets(&selectors, after, until, look)?;
            let names: BTreeSet<&str> = sets.iter().flatten().map(|(name, _)| name).collect();
            listed(names, limit, look, push_text)
        })
        .await
    };
    respond(answer.await)
}

pub(crate) async fn label_values(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        let name = unescape(&name).ok_or_else(|| {
            ApiError::bad_data(format!("invalid label name: {}", go_quote::quote(&name)))
        })?;
        let selectors = params.selectors()?;
        let (after, until) = window(&params)?;
        let limit = params.limit()?;
        look(&engine, &tenant, move |reader, look| {
            if selectors.is_empty() {
                let values = reader.label_values(&name, after, until, look)?;
                return listed(&values, limit, look, |json, value| push_text(json, value));
            }
            let sets = reader.label_sets(&selectors, after, until, look)?;
            let values: BTreeSet<&str> = sets.iter().filter_map(|set| set.get(&name)).collect();
            listed(values, limit, look, push_text)
        })
        .await
    };
    respond(answer.await)
}

type Window = (Timestamp, Timestamp);

/// From `start` to `end`, both included, as the window `(after, until]`.
fn window(params: &Params) -> Result<Window, ApiError> {
    let start = params.time_or("start", Timestamp::MIN)?;
    let end = params.time_or("end", Timestamp::MAX)?;
    let after = Timestamp::from_millis(start.as_millis().saturating_sub(1));
    Ok((after, end))
}

/// Looks at a tenant's head and blocks on a thread that may take its time.
async fn look(
    engine: &Engine,
    tenant: &TenantId,
    look: impl FnOnce(&StoreReader, &Look<'_>) -> Result<Success, EvalError> + Send + 'static,
) -> Result<Success, ApiError> {
    let of_tenant = tenant.clone();
    let looked = engine.look(tenant, move |engine, bounds| {
        look(&engine.reader(&of_tenant), bounds)
    });
    looked.await.map_err(|error| match error {
        // As Prometheus has it, where only queries make it an internal one.
        QueryError::Evaluation(EvalError::Read(ReadError::Storage(reason))) => {
            ApiError::execution(reason)
        }
        error @ (QueryError::Evaluation(_)
        | QueryError::Failed
        | QueryError::TimedOut { .. }
        | QueryError::TooMany(_)) => error.into(),
    })
}

/// As many of the items as are wanted.
fn listed<I: IntoIterator<IntoIter: ExactSizeIterator>>(
    items: I,
    limit: Option<usize>,
    look: &Look<'_>,
    mut push: impl FnMut(&mut String, I::Item),
) -> Result<Success, EvalError> {
    let items = items.into_iter();
    let all = items.len();
    let shown = limit.map_or(all, |limit| limit.min(all));
    let mut success = Success::written(|json| {
        json.push('[');
        push_within(json, items.take(shown), look, |json, item| {
            push(json, item);
            Ok(())
        })?;
        json.push(']');
        Ok(())
    })?;
    if shown < all {
        success.warnings.push(TRUNCATED.to_owned());
    }
    Ok(success)
}
