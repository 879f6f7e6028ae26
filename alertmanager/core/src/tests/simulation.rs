//! One node through hours of firing, resolving, silences, failing receivers, reloads, suspensions and crashes: nothing is
//! lost, and a message comes twice only where a crash or a lost answer hid how an attempt ended.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use notifiers_core::{NotificationReason, Outcome};

use crate::record::Record;
use crate::silence::{SilenceId, SilenceState};
use crate::tests::world::{Heard, Reaction, World, at, secs, tells_an_end};

const SEEDS: u64 = 200;
const HOURS: i64 = 6;
/// Give or take a minute.
const SILENCE_MAX: u64 = 1200;

/// Webhooks may be told twice at once, mails are told again with the next flush.
const CONFIG: &str = "
global: {smtp_smarthost: 'mail:25', smtp_from: 'a@b'}
route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 2m, repeat_interval: 1h}
receivers:
- name: team
  webhook_configs: [{url: 'http://x'}, {url: 'http://y'}]
  email_configs: [{to: 'x@y', send_resolved: true}]
";
/// Whoever is told.
const TARGETS: [(&str, u32); 3] = [("webhook", 0), ("webhook", 1), ("email", 0)];

/// With a repeat that comes too late to mend anything, and an integration that was configured anew.
fn variant(number: u64) -> String {
    let repeat = ["repeat_interval: 1h", "repeat_interval: 1d"];
    let url = ["http://y", "http://z"];
    CONFIG
        .replace("repeat_interval: 1h", repeat[(number / 2 % 2) as usize])
        .replace("http://y", url[(number % 2) as usize])
}

/// splitmix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

struct Run {
    world: World,
    firing: BTreeSet<String>,
    /// Messages that arrived, or told an end and did not, although the process could not know which.
    hidden: usize,
}

fn run(seed: u64) -> Run {
    let mut rng = Rng(seed);
    let receiver = Rc::new(RefCell::new(Rng(seed ^ 0xfeed)));
    let lost_answers = Rc::new(RefCell::new(0_usize));
    let lost = Rc::clone(&lost_answers);
    let mut world = World::new(&variant(seed)).with_script(move |order, now| {
        let mut receiver = receiver.borrow_mut();
        let healed = now >= at(HOURS * 3600);
        let after = Duration::from_millis(receiver.below(4000));
        match if healed { 99 } else { receiver.below(100) } {
            0..30 => Reaction {
                after,
                ..Reaction::fail()
            },
            30..35 => {
                let takes = receiver.below(2) == 0;
                *lost.borrow_mut() += usize::from(takes || tells_an_end(order));
                Reaction {
                    takes,
                    after,
                    outcome: Outcome::Ambiguous {
                        reason: "no answer".to_owned(),
                    },
                    ..Reaction::take()
                }
            }
            // Nothing is heard until the time for it is over.
            37..39 => {
                let takes = receiver.below(2) == 0;
                *lost.borrow_mut() += usize::from(takes || tells_an_end(order));
                Reaction {
                    takes,
                    ..Reaction::hang(order, now)
                }
            }
            35..37 => Reaction {
                takes: false,
                after,
                outcome: Outcome::Rejected {
                    reason: "400".to_owned(),
                },
                ..Reaction::fail()
            },
            39 => Reaction::miss_turn(order, now),
            _ => Reaction {
                after,
                ..Reaction::take()
            },
        }
    });
    let mut firing = BTreeSet::new();
    let mut hidden = 0;
    let mut time = 0;
    while time < HOURS * 3600 {
        time += 1 + rng.below(200) as i64;
        world.until(time);
        let alert = format!("alertname=A{} instance=i{}", rng.below(3), rng.below(4));
        match rng.below(23) {
            0..10 => {
                world.fire(&[&alert]);
                firing.insert(alert);
            }
            10..18 => {
                world.resolve(&[&alert]);
                firing.remove(&alert);
            }
            18 => {
                world.reload(&variant(rng.below(4)));
                world.until(time);
            }
            19 => {
                let length = 60 + rng.below(SILENCE_MAX) as i64;
                world.silence("instance", &format!("i{}", rng.below(4)), time + length);
            }
            20 => {
                time += rng.below(600) as i64;
                world.now = at(time);
            }
            chance => {
                hidden += world.hidden_by_a_crash();
                if chance == 21 {
                    world.compact();
                }
                let down = rng.below(300);
                world.crash(secs(down));
                time += down as i64;
            }
        }
        let restored = crate::machine::Alertmanager::restore(
            world.settings.clone(),
            world.policy.clone(),
            world.machine.snapshot(world.now),
            world.now,
        );
        let (left, right) = (
            restored.snapshot(world.now),
            world.machine.snapshot(world.now),
        );
        let differing = left.iter().zip(&right).find(|(left, right)| left != right);
        assert!(
            left.len() == right.len() && differing.is_none(),
            "seed {seed} at {time}: {differing:?}"
        );
        for (fingerprint, stored) in world.machine.alerts.iter() {
            let matching = world.machine.silences.iter();
            let matching: Vec<&SilenceId> = matching
                .filter(|silence| silence.state(world.now) != SilenceState::Expired)
                .filter(|silence| silence.matches(&stored.alert.labels))
                .map(|silence| &silence.id)
                .collect();
            let known = world.machine.silenced.get(fingerprint).iter();
            let known: Vec<&SilenceId> = known
                .filter(|id| {
                    let silence = world.machine.silences.get(id);
                    silence.is_none_or(|silence| silence.state(world.now) != SilenceState::Expired)
                })
                .collect();
            assert_eq!(
                known, matching,
                "seed {seed} at {time}: who is silenced by what"
            );
            let fires = stored.alert.ends_at > world.now;
            for id in world.machine.group_ids(fingerprint) {
                let group = world.machine.groups.get(&id);
                assert!(
                    !fires || group.is_some_and(|group| group.members().contains(&fingerprint)),
                    "seed {seed} at {time}: what fires is in a group of each of its routes"
                );
            }
        }
        // The whole log is read for it: not every time.
        if time % 8 == 0 {
            assert_eq!(
                attempted(&world.restored().snapshot(world.now)),
                attempted(&right),
                "seed {seed} at {time}: the log knows what is uncertain"
            );
        }
    }
    // Receivers are well, silences are over; two intervals and a longest wait later all is told.
    world.until(time + SILENCE_MAX as i64 + 60 + 600);
    let hidden = hidden + *lost_answers.borrow();
    Run {
        world,
        firing,
        hidden,
    }
}

fn attempted(records: &[Record]) -> Vec<&Record> {
    records
        .iter()
        .filter(|record| matches!(record, Record::Attempted { .. }))
        .collect()
}

#[test]
fn receivers_end_up_knowing_what_fires() {
    for seed in 0..SEEDS {
        let run = run(seed);
        let mut known: BTreeMap<(&str, u32, String), BTreeSet<String>> = BTreeMap::new();
        // What was told as firing, and not as ended since.
        let mut open = known.clone();
        for heard in &run.world.heard {
            let known = known
                .entry((&heard.kind, heard.integration, heard.group.clone()))
                .or_default();
            let open = open
                .entry((&heard.kind, heard.integration, heard.group.clone()))
                .or_default();
            open.retain(|instance| !heard.resolved.contains(instance));
            open.extend(heard.firing.iter().cloned());
            // What is silenced is not shown, and not over either; but where nothing fires all is.
            if heard.firing.is_empty() {
                known.clear();
            }
            known.retain(|instance| !heard.resolved.contains(instance));
            known.extend(heard.firing.iter().cloned());
        }
        for (kind, integration) in TARGETS {
            for group in 0..3 {
                let actual: BTreeSet<String> = run
                    .firing
                    .iter()
                    .filter_map(|alert| {
                        alert.strip_prefix(&format!("alertname=A{group} instance="))
                    })
                    .map(str::to_owned)
                    .collect();
                let key = (
                    kind,
                    integration,
                    format!("{{}}:{{alertname=\"A{group}\"}}"),
                );
                let known = known.get(&key).cloned().unwrap_or_default();
                let open = open.get(&key).cloned().unwrap_or_default();
                assert_eq!(
                    open, actual,
                    "seed {seed}, {kind} {integration}, group {group}: every end is told"
                );
                assert_eq!(
                    known, actual,
                    "seed {seed}, {kind} {integration}, group {group}"
                );
            }
        }
        assert_eq!(
            run.world.machine.groups_len(),
            run.firing
                .iter()
                .filter_map(|alert| alert.split_whitespace().next())
                .collect::<BTreeSet<_>>()
                .len(),
            "seed {seed}: groups live as long as their alerts"
        );
    }
}

#[test]
fn a_message_comes_twice_only_where_the_end_of_an_attempt_was_hidden() {
    let mut repeated_in_all = 0;
    for seed in 0..SEEDS {
        let run = run(seed);
        let mut last: BTreeMap<(&str, u32, &str), &Heard> = BTreeMap::new();
        let mut repeated = 0;
        for heard in &run.world.heard {
            let key = (heard.kind.as_str(), heard.integration, heard.group.as_str());
            if let Some(last) = last.insert(key, heard) {
                let same = last.firing == heard.firing && last.resolved == heard.resolved;
                let due = heard.reason == NotificationReason::RepeatIntervalElapsed;
                repeated += usize::from(same && !due && last.reason == heard.reason);
            }
        }
        assert!(
            repeated <= run.hidden,
            "seed {seed}: {repeated} repeated, {} hidden",
            run.hidden
        );
        repeated_in_all += repeated;
    }
    assert!(
        repeated_in_all > 0,
        "the simulation reaches hidden arrivals"
    );
}

#[test]
fn attempts_of_one_integration_and_group_never_overlap_and_end_in_time() {
    for seed in 0..20 {
        let run = run(seed);
        for (started, deliver) in &run.world.attempts {
            assert!(deliver.deadline > *started, "seed {seed}");
            assert!(
                deliver.deadline <= *started + secs(120),
                "seed {seed}: an attempt ends before the next flush"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..10 {
        assert_eq!(
            run(seed).world.lines(),
            run(seed).world.lines(),
            "seed {seed}"
        );
    }
}
