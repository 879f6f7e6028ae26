//! CRC-32 with Castagnoli's polynomial, which Prometheus' files carry: eight bytes at a step by tables.

const POLYNOMIAL: u32 = 0x82f6_3b78;
const TABLES: [[u32; 256]; 8] = tables();

/// A sum that grows with what is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Castagnoli(u32);

pub(crate) fn castagnoli(bytes: &[u8]) -> u32 {
    let mut sum = Castagnoli::default();
    sum.update(bytes);
    sum.value()
}

impl Castagnoli {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut state = !self.0;
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            let low = state ^ u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]);
            let [b0, b1, b2, b3] = low.to_le_bytes();
            state = TABLES[7][b0 as usize]
                ^ TABLES[6][b1 as usize]
                ^ TABLES[5][b2 as usize]
                ^ TABLES[4][b3 as usize]
                ^ TABLES[3][eight[4] as usize]
                ^ TABLES[2][eight[5] as usize]
                ^ TABLES[1][eight[6] as usize]
                ^ TABLES[0][eight[7] as usize];
        }
        for byte in rest {
            state = TABLES[0][usize::from(state as u8 ^ byte)] ^ state >> 8;
        }
        self.0 = !state;
    }

    pub(crate) fn value(self) -> u32 {
        self.0
    }
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 {
                state >> 1 ^ POLYNOMIAL
            } else {
                state >> 1
            };
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::{Castagnoli, castagnoli};

    /// The first is the check value of CRC catalogues, the others are from RFC 3720, B.4.
    #[test]
    fn the_sums_are_the_published_ones() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, sum) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[], 0),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
        ] {
            assert_eq!(castagnoli(bytes), sum, "{bytes:?}");
        }
    }

    #[test]
    fn parts_sum_up_to_the_whole() {
        let bytes: Vec<u8> = (0..100).collect();
        for cut in 0..100 {
            let mut sum = Castagnoli::default();
            sum.update(&bytes[..cut]);
            sum.update(&bytes[cut..]);
            assert_eq!(sum.value(), castagnoli(&bytes), "cut at {cut}");
        }
    }
}
