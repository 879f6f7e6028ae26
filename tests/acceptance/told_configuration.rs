//! The configuration as `/api/v2/status` tells it, held against Debian's Alertmanager line by line.
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::alertmanager::{Alertmanager, DEBIANS};
use crate::files::folder;
use crate::process::program;
use crate::shared::shared;
use crate::watchbell::binary;

/// Every key that an Alertmanager 0.25 has too, of what Watchbell tells by. What is secret says `hunter2`.
const EVERYTHING: &str = r##"global:
  resolve_timeout: 90s
  http_config:
    basic_auth: {username: u, password: hunter2}
    proxy_url: http://proxy.test:3128
    follow_redirects: false
    enable_http2: false
    tls_config: {server_name: s.test, insecure_skip_verify: true, min_version: TLS12, max_version: TLS13}
  smtp_from: f@x.test
  smtp_hello: h.test
  smtp_smarthost: m.test:587
  smtp_auth_username: u
  smtp_auth_password: hunter2
  smtp_auth_secret: hunter2
  smtp_auth_identity: i
  smtp_require_tls: false
  slack_api_url: https://s.test/hunter2
  opsgenie_api_key: hunter2
  victorops_api_key: hunter2
  wechat_api_secret: hunter2
  wechat_api_corp_id: c
  telegram_api_url: https://t.test
templates: [none/*.tmpl, 'two words.tmpl']
route:
  receiver: all
  group_by: [alertname, 'cluster']
  group_wait: 45s
  group_interval: 90m
  repeat_interval: 36h
  routes:
  - match: {b: '1', a: "x: y"}
    match_re: {c: 'd|e'}
    matchers: ['f!="g\"h"', 'i=~"j.*"', 'k!~l']
    receiver: web
    continue: true
    mute_time_intervals: [nights, old]
    active_time_intervals: [days]
    group_by: ['...']
    routes: [{}, {receiver: black, repeat_interval: 1y, group_wait: 0s}]
inhibit_rules:
- {source_match: {a: b}, source_match_re: {c: d}, target_match: {e: f}, target_match_re: {g: h}, equal: [z, y]}
- {source_matchers: ['a=b', 'c=~"d e"'], target_matchers: [e!=f], equal: []}
mute_time_intervals:
- name: old
  time_intervals: [{weekdays: ['saturday', 'sunday']}]
time_intervals:
- name: nights
  time_intervals:
  - {times: [{start_time: '22:00', end_time: '24:00'}, {start_time: '00:00', end_time: '06:00'}], location: Europe/London}
- name: days
  time_intervals:
  - {weekdays: ['monday:friday'], days_of_month: ['1:31', '-3:-1', '5'], months: ['january:march', '5', june], years: ['2020:2030', '2040']}
receivers:
- name: black
- name: web
  webhook_configs:
  - {url: 'http://w.test/hunter2', max_alerts: 5, send_resolved: false}
  - {url: 'http://w.test', http_config: {authorization: {type: Token, credentials: hunter2}}}
  - {url: 'http://w.test', http_config: {bearer_token: hunter2}}
  - {url: 'http://w.test', http_config: {oauth2: {client_id: c, client_secret: hunter2, token_url: 'http://t.test', scopes: [a, b], endpoint_params: {p: q}}}}
- name: all
  email_configs:
  - {to: 'a@x.test, b@x.test', text: "two\nlines", headers: {subject: 'S {{ .Status }}', X-Long: 'a long text that goes on and on until it has to be folded somewhere because it is longer than eighty characters'}, require_tls: true}
  - {to: c@x.test, from: o@x.test, smarthost: 'o.test:25', hello: o, auth_username: v, auth_password: hunter2, auth_identity: j, tls_config: {insecure_skip_verify: true}}
  slack_configs:
  - {channel: '#a'}
  - {api_url: 'http://o.test/hunter2', channel: '#b', username: u, title: t, title_link: l, pretext: p, text: "a: b # c", fields: [{title: t, value: v}, {title: t, value: v, short: true}], short_fields: true, footer: f, fallback: fb, callback_id: cb, icon_emoji: ':e:', icon_url: i, image_url: im, thumb_url: th, link_names: true, mrkdwn_in: [text], actions: [{type: button, text: t, url: u}, {type: button, text: t, name: n, value: v, style: s, confirm: {text: t, title: ti, ok_text: 'yes', dismiss_text: 'no'}}]}
  pagerduty_configs:
  - {routing_key: hunter2, url: 'http://p.test', client: c, client_url: cu, description: d, details: {a: b}, images: [{src: s, alt: a, href: h}], links: [{href: h, text: t}], source: so, severity: se, class: cl, component: co, group: g}
  - {service_key: hunter2}
"##;

/// What 0.25 prints otherwise than 0.34: the beginnings of lines, theirs and ours.
const YOUNGER: [&str; 21] = [
    // Theirs comes before `tls_config`.
    "proxy_url: ",
    // Theirs are numbers, and cannot be loaded again.
    "min_version: ",
    "max_version: ",
    "slack_app_url: ",
    "telegram_api_url: ",
    "webex_api_url: ",
    "rocketchat_api_url: ",
    "app_url: ",
    "timeout: 0s",
    "update_message: false",
    "url_file: \"\"",
    // Of a webhook: theirs tells it.
    "url: http://",
    "url: https://",
    "url: <secret>",
    "client_secret_file: \"\"",
    "color: '{{ template \"slack.default.color\" . }}'",
    "color: '{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}'",
    "firing: '{{ ",
    "resolved: '{{ ",
    // A mail's, where it says nothing.
    "tls_config:",
    "insecure_skip_verify: false",
];

#[tokio::test(flavor = "multi_thread")]
async fn debians_alertmanager_and_watchbell_tell_the_same_configuration() {
    let Some(debians) = program(DEBIANS) else {
        return;
    };
    let mut files = vec![EVERYTHING.to_owned()];
    if let Some(path) = shared("real/gds/rendered/alertmanager.yml") {
        files.push(std::fs::read_to_string(path).expect("it can be read"));
    }
    for text in files {
        let folder = folder(&[("config.yml", &text)]);
        let theirs = told(Command::new(debians), folder.path(), "theirs").await;
        let mut ours = Command::new(binary());
        ours.arg("alertmanager");
        let ours = told(ours, folder.path(), "ours").await;
        assert!(!ours.contains("hunter2"), "{ours}");
        let differing: Vec<String> = differences(&theirs, &without_blocks(&ours))
            .into_iter()
            .filter(|line| {
                let line = line[2..].trim_start().trim_start_matches("- ");
                !YOUNGER.iter().any(|younger| line.starts_with(younger))
            })
            .collect();
        assert!(differing.is_empty(), "{differing:#?}");
    }
}

async fn told(mut command: Command, folder: &Path, name: &str) -> String {
    command
        .arg("--config.file")
        .arg(folder.join("config.yml"))
        .args(["--web.listen-address", "127.0.0.1:0"])
        .args(["--cluster.listen-address", ""])
        .arg("--storage.path")
        .arg(folder.join(name));
    let log = folder.join(format!("{name}.log"));
    let alertmanager = Alertmanager::start(&mut command, "", &log).await;
    let status: Json = alertmanager.json("/api/v2/status").await;
    alertmanager.end().await;
    let original = status["config"]["original"].as_str();
    original.expect("it is told").to_owned()
}

/// Without `smtp_tls_config` and the receivers' labels, which are younger too.
fn without_blocks(text: &str) -> String {
    let mut kept = String::new();
    let mut left_out = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if left_out.is_some_and(|above| depth > above) {
            continue;
        }
        let is_younger = ["labels:", "smtp_tls_config:"].contains(&line.trim_start());
        left_out = is_younger.then_some(depth);
        if left_out.is_none() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The lines of the one that are not in the other, in order: `< theirs`, `> ours`.
fn differences(theirs: &str, ours: &str) -> Vec<String> {
    let theirs: Vec<&str> = theirs.lines().collect();
    let ours: Vec<&str> = ours.lines().collect();
    // The longest row of lines that both have, from each pair of places on.
    let mut common = vec![vec![0_u32; ours.len() + 1]; theirs.len() + 1];
    for (their, line) in theirs.iter().enumerate().rev() {
        for (our, other) in ours.iter().enumerate().rev() {
            common[their][our] = if line == other {
                common[their + 1][our + 1] + 1
            } else {
                common[their + 1][our].max(common[their][our + 1])
            };
        }
    }
    let (mut their, mut our) = (0, 0);
    let mut found = Vec::new();
    while their < theirs.len() || our < ours.len() {
        if their < theirs.len() && our < ours.len() && theirs[their] == ours[our] {
            their += 1;
            our += 1;
        } else if our == ours.len()
            || (their < theirs.len() && common[their + 1][our] >= common[their][our + 1])
        {
            found.push(format!("< {}", theirs[their]));
            their += 1;
        } else {
            found.push(format!("> {}", ours[our]));
            our += 1;
        }
    }
    found
}
