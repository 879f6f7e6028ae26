//! Reading a log back.
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use model::TenantId;

use crate::log::frame::{FrameKey, find_behind, read_frame};
use crate::log::keys::{Keys, SegmentForm};
use crate::log::segment::{SegmentHeader, SegmentNumber, read_start, segment_path};

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub tenant: TenantId,
    pub kind: u8,
    pub payload: Bytes,
    pub segment: SegmentNumber,
}

/// What is wrong at one place of the log. Replay goes on behind it when it is asked for the next record.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{} is damaged at byte {offset}: {reason}, {bytes} bytes are unreadable", path.display())]
    Damaged {
        path: PathBuf,
        offset: u64,
        /// Up to the next sound frame, or to the end of the segment.
        bytes: u64,
        reason: &'static str,
    },
    #[error("{} cannot be read", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("segments {first} to {last} of the log are missing")]
    Missing {
        first: SegmentNumber,
        last: SegmentNumber,
    },
    #[error("{} has lost its end: {bytes} bytes behind byte {offset}", path.display())]
    Short {
        path: PathBuf,
        offset: u64,
        bytes: u64,
    },
}

/// Yields every sound record. An error stands where records are missing; the caller decides whether to go on.
pub struct Replay {
    folder: PathBuf,
    keys: Keys,
    segments: VecDeque<SegmentNumber>,
    /// What the next segment must be numbered.
    expected: Option<SegmentNumber>,
    /// All before this one must be there.
    end: Option<SegmentNumber>,
    reading: Option<Segment>,
    pending: VecDeque<ReplayError>,
    tenant: Option<TenantId>,
}

struct Segment {
    number: SegmentNumber,
    path: PathBuf,
    bytes: Bytes,
    key: FrameKey,
    at: usize,
}

impl Replay {
    /// Of the segments `found`, those from `from` on. There must have been all from `first` on and before `end`, as
    /// far as these are known.
    pub(crate) fn new(
        folder: &Path,
        keys: Keys,
        found: &[SegmentNumber],
        from: SegmentNumber,
        first: Option<SegmentNumber>,
        end: Option<SegmentNumber>,
    ) -> Self {
        let segments: VecDeque<_> = found
            .iter()
            .copied()
            .filter(|number| *number >= from)
            .collect();
        // Where the caller's snapshot covers the beginning, the log must begin where the snapshot ends.
        let by_snapshot = (from > SegmentNumber::FIRST && !segments.is_empty()).then_some(from);
        let expected = first.map(|first| first.max(from)).or(by_snapshot);
        Self {
            folder: folder.to_owned(),
            keys,
            segments,
            expected,
            end,
            reading: None,
            pending: VecDeque::new(),
            tenant: None,
        }
    }

    fn open_next(&mut self, number: SegmentNumber) {
        self.pending.extend(self.missing_before(number));
        self.expected = Some(number.next());
        let path = segment_path(&self.folder, number);
        let mut bytes = match std::fs::read(&path) {
            Ok(bytes) => Bytes::from(bytes),
            Err(source) => {
                self.pending.push_back(ReplayError::Io { path, source });
                return;
            }
        };
        if let Some(end) = self.end_by_next_header() {
            let length = bytes.len() as u64;
            if length < end {
                self.pending.push_back(ReplayError::Short {
                    path: path.clone(),
                    offset: length,
                    bytes: end - length,
                });
            }
            bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        }
        let form = self.keys.form(number, &bytes);
        let at = first_frame(&bytes, &form).unwrap_or(bytes.len());
        if !form.is_header_sound && at > 0 {
            self.pending.push_back(ReplayError::Damaged {
                path: path.clone(),
                offset: 0,
                bytes: at as u64,
                reason: "header is not that of a segment",
            });
        }
        self.reading = Some(Segment {
            number,
            path,
            bytes,
            key: form.key,
            at,
        });
    }

    fn missing_before(&self, number: SegmentNumber) -> Option<ReplayError> {
        let first = self.expected.filter(|expected| *expected < number)?;
        Some(ReplayError::Missing {
            first,
            last: SegmentNumber(number.0 - 1),
        })
    }

    /// What the segment after the one that is being opened says about where that one ends.
    fn end_by_next_header(&self) -> Option<u64> {
        let next = self.segments.front()?;
        let bytes = read_start(&segment_path(&self.folder, *next)).ok()?;
        SegmentHeader::from_bytes(&bytes)
            .filter(|header| Some(header.number) == self.expected)
            .and_then(|header| header.previous_end)
    }

    fn tenant(&mut self, id: &str) -> TenantId {
        match &self.tenant {
            Some(tenant) if tenant.as_str() == id => tenant.clone(),
            _ => {
                let tenant = TenantId::parse(id).expect("a frame's tenant was checked");
                self.tenant = Some(tenant.clone());
                tenant
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Replayed, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.pending.pop_front() {
                return Some(Err(error));
            }
            let Some(segment) = &mut self.reading else {
                let Some(number) = self.segments.pop_front() else {
                    let end = self.end.take()?;
                    return self.missing_before(end).map(Err);
                };
                self.open_next(number);
                continue;
            };
            if segment.at >= segment.bytes.len() {
                self.reading = None;
                continue;
            }
            let start = segment.at;
            match read_frame(&segment.bytes[start..], segment.key) {
                Ok((frame, length)) => {
                    segment.at += length;
                    let bytes = segment.bytes.clone();
                    let number = segment.number;
                    let payload =
                        bytes.slice(start + frame.payload.start..start + frame.payload.end);
                    let kind = frame.kind;
                    let id = frame.tenant.len();
                    let id_at = start + frame.payload.start - id;
                    let id = std::str::from_utf8(&bytes[id_at..id_at + id])
                        .expect("a frame's tenant was checked");
                    let tenant = self.tenant(id);
                    return Some(Ok(Replayed {
                        tenant,
                        kind,
                        payload,
                        segment: number,
                    }));
                }
                Err(fault) => {
                    let next = find_behind(&segment.bytes, start, start + 1, segment.key)
                        .unwrap_or(segment.bytes.len());
                    segment.at = next;
                    return Some(Err(ReplayError::Damaged {
                        path: segment.path.clone(),
                        offset: start as u64,
                        bytes: (next - start) as u64,
                        reason: fault.as_str(),
                    }));
                }
            }
        }
    }
}

/// Where the first frame stands, sound or not; behind a damaged header the first sound one.
fn first_frame(bytes: &[u8], form: &SegmentForm) -> Option<usize> {
    let at = form.header_bytes;
    let follows = bytes.get(at..);
    if form.is_header_sound || follows.is_some_and(|first| read_frame(first, form.key).is_ok()) {
        return Some(at);
    }
    find_behind(bytes, at, 0, form.key)
}

/// Where the last sound frame of the newest segment ends; behind it lies what a crash left half written.
pub(crate) fn sound_end(bytes: &[u8], form: &SegmentForm) -> usize {
    let Some(mut at) = first_frame(bytes, form) else {
        return 0;
    };
    loop {
        if let Ok((_, length)) = read_frame(&bytes[at..], form.key) {
            at += length;
            continue;
        }
        match find_behind(bytes, at, (at + 1).min(bytes.len()), form.key) {
            Some(next) => at = next,
            None => return at,
        }
    }
}
