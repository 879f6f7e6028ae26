//! The dump: word for word what Alertmanager prints, and a file that means the same.
use crate::alertmanager::tests::texts::{read, with_child, with_global, with_receiver, with_top};
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions};
use crate::shared_data::shared;

/// As an Alertmanager prints it, between the defaults of `global` and the templates. What 0.25 has of it was compared
/// with a running one.
#[test]
fn routes_rules_and_intervals_are_printed_as_they_were_written() {
    let text = "\
route:
  receiver: d
  group_by: ['...']
  group_interval: 3600s
  repeat_interval: 36h
  routes:
  - matchers: ['b=\"x\"', 'a=~\"y|z\"']
    match: {m: \"1\", k: v}
    match_re: {svc: a|b}
    mute_time_intervals: [i, j]
    active_time_intervals: [i]
    labels: {team: '{{ .x }}'}
    continue: true
    group_by: []
    routes:
    - {receiver: d, group_wait: 0s, group_by: [z, a]}
inhibit_rules:
-
- {name: n, source_match: {b: c}, source_matchers: [z=1, a=d], target_match_re: {x: y}, equal: [f, e]}
receivers: [{name: d, labels: {team: x}}]
mute_time_intervals: [{name: j, time_intervals: []}]
time_intervals:
- name: i
  time_intervals:
  - times: [{start_time: '09:00', end_time: '24:00'}]
    weekdays: ['monday:friday', saturday, Sunday]
    days_of_month: ['1:31', '-3:-1', '5']
    months: ['1:12', may, 'january:march']
    years: ['2020:2022', '2024']
    location: Australia/Sydney
  - {times: [{start_time: '09:00', end_time: '17:00'}], weekdays: [monday]}
  - {location: UTC}
- {name: k, time_intervals: [{weekdays: [monday]}]}
";
    let dump = read(text).dump();
    let (_, own) = dump.split_once("\nroute:\n").unwrap();
    assert_eq!(
        own,
        r#"  receiver: d
  group_by:
  - '...'
  continue: false
  routes:
  - group_by: []
    match:
      k: v
      m: "1"
    match_re:
      svc: a|b
    matchers:
    - a=~"y|z"
    - b="x"
    mute_time_intervals:
    - i
    - j
    active_time_intervals:
    - i
    labels:
      team: '{{ .x }}'
    continue: true
    routes:
    - receiver: d
      group_by:
      - z
      - a
      continue: false
      group_wait: 0s
  group_interval: 1h
  repeat_interval: 1d12h
inhibit_rules:
- {}
- name: "n"
  source_match:
    b: c
  source_matchers:
  - a="d"
  - z="1"
  target_match_re:
    x: "y"
  equal:
  - f
  - e
receivers:
- name: d
  labels:
    name: d
    team: x
templates: []
mute_time_intervals:
- name: j
  time_intervals: []
time_intervals:
- name: i
  time_intervals:
  - times:
    - start_time: "09:00"
      end_time: "24:00"
    weekdays: ['monday:friday', saturday, sunday]
    days_of_month: ["1:31", '-3:-1', "5"]
    months: ["1:12", "5", "1:3"]
    years: ['2020:2022', "2024"]
    location: Australia/Sydney
  - {times: [{start_time: "09:00", end_time: "17:00"}], weekdays: [monday]}
  - location: UTC
- {name: k, time_intervals: [{weekdays: [monday]}]}
"#
    );
}

#[test]
fn the_global_block_is_printed_with_its_defaults_and_without_secrets() {
    let text = with_global(
        "resolve_timeout: 90s, smtp_from: a, smtp_smarthost: '[::1]:smtp', smtp_auth_password: hunter2, smtp_auth_secret_file: sf, \
         slack_app_token: hunter2, opsgenie_api_key_file: of, \
         http_config: {basic_auth: {username: u, password: hunter2}, proxy_url: 'http://u:hunter2@p:1', tls_config: {min_version: TLS12, key: hunter2, cert: c}, follow_redirects: no, http_headers: {X-A: {values: [v], secrets: [hunter2]}}}",
    );
    let dump = read(&text).dump();
    assert!(!dump.contains("hunter2"), "{dump}");
    let (global, _) = dump.split_once("route:\n").unwrap();
    assert_eq!(
        global,
        "\
global:
  resolve_timeout: 1m30s
  http_config:
    basic_auth:
      username: u
      password: <secret>
    tls_config:
      cert: c
      key: <secret>
      insecure_skip_verify: false
      min_version: TLS12
    follow_redirects: false
    enable_http2: true
    proxy_url: http://u:xxxxx@p:1
    http_headers:
      X-A:
        values:
        - v
        secrets:
        - <secret>
  smtp_from: a
  smtp_hello: localhost
  smtp_smarthost: '[::1]:smtp'
  smtp_auth_password: <secret>
  smtp_auth_secret_file: sf
  smtp_require_tls: true
  smtp_tls_config:
    insecure_skip_verify: false
  slack_app_token: <secret>
  slack_app_url: https://slack.com/api/chat.postMessage
  pagerduty_url: https://events.pagerduty.com/v2/enqueue
  opsgenie_api_url: https://api.opsgenie.com/
  opsgenie_api_key_file: of
  wechat_api_url: https://qyapi.weixin.qq.com/cgi-bin/
  victorops_api_url: https://alert.victorops.com/integrations/generic/20131114/alert/
  telegram_api_url: https://api.telegram.org
  webex_api_url: https://webexapis.com/v1/messages
  rocketchat_api_url: https://open.rocket.chat/
"
    );
}

/// Each key that holds a secret, once; its value is told nowhere, and that there is one is told.
#[test]
fn no_secret_is_told() {
    let mail = "to: t, from: f, smarthost: 'h:1', ";
    let oauth2 = "oauth2: {client_id: c, token_url: 'http://t', ";
    let http = |keys: &str| with_global(&format!("http_config: {{{keys}}}"));
    let receiver = |keys: &str| with_receiver(keys);
    for text in [
        with_global("smtp_auth_password: hunter2"),
        with_global("smtp_auth_secret: hunter2"),
        with_global("slack_api_url: 'http://s/hunter2'"),
        with_global("slack_app_token: hunter2"),
        with_global("opsgenie_api_key: hunter2"),
        with_global("victorops_api_key: hunter2"),
        with_global("telegram_bot_token: hunter2"),
        with_global("wechat_api_secret: hunter2"),
        with_global("rocketchat_token: hunter2"),
        with_global("rocketchat_token_id: hunter2"),
        with_global("mattermost_webhook_url: 'http://m/hunter2'"),
        with_global("smtp_tls_config: {cert: c, key: hunter2}"),
        http("basic_auth: {username: u, password: hunter2}"),
        http("authorization: {credentials: hunter2}"),
        http("bearer_token: hunter2"),
        http(&format!("{oauth2}client_secret: hunter2}}")),
        http(&format!("{oauth2}client_certificate_key: hunter2}}")),
        http(&format!("{oauth2}tls_config: {{cert: c, key: hunter2}}}}")),
        http(&format!(
            "{oauth2}proxy_url: 'http://p', proxy_connect_header: {{A: [hunter2]}}}}"
        )),
        http("proxy_url: 'http://p', proxy_connect_header: {A: [hunter2]}"),
        http("http_headers: {A: {secrets: [hunter2]}}"),
        http("tls_config: {cert: c, key: hunter2}"),
        receiver("webhook_configs: [{url: 'http://w/hunter2'}]"),
        receiver(&format!(
            "email_configs: [{{{mail}auth_password: hunter2}}]"
        )),
        receiver(&format!("email_configs: [{{{mail}auth_secret: hunter2}}]")),
        receiver("pagerduty_configs: [{routing_key: hunter2}]"),
        receiver("pagerduty_configs: [{service_key: hunter2}]"),
        receiver("slack_configs: [{api_url: 'http://s/hunter2'}]"),
        receiver("slack_configs: [{app_token: hunter2}]"),
        receiver("opsgenie_configs: [{api_key: hunter2}]"),
        receiver("victorops_configs: [{api_key: hunter2, routing_key: r}]"),
        receiver("pushover_configs: [{user_key: hunter2, token_file: t}]"),
        receiver("pushover_configs: [{user_key_file: u, token: hunter2}]"),
        receiver("sns_configs: [{topic_arn: t, sigv4: {access_key: a, secret_key: hunter2}}]"),
        receiver("telegram_configs: [{bot_token: hunter2, chat_id: 1}]"),
        receiver("discord_configs: [{webhook_url: 'http://d/hunter2'}]"),
        receiver("msteams_configs: [{webhook_url: 'http://t/hunter2'}]"),
        receiver("msteamsv2_configs: [{webhook_url: 'http://t/hunter2'}]"),
        receiver("incidentio_configs: [{url: 'http://i', alert_source_token: hunter2}]"),
        receiver("rocketchat_configs: [{token: hunter2, token_id_file: f}]"),
        receiver("rocketchat_configs: [{token_file: f, token_id: hunter2}]"),
        receiver("mattermost_configs: [{webhook_url: 'http://m/hunter2'}]"),
        receiver("wechat_configs: [{api_secret: hunter2, corp_id: c}]"),
    ] {
        let config = read(&text);
        let dump = config.dump();
        assert!(!dump.contains("hunter2"), "{text}\n{dump}");
        assert!(dump.contains("<secret>"), "{text}\n{dump}");
        assert!(!format!("{config:?}").contains("hunter2"), "{text}");
        assert_eq!(read(&dump).dump(), dump, "{text}");
    }
    let proxy = read(&http("proxy_url: 'http://u:hunter2@p'"));
    assert!(!proxy.dump().contains("hunter2"), "{}", proxy.dump());
}

/// What stands behind `http_config` in the only integration.
fn integration(text: &str) -> String {
    let dump = read(text).dump();
    let (_, own) = dump.split_once("_configs:\n").unwrap();
    let (own, _) = own.split_once("templates: []").unwrap();
    own.replace(
        "    http_config:\n      follow_redirects: true\n      enable_http2: true\n",
        "",
    )
    .lines()
    .map(|line| line.strip_prefix("    ").unwrap_or(&line[2..]).to_owned() + "\n")
    .collect()
}

#[test]
fn integrations_are_printed_with_their_defaults_and_fallbacks() {
    for (keys, printed) in [
        (
            "webhook_configs: [{url: 'http://h/hunter2', payload: {b: '{{ .x }}', a: [1, 1.5, true, ~]}}]",
            "- send_resolved: true
url: <secret>
url_file: \"\"
max_alerts: 0
timeout: 0s
payload:
  a:
  - 1
  - 1.5
  - true
  - null
  b: '{{ .x }}'
",
        ),
        (
            "webhook_configs: [{url_file: f, send_resolved: no, timeout: 90s}]",
            "- send_resolved: false
url_file: f
max_alerts: 0
timeout: 1m30s
",
        ),
        (
            "email_configs: [{to: t, from: f, smarthost: 'h:25', headers: {reply-to: r}, auth_password: p, threading: {enabled: true, thread_by_date: none}}]",
            "- send_resolved: false
to: t
from: f
hello: localhost
smarthost: h:25
auth_password: <secret>
headers:
  From: f
  Reply-To: r
  Subject: '{{ template \"email.default.subject\" . }}'
  To: t
html: '{{ template \"email.default.html\" . }}'
require_tls: true
tls_config:
  insecure_skip_verify: false
threading:
  enabled: true
  thread_by_date: none
",
        ),
        (
            "pagerduty_configs: [{service_key: k, details: {b: x}, images: [{src: s}], links: [{href: h, text: t}], severity: s}]",
            "- send_resolved: true
service_key: <secret>
url: https://events.pagerduty.com/v2/enqueue
client: '{{ template \"pagerduty.default.client\" . }}'
client_url: '{{ template \"pagerduty.default.clientURL\" . }}'
description: '{{ template \"pagerduty.default.description\" .}}'
details:
  b: x
  firing: '{{ .Alerts.Firing | toJson }}'
  num_firing: '{{ .Alerts.Firing | len }}'
  num_resolved: '{{ .Alerts.Resolved | len }}'
  resolved: '{{ .Alerts.Resolved | toJson }}'
images:
- src: s
links:
- href: h
  text: t
source: '{{ template \"pagerduty.default.client\" . }}'
severity: s
timeout: 0s
",
        ),
        (
            "slack_configs: [{api_url: 'http://s', channel: '#c', text: '', fields: [{title: t, value: v}, {title: t, value: v, short: no}], actions: [{type: b, text: x, url: u, name: lost}], mrkdwn_in: [text]}]",
            "- send_resolved: false
api_url: <secret>
app_url: https://slack.com/api/chat.postMessage
channel: '#c'
username: '{{ template \"slack.default.username\" . }}'
color: '{{ template \"slack.default.color\" . }}'
title: '{{ template \"slack.default.title\" . }}'
title_link: '{{ template \"slack.default.titlelink\" . }}'
pretext: '{{ template \"slack.default.pretext\" . }}'
text: \"\"
fields:
- title: t
  value: v
- title: t
  value: v
  short: false
short_fields: false
footer: '{{ template \"slack.default.footer\" . }}'
fallback: '{{ template \"slack.default.fallback\" . }}'
callback_id: '{{ template \"slack.default.callbackid\" . }}'
icon_emoji: '{{ template \"slack.default.iconemoji\" . }}'
icon_url: '{{ template \"slack.default.iconurl\" . }}'
link_names: false
mrkdwn_in:
- text
actions:
- type: b
  text: x
  url: u
update_message: false
timeout: 0s
",
        ),
    ] {
        assert_eq!(integration(&with_receiver(keys)), printed, "{keys}");
    }
}

/// With secrets that are `<secret>` already, so that nothing differs.
#[test]
fn a_dump_means_what_the_file_meant() {
    let mail = "email_configs: [{to: t, from: f, smarthost: 'c:1', ";
    for text in [
        with_child("group_by: []"),
        with_child("group_by: ['...'], matchers: ['a=\"b\\\\c\\nd\"'], match_re: {a: ''}"),
        with_child("labels: {yes: no, a: '010'}, repeat_interval: 1y"),
        with_global("slack_app_token: <secret>, slack_api_url: <secret>"),
        with_global(
            "smtp_force_implicit_tls: no, wechat_api_corp_id: '1', jira_api_url: 'http://j'",
        ),
        with_global(
            "http_config: {oauth2: {client_id: a, token_url: 'http://t', client_secret: <secret>, scopes: [s], endpoint_params: {a: b}, tls_config: {insecure_skip_verify: yes}}, proxy_from_environment: yes, proxy_connect_header: {A: [<secret>]}}",
        ),
        with_global("http_config: {bearer_token_file: /f}"),
        with_receiver(
            "slack_configs: [{api_url: <secret>, update_message: on, http_config: {enable_http2: no}}]",
        ),
        with_receiver(
            "slack_configs: [{app_token: <secret>, app_url: 'http://x', actions: [{type: a, text: b, name: c, confirm: {text: d}}]}]",
        ),
        with_receiver(
            "pagerduty_configs: [{routing_key: <secret>, url: 'http://u', client: '', timeout: 1ms, details: {'1': {'2': [{}, []]}}}]",
        ),
        with_receiver(&format!(
            "{mail}html: '', text: '  a\n\n  b ', force_implicit_tls: yes}}]"
        )),
        with_receiver(
            "webhook_configs: [{url: <secret>, payload: \"a\\tb\\u00e9\\U0001F642\"}, {url_file: f}]",
        ),
        with_top("inhibit_rules: [{}, {source_match: {a: ''}, target_matchers: ['b!~c']}]"),
    ] {
        let config = read(&text);
        assert_eq!(read(&config.dump()), config, "{text}\n{}", config.dump());
    }
}

#[test]
fn dumps_of_real_files_load_again() {
    for file in [
        "real/gds/rendered/alertmanager.yml",
        "real/gds/golden/all-integrations.yml",
        "real/gds/golden/gds-shortened.yml",
    ] {
        let Some(path) = shared(file) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let dump = read(&text).dump();
        for secret in [
            "example-smtp-password",
            "0000000000000000",
            "127.0.0.1:18080",
        ] {
            assert!(!dump.contains(secret), "{dump}");
        }
        let again = read(&dump);
        assert_eq!(again.dump(), dump, "{file}");
        assert_eq!(read(&again.dump()), again, "{file}");
    }
}

proptest::proptest! {
    /// Quoting, folding and literal blocks, by texts that nobody thought of.
    #[test]
    fn any_text_survives(text in "(?s)[ \\n'\":#a-z0-9\\-{}\\[\\],&*!|>%@`~.?<=\\\\é🙂\\t]{0,40}(word ){0,30}.*") {
        let quoted = serde_json::to_string(&text).unwrap();
        let file = with_top(&format!("inhibit_rules: [{{name: {quoted}, source_match: {{a: {quoted}}}}}]"));
        // Not every text is YAML, even in quotes.
        if let Ok(loaded) = AlertmanagerConfig::read("a.yml", &file, &AlertmanagerOptions::default()) {
            proptest::prop_assert_eq!(read(&loaded.value.dump()), loaded.value);
        }
    }
}
