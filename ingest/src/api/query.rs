//! `/api/v1/query`, `/api/v1/query_range`, `/api/v1/format_query`, `/api/v1/parse_query`.
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use model::{Labels, Sample, go_json, go_number};
use promql::{
    Answer, EvalError, ParserOptions, Query, QueryValue, SampleValue, Series, VectorSample,
};
use runtime::Tenant;

use crate::api::ast_json::tree;
use crate::api::envelope::{ApiError, Success, TRUNCATED, respond};
use crate::api::histogram_json::push_histogram_point;
use crate::api::json::{
    push_labels, push_list, push_point, push_sample, push_text, push_time, push_within,
};
use crate::api::params::Params;
use crate::api::pretty::pretty;
use crate::engine::Engine;
use crate::look::Look;
use crate::query::{QueryOptions, QueryStats, QueryTimes};

/// Prometheus' bound: a week at a resolution of a minute, a year at an hour.
const POINTS_MAX: i64 = 11_000;

pub(crate) async fn instant(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        let limit = params.limit()?;
        let at = params.time_or("time", engine.clock().now())?;
        let options = options(&params)?;
        let query = compile(&params, &engine.language())?;
        let times = QueryTimes::Instant(at);
        let by_step = (params.value("stats") == "all").then_some(times);
        let answered = engine.run_and(
            &tenant,
            &query,
            times,
            options,
            move |answer, stats, look| {
                let stats = options.counts_samples.then(|| stats_json(stats, by_step));
                success(answer, limit, stats, look)
            },
        );
        Ok(answered.await?)
    };
    respond(answer.await)
}

pub(crate) async fn range(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let answer = async {
        let params = Params::read(request).await?;
        let limit = params.limit()?;
        let times = range_times(&params)?;
        let options = options(&params)?;
        let query = compile(&params, &engine.language())?;
        let by_step = (params.value("stats") == "all").then_some(times);
        let answered = engine.run_and(
            &tenant,
            &query,
            times,
            options,
            move |answer, stats, look| {
                let stats = options.counts_samples.then(|| stats_json(stats, by_step));
                success(answer, limit, stats, look)
            },
        );
        Ok(answered.await?)
    };
    respond(answer.await)
}

pub(crate) async fn format(State(engine): State<Engine>, request: Request) -> Response {
    let answer = async {
        let query = compile(&Params::read(request).await?, &engine.language())?;
        let mut data = String::new();
        push_text(&mut data, &pretty(query.expr()));
        Ok(Success::new(&data))
    };
    respond(answer.await)
}

pub(crate) async fn parse(State(engine): State<Engine>, request: Request) -> Response {
    let answer = async {
        let query = compile(&Params::read(request).await?, &engine.language())?;
        let data = go_json::to_string(&tree(query.expr()));
        data.map(|data| Success::new(&data))
            .map_err(|error| ApiError::internal(error.to_string()))
    };
    respond(answer.await)
}

fn compile(params: &Params, language: &ParserOptions) -> Result<Arc<Query>, ApiError> {
    Query::compile(params.value("query"), language)
        .map(Arc::new)
        .map_err(|error| ApiError::parameter("query", error))
}

fn options(params: &Params) -> Result<QueryOptions, ApiError> {
    Ok(QueryOptions {
        timeout: params.duration("timeout")?,
        lookback: params
            .duration("lookback_delta")?
            .filter(|lookback| !lookback.is_zero()),
        counts_samples: !params.value("stats").is_empty(),
    })
}

fn range_times(params: &Params) -> Result<QueryTimes, ApiError> {
    let start = params.time("start")?;
    let end = params.time("end")?;
    if end < start {
        return Err(ApiError::parameter(
            "end",
            "end timestamp must not be before start time",
        ));
    }
    let step = params.duration_millis("step")?;
    if step <= 0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if end.as_millis().saturating_sub(start.as_millis()) / step > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(QueryTimes::Range {
        start,
        end,
        step: Duration::from_millis(step.unsigned_abs()),
    })
}

fn success(
    answer: Answer,
    limit: Option<usize>,
    stats: Option<String>,
    look: &Look<'_>,
) -> Result<Success, EvalError> {
    let mut warnings = answer.warnings;
    let mut value = answer.value;
    if let Some(limit) = limit {
        let was_cut = match &mut value {
            QueryValue::Matrix(series) => cut(series, limit),
            QueryValue::Vector(samples) => cut(samples, limit),
            QueryValue::Scalar { .. } | QueryValue::Text { .. } => false,
        };
        if was_cut {
            warnings.push(TRUNCATED.to_owned());
        }
    }
    let mut success = Success::written(|json| {
        push_value(json, &value, look)?;
        if let Some(stats) = stats {
            json.pop();
            json.push_str(&format!(",\"stats\":{stats}}}"));
        }
        Ok(())
    })?;
    success.warnings = warnings;
    success.infos = answer.infos;
    Ok(success)
}

/// What was read from the store is in memory at once. `by_step`: the times at which each step's count is told.
fn stats_json(stats: &QueryStats, by_step: Option<QueryTimes>) -> String {
    let seconds = |time: Duration| go_number::format_json(time.as_secs_f64());
    let mut json = format!(
        "{{\"timings\":{{\"evalTotalTime\":{},\"resultSortTime\":0,\"queryPreparationTime\":{},\"innerEvalTime\":{},\"execQueueTime\":{},\"execTotalTime\":{}}},\"samples\":{{",
        seconds(stats.evaluating),
        seconds(stats.reading),
        seconds(stats.evaluating.saturating_sub(stats.reading)),
        seconds(stats.queued),
        seconds(stats.queued + stats.evaluating),
    );
    if let Some(times) = by_step {
        let (start, step) = match times {
            QueryTimes::Instant(at) => (at, Duration::ZERO),
            QueryTimes::Range { start, step, .. } => (start, step),
        };
        json.push_str("\"totalQueryableSamplesPerStep\":[");
        push_list(
            &mut json,
            (0_u32..).zip(&stats.seen),
            |json, (place, seen)| {
                let at = go_number::format_json((start + step * place).as_secs_f64());
                json.push_str(&format!("[{at},{seen}]"));
            },
        );
        json.push_str("],");
    }
    json.push_str(&format!(
        "\"totalQueryableSamples\":{},\"peakSamples\":{samples},\"samplesRead\":{samples}}}}}",
        stats.seen.iter().sum::<u64>(),
        samples = stats.samples,
    ));
    json
}

fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let is_longer = items.len() > limit;
    items.truncate(limit);
    is_longer
}

/// Text is much longer than what it says: each element, and each histogram of a series, is counted before the next is written.
fn push_value(json: &mut String, value: &QueryValue, look: &Look<'_>) -> Result<(), EvalError> {
    let kind = match value {
        QueryValue::Matrix(_) => "matrix",
        QueryValue::Scalar { .. } => "scalar",
        QueryValue::Text { .. } => "string",
        QueryValue::Vector(_) => "vector",
    };
    json.push_str(&format!("{{\"resultType\":\"{kind}\",\"result\":"));
    match value {
        QueryValue::Matrix(series) => {
            json.push('[');
            push_within(json, series, look, |json, series| {
                push_series(json, series, look)
            })?;
            json.push(']');
        }
        QueryValue::Scalar { at, value } => {
            push_point(json, *at, &go_number::format_f(*value));
        }
        QueryValue::Text { at, value } => {
            json.push('[');
            push_time(json, *at);
            json.push(',');
            push_text(json, value);
            json.push(']');
        }
        QueryValue::Vector(elements) => {
            json.push('[');
            push_within(json, elements, look, |json, element| {
                push_element(json, element);
                Ok(())
            })?;
            json.push(']');
        }
    }
    json.push('}');
    Ok(())
}

fn push_element(json: &mut String, element: &VectorSample) {
    push_metric(json, &element.labels);
    match &element.value {
        SampleValue::Float(value) => {
            json.push_str(",\"value\":");
            let sample = Sample {
                timestamp: element.at,
                value: *value,
            };
            push_sample(json, sample);
        }
        SampleValue::Histogram(histogram) => {
            json.push_str(",\"histogram\":");
            push_histogram_point(json, element.at, histogram);
        }
    }
    json.push('}');
}

fn push_series(json: &mut String, series: &Series, look: &Look<'_>) -> Result<(), EvalError> {
    push_metric(json, &series.labels);
    if !series.samples.is_empty() {
        json.push_str(",\"values\":[");
        push_list(json, series.samples.iter().copied(), push_sample);
        json.push(']');
    }
    if !series.histograms.is_empty() {
        json.push_str(",\"histograms\":[");
        push_within(json, &series.histograms, look, |json, sample| {
            push_histogram_point(json, sample.timestamp, &sample.histogram);
            Ok(())
        })?;
        json.push(']');
    }
    json.push('}');
    Ok(())
}

fn push_metric(json: &mut String, labels: &Labels) {
    json.push_str("{\"metric\":");
    push_labels(json, labels);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::Bucket;
    use model::{Histogram, HistogramSample, Labels, Sample, Timestamp};
    use promql::{Answer, EvalError, QueryValue, SampleValue, Series, VectorSample};

    use super::{push_value, success};
    use crate::look::Look;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        let up = Labels::from_pairs([("__name__", "up"), ("job", "<x>")]);
        for (value, json) in [
            (
                QueryValue::Vector(vec![VectorSample {
                    labels: up.clone(),
                    at: at(1_435_781_451_781),
                    value: SampleValue::Float(1e21),
                }]),
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"\u003cx\u003e"},"value":[1435781451.781,"1e+21"]}]}"#,
            ),
            (
                QueryValue::Vector(vec![]),
                r#"{"resultType":"vector","result":[]}"#,
            ),
            (
                QueryValue::Matrix(vec![Series {
                    labels: Labels::default(),
                    samples: vec![
                        Sample {
                            timestamp: at(1000),
                            value: f64::NAN,
                        },
                        Sample {
                            timestamp: at(2100),
                            value: -0.5,
                        },
                    ],
                    ..Series::default()
                }]),
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[2.100,"-0.5"]]}]}"#,
            ),
            (
                QueryValue::Scalar {
                    at: at(0),
                    value: 1e-7,
                },
                r#"{"resultType":"scalar","result":[0,"0.0000001"]}"#,
            ),
            (
                QueryValue::Text {
                    at: at(0),
                    value: "a\"b".to_owned(),
                },
                r#"{"resultType":"string","result":[0,"a\"b"]}"#,
            ),
        ] {
            let mut text = String::new();
            push_value(&mut text, &value, &Look::new(usize::MAX, &|| false)).unwrap();
            assert_eq!(text, json);
        }
    }

    #[test]
    fn a_limit_cuts_and_says_so() {
        let answer = |count: i64| Answer {
            value: QueryValue::Vector(
                (0..count)
                    .map(|index| VectorSample {
                        labels: Labels::default(),
                        at: at(index),
                        value: SampleValue::Float(0.0),
                    })
                    .collect(),
            ),
            warnings: Vec::new(),
            infos: Vec::new(),
        };
        for (count, limit, warned) in [(2, None, false), (2, Some(2), false), (3, Some(2), true)] {
            let look = Look::new(usize::MAX, &|| false);
            let success = success(answer(count), limit, None, &look).unwrap();
            assert_eq!(!success.warnings.is_empty(), warned, "{count} {limit:?}");
            assert_eq!(success.into_json().matches("metric").count(), 2);
        }
    }

    #[test]
    fn the_text_of_an_answer_is_bounded_and_ends_when_nobody_waits() {
        let bucket = Bucket {
            index: 0,
            count: 1.0,
        };
        let histogram = Arc::new(Histogram {
            count: 1.0,
            positive: vec![bucket; 1],
            ..Histogram::default()
        });
        let series = Series {
            histograms: (0..100)
                .map(|index| HistogramSample {
                    timestamp: at(index),
                    start: Timestamp::default(),
                    histogram: Arc::clone(&histogram),
                })
                .collect(),
            ..Series::default()
        };
        // One series alone is too long: it is not written to its end.
        let value = QueryValue::Matrix(vec![series]);
        let mut text = String::new();
        let written = push_value(&mut text, &value, &Look::new(1000, &|| false));
        assert_eq!(written, Err(EvalError::TooManyBytes));
        assert!(text.len() < 1200, "{}", text.len());
        let written = push_value(&mut text, &value, &Look::new(1 << 20, &|| false));
        assert_eq!(written, Ok(()));
        let written = push_value(&mut text, &value, &Look::new(1 << 20, &|| true));
        assert_eq!(written, Err(EvalError::Cancelled));
    }
}
