//! Intermediate results: rows of labels, columns of steps.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::FixedState;
use model::{Histogram, Labels, METRIC_NAME, STALE_NAN};

use crate::answer::EvalError;

/// Labels that say what a series measures instead of where: operations that change the meaning drop them.
pub(crate) const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// The cell of a step at which a row has no value.
///
/// It is the stale mark's bit pattern: no operation on numbers yields it (every one sets the quiet bit that it lacks),
/// and selectors turn stale samples into just this, no value.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN);

pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN
}

/// The times at which an expression is computed, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) interval: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) const fn once(at: i64) -> Self {
        Self {
            start: at,
            interval: 1,
            count: 1,
        }
    }

    /// From `start` to `end`, both included where the interval meets them.
    pub(crate) fn between(start: i64, end: i64, interval: i64) -> Self {
        let count = if end < start {
            0
        } else {
            usize::try_from((end.saturating_sub(start)) / interval).unwrap_or(usize::MAX - 1) + 1
        };
        Self {
            start,
            interval,
            count,
        }
    }

    pub(crate) const fn at(self, index: usize) -> i64 {
        self.start + self.interval * index as i64
    }

    pub(crate) const fn last(self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metadata labels are still there, but are dropped when all is computed.
    pub(crate) drop_name: bool,
}

/// What a row holds at a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Absent,
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Cell {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn float(value: Option<f64>) -> Self {
        value.map_or(Self::Absent, Self::Float)
    }

    pub(crate) fn histogram(histogram: Option<Histogram>) -> Self {
        histogram.map_or(Self::Absent, |histogram| {
            Self::Histogram(Arc::new(histogram))
        })
    }
}

/// Values row by row, `steps` of them in each.
///
/// A cell that holds a histogram has [`ABSENT`] among the floats, so that what is only for floats passes it by; such
/// operations end with [`Table::drop_histograms`] where they change the table in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) steps: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) values: Vec<f64>,
    /// As long as `values`, or empty where no cell holds a histogram.
    histograms: Vec<Option<Arc<Histogram>>>,
}

impl Table {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }

    /// One row without labels.
    pub(crate) fn of_scalars(values: Vec<f64>) -> Self {
        Self {
            steps: values.len(),
            rows: vec![Row {
                labels: Labels::default(),
                drop_name: false,
            }],
            values,
            histograms: Vec::new(),
        }
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(crate) fn drop_histograms(&mut self) {
        self.histograms = Vec::new();
    }

    pub(crate) fn histogram(&self, row: usize, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(row * self.steps + step)?.as_ref()
    }

    pub(crate) fn cell(&self, row: usize, step: usize) -> Cell {
        if let Some(histogram) = self.histogram(row, step) {
            return Cell::Histogram(Arc::clone(histogram));
        }
        let value = self.value(row, step);
        if is_absent(value) {
            Cell::Absent
        } else {
            Cell::Float(value)
        }
    }

    /// Whether there is a value, float or histogram.
    pub(crate) fn holds(&self, row: usize, step: usize) -> bool {
        !is_absent(self.value(row, step)) || self.histogram(row, step).is_some()
    }

    pub(crate) fn set_cell(&mut self, row: usize, step: usize, cell: Cell) {
        let at = row * self.steps + step;
        let (value, histogram) = match cell {
            Cell::Absent => (ABSENT, None),
            Cell::Float(value) => (value, None),
            Cell::Histogram(histogram) => (ABSENT, Some(histogram)),
        };
        self.values[at] = value;
        if self.histograms.is_empty() {
            if histogram.is_none() {
                return;
            }
            self.histograms.resize(self.values.len(), None);
        }
        self.histograms[at] = histogram;
    }

    pub(crate) fn clear(&mut self, row: usize, step: usize) {
        self.set_cell(row, step, Cell::Absent);
    }

    /// Applies `compute` to every value there is, floats and histograms.
    pub(crate) fn map_cells(&mut self, mut compute: impl FnMut(usize, &Cell) -> Cell) {
        for row in 0..self.rows.len() {
            for step in 0..self.steps {
                let cell = self.cell(row, step);
                if !cell.is_absent() {
                    let computed = compute(step, &cell);
                    self.set_cell(row, step, computed);
                }
            }
        }
    }

    /// The rows of `other` behind the own ones.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.has_histograms() || other.has_histograms() {
            self.histograms.resize(self.values.len(), None);
            other.histograms.resize(other.values.len(), None);
            self.histograms.append(&mut other.histograms);
        }
        self.rows.append(&mut other.rows);
        self.values.append(&mut other.values);
    }

    /// The one step of this table `count` times.
    pub(crate) fn repeated(self, count: usize) -> Self {
        let mut values = Vec::with_capacity(self.values.len() * count);
        for value in self.values {
            values.resize(values.len() + count, value);
        }
        let mut histograms = Vec::with_capacity(self.histograms.len() * count);
        for histogram in self.histograms {
            histograms.resize(histograms.len() + count, histogram);
        }
        Self {
            steps: count,
            rows: self.rows,
            values,
            histograms,
        }
    }

    /// A new row without values, and its index.
    pub(crate) fn add_row(&mut self, labels: Labels, drop_name: bool) -> usize {
        self.rows.push(Row { labels, drop_name });
        self.values.resize(self.rows.len() * self.steps, ABSENT);
        if self.has_histograms() {
            self.histograms.resize(self.values.len(), None);
        }
        self.rows.len() - 1
    }

    /// What the table holds, counted in floats with their times.
    pub(crate) fn cells(&self) -> usize {
        let histograms = self.histograms.iter().flatten();
        self.values.len() + histograms.map(|one| weight(one)).sum::<usize>()
    }

    pub(crate) fn value(&self, row: usize, step: usize) -> f64 {
        self.values[row * self.steps + step]
    }

    pub(crate) fn set(&mut self, row: usize, step: usize, value: f64) {
        self.values[row * self.steps + step] = value;
    }

    pub(crate) fn row_values(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..][..self.steps]
    }

    /// Applies `compute` to every float there is; an absent answer removes the value.
    pub(crate) fn map(&mut self, compute: impl Fn(usize, f64) -> f64) {
        let steps = self.steps.max(1);
        for row in self.values.chunks_mut(steps) {
            for (step, value) in row.iter_mut().enumerate() {
                if !is_absent(*value) {
                    *value = compute(step, *value);
                }
            }
        }
    }

    /// Removes rows without any value.
    pub(crate) fn prune(&mut self) {
        let steps = self.steps;
        let mut kept = 0;
        for row in 0..self.rows.len() {
            if self.row_values(row).iter().all(|value| is_absent(*value))
                && !self.row_has_histograms(row)
            {
                continue;
            }
            if kept != row {
                self.rows.swap(kept, row);
                self.values
                    .copy_within(row * steps..(row + 1) * steps, kept * steps);
                if self.has_histograms() {
                    for step in 0..steps {
                        self.histograms
                            .swap(kept * steps + step, row * steps + step);
                    }
                }
            }
            kept += 1;
        }
        self.rows.truncate(kept);
        self.values.truncate(kept * steps);
        self.histograms.truncate(kept * steps);
    }

    pub(crate) fn row_has_histograms(&self, row: usize) -> bool {
        self.has_histograms()
            && self.histograms[row * self.steps..][..self.steps]
                .iter()
                .any(Option::is_some)
    }

    /// The value of each row changes its meaning: names go, at once or, where removal is delayed, when all is computed.
    pub(crate) fn drop_names(&mut self, delayed: bool) -> Result<(), EvalError> {
        if delayed {
            for row in &mut self.rows {
                row.drop_name = true;
            }
            return Ok(());
        }
        let one_name = self.has_one_name();
        for row in &mut self.rows {
            row.labels = without_metadata(&row.labels);
        }
        if one_name { Ok(()) } else { self.merge() }
    }

    /// Drops the names whose removal was put off.
    pub(crate) fn settle_names(&mut self) -> Result<(), EvalError> {
        let mut changed = false;
        for row in &mut self.rows {
            if row.drop_name {
                row.labels = without_metadata(&row.labels);
                row.drop_name = false;
                changed = true;
            }
        }
        if changed { self.merge() } else { Ok(()) }
    }

    /// Rows that bear one label set become one. Where two of them have a value at one time that is an error.
    pub(crate) fn merge(&mut self) -> Result<(), EvalError> {
        let mut first: HashMap<Labels, usize, FixedState> =
            HashMap::with_capacity_and_hasher(self.rows.len(), FixedState::default());
        let mut merged = false;
        for row in 0..self.rows.len() {
            match first.entry(self.rows[row].labels.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(row);
                }
                Entry::Occupied(entry) => {
                    self.move_values(row, *entry.get())?;
                    merged = true;
                }
            }
        }
        if merged {
            self.prune();
        }
        Ok(())
    }

    fn move_values(&mut self, from: usize, to: usize) -> Result<(), EvalError> {
        for step in 0..self.steps {
            if !self.holds(from, step) {
                continue;
            }
            if self.holds(to, step) {
                return Err(EvalError::Execution(SAME_LABELS.to_owned()));
            }
            let cell = self.cell(from, step);
            self.set_cell(to, step, cell);
            self.clear(from, step);
        }
        if self.rows[from].drop_name {
            self.rows[to].drop_name = true;
        }
        Ok(())
    }

    /// Rows of one metric differ in their other labels, so without the name they differ still.
    pub(crate) fn has_one_name(&self) -> bool {
        one_name(self.rows.iter().map(|row| &row.labels))
    }
}

/// Whether all have one name, and none has other metadata.
pub(crate) fn one_name<'l>(mut sets: impl Iterator<Item = &'l Labels>) -> bool {
    let plain = |labels: &Labels| METADATA[1..].iter().all(|name| labels.get(name).is_none());
    let Some(first) = sets.next() else {
        return true;
    };
    let name = first.metric_name();
    plain(first) && sets.all(|labels| labels.metric_name() == name && plain(labels))
}

/// What a histogram takes in memory beside its place in a table, counted in floats with their times.
pub(crate) fn weight(histogram: &Histogram) -> usize {
    histogram.size() / (2 * size_of::<f64>())
}

pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    if METADATA.iter().all(|name| labels.get(name).is_none()) {
        return labels.clone();
    }
    labels.filtered(|name| !METADATA.contains(&name))
}
