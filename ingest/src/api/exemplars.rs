//! `/api/v1/query_exemplars`: the exemplars of the series that a query reads.
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingest_core::Exemplar;
use model::{Labels, Matcher, Timestamp, go_number};
use promql::{EvalError, Query};
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, respond};
use crate::api::json::{push_labels, push_list, push_time, push_within};
use crate::api::params::Params;
use crate::engine::Engine;
use crate::look::Look;

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
        let of_tenant = tenant.clone();
        let looked = engine.look(&tenant, move |engine, look| {
            let selectors: Vec<&[Matcher]> = selectors.iter().map(Vec::as_slice).collect();
            let store = engine.store_to_read(&of_tenant)?;
            let found = store
                .map(|store| store.look(|memory| memory.exemplars.select(&selectors, start, end)));
            Success::written(|json| push_found(json, &found.unwrap_or_default(), look))
        });
        Ok(Some(looked.await?))
    };
    match answer.await {
        // A query that reads no series has nothing to be answered.
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Ok(Some(success)) => respond(Ok(success)),
        Err(error) => respond(Err(error)),
    }
}

fn push_found(
    json: &mut String,
    found: &[(Labels, Vec<Exemplar>)],
    look: &Look<'_>,
) -> Result<(), EvalError> {
    json.push('[');
    push_within(json, found, look, |json, (series, exemplars)| {
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
        Ok(())
    })?;
    json.push(']');
    Ok(())
}
