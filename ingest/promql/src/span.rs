//! Where in the query's text something stands.
use std::fmt;

/// Bytes `start..end` of the query's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// `line:column` as Prometheus counts them: from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    pub line: usize,
    pub column: usize,
}

impl Span {
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// From the beginning of this to the end of the other.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self::new(self.start, other.end)
    }

    /// Where the span begins.
    #[must_use]
    pub fn line_column(self, text: &str) -> LineColumn {
        let end = (self.start as usize).min(text.len());
        let before = &text.as_bytes()[..end];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        LineColumn {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: end - line_start + 1,
        }
    }
}

impl fmt::Display for LineColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}
