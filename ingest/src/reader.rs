//! What a query sees of a tenant: the head, looked at under its lock and read without it, and the blocks.
//!
//! The head is looked at first and the blocks after it, since what leaves the head is among the blocks before: a sample
//! may be seen twice and is told once, and none is missed.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ingest_core::{Head, SelectError};
use model::{HistogramSample, Labels, Matcher, Sample, Timestamp};
use promql::{ReadError, Selection, Series, SeriesReader};
use tracing::warn;

use crate::metrics::IngestMetrics;
use crate::start_error::{StartError, chain};
use crate::tenant_blocks::DiskBlock;
use crate::tenant_store::TenantStore;

/// Cheap to copy. A tenant that has never sent a sample has no store, and no series.
#[derive(Clone)]
pub struct StoreReader {
    store: Option<Arc<TenantStore>>,
    /// Why there is none, though there is such a tenant.
    unopened: Option<String>,
    metrics: IngestMetrics,
}

impl StoreReader {
    pub(crate) fn new(store: Option<Arc<TenantStore>>, metrics: IngestMetrics) -> Self {
        Self {
            store,
            unopened: None,
            metrics,
        }
    }

    /// What is stored cannot be opened, so that every look at it fails.
    pub(crate) fn of_unopened(problem: &StartError, metrics: IngestMetrics) -> Self {
        let unopened = format!("tenant cannot be opened: {}", chain(problem));
        Self {
            store: None,
            unopened: Some(unopened),
            metrics,
        }
    }

    fn store(&self) -> Result<Option<&Arc<TenantStore>>, ReadError> {
        match &self.unopened {
            Some(problem) => Err(ReadError::Storage(problem.clone())),
            None => Ok(self.store.as_ref()),
        }
    }

    /// The label sets that match any of the selectors and have samples in the window `(after, until]`, sorted.
    pub fn label_sets(
        &self,
        selectors: &[Vec<Matcher>],
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Labels>, ReadError> {
        let mut sets = BTreeSet::new();
        self.look(after, until, |part| {
            for matchers in selectors {
                sets.extend(match &part {
                    Part::Head(head) => head.label_sets(matchers, after, until),
                    Part::Block(block) => block
                        .label_sets(matchers, after, until)
                        .map_err(Failed::Block)?,
                });
            }
            Ok(())
        })?;
        Ok(sets.into_iter().collect())
    }

    /// The names of all labels of the head, if it has samples in the window, and of the blocks in the window, sorted.
    pub fn label_names(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        self.look(after, until, |part| {
            names.extend(match part {
                Part::Head(head) if !head.has_samples(after, until) => Vec::new(),
                Part::Head(head) => head.label_names(),
                Part::Block(block) => block.label_names(),
            });
            Ok(())
        })?;
        Ok(names.into_iter().collect())
    }

    /// The values of a label in the head, if it has samples in the window, and in the blocks of the window, sorted.
    pub fn label_values(
        &self,
        name: &str,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<String>, ReadError> {
        let mut values = BTreeSet::new();
        self.look(after, until, |part| {
            values.extend(match part {
                Part::Head(head) if !head.has_samples(after, until) => Vec::new(),
                Part::Head(head) => head.label_values(name),
                Part::Block(block) => block.label_values(name).map_err(Failed::Block)?,
            });
            Ok(())
        })?;
        Ok(values.into_iter().collect())
    }

    fn look(
        &self,
        after: Timestamp,
        until: Timestamp,
        mut look: impl FnMut(Part<'_>) -> Result<(), Failed>,
    ) -> Result<(), ReadError> {
        let Some(store) = self.store()? else {
            return Ok(());
        };
        let looked = store.read(|head| look(Part::Head(head)));
        looked.map_err(|failed| failed.into_error("head"))?;
        for block in store.blocks().overlapping(after, until) {
            let name = block.meta.ulid.to_string();
            let opened = open(&block)?;
            look(Part::Block(&opened)).map_err(|failed| failed.into_error(&name))?;
        }
        Ok(())
    }
}

enum Part<'p> {
    Head(&'p Head),
    Block(&'p ingest_core::Block),
}

enum Failed {
    Block(ingest_core::BlockError),
}

impl Failed {
    fn into_error(self, block: &str) -> ReadError {
        let Self::Block(error) = self;
        ReadError::Storage(format!("block {block}: {error}"))
    }
}

impl SeriesReader for StoreReader {
    fn select(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        self.select_unless(selection, samples_max, &|| false)
    }
}

impl StoreReader {
    /// As `select`, until `is_cancelled`: that is asked for every block, and for every series in memory.
    pub(crate) fn select_unless(
        &self,
        selection: &Selection<'_>,
        samples_max: usize,
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Series>, ReadError> {
        let go_on = || match is_cancelled() {
            true => Err(ReadError::Cancelled),
            false => Ok(()),
        };
        let Some(store) = self.store()? else {
            return Ok(Vec::new());
        };
        let Selection {
            matchers,
            after,
            until,
        } = *selection;
        let views = store.read(|head| head.select(matchers, after, until));
        let blocks = store.blocks().overlapping(after, until);
        let mut left = samples_max;
        let mut found = Found::default();
        for block in blocks {
            go_on()?;
            let opened = open(&block)?;
            let selected = opened.select(matchers, after, until, left);
            let selected = selected.map_err(|error| match error {
                SelectError::TooManySamples => ReadError::TooManySamples,
                SelectError::Block(error) => {
                    ReadError::Storage(format!("block {}: {error}", block.meta.ulid))
                }
            })?;
            for (encoding, chunks) in selected.unknown_chunks {
                self.metrics.unknown_chunks.inc_by(chunks);
                if let Some(left_out) = store.unknown_chunks.happened() {
                    warn!(tenant = %store.tenant(), block = %block.meta.ulid, encoding = encoding.0, chunks, left_out, "chunks of an encoding that cannot be read were passed over");
                }
            }
            for series in selected.series {
                let histograms = series.histograms.iter();
                let weights = histograms.map(HistogramSample::weight).sum::<usize>();
                left = left.saturating_sub(series.samples.len() + weights);
                found.add(series.labels, series.samples, series.histograms);
            }
        }
        for view in views {
            go_on()?;
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
                    let rest = left.checked_sub(sample.weight());
                    left = rest.ok_or(ReadError::TooManySamples)?;
                    histograms.push(sample);
                }
            }
            found.add(view.labels, samples, histograms);
        }
        Ok(found.series)
    }
}

fn open(block: &DiskBlock) -> Result<Arc<ingest_core::Block>, ReadError> {
    block.open().map_err(|error| {
        ReadError::Storage(format!(
            "block {} cannot be opened: {error}",
            block.meta.ulid
        ))
    })
}

/// Series that come in parts.
#[derive(Default)]
struct Found {
    series: Vec<Series>,
    places: HashMap<Labels, usize>,
}

impl Found {
    /// Of two samples of one time that which was added first stays.
    fn add(&mut self, labels: Labels, samples: Vec<Sample>, histograms: Vec<HistogramSample>) {
        let Some(place) = self.places.get(&labels) else {
            let series = Series {
                labels,
                samples,
                histograms,
                ..Series::default()
            };
            if !series.is_empty() {
                self.places.insert(series.labels.clone(), self.series.len());
                self.series.push(series);
            }
            return;
        };
        let known = &mut self.series[*place];
        extend(&mut known.samples, samples, |sample| sample.timestamp);
        extend(&mut known.histograms, histograms, |sample| sample.timestamp);
    }
}

fn extend<T>(known: &mut Vec<T>, more: Vec<T>, time: impl Fn(&T) -> Timestamp) {
    let is_newer = match (known.last(), more.first()) {
        (Some(last), Some(first)) => time(last) < time(first),
        _ => true,
    };
    known.extend(more);
    if !is_newer {
        // Stable, so that among equal times the one that was known comes first.
        known.sort_by_key(&time);
        known.dedup_by_key(|sample| time(sample));
    }
}

/// The newest sample of each series in the window, for those who want nothing else. At most `samples_max` are looked at.
pub(crate) fn newest_samples(
    reader: &StoreReader,
    matchers: &[Matcher],
    after: Timestamp,
    until: Timestamp,
    samples_max: usize,
) -> Result<Vec<(Labels, Sample)>, ReadError> {
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
