//! How this server is known outside: what templates and receivers are shown. A reload may change it.
use std::sync::Arc;

use model::Labels;
use parking_lot::RwLock;

#[derive(Clone, Debug)]
pub(crate) struct External {
    current: Arc<RwLock<Arc<Identity>>>,
}

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) labels: Labels,
    /// Without a slash at the end.
    pub(crate) url: String,
}

impl External {
    pub(crate) fn new(labels: Labels, url: &str) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(Identity::new(labels, url)))),
        }
    }

    pub(crate) fn set(&self, labels: Labels, url: &str) {
        *self.current.write() = Arc::new(Identity::new(labels, url));
    }

    pub(crate) fn current(&self) -> Arc<Identity> {
        self.current.read().clone()
    }
}

impl Identity {
    fn new(labels: Labels, url: &str) -> Self {
        Self {
            labels,
            url: url.trim_end_matches('/').to_owned(),
        }
    }
}
