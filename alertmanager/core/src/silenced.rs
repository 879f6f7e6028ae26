//! Which silences match which alerts. Neither an alert's labels nor a silence's matchers ever change, so that is found out
//! once for each pair, and not again at every flush and for every reader.
use std::collections::BTreeMap;

use model::{Fingerprint, Labels};

use crate::silence::{Silence, SilenceId, Silences};
use crate::store::AlertStore;

/// For alerts that some silence matches: those silences, whether they are active or not, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silenced(BTreeMap<Fingerprint, Vec<SilenceId>>);

impl Silenced {
    pub(crate) fn new(silences: &Silences, alerts: &AlertStore) -> Self {
        let mut silenced = Self::default();
        for (fingerprint, stored) in alerts.iter() {
            silenced.alert_came(fingerprint, &stored.alert.labels, silences);
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
    ) {
        let matching = silences.matching(labels);
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
}
