//! Hours in which a data folder goes to another Alertmanager and back, with crashes, clean stops and clocks that are set
//! back, against what the receiver was told: the laws of [`crate::handover`].
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
const GROUP_INTERVAL: i64 = 120;
const RESOLVE_TIMEOUT: i64 = 300;
const SLACK: i64 = 2 * TICK;
/// A message that could not be delivered comes so late at most once its receiver is well, and may be older than what
/// was said meanwhile.
const RETRY: i64 = 90;

/// `a` keeps `t` quiet.
const CONFIG: &str = "
route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 2m, repeat_interval: 1h}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}]
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

fn key() -> LogKey {
    LogKey {
        group_key: GroupKey::new("{}", &labels("alertname=Down")),
        receiver: "team".to_owned(),
        integration: "webhook".to_owned(),
        index: 0,
    }
}

/// An alert as it is. Times are those of the clock, `since` is that of a watch that nobody sets back.
#[derive(Clone, Debug)]
struct Real {
    fires: bool,
    since: i64,
    started_at: i64,
    ended_at: i64,
    phase: i64,
}

/// The original: it knows of what it has told nothing but the entry.
#[derive(Clone, Debug, Default)]
struct Other {
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
        self.due = Some(due + GROUP_INTERVAL);
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
            Some((told_at, _, over)) => !resolved.is_subset(over) || now - told_at > 3600,
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

struct Run {
    seed: u64,
    rng: Rng,
    world: World,
    /// Where it works in place of the world.
    other: Option<Other>,
    /// Seconds of the watch, and how far the clock is behind it.
    watch: i64,
    back: i64,
    /// Until then the clock shows times that it has shown before.
    again_until: i64,
    /// Since when the one at work is.
    up_since: i64,
    /// After a handover: by this time of the watch all that fires was heard of.
    heard_by: i64,
    /// When this process told something last that was not the end of its group.
    told_at: Option<i64>,
    /// Since it began.
    has_told: bool,
    real: BTreeMap<String, Real>,
    /// What the receiver believes to fire.
    believed: BTreeSet<String>,
    /// What it was told of and was left out of another one's last word, or of a notification in the time of waiting: that may
    /// be told once more.
    left_out: BTreeSet<String>,
    /// What the other one told last as firing, until this process hears of it.
    told_there: BTreeSet<String>,
    /// What it was told of without an answer: the same.
    unanswered: BTreeSet<String>,
    /// Whom this process has heard firing, and when, since it began.
    heard_firing: BTreeMap<String, i64>,
    /// What the receiver answers, and since when it takes what it is told.
    receiver: Rc<Cell<Receiver>>,
    well_since: i64,
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
                started_at: -END_RESENT,
                ended_at: -END_RESENT,
                phase: rng.below(6) as i64 * TICK,
            };
            ((*name).to_owned(), real)
        });
        let real = real.collect();
        let receiver = Rc::new(Cell::new(Receiver::Well));
        let answers = Rc::clone(&receiver);
        let world = World::new(CONFIG).with_script(move |_, _| match answers.get() {
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
            told_at: None,
            has_told: false,
            real,
            believed: BTreeSet::new(),
            left_out: BTreeSet::new(),
            told_there: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            heard_firing: BTreeMap::new(),
            receiver,
            well_since: 0,
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
            match self.rng.below(60) {
                0 => self.fall_ill(),
                1..8 => self.get_well(),
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

    fn fall_ill(&mut self) {
        let how = if self.rng.below(2) == 0 {
            Receiver::Down
        } else {
            Receiver::Mute
        };
        self.note(&format!("  the receiver: {how:?}"));
        self.receiver.set(how);
        self.well_since = self.watch;
    }

    fn get_well(&mut self) {
        if self.receiver.replace(Receiver::Well) != Receiver::Well {
            self.well_since = self.watch;
            self.note("  the receiver is well");
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
            Some(other) => other.post(name, started_at, ends_at, now),
            None => {
                self.told_there.remove(name);
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
            Some(_) if self.receiver.get() == Receiver::Down => {}
            Some(other) => {
                if let Some((firing, resolved)) = other.flush(now) {
                    self.note(&format!("  the other one: +{firing:?} -{resolved:?}"));
                    let told = firing.union(&resolved);
                    let told: BTreeSet<String> = told.cloned().collect();
                    self.unanswered.retain(|name| !told.contains(name));
                    self.believed.retain(|name| !resolved.contains(name));
                    self.believed.extend(firing.iter().cloned());
                    self.told_there = firing;
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
        self.note(&format!("  {}", heard.words()));
        let is_late = self.receiver.get() != Receiver::Well || self.watch - self.well_since < RETRY;
        let late = if is_late { GROUP_INTERVAL } else { 0 };
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
            for name in heard.resolved.intersection(&self.told_there) {
                assert!(
                    !self.real[name].fires,
                    "{name} is told as over, and began again: {}",
                    self.story()
                );
            }
        }
        if heard.firing.is_empty() {
            for name in &self.believed {
                assert!(
                    heard.resolved.contains(name) || !self.real[name].fires,
                    "all is told as over, and {name} fires: {}",
                    self.story()
                );
            }
        }
        let believed = |name: &String| self.believed.contains(name);
        if let Some(told_at) = self.told_at.filter(|_| !is_late) {
            assert!(
                self.watch - told_at >= GROUP_INTERVAL - SLACK,
                "told too soon after another: {}",
                self.story()
            );
        }
        // A flush that was due meanwhile is done when the group is known again, and the grid stays where it was.
        let is_of_grid = !is_late && self.has_told;
        self.has_told = true;
        self.told_at = (is_of_grid && !heard.firing.is_empty()).then_some(self.watch);
        let is_news = heard.firing.iter().any(|name| !believed(name))
            || heard.resolved.iter().any(believed)
            || heard
                .firing
                .union(&heard.resolved)
                .any(|name| self.left_out.contains(name) || self.unanswered.contains(name))
            || heard.reason == NotificationReason::RepeatIntervalElapsed;
        assert!(is_news, "told twice: {}", self.story());
        for name in heard.firing.union(&heard.resolved) {
            if self.receiver.get() == Receiver::Mute {
                self.unanswered.insert(name.clone());
            } else {
                self.left_out.remove(name);
                self.unanswered.remove(name);
            }
        }
        self.believed.retain(|name| !heard.resolved.contains(name));
        if self.watch - self.up_since < RESOLVE_TIMEOUT + late {
            // It may have ended unseen: when it is heard of it is told once more.
            let unmentioned = self.believed.difference(&heard.firing);
            self.left_out.extend(unmentioned.cloned());
        }
        self.believed.extend(heard.firing.iter().cloned());
    }

    /// The laws of every moment.
    fn check(&self) {
        if self.other.is_some() || self.receiver.get() == Receiver::Down {
            return;
        }
        let is_late = self.well_since > 0 && self.watch - self.well_since < 3600;
        let late = if is_late { RETRY } else { 0 };
        for (name, real) in &self.real {
            let from = real.since.max(self.up_since).max(self.well_since);
            let waited = self.watch - from;
            let is_believed = self.believed.contains(name);
            if real.fires && !is_believed {
                let most = RESEND + GROUP_WAIT.max(GROUP_INTERVAL) + late + SLACK;
                assert!(waited <= most, "{name} fires, untold: {}", self.story());
            }
            // Its end was said to this process.
            let was_said = self.up_since + RESEND + SLACK <= real.since + END_RESENT;
            if !real.fires && is_believed && was_said {
                let heard = RESEND.max(self.heard_by - from);
                let most = heard + GROUP_INTERVAL + late + SLACK;
                assert!(waited <= most, "{name} is over, untold: {}", self.story());
            }
        }
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
                let mut other = Other::default();
                for record in read_nflog(&self.world.file).unwrap().records {
                    if let Record::ToldElsewhere { entry, .. } = record {
                        let told_at = (entry.at.as_millis() - at(0).as_millis()) / 1000;
                        other.told = Some((told_at, names(&entry.firing), names(&entry.resolved)));
                    }
                }
                self.other = Some(other);
                self.told_there.clear();
                self.note("the other one begins");
            }
            Some(other) => {
                let entry = other.told.map(|(told_at, firing, resolved)| Entry {
                    at: at(told_at),
                    expires_at: at(told_at + 120 * 3600),
                    firing: hashes(&firing),
                    resolved: hashes(&resolved),
                    memory: Memory::default(),
                });
                let mentioned = entry
                    .as_ref()
                    .map(|entry| names(&entry.firing.union(&entry.resolved)));
                let mentioned = mentioned.unwrap_or_default();
                // Whatever it was told, by whomever, and when.
                self.left_out = NAMES.iter().map(|name| (*name).to_owned()).collect();
                self.left_out.retain(|name| !mentioned.contains(name));
                let key = key();
                self.world.file = write_nflog(entry.iter().map(|entry| (&key, entry)));
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
        self.told_at = None;
        self.has_told = false;
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
fn a_receiver_knows_what_fires_whoever_tells_it() {
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
