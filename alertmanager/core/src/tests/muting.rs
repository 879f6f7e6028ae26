//! Silences, inhibition and time intervals, and alerts that end while they are muted.
use model::{Labels, MatchOp, Matcher, MatcherDialect};

use crate::protocol::{Answer, Event, Input, Ticket};
use crate::silence::{MatcherDraft, SilenceDraft, SilenceError, SilenceId, SilenceState};
use crate::tests::world::{PLAIN, World, at, secs};

fn draft(name: &str, value: &str, from: i64, until: i64) -> SilenceDraft {
    SilenceDraft {
        id: None,
        matcher_sets: vec![vec![MatcherDraft {
            op: MatchOp::Equal,
            name: name.to_owned(),
            value: value.to_owned(),
        }]],
        starts_at: at(from),
        ends_at: at(until),
        created_by: "me".to_owned(),
        comment: String::new(),
        annotations: Labels::default(),
    }
}

impl World {
    fn set(&mut self, draft: SilenceDraft) -> Result<SilenceId, SilenceError> {
        let fresh = self.fresh_id();
        self.tell(Input::SilenceSet {
            ticket: Ticket(1),
            draft,
            fresh,
        });
        match self.answers.pop() {
            Some(Answer::SilenceSet(answer)) => answer,
            other => panic!("{other:?} is no answer to a silence"),
        }
    }

    pub(crate) fn silence(&mut self, name: &str, value: &str, until: i64) -> SilenceId {
        let from = (self.now.as_millis() - at(0).as_millis()) / 1000;
        self.set(draft(name, value, from, until)).unwrap()
    }

    fn expire(&mut self, id: &SilenceId) {
        self.tell(Input::SilenceExpired {
            ticket: Ticket(1),
            id: id.clone(),
        });
    }
}

#[test]
fn a_silence_has_its_bounds() {
    let mut world = World::new(PLAIN);
    let matchers = |count: usize, value: &str| {
        let matcher = |number: usize| MatcherDraft {
            op: MatchOp::Equal,
            name: format!("label_{number}"),
            value: value.to_owned(),
        };
        vec![(0..count).map(matcher).collect()]
    };
    let text = "x".repeat(70_000);
    let too_large =
        |bytes: usize| format!("silence exceeded maximum size: {bytes} bytes (limit: 65536 bytes)");
    let plain = || draft("instance", "a", 0, 1000);
    for (draft, error) in [
        (
            SilenceDraft {
                matcher_sets: matchers(100, "x"),
                ..plain()
            },
            None,
        ),
        (
            SilenceDraft {
                matcher_sets: matchers(101, "x"),
                ..plain()
            },
            Some("silence exceeded maximum number of matchers: 101 (limit: 100)".to_owned()),
        ),
        (
            SilenceDraft {
                matcher_sets: [matchers(60, "x"), matchers(60, "x")].concat(),
                ..plain()
            },
            Some("silence exceeded maximum number of matchers: 120 (limit: 100)".to_owned()),
        ),
        (
            SilenceDraft {
                matcher_sets: matchers(2, &text),
                ..plain()
            },
            Some(too_large(140_016)),
        ),
        (
            SilenceDraft {
                comment: text.clone(),
                ..plain()
            },
            Some(too_large(70_011)),
        ),
        (
            SilenceDraft {
                created_by: text.clone(),
                ..plain()
            },
            Some(too_large(70_009)),
        ),
        (
            SilenceDraft {
                annotations: Labels::from_pairs([("ticket", text.as_str())]),
                ..plain()
            },
            Some(too_large(70_017)),
        ),
        (
            // As large as it may be: the matcher takes nine bytes, the author two.
            SilenceDraft {
                comment: "x".repeat(64 * 1024 - 11),
                ..plain()
            },
            None,
        ),
    ] {
        let set = world.set(draft).err().map(|error| error.to_string());
        assert_eq!(set, error);
    }
}

#[test]
fn a_silenced_alert_is_told_when_its_silence_ends() {
    let mut world = World::new(PLAIN);
    world.silence("instance", "a", 1000);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(2000);
    world.check(&["30 first notification +b", "1230 new alerts added +a +b"]);
}

/// Reproduced on upstream: fire, told; silence; resolve while silenced; expire the silence; fire again: nothing is
/// sent until the repeat interval has passed.
#[test]
fn an_alert_that_ends_while_silenced_is_told_resolved_and_fires_anew() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    let silence = world.silence("alertname", "Down", 100_000);
    world.until(400);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(700);
    world.expire(&silence);
    world.fire(&["alertname=Down instance=a"]);
    world.until(800);
    world.check(&[
        "30 first notification +a",
        "630 all alerts resolved -a",
        "730 first notification +a",
    ]);
}

/// The last one that is not silenced ends: that is told as the end of all, and the silenced one's end is owed still.
#[test]
fn an_alert_that_ends_while_silenced_is_told_resolved_after_the_others_too() {
    for (crashes, last) in [
        (false, "630 all alerts resolved -b"),
        (true, "400 all alerts resolved -b"),
    ] {
        let mut world = World::new(PLAIN);
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        world.until(100);
        world.silence("instance", "b", 5000);
        world.resolve(&["alertname=Down instance=a"]);
        world.until(400);
        if crashes {
            world.crash(secs(0));
        }
        world.resolve(&["alertname=Down instance=b"]);
        world.until(1000);
        world.check(&[
            "30 first notification +a +b",
            "330 all alerts resolved -a",
            last,
        ]);
        assert_eq!(world.machine.groups_len(), 0);
    }
}

/// To a vendor that keeps one state for the group all was over, so what outlives its silence is news to it.
#[test]
fn an_alert_that_outlives_its_silence_after_the_end_of_the_others_is_a_first_notification() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
    world.until(100);
    world.silence("instance", "b", 700);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(1000);
    world.check(&[
        "30 first notification +a +b",
        "330 all alerts resolved -a",
        "930 first notification +b",
    ]);
}

#[test]
fn what_fires_and_ends_within_its_silence_is_never_told() {
    let mut world = World::new(PLAIN);
    world.silence("alertname", "Down", 100_000);
    world.fire(&["alertname=Down instance=a"]);
    world.until(400);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(2000);
    world.check(&[]);
    assert_eq!(world.machine.groups_len(), 0);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::AlertsMuted { count: 1, .. }))
    );
}

/// Upstream forgets after twice the repeat interval what was told of a muted alert, and never closes its incident.
#[test]
fn a_long_silence_does_not_lose_the_resolve() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.silence("alertname", "Down", 20 * 24 * 3600);
    world.until(10 * 24 * 3600);
    world.resolve(&["alertname=Down instance=a"]);
    world.until(10 * 24 * 3600 + 600);
    let lines = world.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].ends_with("all alerts resolved -a"), "{lines:?}");
}

#[test]
fn an_inhibited_alert_is_told_when_its_source_ends() {
    let mut world = World::new(
        "
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
inhibit_rules: [{source_matchers: ['severity=\"critical\"'], target_matchers: ['severity=\"warning\"'], equal: [cluster]}]
",
    );
    world.fire(&[
        "alertname=Slow instance=a cluster=c severity=warning",
        "alertname=Dead instance=b cluster=c severity=critical",
    ]);
    world.until(100);
    world.resolve(&["alertname=Dead instance=b cluster=c severity=critical"]);
    world.until(400);
    world.check(&[
        "30 first notification +b",
        "330 all alerts resolved -b",
        "330 first notification +a",
    ]);
}

/// A saved source inhibits from the first flush on, before anybody has sent it again.
#[test]
fn sources_are_known_from_second_zero_of_a_restart() {
    let mut world = World::new(
        "
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
inhibit_rules: [{source_matchers: ['severity=\"critical\"'], target_matchers: ['severity=\"warning\"'], equal: [cluster]}]
",
    );
    world.fire(&[
        "alertname=Slow instance=a cluster=c severity=warning",
        "alertname=Dead instance=b cluster=c severity=critical",
    ]);
    world.until(10);
    world.crash(secs(120));
    world.until(3000);
    world.check(&["130 first notification +b"]);
}

#[test]
fn a_muted_time_holds_back_what_fires_and_not_what_ends() {
    // The world begins at 1970-01-12 13:46:40 UTC, a Monday; the route is mute from 14:00 to 15:00.
    let mut world = World::new(
        "
route: {receiver: team, group_by: [alertname], routes: [{matchers: ['night=\"yes\"'], mute_time_intervals: [two]}]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
time_intervals: [{name: two, time_intervals: [{times: [{start_time: '14:00', end_time: '15:00'}]}]}]
",
    );
    world.fire(&["alertname=Down instance=a night=yes"]);
    world.until(900);
    world.fire(&["alertname=Down instance=b night=yes"]);
    world.until(1000);
    world.resolve(&["alertname=Down instance=a night=yes"]);
    world.until(6000);
    world.check(&[
        "30 first notification +a",
        "1230 all alerts resolved -a",
        // 15:00 is second 4400; the grid has 4530.
        "4530 first notification +b",
    ]);
}

#[test]
fn a_silence_changes_in_place_only_where_nothing_happened_yet() {
    let mut world = World::new(PLAIN);
    world.until(3600);
    // Seconds are from the world's start; it is 3600 now. Rows: known from/until, new from/until, in place.
    let rows = [
        (
            "pending, starts in the past",
            (7200, 9000),
            (3540, 9000),
            false,
        ),
        ("pending, starts now", (7200, 9000), (3600, 9000), true),
        ("pending, starts later", (7200, 9000), (3660, 9000), true),
        ("active, another start", (0, 9000), (3540, 9000), false),
        ("active, ends later", (0, 9000), (3600, 14_000), true),
        ("active, ends now", (0, 9000), (3600, 3601), true),
    ];
    for (name, known, new, in_place) in rows {
        // An active silence that was asked for in the past starts now.
        let id = world.set(draft("a", name, known.0, known.1)).unwrap();
        let mut change = draft("a", name, new.0, new.1);
        change.id = Some(id.clone());
        let changed = world.set(change).unwrap();
        assert_eq!(changed == id, in_place, "{name}");
    }
    let id = world.set(draft("a", "other matchers", 7200, 9000)).unwrap();
    let mut change = draft("a", "x", 7200, 9000);
    change.id = Some(id.clone());
    assert_ne!(world.set(change).unwrap(), id);
    let state = |world: &World, id: &SilenceId| {
        world
            .machine
            .view(world.now)
            .silences
            .iter()
            .find(|silence| silence.id == *id)
            .unwrap()
            .state(world.now)
    };
    assert_eq!(state(&world, &id), SilenceState::Expired, "replaced");
    let mut expired = draft("a", "other matchers", 7200, 9000);
    expired.id = Some(id.clone());
    assert_ne!(world.set(expired).unwrap(), id, "what is over stays over");
}

#[test]
fn wrong_silences_are_refused_in_alertmanagers_words() {
    let mut world = World::new(PLAIN);
    world.until(1000);
    let with = |op: MatchOp, name: &str, value: &str| {
        let mut wrong = draft("a", "b", 2000, 3000);
        wrong.matcher_sets = vec![vec![MatcherDraft {
            op,
            name: name.to_owned(),
            value: value.to_owned(),
        }]];
        wrong
    };
    let mut unknown = draft("a", "b", 2000, 3000);
    unknown.id = Some(SilenceId::new("nobody"));
    let mut empty = draft("a", "b", 2000, 3000);
    empty.matcher_sets.clear();
    for (wrong, text) in [
        (
            draft("a", "b", 3000, 3000),
            "start time must be before end time",
        ),
        (draft("a", "b", 0, 999), "end time can't be in the past"),
        (unknown, "silence not found"),
        (empty, "at least one matcher set required"),
        (
            with(MatchOp::Equal, "a", ""),
            "matcher set 0: at least one matcher must not match the empty string",
        ),
        (
            with(MatchOp::Regex, "a", ".*"),
            "matcher set 0: at least one matcher must not match the empty string",
        ),
        (
            with(MatchOp::Equal, "", "x"),
            "invalid label matcher 0 in set 0: invalid label name \"\"",
        ),
    ] {
        assert_eq!(world.set(wrong).unwrap_err().to_string(), text);
    }
    let broken = world.set(with(MatchOp::Regex, "a", "(")).unwrap_err();
    assert!(
        broken
            .to_string()
            .starts_with("invalid label matcher 0 in set 0: invalid regular expression \"(\": "),
        "{broken}"
    );
    assert!(world.set(with(MatchOp::NotEqual, "a", "x")).is_ok());
}

#[test]
fn silences_survive_and_are_forgotten_after_their_retention() {
    let mut world = World::new(PLAIN);
    let id = world.silence("alertname", "Down", 1000);
    world.crash(secs(10));
    world.fire(&["alertname=Down instance=a"]);
    world.until(500);
    world.check(&[]);
    let known = |world: &World| {
        world
            .machine
            .view(world.now)
            .silences
            .iter()
            .any(|silence| silence.id == id)
    };
    world.until(1000 + 119 * 3600);
    let silences_of_alerts = |world: &World| {
        let alerts = world.machine.alerts.iter();
        alerts
            .map(|(fingerprint, _)| world.machine.silenced.get(fingerprint).len())
            .sum::<usize>()
    };
    assert!(
        known(&world) && silences_of_alerts(&world) == 0,
        "it is over"
    );
    world.until(1000 + 121 * 3600);
    assert!(!known(&world));
    let id = world.silence("alertname", "Down", 1_000_000);
    assert_eq!(silences_of_alerts(&world), 1);
    world.expire(&id);
    assert_eq!(silences_of_alerts(&world), 0, "it never comes back");
}

#[test]
fn regular_expressions_in_silences_match_whole_values() {
    let matcher = Matcher::new(
        MatchOp::Regex,
        "instance",
        "a|b",
        MatcherDialect::Alertmanager,
    );
    assert!(matcher.unwrap().matches("b"));
    let mut world = World::new(PLAIN);
    let mut regex = draft("instance", "a|b", 0, 100_000);
    regex.matcher_sets[0][0].op = MatchOp::Regex;
    world.set(regex).unwrap();
    world.fire(&[
        "alertname=Down instance=a",
        "alertname=Down instance=ab",
        "alertname=Down instance=b",
    ]);
    world.until(60);
    world.check(&["30 first notification +ab"]);
}
