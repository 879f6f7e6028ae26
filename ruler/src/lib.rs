//! The shell around the ruler core: rule files, evaluation, sending, the rules API.
mod api;
mod backend;
mod evaluate;
mod journal;
mod metrics;
mod sender;
mod service;
mod shell;
mod story;
mod views;

pub use api::routes;
pub use backend::{Answering, Backend, instant_vector};
pub use journal::{RECORD_KIND, SNAPSHOT_KIND, SavedTenants};
pub use metrics::RulerMetrics;
pub use sender::{SEND_TIMEOUT, Sender};
pub use service::{CheckpointError, RulerService, ServiceParts, ServiceSettings};
