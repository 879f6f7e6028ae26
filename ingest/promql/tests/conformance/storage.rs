//! What scripts load, as a reader.
use model::Timestamp;
use watchbell_promql::MemorySeries;

use crate::script::Loaded;

pub(crate) fn insert(storage: &mut MemorySeries, loaded: Loaded) {
    for (index, (millis, cell)) in loaded.cells.into_iter().enumerate() {
        let offset = loaded.starts.get(index).copied().flatten();
        let start = Timestamp::from_millis(offset.map_or(0, |offset| millis + offset));
        storage.insert(&loaded.labels, Timestamp::from_millis(millis), cell, start);
    }
}
