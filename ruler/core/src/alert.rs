//! One active alert: what an element of an alerting rule's result becomes over time.
//!
//! ```text
//!             for elapsed              unseen
//!  ┌─────────┐ ─────────▶ ┌────────┐ ───────────▶ ┌──────────┐  unseen for 15 min
//!  │ Pending │            │ Firing │              │ Resolved │ ─────────────────▶ forgotten
//!  └─────────┘ ◀───────── └────────┘              └──────────┘
//!    │    ▲    `for` was        ▲ keep_firing_for      │ seen
//!    │    │     raised          └─ holds it here       │
//!    ▼    └────────────────────────────────────────────┘ (a new alert)
//!  unseen: forgotten
//! ```
use std::time::Duration;

use model::{Labels, Timestamp};

/// How long a resolved alert is kept, and told again each resend delay: a receiver that missed the first message
/// still learns of the end (Prometheus 3.14, `resolvedRetention`).
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// One alert of one alerting rule. Its labels are its identity.
#[derive(Clone, Debug)]
pub struct ActiveAlert {
    /// As receivers see them, `alertname` among them, without external labels.
    pub labels: Labels,
    pub annotations: Labels,
    /// Of the latest evaluation in which it was seen.
    pub value: f64,
    pub state: AlertState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    Pending {
        active_at: Timestamp,
    },
    Firing {
        active_at: Timestamp,
        fired_at: Timestamp,
        /// Since when only `keep_firing_for` holds it.
        unseen_since: Option<Timestamp>,
        sent_at: Option<Timestamp>,
    },
    Resolved {
        active_at: Timestamp,
        fired_at: Timestamp,
        resolved_at: Timestamp,
        sent_at: Option<Timestamp>,
    },
}

/// The two durations by which an alert moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertTiming {
    /// `for`.
    pub hold_duration: Duration,
    pub keep_firing_for: Duration,
}

impl AlertState {
    /// The state of an element that is seen for the first time.
    #[must_use]
    pub fn begin(timing: AlertTiming, at: Timestamp) -> Self {
        held(at, timing, at)
    }

    /// One evaluation at `at`: was the alert among the result's elements? `None` forgets it. Prometheus 3.14.
    #[must_use]
    pub fn step(self, seen: bool, timing: AlertTiming, at: Timestamp) -> Option<Self> {
        match (self, seen) {
            (Self::Pending { active_at }, true) => Some(held(active_at, timing, at)),
            (Self::Pending { .. }, false) => None,
            (
                Self::Firing {
                    active_at,
                    fired_at,
                    sent_at,
                    ..
                },
                true,
            ) => Some(still_firing(active_at, fired_at, None, sent_at, timing, at)),
            (
                Self::Firing {
                    active_at,
                    fired_at,
                    unseen_since,
                    sent_at,
                },
                false,
            ) => {
                let since = unseen_since.unwrap_or(at);
                if at.saturating_since(since) < timing.keep_firing_for {
                    let unseen_since = Some(since);
                    return Some(still_firing(
                        active_at,
                        fired_at,
                        unseen_since,
                        sent_at,
                        timing,
                        at,
                    ));
                }
                Some(Self::Resolved {
                    active_at,
                    fired_at,
                    resolved_at: at,
                    sent_at,
                })
            }
            (Self::Resolved { .. }, true) => Some(Self::begin(timing, at)),
            (Self::Resolved { resolved_at, .. }, false) => {
                (at.saturating_since(resolved_at) <= RESOLVED_RETENTION).then_some(self)
            }
        }
    }

    /// The end of an alert whose rule is gone: what fires is resolved and nobody knows it yet, what is pending is
    /// forgotten.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Option<Self> {
        match self {
            Self::Pending { .. } => None,
            Self::Firing {
                active_at,
                fired_at,
                ..
            } => Some(Self::Resolved {
                active_at,
                fired_at,
                resolved_at: at,
                sent_at: None,
            }),
            Self::Resolved { .. } => Some(self),
        }
    }

    /// Should receivers be told at `at`? A pending alert never; an end that was not told yet at once; else when more
    /// than `resend_delay` has passed since the last time.
    #[must_use]
    pub fn needs_sending(self, resend_delay: Duration, at: Timestamp) -> bool {
        match self {
            Self::Pending { .. } => false,
            Self::Firing { sent_at, .. } => sent_at.is_none_or(|sent| sent + resend_delay < at),
            Self::Resolved {
                resolved_at,
                sent_at,
                ..
            } => sent_at.is_none_or(|sent| sent < resolved_at || sent + resend_delay < at),
        }
    }

    /// The same state, told to the receivers at `at`.
    #[must_use]
    pub fn sent(mut self, at: Timestamp) -> Self {
        match &mut self {
            Self::Pending { .. } => {}
            Self::Firing { sent_at, .. } | Self::Resolved { sent_at, .. } => *sent_at = Some(at),
        }
        self
    }

    /// The same state of a clock that stood so far ahead.
    #[must_use]
    pub(crate) fn earlier(self, by: Duration) -> Self {
        match self {
            Self::Pending { active_at } => Self::Pending {
                active_at: active_at - by,
            },
            Self::Firing {
                active_at,
                fired_at,
                unseen_since,
                sent_at,
            } => Self::Firing {
                active_at: active_at - by,
                fired_at: fired_at - by,
                unseen_since: unseen_since.map(|since| since - by),
                sent_at: sent_at.map(|sent| sent - by),
            },
            Self::Resolved {
                active_at,
                fired_at,
                resolved_at,
                sent_at,
            } => Self::Resolved {
                active_at: active_at - by,
                fired_at: fired_at - by,
                resolved_at: resolved_at - by,
                sent_at: sent_at.map(|sent| sent - by),
            },
        }
    }

    #[must_use]
    pub const fn sent_at(self) -> Option<Timestamp> {
        match self {
            Self::Pending { .. } => None,
            Self::Firing { sent_at, .. } | Self::Resolved { sent_at, .. } => sent_at,
        }
    }

    #[must_use]
    pub const fn active_at(self) -> Timestamp {
        match self {
            Self::Pending { active_at }
            | Self::Firing { active_at, .. }
            | Self::Resolved { active_at, .. } => active_at,
        }
    }

    /// Pending or firing: it shows in `ALERTS`, in the API, and counts against the rule's limit.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        match self {
            Self::Pending { .. } | Self::Firing { .. } => true,
            Self::Resolved { .. } => false,
        }
    }

    /// As `ALERTS` and the API name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Firing { .. } => "firing",
            Self::Resolved { .. } => "inactive",
        }
    }
}

/// Equal to the last bit of the value, so that an alert whose value is NaN equals itself.
impl PartialEq for ActiveAlert {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.annotations == other.annotations
            && self.value.to_bits() == other.value.to_bits()
            && self.state == other.state
    }
}

impl Eq for ActiveAlert {}

/// Seen since `active_at`: firing as soon as `for` has elapsed, at once where `for` is zero.
fn held(active_at: Timestamp, timing: AlertTiming, at: Timestamp) -> AlertState {
    if at.saturating_since(active_at) >= timing.hold_duration {
        AlertState::Firing {
            active_at,
            fired_at: at,
            unseen_since: None,
            sent_at: None,
        }
    } else {
        AlertState::Pending { active_at }
    }
}

/// A firing alert goes back to pending where a reload has raised `for` above its age.
fn still_firing(
    active_at: Timestamp,
    fired_at: Timestamp,
    unseen_since: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    timing: AlertTiming,
    at: Timestamp,
) -> AlertState {
    if at.saturating_since(active_at) < timing.hold_duration {
        return AlertState::Pending { active_at };
    }
    AlertState::Firing {
        active_at,
        fired_at,
        unseen_since,
        sent_at,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;

    use super::{AlertState, AlertTiming};

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_secs(minute * 60)
    }

    fn timing(hold: u64, keep: u64) -> AlertTiming {
        AlertTiming {
            hold_duration: Duration::from_secs(hold * 60),
            keep_firing_for: Duration::from_secs(keep * 60),
        }
    }

    /// One alert through evaluations `(minute, seen)`. The story: P pending, F firing, k firing though unseen,
    /// r resolved, - unknown.
    fn check(timing: AlertTiming, evaluations: &[(i64, bool)], story: &str) {
        let mut state: Option<AlertState> = None;
        let told: Vec<&str> = evaluations
            .iter()
            .map(|&(at, seen)| {
                state = match state {
                    Some(state) => state.step(seen, timing, minute(at)),
                    None => seen.then(|| AlertState::begin(timing, minute(at))),
                };
                match state {
                    None => "-",
                    Some(AlertState::Pending { .. }) => "P",
                    Some(AlertState::Firing {
                        unseen_since: None, ..
                    }) => "F",
                    Some(AlertState::Firing { .. }) => "k",
                    Some(AlertState::Resolved { .. }) => "r",
                }
            })
            .collect();
        assert_eq!(told.join(" "), story, "{evaluations:?}");
    }

    const SEEN: bool = true;
    const UNSEEN: bool = false;

    #[test]
    fn fires_at_once_without_for() {
        check(timing(0, 0), &[(0, SEEN)], "F");
    }

    #[test]
    fn fires_when_for_has_elapsed_and_not_before() {
        check(
            timing(2, 0),
            &[(0, SEEN), (1, SEEN), (2, SEEN), (3, SEEN)],
            "P P F F",
        );
        // Shorter than the interval: at the next evaluation.
        check(timing(1, 0), &[(0, SEEN), (5, SEEN)], "P F");
    }

    #[test]
    fn a_pending_alert_that_is_not_seen_is_forgotten_and_starts_anew() {
        check(
            timing(2, 0),
            &[(0, SEEN), (1, UNSEEN), (2, SEEN), (3, SEEN), (4, SEEN)],
            "P - P P F",
        );
    }

    #[test]
    fn resolves_and_is_kept_for_15_minutes() {
        check(
            timing(0, 0),
            &[(0, SEEN), (1, UNSEEN), (16, UNSEEN), (17, UNSEEN)],
            "F r r -",
        );
    }

    #[test]
    fn a_resolved_alert_that_is_seen_is_a_new_one() {
        check(
            timing(2, 0),
            &[(0, SEEN), (2, SEEN), (3, UNSEEN), (4, SEEN), (5, UNSEEN)],
            "P F r P -",
        );
        check(timing(0, 0), &[(0, SEEN), (1, UNSEEN), (2, SEEN)], "F r F");
    }

    #[test]
    fn keep_firing_for_counts_from_the_first_unseen_evaluation() {
        check(
            timing(0, 3),
            &[
                (0, SEEN),
                (1, UNSEEN),
                (2, UNSEEN),
                (3, UNSEEN),
                (4, UNSEEN),
            ],
            "F k k k r",
        );
        // Being seen sets the count back.
        check(
            timing(0, 2),
            &[
                (0, SEEN),
                (1, UNSEEN),
                (2, SEEN),
                (3, UNSEEN),
                (4, UNSEEN),
                (5, UNSEEN),
            ],
            "F k F k k r",
        );
        // It holds nothing that is merely pending.
        check(timing(2, 9), &[(0, SEEN), (1, UNSEEN)], "P -");
    }

    #[test]
    fn a_raised_for_makes_a_firing_alert_pending_again() {
        let fired = AlertState::begin(timing(0, 0), minute(0));
        let raised = fired.step(SEEN, timing(5, 0), minute(1));
        assert_eq!(
            raised,
            Some(AlertState::Pending {
                active_at: minute(0)
            })
        );
        let again = raised.and_then(|state| state.step(SEEN, timing(5, 0), minute(5)));
        assert_eq!(
            again,
            Some(AlertState::Firing {
                active_at: minute(0),
                fired_at: minute(5),
                unseen_since: None,
                sent_at: None
            })
        );
    }

    #[test]
    fn is_told_at_once_then_after_more_than_the_resend_delay() {
        let resend_delay = Duration::from_secs(60);
        let firing = AlertState::begin(timing(0, 0), minute(0));
        let pending = AlertState::begin(timing(1, 0), minute(0));
        let resolved = firing
            .sent(minute(0))
            .step(UNSEEN, timing(0, 0), minute(1))
            .unwrap();
        for (name, state, at, told) in [
            ("pending", pending, 9, false),
            ("firing, never told", firing, 0, true),
            ("firing, told just now", firing.sent(minute(0)), 0, false),
            (
                "firing, told exactly one delay ago",
                firing.sent(minute(0)),
                1,
                false,
            ),
            (
                "firing, told two delays ago",
                firing.sent(minute(0)),
                2,
                true,
            ),
            ("resolved, its end not told", resolved, 1, true),
            (
                "resolved, told in this minute",
                resolved.sent(minute(1)),
                1,
                false,
            ),
            (
                "resolved, told exactly one delay ago",
                resolved.sent(minute(1)),
                2,
                false,
            ),
            (
                "resolved, told two delays ago",
                resolved.sent(minute(1)),
                3,
                true,
            ),
        ] {
            assert_eq!(
                state.needs_sending(resend_delay, minute(at)),
                told,
                "{name}"
            );
        }
    }
}
