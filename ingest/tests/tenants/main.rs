//! Tenants open and close: whatever the order, what was acknowledged is there.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its message")]
mod many;
mod order;
mod quiet;
mod site;
