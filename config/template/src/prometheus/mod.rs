//! Prometheus' side: its data and its functions.
pub(crate) mod data;
