//! The turns of all tenants' evaluations in this process.
use std::collections::HashMap;
use std::sync::Arc;

use model::TenantId;
use parking_lot::Mutex;
use ruler_core::FairTurns;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Cheap to copy.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    fair: FairTurns<TenantId>,
    waiting: HashMap<u64, oneshot::Sender<Turn>>,
}

/// One tenant's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    tenant: TenantId,
    began: Instant,
}

impl Turns {
    pub(crate) fn new(at_once_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            fair: FairTurns::new(at_once_max.max(1)),
            waiting: HashMap::new(),
        })))
    }

    /// Waits until it is the tenant's turn.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Turn {
        let (granted, waiting) = oneshot::channel();
        {
            let mut state = self.0.lock();
            let number = state.fair.ask(tenant);
            state.waiting.insert(number, granted);
        }
        self.grant();
        waiting
            .await
            .expect("whoever waits is in the list until it has its turn")
    }

    fn grant(&self) {
        loop {
            let (tenant, waiting) = {
                let mut state = self.0.lock();
                let Some((tenant, number)) = state.fair.grant() else {
                    return;
                };
                (tenant, state.waiting.remove(&number))
            };
            let turn = Turn {
                turns: self.clone(),
                tenant,
                began: Instant::now(),
            };
            // The turn of one that has gone away ends here.
            if let Some(waiting) = waiting {
                let _ = waiting.send(turn);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.turns.0.lock().fair.give_back(&self.tenant, took);
        self.turns.grant();
    }
}

#[cfg(test)]
mod tests {
    use model::TenantId;

    use super::Turns;

    #[tokio::test]
    async fn a_turn_that_ends_is_anothers_and_who_went_away_holds_nothing_up() {
        let turns = Turns::new(1);
        let tenants = ["many", "one"].map(|name| TenantId::parse(name).unwrap());
        let first = turns.turn(&tenants[0]).await;
        let wait = |tenant: usize| {
            let (turns, tenant) = (turns.clone(), tenants[tenant].clone());
            tokio::spawn(async move { turns.turn(&tenant).await.tenant.clone() })
        };
        let gone = wait(1);
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let (second, third) = (wait(0), wait(1));
        tokio::task::yield_now().await;
        assert!(!second.is_finished() && !third.is_finished());
        drop(first);
        assert_eq!(second.await.unwrap(), tenants[0]);
        assert_eq!(third.await.unwrap(), tenants[1]);
    }
}
