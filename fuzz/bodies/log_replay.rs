//! Any bytes are records or errors, and what they leave in memory can be read, written and read again.
use ingest_core::{Limits, Memory, RecordKind, SnapshotCursor};

use crate::newest_views::assert_newest;

/// Records: kind, length, payload.
pub(crate) fn run(bytes: &[u8]) {
    let mut memory = Memory::new(Limits::default(), 7);
    let mut rest = bytes;
    while let [kind, length, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        if let Some(kind) = RecordKind::from_byte(*kind % 24) {
            let _ = memory.replay(kind, payload);
        }
        rest = behind;
    }
    memory.head.end_replay(|_| true);
    assert_newest(&memory.head);
    let mut again = Memory::new(Limits::default(), 7);
    let mut from = Some(SnapshotCursor::START);
    while let Some(start) = from {
        let (part, next) = memory.snapshot(start, 1000);
        for (kind, payload) in part.into_records() {
            again
                .replay(kind, &payload)
                .expect("what is written can be read");
        }
        from = next;
    }
    assert_eq!(again.exemplars.len(), memory.exemplars.len());
    assert_eq!(again.metadata.is_empty(), memory.metadata.is_empty());
}
