//! Bytes of saved state: whole numbers as varints, texts with their length before them.
use std::sync::Arc;

use model::{Labels, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("saved rule state ends too early")]
    Truncated,
    #[error(
        "saved rule state of version {found} is not understood: this release reads version {known}"
    )]
    Version { found: u8, known: u8 },
    #[error("saved rule state holds the unknown mark {mark} for {what}")]
    Mark { what: &'static str, mark: u8 },
    #[error("saved rule state holds text that is not UTF-8")]
    Text,
    #[error("saved rule state goes on after its end")]
    Trailing,
}

#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn mark(&mut self, mark: u8) {
        self.bytes.push(mark);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.varint(count as u64);
    }

    pub(crate) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.bytes
            .extend_from_slice(&time.as_millis().to_le_bytes());
    }

    pub(crate) fn optional_time(&mut self, time: Option<Timestamp>) {
        self.mark(u8::from(time.is_some()));
        if let Some(time) = time {
            self.time(time);
        }
    }

    /// All bits, the payload of a NaN among them.
    pub(crate) fn float(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn labels(&mut self, labels: &Labels) {
        self.count(labels.len());
        for (name, value) in labels {
            self.text(name);
            self.text(value);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }

    pub(crate) fn mark(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// How many elements follow. Each takes a byte at least, so a count beyond the bytes that are left is refused
    /// before anything is allocated for it.
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(DecodeError::Truncated)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.mark()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Truncated)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).map_err(|_| DecodeError::Text)
    }

    pub(crate) fn shared_text(&mut self) -> Result<Arc<str>, DecodeError> {
        self.text().map(Arc::from)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, DecodeError> {
        let bytes = self.eight()?;
        Ok(Timestamp::from_millis(i64::from_le_bytes(bytes)))
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, DecodeError> {
        match self.mark()? {
            0 => Ok(None),
            1 => self.time().map(Some),
            mark => Err(DecodeError::Mark {
                what: "an optional time",
                mark,
            }),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f64, DecodeError> {
        let bytes = self.eight()?;
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn labels(&mut self) -> Result<Labels, DecodeError> {
        let count = self.count()?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            pairs.push((self.text()?, self.text()?));
        }
        Ok(Labels::from_pairs(pairs))
    }

    fn eight(&mut self) -> Result<[u8; 8], DecodeError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
