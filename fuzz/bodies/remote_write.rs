//! Any bytes are a request or an error.
use ingest_core::{DecodeBounds, Head, Limits, Protocol, WriteRequest, expand};
use model::Timestamp;

use crate::newest_views::assert_newest;

pub(crate) fn run(bytes: &[u8]) {
    let mut expanded = Vec::new();
    let _ = expand(bytes, 1 << 20, &mut expanded);
    let mut head = Head::new(Limits::default(), 7);
    if let Ok(request) = WriteRequest::read(bytes)
        && let Ok((staged, _)) = head.stage(&request, Timestamp::default())
    {
        head.commit(staged);
    }
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max: 1 << 20,
    };
    if let Ok(request) = WriteRequest::read_within(Protocol::V2, bytes, &bounds)
        && let Ok((staged, _)) = head.stage(&request, Timestamp::default())
    {
        head.commit(staged);
    }
    assert_newest(&head);
}
