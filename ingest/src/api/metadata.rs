//! `/api/v1/metadata`: what senders said about metrics.
use axum::extract::{Request, State};
use axum::response::Response;
use ingest_core::Metadata;
use promql::EvalError;
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, respond};
use crate::api::json::{push_list, push_text, push_within};
use crate::api::params::Params;
use crate::engine::Engine;
use crate::look::Look;

pub(crate) async fn metadata(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        // Nothing below zero, unlike 0, means no limit at all.
        let metrics_max = count(&params, "limit")?;
        let entries_max = count(&params, "limit_per_metric")?.filter(|count| *count > 0);
        let metric = params.value("metric").to_owned();
        let metric = (!metric.is_empty()).then_some(metric);
        let most = |count: Option<usize>| count.unwrap_or(usize::MAX);
        let (metrics_max, entries_max) = (most(metrics_max), most(entries_max));
        let of_tenant = tenant.clone();
        let looked = engine.look(&tenant, move |engine, look| {
            let Some(store) = engine.store_to_read(&of_tenant)? else {
                return Ok(Success::new("{}"));
            };
            store.look(|memory| {
                let found = (memory.metadata).list(metric.as_deref(), metrics_max, entries_max);
                Success::written(|json| push_metadata(json, found, look))
            })
        });
        Ok(looked.await?)
    };
    respond(answer.await)
}

fn count(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.value(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(count) => Ok(usize::try_from(count).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}

fn push_metadata(
    json: &mut String,
    found: Vec<(&str, &[Metadata])>,
    look: &Look<'_>,
) -> Result<(), EvalError> {
    json.push('{');
    push_within(json, found, look, |json, (name, entries)| {
        push_text(json, name);
        json.push_str(":[");
        push_list(json, entries, |json, entry| {
            json.push_str(&format!("{{\"type\":\"{}\",\"help\":", entry.kind.as_str()));
            push_text(json, &entry.help);
            json.push_str(",\"unit\":");
            push_text(json, &entry.unit);
            json.push('}');
        });
        json.push(']');
        Ok(())
    })?;
    json.push('}');
    Ok(())
}
