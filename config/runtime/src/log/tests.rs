//! The promises of the whole log, kept on a real folder.
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use model::TenantId;
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::heard_log::HeardLog;
use crate::log::frame::{FrameKey, PAYLOAD_BYTES_MAX, Record, push_frame};
use crate::log::open::{Log, LogSettings, OpenError};
use crate::log::replay::ReplayError;
use crate::log::segment::{Disk, Folder, SegmentFile, SegmentNumber, segment_path};
use crate::log::writer::{AppendError, Shared, SyncPolicy, Tail, run_writer};

const KEY: FrameKey = FrameKey::from_bytes(*b"key!");

fn small() -> LogSettings {
    LogSettings {
        segment_bytes_max: 120,
        ..LogSettings::default()
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn append(log: &Log, id: &str, kind: u8, payload: &str) {
    let record = Record {
        tenant: &tenant(id),
        kind,
        payload: payload.as_bytes(),
    };
    log.append(&[record]).unwrap().wait_blocking().unwrap();
}

/// Each record as `tenant/kind/payload`, each error as its text behind the folder's name.
fn replayed(log: &Log, from: SegmentNumber) -> Vec<String> {
    log.replay(from)
        .map(|item| match item {
            Ok(record) => format!(
                "{}/{}/{}",
                record.tenant,
                record.kind,
                String::from_utf8_lossy(&record.payload)
            ),
            Err(ReplayError::Damaged { offset, bytes, .. }) => {
                format!("damaged at {offset} for {bytes}")
            }
            Err(ReplayError::Missing { first, last }) => format!("missing {first} to {last}"),
            Err(ReplayError::Short { offset, bytes, .. }) => {
                format!("short at {offset} by {bytes}")
            }
            Err(error @ ReplayError::Io { .. }) => error.to_string(),
        })
        .collect()
}

fn replay_of(folder: &Path) -> Vec<String> {
    replayed(&Log::open(folder, &small()).unwrap(), SegmentNumber::FIRST)
}

#[test]
fn records_come_back_in_the_order_of_their_appends() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let log = Log::open(folder.path(), &small()).unwrap();
        assert_eq!(replayed(&log, SegmentNumber::FIRST), expected);
        for number in 0..20 {
            let id = if number % 3 == 0 { "a" } else { "team-b" };
            append(&log, id, 7, &format!("{round}.{number}"));
            expected.push(format!("{id}/7/{round}.{number}"));
        }
        assert!(log.stats().segments > 3, "the segments are bounded");
    }
    assert_eq!(replay_of(folder.path()), expected);
}

#[test]
fn appends_of_many_threads_are_written_together_and_each_keeps_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let log = log.clone();
            std::thread::spawn(move || {
                for number in 0..100 {
                    append(&log, "a", thread, &number.to_string());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(log);
    let all = replay_of(folder.path());
    for thread in 0..8 {
        let own: Vec<&String> = all
            .iter()
            .filter(|line| line.starts_with(&format!("a/{thread}/")))
            .collect();
        let expected: Vec<String> = (0..100)
            .map(|number| format!("a/{thread}/{number}"))
            .collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_checkpoint_cuts_the_log_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
    let tenant = tenant("a");
    let persist = async |payload: &'static str| {
        let record = Record {
            tenant: &tenant,
            kind: 1,
            payload: payload.as_bytes(),
        };
        log.persist(&[record]).await.unwrap();
    };
    persist("before").await;
    let cut = log.rotate().await.unwrap();
    assert_eq!(log.rotate().await.unwrap(), cut, "nothing came between");
    persist("after").await;
    log.remove_before(cut).unwrap();
    drop(log);

    let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
    assert_eq!(replayed(&log, cut), ["a/1/after"]);
    assert_eq!(replayed(&log, SegmentNumber::FIRST), ["a/1/after"]);
    assert_eq!(
        replayed(&log, SegmentNumber(cut.0 - 1)),
        replayed(&log, cut),
        "the first segment needs none before it"
    );
}

#[test]
fn numbers_never_fall_below_what_a_snapshot_covers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings {
        segment_min: SegmentNumber(9),
        ..LogSettings::default()
    };
    let log = Log::open(folder.path(), &settings).unwrap();
    append(&log, "a", 1, "x");
    assert_eq!(
        replayed(&log, SegmentNumber(9)),
        ["missing 00000009 to 00000009"],
        "there is nothing, though a snapshot says that there was"
    );
    drop(log);
    let log = Log::open(folder.path(), &settings).unwrap();
    assert_eq!(replayed(&log, SegmentNumber(9)), ["a/1/x"]);
}

#[test]
fn damage_in_the_middle_is_reported_and_what_follows_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
    for payload in ["one", "two", "three"] {
        append(&log, "a", 1, payload);
    }
    drop(log);
    let path = segment_path(folder.path(), SegmentNumber(1));
    let mut bytes = fs::read(&path).unwrap();
    // Header 40, frame of "one" 11 + 1 + 3.
    bytes[40 + 15 + 13] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(
            replay_of(folder.path()),
            ["a/1/one", "damaged at 55 for 15", "a/1/three"],
            "also in the last segment, where the end alone may be torn"
        );
    }
}

#[test]
fn a_lost_end_or_segment_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    for payload in ["one", "two", "three"] {
        append(
            &Log::open(folder.path(), &small()).unwrap(),
            "a",
            1,
            payload,
        );
    }
    let first = segment_path(folder.path(), SegmentNumber(1));
    let file = OpenOptions::new().write(true).open(first).unwrap();
    file.set_len(40).unwrap();
    assert_eq!(
        replay_of(folder.path()),
        ["short at 40 by 15", "a/1/two", "a/1/three"]
    );
    fs::remove_file(segment_path(folder.path(), SegmentNumber(2))).unwrap();
    assert_eq!(
        replay_of(folder.path()),
        ["missing 00000002 to 00000002", "a/1/three"]
    );
}

/// What is reported when a log of the segments 3 to 5, of which the last one may be empty, lacks these.
fn missing(gone: &[u64], last: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    for number in 1..=5 {
        assert_eq!(log.rotate_blocking().unwrap(), SegmentNumber(number));
        for payload in if number < 5 { &["x"] } else { last } {
            append(&log, "a", 1, payload);
        }
    }
    log.remove_before(SegmentNumber(3)).unwrap();
    drop(log);
    for number in gone {
        fs::remove_file(segment_path(folder.path(), SegmentNumber(*number))).unwrap();
    }
    let mut found = replay_of(folder.path());
    found.retain(|line| line.starts_with("missing"));
    // What was reported is not reported again, but for a gap in the middle, which is still there.
    let mut again = replay_of(folder.path());
    again.retain(|line| line.starts_with("missing"));
    assert!(again.iter().all(|line| found.contains(line)), "{again:?}");
    if gone.len() == 3 || gone.is_empty() {
        assert_eq!(again, [""; 0]);
    }
    found
}

#[test]
fn segments_that_were_taken_away_are_missed_wherever_they_stood() {
    for (gone, reported) in [
        (&[][..], &[][..]),
        (&[3], &["missing 00000003 to 00000003"]),
        (&[3, 4], &["missing 00000003 to 00000004"]),
        (&[4], &["missing 00000004 to 00000004"]),
        (&[5], &["missing 00000005 to 00000005"]),
        (&[4, 5], &["missing 00000004 to 00000005"]),
        (
            &[3, 5],
            &[
                "missing 00000003 to 00000003",
                "missing 00000005 to 00000005",
            ],
        ),
        (&[3, 4, 5], &["missing 00000003 to 00000005"]),
    ] {
        assert_eq!(missing(gone, &["x"]), reported, "{gone:?}");
        assert_eq!(
            missing(gone, &[]),
            reported,
            "{gone:?}, the last one was empty"
        );
    }
}

#[test]
fn an_empty_log_that_is_opened_again_and_again_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        assert_eq!(replay_of(folder.path()), [""; 0]);
    }
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, "a", 1, "x");
    let cut = log.rotate_blocking().unwrap();
    log.remove_before(cut).unwrap();
    drop(log);
    for _ in 0..3 {
        assert_eq!(replay_of(folder.path()), [""; 0]);
    }
}

#[test]
fn a_crash_between_making_a_segment_and_entering_it_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, "a", 1, "x");
    let before = fs::read(folder.path().join("extent")).unwrap();
    log.rotate_blocking().unwrap();
    append(&log, "a", 1, "y");
    drop(log);
    fs::write(folder.path().join("extent"), before).unwrap();
    assert_eq!(replay_of(folder.path()), ["a/1/x", "a/1/y"]);
    // A log of before there were lists has none.
    fs::remove_file(folder.path().join("extent")).unwrap();
    assert_eq!(replay_of(folder.path()), ["a/1/x", "a/1/y"]);
}

#[test]
fn a_newer_version_and_a_second_process_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, "a", 1, "x");
    assert!(matches!(
        Log::open(folder.path(), &small()),
        Err(OpenError::InUse { .. })
    ));
    drop(log);
    let path = segment_path(folder.path(), SegmentNumber(1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 3;
    let checksum = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = Log::open(folder.path(), &small()).err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("was written by a newer release (log version 3, this one reads up to 2)"),
        "{error}"
    );
}

/// A frame as version 1 has it, and as whoever knows no key can make one.
fn plain_frame(id: &str, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut summed = vec![kind, id.len() as u8];
    summed.extend((payload.len() as u32).to_le_bytes());
    let mut frame = [&[0xa7], &summed[..]].concat();
    summed.extend(id.as_bytes());
    summed.extend(payload);
    frame.extend(crc32fast::hash(&summed).to_le_bytes());
    frame.extend(id.as_bytes());
    frame.extend(payload);
    frame
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What the release before wrote: segments, each of these frames, and the list of them.
fn log_of_version_1(folder: &Path, segments: &[&[Vec<u8>]]) {
    let mut previous_end = 0_u64;
    for (number, frames) in (1_u64..).zip(segments) {
        let mut header = b"WATCHLOG\x01\0\0\0".to_vec();
        header.extend(number.to_le_bytes());
        header.extend(previous_end.to_le_bytes());
        let bytes = [with_checksum(header), frames.concat()].concat();
        previous_end = bytes.len() as u64;
        fs::write(segment_path(folder, SegmentNumber(number)), bytes).unwrap();
    }
    let mut extent = b"WATCHEXT\x01\0\0\0".to_vec();
    extent.extend(1_u64.to_le_bytes());
    extent.extend((segments.len() as u64).to_le_bytes());
    fs::write(folder.join("extent"), with_checksum(extent)).unwrap();
}

fn log_of_version_2(folder: &Path, payloads: &[&[u8]]) {
    let log = Log::open(folder, &LogSettings::default()).unwrap();
    for payload in payloads {
        let record = Record {
            tenant: &tenant("a"),
            kind: 1,
            payload,
        };
        log.append(&[record]).unwrap().wait_blocking().unwrap();
    }
}

#[test]
fn a_log_of_the_release_before_is_read_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let one = [
        plain_frame("a", 1, b"one"),
        plain_frame("team-b", 2, b"two"),
    ];
    log_of_version_1(folder.path(), &[&one, &[plain_frame("a", 1, b"three")]]);
    let path = |number| segment_path(folder.path(), SegmentNumber(number));
    let before = [fs::read(path(1)).unwrap(), fs::read(path(2)).unwrap()];
    let mut expected = vec!["a/1/one", "team-b/2/two", "a/1/three"];
    for number in [3, 4] {
        let log = Log::open(folder.path(), &small()).unwrap();
        assert!(log.torn_tail().is_none());
        assert_eq!(replayed(&log, SegmentNumber::FIRST), expected);
        append(&log, "a", 1, "new");
        expected.push("a/1/new");
        drop(log);
        assert_eq!(fs::read(path(number)).unwrap()[8], 2, "its version");
    }
    assert_eq!(replay_of(folder.path()), expected);
    assert_eq!(
        [fs::read(path(1)).unwrap(), fs::read(path(2)).unwrap()],
        before
    );
    let header = |number| fs::read(path(number)).unwrap()[32..36].to_vec();
    assert_eq!(header(3), header(4), "one key for the folder");

    // The empty segment that an orderly end has left gives its number away, and so it does when it is the only one.
    let folder = tempfile::tempdir().unwrap();
    log_of_version_1(folder.path(), &[&[]]);
    let log = Log::open(folder.path(), &small()).unwrap();
    assert_eq!(log.stats().segments, 1);
    append(&log, "a", 1, "x");
    drop(log);
    assert_eq!(replay_of(folder.path()), ["a/1/x"]);
}

#[test]
fn each_log_has_its_own_key_and_keeps_it() {
    let key = |folder: &Path, number| {
        let bytes = fs::read(segment_path(folder, SegmentNumber(number))).unwrap();
        bytes[32..36].to_vec()
    };
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    log_of_version_2(folder.path(), &[b"x"]);
    log_of_version_2(other.path(), &[b"x"]);
    let first = key(folder.path(), 1);
    assert_ne!(first, key(other.path(), 1));
    log_of_version_2(folder.path(), &[b"y"]);
    assert_eq!(key(folder.path(), 2), first, "from the header and the list");
    fs::remove_file(folder.path().join("extent")).unwrap();
    log_of_version_2(folder.path(), &[b"z"]);
    assert_eq!(key(folder.path(), 3), first, "from the header");
    for number in 1..=3 {
        fs::remove_file(segment_path(folder.path(), SegmentNumber(number))).unwrap();
    }
    log_of_version_2(folder.path(), &[b"z"]);
    assert_eq!(key(folder.path(), 1), first, "from the list");
}

/// Each row: the log's version, whether its list is there, and what is read of the only segment of it.
#[test]
fn whichever_byte_of_the_only_header_is_damaged_the_frames_are_found() {
    for (version, header, is_listed, found) in [
        (1, 32, true, &["a/1/one", "a/1/two"][..]),
        // The first frame says which version it is.
        (1, 32, false, &["a/1/one", "a/1/two"]),
        (2, 40, true, &["a/1/one", "a/1/two"]),
        // What is left of the header has the key, or the frames tell it.
        (2, 40, false, &["a/1/one", "a/1/two"]),
    ] {
        for at in 0..header {
            let folder = tempfile::tempdir().unwrap();
            if version == 1 {
                let frames = [plain_frame("a", 1, b"one"), plain_frame("a", 1, b"two")];
                log_of_version_1(folder.path(), &[&frames]);
            } else {
                log_of_version_2(folder.path(), &[b"one", b"two"]);
            }
            if !is_listed {
                fs::remove_file(folder.path().join("extent")).unwrap();
            }
            let path = segment_path(folder.path(), SegmentNumber(1));
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let mut expected = vec![format!("damaged at 0 for {header}")];
            expected.extend(found.iter().map(|line| (*line).to_owned()));
            let row = format!("version {version}, byte {at}, {is_listed}");
            assert_eq!(replay_of(folder.path()), expected, "{row}");
            if at % 9 > 0 {
                continue;
            }
            append(&Log::open(folder.path(), &small()).unwrap(), "a", 1, "more");
            expected.push("a/1/more".to_owned());
            assert_eq!(replay_of(folder.path()), expected, "{row}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{row}: nothing is cut off");
        }
    }
}

/// Each row: what of the segment is overwritten, how many of its frames there are, and whether they are found.
#[test]
fn where_list_and_header_are_damaged_at_once_the_frames_tell_the_key() {
    for (overwritten, frames, is_found) in [
        (0..40, 3, true),
        (0..40, 2, true),
        // Nothing bears the one frame out.
        (0..40, 1, false),
        // The header's key is left.
        (0..32, 1, true),
        (30..40, 2, true),
        // The first frame is damaged too, in its length, its checksum and its payload.
        (0..44, 3, false),
        (0..48, 3, false),
        (0..53, 3, false),
    ] {
        for filled_with in [0, 0x20, 0xff] {
            let row = format!("{overwritten:?} with {filled_with}, {frames} frames");
            let folder = tempfile::tempdir().unwrap();
            let payloads = [b"one".as_slice(), b"two", b"three"];
            log_of_version_2(folder.path(), &payloads[..frames]);
            fs::write(folder.path().join("extent"), b"WATCHEXT nonsense").unwrap();
            let path = segment_path(folder.path(), SegmentNumber(1));
            let mut bytes = fs::read(&path).unwrap();
            bytes[overwritten.clone()].fill(filled_with);
            fs::write(&path, &bytes).unwrap();
            let mut expected = if is_found {
                let lines = ["damaged at 0 for 40", "a/1/one", "a/1/two", "a/1/three"];
                lines[..=frames].iter().map(ToString::to_string).collect()
            } else {
                vec![format!("damaged at 0 for {}", bytes.len())]
            };
            assert_eq!(replay_of(folder.path()), expected, "{row}");
            // What comes later is read, and nothing of the damaged one is taken away.
            append(&Log::open(folder.path(), &small()).unwrap(), "a", 1, "more");
            expected.push("a/1/more".to_owned());
            assert_eq!(replay_of(folder.path()), expected, "{row}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{row}");
        }
    }
}

/// A payload that holds what would be a frame if there were no key.
fn hostile() -> Vec<u8> {
    [b"x", &plain_frame("victim", 1, b"y")[..], b"z"].concat()
}

/// What is read of copies of the log whose last segment is that of a row.
fn read_harmed(source: &Path, number: u64, harms: &[Vec<u8>], check: impl Fn(usize, Vec<String>)) {
    for (nth, harmed) in harms.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        fs::write(segment_path(folder.path(), SegmentNumber(number)), harmed).unwrap();
        check(nth, replay_of(folder.path()));
    }
}

/// The segment torn at every place, with every byte flipped, and torn with a damaged header; of these every `step`th.
fn harms(segment: &Path, step: usize) -> Vec<Vec<u8>> {
    let sound = fs::read(segment).unwrap();
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        bytes
    };
    let torn = (0..=sound.len()).map(|end| sound[..end].to_vec());
    let torn_without_header = (31..=sound.len()).map(|end| flipped(20)[..end].to_vec());
    torn.chain((0..sound.len()).map(flipped))
        .chain(torn_without_header)
        .step_by(step)
        .collect()
}

fn has_victim(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("victim"))
}

#[test]
fn what_a_sender_puts_into_a_payload_never_becomes_a_record() {
    let folder = tempfile::tempdir().unwrap();
    log_of_version_2(folder.path(), &[b"one", &hostile(), b"two"]);
    let first = segment_path(folder.path(), SegmentNumber(1));
    let check = |nth, lines: Vec<String>| assert!(!has_victim(&lines), "harm {nth}: {lines:?}");
    read_harmed(folder.path(), 1, &harms(&first, 1), check);
    // Nor where nothing tells the key any more.
    fs::remove_file(folder.path().join("extent")).unwrap();
    read_harmed(folder.path(), 1, &harms(&first, 5), check);

    // Nor in the first segment behind those of the release before, also where it was never entered in the list.
    for is_entered in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        log_of_version_1(folder.path(), &[&[plain_frame("a", 1, b"old")]]);
        let list = fs::read(folder.path().join("extent")).unwrap();
        log_of_version_2(folder.path(), &[&hostile(), b"two"]);
        if !is_entered {
            fs::write(folder.path().join("extent"), list).unwrap();
        }
        let path = segment_path(folder.path(), SegmentNumber(2));
        read_harmed(folder.path(), 2, &harms(&path, 5), |nth, lines| {
            assert!(!has_victim(&lines), "harm {nth}: {lines:?}");
            assert_eq!(lines[0], "a/1/old");
        });
    }
}

#[test]
fn in_version_1_a_flipped_bit_of_a_payload_makes_no_record_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let frames = [plain_frame("a", 1, &hostile()), plain_frame("a", 1, b"two")];
    log_of_version_1(folder.path(), &[&frames]);
    let sound = fs::read(segment_path(folder.path(), SegmentNumber(1))).unwrap();
    // The payload begins behind the segment's header and the frame's, with its tenant.
    let payload = 32 + 12..sound.len() - frames[1].len();
    let end_of_last = frames[0].len() + 32;
    let flipped = payload.clone().map(|at| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    let flipped: Vec<_> = flipped.collect();
    read_harmed(folder.path(), 1, &flipped, |nth, lines| {
        let damage = format!("damaged at 32 for {}", frames[0].len());
        assert_eq!(lines, [&damage, "a/1/two"], "harm {nth}");
    });
    // The same at the segment's end.
    let at_end: Vec<_> = flipped
        .iter()
        .map(|bytes| bytes[..end_of_last].to_vec())
        .collect();
    read_harmed(folder.path(), 1, &at_end, |nth, lines| {
        assert_eq!(lines, [""; 0], "harm {nth}");
    });
}

#[test]
fn a_record_beyond_the_bound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let refused = log.append(&[Record {
        tenant: &tenant("a"),
        kind: 1,
        payload: &payload,
    }]);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
}

/// A disk whose next appends write half and fail, and whose truncation can fail too.
struct FullDisk {
    folder: Folder,
    faults: Arc<Mutex<Vec<Fault>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Half of the bytes are written; the file can be cut back.
    Append,
    /// Half of the bytes are written, and they cannot be taken back.
    AppendAndTruncate,
    /// No file can be made.
    Create,
    /// All is well this time.
    Nothing,
    /// Half of the bytes are written, and then the code is wrong.
    Panic,
}

struct FullFile {
    file: Arc<dyn SegmentFile>,
    faults: Arc<Mutex<Vec<Fault>>>,
    stuck: Mutex<bool>,
}

impl Disk for FullDisk {
    fn create(&self, number: SegmentNumber) -> io::Result<Arc<dyn SegmentFile>> {
        if self.faults.lock().last() == Some(&Fault::Create) {
            self.faults.lock().pop();
            return Err(io::Error::other("no space"));
        }
        Ok(Arc::new(FullFile {
            file: self.folder.create(number)?,
            faults: Arc::clone(&self.faults),
            stuck: Mutex::new(false),
        }))
    }
}

impl SegmentFile for FullFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let fault = self.faults.lock().pop();
        match fault {
            None | Some(Fault::Nothing) => self.file.append(bytes),
            Some(fault) => {
                *self.stuck.lock() = fault == Fault::AppendAndTruncate;
                self.file.append(&bytes[..bytes.len() / 2])?;
                assert!(fault != Fault::Panic, "on purpose");
                Err(io::Error::other("no space"))
            }
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        if *self.stuck.lock() {
            return Err(io::Error::other("no truncation"));
        }
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// Writes one record for each row, each after its faults (the last one happens first), and tells which were
/// refused; then reads the folder back. The lines that were logged come last.
fn write_with_faults(rows: &[(&str, &[Fault])]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let heard = HeardLog::start();
    let ears = tracing::dispatcher::get_default(Clone::clone);
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Mutex::new(Vec::new()));
    let disk = FullDisk {
        folder: Folder(folder.path().to_owned()),
        faults: Arc::clone(&faults),
    };
    let shared = Arc::new(Shared::new(LogSettings::default().write_max));
    let tail = Tail::new(
        Box::new(disk),
        SyncPolicy::Always,
        1 << 20,
        KEY,
        SegmentNumber::FIRST,
        None,
    );
    let writer = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || tracing::dispatcher::with_default(&ears, || run_writer(&shared, tail))
    });
    let mut refused = Vec::new();
    for (payload, row) in rows {
        *faults.lock() = row.to_vec();
        let mut frames = Vec::new();
        let record = Record {
            tenant: &tenant("a"),
            kind: 1,
            payload: payload.as_bytes(),
        };
        push_frame(&mut frames, &record, KEY);
        if shared.enqueue(&frames).unwrap().wait_blocking().is_err() {
            refused.push((*payload).to_owned());
        }
    }
    shared.close();
    writer.join().unwrap();
    (refused, replay_of(folder.path()), heard.lines())
}

#[test]
fn after_a_full_disk_the_log_goes_on_without_a_gap() {
    for (rows, refused, kept) in [
        (
            &[("1", &[][..]), ("2", &[Fault::Append]), ("3", &[])][..],
            &["2"][..],
            &["a/1/1", "a/1/3"][..],
        ),
        (
            &[
                ("1", &[]),
                ("2", &[Fault::AppendAndTruncate]),
                ("3", &[]),
                ("4", &[]),
            ],
            &["2"],
            &["a/1/1", "a/1/3", "a/1/4"],
        ),
        (
            &[
                ("1", &[]),
                ("2", &[Fault::AppendAndTruncate]),
                ("3", &[Fault::Create]),
                ("4", &[Fault::Append]),
                ("5", &[]),
            ],
            &["2", "3", "4"],
            &["a/1/1", "a/1/5"],
        ),
        (
            &[("1", &[]), ("2", &[Fault::AppendAndTruncate])],
            &["2"],
            &["a/1/1"],
        ),
        // No room from the beginning: for the segment, then for its header, then for its first record.
        (
            &[
                ("1", &[Fault::Create]),
                ("2", &[Fault::Append]),
                ("3", &[Fault::Append, Fault::Nothing]),
                ("4", &[]),
            ],
            &["1", "2", "3"],
            &["a/1/4"],
        ),
        // Whoever waits for a writer that panics gets an error, and it goes on.
        (
            &[("1", &[]), ("2", &[Fault::Panic]), ("3", &[])],
            &["2"],
            &["a/1/1", "a/1/3"],
        ),
    ] {
        let (actually_refused, actually_kept, _) = write_with_faults(rows);
        assert_eq!(actually_refused, refused, "{rows:?}");
        assert_eq!(actually_kept, kept, "{rows:?}");
    }
}

/// Nothing comes back from it before it is let go.
struct HangingDisk {
    folder: Folder,
    entered: Sender<()>,
    let_go: Arc<Mutex<Receiver<()>>>,
}

struct HangingFile(Arc<dyn SegmentFile>, Sender<()>, Arc<Mutex<Receiver<()>>>);

impl Disk for HangingDisk {
    fn create(&self, number: SegmentNumber) -> io::Result<Arc<dyn SegmentFile>> {
        let file = self.folder.create(number)?;
        let (entered, let_go) = (self.entered.clone(), Arc::clone(&self.let_go));
        Ok(Arc::new(HangingFile(file, entered, let_go)))
    }
}

impl SegmentFile for HangingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let _ = self.1.send(());
        let _ = self.2.lock().recv();
        self.0.append(bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[tokio::test]
async fn a_write_that_does_not_come_back_is_an_error_and_nothing_is_put_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (entering, entered) = channel();
    let (let_go, waiting) = channel();
    let disk = HangingDisk {
        folder: Folder(folder.path().to_owned()),
        entered: entering,
        let_go: Arc::new(Mutex::new(waiting)),
    };
    let shared = Arc::new(Shared::new(Duration::from_millis(20)));
    let tail = Tail::new(
        Box::new(disk),
        SyncPolicy::default(),
        1 << 20,
        KEY,
        SegmentNumber::FIRST,
        None,
    );
    let writer = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || run_writer(&shared, tail)
    });
    let frame = |payload: &str| {
        let mut frames = Vec::new();
        let record = Record {
            tenant: &tenant("a"),
            kind: 1,
            payload: payload.as_bytes(),
        };
        push_frame(&mut frames, &record, KEY);
        frames
    };
    let first = shared.enqueue(&frame("1")).unwrap();
    entered.recv().unwrap();
    let second = shared.enqueue(&frame("2")).unwrap();
    let hanging = |outcome: Result<(), AppendError>| {
        assert!(matches!(outcome, Err(AppendError::Hanging { .. })));
    };
    hanging(shared.answer_of(&first).await);
    hanging(shared.answer_of(&second).await);
    hanging(shared.enqueue(&frame("3")).map(drop));
    hanging(shared.request_rotation().map(drop));
    assert!(!shared.is_writable());
    drop(let_go);
    first.wait().await.unwrap();
    second.wait().await.unwrap();
    assert!(shared.is_writable());
    shared.enqueue(&frame("4")).unwrap().wait().await.unwrap();
    shared.close();
    writer.join().unwrap();
    assert_eq!(replay_of(folder.path()), ["a/1/1", "a/1/2", "a/1/4"]);
}

#[test]
fn a_full_disk_is_told_once_and_so_is_its_end() {
    let full: (&str, &[Fault]) = ("x", &[Fault::Append]);
    let well: (&str, &[Fault]) = ("x", &[]);
    let (_, _, lines) = write_with_faults(&[well, full, full, full, well, well]);
    assert_eq!(
        lines,
        [
            "ERROR log could not be written error=no space segment=00000001 left_out=0",
            "INFO log is written again left_out=2",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever byte a crash stops at: what is read back is a beginning of what was written, no whole record of
    /// that beginning is missing, and the log goes on behind it.
    #[test]
    fn any_prefix_of_the_log_replays_a_prefix_of_the_records(
        payloads in prop::collection::vec("[a-z]{0,40}", 1..12),
        cut in 0.0..1.0_f64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        let path = segment_path(folder.path(), SegmentNumber(1));
        let mut ends = vec![40];
        for payload in &payloads {
            append(&log, "a", 1, payload);
            ends.push(fs::metadata(&path).unwrap().len());
        }
        drop(log);
        let length = *ends.last().unwrap();
        let cut = (cut * (length + 1) as f64) as u64;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();

        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let mut expected: Vec<String> = payloads[..whole].iter().map(|payload| format!("a/1/{payload}")).collect();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        prop_assert_eq!(replayed(&log, SegmentNumber::FIRST), expected.clone());
        let torn = log.torn_tail().map(|tail| tail.offset + tail.bytes);
        prop_assert_eq!(torn, (!ends.contains(&cut) && cut > 0).then_some(cut));
        append(&log, "a", 2, "more");
        drop(log);
        expected.push("a/2/more".to_owned());
        prop_assert_eq!(replay_of(folder.path()), expected);
    }
}
