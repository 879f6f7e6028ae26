//! Prometheus' side: its data and its functions.
pub(crate) mod data;
pub(crate) mod functions;
mod links;
mod object;
