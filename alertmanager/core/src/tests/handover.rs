//! Another Alertmanager works on the data folder while the process is down, and leaves its notification log behind.
use std::collections::BTreeSet;

use notifiers_core::Outcome;

use crate::intake::AlertDraft;
use crate::tests::world::{Heard, PLAIN, Reaction, World, at, labels, policy, secs};

/// What was heard from here on.
fn words(world: &World, from: usize) -> Vec<String> {
    world.heard[from..].iter().map(Heard::words).collect()
}

/// As [`words`], of the integration with this number.
fn words_of(world: &World, integration: u32, from: usize) -> Vec<String> {
    let heard = world.heard[from..].iter();
    heard
        .filter(|heard| heard.integration == integration)
        .map(Heard::words)
        .collect()
}

fn both() -> String {
    PLAIN.replace("}]}", "}, {url: 'http://y'}]}")
}

const A: &str = "alertname=Down instance=a";
const B: &str = "alertname=Down instance=b";
const C: &str = "alertname=Down instance=c";
const D: &str = "alertname=Down instance=d";

/// Some fire and are told here. At 400 seconds another one has told that others fire, and at 500 this one is back.
fn hand_over(world: &mut World, here: &[&str], elsewhere: &str) {
    world.fire(here);
    world.until(100);
    world.told_elsewhere(0, 400, elsewhere, "");
    world.crash(secs(400));
}

/// The other one's word stands where it was taken over: what this process has tried to tell since is not undone by it.
#[test]
fn what_may_have_been_told_after_a_handover_outlives_a_restart() {
    for compacted in [false, true] {
        // a: its end may have been told, and it fires anew. c: it may have been told, and has ended.
        for (meanwhile, then, told) in [
            (
                &["-a"][..],
                &["+a"][..],
                ["some alerts resolved +b -a", "new alerts added +a +b"],
            ),
            (
                &["+c"],
                &["-c"],
                ["new alerts added +a +b +c", "some alerts resolved +a +b -c"],
            ),
        ] {
            let mut world = World::new(PLAIN).with_script(|_, now| {
                if (at(700)..at(730)).contains(&now) {
                    Reaction {
                        after: secs(60),
                        outcome: Outcome::Ambiguous {
                            reason: "no answer".to_owned(),
                        },
                        ..Reaction::take()
                    }
                } else {
                    Reaction::take()
                }
            });
            hand_over(&mut world, &[A], "a b");
            world.fire(&[A, B]);
            world.until(620);
            let said = |world: &mut World, words: &[&str]| {
                for word in words {
                    let (sign, instance) = word.split_at(1);
                    let alert = format!("alertname=Down instance={instance}");
                    match sign {
                        "+" => world.fire(&[&alert]),
                        _ => world.resolve(&[&alert]),
                    }
                }
            };
            said(&mut world, meanwhile);
            world.until(710);
            said(&mut world, then);
            if compacted {
                world.compact();
            }
            world.until(720);
            world.crash(secs(20));
            world.until(2000);
            assert_eq!(words(&world, 1), told, "compacted: {compacted}");
        }
    }
}

/// Two integrations were told at different times. What was told last of an alert is what is known of it.
#[test]
fn the_latest_word_of_an_alert_decides() {
    for (newer, older, told) in [
        // The end of b was told to one of them only: it is owed to the other.
        (
            ("a c", "b"),
            "a b c",
            [&[][..], &["some alerts resolved +a +c -b"]],
        ),
        // All is over, and one of them did not hear.
        (("", "a b"), "a b", [&[], &["all alerts resolved -a -b"]]),
        // It was told as over in between, or was muted.
        (("a c", ""), "a b c", [&[], &[]]),
        // It fires.
        (("a b c", ""), "a c", [&[], &["new alerts added +a +b +c"]]),
    ] {
        let mut world = World::new(&both());
        world.fire(&[A, B]);
        world.until(100);
        world.told_elsewhere(0, 1000, newer.0, newer.1);
        world.told_elsewhere(1, 400, older, "");
        let before = world.heard.len();
        world.crash(secs(1000));
        if newer.0.contains('c') {
            world.fire(&[C]);
        }
        world.until(1500);
        for (index, told) in (0..).zip(told) {
            let heard = words_of(&world, index, before);
            assert_eq!(heard, told, "{newer:?}, before {older}: {index}");
        }
    }
}

/// Doubt is known however the process ends and whatever was told meanwhile, until somebody speaks of the alert.
#[test]
fn what_is_in_doubt_stays_so_until_it_is_heard_of() {
    let expected = "new alerts added +a +c +d";
    for (compacted, told_meanwhile, heard_of) in [
        (false, false, false),
        (false, true, false),
        (true, false, false),
        (true, true, false),
        (true, true, true),
    ] {
        let mut world = World::new(PLAIN);
        world.fire(&[A, B]);
        world.until(100);
        world.told_elsewhere(0, 1000, "a c", "");
        world.crash(secs(1000));
        world.fire(&[A, C]);
        world.until(1200);
        if told_meanwhile {
            world.fire(&[D]);
        }
        world.until(1400);
        let lines = if told_meanwhile { &[expected][..] } else { &[] };
        assert_eq!(words(&world, 1), lines);
        if compacted {
            world.compact();
        }
        world.crash(secs(10));
        world.until(2000);
        if compacted {
            world.compact();
        }
        world.crash(secs(10));
        world.until(3000);
        assert_eq!(words(&world, 1), lines, "{compacted} {told_meanwhile}");
        if heard_of {
            world.fire(&[B]);
            world.until(3100);
            let last = words(&world, 2);
            assert_eq!(last, ["new alerts added +a +b +c +d"]);
        }
    }
}

/// The file is read at every start, and written but now and then.
#[test]
fn an_entry_of_the_file_is_taken_over_once() {
    // The other one told all as over, to one of the two, later than what this process goes on with; or its clock is ahead.
    for told_at in [790, 90_000] {
        for compacted in [false, true] {
            let mut world = World::new(&both());
            world.fire(&[A]);
            world.until(100);
            world.told_elsewhere(0, told_at, "", "a");
            world.told_elsewhere(1, 400, "a b", "");
            world.crash(secs(700));
            let before = world.heard.len();
            world.fire(&[A]);
            world.until(1200);
            let told = words_of(&world, 0, before);
            assert_eq!(told, ["first notification +a"], "{told_at}");
            for _ in 0..2 {
                if compacted {
                    world.compact();
                }
                world.crash(secs(5));
                world.until(1200 + 10);
            }
            world.until(2000);
            assert_eq!(words_of(&world, 0, before), told, "{told_at} {compacted}");
        }
    }
}

/// Its own clock was ahead when it wrote the file.
#[test]
fn the_own_word_of_an_old_time_is_not_taken_over() {
    for compacted in [false, true] {
        let mut world = World::new(PLAIN);
        world.until(7200);
        world.fire(&[A]);
        world.until(7300);
        world.export();
        world.now = at(3600);
        world.crash(secs(0));
        world.fire(&[B]);
        world.until(4000);
        world.resolve(&[A]);
        world.until(4300);
        let told = words(&world, 0);
        if compacted {
            world.compact();
        }
        world.crash(secs(10));
        world.until(5000);
        assert_eq!(words(&world, 0), told);
        assert_eq!(told.len(), 3, "{told:?}");
    }
}

/// An alert that this process may have told, or knows that another one has told, is in doubt where it is left out; one
/// that nobody was told of whom the other one spoke to is news.
#[test]
fn whoever_was_told_of_an_alert_is_not_told_of_it_again_before_it_is_heard_of() {
    // Told in doubt: nobody knows the end of the attempt.
    let mut world = World::new(PLAIN).with_script(|_, now| Reaction {
        after: if now < at(400) { secs(60) } else { secs(0) },
        ..Reaction::take()
    });
    world.fire(&[A]);
    world.until(100);
    world.fire(&[B]);
    world.until(340);
    world.told_elsewhere(0, 1000, "a c", "");
    world.crash(secs(1000));
    world.until(2000);
    assert_eq!(words(&world, 2), [""; 0]);
    // Its end is told all the same: who may have been told that it fires is owed that.
    world.resolve(&[B]);
    world.until(3000);
    assert_eq!(words(&world, 2), ["some alerts resolved +a -b"]);

    // Told by an earlier handover, whose entry a newer one has replaced.
    let mut world = World::new(PLAIN);
    world.fire(&[A]);
    world.until(100);
    world.fire(&[B]);
    world.until(120);
    world.told_elsewhere(0, 400, "a b", "");
    world.crash(secs(400));
    world.until(550);
    world.told_elsewhere(0, 900, "a c", "");
    world.crash(secs(500));
    world.until(2000);
    assert_eq!(words(&world, 1), [""; 0]);

    // One of two was told; the other one's entry, which leaves it out, is about somebody who never was.
    let mut world = World::new(&both()).with_script(|order, now| {
        if order.key.index == 1 && (at(200)..at(1000)).contains(&now) {
            Reaction::fail()
        } else {
            Reaction::take()
        }
    });
    world.fire(&[A]);
    world.until(100);
    world.fire(&[B]);
    world.until(400);
    let before = world.heard.len();
    world.told_elsewhere(1, 1000, "a c", "");
    world.crash(secs(1000));
    world.until(1800);
    assert_eq!(words_of(&world, 0, before), [""; 0]);
    assert_eq!(words_of(&world, 1, before), ["new alerts added +a +b"]);
}

/// b was over here before it began again there: its end is not told, and when it is heard of again nothing is new.
#[test]
fn what_began_again_elsewhere_is_not_told_as_over() {
    for compacted in [false, true] {
        let mut world = World::new(PLAIN);
        world.fire(&[A, B]);
        world.until(100);
        world.resolve(&[B]);
        world.until(400);
        if compacted {
            world.compact();
        }
        world.told_elsewhere(0, 500, "a b", "");
        let before = world.heard.len();
        world.crash(secs(450));
        world.until(880);
        assert_eq!(words(&world, before), [""; 0]);
        world.fire(&[A, B]);
        world.until(1140);
        assert_eq!(words(&world, before), [""; 0]);
        world.resolve(&[B]);
        world.fire(&[A]);
        world.until(1440);
        assert_eq!(words(&world, before), ["some alerts resolved +a -b"]);
    }
}

/// b was told here, and the other one did not know of it yet when it told the group.
#[test]
fn the_end_of_what_was_told_here_is_told_whatever_was_told_elsewhere() {
    for compacted in [false, true] {
        let mut world = World::new(PLAIN);
        world.fire(&[A, B]);
        world.until(100);
        world.told_elsewhere(0, 400, "c", "");
        let before = world.heard.len();
        world.crash(secs(400));
        world.fire(&[A, C]);
        if compacted {
            world.compact();
        }
        world.resolve(&[B]);
        world.until(1000);
        let told = words(&world, before).join(", ");
        assert!(told.contains("-b"), "{told}");
    }
}

/// c was told by the other one alone. Until it is heard of nobody knows whether it fires, and its end is owed.
#[test]
fn the_end_of_what_only_the_other_one_told_is_told() {
    for (first, told) in [
        // Something else is told before.
        (
            Some(D),
            &["new alerts added +a +d", "some alerts resolved +a +d -c"][..],
        ),
        (None, &["some alerts resolved +a -c"]),
    ] {
        for crashes in [false, true] {
            let mut world = World::new(PLAIN);
            hand_over(&mut world, &[A], "a c");
            world.fire(&[A]);
            if let Some(alert) = first {
                world.fire(&[alert]);
            }
            world.until(720);
            if crashes {
                world.compact();
                world.crash(secs(1));
            }
            world.resolve(&[C]);
            world.until(1100);
            assert_eq!(words(&world, 1), told, "{first:?} {crashes}");
        }
    }
}

/// c was told by the other one alone, and ended unseen: whoever repeats what fires says nothing of it. When it fires
/// anew that is news, whatever was told in between.
#[test]
fn what_ended_unseen_and_fires_anew_is_told() {
    for crashes in [false, true] {
        let mut world = World::new(PLAIN);
        hand_over(&mut world, &[A], "a c");
        world.fire(&[A, D]);
        world.until(720);
        if crashes {
            world.compact();
            world.crash(secs(1));
        }
        world.fire(&[A, D]);
        world.until(900);
        world.fire(&[A, C, D]);
        world.until(1300);
        let told = ["new alerts added +a +d", "new alerts added +a +c +d"];
        assert_eq!(words(&world, 1), told, "{crashes}");
    }
}

/// The end of b is known, that of a and c is not: who keeps one incident for a group would close it.
#[test]
fn the_end_of_a_group_waits_for_what_was_not_heard_of() {
    for (elsewhere, then) in [
        // Left out by the other one, and unknown here.
        ("c", &["new alerts added +a +c -b"][..]),
        // Told by it: as firing, and nothing is uncertain.
        ("a b c", &["some alerts resolved +a +c -b"]),
    ] {
        for is_heard_of in [true, false] {
            let mut world = World::new(PLAIN);
            world.fire(&[B]);
            world.post(&[A], Some(at(210)));
            world.until(100);
            world.told_elsewhere(0, 400, elsewhere, "");
            let before = world.heard.len();
            world.crash(secs(400));
            world.resolve(&[B]);
            world.until(650);
            assert_eq!(words(&world, before), [""; 0], "{elsewhere}");
            if is_heard_of {
                world.fire(&[A, C]);
                world.until(660);
                assert_eq!(words(&world, before), then, "{elsewhere}");
            } else {
                // Nobody speaks of them any more.
                world.until(500 + 300 + 300);
                assert_eq!(
                    words(&world, before),
                    ["all alerts resolved -a -b"],
                    "{elsewhere}"
                );
            }
        }
    }
}

/// As soon as the last is heard of, not with the next flush.
#[test]
fn an_end_that_waited_is_told_when_the_rest_is_heard_of() {
    let mut world = World::new(PLAIN);
    hand_over(&mut world, &[B], "b c");
    world.until(510);
    world.resolve(&[B]);
    world.until(750);
    world.fire(&[C]);
    world.until(751);
    assert_eq!(world.lines()[1..], ["750 some alerts resolved +c -b"]);

    // Two integrations were told at different times: what fires anew is told at once to the one that knows of its end.
    let mut world = World::new(&both());
    world.fire(&[A]);
    world.until(100);
    world.told_elsewhere(0, 450, "", "a b");
    world.told_elsewhere(1, 400, "a b", "");
    world.crash(secs(400));
    world.until(510);
    world.fire(&[A]);
    world.until(511);
    assert_eq!(words_of(&world, 0, 2), ["first notification +a"]);
    assert_eq!(words_of(&world, 1, 2), [""; 0]);
}

/// b was over here before it began again there. It inhibits nothing that it was not heard of for, and neither the end
/// from before nor the rest of its earlier time is about what goes on.
#[test]
fn what_began_again_elsewhere_is_waited_for() {
    let inhibiting = format!(
        "{PLAIN}inhibit_rules: [{{source_matchers: [instance=b], target_matchers: [instance=t]}}]\n"
    );
    let taken_back = || {
        let mut world = World::new(&inhibiting);
        world.fire(&[A, B]);
        world.until(100);
        world.resolve(&[B]);
        world.until(400);
        world.told_elsewhere(0, 500, "a b", "");
        world.crash(secs(450));
        world.fire(&[A]);
        world.until(860);
        world
    };
    let mut world = taken_back();
    world.fire(&["alertname=Other instance=t"]);
    world.until(900);
    assert_eq!(words(&world, 2), ["first notification +t"]);

    // Another sender has not seen yet that it fires anew.
    let end = |secs: i64| AlertDraft {
        labels: labels(B)
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        starts_at: Some(at(0)),
        ends_at: Some(at(secs)),
        ..AlertDraft::default()
    };
    let mut world = taken_back();
    world.post_drafts(vec![end(100)]);
    world.until(1100);
    assert_eq!(words(&world, 2), [""; 0]);
    // The end of what began there, before the other one wrote down that it had told of it.
    world.post_drafts(vec![end(480)]);
    world.until(1110);
    assert_eq!(words(&world, 2), ["some alerts resolved +a -b"]);

    // Nobody speaks of it any more.
    let mut world = taken_back();
    world.until(850 + 300 + 300);
    assert_eq!(words(&world, 2), ["some alerts resolved +a -b"]);

    // It lasts as long as is said, not longer.
    let mut world = taken_back();
    world.post(&[B], Some(at(870)));
    world.until(1110);
    assert_eq!(words(&world, 2), ["some alerts resolved +a -b"]);
}

/// Nothing of a group is known here but what was told of it: it is not forgotten before its alerts could be heard of.
#[test]
fn what_was_told_of_a_group_without_alerts_is_remembered() {
    let mut world = World::new(PLAIN);
    world.settings.garbage_interval = secs(60);
    world.fire(&[A]);
    world.until(100);
    world.resolve(&[A]);
    world.until(400);
    world.told_elsewhere(0, 500, "b", "a");
    world.crash(secs(200));
    world.until(610);
    world.told_elsewhere(0, 700, "c", "");
    world.crash(secs(200));
    world.until(1000);
    world.resolve(&[B]);
    world.until(2000);
    assert_eq!(words(&world, 2), ["all alerts resolved -b"]);
}

/// Who is told no ends may have been told of an activity that is over: after a notification without it, it is told.
#[test]
fn what_fires_anew_is_told_where_no_ends_are() {
    let mut world = World::new(&PLAIN.replace("'}]}", "', send_resolved: false}]}"));
    hand_over(&mut world, &[A], "a c");
    world.fire(&[A, D]);
    world.until(720);
    world.fire(&[C]);
    world.until(1100);
    assert_eq!(
        words(&world, 1),
        ["new alerts added +a +d", "new alerts added +a +c +d"]
    );
}

/// Whoever repeats alerts repeats one after the other: the first is told at once, the others with the group's next flush,
/// or after the time in which an alert would end that nobody repeats.
#[test]
fn what_is_heard_of_after_another_keeps_the_interval() {
    for (group_interval, told_at) in [("5m", [510, 700, 1000]), ("20m", [510, 810, 1110])] {
        let mut world = World::new(&PLAIN.replace(
            "[alertname]}",
            &format!("[alertname], group_interval: {group_interval}}}"),
        ));
        hand_over(&mut world, &[A, B, C, D], "x");
        for (secs, alert) in [
            (510, A),
            (520, B),
            (530, C),
            (540, "alertname=Down instance=x"),
            (815, D),
        ] {
            world.until(secs);
            world.fire(&[alert]);
        }
        world.until(1300);
        let told = ["+a", "+a +b +c +x", "+a +b +c +d +x"];
        let told = told_at.iter().zip(told);
        let told: Vec<String> = told
            .map(|(at, alerts)| format!("{at} new alerts added {alerts}"))
            .collect();
        assert_eq!(world.lines()[1..], told, "{group_interval}");
    }
}

/// Each receiver with a group of its own, at its own pace.
fn two_receivers() -> World {
    World::new(
        "
route:
  {receiver: slow, group_by: [alertname], routes: [{receiver: slow, continue: true}, {receiver: team, group_interval: 1m}]}
receivers:
- {name: slow, pagerduty_configs: [{routing_key: k}]}
- {name: team, webhook_configs: [{url: 'http://x'}]}
",
    )
}

/// A delivery that took long stands behind those that know more: what two receivers were told of an alert is against each
/// other, and neither is believed before it is heard of.
#[test]
fn of_receivers_that_were_told_otherwise_none_is_believed() {
    for (is_over, told_to_fire) in [("slow", "team"), ("team", "slow")] {
        for fires in [false, true] {
            for (other_is_told, crashes) in [(false, false), (true, false), (true, true)] {
                let mut world = two_receivers();
                world.fire(&[A]);
                world.until(100);
                let told_at = |receiver| if receiver == "slow" { 410 } else { 400 };
                world.receiver_told_elsewhere(is_over, told_at(is_over), "", "a");
                world.receiver_told_elsewhere(told_to_fire, told_at(told_to_fire), "a", "");
                let before = world.heard.len();
                world.crash(secs(400));
                // What else is told meanwhile takes nothing from what is known of it.
                if other_is_told {
                    world.fire(&[B]);
                    world.until(720);
                }
                if crashes {
                    world.compact();
                    world.crash(secs(1));
                }
                world.until(730);
                if fires {
                    world.fire(&[A]);
                } else {
                    world.resolve(&[A]);
                }
                world.until(1500);
                let told: Vec<String> = world.heard[before..]
                    .iter()
                    .flat_map(|heard| {
                        let receiver = match heard.kind.as_str() {
                            "webhook" => "team",
                            _ => "slow",
                        };
                        let words = heard.words();
                        let of_a = words.split(' ').filter(|word| matches!(*word, "+a" | "-a"));
                        let of_a = of_a.map(|word| format!("{} {receiver} {word}", heard.at > 729));
                        of_a.collect::<Vec<_>>()
                    })
                    .collect();
                // Whoever was told something else in the time of waiting is told once more that it fires.
                let told: BTreeSet<&str> = told.iter().map(String::as_str).collect();
                let expected: Vec<String> = match (fires, other_is_told) {
                    (true, true) => vec!["true slow +a".to_owned(), "true team +a".to_owned()],
                    (true, false) => vec![format!("true {is_over} +a")],
                    (false, _) => vec![format!("true {told_to_fire} -a")],
                };
                let expected = expected.iter().map(String::as_str).collect();
                assert_eq!(
                    told, expected,
                    "{is_over} {fires} {other_is_told} {crashes}"
                );
            }
        }
    }
}

/// One was told of the alert here, one was down and never was; the other Alertmanager spoke to both, and not of it.
#[test]
fn whoever_never_heard_of_a_doubtful_alert_is_told() {
    for compacted in [false, true] {
        let mut world = World::new(&both()).with_script(|order, now| {
            if order.key.index == 1 && (at(0)..at(400)).contains(&now) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        });
        world.fire(&[A]);
        world.until(100);
        world.told_elsewhere(0, 400, "x", "");
        world.told_elsewhere(1, 400, "x", "");
        let before = world.heard.len();
        world.crash(secs(400));
        world.until(600);
        if compacted {
            world.compact();
        }
        world.crash(secs(10));
        world.fire(&["alertname=Down instance=x"]);
        world.until(2000);
        assert_eq!(words_of(&world, 0, before), [""; 0], "{compacted}");
        let told = words_of(&world, 1, before);
        assert_eq!(told[0], "new alerts added +a", "{compacted}");
        // x was left out in the time of waiting.
        assert_eq!(told[1..], ["new alerts added +x"], "{compacted}");
        world.resolve(&[A]);
        world.until(2400);
        assert_eq!(words_of(&world, 0, before), ["some alerts resolved +x -a"]);
    }
}

/// a is known, in a group of another route: the log of its old group will never hear of it again.
#[test]
fn what_went_to_another_group_is_not_waited_for() {
    let moved = "
route: {receiver: team, group_by: [alertname], routes: [{receiver: other, matchers: [instance=a]}]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}, {name: other, webhook_configs: [{url: 'http://y'}]}]
";
    for (elsewhere, told) in [
        (false, ["first notification +a", "all alerts resolved -b"]),
        (true, ["first notification +a", "all alerts resolved -b"]),
    ] {
        let mut world = World::new(PLAIN);
        world.fire(&[A, B]);
        world.until(100);
        if elsewhere {
            world.told_elsewhere(0, 200, "a b", "");
        }
        world.policy = policy(moved);
        world.crash(secs(200));
        world.fire(&[A]);
        world.resolve(&[B]);
        world.until(550);
        assert_eq!(words(&world, 1), told, "{elsewhere}");
    }
}

/// b is over, and c was never heard of. The end of the group waits for as long as for an alert that nobody repeats, not for
/// the next flush after that, and no longer where the process dies meanwhile: only while it is down nobody is heard.
#[test]
fn the_time_of_waiting_is_one() {
    let often: Vec<(i64, u64)> = (0..100).map(|crash| (1100 + 5 * crash, 2)).collect();
    let loops: Vec<(i64, u64)> = (0..100).map(|crash| (1100 + 203 * crash, 200)).collect();
    for (crashes, compacted, told_at) in [
        (&[][..], false, 1300),
        (&[(1100, 5)], false, 1305),
        (&[(1100, 5)], true, 1304),
        (&often, false, 1434),
        (&[(1100, 600)], false, 1900),
        (&[(1100, 600)], true, 1899),
        (&loops, false, 14_700),
    ] {
        let mut world =
            World::new(&PLAIN.replace("[alertname]}", "[alertname], group_interval: 11m}"));
        world.fire(&[B]);
        world.until(100);
        world.told_elsewhere(0, 400, "b c", "");
        world.crash(secs(900));
        world.resolve(&[B]);
        for (secs_from_start, down) in crashes {
            world.until(*secs_from_start);
            if world.heard.len() > 1 {
                break;
            }
            if compacted {
                world.compact();
            }
            world.crash(secs(*down));
        }
        world.until(50_000);
        let told = format!("{told_at} all alerts resolved -b");
        assert_eq!(world.lines()[1..], [told], "{crashes:?} {compacted}");
    }
}
