//! JSON as Prometheus writes it, into one growing text: results have many small values and no structure to build.
use model::histogram::BucketSpan;
use model::{Histogram, Labels, Sample, Timestamp, go_json, go_number};

/// A string as Go writes it, with `<`, `>` and `&` escaped.
pub(crate) fn push_text(json: &mut String, text: &str) {
    let is_plain = text.bytes().all(|byte| {
        (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
    });
    if is_plain {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&go_json::to_string(text).expect("a string is always JSON"));
    }
}

pub(crate) fn push_labels(json: &mut String, labels: &Labels) {
    json.push('{');
    push_list(json, labels, |json, (name, value)| {
        push_text(json, name);
        json.push(':');
        push_text(json, value);
    });
    json.push('}');
}

/// The items with commas between them.
pub(crate) fn push_list<T>(
    json: &mut String,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut String, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push(json, item);
    }
}

pub(crate) fn texts<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let mut json = "[".to_owned();
    push_list(&mut json, items, push_text);
    json.push(']');
    json
}

/// `[1435781451.781,"1"]`
pub(crate) fn push_sample(json: &mut String, sample: Sample) {
    push_point(
        json,
        sample.timestamp,
        &go_number::format_json(sample.value),
    );
}

/// `[1435781451.781,{"count":"3","sum":"2.5","buckets":[[0,"0.5","1","3"]]}]`: buckets that hold anything, from the
/// lowest to the highest. The first number says which bounds belong to the bucket: 0 the upper, 1 the lower, 2 none, 3
/// both.
pub(crate) fn push_histogram(json: &mut String, at: Timestamp, histogram: &Histogram) {
    let number = |json: &mut String, number: f64| {
        json.push('"');
        json.push_str(&go_number::format_json(number));
        json.push('"');
    };
    json.push('[');
    push_time(json, at);
    json.push_str(",{\"count\":");
    number(json, histogram.count);
    json.push_str(",\"sum\":");
    number(json, histogram.sum);
    let filled: Vec<BucketSpan> = histogram.spans().filter(|span| span.count != 0.0).collect();
    if !filled.is_empty() {
        json.push_str(",\"buckets\":[");
        push_list(json, filled, |json, span| {
            let rule = match (span.includes_lower, span.includes_upper) {
                (false, true) => '0',
                (true, false) => '1',
                (false, false) => '2',
                (true, true) => '3',
            };
            json.push('[');
            json.push(rule);
            for value in [span.lower, span.upper, span.count] {
                json.push(',');
                number(json, value);
            }
            json.push(']');
        });
        json.push(']');
    }
    json.push_str("}]");
}

/// A time and a value that needs no escaping.
pub(crate) fn push_point(json: &mut String, at: Timestamp, value: &str) {
    json.push('[');
    push_time(json, at);
    json.push_str(",\"");
    json.push_str(value);
    json.push_str("\"]");
}

/// Seconds with no decimals, or with three.
pub(crate) fn push_time(json: &mut String, at: Timestamp) {
    let millis = at.as_millis();
    if millis < 0 {
        json.push('-');
    }
    let millis = millis.unsigned_abs();
    json.push_str(&(millis / 1000).to_string());
    if !millis.is_multiple_of(1000) {
        json.push_str(&format!(".{:03}", millis % 1000));
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Bucket;
    use model::{Histogram, Labels, Timestamp};

    use super::{push_histogram, push_labels, push_time};

    #[test]
    fn histograms_have_the_bounds_of_their_buckets() {
        let bucket = |index: i32, count: f64| Bucket { index, count };
        let histogram = Histogram {
            zero_threshold: 0.001,
            zero_count: 1.5,
            count: 6.5,
            sum: -0.5,
            positive: vec![bucket(0, 2.0), bucket(1, 0.0), bucket(2, 1.0)],
            negative: vec![bucket(1, 2.0)],
            ..Histogram::default()
        };
        let mut json = String::new();
        push_histogram(&mut json, Timestamp::from_millis(1500), &histogram);
        let wanted = r#"[1.500,{"count":"6.5","sum":"-0.5","buckets":[[1,"-2","-1","2"],[3,"-0.001","0.001","1.5"],[0,"0.5","1","2"],[0,"2","4","1"]]}]"#;
        assert_eq!(json, wanted);
        json.clear();
        push_histogram(&mut json, Timestamp::default(), &Histogram::default());
        assert_eq!(json, r#"[0,{"count":"0","sum":"0"}]"#);
    }

    #[test]
    fn times_have_no_decimals_or_three() {
        for (millis, text) in [
            (0, "0"),
            (1_435_781_451_781, "1435781451.781"),
            (1_435_781_451_000, "1435781451"),
            (100, "0.100"),
            (-1, "-0.001"),
            (-2000, "-2"),
        ] {
            let mut json = String::new();
            push_time(&mut json, Timestamp::from_millis(millis));
            assert_eq!(json, text);
        }
    }

    #[test]
    fn label_values_are_escaped_as_go_escapes_them() {
        let mut json = String::new();
        let labels = Labels::from_pairs([("a", "<&>\"\\\n"), ("b", "é")]);
        push_labels(&mut json, &labels);
        assert_eq!(json, r#"{"a":"\u003c\u0026\u003e\"\\\n","b":"é"}"#);
    }
}
