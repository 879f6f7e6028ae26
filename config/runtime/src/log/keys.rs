//! Which key the frames of a segment have.
//!
//! A segment's own header says so. Where that is damaged it must not be guessed: taken for one of version 1, a segment
//! would hand out as records what senders have put into payloads. Versions never go back, so that one number tells
//! which segments have no key. The key itself is in every header and in the log's list; where all of these are damaged
//! its frames still tell it, if the first two of them are sound.
use std::path::Path;

use crate::log::extent::{Keyed, StoredExtent};
use crate::log::frame::{FrameKey, implied_key, read_frame};
use crate::log::open::OpenError;
use crate::log::segment::{
    KEYED_VERSION, SegmentHeader, SegmentNumber, VERSION, header_bytes, read_start, segment_path,
};

/// The keys of all segments of one log.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    /// Of new segments, and of those whose header is damaged.
    pub(crate) key: FrameKey,
    /// The log had it already.
    is_known: bool,
    /// The segments before this one are of version 1.
    keyed_from: SegmentNumber,
}

/// How one segment is read.
pub(crate) struct SegmentForm {
    pub(crate) header_bytes: usize,
    pub(crate) is_header_sound: bool,
    pub(crate) key: FrameKey,
    /// Where it is not, none of its frames can be told from noise.
    pub(crate) is_key_known: bool,
}

impl Keys {
    /// Of the log of the segments `found`, ascending; with a new key where there was none.
    pub(crate) fn of(
        folder: &Path,
        found: &[SegmentNumber],
        stored: Option<StoredExtent>,
    ) -> Result<Self, OpenError> {
        let mut newest_key = None;
        let mut last_plain = None;
        let mut first_keyed = None;
        for number in found {
            let path = segment_path(folder, *number);
            let start = match read_start(&path) {
                Ok(start) => start,
                Err(source) => return Err(OpenError::Io { path, source }),
            };
            match SegmentHeader::version_of(&start) {
                Some(version) if version > VERSION => {
                    return Err(OpenError::NewerVersion { path, version });
                }
                Some(version) if version < KEYED_VERSION => last_plain = Some(*number),
                Some(_) => {
                    first_keyed.get_or_insert(*number);
                    let header = SegmentHeader::from_bytes(&start);
                    newest_key = header.map(|header| header.key).or(newest_key);
                }
                // A damaged header is for the replay to report.
                None => {}
            }
        }
        let kept = stored.and_then(|stored| stored.keyed);
        let keyed_from = match (kept, first_keyed) {
            (Some(kept), _) => kept.from,
            (None, first_keyed) => {
                let listed = stored.map(|stored| stored.extent.newest);
                let mut unclear = found.iter().copied().filter(|number| {
                    last_plain.is_none_or(|last| *number > last)
                        && first_keyed.is_none_or(|first| *number < first)
                });
                let keyed = unclear.find(|number| {
                    listed.is_none_or(|listed| *number > listed)
                        && !begins_without_key(&segment_path(folder, *number))
                });
                keyed.or(first_keyed).unwrap_or(SegmentNumber(u64::MAX))
            }
        };
        let of_frames = || {
            let mut keyed = found.iter().filter(|number| **number >= keyed_from);
            keyed.find_map(|number| key_of_frames(&segment_path(folder, *number)))
        };
        let known = newest_key
            .or(kept.map(|keyed| keyed.key))
            .or_else(of_frames);
        Ok(Self {
            key: known.unwrap_or_else(FrameKey::random),
            is_known: known.is_some(),
            keyed_from,
        })
    }

    /// What the extent file keeps, where `next` is the number of the next segment.
    pub(crate) fn keyed(&self, next: SegmentNumber) -> Keyed {
        Keyed {
            key: self.key,
            from: self.keyed_from.min(next),
        }
    }

    pub(crate) fn form(&self, number: SegmentNumber, bytes: &[u8]) -> SegmentForm {
        match SegmentHeader::from_bytes(bytes) {
            Some(header) => SegmentForm {
                header_bytes: header_bytes(header.version),
                is_header_sound: true,
                key: header.key,
                is_key_known: true,
            },
            None if number < self.keyed_from => SegmentForm {
                header_bytes: header_bytes(1),
                is_header_sound: false,
                key: FrameKey::NONE,
                is_key_known: true,
            },
            None => SegmentForm {
                header_bytes: header_bytes(VERSION),
                is_header_sound: false,
                key: self.key,
                is_key_known: self.is_known,
            },
        }
    }
}

/// The key of a segment whose header is damaged, where nothing else has it: what stands in the header, if the first frame
/// is sound under it, or else the one that makes the first frame sound, if the one behind it is so too. No sender can
/// have made a frame that is sound under a key which follows from a checksum that he has not seen.
fn key_of_frames(path: &Path) -> Option<FrameKey> {
    let bytes = std::fs::read(path).ok()?;
    let (header, frames) = bytes.split_at_checked(header_bytes(VERSION))?;
    let in_header = SegmentHeader::key_bytes(header)?;
    if in_header != FrameKey::NONE && read_frame(frames, in_header).is_ok() {
        return Some(in_header);
    }
    let implied = implied_key(frames).filter(|key| *key != FrameKey::NONE)?;
    let (_, length) = read_frame(frames, implied).ok()?;
    read_frame(&frames[length..], implied).ok()?;
    Some(implied)
}

/// No sender has a say in what stands there in a segment with a key: it is the end of the header. A segment that
/// cannot be read is read as one with a key.
fn begins_without_key(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| {
        let first = bytes.get(header_bytes(1)..);
        first.is_some_and(|first| read_frame(first, FrameKey::NONE).is_ok())
    })
}
