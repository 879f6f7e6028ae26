//! Whether what has to be stored can be.
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::log::LogWatch;

/// The logs of the process' parts, by their names.
#[derive(Clone, Default)]
pub(crate) struct StorageCollector {
    pub(crate) logs: Arc<Mutex<Vec<(&'static str, LogWatch)>>>,
}

impl Collector for StorageCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let logs = self.logs.lock();
        if logs.is_empty() {
            return Ok(());
        }
        let mut descriptor = encoder.encode_descriptor(
            "watchbell_storage_writable",
            "Whether the part's log took what was to be written last: 0 on a full disk, and on one that does not answer",
            None,
            MetricType::Gauge,
        )?;
        for (part, log) in logs.iter() {
            let writable = ConstGauge::new(i64::from(log.is_writable()));
            writable.encode(descriptor.encode_family(&[("part", *part)])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for StorageCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StorageCollector").finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::log::{Log, LogSettings};
    use crate::metrics::Metrics;

    #[test]
    fn every_part_has_its_line_under_one_head() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        assert!(!metrics.text().contains("watchbell_storage_writable"));
        for part in ["alertmanager", "ruler"] {
            let settings = LogSettings::default();
            let log = Log::open(&folder.path().join(part), &settings).unwrap();
            metrics.watch_log(part, &log);
        }
        let text = metrics.text();
        let lines = concat!(
            "# TYPE watchbell_storage_writable gauge\n",
            "watchbell_storage_writable{part=\"alertmanager\"} 1\n",
            "watchbell_storage_writable{part=\"ruler\"} 1\n",
        );
        assert!(text.contains(lines), "{text}");
    }
}
