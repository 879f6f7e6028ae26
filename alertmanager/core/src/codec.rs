//! The bytes of stored records: little-endian numbers, lengths before texts and lists.
use model::{Labels, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("record ends too early")]
    Short,
    #[error("record has {0} bytes too many")]
    Long(usize),
    #[error("text is not UTF-8")]
    Text,
    #[error("unknown tag {0}")]
    Tag(u8),
    #[error("record format {0} is of a newer release")]
    Version(u8),
    #[error("matcher does not compile")]
    Matcher,
}

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn integer(&mut self, integer: i64) {
        self.0.extend_from_slice(&integer.to_le_bytes());
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.integer(time.as_millis());
    }

    /// Seven bits a byte, lowest first.
    pub(crate) fn length(&mut self, length: usize) {
        let mut rest = length as u64;
        while rest >= 0x80 {
            self.0.push((rest as u8) | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn labels(&mut self, labels: &Labels) {
        self.length(labels.len());
        for (name, value) in labels {
            self.text(name);
            self.text(value);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        match self.0.len() {
            0 => Ok(()),
            rest => Err(CodecError::Long(rest)),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take::<1>()?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, CodecError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn integer(&mut self) -> Result<i64, CodecError> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, CodecError> {
        self.integer().map(Timestamp::from_millis)
    }

    /// Never more than the bytes that are left, so that a broken length cannot ask for memory.
    pub(crate) fn length(&mut self) -> Result<usize, CodecError> {
        let mut length = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= self.0.len())
                    .ok_or(CodecError::Short);
            }
        }
        Err(CodecError::Short)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| CodecError::Text)
    }

    pub(crate) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let length = self.length()?;
        (0..length).map(|_| element(self)).collect()
    }

    pub(crate) fn labels(&mut self) -> Result<Labels, CodecError> {
        let pairs = self.list(|reader| Ok((reader.text()?, reader.text()?)))?;
        Ok(Labels::from_pairs(pairs))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }
}
