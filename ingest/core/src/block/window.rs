//! Reading a file forwards: a stretch of it is held, so that neighbours are one read.
use model::protobuf::{Fields, unzigzag};

use crate::block::castagnoli::{Castagnoli, castagnoli};
use crate::block::file::{BlockError, BlockFault, BlockFile, FileName};

/// What is read at once at least.
const STRETCH_BYTES: u64 = 16 * 1024;
/// No single thing in a block is longer; a longer length is damage. The longest are the postings of all series, which
/// have room for 128 million.
const THING_BYTES_MAX: u64 = 512 * 1024 * 1024;
const CHECKSUM_BYTES: u64 = 4;
const VARINT_BYTES_MAX: u64 = 10;

pub(crate) struct Window<'f> {
    name: FileName,
    file: &'f dyn BlockFile,
    from: u64,
    held: Vec<u8>,
}

impl<'f> Window<'f> {
    pub(crate) fn new(name: FileName, file: &'f dyn BlockFile) -> Self {
        Self {
            name,
            file,
            from: 0,
            held: Vec::new(),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.file.size()
    }

    pub(crate) fn error(&self, at: u64, fault: BlockFault) -> BlockError {
        BlockError {
            file: self.name,
            at,
            fault,
        }
    }

    pub(crate) fn malformed(&self, at: u64, what: &'static str) -> BlockError {
        self.error(at, BlockFault::Malformed(what))
    }

    pub(crate) fn bytes(&mut self, at: u64, length: u64) -> Result<&[u8], BlockError> {
        let end = at.checked_add(length).filter(|end| *end <= self.size());
        let Some(end) = end else {
            return Err(self.error(at, BlockFault::Cut));
        };
        if length > THING_BYTES_MAX {
            return Err(self.malformed(at, "length is beyond the limit"));
        }
        if at < self.from || end > self.from + self.held.len() as u64 {
            let length = length.max(STRETCH_BYTES.min(self.size() - at));
            self.held.resize(length as usize, 0);
            self.from = at;
            let read = self.file.read_at(at, &mut self.held);
            if let Err(fault) = read {
                self.held.clear();
                return Err(self.error(at, fault.into()));
            }
        }
        let start = (at - self.from) as usize;
        Ok(&self.held[start..start + length as usize])
    }

    pub(crate) fn u32(&mut self, at: u64) -> Result<u32, BlockError> {
        let mut number = [0; 4];
        number.copy_from_slice(self.bytes(at, 4)?);
        Ok(u32::from_be_bytes(number))
    }

    pub(crate) fn u64(&mut self, at: u64) -> Result<u64, BlockError> {
        let mut number = [0; 8];
        number.copy_from_slice(self.bytes(at, 8)?);
        Ok(u64::from_be_bytes(number))
    }

    /// The number, and where what follows stands.
    pub(crate) fn varint(&mut self, at: u64) -> Result<(u64, u64), BlockError> {
        let left = self.size().saturating_sub(at);
        let bytes = self.bytes(at, left.min(VARINT_BYTES_MAX))?;
        let mut value = 0_u64;
        for (index, byte) in bytes.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if *byte < 0x80 {
                return Ok((value, at + index as u64 + 1));
            }
        }
        Err(self.malformed(at, "no number stands here"))
    }

    /// Content behind its length and before its checksum, which is right.
    pub(crate) fn checked(&mut self, at: u64, length: u64) -> Result<&[u8], BlockError> {
        let whole = length.saturating_add(CHECKSUM_BYTES);
        let (content, sum) = self.bytes(at, whole)?.split_at(length as usize);
        if castagnoli(content).to_be_bytes() != sum {
            return Err(self.error(at, BlockFault::Checksum));
        }
        Ok(self
            .bytes(at, length)
            .expect("these bytes were read a moment ago"))
    }

    /// A section that may be large: a length in four bytes, content, checksum. The content is summed piece by piece;
    /// answered is where it begins and ends.
    pub(crate) fn section(&mut self, at: u64) -> Result<(u64, u64), BlockError> {
        let length = u64::from(self.u32(at)?);
        let (start, end) = (at + 4, at + 4 + length);
        if end + CHECKSUM_BYTES > self.size() {
            return Err(self.error(at, BlockFault::Cut));
        }
        let mut sum = Castagnoli::default();
        let mut next = start;
        while next < end {
            let piece = STRETCH_BYTES.min(end - next);
            sum.update(self.bytes(next, piece)?);
            next += piece;
        }
        if self.u32(end)? != sum.value() {
            return Err(self.error(at, BlockFault::Checksum));
        }
        Ok((start, end))
    }

    /// Text behind its length; it ends before `end`. Answered with where what follows stands.
    pub(crate) fn text(&mut self, at: u64, end: u64) -> Result<(&str, u64), BlockError> {
        let (length, start) = self.varint(at)?;
        let after = start.checked_add(length).filter(|after| *after <= end);
        let Some(after) = after else {
            return Err(self.malformed(at, "text is longer than what holds it"));
        };
        let (name, error_at) = (self.name, at);
        let bytes = self.bytes(start, length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok((text, after)),
            Err(_) => Err(BlockError {
                file: name,
                at: error_at,
                fault: BlockFault::Malformed("text is not UTF-8"),
            }),
        }
    }
}

/// Numbers one behind the other, in bytes that are held.
pub(crate) struct Numbers<'b>(Fields<'b>);

impl<'b> Numbers<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(Fields::new(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        self.0.varint().ok()
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.0.varint().ok().map(unzigzag)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.unsigned()
            .and_then(|number| u32::try_from(number).ok())
    }
}
