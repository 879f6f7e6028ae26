//! Deliveries: one at a time for each integration of each group.
//!
//! ```text
//!             offer                outcome: delivered, rejected
//!   (none) ─────────▶ Attempting ──────────────────────────────▶ (none)
//!                      ▲      │ retry, ambiguous
//!                  due │      ▼
//!                      Waiting ◀── offer: newer state takes the place of what waits, and waits no longer
//!                         │            than the vendor asked for
//!                         └── withdraw: there is nothing left to tell ──▶ (none)
//! ```
//!
//! While an attempt is under way a flush is only owed: what is new is judged when the attempt has ended, against
//! what it told. So order is kept, and no state is told that a newer one has overtaken. An attempt may last until the
//! next flush of its group on the grid, or for an interval where it is told before that: a receiver that takes its time has then been told once, and one that hangs has cost that
//! flush nothing, because the flush begins an attempt of its own, whatever the one before has come to.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use config::IntegrationKind;
use model::Timestamp;
use notifiers_core::{Attempted, FailureReason, Memory, Notification, Outcome};

use crate::group::Slot;
use crate::hashes::{AlertHashes, Uncertain};
use crate::nflog::LogKey;
use crate::recorded_event::FlushInfo;

/// The first wait after a failed attempt; each further one is half as long again, give or take half.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A vendor's `Retry-After` is honoured up to here: no vendor's word holds a page back for longer.
const NOT_BEFORE_MAX: Duration = Duration::from_secs(3600);
/// An attempt ends before the group's next flush, but is given this long where groups flush faster (Alertmanager's own
/// minimum) and where it is a retry that begins right before the flush. Alertmanager cuts such a retry: then a receiver
/// that is a little slow would be told twice. What the flush has to tell waits for its end instead.
pub const ATTEMPT_MIN: Duration = Duration::from_secs(10);
const TURN_MISSED: &str = "too many notifications at once: its turn did not come";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// What one integration is to be told, and what the log will say once it was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub notification: Notification,
    pub slot: Slot,
    /// Everything that the vendor will know as firing.
    pub firing: AlertHashes,
    pub resolved: AlertHashes,
    /// What the log has as firing, and the vendor will no longer.
    pub ended: AlertHashes,
    /// What this message leaves open.
    pub uncertain_after: Uncertain,
    pub memory: Memory,
    /// How long the log entry lives once this was delivered.
    pub expires_in: Duration,
    /// For the event recorder.
    pub recorded: Option<Box<FlushInfo>>,
}

/// An order to the shell, and what must be stored before it is carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub id: DeliveryId,
    pub key: LogKey,
    pub notification: Notification,
    pub memory: Memory,
    pub deadline: Timestamp,
    /// Counts from 1.
    pub number: u32,
    pub turns_missed: u32,
    /// What is uncertain from here on, where that is news.
    pub newly_uncertain: Option<Uncertain>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub key: LogKey,
    pub message: Message,
    pub attempts: u32,
    pub result: AttemptResult,
    /// What it is counted as where it failed.
    pub failure: FailureReason,
    /// What is uncertain again as before the attempt, where the attempt had changed it and surely did not arrive.
    pub uncertain_again: Option<Uncertain>,
    /// A flush came while the attempt was under way.
    pub owed: Option<Slot>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttemptResult {
    Delivered {
        id: Option<String>,
        memory: Memory,
    },
    /// It may or may not have arrived, and telling twice would be seen twice: the next flush tells again.
    LeftOpen {
        reason: String,
    },
    Rejected {
        reason: String,
    },
    Retrying {
        until: Timestamp,
        reason: String,
    },
}

/// A message between two attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    pub message: &'a Message,
    /// So many have failed.
    pub attempts: u32,
    /// How the last one failed.
    pub reason: &'a str,
    /// And what that is counted as.
    pub failure: FailureReason,
}

/// A notification that has not arrived yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Made so far, the one under way included.
    pub attempts: u32,
    /// `None` while an attempt is under way.
    pub next_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Attempting {
        id: DeliveryId,
        owed: Option<Slot>,
        /// What was uncertain before this attempt.
        uncertain_before: Uncertain,
        /// Before this attempt.
        turns_missed: u32,
        /// The integration was configured anew meanwhile: how the old one failed is nothing to the new one.
        reconfigured: bool,
    },
    Waiting {
        until: Timestamp,
        /// The vendor asked not to be told before; all else that waits only spares a vendor who may be down.
        asked: Option<Timestamp>,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Delivery {
    message: Message,
    attempts: u32,
    /// Attempts in a row, up to the last one, whose turn did not come.
    turns_missed: u32,
    /// How the last attempt failed; empty before there was one.
    failed_because: String,
    failure: FailureReason,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deliveries {
    running: BTreeMap<LogKey, Delivery>,
    ids: BTreeMap<DeliveryId, LogKey>,
    waiting: BTreeSet<(Timestamp, LogKey)>,
    uncertain: BTreeMap<LogKey, Uncertain>,
    id_next: u64,
    jitter: Jitter,
}

impl Deliveries {
    /// `seed` spreads the retries of many receivers; the same seed gives the same waits.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            running: BTreeMap::new(),
            ids: BTreeMap::new(),
            waiting: BTreeSet::new(),
            uncertain: BTreeMap::new(),
            id_next: 1,
            jitter: Jitter(seed),
        }
    }

    /// What is on its way to one integration.
    #[must_use]
    pub(crate) fn undelivered(&self, key: &LogKey) -> Option<Undelivered> {
        let delivery = self.running.get(key)?;
        Some(Undelivered {
            attempts: delivery.attempts,
            next_at: match delivery.state {
                State::Attempting { .. } => None,
                State::Waiting { until, .. } => Some(until),
            },
        })
    }

    /// What the vendor may have been told by attempts whose end nobody knows.
    #[must_use]
    pub(crate) fn uncertain(&self, key: &LogKey) -> Option<&Uncertain> {
        self.uncertain.get(key)
    }

    pub(crate) fn all_uncertain(&self) -> impl Iterator<Item = (&LogKey, &Uncertain)> {
        self.uncertain.iter()
    }

    /// Restores what an earlier life of the process was about to tell.
    pub(crate) fn set_uncertain(&mut self, key: LogKey, uncertain: Uncertain) {
        if uncertain.is_empty() {
            self.uncertain.remove(&key);
        } else {
            self.uncertain.insert(key, uncertain);
        }
    }

    /// What waits for its next attempt.
    #[must_use]
    pub(crate) fn waiting(&self, key: &LogKey) -> Option<Waiting<'_>> {
        let delivery = self.running.get(key)?;
        match delivery.state {
            State::Attempting { .. } => None,
            State::Waiting { .. } => Some(Waiting {
                message: &delivery.message,
                attempts: delivery.attempts,
                reason: &delivery.failed_because,
                failure: delivery.failure,
            }),
        }
    }

    pub(crate) fn all_waiting(&self) -> impl Iterator<Item = (&LogKey, Waiting<'_>)> {
        self.waiting
            .iter()
            .filter_map(|(_, key)| Some((key, self.waiting(key)?)))
    }

    /// Notes that a flush waits for the attempt under way; `false` where none is.
    pub(crate) fn owe(&mut self, key: &LogKey, slot: Slot) -> bool {
        match self
            .running
            .get_mut(key)
            .map(|delivery| &mut delivery.state)
        {
            Some(State::Attempting { owed, .. }) => {
                *owed = Some(slot);
                true
            }
            Some(State::Waiting { .. }) | None => false,
        }
    }

    /// Takes a message: attempted at once, or in place of the one that waits for its next attempt.
    pub(crate) fn offer(
        &mut self,
        key: &LogKey,
        message: Message,
        now: Timestamp,
    ) -> Option<Attempt> {
        match self.running.get_mut(key) {
            Some(delivery) => {
                let State::Waiting { until, asked } = &mut delivery.state else {
                    debug_assert!(false, "a flush during an attempt is owed, not offered");
                    return None;
                };
                // What is new goes out with its flush, as Alertmanager's does: how often older attempts have failed
                // is no reason to hold it back.
                let due = asked.map_or(now, |asked| asked.max(now)).min(*until);
                self.waiting.remove(&(*until, key.clone()));
                self.waiting.insert((due, key.clone()));
                *until = due;
                let memory = std::mem::take(&mut delivery.message.memory);
                delivery.message = Message { memory, ..message };
                None
            }
            None => {
                let delivery = Delivery {
                    message,
                    attempts: 0,
                    turns_missed: 0,
                    failed_because: String::new(),
                    failure: FailureReason::Other,
                    state: State::Waiting {
                        until: now,
                        asked: None,
                    },
                };
                self.waiting.insert((now, key.clone()));
                self.running.insert(key.clone(), delivery);
                self.attempt(key, now)
            }
        }
    }

    /// There is nothing left to tell: what waits is dropped.
    pub(crate) fn withdraw(&mut self, key: &LogKey) {
        if let Some(State::Waiting { until, .. }) =
            self.running.get(key).map(|delivery| &delivery.state)
        {
            self.waiting.remove(&(*until, key.clone()));
            self.running.remove(key);
        }
    }

    /// Forgets what is uncertain about receivers and groups that are gone; answers which those are.
    pub(crate) fn forget_uncertain(&mut self, is_gone: impl Fn(&LogKey) -> bool) -> Vec<LogKey> {
        let running = &self.running;
        let gone = self
            .uncertain
            .extract_if(.., |key, _| !running.contains_key(key) && is_gone(key));
        gone.map(|(key, _)| key).collect()
    }

    /// What is told by integrations that were configured anew waits no longer: the new configuration may be the mend,
    /// and the vendor who asked for patience may be another one. Answers the attempts under way, which keep the new
    /// configuration waiting.
    pub(crate) fn reconfigure(
        &mut self,
        anew: impl Fn(&LogKey) -> bool,
        now: Timestamp,
    ) -> Vec<DeliveryId> {
        let mut under_way = Vec::new();
        for (key, delivery) in self.running.iter_mut().filter(|(key, _)| anew(key)) {
            match &mut delivery.state {
                State::Attempting {
                    id, reconfigured, ..
                } => {
                    *reconfigured = true;
                    under_way.push(*id);
                }
                State::Waiting { until, asked } => {
                    self.waiting.remove(&(*until, key.clone()));
                    *until = now.min(*until);
                    *asked = None;
                    self.waiting.insert((*until, key.clone()));
                }
            }
        }
        under_way
    }

    /// The next attempt that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Attempt> {
        let (until, key) = self.waiting.first()?;
        if *until > now {
            return None;
        }
        let key = key.clone();
        self.attempt(&key, now)
    }

    #[must_use]
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Whom an attempt under way is for.
    #[must_use]
    pub(crate) fn key(&self, id: DeliveryId) -> Option<&LogKey> {
        self.ids.get(&id)
    }

    /// How an attempt ended whose turn did not come. It is remembered, so that the next one waits in front of others.
    pub(crate) fn miss_turn(&mut self, id: DeliveryId) -> Option<Attempted> {
        let delivery = self.running.get_mut(self.ids.get(&id)?)?;
        let State::Attempting { turns_missed, .. } = delivery.state else {
            return None;
        };
        delivery.turns_missed = turns_missed.saturating_add(1);
        Some(Attempted {
            outcome: Outcome::Retry {
                not_before: None,
                reason: TURN_MISSED.to_owned(),
            },
            memory: delivery.message.memory.clone(),
            failure: FailureReason::ContextDeadlineExceeded,
        })
    }

    /// Takes in how an attempt ended; `None` for an attempt that is not under way.
    pub(crate) fn on_outcome(
        &mut self,
        id: DeliveryId,
        attempted: Attempted,
        kind: Option<IntegrationKind>,
        now: Timestamp,
    ) -> Option<Ended> {
        let Attempted {
            outcome,
            memory,
            failure,
        } = attempted;
        let key = self.ids.remove(&id)?;
        let mut delivery = self.running.remove(&key)?;
        let State::Attempting {
            owed,
            uncertain_before,
            reconfigured,
            ..
        } = delivery.state
        else {
            unreachable!("an id belongs to an attempt under way");
        };
        let attempts = delivery.attempts;
        let is_owed = owed.is_some();
        let mut asked = None;
        let mut wait = |not_before: Option<Timestamp>, reason: String| {
            asked = not_before
                .filter(|_| !reconfigured)
                .map(|at| at.min(now + NOT_BEFORE_MAX));
            let until = match asked {
                // A flush has come meanwhile: see `offer`.
                None if reconfigured || is_owed => now,
                Some(asked) if is_owed => asked.max(now),
                Some(_) | None => self.jitter.again_at(attempts, asked, now),
            };
            self.waiting.insert((until, key.clone()));
            AttemptResult::Retrying { until, reason }
        };
        let surely_failed = match outcome {
            Outcome::Rejected { .. } | Outcome::Retry { .. } => true,
            Outcome::Ambiguous { .. } | Outcome::Delivered { .. } => false,
        };
        let result = match outcome {
            Outcome::Delivered { id } => {
                self.uncertain.remove(&key);
                AttemptResult::Delivered { id, memory }
            }
            Outcome::Rejected { reason } => AttemptResult::Rejected { reason },
            Outcome::Ambiguous { reason } if !kind.is_none_or(repeats_harmlessly) => {
                AttemptResult::LeftOpen { reason }
            }
            Outcome::Ambiguous { reason } => {
                delivery.message.memory = memory;
                wait(None, reason)
            }
            Outcome::Retry { not_before, reason } => {
                delivery.message.memory = memory;
                wait(not_before, reason)
            }
        };
        let uncertain_again = surely_failed
            .then(|| self.take_back(&key, uncertain_before))
            .flatten();
        let ended = Ended {
            key: key.clone(),
            message: delivery.message.clone(),
            attempts: delivery.attempts,
            uncertain_again,
            owed,
            failure,
            result,
        };
        if let AttemptResult::Retrying { until, reason } = &ended.result {
            delivery.failed_because.clone_from(reason);
            delivery.failure = failure;
            delivery.state = State::Waiting {
                until: *until,
                asked,
            };
            self.running.insert(key, delivery);
        }
        Some(ended)
    }

    /// Answers what is uncertain again, where that is news.
    fn take_back(&mut self, key: &LogKey, before: Uncertain) -> Option<Uncertain> {
        let changed = self.uncertain.get(key).is_some_and(|now| *now != before);
        changed.then(|| {
            self.set_uncertain(key.clone(), before.clone());
            before
        })
    }

    fn attempt(&mut self, key: &LogKey, now: Timestamp) -> Option<Attempt> {
        let delivery = self.running.get_mut(key)?;
        let State::Waiting { until, .. } = delivery.state else {
            return None;
        };
        self.waiting.remove(&(until, key.clone()));
        let id = DeliveryId(self.id_next);
        self.id_next += 1;
        self.ids.insert(id, key.clone());
        let before = self.uncertain.get(key).cloned().unwrap_or_default();
        let after = before.union(&Uncertain {
            firing: delivery.message.firing.clone(),
            ended: delivery.message.ended.clone(),
        });
        let newly_uncertain = (after != before).then(|| after.clone());
        if newly_uncertain.is_some() {
            self.uncertain.insert(key.clone(), after);
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        let turns_missed = std::mem::take(&mut delivery.turns_missed);
        delivery.state = State::Attempting {
            turns_missed,
            id,
            owed: None,
            uncertain_before: before,
            reconfigured: false,
        };
        Some(Attempt {
            id,
            key: key.clone(),
            notification: delivery.message.notification.clone(),
            memory: delivery.message.memory.clone(),
            deadline: delivery.message.slot.until.max(now + ATTEMPT_MIN),
            number: delivery.attempts,
            turns_missed,
            newly_uncertain,
        })
    }
}

/// Whether a vendor that is told the same twice shows it once: by a deduplication key, or because the receiving
/// program keeps state by group.
#[must_use]
pub(crate) fn repeats_harmlessly(kind: IntegrationKind) -> bool {
    match kind {
        IntegrationKind::IncidentIo
        | IntegrationKind::Jira
        | IntegrationKind::OpsGenie
        | IntegrationKind::PagerDuty
        | IntegrationKind::VictorOps
        | IntegrationKind::Webhook => true,
        IntegrationKind::Discord
        | IntegrationKind::Email
        | IntegrationKind::Mattermost
        | IntegrationKind::MsTeams
        | IntegrationKind::MsTeamsV2
        | IntegrationKind::Pushover
        | IntegrationKind::RocketChat
        | IntegrationKind::Slack
        | IntegrationKind::Sns
        | IntegrationKind::Telegram
        | IntegrationKind::WeChat
        | IntegrationKind::Webex => false,
    }
}

/// A small seeded generator (splitmix64): waits differ between receivers and repeat with the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Jitter(u64);

impl Jitter {
    /// When to try again after `attempts` that failed; not before the vendor asked for it.
    fn again_at(
        &mut self,
        attempts: u32,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let backoff = now + self.backoff(attempts.saturating_sub(1));
        backoff.max(not_before.unwrap_or(backoff))
    }

    fn backoff(&mut self, failures_before: u32) -> Duration {
        let grown =
            BACKOFF_FIRST.as_millis() as f64 * 1.5_f64.powi(failures_before.min(100) as i32);
        let spread = 0.5 + self.fraction();
        let millis = (grown.min(BACKOFF_MAX.as_millis() as f64) * spread) as u64;
        Duration::from_millis(millis).min(BACKOFF_MAX)
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
