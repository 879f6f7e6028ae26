//! `watchbell test rules`: unit tests of rules, in promtool's format and with its answers.
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use config::{Files as _, Problem, Problems, RuleFile, RuleTest, RuleTestFile, WatchbellConfig};
use ingest::language;
use promql::ParserOptions;
use ruler_core::{Group, GroupDefaults, compile_groups, run_rule_test};
use runtime::{Clock as _, DiskFiles, SystemClock};
use tokio::time::Instant;

use crate::cli::{TestArguments, TestKind, TestRulesArguments};
use crate::junit::{Case, Suite, document};

/// 1 where a test fails, or cannot be run.
#[expect(clippy::print_stderr, reason = "a command's answer")]
pub(crate) fn run(arguments: &TestArguments) -> ExitCode {
    let TestKind::Rules(rules) = &arguments.kind;
    let mut watchbell = WatchbellConfig::default();
    watchbell.enable(rules.features.enabled.iter().copied());
    let tester = Tester {
        arguments: rules,
        language: language(&watchbell),
    };
    let mut passed = true;
    let mut suites = Vec::new();
    for file in &rules.files {
        let suite = tester.file(file);
        let is_good = |case: &Case| case.failures.is_empty() && case.error.is_none();
        passed &= suite.cases.iter().all(is_good);
        suites.push(suite);
    }
    if let Some(path) = &arguments.junit
        && let Err(error) = std::fs::write(path, document(&suites))
    {
        eprintln!("cannot write {}: {error}", path.display());
        passed = false;
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Tester<'a> {
    arguments: &'a TestRulesArguments,
    language: ParserOptions,
}

impl Tester<'_> {
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "a command's answer"
    )]
    fn file(&self, file: &Path) -> Suite {
        println!("Unit Testing:  {}", file.display());
        let mut suite = Suite {
            name: file.display().to_string(),
            timestamp: SystemClock::new().now().to_rfc3339_millis()[..19].to_owned(),
            cases: Vec::new(),
        };
        if let Err(problems) = self.cases(file, &mut suite.cases) {
            suite.cases.push(Case {
                name: "unknown".to_owned(),
                took: Duration::ZERO,
                failures: Vec::new(),
                error: Some(problems.to_string()),
            });
        }
        let cases = suite.cases.iter();
        let told: Vec<&String> = cases
            .flat_map(|case| case.failures.iter().chain(&case.error))
            .collect();
        if told.is_empty() {
            println!("  SUCCESS");
        } else {
            eprintln!("  FAILED:");
        }
        for failure in told {
            eprintln!("{failure}");
            println!();
        }
        println!();
        suite
    }

    /// # Errors
    /// What is wrong with the file, or with the rules that it names: nothing of it is run.
    fn cases(&self, path: &Path, cases: &mut Vec<Case>) -> Result<(), Problems> {
        let name = path.to_string_lossy();
        let mut problems = Problems::new();
        let text = read(path)?;
        let file = RuleTestFile::read(&name, &text, &mut problems);
        if !problems.is_empty() {
            return Err(problems.sorted());
        }
        let rule_files = rule_files(path, &file)?;
        let tests = file.tests.iter().enumerate();
        let asked: Vec<(usize, &RuleTest)> =
            tests.filter(|(_, test)| self.is_asked(test)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let groups = self.groups(&rule_files, file.evaluation_interval)?;
        for (index, test) in asked {
            cases.push(self.case(&file, index, test, &groups));
        }
        Ok(())
    }

    fn is_asked(&self, test: &RuleTest) -> bool {
        let name = test.name.as_deref().unwrap_or_default();
        let run = &self.arguments.run;
        run.is_empty() || run.iter().any(|regex| regex.is_match(name))
    }

    fn groups(&self, files: &[PathBuf], interval: Duration) -> Result<Vec<Arc<Group>>, Problems> {
        let mut problems = Problems::new();
        let mut read_files = Vec::new();
        for path in files {
            let name = path.to_string_lossy();
            let text = match read(path) {
                Ok(text) => text,
                Err(reasons) => {
                    problems.append(reasons);
                    continue;
                }
            };
            read_files.push(if self.arguments.ignore_unknown_fields {
                RuleFile::read_ignoring_unknown(&name, &text, &mut problems)
            } else {
                RuleFile::read(&name, &text, &mut problems)
            });
        }
        let defaults = GroupDefaults {
            interval,
            query_offset: Duration::ZERO,
        };
        let groups = compile_groups(&read_files, defaults, &self.language, &mut problems);
        if problems.is_empty() {
            Ok(groups)
        } else {
            Err(problems.sorted())
        }
    }

    #[expect(clippy::print_stdout, reason = "a command's answer")]
    fn case(
        &self,
        file: &RuleTestFile,
        index: usize,
        test: &RuleTest,
        groups: &[Arc<Group>],
    ) -> Case {
        let name = test.name.clone();
        let name = name.unwrap_or_else(|| format!("unnamed#{index}"));
        let (debug, diff) = (self.arguments.debug, self.arguments.diff);
        if debug {
            println!("DEBUG: Starting test {name}");
        }
        let started = Instant::now();
        let run = run_rule_test(file, test, groups, &self.language);
        let took = started.elapsed();
        let failures = run.failures.iter().map(|failure| match diff {
            true => failure.diff(),
            false => failure.to_string(),
        });
        let failures = failures.collect();
        if debug {
            println!(
                "DEBUG: Dump of all data (input_series and rules):\n{}",
                run.dump()
            );
            println!("DEBUG: Test {name} finished, took {took:?}");
        }
        Case {
            name,
            took,
            failures,
            error: None,
        }
    }
}

fn read(path: &Path) -> Result<String, Problems> {
    let problem = |reason| Problem::new(&path.to_string_lossy(), None, "", reason);
    let text = DiskFiles.read(path);
    text.map_err(|reason| std::iter::once(problem(reason)).collect())
}

/// Each file once, in the order of the patterns; these are meant from the test file's folder on.
#[expect(clippy::print_stderr, reason = "a command's answer")]
fn rule_files(path: &Path, file: &RuleTestFile) -> Result<Vec<PathBuf>, Problems> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut problems = Problems::new();
    let mut known = BTreeSet::new();
    let mut files = Vec::new();
    for pattern in &file.rule_files {
        let whole = cleaned(&folder.join(&pattern.value));
        match DiskFiles.glob(&whole.to_string_lossy()) {
            Ok(found) => {
                if found.is_empty() {
                    eprintln!("  WARNING: no file match pattern {}", whole.display());
                }
                files.extend(found.into_iter().filter(|path| known.insert(path.clone())));
            }
            Err(reason) => problems.push(Problem::new(
                &file.file,
                Some(pattern.place),
                "rule_files",
                reason,
            )),
        }
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(problems)
    }
}

/// Without the dots that say nothing.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(cleaned.components().next_back(), Some(Component::Normal(_))) =>
            {
                cleaned.pop();
            }
            Component::ParentDir
            | Component::Normal(_)
            | Component::Prefix(_)
            | Component::RootDir => cleaned.push(component),
        }
    }
    cleaned
}
