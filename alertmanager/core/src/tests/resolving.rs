//! Ends of alerts: who was told that an alert fires is told that it ended, whatever happens in between.
use model::Timestamp;
use notifiers_core::Outcome;

use crate::intake::AlertDraft;
use crate::protocol::{Deliver, Event};
use crate::record::Record;
use crate::tests::world::{Heard, PLAIN, Reaction, World, at, secs};

/// An entry of the log lives for ten minutes.
const OFTEN: &str = "
route: {receiver: team, group_by: [alertname], group_interval: 1m, repeat_interval: 5m}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";

fn ambiguous(takes: bool) -> Reaction {
    Reaction {
        takes,
        after: secs(1),
        outcome: Outcome::Ambiguous {
            reason: "no answer".to_owned(),
        },
        ..Reaction::fail()
    }
}

/// What is told at 330 seconds arrives, but its answer is lost; then the receiver is down for five minutes.
fn lost_answer_at_330(deliver: &Deliver, now: Timestamp) -> Reaction {
    if now < at(330) || now >= at(630) {
        Reaction::take()
    } else if deliver.attempt == 1 {
        ambiguous(true)
    } else {
        Reaction::fail()
    }
}

fn rejected() -> Reaction {
    Reaction {
        takes: false,
        after: secs(1),
        outcome: Outcome::Rejected {
            reason: "400".to_owned(),
        },
        ..Reaction::fail()
    }
}

#[test]
fn some_then_all_are_resolved_and_the_group_ends() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=b"]);
    world.until(400);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(2000);
    world.check(&[
        "30 first notification +a +b",
        "330 some alerts resolved +a -b",
        "630 all alerts resolved -a",
    ]);
    assert_eq!(world.machine.groups_len(), 0);
    world.fire(&["alertname=Down instance=a"]);
    world.until(2100);
    assert_eq!(world.lines()[3], "2030 first notification +a");
}

/// Upstream tells an end of which nobody has heard the beginning, where something else of the group is told.
#[test]
fn what_ends_before_it_was_told_is_never_told() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(10);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(400);
    // Joins and ends between two flushes.
    world.fire(&["alertname=Down instance=c"]);
    world.until(500);
    world.resolve(&["alertname=Down instance=c"]);
    world.until(3000);
    world.check(&["30 first notification +b"]);
}

#[test]
fn without_send_resolved_nothing_is_sent_but_the_next_firing_is_a_first_one() {
    let mut world = World::new(
        "
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x', send_resolved: false}]}]
",
    );
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(400);
    assert_eq!(world.machine.groups_len(), 0);
    world.fire(&["alertname=Down instance=a"]);
    world.until(500);
    world.check(&["30 first notification +a", "430 first notification +a"]);
}

/// Upstream notes an end that is not sent only when all of the group is over: what fires anew beside others is told with
/// the next repeat.
#[test]
fn without_send_resolved_what_fires_anew_beside_others_is_told() {
    let quiet = PLAIN.replace("'http://x'", "'http://x', send_resolved: false");
    for crash_at in [None, Some(350)] {
        let mut world = World::new(&quiet);
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        world.until(100);
        world.resolve(&["alertname=Down instance=b"]);
        if let Some(crash_at) = crash_at {
            world.until(crash_at);
            world.crash(secs(0));
        }
        world.until(400);
        world.fire(&["alertname=Down instance=b"]);
        world.until(1000);
        world.resolve(&["alertname=Down instance=b"]);
        world.until(5 * 3600);
        world.check(&[
            "30 first notification +a +b",
            "630 new alerts added +a +b",
            // Four hours after what was told last.
            "15030 repeat interval elapsed +a",
        ]);
    }
}

/// A mail that perhaps told of an alert which is over by now: that it ended is noted, and nothing is left of it.
#[test]
fn without_send_resolved_an_end_settles_what_was_uncertain() {
    let mail = "
global: {smtp_smarthost: 'mail:25', smtp_from: 'a@b'}
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, email_configs: [{to: 'x@y'}]}]
";
    let mut world = World::new(mail).with_script(|deliver, _| match deliver.id.0 {
        2 => ambiguous(false),
        _ => Reaction::take(),
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.fire(&["alertname=Down instance=b"]);
    world.until(400);
    world.resolve(&["alertname=Down instance=b"]);
    world.until(700);
    let firing = world.machine.view(world.now).alerts.len();
    assert_eq!((firing, world.machine.alerts_len()), (1, 2));
    world.until(3600);
    assert_eq!(world.machine.alerts_len(), 1, "the group let go of it");
    world.check(&["30 first notification +a"]);
}

#[test]
fn an_alert_that_is_not_sent_again_ends_by_itself() {
    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(240)));
    world.until(1000);
    world.check(&["30 first notification +a", "330 all alerts resolved -a"]);
}

/// Of two senders, one still says that it ended a minute ago, the other that it fires anew. Upstream believes whoever
/// spoke last.
#[test]
fn an_end_before_the_beginning_is_old_news() {
    let said = |starts_at: Option<i64>, ends_at: i64| AlertDraft {
        labels: [("alertname", "Down"), ("instance", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        starts_at: starts_at.map(at),
        ends_at: Some(at(ends_at)),
        ..AlertDraft::default()
    };
    let told = &["130 first notification +a"][..];
    for (resolve, heard) in [
        (said(Some(10), 50), told),
        (said(Some(10), 100), told),
        // It ends within its activity.
        (said(Some(10), 101), &[]),
        (said(Some(100), 110), &[]),
        // Somebody says that it is over, by a clock that is late.
        (said(None, 95), &[]),
    ] {
        let mut world = World::new(PLAIN);
        world.until(100);
        world.post_drafts(vec![said(Some(100), 1000)]);
        world.until(120);
        world.post_drafts(vec![resolve]);
        world.until(200);
        world.check(heard);
        world.crash(secs(0));
        world.until(400);
        world.check(heard);
    }
}

/// Upstream gives a notification up when its flush is over, and tries with the next one for as long as the alert is in
/// the group.
#[test]
fn a_resolve_waits_for_a_receiver_that_is_down() {
    let mut world = World::new(PLAIN).with_script(|_, now| {
        if at(100) < now && now < at(3600) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(200);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(7200);
    let lines = world.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        (3600..3661).contains(&world.heard[1].at),
        "within a minute of the receiver's return: {lines:?}"
    );
    assert!(lines[1].ends_with("all alerts resolved -a"), "{lines:?}");
    assert_eq!(world.machine.groups_len(), 0);
}

/// Much longer than the log remembers what is repeated so often.
/// Upstream forgets what was told after twice the repeat interval: then it does not know that it owes an end, and the
/// incident stays open.
#[test]
fn a_resolve_waits_for_a_receiver_that_is_down_for_days() {
    const DAY: i64 = 24 * 3600;
    for resolved_at in [100, 3600, 2 * DAY] {
        let mut world = World::new(OFTEN).with_script(|_, now| {
            if at(60) < now && now < at(4 * DAY) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        });
        world.fire(&["alertname=Down instance=a"]);
        world.until(resolved_at);
        world.resolve(&["alertname=Down instance=a"]);
        world.until(4 * DAY + 120);
        let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
        assert_eq!(
            lines,
            ["first notification +a", "all alerts resolved -a"],
            "resolved at {resolved_at}"
        );
        assert_eq!(world.machine.groups_len(), 0);
        assert_eq!(world.abandoned(), [""; 0]);
    }
}

/// A receiver that never comes back does not keep its groups for ever.
#[test]
fn a_resolve_that_nobody_takes_is_given_up_aloud_after_the_retention() {
    const DAY: i64 = 24 * 3600;
    for failing in [Reaction::fail(), rejected()] {
        let waits = failing.outcome == Reaction::fail().outcome;
        let mut world = World::new(OFTEN).with_script(move |_, now| {
            if now < at(60) {
                Reaction::take()
            } else {
                failing.clone()
            }
        });
        world.fire(&["alertname=Down instance=a"]);
        world.until(100);
        world.resolve(&["alertname=Down instance=a"]);
        world.until(5 * DAY);
        assert_eq!(world.machine.groups_len(), 1);
        world.until(5 * DAY + 3600);
        assert_eq!(world.machine.groups_len(), 0);
        // What is rejected has been said to be so each time.
        let abandoned = if waits { 1 } else { 0 };
        assert_eq!(world.abandoned(), vec!["expired: 1 alerts, 503"; abandoned]);
    }
}

/// A long outage ends with the current state, not with a replay of history.
#[test]
fn newer_state_takes_the_place_of_what_waits() {
    let mut world = World::new(PLAIN).with_script(|_, now| {
        if now < at(3600) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(1000);
    world.fire(&["alertname=Down instance=b"]);
    world.until(2000);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(7200);
    assert_eq!(world.heard.len(), 1, "{:?}", world.lines());
    assert!(world.lines()[0].ends_with("first notification +b"));
    assert_eq!(world.abandoned(), ["alerts_ended: 1 alerts, 503"]);
}

#[test]
fn what_was_never_taken_and_has_ended_is_dropped_aloud() {
    let mut world = World::new(PLAIN).with_script(|_, _| Reaction::fail());
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(1000);
    assert_eq!(world.abandoned(), [""; 0]);
    world.resolve(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(2000);
    assert_eq!(world.machine.groups_len(), 0);
    let attempts = world.attempts.len();
    world.until(7200);
    assert_eq!(world.attempts.len(), attempts, "nothing is tried any more");
    world.check(&[]);
    assert_eq!(world.abandoned(), ["alerts_ended: 2 alerts, 503"]);
}

/// A repeat of what is known, what was perhaps heard, and what is silenced is no page that nobody heard of.
#[test]
fn nothing_is_called_abandoned_of_which_somebody_knows() {
    let down_from = |from: i64| {
        move |_: &Deliver, now: Timestamp| {
            if now >= at(from) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        }
    };
    // The repeat after four hours fails; then the alert ends.
    let mut world = World::new(PLAIN).with_script(down_from(100));
    world.fire(&["alertname=Down instance=a"]);
    world.until(5 * 3600);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(5 * 3600 + 600);
    assert!(world.attempts.len() > 1);
    assert_eq!(world.abandoned(), [""; 0]);

    let mut world = World::new(PLAIN).with_script(|_, _| ambiguous(false));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(1000);
    assert_eq!(world.abandoned(), [""; 0]);

    let mut world = World::new(PLAIN).with_script(down_from(0));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.silence("alertname", "Down", 2000);
    world.until(1000);
    assert_eq!(world.abandoned(), [""; 0]);
}

/// The attempt that fails after the alert's end must not be the last that the group hears of it: the next one arrives.
#[test]
fn an_alert_that_ends_while_its_page_is_tried_again_is_resolved_and_fires_anew() {
    let mut failures_after_the_end = 0;
    let mut world = World::new(PLAIN).with_script(move |_, now| {
        failures_after_the_end += i32::from(now >= at(100));
        if failures_after_the_end <= 1 {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(400);
    world.fire(&["alertname=Down instance=a"]);
    world.until(700);
    let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
    assert_eq!(
        lines,
        [
            "first notification +a",
            "all alerts resolved -a",
            "first notification +a"
        ]
    );
}

/// Upstream logs only what was answered: of an alert that was told without an answer, and ends, it never says so.
#[test]
fn what_was_perhaps_told_is_resolved() {
    // The first attempt arrives, but its answer is lost, and so are the next ones until the alert has ended.
    let mut world = World::new(PLAIN).with_script(|deliver, now| {
        if deliver.id.0 == 1 {
            ambiguous(true)
        } else if now < at(330) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(1000);
    let lines = world.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].ends_with("all alerts resolved -a"), "{lines:?}");
    assert_eq!(world.machine.groups_len(), 0);
}

/// The vendor has perhaps closed the incident: the next firing must not count as known.
/// Upstream's log still has it as firing, so that its next firing is no news: no page comes until `repeat_interval`.
#[test]
fn what_was_perhaps_told_as_resolved_fires_anew() {
    let mail = "
global: {smtp_smarthost: 'mail:25', smtp_from: 'a@b'}
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, email_configs: [{to: 'x@y', send_resolved: true}]}]
";
    for yaml in [PLAIN, mail] {
        let mut world = World::new(yaml).with_script(lost_answer_at_330);
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        world.until(100);
        world.resolve(&["alertname=Down instance=a"]);
        world.until(400);
        world.fire(&["alertname=Down instance=a"]);
        world.until(1000);
        let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
        assert_eq!(
            lines,
            [
                "first notification +a +b",
                "some alerts resolved +b -a",
                "new alerts added +a +b",
            ]
        );
    }
}

#[test]
fn what_was_perhaps_told_as_resolved_before_a_restart_fires_anew() {
    let mut world = World::new(PLAIN).with_script(|_, now| Reaction {
        after: secs(if now == at(330) { 5 } else { 0 }),
        ..Reaction::take()
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(332);
    world.crash(secs(1));
    world.fire(&["alertname=Down instance=a"]);
    world.until(1000);
    world.check(&[
        "30 first notification +a",
        "330 all alerts resolved -a",
        "333 first notification +a",
    ]);
}

/// While it is silenced nobody is told that it fires again, but afterwards.
#[test]
fn what_was_perhaps_told_as_resolved_fires_anew_after_its_silence() {
    let mut world = World::new(PLAIN).with_script(lost_answer_at_330);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(400);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=c"]);
    world.silence("instance", "a", 1000);
    world.until(2000);
    let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
    assert_eq!(
        lines,
        [
            "first notification +a +b",
            "some alerts resolved +b -a",
            "new alerts added +b +c",
            "new alerts added +a +b +c"
        ]
    );
}

/// What a message does not mention it does not settle.
/// Upstream has logged nothing of it, and never closes its incident.
#[test]
fn what_was_perhaps_told_before_its_silence_is_resolved() {
    for crash_at in [None, Some(900)] {
        let mut world = World::new(PLAIN).with_script(lost_answer_at_330);
        world.fire(&["alertname=Down instance=a"]);
        world.until(100);
        world.fire(&["alertname=Down instance=b"]);
        world.until(400);
        world.silence("instance", "b", 5000);
        world.fire(&["alertname=Down instance=c"]);
        if let Some(crash_at) = crash_at {
            world.until(crash_at);
            world.crash(secs(0));
        }
        world.until(1000);
        world.resolve(&["alertname=Down instance=b"]);
        world.until(2000);
        let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
        assert_eq!(
            lines,
            [
                "first notification +a",
                "new alerts added +a +b",
                "new alerts added +a +c",
                "some alerts resolved +a +c -b"
            ]
        );
        let snapshot = world.machine.snapshot(world.now);
        let mut uncertain = snapshot
            .iter()
            .filter(|record| matches!(record, Record::Attempted { .. }));
        assert_eq!(uncertain.next(), None);
    }
}

/// Upstream sends both again at once: whoever reads mail or Slack sees the same page several times.
#[test]
fn an_unanswered_webhook_is_sent_again_at_once_and_an_unanswered_mail_at_the_next_flush() {
    let both = "
global: {smtp_smarthost: 'mail:25', smtp_from: 'a@b'}
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}], email_configs: [{to: 'x@y'}]}]
";
    let mut world = World::new(both).with_script(|_, now| {
        if now < at(60) {
            ambiguous(true)
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(600);
    let attempts = |kind: &str| {
        world
            .attempts
            .iter()
            .filter(|(_, deliver)| deliver.key.integration == kind)
            .map(|(at, _)| at.as_millis() / 1000 - 1_000_000)
            .collect::<Vec<i64>>()
    };
    assert_eq!(attempts("email"), [30, 330]);
    assert!(attempts("webhook").len() > 2, "{:?}", attempts("webhook"));
}

#[test]
fn what_was_rejected_is_tried_at_the_next_flush_only() {
    let mut world = World::new(PLAIN).with_script(|_, now| {
        if now < at(600) {
            rejected()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(1000);
    world.check(&["630 first notification +a"]);
    assert_eq!(world.attempts.len(), 3);
}

#[test]
fn a_flush_during_an_attempt_waits_for_its_end() {
    let quick = "
route: {receiver: team, group_by: [alertname], group_wait: 1s, group_interval: 2s}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";
    let mut world = World::new(quick).with_script(|_, _| Reaction {
        after: secs(7),
        ..Reaction::take()
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(4);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(60);
    // The resolve is told when the first message has arrived, not beside it.
    world.check(&["1 first notification +a", "8 all alerts resolved -a"]);
}

#[test]
fn each_integration_has_its_own_log() {
    let two = "
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}, {url: 'http://y', send_resolved: false}]}]
";
    let mut world = World::new(two).with_script(|deliver, now| {
        if deliver.key.index == 0 && now < at(40) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(1000);
    let of = |index: u32| {
        world
            .heard
            .iter()
            .filter(|heard| heard.integration == index)
            .map(|heard| heard.reason.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(0), ["first notification", "all alerts resolved"]);
    assert_eq!(of(1), ["first notification"]);
}

/// Dashboards hold failures against notifications: what has not arrived when its group is flushed anew has failed once,
/// however often it was tried.
#[test]
fn what_has_not_arrived_by_the_next_flush_is_missed() {
    let missed = |world: &World| -> Vec<(&'static str, bool)> {
        let missed = |event: &Event| {
            let Event::NotificationMissed {
                failure, replaced, ..
            } = event
            else {
                return None;
            };
            Some((failure.as_str(), *replaced))
        };
        world.events.iter().filter_map(missed).collect()
    };
    let failing_until = |until: i64| {
        move |_: &Deliver, now: Timestamp| {
            if now < at(until) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        }
    };
    // Flushes are at 30, 330, 630 and 930 s.
    for (until, expected) in [(0, 0), (200, 0), (400, 1), (700, 2)] {
        let mut world = World::new(PLAIN).with_script(failing_until(until));
        world.fire(&["alertname=Down instance=a"]);
        world.until(2000);
        assert_eq!(world.heard.len(), 1, "{until}");
        assert_eq!(
            missed(&world),
            vec![("serverError", true); expected],
            "{until}"
        );
    }
    let mut world = World::new(PLAIN).with_script(failing_until(9999));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(1000);
    assert_eq!(missed(&world), [("serverError", false)]);

    let mut world = World::new(PLAIN).with_script(failing_until(9999));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(&PLAIN.replace("team", "crew"));
    world.until(200);
    assert_eq!(missed(&world)[0], ("contextCanceled", false));
}
