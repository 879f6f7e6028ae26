//! Runs queries.
use crate::answer::{Answer, EvalError};
use crate::options::QueryLimits;
use crate::query::Query;
use crate::reader::SeriesReader;
use model::Timestamp;
use std::time::Duration;
pub(crate) fn instant(
    _q: &Query,
    _r: &dyn SeriesReader,
    _at: Timestamp,
    _l: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    Err(EvalError::Execution("not evaluated".to_owned()))
}
pub(crate) fn range(
    _q: &Query,
    _r: &dyn SeriesReader,
    _s: Timestamp,
    _e: Timestamp,
    _step: Duration,
    _l: &QueryLimits<'_>,
) -> Result<Answer, EvalError> {
    Err(EvalError::Execution("not evaluated".to_owned()))
}
