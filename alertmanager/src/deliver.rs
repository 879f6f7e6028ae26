//! Deliveries: each attempt is a task of its own, bounded in number and in time, and its end always comes back.
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{Deliver, Input, LogKey, SpanContext, SpanKind};
use model::{TenantId, Timestamp};
use notifiers::in_trace;
use notifiers_core::{Attempted, FailureReason, Outcome};
use parking_lot::Mutex;
use runtime::Clock;
use tokio::sync::{AcquireError, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
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

/// What one integration may have under way at once, so that one that hangs leaves the tenant's other integrations, and
/// its dead man's switch, their share.
const LANE_WIDTH: usize = 16;

/// Receiver, kind and index.
type LaneName = (String, String, u32);

/// A lane for each integration of a tenant.
#[derive(Clone, Default)]
pub(crate) struct Lanes(Arc<Mutex<BTreeMap<LaneName, Arc<Semaphore>>>>);

impl Lanes {
    fn of(&self, key: &LogKey) -> Arc<Semaphore> {
        let mut lanes = self.0.lock();
        // Integrations that a reload has taken away leave their lanes behind: empty ones go before new ones come.
        let name = (key.receiver.clone(), key.integration.clone(), key.index);
        if !lanes.contains_key(&name) {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        Arc::clone(
            lanes
                .entry(name)
                .or_insert_with(|| Arc::new(Semaphore::new(LANE_WIDTH))),
        )
    }
}

#[derive(Clone)]
pub(crate) struct Deliverer {
    pub(crate) tenant: TenantId,
    pub(crate) notifier: Arc<dyn Notifier>,
    /// Attempts of this tenant at once.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) lanes: Lanes,
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
        tokio::spawn(async move {
            let id = order.id;
            // The integration's own lane first: whoever waits there keeps nobody else waiting.
            let lane = deliverer.lanes.of(&order.key);
            let permit = timeout(deliverer.left(order.deadline), async {
                let own = lane.acquire_owned().await?;
                let shared = Arc::clone(&deliverer.permits).acquire_owned().await?;
                Ok::<_, AcquireError>((own, shared))
            })
            .await;
            let attempted = match &permit {
                Ok(Ok(_)) => deliverer.traced(Arc::new(order), flush).await,
                Ok(Err(_)) | Err(_) => {
                    let outcome = Outcome::Retry {
                        not_before: None,
                        reason: "too many notifications at once".to_owned(),
                    };
                    Attempted {
                        outcome,
                        memory: order.memory,
                        failure: FailureReason::ContextDeadlineExceeded,
                    }
                }
            };
            let ended = Input::DeliveryEnded { id, attempted };
            if let Some(inputs) = deliverer.inputs.upgrade() {
                // The machine may have stopped meanwhile; what is not logged is told again by the next life.
                let _ = inputs.send(ended).await;
            }
            // Kept until the machine has the outcome in line: who waits for all permits waits for all outcomes.
            drop(permit);
        });
    }

    async fn traced(&self, order: Arc<Deliver>, flush: Option<SpanContext>) -> Attempted {
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
        let ended = self.attempt(order, traceparent).await;
        let failure = match &ended.outcome {
            Outcome::Delivered { .. } => None,
            Outcome::Ambiguous { reason }
            | Outcome::Rejected { reason }
            | Outcome::Retry { reason, .. } => Some(reason.clone()),
        };
        self.tracer.end(span, failure);
        ended
    }

    async fn attempt(&self, order: Arc<Deliver>, traceparent: Option<String>) -> Attempted {
        let memory = order.memory.clone();
        let started = Instant::now();
        let left = self.left(order.deadline);
        // A task of its own, so that a panic is one failed attempt and not a dead receiver.
        let (notifier, tenant) = (Arc::clone(&self.notifier), self.tenant.clone());
        let told = Arc::clone(&order);
        let mut notifying =
            tokio::spawn(async move { in_trace(traceparent, notifier.notify(tenant, told)).await });
        let ended = timeout(left, &mut notifying).await;
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
            Ok(Ok(ended)) => ended,
            Ok(Err(failure)) => {
                error!(tenant = %self.tenant, receiver = order.key.receiver, %failure, "notifier failed");
                ambiguous("the notifier failed", FailureReason::Other)
            }
            Err(_) => {
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
