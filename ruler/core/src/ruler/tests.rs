use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};
use proptest::prelude::*;

use crate::alert::AlertState;
use crate::evaluation::{AppendReport, RefusedSample};
use crate::event::Event;
use crate::input::Input;
use crate::outbox::{Destination, SendOutcome};
use crate::refusal::OverLimit;
use crate::rehearsal::{
    Effect, INTERVAL, OPTIONS, Rehearsal, Vector, alerting, group, labels, letter, reading,
    recording,
};
use crate::rule::{Group, GroupKey, Rule, RuleKind};
use crate::rule_state::{RuleFigures, RuleHealth};
use crate::ruler::RulerOptions;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn web(rules: Vec<Rule>) -> Vec<Arc<Group>> {
    vec![group("web", rules)]
}

fn seen() -> Vector {
    Ok(vec![(labels(&[("instance", "a")]), 1.0)])
}

fn unseen() -> Vector {
    Ok(Vec::new())
}

fn failing() -> Vector {
    Err("query timed out in expression evaluation".to_owned())
}

/// The first slot after `NOW`, and the ones after it.
fn slot(rehearsal: &Rehearsal, number: u32) -> Timestamp {
    let key = GroupKey::new("rules.yml", "web");
    let state = rehearsal.ruler.groups.get(&key).unwrap();
    let slots = crate::schedule::Slots::new(rehearsal.ruler.tenant(), &key, state.group.interval);
    slots.after(NOW) + INTERVAL * number
}

/// Evaluations from slot `from` on, each with what the query gives: `s` seen, `u` unseen, `e` an error.
fn evaluate(rehearsal: &mut Rehearsal, from: u32, results: &str) {
    for (number, result) in (from..).zip(results.chars()) {
        let at = slot(rehearsal, number);
        rehearsal.run(at, |_, _| match result {
            's' => seen(),
            'u' => unseen(),
            _ => failing(),
        });
    }
}

fn state(rehearsal: &Rehearsal, rule: &str) -> String {
    rehearsal
        .alerts(rule)
        .iter()
        .map(|alert| letter(alert.state))
        .collect()
}

fn told(rehearsal: &Rehearsal, rule: &str) -> String {
    rehearsal.told(rule, slot(rehearsal, 0))
}

fn health(rehearsal: &Rehearsal) -> RuleHealth {
    let view = rehearsal
        .ruler
        .view(&GroupKey::new("rules.yml", "web"))
        .unwrap();
    view.rules[0].health.clone()
}

#[test]
fn rules_have_their_turns_in_order_and_what_is_told_goes_before_what_is_written() {
    let down = || alerting("Down", 0);
    let rules = vec![down(), reading("ALERTS", recording("job:up"))];
    let mut rehearsal = Rehearsal::new(web(rules), NOW);
    evaluate(&mut rehearsal, 0, "s");
    let effects: Vec<&str> = rehearsal
        .effects
        .iter()
        .map(|(_, effect)| match effect {
            Effect::Append(_) => "append",
            Effect::Query { rule, .. } => rule,
            Effect::Send(_) => "send",
        })
        .collect();
    assert_eq!(effects, ["Down", "send", "append", "job:up", "append"]);
}

#[test]
fn rules_that_need_not_wait_are_evaluated_at_once_and_no_more_than_may_be() {
    let names = |rehearsal: &Rehearsal| -> Vec<String> {
        let held = rehearsal.held.iter();
        held.map(|held| held.rule().key.name.to_string()).collect()
    };
    let rules = ["a", "b", "c", "d", "e"].map(recording).into_iter();
    let rules = rules.chain([reading("a + 1", recording("f"))]).collect();
    let mut rehearsal = Rehearsal::new(web(rules), NOW);
    rehearsal.holding = true;
    evaluate(&mut rehearsal, 0, "s");
    assert_eq!(names(&rehearsal), ["a", "b", "c", "d"]);
    let now = slot(&rehearsal, 0);
    for (answered, then) in [
        ("c", &["a", "b", "d", "e"][..]),
        ("b", &["a", "d", "e"]),
        ("a", &["d", "e", "f"]),
        ("f", &["d", "e"]),
        ("d", &["e"]),
        ("e", &[]),
    ] {
        let held = rehearsal.held.iter();
        let place = held
            .clone()
            .position(|held| *held.rule().key.name == *answered);
        let held = rehearsal.held.remove(place.unwrap());
        assert_eq!(
            rehearsal
                .ruler
                .view(&held.group.key)
                .unwrap()
                .last_iteration,
            None
        );
        rehearsal.answer(&held, seen(), now);
        assert_eq!(names(&rehearsal), then, "after {answered}");
    }
    let view = rehearsal.ruler.view(&GroupKey::new("rules.yml", "web"));
    let last = view.unwrap().last_iteration.unwrap();
    assert_eq!(last.samples, 6);
    assert_eq!(last.rules_took, Duration::from_millis(6));
}

#[test]
fn queries_look_and_samples_lie_the_offset_back() {
    let mut shifted = (*group("web", vec![recording("job:up")])).clone();
    shifted.query_offset = Duration::from_secs(90);
    let mut rehearsal = Rehearsal::new(vec![Arc::new(shifted)], NOW);
    let at = slot(&rehearsal, 0);
    evaluate(&mut rehearsal, 0, "s");
    let back = at - Duration::from_secs(90);
    assert!(matches!(&rehearsal.effects[0].1, Effect::Query { at, .. } if *at == back));
    assert!(matches!(&rehearsal.effects[1].1, Effect::Append(batch) if batch.at == back));
}

#[test]
fn a_series_that_is_no_longer_written_ends() {
    let mut rehearsal = Rehearsal::new(web(vec![recording("job:up")]), NOW);
    evaluate(&mut rehearsal, 0, "su");
    let series = labels(&[("__name__", "job:up"), ("instance", "a")]);
    let (at, value) = rehearsal.written[&series];
    assert_eq!(at, slot(&rehearsal, 1));
    assert!(model::is_stale_nan(value));
    // Once.
    let before = rehearsal.effects.len();
    evaluate(&mut rehearsal, 2, "u");
    assert_eq!(rehearsal.effects.len(), before + 1);
}

#[test]
fn a_failed_query_leaves_alerts_and_series_and_keeps_firing_ones_alive() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "se");
    assert_eq!(state(&rehearsal, "Down"), "F");
    assert_eq!(
        health(&rehearsal),
        RuleHealth::Err {
            reason: "query timed out in expression evaluation".into()
        }
    );
    evaluate(&mut rehearsal, 2, &"e".repeat(200));
    assert_eq!(state(&rehearsal, "Down"), "F");
    let told = told(&rehearsal, "Down");
    let last: u64 = told.rsplit('F').next().unwrap().parse().unwrap();
    assert!(told.starts_with("F0 F90 F180"), "{told}");
    assert_eq!(last, 3600, "the last message within the grace");
    let since = slot(&rehearsal, 0);
    let reason = "query timed out in expression evaluation";
    let note = format!("since {}: {reason}", since.to_rfc3339_millis());
    let notes = notes_from(&rehearsal, slot(&rehearsal, 1), "watchbell_unconfirmed");
    assert!(notes.iter().all(|text| *text == note), "{notes:?}");
    assert_eq!(web_rule(&rehearsal, 0).unconfirmed_since, Some(since));
    let (at, value) = rehearsal.written[&labels(&[
        ("__name__", "ALERTS"),
        ("alertname", "Down"),
        ("alertstate", "firing"),
        ("instance", "a"),
    ])];
    assert_eq!((at, value), (slot(&rehearsal, 0), 1.0));
    // The first good answer takes the note away.
    evaluate(&mut rehearsal, 202, "s");
    let notes = notes_from(&rehearsal, slot(&rehearsal, 202), "watchbell_unconfirmed");
    assert_eq!(notes, [""]);
    assert_eq!(web_rule(&rehearsal, 0).unconfirmed_since, None);
}

/// An annotation of every message that was sent at `at` or later.
fn notes_from(rehearsal: &Rehearsal, at: Timestamp, name: &str) -> Vec<String> {
    let effects = rehearsal.effects.iter().filter(|(sent, _)| *sent >= at);
    let messages = effects.filter_map(|(_, effect)| match effect {
        Effect::Send(messages) => Some(messages),
        Effect::Append(_) | Effect::Query { .. } => None,
    });
    messages
        .flatten()
        .map(|message| message.alert.annotations.value(name).to_owned())
        .collect()
}

fn web_rule(rehearsal: &Rehearsal, rule: usize) -> crate::view::RuleView {
    let key = GroupKey::new("rules.yml", "web");
    rehearsal.ruler.view(&key).unwrap().rules[rule].clone()
}

#[test]
fn who_is_told_of_some_alerts_is_told_how_many_more_there_are() {
    let options = RulerOptions {
        over_limit: OverLimit::KeepFirst,
        ..OPTIONS
    };
    let mut limited = (*group("web", vec![alerting("Down", 0)])).clone();
    limited.limit = Some(2);
    let mut rehearsal = Rehearsal::with_options(options, vec![Arc::new(limited)], NOW);
    let destination = Destination("http://am".into());
    rehearsal.handle(Input::DestinationsChanged(vec![destination]), NOW);
    let at = slot(&rehearsal, 0);
    let element = |instance| (labels(&[("instance", instance)]), 1.0);
    rehearsal.run(at, |_, _| Ok(["a", "b", "c", "d", "e"].map(element).into()));
    let notes = notes_from(&rehearsal, at, "watchbell_left_out");
    assert_eq!(notes, ["3 more alerts of this rule"; 2]);
    let reason = "exceeded limit of 2: 3 more are left out".to_owned();
    assert_eq!(health(&rehearsal), RuleHealth::Err { reason });
    assert_eq!(web_rule(&rehearsal, 0).left_out, 3);
    rehearsal.run(at + INTERVAL, |_, _| Ok(vec![element("a")]));
    assert_eq!(health(&rehearsal), RuleHealth::Ok);
    assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
}

#[test]
fn each_rule_knows_what_it_missed_and_what_it_took() {
    let rules = vec![alerting("Down", 0), recording("job:up")];
    let mut rehearsal = Rehearsal::new(web(rules), NOW);
    evaluate(&mut rehearsal, 0, "se");
    let now = slot(&rehearsal, 5) + Duration::from_secs(1);
    rehearsal.run_late(now, |_, _| seen());
    // A reload that keeps a rule keeps its figures.
    let rules = web(vec![recording("job:up"), alerting("New", 0)]);
    rehearsal.handle(Input::RulesLoaded(rules), now);
    let figures = web_rule(&rehearsal, 0).figures;
    assert_eq!((figures.evaluations, figures.failures), (3, 1));
    assert_eq!(figures.missed, 3);
    assert_eq!((figures.series, figures.samples), (6, 30));
    assert_eq!((figures.last.series, figures.last.samples), (2, 10));
    assert_eq!(figures.took, Duration::from_millis(3));
    assert_eq!(web_rule(&rehearsal, 1).figures, RuleFigures::default());
}

#[test]
fn a_result_with_two_equal_alerts_tells_nobody_anything() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    let at = slot(&rehearsal, 4);
    rehearsal.run(at, |_, _| {
        Ok(vec![
            (labels(&[]), 1.0),
            (labels(&[("__name__", "up")]), 1.0),
        ])
    });
    assert_eq!(told(&rehearsal, "Down"), "F0");
    assert_eq!(state(&rehearsal, "Down"), "F");
}

#[test]
fn slots_that_pass_during_an_iteration_are_missed_and_counted() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    rehearsal.holding = true;
    evaluate(&mut rehearsal, 0, "s");
    let held = rehearsal.held.remove(0);
    let late = slot(&rehearsal, 3) + Duration::from_secs(10);
    rehearsal.run(late, |_, _| seen());
    assert!(rehearsal.held.is_empty(), "a group never overlaps itself");
    rehearsal.answer(&held, seen(), late);
    rehearsal.run(late, |_, _| seen());
    assert_eq!(rehearsal.held[0].ticket.at, slot(&rehearsal, 3));
    let missed: Vec<u64> = rehearsal
        .events
        .iter()
        .filter_map(|event| {
            if let Event::IterationStarted { missed, .. } = event {
                Some(*missed)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(missed, [0, 2]);
}

#[test]
fn a_result_of_another_evaluation_is_not_taken() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    rehearsal.holding = true;
    evaluate(&mut rehearsal, 0, "s");
    let held = rehearsal.held.remove(0);
    let now = slot(&rehearsal, 0);
    rehearsal.answer(&held, seen(), now);
    rehearsal.answer(&held, unseen(), now);
    assert_eq!(state(&rehearsal, "Down"), "F");
}

#[test]
fn a_failed_write_leaves_the_series_of_before_and_shows_in_the_health() {
    let mut rehearsal = Rehearsal::new(web(vec![recording("job:up")]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    rehearsal.appending = Err("no space left".into());
    evaluate(&mut rehearsal, 1, "u");
    assert_eq!(
        health(&rehearsal),
        RuleHealth::Err {
            reason: "no space left".into()
        }
    );
    // The marker is written as soon as something can be written.
    rehearsal.appending = Ok(AppendReport::default());
    evaluate(&mut rehearsal, 2, "u");
    let series = labels(&[("__name__", "job:up"), ("instance", "a")]);
    assert_eq!(rehearsal.written[&series].0, slot(&rehearsal, 2));
    rehearsal.appending = Ok(AppendReport {
        refused: vec![RefusedSample {
            labels: series,
            reason: "out of order sample".into(),
        }],
    });
    evaluate(&mut rehearsal, 3, "s");
    assert_eq!(
        health(&rehearsal),
        RuleHealth::Err {
            reason: "out of order sample".into()
        }
    );
    let before = rehearsal.effects.len();
    evaluate(&mut rehearsal, 4, "u");
    assert_eq!(
        rehearsal.effects.len(),
        before + 1,
        "a refused series was never there"
    );
}

#[test]
fn a_changed_for_or_expression_keeps_the_alerts() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 60)]), NOW);
    evaluate(&mut rehearsal, 0, "ss");
    let mut changed = alerting("Down", 90);
    changed.expression = "up < 1".into();
    let now = slot(&rehearsal, 1);
    rehearsal.handle(Input::RulesLoaded(web(vec![changed])), now);
    assert_eq!(state(&rehearsal, "Down"), "P");
    evaluate(&mut rehearsal, 2, "ss");
    assert_eq!(state(&rehearsal, "Down"), "F");
    assert_eq!(told(&rehearsal, "Down"), "F90");
}

#[test]
fn a_deleted_rules_alerts_are_resolved_at_once_and_told_for_15_minutes() {
    for empty_group in [true, false] {
        let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
        evaluate(&mut rehearsal, 0, "s");
        let (first, now) = (
            slot(&rehearsal, 0),
            slot(&rehearsal, 0) + Duration::from_secs(10),
        );
        let left = if empty_group { web(vec![]) } else { vec![] };
        rehearsal.handle(Input::RulesLoaded(left), now);
        assert_eq!(rehearsal.told("Down", first), "F0 r10");
        let ended = rehearsal
            .written
            .values()
            .filter(|(at, value)| *at == now && model::is_stale_nan(*value));
        assert_eq!(ended.count(), 2);
        rehearsal.run(now + Duration::from_secs(3600), |_, _| unseen());
        let told = rehearsal.told("Down", first);
        assert!(told.starts_with("F0 r10 r70 r130"), "{told}");
        assert!(told.ends_with("r850"), "{told}");
        assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
        assert_eq!(rehearsal.replayed().alert_count(), 0);
    }
}

#[test]
fn a_rule_that_moves_to_another_group_begins_anew_and_its_word_counts() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    let first = slot(&rehearsal, 0);
    let moved = vec![group("other", vec![alerting("Down", 0)])];
    rehearsal.handle(Input::RulesLoaded(moved), first);
    rehearsal.run(first + Duration::from_secs(600), |_, _| seen());
    let told = rehearsal.told("Down", first);
    let words: Vec<&str> = told.split(' ').collect();
    assert_eq!(words[..2], ["F0", "r0"]);
    assert!(
        words[2..].iter().all(|word| word.starts_with('F')),
        "{told}"
    );
    assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
}

#[test]
fn a_reload_waits_for_the_iteration_that_runs() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0), alerting("Slow", 0)]), NOW);
    rehearsal.holding = true;
    evaluate(&mut rehearsal, 0, "s");
    let now = slot(&rehearsal, 0);
    rehearsal.handle(Input::RulesLoaded(web(vec![alerting("Slow", 0)])), now);
    for rule in ["Down", "Slow"] {
        let held = rehearsal.held.remove(0);
        assert_eq!(&*held.rule().key.name, rule);
        rehearsal.answer(&held, seen(), now);
    }
    assert_eq!(rehearsal.told("Down", now), "F0 r0");
    assert_eq!(rehearsal.told("Slow", now), "F0");
    assert_eq!(state(&rehearsal, "Slow"), "F");
}

/// What was told so long ago that receivers have let go of it is not said again, and not called lost either: the rule
/// says at its next evaluation what is.
#[test]
fn after_a_long_time_down_nothing_is_announced_and_nothing_called_dropped() {
    let rules = || web(vec![alerting("Down", 60)]);
    let mut rehearsal = Rehearsal::new(rules(), NOW);
    evaluate(&mut rehearsal, 0, "ssssss");
    let now = slot(&rehearsal, 5) + Duration::from_secs(600);
    let mut restarted = rehearsal.restart(rules(), now);
    assert_eq!(told(&restarted, "Down"), "");
    evaluate(&mut restarted, 200, "s");
    assert!(told(&restarted, "Down").starts_with('F'));
    let dropped = |event: &&Event| matches!(event, Event::MessagesDropped { .. });
    assert_eq!(restarted.events.iter().find(dropped), None);
}

#[test]
fn a_restart_changes_nothing_about_an_alert() {
    let rules = || web(vec![alerting("Down", 60), alerting("Slow", 600)]);
    let mut rehearsal = Rehearsal::new(rules(), NOW);
    evaluate(&mut rehearsal, 0, "ssssss");
    let before = rehearsal.ruler.saved();
    let starts = rehearsal.alerts("Down")[0].state;
    let now = slot(&rehearsal, 5) + Duration::from_secs(7);
    let mut restarted = rehearsal.restart(rules(), now);
    assert_eq!(restarted.ruler.saved(), before);
    // Told again in the words of the last time: an Alertmanager that was restarted too has forgotten them.
    assert_eq!(restarted.told("Down", slot(&restarted, 0)), "F157");
    evaluate(&mut restarted, 6, "ssss");
    let later = restarted.alerts("Down")[0].state;
    match (starts, later) {
        (
            AlertState::Firing {
                fired_at,
                active_at,
                ..
            },
            AlertState::Firing {
                fired_at: later_fired_at,
                active_at: later_active_at,
                ..
            },
        ) => assert_eq!((fired_at, active_at), (later_fired_at, later_active_at)),
        other => panic!("{other:?}"),
    }
    // `for` goes on: 600 s after slot 0, not after the restart.
    evaluate(&mut restarted, 10, "ssssssssss");
    assert_eq!(state(&restarted, "Slow"), "P");
    evaluate(&mut restarted, 20, "s");
    assert_eq!(state(&restarted, "Slow"), "F");
    assert!(told(&restarted, "Slow").ends_with("F600"));
}

/// For every length of `for` and `keep_firing_for`: whether a process is killed after an evaluation or goes on makes no
/// difference to what is told and when, but that a receiver hears the latest again.
#[test]
fn a_restart_after_any_evaluation_moves_nothing() {
    let story = "sssssuuusssuuuuuuuuuusssssssssuuuuuuuuuu";
    let rule = |hold_secs: u64, keep_secs: u64| {
        let mut rule = alerting("Down", hold_secs);
        if let RuleKind::Alerting { timing, .. } = &mut rule.kind {
            timing.keep_firing_for = Duration::from_secs(keep_secs);
        }
        web(vec![rule])
    };
    for (hold, keep) in [(0, 0), (10, 45), (60, 0), (60, 90), (150, 240)] {
        let mut undisturbed = Rehearsal::new(rule(hold, keep), NOW);
        let first = slot(&undisturbed, 0);
        evaluate(&mut undisturbed, 0, story);
        let expected = undisturbed.told("Down", first);
        for killed_after in 1..story.len() {
            let (before, after) = story.split_at(killed_after);
            let mut rehearsal = Rehearsal::new(rule(hold, keep), NOW);
            evaluate(&mut rehearsal, 0, before);
            let mut told = rehearsal.told("Down", first);
            let number = u32::try_from(killed_after).unwrap();
            let now = slot(&rehearsal, number) - Duration::from_secs(7);
            let mut restarted = rehearsal.restart(rule(hold, keep), now);
            restarted.effects.clear();
            evaluate(&mut restarted, number, after);
            for word in restarted.told("Down", first).split_whitespace() {
                told.push_str(if told.is_empty() { "" } else { " " });
                told.push_str(word);
            }
            assert_eq!(
                told, expected,
                "for {hold} keep {keep}, killed after {killed_after}"
            );
        }
    }
}

/// It was two hours ahead when the alerts were saved: their ages count, not the times that are still to come.
#[test]
fn a_clock_that_was_set_back_makes_no_alert_younger() {
    let rules = || web(vec![alerting("Down", 60), alerting("Slow", 600)]);
    let mut rehearsal = Rehearsal::new(rules(), NOW);
    evaluate(&mut rehearsal, 0, "ssssss");
    let ahead = Duration::from_secs(7200);
    let now = slot(&rehearsal, 5) - ahead;
    let mut restarted = rehearsal.restart(rules(), now);
    let saved = restarted.ruler.saved();
    let times = saved.rules.values().flat_map(|rules| rules.values());
    assert!(times.map(|rule| rule.evaluated_at).all(|at| at <= now));
    assert_eq!(restarted.replayed(), saved);
    for (_, effect) in &restarted.effects {
        if let Effect::Send(messages) = effect {
            let alert = &messages[0].alert;
            assert!(alert.starts_at <= now && alert.ends_at > now, "{alert:?}");
        }
    }
    let at = |number: u32| now + INTERVAL * number;
    for number in 1..=4 {
        restarted.run(at(number), |_, _| seen());
        assert_eq!(
            (state(&restarted, "Down"), state(&restarted, "Slow")),
            ("F".into(), "P".into())
        );
    }
    // Five slots before the restart, and fifteen after it.
    restarted.run(at(14), |_, _| seen());
    assert_eq!(state(&restarted, "Slow"), "P");
    restarted.run(at(16), |_, _| seen());
    assert_eq!(state(&restarted, "Slow"), "F");
    // It is told again after the resend delay, as ever.
    let told = restarted.told("Down", now);
    assert!(told.split(' ').count() > 3, "{told}");
}

#[test]
fn after_a_long_outage_pending_alerts_begin_anew_and_firing_ones_go_on() {
    let rules = || web(vec![alerting("Down", 60), alerting("Slow", 600)]);
    let mut rehearsal = Rehearsal::new(rules(), NOW);
    evaluate(&mut rehearsal, 0, "sss");
    let fired = rehearsal.alerts("Down")[0].state;
    let mut restarted = rehearsal.restart(rules(), slot_after(3601));
    assert_eq!(state(&restarted, "Slow"), "");
    assert_eq!(
        restarted.told("Down", NOW),
        "",
        "receivers have let it go by now"
    );
    let first = slot_after(3601) + INTERVAL;
    restarted.run(first, |_, _| seen());
    assert_eq!(state(&restarted, "Slow"), "P");
    assert!(restarted.alerts("Slow")[0].state.active_at() > slot_after(3601));
    assert_eq!(
        restarted.alerts("Down")[0].state.active_at(),
        fired.active_at()
    );
    assert_eq!(state(&restarted, "Down"), "F");
}

/// `secs` after the third slot of the group `web`.
fn slot_after(secs: u64) -> Timestamp {
    let rehearsal = Rehearsal::new(web(vec![]), NOW);
    slot(&rehearsal, 2) + Duration::from_secs(secs)
}

#[test]
fn alerts_of_rules_that_vanished_during_the_outage_are_resolved() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0), alerting("Gone", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    let (first, now) = (slot(&rehearsal, 0), slot(&rehearsal, 1));
    let restarted = rehearsal.restart(web(vec![alerting("Down", 0)]), now);
    assert_eq!(restarted.told("Gone", first), "r30");
    assert_eq!(restarted.told("Down", first), "F30");
    assert_eq!(restarted.replayed(), restarted.ruler.saved());
}

/// The process is killed; meanwhile one series vanishes, and in another row the rule, or its group.
#[test]
fn series_that_vanish_during_a_restart_end() {
    let series = |instance: &str| labels(&[("__name__", "job:up"), ("instance", instance)]);
    for (rules, first_ends) in [
        (web(vec![recording("job:up")]), false),
        (web(vec![recording("other")]), true),
        (vec![], true),
    ] {
        let mut rehearsal = Rehearsal::new(web(vec![recording("job:up")]), NOW);
        let at = slot(&rehearsal, 0);
        let element = |instance: &str| (labels(&[("instance", instance)]), 1.0);
        rehearsal.run(at, |_, _| Ok(vec![element("a"), element("b")]));
        let now = slot(&rehearsal, 1) - Duration::from_secs(3);
        let mut restarted = rehearsal.restart(rules, now);
        restarted.run(now + INTERVAL, |_, _| Ok(vec![element("a")]));
        let has_ended = |instance| model::is_stale_nan(restarted.written[&series(instance)].1);
        assert_eq!((has_ended("a"), has_ended("b")), (first_ends, true));
        assert_eq!(restarted.replayed(), restarted.ruler.saved());
    }
}

#[test]
fn an_end_that_no_receiver_took_is_tried_until_one_does() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    rehearsal.sending = SendOutcome::Failed {
        reason: "connection refused".into(),
    };
    evaluate(&mut rehearsal, 1, "u");
    let first = slot(&rehearsal, 0);
    rehearsal.run(first + Duration::from_secs(40), |_, _| unseen());
    rehearsal.sending = SendOutcome::Delivered;
    rehearsal.run(first + Duration::from_secs(59), |_, _| unseen());
    assert_eq!(told(&rehearsal, "Down"), "F0 r30 r31 r33 r37 r45");
}

#[test]
fn a_new_destination_hears_of_what_fires() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    let now = slot(&rehearsal, 0) + Duration::from_secs(5);
    let both = ["http://am", "http://new"].map(|url| Destination(url.into()));
    rehearsal.handle(Input::DestinationsChanged(both.into()), now);
    assert_eq!(told(&rehearsal, "Down"), "F0 F5");
}

#[test]
fn a_hole_in_the_log_is_closed_by_a_snapshot() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0)]), NOW);
    evaluate(&mut rehearsal, 0, "s");
    rehearsal.records.clear();
    let now = slot(&rehearsal, 0);
    rehearsal.handle(
        Input::PersistFailed {
            reason: "no space left".into(),
        },
        now,
    );
    evaluate(&mut rehearsal, 1, "s");
    assert!(rehearsal.snapshot.is_some());
    assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
}

#[test]
fn a_snapshot_takes_the_place_of_all_records_before_it() {
    let mut rehearsal = Rehearsal::new(web(vec![alerting("Down", 0), alerting("Slow", 600)]), NOW);
    evaluate(&mut rehearsal, 0, "ss");
    let now = slot(&rehearsal, 1);
    rehearsal.handle(Input::SnapshotWanted, now);
    assert!(rehearsal.records.is_empty());
    assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
    evaluate(&mut rehearsal, 2, "su");
    assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
}

/// One thing that happens to a ruler.
#[derive(Clone, Debug)]
enum Happening {
    Evaluate {
        slots: u32,
        result: Option<Vec<(u8, u8)>>,
    },
    Reload {
        rules: u8,
    },
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    let result = prop::collection::btree_map(0..4_u8, any::<u8>(), 0..4)
        .prop_map(|elements| elements.into_iter().collect::<Vec<_>>());
    prop_oneof![
        6 => (1..5_u32, prop::option::weighted(0.8, result))
            .prop_map(|(slots, result)| Happening::Evaluate { slots, result }),
        1 => (0..32_u8).prop_map(|rules| Happening::Reload { rules }),
        1 => Just(Happening::Restart),
    ]
}

fn some_rules(mask: u8) -> Vec<Arc<Group>> {
    let alerts = [alerting("A", 0), alerting("B", 60), alerting("C", 300)];
    let rules = alerts.into_iter().chain([recording("r"), recording("s")]);
    let chosen = rules
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, rule)| rule);
    web(chosen.collect())
}

/// `a`, `b`, … each the sum of those it reads and one, as they stand at that moment.
fn sums(reads: &[Vec<u8>]) -> Vec<Arc<Group>> {
    let name = |rule: usize| char::from(b'a' + u8::try_from(rule).unwrap()).to_string();
    let rule = |(rule, reads): (usize, &Vec<u8>)| {
        let reads = reads.iter().map(|read| name(usize::from(*read)));
        let terms: Vec<String> = reads.chain(["1".to_owned()]).collect();
        reading(&terms.join(" + "), recording(&name(rule)))
    };
    web(reads.iter().enumerate().map(rule).collect())
}

fn sum(rehearsal: &Rehearsal, held: &crate::evaluation::Evaluate) -> Vector {
    let of = |name: &str| {
        let found = rehearsal.written.get(&labels(&[("__name__", name)]));
        found.map_or(0.0, |(_, value)| *value)
    };
    let selectors = held.rule().plan.query.expr().selectors().into_iter();
    let read: f64 = selectors
        .map(|selector| of(selector.metric_name().unwrap()))
        .sum();
    Ok(vec![(labels(&[]), read + 1.0)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In whatever order answers come, what is written is what one rule after the other writes.
    #[test]
    fn at_once_or_one_by_one_comes_out_the_same(
        reads in prop::collection::vec(prop::collection::vec(0..6_u8, 0..3), 6),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 18),
    ) {
        let outcome = |group_concurrency_max: usize| {
            let options = RulerOptions { group_concurrency_max, ..OPTIONS };
            let mut rehearsal = Rehearsal::with_options(options, sums(&reads), NOW);
            rehearsal.holding = true;
            let mut picks = picks.iter();
            for number in 0..3 {
                let at = slot(&rehearsal, number);
                rehearsal.run(at, |_, _| unseen());
                while !rehearsal.held.is_empty() {
                    let pick = picks.next().unwrap().index(rehearsal.held.len());
                    let held = rehearsal.held.remove(pick);
                    let vector = sum(&rehearsal, &held);
                    rehearsal.answer(&held, vector, at);
                }
            }
            rehearsal.written
        };
        prop_assert_eq!(outcome(4), outcome(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens, the log holds exactly what the ruler knows, an alert only fires after its `for`, and what is
    /// told as resolved was told as firing with the same start.
    #[test]
    fn the_log_always_holds_what_the_ruler_knows(happenings in prop::collection::vec(happening(), 1..30)) {
        let mut rules = 31;
        let mut rehearsal = Rehearsal::new(some_rules(rules), NOW);
        let mut now = NOW;
        let mut effects = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Evaluate { slots, result } => {
                    now = now + INTERVAL * slots;
                    rehearsal.run(now, |_, _| match &result {
                        None => failing(),
                        Some(elements) => Ok(elements
                            .iter()
                            .map(|(name, value)| (labels(&[("instance", &name.to_string())]), f64::from(*value)))
                            .collect()),
                    });
                }
                Happening::Reload { rules: next } => {
                    rules = next;
                    rehearsal.handle(Input::RulesLoaded(some_rules(rules)), now);
                }
                Happening::Restart => {
                    effects.append(&mut rehearsal.effects);
                    rehearsal = rehearsal.restart(some_rules(rules), now);
                }
            }
            prop_assert_eq!(rehearsal.replayed(), rehearsal.ruler.saved());
        }
        effects.append(&mut rehearsal.effects);
        let mut firing: std::collections::BTreeSet<(Labels, Timestamp)> = std::collections::BTreeSet::new();
        for (_, effect) in &effects {
            if let Effect::Send(messages) = effect {
                for message in messages {
                    let start = (message.alert.labels.clone(), message.alert.starts_at);
                    match message.alert.status {
                        model::AlertStatus::Firing => { firing.insert(start); }
                        model::AlertStatus::Resolved => prop_assert!(firing.contains(&start), "{:?}", start),
                    }
                }
            }
        }
    }
}
