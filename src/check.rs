//! `watchbell check`: all mistakes of files, before anything runs with them.
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alertmanager::Collector;
use anyhow::anyhow;
use config::{
    AlertmanagerFiles, AlertmanagerOptions, Files, Problem, Problems, QueryFeature, RuleFile,
    WatchbellConfig,
};
use ingest::language;
use ruler_core::{GroupDefaults, compile_groups};
use runtime::DiskFiles;

use crate::cli::{CheckArguments, CheckKind};
use crate::configuration::Configuration;
use crate::telling::prepare;

/// Groups that name no interval take one from elsewhere; which one does not matter to a check.
const GROUP_DEFAULTS: GroupDefaults = GroupDefaults {
    interval: std::time::Duration::from_secs(60),
    query_offset: std::time::Duration::ZERO,
};

/// Prints what is right and what is wrong; 1 where anything is wrong.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's answer"
)]
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let check = |file: &Path| match &arguments.kind {
        CheckKind::Config(asked) => check_config(file, &asked.features.enabled),
        CheckKind::Rules(asked) => check_rules(file, &asked.features.enabled),
        CheckKind::Alertmanager(_) => check_alertmanager(file),
    };
    let mut wrong = 0;
    for file in files(&arguments.kind) {
        let checked = check(file);
        match checked.found {
            Ok(found) => println!("{}: {found}", file.display()),
            Err(problems) => {
                wrong += problems.len();
                eprintln!("{problems}");
            }
        }
        for warning in &checked.warnings {
            eprintln!("warning: {warning}");
        }
    }
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "{wrong} {}",
            if wrong == 1 { "mistake" } else { "mistakes" }
        );
        ExitCode::FAILURE
    }
}

struct Checked {
    /// What the file holds.
    found: Result<String, Problems>,
    warnings: Problems,
}

fn files(kind: &CheckKind) -> &[PathBuf] {
    match kind {
        CheckKind::Config(asked) | CheckKind::Rules(asked) => &asked.files.files,
        CheckKind::Alertmanager(files) => &files.files,
    }
}

/// What its integrations need of the disk, and whether spans could be sent at all.
fn problems_of(file: &Path, files: &AlertmanagerFiles) -> Vec<Problem> {
    let problem = |key: &str, sentence: String| {
        let file = file.to_string_lossy();
        Problem::new(&file, None, key, sentence)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![problem("", error.to_string())],
    };
    let receivers = runtime.block_on(prepare(files)).err();
    let tracing = files.config.tracing.as_ref();
    let tracing = runtime.block_on(Collector::prepare(tracing)).err();
    let receivers = receivers.map(|error| problem("receivers", error.sentence()));
    let tracing = tracing.map(|error| problem("tracing", format!("{:#}", anyhow!(error))));
    receivers.into_iter().chain(tracing).collect()
}

fn checked(file: &Path, files: &AlertmanagerFiles, found: String, warnings: Problems) -> Checked {
    Checked {
        found: match problems_of(file, files) {
            problems if problems.is_empty() => Ok(found),
            problems => Err(problems
                .into_iter()
                .collect::<Problems>()
                .in_alertmanagers_words()),
        },
        warnings,
    }
}

fn check_config(file: &Path, features: &[QueryFeature]) -> Checked {
    match Configuration::load(Some(file), features) {
        Ok(mut configuration) => {
            if configuration.watchbell.alertmanager.config_file.is_none() {
                let file = file.to_string_lossy();
                let message = "is not set: alerts are shown, and nobody is told";
                let problem = Problem::new(&file, None, "alertmanager.config_file", message);
                configuration.warnings.push(problem);
            }
            let found = format!(
                "{} rule files, {} receivers",
                configuration.rules.files,
                configuration.alertmanager.config.receivers.len()
            );
            checked(
                file,
                &configuration.alertmanager,
                found,
                configuration.warnings,
            )
        }
        Err(problems) => Checked {
            found: Err(problems),
            warnings: Problems::new(),
        },
    }
}

fn check_rules(file: &Path, features: &[QueryFeature]) -> Checked {
    let mut watchbell = WatchbellConfig::default();
    watchbell.enable(features.iter().copied());
    let name = file.to_string_lossy();
    let mut problems = Problems::new();
    let mut rules = 0;
    match DiskFiles.read(file) {
        Ok(text) => {
            let read = RuleFile::read(&name, &text, &mut problems);
            rules = read.groups.iter().map(|group| group.rules.len()).sum();
            // What is wrong with it is in the list.
            let _ = compile_groups(
                &[read],
                GROUP_DEFAULTS,
                &language(&watchbell),
                &mut problems,
            );
        }
        Err(reason) => problems.push(Problem::new(&name, None, "", reason)),
    }
    let found = if problems.is_empty() {
        Ok(format!("{rules} rules"))
    } else {
        Err(problems.sorted())
    };
    Checked {
        found,
        warnings: Problems::new(),
    }
}

fn check_alertmanager(file: &Path) -> Checked {
    match AlertmanagerFiles::load(
        &file.to_string_lossy(),
        &AlertmanagerOptions::default(),
        &DiskFiles,
    ) {
        Ok(loaded) => {
            let found = format!(
                "{} receivers, {} routes, {} inhibit rules, {} template files",
                loaded.value.config.receivers.len(),
                loaded.value.config.routes.routes().len(),
                loaded.value.config.inhibit_rules.len(),
                loaded.value.template_files.len()
            );
            checked(file, &loaded.value, found, loaded.warnings)
        }
        Err(problems) => Checked {
            found: Err(problems.in_alertmanagers_words()),
            warnings: Problems::new(),
        },
    }
}
