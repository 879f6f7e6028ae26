//! Receivers: what is refused, and what falls back to what.
use crate::alertmanager::tests::texts::{check, problems, read, with_receiver, with_top};
use crate::receiver::{
    EmailThreading, Integration, IntegrationSettings, PagerDutyKey, SlackTarget, template_texts,
};
use crate::value::{Secret, SecretSource, TemplateValue};

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
            with_receiver(&format!(
                "{mail}headers: {{in-reply-to: a}}, threading: {{enabled: true, thread_by_date: none}}}}]"
            )),
            "2:122",
            "conflicting configuration: threading.enabled conflicts with custom In-Reply-To header",
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
            with_receiver("webhook_configs: [{url: 'http://a', colour: b}]"),
            "2:59",
            "field colour not found in type config.plain",
        ),
    ]);
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
    assert!(email.implicit_tls());
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
    let app = |token: &str| SlackTarget::App(SecretSource::Inline(Secret::new(token)));
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
        let app_url = "https://slack.com/api/chat.postMessage";
        assert_eq!(slack.app_url.as_str(), app_url, "{text}");
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

#[test]
fn secrets_stand_in_no_message() {
    for keys in [
        "webhook_configs: [{url: 'http://hunter2:bad/'}]",
        "slack_configs: [{api_url: 'http://hunter2:bad/'}]",
        "slack_configs: [{api_url: [hunter2]}]",
        "pagerduty_configs: [{service_key: {hunter2: 1}}]",
    ] {
        let said = problems(&with_receiver(keys)).join("\n");
        assert!(!said.is_empty() && !said.contains("hunter2"), "{said}");
    }
}
