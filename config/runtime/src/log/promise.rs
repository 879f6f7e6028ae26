//! An answer that is given once, to waiting tasks and waiting threads.
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

pub(crate) struct Promise<T> {
    answer: Mutex<Option<T>>,
    threads: Condvar,
    tasks: Notify,
}

impl<T: Clone> Promise<T> {
    pub(crate) fn new() -> Self {
        Self {
            answer: Mutex::new(None),
            threads: Condvar::new(),
            tasks: Notify::new(),
        }
    }

    pub(crate) fn fulfil(&self, answer: T) {
        *self.answer.lock() = Some(answer);
        self.threads.notify_all();
        self.tasks.notify_waiters();
    }

    pub(crate) fn answer(&self) -> Option<T> {
        self.answer.lock().clone()
    }

    pub(crate) async fn wait(&self) -> T {
        loop {
            // Registered before the look at the answer, so that none is missed between the two.
            let told = self.tasks.notified();
            if let Some(answer) = self.answer() {
                return answer;
            }
            told.await;
        }
    }

    pub(crate) fn wait_blocking(&self) -> T {
        let mut answer = self.answer.lock();
        loop {
            if let Some(answer) = answer.as_ref() {
                return answer.clone();
            }
            self.threads.wait(&mut answer);
        }
    }
}
