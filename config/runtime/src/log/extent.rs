//! Which segments a log has to have: it tells a log that was taken away, whole or in part, from one that never was.
//! It also keeps the key of the log's frames, for segments whose header is damaged.
//!
//! ```text
//! magic 8 bytes | version u32 | first u64 | newest u64 | CRC-32 u32 | key u32 | keyed from u64 | CRC-32 u32
//! ```
//! As in the header of a segment, the first checksum lets every release tell a newer version, and version 1 ends with it.
//! Segments before `keyed from` have no key.
//!
//! Segments are made before they are entered here, and struck out here before they are removed, so that a crash never
//! makes one seem missing.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::log::frame::FrameKey;
use crate::log::segment::SegmentNumber;
use crate::log::snapshot::write_snapshot;

const MAGIC: &[u8; 8] = b"WATCHEXT";
pub(crate) const EXTENT_VERSION: u32 = 2;
/// All of it in version 1, and how every version begins.
const COMMON_BYTES: usize = 32;
const KEYED_BYTES: usize = COMMON_BYTES + 16;

/// From the oldest to the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: SegmentNumber,
    pub(crate) newest: SegmentNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) key: FrameKey,
    /// The first segment whose frames have one.
    pub(crate) from: SegmentNumber,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredExtent {
    pub(crate) extent: Extent,
    /// `None` in version 1.
    pub(crate) keyed: Option<Keyed>,
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
    keyed: Keyed,
    extent: Mutex<Option<Extent>>,
}

pub(crate) fn extent_path(folder: &Path) -> PathBuf {
    folder.join("extent")
}

/// `None` where there is no such file: the log is new.
pub(crate) fn read_extent(path: &Path) -> io::Result<Option<Result<StoredExtent, ExtentFault>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(StoredExtent::from_bytes(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl ExtentFile {
    /// Nothing is written before the first segment is entered.
    pub(crate) fn new(folder: &Path, extent: Option<Extent>, keyed: Keyed) -> Self {
        Self {
            path: extent_path(folder),
            keyed,
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
        self.write(entered)
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
        self.write(left)
    }

    fn write(&self, extent: Extent) -> io::Result<()> {
        write_snapshot(&self.path, |file| {
            file.write_all(&extent.to_bytes(self.keyed))
        })
    }
}

impl Extent {
    fn to_bytes(self, keyed: Keyed) -> [u8; KEYED_BYTES] {
        let mut bytes = [0; KEYED_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&EXTENT_VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.newest.0.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        bytes[32..36].copy_from_slice(&keyed.key.to_bytes());
        bytes[36..44].copy_from_slice(&keyed.from.0.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

impl StoredExtent {
    fn from_bytes(bytes: &[u8]) -> Result<Self, ExtentFault> {
        if bytes.len() < COMMON_BYTES {
            return Err(ExtentFault::Damaged);
        }
        let four_at = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let u32_at = |at: usize| u32::from_le_bytes(four_at(at));
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if &bytes[..8] != MAGIC || u32_at(28) != crc32fast::hash(&bytes[..28]) {
            return Err(ExtentFault::Damaged);
        }
        let keyed = match (u32_at(8), bytes.len()) {
            (version, _) if version > EXTENT_VERSION => {
                return Err(ExtentFault::NewerVersion(version));
            }
            (EXTENT_VERSION, KEYED_BYTES) if u32_at(44) == crc32fast::hash(&bytes[..44]) => {
                Some(Keyed {
                    key: FrameKey::from_bytes(four_at(32)),
                    from: SegmentNumber(u64_at(36)),
                })
            }
            (EXTENT_VERSION, _) => return Err(ExtentFault::Damaged),
            (_, COMMON_BYTES) => None,
            (_, _) => return Err(ExtentFault::Damaged),
        };
        let extent = Extent {
            first: SegmentNumber(u64_at(12)),
            newest: SegmentNumber(u64_at(20)),
        };
        Ok(Self { extent, keyed })
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, ExtentFault, Keyed, StoredExtent};
    use crate::log::frame::FrameKey;
    use crate::log::segment::SegmentNumber;

    #[test]
    fn it_reads_back_and_any_changed_byte_is_noticed() {
        let extent = Extent {
            first: SegmentNumber(7),
            newest: SegmentNumber(u64::MAX - 1),
        };
        let keyed = Keyed {
            key: FrameKey::from_bytes(*b"key!"),
            from: SegmentNumber(u64::MAX - 2),
        };
        let stored = |keyed| Ok(StoredExtent { extent, keyed });
        let of_version = |version: u8| {
            let mut bytes = extent.to_bytes(keyed);
            bytes[8] = version;
            let checksum = crc32fast::hash(&bytes[..28]);
            bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
            bytes
        };
        let bytes = extent.to_bytes(keyed);
        assert_eq!(of_version(2), bytes);
        for (sound, read) in [
            (&bytes[..], stored(Some(keyed))),
            (&of_version(1)[..32], stored(None)),
        ] {
            assert_eq!(StoredExtent::from_bytes(sound), read);
            for at in 0..sound.len() {
                let mut bytes = sound.to_vec();
                bytes[at] ^= 1;
                let fault = StoredExtent::from_bytes(&bytes);
                assert_eq!(fault, Err(ExtentFault::Damaged), "byte {at}");
                assert!(StoredExtent::from_bytes(&sound[..at]).is_err());
            }
        }
        for length in [32, 48] {
            let fault = StoredExtent::from_bytes(&of_version(3)[..length]);
            assert_eq!(fault, Err(ExtentFault::NewerVersion(3)));
        }
    }
}
