//! Series in a map, as a reader.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::ResetHint;
use model::{Histogram, HistogramSample, Labels, Sample, Timestamp, match_all};
use watchbell_promql::{ReadError, Selection, Series, SeriesReader};

use crate::script::{Cell, Loaded};

#[derive(Default)]
pub(crate) struct Storage {
    /// Values by their time, with when their counters began.
    series: BTreeMap<Labels, BTreeMap<i64, (Cell, i64)>>,
}

impl Storage {
    pub(crate) fn insert(&mut self, loaded: Loaded) {
        let samples = self.series.entry(loaded.labels).or_default();
        let mut before = Cell::Gap;
        for (index, (millis, cell)) in loaded.cells.into_iter().enumerate() {
            if cell != Cell::Gap {
                let offset = loaded.starts.get(index).copied().flatten();
                let start = offset.map_or(0, |offset| millis + offset);
                samples.insert(millis, (hinted(&before, cell.clone()), start));
                before = cell;
            }
        }
    }
}

/// The hint with which a store answers: it compares histograms as they come in, where nobody else has.
fn hinted(before: &Cell, cell: Cell) -> Cell {
    let Cell::Histogram(histogram) = &cell else {
        return cell;
    };
    let hint = match (histogram.reset_hint, before) {
        (hint @ (ResetHint::Gauge | ResetHint::Reset), _) => hint,
        (_, Cell::Histogram(before)) if before.reset_hint != ResetHint::Gauge => {
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
    Cell::Histogram(Arc::new(Histogram {
        reset_hint: hint,
        ..(**histogram).clone()
    }))
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
            let mut series = Series {
                labels: labels.clone(),
                ..Series::default()
            };
            for (millis, (cell, start)) in samples.range(window) {
                total += 1;
                let timestamp = Timestamp::from_millis(*millis);
                let start = Timestamp::from_millis(*start);
                match cell {
                    Cell::Gap => {}
                    Cell::Histogram(histogram) => series.histograms.push(HistogramSample {
                        timestamp,
                        start,
                        histogram: histogram.clone(),
                    }),
                    Cell::Value(value) => {
                        series.samples.push(Sample {
                            timestamp,
                            value: *value,
                        });
                        series.starts.push(start);
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
