//! An alerting rule: a result's elements become active alerts, and these become samples and messages.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use model::{ALERT_NAME, AlertStatus, Labels, LabelsBuilder, METRIC_NAME, SampleValue, Timestamp};

use crate::alert::{ActiveAlert, AlertState, AlertTiming};
use crate::notes::Notes;
use crate::refusal::{LeftOut, OverLimit, ResultRefused};
use crate::series::{SeriesValue, WrittenSeries};

/// One element of an alerting rule's result, its templates expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertElement {
    /// Of the element itself, its metric name among them where it has one.
    pub series: Labels,
    /// The rule's labels, expanded; an empty value removes the series' label.
    pub rule_labels: Labels,
    pub annotations: Labels,
    pub value: f64,
}

/// What of a rule decides about its alerts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlertPolicy<'a> {
    pub name: &'a str,
    pub timing: AlertTiming,
    /// How many alerts may be pending or firing; `None` is any number.
    pub limit: Option<u64>,
    pub over_limit: OverLimit,
}

/// An alert as receivers are told it, before external labels are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingAlert {
    pub labels: Labels,
    pub annotations: Labels,
    /// When it fired, also where it is resolved by now.
    pub starts_at: Timestamp,
    /// When it was resolved, or until when it counts as firing unless it is told again.
    pub ends_at: Timestamp,
    pub status: AlertStatus,
}

/// An alert went from one state to another. `None` is an alert that was, or has become, unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub labels: Labels,
    pub from: Option<AlertState>,
    pub to: Option<AlertState>,
}

/// What one evaluation made of a rule's alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AlertStep {
    /// `ALERTS` and `ALERTS_FOR_STATE` of every alert that is pending or firing.
    pub samples: Vec<SeriesValue>,
    pub transitions: Vec<Transition>,
    pub left_out: Option<LeftOut>,
}

/// How the alerts of one rule are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub resend_delay: Duration,
    /// The group's evaluation interval.
    pub interval: Duration,
}

impl Sending {
    /// A firing alert that is not told again ends by itself after four chances to be told were missed (Prometheus 3.14).
    #[must_use]
    pub(crate) fn valid_until(self, at: Timestamp) -> Timestamp {
        at + self.interval.max(self.resend_delay) * 4
    }
}

/// What has changed since it was last saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertChanges {
    pub changed: Vec<ActiveAlert>,
    pub forgotten: Vec<Labels>,
}

/// The active alerts of one alerting rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveAlerts {
    alerts: BTreeMap<Labels, Tracked>,
    forgotten: Vec<Labels>,
}

impl ActiveAlerts {
    /// Alerts as they were saved.
    #[must_use]
    pub(crate) fn restored(alerts: impl IntoIterator<Item = ActiveAlert>) -> Self {
        Self {
            alerts: alerts
                .into_iter()
                .map(|alert| (alert.labels.clone(), Tracked::new(alert, Saved::Yes)))
                .collect(),
            forgotten: Vec::new(),
        }
    }

    /// One evaluation: every element is a pending or firing alert, every alert without an element is on its way out.
    /// The order of decisions is Prometheus 3.14's.
    ///
    /// # Errors
    /// Two elements with the same final labels: nothing has changed. More alive alerts than the limit, where that drops
    /// all: all alerts of the rule are forgotten, and none of them is resolved at the receivers.
    pub(crate) fn step(
        &mut self,
        policy: AlertPolicy<'_>,
        elements: Vec<AlertElement>,
        at: Timestamp,
    ) -> Result<AlertStep, ResultRefused> {
        if elements.is_empty() && self.alerts.is_empty() {
            return Ok(AlertStep::default());
        }
        let mut seen = seen(policy.name, elements)?;
        let mut step = AlertStep::default();
        let mut alive = 0;
        let forgotten = &mut self.forgotten;
        self.alerts.retain(|labels, tracked| {
            // A resolved alert that is seen is a new one, and new ones come after those that are alive.
            let sight = match tracked.alert.state.is_alive() {
                true => seen.remove(labels),
                false => None,
            };
            let before = tracked.alert.state;
            let next = before.step(sight.is_some(), policy.timing, at);
            step.note(labels, Some(before), next);
            let Some(state) = next else {
                forgotten.push(labels.clone());
                return false;
            };
            tracked.update(state, sight);
            alive += usize::from(state.is_alive());
            tracked.emit(&mut step.samples);
            true
        });
        let has_room = |alive: usize| match (policy.over_limit, policy.limit) {
            (OverLimit::KeepFirst, Some(limit)) => (alive as u64) < limit,
            (OverLimit::KeepFirst, None) | (OverLimit::DropAll, _) => true,
        };
        for (labels, sight) in seen {
            if !has_room(alive) {
                let limit = policy.limit.unwrap_or_default();
                let left_out = step.left_out.get_or_insert(LeftOut { limit, count: 0 });
                left_out.count += 1;
                continue;
            }
            alive += 1;
            let state = AlertState::begin(policy.timing, at);
            let tracked = match self.alerts.entry(labels) {
                Entry::Occupied(entry) => {
                    let tracked = entry.into_mut();
                    let before = tracked.alert.state;
                    step.note(&tracked.alert.labels, Some(before), Some(state));
                    tracked.update(state, Some(sight));
                    tracked
                }
                Entry::Vacant(entry) => {
                    step.note(entry.key(), None, Some(state));
                    let alert = ActiveAlert {
                        labels: entry.key().clone(),
                        annotations: sight.annotations,
                        value: sight.value,
                        state,
                    };
                    entry.insert(Tracked::new(alert, Saved::No))
                }
            };
            tracked.emit(&mut step.samples);
        }
        match policy.limit {
            Some(limit) if policy.over_limit == OverLimit::DropAll && alive as u64 > limit => {
                self.forget_all();
                Err(ResultRefused::TooManyAlerts {
                    limit,
                    count: alive,
                })
            }
            _ => Ok(step),
        }
    }

    /// The alerts that receivers should be told at `at`; they count as told from then on.
    pub(crate) fn take_due(
        &mut self,
        sending: Sending,
        notes: &Notes,
        at: Timestamp,
    ) -> Vec<OutgoingAlert> {
        self.take_due_if(sending, notes, at, |_| true)
    }

    /// Like [`Self::take_due`] for the firing ones alone: what keeps them alive at the receivers while the rule's
    /// query fails.
    pub(crate) fn take_due_firing(
        &mut self,
        sending: Sending,
        notes: &Notes,
        at: Timestamp,
    ) -> Vec<OutgoingAlert> {
        self.take_due_if(sending, notes, at, |state| {
            matches!(state, AlertState::Firing { .. })
        })
    }

    fn take_due_if(
        &mut self,
        sending: Sending,
        notes: &Notes,
        at: Timestamp,
        wanted: impl Fn(AlertState) -> bool,
    ) -> Vec<OutgoingAlert> {
        self.alerts
            .values_mut()
            .filter(|tracked| wanted(tracked.alert.state))
            .filter(|tracked| tracked.alert.state.needs_sending(sending.resend_delay, at))
            .filter_map(|tracked| {
                tracked.alert.state = tracked.alert.state.sent(at);
                tracked.saved = Saved::No;
                outgoing(&tracked.alert, sending, notes)
            })
            .collect()
    }

    /// What has to be saved; it counts as saved from then on.
    pub(crate) fn take_changes(&mut self) -> AlertChanges {
        let changed = self
            .alerts
            .values_mut()
            .filter(|tracked| tracked.saved == Saved::No)
            .map(|tracked| {
                tracked.saved = Saved::Yes;
                tracked.alert.clone()
            })
            .collect();
        AlertChanges {
            changed,
            forgotten: std::mem::take(&mut self.forgotten),
        }
    }

    /// The pending alerts begin anew when they are next seen.
    pub(crate) fn forget_pending(&mut self) {
        let forgotten = &mut self.forgotten;
        self.alerts.retain(|labels, tracked| {
            let pending = matches!(tracked.alert.state, AlertState::Pending { .. });
            if pending {
                forgotten.push(labels.clone());
            }
            !pending
        });
    }

    fn forget_all(&mut self) {
        self.forgotten
            .extend(std::mem::take(&mut self.alerts).into_keys());
    }

    /// Pending, firing and resolved ones, by their labels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.alerts.values().map(|tracked| &tracked.alert)
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// The series that the alerts stand in: what a ruler that has just started finds written.
    #[must_use]
    pub(crate) fn written(&self) -> WrittenSeries {
        self.alerts
            .values()
            .filter(|tracked| tracked.alert.state.is_alive())
            .flat_map(|tracked| {
                [
                    tracked.series.alerts.clone(),
                    tracked.series.for_state.clone(),
                ]
            })
            .collect()
    }
}

/// The message about an alert: `None` for a pending one, of which receivers hear nothing. How long a firing one is
/// valid counts from when it was last told.
#[must_use]
pub(crate) fn outgoing(
    alert: &ActiveAlert,
    sending: Sending,
    notes: &Notes,
) -> Option<OutgoingAlert> {
    let (starts_at, ends_at, status) = match alert.state {
        AlertState::Pending { .. } => return None,
        AlertState::Firing {
            fired_at, sent_at, ..
        } => {
            let ends_at = sending.valid_until(sent_at.unwrap_or(fired_at));
            (fired_at, ends_at, AlertStatus::Firing)
        }
        AlertState::Resolved {
            fired_at,
            resolved_at,
            ..
        } => (fired_at, resolved_at, AlertStatus::Resolved),
    };
    Some(OutgoingAlert {
        labels: alert.labels.clone(),
        annotations: notes.on(&alert.annotations),
        starts_at,
        ends_at,
        status,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    No,
    Yes,
}

#[derive(Clone, Debug)]
struct Tracked {
    alert: ActiveAlert,
    series: AlertSeries,
    saved: Saved,
}

/// The names of an alert's two series, made once a state instead of at every evaluation.
#[derive(Clone, Debug)]
struct AlertSeries {
    alerts: Labels,
    for_state: Labels,
}

/// What an evaluation saw of one alert.
struct Sight {
    annotations: Labels,
    value: f64,
}

impl AlertStep {
    fn note(&mut self, labels: &Labels, from: Option<AlertState>, to: Option<AlertState>) {
        if from.map(AlertState::as_str) != to.map(AlertState::as_str) {
            self.transitions.push(Transition {
                labels: labels.clone(),
                from,
                to,
            });
        }
    }
}

impl Tracked {
    fn new(alert: ActiveAlert, saved: Saved) -> Self {
        Self {
            series: AlertSeries::of(&alert),
            alert,
            saved,
        }
    }

    fn update(&mut self, state: AlertState, sight: Option<Sight>) {
        let before = self.alert.state;
        if before != state {
            self.alert.state = state;
            self.saved = Saved::No;
        }
        if before.as_str() != state.as_str() {
            self.series = AlertSeries::of(&self.alert);
        }
        let Some(sight) = sight else { return };
        let same = self.alert.value.to_bits() == sight.value.to_bits()
            && self.alert.annotations == sight.annotations;
        if !same {
            self.alert.value = sight.value;
            self.alert.annotations = sight.annotations;
            self.saved = Saved::No;
        }
    }

    fn emit(&self, samples: &mut Vec<SeriesValue>) {
        if !self.alert.state.is_alive() {
            return;
        }
        samples.push(SeriesValue {
            labels: self.series.alerts.clone(),
            value: SampleValue::Float(1.0),
        });
        // Whole seconds, as Prometheus writes them.
        let active_at = self.alert.state.active_at().as_millis().div_euclid(1000);
        samples.push(SeriesValue {
            labels: self.series.for_state.clone(),
            value: SampleValue::Float(active_at as f64),
        });
    }
}

impl AlertSeries {
    fn of(alert: &ActiveAlert) -> Self {
        let mut builder = LabelsBuilder::new(&alert.labels);
        let for_state = builder.set(METRIC_NAME, "ALERTS_FOR_STATE").build();
        let alerts = builder
            .set(METRIC_NAME, "ALERTS")
            .set("alertstate", alert.state.as_str())
            .build();
        Self { alerts, for_state }
    }
}

/// The result by alert. The alert's labels are the series' own without the metric name, the rule's laid over them, and
/// the rule's name as `alertname`.
fn seen(name: &str, elements: Vec<AlertElement>) -> Result<BTreeMap<Labels, Sight>, ResultRefused> {
    let mut seen = BTreeMap::new();
    for element in elements {
        match seen.entry(alert_labels(name, &element)) {
            Entry::Occupied(_) => return Err(ResultRefused::SameAlertLabels),
            Entry::Vacant(vacant) => {
                vacant.insert(Sight {
                    annotations: element.annotations,
                    value: element.value,
                });
            }
        }
    }
    Ok(seen)
}

fn alert_labels(name: &str, element: &AlertElement) -> Labels {
    let rule_labels = &element.rule_labels;
    let kept = element.series.iter().filter(|(label, _)| {
        *label != METRIC_NAME && *label != ALERT_NAME && rule_labels.get(label).is_none()
    });
    let own = rule_labels
        .iter()
        .filter(|(label, value)| *label != ALERT_NAME && !value.is_empty());
    kept.chain(own).chain([(ALERT_NAME, name)]).collect()
}

#[cfg(test)]
mod tests;
