//! Prometheus' own PromQL scripts. What does not pass yet stands in `ledger.txt`, one `file:line reason` a line:
//! an eval that fails without standing there, or passes although it does, is an error, so the ledger only shrinks.
mod run;
mod script;
mod storage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn prometheus_scripts_pass_but_for_the_ledger() {
    let Some(folder) = shared("conformance/promql") else {
        return;
    };
    let mut ledger: BTreeMap<String, String> = include_str!("ledger.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("file:line reason"))
        .map(|(place, reason)| (place.to_owned(), reason.to_owned()))
        .collect();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "test")
        })
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    let (mut passed_all, mut total_all) = (0, 0);
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let outcomes = run::run(&fs::read_to_string(&path).unwrap());
        let passed = outcomes
            .iter()
            .filter(|outcome| outcome.failure.is_none())
            .count();
        println!("{name}: {passed} of {}", outcomes.len());
        passed_all += passed;
        total_all += outcomes.len();
        for outcome in outcomes {
            let place = format!("{name}:{}", outcome.line);
            let excused = ledger.remove(&place);
            match (outcome.failure, excused) {
                (None, None) | (Some(_), Some(_)) => {}
                (None, Some(_)) => wrong.push(format!("{place} passes and must leave the ledger")),
                (Some(reason), None) => {
                    let shown: String = reason.chars().take(1500).collect();
                    wrong.push(format!("{place} {}\n    {shown}", outcome.expr));
                }
            }
        }
    }
    println!("all: {passed_all} of {total_all}");
    wrong.extend(
        ledger
            .keys()
            .map(|place| format!("{place} stands in the ledger but is no eval")),
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A folder beside the project; where it is missing the test is skipped, loudly, but not in CI.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{} is missing",
        path.display()
    );
    eprintln!("SKIPPED: {} is missing", path.display());
    None
}
