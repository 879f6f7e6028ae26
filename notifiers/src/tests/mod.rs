//! Attempts against strict fake vendors, over real sockets on loopback.
mod http;
mod http_config;
mod mail;
mod patience;
mod values;
mod world;
