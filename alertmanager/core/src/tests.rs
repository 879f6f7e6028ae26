//! The machine as a whole, in worlds without a clock.
mod cadence;
mod clock;
mod handover;
mod handover_simulation;
mod handover_wait;
mod keys;
mod laws;
mod muting;
mod recorded;
pub(crate) mod records;
mod reloading;
mod resolving;
mod restart;
mod simulation;
mod world;
