//! One node through hours of firing, resolving, failing receivers and crashes: nothing is lost, and a message comes
//! twice only where a crash or a lost answer hid how an attempt ended.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use notifiers_core::{NotificationReason, Outcome};

use crate::record::Record;
use crate::tests::world::{Heard, Reaction, World, at, secs, tells_an_end};

const SEEDS: u64 = 200;
const HOURS: i64 = 6;

const CONFIG: &str = "
route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 2m, repeat_interval: 1h}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}, {url: 'http://y'}]}]
";

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
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
    let mut world = World::new(CONFIG).with_script(move |order, now| {
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
                }
            }
            35..37 => Reaction {
                takes: false,
                after,
                outcome: Outcome::Rejected {
                    reason: "400".to_owned(),
                },
            },
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
        match rng.below(10) {
            0..5 => {
                world.fire(&[&alert]);
                firing.insert(alert);
            }
            5..9 => {
                world.resolve(&[&alert]);
                firing.remove(&alert);
            }
            _ => {
                hidden += world.hidden_by_a_crash();
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
        // The whole log is read for it: not every time.
        if time % 8 == 0 {
            assert_eq!(
                attempted(&world.restored().snapshot(world.now)),
                attempted(&right),
                "seed {seed} at {time}: the log knows what is uncertain"
            );
        }
    }
    // Receivers are well; two intervals and a longest wait later all is told.
    world.until(time + 600);
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
        let mut known: BTreeMap<(u32, String), BTreeSet<String>> = BTreeMap::new();
        for heard in &run.world.heard {
            known.insert(
                (heard.integration, heard.group.clone()),
                heard.firing.clone(),
            );
        }
        for integration in 0..2 {
            for group in 0..3 {
                let actual: BTreeSet<String> = run
                    .firing
                    .iter()
                    .filter_map(|alert| {
                        alert.strip_prefix(&format!("alertname=A{group} instance="))
                    })
                    .map(str::to_owned)
                    .collect();
                let key = (integration, format!("{{}}:{{alertname=\"A{group}\"}}"));
                let known = known.get(&key).cloned().unwrap_or_default();
                assert_eq!(
                    known, actual,
                    "seed {seed}, integration {integration}, group {group}"
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
        let mut last: BTreeMap<(u32, &str), &Heard> = BTreeMap::new();
        let mut repeated = 0;
        for heard in &run.world.heard {
            let key = (heard.integration, heard.group.as_str());
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
