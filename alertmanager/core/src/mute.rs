//! Told, or muted, and by what.
use jiff::tz::TimeZone;
use model::{Alert, Fingerprint, Timestamp};

use crate::inhibit::Inhibitor;
use crate::interval::{IntervalMute, muted_by_interval};
use crate::policy::Policy;
use crate::silence::{SilenceId, SilenceState, Silences, SilencesAsked};
use crate::silenced::Silenced;
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
    pub(crate) silenced: &'a Silenced,
    pub now: Timestamp,
}

impl Mutes<'_> {
    #[must_use]
    pub fn of(&self, fingerprint: Fingerprint, alert: &Alert) -> AlertMutes {
        self.asking(fingerprint, alert, &mut SilencesAsked::default())
    }

    fn asking(
        &self,
        fingerprint: Fingerprint,
        alert: &Alert,
        asked: &mut SilencesAsked,
    ) -> AlertMutes {
        let matching = self.silenced.get(fingerprint);
        asked.queries += 1;
        asked.scanned += matching.len();
        asked.skipped += self.silences.len().saturating_sub(matching.len());
        let silenced_by = matching.iter().filter(|id| {
            let silence = self.silences.get(id);
            silence.is_some_and(|silence| silence.state(self.now) == SilenceState::Active)
        });
        AlertMutes {
            inhibited_by: self
                .inhibitor
                .inhibited_by(&alert.labels, self.alerts, self.now),
            silenced_by: silenced_by.cloned().collect(),
        }
    }

    /// Why one alert is not told, in the order in which Alertmanager's stages ask.
    #[must_use]
    pub fn reason(
        &self,
        fingerprint: Fingerprint,
        alert: &Alert,
        interval: Option<&IntervalMute>,
        asked: &mut SilencesAsked,
    ) -> Option<MuteReason> {
        match interval {
            Some(IntervalMute::NotActive(_)) => return Some(MuteReason::ActiveTimeInterval),
            Some(IntervalMute::Muted(_)) => return Some(MuteReason::MuteTimeInterval),
            None => {}
        }
        let mutes = self.asking(fingerprint, alert, asked);
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
