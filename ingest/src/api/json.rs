//! JSON as Prometheus writes it, into one growing text: results have many small values and no structure to build.
use model::{Labels, Sample, Timestamp, go_json, go_number};
use promql::EvalError;

use crate::look::Look;

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

/// As [`push_list`], within what a look may take.
pub(crate) fn push_within<T>(
    json: &mut String,
    items: impl IntoIterator<Item = T>,
    look: &Look<'_>,
    mut push: impl FnMut(&mut String, T) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    for (index, item) in items.into_iter().enumerate() {
        look.go_on()?;
        if index > 0 {
            json.push(',');
        }
        push(json, item)?;
        look.charge_text(json.len())?;
    }
    Ok(())
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
    use model::{Labels, Timestamp};

    use super::{push_labels, push_time};

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
