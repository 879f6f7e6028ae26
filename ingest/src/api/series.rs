//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/NAME/values`.
use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use model::{Labels, TenantId, Timestamp, go_quote};
use promql::ReadError;
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, TRUNCATED, respond};
use crate::api::json::{push_labels, push_list, texts};
use crate::api::label_name::unescape;
use crate::api::params::Params;
use crate::engine::Engine;
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
        let found = look(&engine, &tenant, move |reader| {
            reader.label_sets(&selectors, after, until)
        })
        .await?;
        Ok(listed(
            found.iter().collect(),
            limit,
            |shown: &[&Labels]| {
                let mut json = "[".to_owned();
                push_list(&mut json, shown, |json, labels| push_labels(json, labels));
                json.push(']');
                json
            },
        ))
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
        let names = look(&engine, &tenant, move |reader| {
            if selectors.is_empty() {
                return reader.label_names(after, until);
            }
            let sets = reader.label_sets(&selectors, after, until)?;
            let names: BTreeSet<&str> = sets.iter().flatten().map(|(name, _)| name).collect();
            Ok(names.into_iter().map(str::to_owned).collect())
        })
        .await?;
        Ok(listed_texts(&names, limit))
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
        let values = look(&engine, &tenant, move |reader| {
            if selectors.is_empty() {
                return reader.label_values(&name, after, until);
            }
            let sets = reader.label_sets(&selectors, after, until)?;
            let values: BTreeSet<&str> = sets.iter().filter_map(|set| set.get(&name)).collect();
            Ok(values.into_iter().map(str::to_owned).collect())
        })
        .await?;
        Ok(listed_texts(&values, limit))
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
async fn look<T: Send + 'static>(
    engine: &Engine,
    tenant: &TenantId,
    look: impl FnOnce(&StoreReader) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ApiError> {
    let slot = engine.query_slot(tenant).await?;
    let (engine, tenant) = (engine.clone(), tenant.clone());
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        look(&engine.reader(&tenant))
    })
    .await
    .map_err(|_| ApiError::internal("request failed unexpectedly"))?
    .map_err(|error| ApiError::execution(error.to_string()))
}

fn listed_texts(items: &[String], limit: Option<usize>) -> Success {
    let items = items.iter().map(String::as_str).collect();
    listed(items, limit, |shown: &[&str]| texts(shown.iter().copied()))
}

fn listed<T>(items: Vec<T>, limit: Option<usize>, json: impl FnOnce(&[T]) -> String) -> Success {
    let shown = limit.map_or(items.len(), |limit| limit.min(items.len()));
    let mut success = Success::new(json(&items[..shown]));
    if shown < items.len() {
        success.warnings.push(TRUNCATED.to_owned());
    }
    success
}
