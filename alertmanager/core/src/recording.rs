//! What the event recorder is told of a machine's life, where there is one that wants to hear it.
use std::sync::Arc;

use model::{Alert, Timestamp};
use notifiers_core::Notification;

use crate::dispatch::GroupId;
use crate::flush::Flush;
use crate::group::AggregationGroup;
use crate::machine::Alertmanager;
use crate::mute::MuteReason;
use crate::nflog::LogKey;
use crate::protocol::Event;
use crate::recorded_event::{
    EventData, FlushInfo, GroupInfo, GroupedAlert, MutedAlert, RecordedEvent, ToldNotification,
};
use crate::silence::Silence;
use crate::store::StoredAlert;

impl Alertmanager {
    pub(crate) fn record(&mut self, at: Timestamp, data: EventData) {
        let event = RecordedEvent { at, data };
        self.events.push_back(Event::Recorded(Box::new(event)));
    }

    /// `None` where nobody records.
    pub(crate) fn group_info(&self, id: &GroupId) -> Option<Arc<GroupInfo>> {
        if !self.settings.records_events {
            return None;
        }
        let group = self.groups.get(id)?;
        let route = self.policy.route(id.route);
        Some(Arc::new(GroupInfo {
            key: Arc::clone(&id.key),
            labels: group.labels.clone(),
            receiver: route.receiver.clone(),
            matchers: route.matchers.clone(),
            uuid: uuid(self.settings.seed, group.birth),
        }))
    }

    pub(crate) fn flush_info(&self, id: &GroupId, flush: &Flush) -> Option<Box<FlushInfo>> {
        let group = self.group_info(id)?;
        Some(Box::new(FlushInfo {
            group,
            number: self.groups.get(id).map_or(0, AggregationGroup::flushes),
            firing: flush.hashes.firing.clone(),
            resolved: flush.hashes.resolved.clone(),
            muted: flush.hashes.muted.clone(),
            repeat_interval: self.policy.route(id.route).repeat_interval,
        }))
    }

    pub(crate) fn record_grouped(&mut self, id: &GroupId, alert: GroupedAlert, now: Timestamp) {
        if let Some(group) = self.group_info(id) {
            self.record(now, EventData::AlertGrouped { alert, group });
        }
    }

    pub(crate) fn record_told(
        &mut self,
        key: &LogKey,
        notification: &Notification,
        flush: FlushInfo,
        now: Timestamp,
    ) {
        let told = ToldNotification {
            alerts: notification.alerts.clone(),
            reason: notification.reason,
            integration: key.integration.clone(),
            index: key.index,
            flush,
        };
        self.record(now, EventData::Notification(Box::new(told)));
    }

    /// One event for each alert that a flush holds back because of other alerts or silences, and for each silence.
    pub(crate) fn record_muted(&mut self, flush: &Flush, now: Timestamp) {
        if !self.settings.records_events {
            return;
        }
        for (reason, alert) in &flush.muted {
            match reason {
                MuteReason::Inhibition => self.record_inhibited(alert, now),
                MuteReason::Silence => self.record_silenced(alert, now),
                MuteReason::ActiveTimeInterval | MuteReason::MuteTimeInterval => {}
            }
        }
    }

    pub(crate) fn record_silence(&mut self, silence: &Silence, is_new: bool, now: Timestamp) {
        if self.settings.records_events {
            let silence = silence.clone();
            let data = if is_new {
                EventData::SilenceCreated(silence)
            } else {
                EventData::SilenceUpdated(silence)
            };
            self.record(now, data);
        }
    }

    fn record_inhibited(&mut self, alert: &Alert, now: Timestamp) {
        let inhibitor = &self.inhibitor;
        let source = inhibitor.inhibited_by(&alert.labels, &self.alerts, now);
        let Some(source) = source else { return };
        let rule = inhibitor.rule_between(&alert.labels, source);
        let rules = rule.map(|(_, rule)| rule.clone()).into_iter().collect();
        let data = EventData::InhibitionMutedAlert {
            rules,
            muted: muted(alert),
            inhibiting: vec![source],
        };
        self.record(now, data);
    }

    fn record_silenced(&mut self, alert: &Alert, now: Timestamp) {
        let judged = self.mutes(now).of(alert.fingerprint(), alert);
        for id in judged.silenced_by {
            if let Some(silence) = self.silences.get(&id).cloned() {
                let muted = muted(alert);
                self.record(now, EventData::SilenceMutedAlert { silence, muted });
            }
        }
    }
}

impl From<&StoredAlert> for GroupedAlert {
    fn from(stored: &StoredAlert) -> Self {
        Self {
            hash: stored.hash,
            alert: Arc::clone(&stored.alert),
        }
    }
}

fn muted(alert: &Alert) -> MutedAlert {
    MutedAlert {
        fingerprint: alert.fingerprint(),
        labels: alert.labels.clone(),
    }
}

/// In the form of a random UUID (version 4): as random as the seed is.
fn uuid(seed: u64, birth: u64) -> String {
    let high = (spread(seed ^ spread(birth)) & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (spread(high) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The finaliser of SplitMix64: neighbours come out far apart.
fn spread(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
