//! `kill -9` while samples leave memory for blocks: nothing acknowledged is lost, and nothing is told twice.
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use fakes::SentSample;
use runtime::{Clock, SystemClock};

use crate::files::folder;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, Watchbell, serve};

/// Runs in every change's tests; the long tests ask for more.
const KILLS_DEFAULT: u64 = 6;
const SERIES: i64 = 300;
const HOURS: i64 = 9;
const STEP_MILLIS: i64 = 60_000;
/// What the log says of each block.
const CUT: &str = "samples left memory for a block";
const LATE_CUT: &str = "samples that came out of order left memory for a block";

/// Values by series and time in milliseconds.
type Samples = BTreeMap<(String, i64), f64>;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_cut_loses_and_doubles_nothing() {
    let window = "storage: {out_of_order_time_window: 12h}\n";
    let prepared = folder(&[("watchbell.yml", window)]);
    let mut watchbell = Watchbell::start(prepared.path()).await;
    let acknowledged = write(&watchbell).await;
    watchbell.process().kill();
    assert!(
        !watchbell.process().log_text().contains(CUT),
        "the first turn is over"
    );
    drop(watchbell);

    // Once in peace, to know how long it takes.
    let (untouched, begun) = (copy_of(prepared.path()), tokio::time::Instant::now());
    let process = serve(untouched.path(), "watchbell.log");
    let blocks = wait_for("all ranges to be cut", STARTING, async || {
        let text = process.log_text();
        let cuts = text.matches(CUT).count();
        // Those of what came late come behind the others, one for each range.
        let late = text.matches(LATE_CUT).count();
        (cuts >= 3 && late >= 4).then_some(cuts)
    });
    blocks.await;
    let whole = begun.elapsed();
    drop(process);

    let kills = std::env::var("WATCHBELL_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS_DEFAULT);
    for number in 0..kills {
        // Each kill in a stretch of its own, so that the whole of it is covered.
        let share = (number as f64 + RandomState::new().hash_one(number) as f64 / u64::MAX as f64)
            / kills as f64;
        let moment = whole.mul_f64(share);
        let folder = copy_of(prepared.path());
        let mut process = serve(folder.path(), "watchbell.log");
        tokio::time::timeout(moment, std::future::pending::<()>())
            .await
            .expect_err("it never ends by itself");
        process.kill();
        let cuts = process.log_text().matches(CUT).count();
        eprintln!("kill {number} of {kills} comes after {moment:?} of {whole:?} and {cuts} cuts");
        drop(process);
        let mut watchbell = Watchbell::start(folder.path()).await;
        assert_same(&read(&watchbell).await, &acknowledged);
        wait_for("all ranges to be cut", STARTING, async || {
            let text = watchbell.process().log_text();
            let series_left =
                watchbell.json("/api/v1/status/tsdb").await["data"]["headStats"]["minTime"]
                    .as_i64()?;
            assert!(!text.contains("level=ERROR"), "{text}");
            (SystemClock::new().now().as_millis() - series_left < 4 * 3_600_000).then_some(())
        })
        .await;
        assert_same(&read(&watchbell).await, &acknowledged);
        let left = fs::read_dir(folder.path().join("data/ingest/blocks/anonymous"));
        for entry in left.expect("there are blocks") {
            let name = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name");
            assert!(name == "wal" || name.len() == 26, "{name} was left behind");
        }
    }
}

/// Nine hours up to now, oldest first.
async fn write(watchbell: &Watchbell) -> Samples {
    let mut acknowledged = Samples::new();
    let now = SystemClock::new().now().as_millis();
    let begin = now - HOURS * 3_600_000;
    let times: Vec<i64> = (0..)
        .map(|step| begin + step * STEP_MILLIS)
        .take_while(|at| *at <= now)
        .collect();
    for times in times.chunks(10) {
        let mut sent = Vec::new();
        for at in times {
            for number in 0..SERIES {
                let series = number.to_string();
                let value = (at / 1000 % 977 * number) as f64;
                sent.push(SentSample::new(
                    "block_probe",
                    &[("number", &series)],
                    *at,
                    value,
                ));
                acknowledged.insert((series, *at), value);
            }
        }
        assert_eq!(watchbell.write(None, &sent).await.0, 204);
    }
    // And what comes late: between those, backwards.
    for times in times.rchunks(10) {
        let mut sent = Vec::new();
        for number in 0..SERIES {
            let series = number.to_string();
            let at = times[0] + STEP_MILLIS / 2 + number % 7;
            let value = number as f64 + 0.5;
            sent.push(SentSample::new(
                "block_probe",
                &[("number", &series)],
                at,
                value,
            ));
            acknowledged.insert((series, at), value);
        }
        assert_eq!(watchbell.write(None, &sent).await.0, 204);
    }
    acknowledged
}

async fn read(watchbell: &Watchbell) -> Samples {
    let answer = watchbell
        .json("/api/v1/query?query=block_probe%5B12h%5D")
        .await;
    let mut found = Samples::new();
    for series in answer["data"]["result"].as_array().expect("a matrix") {
        let number = series["metric"]["number"].as_str().expect("a label");
        for pair in series["values"].as_array().expect("samples") {
            let at = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
            let value = pair[1].as_str().and_then(|value| value.parse().ok());
            let before = found.insert((number.to_owned(), at), value.expect("a value"));
            assert_eq!(before, None, "series {number} at {at} is told twice");
        }
    }
    found
}

fn assert_same(found: &Samples, acknowledged: &Samples) {
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|(key, value)| found.get(key) != Some(value))
        .collect();
    let shown = &lost[..lost.len().min(5)];
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged samples are lost: {shown:?}",
        lost.len(),
        acknowledged.len()
    );
    assert_eq!(found.len(), acknowledged.len());
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder can be made");
    copy_into(folder, copy.path());
    fs::remove_file(copy.path().join("watchbell.log")).expect("the log can be removed");
    copy
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be read") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}
