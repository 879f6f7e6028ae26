//! Trouble that repeats, told without filling the operator's log: a full disk or a broken peer makes a line for each
//! request otherwise.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Often enough for somebody who watches the log, and a night of it makes a few thousand lines.
const TOLD_INTERVAL: Duration = Duration::from_secs(10);

/// One kind of trouble. Its first line goes out at once, then one at most every ten seconds, which says how many were
/// left out before it. Where something can work again, that is said once.
#[derive(Debug, Default)]
pub struct Trouble {
    state: Mutex<State>,
    /// The same as in the state, for those who succeed often.
    is_open: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    told_at: Option<Instant>,
    left_out: u64,
    /// Told, and since then nothing has worked.
    is_open: bool,
}

impl Trouble {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It has happened. How many lines were left out since the last one, where a line is due now.
    pub fn happened(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let due = state.happened(Instant::now());
        self.is_open.store(state.is_open, Ordering::Relaxed);
        due
    }

    /// It works. How many lines were left out since the last one, where trouble was told and its end was not.
    pub fn is_over(&self) -> Option<u64> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.state.lock();
        self.is_open.store(false, Ordering::Relaxed);
        state.is_over()
    }
}

impl State {
    fn happened(&mut self, now: Instant) -> Option<u64> {
        // What fails and works in turns makes no more lines than what fails all the time.
        let is_due = self
            .told_at
            .is_none_or(|told_at| now.saturating_duration_since(told_at) >= TOLD_INTERVAL);
        if !is_due {
            self.left_out += 1;
            return None;
        }
        self.told_at = Some(now);
        self.is_open = true;
        Some(std::mem::take(&mut self.left_out))
    }

    fn is_over(&mut self) -> Option<u64> {
        std::mem::take(&mut self.is_open).then(|| std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{State, Trouble};

    /// What is told of what happens at these seconds: `!` it fails, `.` it works.
    fn told(story: &[(u64, char)]) -> Vec<String> {
        let start = Instant::now();
        let mut state = State::default();
        let mut lines = Vec::new();
        for (second, what) in story {
            let now = start + Duration::from_secs(*second);
            let (left_out, line) = match what {
                '!' => (state.happened(now), "failed"),
                _ => (state.is_over(), "works again"),
            };
            lines.extend(left_out.map(|count| format!("{second}: {line}, {count} left out")));
        }
        lines
    }

    #[test]
    fn the_first_line_goes_out_at_once_and_later_ones_say_what_was_left_out() {
        for (story, lines) in [
            (&[(0, '.'), (1, '.')][..], &[][..]),
            (
                &[(0, '!'), (1, '!'), (9, '!'), (10, '!'), (11, '!')],
                &["0: failed, 0 left out", "10: failed, 2 left out"],
            ),
            (
                &[(0, '!'), (1, '!'), (2, '.'), (3, '.')],
                &["0: failed, 0 left out", "2: works again, 1 left out"],
            ),
            (
                &[
                    (0, '!'),
                    (1, '.'),
                    (2, '!'),
                    (3, '.'),
                    (4, '!'),
                    (12, '!'),
                    (13, '.'),
                ],
                &[
                    "0: failed, 0 left out",
                    "1: works again, 0 left out",
                    "12: failed, 2 left out",
                    "13: works again, 0 left out",
                ],
            ),
        ] {
            assert_eq!(told(story), lines, "{story:?}");
        }
    }

    #[test]
    fn success_after_success_says_nothing() {
        let trouble = Trouble::new();
        assert_eq!(trouble.is_over(), None);
        assert_eq!(trouble.happened(), Some(0));
        assert_eq!(trouble.happened(), None);
        assert_eq!(trouble.is_over(), Some(1));
        assert_eq!(trouble.is_over(), None);
    }
}
