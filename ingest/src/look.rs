//! Looks at a tenant's series for a list: bounded in what they gather, and ended when nobody waits any more.
use std::cell::Cell;

use model::Labels;
use promql::EvalError;

/// What a label set takes beside its text.
const SET_BYTES: usize = 128;

/// What one look may take.
pub struct Look<'l> {
    bytes_left: Cell<usize>,
    /// So long is the text of the answer, as far as it has been counted.
    text_bytes: Cell<usize>,
    is_cancelled: &'l (dyn Fn() -> bool + Sync),
}

impl<'l> Look<'l> {
    #[must_use]
    pub fn new(bytes_max: usize, is_cancelled: &'l (dyn Fn() -> bool + Sync)) -> Self {
        Self {
            bytes_left: Cell::new(bytes_max),
            text_bytes: Cell::new(0),
            is_cancelled,
        }
    }

    pub(crate) fn is_cancelled(&self) -> &'l (dyn Fn() -> bool + Sync) {
        self.is_cancelled
    }

    /// Whether somebody still waits.
    pub(crate) fn go_on(&self) -> Result<(), EvalError> {
        if (self.is_cancelled)() {
            Err(EvalError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Takes so many bytes more into memory, until the look is over.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), EvalError> {
        let left = self.bytes_left.get().checked_sub(bytes);
        self.bytes_left.set(left.ok_or(EvalError::TooManyBytes)?);
        Ok(())
    }

    /// The text of the answer has grown to so many bytes.
    pub(crate) fn charge_text(&self, bytes: usize) -> Result<(), EvalError> {
        self.charge(bytes.saturating_sub(self.text_bytes.replace(bytes)))
    }

    pub(crate) fn charge_labels(&self, labels: &Labels) -> Result<(), EvalError> {
        self.charge(SET_BYTES + labels.size_bytes())
    }
}

#[cfg(test)]
mod tests {
    use promql::EvalError;

    use super::Look;

    #[test]
    fn what_is_taken_is_bounded_in_all() {
        let look = Look::new(10, &|| false);
        assert_eq!(look.charge(3), Ok(()));
        assert_eq!(look.charge_text(4), Ok(()));
        assert_eq!(look.charge_text(7), Ok(()));
        assert_eq!(look.charge(0), Ok(()));
        assert_eq!(look.charge(1), Err(EvalError::TooManyBytes));
        assert_eq!(look.go_on(), Ok(()));
        assert_eq!(Look::new(1, &|| true).go_on(), Err(EvalError::Cancelled));
    }
}
