//! `/api/v1/status/*`: which program this is, how it was set, and what its head holds.
use axum::extract::{Request, State};
use axum::response::Response;
use ingest_core::Head;
use model::{METRIC_NAME, Timestamp, duration, go_quote};
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
    respond(Ok(Success::new(&json)))
}

/// What of the configuration has a place in Prometheus' file, in its form.
pub(crate) async fn config(State(engine): State<Engine>) -> Response {
    let settings = engine.settings();
    let interval = duration::format(settings.query.default_step);
    let mut yaml = format!("global:\n  evaluation_interval: {interval}\n");
    if !settings.external_labels.is_empty() {
        yaml.push_str("  external_labels:\n");
        for (name, value) in &settings.external_labels {
            yaml.push_str(&format!("    {name}: {}\n", go_quote::quote(value)));
        }
    }
    let retention = duration::format(settings.limits.retention);
    yaml.push_str(&format!(
        "storage:\n  tsdb:\n    retention:\n      time: {retention}\n  exemplars:\n    max_exemplars: {}\n",
        settings.limits.exemplars_max
    ));
    respond(Ok(Success::new(&object([("yaml", Member::Text(yaml))]))))
}

/// What Prometheus is told by flags, as it is set here.
pub(crate) async fn flags(State(engine): State<Engine>) -> Response {
    let settings = engine.settings();
    let query = &settings.query;
    let text = |name, value: String| (name, Member::Text(value));
    let json = object([
        text("query.lookback-delta", duration::format(query.lookback)),
        text("query.max-concurrency", query.concurrency_max.to_string()),
        text("query.max-samples", query.samples_max.to_string()),
        text("query.timeout", duration::format(query.timeout)),
        text("storage.tsdb.path", settings.folder.display().to_string()),
        text(
            "storage.tsdb.retention.time",
            duration::format(settings.limits.retention),
        ),
        text("web.cors.origin", ".*".to_owned()),
        text("web.enable-remote-write-receiver", "true".to_owned()),
        text(
            "web.remote-write-receiver.accepted-protobuf-messages",
            "prometheus.WriteRequest,io.prometheus.write.v2.Request".to_owned(),
        ),
    ]);
    respond(Ok(Success::new(&json)))
}

/// Members that speak of Go are empty or those of whatever comes nearest.
pub(crate) async fn runtime(State(engine): State<Engine>) -> Response {
    let folder = std::env::current_dir().unwrap_or_default();
    let host = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let started = engine.started().to_rfc3339_nano();
    let text = |name, value: String| (name, Member::Text(value));
    let json = object([
        text("startTime", started.clone()),
        text("CWD", folder.display().to_string()),
        text("hostname", host.unwrap_or_default().trim().to_owned()),
        text("serverTime", engine.clock().now().to_rfc3339_nano()),
        ("reloadConfigSuccess", Member::Plain("true".to_owned())),
        text("lastConfigTime", started),
        (
            "corruptionCount",
            Member::Plain(engine.metrics().log_damages.get().to_string()),
        ),
        ("goroutineCount", Member::Plain("0".to_owned())),
        ("GOMAXPROCS", Member::Plain(processors.to_string())),
        ("GOMEMLIMIT", Member::Plain(i64::MAX.to_string())),
        text("GOGC", String::new()),
        text("GODEBUG", String::new()),
        text(
            "storageRetention",
            duration::format(engine.settings().limits.retention),
        ),
    ]);
    respond(Ok(Success::new(&json)))
}

/// Whoever is answered at all finds the log read to its end.
pub(crate) async fn replay() -> Response {
    let number = |name| (name, Member::Plain("0".to_owned()));
    let state = ("state", Member::Text("done".to_owned()));
    let json = object([number("min"), number("max"), number("current"), state]);
    respond(Ok(Success::new(&json)))
}

enum Member {
    /// JSON already.
    Plain(String),
    Text(String),
}

fn object<const N: usize>(members: [(&str, Member); N]) -> String {
    let mut json = "{".to_owned();
    push_list(&mut json, members, |json, (name, member)| {
        push_text(json, name);
        json.push(':');
        match member {
            Member::Plain(plain) => json.push_str(&plain),
            Member::Text(text) => push_text(json, &text),
        }
    });
    json.push('}');
    json
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
        let slot = engine.query_slot(&tenant).await?;
        let json = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            Ok::<_, ApiError>(match engine.store(&tenant)? {
                Some(store) => store.read(|head| head_json(head, entries)),
                None => head_json(&Head::new(ingest_core::Limits::default(), 0), entries),
            })
        });
        let json = json
            .await
            .map_err(|_| ApiError::internal("request failed unexpectedly"))??;
        Ok(Success::new(&json))
    };
    respond(answer.await)
}

/// The blocks of the tenant, by their begin: each as its `meta.json` says it.
pub(crate) async fn blocks(State(engine): State<Engine>, Tenant(tenant): Tenant) -> Response {
    let answer = async {
        let slot = engine.query_slot(&tenant).await?;
        let json = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let store = engine.store(&tenant)?;
            let blocks = store.map(|store| store.blocks().all());
            let mut json = "{\"blocks\":[".to_owned();
            push_list(&mut json, blocks.unwrap_or_default(), |json, block| {
                json.push_str(&block.meta.to_api_json());
            });
            json.push_str("]}");
            Ok::<_, ApiError>(json)
        });
        let json = json
            .await
            .map_err(|_| ApiError::internal("request failed unexpectedly"))??;
        Ok(Success::new(&json))
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
