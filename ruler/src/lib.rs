//! The ruler of one process: rules in, alerts out.
//!
//! [`RulerService`] holds one machine (`ruler_core::Ruler`) for each tenant and is the handle: [`RulerService::load`]
//! gives it rules. [`RuleBook`] puts together those of files, which [`RuleFiles`] reads and [`RuleFileWatch`] keeps fresh,
//! and those that tenants upload, which a [`RuleStore`] keeps. What a machine orders is carried out
//! here: queries and writes through a [`Backend`] ([`Embedded`] or [`Remote`]) on a pool of workers,
//! alerts by a [`Sender`], alert state in a log ([`open_journal`]). [`routes`] serves the rules API from views that wait
//! for nobody.
mod api;
mod backend;
mod embedded;
mod evaluate;
mod external;
mod files;
mod journal;
mod metrics;
mod pieces;
mod remote;
mod rule_book;
mod rule_collector;
mod rule_store;
mod sender;
mod service;
mod shell;
mod story;
mod turns;
mod views;
mod watch;

#[cfg(test)]
mod tests;

pub use api::routes;
pub use backend::{Answering, Backend, Queried};
pub use embedded::Embedded;
pub use external::{AlertmanagerTarget, Outside, SEND_TIMEOUT};
pub use files::{FileContents, LoadedRules, RuleFiles};
pub use journal::{
    JournalError, PIECE_KIND, RECORD_KIND, SNAPSHOT_KIND, SavedTenants, open_journal,
};
pub use metrics::RulerMetrics;
pub use remote::{Remote, RemoteAddresses};
pub use rule_book::{DeleteError, RuleBook, RuleBookSettings, UploadError};
pub use rule_store::{RuleStore, RuleStoreError};
pub use sender::Sender;
pub use service::{CheckpointError, RulerService, ServiceParts, ServiceSettings};
pub use watch::{Changes, Occasion, ReloadRequest, RuleFileWatch, WATCH_INTERVAL};
