//! A snapshot made of records: the state that a log would rebuild, and the segment from which the log goes on.
//!
//! ```text
//! magic 8 bytes | version u32 | covers u64 | CRC-32 u32 | frames … | last frame: kind 0, number of frames u64
//! ```
//! Frames are those of the log, without a key: none is ever searched for. The file is written aside and renamed, so that it is whole or not there; the
//! checksums and the last frame are for what happens to it later.
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use model::TenantId;

use crate::log::frame::{
    FRAME_HEADER_BYTES, FrameFault, FrameKey, PAYLOAD_BYTES_MAX, Record, frame_length, push_frame,
    read_frame,
};
use crate::log::segment::SegmentNumber;
use crate::log::snapshot::write_snapshot;

const MAGIC: &[u8; 8] = b"WATCHREC";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
/// The kind of the last frame; owners' kinds begin at 1.
const END: u8 = 0;
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum RecordsFileError {
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        path: PathBuf,
        offset: u64,
        reason: &'static str,
    },
    #[error("{} cannot be read", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} was written by a newer release (snapshot version {version}, this one reads up to {VERSION})",
        path.display()
    )]
    NewerVersion { path: PathBuf, version: u32 },
}

/// Puts `records` (kind from 1 on, payload) of one tenant into the file at `path`, which holds what was appended
/// to the log before segment `covers`. Answers the file's size. Blocks.
pub fn write_records(
    path: &Path,
    covers: SegmentNumber,
    tenant: &TenantId,
    records: impl Iterator<Item = (u8, Vec<u8>)>,
) -> io::Result<u64> {
    let mut size = 0;
    write_snapshot(path, |out| {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&covers.0.to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let mut count = 0_u64;
        let mut frame = Vec::new();
        let mut write = |out: &mut dyn Write, bytes: &[u8]| {
            size += bytes.len() as u64;
            out.write_all(bytes)
        };
        write(out, &header)?;
        for (kind, payload) in records {
            if payload.len() > PAYLOAD_BYTES_MAX {
                return Err(io::Error::other("a record of the snapshot is too large"));
            }
            frame.clear();
            push_frame(
                &mut frame,
                &Record {
                    tenant,
                    kind,
                    payload: &payload,
                },
                FrameKey::NONE,
            );
            write(out, &frame)?;
            count += 1;
        }
        frame.clear();
        push_frame(
            &mut frame,
            &Record {
                tenant,
                kind: END,
                payload: &count.to_le_bytes(),
            },
            FrameKey::NONE,
        );
        write(out, &frame)
    })?;
    Ok(size)
}

/// The records of a file, read one by one. After an error nothing more comes.
pub struct RecordsFile {
    path: PathBuf,
    /// From this segment on the log has what the file has not.
    pub covers: SegmentNumber,
    /// Of the file.
    pub bytes: u64,
    reader: Option<BufReader<File>>,
    offset: u64,
    count: u64,
    frame: Vec<u8>,
}

/// `None` where there is no such file. Blocks, and so does reading on.
pub fn read_records(path: &Path) -> Result<Option<RecordsFile>, RecordsFileError> {
    let io_error = |source| RecordsFileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(error)),
    };
    let bytes = file.metadata().map_err(io_error)?.len();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut header = [0; HEADER_BYTES];
    let damaged = |reason| RecordsFileError::Damaged {
        path: path.to_owned(),
        offset: 0,
        reason,
    };
    reader.read_exact(&mut header).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            damaged("header is cut off")
        } else {
            io_error(error)
        }
    })?;
    let checksum = crc32fast::hash(&header[..HEADER_BYTES - 4]).to_le_bytes();
    if &header[..8] != MAGIC || header[HEADER_BYTES - 4..] != checksum {
        return Err(damaged("header is not that of a snapshot"));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version > VERSION {
        return Err(RecordsFileError::NewerVersion {
            path: path.to_owned(),
            version,
        });
    }
    let mut covers = [0; 8];
    covers.copy_from_slice(&header[12..20]);
    Ok(Some(RecordsFile {
        path: path.to_owned(),
        covers: SegmentNumber(u64::from_le_bytes(covers)),
        bytes,
        reader: Some(reader),
        offset: HEADER_BYTES as u64,
        count: 0,
        frame: Vec::new(),
    }))
}

/// Why there is no next record.
enum Fault {
    Damaged(&'static str),
    /// What is there could not be read: another attempt may.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Damaged("file is cut off")
        } else {
            Self::Io(error)
        }
    }
}

impl RecordsFile {
    fn read(&mut self) -> Result<Option<(u8, Vec<u8>)>, Fault> {
        let reader = self
            .reader
            .as_mut()
            .ok_or(Fault::Damaged("file is not open"))?;
        self.frame.resize(FRAME_HEADER_BYTES, 0);
        reader.read_exact(&mut self.frame)?;
        let damaged = |fault: FrameFault| Fault::Damaged(fault.as_str());
        let length = frame_length(&self.frame).map_err(damaged)?;
        self.frame.resize(length, 0);
        reader.read_exact(&mut self.frame[FRAME_HEADER_BYTES..])?;
        let (frame, _) = read_frame(&self.frame, FrameKey::NONE).map_err(damaged)?;
        let payload = self.frame[frame.payload.clone()].to_vec();
        if frame.kind == END {
            return if payload == self.count.to_le_bytes() {
                Ok(None)
            } else {
                Err(Fault::Damaged("records are missing"))
            };
        }
        self.offset += length as u64;
        self.count += 1;
        Ok(Some((frame.kind, payload)))
    }
}

impl Iterator for RecordsFile {
    type Item = Result<(u8, Vec<u8>), RecordsFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.as_ref()?;
        match self.read() {
            Ok(Some(record)) => Some(Ok(record)),
            Ok(None) => {
                self.reader = None;
                None
            }
            Err(fault) => {
                self.reader = None;
                let path = self.path.clone();
                Some(Err(match fault {
                    Fault::Damaged(reason) => RecordsFileError::Damaged {
                        path,
                        offset: self.offset,
                        reason,
                    },
                    Fault::Io(source) => RecordsFileError::Io { path, source },
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use model::TenantId;

    use super::{RecordsFileError, read_records, write_records};
    use crate::log::segment::SegmentNumber;

    #[test]
    fn records_read_back_and_any_changed_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(read_records(&path).unwrap().is_none());
        let records = [(1, b"one".to_vec()), (2, vec![])];
        let tenant = TenantId::anonymous();
        let size = write_records(
            &path,
            SegmentNumber(7),
            &tenant,
            records.clone().into_iter(),
        )
        .unwrap();
        let sound = fs::read(&path).unwrap();
        assert_eq!(size, sound.len() as u64);
        let file = read_records(&path).unwrap().unwrap();
        assert_eq!(file.covers, SegmentNumber(7));
        assert_eq!(file.collect::<Result<Vec<_>, _>>().unwrap(), records);

        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_records(&path)?
                .into_iter()
                .flatten()
                .collect::<Result<Vec<_>, _>>()
        };
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            assert!(read(&bytes).is_err(), "byte {at}");
            assert!(read(&sound[..at]).is_err(), "cut at {at}");
        }
        let mut newer = sound;
        newer[8] = 2;
        let checksum = crc32fast::hash(&newer[..20]);
        newer[20..24].copy_from_slice(&checksum.to_le_bytes());
        assert!(matches!(
            read(&newer),
            Err(RecordsFileError::NewerVersion { version: 2, .. })
        ));
    }
}
