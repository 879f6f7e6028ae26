//! An Alertmanager of either kind: Debian's, or Watchbell under any of its names.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::process::Process;
use crate::wait::wait_for;
use crate::watchbell::STARTING;

pub(crate) const DEBIANS: &str = "/usr/bin/prometheus-alertmanager";

pub(crate) struct Alertmanager {
    /// Without a slash at its end; a route prefix is part of it.
    pub(crate) base: String,
    pub(crate) process: Process,
    client: reqwest::Client,
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
            listening_address(&text[before..])
        })
        .await;
        Self {
            base: format!("http://{address}{prefix}"),
            process,
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a plain client"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.ask(self.client.get(format!("{}{path}", self.base)))
            .await
    }

    pub(crate) async fn json(&self, path: &str) -> Json {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> (u16, String) {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.ask(request).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, String) {
        self.ask(self.client.delete(format!("{}{path}", self.base)))
            .await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("an answer in text"))
    }

    /// SIGTERM, which must be obeyed with status 0.
    pub(crate) async fn end(mut self, within: Duration) {
        self.process.signal(Signal::TERM);
        let status = self.process.ended(within).await;
        assert_eq!(status.code(), Some(0), "{}", self.process.log_text());
    }
}

/// In the first line that says `Listening on`.
pub(crate) fn listening_address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let address = line.split("address=").nth(1)?.split_whitespace().next()?;
    Some(address.to_owned())
}
