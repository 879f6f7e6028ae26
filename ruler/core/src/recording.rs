//! Recording rules: a result under another name.
use model::{Labels, METRIC_NAME, SampleValue};

use crate::refusal::ResultRefused;
use crate::series::{SeriesValue, WrittenSeries};

/// One element of a query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedElement {
    pub series: Labels,
    pub value: SampleValue,
}

/// The series that a result becomes: the rule's name and labels laid over each element's own; an empty label of the
/// rule removes one (Prometheus 3.14).
///
/// # Errors
/// Two elements that become the same series; more series than `limit`.
pub(crate) fn record(
    name: &str,
    rule_labels: &Labels,
    limit: Option<u64>,
    elements: Vec<RecordedElement>,
) -> Result<Vec<SeriesValue>, ResultRefused> {
    let samples: Vec<SeriesValue> = elements
        .into_iter()
        .map(|element| SeriesValue {
            labels: recorded_labels(name, rule_labels, &element.series),
            value: element.value,
        })
        .collect();
    if WrittenSeries::of(&samples).into_labels().len() < samples.len() {
        return Err(ResultRefused::SameRecordedLabels);
    }
    match limit {
        Some(limit) if samples.len() as u64 > limit => Err(ResultRefused::TooManySeries {
            limit,
            count: samples.len(),
        }),
        _ => Ok(samples),
    }
}

fn recorded_labels(name: &str, rule_labels: &Labels, series: &Labels) -> Labels {
    let kept = series
        .iter()
        .filter(|(label, _)| *label != METRIC_NAME && rule_labels.get(label).is_none());
    let own = rule_labels.iter().filter(|(_, value)| !value.is_empty());
    kept.chain(own).chain([(METRIC_NAME, name)]).collect()
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::{RecordedElement, record};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    fn check(rule_labels: &[(&str, &str)], limit: Option<u64>, series: &[Labels], told: &str) {
        let elements = series
            .iter()
            .map(|series| RecordedElement {
                series: series.clone(),
                value: 1.0.into(),
            })
            .collect();
        let answer = match record("job:up", &labels(rule_labels), limit, elements) {
            Ok(samples) => samples
                .iter()
                .map(|sample| sample.labels.to_string())
                .collect::<Vec<_>>()
                .join(" "),
            Err(refused) => refused.to_string(),
        };
        assert_eq!(answer, told);
    }

    #[test]
    fn the_rules_name_and_labels_win_and_an_empty_one_removes() {
        let up = labels(&[("__name__", "up"), ("instance", "a"), ("job", "x")]);
        check(
            &[],
            None,
            std::slice::from_ref(&up),
            r#"{__name__="job:up", instance="a", job="x"}"#,
        );
        check(
            &[("instance", ""), ("job", "y"), ("team", "t")],
            None,
            &[up],
            r#"{__name__="job:up", job="y", team="t"}"#,
        );
        check(&[], None, &[labels(&[])], r#"{__name__="job:up"}"#);
    }

    #[test]
    fn a_result_is_refused_whole() {
        let a = labels(&[("instance", "a")]);
        let b = labels(&[("instance", "b")]);
        check(
            &[("instance", "")],
            None,
            &[a.clone(), b.clone()],
            "vector contains metrics with the same labelset after applying rule labels",
        );
        check(&[], Some(1), &[a, b], "exceeded limit of 1 with 2 series");
    }
}
