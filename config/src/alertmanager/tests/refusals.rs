//! What is refused, in which words, and where: everything but receivers.
use model::Matcher;
use model::matcher_syntax::ParserMode;

use crate::alertmanager::tests::texts::{
    check, problems, read, warnings, with_child, with_global, with_interval, with_receiver,
    with_route, with_top,
};
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions};

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
        (
            with_global("http_config: {tls_config: {cert: c}}"),
            "3:36",
            "exactly one of key or key_file must be configured when a client certificate is configured",
        ),
        (
            with_global("http_config: {tls_config: {key: c}}"),
            "3:36",
            "exactly one of cert or cert_file must be configured when a client key is configured",
        ),
        (
            with_global("http_config: {tls_config: {ca: a, ca_file: b}}"),
            "3:53",
            "at most one of ca, ca_file & ca_ref must be configured",
        ),
        (
            with_global("smtp_tls_config: {cert: a, cert_file: b, key: c}"),
            "3:48",
            "at most one of cert, cert_file & cert_ref must be configured",
        ),
        (
            with_global("smtp_tls_config: {cert: a, key: b, key_file: c}"),
            "3:55",
            "at most one of key and key_file must be configured",
        ),
        (
            with_global("http_config: {basic_auth: {username: a, username_file: b}}"),
            "3:65",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        (
            with_global("http_config: {authorization: {credentials: a, credentials_file: b}}"),
            "3:74",
            "at most one of authorization credentials & credentials_file must be configured",
        ),
        (
            with_global(
                "http_config: {oauth2: {client_id: a, token_url: 'http://t', client_secret: b, client_secret_file: c}}",
            ),
            "3:108",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured",
        ),
        (
            with_global(
                "http_config: {oauth2: {client_id: a, token_url: 'http://t', grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', signature_algorithm: ES256}}",
            ),
            "3:150",
            "valid signature algorithms are RS256, RS384 and RS512",
        ),
        (
            with_global(
                "http_config: {oauth2: {client_id: a, token_url: 'http://t', grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_certificate_key: b, client_certificate_key_file: c}}",
            ),
            "3:185",
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
        ),
        (
            with_global("http_config: {no_proxy: a}"),
            "3:34",
            "if no_proxy is configured, proxy_url must also be configured",
        ),
        (
            with_global("http_config: {proxy_connect_header: {A: [b]}}"),
            "3:46",
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        ),
        (
            with_global("http_config: {proxy_url: 'http://a', proxy_from_environment: on}"),
            "3:71",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        ),
        (
            with_global("http_config: {no_proxy: a, proxy_from_environment: on}"),
            "3:61",
            "if proxy_from_environment is configured, no_proxy must not be configured",
        ),
        (
            with_global("http_config: {http_headers: {user-AGENT: {values: [a]}}}"),
            "3:39",
            r#"setting header "User-Agent" is not allowed"#,
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
            with_top("inhibit_rules: [{target_match: {a-b: c}}]"),
            "3:33",
            r#"invalid label name "a-b""#,
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
            with_top("time_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]"),
            "3:18",
            r#"time interval "a" is not unique"#,
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

/// In the three modes, in each place that holds matchers: what they are read as, or why they are not.
#[test]
fn matchers_are_read_as_the_mode_wants() {
    for (written, classic, utf8, fallback) in [
        ("a=b", r#"a="b""#, r#"a="b""#, r#"a="b""#),
        (
            "{a=b,c=~d}",
            r#"a="b",c=~"d""#,
            r#"a="b",c=~"d""#,
            r#"a="b",c=~"d""#,
        ),
        (
            "a=",
            r#"a="""#,
            "end of input: expected label value",
            r#"a="""#,
        ),
        (
            r#""a b"=c"#,
            r#"bad matcher format: "a b"=c"#,
            r#""a b"="c""#,
            r#""a b"="c""#,
        ),
        (
            r#"a="\u0062""#,
            r#"a="\\u0062""#,
            r#"a="b""#,
            r#"a="\\u0062""#,
        ),
        (
            "a",
            "bad matcher format: a",
            "end of input: expected an operator such as '=', '!=', '=~' or '!~'",
            "bad matcher format: a",
        ),
    ] {
        for (mode, expected) in [
            (ParserMode::Classic, classic),
            (ParserMode::Utf8, utf8),
            (ParserMode::Fallback, fallback),
        ] {
            let options = AlertmanagerOptions {
                mode,
                ..AlertmanagerOptions::default()
            };
            let read = |text: &str, found: fn(&AlertmanagerConfig) -> &[Matcher]| {
                match AlertmanagerConfig::read("a.yml", text, &options) {
                    Ok(loaded) => {
                        let matchers = found(&loaded.value).iter();
                        matchers
                            .map(ToString::to_string)
                            .collect::<Vec<_>>()
                            .join(",")
                    }
                    Err(problems) => problems.first().unwrap().message.clone(),
                }
            };
            let route = read(&with_child(&format!("matchers: ['{written}']")), |config| {
                &config.routes.routes()[1].matchers
            });
            assert_eq!(route, expected, "{mode:?} {written}");
            for key in ["source_matchers", "target_matchers"] {
                let rule = with_top(&format!("inhibit_rules: [{{{key}: ['{written}']}}]"));
                let rule = read(&rule, |config| {
                    let rule = &config.inhibit_rules[0];
                    match rule.source_matchers.is_empty() {
                        true => &rule.target_matchers,
                        false => &rule.source_matchers,
                    }
                });
                assert_eq!(rule, expected, "{mode:?} {key} {written}");
            }
        }
    }
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
            with_child(r#"matchers: ['a="\xf0\x9f\x99\x82"']"#),
            "a.yml:1:43: Matchers input has disagreement (route.routes[0].matchers[0])",
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://a', payload: {n: 1}}]"),
            "a.yml:2:72: the key n is not a text and is dropped: quote it (receivers[0].webhook_configs[0].payload.n)",
        ),
    ] {
        assert_eq!(warnings(&text), [message], "{text}");
    }
}
