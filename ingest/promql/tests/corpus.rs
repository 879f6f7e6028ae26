//! What fuzzing began with and found, once more: none of it may crash.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its message")]
extern crate watchbell_promql as promql;

#[path = "../../../fuzz/bodies/promql.rs"]
mod body;

use std::fs;
use std::path::Path;

#[test]
fn expressions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/promql");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if let Ok(text) = std::str::from_utf8(&bytes) {
            body::run(text);
        }
        count += 1;
    }
    assert!(count > 0, "the corpus is empty");
}
