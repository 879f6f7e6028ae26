//! A segment's name, header and file.
//!
//! ```text
//! magic 8 bytes | version u32 | number u64 | end of the segment before u64 | CRC-32 u32
//! ```
//! The end of the segment before is its length up to the last record that was kept. It tells a half frame that a
//! failed write left behind (the file is longer) from a file that lost its tail (the file is shorter).
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"WATCHLOG";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: u64 = 32;

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
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.previous_end.unwrap_or(0).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are no sound header. A header of another version is sound.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES as usize] =
            bytes.get(..HEADER_BYTES as usize)?.try_into().ok()?;
        let u32_at = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        let u64_at = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        if &bytes[..8] != MAGIC || u32_at(28)? != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        Some(Self {
            version: u32_at(8)?,
            number: SegmentNumber(u64_at(12)?),
            previous_end: u64_at(20).filter(|end| *end > 0),
        })
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
    use super::{SegmentHeader, SegmentNumber, VERSION};

    #[test]
    fn a_header_reads_back_and_any_changed_byte_is_noticed() {
        let header = SegmentHeader {
            version: VERSION,
            number: SegmentNumber(7),
            previous_end: Some(4096),
        };
        let bytes = header.to_bytes();
        assert_eq!(SegmentHeader::from_bytes(&bytes), Some(header));
        for at in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert_eq!(SegmentHeader::from_bytes(&bytes), None, "byte {at}");
        }
        assert_eq!(SegmentHeader::from_bytes(&bytes[..31]), None);
    }
}
