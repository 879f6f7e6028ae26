//! Takes what waits in line and writes it, one write for all of it.
//!
//! A failed write leaves no half frame before good ones: the segment is cut back to its last whole record, and
//! where even that fails it is left behind and a new one is begun, whose header says where the old one ends.
//! Until that succeeds every write fails with its own error; the next one tries again. A log that was opened on a full
//! disk has no segment yet, and begins it as soon as there is room.
//!
//! A write that does not come back is not waited for without end, and nothing more is put in line behind it.
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;
use tracing::{error, info};

use crate::log::frame::{FrameKey, PAYLOAD_BYTES_MAX};
use crate::log::promise::{Pledge, Promise};
use crate::log::segment::{Disk, SegmentFile, SegmentHeader, SegmentNumber, VERSION, header_bytes};
use crate::trouble::Trouble;

/// Frames in line for the disk; past this an append is refused as [`AppendError::Overloaded`].
pub(crate) const QUEUED_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// A segment of this length holds nothing yet.
const EMPTY_BYTES: u64 = header_bytes(VERSION) as u64;
/// A buffer that one large group has made larger than this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a power cut may take where nothing else is set.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// A log without a segment looks this often whether there is room for one.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Those who wait look this often whether the writer has come to a standstill.
const LOOKING_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Where the records were in line already, they may be written yet.
    #[error("disk has not answered the log for more than {} ms", write_max.as_millis())]
    Hanging { write_max: Duration },
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
    Write {
        bytes: Vec<u8>,
        commit: Pledge<Result<(), AppendError>>,
    },
    Rotate(Pledge<Result<SegmentNumber, AppendError>>),
}

/// What the writer wakes up for.
enum Next {
    Work(Work),
    /// Nothing came for a while, and there is no segment to write to.
    Probe,
    End,
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
    /// What takes longer than this hangs.
    write_max: Duration,
    /// Since when the writer is busy with one piece of work.
    busy_since: Mutex<Option<Instant>>,
    /// What was tried last did not work.
    is_failing: AtomicBool,
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
    pub(crate) fn new(write_max: Duration) -> Self {
        Self {
            line: Mutex::new(Line::default()),
            write_max,
            busy_since: Mutex::new(None),
            is_failing: AtomicBool::new(false),
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

    /// Whether what is written now has been under way for too long.
    pub(crate) fn hangs(&self) -> bool {
        let since = *self.busy_since.lock();
        since.is_some_and(|since| since.elapsed() > self.write_max)
    }

    /// Whether records are taken, as far as is known.
    pub(crate) fn is_writable(&self) -> bool {
        !(self.is_failing.load(Ordering::Relaxed) || self.hangs())
    }

    /// The answer, or that it does not come: it is waited for as long as the writer gets on.
    pub(crate) async fn answer_of<T: Clone>(
        &self,
        promise: &Promise<Result<T, AppendError>>,
    ) -> Result<T, AppendError> {
        loop {
            tokio::select! {
                biased;
                answer = promise.wait() => return answer,
                () = tokio::time::sleep(LOOKING_INTERVAL) => self.check_hanging()?,
            }
        }
    }

    fn check_hanging(&self) -> Result<(), AppendError> {
        if self.hangs() {
            return Err(AppendError::Hanging {
                write_max: self.write_max,
            });
        }
        Ok(())
    }

    /// Puts whole frames in line, behind all that was put there before.
    pub(crate) fn enqueue(&self, frames: &[u8]) -> Result<Arc<Commit>, AppendError> {
        self.check_hanging()?;
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
            return Ok(commit.promise());
        }
        let mut bytes = std::mem::take(&mut line.spare);
        bytes.extend_from_slice(frames);
        let commit = Pledge::new(Err(AppendError::Closed));
        let promise = commit.promise();
        line.work.push_back(Work::Write { bytes, commit });
        drop(line);
        self.changed.notify_one();
        Ok(promise)
    }

    pub(crate) fn request_rotation(&self) -> Result<Arc<Rotation>, AppendError> {
        self.check_hanging()?;
        let mut line = self.line.lock();
        if line.closing {
            return Err(AppendError::Closed);
        }
        let rotation = Pledge::new(Err(AppendError::Closed));
        let promise = rotation.promise();
        line.work.push_back(Work::Rotate(rotation));
        drop(line);
        self.changed.notify_one();
        Ok(promise)
    }

    pub(crate) fn close(&self) {
        self.line.lock().closing = true;
        self.changed.notify_one();
    }

    fn next_work(&self, has_segment: bool) -> Next {
        let mut line = self.line.lock();
        loop {
            if let Some(work) = line.work.pop_front() {
                return Next::Work(work);
            }
            if line.closing {
                return Next::End;
            }
            if has_segment {
                self.changed.wait(&mut line);
            } else if self.changed.wait_for(&mut line, PROBE_INTERVAL).timed_out() {
                return Next::Probe;
            }
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

    /// How it went, for the operator.
    pub(crate) fn tell(&self, outcome: &io::Result<()>, segment: SegmentNumber) {
        self.is_failing.store(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                if let Some(left_out) = self.writing.is_over() {
                    info!(left_out, "log is written again");
                }
            }
            Err(error) => {
                self.write_failures.fetch_add(1, Ordering::Relaxed);
                if let Some(left_out) = self.writing.happened() {
                    error!(%error, %segment, left_out, "log could not be written");
                }
            }
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

/// However the writer ends, nobody waits for it any more and nothing more comes in.
struct WriterEnds<'s>(&'s Shared);

impl Drop for WriterEnds<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        line.closing = true;
        line.written = true;
        let left = std::mem::take(&mut line.work);
        drop(line);
        // Who waits for these is told that the log is closed.
        drop(left);
        self.0.ended.notify_one();
    }
}

/// Writes until the log is closed and nothing waits any more.
pub(crate) fn run_writer(shared: &Shared, mut tail: Tail) {
    let _ends = WriterEnds(shared);
    loop {
        match shared.next_work(tail.has_segment()) {
            Next::Work(Work::Write { bytes, commit }) => {
                let outcome = tail.try_to(shared, |tail| tail.write(&bytes, shared));
                let length = bytes.len() as u64;
                shared.written(bytes);
                if outcome.is_ok() {
                    shared.bytes_written.fetch_add(length, Ordering::Relaxed);
                }
                shared.tell(&outcome, tail.number);
                commit.fulfil(outcome.map_err(|error| AppendError::Write(Arc::new(error))));
            }
            Next::Work(Work::Rotate(rotation)) => {
                let outcome = tail.try_to(shared, |tail| tail.rotate(shared));
                rotation.fulfil(outcome.map_err(|error| AppendError::Write(Arc::new(error))));
            }
            Next::Probe => {
                let outcome = tail.try_to(shared, |tail| tail.rotate(shared).map(drop));
                shared.tell(&outcome, tail.number);
            }
            Next::End => return,
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
    /// That of all frames which are written.
    key: FrameKey,
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
    /// There was no room for the segment yet.
    NotBegun { previous_end: Option<u64> },
}

impl Tail {
    /// Segment `number` is the first one to be written. It is begun by [`Tail::rotate`], or when the first write needs
    /// it.
    pub(crate) fn new(
        disk: Box<dyn Disk>,
        policy: SyncPolicy,
        segment_bytes_max: u64,
        key: FrameKey,
        number: SegmentNumber,
        previous_end: Option<u64>,
    ) -> Self {
        Self {
            disk,
            policy,
            segment_bytes_max,
            key,
            number,
            state: TailState::NotBegun { previous_end },
        }
    }

    const fn has_segment(&self) -> bool {
        !matches!(self.state, TailState::NotBegun { .. })
    }

    /// What panics has failed, and may have left anything at the segment's end.
    fn try_to<T>(
        &mut self,
        shared: &Shared,
        work: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        *shared.busy_since.lock() = Some(Instant::now());
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self)));
        *shared.busy_since.lock() = None;
        outcome.unwrap_or_else(|_| {
            if let TailState::Open { length, .. } = &self.state {
                self.state = TailState::LeftBehind { length: *length };
            }
            Err(io::Error::other("the log's writer panicked"))
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
    pub(crate) fn rotate(&mut self, shared: &Shared) -> io::Result<SegmentNumber> {
        match &self.state {
            TailState::Open { length, .. } if *length == EMPTY_BYTES => {}
            TailState::Open { length, .. } | TailState::LeftBehind { length } => {
                self.begin(self.number.next(), Some(*length), shared)?;
            }
            TailState::NotBegun { previous_end } => {
                self.begin(self.number, *previous_end, shared)?;
            }
        }
        Ok(self.number)
    }

    fn open_for(&mut self, more: u64, shared: &Shared) -> io::Result<(Arc<dyn SegmentFile>, u64)> {
        match &self.state {
            TailState::Open { length, .. }
                if *length == EMPTY_BYTES || length + more <= self.segment_bytes_max => {}
            TailState::Open { length, .. } | TailState::LeftBehind { length } => {
                self.begin(self.number.next(), Some(*length), shared)?;
            }
            TailState::NotBegun { previous_end } => {
                self.begin(self.number, *previous_end, shared)?;
            }
        }
        match &self.state {
            TailState::Open { file, length } => Ok((Arc::clone(file), *length)),
            TailState::LeftBehind { .. } | TailState::NotBegun { .. } => {
                Err(io::Error::other("no segment is open"))
            }
        }
    }

    fn begin(
        &mut self,
        number: SegmentNumber,
        previous_end: Option<u64>,
        shared: &Shared,
    ) -> io::Result<()> {
        self.state = create(self.disk.as_ref(), number, previous_end, self.key)?;
        self.number = number;
        shared.current.store(number.0, Ordering::Release);
        Ok(())
    }
}

fn create(
    disk: &dyn Disk,
    number: SegmentNumber,
    previous_end: Option<u64>,
    key: FrameKey,
) -> io::Result<TailState> {
    let file = disk.create(number)?;
    let header = SegmentHeader {
        version: VERSION,
        number,
        previous_end,
        key,
    };
    file.append(&header.to_bytes())?;
    file.sync()?;
    Ok(TailState::Open {
        file,
        length: EMPTY_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AppendError, Shared, WriterEnds};

    /// However it ended: what waits has an answer, and nothing more is taken.
    #[test]
    fn nobody_waits_for_a_writer_that_has_ended() {
        let shared = Shared::new(Duration::from_secs(1));
        let commit = shared.enqueue(b"frame").unwrap();
        let rotation = shared.request_rotation().unwrap();
        drop(WriterEnds(&shared));
        assert!(matches!(commit.answer(), Some(Err(AppendError::Closed))));
        assert!(matches!(rotation.answer(), Some(Err(AppendError::Closed))));
        let refused = shared.enqueue(b"frame").map(drop);
        assert!(matches!(refused, Err(AppendError::Closed)));
    }
}
