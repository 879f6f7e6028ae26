//! Prometheus' own PromQL scripts, and the project's in the same language.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod nhcb;
mod run;
mod script;
mod storage;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use watchbell_promql::{Expr, ParserOptions};

/// What comes out otherwise where names are dropped at once, as a server without flags does it.
const NEED_DELAYED_NAME_REMOVAL: [&str; 10] = [
    "name_label_dropping.test:57",
    "name_label_dropping.test:62",
    "name_label_dropping.test:67",
    "name_label_dropping.test:72",
    "name_label_dropping.test:109",
    "name_label_dropping.test:115",
    "type_and_unit.test:73",
    "type_and_unit.test:88",
    "type_and_unit.test:195",
    "type_and_unit.test:210",
];

#[test]
fn prometheus_scripts_pass() {
    check(&ParserOptions::all(), BTreeSet::new());
}

#[test]
fn they_pass_without_delayed_name_removal_but_for_a_few() {
    let options = ParserOptions {
        delayed_name_removal: false,
        ..ParserOptions::all()
    };
    let excused = NEED_DELAYED_NAME_REMOVAL.map(str::to_owned);
    check(&options, excused.into());
}

/// The project's own, in the same language: nothing is excused.
#[test]
fn own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    for delayed_name_removal in [false, true] {
        let options = ParserOptions {
            delayed_name_removal,
            ..ParserOptions::all()
        };
        check_folder(&folder, &options, BTreeSet::new());
    }
}

const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];
const OPERATORS: [&str; 18] = [
    "!=", "%", "*", "+", "-", "/", "<", "</", "<=", "==", ">", ">/", ">=", "^", "and", "atan2",
    "or", "unless",
];

/// No function, aggregation or operator of the language is without an eval of the project's own.
#[test]
fn own_scripts_cover_the_language() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for command in script::commands(&text) {
            if let script::Command::Eval(eval) = command
                && let Ok(expr) = watchbell_promql::parse(&eval.expr, &ParserOptions::all())
            {
                collect(&expr, &mut used);
            }
        }
    }
    let functions = watchbell_promql::function::FUNCTIONS
        .iter()
        .map(|function| function.name);
    let missing: Vec<&str> = functions
        .chain(AGGREGATIONS)
        .chain(OPERATORS)
        .filter(|name| !used.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no eval has {missing:?}");
}

fn collect(expr: &Expr, used: &mut BTreeSet<String>) {
    match expr {
        Expr::Aggregate(node) => used.insert(node.op.as_str().to_owned()),
        Expr::Binary(node) => used.insert(node.op.as_str().to_owned()),
        Expr::Call(node) => used.insert(node.function.name.to_owned()),
        _ => false,
    };
    for child in expr.children() {
        collect(child, used);
    }
}

fn check(options: &ParserOptions, excused: BTreeSet<String>) {
    if let Some(folder) = shared("conformance/promql") {
        check_folder(&folder, options, excused);
    }
}

/// Exactly the evals in `excused` fail.
fn check_folder(folder: &Path, options: &ParserOptions, mut excused: BTreeSet<String>) {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
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
        let outcomes = run::run(&fs::read_to_string(&path).unwrap(), options);
        let passed = outcomes
            .iter()
            .filter(|outcome| outcome.failure.is_none())
            .count();
        println!("{name}: {passed} of {}", outcomes.len());
        passed_all += passed;
        total_all += outcomes.len();
        for outcome in outcomes {
            let place = format!("{name}:{}", outcome.line);
            let is_excused = excused.remove(&place);
            match (outcome.failure, is_excused) {
                (None, false) | (Some(_), true) => {}
                (None, true) => wrong.push(format!("{place} passes and needs no excuse")),
                (Some(reason), false) => {
                    let shown: String = reason.chars().take(1500).collect();
                    wrong.push(format!("{place} {}\n    {shown}", outcome.expr));
                }
            }
        }
    }
    println!("all: {passed_all} of {total_all}");
    wrong.extend(
        excused
            .iter()
            .map(|place| format!("{place} is excused but is no eval")),
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
        std::env::var_os("CI").is_none(),
        "{} is missing",
        path.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", path.display());
    None
}
