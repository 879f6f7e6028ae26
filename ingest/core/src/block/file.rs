//! A block's files as the reader sees them: ranges of bytes, read where they are needed.
use std::fmt;

/// One file, whose bytes do not change.
pub trait BlockFile: Send + Sync {
    fn size(&self) -> u64;

    /// Fills `bytes` with what stands from `at` on. The range lies within the file's size.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), FileFault>;
}

/// The operating system's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileFault(pub String);

impl BlockFile for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), FileFault> {
        let found = usize::try_from(at)
            .ok()
            .and_then(|at| self.get(at..at.checked_add(bytes.len())?))
            .ok_or_else(|| FileFault("file ends before".to_owned()))?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

/// Which file of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    Meta,
    Index,
    Tombstones,
    /// Segments count from 1.
    Chunks(u32),
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => formatter.write_str("meta.json"),
            Self::Index => formatter.write_str("index"),
            Self::Tombstones => formatter.write_str("tombstones"),
            Self::Chunks(number) => write!(formatter, "chunks/{number:06}"),
        }
    }
}

/// What is wrong with a block, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} at byte {at}: {fault}")]
pub struct BlockError {
    pub file: FileName,
    pub at: u64,
    pub fault: BlockFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    #[error("checksum differs")]
    Checksum,
    #[error("file is cut off")]
    Cut,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("this is no such file")]
    Magic,
    #[error("version {0} is not known")]
    Version(u8),
    #[error(transparent)]
    Read(#[from] FileFault),
}
