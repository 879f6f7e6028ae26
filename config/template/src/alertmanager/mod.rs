//! Alertmanager's side: its data, its functions, its default templates.
pub(crate) mod data;
pub(crate) mod defaults;
pub(crate) mod functions;
pub(crate) mod kv;
mod object;
