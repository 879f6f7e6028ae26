//! Every function of both products and of the language, and every default definition, has a row.
use std::collections::BTreeSet;

use crate::alertmanager::functions as alertmanagers;
use crate::builtins;
use crate::prometheus::functions as prometheus;
use crate::set::Mode;
use crate::tests::world::{alertmanager, labels, two_alerts, with_data};

/// The functions' own tables against the texts of the tests that call them.
#[test]
fn every_function_has_a_row() {
    let rows = concat!(include_str!("language.rs"), include_str!("html.rs"));
    let words: BTreeSet<&str> = rows
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .collect();
    let names = builtins::names()
        .chain(alertmanagers::names())
        .chain(prometheus::names());
    let missing: Vec<&str> = names.filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_default_definition_has_its_text() {
    const ALERT: &str = "Labels:\n - alertname = Down\n - instance = a:1\n - severity = critical\nAnnotations:\n - summary = A is down\nSource: http://p/g?a=1&b=2\n";
    const MARKDOWN: &str = "\nLabels:\n  - alertname = Down\n  - instance = a:1\n  - severity = critical\n\nAnnotations:\n  - summary = A is down\n\nSource: http://p/g?a=1&b=2\n\n";
    let subject = "[FIRING:1] Down (a:1 critical)";
    let url = "http://am:9093/#/alerts?receiver=team-X";
    let titled = format!("{subject} | {url}");
    let compact = format!("A is down\nAlerts Firing:\n{ALERT}\n");
    let loose = format!("\n\nAlerts Firing:\n{ALERT}\n\n\n");
    let annotated = format!("A is down{loose}");
    let markdown = format!("\n\n# Alerts Firing:\n{MARKDOWN}\n\n\n");
    let wechat = format!("{subject}\n{compact}\nAlertmanagerUrl:\n{url}");
    let rows: &[(&str, &str)] = &[
        ("__alertmanager", "Alertmanager"),
        ("__alertmanagerURL", url),
        ("__description", ""),
        ("__subject", subject),
        ("discord.default.content", ""),
        ("discord.default.message", &loose),
        ("discord.default.title", subject),
        ("email.default.subject", subject),
        ("jira.default.description", &markdown),
        ("jira.default.priority", "High"),
        ("jira.default.summary", subject),
        ("mattermost.default.color", "danger"),
        ("mattermost.default.fallback", &titled),
        ("mattermost.default.text", &markdown),
        ("mattermost.default.title", subject),
        ("mattermost.default.titlelink", url),
        ("mattermost.default.username", "Alertmanager"),
        ("msteams.default.summary", subject),
        ("msteams.default.text", &markdown),
        ("msteams.default.title", subject),
        ("msteamsv2.default.text", &markdown),
        ("msteamsv2.default.title", subject),
        ("opsgenie.default.description", &compact),
        ("opsgenie.default.message", subject),
        ("opsgenie.default.source", url),
        ("pagerduty.default.client", "Alertmanager"),
        ("pagerduty.default.clientURL", url),
        ("pagerduty.default.description", subject),
        ("pushover.default.message", &annotated),
        ("pushover.default.title", subject),
        ("pushover.default.url", url),
        ("rocketchat.default.alias", "Alertmanager"),
        ("rocketchat.default.emoji", ""),
        ("rocketchat.default.iconurl", ""),
        ("rocketchat.default.text", ""),
        ("rocketchat.default.title", subject),
        ("rocketchat.default.titlelink", url),
        ("slack.default.callbackid", ""),
        ("slack.default.color", "danger"),
        ("slack.default.fallback", &titled),
        ("slack.default.footer", ""),
        ("slack.default.iconemoji", ""),
        ("slack.default.iconurl", ""),
        ("slack.default.pretext", ""),
        ("slack.default.text", ""),
        ("slack.default.title", subject),
        ("slack.default.titlelink", url),
        ("slack.default.username", "Alertmanager"),
        ("sns.default.message", &annotated),
        ("sns.default.subject", subject),
        ("telegram.default.message", &loose),
        ("victorops.default.entity_display_name", subject),
        ("victorops.default.monitoring_tool", "Alertmanager"),
        ("victorops.default.state_message", &compact),
        ("webex.default.message", &annotated),
        ("wechat.default.agent_id", ""),
        ("wechat.default.api_secret", ""),
        ("wechat.default.message", &wechat),
        ("wechat.default.to_party", ""),
        ("wechat.default.to_tag", ""),
        ("wechat.default.to_user", ""),
    ];
    let mut data = two_alerts();
    data.alerts.truncate(1);
    data.common_labels = data.alerts[0].labels.clone();
    data.common_annotations = data.alerts[0].annotations.clone();
    for (name, text) in rows {
        let call = format!("{{{{ template {name:?} . }}}}");
        let rendered = with_data(&call, Mode::Text, data.clone());
        assert_eq!(rendered.as_deref(), Ok(*text), "{name}");
    }
    // Of a list of alerts.
    for (name, text) in [
        ("__text_alert_list", ALERT),
        ("__text_alert_list_markdown", MARKDOWN),
        ("pagerduty.default.instances", ALERT),
    ] {
        let call = format!("{{{{ template {name:?} .Alerts.Firing }}}}");
        let rendered = with_data(&call, Mode::Text, data.clone());
        assert_eq!(rendered.as_deref(), Ok(text), "{name}");
    }
    // What is defined and not here: the mail's body, which is held against whole mails, and parts of the texts.
    let files = concat!(
        include_str!("../alertmanager/default.tmpl"),
        include_str!("../alertmanager/email.tmpl")
    );
    let elsewhere = [
        "__text_alert_list",
        "__text_alert_list_markdown",
        "pagerduty.default.instances",
        "email.default.html",
    ];
    let defined = files.split("define \"").skip(1);
    for name in defined.filter_map(|rest| rest.split('"').next()) {
        let is_part = name.starts_with("__default_") || name.starts_with("__email_");
        let has_row = rows.iter().any(|(own, _)| *own == name);
        assert!(
            is_part || has_row || elsewhere.contains(&name),
            "{name} has no row"
        );
    }
}

/// Resolved, and with nothing in common.
#[test]
fn definitions_that_look_at_the_state() {
    let mut data = two_alerts();
    data.status = model::AlertStatus::Resolved;
    for alert in &mut data.alerts {
        alert.status = model::AlertStatus::Resolved;
    }
    for (name, text) in [
        ("slack.default.color", "good"),
        ("mattermost.default.color", "good"),
        ("jira.default.priority", "High"),
        ("__subject", "[RESOLVED] Down (critical)"),
    ] {
        let call = format!("{{{{ template {name:?} . }}}}");
        let rendered = with_data(&call, Mode::Text, data.clone());
        assert_eq!(rendered.as_deref(), Ok(text), "{name}");
    }
    for (severity, priority) in [
        ("critical", "High"),
        ("warning", "Medium"),
        ("info", "Low"),
        ("other", ""),
    ] {
        for alert in &mut data.alerts {
            alert.labels = labels(&[("severity", severity)]);
        }
        let call = r#"{{ template "jira.default.priority" . }}"#;
        let rendered = with_data(call, Mode::Text, data.clone()).unwrap();
        assert_eq!(rendered.trim(), priority, "{severity}");
    }
    assert_eq!(
        alertmanager(r#"{{ template "jira.default.priority" . }}"#).as_deref(),
        Ok("High")
    );
}
