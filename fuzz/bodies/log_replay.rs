//! Any bytes are records or errors, and what they leave in memory can be read, written and read again.
use ingest_core::{Limits, Memory, RecordKind, SeriesView, SnapshotCursor};
use model::Timestamp;

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
    let head = &mut memory.head;
    head.end_replay(|_| true);
    let whole = head.select(&[], Timestamp::MIN, Timestamp::MAX);
    let newest = head.select_newest(&[], Timestamp::MIN, Timestamp::MAX);
    for (whole, newest) in whole.iter().zip(newest) {
        let last_of = |view: &SeriesView| {
            let points = view.points(Timestamp::MIN, Timestamp::MAX, &mut usize::MAX.clone());
            let points = points.expect("there is no limit");
            let float = points.samples.last().map(|sample| sample.timestamp);
            float.max(points.histograms.last().map(|sample| sample.timestamp))
        };
        assert_eq!(last_of(whole), last_of(&newest));
    }
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
