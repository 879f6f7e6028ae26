//! The floats and histograms of one series as one sequence.
use std::sync::Arc;

use model::{HistogramSample, Sample, Timestamp};

use crate::table::Cell;

/// One measured value, whichever kind it is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Point<'a> {
    Float(&'a Sample),
    Histogram(&'a HistogramSample),
}

impl Point<'_> {
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Float(sample) => sample.timestamp,
            Self::Histogram(sample) => sample.timestamp,
        }
    }

    pub(crate) fn cell(&self) -> Cell {
        match self {
            Self::Float(sample) => Cell::Float(sample.value),
            Self::Histogram(sample) => Cell::Histogram(Arc::clone(&sample.histogram)),
        }
    }
}

/// In the order of time.
pub(crate) fn merged<'a>(
    samples: &'a [Sample],
    histograms: &'a [HistogramSample],
) -> impl Iterator<Item = Point<'a>> {
    let mut floats = samples.iter().peekable();
    let mut histograms = histograms.iter().peekable();
    std::iter::from_fn(move || match (floats.peek(), histograms.peek()) {
        (Some(float), Some(histogram)) if float.timestamp < histogram.timestamp => {
            floats.next().map(Point::Float)
        }
        (_, Some(_)) => histograms.next().map(Point::Histogram),
        (_, None) => floats.next().map(Point::Float),
    })
}

/// The latest of both.
pub(crate) fn latest<'a>(
    sample: Option<&'a Sample>,
    histogram: Option<&'a HistogramSample>,
) -> Option<Point<'a>> {
    match (sample, histogram) {
        (Some(sample), Some(histogram)) if sample.timestamp > histogram.timestamp => {
            Some(Point::Float(sample))
        }
        (_, Some(histogram)) => Some(Point::Histogram(histogram)),
        (Some(sample), None) => Some(Point::Float(sample)),
        (None, None) => None,
    }
}
