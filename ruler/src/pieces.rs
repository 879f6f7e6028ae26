//! Alert state that is larger than one record of the log may be: written in pieces, read back as one.
//!
//! ```text
//! kind u8 | number of this piece u32 | pieces u32 | bytes
//! ```
//! A crash may leave the first of them. They are nothing without the others, so that the state before them stays.

/// Far below what the log takes as one record.
pub(crate) const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

const HEADER_BYTES: usize = 9;

/// `None` where the payload may stay whole.
pub(crate) fn cut(kind: u8, payload: &[u8], piece_bytes_max: usize) -> Option<Vec<Vec<u8>>> {
    if payload.len() <= piece_bytes_max {
        return None;
    }
    let pieces = payload.chunks(piece_bytes_max);
    let count = u32::try_from(pieces.len()).expect("nothing that fits the memory has so many");
    let with_header = |(number, bytes): (u32, &[u8])| {
        let mut piece = Vec::with_capacity(HEADER_BYTES + bytes.len());
        piece.push(kind);
        piece.extend_from_slice(&number.to_le_bytes());
        piece.extend_from_slice(&count.to_le_bytes());
        piece.extend_from_slice(bytes);
        piece
    };
    Some((0..).zip(pieces).map(with_header).collect())
}

/// One tenant's pieces while they are read back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    next: u32,
}

impl Pieces {
    /// Kind and payload, when the last piece has come.
    pub(crate) fn join(&mut self, piece: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (header, bytes) = piece.split_at_checked(HEADER_BYTES)?;
        let u32_at = |at: usize| {
            let four = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(four)
        };
        let (number, count) = (u32_at(1), u32_at(5));
        if number == 0 {
            *self = Self::default();
        }
        if number != self.next {
            *self = Self::default();
            return None;
        }
        self.next += 1;
        self.bytes.extend_from_slice(bytes);
        (self.next == count).then(|| (header[0], std::mem::take(self).bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pieces, cut};

    #[test]
    fn pieces_become_what_they_were_and_nothing_else() {
        assert_eq!(cut(7, b"abc", 3), None);
        let abcde = cut(7, b"abcde", 2).unwrap();
        assert_eq!(abcde.len(), 3);
        let other = cut(8, b"xyz", 2).unwrap();
        let whole = Some((7, b"abcde".to_vec()));
        let [a, b, c] = [&abcde[0], &abcde[1], &abcde[2]];
        let [x, y] = [&other[0], &other[1]];
        for (read, joined) in [
            (&[a, b, c][..], whole.clone()),
            // A crash left the first two; later the state was written again.
            (&[a, b, a, b, c], whole.clone()),
            (&[a, b, x, y], Some((8, b"xyz".to_vec()))),
            // One of them is damaged.
            (&[a, c, c], None),
            (&[b, c], None),
            (&[a, b, c, c], None),
            (&[a, b], None),
            (&[x, a, b, c], whole),
        ] {
            let mut pieces = Pieces::default();
            let mut last = None;
            for piece in read {
                last = pieces.join(piece);
            }
            assert_eq!(last, joined, "{read:?}");
        }
        assert_eq!(Pieces::default().join(b"short"), None);
    }
}
