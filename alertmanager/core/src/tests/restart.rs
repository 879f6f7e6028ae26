//! What a process that died knows when it lives again.
use model::Timestamp;
use notifiers_core::Outcome;

use crate::intake::AlertDraft;
use crate::nflog::Entry;
use crate::protocol::{AlertsAnswer, Answer, Input, Limit, Refused, Ticket};
use crate::record::Record;
use crate::tests::world::{Heard, PLAIN, Reaction, World, at, labels, secs};

#[test]
fn a_restart_repeats_nothing_that_is_logged_and_keeps_the_grid() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.crash(secs(20));
    world.until(200);
    world.fire(&["alertname=Down instance=b"]);
    world.until(14_729);
    world.check(&["30 first notification +a", "330 new alerts added +a +b"]);
    world.until(5 * 3600);
    assert_eq!(world.lines()[2], "14730 repeat interval elapsed +a +b");
}

/// Upstream has lost the alerts: whichever is sent again first is told at once and alone, the others an interval later.
#[test]
fn a_first_notification_is_not_delayed_and_holds_the_whole_group() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(5);
    world.fire(&["alertname=Down instance=b"]);
    world.until(10);
    world.crash(secs(5));
    world.until(500);
    world.check(&["30 first notification +a +b"]);

    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(10);
    world.crash(secs(100));
    world.until(500);
    world.check(&["110 first notification +a +b"]);
}

/// One integration was told before the process died, the other one's receiver was down.
#[test]
fn an_integration_that_is_behind_the_others_does_not_wait_for_the_next_flush() {
    let both = PLAIN.replace("}]}", "}, {url: 'http://y'}]}");
    let rows = [
        (
            0,
            100,
            &["30 first notification +a", "110 first notification +a"][..],
        ),
        (
            300,
            400,
            &[
                "30 first notification +a",
                "30 first notification +a",
                "330 new alerts added +a +b",
                "410 new alerts added +a +b",
            ],
        ),
    ];
    // From the records as they came, and from a snapshot.
    for ((down_from, died, lines), compacted) in
        rows.into_iter().flat_map(|row| [(row, false), (row, true)])
    {
        let mut world = World::new(&both).with_script(move |deliver, now| {
            if deliver.key.index == 1 && (at(down_from)..at(died + 10)).contains(&now) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        });
        world.fire(&["alertname=Down instance=a"]);
        world.until(200.min(died));
        if died > 200 {
            world.fire(&["alertname=Down instance=b"]);
        }
        world.until(died);
        if compacted {
            world.compact();
        }
        world.crash(secs(10));
        world.until(died + 20);
        world.check(lines);
        // The grid stays where it was.
        world.fire(&["alertname=Down instance=c"]);
        world.until(1000);
        let next = if died > 300 { 630 } else { 330 };
        assert_eq!(world.heard.last().map(|heard| heard.at), Some(next));
    }
}

/// Upstream has lost the alert with the process, and tells of it when it is sent again.
#[test]
fn an_attempt_that_was_under_way_is_made_again() {
    let mut world = World::new(PLAIN).with_script(|_, _| Reaction {
        after: secs(5),
        ..Reaction::take()
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(32);
    world.crash(secs(1));
    world.until(300);
    // The answer of the first was never recorded: told at least once.
    world.check(&["30 first notification +a", "33 first notification +a"]);
}

/// Upstream has neither the alert nor an entry of it: its end is told to nobody, or as the end of what was never told.
#[test]
fn an_alert_that_ended_while_its_attempt_was_cut_off_is_resolved() {
    let mut world = World::new(PLAIN).with_script(|_, now| {
        if now < at(33) {
            Reaction {
                after: secs(5),
                ..Reaction::take()
            }
        } else {
            Reaction::take()
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(32);
    world.crash(secs(1));
    world.resolve(&["alertname=Down instance=a"]);
    world.until(400);
    world.check(&["30 first notification +a", "33 all alerts resolved -a"]);
}

/// It told of a group without an alert: that is over, or it was muted there. Nobody is told that it fires or ended
/// before it is heard of, and it inhibits for as long as it is waited for.
#[test]
fn what_another_alertmanager_left_out_is_in_doubt_until_it_is_heard_of() {
    let inhibiting = format!(
        "{PLAIN}inhibit_rules: [{{source_matchers: [instance=a], target_matchers: [instance=t]}}]\n"
    );
    for (heard_of, lines) in [
        (false, &["3940 first notification +t"][..]),
        (true, &["3620 new alerts added +a +b"]),
    ] {
        let mut world = World::new(&inhibiting);
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        world.until(100);
        let (key, entry) = world.machine.nflog.iter().next().unwrap();
        let hash = labels("alertname=Down instance=b").xxhash64();
        let record = Record::ToldElsewhere {
            key: key.clone(),
            entry: Entry {
                at: at(1530),
                firing: [hash].into_iter().collect(),
                ..entry.clone()
            },
        };
        world.log.push(record.encode());
        world.crash(secs(3500));
        // The next life draws the same from it.
        world.until(3610);
        world.crash(secs(0));
        world.fire(&["alertname=Other instance=t"]);
        world.until(3620);
        if heard_of {
            world.fire(&["alertname=Down instance=a"]);
        }
        world.until(3900);
        assert_eq!(world.lines().len(), 1 + usize::from(heard_of));
        world.until(4000);
        assert_eq!(&world.lines()[1..], lines, "heard of {heard_of}");
    }
}

/// It may never have come to the other one.
#[test]
fn what_nobody_was_told_of_is_news_after_another_alertmanager_too() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=b"]);
    world.until(100);
    world.fire(&["alertname=Down instance=a"]);
    let (key, entry) = world.machine.nflog.iter().next().unwrap();
    let record = Record::ToldElsewhere {
        key: key.clone(),
        entry: Entry {
            at: at(1530),
            ..entry.clone()
        },
    };
    world.log.push(record.encode());
    world.crash(secs(3500));
    world.until(4000);
    assert_eq!(world.heard.len(), 2, "{:?}", world.lines());
    assert_eq!(world.heard[1].words(), "new alerts added +a +b");
}

/// Time in which nothing happens is no time in which the process was down.
#[test]
fn a_restart_after_a_quiet_time_moves_no_end() {
    for stopped in [false, true] {
        let mut world = World::new(PLAIN);
        world.post(&["alertname=Down instance=a"], Some(at(3600)));
        // It ends, and nobody could be told yet that it does.
        world.until(3599);
        if stopped {
            world.tell(Input::ExportWanted { ticket: Ticket(0) });
        }
        let before = world.now;
        world.crash(secs(1));
        let view = world.machine.view(before);
        let ends_at = view.alerts[0].alert.ends_at;
        let late = ends_at.saturating_since(at(3600));
        let most = if stopped { 1 } else { 11 };
        assert!(late <= secs(most), "{late:?}");
    }
    // What had ended stays so.
    let mut world = World::new(PLAIN).with_script(|_, _| Reaction::fail());
    world.post(&["alertname=Down instance=a"], Some(at(100)));
    world.until(115);
    world.crash(secs(30));
    assert_eq!(world.machine.view(world.now).alerts.len(), 0);
}

/// An attempt to tell an end says that the process lived then, and that the alert was over.
#[test]
fn what_ended_by_itself_is_not_told_as_firing_after_its_end_was() {
    let often = PLAIN.replace("[alertname]", "[alertname], group_interval: 3s");
    for compacted in [false, true] {
        let mut world = World::new(&often).with_script(|_, now| {
            if now < at(40) {
                Reaction::take()
            } else {
                Reaction {
                    after: secs(9),
                    ..Reaction::take()
                }
            }
        });
        world.post(&["alertname=Down instance=b"], Some(at(47)));
        world.until(49);
        if compacted {
            world.compact();
        }
        world.crash(secs(1));
        world.until(200);
        world.check(&[
            "30 first notification +b",
            "48 all alerts resolved -b",
            "50 all alerts resolved -b",
        ]);
    }
}

/// The same where it was never surely told that it fires, so that its end makes nothing more uncertain.
#[test]
fn the_end_of_what_perhaps_nobody_was_told_of_says_that_the_process_lived() {
    let often = PLAIN.replace("[alertname]", "[alertname], group_interval: 3s");
    let mut world = World::new(&often).with_script(|_, _| Reaction {
        after: secs(9),
        outcome: Outcome::Ambiguous {
            reason: "no answer".to_owned(),
        },
        ..Reaction::take()
    });
    world.post(&["alertname=Down instance=b"], Some(at(47)));
    world.until(49);
    world.crash(secs(1));
    let before = world.heard.len();
    world.until(100);
    for heard in &world.heard[before..] {
        assert!(!heard.words().contains("+b"), "{}", heard.words());
    }
}

/// A silence that came from elsewhere says nothing of how long this process lived.
#[test]
fn a_silence_of_another_alertmanager_ends_no_alert() {
    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(340)));
    world.until(100);
    let mut other = World::new(PLAIN);
    other.until(3000);
    let id = other.silence("alertname", "Other", 9000);
    let silence = other.machine.silences.get(&id).unwrap().clone();
    world.log.push(Record::Silenced(silence).encode());
    world.crash(secs(3600));
    world.until(3800);
    world.check(&["30 first notification +a"]);
}

/// What came after the other Alertmanager told its last it cannot have known.
#[test]
fn what_another_alertmanager_told_is_about_what_came_before() {
    for (posted, fires) in [(10, 0), (2000, 1)] {
        let mut world = World::new(PLAIN);
        world.fire(&["alertname=Down instance=a"]);
        world.until(100);
        let (key, entry) = world.machine.nflog.iter().next().unwrap();
        let record = Record::ToldElsewhere {
            key: key.clone(),
            entry: Entry {
                at: at(1530),
                firing: [].into_iter().collect(),
                resolved: entry.firing.clone(),
                ..entry.clone()
            },
        };
        let mut world = World::new(PLAIN);
        world.until(posted);
        world.fire(&["alertname=Down instance=a"]);
        world.until(2000);
        world.log.push(record.encode());
        world.crash(secs(10));
        assert_eq!(
            world.machine.view(world.now).alerts.len(),
            fires,
            "posted at {posted}"
        );
    }
}

/// Nobody could repeat an alert to a process that was down, so none is resolved for want of repetition.
/// Upstream has forgotten them all: until they are sent again nothing fires, and what they inhibit is told.
#[test]
fn alerts_do_not_end_while_the_process_is_down() {
    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(240)));
    world.until(100);
    world.crash(secs(3600));
    // 210 of 240 seconds were left when the last record was written.
    world.until(3700 + 200);
    assert_eq!(world.heard.len(), 1, "{:?}", world.lines());
    world.until(3700 + 700);
    world.check(&["30 first notification +a", "3930 all alerts resolved -a"]);
}

/// A repeat was due while the process was down. Whether the alerts still fire nobody knows: to say so would page for
/// what ended long ago. Somebody who says that one does brings the repeat at once.
#[test]
fn what_nobody_could_repeat_is_not_told_again_before_it_is_heard_of() {
    let five_hours = 5 * 3600;
    for (repeated_after, lines) in [
        (
            None,
            &["30 first notification +a", "18330 all alerts resolved -a"][..],
        ),
        (
            Some(60),
            &[
                "30 first notification +a",
                "18160 repeat interval elapsed +a",
                "18630 all alerts resolved -a",
            ],
        ),
    ] {
        for (suspended, compacted) in [(false, false), (true, false), (false, true)] {
            let mut world = World::new(PLAIN);
            world.post(&["alertname=Down instance=a"], Some(at(310)));
            world.until(90);
            if suspended {
                world.now = at(100 + five_hours);
            } else {
                world.until(100);
                world.crash(secs(five_hours as u64));
            }
            if compacted {
                // The next life knows it too.
                world.until(120 + five_hours);
                world.compact();
                world.crash(secs(0));
            }
            if let Some(after) = repeated_after {
                world.until(100 + five_hours + after);
                let ends_at = at(100 + five_hours + 310);
                world.post(&["alertname=Down instance=a"], Some(ends_at));
            }
            world.until(7 * 3600);
            assert_eq!(world.lines().len(), lines.len(), "{:?}", world.lines());
            for (line, expected) in world.lines().iter().zip(lines) {
                let words = |line: &str| line.split_once(' ').unwrap().1.to_owned();
                assert_eq!(words(line), words(expected), "suspended {suspended}");
            }
            if let Some(after) = repeated_after {
                assert_eq!(world.heard[1].at, 100 + five_hours + after, "at once");
            }
        }
    }
}

/// An alert that nobody was told of is told, whoever else was silent meanwhile; and beside an alert that is heard of a
/// repeat is due.
#[test]
fn what_nobody_could_repeat_is_told_where_it_is_news() {
    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(310)));
    world.until(10);
    world.crash(secs(5 * 3600));
    world.until(5 * 3600 + 20);
    world.check(&["18010 first notification +a"]);

    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(310)));
    world.fire(&["alertname=Down instance=b"]);
    world.until(100);
    world.crash(secs(5 * 3600));
    world.until(5 * 3600 + 110);
    world.check(&[
        "30 first notification +a +b",
        "18100 repeat interval elapsed +a +b",
    ]);
}

/// Another Alertmanager worked on the same folder while this one was down, and told ends.
#[test]
fn what_another_alertmanager_told_as_over_is_over() {
    for (firing, resolved, told) in [
        (&[][..], &["a", "b"][..], &["first notification +b"][..]),
        (&["b"], &["a"], &[]),
        (&["a", "b"], &[], &["some alerts resolved +b -a"]),
    ] {
        let mut world = World::new(PLAIN);
        world.post(
            &["alertname=Down instance=a", "alertname=Down instance=b"],
            Some(at(310)),
        );
        world.until(100);
        let hash =
            |instance: &&str| labels(&format!("alertname=Down instance={instance}")).xxhash64();
        let (key, entry) = world.machine.nflog.iter().next().unwrap();
        let record = Record::ToldElsewhere {
            key: key.clone(),
            entry: Entry {
                at: at(1530),
                firing: firing.iter().map(hash).collect(),
                resolved: resolved.iter().map(hash).collect(),
                ..entry.clone()
            },
        };
        world.log.push(record.encode());
        world.crash(secs(3600));
        let fires = |world: &World| -> Vec<String> {
            let alerts = world.machine.view(world.now).alerts.clone();
            alerts
                .iter()
                .map(|alert| alert.alert.labels.value("instance").to_owned())
                .collect()
        };
        assert_eq!(fires(&world), firing);
        // It stands in the log by itself.
        world.crash(secs(0));
        assert_eq!(fires(&world), firing);
        // Whoever still fires says so.
        world.fire(&["alertname=Down instance=b"]);
        world.until(4300);
        let words: Vec<String> = world.heard[1..].iter().map(Heard::words).collect();
        assert_eq!(words, told, "{firing:?}");
    }
}

/// No record of the log says that the process lived through these three days.
#[test]
fn an_end_that_was_named_does_not_move_with_a_restart() {
    for ends_at in [
        "1970-01-20T00:00:00Z",
        "2999-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let mut world = World::new(PLAIN).with_script(|_, _| Reaction::fail());
        let end = Timestamp::parse_rfc3339(ends_at).unwrap();
        world.post(&["alertname=Down instance=a"], Some(end));
        for _ in 0..2 {
            world.crash(secs(36 * 3600));
            let view = world.machine.view(world.now);
            assert_eq!(view.alerts[0].alert.ends_at.to_rfc3339_nano(), ends_at);
        }
    }
}

/// What a sender has queued may hold an alert several times; the log must tell it in the sender's order.
#[test]
fn an_alert_that_comes_several_times_in_one_request_is_restored_as_it_was_said_last() {
    let said = |ends_at: i64, summary: &str| AlertDraft {
        labels: labels("alertname=Down instance=a")
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        annotations: [("summary".to_owned(), summary.to_owned())].into(),
        starts_at: Some(at(50)),
        ends_at: Some(at(ends_at)),
        ..AlertDraft::default()
    };
    for (request, fires) in [
        // It goes on, and ends.
        (vec![said(310, ""), said(50, "")], 0),
        // It ends, twice, and begins again.
        (vec![said(50, ""), said(50, ""), said(320, "")], 1),
        // It goes on with other words, twice.
        (vec![said(310, ""), said(300, "b"), said(320, "b")], 1),
    ] {
        let mut world = World::new(PLAIN);
        world.until(50);
        world.post_drafts(vec![said(300, "")]);
        world.post_drafts(request);
        let before = world.machine.snapshot(world.now);
        world.crash(secs(0));
        assert_eq!(world.machine.snapshot(world.now), before);
        assert_eq!(world.machine.view(world.now).alerts.len(), fires);
    }
}

/// Upstream knows the end only if it is sent again, which Prometheus does for a quarter of an hour.
#[test]
fn a_resolve_that_was_due_is_told_after_the_restart() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.crash(secs(1000));
    world.until(1200);
    world.check(&["30 first notification +a", "1100 all alerts resolved -a"]);
    assert_eq!(world.machine.groups_len(), 0);
}

/// The process was down for longer than the log remembers what is repeated so often.
/// Upstream's entry has expired, and with it the knowledge that an end is owed.
#[test]
fn a_resolve_that_was_due_is_told_after_a_long_outage() {
    let often = PLAIN.replace("[alertname]", "[alertname], repeat_interval: 5m");
    let mut world = World::new(&often);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.crash(secs(24 * 3600));
    world.until(24 * 3600 + 200);
    world.check(&["30 first notification +a", "86500 all alerts resolved -a"]);
}

#[test]
fn what_was_perhaps_told_is_known_after_a_restart_however_long_it_was_silenced() {
    let often = PLAIN.replace(
        "[alertname]",
        "[alertname], group_interval: 1m, repeat_interval: 5m",
    );
    let mut world = World::new(&often).with_script(|deliver, now| {
        if now < at(90) || now > at(700) {
            Reaction::take()
        } else {
            Reaction {
                takes: deliver.attempt == 1,
                after: secs(1),
                outcome: Outcome::Ambiguous {
                    reason: "no answer".to_owned(),
                },
                ..Reaction::fail()
            }
        }
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(60);
    world.fire(&["alertname=Down instance=b"]);
    world.until(100);
    world.silence("alertname", "Down", 5000);
    world.until(700);
    world.crash(secs(1));
    world.resolve(&["alertname=Down instance=b"]);
    world.until(900);
    let lines: Vec<String> = world.heard.iter().map(Heard::words).collect();
    assert_eq!(
        lines,
        [
            "first notification +a",
            "new alerts added +a +b",
            "all alerts resolved -b"
        ]
    );
}

/// A process that was suspended does its flushes before it forgets.
#[test]
fn nothing_expires_while_flushes_are_due() {
    let often = PLAIN.replace("[alertname]", "[alertname], repeat_interval: 5m");
    let mut world = World::new(&often);
    let alerts: Vec<String> = (0..600)
        .map(|number| format!("alertname=A{number} instance=a"))
        .collect();
    let alerts: Vec<&str> = alerts.iter().map(String::as_str).collect();
    world.fire(&alerts);
    world.until(100);
    world.resolve(&alerts);
    world.now = at(3600);
    world.until(3700);
    let resolved = world
        .heard
        .iter()
        .filter(|heard| !heard.resolved.is_empty())
        .count();
    assert_eq!(resolved, 600);
}

/// Upstream's grid begins anew with each start, so that a beat is late by up to an interval.
#[test]
fn the_watchdogs_beat_goes_on_where_it_was() {
    let mut world = World::new(
        "
route: {receiver: team, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 1m}
receivers: [{name: team, webhook_configs: [{url: 'http://x', send_resolved: false}]}]
",
    );
    world.fire(&["alertname=Watchdog instance=w"]);
    world.until(100);
    world.crash(secs(5));
    world.until(200);
    // Down over one beat: it comes when the process is back, the next one is on the grid.
    world.crash(secs(60));
    world.until(330);
    let beats: Vec<i64> = world.heard.iter().map(|heard| heard.at).collect();
    assert_eq!(beats, [10, 70, 130, 190, 260, 310]);
}

#[test]
fn records_of_a_snapshot_stand_for_all_records_before() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Full instance=b"]);
    world.until(100);
    world.compact();
    let before = world.machine.snapshot(world.now);
    world.crash(secs(0));
    assert_eq!(world.machine.snapshot(world.now), before);
    world.until(1000);
    assert_eq!(world.heard.len(), 2);
}

/// As upstream's `--dispatch.start-delay`, but what is due is known and does not wait to be sent again.
#[test]
fn nothing_is_told_before_the_start_delay_and_then_all_that_is_due() {
    let mut world = World::new(PLAIN);
    world.settings.start_delay = secs(120);
    world.crash(secs(0));
    world.fire(&["alertname=Down instance=a"]);
    world.until(60);
    world.fire(&["alertname=Down instance=b"]);
    world.until(115);
    world.fire(&["alertname=Full instance=c"]);
    world.until(300);
    // The first group's wait was over long ago; the second one's lasts beyond the delay.
    world.check(&["120 first notification +a +b", "145 first notification +c"]);
}

/// Set back by an hour: neither a delay nor the lack of one holds pages back for that long.
#[test]
fn a_clock_that_is_set_back_does_not_make_the_start_delay_longer() {
    for (delay, told) in [(0, 30), (120, 120)] {
        let mut world = World::new(PLAIN);
        world.settings.start_delay = secs(delay);
        world.now = at(3600);
        world.crash(secs(0));
        world.now = at(0);
        world.fire(&["alertname=Down instance=a"]);
        world.until(300);
        let heard: Vec<i64> = world.heard.iter().map(|heard| heard.at).collect();
        assert_eq!(heard, [told], "a delay of {delay} s");
    }
}

#[test]
fn alerts_of_one_name_leave_room_for_the_others() {
    let mut world = World::new(PLAIN);
    world.settings.alerts_of_name_max = 2;
    world.crash(secs(0));
    world.fire(&["alertname=Wild instance=a", "alertname=Wild instance=b"]);
    world.answers.clear();
    let third = ["alertname=Wild instance=c"];
    world.fire(&[
        third[0],
        "alertname=Wild instance=a",
        "alertname=Calm instance=d",
    ]);
    let refused = |count| {
        Answer::Alerts(AlertsAnswer {
            invalid: Vec::new(),
            refused: Some(Refused {
                count,
                limit: Limit::AlertsOfName(2),
            }),
        })
    };
    assert_eq!(world.answers, [refused(1)]);
    // It is known again after a restart, and one that ends makes room.
    world.crash(secs(1));
    world.answers.clear();
    world.fire(&third);
    assert_eq!(world.answers, [refused(1)]);
    world.resolve(&["alertname=Wild instance=b"]);
    world.answers.clear();
    world.fire(&third);
    assert_eq!(world.answers, [Answer::Alerts(AlertsAnswer::default())]);
}

/// Upstream grows until the system ends it.
#[test]
fn past_its_bounds_it_refuses_aloud() {
    let mut world = World::new(PLAIN);
    world.settings.alerts_max = 2;
    world.settings.groups_max = 1;
    world.crash(secs(0));
    world.fire(&[
        "alertname=Down instance=a",
        "alertname=Full instance=a",
        "alertname=Down instance=b",
        "alertname=Down instance=c",
    ]);
    let refused = |count, limit| {
        Answer::Alerts(AlertsAnswer {
            invalid: Vec::new(),
            refused: Some(Refused { count, limit }),
        })
    };
    assert_eq!(world.answers, [refused(2, Limit::Groups(1))]);
    // What is known is always taken.
    world.answers.clear();
    world.resolve(&["alertname=Down instance=a", "alertname=Down instance=d"]);
    assert_eq!(world.answers, [refused(1, Limit::Alerts(2))]);
    world.until(40);
    world.check(&["30 first notification +b"]);
}

/// It takes half an hour until the garbage is collected: new alerts do not wait for it.
#[test]
fn what_has_ended_holds_no_place() {
    let mut world = World::new(PLAIN);
    world.settings.alerts_max = 2;
    world.crash(secs(0));
    let refused = Answer::Alerts(AlertsAnswer {
        invalid: Vec::new(),
        refused: Some(Refused {
            count: 1,
            limit: Limit::Alerts(2),
        }),
    });
    let taken = Answer::Alerts(AlertsAnswer::default());
    let (first, second) = ("alertname=Down instance=a", "alertname=Down instance=b");
    let (third, fourth) = ("alertname=Down instance=c", "alertname=Down instance=d");
    world.fire(&[first, second]);
    world.until(40);
    world.resolve(&[first]);
    world.answers.clear();
    // Somebody is still to be told of its end.
    world.fire(&[third]);
    world.until(340);
    world.fire(&[third]);
    // Full again, and not long ago it was looked at whether somebody has gone.
    world.resolve(&[second]);
    world.fire(&[fourth]);
    assert_eq!(
        world.answers,
        [refused.clone(), taken.clone(), taken, refused]
    );
    world.until(650);
    world.check(&[
        "30 first notification +a +b",
        "330 some alerts resolved +b -a",
        "630 new alerts added +c -b",
    ]);
}
