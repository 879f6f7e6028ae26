//! A stream of bits, most significant first, as Prometheus' chunks are written.

const GROWTH_SHARE: usize = 4;
/// Memory is given out in sizes that lie at least so far apart.
const GROWTH_STEP: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not taken yet.
    free: u32,
}

impl BitWriter {
    pub(crate) fn with_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lowest `count` bits of `bits`, of which there are at most 64.
    #[inline]
    pub(crate) fn push(&mut self, bits: u64, count: u32) {
        if count == 0 {
            return;
        }
        let mut left = count;
        // To the top, so that what is next is always what is highest.
        let mut bits = bits << (64 - count);
        if self.free > 0 {
            let taken = self.free.min(left);
            let part = (bits >> (64 - self.free)) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= part;
            }
            bits = bits.checked_shl(taken).unwrap_or(0);
            left -= taken;
            self.free -= taken;
        }
        if left > 0 {
            let whole = left.div_ceil(8);
            self.make_room(whole as usize);
            self.bytes
                .extend_from_slice(&bits.to_be_bytes()[..whole as usize]);
            self.free = whole * 8 - left;
        }
    }

    /// Grows by a quarter instead of to the double: there are as many of these as there are series, and what they have
    /// too much is most of what is held in vain.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.capacity() - self.bytes.len() < bytes {
            let more = (self.bytes.len() / GROWTH_SHARE).max(bytes);
            self.bytes.reserve_exact(more.next_multiple_of(GROWTH_STEP));
        }
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(u64::from(*byte), 8);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that are read already.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// What comes next, as the highest bits, and how many of them are there: at least 57, or all that are left.
    #[inline]
    pub(crate) fn peek(&self) -> (u64, u32) {
        let byte = self.at / 8;
        let shift = (self.at % 8) as u32;
        if let Some(window) = self.bytes.get(byte..).and_then(<[u8]>::first_chunk::<8>) {
            return (u64::from_be_bytes(*window) << shift, 64 - shift);
        }
        let mut window = [0; 8];
        let rest = self.bytes.get(byte..).unwrap_or_default();
        window[..rest.len()].copy_from_slice(rest);
        let there = (rest.len() as u32 * 8).saturating_sub(shift);
        (u64::from_be_bytes(window) << shift, there)
    }

    /// Goes on behind bits that [`BitReader::peek`] has shown.
    #[inline]
    pub(crate) fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// At most 64 bits, as the lowest of the answer.
    #[inline]
    pub(crate) fn bits(&mut self, count: u32) -> Option<u64> {
        if count == 0 {
            return Some(0);
        }
        let end = self.at + count as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let byte = self.at / 8;
        let shift = (self.at % 8) as u32;
        let value = match self.bytes.get(byte..byte + 8) {
            Some(window) => {
                let window = u64::from_be_bytes(window.try_into().ok()?);
                let high = window << shift;
                match self.bytes.get(byte + 8) {
                    Some(next) if shift > 0 => high | u64::from(*next) >> (8 - shift),
                    _ => high,
                }
            }
            None => {
                let mut window = [0; 8];
                let rest = &self.bytes[byte..];
                window[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(window) << shift
            }
        };
        self.at = end;
        Some(value >> (64 - count))
    }

    /// An unsigned varint whose bytes need not lie on byte borders.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for index in 0..10 {
            let byte = self.bits(8)?;
            value |= (byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BitReader, BitWriter};

    proptest! {
        #[test]
        fn what_is_pushed_is_read(parts in prop::collection::vec((any::<u64>(), 0..=64_u32), 0..40)) {
            let mut writer = BitWriter::default();
            let mut total = 0;
            for (bits, count) in &parts {
                writer.push(*bits, *count);
                total += *count as usize;
            }
            prop_assert_eq!(writer.bytes().len(), total.div_ceil(8));
            let mut reader = BitReader::new(writer.bytes());
            for (bits, count) in &parts {
                let expected = if *count == 0 { 0 } else { bits << (64 - count) >> (64 - count) };
                let (shown, there) = reader.peek();
                let left = total.div_ceil(8) * 8 - reader.at;
                prop_assert!(there as usize == left || there >= 57);
                if *count > 0 && *count <= there {
                    prop_assert_eq!(shown >> (64 - count), expected);
                }
                prop_assert_eq!(reader.bits(*count), Some(expected));
            }
            prop_assert_eq!(reader.at, total);
        }
    }
}
