//! The Alertmanager of one tenant.
//!
//! Alerts posted are merged into the store and join the aggregation groups of the routes that match them. A group's
//! flush looks at its alerts as they are at that moment: what fires unmuted, what fires muted, what is resolved. For
//! each integration the notification log says whether there is anything new to tell; if so a delivery begins, and
//! when it has arrived the log says so. A resolved alert stays in its group until no integration is left that
//! was told, or may have been told, that it fires.
//!
//! What must survive is stored before anything is sent or answered. After a restart the groups are built again from
//! alerts and log, so that nothing told is told again and nothing owed is forgotten.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, AlertStatus, Fingerprint, Machine, Timestamp};

use crate::alertname_limit::AlertnameLimit;
use crate::delivery::Deliveries;
use crate::dispatch::{Dispatcher, GroupId, Schedules};
use crate::group::{GroupTiming, Schedule};
use crate::hashes::Uncertain;
use crate::inhibit::Inhibitor;
use crate::intake::{AlertDraft, AlertError};
use crate::mute::Mutes;
use crate::nflog::{Entry, LogKey, Nflog};
use crate::policy::Policy;
use crate::protocol::{
    AbandonCause, AlertsAnswer, Answer, Command, Event, Export, Input, Limit, Refused, Settings,
    Ticket,
};
use crate::record::Record;
use crate::recorded_event::{EventData, GroupedAlert};
use crate::silence::{Silence, SilenceChange, SilenceDraft, SilenceId, SilenceState, Silences};
use crate::silenced::Silenced;
use crate::snapshot_files::{write_nflog, write_silences};
use crate::store::{AlertStore, Change, Extension, LIVED_UNSEEN, Standing};
use crate::view::{Tally, View};

/// Flushes, and attempts, that one call of `handle_timeout` does; what is left is due again at once.
const WORK_MAX: usize = 256;
/// States that only time changes (a silence that ends) are seen this late at most.
const VIEW_AGE_MAX: Duration = Duration::from_millis(100);
/// A machine that lives is called, and has that stored, at least this often: time in which nothing else happens must
/// not pass for time in which the process was down.
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// One that was not called for longer did not live meanwhile: the process was suspended, or its clock was set forward.
const ABSENCE_MIN: Duration = Duration::from_secs(60);
/// To look for alerts that may be forgotten costs a look at all of them: at the bound it is done this often, not for each
/// alert that is refused.
const ROOM_INTERVAL: Duration = Duration::from_secs(10);
/// An attempt to tell an integration that is configured anew, or is gone, ends so soon: who hangs must not keep the
/// mend waiting until the next flush, and who is about to answer is not told twice.
const RECONFIGURED_MAX: Duration = Duration::from_secs(10);
/// Characters of a name that may itself be what is too large.
const NAME_SHOWN_MAX: usize = 100;

pub struct Alertmanager {
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
    pub(crate) policy_next: Option<NextPolicy>,
    pub(crate) alerts: AlertStore,
    pub(crate) inhibitor: Inhibitor,
    pub(crate) of_name: AlertnameLimit,
    pub(crate) silences: Silences,
    pub(crate) silenced: Silenced,
    pub(crate) nflog: Nflog,
    pub(crate) groups: Dispatcher,
    pub(crate) deliveries: Deliveries,
    pub(crate) garbage_due: Timestamp,
    /// No group is flushed before; `None` once that is over.
    pub(crate) dispatch_from: Option<Timestamp>,
    /// When it was called last.
    pub(crate) alive_at: Timestamp,
    /// When that was stored last.
    pub(crate) alive_stored: Timestamp,
    /// What the last reader saw, as long as nothing has happened since.
    pub(crate) seen: Option<Arc<View>>,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) events: VecDeque<Event>,
}

/// A policy that is still to be taken over, and those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct NextPolicy {
    policy: Policy,
    came_at: Timestamp,
    tickets: Vec<Ticket>,
}

impl Alertmanager {
    /// Everything as it stands at `now`.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> View {
        View::new(&self.policy, &self.mutes(now), &self.groups, &self.silences)
    }

    /// How much there is at `now`; looks at every alert.
    #[must_use]
    pub fn tally(&self, by_group: bool, now: Timestamp) -> Tally {
        Tally::new(&self.mutes(now), &self.groups, &self.silences, by_group)
    }

    /// Alerts that are known, resolved ones included.
    #[must_use]
    pub fn alerts_len(&self) -> usize {
        self.alerts.len()
    }

    #[must_use]
    pub fn groups_len(&self) -> usize {
        self.groups.len()
    }

    #[must_use]
    pub fn nflog(&self) -> &Nflog {
        &self.nflog
    }

    pub(crate) fn mutes(&self, now: Timestamp) -> Mutes<'_> {
        Mutes {
            alerts: &self.alerts,
            inhibitor: &self.inhibitor,
            silences: &self.silences,
            silenced: &self.silenced,
            now,
        }
    }

    pub(crate) fn index_sources(&mut self) {
        self.inhibitor = Inhibitor::new(&self.policy.config.inhibit_rules);
        for (fingerprint, stored) in self.alerts.iter() {
            self.inhibitor.insert(fingerprint, &stored.alert.labels);
        }
        self.count_by_name();
    }

    fn count_by_name(&mut self) {
        self.of_name = AlertnameLimit::new(self.of_name.max());
        for (fingerprint, stored) in self.alerts.iter() {
            let alert = &stored.alert;
            self.of_name
                .insert(fingerprint, &alert.labels, alert.ends_at);
        }
    }

    /// Builds every group anew from the alerts.
    pub(crate) fn regroup(&mut self, schedules: &Schedules, now: Timestamp) {
        let policy = &self.policy;
        self.alerts.reroute(|alert| policy.routes_for(alert));
        let fingerprints: Vec<Fingerprint> = self
            .alerts
            .iter()
            .map(|(fingerprint, _)| fingerprint)
            .collect();
        for fingerprint in fingerprints {
            let is_unheard = self.is_unheard(fingerprint);
            for id in self.group_ids(fingerprint) {
                self.join(&id, fingerprint, schedules, now);
                if is_unheard {
                    self.groups.set_held(&id, true);
                }
            }
        }
    }

    /// Whether something waits until somebody speaks of the alert.
    fn is_unheard(&self, fingerprint: Fingerprint) -> bool {
        let stored = self.alerts.get(fingerprint);
        stored.is_some_and(|stored| stored.standing != Standing::Confirmed)
    }

    pub(crate) fn group_ids(&self, fingerprint: Fingerprint) -> Vec<GroupId> {
        self.alerts
            .get(fingerprint)
            .map(|stored| {
                stored
                    .routes
                    .iter()
                    .map(|route| Dispatcher::id(&self.policy, *route, &stored.alert))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// A firing alert always joins; a resolved one only where somebody is still to be told that it is.
    pub(crate) fn join(
        &mut self,
        id: &GroupId,
        fingerprint: Fingerprint,
        schedules: &Schedules,
        now: Timestamp,
    ) {
        let Some(stored) = self.alerts.get(fingerprint) else {
            return;
        };
        let wanted = stored.alert.status(now) == AlertStatus::Firing
            || self.concerns(&self.policy.targets(id.route, &id.key), stored.hash);
        if !wanted {
            return;
        }
        let alert = Arc::clone(&stored.alert);
        let (nflog, deliveries) = (&self.nflog, &self.deliveries);
        let receiver = &self.policy.route(id.route).receiver;
        let schedule = |timing: GroupTiming, targets: &[LogKey]| {
            let told_at = |target| {
                let entry = nflog.entry(target).filter(|entry| !entry.firing.is_empty());
                entry.map(|entry| entry.at)
            };
            let last = targets.iter().filter_map(told_at).max();
            let all_by_last = targets
                .iter()
                .all(|target| told_at(target) == last && deliveries.uncertain(target).is_none());
            match (schedules.get(&id.key, receiver, timing, now), last) {
                (Some(schedule), _) => schedule,
                (None, Some(last)) if all_by_last => Schedule::resumed(timing, last, now),
                (None, Some(last)) => Schedule::resumed(timing, last, now).caught_up(timing, now),
                (None, None) => Schedule::starting(timing, alert.starts_at, now),
            }
        };
        if self.groups.join(&self.policy, id, &alert, schedule, now) {
            self.alerts.joined(fingerprint);
            if let Some(stored) = self.alerts.get(fingerprint)
                && self.settings.records_events
            {
                let alert = GroupedAlert::from(stored);
                self.record_grouped(id, alert, now);
            }
        }
    }

    /// Whether one of the integrations knows the alert as firing, or may come to know it so.
    pub(crate) fn concerns(&self, targets: &[LogKey], hash: u64) -> bool {
        self.owes(targets, hash)
            || targets
                .iter()
                .filter_map(|target| self.deliveries.waiting(target))
                .any(|waiting| waiting.message.firing.contains(hash))
    }

    /// Whether one of the integrations was told, or may have been told, that the alert fires.
    pub(crate) fn owes(&self, targets: &[LogKey], hash: u64) -> bool {
        targets.iter().any(|target| {
            self.nflog
                .entry(target)
                .is_some_and(|entry| entry.firing.contains(hash))
                || self
                    .deliveries
                    .uncertain(target)
                    .is_some_and(|uncertain| uncertain.firing.contains(hash))
        })
    }

    fn post(&mut self, ticket: Ticket, drafts: Vec<AlertDraft>, now: Timestamp) {
        let mut answer = AlertsAnswer::default();
        let mut records = Vec::new();
        let (mut firing, mut resolved) = (0, 0);
        let mut refused_by: BTreeMap<(Limit, String), usize> = BTreeMap::new();
        for (index, draft) in drafts.into_iter().enumerate() {
            match draft.ends_at {
                Some(ends_at) if ends_at <= now => resolved += 1,
                Some(_) | None => firing += 1,
            }
            if let Some(what) = draft.too_large(&self.settings.alert) {
                let alertname = draft.labels.get("alertname");
                self.events.push_back(Event::AlertTooLarge {
                    alertname: beginning(alertname.map_or("", String::as_str)),
                    what,
                });
                answer.invalid.push(AlertError::TooLarge { index, what });
                continue;
            }
            let resolve_timeout = self.policy.config.global.resolve_timeout;
            let alert = match draft.admit(resolve_timeout, self.settings.parser_mode, now) {
                Ok(alert) => alert,
                Err(error) => {
                    answer.invalid.push(error);
                    continue;
                }
            };
            if let Some(limit) = self.exceeded_by(&alert, now) {
                let refused = answer.refused.get_or_insert(Refused { count: 0, limit });
                refused.count += 1;
                let name = beginning(alert.labels.value("alertname"));
                *refused_by.entry((limit, name)).or_insert(0) += 1;
                continue;
            }
            let was_unheard = self.is_unheard(alert.fingerprint());
            let before = self.alerts.get(alert.fingerprint());
            let fired =
                before.is_some_and(|stored| stored.alert.status(now) == AlertStatus::Firing);
            let policy = &self.policy;
            let mut is_new = false;
            let (fingerprint, change) = self.alerts.put(alert, now, |alert| {
                is_new = true;
                policy.routes_for(alert)
            });
            match change {
                Change::Changed(alert) => {
                    if is_new {
                        self.silenced
                            .alert_came(fingerprint, &alert.labels, &self.silences, now);
                    }
                    self.inhibitor.insert(fingerprint, &alert.labels);
                    self.of_name
                        .insert(fingerprint, &alert.labels, alert.ends_at);
                    note_changed(&mut records, &alert);
                    if is_new && self.settings.records_events {
                        self.record(now, EventData::AlertCreated { alert });
                    }
                }
                Change::Extended(extension) => {
                    if let Some(stored) = self.alerts.get(fingerprint) {
                        let labels = &stored.alert.labels;
                        self.of_name.insert(fingerprint, labels, extension.ends_at);
                    }
                    note_extended(&mut records, extension);
                }
                Change::Outdated => continue,
            }
            self.join_all(fingerprint, now);
            // What somebody was told of, and does not fire here, is waited for as well.
            let was_awaited = !fired && self.alerts.waits(now) && self.is_owed(fingerprint);
            if was_unheard || was_awaited {
                for id in self.group_ids(fingerprint) {
                    self.groups.let_go(&self.policy, &id, now);
                }
            }
        }
        for record in records {
            self.persist(record);
        }
        for ((limit, alertname), count) in refused_by {
            self.events.push_back(Event::AlertsRefused {
                limit,
                alertname,
                count,
            });
        }
        self.events.push_back(Event::AlertsReceived {
            firing,
            resolved,
            invalid: answer.invalid.len(),
            refused: answer.refused.map_or(0, |refused| refused.count),
        });
        self.answer(ticket, Answer::Alerts(answer));
    }

    /// The limit that a new alert would break. What is known already always fits.
    fn exceeded_by(&mut self, alert: &Alert, now: Timestamp) -> Option<Limit> {
        let known = self.alerts.get(alert.fingerprint());
        if known.is_some_and(|known| known.memberships > 0) {
            return None;
        }
        if known.is_none() && !self.has_room(now) {
            return Some(Limit::Alerts(self.settings.alerts_max));
        }
        if !self.of_name.admits(alert, now) {
            return Some(Limit::AlertsOfName(self.of_name.max()));
        }
        let room = self.settings.groups_max.saturating_sub(self.groups.len());
        // No alert has more groups than there are routes, so the exact count matters only near the limit.
        if alert.status(now) == AlertStatus::Resolved
            || room >= self.policy.config.routes.routes().len()
        {
            return None;
        }
        let missing = self
            .policy
            .routes_for(alert)
            .iter()
            .filter(|route| {
                let id = Dispatcher::id(&self.policy, **route, alert);
                self.groups.get(&id).is_none()
            })
            .count();
        (missing > room).then_some(Limit::Groups(self.settings.groups_max))
    }

    /// Whether one more alert fits. Those that have ended, and that nobody is to be told of, hold no place.
    fn has_room(&mut self, now: Timestamp) -> bool {
        let alerts_max = self.settings.alerts_max;
        let long_ago = |collected_at| now.saturating_since(collected_at) >= ROOM_INTERVAL;
        if self.alerts.len() >= alerts_max && self.alerts.collected_at().is_none_or(long_ago) {
            self.collect_alerts(now);
        }
        self.alerts.len() < alerts_max
    }

    fn join_all(&mut self, fingerprint: Fingerprint, now: Timestamp) {
        let is_in_all = self
            .alerts
            .get(fingerprint)
            .is_some_and(|stored| stored.memberships as usize >= stored.routes.len());
        if is_in_all {
            return;
        }
        for id in self.group_ids(fingerprint) {
            self.join(&id, fingerprint, &Schedules::default(), now);
        }
    }

    /// To build every group anew is the most that a tenant can cost: a burst of reloads does it once.
    fn note_policy(&mut self, ticket: Ticket, policy: Policy, now: Timestamp) {
        let (came_at, mut tickets) = match self.policy_next.take() {
            Some(before) => (before.came_at, before.tickets),
            None => (now, Vec::new()),
        };
        tickets.push(ticket);
        self.policy_next = Some(NextPolicy {
            policy,
            came_at,
            tickets,
        });
    }

    fn take_policy_over(&mut self, now: Timestamp) {
        let Some(next) = self.policy_next.take() else {
            return;
        };
        self.configure(next.policy, now);
        for ticket in next.tickets {
            self.answer(ticket, Answer::Configured);
        }
    }

    fn configure(&mut self, policy: Policy, now: Timestamp) {
        let before = std::mem::replace(&mut self.policy, policy);
        let schedules = self
            .groups
            .take_schedules(self.policy.receivers_anew(&before));
        self.regroup(&schedules, now);
        self.groups.go_on_from(&schedules);
        self.index_sources();
        let unwanted: Vec<LogKey> = self
            .deliveries
            .all_waiting()
            .filter(|(key, waiting)| !self.is_wanted(key, &waiting.message.notification))
            .map(|(key, _)| key.clone())
            .collect();
        for key in unwanted {
            self.abandon(&key, AbandonCause::Reconfigured);
        }
        self.forget_gone(now);
        let policy = &self.policy;
        let under_way = self.deliveries.reconfigure(
            |key| policy.integration(key) != before.integration(key),
            now,
        );
        let deadline = now + RECONFIGURED_MAX;
        for id in under_way {
            self.commands.push_back(Command::Hurry { id, deadline });
        }
        self.events.push_back(Event::Configured {
            groups: self.groups.len(),
        });
    }

    /// No flush will ever take the place of what waits for a group that is gone.
    fn give_up_old(&mut self, now: Timestamp) {
        let old: Vec<LogKey> = self
            .deliveries
            .all_waiting()
            .filter(|(key, waiting)| {
                let alerts = &waiting.message.notification.alerts;
                alerts.iter().all(|alert| self.is_old(alert, now))
                    && self.groups.find(key).is_none()
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.abandon(&key, AbandonCause::Expired);
        }
    }

    /// What is uncertain about groups that are gone, or about integrations that are, nobody will ask for.
    fn forget_gone(&mut self, now: Timestamp) {
        // Their alerts may still be heard of.
        if self.alerts.waits(now) {
            return;
        }
        let (policy, groups) = (&self.policy, &self.groups);
        let forgotten = self.deliveries.forget_uncertain(|key| {
            policy.integration(key).is_none() || groups.find(key).is_none()
        });
        for key in forgotten {
            let uncertain = Uncertain::default();
            self.persist(Record::Attempted { key, uncertain });
        }
    }

    fn set_silence(
        &mut self,
        ticket: Ticket,
        draft: SilenceDraft,
        fresh: SilenceId,
        now: Timestamp,
    ) {
        let (limits, mode) = (&self.settings.silence, self.settings.parser_mode);
        let set = self.silences.set(draft, fresh.clone(), limits, mode, now);
        let answer = set.map(|changed| {
            let mut id = SilenceId::new("");
            for silence in changed {
                id = silence.id.clone();
                self.record_silence(&silence, id == fresh, now);
                // The others end, or change their times: their matchers are what they were.
                let change = if id == fresh {
                    self.silenced.silence_came(&silence, &self.alerts);
                    SilenceChange::Created
                } else if silence.state(now) == SilenceState::Expired {
                    self.silenced.silence_went(&silence.id);
                    SilenceChange::Expired
                } else {
                    SilenceChange::Updated
                };
                self.persist_silence(silence, change, now);
            }
            id
        });
        self.answer(ticket, Answer::SilenceSet(answer));
    }

    fn expire_silence(&mut self, ticket: Ticket, id: &SilenceId, now: Timestamp) {
        let answer = self.silences.expire(id, now).map(|expired| {
            if let Some(silence) = expired {
                self.record_silence(&silence, false, now);
                self.silenced.silence_went(&silence.id);
                self.persist_silence(silence, SilenceChange::Expired, now);
            }
        });
        self.answer(ticket, Answer::SilenceExpired(answer));
    }

    fn persist_silence(&mut self, silence: Silence, change: SilenceChange, now: Timestamp) {
        // A silence does not say so itself: it may come from another Alertmanager.
        self.store_alive(now);
        self.events.push_back(Event::SilenceChanged {
            id: silence.id.clone(),
            change,
        });
        self.persist(Record::Silenced(silence));
    }

    /// Notices that time has passed in which nobody was heard.
    fn note_alive(&mut self, now: Timestamp) {
        if now.saturating_since(self.alive_at) > ABSENCE_MIN {
            self.stop_time(self.alive_at, now);
            self.count_by_name();
            self.persist(Record::Began(now));
            self.events.push_back(Event::WasAbsent {
                since: self.alive_at,
                alerts: self.alerts.len(),
            });
        }
        self.alive_at = now;
        let has_something = !(self.alerts.is_empty() && self.silences.is_empty());
        let has_lived = now.saturating_since(self.alive_stored) >= self.alive_interval();
        if has_lived && has_something {
            self.store_alive(now);
        }
    }

    /// What is taken from a time of waiting must have been lived.
    fn alive_interval(&self) -> Duration {
        match self.alerts.waits_until() {
            Some(_) => LIVED_UNSEEN,
            None => ALIVE_INTERVAL,
        }
    }

    /// Once for an instant.
    pub(crate) fn store_alive(&mut self, now: Timestamp) {
        if self.alive_stored != now {
            self.alive_stored = now;
            self.persist(Record::Alive(now));
        }
    }

    /// A clock that is set back makes the delay no longer than it was meant to be.
    fn end_start_delay(&mut self, now: Timestamp) {
        let latest = now + self.settings.start_delay;
        self.dispatch_from = self
            .dispatch_from
            .map(|from| from.min(latest))
            .filter(|from| now < *from);
    }

    fn collect_garbage(&mut self, now: Timestamp) {
        self.nflog.collect_garbage(now);
        self.silences.collect_garbage(self.settings.retention, now);
        self.silenced.forget_over(&self.silences, now);
        self.collect_alerts(now);
        self.give_up_old(now);
        self.forget_gone(now);
        self.events.push_back(Event::GarbageCollected);
        self.garbage_due = now + self.settings.garbage_interval;
    }

    fn collect_alerts(&mut self, now: Timestamp) {
        for (fingerprint, alert) in self.alerts.collect_garbage(now) {
            self.inhibitor.remove(fingerprint, &alert.labels);
            self.of_name.remove(fingerprint, &alert.labels);
            self.silenced.alert_went(fingerprint);
        }
    }

    pub(crate) fn log(&mut self, key: LogKey, entry: Entry, now: Timestamp) {
        self.nflog.put(key.clone(), entry.clone(), now);
        self.persist(Record::Notified {
            key,
            entry,
            said_at: now,
        });
    }

    pub(crate) fn persist(&mut self, record: Record) {
        self.commands.push_back(Command::Persist(record));
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.commands.push_back(Command::Answer { ticket, answer });
    }
}

/// A request may name an alert several times, so changes and extensions are stored in the order in which they came.
fn note_changed(records: &mut Vec<Record>, alert: &Alert) {
    match records.last_mut() {
        Some(Record::Alerts(alerts)) => alerts.push(alert.clone()),
        Some(_) | None => records.push(Record::Alerts(vec![alert.clone()])),
    }
}

fn note_extended(records: &mut Vec<Record>, extension: Extension) {
    match records.last_mut() {
        Some(Record::Extensions(extensions)) => extensions.push(extension),
        Some(_) | None => records.push(Record::Extensions(vec![extension])),
    }
}

fn beginning(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX).collect()
}

impl Machine for Alertmanager {
    type Input = Input;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input, now: Timestamp) {
        self.note_alive(now);
        self.end_start_delay(now);
        if !matches!(
            input,
            Input::Explain { .. }
                | Input::ExportWanted { .. }
                | Input::Look { .. }
                | Input::SnapshotWanted { .. }
                | Input::TallyWanted { .. }
        ) {
            self.seen = None;
        }
        match input {
            Input::AlertsPosted { ticket, alerts } => self.post(ticket, alerts, now),
            Input::Configured { ticket, policy } => self.note_policy(ticket, *policy, now),
            Input::DeliveryEnded { id, attempted } => self.end_attempt(id, attempted, now),
            Input::TurnMissed { id } => self.miss_turn(id, now),
            Input::Explain {
                ticket,
                fingerprint,
                at,
            } => {
                let explanation = self.explain(fingerprint, at.unwrap_or(now), now);
                self.answer(ticket, Answer::Explained(explanation.map(Box::new)));
            }
            Input::ExportWanted { ticket } => {
                // It may be the last that is asked of this life.
                self.store_alive(now);
                let export = Export {
                    nflog: write_nflog(self.nflog.iter()),
                    silences: write_silences(self.silences.iter(), self.settings.retention),
                };
                self.answer(ticket, Answer::Exported(Box::new(export)));
            }
            Input::Look { ticket } => {
                let view = match self.seen.take() {
                    Some(seen) if now.saturating_since(seen.at) < VIEW_AGE_MAX => seen,
                    Some(_) | None => Arc::new(self.view(now)),
                };
                self.seen = Some(Arc::clone(&view));
                self.answer(ticket, Answer::View(view));
            }
            Input::TallyWanted { ticket, by_group } => {
                let tally = Box::new(self.tally(by_group, now));
                self.answer(ticket, Answer::Tally(tally));
            }
            Input::SilenceExpired { ticket, id } => self.expire_silence(ticket, &id, now),
            Input::SnapshotWanted { ticket } => {
                let snapshot = self.snapshot(now);
                self.answer(ticket, Answer::Snapshot(snapshot));
            }
            Input::SilenceSet {
                ticket,
                draft,
                fresh,
            } => self.set_silence(ticket, draft, fresh, now),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.note_alive(now);
        self.seen = None;
        self.take_policy_over(now);
        self.end_start_delay(now);
        let resolve_timeout = self.policy.config.global.resolve_timeout;
        if self.alerts.end_wait(resolve_timeout, now) {
            self.groups.let_all_go(&self.policy, now);
        }
        let flushes = if self.dispatch_from.is_some() {
            0
        } else {
            WORK_MAX
        };
        // Flushes first: an attempt that is due as well tells what they have found.
        for _ in 0..flushes {
            match self.groups.take_due(&self.policy, now) {
                Some((id, slot)) => self.flush(&id, slot, now),
                None => break,
            }
        }
        for _ in 0..WORK_MAX {
            match self.deliveries.take_due(now) {
                Some(attempt) => self.attempt(attempt, now),
                None => break,
            }
        }
        // What is due may still need what has expired meanwhile.
        let more_is_due = self.groups.next_due().is_some_and(|due| due <= now);
        if self.garbage_due <= now && !more_is_due {
            self.collect_garbage(now);
        }
    }

    fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let policy_came = self.policy_next.as_ref().map(|next| next.came_at);
        [
            policy_came,
            self.groups
                .next_due()
                .map(|due| self.dispatch_from.map_or(due, |from| due.max(from))),
            self.deliveries.next_due(),
            self.alerts.waits_until(),
        ]
        .into_iter()
        .flatten()
        .chain([self.garbage_due, self.alive_at + self.alive_interval()])
        .min()
    }
}
