//! The templates that Alertmanager knows before any file is read, under the names that its users redefine.

/// File names and texts, in the order in which they are parsed.
pub(crate) const FILES: [(&str, &str); 2] = [
    ("default.tmpl", include_str!("default.tmpl")),
    ("email.tmpl", include_str!("email.tmpl")),
];
