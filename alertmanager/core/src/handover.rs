//! Another Alertmanager did this one's work on the same data folder while the process was down, and its notification log
//! is all that is left of it: hashes of labels that it told last as firing and as resolved, for each integration of each
//! group.
//!
//! An entry is *newer* where it was told after this process has heard of the alert for the last time; an older one says
//! nothing of it. Of several entries the latest that mentions an alert counts. At the start, an alert of this store:
//!
//! | is here | in the newer entries | becomes |
//! |---|---|---|
//! | firing | firing | as it is; *doubtful* where a still later entry leaves it out |
//! | firing | resolved | over, at the entry's time |
//! | firing | left out, and that integration was told, or may have been told, that it fires | *doubtful* |
//! | firing | left out, and that integration never was | as it is: it is news |
//! | over | firing | *doubtful*: it began again there |
//! | over | resolved, or left out | as it is |
//! | firing or over | in none | as it is |
//!
//! and an integration with a newer entry knows
//!
//! | before | in the newer entry | surely as firing | perhaps as firing | as over |
//! |---|---|---|---|---|
//! | anything | firing | × | | |
//! | anything | resolved | | | × |
//! | surely or perhaps as firing, perhaps as over | left out | | × | |
//! | as over, or nothing | left out | | | × |
//!
//! What an integration knows as firing and no alert of this store is, is *not known*. For `resolve_timeout` from the start on
//! the process **waits** for what is doubtful or not known: whoever repeats an alert will have done so by then. Whatever is
//! heard of is *firing* or *over* from there on, and a flush that was held back for it is done at once. A flush tells:
//!
//! | alert | waits | the integration knows it as firing, surely | perhaps | as over, or never heard | inhibits |
//! |---|---|---|---|---|---|
//! | firing: heard of, or kept from before | | nothing | that it fires | that it fires | yes |
//! | over | | its end | its end (1) | nothing | no |
//! | doubtful, firing here | yes | nothing, and not that all is over (2) | the same | nothing | yes |
//! | doubtful, over here | yes | nothing, and not that all is over (2) | the same | nothing | no |
//! | not known | yes | nothing, and not that all is over (2) | the same | nothing | no |
//! | doubtful, firing here | no longer | nothing (3) | nothing (3) | nothing | no |
//! | doubtful, over here | no longer | its end | its end (1) | nothing | no |
//! | not known | no longer | nothing, and the notification forgets it | the same | nothing | no |
//!
//! 1. The other one may have told it before: an end that is told twice is the price of one that is never told.
//! 2. The end of a group waits until the rest is heard of, or for the first flush after the time of waiting. What a
//!    notification in this time did not mention is known only perhaps from there on: its end is told, and that it fires
//!    is told again, since it may have ended unseen and begun anew. A page told twice is the price of one never told.
//! 3. As one that is muted ([`crate::dedup`]): whether it fires still nobody says, so it is told when somebody does. Like
//!    all that nobody repeats it is over when its time is.
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

/// What the newer entries say of one alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Word {
    /// The latest that mentions it.
    mentioned: Option<(Timestamp, AlertStatus)>,
    /// The latest that does not.
    left_out: Option<Timestamp>,
    /// One of those that leave it out speaks to an integration that was told, or may have been told, that it fires.
    was_told: bool,
}

impl Word {
    /// What becomes of the alert, which has this status `here`.
    fn makes_of(self, here: AlertStatus, now: Timestamp) -> Elsewhere {
        match (here, self.mentioned) {
            (AlertStatus::Resolved, Some((_, AlertStatus::Firing))) => Elsewhere::Doubtful,
            (AlertStatus::Resolved, Some((_, AlertStatus::Resolved)) | None) => Elsewhere::Nothing,
            (AlertStatus::Firing, Some((at, AlertStatus::Resolved))) => {
                Elsewhere::Over(at.min(now))
            }
            (AlertStatus::Firing, Some((at, AlertStatus::Firing))) if self.left_out > Some(at) => {
                Elsewhere::Doubtful
            }
            (AlertStatus::Firing, None) if self.was_told => Elsewhere::Doubtful,
            (AlertStatus::Firing, Some((_, AlertStatus::Firing)) | None) => Elsewhere::Nothing,
        }
    }
}

impl Alertmanager {
    /// Takes over at the start what another Alertmanager told.
    pub(crate) fn take_over(&mut self, elsewhere: BTreeMap<LogKey, Entry>, now: Timestamp) {
        if elsewhere.is_empty() {
            return;
        }
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

    fn word(&self, elsewhere: &BTreeMap<LogKey, Entry>, stored: &StoredAlert) -> Word {
        let (alert, hash) = (&stored.alert, stored.hash);
        let mut word = Word::default();
        for route in self.policy.routes_for(alert).iter() {
            let id = Dispatcher::id(&self.policy, *route, alert);
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
                    word.left_out = word.left_out.max(Some(entry.at));
                    word.was_told |= self.owes(std::slice::from_ref(&target), hash);
                    continue;
                };
                if word.mentioned.is_none_or(|(at, _)| at < entry.at) {
                    word.mentioned = Some((entry.at, status));
                }
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
    fn the_latest_word_that_mentions_an_alert_decides_what_becomes_of_it() {
        const FIRING: AlertStatus = AlertStatus::Firing;
        const OVER: AlertStatus = AlertStatus::Resolved;
        const SAME: Elsewhere = Elsewhere::Nothing;
        const DOUBTFUL: Elsewhere = Elsewhere::Doubtful;
        #[rustfmt::skip]
        let rows = [
            (FIRING, Some((LATE, FIRING)), None,        true,  SAME),
            (FIRING, Some((LATE, FIRING)), Some(EARLY), true,  SAME),
            (FIRING, Some((EARLY, FIRING)), Some(LATE), false, DOUBTFUL),
            (FIRING, Some((EARLY, FIRING)), Some(LATE), true,  DOUBTFUL),
            (FIRING, Some((LATE, OVER)),   None,        true,  Elsewhere::Over(LATE)),
            (FIRING, Some((AHEAD, OVER)),  None,        true,  Elsewhere::Over(NOW)),
            (FIRING, Some((EARLY, OVER)),  Some(LATE),  true,  Elsewhere::Over(EARLY)),
            (FIRING, None,                 Some(LATE),  true,  DOUBTFUL),
            (FIRING, None,                 Some(LATE),  false, SAME),
            (FIRING, None,                 None,        false, SAME),
            (OVER,   Some((LATE, FIRING)), None,        true,  DOUBTFUL),
            (OVER,   Some((EARLY, FIRING)), Some(LATE), false, DOUBTFUL),
            (OVER,   Some((LATE, OVER)),   None,        true,  SAME),
            (OVER,   None,                 Some(LATE),  true,  SAME),
            (OVER,   None,                 Some(LATE),  false, SAME),
            (OVER,   None,                 None,        false, SAME),
        ];
        for (here, mentioned, left_out, was_told, becomes) in rows {
            let word = Word {
                mentioned,
                left_out,
                was_told,
            };
            assert_eq!(word.makes_of(here, NOW), becomes, "{here:?} {word:?}");
        }
    }
}
