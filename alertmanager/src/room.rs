//! How much memory posted alerts and silences may take, from the first byte of their request until a machine has them.
use std::collections::BTreeMap;

use alertmanager_core::{AlertDraft, SilenceDraft};
use runtime::{BudgetSpent, MemoryBudget, Reserved};

/// What is small is counted apart, so that batches that fill the memory keep no single page out: some hundred alerts.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// A full queue of small requests.
const TENANT_SMALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest body that settings allow, 32 MiB, with alerts of usual size, twice.
pub(crate) const TENANT_LARGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Four tenants that send as much as they may at once; beyond that all wait for their turn.
const PROCESS_SMALL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Two tenants with large batches, in a process that keeps a gigabyte of alerts for each.
const PROCESS_LARGE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A text on the heap takes at least this much.
const TEXT_BYTES: usize = 24;
/// A map's node has room for eleven pairs of texts, and half of it is used.
const NODE_PAIRS: usize = 6;
const NODE_BYTES: usize = 11 * 2 * size_of::<String>() + 24;

/// Of a tenant, or of the process.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    small: MemoryBudget,
    large: MemoryBudget,
}

/// What one request takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    bytes: usize,
    small: Reserved,
    large: Reserved,
    large_bytes: usize,
}

impl Room {
    pub(crate) fn of_tenant() -> Self {
        Self::new(TENANT_SMALL_BYTES_MAX, TENANT_LARGE_BYTES_MAX)
    }

    pub(crate) fn of_process() -> Self {
        Self::new(PROCESS_SMALL_BYTES_MAX, PROCESS_LARGE_BYTES_MAX)
    }

    fn new(small: usize, large: usize) -> Self {
        Self {
            small: MemoryBudget::new(small),
            large: MemoryBudget::new(large),
        }
    }

    /// For a request of which nothing is there yet.
    pub(crate) fn enter(&self) -> Place {
        Place {
            bytes: 0,
            small: self.small.reserve(),
            large: self.large.reserve(),
            large_bytes: 0,
        }
    }
}

impl Place {
    /// So many bytes more. While a request is small it needs no leave: there are only so many connections.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > SMALL_BYTES_MAX {
            self.large.grow(self.bytes - self.large_bytes)?;
            self.large_bytes = self.bytes;
        }
        Ok(())
    }

    /// From here on it waits, with any number of others.
    pub(crate) fn stay(&mut self) -> Result<(), BudgetSpent> {
        if self.large_bytes == 0 {
            self.small.grow(self.bytes)?;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// About as much as an alert takes that waits for its machine: many times its text, where it is short.
pub(crate) fn alert_bytes(draft: &AlertDraft) -> usize {
    size_of::<AlertDraft>()
        + pairs_bytes(&draft.labels)
        + pairs_bytes(&draft.annotations)
        + draft.generator_url.len()
}

pub(crate) fn silence_bytes(draft: &SilenceDraft) -> usize {
    let text = |text: &str| size_of::<String>() + TEXT_BYTES + text.len();
    let matchers = draft.matcher_sets.iter().flatten();
    let matchers: usize = matchers
        .map(|matcher| text(&matcher.name) + text(&matcher.value))
        .sum();
    let annotations: usize = (&draft.annotations)
        .into_iter()
        .map(|(name, value)| text(name) + text(value))
        .sum();
    size_of::<SilenceDraft>()
        + matchers
        + annotations
        + draft.comment.len()
        + draft.created_by.len()
}

fn pairs_bytes(pairs: &BTreeMap<String, String>) -> usize {
    let texts: usize = pairs
        .iter()
        .map(|(name, value)| 2 * TEXT_BYTES + name.len() + value.len())
        .sum();
    pairs.len().div_ceil(NODE_PAIRS) * NODE_BYTES + texts
}

#[cfg(test)]
mod tests {
    use runtime::BudgetSpent;

    use super::{Room, SMALL_BYTES_MAX};

    #[test]
    fn large_requests_leave_small_ones_their_room() {
        let room = Room::new(2 * SMALL_BYTES_MAX, 4 * SMALL_BYTES_MAX);
        let mut large = room.enter();
        for _ in 0..4 {
            large.grow(SMALL_BYTES_MAX).unwrap();
        }
        large.stay().unwrap();
        assert_eq!(large.grow(1), Err(BudgetSpent));

        let mut other = room.enter();
        other.grow(SMALL_BYTES_MAX).unwrap();
        assert_eq!(other.grow(1), Err(BudgetSpent), "it is no longer small");

        let small = || {
            let mut small = room.enter();
            small.grow(SMALL_BYTES_MAX).unwrap();
            small.stay().map(|()| small)
        };
        let (first, second) = (small(), small());
        assert!(first.is_ok() && second.is_ok());
        assert!(small().is_err());
        drop(first);
        assert!(small().is_ok());
        drop(large);
        let mut other = room.enter();
        other.grow(4 * SMALL_BYTES_MAX).unwrap();
        other.stay().unwrap();
    }
}
