//! Where each key's effect is shown. The keys are those that the readers ask for, so a key that is new fails here until a
//! test is named that shows what it does, and a test that is named must be there and speak of its keys.
//!
//! Left out: `tracing` and `event_recorder`, and the keys of the 14 integrations that nobody is told by yet.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::alertmanager::tests::texts::read;
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions, read_top};
use crate::cursor::Cursor;
use crate::http::{HttpAuthorization, PemSource};
use crate::receiver::{IntegrationSettings, SlackTarget};
use crate::source::Source;
use crate::value::SecretSource;

/// Every block once. What is wrong with it does not matter: readers ask for all keys of a block that is there.
const EVERY_BLOCK: &str = "
global:
  http_config: &http
    basic_auth: {}
    authorization: {}
    oauth2: {tls_config: {}}
    tls_config: {}
    http_headers: {A: {}}
  smtp_tls_config: {}
route: {routes: [{}]}
inhibit_rules: [{}]
time_intervals: [{time_intervals: [{times: [{}]}]}]
mute_time_intervals: [{time_intervals: [{times: [{}]}]}]
receivers:
- name: r
  webhook_configs: [{http_config: *http}]
  email_configs: [{tls_config: {}, threading: {}}]
  pagerduty_configs: [{http_config: *http, images: [{}], links: [{}]}]
  slack_configs: [{http_config: *http, fields: [{}], actions: [{confirm: {}}]}]
";

/// The keys of one block, and the test that shows them: its file from the project's root, and its name.
struct Shown {
    block: &'static str,
    keys: &'static [&'static str],
    file: &'static str,
    test: &'static str,
}

const fn shown(
    block: &'static str,
    keys: &'static [&'static str],
    file: &'static str,
    test: &'static str,
) -> Shown {
    Shown {
        block,
        keys,
        file,
        test,
    }
}

const CONFIG: &str = "config/src/alertmanager/tests/effects.rs";
const REQUESTS: &str = "notifiers/core/tests/keys.rs";
const HTTP_CONFIG: &str = "notifiers/src/tests/http_config.rs";
const HTTP: &str = "notifiers/src/tests/http.rs";
const ASSERTION: &str = "notifiers/src/assertion.rs";
const TELLING: &str = "alertmanager/core/src/tests/keys.rs";

#[rustfmt::skip]
const LEDGER: &[Shown] = &[
    shown("", &["global", "inhibit_rules", "mute_time_intervals", "receivers", "route", "templates", "time_intervals"], CONFIG, "every_list_of_the_file_is_read"),
    shown("global", &["resolve_timeout"], TELLING, "an_alert_without_an_end_ends_after_resolve_timeout"),
    shown("global", &["http_config"], HTTP_CONFIG, "an_integrations_own_block_replaces_the_global_one"),
    shown("global", &["smtp_from", "smtp_smarthost", "smtp_hello", "smtp_auth_username", "smtp_auth_password", "smtp_auth_password_file", "smtp_auth_secret", "smtp_auth_secret_file", "smtp_auth_identity", "smtp_require_tls", "smtp_force_implicit_tls"], REQUESTS, "global_keys"),
    shown("global", &["smtp_tls_config"], HTTP_CONFIG, "files_of_mail_are_read_for_each_notification"),
    shown("global", &["slack_api_url", "slack_api_url_file", "slack_app_token", "slack_app_token_file", "slack_app_url", "pagerduty_url"], REQUESTS, "global_keys"),
    shown("global", &["jira_api_url", "mattermost_webhook_url", "mattermost_webhook_url_file", "opsgenie_api_key", "opsgenie_api_key_file", "opsgenie_api_url", "rocketchat_api_url", "rocketchat_token", "rocketchat_token_file", "rocketchat_token_id", "rocketchat_token_id_file", "telegram_api_url", "telegram_bot_token", "telegram_bot_token_file", "victorops_api_key", "victorops_api_key_file", "victorops_api_url", "webex_api_url", "wechat_api_corp_id", "wechat_api_secret", "wechat_api_secret_file", "wechat_api_url"], CONFIG, "global_keys_reach_integrations_that_are_not_told_by_yet"),
    shown("http_config", &["basic_auth", "authorization", "bearer_token", "bearer_token_file", "http_headers"], HTTP_CONFIG, "credentials_and_headers"),
    shown("http_config", &["oauth2"], HTTP_CONFIG, "tokens"),
    shown("http_config", &["follow_redirects"], HTTP, "redirects_keep_the_request_and_the_host"),
    shown("http_config", &["enable_http2"], HTTP_CONFIG, "http_2_is_offered_unless_it_is_switched_off"),
    shown("http_config", &["proxy_url", "no_proxy", "proxy_connect_header"], HTTP_CONFIG, "proxies"),
    shown("http_config", &["proxy_from_environment"], "tests/acceptance/proxy.rs", "the_environments_proxy_is_asked_where_it_is_wanted"),
    shown("http_config", &["tls_config"], HTTP_CONFIG, "certificates_are_shown_and_asked_for"),
    shown("http_config.basic_auth", &["username", "username_file", "password", "password_file"], HTTP_CONFIG, "credentials_and_headers"),
    shown("http_config.authorization", &["type", "credentials", "credentials_file"], HTTP_CONFIG, "credentials_and_headers"),
    shown("http_config.http_headers.A", &["values", "secrets", "files"], HTTP_CONFIG, "credentials_and_headers"),
    shown("http_config.oauth2", &["client_id", "client_secret", "client_secret_file", "token_url", "scopes", "endpoint_params", "tls_config", "proxy_url"], HTTP_CONFIG, "tokens"),
    shown("http_config.oauth2", &["grant_type", "client_certificate_key", "client_certificate_key_file"], HTTP_CONFIG, "tokens_by_a_signed_assertion"),
    shown("http_config.oauth2", &["signature_algorithm", "client_certificate_key_id", "iss", "audience", "claims"], ASSERTION, "keys_of_an_assertion"),
    // The readers and the transport of `http_config`'s own.
    shown("http_config.oauth2", &["no_proxy", "proxy_connect_header"], HTTP_CONFIG, "proxies"),
    shown("http_config.oauth2", &["proxy_from_environment"], "tests/acceptance/proxy.rs", "the_environments_proxy_is_asked_where_it_is_wanted"),
    shown("tls_config", &["ca", "ca_file", "cert", "cert_file", "key", "key_file", "server_name", "insecure_skip_verify"], HTTP_CONFIG, "certificates_are_shown_and_asked_for"),
    shown("tls_config", &["min_version", "max_version"], HTTP_CONFIG, "versions_of_tls"),
    shown("route", &["receiver", "matchers", "match", "match_re", "group_by", "group_wait", "group_interval", "repeat_interval", "continue", "labels", "routes"], TELLING, "keys_of_routes"),
    shown("route", &["mute_time_intervals", "active_time_intervals"], TELLING, "keys_of_time_intervals"),
    shown("inhibit_rules", &["source_matchers", "source_match", "source_match_re", "target_matchers", "target_match", "target_match_re", "equal"], TELLING, "keys_of_inhibition_rules"),
    shown("inhibit_rules", &["name"], "alertmanager/src/tests/explain.rs", "each_cause_is_named"),
    shown("time_intervals", &["name", "time_intervals"], TELLING, "keys_of_time_intervals"),
    shown("time_intervals.time_intervals", &["times", "weekdays", "days_of_month", "months", "years", "location"], TELLING, "keys_of_time_intervals"),
    shown("time_intervals.time_intervals.times", &["start_time", "end_time"], TELLING, "keys_of_time_intervals"),
    shown("receivers", &["name"], CONFIG, "every_list_of_the_file_is_read"),
    shown("receivers", &["labels"], "alertmanager/src/tests/api.rs", "receivers_are_found_by_their_labels"),
    shown("receivers", &["webhook_configs", "email_configs", "pagerduty_configs", "slack_configs"], "notifiers/src/tests/values.rs", "no_value_of_an_alert_is_refused_by_a_vendor"),
    shown("receivers", &["discord_configs", "incidentio_configs", "jira_configs", "mattermost_configs", "msteams_configs", "msteamsv2_configs", "opsgenie_configs", "pushover_configs", "rocketchat_configs", "sns_configs", "telegram_configs", "victorops_configs", "webex_configs", "wechat_configs"], "config/src/alertmanager/tests/integrations.rs", "what_is_not_told_yet_is_refused_when_it_is_to_be_run_with"),
    shown("receivers.webhook_configs", &["send_resolved"], TELLING, "keys_of_receivers"),
    shown("receivers.webhook_configs", &["http_config"], HTTP_CONFIG, "every_vendor_is_asked_as_its_block_says"),
    shown("receivers.webhook_configs", &["url", "url_file", "max_alerts", "timeout", "payload"], REQUESTS, "webhook_keys"),
    shown("receivers.email_configs", &["send_resolved"], TELLING, "keys_of_receivers"),
    shown("receivers.email_configs", &["to", "from", "hello", "smarthost", "auth_username", "auth_password", "auth_password_file", "auth_secret", "auth_secret_file", "auth_identity", "headers", "html", "text", "require_tls", "force_implicit_tls", "threading"], REQUESTS, "email_keys"),
    shown("receivers.email_configs", &["tls_config"], "notifiers/src/tests/mail.rs", "tls_is_spoken_as_configured"),
    shown("receivers.email_configs.threading", &["enabled", "thread_by_date"], REQUESTS, "email_keys"),
    shown("receivers.pagerduty_configs", &["send_resolved"], TELLING, "keys_of_receivers"),
    shown("receivers.pagerduty_configs", &["http_config"], HTTP_CONFIG, "every_vendor_is_asked_as_its_block_says"),
    shown("receivers.pagerduty_configs", &["routing_key", "routing_key_file", "service_key", "service_key_file", "url", "client", "client_url", "description", "details", "images", "links", "source", "severity", "class", "component", "group", "timeout"], REQUESTS, "pagerduty_keys"),
    shown("receivers.pagerduty_configs.images", &["src", "alt", "href"], REQUESTS, "pagerduty_keys"),
    shown("receivers.pagerduty_configs.links", &["href", "text"], REQUESTS, "pagerduty_keys"),
    shown("receivers.slack_configs", &["send_resolved"], TELLING, "keys_of_receivers"),
    shown("receivers.slack_configs", &["http_config"], HTTP_CONFIG, "every_vendor_is_asked_as_its_block_says"),
    shown("receivers.slack_configs", &["api_url", "api_url_file", "app_token", "app_token_file", "app_url", "channel", "username", "color", "title", "title_link", "pretext", "text", "message_text", "fields", "short_fields", "footer", "fallback", "callback_id", "icon_emoji", "icon_url", "image_url", "thumb_url", "link_names", "mrkdwn_in", "actions", "update_message", "timeout"], REQUESTS, "slack_keys"),
    shown("receivers.slack_configs.fields", &["title", "value", "short"], REQUESTS, "slack_keys"),
    shown("receivers.slack_configs.actions", &["type", "text", "url", "style", "name", "value", "confirm"], REQUESTS, "slack_keys"),
    shown("receivers.slack_configs.actions.confirm", &["text", "title", "ok_text", "dismiss_text"], REQUESTS, "slack_keys"),
];

#[test]
fn every_key_has_a_test_of_its_effect() {
    let mut ledger = BTreeSet::new();
    for entry in LEDGER {
        for key in entry.keys {
            let dot = if entry.block.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{key}", entry.block);
            assert!(ledger.insert(path.clone()), "{path} is listed twice");
        }
    }
    let asked = asked();
    let missing: Vec<_> = asked.difference(&ledger).collect();
    assert!(missing.is_empty(), "no test of their effect: {missing:#?}");
    let gone: Vec<_> = ledger.difference(&asked).collect();
    assert!(gone.is_empty(), "nobody reads them: {gone:#?}");
}

#[test]
fn the_named_tests_are_there_and_speak_of_their_keys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = BTreeMap::new();
    for entry in LEDGER {
        let text = files
            .entry(entry.file)
            .or_insert_with(|| std::fs::read_to_string(root.join(entry.file)).unwrap());
        let name = format!("fn {}(", entry.test);
        let (_, body) = text
            .split_once(&name)
            .unwrap_or_else(|| panic!("{} has no test {}", entry.file, entry.test));
        // The function ends where the next one begins in its column.
        let body = body.split("\nfn ").next().unwrap_or_default();
        let body = body.split("\n    #[test]").next().unwrap_or_default();
        let body = body.split("\nasync fn ").next().unwrap_or_default();
        for key in entry.keys {
            // Tests go through lists of integrations by their kinds.
            let kind = key.strip_suffix("_configs").unwrap_or(key);
            assert!(
                says(body, key) || says(body, kind),
                "{}: {} says nothing of {key}",
                entry.file,
                entry.test
            );
        }
    }
}

/// Whether the word stands in the text: `key` does not stand in `key_file`.
fn says(text: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !is_part(before) && !is_part(after)
    })
}

/// What the readers ask for. Blocks that one reader reads in several places are named once.
fn asked() -> BTreeSet<String> {
    let (source, node) = Source::open("a.yml", EVERY_BLOCK, "config.plain");
    let node = node.unwrap();
    let options = AlertmanagerOptions::default();
    read_top(&Cursor::root(&source, &node), Path::new(""), &options, None);
    let asked = source.asked();
    asked
        .iter()
        .map(|path| named_once(path))
        .filter(|path| path != "tracing" && path != "event_recorder")
        .collect()
}

fn named_once(path: &str) -> String {
    let path = path
        .replace("[0]", "")
        .replace("mute_time_intervals.", "time_intervals.")
        .replace("route.routes.", "route.");
    // The inner one first: `http_config.tls_config.ca` is a key of `tls_config`.
    for block in ["tls_config.", "http_config."] {
        if let Some(at) = path.rfind(block) {
            return path[at..].to_owned();
        }
    }
    path
}

#[test]
fn every_list_of_the_file_is_read() {
    let config = read(
        "global: {resolve_timeout: 1m}\n\
         route: {receiver: b}\n\
         receivers: [{name: a}, {name: b}]\n\
         inhibit_rules: [{name: c}]\n\
         templates: [d/*.tmpl]\n\
         time_intervals: [{name: e, time_intervals: []}]\n\
         mute_time_intervals: [{name: f, time_intervals: []}]\n",
    );
    assert_eq!(config.global.resolve_timeout.as_secs(), 60);
    assert_eq!(config.routes.root().receiver, "b");
    // A name is what a route finds its receiver by.
    let found = config.receiver("b").map(|receiver| &receiver.name);
    assert_eq!(found, Some(&config.receivers[1].name));
    assert_eq!(config.inhibit_rules[0].name, "c");
    assert_eq!(config.templates.patterns, ["d/*.tmpl"]);
    let names: BTreeSet<_> = config
        .time_intervals
        .iter()
        .map(|interval| interval.name.as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["e", "f"]));
}

#[test]
fn global_keys_reach_integrations_that_are_not_told_by_yet() {
    const OPSGENIE: &str = "opsgenie_configs: [{}]";
    const ROCKETCHAT: &str = "rocketchat_configs: [{}]";
    const TELEGRAM: &str = "telegram_configs: [{chat_id: 1}]";
    const VICTOROPS: &str = "victorops_configs: [{routing_key: r}]";
    const WECHAT: &str = "wechat_configs: [{}]";
    for (needed, key, receiver, line) in [
        (
            "",
            "jira_api_url: 'http://g'",
            "jira_configs: [{project: p, issue_type: i}]",
            "api_url: http://g",
        ),
        (
            "",
            "mattermost_webhook_url: 'http://g'",
            "mattermost_configs: [{}]",
            "webhook_url: <secret>",
        ),
        (
            "",
            "mattermost_webhook_url_file: g",
            "mattermost_configs: [{}]",
            "webhook_url_file: g",
        ),
        ("", "opsgenie_api_key: g", OPSGENIE, "api_key: <secret>"),
        ("", "opsgenie_api_key_file: g", OPSGENIE, "api_key_file: g"),
        (
            "opsgenie_api_key: k, ",
            "opsgenie_api_url: 'http://g/'",
            OPSGENIE,
            "api_url: http://g/",
        ),
        (
            "rocketchat_token: k, rocketchat_token_id: k, ",
            "rocketchat_api_url: 'http://g/'",
            ROCKETCHAT,
            "api_url: http://g/",
        ),
        (
            "rocketchat_token_id: k, ",
            "rocketchat_token: g",
            ROCKETCHAT,
            "token: <secret>",
        ),
        (
            "rocketchat_token_id: k, ",
            "rocketchat_token_file: g",
            ROCKETCHAT,
            "token_file: g",
        ),
        (
            "rocketchat_token: k, ",
            "rocketchat_token_id: g",
            ROCKETCHAT,
            "token_id: <secret>",
        ),
        (
            "rocketchat_token: k, ",
            "rocketchat_token_id_file: g",
            ROCKETCHAT,
            "token_id_file: g",
        ),
        (
            "telegram_bot_token: k, ",
            "telegram_api_url: 'http://g'",
            TELEGRAM,
            "api_url: http://g",
        ),
        ("", "telegram_bot_token: g", TELEGRAM, "bot_token: <secret>"),
        (
            "",
            "telegram_bot_token_file: g",
            TELEGRAM,
            "bot_token_file: g",
        ),
        ("", "victorops_api_key: g", VICTOROPS, "api_key: <secret>"),
        (
            "",
            "victorops_api_key_file: g",
            VICTOROPS,
            "api_key_file: g",
        ),
        (
            "victorops_api_key: k, ",
            "victorops_api_url: 'http://g/'",
            VICTOROPS,
            "api_url: http://g/",
        ),
        (
            "",
            "webex_api_url: 'http://g'",
            "webex_configs: [{room_id: r, http_config: {authorization: {credentials: c}}}]",
            "api_url: http://g",
        ),
        (
            "wechat_api_secret: k, ",
            "wechat_api_corp_id: g",
            WECHAT,
            "corp_id: g",
        ),
        (
            "wechat_api_corp_id: k, ",
            "wechat_api_secret: g",
            WECHAT,
            "api_secret: <secret>",
        ),
        (
            "wechat_api_corp_id: k, ",
            "wechat_api_secret_file: g",
            WECHAT,
            "api_secret_file: g",
        ),
        (
            "wechat_api_corp_id: k, wechat_api_secret: k, ",
            "wechat_api_url: 'http://g/'",
            WECHAT,
            "api_url: http://g/",
        ),
    ] {
        let config = read(&format!(
            "global: {{{needed}{key}}}\nroute: {{receiver: d}}\nreceivers: [{{name: d, {receiver}}}]\n"
        ));
        let dump = config.dump();
        let (_, own) = dump.split_once("_configs:\n").unwrap();
        assert!(own.lines().any(|own| own.trim() == line), "{key}: {own}");
    }
}

/// Files of `http_config` and `tls_config`, and templates, are meant from the configuration's folder; files of an
/// integration's own keys from where the process runs.
#[test]
fn relative_paths_have_two_origins() {
    let text = "
global: {smtp_tls_config: {ca_file: a}, smtp_auth_password_file: b}
templates: [c]
route: {receiver: d}
receivers:
- name: d
  webhook_configs: [{url_file: e, http_config: {authorization: {credentials_file: f}}}]
  email_configs: [{to: t, from: f, smarthost: 'h:1'}]
  slack_configs: [{api_url_file: g, http_config: {tls_config: {cert_file: /h, key_file: ../i}}}]
";
    let config = AlertmanagerConfig::read("etc/a.yml", text, &AlertmanagerOptions::default());
    let config = config.unwrap().value;
    assert_eq!(config.templates.base, Path::new("etc"));
    let file = |path: &str| SecretSource::File(path.into());
    let settings = |index: usize| &config.receivers[0].integrations[index].settings;
    let IntegrationSettings::Webhook(webhook) = settings(0) else {
        panic!()
    };
    assert_eq!(webhook.url, file("e"));
    let Some(HttpAuthorization::Scheme { credentials, .. }) = &webhook.http.authorization else {
        panic!("{webhook:?}")
    };
    assert_eq!(*credentials, Some(file("etc/f")));
    let IntegrationSettings::Email(email) = settings(1) else {
        panic!()
    };
    assert_eq!(email.tls.ca, Some(PemSource::File("etc/a".into())));
    assert_eq!(email.auth_password, Some(file("b")));
    let IntegrationSettings::Slack(slack) = settings(2) else {
        panic!()
    };
    assert_eq!(slack.target, SlackTarget::Webhook(file("g")));
    let tls = &slack.http.tls;
    assert_eq!(tls.certificate, Some(PemSource::File("/h".into())));
    assert_eq!(tls.key, Some(file("etc/../i")));
}
