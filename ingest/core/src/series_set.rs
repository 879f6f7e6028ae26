//! All series of a tenant: found by labels, by number, and by matchers.
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use model::{Labels, Matcher};

use crate::index::Index;
use crate::label_bytes::{LabelHasher, is_spelled};
use crate::record::SeriesId;
use crate::series::Series;
use crate::table::SeriesTable;

#[derive(Debug)]
pub(crate) struct SeriesSet {
    hasher: LabelHasher,
    /// The newest series whose label bytes have a hash; it names the next one.
    by_hash: HashMap<u64, SeriesId, BuildHasherDefault<HashIsKey>>,
    table: SeriesTable,
    index: Index,
}

impl SeriesSet {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: LabelHasher::new(seed),
            by_hash: HashMap::default(),
            table: SeriesTable::default(),
            index: Index::new(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn hash(&self, label_bytes: &[u8]) -> u64 {
        self.hasher.hash(label_bytes)
    }

    #[inline]
    pub(crate) fn get(&self, id: SeriesId) -> Option<&Series> {
        self.table.get(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        self.table.get_mut(id)
    }

    pub(crate) fn iter_from(&self, from: SeriesId) -> impl Iterator<Item = (SeriesId, &Series)> {
        self.table.iter_from(from)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SeriesId, &mut Series)> {
        self.table.iter_mut()
    }

    /// The series whose canonical label bytes these are.
    #[inline]
    pub(crate) fn find_spelled(&self, label_bytes: &[u8]) -> Option<SeriesId> {
        self.find(self.hash(label_bytes), |labels| {
            is_spelled(labels, label_bytes)
        })
    }

    /// `hash` is that of the canonical bytes of `labels`.
    pub(crate) fn find_labels(&self, hash: u64, labels: &Labels) -> Option<SeriesId> {
        self.find(hash, |known| known == labels)
    }

    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        self.index.select(matchers, |id| {
            let series = self.table.get(id);
            &series
                .expect("the index names only series of the table")
                .labels
        })
    }

    pub(crate) fn insert(&mut self, id: SeriesId, mut series: Series) {
        series.collides_with = self.by_hash.insert(series.hash, id);
        self.index.insert(id, &series.labels);
        self.table.insert(id, series);
    }

    /// Removes many at once; each list of the index is walked once.
    pub(crate) fn remove(&mut self, gone: &BTreeMap<SeriesId, Labels>) {
        self.index
            .remove(gone.values(), |id| gone.contains_key(&id));
        for id in gone.keys() {
            if let Some(series) = self.table.remove(*id) {
                self.unlink(*id, &series);
            }
        }
    }

    /// Removes one: quickly, where it was inserted last.
    pub(crate) fn remove_one(&mut self, id: SeriesId) {
        if let Some(series) = self.table.remove(id) {
            self.index.remove_one(id, &series.labels);
            self.unlink(id, &series);
        }
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(&Labels) -> bool) -> Option<SeriesId> {
        let mut next = self.by_hash.get(&hash).copied();
        while let Some(id) = next {
            let series = self.table.get(id)?;
            if is_it(&series.labels) {
                return Some(id);
            }
            next = series.collides_with;
        }
        None
    }

    /// Takes a series that left the table out of the list of those with its hash.
    fn unlink(&mut self, id: SeriesId, series: &Series) {
        let first = self.by_hash.get(&series.hash).copied();
        if first == Some(id) {
            match series.collides_with {
                Some(next) => self.by_hash.insert(series.hash, next),
                None => self.by_hash.remove(&series.hash),
            };
            return;
        }
        let mut at = first;
        while let Some(other) = at.and_then(|at| self.table.get_mut(at)) {
            if other.collides_with == Some(id) {
                other.collides_with = series.collides_with;
                return;
            }
            at = other.collides_with;
        }
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct HashIsKey(u64);

impl Hasher for HashIsKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::Labels;

    use super::SeriesSet;
    use crate::record::SeriesId;
    use crate::series::Series;

    fn labels(number: u32) -> Labels {
        Labels::from_pairs([("__name__", format!("s{number}"))])
    }

    /// Real hashes do not collide in a test, so these are given one.
    #[test]
    fn series_with_one_hash_are_told_apart_and_leave_one_by_one() {
        const HASH: u64 = 7;
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let mut set = SeriesSet::new(1);
            for number in 0..3 {
                set.insert(SeriesId(number), Series::new(labels(number), HASH));
            }
            let mut there = vec![0, 1, 2];
            for gone in order {
                let found: Vec<u32> = (0..3)
                    .filter(|number| {
                        set.find_labels(HASH, &labels(*number)) == Some(SeriesId(*number))
                    })
                    .collect();
                assert_eq!(found, there, "{order:?}");
                set.remove(&BTreeMap::from([(SeriesId(gone), labels(gone))]));
                there.retain(|number| *number != gone);
            }
            assert_eq!((set.len(), set.by_hash.len()), (0, 0));
        }
    }
}
