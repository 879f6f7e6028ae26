//! Any bytes are a request or an error.
#![no_main]
use ingest_core::{WriteRequest, expand};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut expanded = Vec::new();
    let _ = expand(bytes, 1 << 20, &mut expanded);
    let _ = WriteRequest::read(bytes);
    let _ = WriteRequest::read_v2(bytes, 1 << 20);
});
