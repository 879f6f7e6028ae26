//! What the machine is told, what it orders, and what it reports.
use std::sync::Arc;
use std::time::Duration;

use config::Integration;
use jiff::tz::TimeZone;
use model::matcher_syntax::ParserMode;
use model::{Fingerprint, Timestamp};
use notifiers_core::{
    Attempted, FailureReason, GroupKey, Memory, Notification, NotificationReason,
};

use crate::delivery::DeliveryId;
use crate::explain::Explanation;
use crate::intake::{AlertDraft, AlertError, AlertLimits, TooLarge};
use crate::mute::MuteReason;
use crate::nflog::LogKey;
use crate::policy::Policy;
use crate::record::Record;
use crate::recorded_event::RecordedEvent;
use crate::silence::{
    SilenceChange, SilenceDraft, SilenceError, SilenceId, SilenceLimits, SilencesAsked,
};
use crate::view::{Tally, View};

/// What does not change while the process lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long silences outlive their end, and log entries their last notification (but never shorter than the
    /// repeat that needs them).
    pub retention: Duration,
    /// How often what is resolved or expired is forgotten.
    pub garbage_interval: Duration,
    /// Alerts beyond this are refused to their sender.
    pub alerts_max: usize,
    /// Alerts that would open more aggregation groups than this are refused to their sender.
    pub groups_max: usize,
    /// Firing alerts of one `alertname` beyond this are refused to their sender; 0: no limit.
    pub alerts_of_name_max: usize,
    /// After the start nothing is told for this long: senders get time to say all that fires.
    pub start_delay: Duration,
    pub alert: AlertLimits,
    pub silence: SilenceLimits,
    /// Says what may name a label, of alerts and of silences.
    pub parser_mode: ParserMode,
    /// The machine's own zone, for time intervals with `location: Local`.
    pub local_zone: TimeZone,
    /// Whether somebody records what happens to alerts, silences and notifications ([`Event::Recorded`]).
    pub records_events: bool,
    /// Spreads retries, and names groups for the event recorder.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Alertmanager's `--data.retention` and `--alerts.gc-interval`.
            retention: Duration::from_secs(120 * 3600),
            garbage_interval: Duration::from_secs(30 * 60),
            // An alert of usual size takes some 2 kB with its group: these are about one gigabyte.
            alerts_max: 500_000,
            groups_max: 500_000,
            alerts_of_name_max: 0,
            start_delay: Duration::ZERO,
            alert: AlertLimits::default(),
            silence: SilenceLimits::default(),
            parser_mode: ParserMode::default(),
            local_zone: TimeZone::UTC,
            records_events: false,
            seed: 0,
        }
    }
}

/// Names a caller who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug)]
pub enum Input {
    AlertsPosted {
        ticket: Ticket,
        alerts: Vec<AlertDraft>,
    },
    /// Taken over with the next timeout, which is due at once: of several that come together only the last counts.
    Configured {
        ticket: Ticket,
        policy: Box<Policy>,
    },
    DeliveryEnded {
        id: DeliveryId,
        attempted: Attempted,
    },
    /// The turn of an attempt did not come before its deadline: nothing was sent.
    TurnMissed {
        id: DeliveryId,
    },
    /// Somebody asks why.
    Explain {
        ticket: Ticket,
        fingerprint: Fingerprint,
        /// The instant to judge mutes at, if not this one.
        at: Option<Timestamp>,
    },
    /// The files of an Alertmanager's data folder are to be written.
    ExportWanted {
        ticket: Ticket,
    },
    /// Somebody wants to read.
    Look {
        ticket: Ticket,
    },
    SilenceExpired {
        ticket: Ticket,
        id: SilenceId,
    },
    /// The log is to be made short.
    SnapshotWanted {
        ticket: Ticket,
    },
    /// Somebody wants to know how much there is.
    TallyWanted {
        ticket: Ticket,
        /// Also for each group.
        by_group: bool,
    },
    SilenceSet {
        ticket: Ticket,
        draft: SilenceDraft,
        /// A new random id, used where a silence is created.
        fresh: SilenceId,
    },
}

/// Carried out in the order in which they come: stored, then sent, then answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Answer {
        ticket: Ticket,
        answer: Answer,
    },
    Deliver(Box<Deliver>),
    /// The attempt, if it is still under way, ends by this deadline where its own is later.
    Hurry {
        id: DeliveryId,
        deadline: Timestamp,
    },
    Persist(Record),
}

/// One attempt to tell one integration. It ends by [`Input::DeliveryEnded`], at the latest at its deadline; where it had
/// to wait for its turn it may take as long as `ATTEMPT_MIN` nevertheless.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliver {
    pub id: DeliveryId,
    /// Receiver, kind and index of the integration, and the group's key.
    pub key: LogKey,
    pub integration: Integration,
    pub notification: Notification,
    pub memory: Memory,
    pub deadline: Timestamp,
    /// Counts from 1 within one delivery.
    pub attempt: u32,
    /// So many attempts before this one waited for their turn in vain.
    pub turns_missed: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// `None` for an alert that is not known.
    Explained(Option<Box<Explanation>>),
    Exported(Box<Export>),
    Alerts(AlertsAnswer),
    /// The policy, or one that came after it, is in force.
    Configured,
    SilenceExpired(Result<(), SilenceError>),
    SilenceSet(Result<SilenceId, SilenceError>),
    Snapshot(Vec<Record>),
    Tally(Box<Tally>),
    View(Arc<View>),
}

/// The contents of an Alertmanager's `nflog` and `silences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub nflog: Vec<u8>,
    pub silences: Vec<u8>,
}

/// What became of a batch: the alerts that are neither invalid nor refused were taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsAnswer {
    pub invalid: Vec<AlertError>,
    pub refused: Option<Refused>,
}

/// Alerts that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub count: usize,
    pub limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Limit {
    #[error("no more than {0} alerts fit")]
    Alerts(usize),
    #[error("no more than {0} alerts of one alertname fit")]
    AlertsOfName(usize),
    #[error("no more than {0} aggregation groups fit")]
    Groups(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    AlertsReceived {
        firing: usize,
        resolved: usize,
        invalid: usize,
        refused: usize,
    },
    /// Those of a request that broke one limit, by name.
    AlertsRefused {
        limit: Limit,
        /// Its beginning.
        alertname: String,
        count: usize,
    },
    /// One of those that are invalid: nobody is told of it.
    AlertTooLarge {
        /// Its beginning.
        alertname: String,
        what: TooLarge,
    },
    /// Alerts of one flush that are not told.
    AlertsMuted {
        group_key: Arc<GroupKey>,
        reason: MuteReason,
        count: usize,
    },
    AttemptStarted {
        key: LogKey,
        reason: NotificationReason,
        attempt: u32,
    },
    AttemptEnded {
        key: LogKey,
        attempt: u32,
        /// That it was to tell of.
        alerts: usize,
        end: AttemptEnd,
    },
    Configured {
        groups: usize,
    },
    /// Attempts have failed, and there will be none any more: this the integration never heard.
    DeliveryAbandoned {
        key: LogKey,
        cause: AbandonCause,
        alerts: usize,
        /// So many have failed.
        attempts: u32,
        /// How the last one failed.
        reason: String,
    },
    /// What is over was forgotten.
    GarbageCollected,
    GroupFlushed {
        group_key: Arc<GroupKey>,
        at: Timestamp,
        firing: usize,
        muted: usize,
        resolved: usize,
        /// What the silences were asked for it.
        silences_asked: SilencesAsked,
        /// How often the notification log was asked.
        log_asked: usize,
    },
    /// A flush, or a reload, finds that the notification before has not arrived. Its attempts have failed.
    NotificationMissed {
        key: LogKey,
        failure: FailureReason,
        /// Whether a newer one takes its place.
        replaced: bool,
    },
    /// For the event recorder, where there is one.
    Recorded(Box<RecordedEvent>),
    Restored {
        alerts: usize,
        groups: usize,
        log_entries: usize,
        silences: usize,
        /// Entries of another Alertmanager's notification log, which told them while this process was down.
        taken_over: usize,
    },
    SilenceChanged {
        id: SilenceId,
        change: SilenceChange,
    },
    /// The process was suspended, or its clock was set forward: for so long nobody could repeat these alerts, and
    /// their ends moved accordingly.
    WasAbsent {
        since: Timestamp,
        alerts: usize,
    },
}

/// Why something is not told any more that was never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbandonCause {
    AlertsEnded,
    /// That alerts are over could not be told for so long that the log has forgotten of which ones it is owed.
    Expired,
    /// A reload took the integration, or the group, away.
    Reconfigured,
}

impl AbandonCause {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlertsEnded => "alerts_ended",
            Self::Expired => "expired",
            Self::Reconfigured => "reconfigured",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum AttemptEnd {
    Delivered {
        id: Option<String>,
    },
    LeftOpen {
        reason: String,
        failure: FailureReason,
    },
    Rejected {
        reason: String,
        failure: FailureReason,
    },
    Retrying {
        until: Timestamp,
        reason: String,
    },
}
