//! Alerts that fired when their rule was deleted: resolved at once, and told as often as the resolved alert of a living
//! rule would be.
use std::collections::BTreeMap;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::alert::{AlertState, RESOLVED_RETENTION};
use crate::restore::DepartedAlert;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Departed {
    alerts: BTreeMap<Labels, DepartedAlert>,
}

/// What is to be done about a departed alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Departing {
    Forget(Labels),
    Tell(DepartedAlert),
}

impl Departed {
    pub(crate) fn restored(alerts: BTreeMap<Labels, DepartedAlert>) -> Self {
        Self { alerts }
    }

    pub(crate) fn insert(&mut self, alert: DepartedAlert) {
        self.alerts.insert(alert.alert.labels.clone(), alert);
    }

    /// A living rule has an alert of these labels: what it says counts. Returns whether there was one.
    pub(crate) fn remove(&mut self, labels: &Labels) -> bool {
        self.alerts.remove(labels).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &DepartedAlert> {
        self.alerts.values()
    }

    /// What is due at `now`; the told ones count as told from then on.
    pub(crate) fn take_due(&mut self, resend_delay: Duration, now: Timestamp) -> Vec<Departing> {
        let mut due = Vec::new();
        self.alerts.retain(|labels, departed| {
            let state = departed.alert.state;
            if now > forgotten_after(state) {
                due.push(Departing::Forget(labels.clone()));
                return false;
            }
            if state.needs_sending(resend_delay, now) {
                departed.alert.state = state.sent(now);
                due.push(Departing::Tell(departed.clone()));
            }
            true
        });
        due
    }

    pub(crate) fn poll_timeout(&self, resend_delay: Duration) -> Option<Timestamp> {
        let a_moment = Duration::from_millis(1);
        self.alerts
            .values()
            .map(|departed| {
                let state = departed.alert.state;
                let told_again = match state.sent_at() {
                    Some(sent_at) => sent_at + resend_delay + a_moment,
                    None => Timestamp::MIN,
                };
                told_again.min(forgotten_after(state) + a_moment)
            })
            .min()
    }
}

fn forgotten_after(state: AlertState) -> Timestamp {
    match state {
        AlertState::Pending { active_at } | AlertState::Firing { active_at, .. } => active_at,
        AlertState::Resolved { resolved_at, .. } => resolved_at + RESOLVED_RETENTION,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Labels, Timestamp};

    use super::{Departed, Departing};
    use crate::alert::{ActiveAlert, AlertState};
    use crate::restore::DepartedAlert;

    #[test]
    fn is_told_at_once_then_every_resend_delay_until_it_is_forgotten() {
        let minute = |minute: i64| Timestamp::from_secs(minute * 60);
        let resend_delay = Duration::from_secs(60);
        let mut departed = Departed::default();
        departed.insert(DepartedAlert {
            alert: ActiveAlert {
                labels: Labels::from_pairs([("alertname", "Down")]),
                annotations: Labels::default(),
                value: 0.0,
                state: AlertState::Resolved {
                    active_at: minute(0),
                    fired_at: minute(1),
                    resolved_at: minute(10),
                    sent_at: Some(minute(9)),
                },
            },
            expression: "up == 0".into(),
        });
        let mut story = String::new();
        for at in [10, 11, 12, 13, 24, 25, 26] {
            let told = departed.take_due(resend_delay, minute(at));
            story.push_str(match told.first() {
                None => "-",
                Some(Departing::Tell(_)) => "t",
                Some(Departing::Forget(_)) => "f",
            });
        }
        assert_eq!(story, "t-t-t-f");
        assert_eq!(departed.poll_timeout(resend_delay), None);
    }
}
