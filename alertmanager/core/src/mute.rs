//! Told, or muted, and by what.
use jiff::tz::TimeZone;
use model::{Alert, Fingerprint, Timestamp};

use crate::inhibit::Inhibitor;
use crate::interval::{IntervalMute, muted_by_interval};
use crate::policy::Policy;
use crate::silence::{SilenceId, Silences, SilencesAsked};
use crate::store::AlertStore;

/// What keeps one alert quiet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertMutes {
    pub inhibited_by: Option<Fingerprint>,
    pub silenced_by: Vec<SilenceId>,
}

impl AlertMutes {
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.inhibited_by.is_some() || !self.silenced_by.is_empty()
    }
}

/// Why alerts of a flush were not told; as in `alertmanager_notifications_suppressed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MuteReason {
    ActiveTimeInterval,
    Inhibition,
    MuteTimeInterval,
    Silence,
}

impl MuteReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActiveTimeInterval => "active_time_interval",
            Self::Inhibition => "inhibition",
            Self::MuteTimeInterval => "mute_time_interval",
            Self::Silence => "silence",
        }
    }
}

/// All that may mute, at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Mutes<'a> {
    pub alerts: &'a AlertStore,
    pub inhibitor: &'a Inhibitor,
    pub silences: &'a Silences,
    pub now: Timestamp,
}

impl Mutes<'_> {
    #[must_use]
    pub fn of(&self, alert: &Alert) -> AlertMutes {
        self.asking(alert, &mut SilencesAsked::default())
    }

    fn asking(&self, alert: &Alert, asked: &mut SilencesAsked) -> AlertMutes {
        AlertMutes {
            inhibited_by: self
                .inhibitor
                .inhibited_by(&alert.labels, self.alerts, self.now),
            silenced_by: self.silences.silencing(&alert.labels, self.now, asked),
        }
    }

    /// Why one alert is not told, in the order in which Alertmanager's stages ask.
    #[must_use]
    pub fn reason(
        &self,
        alert: &Alert,
        interval: Option<&IntervalMute>,
        asked: &mut SilencesAsked,
    ) -> Option<MuteReason> {
        match interval {
            Some(IntervalMute::NotActive(_)) => return Some(MuteReason::ActiveTimeInterval),
            Some(IntervalMute::Muted(_)) => return Some(MuteReason::MuteTimeInterval),
            None => {}
        }
        let mutes = self.asking(alert, asked);
        if mutes.inhibited_by.is_some() {
            Some(MuteReason::Inhibition)
        } else if !mutes.silenced_by.is_empty() {
            Some(MuteReason::Silence)
        } else {
            None
        }
    }
}

/// What the intervals of the route at `index` say about a flush at `now`.
#[must_use]
pub(crate) fn interval_mute(
    policy: &Policy,
    route: config::RouteIndex,
    local: &TimeZone,
    now: Timestamp,
) -> Option<IntervalMute> {
    muted_by_interval(
        policy.config.routes.route(route),
        &policy.config.time_intervals,
        local,
        now,
    )
}
