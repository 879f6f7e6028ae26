//! What may name a label or a metric.

/// `[a-zA-Z_][a-zA-Z0-9_]*`: names before UTF-8 was allowed.
#[must_use]
pub fn is_classic_label_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_')
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_classic_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_' || byte == b':')
}

/// Any text but the empty one (that it is UTF-8 its type says).
#[must_use]
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}

fn is_name(name: &str, also: impl Fn(u8) -> bool) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || also(byte);
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|byte| first(*byte))
        && bytes
            .iter()
            .all(|byte| first(*byte) || byte.is_ascii_digit())
}
