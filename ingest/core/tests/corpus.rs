//! What fuzzing began with and found, once more: none of it may crash.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its message")]
extern crate watchbell_ingest_core as ingest_core;

#[path = "../../../fuzz/bodies/block.rs"]
mod block;
#[path = "../../../fuzz/bodies/log_replay.rs"]
mod log_replay;
#[path = "../../../fuzz/bodies/newest_views.rs"]
mod newest_views;
#[path = "../../../fuzz/bodies/remote_write.rs"]
mod remote_write;

use std::fs;
use std::path::Path;

fn each(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut count = 0;
    for entry in fs::read_dir(folder.join(target)).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

#[test]
fn blocks() {
    each("block", block::run);
}

#[test]
fn log_records() {
    each("log_replay", log_replay::run);
}

#[test]
fn write_requests() {
    each("remote_write", remote_write::run);
}
