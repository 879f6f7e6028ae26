//! The service as a whole on loopback routes, with a notifier that only listens.
mod amtool;
mod api;
mod bench;
mod contract;
mod deliveries;
mod durability;
mod explain;
mod hanging_disk;
mod recorder;
mod traces;
mod waiting;
