//! The ingest of one process: remote write in, the log and the blocks behind it, the Prometheus HTTP API out.
//!
//! [`Engine`] is the handle: [`Engine::open`] reads everything back, [`Engine::push`] and [`Engine::append`] write,
//! [`Engine::query`] and [`Engine::reader`] read, [`Engine::maintain`] runs beside them, and [`routes`] serves all of
//! it over HTTP. What is decided about samples stands in `ingest-core`; here it meets locks, disk and sockets.
mod api;
mod block_files;
mod block_upkeep;
mod engine;
mod language;
mod look;
mod metrics;
mod push;
mod query;
mod query_slots;
mod reader;
mod settings;
mod shared_reads;
mod start_error;
mod tenant_blocks;
mod tenant_store;
mod tenants;
mod wal;

pub use api::routes;
pub use engine::{Engine, IngestError};
pub use language::language;
pub use look::Look;
pub use query::{QueryError, QueryOptions, QueryTimes, ReadStats};
pub use query_slots::TooManyQueries;
pub use reader::StoreReader;
pub use settings::{Build, IngestSettings, QuerySettings};
pub use shared_reads::SharedReads;
pub use start_error::StartError;
