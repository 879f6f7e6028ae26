//! Series in a map, as a reader.
use std::collections::BTreeMap;

use model::{Labels, Sample, Timestamp, match_all};
use watchbell_promql::{ReadError, Selection, Series, SeriesReader};

#[derive(Default)]
pub(crate) struct Storage {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
}

impl Storage {
    pub(crate) fn insert(&mut self, labels: &Labels, millis: i64, value: f64) {
        self.series
            .entry(labels.clone())
            .or_default()
            .insert(millis, value);
    }
}

impl SeriesReader for Storage {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let mut found = Vec::new();
        let mut total = 0;
        for (labels, samples) in &self.series {
            if !match_all(selection.matchers, labels) || selection.after >= selection.until {
                continue;
            }
            let window =
                selection.after.as_millis().saturating_add(1)..=selection.until.as_millis();
            let samples: Vec<Sample> = samples
                .range(window)
                .map(|(millis, value)| Sample {
                    timestamp: Timestamp::from_millis(*millis),
                    value: *value,
                })
                .collect();
            total += samples.len();
            if total > samples_max {
                return Err(ReadError::TooManySamples);
            }
            if !samples.is_empty() {
                found.push(Series {
                    labels: labels.clone(),
                    samples,
                });
            }
        }
        Ok(found)
    }
}
