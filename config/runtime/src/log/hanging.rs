//! A log on a disk that does not answer: for tests.
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::TenantId;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::log::frame::Record;
use crate::log::open::Log;
use crate::log::segment::{SegmentNumber, segment_path};
use crate::log::writer::Rotation;

/// So that a pipe is opened without anybody at its other end.
const O_NONBLOCK: i32 = 0o4000;
/// Nobody's.
const KIND: u8 = 0xff;

/// From its beginning to its end the log does not get on: its second segment is a pipe, and whoever opens that to write
/// hangs until somebody opens it to read.
pub struct HangingLog {
    pipe: PathBuf,
    rotation: Arc<Rotation>,
}

impl HangingLog {
    /// The log in this folder has one segment.
    pub async fn begin(folder: &Path, log: &Log) -> Self {
        // A segment that is empty is not left for another.
        let record = Record {
            tenant: &TenantId::anonymous(),
            kind: KIND,
            payload: &[],
        };
        let kept = log.persist(&[record]).await;
        kept.expect("the log is well before it hangs");
        let pipe = segment_path(folder, SegmentNumber::FIRST.next());
        // By no process of its own: until it runs, it would hold the locks that this one has, and a log that is opened
        // meanwhile would be in use.
        let made = mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
        made.expect("a pipe can be made here");
        let rotation = log.request_rotation();
        Self {
            pipe,
            rotation: rotation.expect("the log is well before it hangs"),
        }
    }

    /// What hung fails, and what comes later is written again.
    pub fn end(self) {}
}

impl Drop for HangingLog {
    fn drop(&mut self) {
        let mut reading = OpenOptions::new();
        reading.read(true).custom_flags(O_NONBLOCK);
        if let Ok(reader) = reading.open(&self.pipe) {
            // A pipe is no file that can be synced, so that it does not become a segment.
            let _ = self.rotation.wait_blocking();
            let _ = fs::remove_file(&self.pipe);
            drop(reader);
        }
    }
}
