//! Deliveries: each attempt is a task of its own, bounded in number and in time, and its end always comes back.
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{
    ATTEMPT_MIN, Asked, Deliver, DeliveryId, Input, Lane, SpanContext, SpanKind, TurnId, Turns,
    Urgency,
};
use model::{TenantId, Timestamp};
use notifiers::in_trace;
use notifiers_core::{Attempted, FailureReason, Outcome};
use parking_lot::Mutex;
use runtime::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::error;

use crate::metrics::AlertmanagerMetrics;
use crate::traces::{OpenSpan, Tracer};

/// Tells one integration once. The notifiers implement it; tests do with less.
pub trait Notifier: Send + Sync {
    /// One attempt, to be over by the order's deadline. What it has to remember comes back with the outcome.
    fn notify(&self, tenant: TenantId, order: Arc<Deliver>) -> Notified;
}

/// An attempt on its way.
pub type Notified = Pin<Box<dyn Future<Output = Attempted> + Send>>;

/// A notifier that keeps its deadline knows best how far it came: it is given this long to say so.
const NOTIFIER_GRACE: Duration = Duration::from_millis(250);

/// Turns of all integrations of all tenants. Cheap to copy.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Mutex<LanesState>>);

struct LanesState {
    turns: Turns,
    /// Whoever waits for a turn.
    waiting: BTreeMap<TurnId, (oneshot::Sender<Turn>, Lane)>,
}

/// The right to make one attempt; dropped when it has ended.
struct Turn {
    lanes: Lanes,
    lane: Lane,
}

impl Lanes {
    pub(crate) fn new(under_way_max: usize) -> Self {
        Self(Arc::new(Mutex::new(LanesState {
            turns: Turns::new(under_way_max),
            waiting: BTreeMap::new(),
        })))
    }

    /// Attempts that have a turn.
    pub(crate) fn under_way(&self) -> usize {
        self.0.lock().turns.under_way()
    }

    async fn turn(&self, lane: Lane, urgency: Urgency) -> Turn {
        let own = || Turn {
            lanes: self.clone(),
            lane: lane.clone(),
        };
        let (turn, id) = {
            let mut state = self.0.lock();
            match state.turns.ask(&lane, urgency) {
                Asked::Granted => {
                    drop(state);
                    return own();
                }
                Asked::Waits(id) => {
                    let (granted, turn) = oneshot::channel();
                    state.waiting.insert(id, (granted, lane.clone()));
                    (turn, id)
                }
            }
        };
        let _leaving = Leaving {
            lanes: self,
            lane: &lane,
            urgency,
            id,
        };
        match turn.await {
            Ok(turn) => turn,
            Err(_) => unreachable!("who waits is in the list until it leaves"),
        }
    }

    fn end(&self, lane: &Lane) {
        let mut granted = Vec::new();
        {
            let mut state = self.0.lock();
            for id in state.turns.end(lane) {
                granted.extend(state.waiting.remove(&id));
            }
        }
        for (granted, lane) in granted {
            let lanes = self.clone();
            // Who has gone meanwhile drops the turn, and so hands it on.
            let _ = granted.send(Turn { lanes, lane });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lanes.end(&self.lane);
    }
}

/// Whoever waits no longer leaves the line.
struct Leaving<'a> {
    lanes: &'a Lanes,
    lane: &'a Lane,
    urgency: Urgency,
    id: TurnId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.lanes.0.lock();
        state.waiting.remove(&self.id);
        state.turns.leave(self.lane, self.urgency, self.id);
    }
}

/// The deadlines of a machine's attempts, for whoever may bring them forward.
#[derive(Clone, Default)]
pub(crate) struct Deadlines(Arc<Mutex<BTreeMap<DeliveryId, watch::Sender<Timestamp>>>>);

impl Deadlines {
    fn set(&self, id: DeliveryId, deadline: Timestamp) -> Deadline {
        let (sender, at) = watch::channel(deadline);
        self.0.lock().insert(id, sender);
        Deadline {
            deadlines: self.clone(),
            id,
            at,
        }
    }

    fn bring_forward(&self, id: DeliveryId, deadline: Timestamp) {
        if let Some(sender) = self.0.lock().get(&id) {
            sender.send_if_modified(|own| {
                let is_earlier = deadline < *own;
                *own = deadline.min(*own);
                is_earlier
            });
        }
    }
}

/// One attempt's, forgotten when it has ended.
struct Deadline {
    deadlines: Deadlines,
    id: DeliveryId,
    at: watch::Receiver<Timestamp>,
}

impl Deadline {
    fn put_off(&self, deadline: Timestamp) {
        if let Some(sender) = self.deadlines.0.lock().get(&self.id) {
            sender.send_modify(|own| *own = deadline.max(*own));
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.deadlines.0.lock().remove(&self.id);
    }
}

#[derive(Clone)]
pub(crate) struct Deliverer {
    pub(crate) tenant: TenantId,
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) lanes: Lanes,
    pub(crate) deadlines: Deadlines,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: AlertmanagerMetrics,
    pub(crate) tracer: Tracer,
    /// Weak, so that a machine ends when nobody else can reach it.
    pub(crate) inputs: mpsc::WeakSender<Input>,
}

impl Deliverer {
    /// `flush` is the span of the flush that the order is about, where it is traced.
    pub(crate) fn start(&self, order: Deliver, flush: Option<SpanContext>) {
        let deliverer = self.clone();
        let mut deadline = self.deadlines.set(order.id, order.deadline);
        tokio::spawn(async move {
            let id = order.id;
            let lane = Lane::of(&deliverer.tenant, &order.key);
            let urgency = Urgency::of(order.notification.reason, order.turns_missed);
            let waiting = deliverer.lanes.turn(lane, urgency);
            let turn = deliverer
                .by_deadline(waiting, &mut deadline, Duration::ZERO)
                .await;
            let ended = match &turn {
                Some(_) => {
                    let attempted = deliverer.traced(order, &mut deadline, flush).await;
                    Input::DeliveryEnded { id, attempted }
                }
                None => Input::TurnMissed { id },
            };
            if let Some(inputs) = deliverer.inputs.upgrade() {
                // The machine may have stopped meanwhile; what is not logged is told again by the next life.
                let _ = inputs.send(ended).await;
            }
            // Kept until the machine has the outcome in line: who waits for all turns waits for all outcomes.
            drop(turn);
        });
    }

    /// The attempt, if it is under way, ends by `deadline` where its own is later.
    pub(crate) fn hurry(&self, id: DeliveryId, deadline: Timestamp) {
        self.deadlines.bring_forward(id, deadline);
    }

    /// `None` where the deadline, wherever it is moved, and `grace` pass first.
    async fn by_deadline<Work: Future>(
        &self,
        work: Work,
        deadline: &mut Deadline,
        grace: Duration,
    ) -> Option<Work::Output> {
        let mut work = pin!(work);
        loop {
            let left = self.left(*deadline.at.borrow_and_update()) + grace;
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = sleep(left) => return None,
                Ok(()) = deadline.at.changed() => {}
            }
        }
    }

    async fn traced(
        &self,
        mut order: Deliver,
        deadline: &mut Deadline,
        flush: Option<SpanContext>,
    ) -> Attempted {
        // Whose turn came late is given as long as others: begun and cut short it would be told twice.
        let least = self.clock.now() + ATTEMPT_MIN;
        if order.deadline < least {
            order.deadline = least;
            deadline.put_off(least);
        }
        let order = Arc::new(order);
        let mut span = self
            .tracer
            .begin(flush, SpanKind::Client, "notify.RetryStage.Exec");
        if let Some(span) = &mut span {
            describe(span, &order);
        }
        let context = span.as_ref().map(|span| span.context);
        let traceparent = context
            .filter(|context| context.is_sampled)
            .map(SpanContext::to_traceparent);
        let ended = self.attempt(order, deadline, traceparent).await;
        let failure = match &ended.outcome {
            Outcome::Delivered { .. } => None,
            Outcome::Ambiguous { reason }
            | Outcome::Rejected { reason }
            | Outcome::Retry { reason, .. } => Some(reason.clone()),
        };
        self.tracer.end(span, failure);
        ended
    }

    async fn attempt(
        &self,
        order: Arc<Deliver>,
        deadline: &mut Deadline,
        traceparent: Option<String>,
    ) -> Attempted {
        let memory = order.memory.clone();
        let started = Instant::now();
        // A task of its own, so that a panic is one failed attempt and not a dead receiver.
        let (notifier, tenant) = (Arc::clone(&self.notifier), self.tenant.clone());
        let told = Arc::clone(&order);
        let mut notifying =
            tokio::spawn(async move { in_trace(traceparent, notifier.notify(tenant, told)).await });
        let ended = self
            .by_deadline(&mut notifying, deadline, NOTIFIER_GRACE)
            .await;
        let ended = match ended {
            Some(ended) => Some(ended),
            // A process that was suspended has its grace behind it, and an answer perhaps before it.
            None => timeout(NOTIFIER_GRACE, &mut notifying).await.ok(),
        };
        self.metrics
            .latency(&order.key, started.elapsed().as_secs_f64());
        let ambiguous = |reason: &str, failure| Attempted {
            outcome: Outcome::Ambiguous {
                reason: reason.to_owned(),
            },
            memory,
            failure,
        };
        match ended {
            Some(Ok(ended)) => ended,
            Some(Err(failure)) => {
                error!(tenant = %self.tenant, receiver = order.key.receiver, %failure, "notifier failed");
                ambiguous("the notifier failed", FailureReason::Other)
            }
            None => {
                notifying.abort();
                let failure = FailureReason::ContextDeadlineExceeded;
                ambiguous("no answer before the deadline", failure)
            }
        }
    }

    fn left(&self, deadline: Timestamp) -> Duration {
        deadline.saturating_since(self.clock.now())
    }
}

fn describe(span: &mut OpenSpan, order: &Deliver) {
    let key = &order.key;
    span.note("alerting.notify.receiver.name", &key.receiver);
    let integration = format!("{}[{}]", key.integration, key.index);
    span.note("alerting.notify.integration.name", &integration);
    span.note("alerting.notify.reason", order.notification.reason.as_str());
    span.note("alerting.group.key", key.group_key.as_str());
    span.count("alerting.notify.attempt", u64::from(order.attempt));
    span.count(
        "alerting.alerts.count",
        order.notification.alerts.len() as u64,
    );
}
