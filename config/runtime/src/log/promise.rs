//! An answer that is given once, to waiting tasks and waiting threads.
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

pub(crate) struct Promise<T> {
    answer: Mutex<Option<T>>,
    threads: Condvar,
    tasks: Notify,
}

/// The hand that owes the answer: where it goes without having given it, those who wait get this one.
pub(crate) struct Pledge<T: Clone> {
    promise: Arc<Promise<T>>,
    otherwise: T,
}

impl<T: Clone> Pledge<T> {
    pub(crate) fn new(otherwise: T) -> Self {
        Self {
            promise: Arc::new(Promise::new()),
            otherwise,
        }
    }

    pub(crate) fn promise(&self) -> Arc<Promise<T>> {
        Arc::clone(&self.promise)
    }

    pub(crate) fn fulfil(self, answer: T) {
        self.promise.fulfil(answer);
    }
}

impl<T: Clone> Drop for Pledge<T> {
    fn drop(&mut self) {
        if self.promise.answer().is_none() {
            self.promise.fulfil(self.otherwise.clone());
        }
    }
}

impl<T: Clone> Promise<T> {
    fn new() -> Self {
        Self {
            answer: Mutex::new(None),
            threads: Condvar::new(),
            tasks: Notify::new(),
        }
    }

    fn fulfil(&self, answer: T) {
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
