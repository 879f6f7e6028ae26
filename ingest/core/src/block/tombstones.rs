//! Which samples of a block count as deleted.
//!
//! ```text
//! magic u32 | version u8 | (series varint, first time zigzag, last time zigzag)… | CRC-32C u32 of what is behind the version
//! ```
use std::collections::BTreeMap;

use model::Timestamp;

use crate::block::castagnoli::castagnoli;
use crate::block::file::{BlockError, BlockFault, FileName};
use crate::block::window::Numbers;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 4;

/// Times, both included.
pub(crate) type Interval = (Timestamp, Timestamp);

/// By the number that the index gives a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones(BTreeMap<u64, Vec<Interval>>);

/// Nothing is deleted.
#[must_use]
pub fn empty_tombstones() -> Vec<u8> {
    let mut bytes = MAGIC.to_be_bytes().to_vec();
    bytes.push(VERSION);
    bytes.extend_from_slice(&castagnoli(&[]).to_be_bytes());
    bytes
}

impl Tombstones {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BlockError> {
        let error = |at: usize, fault| BlockError {
            file: FileName::Tombstones,
            at: at as u64,
            fault,
        };
        let Some(content_bytes) = bytes.len().checked_sub(HEADER_BYTES + CHECKSUM_BYTES) else {
            return Err(error(0, BlockFault::Cut));
        };
        if bytes[..4] != MAGIC.to_be_bytes() {
            return Err(error(0, BlockFault::Magic));
        }
        if bytes[4] != VERSION {
            return Err(error(4, BlockFault::Version(bytes[4])));
        }
        let (content, sum) = bytes[HEADER_BYTES..].split_at(content_bytes);
        if castagnoli(content).to_be_bytes() != sum {
            return Err(error(HEADER_BYTES, BlockFault::Checksum));
        }
        let mut deleted: BTreeMap<u64, Vec<Interval>> = BTreeMap::new();
        let mut numbers = Numbers::new(content);
        while !numbers.is_empty() {
            let stone = (|| Some((numbers.unsigned()?, numbers.signed()?, numbers.signed()?)))();
            let Some((series, first, last)) = stone else {
                let fault = BlockFault::Malformed("deletion is malformed");
                return Err(error(HEADER_BYTES, fault));
            };
            let interval = (Timestamp::from_millis(first), Timestamp::from_millis(last));
            deleted.entry(series).or_default().push(interval);
        }
        Ok(Self(deleted))
    }

    pub(crate) fn of(&self, series: u32) -> &[Interval] {
        self.0.get(&u64::from(series)).map_or(&[], Vec::as_slice)
    }
}

pub(crate) fn is_deleted(deleted: &[Interval], time: Timestamp) -> bool {
    deleted
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&time))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use model::protobuf::{push_varint, zigzag};

    use super::{Tombstones, castagnoli, empty_tombstones, is_deleted};
    use crate::block::file::BlockFault;

    #[test]
    fn deletions_are_read_and_damage_is_noticed() {
        assert_eq!(
            Tombstones::read(&empty_tombstones()),
            Ok(Tombstones::default())
        );
        let mut content = Vec::new();
        for (series, first, last) in [(16, -5, 7), (16, 20, 20), (300, 1, 2)] {
            push_varint(&mut content, series);
            push_varint(&mut content, zigzag(first));
            push_varint(&mut content, zigzag(last));
        }
        let mut bytes = empty_tombstones()[..5].to_vec();
        bytes.extend_from_slice(&content);
        bytes.extend_from_slice(&castagnoli(&content).to_be_bytes());
        let stones = Tombstones::read(&bytes).unwrap();
        let deleted: Vec<i64> = (-10..30)
            .filter(|time| is_deleted(stones.of(16), Timestamp::from_millis(*time)))
            .collect();
        assert_eq!(deleted, (-5..=7).chain([20]).collect::<Vec<_>>());
        assert_eq!(stones.of(17), []);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Tombstones::read(&bytes).is_err(), "byte {at}");
            assert!(Tombstones::read(&bytes[..at]).is_err());
        }
        let version = Tombstones::read(&[0x01, 0x30, 0xba, 0x30, 2, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(version.fault, BlockFault::Version(2));
    }
}
