//! The configuration as `GET /api/v2/status` tells it: who gets what and when, and no secret at all.
use std::fmt::Write;

use config::{AlertmanagerConfig, GroupBy, Route, RouteIndex};
use model::{Matcher, duration};

/// YAML that Alertmanager's own tools can read: the routing tree, the inhibition rules, and the receivers by name
/// and kind. Integrations keep their settings to themselves, since addresses often are secrets.
pub(crate) fn config_text(config: &AlertmanagerConfig) -> String {
    let mut text = String::new();
    let timeout = duration::format(config.global.resolve_timeout);
    line(&mut text, 0, "global:");
    line(&mut text, 1, &format!("resolve_timeout: {timeout}"));
    line(&mut text, 0, "route:");
    route(&mut text, config, RouteIndex(0), 1);
    if !config.inhibit_rules.is_empty() {
        line(&mut text, 0, "inhibit_rules:");
    }
    for rule in &config.inhibit_rules {
        line(&mut text, 0, &format!("- name: {}", quoted(&rule.name)));
        matchers(&mut text, 1, "source_matchers", &rule.source_matchers);
        matchers(&mut text, 1, "target_matchers", &rule.target_matchers);
        list(&mut text, 1, "equal", rule.equal.iter());
    }
    line(&mut text, 0, "receivers:");
    for receiver in &config.receivers {
        line(&mut text, 0, &format!("- name: {}", quoted(&receiver.name)));
    }
    line(&mut text, 0, "templates: []");
    text
}

fn route(text: &mut String, config: &AlertmanagerConfig, index: RouteIndex, depth: usize) {
    let route = config.routes.route(index);
    line(
        text,
        depth,
        &format!("receiver: {}", quoted(&route.receiver)),
    );
    match &route.group_by {
        GroupBy::All => list(text, depth, "group_by", ["...".to_owned()].iter()),
        GroupBy::Labels(names) => list(text, depth, "group_by", names.iter()),
    }
    matchers(text, depth, "matchers", &route.matchers);
    line(text, depth, &format!("continue: {}", route.continues));
    timing(text, depth, route);
    if !route.children.is_empty() {
        line(text, depth, "routes:");
    }
    for child in &route.children {
        line(text, depth, "-");
        self::route(text, config, *child, depth + 1);
    }
}

fn timing(text: &mut String, depth: usize, route: &Route) {
    for (name, value) in [
        ("group_wait", route.group_wait),
        ("group_interval", route.group_interval),
        ("repeat_interval", route.repeat_interval),
    ] {
        let value = duration::format(value);
        line(text, depth, &format!("{name}: {value}"));
    }
}

fn matchers(text: &mut String, depth: usize, name: &str, matchers: &[Matcher]) {
    let printed: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    list(text, depth, name, printed.iter());
}

fn list<'a>(text: &mut String, depth: usize, name: &str, items: impl Iterator<Item = &'a String>) {
    let items: Vec<&String> = items.collect();
    if items.is_empty() {
        return;
    }
    line(text, depth, &format!("{name}:"));
    for item in items {
        line(text, depth, &format!("- {}", quoted(item)));
    }
}

/// JSON's strings are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

fn line(text: &mut String, depth: usize, content: &str) {
    writeln!(text, "{:width$}{content}", "", width = depth * 2)
        .expect("writing to a string cannot fail");
}
