#![no_main]
#[path = "../bodies/remote_write.rs"]
mod body;
#[path = "../bodies/newest_views.rs"]
mod newest_views;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
