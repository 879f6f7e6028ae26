//! The one log on disk: it serves samples, the state of rules, silences and the notification log alike.
//!
//! A log is a folder of segments (`00000001.log`, …), each a header and then frames: kind, tenant, payload and a
//! checksum with the log's key in it. Appending is two steps. [`Log::append`] puts frames in line, and the order of the calls is the order
//! on disk; [`Receipt::wait`] answers when they are with the kernel (and on the disk, where the setting says so).
//! All frames that wait while the disk is busy go out in one write.
//!
//! A checkpoint keeps the log short. [`Log::rotate`] names a segment such that everything appended before is in
//! older segments; the caller saves its state together with that number ([`write_records`], or in a form of its own
//! [`write_snapshot`]), and then calls [`Log::remove_before`]. At start it loads the snapshot and replays from that segment on ([`Log::replay`]).
//!
//! A disk that is full when the log is opened, and one that does not come back from a write, stop nobody: records are
//! refused until they can be written again.
//!
//! What a crash leaves half written at the very end is cut off when the log is opened. Damage anywhere else is
//! reported with file and offset, and replay goes on at the next sound frame if the caller wants it to. Segments that
//! were taken away are reported too, also where none is left.
mod extent;
mod frame;
mod hanging;
mod keys;
mod no_room;
mod open;
mod promise;
mod records_file;
mod replay;
mod segment;
mod snapshot;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

pub use frame::{PAYLOAD_BYTES_MAX, Record};
pub use hanging::HangingLog;
pub use no_room::{is_broken_disk, is_want_of_room};
pub(crate) use open::LogWatch;
pub use open::{Log, LogSettings, LogStats, OpenError, Receipt, TornTail};
pub use records_file::{RecordsFile, RecordsFileError, read_records, write_records};
pub use replay::{Replay, ReplayError, Replayed};
pub use segment::SegmentNumber;
pub use snapshot::write_snapshot;
pub use upkeep::{keep_short, shorten};
pub use writer::{AppendError, SyncPolicy};
