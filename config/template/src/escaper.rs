//! What makes a value safe for the place in HTML where it is printed.
use crate::encoding::escape_html;
use crate::format;
use crate::function::Failure;
use crate::value::{Safety, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaper {
    /// Between tags.
    Html,
}

/// The value's text after all escapers, the first one first.
pub(crate) fn apply(escapers: &[Escaper], value: &Value, max: usize) -> Result<String, Failure> {
    let text = format::print(std::slice::from_ref(value), max)?;
    let _ = (escapers, Safety::Html);
    Ok(escape_html(&text))
}
