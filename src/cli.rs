//! The command line: what a user may type.
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use config::QueryFeature;
use model::GoRegex;

use crate::alertmanager_flags::AlertmanagerFlags;
use crate::version::{ALERTMANAGER_VERSION, VERSION};

/// An alerting pipeline in one binary: samples in, rules evaluated, the right person told once.
#[derive(Debug, Parser)]
#[command(name = "watchbell", version = VERSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the pipeline, or a part of it.
    Serve(ServeArguments),
    /// Runs an Alertmanager: the flags, files and addresses of prometheus/alertmanager.
    #[command(version = ALERTMANAGER_VERSION, display_name = "alertmanager, version")]
    Alertmanager(Box<AlertmanagerFlags>),
    /// Checks files and reports all of their mistakes together; exits with 1 when there are any.
    Check(CheckArguments),
    /// Runs the unit tests of rules, in the format of `promtool test rules`; exits with 1 when one fails.
    Test(TestArguments),
    /// Shows the whole pipeline at work on this machine, with nothing else installed.
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArguments {
    /// watchbell.yml; without it everything runs on its defaults.
    #[arg(long = "config.file", value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// What this process runs: `all`, or some of `ingest`, `ruler`, `alertmanager`, separated by commas.
    #[arg(
        long = "target",
        value_name = "TARGETS",
        value_delimiter = ',',
        default_value = "all"
    )]
    pub(crate) targets: Vec<TargetName>,
    /// Address of the HTTP port (may be given several times); takes the place of the file's.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT")]
    pub(crate) listen_addresses: Vec<String>,
    /// Folder of all data; takes the place of the file's.
    #[arg(long = "storage.path", value_name = "FOLDER")]
    pub(crate) storage_path: Option<PathBuf>,
    /// Takes the place of the file's.
    #[arg(long = "log.level", value_name = "LEVEL", ignore_case = true)]
    pub(crate) log_level: Option<LogLevelName>,
    /// Takes the place of the file's.
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormatName>,
    #[command(flatten)]
    pub(crate) features: Features,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Features {
    /// Switches a part of the query language on, as for Prometheus (may be given several times, and as a list with
    /// commas); comes on top of the file's `query.features`.
    #[arg(
        long = "enable-feature",
        value_name = "FEATURE",
        value_delimiter = ',',
        value_parser = QueryFeature::parse
    )]
    pub(crate) enabled: Vec<QueryFeature>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetName {
    All,
    Ingest,
    Ruler,
    Alertmanager,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevelName {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormatName {
    Json,
    Logfmt,
}

impl From<LogLevelName> for config::LogLevel {
    fn from(name: LogLevelName) -> Self {
        match name {
            LogLevelName::Debug => Self::Debug,
            LogLevelName::Info => Self::Info,
            LogLevelName::Warn => Self::Warn,
            LogLevelName::Error => Self::Error,
        }
    }
}

impl From<LogFormatName> for config::LogFormat {
    fn from(name: LogFormatName) -> Self {
        match name {
            LogFormatName::Json => Self::Json,
            LogFormatName::Logfmt => Self::Logfmt,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(subcommand)]
    pub(crate) kind: CheckKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckKind {
    /// watchbell.yml, with the files that it names.
    Config(CheckQueryFiles),
    /// Rule files: shape, expressions, templates.
    Rules(CheckQueryFiles),
    /// Alertmanager configurations: shape, routes, receivers, templates.
    Alertmanager(CheckFiles),
}

#[derive(Debug, Args)]
pub(crate) struct CheckFiles {
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// Files with queries.
#[derive(Debug, Args)]
pub(crate) struct CheckQueryFiles {
    #[command(flatten)]
    pub(crate) files: CheckFiles,
    #[command(flatten)]
    pub(crate) features: Features,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    #[command(subcommand)]
    pub(crate) kind: TestKind,
    /// Writes the results to this file as well, as JUnit's XML.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestKind {
    /// Alerting and recording rules: their alerts and series over given samples, on a clock of the test's own.
    Rules(TestRulesArguments),
}

#[derive(Debug, Args)]
pub(crate) struct TestRulesArguments {
    /// Files with tests, in promtool's format; they name the rule files.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Runs only the tests whose names match this regular expression (may be given several times).
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    pub(crate) run: Vec<GoRegex>,
    /// Shows a failure as lines that are expected and missing (`-`) and that came and are not expected (`+`).
    #[arg(long)]
    pub(crate) diff: bool,
    /// Prints all samples that a test ends with, and how long it took.
    #[arg(long)]
    pub(crate) debug: bool,
    /// Passes over keys of rule files that Prometheus does not know.
    #[arg(long)]
    pub(crate) ignore_unknown_fields: bool,
    #[command(flatten)]
    pub(crate) features: Features,
}

/// A regular expression of Go that may match anywhere.
fn regex(text: &str) -> Result<GoRegex, String> {
    GoRegex::unanchored(text).map_err(|error| error.to_string())
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Ends by itself once a page, its resolution and a heartbeat were seen.
    #[arg(long)]
    pub(crate) once: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use config::QueryFeature;

    use super::{Cli, Command, TargetName};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn features_are_given_as_to_prometheus() {
        let line = "watchbell serve --enable-feature promql-delayed-name-removal,agent \
                    --enable-feature=promql-binop-fill-modifiers";
        let Command::Serve(arguments) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("serve was asked for")
        };
        let features = [
            QueryFeature::DelayedNameRemoval,
            QueryFeature::WithoutEffect("agent"),
            QueryFeature::BinopFillModifiers,
        ];
        assert_eq!(arguments.features.enabled, features);
        let unknown = ["watchbell", "serve", "--enable-feature=all"];
        let refused = Cli::try_parse_from(unknown).unwrap_err().to_string();
        assert!(
            refused.contains("unknown feature \"all\"; known are "),
            "{refused}"
        );
    }

    #[test]
    fn targets_are_separated_by_commas() {
        let cli = Cli::parse_from(["watchbell", "serve", "--target", "ruler,alertmanager"]);
        let Command::Serve(arguments) = cli.command else {
            panic!("serve was asked for")
        };
        assert_eq!(
            arguments.targets,
            [TargetName::Ruler, TargetName::Alertmanager]
        );
    }
}
