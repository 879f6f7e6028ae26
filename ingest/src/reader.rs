//! What a query sees of a tenant: the head, looked at under its lock and read without it.
use std::sync::Arc;

use model::{Sample, Timestamp};
use promql::{ReadError, Selection, Series, SeriesReader};

use crate::tenant_store::TenantStore;

/// Cheap to copy. A tenant that has never sent a sample has no store, and no series.
#[derive(Clone)]
pub struct HeadReader {
    store: Option<Arc<TenantStore>>,
}

impl HeadReader {
    pub(crate) fn new(store: Option<Arc<TenantStore>>) -> Self {
        Self { store }
    }
}

impl SeriesReader for HeadReader {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let Some(store) = &self.store else {
            return Ok(Vec::new());
        };
        let Selection {
            matchers,
            after,
            until,
        } = *selection;
        let views = store.read(|head| head.select(matchers, after, until));
        let mut left = samples_max;
        let mut found = Vec::with_capacity(views.len());
        for view in views {
            let mut samples = Vec::new();
            for sample in view.samples() {
                if sample.timestamp > until {
                    break;
                }
                if sample.timestamp > after {
                    left = left.checked_sub(1).ok_or(ReadError::TooManySamples)?;
                    samples.push(sample);
                }
            }
            let mut histograms = Vec::new();
            for sample in view.histograms() {
                if sample.timestamp > until {
                    break;
                }
                if sample.timestamp > after {
                    left = left.checked_sub(1).ok_or(ReadError::TooManySamples)?;
                    histograms.push(sample);
                }
            }
            let series = Series {
                labels: view.labels,
                samples,
                histograms,
                ..Series::default()
            };
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(found)
    }
}

/// The newest sample of each series in the window, for those who want nothing else. At most `samples_max` are looked at.
pub(crate) fn newest_samples(
    reader: &HeadReader,
    matchers: &[model::Matcher],
    after: Timestamp,
    until: Timestamp,
    samples_max: usize,
) -> Result<Vec<(model::Labels, Sample)>, ReadError> {
    let selection = Selection {
        matchers,
        after,
        until,
    };
    let series = reader.select(&selection, samples_max)?.into_iter();
    Ok(series
        .filter_map(|series| Some((series.labels, *series.samples.last()?)))
        .collect())
}
