//! `watchbell alertmanager` in a folder of its own, with the flags that a test gives.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::alertmanager::listening_address;
use crate::process::Process;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, binary};

pub(crate) struct Alone {
    pub(crate) base: String,
    client: reqwest::Client,
    process: Process,
}

impl Alone {
    /// `alertmanager.yml` must lie in `folder`.
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::start_as(Command::new(binary()).arg("alertmanager"), folder, flags).await
    }

    /// Another program that takes Alertmanager's flags.
    pub(crate) async fn start_as(command: &mut Command, folder: &Path, flags: &[&str]) -> Self {
        let log = folder.join("alertmanager.log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::start(
            "alertmanager",
            command
                .current_dir(folder)
                .args([
                    "--web.listen-address=127.0.0.1:0",
                    "--cluster.listen-address=127.0.0.1:0",
                ])
                .args(flags),
            &log,
        );
        let address = wait_for("it to say where it listens", STARTING, async || {
            let text = process.log_text();
            assert!(!process.has_ended(), "it ended:\n{text}");
            listening_address(&text[before..])
        })
        .await;
        Self {
            base: format!("http://{address}"),
            client: reqwest::Client::new(),
            process,
        }
    }

    pub(crate) fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// Status and text.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = request.send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("an answer in text"))
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> (u16, String) {
        self.ask(reqwest::Method::POST, path, &body.to_string())
            .await
    }

    pub(crate) async fn post_alert(&self, labels: &Json) {
        let alert = json!([{"labels": labels}]);
        let answer = self.post("/api/v2/alerts", &alert).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }

    /// From `starts_at` until far away; answers the id.
    pub(crate) async fn silence(&self, name: &str, starts_at: &str) -> String {
        let silence = json!({
            "matchers": [{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}],
            "startsAt": starts_at,
            "endsAt": "2999-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "to be counted",
        });
        let (status, answer) = self.post("/api/v2/silences", &silence).await;
        assert_eq!(status, 200, "{answer}");
        let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
        answer["silenceID"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn metrics(&self) -> String {
        let (status, text) = self.ask(reqwest::Method::GET, "/metrics", "").await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Waits until every one of these samples is shown.
    pub(crate) async fn wait_for_samples(&self, samples: &[&str]) {
        let patience = Duration::from_secs(60);
        for sample in samples {
            wait_for(sample, patience, async || {
                let text = self.metrics().await;
                text.lines().any(|line| line == *sample).then_some(())
            })
            .await;
        }
    }

    pub(crate) async fn end(mut self) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.ended(Duration::from_secs(60)).await;
        assert!(status.success(), "{status}");
        self.process.log_text()
    }
}
