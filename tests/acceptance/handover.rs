//! An Alertmanager's data folder goes to Watchbell and back: what was told is not told again, silences stay.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fakes::Fakes;
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::files::folder;
use crate::process::{Process, program};
use crate::small::{SETTLING, alertmanager, told, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::{STARTING, binary};

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_taken_over_and_can_be_handed_back() {
    let Some(program) = program(PROGRAM) else {
        return;
    };
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let there = || Command::new(program);
    let here = || {
        let mut command = Command::new(binary());
        command.arg("alertmanager");
        command
    };

    let first = Running::start(&mut there(), folder.path()).await;
    first.post_alert("Down").await;
    wait_until_told(&fakes, "firing", "Down").await;
    let old = first.silence("Quiet").await;
    first.end().await;

    // Nothing but the folder tells that Down was told and Quiet is to be.
    let second = Running::start(&mut here(), folder.path()).await;
    second.post_alert("Down").await;
    second.post_alert("Quiet").await;
    second.post_alert("Loud").await;
    wait_until_told(&fakes, "firing", "Loud").await;
    let new = second.silence("Calm").await;
    second.expect_silences(&[&old, &new]).await;
    second.end().await;

    let third = Running::start(&mut there(), folder.path()).await;
    third.expect_silences(&[&old, &new]).await;
    for name in ["Down", "Quiet", "Loud", "Calm"] {
        third.post_alert(name).await;
    }
    third.post_alert("Last").await;
    wait_until_told(&fakes, "firing", "Last").await;
    third.end().await;

    // Back again: the folder's files know better than our log of then.
    let fourth = Running::start(&mut here(), folder.path()).await;
    fourth.post_alert("Last").await;
    fourth.post_alert("End").await;
    wait_until_told(&fakes, "firing", "End").await;
    fourth.end().await;
    let names: Vec<String> = told(&fakes).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["Down", "Loud", "Last", "End"], "each was told once");
}

/// An Alertmanager of either kind, with the same arguments.
struct Running {
    base: String,
    client: reqwest::Client,
    process: Process,
}

impl Running {
    async fn start(command: &mut Command, folder: &Path) -> Self {
        let log = folder.join("alertmanager.log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = Process::start(
            &name,
            command
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
            let line = text[before..]
                .lines()
                .find(|line| line.contains("Listening on"))?;
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            Some(address.to_owned())
        })
        .await;
        Self {
            base: format!("http://{address}"),
            client: reqwest::Client::new(),
            process,
        }
    }

    async fn post(&self, path: &str, body: &Json) -> String {
        let answer = self
            .client
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

    async fn post_alert(&self, name: &str) {
        let alert = json!([{"labels": {"alertname": name}}]);
        self.post("/api/v2/alerts", &alert).await;
    }

    async fn silence(&self, name: &str) -> String {
        let silence = json!({
            "matchers": [{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2999-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "until it is handed back",
        });
        let answer = self.post("/api/v2/silences", &silence).await;
        let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
        answer["silenceID"].as_str().expect("an id").to_owned()
    }

    async fn expect_silences(&self, ids: &[&str]) {
        let answer = self.client.get(format!("{}/api/v2/silences", self.base));
        let text = answer.send().await.expect("it answers").text().await;
        let text = text.expect("an answer in text");
        for id in ids {
            assert!(text.contains(id), "{id} is missing: {text}");
        }
    }

    async fn end(mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.ended(SETTLING + Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}
