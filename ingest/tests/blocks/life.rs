//! Cuts, merges, restarts, removal, damage.
use std::fs;
use std::time::Duration;

use model::{Labels, Matcher, Sample, Timestamp};
use promql::{ReadError, Selection, SeriesReader};
use watchbell_ingest::Look;

use crate::site::{HOUR, Keeping, Site, Table, assert_same, sample, series, tenant};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn two_days_go_into_blocks_and_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    for hour in (0..48).step_by(4) {
        site.run(hour..hour + 4, 9, 300).await;
        site.assert_nothing_is_lost();
        site = site.open_again(Keeping::default());
        site.assert_nothing_is_lost();
    }
    let blocks = [(3, 0, 18), (3, 18, 36), (2, 36, 42), (1, 42, 44)];
    assert_eq!(site.blocks(), blocks);
    let head = site.engine.stats(&tenant());
    assert_eq!(head.min_time, Some(Timestamp::from_secs(44 * HOUR)));
    assert_eq!(site.metric("watchbell_ingest_blocks"), 4.0);

    // Windows that end before the head begins, over the border between two blocks, and over that to the head.
    for (after, until) in [
        (0, 3600),
        (10 * HOUR, 20 * HOUR),
        (18 * HOUR - 1, 18 * HOUR),
        (43 * HOUR, 45 * HOUR),
    ] {
        let (after, until) = (after * 1000, until * 1000);
        let mut expected: Table = site.written.clone();
        for samples in expected.values_mut() {
            samples.retain(|at, _| *at > after && *at <= until);
        }
        assert_same(&site.read(after, until), &expected);
    }

    let reader = site.engine.reader(&tenant());
    let (after, until) = (Timestamp::MIN, Timestamp::MAX);
    let look = Look::new(usize::MAX, &|| false);
    assert_eq!(
        reader.label_names(after, until, &look).unwrap(),
        ["__name__", "instance", "job"]
    );
    let values = reader.label_values("job", after, until, &look);
    assert_eq!(values.unwrap().len(), 7);
    let early = reader.label_sets(
        &[vec![Matcher::equal("job", "job-1")]],
        after,
        Timestamp::from_secs(HOUR),
        &look,
    );
    assert_eq!(early.unwrap(), [series(1), series(8)]);
    let selection = Selection {
        matchers: &[],
        after,
        until,
        newest_only: false,
    };
    let bound: usize = site.written.values().map(|samples| samples.len()).sum();
    assert!(reader.select(&selection, bound).is_ok());
    assert_eq!(
        reader.select(&selection, bound - 1),
        Err(ReadError::TooManySamples)
    );
}

/// The sender repeats what it did not hear an answer to, over a cut and a restart.
#[tokio::test]
async fn late_and_repeated_samples() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    site.run(0..5, 3, 60).await;
    site.engine.keep_blocks();
    assert_eq!(site.blocks(), [(1, 0, 2)]);
    for _ in 0..2 {
        let repeated = [sample(0, 5 * HOUR - 60)];
        let report = site.engine.append(&tenant(), &repeated).await.unwrap();
        assert_eq!((report.accepted, report.repeated), (0, 1));
        // A new series whose samples would belong into the block.
        let late = [sample(77, 2 * HOUR - 1), sample(77, 2 * HOUR)];
        let report = site.engine.append(&tenant(), &late[..1]).await.unwrap();
        assert_eq!((report.accepted, report.refused_samples.len()), (0, 1));
        site = site.open_again(Keeping::default());
    }
    site.append(vec![sample(77, 2 * HOUR)]).await;
    site.assert_nothing_is_lost();
}

/// A crash between the block's rename and anything else: log and block hold the same.
#[tokio::test]
async fn what_is_in_block_and_log_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    site.run(0..5, 3, 60).await;
    let before = tempfile::tempdir().unwrap();
    copy(&site.folder.join("ingest/log"), &before.path().join("log"));
    site.engine.keep_blocks();
    assert_eq!(site.blocks().len(), 1);
    site.engine.checkpoint();
    let block = site.block_folders().remove(0);
    let Site {
        engine, written, ..
    } = site;
    drop(engine);
    // Everything as it was before the cut, and the block beside it, with half of another one.
    fs::remove_dir_all(folder.path().join("ingest/log")).unwrap();
    fs::remove_dir_all(folder.path().join("ingest/snapshots")).unwrap();
    copy(
        &before.path().join("log"),
        &folder.path().join("ingest/log"),
    );
    let half = block.with_file_name("01ARYZ6S41ZZZZZZZZZZZZZZZZ.tmp-for-creation");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("index"), "half").unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 5 * HOUR);
    site.written = written;
    site.assert_nothing_is_lost();
    assert!(!half.exists());
    let head = site.engine.stats(&tenant());
    assert_eq!(head.min_time, Some(Timestamp::from_secs(2 * HOUR)));
    assert_eq!(head.chunks, 6, "of three series, two ranges each");
    // And where the block is lost, the log still has it.
    let Site {
        engine, written, ..
    } = site;
    drop(engine);
    fs::remove_dir_all(&block).unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 5 * HOUR);
    site.written = written;
    site.assert_nothing_is_lost();
}

/// Both the blocks that were merged and the merged one are there.
#[tokio::test]
async fn a_crash_before_merged_blocks_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    site.run(0..9, 3, 300).await;
    let aside = tempfile::tempdir().unwrap();
    let blocks = site.blocks_folder();
    copy(&blocks, aside.path());
    site.run(9..12, 3, 300).await;
    assert_eq!(site.blocks(), [(2, 0, 6), (1, 6, 8)]);
    copy(aside.path(), &blocks);
    assert_eq!(site.blocks().len(), 5);
    site = site.open_again(Keeping::default());
    assert_eq!(site.blocks(), [(2, 0, 6), (1, 6, 8)]);
    site.assert_nothing_is_lost();
}

/// A block that came from elsewhere and lies over ours.
#[tokio::test]
async fn blocks_over_one_another_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    site.run(0..5, 3, 300).await;
    site.engine.keep_blocks();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = Site::open(elsewhere.path(), Keeping::default(), 0);
    // Every second sample is ours too; series 3 is not.
    other.run(0..7, 4, 150).await;
    other.engine.keep_blocks();
    let came: Table = other.read(i64::MIN, 4 * HOUR * 1000 - 1);
    copy(&other.blocks_folder(), &site.blocks_folder());
    let mut site = site.open_again(Keeping::default());
    for (labels, samples) in came {
        site.written.entry(labels).or_default().extend(samples);
    }
    site.assert_nothing_is_lost();
    site.engine.keep_blocks();
    // The newest is left alone but where it lies over others.
    assert_eq!(site.blocks(), [(2, 0, 2), (1, 2, 4)]);
    site.assert_nothing_is_lost();
    let site = site.open_again(Keeping::default());
    site.assert_nothing_is_lost();
}

/// Its cuts say nothing of our samples.
#[tokio::test]
async fn a_block_of_another_watchbell_takes_nothing_out_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    site.run(0..5, 3, 300).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = Site::open(elsewhere.path(), Keeping::default(), 0);
    // The same series up to later times, with fewer samples.
    other.run(0..9, 3, 600).await;
    other.engine.keep_blocks();
    let came: Table = other.read(i64::MIN, 6 * HOUR * 1000 - 1);
    copy(&other.blocks_folder(), &site.blocks_folder());
    for _ in 0..2 {
        site = site.open_again(Keeping::default());
        for (labels, samples) in came.clone() {
            site.written.entry(labels).or_default().extend(samples);
        }
        site.assert_nothing_is_lost();
    }
    let next = sample(0, 5 * HOUR);
    site.append(vec![next]).await;
    site.engine.keep_blocks();
    site.assert_nothing_is_lost();
}

#[tokio::test]
async fn old_blocks_go_by_time_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = Keeping {
        retention: DAY,
        ..Keeping::default()
    };
    let mut site = Site::open(folder.path(), keeping, 0);
    site.run(0..40, 2, 300).await;
    site.engine.keep_blocks();
    let blocks = site.blocks();
    let (first, last) = (blocks[0], blocks[blocks.len() - 1]);
    assert_eq!((first.1, last.2), (14, 38), "of 24 hours: {blocks:?}");
    for samples in site.written.values_mut() {
        samples.retain(|at, _| *at >= 14 * HOUR * 1000);
    }
    site.assert_nothing_is_lost();

    let bytes = site.metric("watchbell_ingest_block_bytes");
    let keeping = Keeping {
        retention: DAY,
        bytes_max: Some((bytes / 2.0) as u64),
        ..Keeping::default()
    };
    let site = site.open_again(keeping);
    site.engine.keep_blocks();
    let left = site.blocks();
    // The log would have taken most of it.
    assert_eq!(site.metric("watchbell_ingest_checkpoints_total"), 1.0);
    assert!(left.len() > 3 && left.len() < blocks.len(), "{left:?}");
    assert_eq!(left, blocks[blocks.len() - left.len()..]);
    let size =
        site.metric("watchbell_ingest_block_bytes") + site.metric("watchbell_ingest_log_bytes");
    assert!(size <= keeping.bytes_max.unwrap() as f64);
    assert_eq!(
        site.metric("watchbell_ingest_expired_blocks_total"),
        (blocks.len() - left.len()) as f64
    );
}

/// Which file is harmed how, and what is said.
#[tokio::test]
async fn damaged_blocks_are_reported_with_their_place_and_the_start_goes_on() {
    for (file, harm, at_opening, told) in [
        ("index", Harm::Cut(100), true, "index at byte"),
        (
            "index",
            Harm::Flip(20),
            true,
            "index at byte 5: checksum differs",
        ),
        ("index", Harm::Remove, true, "index cannot be read"),
        ("meta.json", Harm::Cut(30), true, "meta.json cannot be read"),
        ("meta.json", Harm::Remove, true, "meta.json cannot be read"),
        (
            "tombstones",
            Harm::Flip(5),
            true,
            "tombstones at byte 5: checksum differs",
        ),
        ("chunks", Harm::Remove, true, "chunks cannot be read"),
        (
            "chunks/000001",
            Harm::Cut(4),
            true,
            "chunks/000001 at byte 4: file is cut off",
        ),
        (
            "chunks/000001",
            Harm::Flip(100),
            false,
            "chunks/000001 at byte 10: checksum differs",
        ),
        (
            "chunks/000001",
            Harm::Remove,
            false,
            "chunks/000001 at byte 8: segment is missing",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site::open(folder.path(), Keeping::default(), 0);
        site.run(0..7, 2, 60).await;
        site.engine.keep_blocks();
        site.engine.checkpoint();
        let block = site.block_folders().remove(0);
        harm.of(&block.join(file));
        let heard = runtime::HeardLog::start();
        let mut site = site.open_again(Keeping::default());
        let (first, rest) = (2 * HOUR * 1000 - 1, i64::MAX);
        let window = Selection {
            matchers: &[],
            after: Timestamp::MIN,
            until: Timestamp::from_millis(first),
            newest_only: false,
        };
        let found = site.engine.reader(&tenant()).select(&window, usize::MAX);
        let lines = heard.lines().join("\n");
        drop(heard);
        if at_opening {
            assert!(
                lines.contains(told) && lines.contains(&block.display().to_string()),
                "{file}: {lines}"
            );
            assert_eq!(
                site.metric("watchbell_ingest_damaged_blocks_total"),
                1.0,
                "{file}"
            );
            assert_eq!(found, Ok(Vec::new()), "{file}");
        } else {
            let Err(ReadError::Storage(error)) = found else {
                panic!("{file} is damaged: {found:?}");
            };
            assert!(error.contains(told), "{error}");
        }
        for samples in site.written.values_mut() {
            samples.retain(|at, _| *at > first);
        }
        assert_same(&site.read(first, rest), &site.written);
        // It goes on with the others.
        site.run(7..9, 2, 60).await;
        site.engine.keep_blocks();
        assert_same(&site.read(first, rest), &site.written);
        assert!(block.exists(), "{file}: for whoever wants to look at it");
    }
}

#[derive(Clone, Copy)]
enum Harm {
    Cut(u64),
    Flip(usize),
    Remove,
}

impl Harm {
    fn of(self, path: &std::path::Path) {
        match self {
            Self::Cut(length) => {
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(length).unwrap();
            }
            Self::Flip(at) => {
                let mut bytes = fs::read(path).unwrap();
                bytes[at] ^= 1;
                fs::write(path, bytes).unwrap();
            }
            Self::Remove if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            Self::Remove => fs::remove_file(path).unwrap(),
        }
    }
}

/// A disk that takes no block: memory keeps everything.
#[tokio::test]
async fn a_block_that_cannot_be_written_leaves_everything_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    // A file where the folder should be.
    fs::create_dir_all(folder.path().join("ingest/blocks")).unwrap();
    site.run(0..1, 2, 300).await;
    fs::write(site.blocks_folder(), "").unwrap();
    site.run(1..5, 2, 300).await;
    site.engine.keep_blocks();
    assert!(site.metric("watchbell_ingest_failed_block_writes_total") >= 1.0);
    site.assert_nothing_is_lost();
    fs::remove_file(site.blocks_folder()).unwrap();
    site.engine.keep_blocks();
    assert_eq!(site.blocks(), [(1, 0, 2)]);
    site.assert_nothing_is_lost();
}

/// A value that differs from the block's, for a series that has left memory.
#[tokio::test]
async fn a_query_never_tells_two_values_for_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    let up = Labels::from_pairs([("__name__", "up")]);
    let at = |secs, value| {
        let timestamp = Timestamp::from_secs(secs);
        (up.clone(), Sample { timestamp, value })
    };
    site.append(vec![at(0, 1.0), at(60, 2.0)]).await;
    site.run(0..5, 1, 300).await;
    site.engine.keep_blocks();
    let report = site.engine.append(&tenant(), &[at(60, 3.0)]).await.unwrap();
    assert_eq!(report.accepted, 0);
    site.assert_nothing_is_lost();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
