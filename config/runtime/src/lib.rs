//! The hands of the ground floor: clock, driver, log on disk, HTTP server and client, telemetry, shutdown.
pub mod log;
