//! Which segments a log has to have: it tells a log that was taken away, whole or in part, from one that never was.
//!
//! ```text
//! magic 8 bytes | version u32 | first u64 | newest u64 | CRC-32 u32
//! ```
//! Segments are made before they are entered here, and struck out here before they are removed, so that a crash never
//! makes one seem missing.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::log::segment::SegmentNumber;
use crate::log::snapshot::write_snapshot;

const MAGIC: &[u8; 8] = b"WATCHEXT";
pub(crate) const EXTENT_VERSION: u32 = 1;
const BYTES: usize = 32;

/// From the oldest to the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: SegmentNumber,
    pub(crate) newest: SegmentNumber,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExtentFault {
    /// It says nothing, so that nothing can be missing by it.
    Damaged,
    NewerVersion(u32),
}

/// The file that holds it, beside the segments; `None` as long as there is no segment.
pub(crate) struct ExtentFile {
    path: PathBuf,
    extent: Mutex<Option<Extent>>,
}

pub(crate) fn extent_path(folder: &Path) -> PathBuf {
    folder.join("extent")
}

/// `None` where there is no such file: the log is new.
pub(crate) fn read_extent(path: &Path) -> io::Result<Option<Result<Extent, ExtentFault>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Extent::from_bytes(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl ExtentFile {
    /// Nothing is written before the first segment is entered.
    pub(crate) fn new(folder: &Path, extent: Option<Extent>) -> Self {
        Self {
            path: extent_path(folder),
            extent: Mutex::new(extent),
        }
    }

    /// A segment was made.
    pub(crate) fn enter(&self, number: SegmentNumber) -> io::Result<()> {
        let mut extent = self.extent.lock();
        let first = extent.map_or(number, |extent| extent.first);
        let entered = Extent {
            first: first.min(number),
            newest: number,
        };
        *extent = Some(entered);
        write(&self.path, entered)
    }

    /// The segments before `first` will be removed.
    pub(crate) fn strike_before(&self, first: SegmentNumber) -> io::Result<()> {
        let mut extent = self.extent.lock();
        let newest = extent.map_or(first, |extent| extent.newest);
        let left = Extent {
            first: extent.map_or(first, |extent| first.max(extent.first)),
            newest,
        };
        *extent = Some(left);
        write(&self.path, left)
    }
}

fn write(path: &Path, extent: Extent) -> io::Result<()> {
    write_snapshot(path, |file| file.write_all(&extent.to_bytes()))
}

impl Extent {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&EXTENT_VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.newest.0.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, ExtentFault> {
        let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| ExtentFault::Damaged)?;
        let u32_at = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes(four)
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if &bytes[..8] != MAGIC || u32_at(28) != crc32fast::hash(&bytes[..28]) {
            return Err(ExtentFault::Damaged);
        }
        match u32_at(8) {
            version if version > EXTENT_VERSION => Err(ExtentFault::NewerVersion(version)),
            _ => Ok(Self {
                first: SegmentNumber(u64_at(12)),
                newest: SegmentNumber(u64_at(20)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, ExtentFault};
    use crate::log::segment::SegmentNumber;

    #[test]
    fn it_reads_back_and_any_changed_byte_is_noticed() {
        let extent = Extent {
            first: SegmentNumber(7),
            newest: SegmentNumber(u64::MAX - 1),
        };
        let bytes = extent.to_bytes();
        assert_eq!(Extent::from_bytes(&bytes), Ok(extent));
        for at in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            let fault = Extent::from_bytes(&bytes);
            assert_eq!(fault, Err(ExtentFault::Damaged), "byte {at}");
            assert!(Extent::from_bytes(&bytes[..at]).is_err());
        }
        let mut newer = bytes;
        newer[8] = 2;
        let checksum = crc32fast::hash(&newer[..28]);
        newer[28..].copy_from_slice(&checksum.to_le_bytes());
        let fault = Extent::from_bytes(&newer);
        assert_eq!(fault, Err(ExtentFault::NewerVersion(2)));
    }
}
