//! Between the Alertmanagers, which order a notification, and the integrations, which tell it.
use std::sync::Arc;

use alertmanager::{Deliver, Notified, Notifier};
use arc_swap::ArcSwap;
use config::AlertmanagerFiles;
use model::TenantId;
use notifiers::{PrepareError, Tellers};
use notifiers_core::Outcome;
use runtime::Clock;

/// The integrations of the configuration that is in force.
pub(crate) struct Telling {
    tellers: ArcSwap<Tellers>,
    clock: Arc<dyn Clock>,
}

impl Telling {
    pub(crate) fn new(tellers: Tellers, clock: Arc<dyn Clock>) -> Self {
        Self {
            tellers: ArcSwap::from_pointee(tellers),
            clock,
        }
    }

    /// Attempts from here on are told by these.
    pub(crate) fn replace(&self, tellers: Tellers) {
        self.tellers.store(Arc::new(tellers));
    }
}

pub(crate) fn prepare(files: &AlertmanagerFiles) -> Result<Tellers, PrepareError> {
    Tellers::prepare(&files.config.receivers, &files.templates)
}

impl Notifier for Telling {
    fn notify(&self, _tenant: TenantId, order: Arc<Deliver>) -> Notified {
        let index = usize::try_from(order.key.index).unwrap_or(usize::MAX);
        let teller = self
            .tellers
            .load()
            .get(&order.key.receiver, &order.key.integration, index);
        let clock = self.clock.clone();
        Box::pin(async move {
            match teller {
                Some(teller) => {
                    teller
                        .attempt(
                            &order.notification,
                            &order.memory,
                            order.deadline,
                            clock.as_ref(),
                        )
                        .await
                }
                // A reload took the integration away between the order and the attempt.
                None => {
                    let reason = "the receiver is no longer configured".to_owned();
                    (Outcome::Rejected { reason }, order.memory.clone())
                }
            }
        })
    }
}
