//! When a group tells: waits, intervals, repeats, and how failures move none of them.
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use config::{IntegrationSettings, Secret, SecretSource};
use notifiers_core::Outcome;

use crate::protocol::{Answer, Event};
use crate::tests::world::{PLAIN, Reaction, World, at, secs};

const WATCHDOG: &str = "
route: {receiver: team, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 1m}
receivers: [{name: team, webhook_configs: [{url: 'http://x', send_resolved: false}]}]
";

/// Upstream measures a repeat from when the last one had been sent, which is after its flush: the flush four hours
/// later comes too early by that much, and the repeat goes out with the one after.
#[test]
fn waits_then_flushes_then_repeats() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(10);
    world.fire(&["alertname=Down instance=b"]);
    world.until(100);
    world.fire(&["alertname=Down instance=c"]);
    world.until(5 * 3600);
    world.check(&[
        "30 first notification +a +b",
        "330 new alerts added +a +b +c",
        // Exactly four hours after 330: upstream is one interval later.
        "14730 repeat interval elapsed +a +b +c",
    ]);
}

#[test]
fn groups_are_apart() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Full instance=a"]);
    world.until(60);
    let groups: Vec<&str> = world
        .heard
        .iter()
        .map(|heard| heard.group.as_str())
        .collect();
    assert_eq!(
        groups,
        [r#"{}:{alertname="Down"}"#, r#"{}:{alertname="Full"}"#]
    );
}

/// Upstream's first notification after a restart holds one alert, its siblings wait a group interval.
#[test]
fn late_alerts_are_told_at_once_and_all_of_a_batch_together() {
    let mut world = World::new(PLAIN);
    let mut drafts = Vec::new();
    for instance in ["a", "b", "c"] {
        drafts.push(crate::intake::AlertDraft {
            labels: [("alertname", "Down"), ("instance", instance)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            starts_at: Some(at(-3600)),
            ..Default::default()
        });
    }
    world.post_drafts(drafts);
    world.until(1);
    world.check(&["0 first notification +a +b +c"]);
}

/// A repeat interval that equals the group interval halves the rate upstream.
#[test]
fn a_watchdog_beats_once_an_interval_and_never_drifts() {
    // Each delivery takes between nothing and some seconds, as receivers do.
    let mut world = World::new(WATCHDOG).with_script(|deliver, _| Reaction {
        after: Duration::from_millis(deliver.id.0 * 997 % 7000),
        ..Reaction::take()
    });
    world.fire(&["alertname=Watchdog instance=w"]);
    // The last beat is at 10 s + 999 intervals.
    world.until(10 + 60 * 999 + 30);
    assert_eq!(world.heard.len(), 1000);
    for (beat, heard) in world.heard.iter().enumerate() {
        assert_eq!(heard.at, 10 + 60 * beat as i64, "beat {beat}");
    }
}

/// As upstream: here the grid is that of when the group began, there each flush counts from when the timer of the one
/// before fired.
#[test]
fn a_failing_receiver_is_tried_again_within_its_interval_and_the_grid_stays() {
    let mut world = World::new(WATCHDOG).with_script(|deliver, now| {
        if now < at(100) && deliver.attempt < 3 {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Watchdog instance=w"]);
    world.until(600);
    let beats: Vec<i64> = world.heard.iter().map(|heard| heard.at).collect();
    assert_eq!(beats.len(), 10, "{beats:?}");
    assert!((10..14).contains(&beats[0]), "{beats:?}");
    assert!((70..74).contains(&beats[1]), "{beats:?}");
    assert_eq!(beats[2..], [130, 190, 250, 310, 370, 430, 490, 550]);
}

/// Upstream's timers count from when they fired: each late one moves all that follow, so that replicas drift apart.
#[test]
fn a_process_that_slept_flushes_once_and_on_the_grid() {
    let mut world = World::new(WATCHDOG);
    world.fire(&["alertname=Watchdog instance=w"]);
    world.until(70);
    // Nobody called for an hour and 13 seconds.
    world.now = at(70 + 3613);
    world.until(70 + 3700);
    world.check(&[
        "10 first notification +w",
        "70 repeat interval elapsed +w",
        "3683 repeat interval elapsed +w",
        "3730 repeat interval elapsed +w",
    ]);
}

/// A next attempt and a flush that are overdue together: what is told is what the flush has found.
#[test]
fn a_process_that_slept_tells_what_is_so_now() {
    let mut world = World::new(PLAIN).with_script(|_, now| {
        if now < at(400) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a", "alertname=Full instance=a"]);
    world.until(40);
    world.now = at(400);
    world.resolve(&["alertname=Down instance=a"]);
    world.fire(&["alertname=Full instance=b"]);
    world.until(500);
    world.check(&["400 first notification +a +b"]);
}

/// Upstream does not look at `Retry-After`, and takes 429 for final at most integrations: the page is lost until the
/// next flush.
#[test]
fn retries_back_off_with_jitter_and_honour_the_vendors_word() {
    let mut world = World::new(PLAIN).with_script(|deliver, now| match deliver.attempt {
        1..=3 => Reaction::fail(),
        4 => Reaction {
            outcome: Outcome::Retry {
                not_before: Some(now + secs(90)),
                reason: "429".to_owned(),
            },
            ..Reaction::fail()
        },
        5 => Reaction {
            outcome: Outcome::Retry {
                not_before: Some(now + secs(7 * 24 * 3600)),
                reason: "429".to_owned(),
            },
            ..Reaction::fail()
        },
        _ => Reaction::take(),
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(2 * 3600);
    let waits: Vec<u128> = world
        .attempts
        .windows(2)
        .map(|pair| pair[1].0.saturating_since(pair[0].0).as_millis())
        .collect();
    assert_eq!(waits.len(), 5, "{waits:?}");
    for (wait, (least, most)) in
        waits
            .iter()
            .zip([(250, 750), (375, 1125), (562, 1688), (90_000, 90_000)])
    {
        assert!((least..=most).contains(wait), "{waits:?}");
    }
    // No vendor holds a page back for longer than an hour.
    assert_eq!(waits[4], 3_600_000);
}

#[test]
fn the_same_seed_gives_the_same_retries() {
    let run = || {
        let mut world = World::new(PLAIN).with_script(|_, _| Reaction::fail());
        world.fire(&["alertname=Down instance=a"]);
        world.until(3600);
        world.attempts.iter().map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let attempts = run();
    assert_eq!(attempts, run());
    // At most a minute apart, and never given up.
    assert!(attempts.len() > 60, "{}", attempts.len());
}

/// An attempt ends before the next flush of its group, so no receiver can hold its group back.
#[test]
fn an_attempt_is_given_until_the_next_flush() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(60);
    assert_eq!(world.attempts[0].1.deadline, at(330));
}

/// A beat that hangs until the next one is due holds that one back by nothing, whether its receiver may be told twice
/// (a webhook) or not (Slack).
#[test]
fn an_attempt_that_hangs_delays_no_flush() {
    let slack = WATCHDOG.replace(
        "webhook_configs: [{url:",
        "slack_configs: [{channel: c, api_url:",
    );
    for yaml in [WATCHDOG, &slack] {
        let mut world = World::new(yaml).with_script(|deliver, now| {
            if now < at(200) {
                Reaction::hang(deliver, now)
            } else {
                Reaction::take()
            }
        });
        world.fire(&["alertname=Watchdog instance=w"]);
        world.until(100);
        world.fire(&["alertname=Watchdog instance=new"]);
        world.until(400);
        let begun: Vec<_> = world.attempts.iter().map(|(begun, _)| *begun).collect();
        assert_eq!(begun, [10, 70, 130, 190, 250, 310, 370].map(at), "{yaml}");
        // The first that comes through tells of the alert that joined while others hung.
        world.check(&[
            "250 first notification +new +w",
            "310 repeat interval elapsed +new +w",
            "370 repeat interval elapsed +new +w",
        ]);
    }
}

/// What a flush has found goes out with it, however long the wait has grown; the vendor's own word alone holds it back.
#[test]
fn a_flush_waits_for_no_retry() {
    for (not_before, told) in [(None, 330), (Some(at(340)), 340)] {
        let mut world = World::new(PLAIN).with_script(move |_, now| {
            if now < at(329) {
                Reaction {
                    outcome: Outcome::Retry {
                        not_before: not_before.filter(|_| now > at(250)),
                        reason: "503".to_owned(),
                    },
                    ..Reaction::fail()
                }
            } else {
                Reaction::take()
            }
        });
        world.fire(&["alertname=Down instance=a"]);
        world.until(100);
        world.fire(&["alertname=Down instance=b"]);
        world.until(400);
        world.check(&[&format!("{told} first notification +a +b")]);
        let (begun, _) = world.attempts.last().unwrap();
        assert_eq!(*begun, at(told));
    }
}

/// Whoever waits in vain waits in front the next time, and nothing counts as perhaps told.
#[test]
fn turns_that_are_missed_are_counted_until_one_comes() {
    let mut world = World::new(PLAIN);
    let missed = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&missed);
    world.script = Box::new(move |deliver, now| {
        noted.borrow_mut().push(deliver.turns_missed);
        match deliver.attempt {
            1 | 2 | 4 => Reaction::miss_turn(deliver, now),
            3 => Reaction::fail(),
            _ => Reaction::take(),
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(1500);
    assert_eq!(*missed.borrow(), [0, 1, 2, 0, 1]);
    // The third was refused at once; each of the others waited until a flush, and went again with it.
    world.check(&["930 first notification +a"]);
}

/// The mend waits ten seconds for whoever hangs at the old address, and not for the next flush.
#[test]
fn a_reload_hurries_what_hangs() {
    let mut world = World::new(PLAIN).with_script(|deliver, now| {
        let IntegrationSettings::Webhook(webhook) = &deliver.integration.settings else {
            unreachable!("there are only webhooks");
        };
        if webhook.url == SecretSource::Inline(Secret::new("http://x")) {
            Reaction::hang(deliver, now)
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(40);
    world.reload(&PLAIN.replace("http://x", "http://mended"));
    world.until(1000);
    world.check(&["50 first notification +a"]);
}

/// Upstream begins all timers anew with `group_wait`: each reload moves the grid of every group.
#[test]
fn a_reload_keeps_the_timers_of_groups_that_stay() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(20);
    // The route moves, its groups keep their key.
    let moved = "
route: {receiver: team, group_by: [alertname], routes: [{matchers: ['x=\"y\"']}]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";
    world.reload(moved);
    world.until(100);
    world.fire(&["alertname=Down instance=b"]);
    world.until(200);
    world.reload(PLAIN);
    world.until(400);
    world.check(&["30 first notification +a", "330 new alerts added +a +b"]);
}

/// Upstream breaks a notification off at a reload; whoever was about to answer is told twice.
#[test]
fn a_reload_does_not_disturb_what_is_under_way() {
    let mut world = World::new(PLAIN).with_script(|_, _| Reaction {
        after: secs(5),
        ..Reaction::take()
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(32);
    world.reload(PLAIN);
    world.until(700);
    world.check(&["30 first notification +a"]);
    assert_eq!(world.machine.nflog().len(), 1);
}

#[test]
fn a_burst_of_reloads_builds_the_groups_once_and_the_last_one_counts() {
    let renamed = |name: &str| PLAIN.replace("team", name);
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Full instance=a"]);
    world.answers.clear();
    for number in 0..100 {
        world.reload(&renamed(&format!("crew-{number}")));
        // What comes between two of them is taken in as well.
        world.fire(&[&format!("alertname=Down instance={number}")]);
    }
    let configured = |world: &World| {
        let answers = world.answers.iter();
        answers
            .filter(|answer| **answer == Answer::Configured)
            .count()
    };
    assert_eq!(configured(&world), 0, "answered before it is in force");
    world.until(0);
    assert_eq!(configured(&world), 100);
    let events = world.events.iter();
    assert_eq!(
        events
            .filter(|event| matches!(event, Event::Configured { groups: 2 }))
            .count(),
        1
    );
    world.until(60);
    assert_eq!(world.heard.len(), 2);
    for (_, order) in &world.attempts {
        assert_eq!(order.key.receiver, "crew-99");
    }
    assert_eq!(world.heard[0].firing.len(), 101);
}
