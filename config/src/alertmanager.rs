//! Alertmanager's configuration file.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::go_quote::quote;
use model::matcher_syntax::ParserMode;
use template::{Mode, TemplateSet};

use crate::config_hash::config_hash;
use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::event_recorder::EventRecorder;
use crate::files::Files;
use crate::global::Global;
use crate::inhibit::InhibitRule;
use crate::integration::Fallbacks;
use crate::problem::{Place, Problem, Problems, Stage};
use crate::receiver::Receiver;
use crate::route::RouteTree;
use crate::route_reading::{Defined, read_routes};
use crate::secret_files::warn_of_unreadable;
use crate::source::Source;
use crate::time_interval::NamedTimeInterval;
use crate::tracing::Tracing;
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
    pub tracing: Option<Tracing>,
    pub event_recorder: Option<EventRecorder>,
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
    /// Whether the feature `event-recorder` is on.
    pub records_events: bool,
    /// How long notifications are remembered: a longer `repeat_interval` is warned about.
    pub retention: Duration,
}

impl Default for AlertmanagerOptions {
    fn default() -> Self {
        Self {
            mode: ParserMode::default(),
            endpoints: Endpoints::default(),
            records_events: false,
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

/// A configuration with the files that it names.
#[derive(Clone, Debug)]
pub struct AlertmanagerFiles {
    pub config: AlertmanagerConfig,
    /// As [`config_hash`] has it of the file's text.
    pub hash: u64,
    /// Alertmanager's own templates and those of the template files.
    pub templates: TemplateSet,
    /// In the order in which they were read: of two definitions of one name the later counts.
    pub template_files: Vec<PathBuf>,
}

impl AlertmanagerFiles {
    /// Reads a file and the template files that it names, and parses every template.
    ///
    /// # Errors
    /// All mistakes of all files together, by file and place.
    pub fn load(
        file: &str,
        options: &AlertmanagerOptions,
        files: &dyn Files,
    ) -> Result<Loaded<Self>, Problems> {
        let text = match files.read(Path::new(file)) {
            Ok(text) => text,
            Err(reason) => {
                // As Go tells it: the sentence stands alone in logs and answers, and must name the file.
                let sentence = format!("open {file}: {}", without_number(&reason));
                return Err([Problem::new("", None, "", sentence)].into_iter().collect());
            }
        };
        let mut loaded = Templates::new(files);
        let config = read_file(file, &text, options, Some(&mut loaded))?;
        Ok(Loaded {
            value: Self {
                config: config.value,
                hash: config_hash(&text),
                templates: loaded.set,
                template_files: loaded.files,
            },
            warnings: config.warnings,
        })
    }
}

/// `no such file or directory` of `No such file or directory (os error 2)`.
fn without_number(reason: &str) -> String {
    let text = reason.split(" (os error").next().unwrap_or(reason);
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// Template files as they are read.
struct Templates<'f> {
    access: &'f dyn Files,
    set: TemplateSet,
    files: Vec<PathBuf>,
}

impl<'f> Templates<'f> {
    fn new(access: &'f dyn Files) -> Self {
        Self {
            access,
            set: TemplateSet::alertmanager(),
            files: Vec::new(),
        }
    }

    fn read(&mut self, pattern: &Cursor<'_>, base: &Path) {
        let Some(text) = pattern.text() else { return };
        let paths = pattern.parsed(|_| self.access.glob(&base.join(&text).display().to_string()));
        if paths.as_ref().is_some_and(Vec::is_empty) {
            pattern.warn(format!("no file matches {text}"));
        }
        for path in paths.unwrap_or_default() {
            self.read_file(&path, pattern);
        }
    }

    fn read_file(&mut self, path: &Path, pattern: &Cursor<'_>) {
        let file = path.display().to_string();
        let name = path.file_name().map(|name| name.to_string_lossy());
        let problem = match self.access.read(path) {
            Err(reason) => Problem::new(&file, None, "", reason),
            Ok(text) => match self.set.with_file(&name.unwrap_or_default(), &text) {
                Ok(set) => {
                    self.set = set;
                    self.files.push(path.to_owned());
                    return;
                }
                Err(error) => {
                    let place = Place {
                        line: u32::try_from(error.line).unwrap_or(u32::MAX),
                        column: u32::try_from(error.column).unwrap_or(u32::MAX),
                    };
                    Problem::new(&file, Some(place), "", error.to_string()).at(Stage::Template)
                }
            },
        };
        pattern.source().add(problem);
    }
}

impl AlertmanagerConfig {
    /// Reads a file's text, and not the template files that it names: templates are not parsed. `file` names it in problems, and its folder is where relative paths are meant from.
    ///
    /// # Errors
    /// All mistakes together, by place, in Alertmanager's words.
    pub fn read(
        file: &str,
        text: &str,
        options: &AlertmanagerOptions,
    ) -> Result<Loaded<Self>, Problems> {
        read_file(file, text, options, None)
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

/// `templates` where the templates are to be checked too.
fn read_file(
    file: &str,
    text: &str,
    options: &AlertmanagerOptions,
    templates: Option<&mut Templates<'_>>,
) -> Result<Loaded<AlertmanagerConfig>, Problems> {
    let (source, node) = Source::open(file, text, "config.plain");
    let base = Path::new(file).parent().unwrap_or(Path::new(""));
    let config = match &node {
        Some(node) => read_top(&Cursor::root(&source, node), base, options, templates),
        None => {
            if !source.has_problems() {
                let message = "no route provided in config";
                source.add(Problem::new(file, None, "", message).at(Stage::File));
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

/// `None` only where there is no route.
fn read_top(
    top: &Cursor<'_>,
    base: &Path,
    options: &AlertmanagerOptions,
    mut templates: Option<&mut Templates<'_>>,
) -> Option<AlertmanagerConfig> {
    let mut fields = top.fields("config.plain");
    let patterns = fields.list("templates");
    if let Some(templates) = &mut templates {
        for pattern in &patterns {
            templates.read(pattern, base);
        }
        warn_of_unreadable(top, base, templates.access);
    }
    let template_set = templates.map(|templates| templates.set.clone());
    let global = fields.get("global").map_or_else(
        || Global::new(&options.endpoints),
        |cursor| Global::read(&cursor, base, &options.endpoints),
    );
    let fallbacks = Fallbacks {
        global: &global,
        endpoints: &options.endpoints,
        base,
        templates: template_set.as_ref(),
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
        patterns: patterns.iter().filter_map(Cursor::text).collect(),
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
        fields.file_problem("route", "no routes provided");
    }
    let routes = route.map(|cursor| {
        if let Some(set) = &template_set {
            check_route_labels(&cursor, set);
        }
        read_routes(&cursor, &defined)
    });
    let tracing = fields.get("tracing");
    let tracing = tracing.map(|cursor| Tracing::read(&cursor, base));
    let recorder = fields.get("event_recorder");
    let event_recorder = recorder
        .as_ref()
        .map(|cursor| EventRecorder::read(cursor, base));
    if let Some(cursor) = &recorder {
        if !options.records_events {
            cursor.warn("event_recorder has no effect without the feature event-recorder");
        }
        if fallbacks.is_to_run()
            && event_recorder
                .as_ref()
                .is_some_and(EventRecorder::has_kafka)
        {
            cursor
                .nearest("kafka_outputs")
                .file_problem("kafka_outputs is not supported by this version");
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
        tracing,
        event_recorder,
    })
}

/// Labels of routes are templates; what else is wrong with them is said where the routes are read.
fn check_route_labels(route: &Cursor<'_>, set: &TemplateSet) {
    for (key, _, value) in route.map_entries() {
        match key.as_str() {
            "labels" => {
                for (_, _, label) in value.map_entries() {
                    if let Some(text) = label.scalar_text()
                        && let Err(error) = set.compile("", &text, Mode::Text)
                    {
                        label.template_problem(error.to_string());
                    }
                }
            }
            "routes" => {
                for child in value.items() {
                    check_route_labels(&child, set);
                }
            }
            _ => {}
        }
    }
}

fn read_receivers(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Vec<Receiver> {
    let mut names = BTreeSet::new();
    let mut receivers = Vec::new();
    for cursor in fields.list("receivers") {
        let receiver = Receiver::read(&cursor, fallbacks);
        if !receiver.name.is_empty() && !names.insert(receiver.name.clone()) {
            cursor.file_problem(format!(
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
                cursor.file_problem(format!("{kind} {} is not unique", quote(&interval.name)));
            }
            intervals.push(interval);
        }
    }
    intervals
}

#[cfg(test)]
mod tests;
