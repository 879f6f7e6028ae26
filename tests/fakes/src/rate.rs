//! How often a vendor wants to hear from one client.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::Timestamp;

/// So many requests in any window of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: usize,
    pub window: Duration,
}

/// A sliding window for each key.
#[derive(Clone, Debug)]
pub(crate) struct RateLimiter<Key> {
    limit: Option<RateLimit>,
    admitted: BTreeMap<Key, VecDeque<Timestamp>>,
}

impl<Key: Ord> RateLimiter<Key> {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self {
            limit,
            admitted: BTreeMap::new(),
        }
    }

    pub(crate) fn admits(&mut self, key: Key, at: Timestamp) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let admitted = self.admitted.entry(key).or_default();
        while admitted
            .front()
            .is_some_and(|first| *first + limit.window <= at)
        {
            admitted.pop_front();
        }
        let admits = admitted.len() < limit.requests;
        if admits {
            admitted.push_back(at);
        }
        admits
    }
}
