//! Laws of groups, of mutes and of machines side by side, whatever happens to them.
use std::collections::BTreeSet;

use model::{Alert, Labels, Timestamp};
use proptest::prelude::*;

use crate::dispatch::{Dispatcher, GroupId};
use crate::group::Schedule;
use crate::interval::IntervalMute;
use crate::mute::MuteReason;
use crate::silence::SilencesAsked;
use crate::tests::world::{World, at, labels, policy, secs};

const ROUTED: &str = "
route:
  receiver: team
  group_by: [alertname]
  routes:
  - {matchers: [alertname=B], receiver: team, group_by: [instance], group_wait: 7s, group_interval: 1m, continue: true}
  - {matchers: [alertname=B], receiver: team, group_interval: 45s}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
";

fn an_alert(alertname: &str, instance: &str, starts_at: Timestamp) -> Alert {
    Alert {
        labels: labels(&format!("alertname={alertname} instance={instance}")),
        annotations: Labels::default(),
        starts_at,
        ends_at: Timestamp::MAX,
        updated_at: starts_at,
        generator_url: String::new(),
        timeout: false,
    }
}

proptest! {
    /// `dispatch`: whatever joins, leaves and is flushed or let go, there is a group exactly where there is a member, with
    /// one timer, its own. What is due is taken in the order of time, then of the key, never before its time, and leaves
    /// nothing due behind.
    #[test]
    fn each_group_has_one_timer_and_is_taken_in_order(
        steps in prop::collection::vec((0_u8..8, 0_u8..2, 0_u8..3, 0_i64..200), 1..40),
    ) {
        let policy = policy(ROUTED);
        let mut groups = Dispatcher::default();
        let mut members: BTreeSet<(GroupId, u64)> = BTreeSet::new();
        let mut now = 0;
        for (what, name, instance, length) in steps {
            let name = ["A", "B"][usize::from(name)];
            let instance = ["x", "y", "z"][usize::from(instance)];
            let alert = an_alert(name, instance, at(now - length));
            let ids: Vec<GroupId> = policy
                .routes_for(&alert)
                .iter()
                .map(|route| Dispatcher::id(&policy, *route, &alert))
                .collect();
            let fingerprint = alert.fingerprint();
            match what {
                0..4 => for id in ids {
                    let is_new = groups.join(&policy, &id, &alert, |timing, _| {
                        Schedule::starting(timing, alert.starts_at, at(now))
                    }, at(now));
                    prop_assert_eq!(is_new, members.insert((id, fingerprint.0)));
                },
                4 => for id in ids {
                    let left = groups.leave(&id, fingerprint);
                    prop_assert_eq!(left, members.remove(&(id, fingerprint.0)));
                },
                5 => for id in ids {
                    groups.set_held(&id, true);
                    groups.let_go(&policy, &id, at(now));
                },
                _ => {
                    now += length;
                    let mut before = None;
                    let mut due = groups.next_due();
                    while let Some((id, slot)) = groups.take_due(&policy, at(now)) {
                        let place = due.map(|due| (due, id.clone()));
                        prop_assert!(place.is_some() && before <= place, "{before:?} {place:?}");
                        prop_assert!(slot.at <= at(now) && at(now) < slot.until);
                        before = place;
                        due = groups.next_due();
                    }
                    prop_assert!(due.is_none_or(|due| due > at(now)));
                }
            }
            let known: BTreeSet<(GroupId, u64)> = groups
                .iter()
                .flat_map(|(id, group)| {
                    group.members().iter().map(|member| (id.clone(), member.0))
                })
                .collect();
            prop_assert_eq!(&known, &members);
            prop_assert!(groups.iter().all(|(_, group)| !group.members().is_empty()));
            let first = groups.iter().map(|(_, group)| group.due()).min();
            prop_assert_eq!(groups.next_due(), first);
            for (id, group) in groups.iter() {
                for target in &group.targets {
                    // Siblings with equal keys and receivers share a log: the first is found.
                    let found = groups.find(target).map(|found| &found.key);
                    prop_assert_eq!(found, Some(&id.key));
                }
            }
        }
    }

    /// `mute`: an alert is told exactly where nothing mutes it; of several reasons the one counts that Alertmanager's stages
    /// ask for first. A silence mutes what it matches from its beginning to its end, and nothing else does.
    #[test]
    fn an_alert_is_told_exactly_where_nothing_mutes_it(
        silenced in prop::collection::vec((0_usize..3, 10_i64..100), 0..4),
        source_fires: bool,
        in_interval in 0_u8..3,
        passed in 0_i64..120,
    ) {
        let mut world = World::new("
route: {receiver: team, group_by: [alertname]}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
inhibit_rules: [{source_matchers: [alertname=Source], target_matchers: [instance=a]}]
");
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        if source_fires {
            world.fire(&["alertname=Source instance=s"]);
        }
        for (instance, until) in &silenced {
            world.silence("instance", ["a", "b", "none"][*instance], *until);
        }
        world.until(passed);
        let interval = match in_interval {
            0 => None,
            1 => Some(IntervalMute::Muted(vec!["night".to_owned()])),
            _ => Some(IntervalMute::NotActive(vec!["day".to_owned()])),
        };
        let mutes = world.machine.mutes(world.now);
        for (number, instance) in ["a", "b"].into_iter().enumerate() {
            let fingerprint = labels(&format!("alertname=Down instance={instance}")).fingerprint();
            let alert = &mutes.alerts.get(fingerprint).unwrap().alert;
            let is_inhibited = source_fires && instance == "a";
            let by = silenced.iter().filter(|(of, until)| *of == number && passed < *until).count();
            let mut asked = SilencesAsked::default();
            let reason = mutes.reason(fingerprint, alert, interval.as_ref(), &mut asked);
            let expected = match (in_interval, is_inhibited, by) {
                (0, false, 0) => None,
                (0, true, _) => Some(MuteReason::Inhibition),
                (0, false, _) => Some(MuteReason::Silence),
                (1, ..) => Some(MuteReason::MuteTimeInterval),
                _ => Some(MuteReason::ActiveTimeInterval),
            };
            prop_assert_eq!(reason, expected);
            let of = mutes.of(fingerprint, alert);
            prop_assert_eq!(of.silenced_by.len(), by);
            prop_assert_eq!(of.inhibited_by.is_some(), is_inhibited);
            prop_assert_eq!(of.is_muted(), is_inhibited || by > 0);
        }
    }

    /// `group`: machines side by side that hear of an alert at different times flush its group at the same instants, for
    /// those come from when it began. Upstream counts from when each heard of it.
    #[test]
    fn machines_that_hear_at_different_times_flush_at_the_same_instants(
        heard in prop::collection::vec(0_i64..30, 2..4),
        more in prop::collection::vec((31_i64..2000, 0_u8..4), 0..5),
        late in 0_i64..25,
    ) {
        let flushes = |heard: i64| {
            let mut world = World::new(crate::tests::world::PLAIN);
            let mut posts = vec![(heard, "z".to_owned(), 0)];
            for (began, instance) in &more {
                // Who hears late of the first hears late of all.
                posts.push((began + late * heard / 30, format!("i{instance}"), *began));
            }
            posts.sort();
            for (when, instance, began) in posts {
                world.until(when);
                world.post_drafts(vec![crate::intake::AlertDraft {
                    labels: [("alertname", "Down"), ("instance", &instance)]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into(),
                    starts_at: Some(at(began)),
                    ends_at: Some(at(90_000)),
                    ..crate::intake::AlertDraft::default()
                }]);
            }
            world.until(2500);
            let group = world.machine.groups.iter().next().unwrap().1;
            let flushes = group.flushes();
            let grid: Vec<i64> = world.heard.iter().map(|heard| (heard.at - 30) % 300).collect();
            (flushes, group.schedule().due(), grid)
        };
        let first = flushes(heard[0]);
        prop_assert_eq!(first.0, 9);
        prop_assert_eq!(first.1, at(30) + secs(9 * 300));
        for heard in &heard {
            let (count, due, grid) = flushes(*heard);
            prop_assert_eq!((count, due), (first.0, first.1), "heard at {}", heard);
            prop_assert!(grid.iter().all(|off| *off == 0), "heard at {}: {:?}", heard, grid);
        }
    }
}

/// Both hear of the first in its `group_wait`, and of a second in different intervals: they tell at the same instants, and the
/// one that hears later tells one interval later. Upstream's instants differ by as much as they heard of the first.
#[test]
fn two_machines_tell_at_the_same_instants() {
    let lines = |first: i64, second: i64| {
        let mut world = World::new(crate::tests::world::PLAIN);
        let draft = |instance: &str, began: i64| crate::intake::AlertDraft {
            labels: [("alertname", "Down"), ("instance", instance)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            starts_at: Some(at(began)),
            ends_at: Some(at(90_000)),
            ..crate::intake::AlertDraft::default()
        };
        world.until(first);
        world.post_drafts(vec![draft("a", 0)]);
        world.until(second);
        world.post_drafts(vec![draft("b", 320)]);
        world.until(1000);
        world.lines()
    };
    let soon = ["30 first notification +a", "330 new alerts added +a +b"];
    let late = ["30 first notification +a", "630 new alerts added +a +b"];
    for (first, second, told) in [
        (0, 320, soon),
        (1, 321, soon),
        (29, 329, soon),
        (29, 331, late),
        (0, 400, late),
    ] {
        assert_eq!(lines(first, second), told, "heard at {first} and {second}");
    }
}
