//! The effective configuration as text: what `GET /api/v2/status` tells, and what can be loaded again.
//!
//! Keys, their order, what is left out and how texts are quoted are Alertmanager 0.34's, because its own tools read
//! the dump and people compare it. Defaults are filled in, inherited values of routes are not, and no secret is told.
use crate::alertmanager::AlertmanagerConfig;
use crate::dump::entries::Entries;
use crate::dump::global::global;
use crate::dump::time_interval::time_intervals;
use crate::go_yaml::{Yaml, print};
use crate::inhibit::InhibitRule;
use crate::matchers::WrittenMatchers;
use crate::receiver::{IntegrationKind, Receiver, dump_integration};
use crate::route::{Route, RouteIndex, RouteTree};

pub(crate) mod entries;
pub(crate) mod global;
pub(crate) mod http;
mod time_interval;

/// The order of the lists in a receiver, which is not the one in which they are told.
const RECEIVER_KEYS: [IntegrationKind; 18] = [
    IntegrationKind::Discord,
    IntegrationKind::Email,
    IntegrationKind::IncidentIo,
    IntegrationKind::PagerDuty,
    IntegrationKind::Slack,
    IntegrationKind::Webhook,
    IntegrationKind::OpsGenie,
    IntegrationKind::WeChat,
    IntegrationKind::Pushover,
    IntegrationKind::VictorOps,
    IntegrationKind::Sns,
    IntegrationKind::Telegram,
    IntegrationKind::Webex,
    IntegrationKind::MsTeams,
    IntegrationKind::MsTeamsV2,
    IntegrationKind::Jira,
    IntegrationKind::RocketChat,
    IntegrationKind::Mattermost,
];

impl AlertmanagerConfig {
    /// Loaded again it gives an equal configuration, except for its secrets, which are all `<secret>`.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut entries = Entries::default();
        entries.put("global", global(&self.global));
        entries.put("route", route(&self.routes, RouteIndex(0)));
        let rules = self.inhibit_rules.iter().map(inhibit_rule);
        entries.list("inhibit_rules", rules.collect());
        let receivers = self.receivers.iter().map(receiver);
        entries.list("receivers", receivers.collect());
        let templates = self.templates.patterns.iter().map(|pattern| {
            let path = self.templates.base.join(pattern);
            Yaml::Text(path.display().to_string())
        });
        entries.put("templates", Yaml::List(templates.collect()));
        for (key, deprecated) in [("mute_time_intervals", true), ("time_intervals", false)] {
            let intervals = self.time_intervals.iter();
            let of_key = intervals.filter(|interval| interval.deprecated == deprecated);
            entries.list(key, time_intervals(of_key));
        }
        if let Some(tracing) = &self.tracing {
            entries.put("tracing", tracing.dump());
        }
        if let Some(recorder) = &self.event_recorder {
            entries.put("event_recorder", recorder.dump());
        }
        print(&entries.into_list())
    }
}

/// A file's depth is bounded where it is parsed, so the recursion is too.
fn route(tree: &RouteTree, index: RouteIndex) -> Yaml {
    let Route {
        written, children, ..
    } = tree.route(index);
    let mut entries = Entries::default();
    entries.text("receiver", &written.receiver);
    let own = tree.route(index);
    if let Some(names) = &written.group_by {
        entries.texts("group_by", names.iter().map(String::as_str));
        // Upstream leaves it out, and what it resets comes back when the dump is loaded.
        if names.is_empty() && own.parent.is_some() {
            entries.put("group_by", Yaml::List(Vec::new()));
        }
    }
    put_matchers(
        &mut entries,
        ["match", "match_re", "matchers"],
        &written.matchers,
    );
    for (key, names) in [
        ("mute_time_intervals", &own.mute_time_intervals),
        ("active_time_intervals", &own.active_time_intervals),
    ] {
        entries.texts(key, names.iter().map(String::as_str));
    }
    let labels = written.labels.iter();
    entries.texts_by_name("labels", labels.map(|(name, text)| (name, text.as_str())));
    entries.plain("continue", own.continues);
    let children = children.iter().map(|child| route(tree, *child));
    entries.list("routes", children.collect());
    for (key, duration) in [
        ("group_wait", written.group_wait),
        ("group_interval", written.group_interval),
        ("repeat_interval", written.repeat_interval),
    ] {
        if let Some(duration) = duration {
            entries.text(key, &model::duration::format(duration));
        }
    }
    entries.into_yaml()
}

fn inhibit_rule(rule: &InhibitRule) -> Yaml {
    let mut entries = Entries::default();
    entries.text("name", &rule.name);
    put_matchers(
        &mut entries,
        ["source_match", "source_match_re", "source_matchers"],
        &rule.written.source,
    );
    put_matchers(
        &mut entries,
        ["target_match", "target_match_re", "target_matchers"],
        &rule.written.target,
    );
    entries.texts("equal", rule.written.equal.iter().map(String::as_str));
    entries.into_yaml()
}

fn put_matchers(entries: &mut Entries, keys: [&str; 3], written: &WrittenMatchers) {
    let [equal, regex, list] = keys;
    for (key, map) in [(equal, &written.equal), (regex, &written.regex)] {
        entries.texts_by_name(key, map.iter().map(|(name, text)| (name, text.as_str())));
    }
    let matchers: Vec<String> = written.list.iter().map(ToString::to_string).collect();
    entries.texts(list, matchers.iter().map(String::as_str));
}

fn receiver(receiver: &Receiver) -> Yaml {
    let mut entries = Entries::default();
    entries.even_empty("name", &receiver.name);
    let labels = receiver.labels.iter();
    entries.texts_by_name("labels", labels.map(|(name, text)| (name, text.as_str())));
    for kind in RECEIVER_KEYS {
        let integrations = receiver.integrations.iter();
        let of_kind = integrations.filter(|integration| integration.kind() == kind);
        entries.list(kind.key(), of_kind.map(dump_integration).collect());
    }
    entries.into_yaml()
}
