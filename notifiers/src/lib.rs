//! The shell around the notifiers' core: HTTP and mail.
//!
//! [`Tellers::prepare`] makes every integration of a configuration ready; a [`Teller`] then makes one attempt after
//! the other. It carries out what a conversation asks for, reads secrets that lie in files, keeps every attempt within
//! its deadline, and says of every failure whether the vendor may have heard anything. Which attempt is made when is
//! not decided here.
mod assertion;
mod connector;
mod failure;
mod grpc;
mod http;
mod mail;
mod oauth2;
mod proxy;
mod secret_file;
mod smtp_auth;
mod smtp_wire;
mod teller;
#[cfg(test)]
mod tests;
mod tls;
mod trace_context;

pub use connector::HttpError;
pub use grpc::{Call, CallError};
pub use http::HttpClient;
pub use teller::{PrepareCause, PrepareError, Teller, Tellers};
pub use tls::TlsError;
pub use trace_context::in_trace;
