//! The event recorder with real files and webhooks on loopback.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alertmanager_core::{EventData, RecordedEvent};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::Timestamp;
use parking_lot::Mutex;
use runtime::{Metrics, SystemClock};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::recorder::{Destinations, EventRecorder, RecorderMetrics};

/// Far longer than anything here takes: only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

async fn destinations(block: &str) -> Destinations {
    let text =
        format!("route: {{receiver: d}}\nreceivers: [{{name: d}}]\nevent_recorder:\n{block}");
    let loaded = AlertmanagerConfig::read("am.yml", &text, &AlertmanagerOptions::default());
    let recorder = loaded.unwrap().value.event_recorder;
    Destinations::prepare(recorder.as_ref()).await.unwrap()
}

struct Recording {
    recorder: EventRecorder,
    metrics: Metrics,
    next: i64,
}

impl Recording {
    async fn start(block: &str) -> Self {
        let metrics = Metrics::new();
        let figures = RecorderMetrics::register(&metrics);
        let clock = Arc::new(SystemClock::new());
        let recorder = EventRecorder::start(destinations(block).await, "am", clock, figures);
        Self {
            recorder,
            metrics,
            next: 0,
        }
    }

    /// Events that are told apart by their seconds.
    fn record(&mut self, count: usize) {
        for _ in 0..count {
            let at = Timestamp::from_secs(self.next);
            self.next += 1;
            let data = EventData::ProcessEnds;
            self.recorder.record(RecordedEvent { at, data });
        }
    }

    async fn reload(&self, block: &str) {
        self.recorder.reconfigure(destinations(block).await).await;
    }

    fn figure(&self, series: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        let value = line.map_or("0", |rest| rest.trim());
        value
            .parse()
            .unwrap_or_else(|_| panic!("{series}: {value}"))
    }

    fn recorded(&self, output: &str, result: &str) -> u64 {
        self.figure(&format!(
            r#"alertmanager_events_recorded_total{{event_type="alertmanager_shutdown_event",output="{output}",result="{result}"}}"#
        ))
    }

    fn output_drops(&self, output: &str) -> u64 {
        self.figure(&format!(
            r#"alertmanager_event_output_drops_total{{output="{output}"}}"#
        ))
    }
}

fn seconds(event: &Value) -> i64 {
    let at = event["@timestamp"].as_str().unwrap();
    Timestamp::parse_rfc3339(at).unwrap().as_millis() / 1000
}

fn written(path: &Path) -> Vec<i64> {
    let text = std::fs::read_to_string(path).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    events.map(|event: Value| seconds(&event)).collect()
}

/// A webhook that answers as its script says, in turn; the last answer is for all that follow. No answer at all for 0.
#[derive(Clone)]
struct Webhook {
    url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Webhook {
    async fn start(script: &[u16]) -> (Self, mpsc::UnboundedReceiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let webhook = Self {
            url,
            asked: Arc::default(),
        };
        let (asked, asks) = mpsc::unbounded_channel();
        let state = (webhook.clone(), script.to_vec(), asked);
        let answer = |State((webhook, script, asked)): State<(
            Self,
            Vec<u16>,
            mpsc::UnboundedSender<()>,
        )>,
                      uri: Uri,
                      body: String| async move {
            let count = {
                let mut all = webhook.asked.lock();
                all.push((uri.path().to_owned(), serde_json::from_str(&body).unwrap()));
                all.len()
            };
            let _ = asked.send(());
            let status = script[(count - 1).min(script.len() - 1)];
            if status == 0 {
                std::future::pending::<()>().await;
            }
            StatusCode::from_u16(status).unwrap()
        };
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (webhook, asks)
    }

    fn bodies(&self) -> Vec<Value> {
        self.asked
            .lock()
            .iter()
            .map(|(_, body)| body.clone())
            .collect()
    }
}

fn file(folder: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let block = format!("  file_outputs: [{{path: '{}'}}]\n", path.display());
    (path, block)
}

/// On one thread: nothing is written while the test does not wait.
#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, block) = file(&folder, "e");
    let mut recording = Recording::start(&block).await;
    recording.record(8192 + 10);
    let dropped = r#"alertmanager_events_dropped_total{event_type="alertmanager_shutdown_event"}"#;
    assert_eq!(recording.figure(dropped), 10);
    assert_eq!(
        recording.figure("alertmanager_event_recorder_queue_length"),
        8192
    );
    recording.recorder.close(PATIENCE).await;
    assert_eq!(
        recording.figure("alertmanager_event_recorder_queue_length"),
        0
    );
    assert_eq!(written(&path), (0..8192).collect::<Vec<_>>());
    let output = format!("file:{}", path.display());
    assert_eq!(recording.recorded(&output, "success"), 8192);
    let bytes = format!(
        r#"alertmanager_event_recorder_bytes_written_total{{event_type="alertmanager_shutdown_event",output="{output}"}}"#
    );
    let size = std::fs::metadata(&path).unwrap().len();
    assert_eq!(recording.figure(&bytes), size);
}

#[tokio::test]
async fn an_output_that_hangs_keeps_nobody_else_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (path, block) = file(&folder, "e");
    let (webhook, mut asks) = Webhook::start(&[0]).await;
    let both = format!("{block}  webhook_outputs: [{{url: '{}'}}]\n", webhook.url);
    let mut recording = Recording::start(&both).await;
    recording.record(8000);
    recording.reload(&both).await;
    asks.recv().await.unwrap();
    recording.record(1000);
    recording.reload(&both).await;
    assert_eq!(recording.output_drops("webhook:0"), 9000 - 8192);
    // A reload takes it away, and it is not forgotten.
    recording.reload(&block).await;
    recording.recorder.close(Duration::from_secs(1)).await;
    assert_eq!(recording.output_drops("webhook:0"), 9000, "none was taken");
    assert_eq!(written(&path), (0..9000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_webhook_that_fails_is_asked_again_and_then_counted() {
    for (script, requests, success, error) in [
        (&[200][..], 1, 1, 0),
        (&[503, 400, 202], 3, 1, 0),
        (&[503], 3, 0, 1),
    ] {
        let (webhook, _asks) = Webhook::start(script).await;
        let block = format!(
            "  webhook_outputs: [{{url: '{}/e', retry_backoff: 1ms}}]\n",
            webhook.url
        );
        let mut recording = Recording::start(&block).await;
        recording.record(1);
        recording.recorder.close(PATIENCE).await;
        assert_eq!(webhook.bodies().len(), requests, "{script:?}");
        assert!(webhook.bodies().iter().all(|body| seconds(body) == 0));
        assert_eq!(webhook.asked.lock()[0].0, "/e");
        let counted = |result| recording.recorded("webhook:0", result);
        assert_eq!(
            (counted("success"), counted("error")),
            (success, error),
            "{script:?}"
        );
        assert_eq!(recording.output_drops("webhook:0"), 0);
    }
}

#[tokio::test]
async fn a_batch_is_a_list() {
    let (webhook, _asks) = Webhook::start(&[200]).await;
    let block = format!(
        "  webhook_outputs: [{{url: '{}', workers: 1, batch: yes, batch_max_events: 3, batch_flush_interval: 1h}}]\n",
        webhook.url
    );
    let mut recording = Recording::start(&block).await;
    recording.record(7);
    recording.recorder.close(PATIENCE).await;
    let lists: Vec<Vec<i64>> = webhook
        .bodies()
        .iter()
        .map(|body| body.as_array().unwrap().iter().map(seconds).collect())
        .collect();
    assert_eq!(lists, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(recording.recorded("webhook:0", "success"), 7);
}

#[tokio::test]
async fn an_incomplete_batch_does_not_wait_for_long() {
    let (webhook, mut asks) = Webhook::start(&[200]).await;
    let block = format!(
        "  webhook_outputs: [{{url: '{}', batch: yes}}]\n",
        webhook.url
    );
    let mut recording = Recording::start(&block).await;
    recording.record(2);
    asks.recv().await.unwrap();
    assert_eq!(webhook.bodies()[0].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_reload_swaps_what_has_changed_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ((old, old_block), (new, new_block)) = (file(&folder, "old"), file(&folder, "new"));
    let (webhook, _asks) = Webhook::start(&[200]).await;
    let stays = format!(
        "  webhook_outputs: [{{url: '{}', workers: 1}}]\n",
        webhook.url
    );
    let mut recording = Recording::start(&format!("{old_block}{stays}")).await;
    recording.record(3);
    recording.reload(&format!("{new_block}{stays}")).await;
    recording.record(2);
    recording.recorder.close(PATIENCE).await;
    assert_eq!(written(&new), [3, 4]);
    let taken: Vec<i64> = webhook.bodies().iter().map(seconds).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4]);
    // The old output is not waited for.
    let output = format!("file:{}", old.display());
    tokio::time::timeout(PATIENCE, async {
        while recording.recorded(&output, "success") < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(written(&old), [0, 1, 2]);
}

#[tokio::test]
async fn a_webhook_that_can_never_be_asked_is_refused() {
    for (webhook, said) in [
        (
            "url: <secret>",
            "event_recorder webhook output requires an absolute http(s) url",
        ),
        (
            "url: 'http://a', http_config: {tls_config: {ca_file: /nowhere}}",
            "event_recorder webhook_outputs[0]",
        ),
    ] {
        let text = format!(
            "route: {{receiver: d}}\nreceivers: [{{name: d}}]\nevent_recorder: {{webhook_outputs: [{{{webhook}}}]}}\n"
        );
        let loaded = AlertmanagerConfig::read("am.yml", &text, &AlertmanagerOptions::default());
        let config = loaded.unwrap().value.event_recorder;
        let refused = Destinations::prepare(config.as_ref()).await.err();
        assert_eq!(
            refused.map(|error| error.to_string()).as_deref(),
            Some(said)
        );
    }
}

#[tokio::test]
async fn an_output_that_a_reload_took_away_may_finish_before_the_end() {
    let (webhook, mut asks) = Webhook::start(&[503, 200]).await;
    let block = format!(
        "  webhook_outputs: [{{url: '{}', retry_backoff: 50ms}}]\n",
        webhook.url
    );
    let mut recording = Recording::start(&block).await;
    recording.record(1);
    asks.recv().await.unwrap();
    recording.reload("  stdout_outputs: []\n").await;
    recording.recorder.close(PATIENCE).await;
    assert_eq!(recording.recorded("webhook:0", "success"), 1);
    assert_eq!(recording.output_drops("webhook:0"), 0);
}
