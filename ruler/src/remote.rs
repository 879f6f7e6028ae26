//! An outside engine as the place where rules ask and write: Prometheus' query API and remote write 1.0.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ingest::SharedReads;
use model::protobuf::push_time_series;
use model::{Labels, SampleValue, TenantId, Timestamp, go_number, stale_nan};
use promql::{Query, VectorSample};
use reqwest::{Client, RequestBuilder};
use ruler_core::{AppendReport, QueryCost, SampleBatch};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::backend::{Answering, Backend, Queried};

const TENANT_HEADER: &str = "X-Scope-OrgID";
/// An instant vector of a hundred thousand series has some 30 MB.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Of a refusal's body, what is worth a place in `lastError`.
const REASON_CHARS_MAX: usize = 200;

/// Where an engine is.
#[derive(Clone, Debug, Default)]
pub struct RemoteAddresses {
    /// Of replicas, which have the same series: what `/api/v1/query` follows. At least one.
    pub query_bases: Vec<String>,
    /// Sent with each query.
    pub query_params: BTreeMap<String, String>,
    /// The whole address of remote write.
    pub write_url: String,
}

/// Any engine that speaks Prometheus' HTTP API.
#[derive(Clone, Debug)]
pub struct Remote {
    client: Client,
    query_urls: Arc<[String]>,
    /// The replica that answered last, which is asked first: one that is gone delays one query, not each.
    answered_last: Arc<AtomicUsize>,
    query_params: BTreeMap<String, String>,
    write_url: String,
    timeout: Duration,
}

/// What became of a query at one replica.
enum Asked {
    Answered(Result<Vec<VectorSample>, String>),
    /// Another replica may be able to; the reason, if none is.
    Unable(String),
}

impl Remote {
    /// `timeout` is what a write, or a query at all replicas together, may take.
    #[must_use]
    pub fn new(client: Client, addresses: RemoteAddresses, timeout: Duration) -> Self {
        let bases = addresses.query_bases.iter();
        let query_urls = bases.map(|base| format!("{}/api/v1/query", base.trim_end_matches('/')));
        Self {
            client,
            query_urls: query_urls.collect(),
            answered_last: Arc::default(),
            query_params: addresses.query_params,
            write_url: addresses.write_url,
            timeout,
        }
    }

    /// Asks one replica after the other. One that hangs leaves the others their share of the time.
    async fn instant(
        &self,
        tenant: &TenantId,
        query: &Query,
        at: Timestamp,
    ) -> Result<Vec<VectorSample>, String> {
        let ends = Instant::now() + self.timeout;
        let first = self.answered_last.load(Ordering::Relaxed);
        let replicas = self.query_urls.len();
        let mut reason = "the engine has no address".to_owned();
        for tried in 0..replicas {
            let replica = (first + tried) % replicas;
            let left = u32::try_from(replicas - tried).unwrap_or(u32::MAX);
            let timeout = ends.saturating_duration_since(Instant::now()) / left;
            let url = &self.query_urls[replica];
            match self.ask(url, tenant, query, at, timeout).await {
                Asked::Answered(answer) => {
                    self.answered_last.store(replica, Ordering::Relaxed);
                    return answer;
                }
                Asked::Unable(other) => reason = other,
            }
        }
        Err(reason)
    }

    async fn ask(
        &self,
        url: &str,
        tenant: &TenantId,
        query: &Query,
        at: Timestamp,
        timeout: Duration,
    ) -> Asked {
        let time = go_number::format_f(at.as_secs_f64());
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.query_params)
            .append_pair("query", &query.expr().to_string())
            .append_pair("time", &time)
            .finish();
        let request = self
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let (status, body) = match self.send(tenant, request, timeout).await {
            Ok(answer) => answer,
            Err(reason) => return Asked::Unable(reason),
        };
        let answer = match serde_json::from_slice::<QueryAnswer>(&body) {
            Ok(QueryAnswer::Success { data }) => vector(data),
            Ok(QueryAnswer::Error { error }) => Err(error),
            Err(_) => Err(format!("the engine answered {status}: {}", excerpt(&body))),
        };
        match answer {
            // Too busy, starting, gone: nothing about the query.
            Err(reason) if status == 429 || status >= 500 => Asked::Unable(reason),
            answer => Asked::Answered(answer),
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
        let (status, body) = self.send(tenant, request, self.timeout).await?;
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
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = request
            .header(TENANT_HEADER, tenant.as_str())
            .timeout(timeout);
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
    metric: BTreeMap<String, String>,
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
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use model::{Labels, TenantId, Timestamp};
    use parking_lot::Mutex;
    use promql::{ParserOptions, Query};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::{QueryAnswer, Remote, RemoteAddresses, vector};

    /// A replica that gives one answer and notes what it was asked. It ends with its runtime.
    async fn replica(
        name: &'static str,
        status: u16,
        body: &'static str,
        asked: &Arc<Mutex<Vec<String>>>,
    ) -> String {
        let asked = asked.clone();
        let answer = async move |form: String| {
            asked.lock().push(format!("{name} {form}"));
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/api/v1/query", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/")
    }

    const ONE: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[60,"1"]}}"#;
    const BUSY: &str = r#"{"status":"error","errorType":"unavailable","error":"starting"}"#;
    const WRONG: &str = r#"{"status":"error","errorType":"bad_data","error":"no such thing"}"#;

    #[tokio::test]
    async fn another_replica_is_asked_where_one_cannot_answer() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let asked = Arc::default();
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hung_url = format!("http://{}", hung.local_addr().unwrap());
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed_url = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let busy = replica("busy", 503, BUSY, &asked).await;
        let good = replica("good", 200, ONE, &asked).await;
        let wrong = replica("wrong", 422, WRONG, &asked).await;
        let form = "partial_response=false&query=up&time=60";
        for (replicas, answer, told) in [
            (vec![&good, &busy], Ok(1), "good good"),
            (
                vec![&closed_url, &hung_url, &busy, &good],
                Ok(1),
                "busy good good",
            ),
            (
                vec![&busy, &closed_url],
                Err("the engine did not answer"),
                "busy busy",
            ),
            (vec![&closed_url, &busy], Err("starting"), "busy busy"),
            // It is the query that is wrong: nobody else would say otherwise.
            (vec![&wrong, &good], Err("no such thing"), "wrong wrong"),
            (vec![], Err("the engine has no address"), ""),
        ] {
            let addresses = RemoteAddresses {
                query_bases: replicas.into_iter().cloned().collect(),
                query_params: BTreeMap::from([("partial_response".into(), "false".into())]),
                write_url: String::new(),
            };
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let timeout = Duration::from_secs(3);
            let remote = Remote::new(client, addresses, timeout);
            let query = Query::compile("up", &ParserOptions::default()).unwrap();
            for _ in 0..2 {
                let at = Timestamp::from_secs(60);
                let began = Instant::now();
                let got = remote.instant(&TenantId::anonymous(), &query, at).await;
                // One that hangs has taken its share and no more.
                assert!(began.elapsed() < timeout, "{:?}", began.elapsed());
                match (got, answer) {
                    (Ok(vector), Ok(count)) => assert_eq!(vector.len(), count),
                    (Err(reason), Err(expected)) => {
                        assert!(reason.starts_with(expected), "{reason}");
                    }
                    (got, answer) => panic!("{got:?} instead of {answer:?}"),
                }
            }
            let seen: Vec<String> = std::mem::take(&mut *asked.lock());
            let told: Vec<String> = told
                .split_whitespace()
                .map(|name| format!("{name} {form}"))
                .collect();
            assert_eq!(seen, told);
        }
    }

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
