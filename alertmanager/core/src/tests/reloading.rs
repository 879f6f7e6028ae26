//! What a reload does to what is under way, waits, or could not be told.
use config::{IntegrationSettings, SecretSource};
use model::Timestamp;
use notifiers_core::Outcome;

use crate::protocol::Deliver;
use crate::tests::world::{Heard, PLAIN, Reaction, World, at, secs};

/// [`PLAIN`] with another address.
fn at_address(url: &str) -> String {
    PLAIN.replace("http://x", url)
}

fn address(deliver: &Deliver) -> &str {
    if let IntegrationSettings::Webhook(webhook) = &deliver.integration.settings
        && let SecretSource::Inline(url) = &webhook.url
    {
        url.reveal()
    } else {
        ""
    }
}

/// Whoever is asked at `http://x` reacts so; everybody else takes what he is told.
fn at_x(reaction: Reaction) -> impl FnMut(&Deliver, Timestamp) -> Reaction {
    move |deliver, _| match address(deliver) {
        "http://x" => reaction.clone(),
        _ => Reaction::take(),
    }
}

fn later(seconds: u64) -> Reaction {
    Reaction {
        after: secs(seconds),
        outcome: Outcome::Retry {
            not_before: Some(at(3000)),
            reason: "429".to_owned(),
        },
        ..Reaction::fail()
    }
}

fn rejected() -> Reaction {
    Reaction {
        outcome: Outcome::Rejected {
            reason: "404".to_owned(),
        },
        ..Reaction::fail()
    }
}

/// A vendor's word to wait counts for that vendor only.
#[test]
fn what_waits_is_told_at_once_by_an_integration_that_is_configured_anew() {
    let mut world = World::new(PLAIN).with_script(at_x(later(0)));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(&at_address("http://y"));
    world.until(3600);
    world.check(&["100 first notification +a"]);
    let asked: Vec<&str> = world
        .attempts
        .iter()
        .map(|(_, order)| address(order))
        .collect();
    assert_eq!(asked, ["http://x", "http://y"]);
}

#[test]
fn what_fails_while_its_integration_is_configured_anew_is_told_at_once() {
    let mut world = World::new(PLAIN).with_script(at_x(later(5)));
    world.fire(&["alertname=Down instance=a"]);
    world.until(32);
    world.reload(&at_address("http://y"));
    world.until(3600);
    world.check(&["35 first notification +a"]);
}

#[test]
fn a_vendor_that_stays_is_waited_for() {
    let two = PLAIN.replace(
        "]}]",
        "]}, {name: other, webhook_configs: [{url: 'http://y'}]}]",
    );
    let mut world = World::new(PLAIN).with_script(at_x(later(0)));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(&two);
    world.until(2900);
    assert_eq!(world.attempts.len(), 1);
}

/// The mend of a wrong address need not wait for the group's next flush, and moves no later one.
#[test]
fn what_was_rejected_is_told_at_once_by_an_integration_that_is_configured_anew() {
    let mut world = World::new(PLAIN).with_script(at_x(rejected()));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(&at_address("http://y"));
    world.until(200);
    world.fire(&["alertname=Down instance=b"]);
    world.until(600);
    world.check(&["100 first notification +a", "330 new alerts added +a +b"]);
}

#[test]
fn an_integration_that_is_added_is_told_at_once_and_the_others_nothing_again() {
    let both = PLAIN.replace("}]}", "}, {url: 'http://y'}]}");
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(&both);
    world.until(600);
    world.check(&["30 first notification +a", "100 first notification +a"]);
    assert_eq!(world.heard[1].integration, 1);
}

/// A group that still collects its first alerts goes on to do so.
#[test]
fn no_group_wait_is_cut_short() {
    let mut world = World::new(PLAIN);
    world.fire(&["alertname=Down instance=a"]);
    world.until(10);
    world.reload(&at_address("http://y"));
    world.until(600);
    world.check(&["30 first notification +a"]);
}

/// The alert itself goes on under its new receiver; that the old one never heard of it is said.
#[test]
fn what_waits_for_a_receiver_that_is_gone_is_dropped_aloud() {
    let renamed = at_address("http://y").replace("team", "crew");
    for (failing, reload_at) in [(later(0), 100), (later(5), 32)] {
        let mut world = World::new(PLAIN).with_script(at_x(failing));
        world.fire(&["alertname=Down instance=a", "alertname=Down instance=b"]);
        world.until(reload_at);
        world.reload(&renamed);
        world.until(7200);
        world.check(&[&format!("{reload_at} first notification +a +b")]);
        assert_eq!(world.heard[0].integration, 0);
        assert_eq!(world.abandoned(), ["reconfigured: 2 alerts, 429"]);
    }
}

#[test]
fn a_reload_that_leaves_a_receiver_as_it_is_drops_nothing() {
    let mut world = World::new(PLAIN).with_script(at_x(later(0)));
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.reload(PLAIN);
    world.until(3000);
    assert_eq!(world.attempts.len(), 2);
    assert_eq!(world.abandoned(), [""; 0]);
}

#[test]
fn an_alert_that_ended_unheard_keeps_its_place_over_a_reload() {
    let mut world = World::new(PLAIN).with_script(|_, _| Reaction::fail());
    world.fire(&["alertname=Down instance=a"]);
    world.until(100);
    world.resolve(&["alertname=Down instance=a"]);
    world.reload(PLAIN);
    world.until(300);
    assert_eq!(world.abandoned(), [""; 0]);
    world.until(400);
    assert_eq!(world.abandoned(), ["alerts_ended: 1 alerts, 503"]);
    assert_eq!(world.machine.groups_len(), 0);
}

/// The flush that follows a reload is outside of the grid; a restart must not wait for the next one inside.
#[test]
fn what_was_under_way_after_a_reload_is_made_again_after_a_restart() {
    let mut world = World::new(PLAIN).with_script(|deliver, _| Reaction {
        after: secs(if address(deliver) == "http://y" { 5 } else { 0 }),
        ..Reaction::take()
    });
    world.fire(&["alertname=Down instance=a"]);
    world.until(50);
    world.fire(&["alertname=Down instance=b"]);
    world.until(100);
    world.reload(&at_address("http://y"));
    world.until(102);
    world.crash(secs(8));
    world.until(300);
    world.check(&[
        "30 first notification +a",
        "100 new alerts added +a +b",
        "110 new alerts added +a +b",
    ]);
}

/// Its group is gone, so nothing newer will ever take the place of what waits.
#[test]
fn a_resolve_outlives_its_group_but_not_the_retention() {
    const DAY: i64 = 24 * 3600;
    let regrouped = PLAIN.replace("[alertname]", "[instance]");
    for (back_at, abandoned) in [(DAY, &[][..]), (6 * DAY, &["expired: 1 alerts, 503"])] {
        let mut world = World::new(PLAIN).with_script(move |_, now| {
            if (at(60)..at(back_at)).contains(&now) {
                Reaction::fail()
            } else {
                Reaction::take()
            }
        });
        world.fire(&["alertname=Down instance=a"]);
        world.until(100);
        world.resolve(&["alertname=Down instance=a"]);
        world.until(400);
        world.reload(&regrouped);
        world.until(7 * DAY);
        assert_eq!(world.abandoned(), abandoned);
        let told: Vec<String> = world.heard.iter().map(Heard::words).collect();
        let all = ["first notification +a", "all alerts resolved -a"];
        assert_eq!(told, all[..2 - abandoned.len()]);
        assert_eq!(world.machine.groups_len(), 0);
    }
}
