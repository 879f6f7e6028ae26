//! After a handover: several receivers, restarts and reloads in the time of waiting.
use std::time::Duration;

use notifiers_core::Outcome;

use crate::protocol::{Input, Ticket};
use crate::record::Record;
use crate::tests::world::{Heard, PLAIN, Reaction, World, at, secs};

const A: &str = "alertname=Down instance=a";
const B: &str = "alertname=Down instance=b";
const C: &str = "alertname=Down instance=c";
const D: &str = "alertname=Down instance=d";
const E: &str = "alertname=Down instance=e";
const X: &str = "alertname=Down instance=x";

/// `quiet` is told no ends, `team` is.
const TWO: &str = "
route: {receiver: team, group_by: [alertname], routes: [{receiver: quiet, continue: true}, {receiver: team}]}
receivers:
- {name: quiet, webhook_configs: [{url: 'http://x', send_resolved: false}]}
- {name: team, pagerduty_configs: [{routing_key: k}]}
inhibit_rules: [{source_matchers: [instance=a], target_matchers: [instance=t]}]
";

fn words_of(world: &World, kind: &str, from: usize) -> Vec<String> {
    let heard = world.heard[from..].iter();
    let heard = heard.filter(|heard| heard.kind == kind);
    heard.map(Heard::words).collect()
}

/// The end of a was told to the one that is told ends, and the other one's word, that a fires, is older.
#[test]
fn who_is_told_no_ends_contradicts_no_later_end() {
    for known in ["fires", "is over", "is not known"] {
        for compacted in [false, true] {
            let mut world = World::new(TWO);
            world.fire(&[B]);
            if known != "is not known" {
                world.fire(&[A]);
            }
            world.until(100);
            if known == "is over" {
                world.resolve(&[A]);
            }
            world.until(400);
            world.receiver_told_elsewhere("quiet", 410, "a b x", "");
            world.receiver_told_elsewhere("team", 450, "b x", "a");
            let before = world.heard.len();
            world.crash(secs(500));
            if compacted {
                world.compact();
                world.crash(secs(1));
            }
            let told_from = world.heard.len();
            world.post(&["alertname=Other instance=t"], None);
            world.until(945);
            // It keeps nothing quiet.
            let told = words_of(&world, "webhook", told_from);
            assert_eq!(told, ["first notification +t"], "{known} {compacted}");
            world.fire(&[A, B, X]);
            world.until(1300);
            for kind in ["webhook", "pagerduty"] {
                let told = words_of(&world, kind, before);
                let is_told = told.iter().any(|words| words.contains("+a"));
                assert!(is_told, "{known} {compacted} {kind}: {told:?}");
            }
        }
    }
}

/// One was told that it fires, by a delivery that took long; another was told its end, and then of others.
#[test]
fn who_was_told_and_then_of_others_is_not_outvoted() {
    let mut world = World::new(&TWO.replace(", send_resolved: false", ""));
    world.fire(&[A]);
    world.until(100);
    world.receiver_told_elsewhere("quiet", 420, "a x", "");
    world.receiver_told_elsewhere("team", 410, "b x", "");
    let before = world.heard.len();
    world.crash(secs(400));
    world.fire(&[B, X]);
    world.until(1000);
    for heard in &world.heard[before..] {
        let told = heard.firing.contains("a") && heard.kind == "pagerduty";
        assert!(!told, "{:?}", world.lines());
    }
}

/// Ordinary life, without another one: a repeat is held back until a is heard of, right before the next flush.
fn held_back(lasts: u64) -> World {
    let mut world = World::new(PLAIN).with_script(move |order, now| {
        let lasts = if now < at(300) { 0 } else { lasts };
        let most = order.deadline.saturating_since(now);
        let outcome = if most < secs(lasts) {
            Outcome::Ambiguous {
                reason: "no answer".to_owned(),
            }
        } else {
            Outcome::Delivered { id: None }
        };
        Reaction {
            after: secs(lasts).min(most),
            outcome,
            ..Reaction::take()
        }
    });
    world.post(&[A], Some(at(90)));
    world.until(80);
    world.crash(secs(200));
    world.until(320);
    world.fire(&[A, D]);
    world
}

#[test]
fn an_early_flush_gives_a_receiver_its_time() {
    for lasts in [14, 100, 290] {
        let mut world = held_back(lasts);
        world.until(1000);
        world.check(&["30 first notification +a", "320 new alerts added +a +d"]);
    }
}

#[test]
fn an_early_flush_holds_nothing_new_back() {
    let mut world = held_back(0);
    world.until(322);
    world.fire(&[E]);
    world.until(1000);
    world.check(&[
        "30 first notification +a",
        "320 new alerts added +a +d",
        "330 new alerts added +a +d +e",
    ]);
}

/// b is over, c was never heard of: that is told at the end of the wait.
fn end_that_waits() -> World {
    let mut world = World::new(&PLAIN.replace("[alertname]}", "[alertname], group_interval: 11m}"));
    world.fire(&[B]);
    world.until(100);
    world.told_elsewhere(0, 400, "b c", "");
    world.crash(secs(900));
    world.resolve(&[B]);
    world.until(1100);
    world
}

#[test]
fn stops_and_crashes_take_nothing_from_the_wait_but_what_was_lived() {
    for (is_clean, lives, down, told_at) in [
        (true, Some(1), 9_000, 1660),
        (true, None, 9_000, 1660),
        (false, Some(1), 9_000, 1660),
        // A life that leaves no sign, as all but the first, counts as a second, so that a loop ends.
        (false, None, 9_995, 1661),
    ] {
        let mut world = end_that_waits();
        for _ in 0..40 {
            match lives {
                Some(secs) => {
                    let now = (world.now.as_millis() - at(0).as_millis()) / 1000;
                    world.until(now + secs);
                }
                // Not for long enough to be called.
                None => world.now = world.now + Duration::from_millis(5),
            }
            if is_clean {
                world.tell(Input::ExportWanted { ticket: Ticket(0) });
                world.export();
            }
            world.crash(Duration::from_millis(down));
        }
        world.until(5000);
        let told = format!("{told_at} all alerts resolved -b");
        assert_eq!(world.lines()[1..], [told], "{is_clean} {lives:?}");
    }
}

#[test]
fn a_reload_takes_nothing_from_the_wait() {
    let reload = |world: &mut World, wait: &str, interval: &str| {
        let timing = format!("[alertname], group_wait: {wait}, group_interval: {interval}}}");
        world.reload(&PLAIN.replace("[alertname]}", &timing));
    };
    let mut world = end_that_waits();
    reload(&mut world, "40s", "11m");
    world.until(2000);
    assert_eq!(world.lines()[1..], ["1300 all alerts resolved -b"]);

    // What is heard of after another keeps the interval.
    let mut world = World::new(PLAIN);
    world.fire(&[A, B, C, D]);
    world.until(100);
    world.told_elsewhere(0, 400, "x", "");
    world.crash(secs(400));
    for (secs, alert, wait) in [
        (510, A, "31s"),
        (520, B, "32s"),
        (530, C, "33s"),
        (540, D, "34s"),
    ] {
        world.until(secs);
        world.fire(&[alert]);
        world.until(secs + 5);
        reload(&mut world, wait, "5m");
    }
    world.until(900);
    assert_eq!(
        world.lines()[1..],
        [
            "510 new alerts added +a",
            "700 new alerts added +a +b +c +d"
        ]
    );
}

fn is_wait(record: &[u8]) -> bool {
    matches!(Record::decode(record), Ok(Record::HeardBy(_)))
}

/// As an older release wrote it, or where the end of the log is torn off.
#[test]
fn what_is_doubtful_is_waited_for_where_no_wait_is_written() {
    let mut world = World::new(PLAIN);
    world.fire(&[A, B]);
    world.until(100);
    world.resolve(&[B]);
    world.until(400);
    world.told_elsewhere(0, 500, "a b", "");
    world.crash(secs(450));
    let is_standing = |record: &Vec<u8>| matches!(Record::decode(record), Ok(Record::Standings(_)));
    let wait = world.log.iter().position(|record| is_wait(record));
    assert!(wait < world.log.iter().position(is_standing));
    world.log.retain(|record| !is_wait(record));
    for _ in 0..3 {
        world.crash(secs(1));
        world.fire(&[A]);
        world.until(1000);
        assert_eq!(world.heard.len(), 2, "{:?}", world.lines());
        world.compact();
    }
    world.until(3000);
    assert_eq!(world.lines()[2..], ["1151 some alerts resolved +a -b"]);

    // A wait that is over is over.
    let mut world = World::new(PLAIN);
    world.fire(&[A]);
    world.until(100);
    world.told_elsewhere(0, 400, "x", "");
    world.crash(secs(400));
    world.until(1000);
    for compacted in [false, true] {
        if compacted {
            world.compact();
        }
        world.crash(secs(1));
        assert_eq!(world.machine.alerts.waits_until(), None, "{compacted}");
    }
}
