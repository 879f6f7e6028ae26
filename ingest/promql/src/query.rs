//! A query: compiled once, run many times.
use std::time::Duration;

use model::Timestamp;

use crate::answer::{Answer, EvalError};
use crate::ast::Expr;
use crate::options::{ParserOptions, QueryLimits};
use crate::parse_error::ParseError;
use crate::parser::parse;
use crate::reader::SeriesReader;
use crate::run;

/// A checked expression and the text it came from. It is immutable and may run on many threads at once.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    expr: Expr,
    options: ParserOptions,
}

impl Query {
    pub fn compile(text: &str, options: &ParserOptions) -> Result<Self, ParseError> {
        Ok(Self {
            text: text.to_owned(),
            expr: parse(text, options)?,
            options: *options,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    #[must_use]
    pub fn options(&self) -> &ParserOptions {
        &self.options
    }

    /// The value at one time.
    pub fn instant(
        &self,
        reader: &dyn SeriesReader,
        at: Timestamp,
        limits: &QueryLimits<'_>,
    ) -> Result<Answer, EvalError> {
        run::instant(self, reader, at, limits)
    }

    /// The values at `start`, `start + step` … up to `end`, as a matrix.
    pub fn range(
        &self,
        reader: &dyn SeriesReader,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        limits: &QueryLimits<'_>,
    ) -> Result<Answer, EvalError> {
        run::range(self, reader, start, end, step, limits)
    }
}
