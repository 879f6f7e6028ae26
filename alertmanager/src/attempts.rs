//! How the last attempt to tell each integration of each group went: for whoever asks why.
use std::collections::{BTreeMap, BTreeSet};

use alertmanager_core::{AttemptEnd, Event, LogKey};
use model::Timestamp;
use parking_lot::Mutex;

/// Past this the oldest are forgotten. One takes some 300 bytes.
const ATTEMPTS_MAX: usize = 100_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastAttempt {
    pub(crate) at: Timestamp,
    /// Why something was to be told.
    pub(crate) reason: &'static str,
    pub(crate) number: u32,
    /// `None` while it is under way.
    pub(crate) end: Option<AttemptEnd>,
}

/// Not stored: after a restart it is empty, and the notification log says what was told.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: BTreeMap<LogKey, LastAttempt>,
    by_age: BTreeSet<(Timestamp, LogKey)>,
}

impl Attempts {
    pub(crate) fn of(&self, key: &LogKey) -> Option<LastAttempt> {
        self.0.lock().last.get(key).cloned()
    }

    pub(crate) fn note(&self, event: &Event, now: Timestamp) {
        match event {
            Event::AttemptStarted {
                key,
                reason,
                attempt,
            } => {
                let begun = LastAttempt {
                    at: now,
                    reason: reason.as_str(),
                    number: *attempt,
                    end: None,
                };
                self.0.lock().begin(key, begun, ATTEMPTS_MAX);
            }
            Event::AttemptEnded { key, end, .. } => {
                if let Some(attempt) = self.0.lock().last.get_mut(key) {
                    attempt.end = Some(end.clone());
                }
            }
            Event::AlertTooLarge { .. }
            | Event::AlertsMuted { .. }
            | Event::AlertsReceived { .. }
            | Event::AlertsRefused { .. }
            | Event::Configured { .. }
            | Event::DeliveryAbandoned { .. }
            | Event::GarbageCollected
            | Event::GroupFlushed { .. }
            | Event::NotificationMissed { .. }
            | Event::Recorded(_)
            | Event::Restored { .. }
            | Event::SilenceChanged { .. }
            | Event::WasAbsent { .. } => {}
        }
    }
}

impl State {
    fn begin(&mut self, key: &LogKey, attempt: LastAttempt, attempts_max: usize) {
        let at = attempt.at;
        if let Some(before) = self.last.insert(key.clone(), attempt) {
            self.by_age.remove(&(before.at, key.clone()));
        }
        self.by_age.insert((at, key.clone()));
        while self.last.len() > attempts_max {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                return;
            };
            self.last.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use alertmanager_core::LogKey;
    use model::Timestamp;
    use notifiers_core::GroupKey;

    use super::{LastAttempt, State};

    #[test]
    fn the_oldest_are_forgotten_first() {
        let key = |name: &str| LogKey {
            group_key: GroupKey::from_text(name.to_owned()),
            receiver: String::new(),
            integration: String::new(),
            index: 0,
        };
        let mut state = State::default();
        for (seconds, name) in [(1, "c"), (2, "a"), (3, "c"), (4, "b")] {
            let attempt = LastAttempt {
                at: Timestamp::from_secs(seconds),
                reason: "",
                number: 1,
                end: None,
            };
            state.begin(&key(name), attempt, 2);
        }
        let left: Vec<&str> = state
            .last
            .keys()
            .map(|key| key.group_key.as_str())
            .collect();
        assert_eq!(left, ["b", "c"]);
        assert_eq!(state.by_age.len(), 2);
    }
}
