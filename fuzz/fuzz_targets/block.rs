//! Any bytes are a block or an error: index, a segment of chunks, deletions and meta.json. The parts are told apart by a
//! first byte each, a length in units of 16 bytes.
#![no_main]
use ingest_core::{Block, BlockFile, BlockMeta, MergedSeries};
use model::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = BlockMeta::parse(bytes);
    let [index, tombstones, rest @ ..] = bytes else {
        return;
    };
    let index_bytes = (usize::from(*index) * 16).min(rest.len());
    let (index, rest) = rest.split_at(index_bytes);
    let tombstones_bytes = (usize::from(*tombstones) * 16).min(rest.len());
    let (tombstones, segment) = rest.split_at(tombstones_bytes);
    let tombstones = (!tombstones.is_empty()).then_some(tombstones);
    let segment: Box<dyn BlockFile> = Box::new(segment.to_vec());
    let Ok(block) = Block::open(Box::new(index.to_vec()), vec![segment], tombstones) else {
        return;
    };
    let _ = block.select(&[], Timestamp::MIN, Timestamp::MAX, 10_000);
    let _ = block.symbols();
    for name in block.label_names() {
        let _ = block.label_values(&name);
    }
    if let Ok(walk) = block.walk() {
        let _ = MergedSeries::new(vec![walk]).count();
    }
});
