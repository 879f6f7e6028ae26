//! Who is told what, and when. Decides; performs no IO.
//!
//! [`Alertmanager`] is the machine of one tenant. Alerts come in by [`Input::AlertsPosted`], are merged (`store`),
//! routed (`dispatch`) and collected in groups (`group`); a group's flush (`flush`) is judged against mutes
//! (`mute`, `silence`, `inhibit`, `interval`) and against what was told before (`dedup`, `nflog`), and what is new
//! goes out as a delivery (`delivery`) until it has arrived or newer state has taken its place. Of all that is due at
//! once `turns` says what goes first. After a restart (`restore`) what another Alertmanager did meanwhile is taken over by
//! the table in `handover`.
mod alertname_limit;
mod codec;
mod dedup;
mod delivery;
mod dispatch;
mod event_posting;
mod explain;
mod flush;
mod group;
mod handover;
mod hashes;
mod inhibit;
mod intake;
mod interval;
mod machine;
mod mute;
mod nflog;
mod otlp;
mod policy;
mod protocol;
mod record;
mod recorded_event;
mod recorded_event_wire;
mod recording;
mod restore;
mod silence;
mod silence_index;
mod silenced;
mod snapshot_files;
mod store;
mod telling;
mod trace;
mod turns;
mod view;

#[cfg(test)]
mod tests;

pub use codec::CodecError;
pub use delivery::{ATTEMPT_MIN, DeliveryId, Undelivered};
pub use event_posting::{BatchLimits, BatchSize, PostRetries};
pub use explain::{
    Explanation, GroupExplanation, Inhibition, IntegrationExplanation, PathStep, RouteExplanation,
    Told,
};
pub use hashes::AlertHashes;
pub use intake::{AlertDraft, AlertError, AlertLimits, AlertPart, TooLarge};
pub use interval::IntervalMute;
pub use machine::Alertmanager;
pub use mute::{AlertMutes, MuteReason};
pub use nflog::{Entry, LogKey, Nflog};
pub use otlp::{Attribute, Span, SpanKind, export_request};
pub use policy::Policy;
pub use protocol::{
    AbandonCause, AlertsAnswer, Answer, AttemptEnd, Command, Deliver, Event, Export, Input, Limit,
    Refused, Settings, Ticket,
};
pub use record::Record;
pub use recorded_event::{
    EventData, FlushInfo, GroupInfo, GroupedAlert, MutedAlert, RecordedEvent, ToldNotification,
};
pub use silence::{
    MatcherDraft, Silence, SilenceChange, SilenceDraft, SilenceError, SilenceId, SilenceLimits,
    SilenceState, Silences, SilencesAsked,
};
pub use snapshot_files::{
    SnapshotError, SnapshotFile, newer_silences, read_nflog, read_silences, write_nflog,
    write_silences,
};
pub use trace::{SpanContext, SpanId, TraceId};
pub use turns::{Asked, Lane, TurnId, Turns, Urgency};
pub use view::{AlertView, GroupTally, GroupView, ReceiverView, Tally, View};
