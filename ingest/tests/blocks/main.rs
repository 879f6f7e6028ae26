//! Samples that leave memory for blocks: nothing is lost or doubled, and Prometheus' tools see the same.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its message")]
mod histograms;
mod late;
mod life;
mod lists;
mod site;
mod tools;
