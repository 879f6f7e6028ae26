//! Which silences match which alerts. Neither an alert's labels nor a silence's matchers ever change, so that is found out
//! once for each pair, and not again at every flush and for every reader.
use std::collections::BTreeMap;

use model::{Fingerprint, Labels, Timestamp};

use crate::silence::{Silence, SilenceId, SilenceState, Silences};
use crate::store::AlertStore;

/// For alerts that some silence matches: those silences that are not over, and some that are, in the order of their ids.
/// A silence that is over never comes back, so it need not be kept here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silenced(BTreeMap<Fingerprint, Vec<SilenceId>>);

impl Silenced {
    pub(crate) fn new(silences: &Silences, alerts: &AlertStore, now: Timestamp) -> Self {
        let mut silenced = Self::default();
        for (fingerprint, stored) in alerts.iter() {
            silenced.alert_came(fingerprint, &stored.alert.labels, silences, now);
        }
        silenced
    }

    pub(crate) fn get(&self, fingerprint: Fingerprint) -> &[SilenceId] {
        self.0.get(&fingerprint).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn alert_came(
        &mut self,
        fingerprint: Fingerprint,
        labels: &Labels,
        silences: &Silences,
        now: Timestamp,
    ) {
        let mut matching = silences.matching(labels);
        matching.retain(|id| {
            silences
                .get(id)
                .is_some_and(|silence| !is_over(silence, now))
        });
        if !matching.is_empty() {
            self.0.insert(fingerprint, matching);
        }
    }

    pub(crate) fn alert_went(&mut self, fingerprint: Fingerprint) {
        self.0.remove(&fingerprint);
    }

    /// A new silence, or one of whose matchers nobody knows whether they are what they were.
    pub(crate) fn silence_came(&mut self, silence: &Silence, alerts: &AlertStore) {
        self.silence_went(&silence.id);
        for (fingerprint, stored) in alerts.iter() {
            if silence.matches(&stored.alert.labels) {
                let ids = self.0.entry(fingerprint).or_default();
                let at = ids.partition_point(|id| *id < silence.id);
                ids.insert(at, silence.id.clone());
            }
        }
    }

    pub(crate) fn silence_went(&mut self, id: &SilenceId) {
        self.0.retain(|_, ids| {
            if let Ok(at) = ids.binary_search(id) {
                ids.remove(at);
            }
            !ids.is_empty()
        });
    }

    /// Forgets silences that are over, or gone, all in one pass.
    pub(crate) fn forget_over(&mut self, silences: &Silences, now: Timestamp) {
        self.0.retain(|_, ids| {
            ids.retain(|id| {
                silences
                    .get(id)
                    .is_some_and(|silence| !is_over(silence, now))
            });
            !ids.is_empty()
        });
    }
}

fn is_over(silence: &Silence, now: Timestamp) -> bool {
    silence.state(now) == SilenceState::Expired
}
