//! What a ruler decided, as logs, figures and readers' views.
use std::collections::BTreeMap;

use model::TenantId;
use ruler_core::{AlertState, Destination, Event, GroupKey, Ruler, SendOutcome, Transition};
use tracing::{debug, info, warn};

use crate::metrics::RulerMetrics;
use crate::views::{ViewChange, Views};

pub(crate) struct Story {
    tenant: TenantId,
    metrics: RulerMetrics,
    /// The rules that failed last time, by group and place: a failure is news when it begins and when it ends.
    failing: BTreeMap<(GroupKey, usize), String>,
    /// What went wrong the last time that something could not be saved: a full disk is told once, and counted.
    unsaved: Option<String>,
    /// The destinations that failed last time.
    unreachable: BTreeMap<Destination, String>,
    queued: BTreeMap<Destination, i64>,
}

impl Story {
    pub(crate) fn new(tenant: TenantId, metrics: RulerMetrics) -> Self {
        Self {
            tenant,
            metrics,
            failing: BTreeMap::new(),
            unsaved: None,
            unreachable: BTreeMap::new(),
            queued: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, machine: &Ruler, views: &Views, events: Vec<Event>) {
        let mut changes = Vec::new();
        for event in events {
            changes.extend(self.tell_one(machine, event));
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
        if self.unsaved.take().is_some() {
            info!(tenant = %self.tenant, "alert state is saved again");
        }
    }

    /// Logs and counts an event; returns what it changes for readers.
    fn tell_one(&mut self, machine: &Ruler, event: Event) -> Option<ViewChange> {
        let tenant = &self.tenant;
        let metrics = &self.metrics;
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
                if missed > 0 {
                    warn!(%tenant, %group, missed, "rule group evaluations missed: the group takes longer than its interval");
                }
            }
            Event::MessagesDropped {
                destination,
                reason,
                count,
            } => {
                metrics.alerts_dropped(&destination, count);
                warn!(%tenant, alertmanager = %destination.0, ?reason, count, "alerts dropped");
            }
            Event::PersistFailed { reason } => {
                metrics.persist_failures.inc();
                if self.unsaved.as_ref() != Some(&reason) {
                    warn!(%tenant, reason, "alert state not saved: a restart would lose the latest changes");
                }
                self.unsaved = Some(reason);
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
                        if self.failing.get(&key) != Some(&reason) {
                            warn!(%tenant, group = %key.0, rule = key.1 + 1, reason, "evaluating rule failed");
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
                warn!(%tenant, group = %ticket.group, rule = ticket.rule + 1, num_dropped = count, reason,
                    "samples of a rule's result refused");
            }
            Event::WriteFailed { ticket, reason } => {
                metrics.write_failed(tenant, &ticket.group);
                warn!(%tenant, group = %ticket.group, rule = ticket.rule + 1, reason, "rule's result not written");
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
                warn!(%tenant, %alertmanager, reason, "alerts rejected");
            }
        }
    }
}

/// Labels may name customers, so they are told to those who ask for details.
fn tell_transition(tenant: &TenantId, group: &GroupKey, transition: &Transition) {
    let name = |state: Option<AlertState>| state.map_or("none", AlertState::as_str);
    let alert = transition.labels.value(model::ALERT_NAME);
    let (from, to) = (name(transition.from), name(transition.to));
    match transition.to {
        Some(AlertState::Firing { .. } | AlertState::Resolved { .. }) => {
            info!(%tenant, %group, alert, from, to, "alert changed");
        }
        Some(AlertState::Pending { .. }) | None => {
            debug!(%tenant, %group, alert, from, to, "alert changed");
        }
    }
    debug!(labels = %transition.labels, to, "alert's labels");
}
