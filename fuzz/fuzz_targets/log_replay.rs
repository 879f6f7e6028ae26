#![no_main]
#[path = "../bodies/log_replay.rs"]
mod body;
#[path = "../bodies/newest_views.rs"]
mod newest_views;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
