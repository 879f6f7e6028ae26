//! Why a text is no query.
use std::fmt;

use crate::span::{LineColumn, Span};

/// Prints as Prometheus does: `1:5: parse error: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// `None` where there is no text to point into.
    pub position: Option<LineColumn>,
    pub span: Span,
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        Self {
            position: (!text.is_empty()).then(|| span.line_column(text)),
            span,
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(formatter, "{position}: parse error: {}", self.message),
            None => write!(formatter, "unknown position: parse error: {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}
