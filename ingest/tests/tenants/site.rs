//! An ingest of several tenants whose clock is set by hand.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::WatchbellConfig;
use model::{Labels, Sample, TenantId, Timestamp};
use promql::{Selection, SeriesReader};
use runtime::{Clock, ManualClock, Metrics};
use watchbell_ingest::{Build, Engine, IngestSettings};

pub(crate) const IDLE_MAX: Duration = Duration::from_secs(3600);

pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Metrics,
}

pub(crate) fn tenant(number: usize) -> TenantId {
    TenantId::parse(&format!("t{number}")).unwrap()
}

impl Site {
    pub(crate) fn open(folder: &Path, now: Timestamp, idle_max: Duration) -> Self {
        let mut config = WatchbellConfig::default();
        config.storage.path = folder.to_owned();
        config.storage.tenant_idle_max = idle_max;
        let clock = Arc::new(ManualClock::at(now));
        let settings = IngestSettings::new(&config, Build::default());
        let metrics = Metrics::new();
        Self {
            folder: folder.to_owned(),
            engine: Engine::open(settings, clock.clone(), &metrics).unwrap(),
            clock,
            metrics,
        }
    }

    /// As after a kill: nothing is told to it before.
    pub(crate) fn open_again(self) -> Self {
        let (folder, now) = (self.folder.clone(), self.clock.now());
        drop(self);
        Self::open(&folder, now, IDLE_MAX)
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }

    pub(crate) async fn write(&self, number: usize, series: &str, value: f64) -> Timestamp {
        let at = self.clock.now();
        let sample = Sample {
            timestamp: at,
            value,
        };
        let samples = [(labels(series), sample)];
        let report = self.engine.append(&tenant(number), &samples).await.unwrap();
        assert_eq!(report.accepted, 1, "{report:?}");
        at
    }

    /// Values by series and time in milliseconds.
    pub(crate) fn read(&self, number: usize) -> BTreeMap<(String, i64), f64> {
        let selection = Selection {
            matchers: &[],
            after: Timestamp::MIN,
            until: Timestamp::MAX,
            newest_only: false,
        };
        let reader = self.engine.reader(&tenant(number));
        let mut found = BTreeMap::new();
        for series in reader.select(&selection, usize::MAX).unwrap() {
            let name = series.labels.metric_name().unwrap().to_owned();
            for sample in series.samples {
                let key = (name.clone(), sample.timestamp.as_millis());
                let before = found.insert(key, sample.value);
                assert_eq!(before, None, "each sample once");
            }
        }
        found
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in\n{text}"))
            .parse()
            .unwrap()
    }
}

pub(crate) fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}
