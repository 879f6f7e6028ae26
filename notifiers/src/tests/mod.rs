//! Attempts against strict fake vendors, over real sockets on loopback.
mod http;
mod mail;
mod values;
mod world;
