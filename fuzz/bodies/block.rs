//! Any bytes are a block's files or an error, and reading them takes no more than there is.
use ingest_core::{Block, BlockMeta, MergedSeries};
use model::Timestamp;

/// Two lengths of four bytes each, index, chunks, and what is left as tombstones.
pub(crate) fn run(bytes: &[u8]) {
    let _ = BlockMeta::parse(bytes);
    let Some((lengths, files)) = bytes.split_at_checked(8) else {
        return;
    };
    let length = |at: usize| {
        let mut length = [0; 4];
        length.copy_from_slice(&lengths[at..at + 4]);
        u32::from_le_bytes(length) as usize
    };
    let (index, rest) = files.split_at(length(0).min(files.len()));
    let (chunks, tombstones) = rest.split_at(length(4).min(rest.len()));
    let opened = Block::open(
        Box::new(index.to_vec()),
        vec![Box::new(chunks.to_vec())],
        Some(tombstones),
    );
    let Ok(block) = opened else {
        return;
    };
    let _ = block.select(&[], Timestamp::MIN, Timestamp::MAX, 10_000);
    if let Ok(sets) = block.label_sets(&[], Timestamp::MIN, Timestamp::MAX) {
        sets.for_each(drop);
    }
    let _ = block.symbols();
    for name in block.label_names() {
        let _ = block.label_values(&name);
    }
    if let Ok(walk) = block.walk() {
        let _ = MergedSeries::new(vec![walk]).take(1000).count();
    }
}
