//! Runs scripts in Prometheus' own PromQL test format: `promqltest FILE…`.
//!
//! Prints for each file how many evals passed, and for each that did not its place, what was expected and what came.
//! All switches of the language are on, as in Prometheus' own run. Exits with 1 if anything failed.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "the runner is shared with the tests, where a broken script may panic"
)]

#[path = "../../tests/conformance/nhcb.rs"]
mod nhcb;
#[path = "../../tests/conformance/run.rs"]
mod run;
#[path = "../../tests/conformance/script.rs"]
mod script;
#[path = "../../tests/conformance/storage.rs"]
mod storage;

use std::process::ExitCode;

use watchbell_promql::ParserOptions;

fn main() -> ExitCode {
    let mut failed_all = 0;
    for path in std::env::args().skip(1) {
        let script = match std::fs::read_to_string(&path) {
            Ok(script) => script,
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let outcomes = run::run(&script, &ParserOptions::all());
        let failures: Vec<(usize, &String, &String)> = outcomes
            .iter()
            .filter_map(|outcome| Some((outcome.line, &outcome.expr, outcome.failure.as_ref()?)))
            .collect();
        println!(
            "{path}: {} passed, {} failed",
            outcomes.len() - failures.len(),
            failures.len()
        );
        for (line, expr, failure) in &failures {
            println!("  {path}:{line} {expr}\n    {failure}");
        }
        failed_all += failures.len();
    }
    if failed_all == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
