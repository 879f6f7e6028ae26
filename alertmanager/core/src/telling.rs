//! From a group's flush to what its integrations are told, and from how that ended to the log.
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, AlertStatus, Fingerprint, Timestamp};
use notifiers_core::{Attempted, FailureReason, Notification, NotificationReason};

use crate::dedup::{Told, Verdict, resolved_after, verdict};
use crate::delivery::{Attempt, AttemptResult, DeliveryId, Ended};
use crate::dispatch::GroupId;
use crate::flush::Flush;
use crate::group::Slot;
use crate::hashes::{AlertHashes, Uncertain};
use crate::machine::Alertmanager;
use crate::mute::interval_mute;
use crate::nflog::{Entry, LogKey, lifetime};
use crate::protocol::{AbandonCause, AttemptEnd, Command, Deliver, Event};
use crate::record::Record;
use crate::recorded_event::{EventData, GroupedAlert};

impl Alertmanager {
    pub(crate) fn flush(&mut self, id: &GroupId, slot: Slot, now: Timestamp) {
        let Some(group) = self.groups.get(id) else {
            return;
        };
        let targets = group.targets.clone();
        let interval = interval_mute(&self.policy, id.route, &self.settings.local_zone, now);
        let flush = Flush::new(group, slot, interval.as_ref(), &self.mutes(now));
        self.groups.set_muted_by(
            id,
            interval.as_ref().map_or(&[], |interval| interval.names()),
        );
        for (reason, count) in &flush.muted_counts {
            self.events.push_back(Event::AlertsMuted {
                group_key: Arc::clone(&id.key),
                reason: *reason,
                count: *count,
            });
        }
        self.record_muted(&flush, now);
        self.groups.set_held(id, !flush.hashes.doubtful.is_empty());
        self.events.push_back(Event::GroupFlushed {
            group_key: Arc::clone(&id.key),
            at: slot.at,
            firing: flush.hashes.firing.len(),
            muted: flush.hashes.muted.len(),
            resolved: flush.hashes.resolved.len(),
            silences_asked: flush.silences_asked,
            log_asked: targets.len(),
        });
        for target in &targets {
            self.tell(id, target, &flush, now);
        }
        self.release(id, now);
    }

    /// Decides what one integration is to be told of one flush.
    fn tell(&mut self, id: &GroupId, target: &LogKey, flush: &Flush, now: Timestamp) {
        if self.deliveries.owe(target, flush.slot) {
            return;
        }
        let Some(send_resolved) = self
            .policy
            .integration(target)
            .map(|integration| integration.send_resolved)
        else {
            return;
        };
        let (entry, uncertain) = self.told(target);
        let told = Told {
            entry,
            uncertain: &uncertain,
        };
        let flush = &*flush.for_integration(told);
        let unheard = self.ended_unheard(target, flush);
        self.events.extend(unheard);
        self.keep(id, target, flush, now);
        let route = self.policy.route(id.route);
        let (entry, uncertain) = self.told(target);
        let told = Told {
            entry,
            uncertain: &uncertain,
        };
        let expires_in = self.lifetime(id);
        let missed = self
            .deliveries
            .waiting(target)
            .map(|waiting| waiting.failure);
        let verdict = verdict(told, &flush.hashes, send_resolved, route.repeat_interval);
        let replaced = matches!(verdict, Verdict::Notify(_));
        match verdict {
            // Whether it fires still nobody knows: to say so again would be a false page, where it ended meanwhile.
            Verdict::Notify(NotificationReason::RepeatIntervalElapsed) if !flush.is_confirmed => {
                self.hold(id, target);
            }
            Verdict::Wait => self.hold(id, target),
            Verdict::Nothing => self.deliveries.withdraw(target),
            Verdict::NoteResolved => {
                // What was not heard of yet may be known still, so that its end can be told, and its next firing is news.
                let unheard = told.unheard(&flush.hashes);
                let mut uncertain = uncertain.without(&flush.hashes.resolved);
                uncertain.firing = uncertain.firing.union(&unheard);
                let entry = noted_resolved(told, flush, now + expires_in);
                self.deliveries.withdraw(target);
                self.log(target.clone(), entry, now);
                self.settle(target, uncertain);
            }
            Verdict::Notify(reason) => {
                let mut message =
                    flush.message(&self.policy, id, told, send_resolved, reason, expires_in);
                message.recorded = self.flush_info(id, flush);
                self.groups.note_told(id, now);
                if let Some(attempt) = self.deliveries.offer(target, message, now) {
                    self.attempt(attempt, now);
                }
            }
        }
        if let Some(failure) = missed {
            self.events.push_back(Event::NotificationMissed {
                key: target.clone(),
                failure,
                replaced,
            });
        }
    }

    /// What there is to tell waits until an alert is heard of.
    fn hold(&mut self, id: &GroupId, target: &LogKey) {
        self.deliveries.withdraw(target);
        self.groups.set_held(id, true);
    }

    /// How long the log knows what was told of a group.
    fn lifetime(&self, id: &GroupId) -> Duration {
        let route = self.policy.route(id.route);
        lifetime(
            self.settings.retention,
            route.repeat_interval,
            route.group_interval,
        )
    }

    /// What the log knows of a group lives on while an alert of it fires, and while the end of one is still to be told.
    fn keep(&mut self, id: &GroupId, target: &LogKey, flush: &Flush, now: Timestamp) {
        let (entry, uncertain) = self.told(target);
        let Some(entry) = entry else {
            return;
        };
        let told = Told {
            entry: Some(entry),
            uncertain: &uncertain,
        };
        let kept = entry.firing.intersects(&flush.hashes.firing)
            || entry.firing.intersects(&flush.hashes.muted)
            || entry.firing.intersects(&told.unheard(&flush.hashes))
            || entry.resolved.intersects(&flush.hashes.doubtful)
            || flush.any_ended_after(now - self.settings.retention, &entry.firing);
        let group_interval = self.policy.route(id.route).group_interval;
        if !kept || entry.expires_at > now + group_interval * 2 {
            return;
        }
        let entry = Entry {
            expires_at: now + self.lifetime(id),
            ..entry.clone()
        };
        self.log(target.clone(), entry, now);
        self.settle(target, uncertain);
    }

    /// What is uncertain after an entry was stored that told nothing: a stored entry ends what was uncertain before it.
    pub(crate) fn settle(&mut self, target: &LogKey, uncertain: Uncertain) {
        self.deliveries
            .set_uncertain(target.clone(), uncertain.clone());
        if !uncertain.is_empty() {
            let key = target.clone();
            self.persist(Record::Attempted { key, uncertain });
        }
    }

    pub(crate) fn attempt(&mut self, attempt: Attempt, now: Timestamp) {
        let Some(integration) = self.policy.integration(&attempt.key).cloned() else {
            debug_assert!(false, "nothing waits for an integration that is gone");
            return;
        };
        // What it tells as over had ended while the process lived: the next life must not revive it.
        self.store_alive(now);
        if let Some(uncertain) = attempt.newly_uncertain {
            self.persist(Record::Attempted {
                key: attempt.key.clone(),
                uncertain,
            });
        }
        self.events.push_back(Event::AttemptStarted {
            key: attempt.key.clone(),
            reason: attempt.notification.reason,
            attempt: attempt.number,
        });
        self.commands.push_back(Command::Deliver(Box::new(Deliver {
            id: attempt.id,
            key: attempt.key,
            integration,
            notification: attempt.notification,
            memory: attempt.memory,
            deadline: attempt.deadline,
            attempt: attempt.number,
            turns_missed: attempt.turns_missed,
        })));
    }

    pub(crate) fn miss_turn(&mut self, id: DeliveryId, now: Timestamp) {
        if let Some(attempted) = self.deliveries.miss_turn(id) {
            self.end_attempt(id, attempted, now);
        }
    }

    pub(crate) fn end_attempt(&mut self, id: DeliveryId, attempted: Attempted, now: Timestamp) {
        let kind = self
            .deliveries
            .key(id)
            .and_then(|key| self.policy.integration(key))
            .map(config::Integration::kind);
        let Some(ended) = self.deliveries.on_outcome(id, attempted, kind, now) else {
            return;
        };
        let Ended {
            key,
            message,
            attempts,
            result,
            uncertain_again,
            owed,
            failure,
        } = ended;
        if let Some(uncertain) = uncertain_again {
            let key = key.clone();
            self.persist(Record::Attempted { key, uncertain });
        }
        let end = match result {
            AttemptResult::Delivered { id, memory } => {
                let entry = Entry {
                    at: message.slot.at,
                    expires_at: now + message.expires_in,
                    firing: message.firing,
                    resolved: message.resolved,
                    memory,
                };
                self.log(key.clone(), entry, now);
                self.settle(&key, message.uncertain_after);
                if let Some(flush) = message.recorded {
                    self.record_told(&key, &message.notification, *flush, now);
                }
                AttemptEnd::Delivered { id }
            }
            AttemptResult::LeftOpen { reason } => AttemptEnd::LeftOpen { reason, failure },
            AttemptResult::Rejected { reason } => AttemptEnd::Rejected { reason, failure },
            AttemptResult::Retrying { until, reason } => AttemptEnd::Retrying { until, reason },
        };
        self.events.push_back(Event::AttemptEnded {
            key: key.clone(),
            attempt: attempts,
            alerts: message.notification.alerts.len(),
            end,
        });
        if !self.is_wanted(&key, &message.notification) {
            self.abandon(&key, AbandonCause::Reconfigured);
        }
        let Some(id) = self.groups.find(&key).cloned() else {
            return;
        };
        if let (Some(slot), Some(group)) = (owed, self.groups.get(&id)) {
            let interval = interval_mute(&self.policy, id.route, &self.settings.local_zone, now);
            let flush = Flush::new(group, slot, interval.as_ref(), &self.mutes(now));
            self.tell(&id, &key, &flush, now);
        }
        self.release(&id, now);
    }

    /// Lets go of resolved alerts of which nobody is left to be told, and of those whose end could not be told for as
    /// long as the retention. What waits for its next attempt may still be told as firing: only a flush withdraws it.
    fn release(&mut self, id: &GroupId, now: Timestamp) {
        let Some(group) = self.groups.get(id) else {
            return;
        };
        let done: Vec<Fingerprint> = group
            .members()
            .iter()
            .copied()
            .filter(|fingerprint| {
                self.alerts.get(*fingerprint).is_none_or(|stored| {
                    stored.alert.status(now) == AlertStatus::Resolved
                        && (self.is_old(&stored.alert, now)
                            || !self.concerns(&group.targets, stored.hash))
                })
            })
            .collect();
        let group = match done.first() {
            Some(_) => self.group_info(id),
            None => None,
        };
        for fingerprint in done {
            if self.groups.leave(id, fingerprint) {
                self.alerts.left(fingerprint);
                if let (Some(group), Some(stored)) = (&group, self.alerts.get(fingerprint)) {
                    let (alert, group) = (GroupedAlert::from(stored), Arc::clone(group));
                    self.record(now, EventData::AlertResolved { alert, group });
                }
            }
        }
    }

    /// A receiver that is gone for good must not keep its groups for ever.
    pub(crate) fn is_old(&self, alert: &Alert, now: Timestamp) -> bool {
        alert.ends_at + self.settings.retention <= now
    }

    /// Whether a message may go on waiting: for an integration that is gone it may not, for a group that is gone only a
    /// resolve may, since nothing newer will ever take its place.
    pub(crate) fn is_wanted(&self, key: &LogKey, notification: &Notification) -> bool {
        self.policy.integration(key).is_some()
            && (self.groups.find(key).is_some() || notification.status() == AlertStatus::Resolved)
    }

    /// Drops what waits, aloud.
    pub(crate) fn abandon(&mut self, key: &LogKey, cause: AbandonCause) {
        let Some(waiting) = self.deliveries.waiting(key) else {
            return;
        };
        self.events.push_back(Event::NotificationMissed {
            key: key.clone(),
            failure: match cause {
                AbandonCause::AlertsEnded | AbandonCause::Expired => waiting.failure,
                AbandonCause::Reconfigured => FailureReason::ContextCanceled,
            },
            replaced: false,
        });
        self.events.push_back(Event::DeliveryAbandoned {
            key: key.clone(),
            cause,
            alerts: waiting.message.notification.alerts.len(),
            attempts: waiting.attempts,
            reason: waiting.reason.to_owned(),
        });
        self.deliveries.withdraw(key);
    }

    /// The alerts of a waiting message that are over before the integration heard of them. What is muted meanwhile is
    /// told when its mute ends.
    fn ended_unheard(&self, target: &LogKey, flush: &Flush) -> Option<Event> {
        let waiting = self.deliveries.waiting(target)?;
        let (entry, uncertain) = self.told(target);
        let told = Told {
            entry,
            uncertain: &uncertain,
        };
        let ended = waiting
            .message
            .firing
            .without(&flush.hashes.firing)
            .without(&flush.hashes.muted);
        let unheard = ended.iter().filter(|hash| !told.as_firing(*hash)).count();
        (unheard > 0).then(|| Event::DeliveryAbandoned {
            key: target.clone(),
            cause: AbandonCause::AlertsEnded,
            alerts: unheard,
            attempts: waiting.attempts,
            reason: waiting.reason.to_owned(),
        })
    }

    fn told(&self, target: &LogKey) -> (Option<&Entry>, Uncertain) {
        (
            self.nflog.entry(target),
            self.deliveries
                .uncertain(target)
                .cloned()
                .unwrap_or_default(),
        )
    }
}

/// The entry that says of the flush's resolved alerts that they are over. The next repeat is due as if nothing had been
/// noted. What was not heard of yet is no longer in it: it may have ended unseen.
fn noted_resolved(told: Told<'_>, flush: &Flush, expires_at: Timestamp) -> Entry {
    let resolved = resolved_after(told, &flush.hashes);
    let unheard = told.unheard(&flush.hashes);
    match told.entry {
        Some(entry) if !flush.hashes.firing.is_empty() => Entry {
            expires_at,
            firing: entry.firing.without(&resolved).without(&unheard),
            resolved,
            ..entry.clone()
        },
        entry => Entry {
            at: flush.slot.at,
            expires_at,
            firing: AlertHashes::default(),
            resolved,
            memory: entry.map(|entry| entry.memory.clone()).unwrap_or_default(),
        },
    }
}
