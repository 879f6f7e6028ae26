//! The wire form of protocol buffers, as much of it as messages of samples need: borrowed, bounded, one pass.

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("message ends in the middle of a field")]
    Cut,
    #[error("varint is longer than 64 bits")]
    Varint,
    #[error("field has the wrong wire type")]
    WireType,
    #[error("field number is 0")]
    FieldNumber,
}

pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const FIXED32: u8 = 5;

/// Reads fields from the front of a message.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field's number and wire type; its value comes next.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    pub(crate) field: u32,
    pub(crate) wire: u8,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Tag, WireError> {
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| WireError::Varint)?;
        if field == 0 {
            return Err(WireError::FieldNumber);
        }
        Ok(Tag {
            field,
            wire: (tag & 7) as u8,
        })
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(WireError::Varint);
            }
            value |= bits << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            WireError::Cut
        } else {
            WireError::Varint
        })
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, WireError> {
        let (byte, rest) = self.rest.split_first().ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Bytes that stand behind their length.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Cut)?;
        self.take(length)
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn skip(&mut self, wire: u8) -> Result<(), WireError> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.bytes().map(drop),
            FIXED32 => {
                let (_, rest) = self.rest.split_first_chunk::<4>().ok_or(WireError::Cut)?;
                self.rest = rest;
                Ok(())
            }
            // Groups (3, 4) were given up long ago; no message of ours has them.
            _ => Err(WireError::WireType),
        }
    }
}

/// Small numbers of either sign as small varints.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fields, WireError, unzigzag, zigzag};
    use model::protobuf::push_varint;

    #[test]
    fn refuses_what_is_no_varint() {
        for (bytes, error) in [
            (&[][..], WireError::Cut),
            (&[0x80], WireError::Cut),
            (&[0xff; 9], WireError::Cut),
            (&[0xff; 10], WireError::Varint),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                WireError::Varint,
            ),
        ] {
            assert_eq!(Fields::new(bytes).varint(), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn varints_read_back(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            push_varint(&mut bytes, zigzag(signed));
            let mut fields = Fields::new(&bytes);
            prop_assert_eq!(fields.varint(), Ok(value));
            prop_assert_eq!(fields.varint().map(unzigzag), Ok(signed));
            prop_assert!(fields.is_empty());
        }
    }
}
