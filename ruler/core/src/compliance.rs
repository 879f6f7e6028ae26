//! The four schedules of Prometheus' compliance suite for alert generators, on a clock of their own.
//!
//! Samples come every 15 seconds, groups are evaluated every 30. A schedule's evaluations are numbered from 0; a
//! story counts, for each alert, the evaluations in each state: `-4 P12 F19` is four without the alert, twelve pending,
//! nineteen firing. Messages name the evaluation that sent them.
use std::sync::Arc;
use std::time::Duration;

use model::{AlertStatus, Labels, TenantId, Timestamp};

use crate::rehearsal::{
    Effect, INTERVAL, Rehearsal, Snapshot, Vector, alerting, group, labels, letter, reading,
};
use crate::rule::{Group, Rule};
use crate::schedule::Slots;

const STEP: Duration = Duration::from_secs(15);

/// `3 5 0x2` is 3, 5, 5, 5.
fn script(text: &str) -> Vec<f64> {
    let mut values: Vec<f64> = Vec::new();
    for word in text.split_whitespace() {
        match word.strip_prefix("0x") {
            Some(times) => {
                let last = *values.last().unwrap();
                values.extend(std::iter::repeat_n(last, times.parse().unwrap()));
            }
            None => values.push(word.parse().unwrap()),
        }
    }
    values
}

struct Schedule {
    rehearsal: Rehearsal,
    group: Arc<Group>,
    /// The slot of evaluation 0, and the time of the first sample.
    start: Timestamp,
    /// Each series by the value of its label `variant`.
    series: Vec<(&'static str, Vec<f64>)>,
    /// For each evaluation the alerts of each rule.
    states: Vec<Vec<(String, Labels, char)>>,
}

impl Schedule {
    fn new(rules: Vec<Rule>, series: Vec<(&'static str, &str)>) -> Self {
        let group = group("compliance", rules);
        let slots = Slots::new(&TenantId::anonymous(), &group.key, INTERVAL);
        let before = slots.at_or_before(Timestamp::from_secs(1_700_000_000));
        let rehearsal = Rehearsal::new(vec![group.clone()], before);
        let series = series
            .into_iter()
            .map(|(name, text)| (name, script(text)))
            .collect();
        Self {
            rehearsal,
            group,
            start: before + INTERVAL,
            series,
            states: Vec::new(),
        }
    }

    /// Every evaluation of the schedule; `query` is given the rule's name and the current value of each series.
    fn run(&mut self, query: impl Fn(&str, &[(&str, f64)], &Snapshot<'_>) -> Vector) {
        let samples = self.series.iter().map(|(_, values)| values.len()).max();
        let end = self.start + STEP * u32::try_from(samples.unwrap_or(0)).unwrap();
        let mut at = self.start;
        while at < end {
            let index = usize::try_from(at.saturating_since(self.start).as_secs() / 15).unwrap();
            let current: Vec<(&str, f64)> = self
                .series
                .iter()
                .filter_map(|(name, values)| Some((*name, *values.get(index)?)))
                .collect();
            self.rehearsal
                .run(at, |rule, snapshot| query(rule, &current, snapshot));
            let rules = &self.group.rules;
            let states = rules
                .iter()
                .flat_map(|rule| {
                    let alerts = self.rehearsal.alerts(&rule.key.name);
                    alerts
                        .into_iter()
                        .map(|alert| (rule.key.name.to_string(), alert.labels, letter(alert.state)))
                })
                .collect();
            self.states.push(states);
            at = at + INTERVAL;
        }
        assert_eq!(self.rehearsal.replayed(), self.rehearsal.ruler.saved());
    }

    fn check_story(&self, rule: &str, variant: &str, story: &str) {
        let mut runs: Vec<(char, usize)> = Vec::new();
        for states in &self.states {
            let state = states
                .iter()
                .find(|(name, labels, _)| name == rule && labels.value("variant") == variant)
                .map_or('-', |(_, _, state)| *state);
            match runs.last_mut().filter(|(last, _)| *last == state) {
                Some((_, count)) => *count += 1,
                None => runs.push((state, 1)),
            }
        }
        let told: Vec<String> = runs
            .iter()
            .map(|(state, count)| format!("{state}{count}"))
            .collect();
        assert_eq!(told.join(" "), story, "{rule} {variant}");
    }

    /// Messages as `F16>16+`: told firing at evaluation 16, started at 16, valid for four minutes; `r35>16@35`: told
    /// resolved at 35, started at 16, ended at 35.
    fn check_messages(&self, rule: &str, variant: &str, expected: &str) {
        let number = |at: Timestamp| at.saturating_since(self.start).as_secs() / 30;
        let mut told = Vec::new();
        for (at, effect) in &self.rehearsal.effects {
            let Effect::Send(messages) = effect else {
                continue;
            };
            for message in messages {
                let alert = &message.alert;
                if alert.labels.value("alertname") != rule
                    || alert.labels.value("variant") != variant
                {
                    continue;
                }
                let (sent, started) = (number(*at), number(alert.starts_at));
                told.push(match alert.status {
                    AlertStatus::Firing => {
                        assert_eq!(alert.ends_at, *at + Duration::from_secs(240));
                        format!("F{sent}>{started}")
                    }
                    AlertStatus::Resolved => {
                        format!("r{sent}>{started}@{}", number(alert.ends_at))
                    }
                });
            }
        }
        assert_eq!(told.join(" "), expected, "{rule} {variant}");
    }

    /// `ALERTS` is there exactly while the alert is pending or firing, with its state.
    fn check_alerts_series(&self, rule: &str, variant: &str) {
        for (number, states) in self.states.iter().enumerate() {
            let at = self.start + INTERVAL * u32::try_from(number).unwrap();
            let expected = states
                .iter()
                .find(|(name, labels, _)| name == rule && labels.value("variant") == variant)
                .and_then(|(_, _, state)| match state {
                    'P' => Some("pending".to_owned()),
                    'F' => Some("firing".to_owned()),
                    _ => None,
                });
            let written = self
                .rehearsal
                .effects
                .iter()
                .find_map(|(_, effect)| match effect {
                    Effect::Append(batch) if batch.at == at => batch
                        .samples
                        .iter()
                        .map(|sample| &sample.labels)
                        .find(|labels| {
                            labels.metric_name() == Some("ALERTS")
                                && labels.value("alertname") == rule
                                && labels.value("variant") == variant
                        })
                        .map(|labels| labels.value("alertstate").to_owned()),
                    Effect::Append(_) | Effect::Query { .. } | Effect::Send(_) => None,
                });
            assert_eq!(written, expected, "{rule} {variant} at evaluation {number}");
        }
    }
}

/// The series above a bound.
fn above(bound: f64, current: &[(&str, f64)]) -> Vector {
    Ok(current
        .iter()
        .filter(|(_, value)| *value > bound)
        .map(|(name, value)| {
            let series = labels(&[("__name__", "requests"), ("variant", name)]);
            (series, *value)
        })
        .collect())
}

#[test]
fn pending_and_firing_and_resolved() {
    let mut schedule = Schedule::new(
        vec![alerting("Rule", 6 * 60)],
        vec![(
            "one",
            "3 5 0x2 9 0x3 11 0x12 15 0x11 0x20 19 0x15 9 0x19 15 0x24 0x20 8 0x15",
        )],
    );
    schedule.run(|_, current, _| above(10.0, current));
    schedule.check_story("Rule", "one", "-4 P12 F19 r10 P12 F10 r8");
    schedule.check_messages(
        "Rule",
        "one",
        "F16>16 F19>16 F22>16 F25>16 F28>16 F31>16 F34>16 r35>16@35 r38>16@35 r41>16@35 r44>16@35 \
         F57>57 F60>57 F63>57 F66>57 r67>57@67 r70>57@67 r73>57@67",
    );
    schedule.check_alerts_series("Rule", "one");
}

#[test]
fn pending_and_resolved_and_always_inactive() {
    let mut schedule = Schedule::new(
        vec![alerting("Pending", 3 * 60), alerting("Inactive", 3 * 60)],
        vec![("one", "3 5 0x2 9 0x3 11 0x10 9 0x40")],
    );
    schedule.run(|rule, current, _| above(if rule == "Pending" { 10.0 } else { 99.0 }, current));
    schedule.check_story("Pending", "one", "-4 P6 -20");
    schedule.check_story("Inactive", "one", "-30");
    schedule.check_messages("Pending", "one", "");
    schedule.check_messages("Inactive", "one", "");
    schedule.check_alerts_series("Pending", "one");
}

#[test]
fn zero_for_and_small_for() {
    let mut schedule = Schedule::new(
        vec![alerting("ZeroFor", 0), alerting("SmallFor", 15)],
        vec![("one", "3 5 0x2 9 0x3 15 0x12 9 0x71 11 0x12 9 0x20")],
    );
    schedule.run(|_, current, _| above(10.0, current));
    schedule.check_story("ZeroFor", "one", "-4 F7 r31 -5 F6 r11");
    schedule.check_story("SmallFor", "one", "-4 P1 F6 r31 -5 P1 F5 r11");
    let resolved = |from: u64, started: u64, until: u64| {
        let words: Vec<String> = (from..=until)
            .step_by(3)
            .map(|number| format!("r{number}>{started}@{from}"))
            .collect();
        words.join(" ")
    };
    schedule.check_messages(
        "ZeroFor",
        "one",
        &format!(
            "F4>4 F7>4 F10>4 {} F47>47 F50>47 {}",
            resolved(11, 4, 41),
            resolved(53, 47, 63)
        ),
    );
    schedule.check_messages(
        "SmallFor",
        "one",
        &format!(
            "F5>5 F8>5 {} F48>48 F51>48 {}",
            resolved(11, 5, 41),
            resolved(53, 48, 63)
        ),
    );
    schedule.check_alerts_series("ZeroFor", "one");
    schedule.check_alerts_series("SmallFor", "one");
}

#[test]
fn new_alerts_and_the_order_of_rules() {
    let mut schedule = Schedule::new(
        vec![
            alerting("Rule1", 3 * 60),
            reading(
                r#"sum(ALERTS{alertname="Rule1", alertstate="firing"}) == 2"#,
                alerting("Rule2", 0),
            ),
        ],
        vec![
            ("one", "1 0x7 11 0x64 9 0x20"),
            ("two", "1 0x31 11 0x32 9 0x20 0x8"),
        ],
    );
    schedule.run(|rule, current, snapshot| {
        if rule == "Rule1" {
            return above(10.0, current);
        }
        let firing = snapshot.written.iter().filter(|(series, (at, value))| {
            series.metric_name() == Some("ALERTS")
                && series.value("alertname") == "Rule1"
                && series.value("alertstate") == "firing"
                && *at == snapshot.at
                && *value == 1.0
        });
        match firing.count() {
            2 => Ok(vec![(labels(&[]), 2.0)]),
            _ => Ok(Vec::new()),
        }
    });
    schedule.check_story("Rule1", "one", "-4 P6 F27 r10");
    schedule.check_story("Rule1", "two", "-16 P6 F11 r14");
    // In the very evaluation in which the second alert fires, the later rule sees both.
    schedule.check_story("Rule2", "", "-22 F11 r14");
    schedule.check_messages(
        "Rule2",
        "",
        "F22>22 F25>22 F28>22 F31>22 r33>22@33 r36>22@33 r39>22@33 r42>22@33 r45>22@33",
    );
    schedule.check_alerts_series("Rule1", "two");
    schedule.check_alerts_series("Rule2", "");
}
