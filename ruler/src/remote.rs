//! An outside engine as the place where rules ask and write: Prometheus' query API and remote write 1.0.
use std::time::Duration;

use ingest::SharedReads;
use model::protobuf::push_time_series;
use model::{Labels, SampleValue, TenantId, Timestamp, go_number, stale_nan};
use promql::{Query, VectorSample};
use reqwest::{Client, RequestBuilder};
use ruler_core::{AppendReport, QueryCost, SampleBatch};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::backend::{Answering, Backend, Queried};

const TENANT_HEADER: &str = "X-Scope-OrgID";
/// An instant vector of a hundred thousand series has some 30 MB.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Of a refusal's body, what is worth a place in `lastError`.
const REASON_CHARS_MAX: usize = 200;

/// Any engine that speaks Prometheus' HTTP API.
#[derive(Clone, Debug)]
pub struct Remote {
    client: Client,
    query_url: String,
    write_url: String,
    timeout: Duration,
}

impl Remote {
    /// `query_base` is the address that `/api/v1/query` follows, `write_url` the whole address of remote write;
    /// `timeout` is what one request may take.
    #[must_use]
    pub fn new(client: Client, query_base: &str, write_url: &str, timeout: Duration) -> Self {
        Self {
            client,
            query_url: format!("{}/api/v1/query", query_base.trim_end_matches('/')),
            write_url: write_url.to_owned(),
            timeout,
        }
    }

    async fn instant(
        &self,
        tenant: &TenantId,
        query: &Query,
        at: Timestamp,
    ) -> Result<Vec<VectorSample>, String> {
        let time = go_number::format_f(at.as_secs_f64());
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &query.expr().to_string())
            .append_pair("time", &time)
            .finish();
        let request = self
            .client
            .post(&self.query_url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let (status, body) = self.send(tenant, request).await?;
        match serde_json::from_slice::<QueryAnswer>(&body) {
            Ok(QueryAnswer::Success { data }) => vector(data),
            Ok(QueryAnswer::Error { error }) => Err(error),
            Err(_) => Err(format!("the engine answered {status}: {}", excerpt(&body))),
        }
    }

    async fn write(&self, tenant: &TenantId, batch: &SampleBatch) -> Result<AppendReport, String> {
        let request = self
            .client
            .post(&self.write_url)
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(write_request(batch)?);
        let (status, body) = self.send(tenant, request).await?;
        if (200..300).contains(&status) {
            Ok(AppendReport::default())
        } else {
            Err(format!("the engine answered {status}: {}", excerpt(&body)))
        }
    }

    async fn send(
        &self,
        tenant: &TenantId,
        request: RequestBuilder,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = request
            .header(TENANT_HEADER, tenant.as_str())
            .timeout(self.timeout);
        let failed =
            |error: reqwest::Error| format!("the engine did not answer: {}", error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(format!(
                    "the engine's answer has more than {ANSWER_BYTES_MAX} bytes"
                ));
            }
            body.extend_from_slice(&part);
        }
        Ok((answer.status().as_u16(), body))
    }
}

impl Backend for Remote {
    fn query<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: &'a Query,
        at: Timestamp,
        _shared: Option<&'a SharedReads>,
    ) -> Answering<'a, Result<Queried, String>> {
        Box::pin(async move {
            let vector = self.instant(tenant, query, at).await?;
            // It does not say what it read.
            let cost = QueryCost::default();
            Ok(Queried { vector, cost })
        })
    }

    fn append<'a>(
        &'a self,
        tenant: &'a TenantId,
        batch: &'a SampleBatch,
    ) -> Answering<'a, Result<AppendReport, String>> {
        Box::pin(self.write(tenant, batch))
    }
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum QueryAnswer {
    Success { data: QueryData },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum QueryData {
    Matrix(IgnoredAny),
    Scalar(Point),
    String(IgnoredAny),
    Vector(Vec<Element>),
}

/// Seconds and the value as text.
#[derive(Deserialize)]
struct Point(f64, String);

#[derive(Deserialize)]
struct Element {
    metric: std::collections::BTreeMap<String, String>,
    /// Absent where the element is a native histogram.
    value: Option<Point>,
}

fn vector(data: QueryData) -> Result<Vec<VectorSample>, String> {
    let sample = |labels: Labels, Point(secs, value): Point| {
        let at =
            Timestamp::from_secs_f64(secs).ok_or("the engine's answer has a time that is none")?;
        let value = value
            .parse()
            .map_err(|_| format!("the engine's answer has a value that is none: {value}"))?;
        Ok(VectorSample {
            labels,
            at,
            value: SampleValue::Float(value),
        })
    };
    match data {
        QueryData::Scalar(point) => Ok(vec![sample(Labels::default(), point)?]),
        QueryData::Vector(elements) => elements
            .into_iter()
            .map(|element| {
                let point = element
                    .value
                    .ok_or("native histograms are not supported by this version")?;
                sample(Labels::from_pairs(&element.metric), point)
            })
            .collect(),
        QueryData::Matrix(IgnoredAny) | QueryData::String(IgnoredAny) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

/// `prometheus.WriteRequest` as one snappy block.
fn write_request(batch: &SampleBatch) -> Result<Vec<u8>, String> {
    let mut request = Vec::new();
    for series in &batch.samples {
        push_time_series(&mut request, &series.labels, batch.at, &series.value);
    }
    let mark = SampleValue::Float(stale_nan());
    for labels in &batch.ended {
        push_time_series(&mut request, labels, batch.at, &mark);
    }
    let compressed = snap::raw::Encoder::new().compress_vec(&request);
    compressed.map_err(|error| format!("the samples cannot be compressed: {error}"))
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .trim()
        .chars()
        .take(REASON_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};

    use super::{QueryAnswer, vector};

    fn read(text: &str) -> Result<Vec<(String, i64, f64)>, String> {
        match serde_json::from_str::<QueryAnswer>(text).map_err(|error| error.to_string())? {
            QueryAnswer::Success { data } => {
                let samples = vector(data)?.into_iter();
                Ok(samples
                    .map(|sample| {
                        (
                            sample.labels.to_string(),
                            sample.at.as_millis(),
                            sample.value.as_float().unwrap_or(f64::NAN),
                        )
                    })
                    .collect())
            }
            QueryAnswer::Error { error } => Err(error),
        }
    }

    #[test]
    fn answers_are_read_as_prometheus_gives_them() {
        let up = Labels::from_pairs([("__name__", "up"), ("job", "a")]).to_string();
        for (text, expected) in [
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"+Inf"]}]}}"#,
                Ok(vec![(up, 1500, f64::INFINITY)]),
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451,"1"]},"warnings":["w"]}"#,
                Ok(vec![(
                    "{}".to_owned(),
                    Timestamp::from_secs(1_435_781_451).as_millis(),
                    1.0,
                )]),
            ),
            (
                r#"{"status":"error","errorType":"bad_data","error":"no"}"#,
                Err("no".to_owned()),
            ),
            (
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
                Err("rule result is not a vector or scalar".to_owned()),
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
