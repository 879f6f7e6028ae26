//! `watchbell alertmanager` in a folder of its own.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::process::Process;
use crate::small::SETTLING;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, binary};

pub(crate) struct Running {
    base: String,
    process: Process,
}

impl Running {
    pub(crate) async fn start(folder: &Path, flag: &str) -> Self {
        let log = folder.join("alertmanager.log");
        let mut process = Process::start(
            "watchbell alertmanager",
            Command::new(binary())
                .arg("alertmanager")
                .arg(flag)
                .arg("--config.file")
                .arg(folder.join("alertmanager.yml"))
                .arg("--storage.path")
                .arg(folder.join("data"))
                .args(["--web.listen-address", "127.0.0.1:0"])
                .arg("--cluster.listen-address="),
            &log,
        );
        let address = wait_for("it to say where it listens", STARTING, async || {
            let text = process.log_text();
            assert!(!process.has_ended(), "it ended:\n{text}");
            let line = text.lines().find(|line| line.contains("Listening on"))?;
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            Some(address.to_owned())
        })
        .await;
        Self {
            base: format!("http://{address}"),
            process,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> String {
        let answer = reqwest::Client::new()
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .expect("it answers");
        let status = answer.status();
        let text = answer.text().await.expect("an answer in text");
        assert!(status.is_success(), "{path}: {status}: {text}");
        text
    }

    pub(crate) async fn post_alert(&self, name: &str, ends_at: Option<&str>) {
        let mut alert = json!({"labels": {"alertname": name}, "startsAt": "2020-01-01T00:00:00Z"});
        if let Some(ends_at) = ends_at {
            alert["endsAt"] = json!(ends_at);
        }
        self.post("/api/v2/alerts", &json!([alert])).await;
    }

    pub(crate) async fn silence(&self, name: &str) -> String {
        let silence = json!({
            "matchers": [{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2999-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "known",
        });
        let answer = self.post("/api/v2/silences", &silence).await;
        let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
        answer["silenceID"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.base)).await;
        let answer = answer.expect("it answers").text().await;
        answer.expect("an answer in text")
    }

    /// In good order; answers what it printed.
    pub(crate) async fn end(mut self) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.ended(SETTLING + Duration::from_secs(10)).await;
        let log = self.process.log_text();
        assert!(status.success(), "{status}:\n{log}");
        log
    }
}
