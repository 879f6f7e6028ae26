//! Strict fake vendors for tests and the demo: they refuse what the vendor refuses, and fail when told to.
//! Beside them a sender of samples.
mod remote_write;

pub use remote_write::{REMOTE_WRITE_HEADERS, SentSample, write_request};
