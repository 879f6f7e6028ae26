//! Selections that several queries of one time make: the index is looked up and chunks are decoded once.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use model::{Matcher, Timestamp};
use parking_lot::Mutex;
use promql::{ReadError, Selection, Series};

/// Samples that are kept of one group's selections, some 16 MB: past it each query reads for itself.
const SAMPLES_MAX: usize = 1024 * 1024;

/// For the queries of one iteration of a rule group. What was read once is not read again, so it is for selectors that
/// find nothing of what is written meanwhile by those who share it.
#[derive(Debug)]
pub struct SharedReads {
    selectors: Arc<[Vec<Matcher>]>,
    reads: Mutex<HashMap<Window, Arc<Mutex<Option<Kept>>>>>,
    samples_left: AtomicUsize,
    spared: AtomicU64,
}

/// The selector by its place, and what of its samples is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Window {
    selector: usize,
    after: Timestamp,
    until: Timestamp,
    newest_only: bool,
}

type Kept = Arc<Vec<Series>>;

impl SharedReads {
    /// `selectors` are those that several queries have.
    #[must_use]
    pub fn new(selectors: Arc<[Vec<Matcher>]>) -> Self {
        Self {
            selectors,
            reads: Mutex::default(),
            samples_left: AtomicUsize::new(SAMPLES_MAX),
            spared: AtomicU64::new(0),
        }
    }

    /// Reads that were not needed, because another query had made them.
    #[must_use]
    pub fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }

    /// Who comes while another reads the same waits for that. What fails is read again by whoever asks next.
    pub(crate) fn select(
        &self,
        selection: &Selection<'_>,
        read: impl FnOnce() -> Result<Vec<Series>, ReadError>,
    ) -> Result<Vec<Series>, ReadError> {
        let place = self
            .selectors
            .iter()
            .position(|matchers| matchers == selection.matchers);
        let Some(selector) = place else {
            return read();
        };
        let window = Window {
            selector,
            after: selection.after,
            until: selection.until,
            newest_only: selection.newest_only,
        };
        let slot = self.reads.lock().entry(window).or_default().clone();
        let mut kept = slot.lock();
        if let Some(kept) = &*kept {
            self.spared.fetch_add(1, Ordering::Relaxed);
            return Ok(Vec::clone(kept));
        }
        let found = read()?;
        // A histogram has some dozens of numbers, and a series its labels.
        let weight = found
            .iter()
            .map(|series| 8 + series.samples.len() + 32 * series.histograms.len())
            .sum();
        let taken = self
            .samples_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(weight)
            });
        if taken.is_ok() {
            *kept = Some(Arc::new(found.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use model::{Labels, Matcher, Sample, Timestamp};
    use promql::{ReadError, Selection, Series};

    use super::{SAMPLES_MAX, SharedReads};

    fn series(samples: usize) -> Vec<Series> {
        vec![Series {
            labels: Labels::from_pairs([("__name__", "up")]),
            samples: vec![
                Sample {
                    timestamp: Timestamp::from_secs(1),
                    value: 1.0,
                };
                samples
            ],
            ..Series::default()
        }]
    }

    #[test]
    fn the_same_selection_is_read_once_and_no_other() {
        let shared = SharedReads::new(vec![vec![Matcher::equal("__name__", "up")]].into());
        let reads = Cell::new(0);
        let select =
            |name: &str, after: i64, newest_only: bool, outcome: Result<usize, ReadError>| {
                let selection = Selection {
                    matchers: &[Matcher::equal("__name__", name)],
                    after: Timestamp::from_secs(after),
                    until: Timestamp::from_secs(60),
                    newest_only,
                };
                let found = shared.select(&selection, || {
                    reads.set(reads.get() + 1);
                    outcome.map(series)
                });
                found.map(|found| found[0].samples.len())
            };
        assert_eq!(
            select("up", 0, true, Err(ReadError::Cancelled)),
            Err(ReadError::Cancelled)
        );
        for (name, after, newest_only, reads_so_far) in [
            ("up", 0, true, 2),
            ("up", 0, true, 2),
            ("up", 0, false, 3),
            ("up", 5, true, 4),
            ("down", 0, true, 5),
            ("down", 0, true, 6),
            ("up", 5, true, 6),
        ] {
            assert_eq!(select(name, after, newest_only, Ok(3)), Ok(3));
            assert_eq!(reads.get(), reads_so_far, "{name} {after} {newest_only}");
        }
        assert_eq!(shared.spared(), 2);
        // What is too much to be kept is read each time.
        for reads_so_far in [7, 8] {
            assert_eq!(select("up", 9, true, Ok(SAMPLES_MAX)), Ok(SAMPLES_MAX));
            assert_eq!(reads.get(), reads_so_far);
        }
    }
}
