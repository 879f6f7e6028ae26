//! How this server is known outside, and how its alerts go there. A reload may change it.
use std::sync::Arc;
use std::time::Duration;

use config::RelabelConfig;
use model::Labels;
use parking_lot::RwLock;
use promql::ParserOptions;

/// `alerting.alertmanagers[].timeout`, where nothing else is said.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// One Alertmanager that alerts go to.
#[derive(Clone, Debug)]
pub struct AlertmanagerTarget {
    /// The whole address: `http://host:9093/api/v2/alerts`.
    pub url: String,
    /// Of one request.
    pub timeout: Duration,
    /// Applied to what this one is told, after the steps that are for all.
    pub alert_relabel_configs: Vec<RelabelConfig>,
}

impl AlertmanagerTarget {
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            timeout: SEND_TIMEOUT,
            alert_relabel_configs: Vec::new(),
        }
    }
}

/// What the configuration says of the world outside.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Put on every alert that does not carry the label itself; templates see them.
    pub external_labels: Labels,
    /// How others reach this server: templates see it, and the source of every alert begins with it.
    pub external_url: String,
    /// Applied to every alert once it has the external labels.
    pub alert_relabel_configs: Vec<RelabelConfig>,
    pub alertmanagers: Vec<AlertmanagerTarget>,
    /// In which the queries of templates are written.
    pub language: ParserOptions,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct External {
    current: Arc<RwLock<Arc<Outside>>>,
}

impl External {
    pub(crate) fn set(&self, mut outside: Outside) {
        outside
            .external_url
            .truncate(outside.external_url.trim_end_matches('/').len());
        *self.current.write() = Arc::new(outside);
    }

    pub(crate) fn current(&self) -> Arc<Outside> {
        self.current.read().clone()
    }
}
