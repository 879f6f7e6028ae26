//! How much memory requests may take together, from their first byte on.
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in this unit, because a semaphore's number is 32 bits.
const PERMIT_BYTES: usize = 1024;

/// A number of bytes that requests share; each gives its own back when it is dropped.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Semaphore>);

/// What one request has of it, until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSpent;

impl MemoryBudget {
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PERMIT_BYTES)))
    }

    /// None of it taken yet.
    #[must_use]
    pub fn reserve(&self) -> Reserved {
        Reserved {
            budget: Arc::clone(&self.0),
            permit: None,
            bytes: 0,
        }
    }
}

impl Reserved {
    /// So many bytes more, or none.
    pub fn grow(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        let grown = self.bytes.saturating_add(bytes);
        let more = grown.div_ceil(PERMIT_BYTES) - self.bytes.div_ceil(PERMIT_BYTES);
        let more = u32::try_from(more).map_err(|_| BudgetSpent)?;
        let taking = Arc::clone(&self.budget).try_acquire_many_owned(more);
        let taken = taking.map_err(|_| BudgetSpent)?;
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        self.bytes = grown;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BudgetSpent, MemoryBudget};

    #[test]
    fn all_together_never_have_more_than_there_is() {
        let budget = MemoryBudget::new(10 * 1024);
        let mut first = budget.reserve();
        for _ in 0..1024 {
            first.grow(6).unwrap();
        }
        let mut second = budget.reserve();
        assert_eq!(second.grow(4 * 1024 + 1), Err(BudgetSpent));
        second.grow(4 * 1024).unwrap();
        assert_eq!(first.grow(1), Err(BudgetSpent));
        drop(second);
        first.grow(4 * 1024).unwrap();
        assert_eq!(first.grow(usize::MAX), Err(BudgetSpent));
        drop(first);
        budget.reserve().grow(10 * 1024).unwrap();
    }
}
