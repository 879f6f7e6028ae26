//! One record as bytes.
//!
//! ```text
//! marker u8 | kind u8 | tenant length u8 | payload length u32 | CRC-32 u32 | tenant | payload
//! ```
//! Numbers are little-endian. The checksum covers everything but the marker and itself.
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
pub(crate) fn push_frame(bytes: &mut Vec<u8>, record: &Record<'_>) {
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
    let checksum = checksum(&bytes[start..]);
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
pub(crate) fn read_frame(bytes: &[u8]) -> Result<(Frame<'_>, usize), FrameFault> {
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
    if checksum(whole) != stored {
        return Err(FrameFault::Checksum);
    }
    let frame = Frame {
        kind: header[1],
        tenant,
        payload: payload_at..end,
    };
    Ok((frame, end))
}

/// Where the next sound frame begins after `from`. The search sums at most a few times the length of `bytes`,
/// so that hostile or unlucky bytes cannot make it quadratic; past that nothing is found.
pub(crate) fn find_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let mut budget = bytes.len().saturating_mul(8);
    let mut at = from;
    while at < bytes.len() {
        at += bytes[at..].iter().position(|byte| *byte == MARKER)?;
        match read_frame(&bytes[at..]) {
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

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&frame[1..CHECKSUM_AT]);
    hasher.update(&frame[FRAME_HEADER_BYTES..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use model::TenantId;

    use super::{FrameFault, Record, find_frame, push_frame, read_frame};

    fn frame(tenant: &str, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let tenant = TenantId::parse(tenant).unwrap();
        push_frame(
            &mut bytes,
            &Record {
                tenant: &tenant,
                kind,
                payload,
            },
        );
        bytes
    }

    /// What the first release wrote: it must stay readable.
    #[test]
    fn the_bytes_of_version_1() {
        let bytes = frame("team-1", 2, b"abc");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "a70206030000007c1e112d7465616d2d31616263");
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let sound = frame("team-1", 2, b"some payload");
        let (found, length) = read_frame(&sound).unwrap();
        assert_eq!(
            (found.tenant, found.kind, length),
            ("team-1", 2, sound.len())
        );
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                assert!(read_frame(&bytes).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..sound.len() {
            assert_eq!(read_frame(&sound[..length]).err(), Some(FrameFault::Cut));
        }
    }

    #[test]
    fn the_next_sound_frame_is_found_behind_noise() {
        let mut bytes = vec![0xa7; 40];
        bytes.extend(frame("a", 1, b"x"));
        assert_eq!(find_frame(&bytes, 0), Some(40));
        assert_eq!(find_frame(&bytes, 41), None);
    }
}
