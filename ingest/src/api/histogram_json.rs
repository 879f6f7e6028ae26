//! A native histogram as the API writes it.
use model::{Histogram, Timestamp, go_number};

use crate::api::json::{push_list, push_time};

/// `[1435781451.781,{"count":"3","sum":"2.5"}]`
pub(crate) fn push_histogram_point(json: &mut String, at: Timestamp, histogram: &Histogram) {
    json.push('[');
    push_time(json, at);
    json.push(',');
    push_histogram(json, histogram);
    json.push(']');
}

/// `{"count":"3","sum":"2.5","buckets":[[0,"0.5","1","3"]]}`: of each bucket that holds anything which of its bounds
/// belong to it, the bounds, and the count. Where no bucket does, there is no list.
fn push_histogram(json: &mut String, histogram: &Histogram) {
    let number = go_number::format_json;
    json.push_str(&format!(
        "{{\"count\":\"{}\",\"sum\":\"{}\"",
        number(histogram.count),
        number(histogram.sum)
    ));
    let mut spans = histogram
        .spans()
        .filter(|span| span.count != 0.0)
        .peekable();
    if spans.peek().is_some() {
        json.push_str(",\"buckets\":[");
        push_list(json, spans, |json, span| {
            let rule = match (span.includes_lower, span.includes_upper) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            json.push_str(&format!(
                "[{rule},\"{}\",\"{}\",\"{}\"]",
                number(span.lower),
                number(span.upper),
                number(span.count)
            ));
        });
        json.push(']');
    }
    json.push('}');
}

#[cfg(test)]
mod tests {
    use model::Histogram;
    use model::histogram::{Bucket, CUSTOM_BUCKETS};

    use super::push_histogram;

    #[test]
    fn histograms_are_written_as_prometheus_writes_them() {
        let bucket = |index, count| Bucket { index, count };
        let exponential = Histogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 1.5,
            count: 12.5,
            sum: -1e21,
            negative: vec![bucket(1, 3.0)],
            positive: vec![bucket(0, 1.0), bucket(1, 0.0), bucket(2, 7.0)],
            ..Histogram::default()
        };
        let custom = Histogram {
            schema: CUSTOM_BUCKETS,
            count: 3.0,
            sum: f64::NAN,
            positive: vec![bucket(0, 1.0), bucket(1, 0.0), bucket(2, 2.0)],
            custom_values: [5.0, 10.0].into(),
            ..Histogram::default()
        };
        for (histogram, expected) in [
            (Histogram::default(), r#"{"count":"0","sum":"0"}"#),
            (
                exponential,
                r#"{"count":"12.5","sum":"-1e+21","buckets":[[1,"-2","-1","3"],[3,"-0.001","0.001","1.5"],[0,"0.5","1","1"],[0,"2","4","7"]]}"#,
            ),
            (
                custom,
                r#"{"count":"3","sum":"NaN","buckets":[[3,"-Inf","5","1"],[0,"10","+Inf","2"]]}"#,
            ),
        ] {
            let mut json = String::new();
            push_histogram(&mut json, &histogram);
            assert_eq!(json, expected);
        }
    }
}
