//! An Alertmanager of either kind: Debian's, or Watchbell under any of its names.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::client::plain_client;
use crate::process::Process;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, binary};

pub(crate) const DEBIANS: &str = "/usr/bin/prometheus-alertmanager";
/// What is under way when it is told to end has a bound of its own, which is shorter.
const ENDING: Duration = Duration::from_secs(70);
/// A figure that is to come.
const COUNTING: Duration = Duration::from_secs(60);

pub(crate) struct Alertmanager {
    /// Without a slash at its end; a route prefix is part of it.
    pub(crate) base: String,
    pub(crate) process: Process,
    client: reqwest::Client,
}

/// `watchbell alertmanager`.
pub(crate) fn ours() -> Command {
    let mut command = Command::new(binary());
    command.arg("alertmanager");
    command
}

impl Alertmanager {
    /// Returns when it listens. `command` has its arguments; `prefix` is where its routes are.
    pub(crate) async fn start(command: &mut Command, prefix: &str, log: &Path) -> Self {
        let before = std::fs::read_to_string(log).unwrap_or_default().len();
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = Process::start(&name, command, log);
        let address = wait_for("it to say where it listens", STARTING, async || {
            let text = process.log_text();
            assert!(!process.has_ended(), "it ended:\n{text}");
            let mut lines = text[before..].lines();
            let line = lines.find(|line| line.contains("Listening on"))?;
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            Some(address.to_owned())
        })
        .await;
        Self {
            base: format!("http://{address}{prefix}"),
            process,
            client: plain_client(),
        }
    }

    /// In `folder`: it reads `alertmanager.yml`, stores in `data`, speaks to `alertmanager.log`, and has a free port and
    /// no others in its cluster, unless `flags` say otherwise.
    pub(crate) async fn start_in(folder: &Path, command: &mut Command, flags: &[&str]) -> Self {
        let usual = [
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ];
        // No flag may be given twice.
        let usual = usual.into_iter().filter(|usual| {
            let name = usual.split('=').next().unwrap_or_default();
            !flags.iter().any(|flag| flag.starts_with(name))
        });
        command.current_dir(folder).args(usual).args(flags);
        Self::start(command, "", &folder.join("alertmanager.log")).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// Status and text.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let mut request = self.client.request(method, self.url(path));
        if !body.is_empty() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let answer = request.send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("an answer in text"))
    }

    /// A JSON body that need not be text.
    pub(crate) async fn ask_bytes(&self, path: &str, body: &[u8]) -> (u16, String) {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body.to_vec());
        let answer = request.send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("an answer in text"))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path, "").await
    }

    pub(crate) async fn json(&self, path: &str) -> Json {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> (u16, String) {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, String) {
        self.ask(Method::DELETE, path, "").await
    }

    pub(crate) async fn post_alert(&self, alert: Json) {
        let (status, text) = self.post("/api/v2/alerts", &json!([alert])).await;
        assert_eq!(status, 200, "{text}");
    }

    /// An alert that fires from now on.
    pub(crate) async fn fire(&self, name: &str) {
        self.post_alert(json!({"labels": {"alertname": name}}))
            .await;
    }

    /// From `starts_at` until far away; answers the id.
    pub(crate) async fn silence(&self, name: &str, starts_at: &str) -> String {
        let silence = json!({
            "matchers": [{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}],
            "startsAt": starts_at,
            "endsAt": "2999-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "known",
        });
        let (status, answer) = self.post("/api/v2/silences", &silence).await;
        assert_eq!(status, 200, "{answer}");
        let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
        answer["silenceID"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn reload(&self) {
        let (status, said) = self.ask(Method::POST, "/-/reload", "").await;
        assert_eq!(status, 200, "{said}");
    }

    pub(crate) async fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Waits until every one of these samples is shown.
    pub(crate) async fn wait_for_samples(&self, samples: &[&str]) {
        for sample in samples {
            wait_for(sample, COUNTING, async || {
                let text = self.metrics().await;
                text.lines().any(|line| line == *sample).then_some(())
            })
            .await;
        }
    }

    /// SIGTERM, which must be obeyed with status 0; answers what it printed.
    pub(crate) async fn end(self) -> String {
        self.end_within(ENDING).await
    }

    pub(crate) async fn end_within(mut self, within: Duration) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.ended(within).await;
        let log = self.process.log_text();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}
