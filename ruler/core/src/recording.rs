//! Recording rules: a result under another name.
use model::{Labels, METRIC_NAME, SampleValue};

use crate::refusal::{LeftOut, OverLimit, ResultRefused};
use crate::series::{SeriesValue, WrittenSeries};

/// One element of a query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedElement {
    pub series: Labels,
    pub value: SampleValue,
}

/// What of a rule decides about its series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPolicy<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: &'a Labels,
    pub(crate) limit: Option<u64>,
    pub(crate) over_limit: OverLimit,
}

#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) samples: Vec<SeriesValue>,
    pub(crate) left_out: Option<LeftOut>,
}

/// The series that a result becomes: the rule's name and labels laid over each element's own; an empty label of the
/// rule removes one (Prometheus 3.14). Of more than the limit those stay that stand in `before`, then the first.
///
/// # Errors
/// Two elements that become the same series; more series than the limit, where that drops all.
pub(crate) fn record(
    policy: RecordPolicy<'_>,
    before: &WrittenSeries,
    elements: Vec<RecordedElement>,
) -> Result<Recorded, ResultRefused> {
    let RecordPolicy {
        name,
        labels: rule_labels,
        limit,
        over_limit,
    } = policy;
    let mut samples: Vec<SeriesValue> = elements
        .into_iter()
        .map(|element| SeriesValue {
            labels: recorded_labels(name, rule_labels, &element.series),
            value: element.value,
        })
        .collect();
    if WrittenSeries::of(&samples).into_labels().len() < samples.len() {
        return Err(ResultRefused::SameRecordedLabels);
    }
    let count = samples.len();
    let limit = match limit {
        Some(limit) if count as u64 > limit => limit,
        Some(_) | None => {
            return Ok(Recorded {
                samples,
                left_out: None,
            });
        }
    };
    match over_limit {
        OverLimit::DropAll => Err(ResultRefused::TooManySeries { limit, count }),
        OverLimit::KeepFirst => {
            samples.sort_by_cached_key(|sample| {
                (!before.contains(&sample.labels), sample.labels.clone())
            });
            samples.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let count = count - samples.len();
            Ok(Recorded {
                samples,
                left_out: Some(LeftOut { limit, count }),
            })
        }
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

    use super::{RecordPolicy, RecordedElement, record};
    use crate::refusal::OverLimit;
    use crate::series::WrittenSeries;

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
        let policy = RecordPolicy {
            name: "job:up",
            labels: &labels(rule_labels),
            limit,
            over_limit: OverLimit::DropAll,
        };
        let answer = match record(policy, &WrittenSeries::default(), elements) {
            Ok(recorded) => recorded
                .samples
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

    #[test]
    fn of_too_many_those_of_before_stay_and_then_the_first() {
        let series = |names: &str| -> Vec<Labels> {
            let of = |name: char| labels(&[("__name__", "r"), ("instance", &name.to_string())]);
            names.chars().map(of).collect()
        };
        for (before, result, limit, kept, left_out) in [
            ("", "dbca", 2, "ab", 2),
            ("cd", "dbca", 2, "cd", 2),
            ("cx", "dbca", 3, "abc", 1),
            ("", "ba", 2, "ab", 0),
        ] {
            let before: WrittenSeries = series(before).into_iter().collect();
            let elements = series(result).into_iter().map(|series| RecordedElement {
                series,
                value: 1.0.into(),
            });
            let policy = RecordPolicy {
                name: "r",
                labels: &Labels::default(),
                limit: Some(limit),
                over_limit: OverLimit::KeepFirst,
            };
            let recorded = record(policy, &before, elements.collect()).unwrap();
            let samples = recorded.samples.into_iter();
            let mut names: Vec<Labels> = samples.map(|sample| sample.labels).collect();
            names.sort_unstable();
            assert_eq!(names, series(kept), "{result}");
            assert_eq!(recorded.left_out.map_or(0, |left| left.count), left_out);
        }
    }
}
