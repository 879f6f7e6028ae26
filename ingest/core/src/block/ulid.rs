//! The names of blocks: a time in milliseconds and 80 random bits, in Crockford's base 32, so that they sort by time.
use std::fmt;

use model::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

impl Ulid {
    /// Of its text.
    pub(crate) const CHARS: usize = 26;

    /// `random` of which 80 bits count.
    #[must_use]
    pub fn new(at: Timestamp, random: u128) -> Self {
        let millis = at.as_millis().clamp(0, (1 << 48) - 1) as u128;
        Self(millis << 80 | random & ((1 << 80) - 1))
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::CHARS {
            return None;
        }
        let mut value = 0_u128;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|known| *known == byte)?;
            // 26 characters hold 130 bits.
            if index == 0 && digit > 7 {
                return None;
            }
            value = value << 5 | digit as u128;
        }
        Some(Self(value))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..Self::CHARS)
            .rev()
            .map(|place| char::from(ALPHABET[(self.0 >> (5 * place) & 31) as usize]))
            .collect();
        formatter.write_str(&text)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::Ulid;

    #[test]
    fn text_and_number_are_the_same() {
        // The time of the example in ULID's specification.
        let ulid = Ulid::new(Timestamp::from_millis(1_469_918_176_385), u128::MAX);
        assert_eq!(ulid.to_string(), "01ARYZ6S41ZZZZZZZZZZZZZZZZ");
        assert_eq!(Ulid::parse("01ARYZ6S41ZZZZZZZZZZZZZZZZ"), Some(ulid));
        for text in [
            "",
            "01ARYZ6S41ZZZZZZZZZZZZZZZ",
            "81ARYZ6S41ZZZZZZZZZZZZZZZZ",
            "01ARYZ6S41ZZZZZZZZZZZZZZZU",
            "01aryz6s41zzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(Ulid::parse(text), None, "{text}");
        }
    }
}
