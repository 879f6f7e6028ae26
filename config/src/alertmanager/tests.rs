//! The whole file: what is refused and in which words, and what real files mean.
use std::time::Duration;

use model::Labels;
use model::matcher_syntax::ParserMode;

use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions};
use crate::receiver::{
    EmailThreading, Integration, IntegrationSettings, PagerDutyKey, SlackTarget, template_texts,
};
use crate::route::{GroupBy, Route};
use crate::shared_data::shared;
use crate::value::{Secret, SecretSource, TemplateValue};

fn read(text: &str) -> AlertmanagerConfig {
    match AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()) {
        Ok(loaded) => loaded.value,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    match AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()).unwrap();
    loaded.warnings.iter().map(ToString::to_string).collect()
}

/// `keys` below the only route; receivers `d` and `e` exist.
fn with_route(keys: &str) -> String {
    format!("route: {{receiver: d, {keys}}}\nreceivers: [{{name: d}}, {{name: e}}]\n")
}

/// `keys` below the only child route.
fn with_child(keys: &str) -> String {
    with_route(&format!("routes: [{{{keys}}}]"))
}

/// `keys` below the only receiver, on line 2 from column 12.
fn with_receiver(keys: &str) -> String {
    format!("route: {{receiver: d}}\nreceivers: [{{name: d, {keys}}}]\n")
}

fn with_top(keys: &str) -> String {
    format!("route: {{receiver: d}}\nreceivers: [{{name: d}}]\n{keys}\n")
}

fn with_global(keys: &str) -> String {
    with_top(&format!("global: {{{keys}}}"))
}

fn with_interval(keys: &str) -> String {
    with_top(&format!(
        "time_intervals: [{{name: i, time_intervals: [{{{keys}}}]}}]"
    ))
}

/// Each text has exactly one mistake: the message, without its path, and where it stands.
fn check(rows: &[(String, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, place, message) in rows {
        let found: Vec<String> = problems(text)
            .iter()
            .map(|problem| problem.strip_prefix("a.yml:").unwrap_or(problem).to_owned())
            .collect();
        let is_expected = match &found[..] {
            [only] => {
                let said = match place.is_empty() {
                    true => format!(" {message}"),
                    false => format!("{place}: {message}"),
                };
                only.strip_prefix(said.as_str())
                    .is_some_and(|path| path.is_empty() || path.starts_with(" ("))
            }
            _ => false,
        };
        if !is_expected {
            wrong.push(format!(
                "{text}\nexpected {place}: {message}\nfound    {}\n",
                found.join("\n         ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whole_files_are_refused_in_alertmanagers_words() {
    check(&[
        (String::new(), "", "no route provided in config"),
        ("# nothing\n".into(), "", "no route provided in config"),
        (
            "receivers: [{name: d}]\n".into(),
            "1:1",
            "no routes provided",
        ),
        (
            "route: {receiver: d}\n".into(),
            "1:19",
            r#"undefined receiver "d" used in route"#,
        ),
        (
            with_top("foo: 1"),
            "3:1",
            "field foo not found in type config.plain",
        ),
        (
            with_top("x: &a {b: 1}"),
            "3:1",
            "field x not found in type config.plain",
        ),
        (
            with_top("route: {receiver: d}"),
            "3:1",
            "field route already set in type config.plain",
        ),
        (
            with_top("tracing: {endpoint: x}"),
            "3:10",
            "tracing is not supported by this version",
        ),
        (
            with_top("templates: x"),
            "3:12",
            "cannot unmarshal !!str `x` into []string",
        ),
        ("route: [\n".into(), "1:8", "unclosed bracket '['"),
    ]);
}

#[test]
fn routes_are_refused_in_alertmanagers_words() {
    check(&[
        (
            "route: {group_wait: 1s}\n".into(),
            "1:8",
            "root route must specify a default receiver",
        ),
        (
            with_route("continue: true"),
            "1:32",
            "cannot have continue in root route",
        ),
        (
            with_route("matchers: [a=b]"),
            "1:32",
            "root route must not have any matchers",
        ),
        (
            with_route("match: {a: b}"),
            "1:29",
            "root route must not have any matchers",
        ),
        (
            with_child("receiver: f"),
            "1:42",
            r#"undefined receiver "f" used in route"#,
        ),
        (
            with_child("mute_time_intervals: [t]"),
            "1:54",
            r#"undefined time interval "t" used in route"#,
        ),
        (
            with_child("active_time_intervals: [t]"),
            "1:56",
            r#"undefined time interval "t" used in route"#,
        ),
        (
            with_route("group_by: ['']"),
            "1:33",
            r#"invalid label name "" in group_by list"#,
        ),
        (
            with_route("group_by: [a, a]"),
            "1:36",
            r#"duplicated label "a" in group_by"#,
        ),
        (
            with_route("group_by: [a, ...]"),
            "1:32",
            "cannot have wildcard group_by (`...`) and other labels at the same time",
        ),
        (
            with_route("group_interval: 0s"),
            "1:38",
            "group_interval cannot be zero",
        ),
        (
            with_route("repeat_interval: 0s"),
            "1:39",
            "repeat_interval cannot be zero",
        ),
        (
            with_route("group_interval: 5"),
            "1:38",
            r#"not a valid duration string: "5""#,
        ),
        (
            with_route("group_wait: 1m1h"),
            "1:34",
            r#"not a valid duration string: "1m1h""#,
        ),
        (
            with_route("group_wait: ''"),
            "1:34",
            "empty duration string",
        ),
        (
            with_child("match: {a-b: c}"),
            "1:40",
            r#"invalid label name "a-b""#,
        ),
        (
            with_child("match_re: {a-b: c}"),
            "1:43",
            r#"invalid label name "a-b""#,
        ),
        (
            with_child("match_re: {a: ~}"),
            "1:46",
            r#"invalid regexp value for "a""#,
        ),
        (
            with_child("match_re: {a: '('}"),
            "1:46",
            "error parsing regexp: missing closing ): `^(?:()$`",
        ),
        (
            with_child("matchers: ['a=~(']"),
            "1:43",
            "error parsing regexp: missing closing ): `^(?:()$`",
        ),
        (with_child("matchers: [a]"), "1:43", "bad matcher format: a"),
        (
            with_child("labels: {'': c}"),
            "1:41",
            r#"invalid label name "" in route labels"#,
        ),
        (
            with_route("continue: 'true'"),
            "1:32",
            "cannot unmarshal !!str `true` into bool",
        ),
    ]);
}

#[test]
fn root_time_intervals_are_refused() {
    for key in ["mute", "active"] {
        let text = format!(
            "route: {{receiver: d, {key}_time_intervals: [i]}}\nreceivers: [{{name: d}}]\ntime_intervals: [{{name: i}}]\n"
        );
        let message = format!("root route must not have any {key} time intervals");
        assert!(problems(&text)[0].contains(&message), "{text}");
    }
}

#[test]
fn global_pairs_exclude_each_other() {
    for (first, second) in [
        ("slack_app_token", "slack_app_token_file"),
        ("opsgenie_api_key", "opsgenie_api_key_file"),
        ("victorops_api_key", "victorops_api_key_file"),
        ("telegram_bot_token", "telegram_bot_token_file"),
        ("smtp_auth_password", "smtp_auth_password_file"),
        ("smtp_auth_secret", "smtp_auth_secret_file"),
        ("rocketchat_token", "rocketchat_token_file"),
        ("rocketchat_token_id", "rocketchat_token_id_file"),
        ("wechat_api_secret", "wechat_api_secret_file"),
    ] {
        let text = with_global(&format!("{first}: a, {second}: b"));
        let place = format!("3:{}", 10 + first.len() + 5 + second.len() + 2);
        let message = format!("at most one of {first} & {second} must be configured");
        check(&[(text, place.as_str(), message.as_str())]);
    }
    for (first, second) in [
        ("slack_api_url", "slack_api_url_file"),
        ("mattermost_webhook_url", "mattermost_webhook_url_file"),
    ] {
        let text = with_global(&format!("{second}: b, {first}: 'http://a'"));
        let message = format!("at most one of {first} & {second} must be configured");
        let place = format!("3:{}", 10 + second.len() + 2);
        check(&[(text, place.as_str(), message.as_str())]);
    }
}

#[test]
fn global_values_are_refused_in_alertmanagers_words() {
    check(&[
        (
            with_global("slack_app_token: a, slack_api_url: 'http://a'"),
            "3:27",
            "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured",
        ),
        (
            with_global("pagerduty_url: 'ftp://x'"),
            "3:25",
            r#"unsupported scheme "ftp" for URL"#,
        ),
        (
            with_global("pagerduty_url: 'http://'"),
            "3:25",
            "missing host for URL",
        ),
        (
            with_global("smtp_smarthost: 'x:'"),
            "3:26",
            r#"address "x:": port cannot be empty"#,
        ),
        (
            with_global("http_config: {bearer_token: a, bearer_token_file: b}"),
            "3:60",
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        (
            with_global("http_config: {bearer_token: a, basic_auth: {username: u}}"),
            "3:53",
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            with_global("http_config: {bearer_token: a, authorization: {credentials: u}}"),
            "3:56",
            "authorization is not compatible with bearer_token & bearer_token_file",
        ),
        (
            with_global("http_config: {basic_auth: {password: a, password_file: b}}"),
            "3:65",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        ),
        (
            with_global("http_config: {authorization: {type: Basic}}"),
            "3:46",
            r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
        ),
        (
            with_global(
                "http_config: {basic_auth: {username: a}, authorization: {credentials: b}}",
            ),
            "3:66",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        (
            with_global("http_config: {oauth2: {token_url: 'http://a'}}"),
            "3:32",
            "oauth2 client_id must be configured",
        ),
        (
            with_global("http_config: {oauth2: {client_id: a}}"),
            "3:32",
            "oauth2 token_url must be configured",
        ),
        (
            with_global("http_config: {tls_config: {min_version: SSL3}}"),
            "3:50",
            "unknown TLS version: SSL3",
        ),
    ]);
    let both = "slack_app_token: a, slack_api_url: 'https://slack.com/api/chat.postMessage'";
    assert_eq!(problems(&with_global(both)), Vec::<String>::new());
}

#[test]
fn inhibit_rules_are_refused_in_alertmanagers_words() {
    check(&[
        (
            with_top("inhibit_rules: [{equal: ['']}]"),
            "3:26",
            r#"invalid label name "" in equal list"#,
        ),
        (
            with_top("inhibit_rules: [{source_match_re: {a: '('}}]"),
            "3:39",
            "error parsing regexp: missing closing ): `^(?:()$`",
        ),
    ]);
    let config = read(&with_top(
        "inhibit_rules:\n-\n- {name: n, source_match: {b: c}, source_matchers: [a=d], target_match_re: {x: y}, equal: [f, e]}",
    ));
    assert_eq!(config.inhibit_rules.len(), 2);
    assert!(config.inhibit_rules[0].source_matchers.is_empty());
    let rule = &config.inhibit_rules[1];
    assert_eq!(format!("{:?}", rule.source_matchers), r#"[a="d", b="c"]"#);
    assert_eq!(format!("{:?}", rule.target_matchers), r#"[x=~"^(?:y)$"]"#);
}

#[test]
fn time_intervals_are_refused_in_alertmanagers_words() {
    check(&[
        (
            with_top("time_intervals: [{}]"),
            "3:18",
            "missing name in time interval",
        ),
        (
            with_top("mute_time_intervals: [{}]"),
            "3:23",
            "missing name in mute time interval",
        ),
        (
            with_top("time_intervals: [{name: a}, {name: a}]"),
            "3:29",
            r#"time interval "a" is not unique"#,
        ),
        (
            with_top("mute_time_intervals: [{name: a}, {name: a}]"),
            "3:34",
            r#"mute time interval "a" is not unique"#,
        ),
        (
            with_interval("times: [{start_time: '09:00'}]"),
            "3:54",
            "both start and end times must be provided",
        ),
        (
            with_interval("times: [{start_time: '9:00', end_time: '17:00'}]"),
            "3:67",
            "couldn't parse timestamp 9:00, invalid format",
        ),
        (
            with_interval("times: [{start_time: '09:00', end_time: '24:01'}]"),
            "3:86",
            "couldn't parse timestamp 24:01, invalid format",
        ),
        (
            with_interval("times: [{start_time: '09:00', end_time: '09:00'}]"),
            "3:54",
            "start time cannot be equal or greater than end time",
        ),
        (
            with_interval("weekdays: ['1:3']"),
            "3:57",
            "1 is not a valid weekday",
        ),
        (
            with_interval("weekdays: ['friday:monday']"),
            "3:57",
            "start day cannot be before end day",
        ),
        (
            with_interval("days_of_month: ['10:-25']"),
            "3:62",
            "end day -25 is always before start day 10",
        ),
        (
            with_interval("days_of_month: ['-15:5']"),
            "3:62",
            "end day must be negative if start day is negative",
        ),
        (
            with_interval("days_of_month: ['32']"),
            "3:62",
            "32 is not a valid day of the month: out of range",
        ),
        (
            with_interval("days_of_month: ['0']"),
            "3:62",
            "0 is not a valid day of the month: out of range",
        ),
        (
            with_interval("days_of_month: ['a']"),
            "3:62",
            "couldn't parse range a, invalid format",
        ),
        (
            with_interval("months: ['december:january']"),
            "3:55",
            "end month january is before start month december",
        ),
        (
            with_interval("months: [brumaire]"),
            "3:55",
            "brumaire is not a valid month",
        ),
        (
            with_interval("years: ['2022:2020']"),
            "3:54",
            "end year 2020 is before start year 2022",
        ),
        (
            with_interval("years: ['1:2:3']"),
            "3:54",
            "couldn't parse range 1:2:3, invalid format",
        ),
        (
            with_interval("location: Nowhere/Land"),
            "3:56",
            "unknown time zone Nowhere/Land",
        ),
    ]);
    let config = read(&with_interval(
        "times: [{start_time: '09:00', end_time: '24:00'}], weekdays: ['Monday:friday', sunday], days_of_month: [1, '-3:-1', '-31:-1'], months: ['january:3', 5], years: [2020], location: Australia/Sydney",
    ));
    let interval = &config.time_interval("i").unwrap().intervals[0];
    assert_eq!(
        (interval.times[0].start_minute, interval.times[0].end_minute),
        (540, 1440)
    );
    let ranges = |ranges: &[crate::time_interval::NumberRange]| -> Vec<(i32, i32)> {
        ranges
            .iter()
            .map(|range| (range.begin, range.end))
            .collect()
    };
    assert_eq!(ranges(&interval.weekdays), [(1, 5), (0, 0)]);
    assert_eq!(
        ranges(&interval.days_of_month),
        [(1, 1), (-3, -1), (-31, -1)]
    );
    assert_eq!(ranges(&interval.months), [(1, 3), (5, 5)]);
}

#[test]
fn receivers_are_refused_in_alertmanagers_words() {
    let slack = "slack_configs: [{api_url: 'http://s', ";
    let mail = "email_configs: [{to: a, from: b, smarthost: 'c:1', ";
    check(&[
        (
            with_top("").replace("{name: d}]", "{name: d}, {}]"),
            "2:24",
            "missing name in receiver",
        ),
        (
            with_top("").replace("{name: d}]", "{name: d}, {name: d}]"),
            "2:24",
            r#"notification config name "d" is not unique"#,
        ),
        (
            with_receiver("labels: {name: e}"),
            "2:31",
            r#"receiver label "name" must match receiver name "d", got "e""#,
        ),
        (
            with_receiver("webhook_configs: [~]"),
            "2:41",
            "missing webhook config",
        ),
        (
            with_receiver("email_configs: [~]"),
            "2:39",
            "missing email config",
        ),
        (
            with_receiver("pagerduty_configs: [~]"),
            "2:43",
            "missing pagerduty config",
        ),
        (
            with_receiver("webhook_configs: [{}]"),
            "2:41",
            "one of url or url_file must be configured",
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://a', url_file: b}]"),
            "2:47",
            "at most one of url & url_file must be configured",
        ),
        (
            with_receiver("webhook_configs: [{url: 'ftp://x'}]"),
            "2:47",
            r#"invalid URL: unsupported scheme "ftp" for URL"#,
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://'}]"),
            "2:47",
            "invalid URL: missing host for URL",
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://a', timeout: 5}]"),
            "2:68",
            r#"time: missing unit in duration "5""#,
        ),
        (
            with_receiver("email_configs: [{from: b, smarthost: 'c:1'}]"),
            "2:39",
            "missing to address in email config",
        ),
        (
            with_receiver("email_configs: [{to: a, from: b}]"),
            "2:39",
            "no global SMTP smarthost set",
        ),
        (
            with_receiver("email_configs: [{to: a, smarthost: 'c:1'}]"),
            "2:39",
            "no global SMTP from set",
        ),
        (
            with_receiver(&format!("{mail}headers: {{reply-to: a, Reply-To: b}}}}]")),
            "2:97",
            r#"duplicate header "Reply-To" in email config"#,
        ),
        (
            with_receiver(&format!(
                "{mail}headers: {{references: a}}, threading: {{enabled: true, thread_by_date: none}}}}]"
            )),
            "2:121",
            "conflicting configuration: threading.enabled conflicts with custom References header",
        ),
        (
            with_receiver(&format!("{mail}threading: {{enabled: true}}}}]")),
            "2:85",
            "threading.thread_by_date must be either 'none' or 'daily'",
        ),
        (
            with_receiver("pagerduty_configs: [{}]"),
            "2:43",
            "missing service or routing key in PagerDuty config",
        ),
        (
            with_receiver("pagerduty_configs: [{routing_key: a, routing_key_file: b}]"),
            "2:78",
            "at most one of routing_key & routing_key_file must be configured",
        ),
        (
            with_receiver("pagerduty_configs: [{service_key: a, service_key_file: b}]"),
            "2:78",
            "at most one of service_key & service_key_file must be configured",
        ),
        (
            with_receiver("slack_configs: [{}]"),
            "2:39",
            "no Slack API URL nor App token set either inline or in a file",
        ),
        (
            with_receiver(&format!("{slack}api_url_file: b}}]")),
            "2:75",
            "at most one of api_url & api_url_file must be configured",
        ),
        (
            with_receiver("slack_configs: [{app_token: a, app_token_file: b}]"),
            "2:70",
            "at most one of app_token & app_token_file must be configured",
        ),
        (
            with_receiver(&format!("{slack}app_token: b}}]")),
            "2:39",
            "at most one of api_url/api_url_file & app_token/app_token_file must be configured",
        ),
        (
            with_receiver(&format!("{slack}update_message: on}}]")),
            "2:77",
            "update_message can only be used with bot tokens. api_url must be set to https://slack.com/api/chat.postMessage",
        ),
        (
            with_receiver(
                "slack_configs: [{app_token: a, http_config: {authorization: {credentials: b}}}]",
            ),
            "2:67",
            "http authorization can't be set when using Slack App tokens",
        ),
        (
            with_receiver(&format!("{slack}actions: [{{text: a, url: b}}]}}]")),
            "2:71",
            "missing type in Slack action configuration",
        ),
        (
            with_receiver(&format!("{slack}actions: [{{type: a, url: b}}]}}]")),
            "2:71",
            "missing text in Slack action configuration",
        ),
        (
            with_receiver(&format!("{slack}actions: [{{type: a, text: b}}]}}]")),
            "2:71",
            "missing name or url in Slack action configuration",
        ),
        (
            with_receiver(&format!(
                "{slack}actions: [{{type: a, text: b, url: c, confirm: {{title: t}}}}]}}]"
            )),
            "2:107",
            "missing text in Slack confirmation configuration",
        ),
        (
            with_receiver(&format!("{slack}fields: [{{value: a}}]}}]")),
            "2:70",
            "missing title in Slack field configuration",
        ),
        (
            with_receiver(&format!("{slack}fields: [{{title: a}}]}}]")),
            "2:70",
            "missing value in Slack field configuration",
        ),
        (
            with_receiver("opsgenie_configs: [{}]"),
            "2:41",
            "opsgenie_configs is not supported by this version",
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://a', colour: b}]"),
            "2:59",
            "field colour not found in type config.plain",
        ),
    ]);
}

#[test]
fn classic_mode_knows_classic_names() {
    let options = AlertmanagerOptions {
        mode: ParserMode::Classic,
        ..AlertmanagerOptions::default()
    };
    for (text, message) in [
        (
            with_route("group_by: [a-b]"),
            r#"invalid label name "a-b" in group_by list"#,
        ),
        (
            with_route("labels: {a-b: c}"),
            r#"invalid label name "a-b" in route labels"#,
        ),
        (
            with_top("inhibit_rules: [{equal: [a-b]}]"),
            r#"invalid label name "a-b" in equal list"#,
        ),
    ] {
        let problems = AlertmanagerConfig::read("a.yml", &text, &options).unwrap_err();
        assert_eq!(problems.first().unwrap().message, message);
        assert!(AlertmanagerConfig::read("a.yml", &text, &AlertmanagerOptions::default()).is_ok());
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = "global:\n  smtp_smarthost: x\nroute:\n  receiver: f\n  group_wait: soon\n  routes:\n  - matchers: [a]\n    colour: red\nreceivers:\n- name: d\n  slack_configs:\n  - fields: [{title: a}]\n- webhook_configs: [{}]\n";
    assert_eq!(
        problems(text),
        [
            "a.yml:2:19: address x: missing port in address (global.smtp_smarthost)",
            r#"a.yml:4:13: undefined receiver "f" used in route (route.receiver)"#,
            r#"a.yml:5:15: not a valid duration string: "soon" (route.group_wait)"#,
            "a.yml:7:16: bad matcher format: a (route.routes[0].matchers[0])",
            "a.yml:8:5: field colour not found in type config.plain (route.routes[0].colour)",
            "a.yml:12:5: no Slack API URL nor App token set either inline or in a file (receivers[0].slack_configs[0])",
            "a.yml:12:14: missing value in Slack field configuration (receivers[0].slack_configs[0].fields[0])",
            "a.yml:13:3: missing name in receiver (receivers[1])",
            "a.yml:13:21: one of url or url_file must be configured (receivers[1].webhook_configs[0])",
        ]
    );
}

#[test]
fn what_is_doubtful_is_a_warning() {
    for (text, message) in [
        (
            with_route("repeat_interval: 7d"),
            "a.yml:1:8: repeat_interval is greater than the data retention period. It can lead to notifications being repeated more often than expected. (repeat_interval 1w, retention 5d, route {}) (route)",
        ),
        (
            with_route("repeat_interval: 1m"),
            "a.yml:1:8: repeat_interval is less than group_interval. Notifications will not repeat until the next group_interval. (repeat_interval 1m, group_interval 5m, route {}) (route)",
        ),
        (
            with_child("matchers: ['a=']"),
            r#"a.yml:1:43: Alertmanager is moving to a new parser for labels and matchers, and this input is incompatible: end of input: expected label value; write {a=""} (route.routes[0].matchers[0])"#,
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://a', payload: {n: 1}}]"),
            "a.yml:2:72: the key n is not a text and is dropped: quote it (receivers[0].webhook_configs[0].payload.n)",
        ),
    ] {
        assert_eq!(warnings(&text), [message], "{text}");
    }
}

fn only_integration(text: &str) -> Integration {
    let mut config = read(text);
    let mut integrations = config.receivers.remove(0).integrations;
    assert_eq!(integrations.len(), 1);
    integrations.remove(0)
}

#[test]
fn yaml_1_1_scalars_resolve_as_in_go() {
    let config = read(
        "route: {receiver: yes}\nreceivers:\n- name: yes\n  webhook_configs: [{url: 'http://a', send_resolved: off, max_alerts: 010}]\n",
    );
    assert_eq!(config.routes.root().receiver, "yes");
    let integration = &config.receivers[0].integrations[0];
    assert!(!integration.send_resolved);
    let IntegrationSettings::Webhook(webhook) = &integration.settings else {
        panic!()
    };
    assert_eq!(webhook.max_alerts, 8);
}

#[test]
fn printed_secrets_are_accepted_again() {
    let integration = only_integration(&with_receiver("webhook_configs: [{url: <secret>}]"));
    let IntegrationSettings::Webhook(webhook) = &integration.settings else {
        panic!()
    };
    assert_eq!(webhook.url, SecretSource::Inline(Secret::new("<secret>")));
    only_integration(&with_receiver("slack_configs: [{api_url: <secret>}]"));
}

#[test]
fn email_falls_back_to_the_global_block() {
    let globals = "global: {smtp_from: f, smtp_smarthost: 'h:465', smtp_auth_username: u, smtp_auth_password: p, smtp_require_tls: false}\n";
    let text = globals.to_owned()
        + &with_receiver(
            "email_configs: [{to: t, headers: {subject: s}, threading: {enabled: true, thread_by_date: daily}}]",
        );
    let integration = only_integration(&text);
    assert!(!integration.send_resolved);
    let IntegrationSettings::Email(email) = &integration.settings else {
        panic!()
    };
    assert_eq!(email.from.as_str(), "f");
    assert_eq!(email.hello, "localhost");
    assert_eq!(email.smarthost.to_string(), "h:465");
    assert!(email.implicit_tls);
    assert!(!email.require_tls);
    assert_eq!(
        email.auth_password,
        Some(SecretSource::Inline(Secret::new("p")))
    );
    assert_eq!(email.threading, EmailThreading::GroupAndDay);
    let headers: Vec<_> = email
        .headers
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(headers, [("From", "f"), ("Subject", "s"), ("To", "t")]);
    assert_eq!(
        email.html.as_str(),
        r#"{{ template "email.default.html" . }}"#
    );
}

#[test]
fn pagerduty_speaks_the_version_of_its_key() {
    for (keys, url, is_v1) in [
        (
            "service_key: k",
            "https://events.pagerduty.com/generic/2010-04-15/create_event.json",
            true,
        ),
        (
            "routing_key: k",
            "https://events.pagerduty.com/v2/enqueue",
            false,
        ),
        ("routing_key: k, url: 'http://e'", "http://e", false),
    ] {
        let integration = only_integration(&with_receiver(&format!(
            "pagerduty_configs: [{{{keys}, details: {{firing: x, n1: {{a: 1}}}}}}]"
        )));
        assert!(integration.send_resolved);
        let IntegrationSettings::PagerDuty(pagerduty) = &integration.settings else {
            panic!()
        };
        assert_eq!(pagerduty.url.as_str(), url);
        assert_eq!(matches!(pagerduty.key, PagerDutyKey::Service(_)), is_v1);
        assert_eq!(pagerduty.source, pagerduty.client);
        let names: Vec<_> = pagerduty.details.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["firing", "n1", "num_firing", "num_resolved", "resolved"]
        );
        assert!(
            matches!(&pagerduty.details["firing"], TemplateValue::Text(text) if text.as_str() == "x")
        );
    }
}

#[test]
fn slack_finds_its_target() {
    let api = |url: &str| SlackTarget::Webhook(SecretSource::Inline(Secret::new(url)));
    let app = |token: &str| SlackTarget::App {
        url: crate::value::HttpUrl::parse("https://slack.com/api/chat.postMessage").unwrap(),
        token: SecretSource::Inline(Secret::new(token)),
    };
    let bearer = "http_config: {authorization: {credentials: c}}";
    for (global, own, target) in [
        ("slack_api_url: 'http://g'", "channel: c", api("http://g")),
        (
            "slack_api_url: 'http://g'",
            "api_url: 'http://o'",
            api("http://o"),
        ),
        ("slack_app_token: g", "channel: c", app("g")),
        ("slack_app_token: g", "app_token: o", app("o")),
        ("slack_app_token: g", "api_url: 'http://o'", api("http://o")),
        (
            "slack_app_token: g, slack_api_url: 'https://slack.com/api/chat.postMessage'",
            bearer,
            api("https://slack.com/api/chat.postMessage"),
        ),
    ] {
        let text = format!("global: {{{global}}}\n")
            + &with_receiver(&format!("slack_configs: [{{{own}}}]"));
        let IntegrationSettings::Slack(slack) = only_integration(&text).settings else {
            panic!()
        };
        assert_eq!(slack.target, target, "{text}");
    }
}

#[test]
fn templates_of_an_integration_are_listed_with_their_paths() {
    let integration = only_integration(&with_receiver(
        "slack_configs: [{api_url: 'http://a', fields: [{title: t, value: v}], actions: [{type: a, text: b, url: '{{ x }}'}]}]",
    ));
    let fields = template_texts(&integration);
    let find = |path: &str| {
        let field = fields.iter().find(|field| field.path == path);
        field.map(|field| field.text.as_str())
    };
    assert_eq!(find("fields[0].title"), Some("t"));
    assert_eq!(find("actions[0].url"), Some("{{ x }}"));
    assert_eq!(
        find("color"),
        Some(r#"{{ template "slack.default.color" . }}"#)
    );
    assert_eq!(find("message_text"), None);
}

fn labels(pairs: &str) -> Labels {
    Labels::from_pairs(
        pairs
            .split([',', ' '])
            .filter_map(|pair| pair.split_once('=')),
    )
}

const ROUTING: &str = "
route:
  receiver: notify-def
  routes:
  - match: {owner: team-A}
    receiver: notify-A
    routes:
    - {match: {env: testing}, receiver: notify-testing, group_by: [...]}
    - {match: {env: production}, receiver: notify-productionA, group_wait: 1m, continue: true}
    - match_re: {env: 'produ.*', job: '.*'}
      receiver: notify-productionB
      group_wait: 30s
      group_interval: 5m
      repeat_interval: 1h
      group_by: [job]
  - {match_re: {owner: team-(B|C)}, receiver: notify-BC, group_by: [foo, bar], group_wait: 2m}
  - match: {group_by: role}
    group_by: [role]
    routes:
    - match: {env: testing}
      receiver: notify-testing
      routes:
      - {match: {wait: long}, group_wait: 2m}
receivers: [{name: notify-def}, {name: notify-A}, {name: notify-testing}, {name: notify-productionA}, {name: notify-productionB}, {name: notify-BC}]
";

#[test]
fn alerts_find_their_routes() {
    let config = read(ROUTING);
    let found = |pairs: &str| -> Vec<(String, String)> {
        let indices = config.routes.routes_for(&labels(pairs));
        let routes = indices.into_iter().map(|index| config.routes.route(index));
        routes
            .map(|route| (route.receiver.clone(), route.key.clone()))
            .collect()
    };
    for (pairs, expected) in [
        ("x=y", &[("notify-def", "{}")][..]),
        ("owner=team-A", &[("notify-A", r#"{}/{owner="team-A"}"#)]),
        (
            "owner=team-A env=unset",
            &[("notify-A", r#"{}/{owner="team-A"}"#)],
        ),
        (
            "owner=team-C",
            &[("notify-BC", r#"{}/{owner=~"^(?:team-(B|C))$"}"#)],
        ),
        (
            "owner=team-A env=testing",
            &[("notify-testing", r#"{}/{owner="team-A"}/{env="testing"}"#)],
        ),
        (
            "owner=team-A env=production",
            &[
                (
                    "notify-productionA",
                    r#"{}/{owner="team-A"}/{env="production"}"#,
                ),
                (
                    "notify-productionB",
                    r#"{}/{owner="team-A"}/{env=~"^(?:produ.*)$",job=~"^(?:.*)$"}"#,
                ),
            ],
        ),
        (
            "group_by=role",
            &[("notify-def", r#"{}/{group_by="role"}"#)],
        ),
        (
            "group_by=role env=testing wait=long",
            &[(
                "notify-testing",
                r#"{}/{group_by="role"}/{env="testing"}/{wait="long"}"#,
            )],
        ),
    ] {
        let found = found(pairs);
        let found: Vec<_> = found
            .iter()
            .map(|(receiver, key)| (receiver.as_str(), key.as_str()))
            .collect();
        assert_eq!(found, expected, "{pairs}");
    }
}

#[test]
fn routes_inherit() {
    let config = read(ROUTING);
    let route = |id: &str| -> &Route {
        let routes = config.routes.routes();
        routes.iter().find(|route| route.id == id).unwrap()
    };
    let root = config.routes.root();
    assert_eq!(root.group_by, GroupBy::Labels(Vec::new()));
    assert_eq!(root.group_wait, Duration::from_secs(30));
    assert_eq!(root.group_interval, Duration::from_secs(300));
    assert_eq!(root.repeat_interval, Duration::from_secs(4 * 3600));
    assert_eq!(
        route(r#"{}/{owner="team-A"}/0/{env="testing"}/0"#).group_by,
        GroupBy::All
    );
    let deep = route(r#"{}/{group_by="role"}/2/{env="testing"}/0/{wait="long"}/0"#);
    assert_eq!(deep.receiver, "notify-testing");
    assert_eq!(deep.group_wait, Duration::from_secs(120));
    assert_eq!(deep.group_by, GroupBy::Labels(vec!["role".to_owned()]));
    for (index, route) in config.routes.routes().iter().enumerate() {
        for child in &route.children {
            assert_eq!(
                config.routes.route(*child).parent.map(|parent| parent.0),
                Some(index)
            );
        }
    }
}

#[test]
fn group_by_and_labels_inherit_key_by_key() {
    let config = read(&with_route(
        "group_by: [...], labels: {a: 1, b: 2}, routes: [{labels: {b: 3}}, {group_by: []}, {group_by: [foo]}]",
    ));
    let [_, first, second, third] = config.routes.routes() else {
        panic!()
    };
    assert_eq!(first.group_by, GroupBy::All);
    assert_eq!(second.group_by, GroupBy::Labels(Vec::new()));
    assert_eq!(third.group_by, GroupBy::Labels(vec!["foo".to_owned()]));
    let pairs: Vec<_> = first
        .labels
        .iter()
        .map(|(name, text)| format!("{name}={}", text.as_str()))
        .collect();
    assert_eq!(pairs, ["a=1", "b=3"]);
    let alert = labels("foo=1,bar=2");
    assert_eq!(third.group_by.group_labels(&alert), labels("foo=1"));
    assert_eq!(first.group_by.group_labels(&alert), alert);
}

fn gds() -> Option<AlertmanagerConfig> {
    let text = std::fs::read_to_string(shared("real/gds/rendered/alertmanager.yml")?).unwrap();
    Some(read(&text))
}

#[test]
fn a_real_services_file_loads() {
    let Some(config) = gds() else { return };
    assert_eq!(config.receivers.len(), 17);
    assert!(config.receiver("dev-null").unwrap().integrations.is_empty());
    let kinds: Vec<_> = config
        .receiver("verify-p1")
        .unwrap()
        .integrations
        .iter()
        .map(|integration| (integration.kind().as_str(), integration.index))
        .collect();
    assert_eq!(kinds, [("pagerduty", 0), ("slack", 0)]);
    assert_eq!(
        config.templates.patterns,
        ["/etc/alertmanager/default.tmpl"]
    );
    let Some(path) = shared("real/gds/golden/gds-shortened.yml") else {
        return;
    };
    let shortened = read(&std::fs::read_to_string(path).unwrap());
    assert_eq!(shortened.routes.root().group_wait, Duration::from_secs(2));
}

#[test]
fn a_real_services_alerts_find_their_receivers() {
    let Some(config) = gds() else { return };
    let Some(path) = shared("real/gds/golden/routes-test.tsv") else {
        return;
    };
    let table = std::fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let (pairs, expected) = row.split_once('\t').unwrap();
        let found: Vec<_> = config
            .routes
            .routes_for(&labels(pairs))
            .into_iter()
            .map(|index| config.routes.route(index).receiver.as_str())
            .collect();
        assert_eq!(found.join(","), expected, "{pairs}");
        rows += 1;
    }
    assert_eq!(rows, 98);
}

#[test]
fn a_real_services_tree_has_the_known_keys() {
    let Some(config) = gds() else { return };
    let Some(path) = shared("real/gds/golden/routes-tree.txt") else {
        return;
    };
    let tree = std::fs::read_to_string(path).unwrap();
    let expected: Vec<(String, String)> = tree
        .lines()
        .filter_map(|line| {
            let (node, receiver) = line.split_once("  receiver: ")?;
            let node = node.trim_start_matches([' ', '│', '├', '└', '─', '\u{a0}']);
            Some((node.replace("default-route", "{}"), receiver.to_owned()))
        })
        .collect();
    let found: Vec<(String, String)> = config
        .routes
        .routes()
        .iter()
        .map(|route| {
            let parent = route
                .parent
                .map(|parent| config.routes.route(parent).key.len() + 1);
            let own = &route.key[parent.unwrap_or(0)..];
            (own.to_owned(), route.receiver.clone())
        })
        .collect();
    assert_eq!(found, expected);
}
