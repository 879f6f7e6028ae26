//! How many samples a query looks at, step by step, where that is asked for.
use std::cell::RefCell;

/// Counts of the steps that are being computed: those of the query itself, or of a subquery's expression.
#[derive(Debug, Default)]
enum Counts {
    ByStep(Vec<u64>),
    InAll(u64),
    #[default]
    Unasked,
}

#[derive(Debug, Default)]
pub(crate) struct Seen(RefCell<Counts>);

impl Seen {
    pub(crate) fn by_step(steps: usize) -> Self {
        Self(RefCell::new(Counts::ByStep(vec![0; steps])))
    }

    pub(crate) fn is_asked(&self) -> bool {
        !matches!(*self.0.borrow(), Counts::Unasked)
    }

    pub(crate) fn add(&self, step: usize, samples: usize) {
        let samples = samples as u64;
        match &mut *self.0.borrow_mut() {
            Counts::ByStep(counts) => {
                if let Some(count) = counts.get_mut(step) {
                    *count += samples;
                }
            }
            Counts::InAll(total) => *total += samples,
            Counts::Unasked => {}
        }
    }

    /// What the first step has seen so far, for [`Seen::repeat_since`].
    pub(crate) fn first(&self) -> u64 {
        match &*self.0.borrow() {
            Counts::ByStep(counts) => counts.first().copied().unwrap_or(0),
            Counts::InAll(total) => *total,
            Counts::Unasked => 0,
        }
    }

    /// What is the same at each of `steps` is computed once, at the first, and seen by all.
    pub(crate) fn repeat_since(&self, before: u64, steps: usize) {
        let more = self.first() - before;
        match &mut *self.0.borrow_mut() {
            Counts::ByStep(counts) => {
                for count in counts.iter_mut().take(steps).skip(1) {
                    *count += more;
                }
            }
            Counts::InAll(total) => *total += more * (steps.saturating_sub(1)) as u64,
            Counts::Unasked => {}
        }
    }

    /// Counts what `work` looks at by itself, and answers that.
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let apart = if self.is_asked() {
            Counts::InAll(0)
        } else {
            Counts::Unasked
        };
        let outer = self.0.replace(apart);
        let done = work();
        let total = self.first();
        self.0.replace(outer);
        (done, total)
    }

    pub(crate) fn into_steps(self) -> Vec<u64> {
        match self.0.into_inner() {
            Counts::ByStep(counts) => counts,
            Counts::InAll(_) | Counts::Unasked => Vec::new(),
        }
    }
}
