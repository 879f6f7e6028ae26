//! Is there anything new to tell an integration, given what it was told last?
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use notifiers_core::NotificationReason;

use crate::hashes::{AlertHashes, Uncertain};
use crate::nflog::Entry;

/// What a group holds at one flush, by its alerts' hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlushHashes {
    /// The scheduled instant of the flush.
    pub at: Timestamp,
    /// Firing, and muted by nothing.
    pub firing: AlertHashes,
    /// Firing, but muted: does not count as firing for what is told.
    pub muted: AlertHashes,
    /// Resolved, muted or not: who was told that an alert fires is told that it ended.
    pub resolved: AlertHashes,
    /// Said to fire and said not to (`handover`), and not heard of yet.
    pub doubtful: AlertHashes,
    /// While the process waits: of which alerts, whatever group they are in, there has been word. What is in none of these
    /// may still be heard of.
    pub known: Option<Arc<BTreeSet<u64>>>,
}

/// What is known about one integration and one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub entry: Option<&'a Entry>,
    pub uncertain: &'a Uncertain,
}

impl Told<'_> {
    /// Whether the vendor knows, or may know, the alert as firing.
    #[must_use]
    pub(crate) fn as_firing(&self, hash: u64) -> bool {
        self.uncertain.firing.contains(hash)
            || self.entry.is_some_and(|entry| entry.firing.contains(hash))
    }

    /// Whether the vendor was told last that the alert is over.
    #[must_use]
    pub(crate) fn as_over(&self, hash: u64) -> bool {
        !self.as_firing(hash)
            && self
                .entry
                .is_some_and(|entry| entry.resolved.contains(hash))
    }

    /// What the vendor knows, or may know, as firing, and nobody has spoken of yet since the handover (`handover`).
    #[must_use]
    pub(crate) fn unheard(&self, flush: &FlushHashes) -> AlertHashes {
        let Some(known) = &flush.known else {
            return AlertHashes::default();
        };
        let told = self.entry.map(|entry| entry.firing.iter());
        let told = told.into_iter().flatten();
        told.chain(self.uncertain.firing.iter())
            .filter(|hash| flush.doubtful.contains(*hash) || !known.contains(hash))
            .collect()
    }

    /// What the vendor surely knows as firing.
    fn surely_firing(&self) -> AlertHashes {
        self.entry
            .map(|entry| entry.firing.without(&self.uncertain.ended))
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The integration already knows all of it.
    Nothing,
    Notify(NotificationReason),
    /// Nothing is sent, since the integration wants no resolved notifications; but the log must say that the
    /// alerts ended, so that their next firing is news.
    NoteResolved,
    /// What is known to fire is over, but that is not known of all that was told: to say that all is over waits until
    /// the rest is heard of.
    Wait,
}

/// The rules of Alertmanager 0.34's deduplication, in their order, with three repairs: an alert that was never told as
/// firing is not told as resolved; a repeat is due from the very instant on which the interval has passed
/// (a repeat interval that equals the group interval repeats at each flush instead of at every other one); and an end
/// that is not told is noted also while other alerts of the group fire.
#[must_use]
pub(crate) fn verdict(
    told: Told<'_>,
    flush: &FlushHashes,
    send_resolved: bool,
    repeat_interval: Duration,
) -> Verdict {
    let resolved_told = flush.resolved.iter().any(|hash| told.as_firing(hash));
    let known = told.surely_firing();
    if !flush.firing.is_subset(&known) {
        return Verdict::Notify(if known.is_empty() {
            NotificationReason::FirstNotification
        } else {
            NotificationReason::NewAlertsAdded
        });
    }
    if flush.firing.is_empty() {
        return match (resolved_told, send_resolved) {
            (false, _) => Verdict::Nothing,
            (true, false) => Verdict::NoteResolved,
            (true, true) if !told.unheard(flush).is_empty() => Verdict::Wait,
            (true, true) => Verdict::Notify(NotificationReason::AllAlertsResolved),
        };
    }
    if send_resolved && resolved_told {
        return Verdict::Notify(NotificationReason::SomeAlertsResolved);
    }
    match told.entry {
        Some(entry) if entry.at + repeat_interval <= flush.at => {
            Verdict::Notify(NotificationReason::RepeatIntervalElapsed)
        }
        Some(_) | None if resolved_told => Verdict::NoteResolved,
        Some(_) | None => Verdict::Nothing,
    }
}

/// The firing alerts to log once `flush` has been told.
///
/// While something fires, an alert that was told before and is only muted stays noted, so that its end can still be told.
/// When nothing unmuted fires the vendor has been told that all is over: a muted alert that outlives its mute must then be
/// a first notification again. What was not heard of yet is from here on only perhaps known ([`uncertain_after`]): it may
/// have ended unseen, and its next firing must be news.
#[must_use]
pub(crate) fn firing_after(told: Told<'_>, flush: &FlushHashes) -> AlertHashes {
    if flush.firing.is_empty() {
        return AlertHashes::default();
    }
    let stays = told.surely_firing().intersection(&flush.muted);
    flush.firing.union(&stays)
}

/// The alerts to log as over once `flush` has been told. Of a doubtful one the vendor still knows what it was told last.
#[must_use]
pub(crate) fn resolved_after(told: Told<'_>, flush: &FlushHashes) -> AlertHashes {
    let doubtful = flush.doubtful.iter().filter(|hash| told.as_over(*hash));
    flush.resolved.iter().chain(doubtful).collect()
}

/// What is still uncertain once `flush` has been told, and the vendor knows `firing`: an alert that is muted, or was not
/// heard of yet, is not mentioned, so what the vendor may know of it it still may. That is so too where nothing unmuted
/// fires and it has been told that all is over: not every vendor keeps one state for a group, and the end of what was
/// told as firing is owed to it.
#[must_use]
pub(crate) fn uncertain_after(
    told: Told<'_>,
    flush: &FlushHashes,
    firing: &AlertHashes,
) -> Uncertain {
    let unmentioned = flush.muted.union(&told.unheard(flush)).without(firing);
    Uncertain {
        firing: unmentioned
            .iter()
            .filter(|hash| told.as_firing(*hash))
            .collect(),
        ended: AlertHashes::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::Timestamp;
    use notifiers_core::{Memory, NotificationReason};
    use proptest::prelude::*;

    use super::{
        FlushHashes, Told, Verdict, firing_after, resolved_after, uncertain_after, verdict,
    };
    use crate::hashes::{AlertHashes, Uncertain};
    use crate::nflog::Entry;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOTHING: Verdict = Verdict::Nothing;
    const NOTE_RESOLVED: Verdict = Verdict::NoteResolved;
    const FIRST: Verdict = Verdict::Notify(NotificationReason::FirstNotification);
    const ADDED: Verdict = Verdict::Notify(NotificationReason::NewAlertsAdded);
    const REPEAT: Verdict = Verdict::Notify(NotificationReason::RepeatIntervalElapsed);
    const ALL: Verdict = Verdict::Notify(NotificationReason::AllAlertsResolved);
    const SOME: Verdict = Verdict::Notify(NotificationReason::SomeAlertsResolved);

    fn hashes(hashes: &[u64]) -> AlertHashes {
        hashes.iter().copied().collect()
    }

    fn logged(minutes_ago: u64, firing: &[u64], resolved: &[u64]) -> Entry {
        Entry {
            at: Timestamp::from_secs(100_000) - MINUTE * minutes_ago as u32,
            expires_at: Timestamp::MAX,
            firing: hashes(firing),
            resolved: hashes(resolved),
            memory: Memory::default(),
        }
    }

    fn flush(firing: &[u64], muted: &[u64], resolved: &[u64]) -> FlushHashes {
        FlushHashes {
            at: Timestamp::from_secs(100_000),
            firing: hashes(firing),
            muted: hashes(muted),
            resolved: hashes(resolved),
            doubtful: hashes(&[]),
            known: None,
        }
    }

    /// Repeat interval 10 minutes throughout; columns: entry, firing, resolved, verdict with and without
    /// `send_resolved`.
    #[test]
    fn follows_alertmanagers_table() {
        let f123 = |minutes_ago| Some(logged(minutes_ago, &[1, 2, 3], &[]));
        let f12_r3 = || Some(logged(1, &[1, 2], &[3]));
        type Row = (
            Option<Entry>,
            &'static [u64],
            &'static [u64],
            Verdict,
            Verdict,
        );
        #[rustfmt::skip]
        let rows: [Row; 16] = [
            (None, &[1], &[], FIRST, FIRST),
            (None, &[], &[1], NOTHING, NOTHING),
            (f123(1), &[2, 3, 4], &[], ADDED, ADDED),
            (f123(1000), &[1, 2, 3], &[], REPEAT, REPEAT),
            (f123(9), &[1, 2, 3], &[], NOTHING, NOTHING),
            (f123(10), &[1, 2, 3], &[], REPEAT, REPEAT),
            (f123(11), &[1, 2, 3], &[], REPEAT, REPEAT),
            (Some(logged(1, &[], &[1, 2])), &[], &[3], NOTHING, NOTHING),
            (Some(logged(1, &[], &[1, 2])), &[1], &[], FIRST, FIRST),
            (f12_r3(), &[1], &[2, 3], SOME, NOTE_RESOLVED),
            (f12_r3(), &[], &[1, 2, 3], ALL, NOTE_RESOLVED),
            (f12_r3(), &[1, 2], &[3], NOTHING, NOTHING),
            // Never told as firing, so not told as resolved.
            (f12_r3(), &[1, 2], &[4], NOTHING, NOTHING),
            // Nothing left unmuted, nothing resolved: silence, however old the entry.
            (f123(1000), &[], &[], NOTHING, NOTHING),
            (f123(1), &[1], &[], NOTHING, NOTHING),
            (None, &[], &[], NOTHING, NOTHING),
        ];
        for (row, (entry, firing, resolved, sending, not_sending)) in rows.iter().enumerate() {
            let told = Told {
                entry: entry.as_ref(),
                uncertain: &Uncertain::default(),
            };
            let flush = flush(firing, &[], resolved);
            assert_eq!(
                verdict(told, &flush, true, MINUTE * 10),
                *sending,
                "row {row}"
            );
            assert_eq!(
                verdict(told, &flush, false, MINUTE * 10),
                *not_sending,
                "row {row}, send_resolved false"
            );
        }
    }

    #[test]
    fn what_was_perhaps_told_is_told_again_or_resolved() {
        let uncertain = Uncertain {
            firing: hashes(&[1]),
            ended: hashes(&[]),
        };
        let told = Told {
            entry: None,
            uncertain: &uncertain,
        };
        assert_eq!(verdict(told, &flush(&[1], &[], &[]), true, MINUTE), FIRST);
        assert_eq!(verdict(told, &flush(&[], &[], &[1]), true, MINUTE), ALL);
        assert_eq!(verdict(told, &flush(&[], &[], &[2]), true, MINUTE), NOTHING);
    }

    #[test]
    fn what_was_perhaps_told_as_over_is_told_again_or_resolved() {
        let uncertain = Uncertain {
            firing: hashes(&[]),
            ended: hashes(&[1]),
        };
        for (known, firing, resolved, expected) in [
            (&[1_u64][..], &[1_u64][..], &[][..], FIRST),
            (&[1, 2], &[1, 2], &[], ADDED),
            (&[1, 2], &[2], &[], NOTHING),
            (&[1, 2], &[2], &[1], SOME),
            (&[1], &[], &[1], ALL),
        ] {
            let entry = logged(1, known, &[]);
            let told = Told {
                entry: Some(&entry),
                uncertain: &uncertain,
            };
            let flush = flush(firing, &[], resolved);
            assert_eq!(
                verdict(told, &flush, true, MINUTE * 10),
                expected,
                "{known:?} {firing:?} {resolved:?}"
            );
        }
    }

    #[test]
    fn a_told_alert_that_is_muted_stays_noted_while_something_fires() {
        let entry = logged(1, &[1, 2], &[]);
        let told = |ended: &[u64]| Uncertain {
            firing: hashes(&[]),
            ended: hashes(ended),
        };
        for (ended, firing, muted, expected) in [
            (&[][..], &[2_u64][..], &[1_u64][..], &[1_u64, 2][..]),
            (&[1], &[2], &[1], &[2]),
            (&[], &[2], &[3], &[2]),
            (&[], &[], &[1], &[]),
        ] {
            let told = Told {
                entry: Some(&entry),
                uncertain: &told(ended),
            };
            assert_eq!(
                firing_after(told, &flush(firing, muted, &[])),
                hashes(expected)
            );
        }
        let nothing = Told {
            entry: None,
            uncertain: &told(&[]),
        };
        assert_eq!(firing_after(nothing, &flush(&[2], &[1], &[])), hashes(&[2]));
    }
    #[test]
    fn what_is_uncertain_stays_so_only_for_alerts_that_are_muted_and_not_mentioned() {
        let uncertain = Uncertain {
            firing: hashes(&[1, 2]),
            ended: hashes(&[3]),
        };
        let entry = logged(1, &[3, 4], &[]);
        let told = Told {
            entry: Some(&entry),
            uncertain: &uncertain,
        };
        for (name, firing, muted, noted, stays) in [
            (
                "nothing fires: all is over but what is muted",
                &[][..],
                &[1, 4, 7][..],
                &[][..],
                &[1, 4][..],
            ),
            ("muted, perhaps told", &[9], &[1], &[9], &[1]),
            ("muted, surely told, and not noted", &[9], &[4], &[9], &[4]),
            ("muted, noted as firing: certain", &[9], &[4], &[4, 9], &[]),
            ("muted, told, perhaps ended", &[9], &[3], &[9], &[3]),
            ("muted, never told", &[9], &[7], &[9], &[]),
            ("not muted: mentioned", &[1, 2, 9], &[], &[1, 2, 9], &[]),
        ] {
            let after = uncertain_after(told, &flush(firing, muted, &[]), &hashes(noted));
            assert_eq!(after.firing, hashes(stays), "{name}");
            assert!(after.ended.is_empty(), "{name}");
        }
    }

    /// The third table of `handover`, for one alert, beside nothing else or beside one that fires and is known to: what is
    /// told, and how the integration knows the alert after that.
    #[test]
    fn what_was_not_heard_of_is_not_told_and_no_end_of_its_group() {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Knows {
            Surely,
            Perhaps,
            Nothing,
        }
        use Knows::{Nothing, Perhaps, Surely};
        const ALONE: bool = false;
        const BESIDE: bool = true;
        // What is told of 9, which was told and is over, decides whether there is a notification.
        #[rustfmt::skip]
        let rows = [
            // Doubtful or not known.
            (true,  "unheard", Surely,  ALONE,  Verdict::Wait, Surely),
            (true,  "unheard", Perhaps, ALONE,  Verdict::Wait, Perhaps),
            (true,  "unheard", Nothing, ALONE,  ALL,           Nothing),
            (true,  "unheard", Surely,  BESIDE, SOME,          Perhaps),
            (true,  "unheard", Perhaps, BESIDE, SOME,          Perhaps),
            (true,  "unheard", Nothing, BESIDE, SOME,          Nothing),
            (true,  "doubtful", Surely, ALONE,  Verdict::Wait, Surely),
            (true,  "doubtful", Surely, BESIDE, SOME,          Perhaps),
            // In another group by now: there is word of it, and here there never will be.
            (true,  "elsewhere", Surely, ALONE,  ALL,          Nothing),
            (true,  "elsewhere", Surely, BESIDE, SOME,         Nothing),
            // Not known, and waited for long enough.
            (false, "unheard", Surely,  ALONE,  ALL,           Nothing),
            (false, "unheard", Perhaps, ALONE,  ALL,           Nothing),
            (false, "unheard", Surely,  BESIDE, SOME,          Nothing),
            (false, "unheard", Perhaps, BESIDE, SOME,          Nothing),
            // Doubtful, firing here, and waited for long enough; or muted.
            (false, "muted",   Surely,  ALONE,  ALL,           Perhaps),
            (false, "muted",   Surely,  BESIDE, SOME,          Surely),
            (false, "muted",   Perhaps, BESIDE, SOME,          Perhaps),
            (true,  "muted",   Surely,  BESIDE, SOME,          Surely),
            // Heard of.
            (true,  "over",    Surely,  ALONE,  ALL,           Nothing),
            (true,  "over",    Perhaps, BESIDE, SOME,          Nothing),
            (true,  "firing",  Surely,  ALONE,  SOME,          Surely),
            (true,  "firing",  Perhaps, ALONE,  FIRST,         Surely),
            (true,  "firing",  Perhaps, BESIDE, ADDED,         Surely),
        ];
        for (row, (waits, alert, before, beside, expected, after)) in rows.into_iter().enumerate() {
            let of = |is: &str| if alert == is { vec![1] } else { vec![] };
            let mut firing = of("firing");
            let mut known = vec![];
            if beside {
                firing.push(2);
                known.push(2);
            }
            // Told before, over now.
            let mut resolved = of("over");
            resolved.push(9);
            if before == Surely {
                known.push(1);
            }
            let mut perhaps = vec![9];
            if before == Perhaps {
                perhaps.push(1);
            }
            let uncertain = Uncertain {
                firing: hashes(&perhaps),
                ended: hashes(&[]),
            };
            let entry = logged(1, &known, &[]);
            let told = Told {
                entry: Some(&entry),
                uncertain: &uncertain,
            };
            let known = (0..10).filter(|hash| *hash != 1 || alert != "unheard");
            let flush = FlushHashes {
                doubtful: hashes(&of("doubtful")),
                known: waits.then(|| Arc::new(known.collect())),
                ..flush(&firing, &of("muted"), &resolved)
            };
            let judged = verdict(told, &flush, true, MINUTE * 10);
            assert_eq!(judged, expected, "row {row}");
            let knows = |firing: &AlertHashes, uncertain: &Uncertain| {
                if firing.contains(1) {
                    Surely
                } else if uncertain.firing.contains(1) {
                    Perhaps
                } else {
                    Nothing
                }
            };
            let knows_then = if judged == Verdict::Wait {
                knows(&entry.firing, &uncertain)
            } else {
                let firing = firing_after(told, &flush);
                knows(&firing, &uncertain_after(told, &flush, &firing))
            };
            assert_eq!(knows_then, after, "row {row}");
        }
    }

    fn some_hashes() -> impl Strategy<Value = AlertHashes> {
        prop::collection::vec(0_u64..6, 0..6).prop_map(|hashes| hashes.into_iter().collect())
    }

    proptest! {
        /// Whatever was known before: once a flush is told and logged, the same flush has nothing more to tell, and the
        /// log knows as firing what it told as firing and nothing that it told as over.
        #[test]
        fn what_is_told_is_settled(
            known in prop::option::of(some_hashes()),
            perhaps in some_hashes(),
            perhaps_over in some_hashes(),
            firing in some_hashes(),
            muted in some_hashes(),
            resolved in some_hashes(),
            doubtful in some_hashes(),
            elsewhere in some_hashes(),
            over in some_hashes(),
            send_resolved: bool,
            waits: bool,
        ) {
            let entry = known.map(|known| {
                let resolved = over.without(&known);
                Entry { firing: known, resolved, ..logged(1, &[], &[]) }
            });
            let uncertain = Uncertain { firing: perhaps, ended: perhaps_over };
            let told = Told { entry: entry.as_ref(), uncertain: &uncertain };
            let muted = muted.without(&firing);
            let resolved = resolved.without(&firing).without(&muted);
            let doubtful = doubtful.without(&firing).without(&muted).without(&resolved);
            let here = firing.iter().chain(muted.iter()).chain(resolved.iter());
            let known = here.chain(doubtful.iter()).chain(elsewhere.iter()).collect();
            let known = waits.then(|| Arc::new(known));
            let flush = FlushHashes { firing, muted, resolved, doubtful, known, ..flush(&[], &[], &[]) };
            let judged = verdict(told, &flush, send_resolved, MINUTE * 10);
            if judged == Verdict::Wait {
                prop_assert!(flush.firing.is_empty() && waits && send_resolved);
                prop_assert!(!told.unheard(&flush).is_empty());
                return Ok(());
            }
            if judged == NOTHING {
                // Nothing that the vendor should hear of is kept from it.
                prop_assert!(flush.firing.is_subset(&told.surely_firing()));
                prop_assert!(!flush.resolved.iter().any(|hash| told.as_firing(hash)));
                return Ok(());
            }
            let firing = firing_after(told, &flush);
            let uncertain = uncertain_after(told, &flush, &firing);
            prop_assert!(flush.firing.is_subset(&firing));
            prop_assert!(!flush.resolved.intersects(&firing));
            prop_assert!(!flush.resolved.intersects(&uncertain.firing));
            // What was not heard of is known as before, or perhaps; all is over only where nothing is left to hear of.
            let after = Told { entry: None, uncertain: &Uncertain {
                firing: firing.union(&uncertain.firing),
                ..Uncertain::default()
            } };
            prop_assert_eq!(after.unheard(&flush), told.unheard(&flush));
            prop_assert!(
                judged != ALL || told.unheard(&flush).is_empty()
            );
            let resolved = resolved_after(told, &flush);
            let entry = Entry { firing, resolved, at: flush.at, ..logged(0, &[], &[]) };
            let before = told;
            let told = Told { entry: Some(&entry), uncertain: &uncertain };
            for hash in flush.doubtful.iter() {
                prop_assert_eq!(told.as_over(hash), before.as_over(hash));
            }
            prop_assert_eq!(verdict(told, &flush, send_resolved, MINUTE * 10), NOTHING);
        }
    }
}
