//! Any bytes are a request or an error.
#![no_main]
use ingest_core::{DecodeBounds, Protocol, WriteRequest, expand};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut expanded = Vec::new();
    let _ = expand(bytes, 1 << 20, &mut expanded);
    let _ = WriteRequest::read(bytes);
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max: 1 << 20,
    };
    let _ = WriteRequest::read_within(Protocol::V2, bytes, &bounds);
});
