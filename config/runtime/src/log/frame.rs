//! One record as bytes.
//!
//! ```text
//! marker u8 | kind u8 | tenant length u8 | payload length u32 | CRC-32 u32 | tenant | payload
//! ```
//! Numbers are little-endian. The checksum covers everything but the marker and itself, and begins with the key of the
//! log: payloads hold what senders say, byte for byte, and whoever does not know the key cannot put a frame into one
//! that would be taken for a record where the frame around it is torn or damaged.
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crc32fast::Hasher;
use model::TenantId;

/// A longer payload is refused when it is appended, and a longer length is damage when it is read.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

const MARKER: u8 = 0xa7;
const CHECKSUM_AT: usize = 7;
pub(crate) const FRAME_HEADER_BYTES: usize = 11;

/// What is appended: `kind` and `payload` mean what their owner says.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub tenant: &'a TenantId,
    pub kind: u8,
    pub payload: &'a [u8],
}

/// What the checksums of frames begin with. It is in the log's own files and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameKey(u32);

impl FrameKey {
    /// Of segments of version 1, and of files in which no frame is ever searched for.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn random() -> Self {
        let [a, b, c, d, ..] = RandomState::new().hash_one(MARKER).to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]).max(1))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }

    pub(crate) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// A frame found at the beginning of some bytes.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) tenant: &'a str,
    /// Where the payload lies, from the frame's beginning.
    pub(crate) payload: std::ops::Range<usize>,
}

/// Why no frame stands where one should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// The bytes end before the frame does.
    Cut,
    Marker,
    Length,
    Tenant,
    Checksum,
}

impl FrameFault {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "frame is cut off",
            Self::Marker => "no frame begins here",
            Self::Length => "frame's length is beyond the limit",
            Self::Tenant => "frame names no valid tenant",
            Self::Checksum => "checksum differs",
        }
    }
}

/// Appends the frame of `record`, whose payload is at most [`PAYLOAD_BYTES_MAX`] long.
pub(crate) fn push_frame(bytes: &mut Vec<u8>, record: &Record<'_>, key: FrameKey) {
    let tenant = record.tenant.as_str().as_bytes();
    let tenant_length =
        u8::try_from(tenant.len()).expect("a tenant's identifier has at most 150 characters");
    let payload_length =
        u32::try_from(record.payload.len()).expect("the payload's length was checked before");
    let start = bytes.len();
    bytes.reserve(FRAME_HEADER_BYTES + tenant.len() + record.payload.len());
    bytes.extend_from_slice(&[MARKER, record.kind, tenant_length]);
    bytes.extend_from_slice(&payload_length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(tenant);
    bytes.extend_from_slice(record.payload);
    let checksum = checksum(&bytes[start..], key);
    bytes[start + CHECKSUM_AT..start + FRAME_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// The whole length of the frame that begins with this header.
pub(crate) fn frame_length(header: &[u8]) -> Result<usize, FrameFault> {
    let header = header.get(..FRAME_HEADER_BYTES).ok_or(FrameFault::Cut)?;
    if header[0] != MARKER {
        return Err(FrameFault::Marker);
    }
    let tenant_length = usize::from(header[2]);
    let payload_length = u32::from_le_bytes([header[3], header[4], header[5], header[6]]) as usize;
    if payload_length > PAYLOAD_BYTES_MAX {
        return Err(FrameFault::Length);
    }
    Ok(FRAME_HEADER_BYTES + tenant_length + payload_length)
}

/// The frame that begins at `bytes[0]`, and its whole length.
pub(crate) fn read_frame(bytes: &[u8], key: FrameKey) -> Result<(Frame<'_>, usize), FrameFault> {
    let end = frame_length(bytes)?;
    let header = &bytes[..FRAME_HEADER_BYTES];
    let payload_at = FRAME_HEADER_BYTES + usize::from(header[2]);
    let tenant = bytes
        .get(FRAME_HEADER_BYTES..payload_at)
        .ok_or(FrameFault::Cut)?;
    let tenant = std::str::from_utf8(tenant).map_err(|_| FrameFault::Tenant)?;
    // Cheap and strict, so that the search for the next sound frame seldom has to sum a stretch of noise.
    TenantId::parse(tenant).map_err(|_| FrameFault::Tenant)?;
    let whole = bytes.get(..end).ok_or(FrameFault::Cut)?;
    let stored = u32::from_le_bytes([header[7], header[8], header[9], header[10]]);
    if checksum(whole, key) != stored {
        return Err(FrameFault::Checksum);
    }
    let frame = Frame {
        kind: header[1],
        tenant,
        payload: payload_at..end,
    };
    Ok((frame, end))
}

/// The one key under which the frame at the beginning of `bytes` is sound, whatever it holds: the checksum is a linear
/// function of the key, and turned round here. That the frame is one is for others to say, such as the one behind it.
pub(crate) fn implied_key(bytes: &[u8]) -> Option<FrameKey> {
    let whole = bytes.get(..frame_length(bytes).ok()?)?;
    let stored = u32::from_le_bytes([whole[7], whole[8], whole[9], whole[10]]);
    let mut summed = Hasher::new();
    summed.update(&whole[1..CHECKSUM_AT]);
    summed.update(&whole[FRAME_HEADER_BYTES..]);
    let of_none = summed.clone().finalize();
    // Rows of one leading bit each: what a sum of key bits makes of the checksum, and that sum.
    let mut rows: Vec<(u32, u32)> = Vec::with_capacity(32);
    let reduced = |rows: &[(u32, u32)], mut image: u32, mut bits: u32| {
        for (row, row_bits) in rows {
            if image ^ row < image {
                image ^= row;
                bits ^= row_bits;
            }
        }
        (image, bits)
    };
    for bit in (0..32).map(|place| 1_u32 << place) {
        let mut keyed = Hasher::new_with_initial(bit);
        keyed.combine(&summed);
        let row = reduced(&rows, keyed.finalize() ^ of_none, bit);
        rows.push(row);
        rows.sort_unstable_by(|one, other| other.cmp(one));
    }
    let (left, key) = reduced(&rows, stored ^ of_none, 0);
    (left == 0).then_some(FrameKey(key))
}

/// Where the next sound frame begins behind the broken one at `at`: directly behind it by its own word, or found by a
/// search from `search_from` on. A flipped bit in a payload leaves the length as it was, so that what the payload
/// holds is not looked at.
///
/// Without a key a search takes any frame that a sender has put into a payload for one of the log's own. That happens
/// where a segment of version 1 is torn, or where its damage reaches a length or two frames on end: nothing in its
/// bytes tells the two apart.
pub(crate) fn find_behind(
    bytes: &[u8],
    at: usize,
    search_from: usize,
    key: FrameKey,
) -> Option<usize> {
    let length = bytes.get(at..).map(frame_length);
    if let Some(Ok(length)) = length {
        let behind = at + length;
        if behind == bytes.len() {
            return None;
        }
        if bytes
            .get(behind..)
            .is_some_and(|rest| read_frame(rest, key).is_ok())
        {
            return Some(behind);
        }
    }
    find_frame(bytes, search_from, key)
}

/// Where the next sound frame begins from `from` on. The search sums at most a few times the length of `bytes`,
/// so that hostile or unlucky bytes cannot make it quadratic; past that nothing is found.
fn find_frame(bytes: &[u8], from: usize, key: FrameKey) -> Option<usize> {
    let mut budget = bytes.len().saturating_mul(8);
    let mut at = from;
    while at < bytes.len() {
        at += bytes[at..].iter().position(|byte| *byte == MARKER)?;
        match read_frame(&bytes[at..], key) {
            Ok(_) => return Some(at),
            Err(FrameFault::Checksum) => {
                let length = u32::from_le_bytes([
                    bytes[at + 3],
                    bytes[at + 4],
                    bytes[at + 5],
                    bytes[at + 6],
                ]);
                budget = budget.checked_sub(length as usize)?;
            }
            Err(FrameFault::Cut | FrameFault::Length | FrameFault::Marker | FrameFault::Tenant) => {
            }
        }
        at += 1;
    }
    None
}

fn checksum(frame: &[u8], key: FrameKey) -> u32 {
    let mut hasher = Hasher::new_with_initial(key.0);
    hasher.update(&frame[1..CHECKSUM_AT]);
    hasher.update(&frame[FRAME_HEADER_BYTES..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use model::TenantId;

    use super::{
        FrameFault, FrameKey, Record, find_behind, find_frame, implied_key, push_frame, read_frame,
    };

    const KEY: FrameKey = FrameKey(0x1234_5678);

    fn frame(tenant: &str, kind: u8, payload: &[u8], key: FrameKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        let tenant = TenantId::parse(tenant).unwrap();
        push_frame(
            &mut bytes,
            &Record {
                tenant: &tenant,
                kind,
                payload,
            },
            key,
        );
        bytes
    }

    /// What the first release wrote: it must stay readable.
    #[test]
    fn the_bytes_of_version_1() {
        let bytes = frame("team-1", 2, b"abc", FrameKey::NONE);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "a70206030000007c1e112d7465616d2d31616263");
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let sound = frame("team-1", 2, b"some payload", KEY);
        let (found, length) = read_frame(&sound, KEY).unwrap();
        assert_eq!(
            (found.tenant, found.kind, length),
            ("team-1", 2, sound.len())
        );
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                assert!(read_frame(&bytes, KEY).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..sound.len() {
            assert_eq!(
                read_frame(&sound[..length], KEY).err(),
                Some(FrameFault::Cut)
            );
        }
        let without = read_frame(&sound, FrameKey::NONE);
        assert_eq!(without.err(), Some(FrameFault::Checksum));
    }

    #[test]
    fn a_frame_implies_its_key() {
        for payload in [&b""[..], b"x", &[0xa7; 100_000]] {
            for key in [KEY, FrameKey(1), FrameKey(u32::MAX), FrameKey::random()] {
                let bytes = [frame("team-1", 2, payload, key), vec![1, 2, 3]].concat();
                assert_eq!(implied_key(&bytes), Some(key));
                let mut damaged = bytes.clone();
                damaged[12] ^= 1;
                assert_ne!(implied_key(&damaged), Some(key));
                assert_eq!(implied_key(&bytes[..bytes.len() - 4]), None);
            }
        }
        assert_eq!(implied_key(b"none"), None);
    }

    #[test]
    fn the_next_sound_frame_is_found_behind_noise() {
        let mut bytes = vec![0xa7; 40];
        bytes.extend(frame("a", 1, b"x", KEY));
        assert_eq!(find_frame(&bytes, 0, KEY), Some(40));
        assert_eq!(find_frame(&bytes, 0, FrameKey::NONE), None);
        assert_eq!(find_frame(&bytes, 41, KEY), None);
    }

    /// Each row: what stands behind a frame whose payload, which holds a frame, is damaged, and whether the inner one
    /// is passed over without a key.
    #[test]
    fn what_a_payload_holds_is_passed_over_as_far_as_the_bytes_tell() {
        for (key, inner_key) in [(KEY, FrameKey::NONE), (FrameKey::NONE, FrameKey::NONE)] {
            let inner = frame("victim", 1, b"x", inner_key);
            let mut outer = frame("a", 1, &inner, key);
            let last = outer.len() - 1 - inner.len();
            outer[last] ^= 1;
            let next = frame("b", 1, b"y", key);
            for (behind, passed_over) in [
                (vec![next.clone()], true),
                (vec![], true),
                (vec![vec![0; 5], next.clone()], false),
                (vec![next[..next.len() - 1].to_vec()], false),
            ] {
                let bytes = [outer.clone(), behind.concat()].concat();
                let found = find_behind(&bytes, 0, 1, key);
                let at_inner = found.is_some_and(|found| found < outer.len());
                let inside = key == inner_key && !passed_over;
                assert_eq!(at_inner, inside, "{behind:?}");
                let expected = behind.contains(&next).then(|| bytes.len() - next.len());
                if !inside {
                    assert_eq!(found, expected, "{behind:?}");
                }
            }
        }
    }
}
