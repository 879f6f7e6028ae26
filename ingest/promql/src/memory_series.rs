//! Series in a map: what tests of rules and of the language read from and write to.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use model::histogram::ResetHint;
use model::{Histogram, HistogramSample, Labels, Sample, SampleValue, Timestamp, match_all};

use crate::reader::{ReadError, Selection, Series, SeriesReader};
use crate::series_notation::NotedValue;

/// Why a sample is not taken, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleRefused {
    #[error("duplicate sample for timestamp")]
    Duplicate,
    #[error("out of order sample")]
    OutOfOrder,
}

/// A store without bounds and without a past that ends.
#[derive(Clone, Debug, Default)]
pub struct MemorySeries {
    series: BTreeMap<Labels, BTreeMap<i64, Stored>>,
}

#[derive(Clone, Debug)]
struct Stored {
    value: SampleValue,
    /// When what the sample counts began; the epoch where that is unknown.
    start: Timestamp,
}

impl MemorySeries {
    /// In the place of what the series has at this time. A gap is nothing.
    pub fn insert(&mut self, labels: &Labels, at: Timestamp, value: NotedValue, start: Timestamp) {
        let value = match value {
            NotedValue::Gap => return,
            NotedValue::Histogram(histogram) => SampleValue::Histogram(histogram),
            NotedValue::Value(value) => SampleValue::Float(value),
        };
        let samples = self.of(labels);
        let before = samples.range(..at.as_millis()).next_back();
        let value = hinted(before.map(|(_, before)| &before.value), value);
        samples.insert(at.as_millis(), Stored { value, start });
    }

    /// As a store takes a sample that comes in.
    ///
    /// # Errors
    /// The series has a later sample, or another one at this time.
    pub fn append(
        &mut self,
        labels: &Labels,
        at: Timestamp,
        value: SampleValue,
    ) -> Result<(), SampleRefused> {
        let samples = self.of(labels);
        let last = samples.last_key_value();
        let value = match last {
            Some((millis, _)) if *millis > at.as_millis() => {
                return Err(SampleRefused::OutOfOrder);
            }
            Some((millis, last)) if *millis == at.as_millis() => {
                return match (&last.value, &value) {
                    (SampleValue::Float(before), SampleValue::Float(value))
                        if before.to_bits() == value.to_bits() =>
                    {
                        Ok(())
                    }
                    (SampleValue::Histogram(before), SampleValue::Histogram(value))
                        if before.is_same(value) =>
                    {
                        Ok(())
                    }
                    _ => Err(SampleRefused::Duplicate),
                };
            }
            last => hinted(last.map(|(_, last)| &last.value), value),
        };
        let start = Timestamp::default();
        samples.insert(at.as_millis(), Stored { value, start });
        Ok(())
    }

    /// All series with all of their samples, by their labels.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, Vec<(Timestamp, &SampleValue)>)> {
        self.series.iter().map(|(labels, samples)| {
            let samples = samples.iter();
            let timed = samples.map(|(at, stored)| (Timestamp::from_millis(*at), &stored.value));
            (labels, timed.collect())
        })
    }

    fn of(&mut self, labels: &Labels) -> &mut BTreeMap<i64, Stored> {
        if !self.series.contains_key(labels) {
            self.series.insert(labels.clone(), BTreeMap::new());
        }
        self.series.get_mut(labels).expect("it was put there")
    }
}

/// The hint with which a store answers: it compares histograms as they come in, where nobody else has.
fn hinted(before: Option<&SampleValue>, value: SampleValue) -> SampleValue {
    let SampleValue::Histogram(histogram) = &value else {
        return value;
    };
    let hint = match (histogram.reset_hint, before) {
        (hint @ (ResetHint::Gauge | ResetHint::Reset), _) => hint,
        (_, Some(SampleValue::Histogram(before))) if before.reset_hint != ResetHint::Gauge => {
            let unhinted = Histogram {
                reset_hint: ResetHint::Unknown,
                ..(**histogram).clone()
            };
            let same_layout = histogram.schema == before.schema
                && histogram.zero_threshold == before.zero_threshold
                && histogram.custom_values == before.custom_values;
            // What a store writes to another chunk it does not compare.
            if same_layout && !unhinted.is_reset_since(before) {
                ResetHint::NotReset
            } else {
                ResetHint::Unknown
            }
        }
        _ => ResetHint::Unknown,
    };
    SampleValue::Histogram(Arc::new(Histogram {
        reset_hint: hint,
        ..(**histogram).clone()
    }))
}

impl SeriesReader for MemorySeries {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let (after, until) = (selection.after.as_millis(), selection.until.as_millis());
        let mut found = Vec::new();
        let mut total = 0;
        if after >= until {
            return Ok(found);
        }
        let window = (Bound::Excluded(after), Bound::Included(until));
        for (labels, samples) in &self.series {
            if !match_all(selection.matchers, labels) {
                continue;
            }
            let mut series = Series {
                labels: labels.clone(),
                ..Series::default()
            };
            for (millis, Stored { value, start }) in samples.range(window) {
                total += 1;
                let timestamp = Timestamp::from_millis(*millis);
                match value {
                    SampleValue::Histogram(histogram) => series.histograms.push(HistogramSample {
                        timestamp,
                        start: *start,
                        histogram: histogram.clone(),
                    }),
                    SampleValue::Float(value) => {
                        series.samples.push(Sample {
                            timestamp,
                            value: *value,
                        });
                        series.starts.push(*start);
                    }
                }
            }
            if total > samples_max {
                return Err(ReadError::TooManySamples);
            }
            if series
                .starts
                .iter()
                .all(|start| *start == Timestamp::default())
            {
                series.starts.clear();
            }
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp, stale_nan};

    use super::MemorySeries;
    use crate::series_notation::NotedValue;

    #[test]
    fn samples_come_in_order_and_once() {
        let mut series = MemorySeries::default();
        let up = Labels::from_pairs([("__name__", "up")]);
        let at = Timestamp::from_secs;
        series.insert(&up, at(60), NotedValue::Value(1.0), Timestamp::default());
        for (time, value, expected) in [
            (30, 1.0, "out of order sample"),
            (60, 2.0, "duplicate sample for timestamp"),
            (60, 1.0, ""),
            (90, stale_nan(), ""),
            (90, stale_nan(), ""),
        ] {
            let refused = series.append(&up, at(time), value.into()).err();
            let refused = refused.map(|refused| refused.to_string());
            assert_eq!(refused.unwrap_or_default(), expected, "{time} {value}");
        }
        let (_, samples) = series.iter().next().unwrap();
        assert_eq!(samples.len(), 2);
    }
}
