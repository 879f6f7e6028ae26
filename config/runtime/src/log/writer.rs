//! Takes what waits in line and writes it, one write for all of it.
//!
//! A failed write leaves no half frame before good ones: the segment is cut back to its last whole record, and
//! where even that fails it is left behind and a new one is begun, whose header says where the old one ends.
//! Until that succeeds every write fails with its own error; the next one tries again.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{error, info};

use crate::log::frame::PAYLOAD_BYTES_MAX;
use crate::log::promise::Promise;
use crate::log::segment::{Disk, HEADER_BYTES, SegmentFile, SegmentHeader, SegmentNumber, VERSION};
use crate::trouble::Trouble;

/// Frames in line for the disk; past this an append is refused as [`AppendError::Overloaded`].
pub(crate) const QUEUED_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// A buffer that one large group has made larger than this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a power cut may take where nothing else is set.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// When records go from the kernel to the disk. Either way they survive `kill -9` once they are acknowledged;
/// the difference is a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before they are acknowledged: a power cut loses nothing that was acknowledged.
    Always,
    /// At this interval: a power cut loses at most what was acknowledged within it.
    Every(Duration),
}

impl SyncPolicy {
    /// Zero means before they are acknowledged.
    #[must_use]
    pub const fn within(interval: Duration) -> Self {
        if interval.is_zero() {
            Self::Always
        } else {
            Self::Every(interval)
        }
    }
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self::Every(SYNC_INTERVAL)
    }
}

/// Why records were not written. None of a failed call's records will be replayed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error("log is closed")]
    Closed,
    #[error("log has {queued} bytes waiting for the disk")]
    Overloaded { queued: usize },
    #[error("record has {bytes} bytes, more than {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("write to the log failed")]
    Write(#[source] Arc<io::Error>),
}

pub(crate) type Commit = Promise<Result<(), AppendError>>;
pub(crate) type Rotation = Promise<Result<SegmentNumber, AppendError>>;

enum Work {
    Write { bytes: Vec<u8>, commit: Arc<Commit> },
    Rotate(Arc<Rotation>),
}

#[derive(Default)]
struct Line {
    work: VecDeque<Work>,
    queued: usize,
    spare: Vec<u8>,
    /// Nothing more comes in; what waits is still written.
    closing: bool,
    /// The writer is done; the syncer syncs once more and ends.
    written: bool,
}

/// What the handles, the writer and the syncer share.
pub(crate) struct Shared {
    line: Mutex<Line>,
    /// Wakes the writer.
    changed: Condvar,
    /// Wakes the syncer before its interval is over.
    ended: Condvar,
    /// Written since the last sync.
    dirty: Mutex<Vec<Arc<dyn SegmentFile>>>,
    pub(crate) current: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) write_failures: AtomicU64,
    pub(crate) sync_failures: AtomicU64,
    writing: Trouble,
    syncing: Trouble,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::new(Line::default()),
            changed: Condvar::new(),
            ended: Condvar::new(),
            dirty: Mutex::new(Vec::new()),
            current: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            write_failures: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
            writing: Trouble::new(),
            syncing: Trouble::new(),
        }
    }

    /// Puts whole frames in line, behind all that was put there before.
    pub(crate) fn enqueue(&self, frames: &[u8]) -> Result<Arc<Commit>, AppendError> {
        let mut line = self.line.lock();
        if line.closing {
            return Err(AppendError::Closed);
        }
        // What is larger than the bound goes alone: else it could never be written.
        if line.queued > 0 && line.queued + frames.len() > QUEUED_BYTES_MAX {
            return Err(AppendError::Overloaded {
                queued: line.queued,
            });
        }
        line.queued += frames.len();
        if let Some(Work::Write { bytes, commit }) = line.work.back_mut() {
            bytes.extend_from_slice(frames);
            return Ok(Arc::clone(commit));
        }
        let mut bytes = std::mem::take(&mut line.spare);
        bytes.extend_from_slice(frames);
        let commit = Arc::new(Commit::new());
        line.work.push_back(Work::Write {
            bytes,
            commit: Arc::clone(&commit),
        });
        drop(line);
        self.changed.notify_one();
        Ok(commit)
    }

    pub(crate) fn request_rotation(&self) -> Result<Arc<Rotation>, AppendError> {
        let mut line = self.line.lock();
        if line.closing {
            return Err(AppendError::Closed);
        }
        let rotation = Arc::new(Rotation::new());
        line.work.push_back(Work::Rotate(Arc::clone(&rotation)));
        drop(line);
        self.changed.notify_one();
        Ok(rotation)
    }

    pub(crate) fn close(&self) {
        self.line.lock().closing = true;
        self.changed.notify_one();
    }

    fn next_work(&self) -> Option<Work> {
        let mut line = self.line.lock();
        loop {
            if let Some(work) = line.work.pop_front() {
                return Some(work);
            }
            if line.closing {
                line.written = true;
                self.ended.notify_one();
                return None;
            }
            self.changed.wait(&mut line);
        }
    }

    fn written(&self, mut bytes: Vec<u8>) {
        let mut line = self.line.lock();
        line.queued -= bytes.len();
        if bytes.capacity() <= SPARE_BYTES_MAX && bytes.capacity() > line.spare.capacity() {
            bytes.clear();
            line.spare = bytes;
        }
    }

    fn mark_dirty(&self, file: &Arc<dyn SegmentFile>) {
        let mut dirty = self.dirty.lock();
        if !dirty.iter().any(|known| Arc::ptr_eq(known, file)) {
            dirty.push(Arc::clone(file));
        }
    }

    fn sync_dirty(&self) {
        let files = std::mem::take(&mut *self.dirty.lock());
        for file in files {
            match file.sync() {
                Ok(()) => {
                    if let Some(left_out) = self.syncing.is_over() {
                        info!(left_out, "log is synced to the disk again");
                    }
                }
                Err(error) => {
                    self.sync_failures.fetch_add(1, Ordering::Relaxed);
                    if let Some(left_out) = self.syncing.happened() {
                        error!(%error, left_out, "log could not be synced to the disk");
                    }
                }
            }
        }
    }
}

/// Writes until the log is closed and nothing waits any more.
pub(crate) fn run_writer(shared: &Shared, mut tail: Tail) {
    while let Some(work) = shared.next_work() {
        match work {
            Work::Write { bytes, commit } => {
                let outcome = tail.write(&bytes, shared);
                let length = bytes.len() as u64;
                shared.written(bytes);
                match &outcome {
                    Ok(()) => {
                        shared.bytes_written.fetch_add(length, Ordering::Relaxed);
                        if let Some(left_out) = shared.writing.is_over() {
                            info!(left_out, "log is written again");
                        }
                    }
                    Err(error) => {
                        shared.write_failures.fetch_add(1, Ordering::Relaxed);
                        if let Some(left_out) = shared.writing.happened() {
                            error!(%error, segment = %tail.number, left_out, "log could not be written");
                        }
                    }
                }
                commit.fulfil(outcome.map_err(|error| AppendError::Write(Arc::new(error))));
            }
            Work::Rotate(rotation) => {
                let outcome = tail.rotate(shared);
                rotation.fulfil(outcome.map_err(|error| AppendError::Write(Arc::new(error))));
            }
        }
    }
}

/// Syncs at every interval what was written, beside the writer, so that nobody's answer waits for the disk.
pub(crate) fn run_syncer(shared: &Shared, interval: Duration) {
    loop {
        let mut line = shared.line.lock();
        if !line.written {
            shared.ended.wait_for(&mut line, interval);
        }
        let last = line.written;
        drop(line);
        shared.sync_dirty();
        if last {
            return;
        }
    }
}

/// The end of the log: the segment that is written to.
pub(crate) struct Tail {
    disk: Box<dyn Disk>,
    policy: SyncPolicy,
    segment_bytes_max: u64,
    number: SegmentNumber,
    state: TailState,
}

enum TailState {
    Open {
        file: Arc<dyn SegmentFile>,
        length: u64,
    },
    /// The segment may end with a half frame behind `length`, so nothing may follow in it.
    LeftBehind { length: u64 },
}

impl Tail {
    /// Begins segment `number`.
    pub(crate) fn begin(
        disk: Box<dyn Disk>,
        policy: SyncPolicy,
        segment_bytes_max: u64,
        number: SegmentNumber,
        previous_end: Option<u64>,
        shared: &Shared,
    ) -> io::Result<Self> {
        let state = create(disk.as_ref(), number, previous_end)?;
        shared.current.store(number.0, Ordering::Release);
        Ok(Self {
            disk,
            policy,
            segment_bytes_max,
            number,
            state,
        })
    }

    fn write(&mut self, bytes: &[u8], shared: &Shared) -> io::Result<()> {
        let (file, length) = self.open_for(bytes.len() as u64, shared)?;
        let written = file.append(bytes).and_then(|()| match self.policy {
            SyncPolicy::Always => file.sync(),
            SyncPolicy::Every(_) => Ok(()),
        });
        match written {
            Ok(()) => {
                if self.policy != SyncPolicy::Always {
                    shared.mark_dirty(&file);
                }
                self.state = TailState::Open {
                    file,
                    length: length + bytes.len() as u64,
                };
                Ok(())
            }
            Err(error) => {
                if file.truncate(length).is_err() {
                    self.state = TailState::LeftBehind { length };
                }
                Err(error)
            }
        }
    }

    /// The number of a segment that holds nothing yet.
    fn rotate(&mut self, shared: &Shared) -> io::Result<SegmentNumber> {
        match &self.state {
            TailState::Open { length, .. } if *length == HEADER_BYTES => {}
            TailState::Open { length, .. } | TailState::LeftBehind { length } => {
                self.begin_next(*length, shared)?;
            }
        }
        Ok(self.number)
    }

    fn open_for(&mut self, more: u64, shared: &Shared) -> io::Result<(Arc<dyn SegmentFile>, u64)> {
        match &self.state {
            TailState::Open { length, .. }
                if *length == HEADER_BYTES || length + more <= self.segment_bytes_max => {}
            TailState::Open { length, .. } | TailState::LeftBehind { length } => {
                self.begin_next(*length, shared)?;
            }
        }
        match &self.state {
            TailState::Open { file, length } => Ok((Arc::clone(file), *length)),
            TailState::LeftBehind { .. } => Err(io::Error::other("no segment is open")),
        }
    }

    fn begin_next(&mut self, previous_end: u64, shared: &Shared) -> io::Result<()> {
        let number = self.number.next();
        self.state = create(self.disk.as_ref(), number, Some(previous_end))?;
        self.number = number;
        shared.current.store(number.0, Ordering::Release);
        Ok(())
    }
}

fn create(
    disk: &dyn Disk,
    number: SegmentNumber,
    previous_end: Option<u64>,
) -> io::Result<TailState> {
    let file = disk.create(number)?;
    let header = SegmentHeader {
        version: VERSION,
        number,
        previous_end,
    };
    file.append(&header.to_bytes())?;
    file.sync()?;
    Ok(TailState::Open {
        file,
        length: HEADER_BYTES,
    })
}
