//! Alertmanager's side: its data, its functions, its default templates.
pub(crate) mod data;
