//! Attempts beside one another: receivers that are slow or hang, on a clock that nobody waits for.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{ATTEMPT_MIN, Deliver, DeliveryId, Input, LogKey};
use model::{Labels, TenantId, Timestamp};
use notifiers_core::{
    Attempted, FailureReason, GroupKey, Memory, Notification, NotificationReason, Outcome,
};
use runtime::{Clock, Metrics};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::deliver::{Deadlines, Deliverer, Lanes, Notified, Notifier};
use crate::metrics::{AlertmanagerMetrics, MetricSettings};
use crate::tests::bench::config;
use crate::traces::Tracer;

const LATENCY: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_secs(300);

/// Goes as tokio's own does, which in these tests passes when nothing is left to do.
struct PassingClock(Instant);

impl Clock for PassingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_000_000) + self.0.elapsed()
    }
}

/// Receiver `hangs` never answers, every other one after [`LATENCY`].
struct Receivers {
    heard: mpsc::UnboundedSender<Arc<Deliver>>,
}

impl Notifier for Receivers {
    fn notify(&self, _tenant: TenantId, order: Arc<Deliver>) -> Notified {
        let hangs = order.key.receiver == "hangs";
        self.heard.send(order).unwrap();
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            sleep(LATENCY).await;
            Attempted {
                outcome: Outcome::Delivered { id: None },
                memory: Memory::default(),
                failure: FailureReason::Other,
            }
        })
    }
}

struct World {
    deliverer: Deliverer,
    heard: mpsc::UnboundedReceiver<Arc<Deliver>>,
    ended: mpsc::Receiver<Input>,
    orders: u64,
    _inputs: mpsc::Sender<Input>,
}

impl World {
    fn new(under_way_max: usize) -> Self {
        let (inputs, ended) = mpsc::channel(10_000);
        let (sender, heard) = mpsc::unbounded_channel();
        let clock: Arc<dyn Clock> = Arc::new(PassingClock(Instant::now()));
        let metrics = Metrics::new();
        Self {
            deliverer: Deliverer {
                tenant: TenantId::anonymous(),
                notifier: Arc::new(Receivers { heard: sender }),
                lanes: Lanes::new(under_way_max),
                deadlines: Deadlines::default(),
                tracer: Tracer::new(Arc::clone(&clock), "", &metrics),
                metrics: AlertmanagerMetrics::register(&metrics, MetricSettings::default()),
                clock,
                inputs: inputs.downgrade(),
            },
            heard,
            ended,
            orders: 0,
            _inputs: inputs,
        }
    }

    fn start(
        &mut self,
        receiver: &str,
        reason: NotificationReason,
        within: Duration,
    ) -> DeliveryId {
        let now = self.deliverer.clock.now();
        self.orders += 1;
        let id = DeliveryId(self.orders);
        let yaml =
            "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x'}]}]\n";
        let group_key = GroupKey::from_text(self.orders.to_string());
        let order = Deliver {
            id,
            key: LogKey {
                group_key: group_key.clone(),
                receiver: receiver.to_owned(),
                integration: "webhook".to_owned(),
                index: 0,
            },
            integration: config(yaml).receivers[0].integrations[0].clone(),
            notification: Notification {
                receiver: receiver.to_owned(),
                group_key,
                group_labels: Labels::default(),
                route_labels: Labels::default(),
                alerts: Vec::new(),
                reason,
                at: now,
                external_url: String::new(),
            },
            memory: Memory::default(),
            deadline: now + within,
            attempt: 1,
            turns_missed: 0,
        };
        self.deliverer.start(order, None);
        id
    }

    fn first(&mut self, receiver: &str) -> DeliveryId {
        self.start(receiver, NotificationReason::FirstNotification, INTERVAL)
    }

    /// How the next attempt ended, and how long after the beginning.
    async fn end(&mut self) -> (DeliveryId, &'static str, Duration) {
        let begun = Timestamp::from_secs(1_000_000);
        let ended = self.ended.recv().await.unwrap();
        let after = self.deliverer.clock.now().saturating_since(begun);
        let (id, attempted) = match ended {
            Input::TurnMissed { id } => return (id, "missed", after),
            Input::DeliveryEnded { id, attempted } => (id, attempted),
            Input::AlertsPosted { .. }
            | Input::Configured { .. }
            | Input::Explain { .. }
            | Input::ExportWanted { .. }
            | Input::Look { .. }
            | Input::SilenceExpired { .. }
            | Input::SilenceSet { .. }
            | Input::SnapshotWanted { .. }
            | Input::TallyWanted { .. } => panic!("{ended:?}"),
        };
        match attempted.outcome {
            Outcome::Delivered { .. } => (id, "delivered", after),
            Outcome::Ambiguous { .. } => (id, "ambiguous", after),
            Outcome::Rejected { .. } => (id, "rejected", after),
            Outcome::Retry { .. } => (id, "retry", after),
        }
    }

    fn heard_so_far(&mut self) -> BTreeSet<DeliveryId> {
        std::iter::from_fn(|| self.heard.try_recv().ok())
            .map(|order| order.id)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_first_pages_wait_for_no_turn() {
    let mut world = World::new(4096);
    for _ in 0..300 {
        world.first("slow");
    }
    for _ in 0..300 {
        let (_, end, after) = world.end().await;
        assert_eq!(end, "delivered");
        assert!(after < LATENCY + Duration::from_millis(100), "{after:?}");
    }
}

/// However many attempts of one receiver hang, and for however long: another one's page takes its two seconds.
#[tokio::test(start_paused = true)]
async fn whoever_hangs_takes_no_other_ones_turn() {
    let mut world = World::new(256);
    for _ in 0..1000 {
        world.first("hangs");
    }
    sleep(INTERVAL / 2).await;
    let switch = world.first("switch");
    let (id, end, after) = world.end().await;
    assert_eq!((id, end), (switch, "delivered"));
    assert!(
        after < INTERVAL / 2 + LATENCY + Duration::from_millis(100),
        "{after:?}"
    );
    // The lane's own share and a third of what can be borrowed; the others hear that their turn did not come.
    let begun = world.heard_so_far().len() - 1;
    assert!((58..=60).contains(&begun), "{begun}");
    let mut ends = Vec::new();
    for _ in 0..1000 {
        ends.push(world.end().await.1);
    }
    assert_eq!(
        ends.iter().filter(|end| **end == "ambiguous").count(),
        begun
    );
    assert_eq!(
        ends.iter().filter(|end| **end == "missed").count(),
        1000 - begun
    );
    assert_eq!(world.deliverer.lanes.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn news_is_told_before_repeats_that_have_waited_for_longer() {
    let mut world = World::new(1);
    world.first("slow");
    // Tasks that were spawned ask for their turn when they run.
    sleep(Duration::from_millis(1)).await;
    let repeat = world.start("slow", NotificationReason::RepeatIntervalElapsed, INTERVAL);
    sleep(Duration::from_millis(1)).await;
    let news = world.first("slow");
    world.end().await;
    assert_eq!(world.end().await.0, news);
    assert_eq!(world.end().await.0, repeat);
}

/// Begun right before its deadline and cut short it would be told twice.
#[tokio::test(start_paused = true)]
async fn a_late_turn_is_given_its_time() {
    let mut world = World::new(1);
    world.first("slow");
    sleep(Duration::from_millis(1)).await;
    let late = world.start(
        "slow",
        NotificationReason::FirstNotification,
        LATENCY + Duration::from_millis(100),
    );
    assert_eq!(world.end().await.1, "delivered");
    let (id, end, _) = world.end().await;
    assert_eq!((id, end), (late, "delivered"));
    let deadline = world
        .heard
        .recv()
        .await
        .zip(world.heard.recv().await)
        .unwrap()
        .1
        .deadline;
    assert_eq!(
        deadline,
        Timestamp::from_secs(1_000_000) + LATENCY + ATTEMPT_MIN
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_brought_forward_and_never_put_off() {
    let mut world = World::new(16);
    let hangs = world.first("hangs");
    sleep(Duration::from_secs(1)).await;
    let now = world.deliverer.clock.now();
    world.deliverer.hurry(hangs, now + Duration::from_secs(10));
    world.deliverer.hurry(hangs, now + INTERVAL * 2);
    let (id, end, after) = world.end().await;
    assert_eq!((id, end), (hangs, "ambiguous"));
    assert!(after < Duration::from_secs(12), "{after:?}");
    // It has ended: nobody is left to hurry.
    world.deliverer.hurry(hangs, now);
}
