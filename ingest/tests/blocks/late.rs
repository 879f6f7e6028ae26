//! Samples that come out of order: through log, memory, cuts, merges and restarts.
use std::time::Duration;

use model::{Labels, Sample, Timestamp};

use crate::site::{HOUR, Keeping, Site, assert_same, sample, series, tenant};
use crate::tools::{promtool_dump, promtool_is_there};

const WINDOW: Keeping = Keeping {
    retention: Duration::from_secs(15 * 24 * 3600),
    bytes_max: None,
    window: Duration::from_secs(6 * 3600),
};

/// Off the grid of what comes in order, so many seconds before a full hour.
fn late(hour: i64, number: i64, ago: i64) -> (Labels, Sample) {
    let (labels, sample) = sample(number, hour * HOUR - ago);
    let value = sample.value + 0.5;
    (labels, Sample { value, ..sample })
}

/// Each hour some come that are minutes late, some that belong into blocks, and some of series that there were not.
fn late_of(hour: i64) -> Vec<(Labels, Sample)> {
    let mut samples = Vec::new();
    for number in 0..4 {
        for ago in [7, 1900, 301, 5 * HOUR - 11, 3 * HOUR + 13] {
            let ago = ago + hour % 5;
            if hour * HOUR >= ago {
                samples.push(late(hour, number, ago));
            }
        }
    }
    if hour > 5 {
        samples.push(late(hour, 100 + hour, 5 * HOUR));
    }
    samples
}

#[tokio::test]
async fn what_comes_late_is_there_once_over_cuts_merges_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), WINDOW, 0);
    for hour in 0..24 {
        site.run(hour..hour + 1, 4, 300).await;
        site.push(late_of(hour)).await;
        site.assert_nothing_is_lost();
        match hour % 4 {
            0 => site = site.open_again(WINDOW),
            1 => site.engine.checkpoint(),
            2 => {
                site.engine.checkpoint();
                site = site.open_again(WINDOW);
            }
            _ => {}
        }
        site.assert_nothing_is_lost();
        site.engine.keep_blocks();
        site.assert_nothing_is_lost();
    }
    site.engine.keep_blocks();
    let blocks = site.blocks();
    for pair in blocks.windows(2) {
        assert!(pair[0].2 <= pair[1].1, "over one another: {blocks:?}");
    }
    let late =
        site.metric("prometheus_tsdb_head_out_of_order_samples_appended_total{type=\"float\"}");
    assert!(late > 0.0);
    // What is in blocks does not come back from the log.
    let before = site.engine.stats(&tenant()).chunks;
    let site = site.open_again(WINDOW);
    assert_eq!(site.engine.stats(&tenant()).chunks, before);
    site.assert_nothing_is_lost();
}

/// Debian's `promtool` reads what was cut and merged.
#[tokio::test]
async fn promtool_reads_blocks_of_what_came_late() {
    if !promtool_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), WINDOW, 0);
    for hour in 0..10 {
        site.run(hour..hour + 1, 4, 300).await;
        site.push(late_of(hour)).await;
    }
    site.engine.keep_blocks();
    let head = site.engine.stats(&tenant()).min_time.unwrap().as_millis();
    let mut expected = site.written.clone();
    let dumped = promtool_dump(&site.blocks_folder());
    // What came late for the range that memory still holds is in a block already.
    for (labels, samples) in &mut expected {
        let in_blocks = dumped.get(labels);
        samples.retain(|at, _| *at < head || in_blocks.is_some_and(|some| some.contains_key(at)));
    }
    assert_same(&dumped, &expected);
}

/// Whichever was there first: in memory, in blocks and merged.
#[tokio::test]
async fn a_time_that_is_there_keeps_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), WINDOW, 0);
    site.run(1..4, 1, 600).await;
    let other = |at: i64, value| {
        let timestamp = Timestamp::from_secs(at);
        vec![(series(0), Sample { timestamp, value })]
    };
    // One over a sample in memory, which is noticed.
    let mut expected = site.written.clone();
    let push = async |site: &mut Site, samples: Vec<(Labels, Sample)>| {
        let sent: Vec<fakes::SentSample> = samples
            .iter()
            .map(|(labels, sample)| {
                let others = ["instance", "job"].map(|name| (name, labels.value(name)));
                let at = sample.timestamp.as_millis();
                fakes::SentSample::new("requests_total", &others, at, sample.value)
            })
            .collect();
        let body = fakes::write_request(&sent);
        site.engine.push(&tenant(), body.into()).await.unwrap()
    };
    let report = push(&mut site, other(4800, 77.0)).await;
    assert_eq!((report.accepted, report.contradicting), (0, 1));
    assert_eq!(
        site.metric("watchbell_ingest_contradicting_samples_total"),
        1.0
    );
    // Two late ones of one time, the first of which is in a chunk by then.
    for number in 0..40 {
        let samples = other(8000 - number, number as f64);
        let (labels, sample) = samples[0].clone();
        let of_series = expected.entry(labels).or_default();
        of_series.insert(sample.timestamp.as_millis(), sample.value.to_bits());
        assert_eq!(push(&mut site, samples).await.accepted, 1);
    }
    assert_eq!(push(&mut site, other(8000, 88.0)).await.late, 1);
    assert_same(&site.read(i64::MIN, i64::MAX), &expected);
    // And over one that is in a block, with one that makes its block begin before that.
    site.written = expected;
    site.run(4..6, 1, 600).await;
    site.engine.keep_blocks();
    assert_eq!(site.blocks()[0], (1, 1, 2));
    site.push(other(3000, 98.0)).await;
    for at in [4800, 7990] {
        assert_eq!(push(&mut site, other(at, 99.0)).await.late, 1);
        site.assert_nothing_is_lost();
    }
    site.run(6..9, 1, 600).await;
    site.assert_nothing_is_lost();
    site.engine.keep_blocks();
    site.assert_nothing_is_lost();
    assert_eq!(site.blocks()[0].0, 2, "they were merged");
    let site = site.open_again(WINDOW);
    site.assert_nothing_is_lost();
}
