//! `route` into a flat tree, with inheritance resolved and every mistake named.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::Matcher;
use model::duration;
use model::go_quote::quote;
use model::matcher_syntax::{ParserMode, PrintedList};

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::matchers::read_matchers;
use crate::route::{GroupBy, Route, RouteIndex, RouteTree, WrittenRoute};
use crate::value::TemplateText;

/// What stands in `group_by` for every label there is.
const ALL_LABELS: &str = "...";

/// What the rest of the file defines, for routes to refer to.
pub(crate) struct Defined {
    pub(crate) receivers: BTreeSet<String>,
    pub(crate) time_intervals: BTreeSet<String>,
    pub(crate) mode: ParserMode,
    /// How long notifications are remembered.
    pub(crate) retention: Duration,
}

pub(crate) fn read_routes(root: &Cursor<'_>, defined: &Defined) -> RouteTree {
    let mut reading = Reading {
        defined,
        routes: Vec::new(),
    };
    reading.read(root, None, 0);
    RouteTree::new(reading.routes)
}

struct Reading<'d> {
    defined: &'d Defined,
    routes: Vec<Route>,
}

impl Reading<'_> {
    /// A file's depth is bounded where it is parsed, so the recursion is too.
    fn read(
        &mut self,
        cursor: &Cursor<'_>,
        parent: Option<RouteIndex>,
        position: usize,
    ) -> RouteIndex {
        let mut fields = cursor.fields("config.plain");
        let route = self.route(&mut fields, parent, position);
        check_intervals(&fields, &route, self.defined);
        if parent.is_none() {
            check_root(&fields, &route);
        }
        let index = RouteIndex(self.routes.len());
        self.routes.push(route);
        for (position, child) in fields.list("routes").iter().enumerate() {
            let child = self.read(child, Some(index), position);
            self.routes[index.0].children.push(child);
        }
        fields.finish();
        index
    }

    fn route(
        &self,
        fields: &mut Fields<'_>,
        parent_index: Option<RouteIndex>,
        position: usize,
    ) -> Route {
        let parent = parent_index.map(|index| &self.routes[index.0]);
        let (matchers, written_matchers) =
            read_matchers(fields, ["match", "match_re", "matchers"], self.defined.mode);
        let (key, id) = key_and_id(parent, &matchers, position);
        let written = WrittenRoute {
            receiver: self.receiver(fields),
            group_by: self.group_by(fields),
            group_wait: fields.duration("group_wait"),
            group_interval: fields.duration("group_interval"),
            repeat_interval: fields.duration("repeat_interval"),
            matchers: written_matchers,
            labels: self.labels(fields),
        };
        let interval = |own: Option<Duration>, inherited: fn(&Route) -> Duration, default| {
            own.unwrap_or_else(|| parent.map_or(default, inherited))
        };
        Route {
            group_wait: interval(
                written.group_wait,
                |route| route.group_wait,
                defaults::GROUP_WAIT,
            ),
            group_interval: interval(
                written.group_interval,
                |route| route.group_interval,
                defaults::GROUP_INTERVAL,
            ),
            repeat_interval: interval(
                written.repeat_interval,
                |route| route.repeat_interval,
                defaults::REPEAT_INTERVAL,
            ),
            receiver: match parent {
                Some(parent) if written.receiver.is_empty() => parent.receiver.clone(),
                _ => written.receiver.clone(),
            },
            group_by: match (&written.group_by, parent) {
                (Some(names), _) => group_by(names),
                (None, Some(parent)) => parent.group_by.clone(),
                (None, None) => GroupBy::Labels(Vec::new()),
            },
            matchers,
            continues: fields.boolean_or("continue", false),
            mute_time_intervals: self.time_intervals(fields, "mute_time_intervals"),
            active_time_intervals: self.time_intervals(fields, "active_time_intervals"),
            labels: {
                let mut labels = parent
                    .map(|parent| parent.labels.clone())
                    .unwrap_or_default();
                labels.extend(written.labels.clone());
                labels
            },
            key,
            id,
            parent: parent_index,
            children: Vec::new(),
            written,
        }
    }

    /// Empty where it is inherited.
    fn receiver(&self, fields: &mut Fields<'_>) -> String {
        let receiver = fields.text("receiver");
        if !receiver.is_empty() && !self.defined.receivers.contains(&receiver) {
            fields.file_problem(
                "receiver",
                format!("undefined receiver {} used in route", quote(&receiver)),
            );
        }
        receiver
    }

    /// An empty list resets what the parent groups by; an absent one inherits it.
    fn group_by(&self, fields: &mut Fields<'_>) -> Option<Vec<String>> {
        let cursor = fields.get("group_by")?;
        let mut names = Vec::new();
        for item in cursor.list() {
            let Some(name) = item.text() else { continue };
            if name == ALL_LABELS {
                names.push(name);
            } else if !self.defined.mode.is_label_name(&name) {
                item.problem(format!(
                    "invalid label name {} in group_by list",
                    quote(&name)
                ));
            } else if names.contains(&name) {
                item.problem(format!("duplicated label {} in group_by", quote(&name)));
            } else {
                names.push(name);
            }
        }
        if group_by(&names) == GroupBy::All && names.iter().any(|name| name != ALL_LABELS) {
            cursor
                .problem("cannot have wildcard group_by (`...`) and other labels at the same time");
        }
        Some(names)
    }

    fn time_intervals(&self, fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
        let mut names = Vec::new();
        for item in fields.list(key) {
            let Some(name) = item.text() else { continue };
            if !self.defined.time_intervals.contains(&name) {
                item.file_problem(format!(
                    "undefined time interval {} used in route",
                    quote(&name)
                ));
            }
            names.push(name);
        }
        names
    }

    fn labels(&self, fields: &mut Fields<'_>) -> BTreeMap<String, TemplateText> {
        let mut labels = BTreeMap::new();
        let entries = fields.get("labels").map(|cursor| cursor.entries());
        for (name, place, value) in entries.unwrap_or_default() {
            if !self.defined.mode.is_label_name(&name) {
                let message = format!("invalid label name {} in route labels", quote(&name));
                value.source().problem(Some(place), value.path(), message);
            }
            if let Some(text) = value.text() {
                labels.insert(name, TemplateText::new(text));
            }
        }
        labels
    }
}

fn group_by(names: &[String]) -> GroupBy {
    if names.iter().any(|name| name == ALL_LABELS) {
        GroupBy::All
    } else {
        GroupBy::Labels(names.to_vec())
    }
}

fn key_and_id(parent: Option<&Route>, matchers: &[Matcher], position: usize) -> (String, String) {
    let own = PrintedList(matchers);
    match parent {
        None => (own.to_string(), own.to_string()),
        Some(parent) => (
            format!("{}/{own}", parent.key),
            format!("{}/{own}/{position}", parent.id),
        ),
    }
}

fn check_intervals(fields: &Fields<'_>, route: &Route, defined: &Defined) {
    for (key, interval) in [
        ("group_interval", route.group_interval),
        ("repeat_interval", route.repeat_interval),
    ] {
        if interval.is_zero() && fields.has(key) {
            fields.problem(key, format!("{key} cannot be zero"));
        }
    }
    let cursor = fields.cursor();
    if route.repeat_interval > defined.retention {
        cursor.warn(format!(
            "repeat_interval is greater than the data retention period. It can lead to notifications being repeated more often than expected. \
             (repeat_interval {}, retention {}, route {})",
            duration::format(route.repeat_interval),
            duration::format(defined.retention),
            route.key
        ));
    }
    if route.repeat_interval < route.group_interval {
        cursor.warn(format!(
            "repeat_interval is less than group_interval. Notifications will not repeat until the next group_interval. \
             (repeat_interval {}, group_interval {}, route {})",
            duration::format(route.repeat_interval),
            duration::format(route.group_interval),
            route.key
        ));
    }
}

fn check_root(fields: &Fields<'_>, route: &Route) {
    if route.receiver.is_empty() {
        fields.file_problem("receiver", "root route must specify a default receiver");
    }
    if route.continues {
        fields.file_problem("continue", "cannot have continue in root route");
    }
    if !route.matchers.is_empty() {
        let key = ["match", "match_re", "matchers"]
            .into_iter()
            .find(|key| fields.has(key))
            .unwrap_or_default();
        fields.file_problem(key, "root route must not have any matchers");
    }
    if !route.mute_time_intervals.is_empty() {
        fields.file_problem(
            "mute_time_intervals",
            "root route must not have any mute time intervals",
        );
    }
    if !route.active_time_intervals.is_empty() {
        fields.file_problem(
            "active_time_intervals",
            "root route must not have any active time intervals",
        );
    }
}
