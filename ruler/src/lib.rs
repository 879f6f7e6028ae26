//! The shell around the ruler core: rule files, evaluation, sending, the rules API.
mod api;
mod backend;
mod embedded;
mod evaluate;
mod external;
mod files;
mod journal;
mod metrics;
mod remote;
mod sender;
mod service;
mod shell;
mod story;
mod views;
mod watch;

#[cfg(test)]
mod tests;

pub use api::routes;
pub use backend::{Answering, Backend, instant_vector};
pub use embedded::Embedded;
pub use files::{FileContents, LoadedRules, RuleFiles};
pub use journal::{JournalError, RECORD_KIND, SNAPSHOT_KIND, SavedTenants, open_journal};
pub use metrics::RulerMetrics;
pub use remote::Remote;
pub use sender::{SEND_TIMEOUT, Sender};
pub use service::{CheckpointError, RulerService, ServiceParts, ServiceSettings};
pub use watch::{ReloadRequest, RuleFileWatch, WATCH_INTERVAL};
