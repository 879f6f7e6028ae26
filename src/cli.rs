//! The command line: what a user may type.
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("WATCHBELL_COMMIT"),
    ", ",
    env!("WATCHBELL_DATE"),
    ")"
);

/// An alerting pipeline in one binary: samples in, rules evaluated, the right person told once.
#[derive(Debug, Parser)]
#[command(name = "watchbell", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the pipeline, or a part of it.
    Serve(ServeArguments),
    /// Checks files and reports all of their mistakes together; exits with 1 when there are any.
    Check(CheckArguments),
    /// Shows the whole pipeline at work on this machine, with nothing else installed.
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
}

#[derive(Clone, Debug, Default, Args)]
pub struct ServeArguments {
    /// watchbell.yml; without it everything runs on its defaults.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// What this process runs: `all`, or some of `ingest`, `ruler`, `alertmanager`, separated by commas.
    #[arg(
        long = "target",
        value_name = "TARGETS",
        value_delimiter = ',',
        default_value = "all"
    )]
    pub targets: Vec<TargetName>,
    /// Address of the HTTP port (may be given several times); takes the place of the file's.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT")]
    pub listen_addresses: Vec<String>,
    /// Folder of all data; takes the place of the file's.
    #[arg(long = "storage.path", value_name = "FOLDER")]
    pub storage_path: Option<PathBuf>,
    /// Takes the place of the file's.
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: Option<LogLevelName>,
    /// Takes the place of the file's.
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub log_format: Option<LogFormatName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    All,
    Ingest,
    Ruler,
    Alertmanager,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevelName {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatName {
    Json,
    Logfmt,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(subcommand)]
    pub kind: CheckKind,
}

#[derive(Debug, Subcommand)]
pub enum CheckKind {
    /// watchbell.yml, with the files that it names.
    Config(CheckFiles),
    /// Rule files: shape, expressions, templates.
    Rules(CheckFiles),
    /// Alertmanager configurations: shape, routes, receivers, templates.
    Alertmanager(CheckFiles),
}

#[derive(Debug, Args)]
pub struct CheckFiles {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Ends by itself once a page, its resolution and a heartbeat were seen.
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, TargetName};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
