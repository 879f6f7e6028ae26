//! An ingest in a folder of its own whose clock is set by hand, and samples to compare with.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::WatchbellConfig;
use fakes::{SentSample, write_request};
use model::{Labels, Sample, TenantId, Timestamp};
use promql::{Selection, SeriesReader};
use runtime::{ManualClock, Metrics};
use watchbell_ingest::{Build, Engine, IngestSettings};

pub(crate) const HOUR: i64 = 3600;

/// Values as their bits by time in milliseconds.
pub(crate) type Table = BTreeMap<Labels, BTreeMap<i64, u64>>;

pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Metrics,
    /// What was acknowledged.
    pub(crate) written: Table,
}

#[derive(Clone, Copy)]
pub(crate) struct Keeping {
    pub(crate) retention: Duration,
    pub(crate) bytes_max: Option<u64>,
    /// For what comes out of order.
    pub(crate) window: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(15 * 24 * 3600),
            bytes_max: None,
            window: Duration::ZERO,
        }
    }
}

impl Site {
    pub(crate) fn open(folder: &Path, keeping: Keeping, secs: i64) -> Self {
        let mut config = WatchbellConfig::default();
        config.storage.path = folder.to_owned();
        config.storage.retention = keeping.retention;
        config.storage.retention_bytes_max = keeping.bytes_max;
        config.storage.out_of_order_time_window = Some(keeping.window);
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(secs)));
        let settings = IngestSettings::new(&config, Build::default());
        let metrics = Metrics::new();
        Self {
            folder: folder.to_owned(),
            engine: Engine::open(settings, clock.clone(), &metrics).unwrap(),
            clock,
            metrics,
            written: Table::new(),
        }
    }

    /// As after a crash: what is on disk is read back.
    pub(crate) fn open_again(self, keeping: Keeping) -> Self {
        let Self {
            folder,
            engine,
            clock,
            written,
            ..
        } = self;
        drop(engine);
        let secs = runtime::Clock::now(clock.as_ref()).as_millis() / 1000;
        Self {
            written,
            ..Self::open(&folder, keeping, secs)
        }
    }

    pub(crate) async fn append(&mut self, samples: Vec<(Labels, Sample)>) {
        let report = self.engine.append(&tenant(), &samples).await.unwrap();
        assert_eq!(report.accepted, samples.len(), "{report:?}");
        for (labels, sample) in samples {
            let of_series = self.written.entry(labels).or_default();
            of_series.insert(sample.timestamp.as_millis(), sample.value.to_bits());
        }
    }

    /// As remote write brings them, in one request that is taken whole.
    pub(crate) async fn push(&mut self, samples: Vec<(Labels, Sample)>) {
        let sent: Vec<SentSample> = samples
            .iter()
            .map(|(labels, sample)| {
                let name = labels.value("__name__");
                let others = labels.iter().filter(|(label, _)| *label != "__name__");
                let others: Vec<(&str, &str)> = others.collect();
                let at = sample.timestamp.as_millis();
                SentSample::new(name, &others, at, sample.value)
            })
            .collect();
        let body = write_request(&sent);
        let report = self.engine.push(&tenant(), body.into()).await.unwrap();
        assert_eq!(report.accepted, samples.len(), "{report:?}");
        for (labels, sample) in samples {
            let of_series = self.written.entry(labels).or_default();
            of_series.insert(sample.timestamp.as_millis(), sample.value.to_bits());
        }
    }

    /// From one hour to another, one sample of each series a `step` seconds; blocks are looked after every hour.
    pub(crate) async fn run(&mut self, hours: std::ops::Range<i64>, series: i64, step: i64) {
        for secs in (hours.start * HOUR..hours.end * HOUR).step_by(step as usize) {
            self.clock.set(Timestamp::from_secs(secs));
            if secs % HOUR == 0 {
                self.engine.keep_blocks();
            }
            let samples = (0..series).map(|number| sample(number, secs));
            self.append(samples.collect()).await;
        }
    }

    pub(crate) fn read(&self, after: i64, until: i64) -> Table {
        let selection = Selection {
            matchers: &[],
            after: Timestamp::from_millis(after),
            until: Timestamp::from_millis(until),
            newest_only: false,
        };
        let found = self.engine.reader(&tenant()).select(&selection, usize::MAX);
        let mut table = Table::new();
        for series in found.unwrap() {
            let ascending = series
                .samples
                .is_sorted_by(|left, right| left.timestamp < right.timestamp);
            assert!(ascending, "each time once: {}", series.labels);
            let pairs = series
                .samples
                .iter()
                .map(|sample| (sample.timestamp.as_millis(), sample.value.to_bits()));
            let before = table.insert(series.labels, pairs.collect());
            assert_eq!(before, None, "each label set once");
        }
        table
    }

    pub(crate) fn assert_nothing_is_lost(&self) {
        assert_same(&self.read(i64::MIN, i64::MAX), &self.written);
    }

    pub(crate) fn blocks_folder(&self) -> PathBuf {
        self.folder.join("ingest/blocks").join(tenant().as_str())
    }

    /// Level, begin and end in hours of every block, by begin.
    pub(crate) fn blocks(&self) -> Vec<(u64, i64, i64)> {
        let mut found: Vec<(u64, i64, i64)> = self
            .block_folders()
            .iter()
            .map(|folder| {
                let meta = std::fs::read(folder.join("meta.json")).unwrap();
                let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
                let hours = |name: &str| meta[name].as_i64().unwrap() / 1000 / HOUR;
                let level = meta["compaction"]["level"].as_u64().unwrap();
                (level, hours("minTime"), hours("maxTime"))
            })
            .collect();
        found.sort_by_key(|(_, begin, _)| *begin);
        found
    }

    pub(crate) fn block_folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.blocks_folder()) else {
            return Vec::new();
        };
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.join("meta.json").exists());
        folders.sort();
        folders
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::anonymous()
}

pub(crate) fn series(number: i64) -> Labels {
    Labels::from_pairs([
        ("__name__", "requests_total".to_owned()),
        (
            "instance",
            format!("10.0.{}.{}:9100", number / 100, number % 100),
        ),
        ("job", format!("job-{}", number % 7)),
    ])
}

/// Counters that go up unevenly, gauges with decimals, and what stands still.
pub(crate) fn sample(number: i64, secs: i64) -> (Labels, Sample) {
    let noise = (secs / 15).wrapping_mul(2_654_435_761 + number) >> 7 & 0xff;
    let value = match number % 4 {
        0 => (secs / 15 * 40 + noise / 16) as f64,
        1 => noise as f64 / 8.0 + 20.0,
        2 => 1.0,
        _ => (secs as f64 * 0.37 + number as f64).sin() * 100.0,
    };
    let timestamp = Timestamp::from_secs(secs);
    (series(number), Sample { timestamp, value })
}

pub(crate) fn assert_same(found: &Table, expected: &Table) {
    let names: Vec<_> = found.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>());
    for (labels, samples) in expected {
        if found[labels] != *samples {
            let missing: Vec<_> = samples
                .iter()
                .filter(|(at, value)| found[labels].get(at) != Some(value))
                .collect();
            let more: Vec<_> = found[labels]
                .keys()
                .filter(|at| !samples.contains_key(at))
                .collect();
            panic!("{labels}: missing or different {missing:?}, more {more:?}");
        }
    }
}
