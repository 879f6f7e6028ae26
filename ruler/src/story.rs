//! What a ruler decided, as logs, figures and readers' views.
use std::collections::BTreeMap;

use model::TenantId;
use ruler_core::{AlertState, Destination, Event, GroupKey, Ruler, SendOutcome, Transition};
use runtime::Trouble;
use tracing::{debug, info, warn};

use crate::metrics::RulerMetrics;
use crate::views::{ViewChange, Views};

/// Changed alerts that are told one by one, of those that changed together: nobody reads more, and a rule whose result
/// a hostile sender fills would write a line for each of its series.
const ALERTS_TOLD_MAX: usize = 100;

pub(crate) struct Story {
    tenant: TenantId,
    metrics: RulerMetrics,
    /// The rules that failed last time, by group and place: a failure is news when it begins and when it ends.
    failing: BTreeMap<(GroupKey, usize), String>,
    /// What repeats itself, for all groups and destinations together.
    troubles: Troubles,
    /// The destinations that failed last time.
    unreachable: BTreeMap<Destination, String>,
    queued: BTreeMap<Destination, i64>,
}

#[derive(Default)]
struct Troubles {
    dropped: Trouble,
    /// A rule that fails for another reason every time.
    failing: Trouble,
    missed: Trouble,
    refused: Trouble,
    rejected: Trouble,
    unsaved: Trouble,
    unwritten: Trouble,
}

impl Story {
    pub(crate) fn new(tenant: TenantId, metrics: RulerMetrics) -> Self {
        Self {
            tenant,
            metrics,
            failing: BTreeMap::new(),
            troubles: Troubles::default(),
            unreachable: BTreeMap::new(),
            queued: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, machine: &Ruler, views: &Views, events: Vec<Event>) {
        let mut changes = Vec::new();
        let mut alerts_changed = 0_usize;
        for event in events {
            if let Event::AlertChanged { .. } = event {
                alerts_changed += 1;
                if alerts_changed > ALERTS_TOLD_MAX {
                    continue;
                }
            }
            changes.extend(self.tell_one(machine, event));
        }
        let count = alerts_changed.saturating_sub(ALERTS_TOLD_MAX);
        if count > 0 {
            info!(tenant = %self.tenant, count, "more alerts changed");
        }
        views.apply(&self.tenant, changes);
        for destination in machine.outbox().destinations() {
            let waiting = i64::try_from(machine.outbox().waiting(destination)).unwrap_or(i64::MAX);
            let before = self.queued.insert(destination.clone(), waiting);
            let by = waiting - before.unwrap_or(0);
            if by != 0 || before.is_none() {
                self.metrics.queue_changed(destination, by);
            }
        }
    }

    /// The whole state was written.
    pub(crate) fn note_saved(&mut self) {
        if let Some(left_out) = self.troubles.unsaved.is_over() {
            info!(tenant = %self.tenant, left_out, "alert state is saved again");
        }
    }

    /// Logs and counts an event; returns what it changes for readers.
    fn tell_one(&mut self, machine: &Ruler, event: Event) -> Option<ViewChange> {
        let tenant = &self.tenant;
        let metrics = &self.metrics;
        let troubles = &self.troubles;
        match event {
            Event::AlertChanged { ticket, transition } => {
                tell_transition(tenant, &ticket.group, &transition);
            }
            Event::BatchSettled {
                destination,
                outcome,
                ..
            } => self.tell_batch(destination, outcome),
            Event::GroupLoaded { group } => {
                let view = machine.view(&group)?;
                metrics.group_loaded(tenant, &group, view.group.interval, view.group.rules.len());
                self.failing.retain(|(failing, _), _| *failing != group);
                info!(%tenant, %group, rules = view.group.rules.len(), "rule group loaded");
                return Some(ViewChange::Published(view));
            }
            Event::GroupRemoved { group } => {
                metrics.group_removed(tenant, &group);
                self.failing.retain(|(failing, _), _| *failing != group);
                info!(%tenant, %group, "rule group removed");
                return Some(ViewChange::Removed(group));
            }
            Event::IterationFinished { group, iteration } => {
                metrics.iteration_finished(tenant, &group, &iteration);
                return machine.view(&group).map(ViewChange::Published);
            }
            Event::IterationStarted { group, missed, .. } => {
                metrics.iteration_started(tenant, &group, missed);
                if missed > 0
                    && let Some(left_out) = troubles.missed.happened()
                {
                    warn!(%tenant, %group, missed, left_out, "rule group evaluations missed: the group takes longer than its interval");
                }
            }
            Event::MessagesDropped {
                destination,
                reason,
                count,
                first,
            } => {
                metrics.alerts_dropped(&destination, count);
                if let Some(left_out) = troubles.dropped.happened() {
                    warn!(%tenant, alertmanager = %destination.0, ?reason, count, alertname = first, left_out, "alerts dropped: nobody will hear of them there");
                }
            }
            // The events of its groups have told it.
            Event::RulesTakenOver => {}
            Event::PersistFailed { reason } => {
                metrics.persist_failures.inc();
                if let Some(left_out) = troubles.unsaved.happened() {
                    warn!(%tenant, reason, left_out, "alert state not saved: a restart would lose the latest changes");
                }
            }
            Event::RuleEvaluated {
                ticket,
                took,
                outcome,
            } => {
                metrics.rule_evaluated(tenant, &ticket.group, took, outcome.is_err());
                let key = (ticket.group, ticket.rule);
                match outcome {
                    Ok(()) => {
                        if self.failing.remove(&key).is_some() {
                            info!(%tenant, group = %key.0, rule = key.1 + 1, "rule evaluated again");
                        }
                    }
                    Err(reason) => {
                        // Each rule's first failure is news; of an engine that says something else every time, some.
                        let left_out = match self.failing.get(&key) {
                            None => Some(0),
                            Some(before) if *before == reason => None,
                            Some(_) => troubles.failing.happened(),
                        };
                        if let Some(left_out) = left_out {
                            warn!(%tenant, group = %key.0, rule = key.1 + 1, reason, left_out, "evaluating rule failed");
                        }
                        self.failing.insert(key, reason);
                    }
                }
            }
            Event::SamplesRefused {
                ticket,
                count,
                reason,
            } => {
                if let Some(left_out) = troubles.refused.happened() {
                    warn!(%tenant, group = %ticket.group, rule = ticket.rule + 1, num_dropped = count, reason, left_out,
                        "samples of a rule's result refused");
                }
            }
            Event::WriteFailed { ticket, reason } => {
                metrics.write_failed(tenant, &ticket.group);
                if let Some(left_out) = troubles.unwritten.happened() {
                    warn!(%tenant, group = %ticket.group, rule = ticket.rule + 1, reason, left_out, "rule's result not written");
                }
            }
        }
        None
    }

    fn tell_batch(&mut self, destination: Destination, outcome: SendOutcome) {
        let tenant = &self.tenant;
        let alertmanager = destination.0.clone();
        match outcome {
            SendOutcome::Delivered => {
                if self.unreachable.remove(&destination).is_some() {
                    info!(%tenant, %alertmanager, "alerts are taken again");
                }
            }
            SendOutcome::Failed { reason } => {
                if self.unreachable.get(&destination) != Some(&reason) {
                    warn!(%tenant, %alertmanager, reason, "sending alerts failed, will be tried again");
                }
                self.unreachable.insert(destination, reason);
            }
            SendOutcome::Rejected { reason } => {
                if let Some(left_out) = self.troubles.rejected.happened() {
                    warn!(%tenant, %alertmanager, reason, left_out, "alerts rejected");
                }
            }
            SendOutcome::TooLarge { reason } => {
                if let Some(left_out) = self.troubles.rejected.happened() {
                    warn!(%tenant, %alertmanager, reason, left_out, "alerts are too many bytes for one request, fewer are sent at once");
                }
            }
        }
    }
}

/// Labels may name customers, so they are told to those who ask for details; by its fingerprint an alert is found in the
/// API.
fn tell_transition(tenant: &TenantId, group: &GroupKey, transition: &Transition) {
    let name = |state: Option<AlertState>| state.map_or("none", AlertState::as_str);
    let alert = transition.labels.value(model::ALERT_NAME);
    let fingerprint = transition.labels.fingerprint();
    let (from, to) = (name(transition.from), name(transition.to));
    match transition.to {
        Some(AlertState::Firing { .. } | AlertState::Resolved { .. }) => {
            info!(%tenant, %group, alert, %fingerprint, from, to, "alert changed");
        }
        Some(AlertState::Pending { .. }) | None => {
            debug!(%tenant, %group, alert, %fingerprint, from, to, "alert changed");
        }
    }
    debug!(labels = %transition.labels, to, "alert's labels");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Labels, TenantId, Timestamp};
    use ruler_core::{
        AlertState, Destination, DropReason, Event, GroupKey, OverLimit, Ruler, RulerOptions,
        SavedState, SendOutcome, Settled, Ticket, Transition,
    };
    use runtime::{HeardLog, Metrics};

    use super::Story;
    use crate::metrics::RulerMetrics;
    use crate::views::Views;

    fn story() -> (Story, Ruler) {
        let tenant = TenantId::anonymous();
        let story = Story::new(tenant.clone(), RulerMetrics::new(&Metrics::new()));
        let options = RulerOptions {
            resend_delay: Duration::from_secs(60),
            outage_tolerance: Duration::from_secs(60),
            group_concurrency_max: 1,
            over_limit: OverLimit::DropAll,
        };
        (story, Ruler::new(tenant, options, SavedState::default()))
    }

    /// The lines about these events, each of which happens three times.
    fn told(events: &[Event]) -> Vec<String> {
        let heard = HeardLog::start();
        let (mut story, machine) = story();
        for event in events {
            story.tell(&machine, &Views::default(), vec![event.clone(); 3]);
        }
        heard.lines()
    }

    fn ticket() -> Ticket {
        Ticket {
            group: GroupKey::new("r.yml", "g"),
            at: Timestamp::from_secs(0),
            rule: 0,
        }
    }

    #[test]
    fn what_repeats_itself_is_told_once() {
        let destination = Destination("http://am".into());
        let reason = || "no".to_owned();
        for (event, line) in [
            (
                Event::MessagesDropped {
                    destination: destination.clone(),
                    reason: DropReason::Expired,
                    count: 7,
                    first: Some("Down".to_owned()),
                },
                "WARN alerts dropped: nobody will hear of them there tenant=anonymous alertmanager=http://am reason=Expired count=7 alertname=Down left_out=0",
            ),
            (
                Event::BatchSettled {
                    destination,
                    outcome: SendOutcome::Rejected { reason: reason() },
                    settled: Settled::default(),
                },
                "WARN alerts rejected tenant=anonymous alertmanager=http://am reason=no left_out=0",
            ),
            (
                Event::IterationStarted {
                    group: ticket().group,
                    at: Timestamp::from_secs(0),
                    missed: 2,
                },
                "WARN rule group evaluations missed: the group takes longer than its interval tenant=anonymous \
                 group=r.yml;g missed=2 left_out=0",
            ),
            (
                Event::SamplesRefused {
                    ticket: ticket(),
                    count: 9,
                    reason: reason(),
                },
                "WARN samples of a rule's result refused tenant=anonymous group=r.yml;g rule=1 num_dropped=9 reason=no \
                 left_out=0",
            ),
            (
                Event::WriteFailed {
                    ticket: ticket(),
                    reason: reason(),
                },
                "WARN rule's result not written tenant=anonymous group=r.yml;g rule=1 reason=no left_out=0",
            ),
            (
                Event::PersistFailed { reason: reason() },
                "WARN alert state not saved: a restart would lose the latest changes tenant=anonymous reason=no \
                 left_out=0",
            ),
        ] {
            assert_eq!(told(&[event]), [line]);
        }
    }

    #[test]
    fn of_many_alerts_that_change_together_some_are_told_and_the_others_counted() {
        let labels = Labels::from_pairs([("alertname", "Down")]);
        let fingerprint = labels.fingerprint();
        let fired = Event::AlertChanged {
            ticket: ticket(),
            transition: Transition {
                labels,
                from: None,
                to: Some(AlertState::Firing {
                    active_at: Timestamp::from_secs(0),
                    fired_at: Timestamp::from_secs(0),
                    unseen_since: None,
                    sent_at: None,
                }),
            },
        };
        for (together, told, counted) in [(1, 1, None), (100, 100, None), (103, 100, Some(3))] {
            let heard = HeardLog::start();
            let (mut story, machine) = story();
            story.tell(&machine, &Views::default(), vec![fired.clone(); together]);
            let mut expected = vec![
                format!(
                    "INFO alert changed tenant=anonymous group=r.yml;g alert=Down fingerprint={fingerprint} from=none to=firing"
                );
                told
            ];
            expected.extend(
                counted.map(|count| {
                    format!("INFO more alerts changed tenant=anonymous count={count}")
                }),
            );
            assert_eq!(heard.lines(), expected);
        }
    }

    #[test]
    fn a_rule_that_fails_is_told_when_that_begins_and_when_it_ends() {
        let evaluated = |outcome: Result<(), &str>| Event::RuleEvaluated {
            ticket: ticket(),
            took: Duration::ZERO,
            outcome: outcome.map_err(str::to_owned),
        };
        let story = [
            evaluated(Ok(())),
            evaluated(Err("one")),
            evaluated(Err("two")),
            evaluated(Err("three")),
            evaluated(Ok(())),
        ];
        let rule = "tenant=anonymous group=r.yml;g rule=1";
        assert_eq!(
            told(&story),
            [
                format!("WARN evaluating rule failed {rule} reason=one left_out=0"),
                format!("WARN evaluating rule failed {rule} reason=two left_out=0"),
                format!("INFO rule evaluated again {rule}"),
            ]
        );
    }
}
