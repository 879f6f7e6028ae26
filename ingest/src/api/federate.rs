//! `/federate`: the newest samples as text, for a Prometheus that scrapes us.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use model::{
    Labels, METRIC_NAME, Sample, go_number, is_classic_label_name, is_classic_metric_name,
    is_stale_nan,
};
use promql::EvalError;
use runtime::Tenant;

use crate::api::envelope::ApiError;
use crate::api::params::Params;
use crate::engine::Engine;
use crate::look::Look;
use crate::reader::newest_samples;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";

pub(crate) async fn federate(
    State(engine): State<Engine>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let text = async {
        let selectors = Params::read(request).await?.selectors()?;
        let until = engine.clock().now();
        let after = until - engine.settings().query.lookback;
        let external = engine.settings().external_labels.clone();
        let samples_max = engine.settings().query.samples_max;
        let of_tenant = tenant.clone();
        let looked = engine.look(&tenant, move |engine, look| {
            let reader = engine.reader(&of_tenant);
            let mut newest = BTreeMap::new();
            for matchers in &selectors {
                let window = (after, until);
                for (labels, sample) in
                    newest_samples(&reader, matchers, window, samples_max, look)?
                {
                    match newest.entry(labels) {
                        Entry::Vacant(place) => {
                            look.charge_labels(place.key())?;
                            place.insert(sample);
                        }
                        Entry::Occupied(mut place) => {
                            place.insert(sample);
                        }
                    }
                }
            }
            exposition(newest, &external, look)
        });
        looked.await.map_err(ApiError::from)
    };
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (error.status(), format!("{}\n", error.message())).into_response(),
    }
}

/// One family for each metric name. Series that have ended are left out; external labels, and an empty `instance`,
/// are added where a series does not have them, so that a scrape with `honor_labels` keeps the series as they are.
fn exposition(
    newest: BTreeMap<Labels, Sample>,
    external: &Labels,
    look: &Look<'_>,
) -> Result<String, EvalError> {
    let mut families: BTreeMap<String, Vec<(Labels, Sample)>> = BTreeMap::new();
    for (labels, sample) in newest {
        if !is_stale_nan(sample.value) {
            let name = labels.metric_name().unwrap_or_default().to_owned();
            families.entry(name).or_default().push((labels, sample));
        }
    }
    let mut added: BTreeMap<&str, &str> = BTreeMap::from([("instance", "")]);
    added.extend(external);
    let mut text = String::new();
    for (name, series) in families {
        let is_classic = is_classic_metric_name(&name);
        let shown = if is_classic {
            name.clone()
        } else {
            quoted(&name)
        };
        let _ = writeln!(text, "# TYPE {shown} untyped");
        for (labels, sample) in series {
            let mut pairs = Vec::new();
            if !is_classic {
                pairs.push(shown.clone());
            }
            let own = labels.iter().filter(|(own, _)| *own != METRIC_NAME);
            let missing = added
                .iter()
                .filter(|(added, _)| labels.get(added).is_none())
                .map(|(name, value)| (*name, *value));
            pairs.extend(own.chain(missing).map(|(name, value)| {
                let name = if is_classic_label_name(name) {
                    name.to_owned()
                } else {
                    quoted(name)
                };
                format!("{name}={}", quoted(value))
            }));
            let before = if is_classic { name.as_str() } else { "" };
            let value = go_number::format_g(sample.value);
            let millis = sample.timestamp.as_millis();
            let length = text.len();
            let _ = writeln!(text, "{before}{{{}}} {value} {millis}", pairs.join(","));
            look.go_on()?;
            look.charge(text.len() - length)?;
        }
    }
    Ok(text)
}

/// In quotes, with backslashes, quotes and newlines escaped.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Labels, Sample, Timestamp, stale_nan};

    use super::exposition;
    use crate::look::Look;

    #[test]
    fn the_text_is_that_of_prometheus() {
        let sample = |value| Sample {
            timestamp: Timestamp::from_millis(1234),
            value,
        };
        let newest = BTreeMap::from([
            (
                Labels::from_pairs([("__name__", "up"), ("job", "a\"b"), ("instance", "i")]),
                sample(1e6),
            ),
            (
                Labels::from_pairs([("__name__", "up"), ("job", "c")]),
                sample(0.0),
            ),
            (
                Labels::from_pairs([("__name__", "gone")]),
                sample(stale_nan()),
            ),
            (
                Labels::from_pairs([("__name__", "http.status"), ("le.x", "1")]),
                sample(f64::INFINITY),
            ),
        ]);
        let external = Labels::from_pairs([("cluster", "eu"), ("job", "never")]);
        assert_eq!(
            exposition(newest, &external, &Look::new(usize::MAX, &|| false)).unwrap(),
            concat!(
                "# TYPE \"http.status\" untyped\n",
                "{\"http.status\",\"le.x\"=\"1\",cluster=\"eu\",instance=\"\",job=\"never\"} +Inf 1234\n",
                "# TYPE up untyped\n",
                "up{instance=\"i\",job=\"a\\\"b\",cluster=\"eu\"} 1e+06 1234\n",
                "up{job=\"c\",cluster=\"eu\",instance=\"\"} 0 1234\n",
            )
        );
    }
}
