//! `/api/v1/metadata`: what senders said about metrics.
use axum::extract::{Request, State};
use axum::response::Response;
use ingest_core::MetadataTable;
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, respond};
use crate::api::json::{push_list, push_text};
use crate::api::params::Params;
use crate::engine::Engine;

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
        let slot = engine.query_slot(&tenant).await?;
        let json = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let most = |count: Option<usize>| count.unwrap_or(usize::MAX);
            let (metrics_max, entries_max) = (most(metrics_max), most(entries_max));
            let Some(store) = engine.store(&tenant)? else {
                return Ok("{}".to_owned());
            };
            Ok::<_, ApiError>(store.look(|memory| {
                let table = &memory.metadata;
                table_json(table, metric.as_deref(), metrics_max, entries_max)
            }))
        });
        let json = json
            .await
            .map_err(|_| ApiError::internal("request failed unexpectedly"))??;
        Ok(Success::new(json))
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

fn table_json(
    table: &MetadataTable,
    metric: Option<&str>,
    metrics_max: usize,
    entries_max: usize,
) -> String {
    let mut json = "{".to_owned();
    let all = table.list(metric, metrics_max, entries_max);
    push_list(&mut json, all, |json, (name, entries)| {
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
    });
    json.push('}');
    json
}
