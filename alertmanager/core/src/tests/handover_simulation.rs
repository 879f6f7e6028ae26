//! Hours in which a data folder goes to another Alertmanager and back, with crashes, clean stops and clocks that are set
//! back, against what two receivers were told, of which one is told no ends: the laws of [`crate::handover`].
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use model::{AlertStatus, Labels};
use notifiers_core::{GroupKey, Memory, NotificationReason, Outcome};

use crate::intake::AlertDraft;
use crate::nflog::{Entry, LogKey};
use crate::protocol::{Input, Ticket};
use crate::record::Record;
use crate::snapshot_files::{read_nflog, write_nflog};
use crate::tests::simulation::Rng;
use crate::tests::world::{Heard, Reaction, World, at, labels, secs};

const SEEDS: u64 = 400;
const HOURS: i64 = 5;
const TICK: i64 = 10;
/// Each alert that fires is sent so often, and lasts so long where it is not sent again.
const RESEND: i64 = 60;
const LEASE: i64 = 240;
/// The end of an alert is sent again for so long.
const END_RESENT: i64 = 900;
const GROUP_WAIT: i64 = 30;
/// Of the receiver `team`, and of `quiet`, which is told no ends.
const INTERVALS: [i64; 2] = [120, 90];
const RESOLVE_TIMEOUT: i64 = 300;
const SLACK: i64 = 2 * TICK;
/// A message that could not be delivered comes so late at most once its receiver is well, and may be older than what
/// was said meanwhile.
const RETRY: i64 = 90;

/// `a` keeps `t` quiet.
const CONFIG: &str = "
route:
  {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 2m, repeat_interval: 1h,
   routes: [{receiver: quiet, group_interval: 90s, continue: true}, {receiver: team}]}
receivers:
- {name: team, pagerduty_configs: [{routing_key: k}]}
- {name: quiet, webhook_configs: [{url: 'http://x', send_resolved: false}]}
inhibit_rules: [{source_matchers: [instance=a], target_matchers: [instance=t]}]
";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn alert(name: &str) -> Labels {
    labels(&format!("alertname=Down instance={name}"))
}

fn names(hashes: &crate::hashes::AlertHashes) -> BTreeSet<String> {
    let known = NAMES
        .iter()
        .filter(|name| hashes.contains(alert(name).xxhash64()));
    known.map(|name| (*name).to_owned()).collect()
}

fn hashes(names: &BTreeSet<String>) -> crate::hashes::AlertHashes {
    names.iter().map(|name| alert(name).xxhash64()).collect()
}

const TEAM: usize = 0;
const QUIET: usize = 1;

fn key(who: usize) -> LogKey {
    let (receiver, integration) = [("team", "pagerduty"), ("quiet", "webhook")][who];
    LogKey {
        group_key: GroupKey::new("{}/{}", &labels("alertname=Down")),
        receiver: receiver.to_owned(),
        integration: integration.to_owned(),
        index: 0,
    }
}

fn all_names() -> BTreeSet<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// An alert as it is. Times are those of the clock, `since` is that of a watch that nobody sets back.
#[derive(Clone, Debug)]
struct Real {
    fires: bool,
    since: i64,
    /// As `since`, when it began last.
    began: i64,
    started_at: i64,
    ended_at: i64,
    phase: i64,
}

/// The original's group of one receiver: it knows of what it has told nothing but the entry.
#[derive(Clone, Debug, Default)]
struct Other {
    who: usize,
    ends_at: BTreeMap<String, i64>,
    due: Option<i64>,
    told: Option<(i64, BTreeSet<String>, BTreeSet<String>)>,
}

impl Other {
    fn post(&mut self, name: &str, started_at: i64, ends_at: i64, now: i64) {
        self.ends_at.insert(name.to_owned(), ends_at);
        self.due
            .get_or_insert((started_at + GROUP_WAIT).clamp(now, now + GROUP_WAIT));
    }

    /// What it tells as firing and as resolved.
    fn flush(&mut self, now: i64) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
        let due = self.due.filter(|due| *due <= now)?;
        self.due = Some(due + INTERVALS[self.who]);
        let fires = |ends_at: &i64| *ends_at > now;
        let of = |status: bool| -> BTreeSet<String> {
            let alerts = self.ends_at.iter();
            let alerts = alerts.filter(|(_, ends_at)| fires(ends_at) == status);
            alerts.map(|(name, _)| name.clone()).collect()
        };
        let (firing, resolved) = (of(true), of(false));
        let tells = match &self.told {
            None => !firing.is_empty(),
            Some((_, known, _)) if !firing.is_subset(known) => true,
            Some((_, known, _)) if firing.is_empty() => !known.is_empty(),
            Some((told_at, _, over)) => {
                self.who == TEAM && !resolved.is_subset(over) || now - told_at > 3600
            }
        };
        self.ends_at.retain(|_, ends_at| fires(ends_at));
        if self.ends_at.is_empty() {
            self.due = None;
        }
        tells.then(|| {
            self.told = Some((now, firing.clone(), resolved.clone()));
            (firing, resolved)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    Well,
    /// Takes nothing.
    Down,
    /// Takes what it is told, and its answer is lost.
    Mute,
}

/// One of those who are told.
struct Ear {
    who: usize,
    /// The last two messages of this process that were not the end of the group.
    told_at: [Option<i64>; 2],
    /// Since it began.
    has_told: bool,
    /// What the receiver believes to fire; who is told no ends may believe what has ended.
    believed: BTreeSet<String>,
    /// When it was told last that an alert fires, by the watch.
    told_of: BTreeMap<String, i64>,
    /// What it was told of and was left out of another one's last word, or of a notification in the time of waiting: that may
    /// be told once more.
    left_out: BTreeSet<String>,
    /// What the other one told last as firing, until this process hears of it.
    told_there: BTreeSet<String>,
    /// What it was told of without an answer: the same.
    unanswered: BTreeSet<String>,
    /// What this process must know to be over: its next firing is news, whatever the receiver believes.
    over: BTreeSet<String>,
    /// What the receiver answers, and since when it takes what it is told.
    answers: Rc<Cell<Receiver>>,
    well_since: i64,
}

impl Ear {
    fn knows(&self, name: &str, real: &Real) -> bool {
        let told_of = self.told_of.get(name).copied();
        match self.who {
            TEAM => self.believed.contains(name),
            // Nobody may have seen that it ended and began anew.
            _ => told_of.is_some_and(|at| at >= real.began || !self.over.contains(name)),
        }
    }
}

struct Run {
    seed: u64,
    rng: Rng,
    world: World,
    /// Where it works in place of the world, with a group for each receiver.
    other: Option<[Other; 2]>,
    /// Seconds of the watch, and how far the clock is behind it.
    watch: i64,
    back: i64,
    /// Until then the clock shows times that it has shown before.
    again_until: i64,
    /// Since when the one at work is.
    up_since: i64,
    /// After a handover: by this time of the watch all that fires was heard of.
    heard_by: i64,
    real: BTreeMap<String, Real>,
    ears: [Ear; 2],
    /// Whom this process has heard firing, and when, since it began.
    heard_firing: BTreeMap<String, i64>,
    told: usize,
    handovers: usize,
    waited: usize,
    lines: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let real = NAMES.iter().map(|name| {
            let real = Real {
                fires: false,
                since: -END_RESENT,
                began: -END_RESENT,
                started_at: -END_RESENT,
                ended_at: -END_RESENT,
                phase: rng.below(6) as i64 * TICK,
            };
            ((*name).to_owned(), real)
        });
        let real = real.collect();
        let ears = [TEAM, QUIET].map(|who| Ear {
            who,
            told_at: [None; 2],
            has_told: false,
            believed: BTreeSet::new(),
            told_of: BTreeMap::new(),
            left_out: BTreeSet::new(),
            told_there: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            over: all_names(),
            answers: Rc::new(Cell::new(Receiver::Well)),
            well_since: 0,
        });
        let answers = [TEAM, QUIET].map(|who| Rc::clone(&ears[who].answers));
        let who = |order: &crate::protocol::Deliver| usize::from(order.key.receiver == "quiet");
        let world =
            World::new(CONFIG).with_script(move |order, _| match answers[who(order)].get() {
                Receiver::Well => Reaction::take(),
                Receiver::Down => Reaction::fail(),
                Receiver::Mute => Reaction {
                    outcome: Outcome::Ambiguous {
                        reason: "no answer".to_owned(),
                    },
                    ..Reaction::take()
                },
            });
        Self {
            seed,
            rng,
            world,
            other: None,
            watch: 0,
            back: 0,
            again_until: 0,
            up_since: 0,
            heard_by: 0,
            real,
            ears,
            heard_firing: BTreeMap::new(),
            told: 0,
            handovers: 0,
            waited: 0,
            lines: Vec::new(),
        }
    }

    fn clock(&self) -> i64 {
        self.watch - self.back
    }

    fn all(mut self) -> Self {
        while self.watch < HOURS * 3600 {
            self.watch += TICK;
            self.work();
            let flips = self.rng.below(25) == 0;
            let flipped = flips.then(|| NAMES[self.rng.below(4) as usize].to_owned());
            if let Some(name) = &flipped {
                self.flip(name);
            }
            for name in NAMES {
                let real = &self.real[name];
                let is_due = (self.watch + real.phase) % RESEND == 0;
                if is_due || flipped.as_deref() == Some(name) {
                    self.send(name);
                }
            }
            self.work();
            self.check();
            let who = self.rng.below(2) as usize;
            match self.rng.below(30) {
                0 => self.fall_ill(who),
                1..8 => self.get_well(who),
                _ => {}
            }
            match self.rng.below(150) {
                0..2 if self.watch > self.again_until => self.hand_over(),
                2 => self.crash(),
                3 => self.stop_and_start(),
                4 if self.other.is_none() => self.set_back(),
                _ => {}
            }
        }
        self
    }

    fn fall_ill(&mut self, who: usize) {
        let how = if self.rng.below(2) == 0 {
            Receiver::Down
        } else {
            Receiver::Mute
        };
        self.note(&format!("  receiver {who}: {how:?}"));
        self.ears[who].answers.set(how);
        self.ears[who].well_since = self.watch;
    }

    fn get_well(&mut self, who: usize) {
        if self.ears[who].answers.replace(Receiver::Well) != Receiver::Well {
            self.ears[who].well_since = self.watch;
            self.note(&format!("  receiver {who} is well"));
        }
    }

    fn flip(&mut self, name: &str) {
        let (watch, clock) = (self.watch, self.clock());
        let Some(real) = self.real.get_mut(name) else {
            return;
        };
        real.fires = !real.fires;
        real.since = watch;
        if real.fires {
            real.began = watch;
            real.started_at = clock;
        } else {
            real.ended_at = clock;
        }
        let sign = if real.fires { '+' } else { '-' };
        self.note(&format!("  {sign}{name} in fact"));
    }

    /// What a Prometheus says of an alert.
    fn send(&mut self, name: &str) {
        let (now, real) = (self.clock(), self.real[name].clone());
        if !real.fires && self.watch - real.since > END_RESENT {
            return;
        }
        let ends_at = if real.fires {
            now + LEASE
        } else {
            real.ended_at.min(now)
        };
        let started_at = real.started_at.min(ends_at);
        match &mut self.other {
            Some(groups) => {
                for other in groups {
                    other.post(name, started_at, ends_at, now);
                }
            }
            None => {
                for ear in &mut self.ears {
                    ear.told_there.remove(name);
                }
                if real.fires {
                    self.heard_firing.insert(name.to_owned(), self.watch);
                }
                let labels = alert(name);
                let labels = labels.iter();
                let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
                self.world.post_drafts(vec![AlertDraft {
                    labels: labels.collect(),
                    starts_at: Some(at(started_at)),
                    ends_at: Some(at(ends_at)),
                    ..AlertDraft::default()
                }]);
            }
        }
    }

    /// Whoever is at work does what is due.
    fn work(&mut self) {
        let now = self.clock();
        match &mut self.other {
            Some(groups) => {
                let mut lines = Vec::new();
                for (other, ear) in groups.iter_mut().zip(&mut self.ears) {
                    if ear.answers.get() == Receiver::Down {
                        continue;
                    }
                    if let Some((firing, resolved)) = other.flush(now) {
                        lines.push(format!(
                            "  the other one {}: +{firing:?} -{resolved:?}",
                            ear.who
                        ));
                        let told = firing.union(&resolved);
                        let told: BTreeSet<String> = told.cloned().collect();
                        ear.unanswered.retain(|name| !told.contains(name));
                        ear.believed.retain(|name| !resolved.contains(name));
                        ear.believed.extend(firing.iter().cloned());
                        for name in &firing {
                            ear.told_of.insert(name.clone(), self.watch);
                        }
                        ear.told_there = firing;
                    }
                }
                for line in lines {
                    self.note(&line);
                }
            }
            None => {
                self.world.until(now);
                while let Some(heard) = self.world.heard.get(self.told).cloned() {
                    self.told += 1;
                    self.hear(&heard);
                }
                let groups = self.world.machine.groups.iter();
                self.waited += groups.filter(|(_, group)| group.is_held).count();
            }
        }
    }

    /// The laws of a message.
    fn hear(&mut self, heard: &Heard) {
        self.note(&format!("  {} {}", heard.kind, heard.words()));
        let ear = &self.ears[usize::from(heard.kind == "webhook")];
        let interval = INTERVALS[ear.who];
        let answers = ear.answers.get();
        let is_late = answers != Receiver::Well || self.watch - ear.well_since < RETRY;
        let late = if is_late { interval } else { 0 };
        let is_up_for = |watch: i64, since: i64| watch - since.max(self.up_since);
        for name in &heard.resolved {
            let real = &self.real[name];
            assert!(
                !real.fires || is_up_for(self.watch, real.since) <= RESEND + late + SLACK,
                "{name} is told as over, which this process must know to fire: {}",
                self.story()
            );
        }
        if self.watch - self.up_since < RESOLVE_TIMEOUT && !is_late {
            for name in heard.resolved.intersection(&ear.told_there) {
                assert!(
                    !self.real[name].fires,
                    "{name} is told as over, and began again: {}",
                    self.story()
                );
            }
        }
        if heard.firing.is_empty() {
            for name in &ear.believed {
                assert!(
                    heard.resolved.contains(name) || !self.real[name].fires,
                    "all is told as over, and {name} fires: {}",
                    self.story()
                );
            }
        }
        // One of the grid, and an early one.
        if let Some(told_at) = ear.told_at[0].filter(|_| !is_late) {
            assert!(
                self.watch - told_at >= interval - SLACK,
                "three in an interval: {}",
                self.story()
            );
        }
        // A flush that was due meanwhile is done when the group is known again, and the grid stays where it was.
        let is_of_grid = !is_late && ear.has_told;
        let told_at = (is_of_grid && !heard.firing.is_empty()).then_some(self.watch);
        let is_new_to = |name: &String| {
            let told_of = ear.told_of.get(name).copied();
            !ear.believed.contains(name) || told_of.is_none_or(|at| at < self.real[name].began)
        };
        let is_news = heard.firing.iter().any(is_new_to)
            || heard
                .resolved
                .iter()
                .any(|name| ear.believed.contains(name))
            || heard
                .firing
                .union(&heard.resolved)
                .any(|name| ear.left_out.contains(name) || ear.unanswered.contains(name))
            || heard.reason == NotificationReason::RepeatIntervalElapsed
            // An end that is not told leaves out what was not heard of yet.
            || (ear.who == QUIET && self.watch < self.heard_by + interval);
        assert!(is_news, "told twice: {}", self.story());
        let is_waiting = self.watch - self.up_since < RESOLVE_TIMEOUT + late;
        let ear = &mut self.ears[usize::from(heard.kind == "webhook")];
        ear.has_told = true;
        ear.told_at = [ear.told_at[1], told_at];
        for name in heard.firing.union(&heard.resolved) {
            if answers == Receiver::Mute {
                ear.unanswered.insert(name.clone());
            } else {
                ear.left_out.remove(name);
                ear.unanswered.remove(name);
            }
        }
        ear.believed.retain(|name| !heard.resolved.contains(name));
        if is_waiting {
            // It may have ended unseen: when it is heard of it is told once more.
            let unmentioned = ear.believed.difference(&heard.firing);
            ear.left_out.extend(unmentioned.cloned());
        }
        for name in &heard.firing {
            ear.believed.insert(name.clone());
            ear.told_of.insert(name.clone(), self.watch);
            ear.over.remove(name);
        }
    }

    /// The laws of every moment.
    fn check(&mut self) {
        if self.other.is_some() {
            return;
        }
        for who in [TEAM, QUIET] {
            self.note_over(who);
            self.check_ear(&self.ears[who]);
        }
        self.check_source();
    }

    /// What fires in no way any more, and was said to be over to this process long enough ago, is over for it.
    fn note_over(&mut self, who: usize) {
        for (name, real) in &self.real {
            let lasts = self.watch - real.since.max(self.up_since).max(self.ears[who].well_since);
            let was_said = self.up_since + RESEND + SLACK <= real.since + END_RESENT;
            let most = RESEND + INTERVALS[who] + RETRY + SLACK;
            if !real.fires && was_said && lasts > most {
                self.ears[who].over.insert(name.clone());
            }
        }
    }

    fn check_ear(&self, ear: &Ear) {
        if ear.answers.get() == Receiver::Down {
            return;
        }
        let interval = INTERVALS[ear.who];
        let is_late = ear.well_since > 0 && self.watch - ear.well_since < 3600;
        let late = if is_late { RETRY } else { 0 };
        for (name, real) in &self.real {
            let from = real.since.max(self.up_since).max(ear.well_since);
            let waited = self.watch - from;
            if real.fires && !ear.knows(name, real) {
                let most = RESEND + GROUP_WAIT.max(interval) + late + SLACK;
                assert!(
                    waited <= most,
                    "{name} fires, untold to {}: {}",
                    ear.who,
                    self.story()
                );
            }
            // Its end was said to this process.
            let was_said = self.up_since + RESEND + SLACK <= real.since + END_RESENT;
            let is_told = ear.who == QUIET || !ear.believed.contains(name);
            if !real.fires && !is_told && was_said {
                let heard = RESEND.max(self.heard_by - from);
                let most = heard + interval + late + SLACK;
                assert!(waited <= most, "{name} is over, untold: {}", self.story());
            }
        }
    }

    fn check_source(&self) {
        let target = labels("alertname=Other instance=t");
        let mutes = self.world.machine.mutes(self.world.now);
        let source = mutes
            .inhibitor
            .inhibited_by(&target, mutes.alerts, mutes.now);
        if source.is_some() && !self.heard_firing.contains_key("a") {
            let known = &self.world.machine.alerts.get(alert("a").fingerprint());
            let was_known =
                known.is_some_and(|stored| stored.alert.status(mutes.now) == AlertStatus::Firing);
            assert!(
                was_known && self.watch - self.up_since <= LEASE.max(RESOLVE_TIMEOUT),
                "a inhibits, of which nobody was heard: {}",
                self.story()
            );
        }
    }

    fn hand_over(&mut self) {
        self.handovers += 1;
        match self.other.take() {
            None => {
                self.world.tell(Input::ExportWanted { ticket: Ticket(0) });
                self.world.export();
                self.pass(100);
                let mut other = [TEAM, QUIET].map(|who| Other {
                    who,
                    ..Other::default()
                });
                for record in read_nflog(&self.world.file).unwrap().records {
                    if let Record::ToldElsewhere { key, entry } = record {
                        let told_at = (entry.at.as_millis() - at(0).as_millis()) / 1000;
                        let told = (told_at, names(&entry.firing), names(&entry.resolved));
                        other[usize::from(key.receiver == "quiet")].told = Some(told);
                    }
                }
                self.other = Some(other);
                for ear in &mut self.ears {
                    ear.told_there.clear();
                    // Who is told no ends is not told anew by it.
                    ear.over.clear();
                }
                self.note("the other one begins");
            }
            Some(other) => {
                let entries = other.clone().map(|other| {
                    other.told.map(|(told_at, firing, resolved)| Entry {
                        at: at(told_at),
                        expires_at: at(told_at + 120 * 3600),
                        firing: hashes(&firing),
                        resolved: hashes(&resolved),
                        memory: Memory::default(),
                    })
                });
                for (ear, entry) in self.ears.iter_mut().zip(&entries) {
                    let mentioned = entry
                        .as_ref()
                        .map(|entry| names(&entry.firing.union(&entry.resolved)));
                    let mentioned = mentioned.unwrap_or_default();
                    // Whatever it was told, by whomever, and when.
                    ear.left_out = all_names();
                    ear.left_out.retain(|name| !mentioned.contains(name));
                }
                // It was told to the one as over after it was told to the other as firing.
                if let [Some(team), Some(quiet)] = &entries
                    && team.at > quiet.at
                {
                    let over = team.resolved.intersection(&quiet.firing);
                    self.ears[QUIET].over.extend(names(&over));
                }
                let keys = [key(TEAM), key(QUIET)];
                let entries = keys.iter().zip(&entries);
                let entries = entries.filter_map(|(key, entry)| Some((key, entry.as_ref()?)));
                self.world.file = write_nflog(entries);
                self.pass(100);
                self.begin("the other one ends, clean");
                self.heard_by = self.watch + RESOLVE_TIMEOUT;
            }
        }
        self.up_since = self.watch;
    }

    fn crash(&mut self) {
        if self.other.is_none() {
            if self.rng.below(3) == 0 {
                self.world.compact();
            }
            self.pass(200);
            self.begin("kill -9");
        }
    }

    fn stop_and_start(&mut self) {
        if self.other.is_none() {
            self.world.tell(Input::ExportWanted { ticket: Ticket(0) });
            self.world.export();
            self.pass(200);
            self.begin("stopped, and begun");
        }
    }

    fn set_back(&mut self) {
        if self.rng.below(2) == 0 {
            self.world.tell(Input::ExportWanted { ticket: Ticket(0) });
            self.world.export();
        }
        self.again_until = self.again_until.max(self.watch) + 600;
        self.pass(20);
        let back = 20 + 10 * self.rng.below(20) as i64;
        self.back += back;
        if self.heard_by > self.watch {
            self.heard_by = (self.heard_by + back).min(self.watch + RESOLVE_TIMEOUT);
        }
        self.begin("the clock is set back");
    }

    fn begin(&mut self, how: &str) {
        self.world.now = at(self.clock());
        self.world.crash(secs(0));
        self.heard_firing.clear();
        for ear in &mut self.ears {
            ear.told_at = [None; 2];
            ear.has_told = false;
        }
        self.up_since = self.watch;
        self.note(how);
    }

    fn pass(&mut self, most: u64) {
        let passes = TICK * (1 + self.rng.below(most) as i64 / TICK);
        // While nobody is at work nobody is heard.
        if self.heard_by > self.watch {
            self.heard_by += passes;
        }
        self.watch += passes;
    }

    fn note(&mut self, what: &str) {
        self.lines
            .push(format!("{} ({}) {what}", self.watch, self.clock()));
    }

    fn story(&self) -> String {
        let last = self.lines.len().saturating_sub(40);
        format!(
            "seed {} at {}\n{}",
            self.seed,
            self.watch,
            self.lines[last..].join("\n")
        )
    }
}

#[test]
fn receivers_know_what_fires_whoever_tells_them() {
    let (mut handovers, mut waited, mut told) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = Run::new(seed).all();
        handovers += run.handovers;
        waited += run.waited;
        told += run.told;
    }
    assert!(
        handovers > 1000 && waited > 100 && told > 1000,
        "{handovers} {waited} {told}"
    );
}
