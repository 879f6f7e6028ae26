//! How many queries run at once, and whose turn it is.
//!
//! A tenant may run as many as the setting says, and all tenants together half as many more: so one tenant that runs all
//! it may leaves room for the others. Rules ask on threads of the ruler's own and need no slot.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queries of one tenant that wait for a slot: a few large dashboards, loaded together.
const WAITING_MAX: usize = 256;
/// Beyond so many tenants those without a query are forgotten: whoever asks may name any.
const TENANTS_REMEMBERED: usize = 1024;

/// Why a query does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyQueries {
    #[error(
        "too many concurrent queries: all tenants together run as many as they may, try again later"
    )]
    OfAll,
    #[error("too many concurrent queries: tenant {tenant} runs {max} already, try again later")]
    OfTenant { tenant: TenantId, max: usize },
    #[error("too many queries wait: {WAITING_MAX} of tenant {tenant}, try again later")]
    Waiting { tenant: TenantId },
}

pub(crate) struct QuerySlots {
    all: Arc<Semaphore>,
    tenants: Mutex<BTreeMap<TenantId, Arc<Share>>>,
    of_tenant_max: usize,
    wait_max: Duration,
}

/// One tenant's.
struct Share {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// May run until it is dropped.
pub(crate) struct QuerySlot {
    _of_all: OwnedSemaphorePermit,
    _of_tenant: OwnedSemaphorePermit,
    /// While it is held, the tenant is not forgotten.
    _share: Arc<Share>,
}

impl QuerySlots {
    /// `wait_max` is how long a query may wait for its turn.
    pub(crate) fn new(of_tenant_max: usize, wait_max: Duration) -> Self {
        let of_tenant_max = of_tenant_max.clamp(1, Semaphore::MAX_PERMITS / 2);
        let for_others = (of_tenant_max / 2).max(1);
        Self {
            all: Arc::new(Semaphore::new(of_tenant_max + for_others)),
            tenants: Mutex::default(),
            of_tenant_max,
            wait_max,
        }
    }

    /// The tenant's own slot comes first, so that what waits for the others' room is never more than one tenant's share.
    pub(crate) async fn take(&self, tenant: &TenantId) -> Result<QuerySlot, TooManyQueries> {
        let share = self.share_of(tenant);
        let _waiting = Waiting::in_line(&share).ok_or_else(|| TooManyQueries::Waiting {
            tenant: tenant.clone(),
        })?;
        let mut missing = TooManyQueries::OfTenant {
            tenant: tenant.clone(),
            max: self.of_tenant_max,
        };
        let taking = async {
            let of_tenant = taken(&share.slots).await;
            missing = TooManyQueries::OfAll;
            let of_all = taken(&self.all).await;
            QuerySlot {
                _of_all: of_all,
                _of_tenant: of_tenant,
                _share: share.clone(),
            }
        };
        let slot = tokio::time::timeout(self.wait_max, taking).await;
        slot.map_err(|_| missing)
    }

    fn share_of(&self, tenant: &TenantId) -> Arc<Share> {
        let mut tenants = self.tenants.lock();
        if let Some(share) = tenants.get(tenant) {
            return share.clone();
        }
        if tenants.len() >= TENANTS_REMEMBERED {
            tenants.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let share = Arc::new(Share {
            slots: Arc::new(Semaphore::new(self.of_tenant_max)),
            waiting: AtomicUsize::new(0),
        });
        tenants.insert(tenant.clone(), share.clone());
        share
    }
}

async fn taken(slots: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let taking = slots.clone().acquire_owned();
    taking.await.expect("nobody closes the slots")
}

struct Waiting<'s>(&'s Share);

impl<'s> Waiting<'s> {
    /// `None` where too many wait already.
    fn in_line(share: &'s Share) -> Option<Self> {
        let waiting = Self(share);
        // Those who run at once stand in line for a moment too.
        let before = share.waiting.fetch_add(1, Ordering::Relaxed);
        (before < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::TenantId;

    use super::{QuerySlots, TENANTS_REMEMBERED, TooManyQueries, WAITING_MAX};

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    /// Waits for no turn.
    fn slots(of_tenant_max: usize) -> QuerySlots {
        QuerySlots::new(of_tenant_max, Duration::ZERO)
    }

    #[tokio::test]
    async fn a_tenant_that_runs_all_it_may_leaves_room_for_the_others() {
        // How many each may run, and how many run where three tenants ask for as many as they get, one after the other.
        for (max, run) in [(1, [1, 1, 0]), (2, [2, 1, 0]), (20, [20, 10, 0])] {
            let slots = slots(max);
            let mut held = Vec::new();
            for (name, expected) in ["a", "b", "c"].into_iter().zip(run) {
                let before = held.len();
                let refused = loop {
                    match slots.take(&tenant(name)).await {
                        Ok(slot) => held.push(slot),
                        Err(refused) => break refused,
                    }
                };
                assert_eq!(held.len() - before, expected, "{name} of {max}");
                // Where the share is not used up, it is the others' room that is missing.
                let of_tenant = matches!(refused, TooManyQueries::OfTenant { .. });
                assert_eq!(of_tenant, expected == max, "{name} of {max}: {refused}");
            }
        }
    }

    #[tokio::test]
    async fn a_slot_that_is_given_back_goes_to_who_waits() {
        let slots = QuerySlots::new(1, Duration::from_secs(60));
        let held = slots.take(&tenant("a")).await.unwrap();
        let waiter = tenant("a");
        let mut waiting = std::pin::pin!(slots.take(&waiter));
        assert!(is_pending(waiting.as_mut()).await);
        drop(held);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_another_tenants_line_is_its_own() {
        let slots = QuerySlots::new(1, Duration::from_secs(60));
        let held = slots.take(&tenant("a")).await.unwrap();
        let waiter = tenant("a");
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(slots.take(&waiter)))
            .collect();
        for one in &mut waiting {
            assert!(is_pending(one.as_mut()).await);
        }
        let refused = slots.take(&tenant("a")).await.err().unwrap();
        assert_eq!(
            refused,
            TooManyQueries::Waiting {
                tenant: tenant("a")
            }
        );
        slots.take(&tenant("b")).await.unwrap();
        drop(waiting);
        drop(held);
        slots.take(&tenant("a")).await.unwrap();
    }

    #[tokio::test]
    async fn tenants_without_a_query_are_forgotten_and_no_others() {
        let slots = slots(1);
        let held = slots.take(&tenant("held")).await.unwrap();
        for number in 0..2 * TENANTS_REMEMBERED {
            slots.take(&tenant(&format!("t{number}"))).await.unwrap();
        }
        assert!(slots.tenants.lock().len() <= TENANTS_REMEMBERED);
        assert!(slots.take(&tenant("held")).await.is_err());
        drop(held);
    }

    async fn is_pending<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }
}
