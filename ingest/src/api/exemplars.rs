//! `/api/v1/query_exemplars`: the exemplars of the series that a query reads.
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingest_core::Exemplar;
use model::{Labels, Matcher, Timestamp, go_number};
use promql::Query;
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, respond};
use crate::api::json::{push_labels, push_list, push_time};
use crate::api::params::Params;
use crate::engine::Engine;

pub(crate) async fn query_exemplars(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        let start = params.time_or("start", Timestamp::MIN)?;
        let end = params.time_or("end", Timestamp::MAX)?;
        if end < start {
            return Err(ApiError::bad_data(
                "end timestamp must not be before start timestamp",
            ));
        }
        let query = Query::compile(params.value("query"), &engine.language())
            .map_err(|error| ApiError::bad_data(error.to_string()))?;
        let selectors = query.expr().selectors();
        if selectors.is_empty() {
            return Ok(None);
        }
        let selectors: Vec<Vec<Matcher>> = selectors
            .into_iter()
            .map(|selector| selector.matchers.clone())
            .collect();
        let slot = engine.query_slot(&tenant).await?;
        let json = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let selectors: Vec<&[Matcher]> = selectors.iter().map(Vec::as_slice).collect();
            let store = engine.store(&tenant)?;
            let found = store
                .map(|store| store.look(|memory| memory.exemplars.select(&selectors, start, end)));
            Ok::<_, ApiError>(found_json(&found.unwrap_or_default()))
        });
        let json = json
            .await
            .map_err(|_| ApiError::internal("request failed unexpectedly"))??;
        Ok(Some(Success::new(json)))
    };
    match answer.await {
        // A query that reads no series has nothing to be answered.
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Ok(Some(success)) => respond(Ok(success)),
        Err(error) => respond(Err(error)),
    }
}

fn found_json(found: &[(Labels, Vec<Exemplar>)]) -> String {
    let mut json = "[".to_owned();
    push_list(&mut json, found, |json, (series, exemplars)| {
        json.push_str("{\"seriesLabels\":");
        push_labels(json, series);
        json.push_str(",\"exemplars\":[");
        push_list(json, exemplars, |json, exemplar| {
            json.push_str("{\"labels\":");
            push_labels(json, &exemplar.labels);
            let value = go_number::format_json(exemplar.value);
            json.push_str(&format!(",\"value\":\"{value}\",\"timestamp\":"));
            push_time(json, exemplar.timestamp);
            json.push('}');
        });
        json.push_str("]}");
    });
    json.push(']');
    json
}
