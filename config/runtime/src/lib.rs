//! The hands of the ground floor: the one crate here that touches clock, sockets or disk.
//!
//! A machine (`model::Machine`) decides; [`drive`] feeds it inputs and deadlines and hands its orders to a
//! [`Shell`]. [`Server`] serves what [`Routes`] holds, each route with the [`Right`] that it needs.
mod clock;
mod driver;
mod files;
mod heard_log;
mod line_queue;
pub mod log;
mod logging;
mod memory_budget;
mod metrics;
pub mod pem;
mod server;
mod stop;
mod tenant_header;
mod trouble;

pub use clock::{Clock, ClockSetBack, ManualClock, SystemClock, watch_clock};
pub use driver::{Shell, drive};
pub use files::DiskFiles;
pub use heard_log::HeardLog;
pub use logging::{LogFormat, LogLevel, flush_log, say_last, start_logging};
pub use memory_budget::{BudgetSpent, MemoryBudget, Reserved};
pub use metrics::{Metrics, Summary};
pub use server::{BindError, Right, Routes, Server, ServerLimits, ServerTlsError, Web, WebError};
pub use stop::{Stop, Stopper, Tasks};
pub use tenant_header::{TENANT_HEADER, Tenant};
pub use trouble::Trouble;
