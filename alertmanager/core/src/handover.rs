//! Another Alertmanager did this one's work on the same data folder while the process was down, and its notification log
//! is all that is left of it: hashes of labels that it told last as firing and as resolved, for each integration of each
//! group.
//!
//! An entry is *newer* where it was told after this process has heard of the alert for the last time; an older one says
//! nothing of it. Of several entries of a group the latest that mentions an alert is the group's word. An integration that is
//! told no ends has no word of them: what its entry has as firing, and a later one of any other as resolved, is resolved in
//! its entry too. At the start, an alert of this store:
//!
//! | is here | in the newer entries | becomes |
//! |---|---|---|
//! | firing or over | firing for one group, and resolved for another | *doubtful* |
//! | firing | firing | as it is; *doubtful* where a still later entry leaves it out, or one of another group, whose integration was told, or may have been told, that it fires |
//! | firing | resolved | over, at the entry's time |
//! | firing | left out, and that integration was told, or may have been told, that it fires | *doubtful* |
//! | firing | left out, and that integration never was | as it is: it is news |
//! | over | firing | *doubtful*: it began again there |
//! | over | resolved, or left out | as it is |
//! | firing or over | in none | as it is |
//!
//! and an integration with a newer entry knows
//!
//! | before | in the newer entry | surely as firing | perhaps as firing | as over | nothing |
//! |---|---|---|---|---|---|
//! | anything | firing | × | | | |
//! | anything | resolved | | | × | |
//! | surely or perhaps as firing, perhaps as over | left out | | × | | |
//! | as over, or nothing | left out | | | | × |
//!
//! What an integration knows as firing and no alert of this store is, in whatever group, is *not known*. From the handover on
//! the process **waits** for `resolve_timeout` for what is doubtful or not known: whoever repeats an alert will have done so by
//! then. That time is one, however often the process begins anew meanwhile; only while it is down it stands still. A log of an
//! older release, in which something is doubtful and no time is written, begins it. Whatever is heard of is *firing* or
//! *over* from there on, and a flush that was held back for it is done, as are all at the end of
//! the time of waiting: at once, or where the group has told something, with its next one, or `resolve_timeout` later where
//! that is sooner (4). The grid stays where it was, so that what is new comes no later. A flush tells:
//!
//! | alert | waits | the integration knows it as firing, surely | perhaps | as over | never heard of it | inhibits |
//! |---|---|---|---|---|---|---|
//! | firing: heard of, or kept from before | | nothing | that it fires | that it fires | that it fires | yes |
//! | over | | its end | its end (1) | nothing | nothing | no |
//! | doubtful, firing here | yes | nothing, and not that all is over (2) | the same | nothing | that it fires (5) | yes |
//! | doubtful, over here | yes | nothing, and not that all is over (2) | the same | nothing | nothing | no |
//! | not known | yes | nothing, and not that all is over (2) | the same | nothing | nothing | no |
//! | doubtful, firing here | no longer | nothing (3) | nothing (3) | nothing | that it fires (5) | no |
//! | doubtful, over here | no longer | its end | its end (1) | nothing | nothing | no |
//! | not known | no longer | nothing, and the notification forgets it | the same | nothing | nothing | no |
//!
//! 1. The other one may have told it before: an end that is told twice is the price of one that is never told.
//! 2. The end of a group waits until the rest is heard of, or for the end of the time of waiting. What a notification in
//!    this time did not mention is known only perhaps from there on: its end is told, and that it fires is told again, since
//!    it may have ended unseen and begun anew. A page told twice is the price of one never told.
//! 3. As one that is muted ([`crate::dedup`]): whether it fires still nobody says, so it is told when somebody does. Like
//!    all that nobody repeats it is over when its time is.
//! 4. Alerts are repeated one after the other, and each of them may be told again. The first goes at once, since it may be
//!    news, and an Alertmanager whose groups begin anew would be no later with it; the others come together.
//! 5. Neither was it told of it by the other one: as far as anybody has said to it, nothing fires.
//!
//! A later start draws the same from the log: an entry is news once, and what was made of it is stored beside it.
use std::collections::BTreeMap;

use model::{AlertStatus, Timestamp};

use crate::dispatch::Dispatcher;
use crate::hashes::{AlertHashes, Uncertain};
use crate::machine::Alertmanager;
use crate::nflog::{Entry, LogKey};
use crate::record::Record;
use crate::restore::{batches, standings};
use crate::store::{Elsewhere, Standing, StoredAlert, TakenOver};

/// What the newer entries say of one alert. Where the integrations of a group differ, its latest word is the group's: its
/// flushes follow each other. Those of different groups do not: a slow delivery is written down after quicker ones that
/// know more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Word {
    /// The latest of a group that has it as firing.
    firing: Option<Timestamp>,
    /// The latest of a group that has it as over.
    over: Option<Timestamp>,
    /// The latest that does not mention it, after all of its group that do.
    left_out: Option<Timestamp>,
    /// One of those speaks to an integration that was told, or may have been told, that it fires.
    was_told: bool,
}

impl Word {
    /// What becomes of the alert, which has this status `here`.
    fn makes_of(self, here: AlertStatus, now: Timestamp) -> Elsewhere {
        match (here, self.firing, self.over) {
            (_, Some(_), Some(_)) | (AlertStatus::Resolved, Some(_), None) => Elsewhere::Doubtful,
            (AlertStatus::Resolved, None, Some(_) | None) => Elsewhere::Nothing,
            (AlertStatus::Firing, None, Some(at)) => Elsewhere::Over(at.min(now)),
            (AlertStatus::Firing, Some(at), None) if self.was_told || self.left_out > Some(at) => {
                Elsewhere::Doubtful
            }
            (AlertStatus::Firing, None, None) if self.was_told => Elsewhere::Doubtful,
            (AlertStatus::Firing, Some(_) | None, None) => Elsewhere::Nothing,
        }
    }
}

impl Alertmanager {
    /// Takes over at the start what another Alertmanager told.
    pub(crate) fn take_over(&mut self, elsewhere: BTreeMap<LogKey, Entry>, now: Timestamp) {
        if elsewhere.is_empty() && !self.alerts.lacks_wait() {
            return;
        }
        // Before what is doubtful: where the end of the log is torn off it is waited for.
        let heard_by = now + self.policy.config.global.resolve_timeout;
        self.alerts.wait_until(heard_by, now);
        self.persist(Record::HeardBy(heard_by));
        let elsewhere = self.with_ends(elsewhere, now);
        let word = |stored: &StoredAlert| {
            let word = self.word(&elsewhere, stored);
            word.makes_of(stored.alert.status(now), now)
        };
        let said: BTreeMap<_, _> = self
            .alerts
            .iter()
            .map(|(fingerprint, stored)| (fingerprint, word(stored)))
            .filter(|(_, said)| *said != Elsewhere::Nothing)
            .collect();
        let TakenOver { changed, doubtful } = self.alerts.take_over(&said);
        for batch in batches(changed.iter().map(|alert| (**alert).clone()).collect()) {
            self.persist(Record::Alerts(batch));
        }
        let doubtful = doubtful.into_iter().map(|one| (one, Standing::Doubtful));
        for record in standings(doubtful.collect()) {
            self.persist(record);
        }
        for (key, entry) in elsewhere {
            self.take_word_over(key.clone(), entry.clone(), now);
            self.persist(Record::TookOver { key, entry });
        }
    }

    /// An integration that is told no ends never says that an alert is over: where another said so later, it is over for it
    /// too. An entry of a clock that was ahead says nothing of others, and stays as it is, by which the file's is known again.
    fn with_ends(
        &self,
        mut elsewhere: BTreeMap<LogKey, Entry>,
        now: Timestamp,
    ) -> BTreeMap<LogKey, Entry> {
        let mut ended: BTreeMap<u64, Timestamp> = BTreeMap::new();
        for entry in elsewhere.values().filter(|entry| entry.at <= now) {
            for hash in entry.resolved.iter() {
                let at = ended.entry(hash).or_insert(entry.at);
                *at = entry.at.max(*at);
            }
        }
        for (key, entry) in &mut elsewhere {
            let integration = self.policy.integration(key);
            if integration.is_none_or(|integration| integration.send_resolved) || entry.at > now {
                continue;
            }
            let has_ended = |hash: &u64| ended.get(hash).is_some_and(|at| *at > entry.at);
            let over: AlertHashes = entry.firing.iter().filter(has_ended).collect();
            entry.firing = entry.firing.without(&over);
            entry.resolved = entry.resolved.union(&over);
        }
        elsewhere
    }

    fn word(&self, elsewhere: &BTreeMap<LogKey, Entry>, stored: &StoredAlert) -> Word {
        let (alert, hash) = (&stored.alert, stored.hash);
        let mut word = Word::default();
        for route in self.policy.routes_for(alert).iter() {
            let id = Dispatcher::id(&self.policy, *route, alert);
            let mut mentioned: Option<(Timestamp, AlertStatus)> = None;
            let (mut left_out, mut was_told) = (None, false);
            for target in self.policy.targets(*route, &id.key) {
                let newer = elsewhere
                    .get(&target)
                    .filter(|entry| entry.at > alert.updated_at && entry.at >= alert.starts_at);
                let Some(entry) = newer else {
                    continue;
                };
                let status = if entry.resolved.contains(hash) {
                    AlertStatus::Resolved
                } else if entry.firing.contains(hash) {
                    AlertStatus::Firing
                } else {
                    left_out = left_out.max(Some(entry.at));
                    was_told |= self.owes(std::slice::from_ref(&target), hash);
                    continue;
                };
                if mentioned.is_none_or(|(at, _)| at < entry.at) {
                    mentioned = Some((entry.at, status));
                }
            }
            match mentioned {
                Some((at, AlertStatus::Firing)) => word.firing = word.firing.max(Some(at)),
                Some((at, AlertStatus::Resolved)) => word.over = word.over.max(Some(at)),
                None => {}
            }
            if left_out > mentioned.map(|(at, _)| at) {
                word.left_out = word.left_out.max(left_out);
                word.was_told |= was_told;
            }
        }
        word
    }

    /// One integration is known to know what another Alertmanager told it last.
    pub(crate) fn take_word_over(&mut self, key: LogKey, entry: Entry, now: Timestamp) {
        let surely = self.nflog.entry(&key).map(|told| told.firing.clone());
        let perhaps = self
            .deliveries
            .uncertain(&key)
            .map(|uncertain| uncertain.firing.clone());
        let uncertain = Uncertain {
            firing: surely
                .unwrap_or_default()
                .union(&perhaps.unwrap_or_default())
                .without(&entry.firing)
                .without(&entry.resolved),
            ended: AlertHashes::default(),
        };
        self.deliveries.set_uncertain(key.clone(), uncertain);
        self.nflog.take_over(key, entry, now);
    }
}

#[cfg(test)]
mod tests {
    use model::{AlertStatus, Timestamp};

    use super::Word;
    use crate::store::Elsewhere;

    const NOW: Timestamp = Timestamp::from_secs(1000);
    const EARLY: Timestamp = Timestamp::from_secs(300);
    const LATE: Timestamp = Timestamp::from_secs(600);
    /// Of a clock that is ahead.
    const AHEAD: Timestamp = Timestamp::from_secs(5000);

    /// The first table, row by row.
    #[test]
    fn what_becomes_of_an_alert_depends_on_the_latest_words_of_it() {
        const FIRING: AlertStatus = AlertStatus::Firing;
        const OVER: AlertStatus = AlertStatus::Resolved;
        const SAME: Elsewhere = Elsewhere::Nothing;
        const DOUBTFUL: Elsewhere = Elsewhere::Doubtful;
        #[rustfmt::skip]
        let rows = [
            // Here, the latest as firing, as over, left out, and whether that one was told; what becomes of it.
            (FIRING, Some(LATE),  None,        None,        false, SAME),
            (FIRING, Some(LATE),  None,        Some(EARLY), true,  DOUBTFUL),
            (FIRING, Some(LATE),  None,        Some(EARLY), false, SAME),
            (FIRING, Some(EARLY), None,        Some(LATE),  false, DOUBTFUL),
            (FIRING, Some(EARLY), None,        Some(LATE),  true,  DOUBTFUL),
            (FIRING, Some(LATE),  Some(EARLY), None,        true,  DOUBTFUL),
            (FIRING, Some(EARLY), Some(LATE),  None,        true,  DOUBTFUL),
            (FIRING, None,        Some(LATE),  None,        true,  Elsewhere::Over(LATE)),
            (FIRING, None,        Some(AHEAD), None,        true,  Elsewhere::Over(NOW)),
            (FIRING, None,        Some(EARLY), Some(LATE),  true,  Elsewhere::Over(EARLY)),
            (FIRING, None,        None,        Some(LATE),  true,  DOUBTFUL),
            (FIRING, None,        None,        Some(LATE),  false, SAME),
            (FIRING, None,        None,        None,        false, SAME),
            (OVER,   Some(LATE),  None,        None,        true,  DOUBTFUL),
            (OVER,   Some(EARLY), None,        Some(LATE),  false, DOUBTFUL),
            (OVER,   Some(LATE),  Some(EARLY), None,        true,  DOUBTFUL),
            (OVER,   Some(EARLY), Some(LATE),  None,        true,  DOUBTFUL),
            (OVER,   None,        Some(LATE),  None,        true,  SAME),
            (OVER,   None,        None,        Some(LATE),  true,  SAME),
            (OVER,   None,        None,        Some(LATE),  false, SAME),
            (OVER,   None,        None,        None,        false, SAME),
        ];
        for (here, firing, over, left_out, was_told, becomes) in rows {
            let word = Word {
                firing,
                over,
                left_out,
                was_told,
            };
            assert_eq!(word.makes_of(here, NOW), becomes, "{here:?} {word:?}");
        }
    }
}
