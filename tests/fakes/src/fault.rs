//! Faults on order: what goes wrong, and at which of the requests to come.
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::http::Answer;

/// What goes wrong with one HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpFault {
    /// This is answered in place of the vendor's answer; nothing is taken in.
    Answer(Answer),
    /// It is taken in as if nothing were wrong, and then the connection closes without an answer.
    CloseAfterCommit,
    /// The connection closes; nothing is taken in.
    CloseBeforeReply,
    /// It is taken in, and answered that much later.
    Delay(Duration),
    /// The vendor's own "too many requests", with that many seconds in `Retry-After` where given.
    RateLimit { retry_after: Option<u64> },
}

/// Faults by the number of the request they hit; numbers count from 0 in order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan<Fault> {
    orders: VecDeque<(Range<u64>, Fault)>,
}

impl<Fault: Clone> FaultPlan<Fault> {
    pub(crate) fn new() -> Self {
        Self {
            orders: VecDeque::new(),
        }
    }

    /// The next `count` requests that no earlier order hits; `seen` is the number of requests so far.
    pub(crate) fn next(&mut self, seen: u64, count: u64, fault: Fault) {
        let first = self
            .orders
            .iter()
            .map(|(range, _)| range.end)
            .fold(seen, u64::max);
        self.orders
            .push_back((first..first.saturating_add(count), fault));
    }

    pub(crate) fn at(&mut self, number: u64, fault: Fault) {
        self.orders.push_front((number..number + 1, fault));
    }

    pub(crate) fn heal(&mut self) {
        self.orders.clear();
    }

    pub(crate) fn take(&mut self, number: u64) -> Option<Fault> {
        let fault = self
            .orders
            .iter()
            .find(|(range, _)| range.contains(&number))
            .map(|(_, fault)| fault.clone());
        self.orders.retain(|(range, _)| range.end > number + 1);
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::FaultPlan;

    #[test]
    fn orders_follow_each_other() {
        let mut plan = FaultPlan::new();
        plan.next(3, 2, 'a');
        plan.next(3, 1, 'b');
        plan.at(4, 'c');
        let played: String = (3..8)
            .map(|number| plan.take(number).unwrap_or('-'))
            .collect();
        assert_eq!(played, "acb--");
        plan.next(8, u64::MAX, 'd');
        assert_eq!(plan.take(100), Some('d'));
        plan.heal();
        assert_eq!(plan.take(101), None);
    }
}
