//! Sorted lists of series, and the algebra on them.
use crate::record::SeriesId;

/// Where one list is this much longer than the other, looking its members up beats walking it.
const GALLOP_RATIO: usize = 16;

/// What is in both. Both are sorted, and so is the answer.
pub(crate) fn intersect(left: &[SeriesId], right: &[SeriesId]) -> Vec<SeriesId> {
    let (short, long) = if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    let mut both = Vec::with_capacity(short.len());
    if long.len() / GALLOP_RATIO > short.len() {
        let mut rest = long;
        for id in short {
            match rest.binary_search(id) {
                Ok(at) => {
                    both.push(*id);
                    rest = &rest[at + 1..];
                }
                Err(at) => rest = &rest[at..],
            }
        }
        return both;
    }
    let mut long = long.iter().peekable();
    for id in short {
        while long.next_if(|other| *other < id).is_some() {}
        if long.next_if_eq(&id).is_some() {
            both.push(*id);
        }
    }
    both
}

/// What is in `from` and not in `without`.
pub(crate) fn subtract(from: &[SeriesId], without: &[SeriesId]) -> Vec<SeriesId> {
    let mut rest = without;
    from.iter()
        .filter(|id| {
            let at = rest.partition_point(|other| other < *id);
            rest = &rest[at..];
            rest.first() != Some(*id)
        })
        .copied()
        .collect()
}

/// What is in any of the lists. A series is in at most one of them (they are of one label's values).
pub(crate) fn unite_disjoint<'l>(lists: impl Iterator<Item = &'l [SeriesId]>) -> Vec<SeriesId> {
    let mut lists = lists.peekable();
    let Some(first) = lists.next() else {
        return Vec::new();
    };
    let mut all = first.to_vec();
    if lists.peek().is_none() {
        return all;
    }
    for list in lists {
        all.extend_from_slice(list);
    }
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{intersect, subtract, unite_disjoint};
    use crate::record::SeriesId;

    fn list(set: &BTreeSet<u32>) -> Vec<SeriesId> {
        set.iter().copied().map(SeriesId).collect()
    }

    proptest! {
        #[test]
        fn the_algebra_is_that_of_sets(
            left in prop::collection::btree_set(0..2000_u32, 0..30),
            right in prop::collection::btree_set(0..2000_u32, 0..900),
        ) {
            let both = left.intersection(&right).copied().collect();
            prop_assert_eq!(intersect(&list(&left), &list(&right)), list(&both));
            prop_assert_eq!(intersect(&list(&right), &list(&left)), list(&both));
            let rest = left.difference(&right).copied().collect();
            prop_assert_eq!(subtract(&list(&left), &list(&right)), list(&rest));
            let all: BTreeSet<u32> = left.union(&right).copied().collect();
            let (even, odd): (BTreeSet<u32>, BTreeSet<u32>) = all.iter().partition(|id| **id % 2 == 0);
            let lists = [list(&even), list(&odd)];
            prop_assert_eq!(unite_disjoint(lists.iter().map(Vec::as_slice)), list(&all));
        }
    }
}
