//! Which blocks become one, and which go: Prometheus' rules.
//!
//! Blocks grow by threes from two hours on, up to a tenth of the retention and a month at most. Blocks over one
//! another are merged first. The newest block is left alone, since what comes next may belong to its range.
use std::time::Duration;

use model::Timestamp;

use crate::block::meta::BlockMeta;
use crate::block::ulid::Ulid;
use crate::series::BLOCK_RANGE;

const STEPS: usize = 10;
const FACTOR: u32 = 3;
const RANGE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Above this share of deleted series a block is written anew.
const TOMBSTONES_SHARE: f64 = 0.05;

/// The ranges of blocks, from the smallest on, in milliseconds.
#[must_use]
pub fn block_ranges(retention: Duration) -> Vec<i64> {
    let bound = (retention / 10).min(RANGE_MAX).max(BLOCK_RANGE);
    let mut range = BLOCK_RANGE;
    let mut ranges = Vec::new();
    for _ in 0..STEPS {
        if range > bound {
            break;
        }
        ranges.push(range.as_millis() as i64);
        range *= FACTOR;
    }
    ranges
}

/// The blocks that should become one now, in the order of time; none where nothing is to be done.
#[must_use]
pub fn plan_compaction(metas: &[BlockMeta], ranges: &[i64]) -> Vec<Ulid> {
    let mut metas: Vec<&BlockMeta> = metas.iter().collect();
    metas.sort_by_key(|meta| (meta.min_time, meta.ulid));
    let over_one_another = overlapping(&metas);
    let names = |metas: &[&BlockMeta]| metas.iter().map(|meta| meta.ulid).collect();
    if !over_one_another.is_empty() {
        return names(&over_one_another);
    }
    metas.pop();
    if let Some(group) = fills_a_range(&metas, ranges) {
        return names(group);
    }
    for meta in metas.iter().rev() {
        let length = meta
            .max_time
            .as_millis()
            .saturating_sub(meta.min_time.as_millis());
        let stats = &meta.stats;
        if length < ranges.get(ranges.len() / 2).copied().unwrap_or(i64::MAX) {
            if stats.num_tombstones > 0 && stats.num_tombstones >= stats.num_series {
                return names(&[meta]);
            }
            break;
        }
        if stats.num_tombstones as f64 / (stats.num_series + 1) as f64 > TOMBSTONES_SHARE {
            return names(&[meta]);
        }
    }
    Vec::new()
}

/// The first blocks that lie over one another.
fn overlapping<'m>(metas: &[&'m BlockMeta]) -> Vec<&'m BlockMeta> {
    let mut found: Vec<&BlockMeta> = Vec::new();
    let mut before: Option<(&BlockMeta, Timestamp)> = None;
    for meta in metas.iter().filter(|meta| !meta.failed) {
        if let Some((last, end)) = before {
            if meta.min_time < end {
                if found.is_empty() {
                    found.push(last);
                }
                found.push(meta);
            } else if !found.is_empty() {
                break;
            }
        }
        let end = before.map_or(meta.max_time, |(_, end)| end.max(meta.max_time));
        before = Some((meta, end));
    }
    found
}

/// The blocks of one range that is full, or that nothing more will come to.
fn fills_a_range<'g, 'm>(
    metas: &'g [&'m BlockMeta],
    ranges: &[i64],
) -> Option<&'g [&'m BlockMeta]> {
    let newest = metas.last()?.min_time;
    ranges.iter().skip(1).find_map(|range| {
        groups(metas, *range).into_iter().find(|group| {
            let (first, last) = (group[0], group[group.len() - 1]);
            let length = last
                .max_time
                .as_millis()
                .saturating_sub(first.min_time.as_millis());
            group.len() > 1
                && (length == *range || last.max_time <= newest)
                && group.iter().all(|meta| !meta.failed)
        })
    })
}

/// Neighbours that lie in one aligned range.
fn groups<'g, 'm>(metas: &'g [&'m BlockMeta], range: i64) -> Vec<&'g [&'m BlockMeta]> {
    let mut groups = Vec::new();
    let mut at = 0;
    while at < metas.len() {
        let begin = metas[at]
            .min_time
            .as_millis()
            .div_euclid(range)
            .saturating_mul(range);
        let end = Timestamp::from_millis(begin.saturating_add(range));
        let len = metas[at..]
            .iter()
            .take_while(|meta| meta.max_time <= end)
            .count();
        if len > 0 {
            groups.push(&metas[at..at + len]);
        }
        at += len.max(1);
    }
    groups
}

/// What counts as one block's share of the disk.
#[derive(Clone, Copy, Debug)]
pub struct StoredBlock<K> {
    pub key: K,
    pub max_time: Timestamp,
    pub bytes: u64,
}

/// The blocks that end longer than the retention before the newest one does.
#[must_use]
pub fn past_retention<K: Copy>(blocks: &[StoredBlock<K>], retention: Duration) -> Vec<K> {
    let Some(newest) = blocks.iter().map(|block| block.max_time).max() else {
        return Vec::new();
    };
    let oldest = newest - retention;
    let gone = blocks.iter().filter(|block| block.max_time <= oldest);
    gone.map(|block| block.key).collect()
}

/// The blocks that end before `oldest`, where the clock says how old a block is and not the newest block: nothing new comes.
#[must_use]
pub fn ended_before<K: Copy>(blocks: &[StoredBlock<K>], oldest: Timestamp) -> Vec<K> {
    let gone = blocks.iter().filter(|block| block.max_time <= oldest);
    gone.map(|block| block.key).collect()
}

/// The oldest blocks that have no room: all of them are `bytes_max` at most, with `others_bytes` that cannot go.
#[must_use]
pub fn past_size<K: Copy + Ord>(
    blocks: &[StoredBlock<K>],
    others_bytes: u64,
    bytes_max: u64,
) -> Vec<K> {
    let mut newest_first: Vec<&StoredBlock<K>> = blocks.iter().collect();
    newest_first.sort_by_key(|block| (std::cmp::Reverse(block.max_time), block.key));
    let mut bytes = others_bytes;
    let mut gone = newest_first.into_iter().skip_while(|block| {
        bytes = bytes.saturating_add(block.bytes);
        bytes <= bytes_max
    });
    let gone: Vec<K> = gone.by_ref().map(|block| block.key).collect();
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;

    use super::{StoredBlock, block_ranges, past_retention, past_size, plan_compaction};
    use crate::block::meta::{BlockMeta, BlockStats};
    use crate::block::ulid::Ulid;

    const HOUR: i64 = 3_600_000;
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn meta(number: usize, begin: i64, end: i64) -> BlockMeta {
        BlockMeta {
            ulid: Ulid::new(Timestamp::from_millis(number as i64), 0),
            min_time: Timestamp::from_millis(begin * HOUR),
            max_time: Timestamp::from_millis(end * HOUR),
            stats: BlockStats {
                num_series: 100,
                ..BlockStats::default()
            },
            level: 1,
            sources: Vec::new(),
            parents: Vec::new(),
            failed: false,
            is_late: false,
            is_own: true,
        }
    }

    #[test]
    fn ranges_are_bounded_by_a_tenth_of_the_retention() {
        for (days, hours) in [
            (0, &[2][..]),
            (1, &[2]),
            (3, &[2, 6]),
            (15, &[2, 6, 18]),
            (30, &[2, 6, 18, 54]),
            (3650, &[2, 6, 18, 54, 162, 486]),
        ] {
            let ranges: Vec<i64> = hours.iter().map(|hours| hours * HOUR).collect();
            assert_eq!(block_ranges(DAY * days), ranges, "{days} days");
        }
    }

    /// Blocks as their hours, and which of them become one.
    #[test]
    fn what_becomes_one() {
        for (blocks, planned) in [
            (&[][..], &[][..]),
            (&[(0, 2)], &[]),
            (&[(0, 2), (2, 4), (4, 6)], &[]),
            (&[(0, 2), (2, 4), (4, 6), (6, 8)], &[0, 1, 2]),
            // The first one begins with the first sample.
            (&[(1, 2), (2, 4), (4, 6), (6, 8)], &[]),
            (&[(1, 2), (2, 4), (4, 6), (6, 8), (8, 10)], &[0, 1, 2]),
            (&[(0, 6), (6, 12), (12, 18), (18, 20)], &[0, 1, 2]),
            (
                &[(0, 6), (6, 12), (12, 14), (14, 16), (16, 18), (18, 20)],
                &[2, 3, 4],
            ),
            (&[(0, 18), (18, 36), (36, 54), (54, 56)], &[]),
            // Gaps stay gaps.
            (&[(0, 2), (4, 6), (20, 22), (22, 24)], &[0, 1]),
            // Alone in its range.
            (&[(0, 2), (20, 22), (40, 42)], &[]),
            // Over one another.
            (&[(0, 2), (1, 2), (2, 4)], &[0, 1]),
            (&[(0, 6), (1, 2), (4, 8), (8, 10)], &[0, 1, 2]),
            (&[(0, 2), (2, 4), (2, 4)], &[1, 2]),
        ] {
            let metas: Vec<BlockMeta> = blocks
                .iter()
                .enumerate()
                .map(|(number, (begin, end))| meta(number, *begin, *end))
                .collect();
            let expected: Vec<Ulid> = planned
                .iter()
                .map(|number: &usize| metas[*number].ulid)
                .collect();
            let ranges = block_ranges(DAY * 15);
            assert_eq!(plan_compaction(&metas, &ranges), expected, "{blocks:?}");
        }
    }

    #[test]
    fn a_block_with_many_deletions_is_written_anew() {
        let ranges = block_ranges(DAY * 15);
        for (hours, deleted, planned) in [(6, 5, 0), (6, 6, 1), (2, 99, 0), (2, 100, 1)] {
            let mut metas = vec![meta(0, 0, hours), meta(1, 40, 42)];
            metas[0].stats.num_tombstones = deleted;
            let found = plan_compaction(&metas, &ranges).len();
            assert_eq!(found, planned, "{deleted} in {hours} hours");
        }
    }

    #[test]
    fn a_block_that_cannot_be_merged_is_left_alone() {
        let mut metas = vec![meta(0, 0, 2), meta(1, 2, 4), meta(2, 4, 6), meta(3, 6, 8)];
        metas[1].failed = true;
        assert_eq!(plan_compaction(&metas, &block_ranges(DAY * 15)), []);
        let mut metas = vec![meta(0, 0, 2), meta(1, 0, 2), meta(2, 4, 6)];
        metas[1].failed = true;
        assert_eq!(plan_compaction(&metas, &block_ranges(DAY * 15)), []);
    }

    #[test]
    fn the_oldest_go() {
        let blocks: Vec<StoredBlock<i64>> = (1..=4)
            .map(|day| StoredBlock {
                key: day,
                max_time: Timestamp::from_secs(day * 24 * 3600),
                bytes: 100,
            })
            .collect();
        for (days, gone) in [(4, &[][..]), (3, &[1]), (2, &[1, 2]), (1, &[1, 2, 3])] {
            assert_eq!(past_retention(&blocks, DAY * days), gone, "{days} days");
        }
        for (bytes_max, gone) in [
            (450, &[][..]),
            (449, &[1]),
            (250, &[2, 1]),
            (10, &[4, 3, 2, 1]),
        ] {
            assert_eq!(past_size(&blocks, 50, bytes_max), gone, "{bytes_max} bytes");
        }
    }
}
