//! `/api/v1/status/buildinfo`, `/api/v1/status/tsdb`.
use axum::extract::{Request, State};
use axum::response::Response;
use ingest_core::Head;
use model::{METRIC_NAME, Timestamp};
use runtime::Tenant;

use crate::api::envelope::{ApiError, Success, respond};
use crate::api::json::{push_list, push_text};
use crate::api::params::Params;
use crate::engine::Engine;

const ENTRIES_DEFAULT: usize = 10;
const ENTRIES_MAX: usize = 10_000;

/// Grafana looks here to see whom it talks to.
pub(crate) async fn build(State(engine): State<Engine>) -> Response {
    let build = &engine.settings().build;
    let mut json = "{".to_owned();
    let members = [
        ("version", build.version.as_str()),
        ("revision", build.revision.as_str()),
        ("branch", ""),
        ("buildUser", ""),
        ("buildDate", build.date.as_str()),
        ("goVersion", ""),
    ];
    push_list(&mut json, members, |json, (name, value)| {
        push_text(json, name);
        json.push(':');
        push_text(json, value);
    });
    json.push('}');
    respond(Ok(Success::new(json)))
}

pub(crate) async fn head(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let entries = Params::read(request).await?.limit()?;
        let entries = entries.unwrap_or(ENTRIES_DEFAULT);
        if entries > ENTRIES_MAX {
            return Err(ApiError::parameter(
                "limit",
                format!("limit must be at most {ENTRIES_MAX}"),
            ));
        }
        let store = engine.store(&tenant);
        let slot = engine.query_slot(&tenant).await?;
        let json = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            match store {
                Some(store) => store.read(|head| head_json(head, entries)),
                None => head_json(&Head::new(ingest_core::Limits::default(), 0), entries),
            }
        });
        let json = json
            .await
            .map_err(|_| ApiError::internal("request failed unexpectedly"))?;
        Ok(Success::new(json))
    };
    respond(answer.await)
}

fn head_json(head: &Head, entries: usize) -> String {
    let stats = head.stats();
    let names = head.label_names();
    let by_name: Vec<(String, Vec<(String, usize)>)> = names
        .into_iter()
        .map(|name| {
            let values = head.series_by_value(&name);
            (name, values)
        })
        .collect();
    let value_counts = by_name
        .iter()
        .map(|(name, values)| (name.clone(), values.len()));
    let value_bytes = by_name.iter().map(|(name, values)| {
        let bytes = values.iter().map(|(value, _)| value.len()).sum();
        (name.clone(), bytes)
    });
    let pairs = by_name.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |(value, series)| (format!("{name}={value}"), *series))
    });
    let mut json = format!(
        "{{\"headStats\":{{\"numSeries\":{},\"numLabelPairs\":{},\"chunkCount\":{},\"minTime\":{},\"maxTime\":{}}}",
        stats.series,
        stats.label_pairs,
        stats.chunks,
        // What Prometheus' empty head shows.
        stats.min_time.unwrap_or(Timestamp::MAX).as_millis(),
        stats.max_time.unwrap_or(Timestamp::MIN).as_millis(),
    );
    for (name, items) in [
        ("seriesCountByMetricName", head.series_by_value(METRIC_NAME)),
        ("labelValueCountByLabelName", value_counts.collect()),
        ("memoryInBytesByLabelName", value_bytes.collect()),
        ("seriesCountByLabelValuePair", pairs.collect()),
    ] {
        json.push_str(&format!(",\"{name}\":["));
        push_list(&mut json, largest(items, entries), |json, (name, value)| {
            json.push_str("{\"name\":");
            push_text(json, &name);
            json.push_str(&format!(",\"value\":{value}}}"));
        });
        json.push(']');
    }
    json.push('}');
    json
}

/// The largest first, equal ones by name.
fn largest(mut items: Vec<(String, usize)>, count: usize) -> Vec<(String, usize)> {
    items.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    items.truncate(count);
    items
}
