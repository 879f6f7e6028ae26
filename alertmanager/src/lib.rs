//! The shell around the Alertmanager core: API v2, the log, deliveries.
//!
//! [`AlertmanagerService`] keeps one machine for each tenant and a task that drives it. Requests come by [`routes`],
//! notifications go out by a [`Notifier`], and what must survive goes into the node's log (`journal`) before
//! anything is sent or answered.
mod api;
mod attempts;
mod data_folder;
mod deliver;
mod flushes;
mod front;
mod journal;
mod metrics;
mod recorder;
mod room;
mod service;
mod story;
mod tenant;
mod traces;

#[cfg(test)]
mod tests;

pub use alertmanager_core::{Deliver, EventData, Settings};
pub use api::{routes, version_1_routes};
pub use data_folder::{DataFolderError, PassedOver, take_over};
pub use deliver::{Notified, Notifier};
pub use front::{FrontSettings, front};
pub use journal::{JournalError, RECORD_KIND, SavedTenants, open_journal};
pub use metrics::{AlertmanagerMetrics, MetricSettings};
pub use recorder::{Destinations, EventRecorder, RecorderError, RecorderMetrics};
pub use service::{
    AlertmanagerService, CheckpointError, ClusterMember, DataFolder, ServiceParts, ServiceSettings,
    Version,
};
pub use tenant::AskError;
pub use traces::{Collector, CollectorError, Tracer, trace_requests};
