//! Watchbell as its users run it: real processes on loopback, a real service's configuration, a real Prometheus.
mod bad_input;
mod cadence;
mod demo;
mod kill;
mod pages;
mod probe;
mod process;
mod prometheus;
mod service;
mod shared;
mod target;
mod tools;
mod wait;
mod watchbell;
