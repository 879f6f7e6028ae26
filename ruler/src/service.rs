//! The rulers of all tenants in this process: one machine each, one pool of workers for all, in which each has its turn.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Machine, TenantId};
use parking_lot::Mutex;
use ruler_core::{
    Destination, Group, GroupView, Input, OverLimit, Ruler, RulerOptions, SavedState,
};
use runtime::log::{Log, keep_short};
use runtime::{Clock, Stop, Stopper, Tasks, Trouble, drive, watch_clock};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tracing::{debug, info};

use crate::backend::Backend;
use crate::evaluate::Evaluation;
use crate::external::Outside;
use crate::journal::SavedTenants;
use crate::metrics::RulerMetrics;
use crate::sender::Sender;
use crate::shell::{ShellParts, SnapshotTally, TenantShell};
use crate::turns::Turns;
use crate::views::Views;

/// Inputs that wait for a tenant's machine. Results come from at most as many tasks as groups run, each of which waits
/// here when the machine is behind.
const INPUTS_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// Alerts are told again after more than this.
    pub resend_delay: Duration,
    /// A pending alert begins anew after an outage of more than this.
    pub outage_tolerance: Duration,
    /// Rules of all tenants that are evaluated at once.
    pub concurrency_max: usize,
    /// Of one group, those that need not wait for each other.
    pub group_concurrency_max: usize,
    pub over_limit: OverLimit,
    /// Whether there are metrics of each rule.
    pub rule_metrics: bool,
    pub outside: Outside,
}

/// The hands that the rulers are given.
pub struct ServiceParts {
    pub backend: Arc<dyn Backend>,
    pub sender: Sender,
    /// Without a log no alert state survives the process.
    pub log: Option<Log>,
    pub clock: Arc<dyn Clock>,
    pub metrics: RulerMetrics,
    pub stop: Stop,
    pub stopper: Stopper,
}

/// Cheap to copy.
#[derive(Clone)]
pub struct RulerService {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ServiceSettings,
    parts: ServiceParts,
    turns: Turns,
    tenants: Mutex<BTreeMap<TenantId, TenantHandle>>,
    tasks: Mutex<Tasks>,
    views: Views,
}

#[derive(Clone)]
struct TenantHandle {
    inputs: mpsc::Sender<Input>,
    snapshots: watch::Receiver<SnapshotTally>,
    loads: Loads,
}

/// Rules are taken over in the order in which they were put in line: the number of those who wait tells each when its
/// own are.
#[derive(Clone)]
struct Loads {
    put_in_line: Arc<AsyncMutex<u64>>,
    taken_over: watch::Receiver<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("alert state of tenant {tenant} could not be written")]
pub struct CheckpointError {
    pub tenant: TenantId,
}

impl RulerService {
    /// A ruler for each tenant whose alerts were saved; the others come with their first rules.
    #[must_use]
    pub fn start(settings: ServiceSettings, parts: ServiceParts, saved: SavedTenants) -> Self {
        let turns = Turns::new(settings.concurrency_max);
        let mut tasks = Tasks::new(parts.stopper.clone());
        let clock = watch_clock(parts.clock.clone(), parts.stop.clone());
        tasks.spawn_fallible("clock", clock);
        parts.sender.external().set(settings.outside.clone());
        parts
            .metrics
            .alertmanagers_known(settings.outside.alertmanagers.len());
        let views = Views::default();
        if settings.rule_metrics {
            parts.metrics.watch_rules(views.clone());
        }
        let service = Self {
            inner: Arc::new(Inner {
                settings,
                parts,
                turns,
                tenants: Mutex::default(),
                tasks: Mutex::new(tasks),
                views,
            }),
        };
        service
            .inner
            .parts
            .metrics
            .log_damages
            .inc_by(saved.damages);
        for (tenant, state) in saved.into_states() {
            info!(%tenant, alerts = state.alert_count(), "alert state restored");
            let handle = service.inner.spawn(&tenant, state);
            service.inner.tenants.lock().insert(tenant, handle);
        }
        service
    }

    /// All groups of a tenant, in place of those before. Returns when readers see them; a group that is evaluated at
    /// that moment is replaced when that has ended.
    pub async fn load(&self, tenant: &TenantId, groups: Vec<Arc<Group>>) {
        let handle = self.inner.handle_of(tenant);
        let number = {
            let mut put_in_line = handle.loads.put_in_line.lock().await;
            let loaded = Input::RulesLoaded(groups);
            if handle.inputs.send(loaded).await.is_err() {
                debug!(%tenant, "rules came after the ruler had stopped");
                return;
            }
            *put_in_line += 1;
            *put_in_line
        };
        let mut taken_over = handle.loads.taken_over;
        if taken_over
            .wait_for(|taken_over| *taken_over >= number)
            .await
            .is_err()
        {
            debug!(%tenant, "the ruler stopped before it had taken its rules over");
        }
    }

    /// Every tenant that has a ruler: with rules, or with alerts from before. One of the latter that has no rules any
    /// more is to be given none by [`RulerService::load`], which resolves its alerts.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        self.inner.tenants.lock().keys().cloned().collect()
    }

    /// What a reload of the configuration may change beside rules. A new Alertmanager is told of everything that fires.
    pub async fn reconfigure(&self, outside: Outside) {
        let inner = &self.inner;
        let destinations = destinations(&outside);
        inner.parts.metrics.alertmanagers_known(destinations.len());
        inner.parts.sender.external().set(outside);
        // Rulers that begin from here on read the list themselves.
        let handles: Vec<TenantHandle> = inner.tenants.lock().values().cloned().collect();
        for handle in handles {
            let changed = Input::DestinationsChanged(destinations.clone());
            if handle.inputs.send(changed).await.is_err() {
                debug!("configuration came after a ruler had stopped");
            }
        }
    }

    /// Writes every tenant's whole state to the log. After a rotation of the log that came before this call, the
    /// segments before the rotation hold nothing that the rulers need.
    ///
    /// # Errors
    /// A tenant's state was not written: the segments must stay.
    pub async fn checkpoint(&self) -> Result<(), CheckpointError> {
        let tenants: Vec<(TenantId, TenantHandle)> = {
            let tenants = self.inner.tenants.lock();
            tenants
                .iter()
                .map(|(tenant, handle)| (tenant.clone(), handle.clone()))
                .collect()
        };
        for (tenant, mut handle) in tenants {
            let before = *handle.snapshots.borrow_and_update();
            let stopped = handle.inputs.send(Input::SnapshotWanted).await.is_err();
            if stopped {
                return Err(CheckpointError { tenant });
            }
            let ended = handle
                .snapshots
                .wait_for(|now| now.written_since(before).is_some());
            let is_written = ended
                .await
                .is_ok_and(|now| now.written_since(before) == Some(true));
            if !is_written {
                return Err(CheckpointError { tenant });
            }
        }
        Ok(())
    }

    /// Keeps a log that holds nothing but alert state short, until the end.
    pub async fn maintain(self, mut stop: Stop) {
        match &self.inner.parts.log {
            Some(log) => keep_short(log.clone(), stop, || self.checkpoint()).await,
            None => stop.stopped().await,
        }
    }

    /// Waits until every ruler has ended and what it decided is in the log, after the signal to stop. Says whether all
    /// ended well; whoever asks first is told.
    pub async fn join(&self, patience: Duration) -> bool {
        let tasks = {
            let mut tasks = self.inner.tasks.lock();
            std::mem::replace(&mut *tasks, Tasks::new(self.inner.parts.stopper.clone()))
        };
        tasks.join(patience).await
    }

    pub(crate) fn metrics(&self) -> &RulerMetrics {
        &self.inner.parts.metrics
    }

    pub(crate) fn views_of(&self, tenant: &TenantId) -> Vec<Arc<GroupView>> {
        self.inner.views.of(tenant)
    }

    pub(crate) fn alertmanagers(&self) -> Vec<String> {
        let outside = self.inner.parts.sender.external().current();
        outside
            .alertmanagers
            .iter()
            .map(|target| target.url.clone())
            .collect()
    }
}

impl Inner {
    fn handle_of(&self, tenant: &TenantId) -> TenantHandle {
        let mut tenants = self.tenants.lock();
        if let Some(handle) = tenants.get(tenant) {
            return handle.clone();
        }
        let handle = self.spawn(tenant, SavedState::default());
        tenants.insert(tenant.clone(), handle.clone());
        handle
    }

    fn spawn(&self, tenant: &TenantId, saved: SavedState) -> TenantHandle {
        let Self {
            settings, parts, ..
        } = self;
        let (inputs, received) = mpsc::channel(INPUTS_MAX);
        let (tally, snapshots) = watch::channel(SnapshotTally::default());
        let (loads, taken_over) = watch::channel(0);
        let options = RulerOptions {
            resend_delay: settings.resend_delay,
            outage_tolerance: settings.outage_tolerance,
            group_concurrency_max: settings.group_concurrency_max,
            over_limit: settings.over_limit,
        };
        let mut machine = Ruler::new(tenant.clone(), options, saved);
        let destinations = destinations(&parts.sender.external().current());
        machine.handle(Input::DestinationsChanged(destinations), parts.clock.now());
        let shell = TenantShell::new(ShellParts {
            tenant: tenant.clone(),
            evaluation: Evaluation {
                tenant: tenant.clone(),
                backend: parts.backend.clone(),
                external: parts.sender.external().clone(),
                metrics: parts.metrics.clone(),
                expanding: Arc::new(Trouble::new()),
            },
            sender: parts.sender.clone(),
            log: parts.log.clone(),
            inputs: inputs.downgrade(),
            turns: self.turns.clone(),
            views: self.views.clone(),
            tally,
            loads,
        });
        let (clock, stop) = (parts.clock.clone(), parts.stop.clone());
        // Whoever watches over a task keeps a place of the task's size for good: thousands of tenants have one each.
        let driving = Box::pin(async move {
            drive(machine, received, clock, shell, stop).await;
        });
        self.tasks.lock().spawn("ruler", driving);
        let loads = Loads {
            put_in_line: Arc::default(),
            taken_over,
        };
        TenantHandle {
            inputs,
            snapshots,
            loads,
        }
    }
}

fn destinations(outside: &Outside) -> Vec<Destination> {
    outside
        .alertmanagers
        .iter()
        .map(|target| Destination(target.url.as_str().into()))
        .collect()
}
