//! What a query sees of a tenant: the head, looked at under its lock and read without it, and the blocks.
//!
//! The head is looked at first and the blocks after it, since what leaves the head is among the blocks before: a sample
//! may be seen twice and is told once, and none is missed.
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::iter::repeat;
use std::sync::Arc;

use ingest_core::{BlockError, Head, Points, SelectError, SeriesView, TooManyPoints};
use model::{Labels, Matcher, Sample, Timestamp};
use promql::{EvalError, ReadError, Selection, Series, SeriesReader};
use tracing::warn;

use crate::look::Look;
use crate::metrics::IngestMetrics;
use crate::start_error::{StartError, unopened};
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
        Self {
            store: None,
            unopened: Some(unopened(problem)),
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
        look: &Look<'_>,
    ) -> Result<Vec<Labels>, EvalError> {
        let mut sets: BTreeSet<Labels> = BTreeSet::new();
        let mut add = |labels: Labels| {
            look.go_on()?;
            if !sets.contains(&labels) {
                look.charge_labels(&labels)?;
                sets.insert(labels);
            }
            Ok::<_, EvalError>(())
        };
        // The head is looked at for one selector after the other, so that between two of them writers have their turn.
        if let Some(store) = self.store()? {
            for matchers in selectors {
                look.go_on()?;
                let found = store.read(|head| head.label_sets(matchers, after, until));
                found.into_iter().try_for_each(&mut add)?;
            }
        }
        self.look_at_blocks(after, until, look, |block, wrong| {
            for matchers in selectors {
                for labels in block.label_sets(matchers, after, until).map_err(wrong)? {
                    add(labels.map_err(wrong)?)?;
                }
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
        look: &Look<'_>,
    ) -> Result<Vec<String>, EvalError> {
        let mut names = BTreeSet::new();
        add_texts(
            &mut names,
            self.head_in(after, until, Head::label_names)?,
            look,
        )?;
        self.look_at_blocks(after, until, look, |block, _| {
            add_texts(&mut names, block.label_names(), look)
        })?;
        Ok(names.into_iter().collect())
    }

    /// The values of a label in the head, if it has samples in the window, and in the blocks of the window, sorted.
    pub fn label_values(
        &self,
        name: &str,
        after: Timestamp,
        until: Timestamp,
        look: &Look<'_>,
    ) -> Result<Vec<String>, EvalError> {
        let mut values = BTreeSet::new();
        let in_head = self.head_in(after, until, |head| head.label_values(name))?;
        add_texts(&mut values, in_head, look)?;
        self.look_at_blocks(after, until, look, |block, wrong| {
            add_texts(&mut values, block.label_values(name).map_err(wrong)?, look)
        })?;
        Ok(values.into_iter().collect())
    }

    /// What the head has, if it has samples in the window.
    fn head_in(
        &self,
        after: Timestamp,
        until: Timestamp,
        look: impl FnOnce(&Head) -> Vec<String>,
    ) -> Result<Vec<String>, ReadError> {
        let Some(store) = self.store()? else {
            return Ok(Vec::new());
        };
        Ok(store.read(|head| {
            if head.has_samples(after, until) {
                look(head)
            } else {
                Vec::new()
            }
        }))
    }

    /// Every block of the window, with what makes an error of one of its own.
    fn look_at_blocks(
        &self,
        after: Timestamp,
        until: Timestamp,
        look: &Look<'_>,
        mut at: impl FnMut(
            &ingest_core::Block,
            &dyn Fn(BlockError) -> EvalError,
        ) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let Some(store) = self.store()? else {
            return Ok(());
        };
        for block in store.blocks().overlapping(after, until) {
            look.go_on()?;
            let opened = open(&block)?;
            at(&opened, &|error| block_error(&block, &error).into())?;
        }
        Ok(())
    }
}

fn add_texts(
    all: &mut BTreeSet<String>,
    more: Vec<String>,
    look: &Look<'_>,
) -> Result<(), EvalError> {
    for text in more {
        look.go_on()?;
        if !all.contains(&text) {
            look.charge(size_of::<String>() + text.len())?;
            all.insert(text);
        }
    }
    Ok(())
}

fn block_error(block: &DiskBlock, error: &BlockError) -> ReadError {
    ReadError::Storage(format!("block {}: {error}", block.meta.ulid))
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
            newest_only,
        } = *selection;
        let views = store.read(|head| {
            if newest_only {
                head.select_newest(matchers, after, until)
            } else {
                head.select(matchers, after, until)
            }
        });
        let blocks = store.blocks().overlapping(after, until);
        let mut left = samples_max;
        if blocks.is_empty() {
            return points_of(views, after, until, &mut left, go_on)
                .map(|found| found.map(|(labels, points)| series(labels, points)))
                .collect();
        }
        let mut found = Found::default();
        for block in blocks {
            go_on()?;
            let opened = open(&block)?;
            let selected = opened.select(matchers, after, until, left);
            let selected = selected.map_err(|error| match error {
                SelectError::TooManySamples => ReadError::TooManySamples,
                SelectError::Block(error) => block_error(&block, &error),
            })?;
            for (encoding, chunks) in selected.unknown_chunks {
                self.metrics.unknown_chunks.inc_by(chunks);
                if let Some(left_out) = store.unknown_chunks.happened() {
                    warn!(tenant = %store.tenant(), block = %block.meta.ulid, encoding = encoding.0, chunks, left_out, "chunks of an encoding that cannot be read were passed over");
                }
            }
            for series in selected.series {
                left = left.saturating_sub(series.points.weight());
                found.add(series.labels, series.points);
            }
        }
        for view in points_of(views, after, until, &mut left, go_on) {
            let (labels, points) = view?;
            found.add(labels, points);
        }
        Ok(found.series)
    }
}

/// What the head has, without those that have nothing in the window.
fn points_of(
    views: Vec<SeriesView>,
    after: Timestamp,
    until: Timestamp,
    left: &mut usize,
    go_on: impl Fn() -> Result<(), ReadError>,
) -> impl Iterator<Item = Result<(Labels, Points), ReadError>> {
    views.into_iter().filter_map(move |view| {
        if let Err(error) = go_on() {
            return Some(Err(error));
        }
        match view.points(after, until, left) {
            Ok(points) if points.is_empty() => None,
            Ok(points) => Some(Ok((view.labels, points))),
            Err(TooManyPoints) => Some(Err(ReadError::TooManySamples)),
        }
    })
}

fn series(labels: Labels, points: Points) -> Series {
    Series {
        labels,
        samples: points.samples,
        starts: points.starts,
        histograms: points.histograms,
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
    fn add(&mut self, labels: Labels, points: Points) {
        match self.places.entry(labels) {
            Entry::Vacant(place) => {
                let labels = place.key().clone();
                place.insert(self.series.len());
                self.series.push(series(labels, points));
            }
            Entry::Occupied(place) => {
                let known = &mut self.series[*place.get()];
                if known.starts.is_empty() && points.starts.is_empty() {
                    extend(&mut known.samples, points.samples, |sample| {
                        sample.timestamp
                    });
                } else {
                    let taken = std::mem::take(&mut known.samples);
                    let mut all = with_starts(taken, std::mem::take(&mut known.starts));
                    let more = with_starts(points.samples, points.starts);
                    extend(&mut all, more, |(sample, _)| sample.timestamp);
                    (known.samples, known.starts) = all.into_iter().unzip();
                }
                extend(&mut known.histograms, points.histograms, |sample| {
                    sample.timestamp
                });
            }
        }
    }
}

fn with_starts(samples: Vec<Sample>, starts: Vec<Timestamp>) -> Vec<(Sample, Timestamp)> {
    let starts = starts.into_iter().chain(repeat(Timestamp::default()));
    samples.into_iter().zip(starts).collect()
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

/// The newest sample of each series in the window, for those who want nothing else: where it is a histogram the series is
/// left out. At most `samples_max` are looked at.
pub(crate) fn newest_samples(
    reader: &StoreReader,
    matchers: &[Matcher],
    (after, until): (Timestamp, Timestamp),
    samples_max: usize,
    look: &Look<'_>,
) -> Result<Vec<(Labels, Sample)>, EvalError> {
    let selection = Selection {
        matchers,
        after,
        until,
        newest_only: true,
    };
    look.go_on()?;
    let series = reader.select_unless(&selection, samples_max, look.is_cancelled());
    let series = series.map_err(|error| match error {
        ReadError::Cancelled => EvalError::Cancelled,
        ReadError::TooManySamples => EvalError::TooManySamples,
        error @ ReadError::Storage(_) => EvalError::Read(error),
    })?;
    let series = series.into_iter();
    Ok(series
        .filter_map(|series| {
            let newest = *series.samples.last()?;
            let histogram = series.histograms.last();
            let is_newest = histogram.is_none_or(|later| later.timestamp < newest.timestamp);
            is_newest.then_some((series.labels, newest))
        })
        .collect())
}
