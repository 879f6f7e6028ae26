//! Every key of routes, inhibition rules and time intervals by its effect: who is told what and when without the key,
//! and with it. The first alerts come on Monday, 12 January 1970, 13:46:40 UTC.
use model::{AlertStatus, Timestamp};

use crate::intake::AlertDraft;
use crate::protocol::Deliver;
use crate::tests::world::{World, at, labels};

/// `a` of team x and `b` of team y fire at 0, `c` of team x at 100; all end at 16,000.
fn told(yaml: &str) -> Vec<String> {
    let alerts =
        ["instance=a team=x", "instance=b team=y"].map(|pairs| format!("alertname=A {pairs}"));
    let [a, b] = alerts.each_ref().map(String::as_str);
    let c = "alertname=A instance=c team=x";
    let mut world = World::new(yaml);
    world.fire(&[a, b]);
    world.until(100);
    world.fire(&[c]);
    world.until(16_000);
    world.resolve(&[a, b, c]);
    world.until(17_000);
    // Of groups that are told at one moment the text decides.
    let mut attempts: Vec<(Timestamp, String)> = world
        .attempts
        .iter()
        .map(|(at, order)| (*at, line(*at, order)))
        .collect();
    attempts.sort();
    attempts.into_iter().map(|(_, line)| line).collect()
}

/// `30 team/webhook/0 +a -b`, seconds from the start, then the route's labels.
fn line(now: Timestamp, order: &Deliver) -> String {
    let notification = &order.notification;
    let secs = (now.as_millis() - at(0).as_millis()) / 1000;
    let mut alerts: Vec<String> = notification
        .alerts
        .iter()
        .map(|alert| {
            let sign = match alert.status(notification.at) {
                AlertStatus::Firing => '+',
                AlertStatus::Resolved => '-',
            };
            format!(" {sign}{}", alert.labels.value("instance"))
        })
        .collect();
    alerts.sort();
    let key = order.key.to_string();
    let target = key.rsplit(':').next().unwrap_or_default();
    let mut line = format!("{secs} {target}{}", alerts.concat());
    if !notification.route_labels.is_empty() {
        line.push_str(&format!(" {}", notification.route_labels));
    }
    line
}

/// `rest` is what is written besides the root route and the receivers `r` and `s`.
fn file(root: &str, rest: &str) -> String {
    let separator = if root.is_empty() { "" } else { ", " };
    format!(
        "route: {{receiver: r{separator}{root}}}\n\
         receivers: [{{name: r, webhook_configs: [{{url: 'http://r'}}]}}, {{name: s, webhook_configs: [{{url: 'http://s'}}]}}]\n{rest}\n"
    )
}

fn check(rows: &[(String, &[&str], String, &[&str])]) {
    for (without, told_without, with, told_with) in rows {
        assert_ne!(told_without, told_with, "{with} changes nothing");
        assert_eq!(told(without), *told_without, "{without}");
        assert_eq!(told(with), *told_with, "{with}");
    }
}

const PLAIN: &[&str] = &[
    "30 r/webhook/0 +a +b",
    "330 r/webhook/0 +a +b +c",
    "14730 r/webhook/0 +a +b +c",
    "16230 r/webhook/0 -a -b -c",
];

#[test]
fn keys_of_routes() {
    let plain = || file("", "");
    let child = |keys: &str| file(&format!("routes: [{{{keys}}}]"), "");
    let to_s: &[&str] = &[
        "30 r/webhook/0 +b",
        "30 s/webhook/0 +a",
        "330 s/webhook/0 +a +c",
        "14430 r/webhook/0 +b",
        "14730 s/webhook/0 +a +c",
        "16230 r/webhook/0 -b",
        "16230 s/webhook/0 -a -c",
    ];
    let by_team: &[&str] = &[
        "30 r/webhook/0 +a",
        "30 r/webhook/0 +b",
        "330 r/webhook/0 +a +c",
        "14430 r/webhook/0 +b",
        "14730 r/webhook/0 +a +c",
        "16230 r/webhook/0 -a -c",
        "16230 r/webhook/0 -b",
    ];
    check(&[
        (
            plain(),
            PLAIN,
            child("receiver: s, matchers: ['team=\"x\"']"),
            to_s,
        ),
        (plain(), PLAIN, child("receiver: s, match: {team: x}"), to_s),
        (
            plain(),
            PLAIN,
            child("receiver: s, match_re: {team: 'x|z'}"),
            to_s,
        ),
        (plain(), PLAIN, file("group_by: [team]", ""), by_team),
        (
            plain(),
            PLAIN,
            file("group_by: ['...']", ""),
            &[
                "30 r/webhook/0 +a",
                "30 r/webhook/0 +b",
                "130 r/webhook/0 +c",
                "14430 r/webhook/0 +a",
                "14430 r/webhook/0 +b",
                "14530 r/webhook/0 +c",
                "16030 r/webhook/0 -c",
                "16230 r/webhook/0 -a",
                "16230 r/webhook/0 -b",
            ],
        ),
        (
            plain(),
            PLAIN,
            file("group_wait: 110s", ""),
            &[
                "110 r/webhook/0 +a +b +c",
                "14510 r/webhook/0 +a +b +c",
                "16010 r/webhook/0 -a -b -c",
            ],
        ),
        (
            plain(),
            PLAIN,
            file("group_interval: 100s", ""),
            &[
                "30 r/webhook/0 +a +b",
                "130 r/webhook/0 +a +b +c",
                "14530 r/webhook/0 +a +b +c",
                "16030 r/webhook/0 -a -b -c",
            ],
        ),
        (
            plain(),
            PLAIN,
            file("repeat_interval: 2h", ""),
            &[
                "30 r/webhook/0 +a +b",
                "330 r/webhook/0 +a +b +c",
                "7530 r/webhook/0 +a +b +c",
                "14730 r/webhook/0 +a +b +c",
                "16230 r/webhook/0 -a -b -c",
            ],
        ),
        (
            child("receiver: s, matchers: ['team=\"x\"']"),
            to_s,
            file(
                "routes: [{receiver: s, matchers: ['team=\"x\"'], continue: true}, {}]",
                "",
            ),
            &[
                "30 r/webhook/0 +a +b",
                "30 s/webhook/0 +a",
                "330 r/webhook/0 +a +b +c",
                "330 s/webhook/0 +a +c",
                "14730 r/webhook/0 +a +b +c",
                "14730 s/webhook/0 +a +c",
                "16230 r/webhook/0 -a -b -c",
                "16230 s/webhook/0 -a -c",
            ],
        ),
        (
            plain(),
            PLAIN,
            file("labels: {l: v}, repeat_interval: 5h", ""),
            &[
                r#"30 r/webhook/0 +a +b {l="v"}"#,
                r#"330 r/webhook/0 +a +b +c {l="v"}"#,
                r#"16230 r/webhook/0 -a -b -c {l="v"}"#,
            ],
        ),
    ]);
}

/// Mail and Slack do not tell an end unless they are told to; the others do.
#[test]
fn keys_of_receivers() {
    for (kind, integration, tells_ends) in [
        ("webhook", "webhook_configs: [{url: 'http://r'", true),
        ("pagerduty", "pagerduty_configs: [{routing_key: k", true),
        (
            "email",
            "email_configs: [{to: t, from: f, smarthost: 'h:1'",
            false,
        ),
        ("slack", "slack_configs: [{api_url: 'http://r'", false),
    ] {
        for (keys, tells_ends) in [
            ("", tells_ends),
            (", send_resolved: true", true),
            (", send_resolved: false", false),
        ] {
            let yaml = format!(
                "route: {{receiver: r}}\nreceivers: [{{name: r, {integration}{keys}}}]}}]\n"
            );
            let count = if tells_ends {
                PLAIN.len()
            } else {
                PLAIN.len() - 1
            };
            let lines: Vec<String> = PLAIN[..count]
                .iter()
                .map(|line| line.replace("webhook", kind))
                .collect();
            assert_eq!(told(&yaml), lines, "{yaml}");
        }
    }
}

#[test]
fn keys_of_inhibition_rules() {
    let plain = || file("", "");
    let rule = |keys: &str| file("", &format!("inhibit_rules: [{{{keys}}}]"));
    // `a` and `c` keep `b` quiet; no one was told of it, so its end is no news.
    let without_b: &[&str] = &[
        "30 r/webhook/0 +a",
        "330 r/webhook/0 +a +c",
        "14730 r/webhook/0 +a +c",
        "16230 r/webhook/0 -a -c",
    ];
    let (source, target) = ("source_matchers: ['team=x']", "target_matchers: ['team=y']");
    let both = || rule(&format!("{source}, {target}"));
    check(&[
        (plain(), PLAIN, both(), without_b),
        (
            plain(),
            PLAIN,
            rule(&format!("source_match: {{team: x}}, {target}")),
            without_b,
        ),
        (
            plain(),
            PLAIN,
            rule(&format!("source_match_re: {{team: 'x|z'}}, {target}")),
            without_b,
        ),
        (
            plain(),
            PLAIN,
            rule(&format!("{source}, target_match: {{team: y}}")),
            without_b,
        ),
        (
            plain(),
            PLAIN,
            rule(&format!("{source}, target_match_re: {{team: 'y|z'}}")),
            without_b,
        ),
        (
            both(),
            without_b,
            rule(&format!("{source}, {target}, equal: [instance]")),
            PLAIN,
        ),
        (
            rule("source_matchers: ['team=z'], target_matchers: ['team=y']"),
            PLAIN,
            both(),
            without_b,
        ),
    ]);
    let named = rule(&format!("name: n, {source}, {target}, equal: [alertname]"));
    assert_eq!(told(&named), without_b);
}

/// Each field once with the hour of the first flush in it, and once without.
#[test]
fn keys_of_time_intervals() {
    for (inside, outside) in [
        (
            "times: [{start_time: '13:00', end_time: '24:00'}]",
            "times: [{start_time: '13:48', end_time: '24:00'}]",
        ),
        (
            "weekdays: [monday]",
            "weekdays: ['tuesday:saturday', sunday]",
        ),
        (
            "days_of_month: ['10:12']",
            "days_of_month: ['1:11', '-19:-1']",
        ),
        ("days_of_month: ['-20']", "days_of_month: ['13:-1']"),
        ("months: [january]", "months: ['2:12']"),
        ("years: ['1969:1970']", "years: ['1971:2970']"),
        (
            "times: [{start_time: '23:00', end_time: '24:00'}], location: Australia/Sydney",
            "times: [{start_time: '23:00', end_time: '24:00'}], location: UTC",
        ),
        // Every field must hold.
        (
            "weekdays: [monday], months: [1]",
            "weekdays: [monday], months: [2]",
        ),
    ] {
        for list in ["time_intervals", "mute_time_intervals"] {
            for (keys, is_inside) in [(inside, true), (outside, false)] {
                let interval = format!("{list}: [{{name: i, time_intervals: [{{{keys}}}]}}]");
                let route = |key: &str| {
                    file(
                        &format!("routes: [{{{key}: [i], group_interval: 10s}}]"),
                        &interval,
                    )
                };
                let first = |yaml: &str| told(yaml).into_iter().next().unwrap_or_default();
                let at_once = "30 r/webhook/0 +a +b";
                let muted = first(&route("mute_time_intervals")) != at_once;
                assert_eq!(muted, is_inside, "muted by {interval}");
                let active = first(&route("active_time_intervals")) == at_once;
                assert_eq!(active, is_inside, "active by {interval}");
            }
        }
    }
}

#[test]
fn an_alert_without_an_end_ends_after_resolve_timeout() {
    for (keys, lines) in [
        ("", ["30 r/webhook/0 +a", "330 r/webhook/0 -a"]),
        (
            "global: {resolve_timeout: 10m}",
            ["30 r/webhook/0 +a", "630 r/webhook/0 -a"],
        ),
    ] {
        let mut world = World::new(&file("", keys));
        let pairs = labels("alertname=A instance=a");
        world.post_drafts(vec![AlertDraft {
            labels: pairs
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..AlertDraft::default()
        }]);
        world.until(2000);
        let told: Vec<String> = world
            .attempts
            .iter()
            .map(|(at, order)| line(*at, order))
            .collect();
        assert_eq!(told, lines, "{keys}");
    }
}
