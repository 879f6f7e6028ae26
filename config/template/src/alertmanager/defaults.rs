//! The templates that Alertmanager knows before any file is read.

/// File names and texts, in the order in which they are parsed.
pub(crate) const FILES: [(&str, &str); 0] = [];
