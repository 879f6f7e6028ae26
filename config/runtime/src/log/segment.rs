//! A segment's name, header and file.
//!
//! ```text
//! magic 8 bytes | version u32 | number u64 | end of the segment before u64 | CRC-32 u32 | key u32 | CRC-32 u32
//! ```
//! The first checksum is over what stands before it, so that every release can tell a newer version; the second one is
//! over all before it. Version 1 ends with the first one, and its frames have no key.
//!
//! The end of the segment before is its length up to the last record that was kept. It tells a half frame that a
//! failed write left behind (the file is longer) from a file that lost its tail (the file is shorter).
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::frame::FrameKey;

const MAGIC: &[u8; 8] = b"WATCHLOG";
pub(crate) const VERSION: u32 = 2;
/// The first version whose frames have a key.
pub(crate) const KEYED_VERSION: u32 = 2;
/// All of the header in version 1, and how the header of every version begins.
const COMMON_BYTES: usize = 32;
const KEYED_BYTES: usize = COMMON_BYTES + 8;
/// No version that can be read has a longer header.
pub(crate) const HEADER_BYTES_MAX: u64 = KEYED_BYTES as u64;

/// How long the header is in this version: there the first frame begins.
pub(crate) const fn header_bytes(version: u32) -> usize {
    if version < KEYED_VERSION {
        COMMON_BYTES
    } else {
        KEYED_BYTES
    }
}

/// Segments are numbered from 1 on, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    pub const FIRST: Self = Self(1);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08}", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) number: SegmentNumber,
    /// `None` where there is no segment before, or none that is known.
    pub(crate) previous_end: Option<u64>,
    pub(crate) key: FrameKey,
}

impl SegmentHeader {
    /// In the form of the current version, which alone is written.
    pub(crate) fn to_bytes(self) -> [u8; KEYED_BYTES] {
        let mut bytes = [0; KEYED_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.previous_end.unwrap_or(0).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.key.to_bytes());
        let checksum = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are no sound header.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let version = Self::version_of(bytes)?;
        let key = match bytes.get(COMMON_BYTES..header_bytes(version))? {
            [] => FrameKey::NONE,
            [a, b, c, d, checksum @ ..] => {
                let sound = crc32fast::hash(&bytes[..36]).to_le_bytes();
                (checksum == sound).then_some(FrameKey::from_bytes([*a, *b, *c, *d]))?
            }
            _ => return None,
        };
        let u64_at = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        Some(Self {
            version,
            number: SegmentNumber(u64_at(12)?),
            previous_end: u64_at(20).filter(|end| *end > 0),
            key,
        })
    }

    /// What stands where a header has its key, sound or not.
    pub(crate) fn key_bytes(bytes: &[u8]) -> Option<FrameKey> {
        let key = bytes.get(COMMON_BYTES..COMMON_BYTES + 4)?;
        key.try_into().ok().map(FrameKey::from_bytes)
    }

    /// `None` where the part that all versions have is not sound. A newer version is told by this alone.
    pub(crate) fn version_of(bytes: &[u8]) -> Option<u32> {
        let bytes: &[u8; COMMON_BYTES] = bytes.get(..COMMON_BYTES)?.try_into().ok()?;
        let u32_at = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        if &bytes[..8] != MAGIC || u32_at(28)? != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        u32_at(8)
    }
}

pub(crate) fn segment_path(folder: &Path, number: SegmentNumber) -> PathBuf {
    folder.join(format!("{number}.log"))
}

/// The numbers of all segments in the folder, ascending. Other files are left alone.
pub(crate) fn list_segments(folder: &Path) -> io::Result<Vec<SegmentNumber>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(number) = digits
            .filter(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
        {
            numbers.push(SegmentNumber(number));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// As much of a segment as its header can take.
pub(crate) fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(KEYED_BYTES);
    let file = File::open(path)?;
    io::Read::read_to_end(&mut io::Read::take(file, HEADER_BYTES_MAX), &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A segment that is written to, always at its end.
pub(crate) trait SegmentFile: Send + Sync {
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// Where segments are made. Tests put a disk here that fails.
pub(crate) trait Disk: Send {
    /// An empty file of that number; one that a failed attempt left behind is emptied.
    fn create(&self, number: SegmentNumber) -> io::Result<Arc<dyn SegmentFile>>;
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Disk for Folder {
    fn create(&self, number: SegmentNumber) -> io::Result<Arc<dyn SegmentFile>> {
        let path = segment_path(&self.0, number);
        // Truncating and appending exclude each other when a file is opened.
        drop(File::create(&path)?);
        let file = OpenOptions::new().append(true).open(&path)?;
        sync_folder(&self.0)?;
        Ok(Arc::new(file))
    }
}

impl SegmentFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::{SegmentHeader, SegmentNumber, VERSION, header_bytes};
    use crate::log::frame::FrameKey;

    #[test]
    fn a_header_reads_back_and_any_changed_byte_is_noticed() {
        let header = SegmentHeader {
            version: VERSION,
            number: SegmentNumber(7),
            previous_end: Some(4096),
            key: FrameKey::from_bytes(*b"key!"),
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes.len(), header_bytes(VERSION));
        assert_eq!(SegmentHeader::from_bytes(&bytes), Some(header));
        for at in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert_eq!(SegmentHeader::from_bytes(&bytes), None, "byte {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(SegmentHeader::from_bytes(&bytes[..length]), None);
        }
    }

    /// What the first release wrote, and what it reads: the version of a header of any release.
    #[test]
    fn the_bytes_of_version_1_and_what_every_version_shares() {
        let mut bytes = b"WATCHLOG\x01\0\0\0\x07\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0".to_vec();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(bytes.len(), header_bytes(1));
        let header = SegmentHeader {
            version: 1,
            number: SegmentNumber(7),
            previous_end: Some(4096),
            key: FrameKey::NONE,
        };
        assert_eq!(SegmentHeader::from_bytes(&bytes), Some(header));
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(SegmentHeader::from_bytes(&bytes), None, "byte {at}");
        }
        let newer = header.to_bytes();
        assert_eq!(newer[..bytes.len()], bytes, "the shared part is the same");
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = FrameKey::from_bytes([0x12, 0x34, 0x56, 0x78]);
        assert_eq!(format!("{key:?}"), "<secret>");
        assert!((0..64).all(|_| FrameKey::random() != FrameKey::NONE));
        assert_ne!(FrameKey::random(), FrameKey::random());
    }
}
