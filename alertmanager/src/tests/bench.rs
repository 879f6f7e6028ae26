//! A service with everything real but the notifiers.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::Deliver;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::TenantId;
use notifiers_core::{Attempted, FailureReason, Memory, Outcome};
use runtime::log::{Log, SyncPolicy};
use runtime::{Clock, Metrics, Stop, Stopper, SystemClock};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::deliver::{Notified, Notifier};
use crate::journal::{SavedTenants, open_journal};
use crate::metrics::{AlertmanagerMetrics, MetricSettings};
use crate::service::{AlertmanagerService, ServiceParts, ServiceSettings};
use crate::tests::contract::check;
use crate::traces::Tracer;

/// Groups flush at once.
pub(crate) const AT_ONCE: &str = "
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1h}
receivers: [{name: team, webhook_configs: [{url: 'http://x'}]}, {name: unused}]
";

pub(crate) fn config(yaml: &str) -> Arc<AlertmanagerConfig> {
    let loaded = AlertmanagerConfig::read("am.yml", yaml, &AlertmanagerOptions::default());
    Arc::new(loaded.unwrap().value)
}

/// Passes every order on and answers as it was told to.
pub(crate) struct Listener {
    heard: mpsc::UnboundedSender<(TenantId, Arc<Deliver>)>,
    answer: fn(&Deliver) -> Outcome,
}

impl Listener {
    pub(crate) fn new(
        heard: mpsc::UnboundedSender<(TenantId, Arc<Deliver>)>,
        answer: fn(&Deliver) -> Outcome,
    ) -> Self {
        Self { heard, answer }
    }
}

impl Notifier for Listener {
    fn notify(&self, tenant: TenantId, order: Arc<Deliver>) -> Notified {
        let outcome = (self.answer)(&order);
        let failure = match outcome {
            Outcome::Rejected { .. } => FailureReason::ClientError,
            Outcome::Delivered { .. } | Outcome::Retry { .. } => FailureReason::ServerError,
            Outcome::Ambiguous { .. } => FailureReason::ContextDeadlineExceeded,
        };
        let heard = self.heard.send((tenant, order));
        Box::pin(async move {
            heard.unwrap();
            Attempted {
                outcome,
                memory: Memory::default(),
                failure,
            }
        })
    }
}

pub(crate) struct Bench {
    pub(crate) service: AlertmanagerService,
    pub(crate) router: Router,
    pub(crate) metrics: Metrics,
    pub(crate) heard: mpsc::UnboundedReceiver<(TenantId, Arc<Deliver>)>,
    pub(crate) log: Option<Log>,
    pub(crate) stop: Stop,
    stopper: Stopper,
}

impl Bench {
    pub(crate) fn new(yaml: &str) -> Self {
        Self::with(yaml, None, |_| Outcome::Delivered { id: None })
    }

    pub(crate) fn with(yaml: &str, folder: Option<&Path>, answer: fn(&Deliver) -> Outcome) -> Self {
        let (log, saved) = match folder {
            Some(folder) => {
                let (log, saved) = open_journal(folder, SyncPolicy::default()).unwrap();
                (Some(log), saved)
            }
            None => (None, SavedTenants::default()),
        };
        Self::storing(yaml, log, saved, ServiceSettings::default(), answer)
    }

    pub(crate) fn storing(
        yaml: &str,
        log: Option<Log>,
        saved: SavedTenants,
        settings: ServiceSettings,
        answer: fn(&Deliver) -> Outcome,
    ) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let metrics = Metrics::new();
        let (stopper, stop) = Stopper::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let parts = ServiceParts {
            notifier: Arc::new(Listener::new(sender, answer)),
            log: log.clone(),
            clock: Arc::clone(&clock),
            metrics: AlertmanagerMetrics::register(&metrics, MetricSettings::default()),
            recorder: None,
            tracer: Tracer::new(Arc::clone(&clock), "", &metrics),
            stop: stop.clone(),
            stopper: stopper.clone(),
        };
        let service = AlertmanagerService::start(config(yaml), settings, parts, saved);
        let router = crate::api::routes(&service).into_router();
        Self {
            service,
            router,
            metrics,
            heard,
            log,
            stop,
            stopper,
        }
    }

    pub(crate) async fn ask(&self, method: &str, uri: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (status, answer) = self.send(request).await;
        check(method, uri, body, status, &answer);
        (status, answer)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (u16, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn get(&self, uri: &str) -> serde_json::Value {
        let (status, body) = self.ask("GET", uri, "").await;
        assert_eq!(status, 200, "{uri}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn post_alerts(&self, body: &str) {
        let answer = self.ask("POST", "/api/v2/alerts", body).await;
        assert_eq!(answer, (200, String::new()));
    }

    /// The next notification.
    pub(crate) async fn hear(&mut self) -> Arc<Deliver> {
        self.heard.recv().await.unwrap().1
    }

    pub(crate) fn stop(&self) {
        self.stopper.stop();
    }

    pub(crate) async fn end(self) {
        self.stop();
        assert!(self.service.join(Duration::from_secs(10)).await);
    }
}
