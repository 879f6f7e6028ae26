//! From stored records to a living machine, and back.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{Alert, AlertStatus, Fingerprint, Timestamp};

use crate::alertname_limit::AlertnameLimit;
use crate::delivery::Deliveries;
use crate::dispatch::{Dispatcher, Schedules};
use crate::hashes::Uncertain;
use crate::inhibit::Inhibitor;
use crate::machine::Alertmanager;
use crate::nflog::Nflog;
use crate::policy::Policy;
use crate::protocol::{Event, Settings};
use crate::record::{Record, since_snapshot};
use crate::silence::Silences;
use crate::silenced::Silenced;
use crate::store::{AlertStore, Standing};

/// Bytes of alerts in one record of a snapshot, give or take one alert: small enough to be written and read whole.
const SNAPSHOT_RECORD_BYTES: usize = 1024 * 1024;

/// A standing has nine bytes.
const SNAPSHOT_RECORD_STANDINGS: usize = SNAPSHOT_RECORD_BYTES / 9;

/// No alert is given more time than this for a time in which the process was down: whoever repeats an alert does so
/// well within a day, and an end that lies further away was named by somebody who means it.
const STRETCH_MAX: Duration = Duration::from_secs(24 * 3600);

impl Alertmanager {
    /// Begins where `records` end (in the order in which they were stored; none for a new tenant).
    #[must_use]
    pub fn restore(
        settings: Settings,
        policy: Policy,
        records: impl IntoIterator<Item = Record>,
        now: Timestamp,
    ) -> Self {
        let mut machine = Self {
            inhibitor: Inhibitor::new(&policy.config.inhibit_rules),
            of_name: AlertnameLimit::new(settings.alerts_of_name_max),
            policy,
            policy_next: None,
            alerts: AlertStore::default(),
            silences: Silences::default(),
            nflog: Nflog::default(),
            groups: Dispatcher::default(),
            deliveries: Deliveries::new(settings.seed),
            garbage_due: now + settings.garbage_interval,
            dispatch_from: (!settings.start_delay.is_zero()).then(|| now + settings.start_delay),
            alive_at: now,
            alive_stored: now,
            settings,
            silenced: Silenced::default(),
            seen: None,
            commands: VecDeque::new(),
            events: VecDeque::new(),
        };
        let mut alive_until = Timestamp::MIN;
        let mut elsewhere = BTreeMap::new();
        for record in since_snapshot(records) {
            if let Record::ToldElsewhere { key, entry } = record {
                elsewhere.insert(key, entry);
                continue;
            }
            // What stands in front of other records of its integration an older release has stored, and taken over.
            if let Some(key) = record.entry_of()
                && let Some(entry) = elsewhere.remove(key)
            {
                machine.take_word_over(key.clone(), entry, alive_until);
            }
            alive_until = machine.take_record(record, alive_until);
        }
        // What it has forgotten is no word of the time in between.
        elsewhere.retain(|key, entry| entry.expires_at > now && machine.nflog.is_news(key, entry));
        machine
            .silences
            .collect_garbage(machine.settings.retention, now);
        machine.begin(alive_until, now);
        let is_new = alive_until == Timestamp::MIN && elsewhere.is_empty();
        // Of a tenant that is new there is nothing to set apart.
        if is_new {
            machine.alive_stored = Timestamp::MIN;
        } else {
            machine.persist(Record::Began(now));
        }
        // After the beginning, up to which time has stood still for what still fires.
        let taken_over = elsewhere.len();
        machine.take_over(elsewhere, now);
        let resolve_timeout = machine.policy.config.global.resolve_timeout;
        machine.alerts.end_wait(resolve_timeout, now);
        machine.regroup(&Schedules::default(), now);
        machine.alerts.collect_garbage(now);
        machine.index_sources();
        machine.silenced = Silenced::new(&machine.silences, &machine.alerts, now);
        machine.events.push_back(Event::Restored {
            alerts: machine.alerts.len(),
            groups: machine.groups.len(),
            log_entries: machine.nflog.len(),
            silences: machine.silences.len(),
            taken_over,
        });
        machine
    }

    /// All that [`Alertmanager::restore`] needs, in place of every record stored until `now`.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Vec<Record> {
        let mut alerts = Vec::new();
        let mut unheard = Vec::new();
        for (fingerprint, stored) in self.alerts.iter() {
            if stored.alert.status(now) == AlertStatus::Firing || self.is_owed(fingerprint) {
                alerts.push((*stored.alert).clone());
                if stored.standing != Standing::Confirmed {
                    unheard.push((fingerprint, stored.standing));
                }
            }
        }
        let alerts = batches(alerts).into_iter().map(Record::Alerts);
        let entries = self.nflog.known().flat_map(|(key, known)| {
            let ahead = known.ahead.iter().map(|entry| Record::TookOver {
                key: key.clone(),
                entry: entry.clone(),
            });
            let entry = Record::Notified {
                key: key.clone(),
                entry: known.entry.clone(),
                said_at: known.said_at,
            };
            ahead.chain([entry])
        });
        // After the entries: a notification that was recorded clears what was uncertain about it.
        let uncertain = self
            .deliveries
            .all_uncertain()
            .map(|(key, uncertain)| Record::Attempted {
                key: key.clone(),
                uncertain: uncertain.clone(),
            });
        let silences = self.silences.iter().cloned().map(Record::Silenced);
        // A doubtful alert bears witness of a wait, which may be over.
        let was_doubtful = unheard.iter().any(|(_, of)| *of == Standing::Doubtful);
        let waited = was_doubtful.then_some(now);
        let heard_by = self.alerts.waits_until().or(waited).map(Record::HeardBy);
        [Record::SnapshotBegins, Record::Alive(now)]
            .into_iter()
            .chain(alerts)
            .chain(heard_by)
            .chain(standings(unheard))
            .chain(entries)
            .chain(uncertain)
            .chain(silences)
            .chain([Record::SnapshotEnds])
            .collect()
    }

    /// Whether somebody is still to be told that a resolved alert is.
    pub(crate) fn is_owed(&self, fingerprint: Fingerprint) -> bool {
        self.alerts.get(fingerprint).is_some_and(|stored| {
            self.group_ids(fingerprint).iter().any(|id| {
                self.groups
                    .get(id)
                    .is_some_and(|group| self.owes(&group.targets, stored.hash))
            })
        })
    }

    /// Takes a stored record in; answers until when the process was surely alive, which was `alive_until` before.
    fn take_record(&mut self, record: Record, alive_until: Timestamp) -> Timestamp {
        match record {
            Record::SnapshotBegins | Record::SnapshotEnds => alive_until,
            Record::Alive(at) => {
                if at < alive_until {
                    self.turn_back(alive_until, at);
                }
                at
            }
            Record::Began(at) => {
                self.begin(alive_until, at);
                at
            }
            Record::Alerts(alerts) => {
                let said_at = alerts.iter().map(|alert| alert.updated_at).max();
                for alert in alerts {
                    self.alerts.restore(alert);
                }
                alive_until.max(said_at.unwrap_or(alive_until))
            }
            Record::Attempted { key, uncertain } => {
                self.deliveries.set_uncertain(key, uncertain);
                alive_until
            }
            Record::Extensions(extensions) => {
                let said_at = extensions
                    .iter()
                    .map(|extension| extension.updated_at)
                    .max();
                for extension in extensions {
                    self.alerts.restore_extension(extension);
                }
                alive_until.max(said_at.unwrap_or(alive_until))
            }
            Record::Notified {
                key,
                entry,
                said_at,
            } => {
                self.deliveries
                    .set_uncertain(key.clone(), Uncertain::default());
                self.nflog.put(key, entry, said_at);
                alive_until.max(said_at)
            }
            Record::Standings(standings) => {
                for (fingerprint, standing) in standings {
                    self.alerts.restore_standing(fingerprint, standing);
                }
                alive_until
            }
            Record::HeardBy(until) => {
                self.alerts.wait_until(until, alive_until);
                alive_until
            }
            // Told by somebody else: it says nothing of when this process lived.
            Record::TookOver { key, entry } | Record::ToldElsewhere { key, entry } => {
                self.take_word_over(key, entry, alive_until);
                alive_until
            }
            // It may be another Alertmanager's, and says nothing of when this one lived.
            Record::Silenced(silence) => {
                self.silences.restore(silence);
                alive_until
            }
        }
    }

    /// A life of the process begins at `now`; the one before was surely alive until `alive_until`.
    fn begin(&mut self, alive_until: Timestamp, now: Timestamp) {
        if now < alive_until {
            self.turn_back(alive_until, now);
        } else {
            self.stop_time(alive_until, now);
        }
    }

    /// While the process was down, or suspended, nobody could repeat an alert, so none ended meanwhile for want of
    /// repetition: what was left of an alert's time when the process ended is left of it now, up to [`STRETCH_MAX`].
    pub(crate) fn stop_time(&mut self, alive_until: Timestamp, now: Timestamp) {
        self.alerts.stop_time(alive_until, now, STRETCH_MAX);
    }

    /// The clock was set back to `now`. What had ended in its old time is over all the same, what was left of an
    /// alert's time is left of it, and what is said from now on is later than all that was said before.
    fn turn_back(&mut self, alive_until: Timestamp, now: Timestamp) {
        self.alerts.retime(|alert| {
            alert.updated_at = alert.updated_at.min(now);
            match alert.status(alive_until) {
                AlertStatus::Resolved => alert.ends_at = alert.ends_at.min(now),
                AlertStatus::Firing => {
                    let left = alert.ends_at.saturating_since(alive_until);
                    if left <= STRETCH_MAX {
                        alert.ends_at = now + left;
                    }
                }
            }
        });
        self.nflog.turn_back(now);
        self.silences.turn_back(alive_until, now);
    }
}

pub(crate) fn standings(standings: Vec<(Fingerprint, Standing)>) -> Vec<Record> {
    let parts = standings.chunks(SNAPSHOT_RECORD_STANDINGS);
    parts.map(|part| Record::Standings(part.to_vec())).collect()
}

pub(crate) fn batches(alerts: Vec<Alert>) -> Vec<Vec<Alert>> {
    let mut batches: Vec<Vec<Alert>> = Vec::new();
    let mut room = 0;
    for alert in alerts {
        let size =
            alert.labels.size_bytes() + alert.annotations.size_bytes() + alert.generator_url.len();
        match batches.last_mut() {
            Some(batch) if size <= room => {
                room -= size;
                batch.push(alert);
            }
            Some(_) | None => {
                room = SNAPSHOT_RECORD_BYTES.saturating_sub(size);
                batches.push(vec![alert]);
            }
        }
    }
    batches
}
