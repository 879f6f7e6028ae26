//! Events as requests: one each, or lists of them.
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{BatchLimits, BatchSize, PostRetries};
use config::{EventWebhook, Secret};
use notifiers::HttpClient;
use notifiers_core::{HttpRequest, Method, Response};
use runtime::Clock;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::recorder::ledger::{Ledger, Line};

#[derive(Clone)]
pub(super) struct WebhookOutput {
    url: Secret,
    timeout: Duration,
    retries: PostRetries,
    workers: usize,
    batch: Option<Batching>,
    client: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    ledger: Arc<Ledger>,
}

#[derive(Clone, Copy)]
struct Batching {
    limits: BatchLimits,
    /// No event waits longer for others.
    flush_interval: Duration,
}

impl WebhookOutput {
    pub(super) fn new(
        settings: &EventWebhook,
        client: &Arc<HttpClient>,
        clock: &Arc<dyn Clock>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let batch = settings.batch.as_ref().map(|batch| Batching {
            limits: BatchLimits {
                events_max: batch.events_max(),
                bytes_max: batch.bytes_max(),
            },
            flush_interval: batch.flush_interval(),
        });
        Self {
            url: settings.url.clone(),
            timeout: settings.timeout(),
            retries: PostRetries {
                attempts_max: settings.attempts_max(),
                backoff: settings.retry_backoff(),
            },
            workers: settings.workers(),
            batch,
            client: Arc::clone(client),
            clock: Arc::clone(clock),
            ledger: Arc::clone(ledger),
        }
    }

    /// Until nobody is left who could send lines, and all requests have ended.
    pub(super) async fn run(self, mut lines: mpsc::Receiver<Arc<Line>>) {
        let workers = Arc::new(Semaphore::new(self.workers));
        let mut posting = JoinSet::new();
        let mut kept = None;
        while let Some(events) = self.next_body(&mut lines, &mut kept).await {
            let Ok(permit) = Arc::clone(&workers).acquire_owned().await else {
                return;
            };
            while posting.try_join_next().is_some() {}
            let output = self.clone();
            posting.spawn(async move {
                output.post(&events).await;
                drop(permit);
            });
        }
        while posting.join_next().await.is_some() {}
    }

    /// What one request holds. A line that does not fit is kept for the next one.
    async fn next_body(
        &self,
        lines: &mut mpsc::Receiver<Arc<Line>>,
        kept: &mut Option<Arc<Line>>,
    ) -> Option<Vec<Arc<Line>>> {
        let first = match kept.take() {
            Some(first) => first,
            None => lines.recv().await?,
        };
        let Some(batch) = self.batch else {
            return Some(vec![first]);
        };
        let due = Instant::now() + batch.flush_interval;
        let mut size = BatchSize::default().with(first.json.len());
        let mut events = vec![first];
        while !size.is_full(batch.limits) {
            let Ok(Some(line)) = timeout_at(due, lines.recv()).await else {
                break;
            };
            if !size.admits(line.json.len(), batch.limits) {
                *kept = Some(line);
                break;
            }
            size = size.with(line.json.len());
            events.push(line);
        }
        Some(events)
    }

    async fn post(&self, events: &[Arc<Line>]) {
        let request = HttpRequest {
            method: Method::Post,
            url: self.url.reveal().to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: self.body(events),
            timeout: Some(self.timeout),
        };
        let (output, trouble) = (&self.ledger.output, &self.ledger.trouble);
        for failed in 1.. {
            let answer = self
                .client
                .ask(&request, self.timeout, self.clock.as_ref())
                .await;
            let reason = match answer {
                Response::Http(answer) if answer.status / 100 == 2 => {
                    if let Some(left_out) = trouble.is_over() {
                        info!(output, left_out, "events are taken again");
                    }
                    for line in events {
                        self.ledger.written(line, line.json.len());
                    }
                    return;
                }
                Response::Http(answer) => format!("status {}", answer.status),
                Response::Failed(failure) => failure.text,
                Response::Mail(_) => "no answer by HTTP".to_owned(),
            };
            if let Some(left_out) = trouble.happened() {
                let events = events.len();
                warn!(
                    output,
                    reason,
                    attempt = failed,
                    events,
                    left_out,
                    "events were not taken"
                );
            }
            match self.retries.wait(failed) {
                Some(wait) => sleep(wait).await,
                None => break,
            }
        }
        for line in events {
            self.ledger.failed(line);
        }
    }

    fn body(&self, events: &[Arc<Line>]) -> Vec<u8> {
        let joined = events
            .iter()
            .map(|line| line.json.as_str())
            .collect::<Vec<_>>()
            .join(",");
        match self.batch {
            None => joined.into_bytes(),
            Some(_) => format!("[{joined}]").into_bytes(),
        }
    }
}
