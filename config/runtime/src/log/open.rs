//! Opening a log, and the handle by which it is used.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{error, warn};

use crate::log::extent::{Extent, ExtentFault, ExtentFile, StoredExtent, extent_path, read_extent};
use crate::log::frame::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, Record, push_frame};
use crate::log::keys::Keys;
use crate::log::no_room::{is_broken_disk, is_want_of_room};
use crate::log::replay::{Replay, sound_end};
use crate::log::segment::{
    Disk, Folder, SegmentFile, SegmentHeader, SegmentNumber, VERSION, list_segments, read_start,
    segment_path, sync_folder,
};
use crate::log::writer::{
    AppendError, Commit, Rotation, Shared, SyncPolicy, Tail, run_syncer, run_writer,
};

/// Replay reads a segment into memory, so this also bounds what a start needs beside the state itself.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longer than a sound disk ever takes, and short enough for a page that waits for it.
const WRITE_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub struct LogSettings {
    pub sync: SyncPolicy,
    /// A segment that would grow past this is closed first; one write larger than this makes a larger segment.
    pub segment_bytes_max: u64,
    /// The number of no new segment is below this: the one that the caller's newest snapshot names, so that a
    /// log whose files were taken away does not begin again at numbers which the snapshot covers.
    pub segment_min: SegmentNumber,
    /// A write that takes longer hangs: whoever waits for it is told so, and nothing more is taken until it comes back.
    pub write_max: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::default(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            segment_min: SegmentNumber::FIRST,
            write_max: WRITE_MAX,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("log in {} is in use by another process", folder.display())]
    InUse { folder: PathBuf },
    #[error("{} cannot be used for the log", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} was written by a newer release (log version {version}, this one reads up to {VERSION})",
        path.display()
    )]
    NewerVersion { path: PathBuf, version: u32 },
}

/// What a crash had left half written at the end, and was cut off. None of it had been acknowledged
/// (after a power cut with [`SyncPolicy::Every`]: the last interval may have been).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub path: PathBuf,
    pub offset: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Since the log was opened.
    pub bytes_written: u64,
    pub write_failures: u64,
    pub sync_failures: u64,
    /// On disk, as far as this can be read.
    pub segments: u64,
    pub bytes_on_disk: u64,
}

/// A handle, cheap to copy. When the last one goes, what waits is written and synced.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    folder: PathBuf,
    /// What there was when the log was opened.
    found: Vec<SegmentNumber>,
    /// Which of them there had to be: from `first` on, up to the one before `end`, as far as that is known.
    first: Option<SegmentNumber>,
    end: Option<SegmentNumber>,
    extent: Arc<ExtentFile>,
    keys: Keys,
    torn_tail: Option<TornTail>,
    threads: Vec<JoinHandle<()>>,
    _lock: Arc<Lock>,
}

/// Records that are on their way to the disk.
#[derive(Clone)]
pub struct Receipt {
    commit: Arc<Commit>,
    shared: Arc<Shared>,
}

impl Receipt {
    /// When the records are with the kernel, or on the disk where the setting says so. They are written or not,
    /// whether or not anybody waits. After [`AppendError::Hanging`] that is still open.
    pub async fn wait(&self) -> Result<(), AppendError> {
        self.shared.answer_of(&self.commit).await
    }

    /// As [`Receipt::wait`], for threads that may block, however long that is.
    pub fn wait_blocking(&self) -> Result<(), AppendError> {
        self.commit.wait_blocking()
    }

    /// `None` while the records wait. Receipts have their outcome in the order of the appends.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), AppendError>> {
        self.commit.answer()
    }
}

impl Log {
    /// Makes the folder where there is none, cuts off a torn tail and begins a new segment. Where there is no room for
    /// that the log is open all the same: it says so, takes no records, and begins as soon as there is room. Blocks.
    pub fn open(folder: &Path, settings: &LogSettings) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let was_there = list_segments(folder).is_ok_and(|found| !found.is_empty());
        let waited_out =
            |error: &io::Error| is_want_of_room(error) || was_there && is_broken_disk(error);
        let mut want = None;
        if let Err(source) = fs::create_dir_all(folder) {
            if !waited_out(&source) {
                return Err(failed(folder)(source));
            }
            want = Some(source);
        }
        let lock = Arc::new(Lock::new(folder));
        match lock.take() {
            Ok(()) => {}
            Err(OpenError::Io { source, .. }) if want.is_some() || waited_out(&source) => {
                want.get_or_insert(source);
            }
            Err(error) => return Err(error),
        }
        let mut found = match list_segments(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && want.is_some() => Vec::new(),
            listed => listed.map_err(failed(folder))?,
        };
        let stored = read_extent_of(folder)?;
        let keys = Keys::of(folder, &found, stored)?;
        let tear = match found.last() {
            Some(last) => repair_tail(folder, *last, &keys, waited_out)?,
            None => Tear::None,
        };
        let extent = stored.map(|stored| stored.extent);
        let extent = extent.or_else(|| extent_of_snapshot(settings.segment_min));
        let (empty_tail, previous_end) = take_empty_tail(folder, &mut found, &keys)?;
        let (torn_tail, previous_end) = match tear {
            Tear::None => (None, previous_end),
            Tear::CutOff(torn) => (Some(torn), previous_end),
            // What the next segment's header does not count is passed over by the next start.
            Tear::Left { offset } if empty_tail.is_none() => (None, Some(offset)),
            Tear::Left { .. } => (None, previous_end),
        };
        let number = found
            .last()
            .map_or(settings.segment_min, |last| last.next())
            .max(settings.segment_min);
        let shared = Arc::new(Shared::new(settings.write_max));
        let kept = found.first().zip(found.last());
        let kept = kept.map(|(first, last)| Extent {
            first: *first,
            newest: *last,
        });
        let extent_file = Arc::new(ExtentFile::new(folder, kept, keys.keyed(number)));
        let segments = Segments {
            folder: Folder(folder.to_owned()),
            extent: extent_file.clone(),
            lock: lock.clone(),
        };
        let mut tail = Tail::new(
            Box::new(segments),
            settings.sync,
            settings.segment_bytes_max,
            keys.key,
            number,
            previous_end,
        );
        let begun = match want {
            None => tail.rotate(&shared).map(drop),
            Some(want) => Err(want),
        };
        match begun {
            Ok(()) => {
                // Removed only now: a log that was ever opened has a segment at any moment.
                if let Some(empty) = empty_tail.filter(|empty| *empty != number) {
                    fs::remove_file(segment_path(folder, empty)).map_err(failed(folder))?;
                }
            }
            Err(source) if waited_out(&source) => {
                error!(folder = %folder.display(), error = %source, "nothing can be stored: there is no room for a log; what is stored already is read, and storing begins as soon as there is room");
                shared.tell(&Err(source), number);
            }
            Err(source) => return Err(failed(folder)(source)),
        }
        let writer = spawn("log-writer", {
            let shared = Arc::clone(&shared);
            move || run_writer(&shared, tail)
        });
        let mut threads = vec![writer.map_err(failed(folder))?];
        if let SyncPolicy::Every(interval) = settings.sync {
            let shared = Arc::clone(&shared);
            let syncer = spawn("log-syncer", move || run_syncer(&shared, interval));
            threads.push(syncer.map_err(failed(folder))?);
        }
        Ok(Self(Arc::new(Inner {
            shared,
            folder: folder.to_owned(),
            end: end(empty_tail, extent),
            first: extent.map(|extent| extent.first),
            found,
            extent: extent_file,
            keys,
            torn_tail,
            threads,
            _lock: lock,
        })))
    }

    /// What was cut off when the log was opened.
    #[must_use]
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.0.torn_tail.as_ref()
    }

    /// The records that the log held when it was opened, from segment `from` on, in the order of their appends.
    #[must_use]
    pub fn replay(&self, from: SegmentNumber) -> Replay {
        let inner = &self.0;
        Replay::new(
            &inner.folder,
            inner.keys,
            &inner.found,
            from,
            inner.first,
            inner.end,
        )
    }

    /// Puts the records in line, all or none, behind everything that was put there before. Does not block;
    /// what waits for the disk is bounded.
    pub fn append(&self, records: &[Record<'_>]) -> Result<Receipt, AppendError> {
        let mut frames = Vec::with_capacity(
            records
                .iter()
                .map(|record| {
                    FRAME_HEADER_BYTES + record.tenant.as_str().len() + record.payload.len()
                })
                .sum(),
        );
        for record in records {
            if record.payload.len() > PAYLOAD_BYTES_MAX {
                return Err(AppendError::TooLarge {
                    bytes: record.payload.len(),
                    max: PAYLOAD_BYTES_MAX,
                });
            }
            push_frame(&mut frames, record, self.0.keys.key);
        }
        let shared = Arc::clone(&self.0.shared);
        let commit = shared.enqueue(&frames)?;
        Ok(Receipt { commit, shared })
    }

    /// [`Log::append`] and [`Receipt::wait`] in one.
    pub async fn persist(&self, records: &[Record<'_>]) -> Result<(), AppendError> {
        self.append(records)?.wait().await
    }

    /// The number of a segment such that all that was appended before this call is in older ones, and all that is
    /// appended after its answer is in this one or newer ones.
    pub async fn rotate(&self) -> Result<SegmentNumber, AppendError> {
        let rotation = self.request_rotation()?;
        self.0.shared.answer_of(&rotation).await
    }

    pub(crate) fn request_rotation(&self) -> Result<Arc<Rotation>, AppendError> {
        self.0.shared.request_rotation()
    }

    /// As [`Log::rotate`], for threads that may block.
    pub fn rotate_blocking(&self) -> Result<SegmentNumber, AppendError> {
        self.0.shared.request_rotation()?.wait_blocking()
    }

    /// Removes the segments that a snapshot covers, oldest first; the one that is written to always stays. Blocks.
    pub fn remove_before(&self, keep: SegmentNumber) -> io::Result<()> {
        let current = SegmentNumber(self.0.shared.current.load(Ordering::Acquire));
        let keep = keep.min(current);
        self.0.extent.strike_before(keep)?;
        for number in list_segments(&self.0.folder)? {
            if number < keep {
                fs::remove_file(segment_path(&self.0.folder, number))?;
            }
        }
        sync_folder(&self.0.folder)
    }

    /// Whether the write that is under way has been so for too long. Nothing is taken then.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.0.shared.hangs()
    }

    /// For whoever wants to know how it goes without holding the log open.
    pub(crate) fn watch(&self) -> LogWatch {
        LogWatch(Arc::clone(&self.0.shared))
    }

    /// Blocks.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let shared = &self.0.shared;
        let numbers = list_segments(&self.0.folder).unwrap_or_default();
        LogStats {
            bytes_written: shared.bytes_written.load(Ordering::Relaxed),
            write_failures: shared.write_failures.load(Ordering::Relaxed),
            sync_failures: shared.sync_failures.load(Ordering::Relaxed),
            segments: numbers.len() as u64,
            bytes_on_disk: numbers
                .iter()
                .filter_map(|number| fs::metadata(segment_path(&self.0.folder, *number)).ok())
                .map(|metadata| metadata.len())
                .sum(),
        }
    }
}

/// A look at a log that others have.
#[derive(Clone)]
pub(crate) struct LogWatch(Arc<Shared>);

impl LogWatch {
    /// Whether records are taken, as far as is known: what was tried last has worked, and nothing hangs.
    pub(crate) fn is_writable(&self) -> bool {
        self.0.is_writable()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                warn!("a thread of the log has panicked");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Held, and released by the kernel, as long as the process has the log.
struct Lock {
    folder: PathBuf,
    file: Mutex<Option<File>>,
}

impl Lock {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: Mutex::new(None),
        }
    }

    fn take(&self) -> Result<(), OpenError> {
        let mut held = self.file.lock();
        if held.is_some() {
            return Ok(());
        }
        let path = self.folder.join("lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            // One that is there can be held on a disk that takes nothing.
            .or_else(|error| File::open(&path).map_err(|_| error));
        let locked = opened.and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        });
        match locked {
            Ok(Some(file)) => {
                *held = Some(file);
                Ok(())
            }
            Ok(None) => Err(OpenError::InUse {
                folder: self.folder.clone(),
            }),
            Err(source) => Err(OpenError::Io { path, source }),
        }
    }
}

/// All segments before this one must have been found. The empty one gave its number away, so none has it.
fn end(empty_tail: Option<SegmentNumber>, extent: Option<Extent>) -> Option<SegmentNumber> {
    let newest = extent.map(|extent| extent.newest);
    match empty_tail {
        Some(empty) if newest.is_none_or(|newest| newest <= empty) => Some(empty),
        Some(_) | None => newest.map(SegmentNumber::next),
    }
}

/// `None` where none was written yet, or what was written is damaged.
fn read_extent_of(folder: &Path) -> Result<Option<StoredExtent>, OpenError> {
    let path = extent_path(folder);
    match read_extent(&path) {
        Ok(Some(Ok(stored))) => Ok(Some(stored)),
        Ok(Some(Err(ExtentFault::NewerVersion(version)))) => {
            Err(OpenError::NewerVersion { path, version })
        }
        Ok(Some(Err(ExtentFault::Damaged)) | None) => Ok(None),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Where no extent was ever written, the newest snapshot names a segment that was there.
fn extent_of_snapshot(named: SegmentNumber) -> Option<Extent> {
    (named > SegmentNumber::FIRST).then_some(Extent {
        first: named,
        newest: named,
    })
}

/// Segments and the list of them.
struct Segments {
    folder: Folder,
    extent: Arc<ExtentFile>,
    lock: Arc<Lock>,
}

impl Disk for Segments {
    fn create(&self, number: SegmentNumber) -> io::Result<Arc<dyn SegmentFile>> {
        if !self.folder.0.is_dir() {
            fs::create_dir_all(&self.folder.0)?;
        }
        self.lock.take().map_err(|error| match error {
            OpenError::Io { source, .. } => source,
            error @ (OpenError::InUse { .. } | OpenError::NewerVersion { .. }) => {
                io::Error::other(error)
            }
        })?;
        let file = self.folder.create(number)?;
        // Records are worth more than noticing later that they were taken away.
        if let Err(error) = self.extent.enter(number) {
            warn!(%error, segment = %number, "the log's list of segments could not be written");
        }
        Ok(file)
    }
}

/// A last segment without a record gives its number to the new one. Answers that number, and where the segment before
/// that one ends.
fn take_empty_tail(
    folder: &Path,
    found: &mut Vec<SegmentNumber>,
    keys: &Keys,
) -> Result<(Option<SegmentNumber>, Option<u64>), OpenError> {
    let Some(last) = found.last().copied() else {
        return Ok((None, None));
    };
    let path = segment_path(folder, last);
    let io_error = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let start = read_start(&path).map_err(io_error)?;
    let length = fs::metadata(&path).map_err(io_error)?.len();
    if length > keys.form(last, &start).header_bytes as u64 {
        return Ok((None, Some(length)));
    }
    found.pop();
    let previous_end = match (SegmentHeader::from_bytes(&start), found.last()) {
        (Some(header), _) => header.previous_end,
        (None, None) => None,
        (None, Some(previous)) => {
            let bytes = fs::read(segment_path(folder, *previous)).map_err(io_error)?;
            let form = keys.form(*previous, &bytes);
            Some(sound_end(&bytes, &form) as u64)
        }
    };
    Ok((Some(last), previous_end))
}

enum Tear {
    None,
    CutOff(TornTail),
    /// There is no room even for less: on some file systems a file is cut by writing.
    Left {
        offset: u64,
    },
}

fn repair_tail(
    folder: &Path,
    last: SegmentNumber,
    keys: &Keys,
    waited_out: impl Fn(&io::Error) -> bool,
) -> Result<Tear, OpenError> {
    let path = &segment_path(folder, last);
    let io_error = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::read(path).map_err(io_error)?;
    let form = keys.form(last, &bytes);
    // Without the key no frame of it can be told from a torn end: the replay reports it whole.
    if !form.is_key_known && bytes.len() > form.header_bytes {
        return Ok(Tear::None);
    }
    let offset = sound_end(&bytes, &form) as u64;
    let bytes = bytes.len() as u64 - offset;
    if bytes == 0 {
        return Ok(Tear::None);
    }
    let cut = || {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(offset)?;
        file.sync_all()
    };
    match cut() {
        Ok(()) => {
            warn!(path = %path.display(), offset, bytes, "the log's torn end was cut off");
            Ok(Tear::CutOff(TornTail {
                path: path.to_owned(),
                offset,
                bytes,
            }))
        }
        Err(error) if waited_out(&error) => {
            warn!(path = %path.display(), offset, bytes, %error, "the log's torn end is passed over");
            Ok(Tear::Left { offset })
        }
        Err(source) => Err(io_error(source)),
    }
}
