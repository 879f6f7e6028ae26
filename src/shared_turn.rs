//! Work that one caller does for all who wait for it.
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// One piece of work at a time. Whoever asks while another is under way waits, and those who wait are served by one
/// further piece together: it begins after the last of them has asked. However many ask, no more than two pieces are
/// between a caller and the answer.
#[derive(Debug)]
pub(crate) struct SharedTurn<T> {
    asked: AtomicU64,
    done: Mutex<Done<T>>,
}

#[derive(Debug)]
struct Done<T> {
    /// Callers up to this number are answered by `outcome`.
    up_to: u64,
    outcome: Option<T>,
}

impl<T: Clone> SharedTurn<T> {
    pub(crate) fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            done: Mutex::new(Done {
                up_to: 0,
                outcome: None,
            }),
        }
    }

    /// What `work`, or another caller's that began after this call, came to.
    pub(crate) async fn take(&self, work: impl AsyncFnOnce() -> T) -> T {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut done = self.done.lock().await;
        if done.up_to >= number
            && let Some(outcome) = &done.outcome
        {
            return outcome.clone();
        }
        let up_to = self.asked.load(Ordering::Acquire);
        let outcome = work().await;
        *done = Done {
            up_to,
            outcome: Some(outcome.clone()),
        };
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{Semaphore, mpsc};

    use super::SharedTurn;

    #[tokio::test]
    async fn those_who_wait_are_served_together_by_work_that_begins_after_they_asked() {
        let turn = Arc::new(SharedTurn::new());
        let pieces = Arc::new(AtomicU32::new(0));
        let go_on = Arc::new(Semaphore::new(0));
        let (begun, mut has_begun) = mpsc::unbounded_channel();
        let ask = || {
            let (turn, pieces) = (turn.clone(), pieces.clone());
            let (go_on, begun) = (go_on.clone(), begun.clone());
            let work = async move || {
                let number = pieces.fetch_add(1, Ordering::SeqCst) + 1;
                begun.send(number).unwrap();
                go_on.acquire().await.unwrap().forget();
                number
            };
            tokio::spawn(async move { turn.take(work).await })
        };
        let first = ask();
        assert_eq!(has_begun.recv().await, Some(1));
        let others: Vec<_> = (0..100).map(|_| ask()).collect();
        while turn.asked.load(Ordering::Acquire) < 101 {
            tokio::task::yield_now().await;
        }
        go_on.add_permits(2);
        assert_eq!(first.await.unwrap(), 1);
        for other in others {
            assert_eq!(other.await.unwrap(), 2);
        }
        go_on.add_permits(1);
        assert_eq!(
            ask().await.unwrap(),
            3,
            "what is done serves nobody who comes later"
        );
    }
}
