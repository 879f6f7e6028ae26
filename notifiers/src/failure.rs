//! Requests that led to no answer, in words for people: no address with a secret in it, no credential.
use std::error::Error;
use std::fmt::Write as _;

use notifiers_core::{Failure, FailureCause, Reached, Response};

/// Nothing was sent: trying again is harmless.
pub(crate) fn nothing_sent(text: impl Into<String>) -> Response {
    failed(Reached::Nothing, text)
}

pub(crate) fn failed(reached: Reached, text: impl Into<String>) -> Response {
    Response::Failed(Failure {
        reached,
        cause: FailureCause::Unreachable,
        text: text.into(),
    })
}

/// Its time was over before an answer came.
pub(crate) fn out_of_time(reached: Reached, text: impl Into<String>) -> Response {
    Response::Failed(Failure {
        reached,
        cause: FailureCause::OutOfTime,
        text: text.into(),
    })
}

/// An error and what caused it, joined by colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}
