//! Alertmanager's configuration file.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::go_quote::quote;
use model::matcher_syntax::ParserMode;

use crate::cursor::{Cursor, Fields, Source};
use crate::defaults;
use crate::global::Global;
use crate::inhibit::InhibitRule;
use crate::problem::{Problem, Problems};
use crate::receiver::{Fallbacks, Receiver};
use crate::route::RouteTree;
use crate::route_reading::{Defined, read_routes};
use crate::time_interval::NamedTimeInterval;
use crate::watchbell::Endpoints;

/// One file, resolved: every default and every inherited value is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerConfig {
    pub global: Global,
    pub routes: RouteTree,
    pub receivers: Vec<Receiver>,
    pub inhibit_rules: Vec<InhibitRule>,
    /// From `time_intervals` and from the deprecated `mute_time_intervals`; names are unique.
    pub time_intervals: Vec<NamedTimeInterval>,
    pub templates: TemplateGlobs,
}

/// Template files, as globs; relative ones are meant from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateGlobs {
    pub base: PathBuf,
    pub patterns: Vec<String>,
}

/// What a file's meaning depends on besides its text.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerOptions {
    pub mode: ParserMode,
    pub endpoints: Endpoints,
    /// How long notifications are remembered: a longer `repeat_interval` is warned about.
    pub retention: Duration,
}

impl Default for AlertmanagerOptions {
    fn default() -> Self {
        Self {
            mode: ParserMode::default(),
            endpoints: Endpoints::default(),
            retention: defaults::NOTIFICATION_RETENTION,
        }
    }
}

/// Something that was read, and what is doubtful about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    pub value: T,
    pub warnings: Problems,
}

impl AlertmanagerConfig {
    /// Reads a file's text. `file` names it in problems, and its folder is where relative paths are meant from.
    ///
    /// # Errors
    /// All mistakes together, by place, in Alertmanager's words.
    pub fn read(
        file: &str,
        text: &str,
        options: &AlertmanagerOptions,
    ) -> Result<Loaded<Self>, Problems> {
        let (source, node) = Source::open(file, text, "config.plain");
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        let config = match &node {
            Some(node) => read_top(&source.root(node), base, options),
            None => {
                if !source.has_problems() {
                    source.add(Problem::new(file, None, "", "no route provided in config"));
                }
                None
            }
        };
        let (problems, warnings) = source.close();
        match config {
            Some(value) if problems.is_empty() => Ok(Loaded { value, warnings }),
            _ => Err(problems),
        }
    }

    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    #[must_use]
    pub fn time_interval(&self, name: &str) -> Option<&NamedTimeInterval> {
        self.time_intervals
            .iter()
            .find(|interval| interval.name == name)
    }
}

/// `None` only where there is no route.
fn read_top(
    top: &Cursor<'_>,
    base: &Path,
    options: &AlertmanagerOptions,
) -> Option<AlertmanagerConfig> {
    let mut fields = top.fields("config.plain");
    let global = fields.get("global").map_or_else(
        || Global::new(&options.endpoints),
        |cursor| Global::read(&cursor, base, &options.endpoints),
    );
    let fallbacks = Fallbacks {
        global: &global,
        endpoints: &options.endpoints,
        base,
    };
    let receivers = read_receivers(&mut fields, &fallbacks);
    let time_intervals = read_time_intervals(&mut fields);
    let inhibit_rules = fields
        .list("inhibit_rules")
        .iter()
        .map(|cursor| InhibitRule::read(cursor, options.mode))
        .collect();
    let templates = TemplateGlobs {
        base: base.to_owned(),
        patterns: fields.texts("templates"),
    };
    let defined = Defined {
        receivers: receivers
            .iter()
            .map(|receiver| receiver.name.clone())
            .collect(),
        time_intervals: time_intervals
            .iter()
            .map(|interval| interval.name.clone())
            .collect(),
        mode: options.mode,
        retention: options.retention,
    };
    let route = fields.get("route");
    if route.is_none() {
        fields.problem("route", "no routes provided");
    }
    let routes = route.map(|cursor| read_routes(&cursor, &defined));
    for key in ["tracing", "event_recorder"] {
        if fields.get(key).is_some() {
            fields.problem(key, format!("{key} is not supported by this version"));
        }
    }
    fields.finish();
    Some(AlertmanagerConfig {
        routes: routes?,
        global,
        receivers,
        inhibit_rules,
        time_intervals,
        templates,
    })
}

fn read_receivers(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Vec<Receiver> {
    let mut names = BTreeSet::new();
    let mut receivers = Vec::new();
    for cursor in fields.list("receivers") {
        let receiver = Receiver::read(&cursor, fallbacks);
        if !receiver.name.is_empty() && !names.insert(receiver.name.clone()) {
            cursor.problem(format!(
                "notification config name {} is not unique",
                quote(&receiver.name)
            ));
        }
        receivers.push(receiver);
    }
    receivers
}

fn read_time_intervals(fields: &mut Fields<'_>) -> Vec<NamedTimeInterval> {
    let mut names = BTreeSet::new();
    let mut intervals = Vec::new();
    for (key, kind, deprecated) in [
        ("mute_time_intervals", "mute time interval", true),
        ("time_intervals", "time interval", false),
    ] {
        for cursor in fields.list(key) {
            let interval = NamedTimeInterval::read(&cursor, deprecated);
            if !interval.name.is_empty() && !names.insert(interval.name.clone()) {
                cursor.problem(format!("{kind} {} is not unique", quote(&interval.name)));
            }
            intervals.push(interval);
        }
    }
    intervals
}
