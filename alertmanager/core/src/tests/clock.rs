//! Clocks that jump. What happened in the old time of one that was set back is over all the same; while nobody could be
//! heard nothing ends.
use crate::intake::AlertDraft;
use crate::protocol::{Event, Input, Ticket};
use crate::record::Record;
use crate::silence::SilenceState;
use crate::tests::world::{Heard, PLAIN, World, at, secs};

/// The old time is one hour ahead of the new one.
const OLD: i64 = 7200;
const NEW: i64 = 3600;

fn world(yaml: &str) -> World {
    let mut world = World::new(yaml);
    world.until(OLD);
    world
}

impl World {
    fn crash_back_to(&mut self, secs_from_start: i64) {
        self.now = at(secs_from_start);
        self.crash(secs(0));
    }
}

#[test]
fn what_had_ended_does_not_fire_again() {
    let mut world = world(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(OLD + 100);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(OLD + 400);
    for now in [NEW, NEW + 600] {
        world.crash_back_to(now);
        world.until(now + 500);
        world.check(&["7230 first notification +a", "7530 all alerts resolved -a"]);
        assert_eq!(world.machine.groups_len(), 0);
    }
}

#[test]
fn what_is_told_in_the_new_time_is_told_once() {
    let mut world = world(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(OLD + 100);
    world.crash_back_to(NEW);
    world.until(NEW + 10);
    world.fire(&["alertname=Down instance=b"]);
    world.until(NEW + 400);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(NEW + 1000);
    world.resolve(&["alertname=Down instance=b"]);
    world.until(NEW + 7200);
    world.check(&[
        "7230 first notification +a",
        "3900 new alerts added +a +b",
        "4200 some alerts resolved +b -a",
        "4800 all alerts resolved -b",
    ]);
}

/// What fires in the new time is not judged by the old one, however often the process begins anew.
#[test]
fn what_fires_in_the_new_time_goes_on_to_fire() {
    let mut world = world(PLAIN);
    world.post(&["alertname=Old instance=a"], Some(at(OLD + 240)));
    world.until(OLD + 100);
    world.crash_back_to(NEW);
    world.post(&["alertname=New instance=b"], Some(at(NEW + 240)));
    world.until(NEW + 100);
    world.crash(secs(0));
    world.crash(secs(60));
    world.until(NEW + 190);
    // 140 seconds were left to the old one when its clock ended, 240 to the new one; a minute was not theirs.
    let firing = |world: &World| {
        let view = world.machine.view(world.now);
        view.alerts
            .iter()
            .map(|alert| alert.alert.labels.value("instance").to_owned())
            .collect::<Vec<_>>()
    };
    let mut names = firing(&world);
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
    world.until(NEW + 250);
    assert_eq!(firing(&world), ["b"]);
    world.until(NEW + 400);
    assert_eq!(firing(&world), [""; 0]);
}

/// The first record of a life may be missing, where the log could not be written; then the whole state is.
#[test]
fn a_snapshot_of_the_new_time_stands_for_its_beginning() {
    let mut world = world(PLAIN);
    world.post(&["alertname=Old instance=a"], Some(at(OLD + 240)));
    world.fire(&["alertname=Over instance=c"]);
    world.until(OLD + 20);
    world.resolve(&["alertname=Over instance=c"]);
    world.until(OLD + 100);
    let saved = world.log.clone();
    world.crash_back_to(NEW);
    world.post(&["alertname=New instance=b"], Some(at(NEW + 240)));
    let snapshot = world.machine.snapshot(world.now);
    world.log = saved;
    world.log.extend(snapshot.iter().map(Record::encode));
    world.crash(secs(60));
    assert_eq!(world.machine.view(world.now).alerts.len(), 2);
}

#[test]
fn a_resolve_of_the_new_time_is_taken() {
    let mut world = world(PLAIN);
    let said = |starts_at: i64, ends_at: i64| AlertDraft {
        labels: [("alertname", "Down"), ("instance", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        starts_at: Some(at(starts_at)),
        ends_at: Some(at(ends_at)),
        ..AlertDraft::default()
    };
    world.post_drafts(vec![said(OLD, OLD + 5000)]);
    world.until(OLD + 100);
    world.post_drafts(vec![said(OLD, OLD + 5000)]);
    // The alert began before the new time, and was said again after it.
    world.crash_back_to(OLD + 10);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(OLD + 400);
    world.check(&["7230 first notification +a", "7510 all alerts resolved -a"]);
}

#[test]
fn a_heartbeat_goes_on() {
    let mut world = world(
        "
route: {receiver: team, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 1m}
receivers: [{name: team, webhook_configs: [{url: 'http://x', send_resolved: false}]}]
",
    );
    world.fire(&["alertname=Watchdog instance=w"]);
    world.until(OLD + 100);
    world.crash_back_to(NEW);
    world.until(NEW + 200);
    let beats: Vec<i64> = world.heard.iter().map(|heard| heard.at).collect();
    assert_eq!(beats, [7210, 7270, 3660, 3720, 3780]);
}

#[test]
fn a_silence_that_was_over_stays_over() {
    let mut world = World::new(PLAIN);
    let (short, long) = (
        world.silence("instance", "a", OLD),
        world.silence("instance", "b", 2 * OLD),
    );
    world.until(OLD + 100);
    world.fire(&["alertname=Down instance=a"]);
    world.crash_back_to(NEW);
    let states = |world: &World| {
        let state = |id| world.machine.silences.get(id).unwrap().state(world.now);
        [state(&short), state(&long)]
    };
    assert_eq!(
        states(&world),
        [SilenceState::Expired, SilenceState::Active]
    );
    world.tell(Input::SilenceExpired {
        ticket: Ticket(1),
        id: long.clone(),
    });
    assert_eq!(states(&world)[1], SilenceState::Expired);
    world.crash(secs(10));
    assert_eq!(
        states(&world),
        [SilenceState::Expired, SilenceState::Expired]
    );
}

/// Nobody else says how long the process lived: silences alone do.
#[test]
fn a_silence_in_force_stays_so_where_nothing_fires() {
    for (quiet, state, lines) in [
        (5, SilenceState::Active, &[][..]),
        (600, SilenceState::Active, &[]),
        // One that was over stays over.
        (1900, SilenceState::Expired, &["3630 first notification +a"]),
    ] {
        let mut world = World::new(PLAIN);
        world.until(OLD);
        let id = world.silence("instance", "a", OLD + 1800);
        world.until(OLD + quiet);
        world.crash_back_to(NEW);
        let restored = world.machine.silences.get(&id).unwrap();
        assert_eq!(restored.state(world.now), state, "after {quiet} s");
        world.fire(&["alertname=Down instance=a"]);
        world.until(NEW + 600);
        world.check(lines);
    }
}

/// Within one millisecond the later word is the one that was stored later.
#[test]
fn a_silence_that_ends_as_it_begins_is_over_after_a_restart() {
    let mut world = World::new(PLAIN);
    let id = world.silence("instance", "a", 1000);
    world.tell(Input::SilenceExpired {
        ticket: Ticket(1),
        id: id.clone(),
    });
    world.crash(secs(10));
    let silence = world.machine.silences.get(&id).unwrap();
    assert_eq!(silence.state(world.now), SilenceState::Expired);
}

/// A virtual machine was paused, or the clock was set forward: it looks the same.
#[test]
fn alerts_do_not_end_while_the_process_is_suspended() {
    let resolved = ["3930 all alerts resolved -a", "4030 all alerts resolved -b"];
    // The log knows as well as the process that died how long it was absent.
    for crash_at in [None, Some(3790)] {
        let mut world = World::new(PLAIN);
        world.post(&["alertname=Down instance=a"], Some(at(240)));
        world.until(100);
        world.now = at(3700);
        // Somebody else is heard first.
        world.post(&["alertname=Full instance=b"], Some(at(3940)));
        world.until(3780);
        world.check(&["30 first notification +a", "3730 first notification +b"]);
        let absent = world.events.iter();
        let absent = absent.filter(|event| matches!(event, Event::WasAbsent { alerts: 1, .. }));
        assert_eq!(absent.count(), 1);
        if let Some(crash_at) = crash_at {
            world.until(crash_at);
            world.crash(secs(0));
        }
        world.until(5000);
        let lines: Vec<String> = world.heard.iter().skip(2).map(Heard::line).collect();
        assert_eq!(lines, resolved);
    }
}

#[test]
fn a_process_that_was_only_busy_stretches_nothing() {
    let mut world = World::new(PLAIN);
    world.post(&["alertname=Down instance=a"], Some(at(240)));
    for second in [50, 100, 150, 200] {
        world.now = at(second);
        world.until(second);
    }
    world.until(239);
    assert_eq!(world.machine.view(world.now).alerts.len(), 1);
    world.until(241);
    assert_eq!(world.machine.view(world.now).alerts.len(), 0);
}
