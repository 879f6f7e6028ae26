//! Integers in as many bits as they need, as Prometheus' histogram chunks have them.
//!
//! ```text
//! 0 | 10 and 3 bits | 110 and 6 | 1110 and 9 | 11110 and 12 | 111110 and 18 | 1111110 and 25 | 11111110 and 56 | 11111111 and 64
//! ```
use crate::bits::{BitReader, BitWriter};

/// The widths that a prefix of as many ones and a zero announces; the last has no zero.
const WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];

pub(crate) fn push_unsigned(writer: &mut BitWriter, value: u64) {
    if value == 0 {
        writer.push(0, 1);
        return;
    }
    push_prefixed(writer, value, |width| {
        value.leading_zeros() >= 64_u32.saturating_sub(width)
    });
}

/// The ranges are one off two's complement: 2^(width−1) itself is positive.
pub(crate) fn push_signed(writer: &mut BitWriter, value: i64) {
    if value == 0 {
        writer.push(0, 1);
        return;
    }
    push_prefixed(writer, value as u64, |width| {
        width == 64 || {
            let half = 1_i64 << (width - 1);
            -half < value && value <= half
        }
    });
}

fn push_prefixed(writer: &mut BitWriter, bits: u64, fits: impl Fn(u32) -> bool) {
    let step = WIDTHS
        .iter()
        .position(|width| fits(*width))
        .unwrap_or(WIDTHS.len() - 1);
    let ones = step as u32 + 1;
    if step == WIDTHS.len() - 1 {
        writer.push(0xff, 8);
    } else {
        writer.push(((1 << ones) - 1) << 1, ones + 1);
    }
    writer.push(bits, WIDTHS[step]);
}

/// The bits and their width.
fn read_prefixed(reader: &mut BitReader<'_>) -> Option<(u64, u32)> {
    let mut width = 0;
    for step in WIDTHS {
        if !reader.bit()? {
            break;
        }
        width = step;
    }
    Some((reader.bits(width)?, width))
}

pub(crate) fn read_unsigned(reader: &mut BitReader<'_>) -> Option<u64> {
    read_prefixed(reader).map(|(bits, _)| bits)
}

pub(crate) fn read_signed(reader: &mut BitReader<'_>) -> Option<i64> {
    let (bits, width) = read_prefixed(reader)?;
    let value = bits as i64;
    Some(if width > 0 && width < 64 && value > 1 << (width - 1) {
        value - (1 << width)
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{push_signed, push_unsigned, read_signed, read_unsigned};
    use crate::bits::{BitReader, BitWriter};

    fn bits_of(push: impl Fn(&mut BitWriter)) -> (Vec<u8>, usize) {
        let mut writer = BitWriter::default();
        push(&mut writer);
        // Up to the end of the last byte ones are pushed, to see where the value ended.
        let mut length = writer.bytes().len() * 8;
        let before = writer.bytes().len();
        while writer.bytes().len() == before {
            writer.push(1, 1);
            length -= 1;
        }
        (writer.bytes().to_vec(), length + 1)
    }

    #[test]
    fn small_numbers_take_few_bits() {
        for (value, signed, unsigned) in [
            (0, 1, 1),
            (1, 5, 5),
            (4, 5, 5),
            (5, 9, 5),
            (8, 9, 9),
            (32, 9, 9),
            (33, 13, 9),
            (-3, 5, 72),
            (-4, 9, 72),
        ] {
            let got = bits_of(|writer| push_signed(writer, value)).1;
            assert_eq!(got, signed, "{value}");
            let got = bits_of(|writer| push_unsigned(writer, value as u64)).1;
            assert_eq!(got, unsigned, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read(values in prop::collection::vec(
            (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift),
            0..50,
        )) {
            let mut writer = BitWriter::default();
            for value in &values {
                push_signed(&mut writer, *value);
                push_unsigned(&mut writer, *value as u64);
            }
            let mut reader = BitReader::new(writer.bytes());
            for value in &values {
                prop_assert_eq!(read_signed(&mut reader), Some(*value));
                prop_assert_eq!(read_unsigned(&mut reader), Some(*value as u64));
            }
        }
    }
}
