//! Values written as what changed in their bits since the one before (Gorilla's compression, as Prometheus writes it).
//!
//! ```text
//! 0 | 10 and the bits of the window before | 11, leading zeros (5), significant bits (6; 0 means 64), the bits
//! ```
use crate::bits::{BitReader, BitWriter};

/// Leading zeros are written in 5 bits.
const LEADING_MAX: u32 = 31;
const NO_WINDOW: u32 = u32::MAX;
/// Two bits that say that a new window follows, and the window.
const HEAD_BITS: u32 = 2 + 5 + 6;

/// What the next value is written relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XorValue {
    pub(crate) bits: u64,
    leading: u32,
    trailing: u32,
}

impl XorValue {
    pub(crate) const fn starting_at(bits: u64) -> Self {
        Self {
            bits,
            leading: NO_WINDOW,
            trailing: 0,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, writer: &mut BitWriter, bits: u64) {
        let difference = bits ^ self.bits;
        self.bits = bits;
        if difference == 0 {
            writer.push(0, 1);
            return;
        }
        let leading = difference.leading_zeros().min(LEADING_MAX);
        let trailing = difference.trailing_zeros();
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            let significant = 64 - self.leading - self.trailing;
            writer.push(0b10, 2);
            writer.push(difference >> self.trailing, significant);
            return;
        }
        self.leading = leading;
        self.trailing = trailing;
        let significant = 64 - leading - trailing;
        let head = 0b11 << (HEAD_BITS - 2) | u64::from(leading) << 6 | u64::from(significant & 63);
        writer.push(head, HEAD_BITS);
        writer.push(difference >> trailing, significant);
    }

    #[inline]
    pub(crate) fn read(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        let (shown, there) = reader.peek();
        let is_other = shown >> 63 != 0;
        let is_new_window = shown >> 62 == 0b11;
        let head = match (is_other, is_new_window) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => HEAD_BITS,
        };
        if there < head {
            return None;
        }
        if !is_other {
            reader.skip(head);
            return Some(());
        }
        if is_new_window {
            let window = (shown >> (64 - HEAD_BITS)) as u32;
            let significant = match window & 63 {
                0 => 64,
                some => some,
            };
            self.leading = window >> 6 & 31;
            self.trailing = 64_u32.checked_sub(self.leading)?.checked_sub(significant)?;
        } else if self.leading == NO_WINDOW {
            return None;
        }
        let significant = 64 - self.leading - self.trailing;
        let difference = if head + significant <= there {
            reader.skip(head + significant);
            shown << head >> (64 - significant)
        } else {
            reader.skip(head);
            reader.bits(significant)?
        };
        self.bits ^= difference << self.trailing;
        Some(())
    }
}
